/* SPDX-License-Identifier: Apache-2.0 */
/* Where an operation's requests go: x-apigateway-backend, or what was given for all, or the
 * document's own server. */
#include "common/json_text.h"
#include "common/message.h"
#include "controlplane/model/check.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/openapi/reader.h"

#include <stdlib.h>

#define BACKEND "x-apigateway-backend"
#define NO_BACKEND "{\"error_msg\":\"no backend was given for this API\"}"

static cp_backend *new_backend(struct cp_openapi_reader *reader)
{
    cp_backend *backend = GW_ARENA_NEW(reader->arena, cp_backend);
    *backend = (cp_backend)CP_INIT(BACKEND);
    return reader->api->backend = backend;
}

static cp_http_backend *new_http(struct cp_openapi_reader *reader)
{
    cp_backend *backend = new_backend(reader);
    backend->kind_case = CP_ONEOF(BACKEND, HTTP);
    backend->http = GW_ARENA_NEW(reader->arena, cp_http_backend);
    *backend->http = (cp_http_backend)CP_INIT(HTTP_BACKEND);
    return backend->http;
}

static cp_mock_backend *new_mock(struct cp_openapi_reader *reader)
{
    cp_backend *backend = new_backend(reader);
    backend->kind_case = CP_ONEOF(BACKEND, MOCK);
    backend->mock = GW_ARENA_NEW(reader->arena, cp_mock_backend);
    *backend->mock = (cp_mock_backend)CP_INIT(MOCK_BACKEND);
    return backend->mock;
}

/* ---- values */

/* A number, also written as text. */
static int read_number(const struct cp_openapi_reader *reader, const json_t *node,
                       const char *member, long *ret, struct gw_error *err)
{
    const char *text = cp_openapi_text(reader, node, member);
    char *end;
    *ret = strtol(text, &end, 10);
    if (*end == '\0' && *ret >= INT32_MIN && *ret <= INT32_MAX)
        return 0;
    return gw_fail_field(err, BACKEND, "%s: \"%.32s\" is not a whole number", member, text);
}

static int read_method(const struct cp_openapi_reader *reader, const json_t *node,
                       cp_http_backend *http, struct gw_error *err)
{
    gw_str text = gw_str_from(cp_openapi_text(reader, node, "method"));
    if (text.len == 0 || gw_str_eq_nocase(text, GW_STR("any")))
        return 0; /* the caller's */
    gw_str name = gw_arena_printf(reader->arena, "HTTP_METHOD_%.16s", text.ptr);
    for (char *c = (char *)(uintptr_t)name.ptr; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 0x20 : *c);
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
        &penstock__admin__v1__http_method__descriptor, name.ptr);
    if (!value)
        return gw_fail_field(err, BACKEND, "method: \"%.16s\" is not known", text.ptr);
    http->method = (Penstock__Admin__V1__HttpMethod)value->value;
    return 0;
}

static int read_scheme(const struct cp_openapi_reader *reader, const json_t *node,
                       cp_http_backend *http, struct gw_error *err)
{
    gw_str text = gw_str_from(cp_openapi_text(reader, node, "scheme"));
    if (gw_str_eq_nocase(text, GW_STR("https")))
        http->scheme = CP_ENUM(BACKEND_SCHEME, HTTPS);
    else if (text.len == 0 || gw_str_eq_nocase(text, GW_STR("http")))
        http->scheme = CP_ENUM(BACKEND_SCHEME, HTTP);
    else
        return gw_fail_field(err, BACKEND, "scheme: \"%.16s\" is not http or https", text.ptr);
    return 0;
}

static int read_timeout(const struct cp_openapi_reader *reader, const json_t *node,
                        cp_http_backend *http, struct gw_error *err)
{
    long ms;
    if (read_number(reader, node, "timeout", &ms, err) < 0)
        return -1;
    if (ms == 0)
        return 0;
    http->timeout = GW_ARENA_NEW(reader->arena, cp_duration);
    google__protobuf__duration__init(http->timeout);
    http->timeout->seconds = ms / 1000;
    http->timeout->nanos = (int32_t)(ms % 1000 * 1000000);
    return 0;
}

/* ---- kinds */

/* What both kinds of HTTP share, and our own words. */
static int read_endpoint(struct cp_openapi_reader *reader, const json_t *node,
                         cp_http_backend *http, struct gw_error *err)
{
    long retries;
    if (!json_is_object(node))
        return gw_fail_field(err, BACKEND, "has no endpoints");
    if (read_scheme(reader, node, http, err) < 0 || read_method(reader, node, http, err) < 0 ||
        read_timeout(reader, node, http, err) < 0 ||
        read_number(reader, node, "retryCount", &retries, err) < 0)
        return -1;
    http->path = cp_openapi_text(reader, node, "path");
    http->retry_count = (int32_t)retries;
    http->host_header = cp_openapi_text(reader, reader->own, "hostHeader");
    http->certificate = cp_openapi_text(reader, reader->own, "certificate");
    if (strcmp(cp_openapi_text(reader, reader->own, "backendProtocol"), "HTTP2") == 0)
        http->protocol = CP_ENUM(BACKEND_PROTOCOL, HTTP2);
    if (json_is_true(json_object_get(node, "enableClientSsl")) && !*http->certificate)
        cp_openapi_note(reader, "enableClientSsl: no certificate is shown to the backend, the "
                                "document names none");
    return 0;
}

static int read_http(struct cp_openapi_reader *reader, const json_t *node, struct gw_error *err)
{
    const json_t *endpoint = json_object_get(node, "httpEndpoints");
    cp_http_backend *http = new_http(reader);
    http->address = cp_openapi_text(reader, endpoint, "address");
    return read_endpoint(reader, endpoint, http, err);
}

static int read_channel(struct cp_openapi_reader *reader, const json_t *node, struct gw_error *err)
{
    const json_t *endpoint = json_object_get(node, "httpVpcEndpoints");
    const char *name = cp_openapi_text(reader, endpoint, "name");
    cp_http_backend *http = new_http(reader);
    http->channel = (char *)(uintptr_t)gw_arena_printf(reader->arena, "channels/%s", name).ptr;
    return read_endpoint(reader, endpoint, http, err);
}

static int read_mock_headers(const struct cp_openapi_reader *reader, cp_mock_backend *mock,
                             struct gw_error *err)
{
    const json_t *list = json_object_get(reader->own, "mockHeaders"), *item;
    size_t i;
    if (json_array_size(list) > CP_MOCK_HEADERS_MAX)
        return gw_fail_field(err, CP_OPENAPI_OWN, "mockHeaders: at most %d", CP_MOCK_HEADERS_MAX);
    mock->headers = GW_ARENA_ARRAY(reader->arena, cp_http_header *, CP_MOCK_HEADERS_MAX);
    json_array_foreach(list, i, item)
    {
        cp_http_header *header = GW_ARENA_NEW(reader->arena, cp_http_header);
        *header = (cp_http_header)CP_INIT(HTTP_HEADER);
        header->name = cp_openapi_text(reader, item, "name");
        header->value = cp_openapi_text(reader, item, "value");
        mock->headers[mock->n_headers++] = header;
    }
    return 0;
}

static int read_mock(struct cp_openapi_reader *reader, const json_t *node, struct gw_error *err)
{
    long status;
    const json_t *endpoint = json_object_get(node, "mockEndpoints");
    gw_str content = gw_str_from(cp_openapi_text(reader, endpoint, "result-content"));
    gw_str bytes = gw_str_from(cp_openapi_text(reader, reader->own, "mockBody"));
    cp_mock_backend *mock = new_mock(reader);
    if (read_number(reader, reader->own, "mockStatus", &status, err) < 0 ||
        read_mock_headers(reader, mock, err) < 0)
        return -1;
    mock->status = (int32_t)status;
    mock->body = (ProtobufCBinaryData){content.len, (uint8_t *)(uintptr_t)content.ptr};
    if (bytes.len == 0)
        return 0;
    mock->body.data = gw_arena_alloc(reader->arena, bytes.len / 4 * 3 + 2);
    if (gw_json_unbase64(bytes, (char *)mock->body.data, &mock->body.len) < 0)
        return gw_fail_field(err, CP_OPENAPI_OWN, "mockBody: not base64");
    return 0;
}

static int read_function(struct cp_openapi_reader *reader, const json_t *node, struct gw_error *err)
{
    (void)node;
    (void)new_backend(reader);
    cp_refuse_for_now(err, BACKEND ": FUNCTION");
    return -1;
}

/* ---- parameters */

static int find_word(const char *text, const char *const *words, int count)
{
    for (int i = 0; i < count; i++)
        if (gw_str_eq_nocase(gw_str_from(text), gw_str_from(words[i])))
            return i + 1;
    return 0;
}

static void read_parameter(struct cp_openapi_reader *reader, const json_t *node)
{
    static const char *const locations[] = {"path", "query", "header"};
    static const char *const origins[] = {"REQUEST", "CONSTANT", "SYSTEM"};
    cp_backend_parameter *p = GW_ARENA_NEW(reader->arena, cp_backend_parameter);
    *p = (cp_backend_parameter)CP_INIT(BACKEND_PARAMETER);
    p->name = cp_openapi_text(reader, node, "name");
    p->value = cp_openapi_text(reader, node, "value");
    p->location = (Penstock__Admin__V1__ParameterLocation)find_word(
        cp_openapi_text(reader, node, "in"), locations, 3);
    p->origin = (Penstock__Admin__V1__ParameterOrigin)find_word(
        cp_openapi_text(reader, node, "origin"), origins, 3);
    p->description =
        cp_openapi_cut(reader, cp_openapi_head(reader, node, "description", CP_API_DESCRIPTION_MAX),
                       CP_API_DESCRIPTION_MAX, "description of a backend parameter");
    reader->api->backend_parameters[reader->api->n_backend_parameters++] = p;
}

static void read_parameters(struct cp_openapi_reader *reader, const json_t *node)
{
    const json_t *list = json_object_get(node, "parameters"), *item;
    size_t i;
    if (reader->options->skip_parameters || json_array_size(list) == 0)
        return;
    if (reader->api->backend->kind_case == CP_ONEOF(BACKEND, MOCK)) {
        cp_openapi_note(reader, BACKEND ": parameters left out: a mock gets none");
        return;
    }
    reader->api->backend_parameters =
        GW_ARENA_ARRAY(reader->arena, cp_backend_parameter *, json_array_size(list));
    json_array_foreach(list, i, item)
    {
        if (!cp_openapi_spend(reader, 1))
            break;
        read_parameter(reader, item);
    }
}

static int read_extension(struct cp_openapi_reader *reader, const json_t *node,
                          struct gw_error *err)
{
    static const struct {
        const char *type;
        int (*read)(struct cp_openapi_reader *, const json_t *, struct gw_error *);
    } kinds[] = {{"HTTP", read_http},
                 {"HTTP-VPC", read_channel},
                 {"MOCK", read_mock},
                 {"FUNCTION", read_function}};
    gw_str type = gw_str_from(cp_openapi_text(reader, node, "type"));
    reader->operation->says_backend = true;
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++) {
        if (!gw_str_eq_nocase(type, gw_str_from(kinds[i].type)))
            continue;
        if (kinds[i].read(reader, node, err) < 0)
            return -1;
        read_parameters(reader, node);
        return 0;
    }
    return gw_fail_field(err, BACKEND, "type: \"%.32s\" is not HTTP, HTTP-VPC, MOCK or FUNCTION",
                         type.ptr);
}

/* ---- what stands in for it */

/* The operation's path behind another one; where nothing changes none is said. */
static char *path_behind(const struct cp_openapi_reader *reader, gw_str prefix)
{
    while (gw_str_has_suffix(prefix, GW_STR("/")))
        prefix.len--;
    gw_str path =
        gw_arena_printf(reader->arena, "%.*s%s", GW_STR_ARG(prefix), cp_openapi_own_path(reader));
    bool is_same = gw_str_eq(path, gw_str_from(reader->api->frontend->path));
    return gw_arena_strdup(reader->arena, is_same ? "" : path.ptr);
}

static void use_given(struct cp_openapi_reader *reader)
{
    const cp_backend *given = reader->options->backend;
    cp_backend *backend = (cp_backend *)gw_message_copy(reader->arena, &given->base);
    reader->api->backend = backend;
    reader->operation->says_backend = true;
    if (backend->kind_case == CP_ONEOF(BACKEND, HTTP) && *backend->http->path)
        backend->http->path = path_behind(reader, gw_str_from(backend->http->path));
}

static void use_server(struct cp_openapi_reader *reader, const struct cp_openapi_server *server)
{
    cp_http_backend *http = new_http(reader);
    http->address = (char *)(uintptr_t)gw_arena_dup(reader->arena, server->address).ptr;
    http->scheme =
        server->is_https ? CP_ENUM(BACKEND_SCHEME, HTTPS) : CP_ENUM(BACKEND_SCHEME, HTTP);
    http->path = path_behind(reader, server->path);
}

static void use_none(struct cp_openapi_reader *reader)
{
    static const char body[] = NO_BACKEND;
    cp_mock_backend *mock = new_mock(reader);
    mock->status = 501;
    mock->body = (ProtobufCBinaryData){sizeof body - 1, (uint8_t *)(uintptr_t)body};
    reader->operation->has_no_backend = true;
}

int cp_openapi_read_backend(struct cp_openapi_reader *reader, struct gw_error *err)
{
    struct cp_openapi_server server;
    const json_t *node = json_object_get(reader->node, BACKEND);
    const json_t *rules = json_object_get(reader->node, "x-apigateway-backend-policies");
    if (json_array_size(rules) > 0) {
        cp_refuse_for_now(err, "x-apigateway-backend-policies");
        return -1;
    }
    if (json_is_object(node) && !reader->options->replace_backends)
        return read_extension(reader, node, err);
    if (reader->options->backend)
        use_given(reader);
    else if (cp_openapi_find_server(reader, &server))
        use_server(reader, &server);
    else
        use_none(reader);
    return 0;
}
