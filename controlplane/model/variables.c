/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/variables.h"

#include "controlplane/model/check.h"
#include "controlplane/model/names.h"

#define DISPLAY_NAME_MAX 255
#define DESCRIPTION_MAX 255

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool cp_variable_name_is(gw_str name)
{
    if (name.len < CP_VARIABLE_NAME_MIN || name.len > CP_VARIABLE_NAME_MAX ||
        !is_letter(name.ptr[0]))
        return false;
    for (size_t i = 1; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* ---- variables */

static bool is_value(const char *value)
{
    size_t len = strlen(value);
    for (size_t i = 0; i < len; i++)
        if (!is_letter(value[i]) && !is_digit(value[i]) && !strchr("_-/.:", value[i]))
            return false;
    return len > 0 && len <= CP_VARIABLE_VALUE_MAX;
}

/* A name is not there yet when a request makes none: then what it says must be good by itself. */
static void check_place(const cp_variable *variable, struct gw_error *err)
{
    gw_str environment, own;
    const char *said = variable->environment;
    gw_str id = gw_str_from(cp_name_last(variable->name));
    if (!*variable->name || !cp_variable_id_parse(id, &environment, &own)) {
        if (*said && !cp_name_is(CP_KIND_ENVIRONMENT, said))
            (void)gw_fail_field(err, "environment", "must be \"environments/{environment}\"");
        if (*variable->variable && !cp_variable_name_is(gw_str_from(variable->variable)))
            (void)gw_fail_field(err, "variable",
                                "must be %d to %d letters, digits or \"-_\", a letter first",
                                CP_VARIABLE_NAME_MIN, CP_VARIABLE_NAME_MAX);
        return;
    }
    gw_str prefix = GW_STR("environments/"), text = gw_str_from(said);
    bool is_same = gw_str_has_prefix(text, prefix) &&
                   gw_str_eq(gw_str_n(said + prefix.len, text.len - prefix.len), environment);
    if (*said && !is_same)
        (void)gw_fail_field(err, "environment",
                            "must be environments/%.*s, as the name says, and cannot be changed",
                            GW_STR_ARG(environment));
    if (*variable->variable && !gw_str_eq(gw_str_from(variable->variable), own))
        (void)gw_fail_field(err, "variable",
                            "must be \"%.*s\", as the name says, and cannot be changed",
                            GW_STR_ARG(own));
}

int cp_check_variable(const cp_variable *variable, struct gw_error *err)
{
    check_place(variable, err);
    cp_check_characters(variable->display_name, 1, DISPLAY_NAME_MAX, "display_name", err);
    cp_check_bytes(variable->description, DESCRIPTION_MAX, "description", err);
    if (!is_value(variable->value))
        (void)gw_fail_field(err, "value", "must be 1 to %d letters, digits or \"_-/.:\"",
                            CP_VARIABLE_VALUE_MAX);
    return err->violation_count > 0 ? -1 : 0;
}

void cp_fill_variable(struct gw_arena *arena, cp_variable *variable)
{
    gw_str environment, own;
    bool is_id =
        cp_variable_id_parse(gw_str_from(cp_name_last(variable->name)), &environment, &own);
    assert(is_id);
    (void)is_id;
    environment = gw_arena_printf(arena, "environments/%.*s", GW_STR_ARG(environment));
    variable->environment = (char *)(uintptr_t)environment.ptr;
    variable->variable = (char *)(uintptr_t)gw_arena_dup(arena, own).ptr;
}

char *cp_variable_resource_name(struct gw_arena *arena, gw_str group, const char *environment,
                                gw_str variable)
{
    return (char *)(uintptr_t)gw_arena_printf(arena, "%.*s/variables/%s.%.*s", GW_STR_ARG(group),
                                              cp_name_last(environment), GW_STR_ARG(variable))
        .ptr;
}

/* ---- texts that refer to them */

bool cp_reference_take(gw_str *rest, gw_str *ret_part)
{
    bool is_reference = rest->len > 0 && rest->ptr[0] == '#';
    if (is_reference)
        *rest = gw_str_n(rest->ptr + 1, rest->len - 1);
    ptrdiff_t mark = gw_str_find(*rest, '#');
    size_t len = mark < 0 ? rest->len : (size_t)mark;
    *ret_part = gw_str_n(rest->ptr, len);
    len += is_reference && mark >= 0; /* its second mark goes with it */
    *rest = len < rest->len ? gw_str_n(rest->ptr + len, rest->len - len) : GW_STR_NONE;
    return is_reference;
}

int cp_check_references(const char *text, const char *field, struct gw_error *err)
{
    unsigned marks = 0;
    gw_str rest = gw_str_from(text);
    for (const char *c = text; *c; c++)
        marks += *c == '#';
    if (marks % 2 > 0)
        return gw_fail_field(err, field,
                             "has a \"#\" without its other half: variables are \"#name#\"");
    while (rest.len > 0) {
        gw_str part;
        if (cp_reference_take(&rest, &part) && !cp_variable_name_is(part))
            return gw_fail_field(err, field,
                                 "\"#%.*s#\" is no variable: its name must be %d to %d letters, "
                                 "digits or \"-_\", a letter first",
                                 (int)GW_MIN(part.len, (size_t)64), part.ptr, CP_VARIABLE_NAME_MIN,
                                 CP_VARIABLE_NAME_MAX);
    }
    return 0;
}

char *cp_references_resolve(struct gw_arena *arena, const char *text, bool is_path,
                            cp_variable_value *value, void *arg)
{
    gw_str rest = gw_str_from(text), out = GW_STR("");
    bool is_junction = false;
    while (rest.len > 0) {
        gw_str part;
        bool is_reference = cp_reference_take(&rest, &part);
        const char *found = is_reference ? value(arg, part) : NULL;
        if (is_reference)
            part = found ? gw_str_from(found) : GW_STR("");
        is_junction |= is_reference;
        if (is_path && is_junction && gw_str_has_suffix(out, GW_STR("/")) &&
            gw_str_has_prefix(part, GW_STR("/")))
            part = gw_str_n(part.ptr + 1, part.len - 1);
        out = gw_arena_printf(arena, "%.*s%.*s", GW_STR_ARG(out), GW_STR_ARG(part));
        is_junction = is_reference;
    }
    return gw_arena_strdup(arena, out.len > 0 ? out.ptr : "");
}

unsigned cp_reference_fields(cp_backend *backend,
                             struct cp_reference_field ret_fields[CP_REFERENCE_FIELDS_MAX])
{
    if (backend && backend->kind_case == CP_ONEOF(BACKEND, HTTP)) {
        ret_fields[0] =
            (struct cp_reference_field){"backend.http.address", &backend->http->address, false};
        ret_fields[1] =
            (struct cp_reference_field){"backend.http.path", &backend->http->path, true};
        return 2;
    }
    if (backend && backend->kind_case == CP_ONEOF(BACKEND, GRPC)) {
        ret_fields[0] =
            (struct cp_reference_field){"backend.grpc.address", &backend->grpc->address, false};
        return 1;
    }
    return 0;
}
