/* SPDX-License-Identifier: Apache-2.0 */
/* The request path. One request from its head to its log line is run() below: seven states, one
 * direction. Each either goes on at once or waits for an event, and the event moves it forward; a
 * refusal is a jump forward to FILTERS_OUT. The steps themselves are in match.c, chain.c, forward.c
 * and answer.c; policies are filters and add nothing here. */
#include "dataplane/exchange.h"

#include "dataplane/flow.h"
#include "dataplane/grpc.h"
#include "dataplane/settings.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/worker_internal.h"

#include <stdlib.h>

#define FREE_FLOWS_MAX 1024 /* kept for the next requests */

static enum dp_verdict call_backend(struct dp_flow *flow);
static void send_answer(struct dp_flow *flow);
static void end(struct dp_flow *flow);

static void run(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    enum dp_verdict verdict;
    for (;;) {
        switch (flow->state) {
        case DP_STATE_HEAD: /* for a whole head: on_head, or on_fault */
            return;

        case DP_STATE_ROUTE: /* for nothing */
            verdict = dp_match_route(x);
            dp_chain_init(&flow->chain, x, x->route);
            flow->state = verdict == DP_NEXT ? DP_STATE_FILTERS_IN : DP_STATE_FILTERS_OUT;
            break;

        case DP_STATE_FILTERS_IN: /* for a filter that said WAIT: dp_exchange_resume */
            verdict = dp_chain_forward(&flow->chain, x);
            if (verdict == DP_WAIT)
                return;
            flow->state = verdict == DP_NEXT ? DP_STATE_UPSTREAM : DP_STATE_FILTERS_OUT;
            break;

        case DP_STATE_UPSTREAM: /* for the answer's head: on_answer, on_failure, or on_fault */
            if (call_backend(flow) == DP_WAIT)
                return;
            flow->state = DP_STATE_FILTERS_OUT;
            break;

        case DP_STATE_FILTERS_OUT: /* for a filter that said WAIT */
            if (dp_chain_backward(&flow->chain, x) == DP_WAIT)
                return;
            flow->state = DP_STATE_SEND;
            break;

        case DP_STATE_SEND: /* for the last byte to leave: on_sent, or on_failure, or on_fault */
            send_answer(flow);
            return;

        case DP_STATE_END:
            end(flow);
            return;
        }
    }
}

static void go(struct dp_flow *flow, enum dp_state state)
{
    flow->state = state;
    run(flow);
}

void dp_exchange_resume(struct dp_exchange *x, enum dp_verdict verdict)
{
    struct dp_flow *flow = dp_flow_of(x);
    if (!dp_chain_resumed(&flow->chain))
        return;
    if (verdict == DP_REPLY && flow->state == DP_STATE_FILTERS_IN)
        flow->state = DP_STATE_FILTERS_OUT;
    run(flow);
}

/* Nobody takes the rest of the request's body. */
static void forget_call(struct dp_flow *flow)
{
    flow->calling = false;
    flow->downstream->body_sink = NULL;
    dp_downstream_read_body(flow->downstream, false);
}

static void stop_call(struct dp_flow *flow)
{
    if (!flow->calling)
        return;
    dp_upstream_cancel(&flow->call);
    forget_call(flow);
}

/* The caller does not get (all of) the answer: who has not left must see that. */
static void cut(struct dp_flow *flow, gw_str why)
{
    flow->cut = true;
    flow->fault = why;
    go(flow, DP_STATE_END);
}

/* An answer of our own in place of the one that will not come. */
static void answer_instead(struct dp_flow *flow, enum dp_refusal refusal)
{
    stop_call(flow);
    (void)dp_exchange_refuse(&flow->x, refusal); /* it says REPLY, and that is what happens */
    go(flow, DP_STATE_FILTERS_OUT);
}

/* ---- UPSTREAM */

/* As caller and API both say. */
static bool is_stream_of_messages(const struct dp_flow *flow)
{
    return flow->x.request.grpc && flow->x.route && flow->x.route->grpc;
}

/* A stream of messages is as long as it is, and no part of it stays here. */
static uint64_t body_limit(const struct dp_flow *flow)
{
    if (is_stream_of_messages(flow))
        return UINT64_MAX;
    return (uint64_t)flow->x.worker->tunables.request_body_max;
}

static void on_want_body(struct dp_upstream_call *call, bool on)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    flow->downstream->body_sink = on ? dp_upstream_sink(call) : NULL;
    dp_downstream_read_body(flow->downstream, on);
}

static void on_interim(struct dp_upstream_call *call)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    dp_headers_strip_hop_by_hop(&call->head.headers);
    dp_downstream_send_interim(flow->downstream, &call->head);
}

static void on_answer(struct dp_upstream_call *call)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    dp_answer_take(flow);
    if (dp_tunnel_translate(flow))
        go(flow, DP_STATE_FILTERS_OUT);
    else
        answer_instead(flow, DP_REFUSE_BACKEND_PROTOCOL);
}

/* For the log and the metrics. It is in the trailers, or in a head that is all there is; that of a
 * tunnel is gone. */
static void note_grpc_status(struct dp_flow *flow, const struct dp_headers *headers)
{
    bool may_have_one = flow->x.request.grpc && !flow->tunnel;
    const struct dp_header *status =
        may_have_one ? dp_headers_get(headers, DP_HEADER_GRPC_STATUS) : NULL;
    if (!status)
        return;
    flow->has_grpc_status = true;
    flow->grpc_status = dp_grpc_status_from(status->value);
}

static void on_answer_body(struct dp_upstream_call *call, gw_str data, bool last)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    dp_encode_send(flow, data, last);
    if (last) {
        note_grpc_status(flow, &call->head.headers);
        note_grpc_status(flow, dp_upstream_trailers(call));
        if (!dp_upstream_is_half_open(call))
            forget_call(flow);
        dp_downstream_send_end(flow->downstream, dp_upstream_trailers(call));
    } else if (dp_downstream_pending(flow->downstream) >= DP_CONN_HIGH_WATER) {
        dp_upstream_read_body(call, false);
    }
}

/* The caller has said all, and it has been passed on; `sent` may be to come. */
static void on_closed(struct dp_upstream_call *call)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    forget_call(flow);
    if (flow->sent)
        go(flow, DP_STATE_END);
}

/* What there is goes out before the end: only the peers know whether it was all. */
static void end_tunnel(struct dp_flow *flow, enum dp_upstream_failure failure)
{
    bool is_idle = failure == DP_FAILURE_TIMEOUT;
    flow->fault = is_idle ? GW_STR("tunnel.idle") : GW_STR("upstream.cut");
    flow->downstream->is_reset = !is_idle;
    if (flow->sent)
        go(flow, DP_STATE_END);
    else if (!dp_upstream_is_half_open(&flow->call))
        dp_downstream_send_end(flow->downstream, NULL);
}

/* In the place of the backend's trailers. */
static void end_at_deadline(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    struct dp_headers trailers;
    dp_headers_init(&trailers, &x->arena);
    dp_grpc_put_status(&trailers, DP_GRPC_DEADLINE_EXCEEDED,
                       dp_grpc_message(&x->arena, DP_REFUSE_DEADLINE, x->request.request_id));
    flow->fault = dp_refusal_row(DP_REFUSE_DEADLINE)->reason;
    note_grpc_status(flow, &trailers);
    dp_downstream_send_end(flow->downstream, &trailers);
}

static void on_failure(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    struct dp_flow *flow = gw_container_of(call, struct dp_flow, call);
    forget_call(flow);
    if (flow->tunnel)
        end_tunnel(flow, failure);
    else if (flow->answered && failure == DP_FAILURE_DEADLINE &&
             call->framing.kind == DP_BODY_CHUNKED)
        end_at_deadline(flow);
    else if (flow->answered)
        cut(flow, GW_STR("upstream.cut"));
    else
        answer_instead(flow, dp_answer_of_failure(failure));
}

static const struct dp_upstream_events upstream_events = {
    .want_body = on_want_body,
    .interim = on_interim,
    .head = on_answer,
    .body = on_answer_body,
    .failed = on_failure,
    .closed = on_closed,
};

static enum dp_verdict call_backend(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    const struct dp_h1_framing *framing = dp_downstream_framing(flow->downstream);
    if (framing->kind == DP_BODY_LENGTH && framing->length > body_limit(flow))
        return dp_exchange_refuse(x, DP_REFUSE_BODY_TOO_LARGE);
    if (dp_forward_prepare(flow) == DP_REPLY)
        return DP_REPLY;
    flow->called = flow->calling = true;
    flow->downstream->may_rest = is_stream_of_messages(flow);
    dp_upstream_start(x->worker->upstreams, &flow->call, &flow->out, &upstream_events, &x->arena);
    return DP_WAIT;
}

/* ---- SEND */

static bool has_no_body(const struct dp_flow *flow, unsigned status)
{
    return flow->x.request.head.method == DP_METHOD_HEAD || status == 204 || status == 304;
}

static void send_local(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    struct dp_response *response = &x->response;
    if (dp_tunnel_misleads(flow))
        (void)dp_exchange_refuse(x, DP_REFUSE_BACKEND_PROTOCOL); /* as a backend that says that */
    struct dp_response_head grpc_head = response->head;
    struct dp_downstream_answer answer = {
        .head = &response->head,
        .kind = DP_BODY_LENGTH,
        .length = response->body.len,
        .close = dp_answer_is_last(response->refusal),
    };
    if (x->request.grpc && response->refusal) { /* the log has the status that it stands for */
        dp_grpc_refuse(&grpc_head, &x->arena, response->refusal, x->request.request_id);
        response->body = GW_STR_NONE;
        note_grpc_status(flow, &grpc_head.headers);
        answer.head = &grpc_head;
        answer.length = 0;
    }
    stop_call(flow); /* a filter may have replaced the backend's answer */
    if (has_no_body(flow, response->head.status)) {
        answer.kind = DP_BODY_NONE;
        gw_str length = gw_arena_printf(&x->arena, "%zu", response->body.len);
        dp_headers_add_id(&response->head.headers, DP_HEADER_CONTENT_LENGTH, length);
    }
    dp_encode_begin(flow, &answer);
    dp_downstream_send_head(flow->downstream, &answer);
    dp_encode_send(flow, response->body, true);
    dp_downstream_send_end(flow->downstream, NULL);
}

/* The caller's method says whether there is a body; the backend's may be another one. */
static enum dp_body_kind kind_of_answer(const struct dp_flow *flow)
{
    if (has_no_body(flow, flow->x.response.head.status))
        return DP_BODY_NONE;
    switch (flow->call.framing.kind) {
    case DP_BODY_CHUNKED:
    case DP_BODY_UNTIL_CLOSE:
        return DP_BODY_CHUNKED;
    case DP_BODY_TUNNEL:
        return DP_BODY_TUNNEL;
    default:
        return DP_BODY_LENGTH;
    }
}

static void send_upstream(struct dp_flow *flow)
{
    const struct dp_h1_framing *framing = &flow->call.framing;
    struct dp_downstream_answer answer = {
        .head = &flow->x.response.head,
        .kind = kind_of_answer(flow),
        .length = framing->kind == DP_BODY_LENGTH ? framing->length : 0,
    };
    if (answer.kind == DP_BODY_TUNNEL)
        dp_tunnel_open(flow);
    dp_encode_begin(flow, &answer);
    dp_downstream_send_head(flow->downstream, &answer);
    if (answer.kind == DP_BODY_NONE && framing->kind != DP_BODY_NONE) {
        stop_call(flow); /* the backend's body, long or endless, is for nobody */
        dp_downstream_send_end(flow->downstream, NULL);
        return;
    }
    if (flow->downstream->sink.conn && !flow->encoder)
        flow->call.sink = &flow->downstream->sink;
    dp_upstream_read_body(&flow->call, true);
}

static void send_answer(struct dp_flow *flow)
{
    flow->answered = true;
    if (flow->x.response.origin == DP_ORIGIN_UPSTREAM)
        send_upstream(flow);
    else
        send_local(flow);
}

/* ---- HEAD and END: what the connection says */

static struct dp_flow *take_flow(struct dp_worker *worker)
{
    if (gw_list_is_empty(&worker->free_flows))
        return gw_calloc(1, sizeof(struct dp_flow));
    worker->free_flow_count--;
    struct gw_list *node = worker->free_flows.next;
    gw_list_remove(node);
    return gw_container_of(node, struct dp_flow, node);
}

static void give_flow(struct dp_worker *worker, struct dp_flow *flow)
{
    gw_arena_reset(&flow->x.arena);
    if (worker->free_flow_count >= FREE_FLOWS_MAX) {
        gw_arena_done(&flow->x.arena);
        free(flow);
        return;
    }
    worker->free_flow_count++;
    gw_list_push_front(&worker->free_flows, &flow->node);
}

void dp_exchange_free_flows(struct dp_worker *worker)
{
    gw_list_each(&worker->free_flows, it)
    {
        struct dp_flow *flow = gw_container_of(it, struct dp_flow, node);
        gw_arena_done(&flow->x.arena);
        free(flow);
    }
    gw_list_init(&worker->free_flows);
}

/* All but the arena's block and the route's parameters, which count only once there is a route. */
static void clear(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    x->snapshot = NULL;
    x->route = NULL;
    x->request = (struct dp_request){0};
    x->response = (struct dp_response){0};
    x->app = NULL;
    x->auth_type = GW_STR("none");
    flow->state = DP_STATE_HEAD;
    flow->pinned = NULL;
    flow->chain = (struct dp_chain){0};
    flow->called = flow->calling = flow->answered = flow->cut = flow->left = false;
    flow->tunnel = flow->sent = false;
    flow->encoder = NULL;
    memset(&flow->encode, 0, sizeof(flow->encode));
    flow->call.head_ns = 0;
    flow->body_bytes = 0;
    flow->fault = GW_STR_NONE;
    flow->has_grpc_status = false;
}

static void *on_begin(struct dp_downstream *downstream, struct dp_request_head **ret_head,
                      struct gw_arena **ret_arena)
{
    struct dp_worker *worker = dp_downstream_owner(downstream);
    struct dp_flow *flow = take_flow(worker);
    struct dp_exchange *x = &flow->x;
    clear(flow);
    flow->downstream = downstream;
    flow->started_ns = worker->loop.now_ns;
    x->worker = worker;
    x->request.received_wall_ms = worker->loop.wall_ms;
    const struct dp_visit *visit = dp_downstream_context(downstream);
    x->request.tls = dp_downstream_tls(downstream) != NULL || (visit && visit->https);
    x->request.source = *dp_downstream_peer(downstream);
    x->request.source_text = dp_downstream_peer_text(downstream);
    char *id = gw_arena_bytes(&x->arena, DP_REQUEST_ID_LEN);
    dp_request_id_next(&worker->ids, id);
    x->request.request_id = gw_str_n(id, DP_REQUEST_ID_LEN);
    *ret_head = &x->request.head;
    *ret_arena = &x->arena;
    return flow;
}

static void on_head(void *request)
{
    struct dp_flow *flow = request;
    flow->pinned = dp_worker_pin_for(flow->x.worker, dp_downstream_context(flow->downstream));
    flow->x.snapshot = flow->pinned ? flow->pinned->snapshot : NULL;
    flow->x.request.grpc = dp_grpc_is_call(&flow->x.request.head.headers);
    go(flow, DP_STATE_ROUTE);
}

static void on_body(void *request, gw_str data, bool last)
{
    struct dp_flow *flow = request;
    flow->body_bytes += data.len;
    if (!flow->calling)
        return; /* the backend has answered without it */
    if (flow->tunnel || flow->body_bytes <= body_limit(flow))
        dp_upstream_send_body(&flow->call, data, last,
                              last ? dp_downstream_trailers(flow->downstream) : NULL);
    else if (flow->answered)
        cut(flow, dp_refusal_row(DP_REFUSE_BODY_TOO_LARGE)->reason);
    else
        answer_instead(flow, DP_REFUSE_BODY_TOO_LARGE);
}

static gw_str why_gone(const struct dp_flow *flow, ptrdiff_t error)
{
    if (error)
        return gw_str_from(dp_h1_error_reason(error));
    return dp_worker_is_drained(flow->x.worker) ? GW_STR("drain.timeout") : GW_STR("caller.gone");
}

static void on_fault(void *request, enum dp_downstream_fault fault, ptrdiff_t error)
{
    struct dp_flow *flow = request;
    if (fault == DP_FAULT_GONE) {
        flow->left = true;
        cut(flow, why_gone(flow, error));
        return;
    }
    enum dp_refusal refusal = dp_answer_of_fault(fault, error, &flow->fault);
    if (flow->answered)
        cut(flow, flow->fault.len ? flow->fault : dp_refusal_row(refusal)->reason);
    else
        answer_instead(flow, refusal);
}

static void on_drained(void *request)
{
    struct dp_flow *flow = request;
    if (flow->calling && flow->answered)
        dp_upstream_read_body(&flow->call, true);
}

/* With a call that goes on the caller may still speak: half of a tunnel. */
static void on_sent(void *request)
{
    struct dp_flow *flow = request;
    flow->sent = true;
    if (!flow->calling)
        go(flow, DP_STATE_END);
}

const struct dp_handler dp_exchange_handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .fault = on_fault,
    .drained = on_drained,
    .sent = on_sent,
};

static void add_tls(const struct dp_tls *tls, struct dp_outcome *outcome)
{
    struct dp_tls_facts facts;
    dp_tls_describe(tls, &facts);
    outcome->tls_version = facts.version;
    outcome->tls_cipher = facts.cipher;
    outcome->server_name = facts.server_name;
    outcome->client_subject = facts.subject;
}

static void observe(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    const struct dp_upstream_call *call = flow->called ? &flow->call : NULL;
    struct dp_outcome outcome = {
        .status = flow->answered ? x->response.head.status : 499,
        .reason = flow->fault,
        .cut = flow->cut,
        .tunnel = flow->tunnel,
        .bytes_in = dp_downstream_bytes_in(flow->downstream),
        .bytes_out = dp_downstream_bytes_out(flow->downstream),
        .duration_ns = x->worker->loop.now_ns - flow->started_ns,
        .has_grpc_status = flow->has_grpc_status,
        .grpc_status = flow->grpc_status,
        .gzip_limited = flow->encode.limited,
        .gzip_in = flow->encode.bytes_in,
        .gzip_out = flow->encode.bytes_out,
    };
    if (outcome.reason.len == 0 && x->response.refusal)
        outcome.reason = dp_refusal_row(x->response.refusal)->reason;
    if (dp_downstream_tls(flow->downstream))
        add_tls(dp_downstream_tls(flow->downstream), &outcome);
    if (call) {
        outcome.upstream = call->endpoint ? dp_endpoint_name(call->endpoint) : GW_STR_NONE;
        outcome.attempts = call->attempts;
        outcome.reused = call->reused;
        outcome.upstream_ns = call->head_ns ? call->head_ns - call->started_ns : 0;
    }
    dp_observe_exchange(x->worker->observer, x, &outcome);
}

/* The connection comes last: what filters and the log read of the request lies in its input. */
static void end(struct dp_flow *flow)
{
    struct dp_worker *worker = flow->x.worker;
    stop_call(flow);
    dp_encode_end(flow);
    dp_chain_end(&flow->chain, &flow->x);
    observe(flow);
    if (!flow->left && flow->cut)
        dp_downstream_abort(flow->downstream);
    else if (!flow->left)
        dp_downstream_finish(flow->downstream);
    dp_worker_unpin(flow->pinned);
    dp_tunnel_close(flow);
    give_flow(worker, flow);
}
