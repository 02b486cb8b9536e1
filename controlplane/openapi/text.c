/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/openapi/text.h"

#include "controlplane/yaml/yaml.h"

#include <stdlib.h>

#define FIELD "document"

/* Before anything is built of it: a byte of JSON can become a hundred of a tree. Texts that are not
 * JSON are counted somehow and refused by the parser. */
static int check_json_size(gw_str text, struct gw_error *err)
{
    size_t values = 1;
    unsigned depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (in_text)
            continue;
        else if (c == '[' || c == '{') {
            values++;
            if (++depth > CP_OPENAPI_DEPTH_MAX)
                return gw_fail_field(err, FIELD, "more than %d levels", CP_OPENAPI_DEPTH_MAX);
        } else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        else if (c == ',')
            values++;
    }
    if (values > CP_OPENAPI_VALUES_MAX)
        return gw_fail_field(err, FIELD, "more than %d values", CP_OPENAPI_VALUES_MAX);
    return 0;
}

static int parse_yaml(gw_str text, json_t **ret_root, struct gw_error *err)
{
    static const struct cp_yaml_limits limits = {
        .depth = CP_OPENAPI_DEPTH_MAX, .values = CP_OPENAPI_VALUES_MAX, .aliases = true};
    struct gw_error why = GW_ERROR_NONE;
    json_t *second = NULL;
    size_t line;
    struct cp_yaml *yaml = cp_yaml_open(text, &limits);
    int found = cp_yaml_next(yaml, ret_root, &line, &why), more = 0;
    if (found > 0)
        more = cp_yaml_next(yaml, &second, &line, &why);
    cp_yaml_close(yaml);
    json_decref(second);
    if (found > 0 && more == 0)
        return 0;
    if (found > 0)
        json_decref(*ret_root);
    if (found == 0)
        return gw_fail_field(err, FIELD, "is empty");
    if (more > 0)
        return gw_fail_field(err, FIELD, "line %zu: a second document", line);
    return gw_fail_field(err, FIELD, "not YAML: %s", why.message);
}

/* What begins with a brace may be YAML, too: {openapi: 3.0.0}. */
static int parse_json(gw_str text, json_t **ret_root, struct gw_error *err)
{
    struct gw_error not_yaml = GW_ERROR_NONE;
    json_error_t why;
    if (check_json_size(text, err) < 0)
        return -1;
    *ret_root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (!*ret_root && json_error_code(&why) == json_error_numeric_overflow) /* 2^64, as a bound */
        *ret_root =
            json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
    if (*ret_root)
        return 0;
    bool may_be_yaml = json_error_code(&why) == json_error_invalid_syntax;
    if (may_be_yaml && parse_yaml(text, ret_root, &not_yaml) == 0)
        return 0;
    return gw_fail_field(err, FIELD, "not JSON: line %d, column %d: %.150s%s%.200s", why.line,
                         why.column, why.text, may_be_yaml ? "; " : "",
                         may_be_yaml ? not_yaml.violations[0].rule : "");
}

int cp_openapi_parse(gw_str text, json_t **ret_root, struct gw_error *err)
{
    if (text.len == 0)
        return gw_fail_field(err, FIELD, "required");
    if (text.len > CP_OPENAPI_BYTES_MAX)
        return gw_fail_field(err, FIELD, "must be at most %d bytes", CP_OPENAPI_BYTES_MAX);
    if (!gw_str_is_utf8(text))
        return gw_fail_field(err, FIELD, "must be UTF-8 without zero bytes");
    if (gw_str_has_prefix(text, GW_STR("\xef\xbb\xbf"))) /* a byte order mark */
        text = gw_str_n(text.ptr + 3, text.len - 3);
    size_t space = 0;
    while (space < text.len && strchr(" \t\r\n", text.ptr[space]))
        space++;
    bool is_json = space < text.len && text.ptr[space] == '{';
    json_t *root;
    if ((is_json ? parse_json : parse_yaml)(text, &root, err) < 0)
        return -1;
    if (!json_is_object(root)) {
        json_decref(root);
        return gw_fail_field(err, FIELD,
                             "must be an object: \"openapi\" or \"swagger\", \"paths\"");
    }
    *ret_root = root;
    return 0;
}

gw_str cp_openapi_json(const json_t *root, struct gw_arena *arena)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    if (!text)
        gw_panic("a document does not become JSON");
    gw_str copy = gw_arena_printf(arena, "%s\n", text);
    free(text);
    return copy;
}
