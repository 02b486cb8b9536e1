/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_path.h"

#include "controlplane/model/variables.h"

/* ---- parameters ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool cp_param_name_is(gw_str name)
{
    if (name.len == 0 || name.len > CP_PARAM_NAME_MAX || !is_letter(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static bool has_brace(gw_str text)
{
    return gw_str_find(text, '{') >= 0 || gw_str_find(text, '}') >= 0;
}

/* "{x}" or "{x+}" to its name. False: something else. */
static bool take_param(gw_str segment, gw_str *ret_name, bool *ret_is_tail)
{
    if (segment.len < 3 || segment.ptr[0] != '{' || segment.ptr[segment.len - 1] != '}')
        return false;
    gw_str name = gw_str_n(segment.ptr + 1, segment.len - 2);
    *ret_is_tail = name.ptr[name.len - 1] == '+';
    name.len -= *ret_is_tail;
    *ret_name = name;
    return cp_param_name_is(name);
}

/* Whether one of the whole-segment parameters in `path` has that name. */
static bool has_param(gw_str path, gw_str name)
{
    while (path.ptr) {
        gw_str found;
        bool is_tail;
        if (take_param(gw_str_split(&path, '/'), &found, &is_tail) && gw_str_eq(found, name))
            return true;
    }
    return false;
}

bool cp_path_has_param(const char *path, const char *name)
{
    return has_param(gw_str_from(path), gw_str_from(name));
}

/* ---- bytes ---- */

static bool is_control(int byte)
{
    return byte < 0x20 || byte == 0x7f;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "." and "..", also with parameters behind a ";": some servers cut those off first. */
static bool is_dots(gw_str segment)
{
    ptrdiff_t mark = gw_str_find(segment, ';');
    if (mark >= 0)
        segment.len = (size_t)mark;
    return gw_str_eq(segment, GW_STR(".")) || gw_str_eq(segment, GW_STR(".."));
}

/* A backslash separates for some servers. */
static bool has_dot_segment(gw_str path)
{
    while (path.ptr) {
        gw_str segment = gw_str_split(&path, '/');
        while (segment.ptr)
            if (is_dots(gw_str_split(&segment, '\\')))
                return true;
    }
    return false;
}

/* ---- the frontend ---- */

static int check_start(const char *path, const char *marks, const char *field, struct gw_error *err)
{
    if (path[0] == '\0')
        return gw_fail_field(err, field, "required");
    if (path[0] != '/')
        return gw_fail_field(err, field, "must start with \"/\"");
    if (strlen(path) > CP_PATH_MAX)
        return gw_fail_field(err, field, "must be at most %d bytes", CP_PATH_MAX);
    for (; *marks; marks++)
        if (strchr(path, *marks))
            return gw_fail_field(err, field, "is a path: without \"%c\"", *marks);
    for (const char *c = path; *c; c++)
        if (is_control((unsigned char)*c))
            return gw_fail_field(err, field, "must not hold control characters");
    return 0;
}

/* before: the template in front of the segment. */
static int check_segment(gw_str before, gw_str segment, bool is_last, const char *field,
                         struct gw_error *err)
{
    gw_str name;
    bool is_tail = false;
    if (segment.len == 0 && !is_last)
        return gw_fail_field(err, field, "must not hold \"//\": callers' paths never do");
    if (!has_brace(segment))
        return 0;
    if (!take_param(segment, &name, &is_tail))
        return gw_fail_field(err, field,
                             "\"%.*s\" must be one whole parameter, \"{name}\" or \"{name+}\", the "
                             "name of 1 to %d letters, digits or \"-_.\", a letter first",
                             (int)GW_MIN(segment.len, 64), segment.ptr, CP_PARAM_NAME_MAX);
    if (is_tail && !is_last)
        return gw_fail_field(err, field, "\"%.*s\" may only stand at the end", GW_STR_ARG(segment));
    if (has_param(before, name))
        return gw_fail_field(err, field, "{%.*s} stands there twice", GW_STR_ARG(name));
    return 0;
}

int cp_path_check(const char *path, bool is_prefix, const char *field, struct gw_error *err)
{
    if (check_start(path, "?#", field, err))
        return -1;
    if (strchr(path, '%'))
        return gw_fail_field(err, field, "is written unescaped: without \"%%\"");
    gw_str all = gw_str_from(path);
    if (has_dot_segment(all))
        return gw_fail_field(err, field, "must not hold \".\" or \"..\" as a segment");
    if (is_prefix && all.ptr[all.len - 1] == '/')
        all.len--; /* a prefix means the same with and without it */
    gw_str rest = all.len > 0 ? gw_str_n(all.ptr + 1, all.len - 1) : GW_STR_NONE;
    unsigned params = 0;
    while (rest.ptr) {
        gw_str segment = gw_str_split(&rest, '/');
        bool is_last = !rest.ptr;
        gw_str before = gw_str_n(all.ptr, (size_t)(segment.ptr - all.ptr));
        if (is_prefix && segment.len == 0)
            return gw_fail_field(err, field, "must not hold \"//\": callers' paths never do");
        if (check_segment(before, segment, is_last, field, err))
            return -1;
        params += has_brace(segment);
    }
    if (params > CP_PATH_PARAMS_MAX)
        return gw_fail_field(err, field, "must have at most %d parameters", CP_PATH_PARAMS_MAX);
    return 0;
}

gw_str cp_path_shape(struct gw_arena *arena, const char *path, bool is_prefix)
{
    gw_str rest = gw_str_from(path);
    if (is_prefix && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    char *shape = gw_arena_bytes(arena, rest.len + 2);
    size_t len = 0;
    shape[len++] = is_prefix ? 'P' : 'E';
    rest = rest.len > 0 ? gw_str_n(rest.ptr + 1, rest.len - 1) : GW_STR_NONE;
    while (rest.ptr) {
        gw_str segment = gw_str_split(&rest, '/'), name;
        bool is_tail;
        if (take_param(segment, &name, &is_tail))
            segment = is_tail ? GW_STR("{+}") : GW_STR("{}");
        shape[len++] = '/';
        if (segment.len > 0)
            memcpy(shape + len, segment.ptr, segment.len);
        len += segment.len;
    }
    return gw_str_n(shape, len);
}

/* ---- the backend ---- */

/* With escapes decoded, among them "%2F": backends may take it for a separator. */
static int check_escapes(gw_str path, const char *field, struct gw_error *err)
{
    char out[CP_PATH_MAX];
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        int byte = (unsigned char)path.ptr[i];
        if (byte == '%') {
            int high = i + 2 < path.len ? hex_value(path.ptr[i + 1]) : -1;
            int low = i + 2 < path.len ? hex_value(path.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return gw_fail_field(err, field, "\"%%\" needs two hexadecimal digits behind it");
            byte = high << 4 | low;
            i += 2;
        }
        if (is_control(byte))
            return gw_fail_field(err, field, "must not hold control characters");
        out[len++] = (char)byte;
    }
    if (has_dot_segment(gw_str_n(out, len)))
        return gw_fail_field(err, field, "must not hold \".\" or \"..\" as a segment");
    return 0;
}

static bool can_insert(const struct cp_inserts *inserts, gw_str name)
{
    for (size_t i = 0; i < inserts->count; i++)
        if (gw_str_eq(gw_str_from(inserts->names[i]), name))
            return true;
    return has_param(gw_str_from(inserts->frontend_path), name);
}

/* The template's parameters. */
static int check_inserts(gw_str rest, const struct cp_inserts *inserts, const char *field,
                         struct gw_error *err)
{
    for (unsigned params = 0;; params++) {
        ptrdiff_t open = gw_str_find(rest, '{'), close = gw_str_find(rest, '}');
        if (open < 0 && close < 0)
            return 0;
        if (open < 0 || close < open)
            return gw_fail_field(err, field, "has a brace without its other half");
        if (params == CP_PATH_PARAMS_MAX)
            return gw_fail_field(err, field, "must have at most %d parameters", CP_PATH_PARAMS_MAX);
        gw_str name = gw_str_n(rest.ptr + open + 1, (size_t)(close - open) - 1);
        if (name.len > 0 && name.ptr[name.len - 1] == '+')
            name.len--;
        if (!can_insert(inserts, name)) {
            (void)gw_fail_field(err, field,
                                "{%.*s} is no parameter of frontend.path, and no backend parameter",
                                (int)GW_MIN(name.len, (size_t)64), name.ptr);
            return err->apig[0] ? -1 : gw_error_apig(err, "APIG.2027");
        }
        rest = gw_str_n(rest.ptr + close + 1, rest.len - (size_t)close - 1);
    }
}

void cp_path_check_backend(const char *path, const struct cp_inserts *inserts, const char *field,
                           struct gw_error *err)
{
    gw_str text = gw_str_from(path);
    if (check_start(path, "?", field, err) == 0 && cp_check_references(path, field, err) == 0 &&
        check_escapes(text, field, err) == 0)
        (void)check_inserts(text, inserts, field, err); /* the violation is in err */
}

/* ---- gRPC ---- */

/* As protoc takes it. */
static bool is_identifier(gw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_letter(c) && c != '_' && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return text.len > 0;
}

static bool is_service(gw_str name)
{
    while (name.ptr)
        if (!is_identifier(gw_str_split(&name, '.')))
            return false;
    return true;
}

int cp_path_grpc_names(const char *path)
{
    if (path[0] != '/')
        return -1;
    gw_str rest = gw_str_from(path + 1);
    if (rest.len == 0)
        return 0;
    if (!is_service(gw_str_split(&rest, '/')))
        return -1;
    if (!rest.ptr)
        return 1;
    return is_identifier(rest) ? 2 : -1;
}
