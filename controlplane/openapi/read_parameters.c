/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of an operation to request parameters. What cannot be one is left out with a note:
 * callers may go on sending it, and the backend gets it as it comes. */
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_parameters.h"
#include "controlplane/openapi/reader.h"

#include <float.h>

/* As the document lists it: its own name, and the one it gets. */
struct listed {
    const json_t *node;
    const char *in;
    char *name;
};

struct list {
    struct listed items[CP_OPENAPI_LISTED_MAX];
    size_t count;
    size_t seen; /* with those that others have replaced since */
};

/* ---- which ones */

static void put(struct list *list, struct listed item)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].in, item.in) == 0 &&
            strcmp(list->items[i].name, item.name) == 0) {
            list->items[i] = item;
            return;
        }
    list->items[list->count++] = item;
}

/* Long names are refused before anything is copied of them: many can lead to one. */
static int read_name(const struct cp_openapi_reader *reader, const json_t *node, size_t index,
                     struct listed *ret, struct gw_error *err)
{
    const json_t *in = json_object_get(node, "in"), *name = json_object_get(node, "name");
    if (json_string_length(in) > CP_OPENAPI_IN_MAX)
        return gw_fail_field(err, "parameters", "[%zu]: \"in\" is longer than %d bytes", index,
                             CP_OPENAPI_IN_MAX);
    if (json_string_length(name) > CP_OPENAPI_NAME_MAX)
        return gw_fail_field(err, "parameters", "[%zu]: a name of more than %d bytes", index,
                             CP_OPENAPI_NAME_MAX);
    *ret = (struct listed){node, json_string_value(in), cp_openapi_text(reader, node, "name")};
    if (!ret->in || !*ret->name)
        return gw_fail_field(err, "parameters", "[%zu] has no name, or no \"in\"", index);
    return 0;
}

static int gather(struct cp_openapi_reader *reader, const json_t *from, struct list *list,
                  struct gw_error *err)
{
    const json_t *all = json_object_get(from, "parameters"), *item, *node;
    size_t i;
    list->seen += json_array_size(all);
    if (list->seen > CP_OPENAPI_LISTED_MAX)
        return gw_fail_field(err, "parameters", "more than %d are listed, for the path and here",
                             CP_OPENAPI_LISTED_MAX);
    json_array_foreach(all, i, item)
    {
        struct listed listed = {NULL, "", NULL};
        if (cp_openapi_follow(reader, item, &node, err) < 0 ||
            read_name(reader, node, i, &listed, err) < 0)
            return -1;
        put(list, listed);
    }
    return 0;
}

/* ---- one of them */

static Penstock__Admin__V1__ParameterType type_of(const char *type)
{
    static const char *const numbers[] = {"integer", "number", "long", "float", "double"};
    for (size_t i = 0; i < GW_ARRAY_LEN(numbers); i++)
        if (strcmp(type, numbers[i]) == 0)
            return CP_ENUM(PARAMETER_TYPE, NUMBER);
    if (!*type || strcmp(type, "string") == 0 || strcmp(type, "boolean") == 0)
        return CP_ENUM(PARAMETER_TYPE, STRING);
    return CP_ENUM(PARAMETER_TYPE, UNSPECIFIED);
}

static void read_values(const struct cp_openapi_reader *reader, const json_t *values,
                        cp_request_parameter *p)
{
    size_t i, count = GW_MIN(json_array_size(values), (size_t)CP_PARAMETER_ENUMERATIONS_MAX + 1);
    if (!cp_openapi_spend(reader, count * count / 64)) /* each is compared to the others */
        return;
    p->enumerations = GW_ARENA_ARRAY(reader->arena, char *, count + 1);
    for (i = 0; i < count; i++) {
        char *text =
            cp_openapi_scalar_head(reader, json_array_get(values, i), CP_PARAMETER_VALUE_MAX);
        if (text)
            p->enumerations[p->n_enumerations++] = text;
    }
}

static void read_bounds(const struct cp_openapi_schema *schema, cp_request_parameter *p)
{
    if (p->type == CP_ENUM(PARAMETER_TYPE, STRING)) {
        p->min_length = (int32_t)schema->min_length;
        p->max_length = (int32_t)schema->max_length;
    } else if (schema->has_min || schema->has_max) {
        p->min_number = schema->has_min ? schema->min : -DBL_MAX;
        p->max_number = schema->has_max ? schema->max : DBL_MAX;
        if (p->min_number == -DBL_MAX && p->max_number == DBL_MAX) /* all numbers */
            p->min_number = p->max_number = 0;
    }
}

/* On when there is something to check, unless our own word says otherwise. */
static bool is_validated(const json_t *node, const cp_request_parameter *p)
{
    const json_t *said = json_object_get(json_object_get(node, CP_OPENAPI_OWN), "validate");
    if (json_is_boolean(said))
        return json_is_true(said);
    return p->n_enumerations > 0 || p->min_number != 0 || p->max_number != 0 ||
           p->min_length != 0 || p->max_length != 0;
}

static bool violates(const struct gw_error *err, const char *member)
{
    const char *at = strrchr(err->violations[0].field, '.');
    return at && strncmp(at + 1, member, strlen(member)) == 0;
}

/* False: the parameter cannot be defined at all. */
static bool drop_what_is_wrong(struct cp_openapi_reader *reader, cp_request_parameter *p,
                               const struct gw_error *why)
{
    if (violates(why, "default_value"))
        p->default_value[0] = '\0';
    else if (violates(why, "enumerations"))
        p->n_enumerations = 0;
    else if (violates(why, "min_") || violates(why, "max_")) {
        p->min_number = p->max_number = 0;
        p->min_length = p->max_length = 0;
    } else
        return false;
    const char *member = strrchr(why->violations[0].field, '.') + 1;
    cp_openapi_note(reader, "parameter \"%.64s\": %s left out: %s", p->name, member,
                    why->violations[0].rule);
    return true;
}

/* By itself it breaks no rule, or it is not there. */
static bool make_good(struct cp_openapi_reader *reader, cp_request_parameter *p)
{
    cp_api probe = CP_INIT(API);
    probe.frontend = reader->api->frontend;
    probe.request_parameters = &p;
    probe.n_request_parameters = 1;
    for (;;) {
        struct gw_error why = GW_ERROR_NONE;
        cp_check_parameters(&probe, &why);
        if (why.violation_count == 0)
            return true;
        if (drop_what_is_wrong(reader, p, &why))
            continue;
        cp_openapi_note(reader, "parameter \"%.64s\" left out: %s", p->name,
                        why.violations[0].rule);
        return false;
    }
}

/* Those that the gateway itself reads: a document that declares one means something else by it. */
static int refuse_own(const struct listed *listed, struct gw_error *err)
{
    gw_str name = gw_str_from(listed->name);
    bool is_token =
        strcmp(listed->in, "header") == 0 && gw_str_eq_nocase(name, GW_STR("x-auth-token"));
    if (!is_token && !cp_is_reserved_parameter(name))
        return 0;
    return gw_fail_field(err, "parameters",
                         "\"%.64s\": X-Auth-Token, x-apig-*, x-sdk-* and x-stage are the gateway's "
                         "own",
                         listed->name);
}

static int read_one(struct cp_openapi_reader *reader, const struct listed *listed,
                    Penstock__Admin__V1__ParameterLocation location, struct gw_error *err)
{
    struct cp_openapi_schema schema;
    const json_t *node = json_object_get(listed->node, "schema");
    if (refuse_own(listed, err) < 0 ||
        cp_openapi_read_schema(reader, node ? node : listed->node, &schema, err) < 0)
        return -1;
    cp_request_parameter *p = GW_ARENA_NEW(reader->arena, cp_request_parameter);
    *p = (cp_request_parameter)CP_INIT(REQUEST_PARAMETER);
    p->name = listed->name;
    p->location = location;
    p->type = type_of(schema.type);
    if (p->type == CP_ENUM(PARAMETER_TYPE, UNSPECIFIED) ||
        json_object_get(listed->node, "content")) {
        cp_openapi_note(reader, "parameter \"%.64s\" left out: only numbers, strings and booleans",
                        p->name);
        return 0;
    }
    p->required = json_is_true(json_object_get(listed->node, "required"));
    const char *pass = cp_openapi_head(reader, listed->node, "x-apigateway-pass-through", 16);
    p->pass_through = strcmp(pass, "always") == 0 || strcmp(pass, "true") == 0;
    p->description = cp_openapi_cut(
        reader, cp_openapi_head(reader, listed->node, "description", CP_API_DESCRIPTION_MAX),
        CP_API_DESCRIPTION_MAX,
        gw_arena_printf(reader->arena, "description of \"%.64s\"", p->name).ptr);
    char *fallback = cp_openapi_scalar_head(reader, schema.fallback, CP_PARAMETER_VALUE_MAX);
    if (fallback)
        p->default_value = fallback;
    read_values(reader, schema.values, p);
    read_bounds(&schema, p);
    p->validate = is_validated(listed->node, p);
    if (schema.unchecked)
        cp_openapi_note(reader, "parameter \"%.64s\": %s is not checked", p->name,
                        schema.unchecked);
    if (make_good(reader, p))
        reader->api->request_parameters[reader->api->n_request_parameters++] = p;
    return 0;
}

/* The next "x" or "x+" in braces. */
static bool take_name(gw_str *path, gw_str *ret_name)
{
    ptrdiff_t open = gw_str_find(*path, '{'), close = gw_str_find(*path, '}');
    if (open < 0 || close < open)
        return false;
    *ret_name = gw_str_n(path->ptr + open + 1, (size_t)(close - open) - 1);
    *path = gw_str_n(path->ptr + close + 1, path->len - (size_t)close - 1);
    return true;
}

/* "{rest+}" is declared as "rest+"; and the API's path may have another name at the same place. */
static char *name_in_path(const struct cp_openapi_reader *reader, char *name)
{
    gw_str shown = gw_str_from(reader->operation->path), shown_name;
    gw_str path = gw_str_from(cp_openapi_own_path(reader)), path_name;
    while (take_name(&shown, &shown_name) && take_name(&path, &path_name)) {
        if (!gw_str_eq(shown_name, gw_str_from(name)))
            continue;
        if (gw_str_has_suffix(path_name, GW_STR("+")))
            path_name.len--;
        return (char *)(uintptr_t)gw_arena_dup(reader->arena, path_name).ptr;
    }
    return name;
}

static bool is_undeclared(const json_t *node)
{
    return json_is_true(json_object_get(json_object_get(node, CP_OPENAPI_OWN), "undeclared"));
}

static int read_listed(struct cp_openapi_reader *reader, struct listed *listed,
                       struct gw_error *err)
{
    static const struct {
        const char *in;
        Penstock__Admin__V1__ParameterLocation location;
    } places[] = {{"path", CP_ENUM(PARAMETER_LOCATION, PATH)},
                  {"query", CP_ENUM(PARAMETER_LOCATION, QUERY)},
                  {"header", CP_ENUM(PARAMETER_LOCATION, HEADER)}};
    for (size_t i = 0; i < GW_ARRAY_LEN(places); i++) {
        if (strcmp(listed->in, places[i].in) != 0)
            continue;
        if (reader->options->skip_parameters || is_undeclared(listed->node))
            return 0;
        if (i == 0)
            listed->name = name_in_path(reader, listed->name);
        return read_one(reader, listed, places[i].location, err);
    }
    cp_openapi_note(reader, "%.16s \"%.64s\": passes unchecked", listed->in, listed->name);
    return 0;
}

int cp_openapi_read_parameters(struct cp_openapi_reader *reader, struct gw_error *err)
{
    struct list list = {.count = 0, .seen = 0};
    if (gather(reader, reader->item, &list, err) < 0 ||
        gather(reader, reader->node, &list, err) < 0)
        return -1;
    reader->api->request_parameters =
        GW_ARENA_ARRAY(reader->arena, cp_request_parameter *, list.count + 1);
    for (size_t i = 0; i < list.count; i++)
        if (read_listed(reader, &list.items[i], err) < 0)
            return -1;
    if (json_object_get(reader->node, "requestBody"))
        cp_openapi_note(reader, "requestBody: passes unchecked");
    return 0;
}
