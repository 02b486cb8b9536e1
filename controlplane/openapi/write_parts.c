/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and backends to a document. */
#include "common/json_text.h"
#include "controlplane/model/check_parameters.h"
#include "controlplane/model/check_path.h"
#include "controlplane/openapi/writer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXACT_INTEGER 9007199254740992.0 /* 2^53: from here on doubles leave some out */

/* ---- numbers ---- */

static json_t *number(double value)
{
    bool is_integer = value == floor(value) && fabs(value) < EXACT_INTEGER;
    return is_integer ? json_integer((json_int_t)value) : json_real(value);
}

/* A number where it reads back as the same text. */
static json_t *value_of(const char *text, bool is_number)
{
    char again[40];
    if (!is_number)
        return json_string(text);
    double value = strtod(text, NULL);
    json_t *made = number(value);
    if (json_is_integer(made))
        (void)snprintf(again, sizeof again, "%lld", (long long)json_integer_value(made));
    else
        (void)snprintf(again, sizeof again, "%.15g", value);
    if (strcmp(again, text) == 0)
        return made;
    json_decref(made);
    return json_string(text);
}

/* ---- parameters ---- */

static void put_schema(json_t *schema, const cp_request_parameter *p)
{
    bool is_number = p->type == CP_ENUM(PARAMETER_TYPE, NUMBER);
    cp_openapi_put(schema, "type", is_number ? "number" : "string");
    bool has_bounds = p->min_number != 0 || p->max_number != 0;
    if (has_bounds && p->min_number > -DBL_MAX)
        json_object_set_new(schema, "minimum", number(p->min_number));
    if (has_bounds && p->max_number < DBL_MAX)
        json_object_set_new(schema, "maximum", number(p->max_number));
    if (p->min_length > 0)
        json_object_set_new(schema, "minLength", json_integer(p->min_length));
    if (p->max_length > 0)
        json_object_set_new(schema, "maxLength", json_integer(p->max_length));
    if (*p->default_value)
        json_object_set_new(schema, "default", value_of(p->default_value, is_number));
    if (p->n_enumerations == 0)
        return;
    json_t *values = json_array();
    for (size_t i = 0; i < p->n_enumerations; i++)
        json_array_append_new(values, value_of(p->enumerations[i], is_number));
    json_object_set_new(schema, "enum", values);
}

static bool has_checks(const cp_request_parameter *p)
{
    return p->n_enumerations > 0 || p->min_number != 0 || p->max_number != 0 ||
           p->min_length != 0 || p->max_length != 0;
}

static json_t *new_parameter(const struct cp_openapi_writer *writer, const char *name,
                             const char *in, bool required, json_t **ret_schema)
{
    json_t *out = json_pack("{s:s, s:s, s:b}", "name", name, "in", in, "required", required);
    *ret_schema = out;
    if (writer->source->is_v2)
        return out;
    *ret_schema = json_object();
    json_object_set_new(out, "schema", *ret_schema);
    return out;
}

static json_t *parameter_of(const struct cp_openapi_writer *writer, const cp_request_parameter *p,
                            const char *name)
{
    static const char *const places[] = {"", "path", "query", "header"};
    json_t *schema, *out = new_parameter(writer, name, places[p->location], p->required, &schema);
    cp_openapi_put(out, "description", p->description);
    put_schema(schema, p);
    if (p->pass_through)
        cp_openapi_put(out, "x-apigateway-pass-through", "always");
    if (p->validate != has_checks(p))
        json_object_set_new(out, CP_OPENAPI_OWN, json_pack("{s:b}", "validate", p->validate));
    return out;
}

/* The next "{x}" or "{x+}" of a checked path. */
static bool take_name(gw_str *path, gw_str *ret_name)
{
    ptrdiff_t open = gw_str_find(*path, '{'), close = gw_str_find(*path, '}');
    if (open < 0)
        return false;
    *ret_name = gw_str_n(path->ptr + open + 1, (size_t)(close - open) - 1);
    *path = gw_str_n(path->ptr + close + 1, path->len - (size_t)close - 1);
    return true;
}

static const cp_request_parameter *find_path_parameter(const cp_api *api, gw_str name)
{
    if (gw_str_has_suffix(name, GW_STR("+")))
        name.len--;
    for (size_t i = 0; i < api->n_request_parameters; i++) {
        const cp_request_parameter *p = api->request_parameters[i];
        if (p->location == CP_ENUM(PARAMETER_LOCATION, PATH) &&
            gw_str_eq(gw_str_from(p->name), name))
            return p;
    }
    return NULL;
}

/* Each part of the path stands in the list, as validators want it; those that the API does not
 * declare say so. */
json_t *cp_openapi_write_parameters(struct cp_openapi_writer *writer, const cp_api *api,
                                    const char *document_path)
{
    json_t *list = json_array(), *schema;
    gw_str path = gw_str_from(api->frontend->path), shown = gw_str_from(document_path);
    gw_str name, shown_name;
    while (take_name(&path, &name) && take_name(&shown, &shown_name)) {
        const cp_request_parameter *p = find_path_parameter(api, name);
        const char *text = gw_arena_dup(writer->arena, shown_name).ptr;
        if (p) {
            json_array_append_new(list, parameter_of(writer, p, text));
            continue;
        }
        json_t *out = new_parameter(writer, text, "path", true, &schema);
        cp_openapi_put(schema, "type", "string");
        json_object_set_new(out, CP_OPENAPI_OWN, json_pack("{s:b}", "undeclared", 1));
        json_array_append_new(list, out);
    }
    for (size_t i = 0; i < api->n_request_parameters; i++) {
        const cp_request_parameter *p = api->request_parameters[i];
        if (p->location != CP_ENUM(PARAMETER_LOCATION, PATH))
            json_array_append_new(list, parameter_of(writer, p, p->name));
    }
    return list;
}

/* ---- backends ---- */

static const char *method_word(Penstock__Admin__V1__HttpMethod method)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &penstock__admin__v1__http_method__descriptor, (int)method);
    return value && method != CP_ENUM(HTTP_METHOD, UNSPECIFIED)
               ? value->name + strlen("HTTP_METHOD_")
               : "ANY";
}

static json_t *endpoint_of(const cp_http_backend *http, json_t *own)
{
    bool is_https = http->scheme == CP_ENUM(BACKEND_SCHEME, HTTPS);
    char retries[16];
    json_t *out = json_object();
    (void)snprintf(retries, sizeof retries, "%d", http->retry_count);
    cp_openapi_put(out, "address", http->address);
    if (*http->channel)
        cp_openapi_put(out, "name", http->channel + strlen("channels/"));
    cp_openapi_put(out, "scheme", is_https ? "https" : "http");
    cp_openapi_put(out, "method", method_word(http->method));
    cp_openapi_put(out, "path", http->path);
    if (http->timeout)
        json_object_set_new(
            out, "timeout",
            json_integer(http->timeout->seconds * 1000 + http->timeout->nanos / 1000000));
    cp_openapi_put(out, "retryCount", retries);
    json_object_set_new(out, "enableClientSsl", json_boolean(*http->certificate != '\0'));
    cp_openapi_put(own, "hostHeader", http->host_header);
    cp_openapi_put(own, "certificate", http->certificate);
    if (http->protocol == CP_ENUM(BACKEND_PROTOCOL, HTTP2))
        cp_openapi_put(own, "backendProtocol", "HTTP2");
    return out;
}

static json_t *mock_of(struct cp_openapi_writer *writer, const cp_mock_backend *mock, json_t *own)
{
    gw_str body = gw_str_n((const char *)mock->body.data, mock->body.len);
    json_t *out = json_object();
    if (gw_str_is_utf8(body)) {
        json_object_set_new(out, "result-content",
                            json_stringn(body.ptr ? body.ptr : "", body.len));
    } else {
        char *text = gw_arena_bytes(writer->arena, GW_BASE64_LEN(body.len));
        gw_json_base64(body, text);
        json_object_set_new(own, "mockBody", json_stringn(text, GW_BASE64_LEN(body.len)));
    }
    if (mock->status != 200)
        json_object_set_new(own, "mockStatus", json_integer(mock->status));
    json_t *headers = json_array();
    for (size_t i = 0; i < mock->n_headers; i++)
        json_array_append_new(headers, json_pack("{s:s, s:s}", "name", mock->headers[i]->name,
                                                 "value", mock->headers[i]->value));
    if (mock->n_headers > 0)
        json_object_set(own, "mockHeaders", headers);
    json_decref(headers);
    return out;
}

static void put_parameters(json_t *backend, const cp_api *api)
{
    static const char *const places[] = {"", "path", "query", "header"};
    static const char *const origins[] = {"", "REQUEST", "CONSTANT", "SYSTEM"};
    json_t *list = json_array();
    for (size_t i = 0; i < api->n_backend_parameters; i++) {
        const cp_backend_parameter *p = api->backend_parameters[i];
        json_t *out = json_object();
        cp_openapi_put(out, "name", p->name);
        cp_openapi_put(out, "in", places[p->location]);
        cp_openapi_put(out, "origin", origins[p->origin]);
        cp_openapi_put(out, "value", p->value);
        cp_openapi_put(out, "description", p->description);
        json_array_append_new(list, out);
    }
    if (api->n_backend_parameters > 0)
        json_object_set(backend, "parameters", list);
    json_decref(list);
}

json_t *cp_openapi_write_backend(struct cp_openapi_writer *writer, const cp_api *api, json_t *own)
{
    json_t *backend = json_object();
    const cp_backend *from = api->backend;
    if (from && from->kind_case == CP_ONEOF(BACKEND, HTTP)) {
        bool has_channel = *from->http->channel != '\0';
        cp_openapi_put(backend, "type", has_channel ? "HTTP-VPC" : "HTTP");
        put_parameters(backend, api);
        json_object_set_new(backend, has_channel ? "httpVpcEndpoints" : "httpEndpoints",
                            endpoint_of(from->http, own));
    } else if (from && from->kind_case == CP_ONEOF(BACKEND, MOCK)) {
        cp_openapi_put(backend, "type", "MOCK");
        json_object_set_new(backend, "mockEndpoints", mock_of(writer, from->mock, own));
    }
    return backend;
}
