/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1, reading: bytes to requests. h1_answer.c has the other direction, h1_end.c the ends. */
#include "dataplane/downstream/h1_connection.h"
#include "dataplane/downstream/h2_session.h"
#include "dataplane/net/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The request cannot be read on: the handler answers, and the connection ends with the answer. */
static void report(struct dp_h1_connection *c, enum dp_downstream_fault fault, ptrdiff_t error)
{
    c->phase = DP_PHASE_REQUEST;
    c->broken = true;
    c->reading = false;
    c->base.server->handler->fault(c->request, fault, error);
}

static void begin_head(struct dp_h1_connection *c)
{
    struct dp_server *server = c->base.server;
    c->phase = DP_PHASE_HEAD;
    c->downstream.bytes_in = c->downstream.bytes_out = 0;
    c->downstream.sink = (struct dp_sink){0};
    c->downstream.body_sink = NULL;
    c->head_sent = c->answer_done = c->broken = c->reading = c->continued = false;
    c->keep_alive = c->half_closed = false;
    c->probes = 0;
    c->out_kind = DP_BODY_NONE;
    c->downstream.framing = (struct dp_h1_framing){.minor = 1};
    c->body = (struct dp_h1_body){.done = true};
    c->request = server->handler->begin(&c->downstream, &c->head, &c->arena);
    dp_h1_parser_init(&c->parser, &dp_h1_limits_default, c->arena);
}

static void parse_head(struct dp_h1_connection *c, bool is_new)
{
    gw_str view = dp_input_view(&c->base.conn.input);
    ptrdiff_t n = dp_h1_parse_request(&c->parser, view, c->head, &c->downstream.framing);
    if (n == 0 && is_new) /* mostly a head is whole, and needs no time limit */
        dp_loop_arm(c->base.server->loop, &c->base.timer, c->base.server->limits.head_timeout_ms);
    if (n == 0)
        return;
    dp_timer_rest(&c->base.timer);
    if (n < 0) {
        c->downstream.bytes_in = view.len;
        report(c, DP_FAULT_BAD_HEAD, n);
        return;
    }
    dp_input_consume(&c->base.conn.input, (size_t)n);
    dp_input_hold(&c->base.conn.input);
    c->downstream.bytes_in = (uint64_t)n;
    c->phase = DP_PHASE_REQUEST;
    dp_h1_body_init(&c->body, &c->downstream.framing, &dp_h1_limits_default, c->arena);
    c->body.is_strict = true;
    c->base.server->handler->head(c->request);
}

/* No byte of the request is due. */
static void stop_body_timer(struct dp_h1_connection *c)
{
    if (c->half_closed)
        dp_h1_watch_half(c);
    else
        dp_timer_rest(&c->base.timer);
}

/* All that came has been handed on. */
static void wait_for_body(struct dp_h1_connection *c)
{
    if (c->body.kind == DP_BODY_TUNNEL) /* an idle one holds no memory for input */
        dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    if (!c->half_closed && !c->base.conn.blocked)
        dp_h1_arm(c, c->base.server->limits.body_timeout_ms);
    else if (c->half_closed && dp_h1_body_close(&c->body))
        c->base.server->handler->body(c->request, GW_STR_NONE, true);
    else if (c->half_closed)
        dp_h1_leave(c);
}

static void pump_body(struct dp_h1_connection *c)
{
    while (c->reading && !c->body.done) {
        gw_str data;
        ptrdiff_t n = dp_h1_body_next(&c->body, dp_input_view(&c->base.conn.input), &data);
        if (n < 0) {
            report(c, DP_FAULT_BAD_BODY, n);
            return;
        }
        if (n == 0) {
            wait_for_body(c);
            return;
        }
        dp_input_consume(&c->base.conn.input, (size_t)n);
        c->downstream.bytes_in += (uint64_t)n;
        if (c->body.done && !c->base.conn.blocked)
            stop_body_timer(c);
        if (data.len > 0 || c->body.done)
            c->base.server->handler->body(c->request, data, c->body.done);
    }
}

void dp_h1_go_idle(struct dp_h1_connection *c)
{
    dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    c->phase = DP_PHASE_IDLE;
    bool has_more = dp_input_view(&c->base.conn.input).len > 0;
    if (c->base.server->draining && !has_more) {
        dp_h1_end(c);
        return;
    }
    dp_loop_arm(c->base.server->loop, &c->base.timer, c->base.server->limits.idle_timeout_ms);
    dp_conn_resume(&c->base.conn);
    if (has_more)
        dp_loop_later(c->base.server->loop, &c->task);
}

static void discard_body(struct dp_h1_connection *c)
{
    gw_str data;
    ptrdiff_t n;
    while ((n = dp_h1_body_next(&c->body, dp_input_view(&c->base.conn.input), &data)) > 0)
        dp_input_consume(&c->base.conn.input, (size_t)n);
    if (n < 0)
        dp_h1_close(c);
    else if (c->body.done)
        dp_h1_go_idle(c);
}

/* RFC 9112 2.2: an empty line before a request is ignored; some callers send one after a body. */
static void skip_empty_lines(struct dp_h1_connection *c)
{
    gw_str view = dp_input_view(&c->base.conn.input);
    while (view.len >= 2 && memcmp(view.ptr, "\r\n", 2) == 0) {
        dp_input_consume(&c->base.conn.input, 2);
        view = dp_input_view(&c->base.conn.input);
    }
    if (view.len == 0)
        dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
}

/* The caller knows that HTTP/2 is spoken here (RFC 9113 3.3). TLS has ALPN for it. 1: it speaks it;
 * 0: more bytes will tell; -1: no. */
static int is_h2(const struct dp_h1_connection *c)
{
    gw_str view = dp_input_view(&c->base.conn.input);
    size_t len = GW_MIN(view.len, sizeof(DP_H2_PREFACE) - 1);
    if (memcmp(view.ptr, DP_H2_PREFACE, len) != 0 || !c->is_new || c->base.conn.tls ||
        !c->base.server->limits.h2)
        return -1;
    return len == sizeof(DP_H2_PREFACE) - 1;
}

static void switch_to_h2(struct dp_h1_connection *c)
{
    dp_timer_stop(&c->base.timer);
    dp_task_cancel(&c->task);
    dp_h2_session_start(&c->base);
}

/* False: nothing to parse, or not for HTTP/1. */
static bool begin_request(struct dp_h1_connection *c)
{
    skip_empty_lines(c);
    gw_str view = dp_input_view(&c->base.conn.input);
    if (view.len == 0)
        return false;
    if (gw_unlikely(*view.ptr == *DP_H2_PREFACE)) {
        int verdict = is_h2(c);
        if (verdict == 1)
            switch_to_h2(c);
        if (verdict >= 0)
            return false;
    }
    c->is_new = false;
    begin_head(c);
    return true;
}

static void advance(struct dp_h1_connection *c)
{
    bool is_new = c->phase == DP_PHASE_IDLE;
    if (is_new && !begin_request(c))
        return;
    if (c->phase == DP_PHASE_HEAD)
        parse_head(c, is_new);
    else if (c->phase == DP_PHASE_REQUEST)
        pump_body(c);
    else if (c->phase == DP_PHASE_DISCARD)
        discard_body(c);
}

static void on_task(struct dp_task *task)
{
    advance(gw_container_of(task, struct dp_h1_connection, task));
}

static size_t expected_bytes(const struct dp_h1_connection *c)
{
    if (c->phase != DP_PHASE_REQUEST || !c->reading || c->body.done)
        return 0;
    return c->body.kind == DP_BODY_LENGTH ? (size_t)c->body.left : DP_BLOCK_BODY;
}

static void hear_end(struct dp_h1_connection *c)
{
    dp_conn_pause(&c->base.conn);
    c->half_closed = true;
    if (!c->body.done)
        pump_body(c); /* what has come of it may be all */
    else if (!c->base.conn.blocked)
        dp_h1_watch_half(c);
}

/* Large bodies of a known length pass by, when nothing of them is here. */
static bool may_pass_by(const struct dp_h1_connection *c)
{
    return c->phase == DP_PHASE_REQUEST && c->reading && c->downstream.body_sink &&
           c->body.kind == DP_BODY_LENGTH && c->body.left >= DP_SPLICE_MIN &&
           dp_input_view(&c->base.conn.input).len == 0;
}

static void take_passed(struct dp_h1_connection *c, uint64_t bytes)
{
    c->downstream.bytes_in += bytes;
    dp_h1_body_skip(&c->body, bytes);
    if (c->body.done && !c->base.conn.blocked)
        stop_body_timer(c);
    c->base.server->handler->body(c->request, GW_STR_NONE, c->body.done);
    if (c->reading && !c->body.done)
        wait_for_body(c);
}

/* False: it has to be read. */
static bool pass_by(struct dp_h1_connection *c)
{
    ptrdiff_t n = dp_conn_splice(&c->base.conn, c->downstream.body_sink, c->body.left,
                                 false); /* the next request may stand behind */
    if (n == -EOPNOTSUPP)
        return false;
    if (n > 0)
        take_passed(c, (uint64_t)n);
    else if (n == 0)
        hear_end(c);
    else if (n != -EAGAIN)
        dp_h1_leave(c);
    return true;
}

static void on_readable(struct dp_conn *conn)
{
    struct dp_h1_connection *c = gw_container_of(conn, struct dp_h1_connection, base.conn);
    if (c->phase == DP_PHASE_LINGER) {
        dp_h1_on_linger(c);
        return;
    }
    if (may_pass_by(c) && pass_by(c))
        return;
    bool is_wanted = c->phase != DP_PHASE_REQUEST || (c->reading && !c->body.done);
    if (!is_wanted && dp_input_room_left(&conn->input) == 0) {
        dp_conn_pause(conn); /* what is read ahead is bounded */
        return;
    }
    ptrdiff_t n = dp_conn_read(conn, expected_bytes(c));
    if (n > 0)
        advance(c);
    else if (n == 0 && c->phase == DP_PHASE_REQUEST)
        hear_end(c);
    else if (n == 0 && c->phase == DP_PHASE_IDLE)
        dp_h1_end(c);
    else if (n != -EAGAIN)
        dp_h1_leave(c);
}

static void on_drained(struct dp_conn *conn)
{
    struct dp_h1_connection *c = gw_container_of(conn, struct dp_h1_connection, base.conn);
    if (c->phase != DP_PHASE_REQUEST)
        return;
    if (c->out_kind == DP_BODY_TUNNEL) /* its end has been written, and nothing else has a limit */
        dp_timer_rest(&c->base.timer);
    else if (c->reading && !c->body.done)
        dp_h1_arm(c, c->base.server->limits.body_timeout_ms);
    else
        stop_body_timer(c);
    if (c->answer_done) {
        c->answer_done = false;
        if (c->out_kind == DP_BODY_TUNNEL)
            dp_conn_shutdown(conn);
        c->base.server->handler->sent(c->request);
    } else if (c->head_sent) {
        c->base.server->handler->drained(c->request);
    }
}

static void on_stalled(struct dp_conn *conn)
{
    struct dp_h1_connection *c = gw_container_of(conn, struct dp_h1_connection, base.conn);
    dp_h1_arm(c, c->base.server->limits.write_timeout_ms);
}

/* Past OpenSSL, which has read what the caller sent. */
static void answer_plain(const struct dp_conn *conn)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nServer: api-gateway\r\n"
                                 "Content-Type: text/plain\r\nContent-Length: 46\r\n"
                                 "Connection: close\r\n\r\n"
                                 "A plain HTTP request was sent to an HTTPS port";
    ssize_t n = write(conn->fd, answer, sizeof(answer) - 1);
    (void)n; /* the socket has room; if not, the close says enough */
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error; /* a caller who left is no news */
    if (dp_conn_tls_got_text(conn))
        answer_plain(conn);
    dp_h1_leave(gw_container_of(conn, struct dp_h1_connection, base.conn));
}

static void on_freed(struct dp_conn *conn)
{
    free(gw_container_of(conn, struct dp_h1_connection, base.conn));
}

static void on_request_timeout(struct dp_h1_connection *c)
{
    struct dp_server_stats *stats = &c->base.server->stats;
    if (c->base.conn.blocked) {
        stats->write_timeouts++;
        dp_h1_leave(c);
    } else if (c->half_closed) {
        dp_h1_on_watch(c);
    } else {
        stats->body_timeouts++;
        report(c, DP_FAULT_BODY_TIMEOUT, 0);
    }
}

static void on_timeout(struct dp_timer *timer)
{
    struct dp_h1_connection *c = gw_container_of(timer, struct dp_h1_connection, base.timer);
    switch (c->phase) {
    case DP_PHASE_HEAD:
        c->base.server->stats.head_timeouts++;
        c->downstream.bytes_in = dp_input_view(&c->base.conn.input).len;
        report(c, DP_FAULT_HEAD_TIMEOUT, 0);
        break;
    case DP_PHASE_REQUEST:
        on_request_timeout(c);
        break;
    case DP_PHASE_IDLE:
        if (dp_conn_is_shaking_hands(&c->base.conn))
            c->base.server->stats.handshake_timeouts++;
        else
            c->base.server->stats.idle_timeouts++;
        dp_h1_end(c);
        break;
    default:
        dp_h1_close(c);
        break;
    }
}

/* A TLS handshake is over: who agreed on HTTP/2 speaks nothing else. */
static void on_connected(struct dp_conn *conn)
{
    struct dp_h1_connection *c = gw_container_of(conn, struct dp_h1_connection, base.conn);
    c->base.is_fresh = c->base.server->draining;
    if (gw_str_eq(dp_conn_tls_protocol(conn), GW_STR("h2")))
        switch_to_h2(c);
    else
        dp_loop_arm(conn->loop, &c->base.timer, c->base.server->limits.idle_timeout_ms);
}

_Static_assert(offsetof(struct dp_h1_connection, base) == 0, "what HTTP/2 frees in the end");

static const struct dp_conn_events events = {
    .connected = on_connected,
    .readable = on_readable,
    .drained = on_drained,
    .stalled = on_stalled,
    .failed = on_failed,
    .freed = on_freed,
};

static void leave_server(struct dp_connection *base)
{
    dp_h1_leave(gw_container_of(base, struct dp_h1_connection, base));
}

static void close_idle(struct dp_connection *base)
{
    struct dp_h1_connection *c = gw_container_of(base, struct dp_h1_connection, base);
    if (c->phase != DP_PHASE_IDLE)
        return;
    /* A request may have arrived since the loop last looked. */
    dp_conn_look_again(&c->base.conn);
    ptrdiff_t n = dp_conn_read(&c->base.conn, 0);
    if (n > 0)
        dp_loop_later(c->base.server->loop, &c->task);
    else
        dp_h1_end(c);
}

static void drain(struct dp_connection *base)
{
    (void)base; /* each answer says it */
}

static const struct dp_protocol protocol = {
    .leave = leave_server,
    .close_idle = close_idle,
    .drain = drain,
};

void dp_h1_connection_new(struct dp_server *server, int fd, const struct dp_caller *caller,
                          struct ssl_st *tls)
{
    struct dp_h1_connection *c = gw_calloc(1, sizeof(*c));
    c->is_new = true;
    c->base.protocol = &protocol;
    dp_connection_init(&c->base, server, caller);
    c->downstream.ops = &dp_h1_downstream_ops;
    c->downstream.connection = &c->base;
    c->downstream.trailers = &c->body.trailers;
    dp_timer_init(&c->base.timer, on_timeout);
    dp_task_init(&c->task, on_task);
    dp_conn_init(&c->base.conn, server->loop, &events, fd);
    if (tls)
        dp_conn_start_tls(&c->base.conn, tls);
    dp_loop_arm(server->loop, &c->base.timer,
                tls ? server->limits.head_timeout_ms : server->limits.idle_timeout_ms);
}

void dp_h1_read_body(struct dp_downstream *downstream, bool on)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    struct dp_loop *loop = c->base.server->loop;
    if (c->base.conn.fd < 0 || c->body.done || c->reading == on)
        return;
    c->reading = on;
    if (!on) {
        if (!c->base.conn.blocked)
            dp_timer_rest(&c->base.timer);
        return;
    }
    bool is_awaited = c->downstream.framing.expect_continue && !c->continued && !c->head_sent;
    if (is_awaited && dp_input_view(&c->base.conn.input).len == 0)
        dp_conn_send(&c->base.conn, GW_STR("HTTP/1.1 100 Continue\r\n\r\n"));
    c->continued = true;
    if (!c->base.conn.blocked)
        dp_h1_arm(c, c->base.server->limits.body_timeout_ms);
    dp_conn_resume(&c->base.conn);
    dp_loop_later(loop, &c->task);
}
