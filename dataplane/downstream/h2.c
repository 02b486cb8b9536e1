/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 sessions: from the first byte to the last. */
#include "dataplane/downstream/h2_stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* What the caller may send of all bodies together before it hears that it was taken. */
#define CONNECTION_WINDOW (1024 * 1024)
#define CONTINUATIONS_MAX 8     /* frames behind HEADERS: the largest head there may be fits */
#define UNREAD_ANSWERS_MAX 1000 /* acknowledgements that wait to be read */
#define ANSWER_FIELDS_MAX (512 * 1024) /* bytes; the limits of heads and policies are far below */
#define LINGER_SILENCE_MS 2000
#define LINGER_MS 10000

static struct dp_loop *loop_of(const struct dp_h2_session *session)
{
    return session->connection->server->loop;
}

/* ---- timer */

static void wait_for(struct dp_h2_session *session, enum dp_h2_wait wait, gw_msec after_ms)
{
    session->wait = wait;
    dp_loop_arm(loop_of(session), &session->connection->timer, after_ms);
}

/* What there is to wait for now; a wait that goes on is not started anew. */
static void set_timer(struct dp_h2_session *session)
{
    const struct dp_server_limits *limits = &session->connection->server->limits;
    if (session->phase == DP_H2_LINGER || session->wait == DP_H2_WAIT_WRITE)
        return;
    if (session->heading) {
        if (session->wait != DP_H2_WAIT_HEAD || session->wait_stream != session->heading->id)
            wait_for(session, DP_H2_WAIT_HEAD, limits->head_timeout_ms);
        session->wait_stream = session->heading->id;
    } else if (session->stream_count == 0) {
        if (session->wait != DP_H2_WAIT_IDLE)
            wait_for(session, DP_H2_WAIT_IDLE, limits->idle_timeout_ms);
    } else {
        wait_for(session, DP_H2_WAIT_SIGN, limits->idle_timeout_ms);
    }
}

/* Streams may wait for their backends for long; a caller that is no more would never be missed. */
static void probe(struct dp_h2_session *session)
{
    session->probed = true;
    (void)nghttp2_submit_ping(session->h2, NGHTTP2_FLAG_NONE, NULL); /* for want of memory only */
    dp_h2_send_later(session);
    set_timer(session);
}

/* ---- the end */

static void forget_streams(struct dp_h2_session *session)
{
    const struct dp_handler *handler = session->connection->server->handler;
    gw_list_each(&session->streams, it)
    {
        struct dp_h2_stream *stream = gw_container_of(it, struct dp_h2_stream, node);
        void *request = stream->request;
        stream->closed = true;
        stream->request = NULL;
        if (request)
            handler->fault(request, DP_FAULT_GONE, stream->error);
        dp_h2_stream_free(stream);
    }
}

static void close_session(struct dp_h2_session *session)
{
    session->phase = DP_H2_LINGER; /* whatever is still on its way finds nobody */
    forget_streams(session);
    dp_task_cancel(&session->tell);
    dp_task_cancel(&session->send);
    dp_connection_close(session->connection);
}

static void linger(struct dp_h2_session *session)
{
    session->phase = DP_H2_LINGER;
    session->linger_until_ms = loop_of(session)->now_ms + LINGER_MS;
    forget_streams(session);
    dp_conn_shutdown(&session->connection->conn);
    wait_for(session, DP_H2_WAIT_LINGER, LINGER_SILENCE_MS);
}

/* nghttp2 wants nothing any more: the FIN comes when the last bytes have left. */
static void end_if_over(struct dp_h2_session *session)
{
    if (session->phase >= DP_H2_ENDING || nghttp2_session_want_read(session->h2) ||
        nghttp2_session_want_write(session->h2))
        return;
    session->phase = DP_H2_ENDING;
    dp_conn_touch(&session->connection->conn);
}

/* Says GOAWAY; with an error at once, without one when what was begun is finished. */
static void go_away(struct dp_h2_session *session, uint32_t code)
{
    int32_t last = nghttp2_session_get_last_proc_stream_id(session->h2);
    if (session->phase >= DP_H2_LEAVING && code == NGHTTP2_NO_ERROR)
        return;
    session->phase = GW_MAX(session->phase, DP_H2_LEAVING);
    if (code == NGHTTP2_NO_ERROR)
        (void)nghttp2_submit_goaway(session->h2, NGHTTP2_FLAG_NONE, last, code, NULL, 0);
    else
        (void)nghttp2_session_terminate_session(session->h2, code);
    dp_h2_send_later(session);
}

/* ---- bytes out */

void dp_h2_pump(struct dp_h2_session *session)
{
    struct dp_conn *conn = &session->connection->conn;
    assert(!session->inside);
    session->inside = true;
    while (dp_conn_pending(conn) < DP_CONN_HIGH_WATER) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(session->h2, &bytes);
        if (n <= 0)
            break;
        dp_conn_queue(conn, gw_str_n((const char *)bytes, (size_t)n));
    }
    session->inside = false;
}

static void on_send(struct dp_task *task)
{
    struct dp_h2_session *session = gw_container_of(task, struct dp_h2_session, send);
    if (session->phase >= DP_H2_ENDING)
        return;
    dp_h2_pump(session);
    end_if_over(session);
}

/* ---- news for handlers */

void dp_h2_tell_later(struct dp_h2_stream *stream)
{
    struct dp_h2_session *session = stream->session;
    if (session->phase == DP_H2_LINGER)
        return;
    if (gw_list_is_empty(&stream->ready))
        gw_list_push(&session->ready, &stream->ready);
    dp_loop_later(loop_of(session), &session->tell);
}

static void on_tell(struct dp_task *task)
{
    struct dp_h2_session *session = gw_container_of(task, struct dp_h2_session, tell);
    while (!gw_list_is_empty(&session->ready)) {
        struct dp_h2_stream *stream =
            gw_container_of(session->ready.next, struct dp_h2_stream, ready);
        gw_list_remove(&stream->ready);
        dp_h2_stream_tell(stream);
    }
    set_timer(session);
    dp_h2_send_later(session); /* the end of the last stream may be the end of all */
}

/* ---- bytes in */

static uint32_t code_of_failure(struct dp_h2_session *session, ssize_t error)
{
    if (error == NGHTTP2_ERR_FLOODED)
        dp_h2_flood_hit(session, DP_H2_FLOOD_FRAMES);
    else if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        dp_h2_flood_hit(session, DP_H2_FLOOD_CONTINUATIONS);
    return session->guard.code != NGHTTP2_NO_ERROR ? session->guard.code : NGHTTP2_PROTOCOL_ERROR;
}

static void feed(struct dp_h2_session *session)
{
    struct dp_conn *conn = &session->connection->conn;
    gw_str view = dp_input_view(&conn->input);
    ssize_t n = 0;
    session->probed = false;
    if (view.len > 0 && session->phase < DP_H2_ENDING) {
        session->inside = true;
        n = NGHTTP2_ERR_CALLBACK_FAILURE;
        if (dp_h2_closed_scan(session, view))
            n = nghttp2_session_mem_recv(session->h2, (const uint8_t *)view.ptr, view.len);
        session->inside = false;
    }
    dp_input_consume(&conn->input, view.len);
    dp_input_release(&conn->input, &conn->loop->blocks);
    if (n < 0) {
        session->heading = NULL;
        go_away(session, code_of_failure(session, n));
        dp_h2_pump(session);
        if (session->phase < DP_H2_ENDING) {
            session->phase = DP_H2_ENDING;
            dp_conn_touch(conn);
        }
    }
    set_timer(session);
    dp_h2_send_later(session);
}

static struct dp_h2_session *session_of(struct dp_conn *conn)
{
    return gw_container_of(conn, struct dp_connection, conn)->h2;
}

static void on_linger(struct dp_h2_session *session)
{
    struct dp_conn *conn = &session->connection->conn;
    ptrdiff_t n = dp_conn_read(conn, 0);
    if (n == -EAGAIN)
        return;
    if (n <= 0 || loop_of(session)->now_ms >= session->linger_until_ms) {
        close_session(session);
        return;
    }
    dp_input_consume(&conn->input, (size_t)n);
    dp_input_release(&conn->input, &conn->loop->blocks);
    wait_for(session, DP_H2_WAIT_LINGER, LINGER_SILENCE_MS);
}

static void on_readable(struct dp_conn *conn)
{
    struct dp_h2_session *session = session_of(conn);
    if (session->phase == DP_H2_LINGER) {
        on_linger(session);
        return;
    }
    ptrdiff_t n = dp_conn_read(conn, DP_BLOCK_BODY);
    if (n > 0)
        feed(session);
    else if (n != -EAGAIN)
        close_session(session); /* a half of a connection has no meaning in HTTP/2 */
}

static void on_drained(struct dp_conn *conn)
{
    struct dp_h2_session *session = session_of(conn);
    if (session->phase == DP_H2_LINGER)
        return;
    if (session->phase == DP_H2_ENDING) {
        linger(session);
        return;
    }
    if (session->wait == DP_H2_WAIT_WRITE) {
        session->wait = DP_H2_WAIT_SIGN;
        set_timer(session);
    }
    if (nghttp2_session_want_write(session->h2))
        dp_h2_send_later(session);
}

static void on_stalled(struct dp_conn *conn)
{
    struct dp_h2_session *session = session_of(conn);
    if (session->phase != DP_H2_LINGER)
        wait_for(session, DP_H2_WAIT_WRITE, session->connection->server->limits.write_timeout_ms);
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error; /* a caller who left is no news */
    close_session(session_of(conn));
}

static void on_freed(struct dp_conn *conn)
{
    struct dp_connection *connection = gw_container_of(conn, struct dp_connection, conn);
    nghttp2_session_del(connection->h2->h2);
    free(connection->h2);
    free(connection); /* it stands first in its own memory */
}

static void on_timeout(struct dp_timer *timer)
{
    struct dp_connection *connection = gw_container_of(timer, struct dp_connection, timer);
    struct dp_server_stats *stats = &connection->server->stats;
    struct dp_h2_session *session = connection->h2;
    enum dp_h2_wait wait = session->wait;
    session->wait = DP_H2_WAIT_SIGN;
    switch (wait) {
    case DP_H2_WAIT_SIGN:
        if (!session->probed) {
            probe(session);
            break;
        }
        stats->idle_timeouts++;
        close_session(session);
        break;
    case DP_H2_WAIT_IDLE:
        stats->idle_timeouts++;
        go_away(session, NGHTTP2_NO_ERROR);
        wait_for(session, DP_H2_WAIT_LINGER, LINGER_SILENCE_MS); /* for what it is worth */
        break;
    case DP_H2_WAIT_HEAD:
        stats->head_timeouts++;
        session->heading = NULL;
        go_away(session, NGHTTP2_PROTOCOL_ERROR);
        wait_for(session, DP_H2_WAIT_LINGER, LINGER_SILENCE_MS);
        break;
    case DP_H2_WAIT_WRITE:
        stats->write_timeouts++;
        close_session(session);
        break;
    default:
        close_session(session);
        break;
    }
}

static const struct dp_conn_events events = {
    .readable = on_readable,
    .drained = on_drained,
    .stalled = on_stalled,
    .failed = on_failed,
    .freed = on_freed,
};

/* ---- what the server asks for */

static void leave(struct dp_connection *connection)
{
    close_session(connection->h2);
}

/* RFC 9113 6.8: first that there will be an end, so that nothing on its way is lost. */
static void drain(struct dp_connection *connection)
{
    struct dp_h2_session *session = connection->h2;
    if (session->phase != DP_H2_OPEN)
        return;
    (void)nghttp2_submit_shutdown_notice(session->h2); /* for want of memory only */
    dp_h2_send_later(session);
}

static void close_idle(struct dp_connection *connection)
{
    go_away(connection->h2, NGHTTP2_NO_ERROR);
}

static const struct dp_protocol protocol = {
    .leave = leave,
    .close_idle = close_idle,
    .drain = drain,
};

/* ---- the beginning */

static nghttp2_session_callbacks *callbacks; /* these two are set once and never freed */
static nghttp2_option *options;

static void make_callbacks(void)
{
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&options) != 0)
        gw_panic("out of memory");
    dp_h2_set_request_callbacks(callbacks);
    dp_h2_set_answer_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_continuations(options, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(options, ANSWER_FIELDS_MAX);
    nghttp2_option_set_max_outbound_ack(options, UNREAD_ANSWERS_MAX);
    /* Ours counts as well what is refused, and has a metric. */
    nghttp2_option_set_stream_reset_rate_limit(options, UINT32_MAX, UINT32_MAX);
}

static void introduce(struct dp_h2_session *session)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
         session->connection->server->limits.h2_streams_max},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, DP_H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, dp_h1_limits_default.head_bytes},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    if (nghttp2_submit_settings(session->h2, NGHTTP2_FLAG_NONE, settings, GW_ARRAY_LEN(settings)) !=
            0 ||
        nghttp2_session_set_local_window_size(session->h2, NGHTTP2_FLAG_NONE, 0,
                                              CONNECTION_WINDOW) != 0)
        gw_panic("out of memory");
}

void dp_h2_session_start(struct dp_connection *connection)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct dp_h2_session *session = gw_calloc(1, sizeof(*session));
    pthread_once(&once, make_callbacks);
    if (nghttp2_session_server_new2(&session->h2, callbacks, session, options) != 0)
        gw_panic("out of memory");
    session->connection = connection;
    session->guard.scan.skip = sizeof(DP_H2_PREFACE) - 1;
    gw_list_init(&session->streams);
    gw_list_init(&session->ready);
    dp_task_init(&session->tell, on_tell);
    dp_task_init(&session->send, on_send);
    dp_h2_flood_init(session);
    dp_timer_init(&connection->timer, on_timeout);
    connection->h2 = session;
    connection->protocol = &protocol;
    connection->conn.events = &events;
    connection->server->stats.h2_connections++;
    introduce(session);
    if (connection->server->draining)
        drain(connection);
    feed(session);
}
