/* SPDX-License-Identifier: Apache-2.0 */
/* A request's attempts: which member, which connection, how long, and whether once more. */
#include "common/log.h"
#include "dataplane/upstream/h1_link.h"
#include "dataplane/upstream/h2_link.h"

#define RESOLVE_POLL_MS DP_WHEEL_TICK_MS

/* What the call waits for; what its timer means. */
enum dp_call_state {
    DP_CALL_ENDED,
    DP_CALL_RESOLVING,  /* the endpoint's first look-up is under way: looks again */
    DP_CALL_CONNECTING, /* connect timeout of one address */
    DP_CALL_FAILING,    /* an attempt failed within a function of the owner's: the task tells it */
    DP_CALL_SENDING,    /* the answer's head: once the request is out, or while the backend takes
                           nothing of it */
    DP_CALL_ANSWERING   /* more of the answer's body; the request's may still be on its way */
};

void dp_call_end(struct dp_upstream_call *call)
{
    call->state = DP_CALL_ENDED;
    call->wants_body = call->wants_answer = false;
    dp_timer_stop(&call->timer);
    dp_timer_stop(&call->deadline);
    dp_task_cancel(&call->task);
    dp_block_give(&call->upstreams->options.loop->blocks, call->replay);
    call->replay = NULL;
}

static void drop_link(struct dp_upstream_call *call)
{
    struct dp_upstream_link *link = call->link;
    call->link = NULL;
    if (link)
        link->ops->close(link);
}

/* A person has to do something about it, and the answer to the caller does not say it. */
static void report_no_tunnel(const struct dp_upstream_call *call)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, "upstream", "a backend takes no WebSocket over HTTP/2 (RFC 8441)",
               gw_kv_str("endpoint", dp_endpoint_name(call->endpoint)),
               gw_kv_bool("tried_http1", call->http1_only), gw_kv_int("dropped", dropped));
}

static void fail(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    if (call->http1_only && failure == DP_FAILURE_CONNECT)
        failure = DP_FAILURE_NO_TUNNEL; /* it is there, and HTTP/1.1 is not */
    if (failure == DP_FAILURE_NO_TUNNEL)
        report_no_tunnel(call);
    drop_link(call);
    dp_call_end(call);
    call->events->failed(call, failure);
}

static void fail_later(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    call->state = DP_CALL_FAILING;
    call->failure = (uint8_t)failure;
    dp_loop_later(call->upstreams->options.loop, &call->task);
}

static void arm(struct dp_upstream_call *call, gw_msec after)
{
    if (after > 0)
        dp_loop_arm(call->upstreams->options.loop, &call->timer, after);
}

static gw_msec silence_max(const struct dp_upstream_call *call)
{
    const struct dp_upstream_request *request = call->request;
    bool is_longer = call->is_stream && request->stream_idle_ms > request->timeout_ms;
    return is_longer ? request->stream_idle_ms : request->timeout_ms;
}

/* Between two reads of the answer, or of a tunnel two movements either way; but who has the turn
 * while the backend takes all that the caller sends is the caller. */
static void watch_answer(struct dp_upstream_call *call)
{
    const struct dp_upstream_link *link = call->link;
    bool has_turn = call->body_complete || link->blocked || link->send_failed;
    if (call->tunnel || (call->wants_answer && has_turn))
        arm(call, silence_max(call));
    else
        dp_timer_stop(&call->timer);
}

/* ---- the request's body */

static bool uses_http2(const struct dp_upstream_call *call)
{
    return call->request->http2 && !call->http1_only;
}

/* Whether what has been sent may have to be sent again. Over HTTP/2 always: a backend may say that
 * it has not processed it. */
static bool may_send_again(const struct dp_upstream_request *request)
{
    return dp_method_is_idempotent(request->method) || request->retry_count > 0 || request->http2;
}

static size_t replay_bytes(const struct dp_upstream_call *call)
{
    return call->replay ? call->replay->end - call->replay->start : 0;
}

static void forget_body(struct dp_upstream_call *call)
{
    dp_block_give(&call->upstreams->options.loop->blocks, call->replay);
    call->replay = NULL;
    call->can_replay = false;
}

static void keep_body(struct dp_upstream_call *call, gw_str data)
{
    if (data.len == 0)
        return;
    dp_block_reserve(&call->upstreams->options.loop->blocks, &call->replay, data.len);
    memcpy(call->replay->data + call->replay->end, data.ptr, data.len);
    call->replay->end += (uint32_t)data.len;
}

/* After it was sent for the first time. */
static void keep_sent_body(struct dp_upstream_call *call, gw_str data)
{
    if (!call->can_replay || data.len == 0)
        return;
    if (!may_send_again(call->request) || replay_bytes(call) + data.len > DP_UPSTREAM_REPLAY_BYTES)
        forget_body(call);
    else
        keep_body(call, data);
}

static void set_wants_body(struct dp_upstream_call *call, bool on)
{
    if (call->wants_body == on)
        return;
    call->wants_body = on;
    call->events->want_body(call, on);
}

static bool has_room(const struct dp_upstream_call *call)
{
    return call->link->ops->pending(call->link) < DP_CONN_HIGH_WATER;
}

static void update_wants_body(struct dp_upstream_call *call)
{
    set_wants_body(call, !call->body_complete && !call->link->send_failed && has_room(call));
}

struct dp_sink *dp_upstream_sink(const struct dp_upstream_call *call)
{
    struct dp_upstream_link *link = call->link;
    bool is_plain = call->request->framing.kind == DP_BODY_LENGTH;
    return link && link->sink.conn && is_plain ? &link->sink : NULL;
}

/* What went to the sink is not here to be sent again. */
static void count_passed(struct dp_upstream_call *call)
{
    struct dp_sink *sink = &call->link->sink;
    if (sink->bytes == 0)
        return;
    call->bytes_out += sink->bytes;
    sink->bytes = 0;
    forget_body(call);
}

void dp_upstream_send_body(struct dp_upstream_call *call, gw_str data, bool last,
                           const struct dp_headers *trailers)
{
    if (call->state == DP_CALL_ENDED || call->body_complete)
        return;
    call->body_complete = last;
    if (last)
        call->request_trailers = trailers;
    if (call->state != DP_CALL_SENDING && call->state != DP_CALL_ANSWERING) {
        keep_body(call, data); /* there is no connection yet */
        return;
    }
    keep_sent_body(call, data);
    count_passed(call);
    struct dp_upstream_link *link = call->link;
    link->ops->send_data(link, data);
    if (call->tunnel)
        watch_answer(call);
    if (last)
        link->ops->send_end(link);
    else if (call->wants_body && !has_room(call))
        dp_loop_later(call->upstreams->options.loop, &call->task);
}

/* ---- attempts */

static bool pick_member(struct dp_upstream_call *call)
{
    const struct dp_channel *channel = call->request->channel;
    call->member = dp_balance_pick(channel, &call->tried);
    if (!call->member) {
        call->tried = 0; /* all were tried: once around again */
        call->member = dp_balance_pick(channel, &call->tried);
    }
    if (call->member)
        call->endpoint = call->member->endpoint;
    return call->member != NULL;
}

gw_str dp_call_tls_name(const struct dp_upstream_call *call)
{
    gw_str name = dp_upstream_tls_name(call->request->tls_name);
    return name.len > 0 ? name : dp_endpoint_host(call->member->endpoint);
}

/* The exchange begins on a connection that is there. */
static void attach(struct dp_upstream_call *call, struct dp_upstream_link *link)
{
    struct dp_block *replay = call->replay;
    call->link = link;
    call->state = DP_CALL_SENDING;
    link->call = call;
    link->ops->begin(link);
    if (replay) {
        link->ops->send_data(link, gw_str_n(replay->data + replay->start, replay_bytes(call)));
        if (!may_send_again(call->request) || replay_bytes(call) > DP_UPSTREAM_REPLAY_BYTES)
            forget_body(call);
    }
    if (!call->body_complete)
        dp_loop_later(call->upstreams->options.loop, &call->task);
    else if (call->request->framing.kind != DP_BODY_NONE)
        link->ops->send_end(link);
}

static int connect_link(struct dp_upstream_call *call, const struct dp_address *address,
                        unsigned index)
{
    if (uses_http2(call)) /* the session has the timeout, for all who wait for it */
        return dp_uh2_link_connect(call, address, index);
    arm(call, call->upstreams->options.connect_timeout_ms);
    return dp_h1_link_connect(call, address, index);
}

/* The next address of the endpoint that takes the attempt; `failure` is the last one's. */
static void connect_next(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count = dp_endpoint_addresses(call->member->endpoint, addresses);
    while (call->addresses_left > 0) {
        call->addresses_left--;
        unsigned index = ++call->address % count;
        if (connect_link(call, &addresses[index], index) == 0) {
            call->state = DP_CALL_CONNECTING;
            return;
        }
        call->upstreams->stats.connect_failures++;
    }
    dp_timer_stop(&call->timer);
    fail_later(call, failure);
}

static void find_address(struct dp_upstream_call *call)
{
    struct dp_endpoint *endpoint = call->member->endpoint;
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    unsigned count = dp_endpoint_addresses(endpoint, addresses);
    if (count > 0) {
        const struct dp_pool *pool = dp_pool_find(call->upstreams, endpoint);
        /* connect_next steps before it looks. */
        call->address = (uint8_t)((pool ? pool->address : 0) + count - 1);
        call->addresses_left = (uint8_t)count;
        connect_next(call, DP_FAILURE_CONNECT);
    } else if (!dp_endpoint_is_settled(endpoint) &&
               call->upstreams->options.loop->now_ms < call->resolve_until_ms) {
        call->state = DP_CALL_RESOLVING;
        arm(call, RESOLVE_POLL_MS);
    } else {
        fail_later(call, DP_FAILURE_UNRESOLVED);
    }
}

/* What is there and can take the request at once. NULL: nothing. */
static struct dp_upstream_link *take_link(struct dp_upstream_call *call)
{
    if (uses_http2(call))
        return dp_uh2_link_take(call);
    struct dp_h1_link *link = call->fresh_only ? NULL : dp_pool_take(call);
    return link ? &link->base : NULL;
}

static void begin_attempt(struct dp_upstream_call *call)
{
    struct dp_upstreams *upstreams = call->upstreams;
    call->attempts++;
    call->head = (struct dp_response_head){0};
    call->bytes_in = call->bytes_out = 0;
    call->sent_ns = call->head_ns = 0;
    struct dp_upstream_link *link = take_link(call);
    call->reused = link != NULL;
    if (link) {
        upstreams->stats.reuses++;
        attach(call, link);
        return;
    }
    call->resolve_until_ms =
        upstreams->options.loop->now_ms + upstreams->options.connect_timeout_ms;
    find_address(call);
}

/* True: there is a member to try it with, and what it costs is paid. */
static bool take_retry(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    struct dp_upstreams *upstreams = call->upstreams;
    const struct dp_upstream_request *request = call->request;
    struct dp_retry_case c = {
        .failure = failure,
        .is_idempotent = dp_method_is_idempotent(request->method),
        .has_sent = call->bytes_out > 0,
        .can_replay = call->can_replay,
        .retry_count = request->retry_count,
        .retries = call->retries,
        .refusals = call->refusals,
        .members = request->channel->member_count,
    };
    if (failure == DP_FAILURE_NO_TUNNEL && request->tls && !call->http1_only) {
        call->http1_only = true; /* TLS lets both ends agree on another protocol */
        return true;
    }
    if (c.members == 0 || !dp_retry_is_allowed(&c))
        return false;
    if (failure == DP_FAILURE_STALE) {
        call->fresh_only = true;
        return true;
    }
    if (failure == DP_FAILURE_REFUSED) {
        call->refusals++;
        return true;
    }
    if (!dp_retry_take(&upstreams->budgets, request->channel->cursor,
                       upstreams->options.loop->now_ms)) {
        upstreams->stats.budget_refusals++;
        return false;
    }
    upstreams->stats.retries++;
    call->retries++;
    call->http1_only = false; /* that was about the member that is left */
    return pick_member(call);
}

/* The retry is paid for. */
static void try_again(struct dp_upstream_call *call)
{
    struct dp_upstream_link *link = call->link;
    dp_timer_stop(&call->timer);
    if (call->wants_body) { /* only with a link */
        set_wants_body(call, false);
        if (!link->call)
            return; /* the owner has left */
    }
    drop_link(call);
    begin_attempt(call);
}

void dp_call_attempt_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    if (failure == DP_FAILURE_STALE)
        call->upstreams->stats.stale++;
    if (failure == DP_FAILURE_TIMEOUT)
        call->upstreams->stats.timeouts++;
    if (take_retry(call, failure))
        try_again(call);
    else
        fail(call, failure);
}

/* ---- what the connection tells */

void dp_call_connected(struct dp_upstream_call *call)
{
    dp_timer_stop(&call->timer);
    attach(call, call->link);
}

void dp_call_connect_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    dp_timer_stop(&call->timer);
    drop_link(call);
    connect_next(call, failure);
}

void dp_call_displaced(struct dp_upstream_call *call)
{
    drop_link(call);
    call->address--;
    call->addresses_left++;
    connect_next(call, DP_FAILURE_CONNECT);
}

void dp_call_drained(struct dp_upstream_call *call)
{
    if (call->body_complete && call->sent_ns == 0) {
        call->sent_ns = call->upstreams->options.loop->now_ns;
        arm(call, call->request->timeout_ms);
    } else if (!call->body_complete) {
        dp_timer_stop(&call->timer);
    }
    if (call->state == DP_CALL_ANSWERING)
        watch_answer(call);
    update_wants_body(call);
}

void dp_call_stalled(struct dp_upstream_call *call)
{
    if (call->state == DP_CALL_ANSWERING)
        watch_answer(call);
    else
        arm(call, call->request->timeout_ms);
    update_wants_body(call);
}

void dp_call_send_failed(struct dp_upstream_call *call)
{
    dp_loop_later(call->upstreams->options.loop, &call->task);
}

/* What says nothing for a while on purpose. */
static bool is_stream(const struct dp_upstream_call *call)
{
    gw_str type = dp_headers_value(&call->head.headers, DP_HEADER_CONTENT_TYPE);
    return call->framing.kind == DP_BODY_TUNNEL ||
           gw_str_eq_nocase(gw_str_trim(gw_str_split(&type, ';')), GW_STR("text/event-stream"));
}

static bool is_retryable_status(unsigned status)
{
    return status == 502 || status == 503 || status == 504;
}

void dp_call_answered(struct dp_upstream_call *call)
{
    if (is_retryable_status(call->head.status) && take_retry(call, DP_FAILURE_STATUS)) {
        try_again(call);
        return;
    }
    call->head_ns = call->upstreams->options.loop->now_ns;
    call->state = DP_CALL_ANSWERING;
    call->is_stream = is_stream(call);
    dp_timer_stop(&call->timer);
    forget_body(call);
    call->events->head(call);
}

void dp_call_starved(struct dp_upstream_call *call)
{
    watch_answer(call);
}

void dp_call_half_ended(struct dp_upstream_call *call)
{
    call->answer_complete = true;
    call->wants_answer = false;
    watch_answer(call);
    call->events->body(call, GW_STR_NONE, true);
}

void dp_call_cut(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    fail(call, failure);
}

/* ---- the owner's side */

static void go_on(struct dp_upstream_call *call)
{
    struct dp_upstream_link *link = call->link;
    update_wants_body(call);
    link->ops->pump(link); /* nothing when the owner has left */
}

static void on_task(struct dp_task *task)
{
    struct dp_upstream_call *call = gw_container_of(task, struct dp_upstream_call, task);
    if (call->state == DP_CALL_FAILING)
        dp_call_attempt_failed(call, (enum dp_upstream_failure)call->failure);
    else if (call->state == DP_CALL_SENDING)
        update_wants_body(call);
    else if (call->state == DP_CALL_ANSWERING)
        go_on(call);
}

static void on_timeout(struct dp_timer *timer)
{
    struct dp_upstream_call *call = gw_container_of(timer, struct dp_upstream_call, timer);
    switch (call->state) {
    case DP_CALL_RESOLVING:
        find_address(call);
        break;
    case DP_CALL_CONNECTING:
        call->upstreams->stats.connect_failures++;
        dp_call_connect_failed(call, DP_FAILURE_CONNECT_TIMEOUT);
        break;
    case DP_CALL_SENDING:
        dp_call_attempt_failed(call, DP_FAILURE_TIMEOUT);
        break;
    default:
        if (call->is_stream)
            call->upstreams->stats.stream_timeouts++;
        else
            call->upstreams->stats.timeouts++;
        fail(call, DP_FAILURE_TIMEOUT);
        break;
    }
}

static void on_deadline(struct dp_timer *timer)
{
    struct dp_upstream_call *call = gw_container_of(timer, struct dp_upstream_call, deadline);
    fail(call, DP_FAILURE_DEADLINE);
}

void dp_upstream_start(struct dp_upstreams *upstreams, struct dp_upstream_call *call,
                       const struct dp_upstream_request *request,
                       const struct dp_upstream_events *events, struct gw_arena *arena)
{
    const struct dp_h1_framing *framing = &request->framing;
    *call = (struct dp_upstream_call){
        .events = events,
        .started_ns = upstreams->options.loop->now_ns,
        .upstreams = upstreams,
        .request = request,
        .arena = arena,
        .can_replay = true,
        .body_complete = framing->kind == DP_BODY_NONE ||
                         (framing->kind == DP_BODY_LENGTH && framing->length == 0),
    };
    dp_timer_init(&call->timer, on_timeout);
    dp_timer_init(&call->deadline, on_deadline);
    if (request->deadline_ms > 0)
        dp_timer_arm(&upstreams->options.loop->wheel, &call->deadline, request->deadline_ms);
    dp_task_init(&call->task, on_task);
    dp_retry_count_request(&upstreams->budgets, request->channel->cursor,
                           upstreams->options.loop->now_ms);
    if (pick_member(call))
        begin_attempt(call);
    else
        fail_later(call, DP_FAILURE_NO_MEMBER);
}

static void open_tunnel(struct dp_upstream_call *call)
{
    call->tunnel = true;
    call->body_complete = false;
    call->link->ops->open_tunnel(call->link);
}

void dp_upstream_read_body(struct dp_upstream_call *call, bool on)
{
    if (call->state == DP_CALL_ENDED || call->wants_answer == on || call->answer_complete)
        return;
    call->wants_answer = on;
    if (call->state != DP_CALL_ANSWERING)
        return;
    if (call->framing.kind == DP_BODY_TUNNEL && !call->tunnel)
        open_tunnel(call);
    if (!on || call->tunnel)
        watch_answer(call);
    if (!on)
        return;
    dp_loop_later(call->upstreams->options.loop, &call->task);
    call->link->ops->resume(call->link);
}

const struct dp_headers *dp_upstream_trailers(const struct dp_upstream_call *call)
{
    return &call->trailers;
}

void dp_upstream_cancel(struct dp_upstream_call *call)
{
    if (call->state == DP_CALL_ENDED)
        return;
    drop_link(call);
    dp_call_end(call);
}
