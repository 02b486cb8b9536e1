/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_openapi.h"

#include "common/json_text.h"
#include "common/map.h"
#include "common/message.h"
#include "controlplane/http/json_openapi_schema.h"
#include "controlplane/http/json_request.h"

#include <stdlib.h>

struct describing {
    struct gw_arena arena;
    const struct gw_comments *comments;
    struct cp_json_schemas schemas;
    json_t *paths, *tags;
    struct gw_map services; /* those that have a tag */
};

static void set(json_t *object, const char *name, json_t *value)
{
    int rc = json_object_set_new(object, name, value);
    assert(rc == 0); /* our own texts are UTF-8 */
    (void)rc;
}

static json_t *text(gw_str value)
{
    json_t *made = json_stringn(value.ptr ? value.ptr : "", value.len);
    assert(made);
    return made;
}

/* ---- parameters ---- */

/* Each "{group}" of the path. */
static void add_path_parameters(json_t *list, gw_str path)
{
    for (;;) {
        (void)gw_str_split(&path, '{');
        if (!path.ptr)
            return;
        gw_str name = gw_str_split(&path, '}');
        (void)json_array_append_new(list,
                                    json_pack("{s:o, s:s, s:b, s:{s:s}}", "name", text(name), "in",
                                              "path", "required", 1, "schema", "type", "string"));
    }
}

static void add_query_parameter(struct describing *at, json_t *list,
                                const ProtobufCMessageDescriptor *request,
                                const ProtobufCFieldDescriptor *field)
{
    gw_str name = gw_str_from(field->name);
    char *camel = gw_arena_bytes(&at->arena, name.len + 1);
    gw_str comment = gw_comment_of(
        at->comments, gw_arena_printf(&at->arena, "%s.%s", request->name, field->name));
    json_t *parameter =
        json_pack("{s:o, s:s, s:o}", "name", text(gw_str_n(camel, gw_json_camel(name, camel))),
                  "in", "query", "schema", cp_json_schema_of_field(&at->schemas, field));
    if (comment.len)
        set(parameter, "description", text(comment));
    (void)json_array_append_new(list, parameter);
}

static void add_query_parameters(struct describing *at, json_t *list,
                                 const struct cp_json_route *route)
{
    const ProtobufCMessageDescriptor *request = route->method->request;
    for (unsigned i = 0; i < request->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->fields[i];
        if (field != route->subject && field != route->body && cp_json_is_parameter(field))
            add_query_parameter(at, list, request, field);
    }
}

/* ---- operations ---- */

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

static json_t *responses(struct describing *at, const struct cp_json_route *route)
{
    json_t *schema = cp_json_schema_of(&at->schemas, route->method->reply);
    json_t *good = json_pack(
        "{s:s, s:o}", "description",
        route->is_stream ? "Server-sent events; the data of each is one of these." : "Done.",
        "content", content(route->is_stream ? "text/event-stream" : "application/json", schema));
    return json_pack("{s:o, s:{s:s}}", "200", good, "default", "$ref",
                     "#/components/responses/Error");
}

static json_t *operation(struct describing *at, const struct cp_json_route *route,
                         gw_str service_name)
{
    gw_str full = gw_arena_printf(&at->arena, "%.*s.%.*s", GW_STR_ARG(route->service),
                                  GW_STR_ARG(route->name));
    gw_str comment = gw_comment_of(at->comments, full);
    json_t *made =
        json_pack("{s:o, s:[o]}", "operationId", text(route->name), "tags", text(service_name));
    json_t *parameters = json_array();
    add_path_parameters(parameters, route->path);
    if (!route->is_body_request)
        add_query_parameters(at, parameters, route);
    if (comment.len)
        set(made, "description", text(comment));
    set(made, "parameters", parameters);
    const ProtobufCMessageDescriptor *body = route->is_body_request ? route->method->request
                                             : route->body          ? route->body->descriptor
                                                                    : NULL;
    if (body)
        set(made, "requestBody",
            json_pack("{s:o}", "content",
                      content("application/json", cp_json_schema_of(&at->schemas, body))));
    set(made, "responses", responses(at, route));
    return made;
}

static void add_tag(struct describing *at, const struct cp_json_route *route, gw_str name)
{
    if (gw_map_put(&at->services, name, at))
        return;
    json_t *tag = json_pack("{s:o}", "name", text(name));
    gw_str comment = gw_comment_of(at->comments, route->service);
    if (comment.len)
        set(tag, "description", text(comment));
    (void)json_array_append_new(at->tags, tag);
}

static void add_route(struct describing *at, const struct cp_json_route *route)
{
    static const char *const verbs[] = {"get", "post", "patch", "delete"};
    const char *dot = memrchr(route->service.ptr, '.', route->service.len);
    gw_str name = gw_str_n(dot + 1, (size_t)(route->service.ptr + route->service.len - dot - 1));
    gw_str path = gw_arena_printf(&at->arena, CP_JSON_PREFIX "%.*s%s%.*s", GW_STR_ARG(route->path),
                                  route->custom.len ? ":" : "", GW_STR_ARG(route->custom));
    json_t *item = json_object_get(at->paths, path.ptr);
    if (!item) {
        item = json_object();
        set(at->paths, path.ptr, item);
    }
    add_tag(at, route, name);
    set(item, verbs[route->verb], operation(at, route, name));
}

/* ---- the document ---- */

static json_t *error_schema(void)
{
    return json_pack(
        "{s:s, s:[s], s:{s:{s:s, s:[s,s,s], s:{s:{s:s, s:s}, s:{s:s}, s:{s:s, s:s}, s:{s:s, s:s, "
        "s:{s:s, s:b}}}}}}",
        "type", "object", "required", "error", "properties", "error", "type", "object", "required",
        "code", "message", "status", "properties", "code", "type", "integer", "description",
        "The HTTP status.", "message", "type", "string", "status", "type", "string", "description",
        "The name of the google.rpc.Code.", "details", "type", "array", "description",
        "google.rpc.ErrorInfo, and google.rpc.BadRequest with the violated fields; @type says "
        "which.",
        "items", "type", "object", "additionalProperties", 1);
}

static json_t *components(struct describing *at)
{
    json_t *schemas = cp_json_schemas_take(&at->schemas);
    set(schemas, "Error", error_schema());
    json_t *error = json_pack("{s:s, s:{s:{s:{s:s}}}}", "description",
                              "google.rpc.Status as AIP-193 has it over HTTP.", "content",
                              "application/json", "schema", "$ref", "#/components/schemas/Error");
    return json_pack("{s:o, s:{s:o}, s:{s:{s:s, s:s, s:s}}}", "schemas", schemas, "responses",
                     "Error", error, "securitySchemes", "bearer", "type", "http", "scheme",
                     "bearer", "description",
                     "A token of the credentials file; or a client certificate, and "
                     "no header.");
}

static json_t *document(struct describing *at)
{
    json_t *info = json_pack(
        "{s:s, s:s, s:s, s:{s:s}}", "title", "Penstock management API", "version", PENSTOCK_VERSION,
        "description",
        "The same as penstock.admin.v1 by gRPC. Names of fields are lowerCamelCase, 64-bit "
        "integers "
        "are strings, unknown fields are refused. A method whose body is its request takes query "
        "parameters instead, too.",
        "license", "name", "Apache-2.0");
    json_t *root = json_pack("{s:s, s:o, s:[{s:s}], s:[{s:[]}, {}]}", "openapi", "3.0.3", "info",
                             info, "servers", "url", "/", "security", "bearer");
    set(root, "tags", at->tags);
    set(root, "paths", at->paths);
    set(root, "components", components(at));
    return root;
}

void cp_json_openapi_write(struct gw_buf *out, const struct cp_json_routes *routes,
                           const struct gw_comments *comments,
                           bool (*works)(const struct gw_rpc_method *method))
{
    struct describing at = {.comments = comments, .paths = json_object(), .tags = json_array()};
    gw_arena_init(&at.arena, 0);
    gw_map_init(&at.services);
    cp_json_schemas_init(&at.schemas, &at.arena, comments);
    size_t count;
    const struct cp_json_route *list = cp_json_routes_list(routes, &count);
    for (size_t i = 0; i < count; i++)
        if (!works || works(list[i].method))
            add_route(&at, &list[i]);
    json_t *root = document(&at);
    char *json = json_dumps(root, JSON_COMPACT);
    int rc = gw_buf_append(out, gw_str_from(json));
    rc |= gw_buf_append(out, GW_STR("\n"));
    assert(rc == 0);
    (void)rc;
    free(json);
    json_decref(root);
    gw_map_done(&at.services);
    gw_arena_done(&at.arena);
}
