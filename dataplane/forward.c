/* SPDX-License-Identifier: Apache-2.0 */
/* The request as the backend gets it: target, method, host and headers. */
#include "dataplane/flow.h"
#include "dataplane/grpc.h"
#include "dataplane/http/uri.h"
#include "dataplane/settings.h"
#include "dataplane/worker_internal.h"

#define VIA_NAME GW_STR("penstock")
#define HOPS_MAX 10 /* an API may call the gateway up to 10 levels deep */

/* ---- target */

#define PIECES_MAX (2 * DP_ROUTE_PARAMS_MAX + 4)

struct pieces {
    gw_str items[PIECES_MAX];
    unsigned count;
    size_t len;
};

static void add(struct pieces *pieces, gw_str piece)
{
    if (piece.len == 0)
        return;
    assert(pieces->count < PIECES_MAX);
    pieces->items[pieces->count++] = piece;
    pieces->len += piece.len;
}

static gw_str join(struct gw_arena *arena, const struct pieces *pieces)
{
    if (pieces->count == 1)
        return pieces->items[0];
    char *text = gw_arena_bytes(arena, pieces->len), *at = text;
    for (unsigned i = 0; i < pieces->count; i++) {
        memcpy(at, pieces->items[i].ptr, pieces->items[i].len);
        at += pieces->items[i].len;
    }
    return gw_str_n(text, pieces->len);
}

/* The backend's path with the caller's values in it, then, for a prefix, what the caller's path has
 * behind it: one slash where they meet. */
static void add_template(struct dp_exchange *x, struct pieces *pieces)
{
    const struct dp_backend *backend = &x->route->backend;
    for (unsigned i = 0; i < backend->param_count; i++) {
        gw_str value = x->match.params[backend->params[i]].value;
        add(pieces, backend->literals[i]);
        add(pieces, dp_uri_encode_path(&x->arena, value, x->request.slash));
    }
    gw_str tail = backend->literals[backend->param_count];
    gw_str rest = x->match.rest;
    if (rest.len > 0 && gw_str_has_suffix(tail, GW_STR("/")))
        tail.len--;
    add(pieces, tail);
    add(pieces, dp_uri_encode_path(&x->arena, rest, x->request.slash));
    if (pieces->count == 0)
        add(pieces, GW_STR("/"));
}

static gw_str make_target(struct dp_exchange *x)
{
    struct pieces pieces;
    pieces.count = 0; /* not all of it: it is large */
    pieces.len = 0;
    if (x->route->backend.has_path)
        add_template(x, &pieces);
    else
        add(&pieces, dp_uri_encode_path(&x->arena, x->request.path, x->request.slash));
    if (x->request.head.has_query) {
        add(&pieces, GW_STR("?"));
        add(&pieces, x->request.head.query);
    }
    return join(&x->arena, &pieces);
}

/* ---- headers */

/* All fields of that name as one list, with `last` behind it. */
static gw_str extend_list(struct dp_exchange *x, enum dp_header_id id, gw_str last)
{
    gw_str list = dp_headers_list(&x->request.head.headers, id);
    if (list.len == 0)
        return last;
    return gw_arena_printf(&x->arena, "%.*s, %.*s", GW_STR_ARG(list), GW_STR_ARG(last));
}

/* RFC 9110 7.6.3: each gateway on the way adds its name. Any number of them is a loop. */
static unsigned count_hops(const struct dp_headers *headers)
{
    unsigned hops = 0;
    gw_str rest = dp_headers_list(headers, DP_HEADER_VIA);
    while (rest.len > 0)
        hops += gw_str_has_suffix(gw_str_trim(gw_str_split(&rest, ',')), VIA_NAME);
    return hops;
}

/* What this gateway adds to Via: the protocol of the message as it came. */
static gw_str received_version(const struct dp_request_head *head)
{
    if (head->major == 2)
        return GW_STR("2 penstock");
    return head->minor == 0 ? GW_STR("1.0 penstock") : GW_STR("1.1 penstock");
}

static gw_str number(struct gw_arena *arena, uint64_t value)
{
    char *text = gw_arena_bytes(arena, GW_U64_DIGITS);
    return gw_str_n(text, (size_t)(gw_str_put_u64(text, value) - text));
}

/* RFC 9110 7.6.2: one hop less. 0 has not come here (match.c), and what is no number is left as it
 * is. */
static void count_forward(struct dp_exchange *x)
{
    struct dp_headers *headers = &x->request.head.headers;
    const struct dp_header *hops = dp_headers_find(headers, GW_STR("Max-Forwards"));
    uint64_t left;
    if (hops && gw_str_to_u64(hops->value, INT32_MAX, &left) == 0 && left > 0)
        dp_headers_set(headers, GW_STR("Max-Forwards"), number(&x->arena, left - 1));
}

/* What the caller says under these names is replaced, not believed. */
#define OWN                                                                                        \
    (DP_HEADER_BIT(X_FORWARDED_FOR) | DP_HEADER_BIT(X_FORWARDED_PROTO) |                           \
     DP_HEADER_BIT(X_FORWARDED_HOST) | DP_HEADER_BIT(X_FORWARDED_PORT) |                           \
     DP_HEADER_BIT(X_REQUEST_ID) | DP_HEADER_BIT(VIA))

static void make_headers(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    struct dp_headers *headers = &x->request.head.headers;
    gw_str via = received_version(&x->request.head);
    bool takes_trailers =
        x->request.grpc || dp_headers_list_has(headers, DP_HEADER_TE, GW_STR("trailers"));
    dp_headers_strip_hop_by_hop(headers);
    dp_headers_strip_shadows(headers);
    if (x->request.head.method == DP_METHOD_OPTIONS)
        count_forward(x);
    if (takes_trailers && x->route->backend.http2)
        dp_headers_add_id(headers, DP_HEADER_TE, GW_STR("trailers"));
    gw_str sources =
        extend_list(x, DP_HEADER_X_FORWARDED_FOR, dp_downstream_peer_text(flow->downstream));
    via = extend_list(x, DP_HEADER_VIA, via);
    dp_headers_remove_set(headers, OWN);
    dp_headers_append_id(headers, DP_HEADER_X_FORWARDED_FOR, sources);
    dp_headers_append_id(headers, DP_HEADER_X_FORWARDED_PROTO,
                         x->request.tls ? GW_STR("https") : GW_STR("http"));
    dp_headers_append_id(headers, DP_HEADER_X_FORWARDED_HOST, x->request.head.authority);
    dp_headers_append_id(headers, DP_HEADER_X_FORWARDED_PORT,
                         dp_downstream_local_port(flow->downstream));
    dp_headers_append_id(headers, DP_HEADER_X_REQUEST_ID, x->request.request_id);
    dp_headers_append_id(headers, DP_HEADER_VIA, via);
}

/* RFC 9110 8.6: a method that means to have a body says how long it is, empty or not. */
static struct dp_h1_framing framing_for(const struct dp_h1_framing *callers, enum dp_method method)
{
    bool is_empty = callers->kind == DP_BODY_NONE;
    bool has_meaning =
        method == DP_METHOD_POST || method == DP_METHOD_PUT || method == DP_METHOD_PATCH;
    return (struct dp_h1_framing){
        .kind = is_empty && has_meaning ? DP_BODY_LENGTH : callers->kind,
        .length = callers->length,
        .minor = 1,
        .keep_alive = true,
        .upgrade = callers->upgrade && method == DP_METHOD_GET,
    };
}

/* gRPC's deadline, from the first byte of the request on; what is left of it is passed on. */
static enum dp_verdict take_deadline(struct dp_flow *flow, gw_msec *ret_deadline_ms)
{
    struct dp_exchange *x = &flow->x;
    struct dp_headers *headers = &x->request.head.headers;
    const struct dp_header *field = dp_headers_find(headers, GW_STR("grpc-timeout"));
    gw_msec timeout_ms, now_ms = x->worker->loop.now_ms;
    *ret_deadline_ms = 0;
    if (!x->request.grpc || !field)
        return DP_NEXT;
    if (dp_grpc_timeout_from(field->value, &timeout_ms) < 0)
        return dp_exchange_refuse(x, DP_REFUSE_BAD_DEADLINE);
    gw_msec deadline_ms = flow->started_ns / 1000000 + timeout_ms;
    if (deadline_ms <= now_ms)
        return dp_exchange_refuse(x, DP_REFUSE_DEADLINE);
    dp_headers_set(headers, GW_STR("grpc-timeout"),
                   dp_grpc_timeout_to(&x->arena, deadline_ms - now_ms));
    *ret_deadline_ms = deadline_ms;
    return DP_NEXT;
}

/* The gateway's settings may allow less than the API asks for. */
static gw_msec timeout_of(const struct dp_exchange *x)
{
    gw_msec own_ms = x->route->backend.timeout_ms;
    gw_msec max_ms = x->worker->tunables.backend_timeout_max_ms;
    return max_ms ? GW_MIN(own_ms, max_ms) : own_ms;
}

enum dp_verdict dp_forward_prepare(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    const struct dp_backend *backend = &x->route->backend;
    if (count_hops(&x->request.head.headers) >= HOPS_MAX)
        return dp_exchange_refuse(x, DP_REFUSE_RECURSION);
    if (x->route->grpc && !x->request.grpc)
        return dp_exchange_refuse(x, DP_REFUSE_NOT_GRPC);
    gw_msec deadline_ms;
    if (take_deadline(flow, &deadline_ms) == DP_REPLY)
        return DP_REPLY;
    bool is_callers = backend->method == DP_METHOD_OTHER;
    enum dp_method method = is_callers ? x->request.head.method : backend->method;
    make_headers(flow);
    struct dp_h1_framing framing = framing_for(dp_downstream_framing(flow->downstream), method);
    if (framing.upgrade && dp_tunnel_ask(x) == DP_REPLY)
        return DP_REPLY;
    flow->out = (struct dp_upstream_request){
        .channel = backend->channel,
        .http2 = backend->http2,
        .tls = backend->tls,
        .tls_name = backend->host_header,
        .certificate = backend->certificate,
        .method = method,
        .line =
            {
                .method =
                    is_callers ? x->request.head.method_name : dp_method_name(backend->method),
                .target = make_target(x),
                .host = backend->host_header.len ? backend->host_header : x->request.head.authority,
            },
        .headers = &x->request.head.headers,
        .framing = framing,
        .timeout_ms = timeout_of(x),
        .stream_idle_ms = x->worker->shared->settings->stream_idle_timeout_ms,
        .deadline_ms = deadline_ms,
        .retry_count = backend->retry_count,
    };
    return DP_NEXT;
}
