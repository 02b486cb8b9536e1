/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: bytes to requests. answer.c has the other direction. */
#include "dataplane/downstream/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define HALF_CLOSED_MS 3000
/* After the last answer, what still comes is read and dropped, so that no reset overtakes the
 * answer: many callers write a whole upload before they read. */
#define LINGER_SILENCE_MS 2000
#define LINGER_MS 30000

static void close_connection(struct dp_downstream *d)
{
    struct dp_server *server = d->server;
    if (d->conn.fd < 0)
        return;
    d->reading = false;
    dp_timer_stop(&d->timer);
    dp_task_cancel(&d->task);
    dp_conn_close(&d->conn);
    gw_list_remove(&d->node);
    if (--server->count == 0 && server->emptied)
        server->emptied(server);
}

void dp_downstream_leave(struct dp_downstream *d)
{
    void *request = d->request;
    d->request = NULL;
    d->reading = false;
    if (request) /* before its input goes: the handler's views are still good */
        d->server->handler->fault(request, DP_FAULT_GONE, 0);
    close_connection(d);
}

/* The request cannot be read on: the handler answers, and the connection ends with the answer. */
static void report(struct dp_downstream *d, enum dp_downstream_fault fault, ptrdiff_t error)
{
    d->phase = DP_PHASE_REQUEST;
    d->broken = true;
    d->reading = false;
    d->server->handler->fault(d->request, fault, error);
}

static void begin_head(struct dp_downstream *d)
{
    struct dp_server *server = d->server;
    d->phase = DP_PHASE_HEAD;
    d->bytes_in = d->bytes_out = 0;
    d->head_sent = d->answer_done = d->broken = d->reading = d->continued = false;
    d->keep_alive = d->half_closed = false;
    d->framing = (struct dp_h1_framing){.minor = 1};
    d->body = (struct dp_h1_body){.done = true};
    d->request = server->handler->begin(d, &d->head, &d->arena);
    dp_h1_parser_init(&d->parser, &dp_h1_limits_default, d->arena);
    dp_loop_arm(server->loop, &d->timer, server->limits.head_timeout_ms);
}

static void parse_head(struct dp_downstream *d)
{
    gw_str view = dp_input_view(&d->conn.input);
    ptrdiff_t n = dp_h1_parse_request(&d->parser, view, d->head, &d->framing);
    if (n == 0)
        return;
    dp_timer_stop(&d->timer);
    if (n < 0) {
        d->bytes_in = view.len;
        report(d, DP_FAULT_BAD_HEAD, n);
        return;
    }
    dp_input_consume(&d->conn.input, (size_t)n);
    dp_input_hold(&d->conn.input);
    d->bytes_in = (uint64_t)n;
    d->phase = DP_PHASE_REQUEST;
    dp_h1_body_init(&d->body, &d->framing, &dp_h1_limits_default, d->arena);
    d->server->handler->head(d->request);
}

static void stop_body_timer(struct dp_downstream *d)
{
    if (d->half_closed && !d->head_sent)
        dp_loop_arm(d->server->loop, &d->timer, HALF_CLOSED_MS);
    else
        dp_timer_stop(&d->timer);
}

static void pump_body(struct dp_downstream *d)
{
    while (d->reading && !d->body.done) {
        gw_str data;
        ptrdiff_t n = dp_h1_body_next(&d->body, dp_input_view(&d->conn.input), &data);
        if (n < 0) {
            report(d, DP_FAULT_BAD_BODY, n);
            return;
        }
        if (n == 0 && d->half_closed) {
            dp_downstream_leave(d);
            return;
        }
        if (n == 0) {
            if (!d->conn.blocked)
                dp_loop_arm(d->server->loop, &d->timer, d->server->limits.body_timeout_ms);
            return;
        }
        dp_input_consume(&d->conn.input, (size_t)n);
        d->bytes_in += (uint64_t)n;
        if (d->body.done && !d->conn.blocked)
            stop_body_timer(d);
        if (data.len > 0 || d->body.done)
            d->server->handler->body(d->request, data, d->body.done);
    }
}

static void go_idle(struct dp_downstream *d)
{
    dp_input_release(&d->conn.input, &d->conn.loop->blocks);
    d->phase = DP_PHASE_IDLE;
    bool has_more = dp_input_view(&d->conn.input).len > 0;
    if (d->server->draining && !has_more) {
        close_connection(d);
        return;
    }
    dp_loop_arm(d->server->loop, &d->timer, d->server->limits.idle_timeout_ms);
    dp_conn_resume(&d->conn);
    if (has_more)
        dp_loop_later(d->server->loop, &d->task);
}

static void discard_body(struct dp_downstream *d)
{
    gw_str data;
    ptrdiff_t n;
    while ((n = dp_h1_body_next(&d->body, dp_input_view(&d->conn.input), &data)) > 0)
        dp_input_consume(&d->conn.input, (size_t)n);
    if (n < 0)
        close_connection(d);
    else if (d->body.done)
        go_idle(d);
}

/* RFC 9112 2.2: an empty line before a request is ignored; some callers send one after a body. */
static void skip_empty_lines(struct dp_downstream *d)
{
    gw_str view = dp_input_view(&d->conn.input);
    while (view.len >= 2 && memcmp(view.ptr, "\r\n", 2) == 0) {
        dp_input_consume(&d->conn.input, 2);
        view = dp_input_view(&d->conn.input);
    }
    if (view.len == 0)
        dp_input_release(&d->conn.input, &d->conn.loop->blocks);
}

static void advance(struct dp_downstream *d)
{
    if (d->phase == DP_PHASE_IDLE) {
        skip_empty_lines(d);
        if (dp_input_view(&d->conn.input).len == 0)
            return;
        begin_head(d);
    }
    if (d->phase == DP_PHASE_HEAD)
        parse_head(d);
    else if (d->phase == DP_PHASE_REQUEST)
        pump_body(d);
    else if (d->phase == DP_PHASE_DISCARD)
        discard_body(d);
}

static void on_task(struct dp_task *task)
{
    advance(gw_container_of(task, struct dp_downstream, task));
}

static void on_linger(struct dp_downstream *d)
{
    ptrdiff_t n = dp_conn_read(&d->conn, 0);
    if (n == -EAGAIN)
        return;
    if (n <= 0 || d->server->loop->now_ms >= d->linger_until_ms) {
        close_connection(d);
        return;
    }
    dp_input_consume(&d->conn.input, (size_t)n);
    dp_input_release(&d->conn.input, &d->conn.loop->blocks);
    dp_loop_arm(d->server->loop, &d->timer, LINGER_SILENCE_MS);
}

static size_t expected_bytes(const struct dp_downstream *d)
{
    if (d->phase != DP_PHASE_REQUEST || !d->reading || d->body.done)
        return 0;
    return d->body.kind == DP_BODY_LENGTH ? (size_t)d->body.left : DP_BLOCK_BODY;
}

/* FIN behind a whole request: either the caller has left, or it has said all that it wants to say
 * and waits for the answer. One that begins soon goes out; if nobody is there, writing tells. */
static void hear_end(struct dp_downstream *d)
{
    dp_conn_pause(&d->conn);
    d->half_closed = true;
    if (!d->body.done)
        pump_body(d); /* what has come of it may be all */
    else if (!d->head_sent)
        dp_loop_arm(d->server->loop, &d->timer, HALF_CLOSED_MS);
}

static void on_readable(struct dp_conn *conn)
{
    struct dp_downstream *d = gw_container_of(conn, struct dp_downstream, conn);
    if (d->phase == DP_PHASE_LINGER) {
        on_linger(d);
        return;
    }
    bool is_wanted = d->phase != DP_PHASE_REQUEST || (d->reading && !d->body.done);
    if (!is_wanted && dp_input_room_left(&conn->input) == 0) {
        dp_conn_pause(conn); /* what is read ahead is bounded */
        return;
    }
    ptrdiff_t n = dp_conn_read(conn, expected_bytes(d));
    if (n > 0)
        advance(d);
    else if (n == 0 && d->phase == DP_PHASE_REQUEST)
        hear_end(d);
    else if (n != -EAGAIN)
        dp_downstream_leave(d);
}

static void on_drained(struct dp_conn *conn)
{
    struct dp_downstream *d = gw_container_of(conn, struct dp_downstream, conn);
    if (d->phase != DP_PHASE_REQUEST)
        return;
    if (d->reading && !d->body.done)
        dp_loop_arm(conn->loop, &d->timer, d->server->limits.body_timeout_ms);
    else
        dp_timer_stop(&d->timer);
    if (d->answer_done) {
        d->answer_done = false;
        d->server->handler->sent(d->request);
    } else if (d->head_sent) {
        d->server->handler->drained(d->request);
    }
}

static void on_stalled(struct dp_conn *conn)
{
    struct dp_downstream *d = gw_container_of(conn, struct dp_downstream, conn);
    dp_loop_arm(conn->loop, &d->timer, d->server->limits.write_timeout_ms);
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error; /* a caller who left is no news */
    dp_downstream_leave(gw_container_of(conn, struct dp_downstream, conn));
}

static void on_freed(struct dp_conn *conn)
{
    free(gw_container_of(conn, struct dp_downstream, conn));
}

static void on_request_timeout(struct dp_downstream *d)
{
    struct dp_server_stats *stats = &d->server->stats;
    if (d->conn.blocked) {
        stats->write_timeouts++;
        dp_downstream_leave(d);
    } else if (d->half_closed) {
        dp_downstream_leave(d);
    } else {
        stats->body_timeouts++;
        report(d, DP_FAULT_BODY_TIMEOUT, 0);
    }
}

static void on_timeout(struct dp_timer *timer)
{
    struct dp_downstream *d = gw_container_of(timer, struct dp_downstream, timer);
    switch (d->phase) {
    case DP_PHASE_HEAD:
        d->server->stats.head_timeouts++;
        d->bytes_in = dp_input_view(&d->conn.input).len;
        report(d, DP_FAULT_HEAD_TIMEOUT, 0);
        break;
    case DP_PHASE_REQUEST:
        on_request_timeout(d);
        break;
    case DP_PHASE_IDLE:
        d->server->stats.idle_timeouts++;
        close_connection(d);
        break;
    default:
        close_connection(d);
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

struct dp_downstream *dp_downstream_new(struct dp_server *server, int fd,
                                        const struct sockaddr *peer)
{
    struct dp_downstream *d = gw_calloc(1, sizeof(*d));
    d->server = server;
    d->peer = dp_address_from(peer);
    d->peer_text_len = (uint8_t)dp_address_print(&d->peer, d->peer_text);
    dp_timer_init(&d->timer, on_timeout);
    dp_task_init(&d->task, on_task);
    gw_list_push(&server->downstreams, &d->node);
    server->count++;
    dp_conn_init(&d->conn, server->loop, &events, fd);
    dp_loop_arm(server->loop, &d->timer, server->limits.idle_timeout_ms);
    return d;
}

void dp_downstream_close_idle(struct dp_downstream *d)
{
    if (d->phase != DP_PHASE_IDLE)
        return;
    /* A request may have arrived since the loop last looked. */
    ptrdiff_t n = dp_conn_read(&d->conn, 0);
    if (n > 0)
        dp_loop_later(d->server->loop, &d->task);
    else
        close_connection(d);
}

void dp_downstream_read_body(struct dp_downstream *d, bool on)
{
    struct dp_loop *loop = d->server->loop;
    if (d->conn.fd < 0 || d->body.done || d->reading == on)
        return;
    d->reading = on;
    if (!on) {
        if (!d->conn.blocked)
            dp_timer_stop(&d->timer);
        return;
    }
    bool is_awaited = d->framing.expect_continue && !d->continued && !d->head_sent;
    if (is_awaited && dp_input_view(&d->conn.input).len == 0)
        dp_conn_send(&d->conn, GW_STR("HTTP/1.1 100 Continue\r\n\r\n"));
    d->continued = true;
    if (!d->conn.blocked)
        dp_loop_arm(loop, &d->timer, d->server->limits.body_timeout_ms);
    dp_conn_resume(&d->conn);
    dp_loop_later(loop, &d->task);
}

static void linger(struct dp_downstream *d)
{
    struct dp_loop *loop = d->server->loop;
    d->phase = DP_PHASE_LINGER;
    d->linger_until_ms = loop->now_ms + LINGER_MS;
    if (d->conn.input.block)
        dp_input_consume(&d->conn.input, dp_input_view(&d->conn.input).len);
    dp_input_release(&d->conn.input, &d->conn.loop->blocks);
    dp_conn_shutdown(&d->conn);
    dp_conn_resume(&d->conn);
    dp_loop_arm(loop, &d->timer, LINGER_SILENCE_MS);
}

/* What comes in after a close is answered by a reset, which may overtake the answer. */
static bool may_say_more(const struct dp_downstream *d)
{
    bool is_over = d->body.done && !d->broken && dp_input_view(&d->conn.input).len == 0;
    return !d->half_closed && (!is_over || d->framing.keep_alive);
}

void dp_downstream_finish(struct dp_downstream *d)
{
    d->request = NULL;
    d->reading = false;
    dp_timer_stop(&d->timer);
    if (!d->keep_alive) {
        if (may_say_more(d))
            linger(d);
        else
            close_connection(d);
        return;
    }
    if (d->body.done) {
        go_idle(d);
        return;
    }
    dp_input_release(&d->conn.input, &d->conn.loop->blocks);
    d->phase = DP_PHASE_DISCARD;
    dp_loop_arm(d->server->loop, &d->timer, d->server->limits.body_timeout_ms);
    dp_conn_resume(&d->conn);
    dp_loop_later(d->server->loop, &d->task);
}

void dp_downstream_abort(struct dp_downstream *d)
{
    d->request = NULL;
    /* To a reader of "until close" only a reset tells a cut answer from a whole one. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    dp_conn_push(
        &d->conn); /* half an answer says more than none, which looks like a lost request */
    if (d->conn.fd >= 0 && d->head_sent && d->out_kind == DP_BODY_UNTIL_CLOSE)
        (void)setsockopt(d->conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close_connection(d);
}
