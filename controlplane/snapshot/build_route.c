/* SPDX-License-Identifier: Apache-2.0 */
#include "common/message.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/snapshot/build.h"

#include <stdlib.h>

/* What a route is made of. */
struct parts {
    const struct cp_state *state;
    struct gw_arena *arena;
    gw_str name;
    gw_str api;         /* "groups/g/apis/a" */
    gw_str environment; /* "RELEASE" */
    const cp_release *release;
    int64_t revision;  /* of the publication */
    const cp_api *def; /* the frozen definition */
};

/* "HTTP_METHOD_GET" -> "GET"; none: "". */
static char *method_text(struct gw_arena *arena, Penstock__Admin__V1__HttpMethod method)
{
    static const char *const names[] = {"",     "GET",   "POST",    "PUT", "DELETE",
                                        "HEAD", "PATCH", "OPTIONS", "ANY"};
    unsigned index = (unsigned)method;
    return gw_arena_strdup(arena, index < GW_ARRAY_LEN(names) ? names[index] : "");
}

/* 1 with release and definition, 0 when nothing is published, -1. */
static int read_release(struct parts *parts, struct gw_error *err)
{
    gw_str key = gw_arena_printf(parts->arena, "%.*s/publications/%.*s", GW_STR_ARG(parts->api),
                                 GW_STR_ARG(parts->environment));
    const struct cp_resource *resource = cp_state_get(parts->state, key);
    ProtobufCMessage *message;
    int found = cp_build_read(parts->state, key, parts->arena, &message, err);
    if (found <= 0)
        return found;
    const cp_publication *publication = (cp_publication *)(void *)message;
    if (!publication->release[0])
        return 0; /* taken offline; the publication stays for the numbers */
    parts->revision = resource->mod_revision;
    gw_str release = gw_str_from(publication->release);
    found = cp_build_read(parts->state, release, parts->arena, &message, err);
    if (found < 0)
        return -1;
    if (found == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the effective release %s does not exist",
                       publication->release);
    parts->release = (cp_release *)(void *)message;
    gw_str frozen =
        gw_str_n((const char *)parts->release->definition.data, parts->release->definition.len);
    struct gw_error why = GW_ERROR_NONE;
    if (gw_message_unpack(parts->arena, CP_TYPE(api), frozen, &message, &why))
        return gw_fail(err, GW_INTERNAL, "the release's definition cannot be read: %s",
                       why.message);
    parts->def = (cp_api *)(void *)message;
    return 1;
}

static int build_frontend(const struct parts *parts, cp_agent_route *route, struct gw_error *err)
{
    const cp_frontend *frontend = parts->def->frontend;
    if (!frontend)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the release has no frontend");
    route->grpc = cp_protocol_is_grpc(frontend->protocol);
    route->http = frontend->protocol == CP_ENUM(PROTOCOL, HTTP) ||
                  frontend->protocol == CP_ENUM(PROTOCOL, BOTH) ||
                  frontend->protocol == CP_ENUM(PROTOCOL, GRPC) ||
                  frontend->protocol == CP_ENUM(PROTOCOL, GRPC_BOTH);
    route->https = frontend->protocol != CP_ENUM(PROTOCOL, HTTP) &&
                   frontend->protocol != CP_ENUM(PROTOCOL, GRPC);
    route->method = method_text(parts->arena, frontend->method);
    if (!route->method[0])
        return gw_fail(err, GW_FAILED_PRECONDITION, "the release has no method");
    route->path = frontend->path;
    route->prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    return 0;
}

static int build_auth(const struct parts *parts, cp_agent_route *route, struct gw_error *err)
{
    route->auth = CP_AGENT_NEW(parts->arena, cp_agent_auth, auth);
    const cp_authentication *stored = parts->def->authentication;
    if (!stored || stored->type == CP_ENUM(AUTH_TYPE, UNSPECIFIED) ||
        stored->type == CP_ENUM(AUTH_TYPE, NONE))
        return 0;
    /* A route must never be more open than its definition: what agents cannot check is refused. */
    if (stored->type != CP_ENUM(AUTH_TYPE, APP))
        return gw_fail(err, GW_UNIMPLEMENTED, "agents do not check this type of authentication");
    route->auth->app = true;
    route->auth->app_code = stored->app_code;
    route->auth->app_code_over_http = stored->app_code && stored->app_code_over_http;
    return 0;
}

/* "host", "host:port", "[::1]:port"; the brackets go. */
static int split_address(const struct parts *parts, const char *address, bool tls,
                         cp_agent_http_backend *http, struct gw_error *err)
{
    gw_str rest = gw_str_from(address), host, port = GW_STR_NONE;
    if (address[0] == '[') {
        rest = gw_str_n(rest.ptr + 1, rest.len - 1);
        host = gw_str_split(&rest, ']');
        if (rest.len > 0 && rest.ptr[0] == ':')
            port = gw_str_n(rest.ptr + 1, rest.len - 1);
    } else {
        host = gw_str_split(&rest, ':');
        port = rest;
    }
    uint64_t number = tls ? 443 : 80;
    if (port.len > 0 && gw_str_to_u64(port, 65535, &number))
        number = 0;
    if (host.len == 0 || number == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the backend's address %s is not host:port",
                       address);
    http->host = cp_build_text(parts->arena, host);
    http->port = (uint32_t)number;
    return 0;
}

static uint32_t timeout_ms(const cp_duration *timeout, uint32_t fallback_ms)
{
    if (!timeout)
        return fallback_ms;
    int64_t ms = timeout->seconds * 1000 + timeout->nanos / 1000000;
    return (uint32_t)GW_MAX(1, GW_MIN(ms, 600000));
}

static int must_exist(const struct parts *parts, const char *name, struct gw_error *err)
{
    if (!*name || cp_state_get(parts->state, gw_str_from(name)))
        return 0;
    return gw_fail(err, GW_FAILED_PRECONDITION, "%s does not exist", name);
}

/* Where it is: through its channel, or at the address. */
static int build_target(const struct parts *parts, const char *address, cp_agent_http_backend *http,
                        struct gw_error *err)
{
    if (must_exist(parts, http->channel, err) || must_exist(parts, http->certificate, err))
        return -1;
    if (*http->channel)
        return 0;
    if (!http->host_header[0])
        http->host_header = gw_arena_strdup(parts->arena, address);
    return split_address(parts, address, http->tls, http, err);
}

static cp_agent_http_backend *new_http(const struct parts *parts, cp_agent_backend *backend)
{
    backend->kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP;
    backend->http = CP_AGENT_NEW(parts->arena, cp_agent_http_backend, http_backend);
    return backend->http;
}

static int build_http(const struct parts *parts, const cp_http_backend *stored,
                      cp_agent_backend *backend, struct gw_error *err)
{
    cp_agent_http_backend *http = new_http(parts, backend);
    http->channel = stored->channel;
    http->tls = stored->scheme == CP_ENUM(BACKEND_SCHEME, HTTPS);
    http->http2 = stored->protocol == CP_ENUM(BACKEND_PROTOCOL, HTTP2);
    http->certificate = stored->certificate;
    http->host_header = stored->host_header;
    http->method = method_text(parts->arena, stored->method);
    http->path = stored->path;
    http->timeout_ms = timeout_ms(stored->timeout, CP_BACKEND_TIMEOUT_DEFAULT_MS);
    http->retry_count = stored->retry_count;
    return build_target(parts, stored->address, http, err);
}

/* Method and path are the caller's. */
static int build_grpc(const struct parts *parts, const cp_grpc_backend *stored,
                      cp_agent_backend *backend, struct gw_error *err)
{
    cp_agent_http_backend *http = new_http(parts, backend);
    http->channel = stored->channel;
    http->tls = stored->scheme == CP_ENUM(BACKEND_SCHEME, HTTPS);
    http->http2 = true;
    http->certificate = stored->certificate;
    http->host_header = stored->host_header;
    http->timeout_ms = timeout_ms(stored->timeout, CP_GRPC_TIMEOUT_DEFAULT_MS);
    return build_target(parts, stored->address, http, err);
}

static cp_agent_header *mock_header(const struct parts *parts, char *name, char *value)
{
    cp_agent_header *header = CP_AGENT_NEW(parts->arena, cp_agent_header, header);
    header->name = name;
    header->value = value;
    return header;
}

static void build_mock(const struct parts *parts, const cp_mock_backend *stored,
                       cp_agent_backend *backend)
{
    cp_agent_mock_backend *mock = CP_AGENT_NEW(parts->arena, cp_agent_mock_backend, mock_backend);
    backend->kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK;
    backend->mock = mock;
    mock->status = stored->status ? (uint32_t)stored->status : 200;
    mock->body = stored->body;
    mock->headers = GW_ARENA_ARRAY(parts->arena, cp_agent_header *, stored->n_headers + 1);
    bool has_type = false;
    for (size_t i = 0; i < stored->n_headers; i++) {
        const cp_http_header *header = stored->headers[i];
        has_type |= gw_str_eq_nocase(gw_str_from(header->name), GW_STR("content-type"));
        mock->headers[mock->n_headers++] = mock_header(parts, header->name, header->value);
    }
    if (!has_type)
        mock->headers[mock->n_headers++] =
            mock_header(parts, gw_arena_strdup(parts->arena, "Content-Type"),
                        gw_arena_strdup(parts->arena, "application/json"));
}

static int build_backend(const struct parts *parts, cp_agent_route *route, struct gw_error *err)
{
    const cp_backend *stored = parts->def->backend;
    if (!stored)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the release has no backend");
    route->backend = CP_AGENT_NEW(parts->arena, cp_agent_backend, backend);
    switch (stored->kind_case) {
    case CP_ONEOF(BACKEND, HTTP):
        return build_http(parts, stored->http, route->backend, err);
    case CP_ONEOF(BACKEND, GRPC):
        return build_grpc(parts, stored->grpc, route->backend, err);
    case CP_ONEOF(BACKEND, MOCK):
        build_mock(parts, stored->mock, route->backend);
        return 0;
    default:
        return gw_fail(err, GW_UNIMPLEMENTED, "agents do not serve this kind of backend");
    }
}

/* A route goes out with all of its policies or not at all: never with fewer checks than asked for.
 */
static int build_policies(const struct parts *parts, cp_agent_route *route, struct gw_error *err)
{
    struct cp_members bindings =
        cp_state_members(parts->state, parts->arena, parts->name, CP_KIND_BINDING);
    route->policies = GW_ARENA_ARRAY(parts->arena, char *, bindings.count + 1);
    uint64_t kinds = 0;
    for (size_t i = 0; i < bindings.count; i++) {
        char *policy = cp_build_text(parts->arena, cp_name_parent(bindings.items[i]->name));
        ProtobufCMessage *message;
        int found = cp_build_read(parts->state, gw_str_from(policy), parts->arena, &message, err);
        if (found < 0)
            return -1;
        if (found == 0)
            return gw_fail(err, GW_FAILED_PRECONDITION, "the bound %s does not exist", policy);
        uint64_t bit = UINT64_C(1) << ((unsigned)((cp_policy *)(void *)message)->kind_case & 63);
        if (kinds & bit)
            return gw_fail(err, GW_FAILED_PRECONDITION, "%s is the second bound policy of its kind",
                           policy);
        kinds |= bit;
        route->policies[route->n_policies++] = policy;
    }
    return 0;
}

static void build_names(const struct parts *parts, cp_agent_route *route)
{
    struct gw_arena *arena = parts->arena;
    route->name = cp_build_text(arena, parts->name);
    route->group = cp_build_text(arena, cp_name_parent(parts->api));
    route->environment = cp_build_text(arena, parts->environment);
    route->api = cp_build_text(arena, parts->api);
    route->api_name = parts->def->display_name;
    if (!route->api_name[0])
        route->api_name = gw_arena_strdup(arena, cp_name_last(route->api));
    route->release_number = parts->release->number;
    route->release_revision = parts->revision;
}

int cp_build_route(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                   cp_agent_route **ret_route, struct gw_error *err)
{
    struct parts parts = {.state = state, .arena = arena, .name = name};
    parts.environment = name;
    parts.api = gw_str_split(&parts.environment, '@');
    int found = read_release(&parts, err);
    if (found <= 0)
        return found;
    cp_agent_route *route = CP_AGENT_NEW(arena, cp_agent_route, route);
    build_names(&parts, route);
    if (build_frontend(&parts, route, err) || build_auth(&parts, route, err) ||
        build_backend(&parts, route, err) || build_policies(&parts, route, err))
        return -1;
    *ret_route = route;
    return 1;
}
