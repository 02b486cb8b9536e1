/* SPDX-License-Identifier: Apache-2.0 */
/* An API that answers by itself. Authentication and policies stand before it. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"

#include "penstock/agent/v1/agent.pb-c.h"

#define BODY_BYTES_MAX 65535
#define HEADERS_MAX 10
#define NAME_BYTES_MAX 128
#define VALUE_BYTES_MAX 1024

struct mock {
    unsigned status;
    gw_str body;
    unsigned header_count;
    struct dp_header headers[];
};

static bool applies(const ProtobufCMessage *message)
{
    const Penstock__Agent__V1__Route *route = (const Penstock__Agent__V1__Route *)message;
    return route->backend && route->backend->kind_case == PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK;
}

/* What frames the message is the spine's. */
static bool is_reserved(gw_str name)
{
    switch (dp_header_id_from(name)) {
    case DP_HEADER_CONNECTION:
    case DP_HEADER_CONTENT_LENGTH:
    case DP_HEADER_TRANSFER_ENCODING:
    case DP_HEADER_TE:
    case DP_HEADER_TRAILER:
    case DP_HEADER_UPGRADE:
    case DP_HEADER_KEEP_ALIVE:
    case DP_HEADER_PROXY_CONNECTION:
        return true;
    default:
        return false;
    }
}

static int add_header(struct gw_arena *arena, struct mock *conf,
                      const Penstock__Agent__V1__Header *header, struct gw_error *err)
{
    gw_str name = gw_str_from(header->name), value = gw_str_trim(gw_str_from(header->value));
    if (name.len > NAME_BYTES_MAX || value.len > VALUE_BYTES_MAX ||
        !dp_header_is_valid(name, value) || is_reserved(name))
        return gw_fail_field(err, "backend.mock.headers", "%.64s is no header to answer with",
                             header->name);
    conf->headers[conf->header_count++] =
        (struct dp_header){.name = gw_arena_dup(arena, name), .value = gw_arena_dup(arena, value)};
    return 0;
}

static bool has_content_type(const struct mock *conf)
{
    for (unsigned i = 0; i < conf->header_count; i++) {
        if (dp_header_id_from(conf->headers[i].name) == DP_HEADER_CONTENT_TYPE)
            return true;
    }
    return false;
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Route *route = (const Penstock__Agent__V1__Route *)message;
    const Penstock__Agent__V1__MockBackend *source = route->backend->mock;
    if (source->status < 200 || source->status > 599)
        return gw_fail_field(err, "backend.mock.status", "must be 200 to 599");
    if (source->body.len > BODY_BYTES_MAX)
        return gw_fail_field(err, "backend.mock.body", "must be at most %d bytes", BODY_BYTES_MAX);
    if (source->n_headers > HEADERS_MAX)
        return gw_fail_field(err, "backend.mock.headers", "must be at most %d", HEADERS_MAX);
    struct mock *conf = gw_arena_zalloc(compile->arena, sizeof *conf + (source->n_headers + 1) *
                                                                           sizeof conf->headers[0]);
    conf->status = source->status;
    conf->body =
        gw_arena_dup(compile->arena, gw_str_n((const char *)source->body.data, source->body.len));
    for (size_t i = 0; i < source->n_headers; i++) {
        if (add_header(compile->arena, conf, source->headers[i], err) < 0)
            return -1;
    }
    if (conf->body.len > 0 && !has_content_type(conf))
        conf->headers[conf->header_count++] =
            (struct dp_header){.name = GW_STR("Content-Type"), .value = GW_STR("application/json")};
    *ret_conf = conf;
    return 0;
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf_ptr, void *scratch)
{
    (void)scratch;
    const struct mock *conf = conf_ptr;
    enum dp_verdict verdict = dp_exchange_reply(x, conf->status, conf->body);
    struct dp_headers *headers = &x->response.head.headers;
    for (unsigned i = 0; i < conf->header_count; i++) /* Server, say: the mock's own counts */
        (void)dp_headers_remove_named(headers, conf->headers[i].name); /* mostly not there */
    for (unsigned i = 0; i < conf->header_count; i++)
        dp_headers_add(headers, conf->headers[i].name, conf->headers[i].value);
    return verdict;
}

const struct dp_filter dp_filter_mock = {
    .name = "mock",
    .applies = applies,
    .compile = compile,
    .on_request = on_request,
};
