/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: the backend's, and those the agent makes itself. */
#include "dataplane/flow.h"
#include "dataplane/worker_internal.h"

#define SERVER GW_STR("api-gateway")

static gw_str milliseconds(struct dp_exchange *x, gw_nsec span)
{
    return gw_arena_printf(&x->arena, "%lld", (long long)(span / 1000000));
}

/* To callers that the API knows, not to anybody. */
static void add_latencies(struct dp_exchange *x)
{
    const struct dp_flow *flow = dp_flow_of(x);
    struct dp_headers *headers = &x->response.head.headers;
    gw_nsec head_ns = flow->call.head_ns ? flow->call.head_ns : x->worker->loop.now_ns;
    dp_headers_set(headers, GW_STR("X-Apig-Latency"), milliseconds(x, head_ns - flow->started_ns));
    if (flow->call.head_ns)
        dp_headers_set(headers, GW_STR("X-Apig-Upstream-Latency"),
                       milliseconds(x, head_ns - flow->call.started_ns));
}

/* What every answer has, before the filters see it: a policy may change any of it. */
static void add_common_headers(struct dp_exchange *x)
{
    struct dp_headers *headers = &x->response.head.headers;
    dp_headers_put_id(headers, DP_HEADER_X_REQUEST_ID, x->request.request_id);
    if (!dp_headers_get(headers, DP_HEADER_SERVER))
        dp_headers_put_id(headers, DP_HEADER_SERVER, SERVER);
    if (!dp_headers_get(headers, DP_HEADER_DATE))
        dp_headers_put_id(headers, DP_HEADER_DATE, dp_worker_date(x->worker));
    if (gw_unlikely(dp_exchange_shows_debug(x)))
        add_latencies(x);
}

bool dp_answer_is_last(enum dp_refusal refusal)
{
    return refusal == DP_REFUSE_TLS_VERSION || refusal == DP_REFUSE_CLIENT_CERTIFICATE ||
           refusal == DP_REFUSE_MISDIRECTED;
}

enum dp_verdict dp_exchange_reply(struct dp_exchange *x, unsigned status, gw_str body)
{
    x->response = (struct dp_response){.origin = DP_ORIGIN_LOCAL, .body = body};
    x->response.head.status = status;
    x->response.head.reason = dp_status_reason(status);
    dp_headers_init(&x->response.head.headers, &x->arena);
    add_common_headers(x);
    return DP_REPLY;
}

/* Nothing in it needs an escape: codes, messages and details are ours. */
enum dp_verdict dp_exchange_refuse_with(struct dp_exchange *x, enum dp_refusal refusal,
                                        gw_str detail)
{
    const struct dp_refusal_row *row = dp_refusal_row(refusal);
    gw_str message = row->message;
    ptrdiff_t hole = gw_str_find(message, '%');
    if (hole >= 0)
        message =
            gw_arena_printf(&x->arena, "%.*s%.*s%.*s", (int)hole, message.ptr, GW_STR_ARG(detail),
                            (int)message.len - (int)hole - 2, message.ptr + hole + 2);
    gw_str body = gw_arena_printf(
        &x->arena, "{\"error_code\":\"%.*s\",\"error_msg\":\"%.*s\",\"request_id\":\"%.*s\"}",
        GW_STR_ARG(row->code), GW_STR_ARG(message), GW_STR_ARG(x->request.request_id));
    enum dp_verdict verdict = dp_exchange_reply(x, row->status, body);
    x->response.refusal = refusal;
    dp_headers_add_id(&x->response.head.headers, DP_HEADER_CONTENT_TYPE,
                      GW_STR("application/json"));
    return verdict;
}

enum dp_verdict dp_exchange_refuse(struct dp_exchange *x, enum dp_refusal refusal)
{
    return dp_exchange_refuse_with(x, refusal, GW_STR_NONE);
}

void dp_answer_take(struct dp_flow *flow)
{
    struct dp_response *response = &flow->x.response;
    *response = (struct dp_response){.origin = DP_ORIGIN_UPSTREAM, .head = flow->call.head};
    dp_headers_strip_hop_by_hop(&response->head.headers);
    add_common_headers(&flow->x);
}

enum dp_refusal dp_answer_of_failure(enum dp_upstream_failure failure)
{
    switch (failure) {
    case DP_FAILURE_NO_MEMBER:
        return DP_REFUSE_NO_MEMBER;
    case DP_FAILURE_UNRESOLVED:
        return DP_REFUSE_BACKEND_UNRESOLVED;
    case DP_FAILURE_TIMEOUT:
    case DP_FAILURE_CONNECT_TIMEOUT:
        return DP_REFUSE_BACKEND_TIMEOUT;
    case DP_FAILURE_DEADLINE:
        return DP_REFUSE_DEADLINE;
    case DP_FAILURE_PROTOCOL:
        return DP_REFUSE_BACKEND_PROTOCOL;
    case DP_FAILURE_NO_TUNNEL:
        return DP_REFUSE_BACKEND_WEBSOCKET;
    default:
        return DP_REFUSE_BACKEND_UNAVAILABLE;
    }
}

static enum dp_refusal refusal_of_status(unsigned status)
{
    switch (status) {
    case 413:
        return DP_REFUSE_BODY_TOO_LARGE;
    case 414:
        return DP_REFUSE_URI_TOO_LARGE;
    case 417:
        return DP_REFUSE_EXPECTATION_FAILED;
    case 431:
        return DP_REFUSE_HEADERS_TOO_LARGE;
    case 501:
        return DP_REFUSE_NOT_IMPLEMENTED;
    case 505:
        return DP_REFUSE_VERSION;
    default:
        return DP_REFUSE_BAD_REQUEST;
    }
}

enum dp_refusal dp_answer_of_fault(enum dp_downstream_fault fault, ptrdiff_t error,
                                   gw_str *ret_reason)
{
    *ret_reason = GW_STR_NONE;
    if (fault == DP_FAULT_HEAD_TIMEOUT || fault == DP_FAULT_BODY_TIMEOUT)
        return DP_REFUSE_REQUEST_TIMEOUT;
    *ret_reason = gw_str_from(dp_h1_error_reason(error));
    return refusal_of_status(dp_h1_error_status(error));
}
