/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_backend.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_path.h"
#include "controlplane/model/names.h"
#include "controlplane/model/variables.h"

#include <arpa/inet.h>
#include <stdio.h>

#define HOST_MAX 253
#define NANOS_PER_SECOND 1000000000

/* ---- defaults ---- */

static cp_duration *seconds(struct gw_arena *arena, int64_t count)
{
    cp_duration *duration = GW_ARENA_NEW(arena, cp_duration);
    google__protobuf__duration__init(duration);
    duration->seconds = count;
    return duration;
}

static void fill_http(struct gw_arena *arena, cp_http_backend *http)
{
    if (http->scheme == CP_ENUM(BACKEND_SCHEME, UNSPECIFIED))
        http->scheme = CP_ENUM(BACKEND_SCHEME, HTTP);
    if (http->protocol == CP_ENUM(BACKEND_PROTOCOL, UNSPECIFIED))
        http->protocol = CP_ENUM(BACKEND_PROTOCOL, HTTP1);
    if (!http->timeout)
        http->timeout = seconds(arena, CP_BACKEND_TIMEOUT_DEFAULT_MS / 1000);
}

static void fill_grpc(struct gw_arena *arena, cp_grpc_backend *grpc)
{
    if (grpc->scheme == CP_ENUM(BACKEND_SCHEME, UNSPECIFIED))
        grpc->scheme = CP_ENUM(BACKEND_SCHEME, HTTP);
    if (!grpc->timeout)
        grpc->timeout = seconds(arena, CP_GRPC_TIMEOUT_DEFAULT_MS / 1000);
}

void cp_fill_backend(struct gw_arena *arena, cp_backend *backend)
{
    if (backend->kind_case == CP_ONEOF(BACKEND, HTTP))
        fill_http(arena, backend->http);
    else if (backend->kind_case == CP_ONEOF(BACKEND, GRPC))
        fill_grpc(arena, backend->grpc);
    else if (backend->kind_case == CP_ONEOF(BACKEND, MOCK) && backend->mock->status == 0)
        backend->mock->status = 200;
}

static const char *name_or_null(const char *name)
{
    return *name ? name : NULL;
}

struct cp_backend_uses cp_backend_uses(const cp_backend *backend)
{
    struct cp_backend_uses uses = {NULL, NULL};
    if (backend && backend->kind_case == CP_ONEOF(BACKEND, HTTP)) {
        uses.channel = name_or_null(backend->http->channel);
        uses.certificate = name_or_null(backend->http->certificate);
    } else if (backend && backend->kind_case == CP_ONEOF(BACKEND, GRPC)) {
        uses.channel = name_or_null(backend->grpc->channel);
        uses.certificate = name_or_null(backend->grpc->certificate);
    }
    return uses;
}

/* ---- addresses ---- */

static bool is_v6(gw_str text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static bool is_host(gw_str host)
{
    char copy[HOST_MAX + 1];
    if (host.len == 0 || host.len > HOST_MAX)
        return false;
    memcpy(copy, host.ptr, host.len);
    copy[host.len] = '\0';
    return cp_is_host(copy);
}

static bool is_authority_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.:[]", c));
}

bool cp_is_authority(gw_str text)
{
    gw_str rest = text, host;
    bool is_bracketed = text.len > 0 && text.ptr[0] == '[';
    if (is_bracketed) {
        rest = gw_str_n(rest.ptr + 1, rest.len - 1);
        host = gw_str_split(&rest, ']');
        if (!rest.ptr || (rest.len > 0 && rest.ptr[0] != ':') || !is_v6(host))
            return false;
        rest = rest.len > 0 ? gw_str_n(rest.ptr + 1, rest.len - 1) : GW_STR_NONE;
    } else {
        host = gw_str_split(&rest, ':');
        if (!is_host(host))
            return false;
    }
    uint64_t port = 1;
    return !rest.ptr || (gw_str_to_u64(rest, UINT16_MAX, &port) == 0 && port > 0);
}

/* ---- servers: http and grpc ---- */

/* What both kinds say of where they are, under "backend.http" or "backend.grpc". */
struct server {
    const char *kind;
    const char *address, *channel, *host_header, *certificate;
    Penstock__Admin__V1__BackendScheme scheme;
    const cp_duration *timeout;
    char field[GW_ERROR_FIELD_MAX];
};

static const char *of(struct server *server, const char *member)
{
    (void)snprintf(server->field, sizeof(server->field), "backend.%s.%s", server->kind, member);
    return server->field;
}

static void check_authority(const char *text, const char *field, struct gw_error *err)
{
    if (strlen(text) > CP_BACKEND_ADDRESS_MAX || !cp_is_authority(gw_str_from(text)))
        (void)gw_fail_field(err, field,
                            "must be \"host\" or \"host:port\" of at most %d bytes, an IPv6 "
                            "address in brackets",
                            CP_BACKEND_ADDRESS_MAX);
}

/* With variables only what stands between them can be looked at: what it becomes is checked when it
 * is published. */
static void check_address(const char *text, const char *field, struct gw_error *err)
{
    gw_str rest = gw_str_from(text);
    if (!strchr(text, '#')) {
        check_authority(text, field, err);
        return;
    }
    if (rest.len > CP_BACKEND_ADDRESS_MAX) {
        (void)gw_fail_field(err, field, "must be at most %d bytes", CP_BACKEND_ADDRESS_MAX);
        return;
    }
    if (cp_check_references(text, field, err) < 0)
        return;
    while (rest.len > 0) {
        gw_str part;
        if (cp_reference_take(&rest, &part))
            continue;
        for (size_t i = 0; i < part.len; i++)
            if (!is_authority_byte(part.ptr[i])) {
                (void)gw_fail_field(
                    err, field, "must be \"host\" or \"host:port\" when the variables are put in");
                return;
            }
    }
}

static void check_target(struct server *server, struct gw_error *err)
{
    bool has_address = server->address[0] != '\0', has_channel = server->channel[0] != '\0';
    if (has_address == has_channel)
        (void)gw_fail_field(err, of(server, "address"), "exactly one of address and channel");
    if (has_channel && !cp_name_is(CP_KIND_CHANNEL, server->channel))
        (void)gw_fail_field(err, of(server, "channel"), "must be \"channels/{channel}\"");
    if (has_address)
        check_address(server->address, of(server, "address"), err);
    if (server->host_header[0])
        check_authority(server->host_header, of(server, "host_header"), err);
}

static void check_tls(struct server *server, struct gw_error *err)
{
    if ((unsigned)server->scheme > CP_ENUM(BACKEND_SCHEME, HTTPS))
        (void)gw_fail_field(err, of(server, "scheme"), "is not known");
    if (!server->certificate[0])
        return;
    if (!cp_name_is(CP_KIND_CERTIFICATE, server->certificate))
        (void)gw_fail_field(err, of(server, "certificate"),
                            "must be \"certificates/{certificate}\"");
    else if (server->scheme != CP_ENUM(BACKEND_SCHEME, HTTPS))
        (void)gw_fail_field(err, of(server, "certificate"),
                            "only with scheme BACKEND_SCHEME_HTTPS");
}

static bool is_timeout(const cp_duration *timeout)
{
    if (timeout->seconds < 0 || timeout->nanos < 0 || timeout->nanos >= NANOS_PER_SECOND)
        return false;
    if (timeout->seconds >= CP_BACKEND_TIMEOUT_MAX_MS / 1000)
        return timeout->seconds == CP_BACKEND_TIMEOUT_MAX_MS / 1000 && timeout->nanos == 0;
    return timeout->seconds > 0 || timeout->nanos >= 1000000;
}

static void check_server(struct server *server, struct gw_error *err)
{
    check_target(server, err);
    check_tls(server, err);
    if (server->timeout && !is_timeout(server->timeout))
        (void)gw_fail_field(err, of(server, "timeout"), "must be 1ms to 600s");
}

static void check_http(const cp_http_backend *http, const struct cp_inserts *inserts,
                       struct gw_error *err)
{
    struct server server = {.kind = "http",
                            .address = http->address,
                            .channel = http->channel,
                            .host_header = http->host_header,
                            .certificate = http->certificate,
                            .scheme = http->scheme,
                            .timeout = http->timeout};
    check_server(&server, err);
    if ((unsigned)http->protocol > CP_ENUM(BACKEND_PROTOCOL, HTTP2))
        (void)gw_fail_field(err, "backend.http.protocol", "is not known");
    if (http->method == CP_ENUM(HTTP_METHOD, ANY))
        (void)gw_fail_field(err, "backend.http.method",
                            "must be one method; leave it out for the caller's");
    else if ((unsigned)http->method > CP_ENUM(HTTP_METHOD, ANY))
        (void)gw_fail_field(err, "backend.http.method", "is not known");
    if (http->retry_count < -1 || http->retry_count > CP_BACKEND_RETRIES_MAX)
        (void)gw_fail_field(err, "backend.http.retry_count", "must be -1 to %d",
                            CP_BACKEND_RETRIES_MAX);
    if (http->path[0] && inserts)
        cp_path_check_backend(http->path, inserts, "backend.http.path", err);
}

static void check_grpc(const cp_grpc_backend *grpc, struct gw_error *err)
{
    struct server server = {.kind = "grpc",
                            .address = grpc->address,
                            .channel = grpc->channel,
                            .host_header = grpc->host_header,
                            .certificate = grpc->certificate,
                            .scheme = grpc->scheme,
                            .timeout = grpc->timeout};
    check_server(&server, err);
}

/* ---- mock ---- */

static bool is_token(gw_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return name.len > 0;
}

bool cp_is_framing_header(gw_str name)
{
    static const char *const names[] = {"connection", "content-length",   "keep-alive",
                                        "te",         "proxy-connection", "trailer",
                                        "upgrade",    "transfer-encoding"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++)
        if (gw_str_eq_nocase(name, gw_str_from(names[i])))
            return true;
    return false;
}

static void check_header(const cp_http_header *header, size_t index, struct gw_error *err)
{
    char field[64];
    gw_str name = gw_str_from(header->name);
    (void)snprintf(field, sizeof(field), "backend.mock.headers[%zu].name", index);
    if (name.len > CP_HEADER_NAME_MAX || !is_token(name))
        (void)gw_fail_field(err, field, "must be a token of RFC 9110 of at most %d bytes",
                            CP_HEADER_NAME_MAX);
    else if (cp_is_framing_header(name))
        (void)gw_fail_field(err, field, "is set by the gateway");
    (void)snprintf(field, sizeof(field), "backend.mock.headers[%zu].value", index);
    cp_check_bytes(header->value, CP_HEADER_VALUE_MAX, field, err);
    for (const char *c = header->value; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            (void)gw_fail_field(err, field, "must not hold control characters");
            break;
        }
    }
}

static void check_mock(const cp_mock_backend *mock, struct gw_error *err)
{
    if (mock->status != 0 && (mock->status < 200 || mock->status > 599))
        (void)gw_fail_field(err, "backend.mock.status", "must be 200 to 599");
    if (mock->body.len > CP_MOCK_BODY_MAX)
        (void)gw_fail_field(err, "backend.mock.body", "must be at most %d bytes", CP_MOCK_BODY_MAX);
    bool has_type = false;
    for (size_t i = 0; i < mock->n_headers && i < CP_MOCK_HEADERS_MAX; i++) {
        has_type |= gw_str_eq_nocase(gw_str_from(mock->headers[i]->name), GW_STR("content-type"));
        check_header(mock->headers[i], i, err);
    }
    if (mock->n_headers + !has_type > CP_MOCK_HEADERS_MAX)
        (void)gw_fail_field(err, "backend.mock.headers",
                            "must be at most %d with Content-Type, which is added when absent",
                            CP_MOCK_HEADERS_MAX);
}

/* ---- all ---- */

void cp_check_backend(const cp_backend *backend, const struct cp_inserts *inserts,
                      struct gw_error *err)
{
    switch (backend ? backend->kind_case : CP_ONEOF(BACKEND, _NOT_SET)) {
    case CP_ONEOF(BACKEND, HTTP):
        check_http(backend->http, inserts, err);
        break;
    case CP_ONEOF(BACKEND, MOCK):
        check_mock(backend->mock, err);
        break;
    case CP_ONEOF(BACKEND, GRPC):
        check_grpc(backend->grpc, err);
        break;
    case CP_ONEOF(BACKEND, FUNCTION):
        cp_refuse_for_now(err, "backend.function");
        break;
    default:
        (void)gw_fail_field(err, "backend", "required: exactly one of http, grpc and mock");
    }
}
