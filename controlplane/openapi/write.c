/* SPDX-License-Identifier: Apache-2.0 */
/* APIs to a document that cp_openapi_read makes the same APIs of. */
#include "controlplane/openapi/writer.h"

#include "common/json_text.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_path.h"
#include "controlplane/model/names.h"
#include "controlplane/openapi/text.h"
#include "controlplane/yaml/yaml.h"

#include <stdlib.h>

void cp_openapi_put(json_t *object, const char *member, const char *text)
{
    if (*text)
        json_object_set_new(object, member, json_string(text));
}

/* ---- who may call ---- */

static void put_scheme(struct cp_openapi_writer *writer, const char *name, const char *type,
                       bool with_code)
{
    json_t *scheme = json_pack("{s:s, s:s, s:s, s:s}", "type", "apiKey", "in", "header", "name",
                               "Authorization", "x-apigateway-auth-type", type);
    if (with_code)
        json_object_set_new(scheme, "x-apigateway-auth-opt",
                            json_pack("{s:s}", "appcode-auth-type", "header"));
    json_object_set_new(writer->schemes, name, scheme);
}

static json_t *security_of(struct cp_openapi_writer *writer, const cp_authentication *auth)
{
    bool with_code = auth && auth->app_code;
    const char *name = with_code ? "apig-auth-app-header" : "apig-auth-app";
    const char *type = "AppSigv1";
    if (!auth || auth->type == CP_ENUM(AUTH_TYPE, NONE))
        return json_array(); /* nobody has to say who they are */
    if (auth->type != CP_ENUM(AUTH_TYPE, APP)) {
        name = "apig-auth-iam";
        type = "IAM";
    }
    put_scheme(writer, name, type, with_code);
    return json_pack("[{s:[]}]", name);
}

/* ---- what OpenAPI and the catalogue have no words for ---- */

static const char *protocol_word(Penstock__Admin__V1__Protocol protocol)
{
    return protocol == CP_ENUM(PROTOCOL, HTTP)   ? "HTTP"
           : protocol == CP_ENUM(PROTOCOL, BOTH) ? "BOTH"
                                                 : "";
}

static void put_labels(json_t *own, const cp_api *api)
{
    json_t *labels = json_object();
    for (size_t i = 0; i < api->n_labels; i++)
        json_object_set_new(labels, api->labels[i]->key, json_string(api->labels[i]->value));
    if (api->n_labels > 0)
        json_object_set(own, "labels", labels);
    json_decref(labels);
}

static json_t *own_of(struct cp_openapi_writer *writer, const cp_api *api, const char *operation_id,
                      const char *document_path)
{
    json_t *own = json_object();
    const char *id = cp_name_last(api->name);
    if (strcmp(cp_openapi_id(writer->arena, operation_id), id) != 0)
        cp_openapi_put(own, "id", id);
    if (strcmp(api->display_name, operation_id) != 0 && strcmp(api->display_name, id) != 0)
        cp_openapi_put(own, "displayName", api->display_name);
    if (strcmp(api->frontend->path, document_path) != 0)
        cp_openapi_put(own, "path", api->frontend->path);
    if (!writer->source->is_v2)
        cp_openapi_put(own, "protocol", protocol_word(api->frontend->protocol));
    put_labels(own, api);
    cp_openapi_put(own, "version", api->version);
    if (api->authentication && api->authentication->app_code_over_http)
        json_object_set_new(own, "appCodeOverHttp", json_true());
    return own;
}

/* ---- an operation ---- */

static json_t *schemes_of(const cp_frontend *frontend)
{
    bool http = frontend->protocol != CP_ENUM(PROTOCOL, HTTPS);
    bool https = frontend->protocol != CP_ENUM(PROTOCOL, HTTP);
    json_t *schemes = json_array();
    if (http)
        json_array_append_new(schemes, json_string("http"));
    if (https)
        json_array_append_new(schemes, json_string("https"));
    return schemes;
}

static void put_tags(json_t *operation, const cp_api *api)
{
    json_t *tags = json_array();
    for (size_t i = 0; i < api->n_tags; i++)
        json_array_append_new(tags, json_string(api->tags[i]));
    if (api->n_tags > 0)
        json_object_set(operation, "tags", tags);
    json_decref(tags);
}

/* Once in a document: the display name, else the id, which is the group's only one. */
static const char *operation_id(struct cp_openapi_writer *writer, const cp_api *api)
{
    const char *id = api->display_name;
    if (!*id || json_object_get(writer->ids, id))
        id = cp_name_last(api->name);
    json_object_set_new(writer->ids, id, json_true());
    return id;
}

static json_t *operation_of(struct cp_openapi_writer *writer, const cp_api *api,
                            const char *document_path)
{
    const char *id = operation_id(writer, api);
    bool is_prefix = api->frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    json_t *operation = json_object();
    json_t *own = own_of(writer, api, id, document_path);
    cp_openapi_put(operation, "operationId", id);
    cp_openapi_put(operation, "description", api->description);
    put_tags(operation, api);
    if (writer->source->is_v2)
        json_object_set_new(operation, "schemes", schemes_of(api->frontend));
    json_t *parameters = cp_openapi_write_parameters(writer, api, document_path);
    if (json_array_size(parameters) > 0)
        json_object_set(operation, "parameters", parameters);
    json_decref(parameters);
    json_object_set_new(operation, "responses",
                        json_pack("{s:{s:s}}", "default", "description", "what the backend says"));
    json_object_set_new(operation, "security", security_of(writer, api->authentication));
    cp_openapi_put(operation, "x-apigateway-request-type", "public");
    cp_openapi_put(operation, "x-apigateway-match-mode", is_prefix ? "SWA" : "NORMAL");
    json_object_set_new(operation, "x-apigateway-cors", json_boolean(api->cors));
    if (!writer->source->is_basic)
        json_object_set_new(operation, "x-apigateway-backend",
                            cp_openapi_write_backend(writer, api, own));
    if (json_object_size(own) > 0)
        json_object_set(operation, CP_OPENAPI_OWN, own);
    json_decref(own);
    return operation;
}

/* ---- where it stands ---- */

static const char *const methods[] = {
    [CP_ENUM(HTTP_METHOD, GET)] = "get",
    [CP_ENUM(HTTP_METHOD, POST)] = "post",
    [CP_ENUM(HTTP_METHOD, PUT)] = "put",
    [CP_ENUM(HTTP_METHOD, DELETE)] = "delete",
    [CP_ENUM(HTTP_METHOD, HEAD)] = "head",
    [CP_ENUM(HTTP_METHOD, PATCH)] = "patch",
    [CP_ENUM(HTTP_METHOD, OPTIONS)] = "options",
    [CP_ENUM(HTTP_METHOD, ANY)] = "x-apigateway-any-method",
};

static const struct gw_error *why(struct cp_openapi_writer *writer, enum gw_code code,
                                  const char *apig, const char *message)
{
    struct gw_error *err = GW_ARENA_NEW(writer->arena, struct gw_error);
    (void)gw_fail(err, code, "%s", message);
    (void)gw_error_apig(err, apig);
    return err;
}

/* Paths that differ in the names of their parameters alone are one in a document. */
static const char *document_path_of(struct cp_openapi_writer *writer, const cp_frontend *frontend)
{
    gw_str shape = cp_path_shape(writer->arena, frontend->path, false);
    const char *shape_text = gw_arena_dup(writer->arena, shape).ptr;
    const char *path = json_string_value(json_object_get(writer->shapes, shape_text));
    if (path)
        return path;
    json_object_set_new(writer->shapes, shape_text, json_string(frontend->path));
    return frontend->path;
}

static const struct gw_error *add_api(struct cp_openapi_writer *writer, size_t index)
{
    const cp_api *api = writer->source->apis[index];
    const cp_frontend *frontend = api->frontend;
    if (!frontend || cp_protocol_is_grpc(frontend->protocol))
        return why(writer, GW_UNIMPLEMENTED, "", "OpenAPI has no words for gRPC");
    const char *path = document_path_of(writer, frontend);
    const char *method = methods[frontend->method];
    json_t *item = json_object_get(writer->paths, path);
    if (!item) {
        item = json_object();
        json_object_set_new(writer->paths, path, item);
    }
    if (json_object_get(item, method))
        return why(writer, GW_ALREADY_EXISTS, "APIG.3301",
                   "the document has this method and path already");
    json_t *operation = operation_of(writer, api, path);
    if (writer->source->policies)
        cp_openapi_write_policies(writer, operation, writer->source->policies[index]);
    json_object_set_new(item, method, operation);
    return NULL;
}

/* ---- the document ---- */

static json_t *info_of(const struct cp_openapi_source *source)
{
    json_t *info = json_object();
    cp_openapi_put(info, "title", source->title);
    cp_openapi_put(info, "description", source->description);
    cp_openapi_put(info, "version", source->version);
    return info;
}

/* Takes the part; an empty one is left out. */
static void put_part(json_t *root, const char *member, json_t *part)
{
    if (json_object_size(part) > 0)
        json_object_set(root, member, part);
    json_decref(part);
}

/* Takes the parts. */
static json_t *document_of(struct cp_openapi_writer *writer)
{
    const struct cp_openapi_source *source = writer->source;
    json_t *root = json_object();
    cp_openapi_put(root, source->is_v2 ? "swagger" : "openapi", source->is_v2 ? "2.0" : "3.0.3");
    json_object_set_new(root, "info", info_of(source));
    if (source->host && source->is_v2)
        cp_openapi_put(root, "host", source->host);
    else if (source->host)
        json_object_set_new(
            root, "servers",
            json_pack("[{s:s}]", "url",
                      gw_arena_printf(writer->arena, "https://%s", source->host).ptr));
    json_object_set_new(root, "paths", writer->paths);
    if (json_object_size(writer->schemes) == 0)
        json_decref(writer->schemes);
    else if (source->is_v2)
        json_object_set_new(root, "securityDefinitions", writer->schemes);
    else
        json_object_set_new(root, "components",
                            json_pack("{s:o}", "securitySchemes", writer->schemes));
    put_part(root, "x-apigateway-ratelimits", writer->ratelimits);
    put_part(root, "x-apigateway-access-controls", writer->access_controls);
    return root;
}

gw_str cp_openapi_write(struct gw_arena *arena, const struct cp_openapi_source *source,
                        const struct gw_error ***ret_skipped)
{
    struct cp_openapi_writer writer = {.arena = arena,
                                       .source = source,
                                       .paths = json_object(),
                                       .schemes = json_object(),
                                       .ratelimits = json_object(),
                                       .access_controls = json_object(),
                                       .ids = json_object(),
                                       .shapes = json_object()};
    *ret_skipped = GW_ARENA_ARRAY(arena, const struct gw_error *, source->count + 1);
    for (size_t i = 0; i < source->count; i++)
        (*ret_skipped)[i] = add_api(&writer, i);
    json_decref(writer.ids);
    json_decref(writer.shapes);
    json_t *root = document_of(&writer);
    gw_str text = source->is_yaml ? cp_yaml_write(root, arena) : cp_openapi_json(root, arena);
    json_decref(root);
    return text;
}
