/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one HTTP/2 connection to a backend: who may use it, when it is believed dead, and
 * what happens to its streams when it ends. */
#include "dataplane/upstream/h2_link.h"

#include "common/log.h"

#include <errno.h>
#include <stdlib.h>

static struct dp_upstreams *upstreams_of(const struct dp_uh2_session *session)
{
    return session->pool->upstreams;
}

static bool is_waited_for(const struct dp_uh2_session *session)
{
    return session->phase < DP_UH2_OPEN;
}

/* ---- the end */

static void set_idle(struct dp_uh2_session *session, bool is_idle)
{
    if (session->is_idle == is_idle)
        return;
    session->is_idle = is_idle;
    if (is_idle)
        upstreams_of(session)->stats.idle++;
    else
        upstreams_of(session)->stats.idle--;
}

/* As far as it leaves at once. */
static void say_goodbye(struct dp_uh2_session *session, enum dp_upstream_failure failure)
{
    bool is_theirs = failure == DP_FAILURE_PROTOCOL;
    const uint8_t *data;
    ssize_t n;
    if (session->phase == DP_UH2_DIALLING ||
        nghttp2_session_terminate_session(session->h2, is_theirs ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                 : NGHTTP2_NO_ERROR) != 0)
        return;
    while ((n = nghttp2_session_mem_send(session->h2, &data)) > 0)
        dp_conn_send(&session->conn, gw_str_n((const char *)data, (size_t)n));
    dp_conn_push(&session->conn);
}

/* What the end of its connection is to a stream. */
static enum dp_upstream_failure failure_of_stream(const struct dp_uh2_stream *stream,
                                                  enum dp_upstream_failure failure)
{
    const struct dp_upstream_call *call = stream->base.call;
    if (stream->head_told && failure == DP_FAILURE_TIMEOUT)
        return DP_FAILURE_RESET; /* the session's: the call itself has waited for nothing */
    bool was_heard = call->bytes_in > 0 || stream->session->heard_ms > stream->begun_ms;
    if (failure != DP_FAILURE_RESET || stream->id == 0)
        return failure;
    if (call->bytes_out == 0)
        return DP_FAILURE_REFUSED; /* nothing of it has left */
    return call->reused && !was_heard ? DP_FAILURE_STALE : failure;
}

void dp_uh2_session_close(struct dp_uh2_session *session, enum dp_upstream_failure failure)
{
    struct dp_pool *pool = session->pool;
    if (session->phase == DP_UH2_CLOSED)
        return;
    set_idle(session, false);
    if (session->phase == DP_UH2_OPEN)
        pool->upstreams->stats.h2_sessions--;
    session->phase = DP_UH2_CLOSED;
    gw_list_remove(&session->node);
    dp_timer_stop(&session->timer);
    dp_task_cancel(&session->task);
    dp_conn_close(&session->conn);
    while (!gw_list_is_empty(&session->streams)) {
        struct dp_uh2_stream *stream =
            gw_container_of(session->streams.next, struct dp_uh2_stream, node);
        dp_uh2_stream_lost(stream, failure_of_stream(stream, failure));
    }
    dp_pool_leave(pool);
}

/* Of a session that calls wait for. */
static void give_up(struct dp_uh2_session *session, enum dp_upstream_failure failure)
{
    upstreams_of(session)->stats.connect_failures++;
    dp_uh2_session_close(session, failure);
}

/* A person has to do something about it, and the answer to the caller does not say it. */
static void speaks_no_http2(struct dp_uh2_session *session)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    upstreams_of(session)->stats.h2_failures++;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, "upstream", "a backend does not speak HTTP/2",
               gw_kv_str("endpoint", dp_endpoint_name(session->pool->endpoint)),
               gw_kv_int("dropped", dropped));
    give_up(session, DP_FAILURE_PROTOCOL);
}

/* ---- timer: to connect; while it is unused; while answers are due */

static void ping(struct dp_uh2_session *session)
{
    session->ping_unanswered = true;
    session->heard_since_ping = false;
    session->pinged_ms = session->conn.loop->now_ms;
    (void)nghttp2_submit_ping(session->h2, 0, NULL); /* fails for want of memory: unanswered */
    dp_loop_arm(session->conn.loop, &session->timer,
                upstreams_of(session)->options.ping_timeout_ms);
    dp_uh2_session_touch(session);
}

/* What is left of `after` since `then`; at least a tick. */
static gw_msec rest_of(const struct dp_uh2_session *session, gw_msec then, gw_msec after)
{
    return GW_MAX(then + after - session->conn.loop->now_ms, (gw_msec)DP_WHEEL_TICK_MS);
}

static void watch_answers(struct dp_uh2_session *session)
{
    const struct dp_upstreams_options *options = &upstreams_of(session)->options;
    gw_msec now_ms = session->conn.loop->now_ms;
    gw_msec after_ms = rest_of(session, session->heard_ms, options->ping_after_ms);
    bool may_ping = session->pinged_ms == 0 || session->heard_since_ping;
    if (!may_ping)
        after_ms = GW_MAX(after_ms, rest_of(session, session->pinged_ms, DP_UH2_PING_AGAIN_MS));
    if (now_ms - session->heard_ms >= options->ping_after_ms &&
        (may_ping || now_ms - session->pinged_ms >= DP_UH2_PING_AGAIN_MS))
        ping(session);
    else
        dp_loop_arm(session->conn.loop, &session->timer, after_ms);
}

static void arm(struct dp_uh2_session *session)
{
    if (session->ping_unanswered)
        return; /* the timer runs for it */
    if (session->stream_count > 0)
        watch_answers(session);
    else
        dp_loop_arm(session->conn.loop, &session->timer,
                    upstreams_of(session)->options.idle_timeout_ms);
}

static void on_timer(struct dp_timer *timer)
{
    struct dp_uh2_session *session = gw_container_of(timer, struct dp_uh2_session, timer);
    if (is_waited_for(session)) {
        give_up(session, DP_FAILURE_CONNECT_TIMEOUT);
    } else if (session->ping_unanswered) {
        upstreams_of(session)->stats.h2_dead++;
        dp_uh2_session_close(session, DP_FAILURE_TIMEOUT);
    } else if (session->stream_count == 0) {
        say_goodbye(session, DP_FAILURE_RESET);
        dp_uh2_session_close(session, DP_FAILURE_RESET);
    } else {
        watch_answers(session);
    }
}

/* ---- writing */

static void tell_progress(struct dp_uh2_session *session)
{
    struct gw_list told;
    gw_list_init(&told);
    while (!gw_list_is_empty(&session->progressed)) {
        struct gw_list *node = session->progressed.next;
        gw_list_remove(node);
        gw_list_push(&told, node);
    }
    while (!gw_list_is_empty(&told)) {
        struct gw_list *node = told.next;
        gw_list_remove(node);
        dp_uh2_stream_tell(gw_container_of(node, struct dp_uh2_stream, progress));
    }
}

/* False: the session is closed. */
static bool write_frames(struct dp_uh2_session *session)
{
    const uint8_t *data;
    ssize_t n = 0;
    while (dp_conn_pending(&session->conn) < DP_CONN_HIGH_WATER &&
           (n = nghttp2_session_mem_send(session->h2, &data)) > 0)
        dp_conn_send(&session->conn, gw_str_n((const char *)data, (size_t)n));
    if (n < 0) {
        dp_uh2_session_close(session, DP_FAILURE_PROTOCOL);
        return false;
    }
    tell_progress(session);
    return session->phase != DP_UH2_CLOSED;
}

/* Neither side has anything to say any more: after an error that nghttp2 has told the peer of, or
 * after the last stream of a session that was told to end. */
static bool is_over(const struct dp_uh2_session *session)
{
    if (session->draining && session->stream_count == 0)
        return true;
    return !nghttp2_session_want_read(session->h2) && !nghttp2_session_want_write(session->h2);
}

static void on_task(struct dp_task *task)
{
    struct dp_uh2_session *session = gw_container_of(task, struct dp_uh2_session, task);
    if (is_waited_for(session) && session->stream_count == 0) {
        dp_uh2_session_close(session, DP_FAILURE_RESET); /* nobody waits any more */
        return;
    }
    if (session->phase == DP_UH2_DIALLING)
        return;
    if (session->suspect && !session->ping_unanswered)
        ping(session);
    if (!write_frames(session))
        return;
    if (is_over(session)) {
        dp_conn_push(&session->conn);
        if (is_waited_for(session))
            speaks_no_http2(session);
        else
            dp_uh2_session_close(session, DP_FAILURE_PROTOCOL);
        return;
    }
    bool is_idle = session->phase == DP_UH2_OPEN && session->stream_count == 0;
    if (is_idle != session->is_idle) {
        set_idle(session, is_idle);
        arm(session);
    }
}

void dp_uh2_session_touch(struct dp_uh2_session *session)
{
    if (session->phase != DP_UH2_CLOSED)
        dp_loop_later(session->conn.loop, &session->task);
}

/* ---- reading */

/* The peer's SETTINGS are there: who waited goes on, as many as it takes. */
static void open_session(struct dp_uh2_session *session)
{
    struct gw_list waiting;
    unsigned begun = 0;
    session->phase = DP_UH2_OPEN;
    session->opened_ms = session->conn.loop->now_ms;
    session->pool->address = session->address;
    session->pool->streams_assumed = GW_MAX(session->stream_limit, 1U);
    upstreams_of(session)->stats.h2_sessions++;
    gw_list_init(&waiting);
    while (!gw_list_is_empty(&session->streams)) {
        struct gw_list *node = session->streams.next;
        gw_list_remove(node);
        gw_list_push(&waiting, node);
    }
    while (!gw_list_is_empty(&waiting)) {
        struct dp_uh2_stream *stream = gw_container_of(waiting.next, struct dp_uh2_stream, node);
        gw_list_remove(&stream->node);
        gw_list_push(&session->streams, &stream->node);
        if (begun++ < session->stream_limit)
            dp_call_connected(stream->base.call);
        else if (session->stream_limit > 0)
            dp_call_displaced(stream->base.call);
        else
            dp_uh2_stream_lost(stream, DP_FAILURE_CONNECT);
    }
    session->is_idle = session->stream_count == 0;
    if (session->is_idle)
        upstreams_of(session)->stats.idle++;
    arm(session);
}

/* False: the session is closed. */
static bool receive(struct dp_uh2_session *session)
{
    struct dp_input *input = &session->conn.input;
    gw_str bytes = dp_input_view(input);
    session->heard_ms = session->conn.loop->now_ms;
    session->suspect = false;
    bool was_pinged = session->ping_unanswered;
    ssize_t n = nghttp2_session_mem_recv(session->h2, (const uint8_t *)bytes.ptr, bytes.len);
    if (n < 0) {
        upstreams_of(session)->stats.h2_floods++;
        if (is_waited_for(session)) {
            speaks_no_http2(session);
            return false;
        }
        say_goodbye(session, DP_FAILURE_PROTOCOL);
        dp_uh2_session_close(session, DP_FAILURE_PROTOCOL);
        return false;
    }
    dp_input_consume(input, bytes.len);
    dp_input_release(input, &session->conn.loop->blocks);
    if (session->phase == DP_UH2_GREETING && session->has_settings)
        open_session(session);
    else if (was_pinged)
        arm(session);
    dp_uh2_session_touch(session);
    return true;
}

static void on_readable(struct dp_conn *conn)
{
    struct dp_uh2_session *session = gw_container_of(conn, struct dp_uh2_session, conn);
    ptrdiff_t n = dp_conn_read(conn, DP_BLOCK_BODY);
    if (n > 0) {
        (void)receive(session); /* nothing follows */
    } else if (n == -EAGAIN) {
        dp_input_release(&conn->input, &conn->loop->blocks);
    } else if (session->phase == DP_UH2_GREETING) {
        speaks_no_http2(session);
    } else {
        dp_uh2_session_close(session, DP_FAILURE_RESET);
    }
}

/* ---- connecting */

static void greet(struct dp_uh2_session *session)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, DP_UH2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, DP_H1_HEAD_BYTES_MAX},
    };
    if (nghttp2_submit_settings(session->h2, 0, settings, GW_ARRAY_LEN(settings)) != 0 ||
        nghttp2_session_set_local_window_size(session->h2, 0, 0, DP_UH2_SESSION_WINDOW) != 0)
        gw_panic("nghttp2: settings refused");
    session->phase = DP_UH2_GREETING;
    dp_uh2_session_touch(session);
}

static void on_connected(struct dp_conn *conn)
{
    struct dp_uh2_session *session = gw_container_of(conn, struct dp_uh2_session, conn);
    if (session->tls.peer && !dp_link_tls_has_http2(conn))
        speaks_no_http2(session);
    else
        greet(session);
}

static void on_drained(struct dp_conn *conn)
{
    dp_uh2_session_touch(gw_container_of(conn, struct dp_uh2_session, conn));
}

static void on_stalled(struct dp_conn *conn)
{
    (void)conn; /* its streams are told by what of theirs does not leave */
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error; /* the failure says what matters */
    struct dp_uh2_session *session = gw_container_of(conn, struct dp_uh2_session, conn);
    if (session->phase == DP_UH2_DIALLING) {
        dp_link_tls_report(&session->tls, conn, session->pool);
        give_up(session, DP_FAILURE_CONNECT);
        return;
    }
    /* A backend may answer, say GOAWAY and close: what it said before counts. */
    while (dp_conn_read(conn, DP_BLOCK_BODY) > 0) {
        if (!receive(session))
            return;
    }
    dp_uh2_session_close(session, DP_FAILURE_RESET);
}

static void on_freed(struct dp_conn *conn)
{
    struct dp_uh2_session *session = gw_container_of(conn, struct dp_uh2_session, conn);
    nghttp2_session_del(session->h2);
    dp_link_tls_done(&session->tls);
    free(session);
}

static const struct dp_conn_events events = {
    .connected = on_connected,
    .readable = on_readable,
    .drained = on_drained,
    .stalled = on_stalled,
    .failed = on_failed,
    .freed = on_freed,
};

/* ---- for calls */

/* A name that has moved takes its traffic along: what is on the session ends there. */
static bool has_moved(struct dp_uh2_session *session)
{
    if (dp_endpoint_has(session->pool->endpoint, &session->peer, &session->peer_seen))
        return false;
    session->draining = true;
    dp_uh2_session_touch(session);
    return true;
}

static bool may_join(struct dp_uh2_session *session, const struct dp_upstream_call *call)
{
    if (!dp_link_tls_fits(&session->tls, call) || has_moved(session))
        return false;
    if (is_waited_for(session))
        return session->stream_count < session->pool->streams_assumed;
    /* After a connection was found stale, older ones may be, too. */
    bool is_old = call->fresh_only && session->opened_ms * 1000000 < call->started_ns;
    return !session->draining && !session->suspect && !is_old &&
           session->stream_count < session->stream_limit &&
           nghttp2_session_check_request_allowed(session->h2);
}

static struct dp_uh2_session *find(struct dp_upstream_call *call, bool is_waited)
{
    struct dp_pool *pool = dp_pool_find(call->upstreams, call->member->endpoint);
    if (!pool)
        return NULL;
    gw_list_each(&pool->sessions, it)
    {
        struct dp_uh2_session *session = gw_container_of(it, struct dp_uh2_session, node);
        if (is_waited_for(session) == is_waited && may_join(session, call))
            return session;
    }
    return NULL;
}

static void join(struct dp_upstream_call *call, struct dp_uh2_session *session)
{
    bool was_idle = session->is_idle;
    set_idle(session, false);
    dp_uh2_stream_join(call, session);
    if (was_idle) {
        session->heard_ms = session->conn.loop->now_ms; /* silence counts from here */
        arm(session);
    }
}

struct dp_upstream_link *dp_uh2_link_take(struct dp_upstream_call *call)
{
    struct dp_uh2_session *session = find(call, false);
    if (!session)
        return NULL;
    join(call, session);
    return call->link;
}

int dp_uh2_link_connect(struct dp_upstream_call *call, const struct dp_address *address,
                        unsigned index)
{
    struct dp_upstreams *upstreams = call->upstreams;
    struct dp_endpoint *endpoint = call->member->endpoint;
    struct dp_uh2_session *session = find(call, true);
    if (session) {
        call->address = session->address;
        join(call, session);
        return 0;
    }
    session = gw_calloc(1, sizeof(*session));
    upstreams->stats.connects++;
    int error = dp_conn_connect(&session->conn, upstreams->options.loop, &events, address,
                                dp_endpoint_port(endpoint));
    if (error) {
        free(session);
        return error;
    }
    session->pool = dp_pool_enter(upstreams, endpoint);
    session->h2 = dp_uh2_events_new_session(session);
    session->address = (uint8_t)index;
    session->peer = *address;
    session->stream_limit = session->pool->streams_assumed;
    gw_list_init(&session->streams);
    gw_list_init(&session->progressed);
    gw_list_push(&session->pool->sessions, &session->node);
    dp_timer_init(&session->timer, on_timer);
    dp_task_init(&session->task, on_task);
    if (call->request->tls &&
        (error = dp_link_tls_start(&session->tls, &session->conn, call, true)) != 0) {
        dp_uh2_session_close(session, DP_FAILURE_CONNECT);
        return error;
    }
    dp_loop_arm(upstreams->options.loop, &session->timer, upstreams->options.connect_timeout_ms);
    dp_uh2_stream_join(call, session);
    return 0;
}
