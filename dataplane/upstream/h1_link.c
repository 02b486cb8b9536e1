/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: bytes to answers, and the life of the connection. h1_send.c has the other direction. */
#include "dataplane/upstream/h1_link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* By which the heads of two answers of a backend may differ: lengths, dates, tags. */
#define HEAD_SLACK_BYTES 64

void dp_h1_link_close(struct dp_h1_link *link)
{
    if (link->conn.fd < 0)
        return;
    if (link->phase == DP_LINK_IDLE) {
        dp_pool_remove(link);
        dp_conn_announce_end(&link->conn);
    }
    link->base.call = NULL;
    dp_timer_stop(&link->timer);
    dp_conn_close(&link->conn);
    dp_pool_leave(link->base.pool);
}

static void pump(struct dp_upstream_link *base);

/* ---- the answer's head */

/* Another attempt is allowed only before the first byte of an answer. */
static enum dp_upstream_failure failure_of_close(const struct dp_h1_link *link)
{
    if (link->interims > 0 || dp_input_view(&link->conn.input).len > 0)
        return DP_FAILURE_PROTOCOL;
    return link->base.call->reused ? DP_FAILURE_STALE : DP_FAILURE_RESET;
}

/* Takes an interim answer; false when the next one may not follow. */
static bool skip_interim(struct dp_h1_link *link)
{
    struct dp_upstream_call *call = link->base.call;
    /* The request did not ask to switch protocols, or not to that one. */
    if (call->head.status == 101 || ++link->interims > DP_LINK_INTERIMS_MAX)
        return false;
    /* 100 is between the backend and us (RFC 9110 15.2). */
    if (call->head.status != 100 && call->events->interim)
        call->events->interim(call);
    dp_h1_parser_init(&link->parser, &dp_h1_limits_default, call->arena);
    return true;
}

static bool has_switched(const struct dp_upstream_call *call)
{
    return call->head.status == 101 && call->framing.upgrade && call->request->framing.upgrade;
}

static void parse_head(struct dp_h1_link *link)
{
    struct dp_upstream_call *call = link->base.call;
    bool is_interim;
    ptrdiff_t n;
    do {
        n = dp_h1_parse_response(&link->parser, dp_input_view(&link->conn.input),
                                 call->request->method, &call->head, &call->framing);
        if (n == 0)
            return;
        is_interim = n > 0 && call->head.status < 200 && !has_switched(call);
        if (n < 0 || (is_interim && !skip_interim(link))) {
            dp_call_attempt_failed(call, DP_FAILURE_PROTOCOL);
            return;
        }
        dp_input_consume(&link->conn.input, (size_t)n);
        call->bytes_in += (uint64_t)n;
    } while (is_interim);
    if (call->head.status == 101) {
        call->framing.kind = DP_BODY_TUNNEL;
        call->framing.keep_alive = false;
    }
    dp_input_hold(&link->conn.input);
    link->phase = DP_LINK_BODY;
    link->head_bytes = (uint32_t)n; /* the final one's */
    dp_h1_body_init(&link->body, &call->framing, &dp_h1_limits_default, call->arena);
    dp_call_answered(call);
    pump(&link->base); /* nothing when the call has left, or goes on elsewhere */
}

/* ---- its body */

/* Bytes behind the answer, or FIN: who gets the connection next would take them for its own answer.
 * A read that had room left would have brought them. */
static bool has_more_behind(const struct dp_h1_link *link)
{
    char byte;
    return link->read_all_it_could && recv(link->conn.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static bool may_be_reused(const struct dp_h1_link *link)
{
    const struct dp_upstream_call *call = link->base.call;
    return call->framing.keep_alive && call->body_complete && !link->base.send_failed &&
           !link->ended && dp_conn_pending(&link->conn) == 0 &&
           dp_input_view(&link->conn.input).len == 0 && !dp_conn_has_unread(&link->conn) &&
           !has_more_behind(link);
}

/* Both ways of a tunnel have ended, the caller's last. */
static void close_tunnel(struct dp_h1_link *link)
{
    struct dp_upstream_call *call = link->base.call;
    call->link = NULL;
    dp_h1_link_close(link);
    dp_call_end(call);
    call->events->closed(call); /* the call may be gone now */
}

static void finish(struct dp_h1_link *link, gw_str data)
{
    struct dp_upstream_call *call = link->base.call;
    if (call->tunnel && !link->fin_sent && !link->base.send_failed) {
        dp_call_half_ended(call);
        return;
    }
    bool reuse = may_be_reused(link);
    call->trailers = link->body.trailers;
    call->link = NULL;
    link->base.call = NULL;
    dp_call_end(call);
    call->events->body(call, data, true); /* the call may be gone now */
    if (!reuse) {
        dp_h1_link_close(link);
        return;
    }
    dp_input_release(&link->conn.input, &link->conn.loop->blocks);
    dp_conn_resume(&link->conn);
    dp_pool_put(link);
}

/* All that came has been handed on, and the answer is not complete. */
static void finish_ended(struct dp_h1_link *link)
{
    if (!link->broken && dp_h1_body_close(&link->body))
        finish(link, GW_STR_NONE);
    else
        dp_call_cut(link->base.call, DP_FAILURE_RESET);
}

static void pump(struct dp_upstream_link *base)
{
    struct dp_h1_link *link = dp_h1_link_of(base);
    while (link->base.call && link->base.call->wants_answer) {
        struct dp_upstream_call *call = link->base.call;
        gw_str data;
        ptrdiff_t n = dp_h1_body_next(&link->body, dp_input_view(&link->conn.input), &data);
        if (n < 0) {
            dp_call_cut(call, DP_FAILURE_PROTOCOL);
            return;
        }
        if (n > 0) {
            dp_input_consume(&link->conn.input, (size_t)n);
            call->bytes_in += (uint64_t)n;
        }
        if (link->body.done) {
            finish(link, data);
            return;
        }
        if (data.len > 0) {
            call->events->body(call, data, false);
        } else if (n == 0) {
            if (call->tunnel) /* an idle one holds no memory for input */
                dp_input_release(&link->conn.input, &link->conn.loop->blocks);
            if (link->ended)
                finish_ended(link);
            else
                dp_call_starved(call);
            return;
        }
    }
}

/* ---- events */

static void take_input(struct dp_h1_link *link)
{
    if (link->phase == DP_LINK_HEAD)
        parse_head(link);
    else
        pump(&link->base);
}

static void take_end(struct dp_h1_link *link, bool broken)
{
    if (link->phase == DP_LINK_HEAD) {
        dp_call_attempt_failed(link->base.call, failure_of_close(link));
        return;
    }
    link->ended = true;
    link->broken = broken || link->base.send_failed;
    dp_conn_pause(&link->conn);
    pump(&link->base);
}

static size_t expected_bytes(const struct dp_h1_link *link)
{
    if (link->phase != DP_LINK_BODY)
        return link->passes_by ? DP_BLOCK_SMALL : 0;
    return link->body.kind == DP_BODY_LENGTH ? (size_t)link->body.left : DP_BLOCK_BODY;
}

/* The head of an answer behind one that passed by is likely as long as that one's: what is behind
 * it is not copied, nor sent by a copy. */
static size_t most_bytes(const struct dp_h1_link *link)
{
    return link->phase == DP_LINK_HEAD && link->passes_by ? link->head_bytes + HEAD_SLACK_BYTES
                                                          : SIZE_MAX;
}

/* There is no room for bytes that nobody waits for yet. */
static bool is_full(const struct dp_h1_link *link)
{
    return link->phase == DP_LINK_BODY && !link->base.call->wants_answer &&
           dp_input_room_left(&link->conn.input) == 0;
}

/* Large bodies of a known length pass by, when nothing of them is here. */
static bool may_pass_by(const struct dp_h1_link *link)
{
    const struct dp_upstream_call *call = link->base.call;
    return call && link->phase == DP_LINK_BODY && call->sink && call->wants_answer &&
           link->body.kind == DP_BODY_LENGTH && link->body.left >= DP_SPLICE_MIN &&
           dp_input_view(&link->conn.input).len == 0;
}

/* False: it has to be read. */
static bool pass_by(struct dp_h1_link *link)
{
    struct dp_upstream_call *call = link->base.call;
    ptrdiff_t n = dp_conn_splice(&link->conn, call->sink, link->body.left, true);
    if (n == -EOPNOTSUPP)
        return false;
    if (n == -EAGAIN)
        return true;
    if (n <= 0) {
        take_end(link, n < 0);
        return true;
    }
    link->passes_by = true;
    link->read_all_it_could = n == DP_SPLICE_BYTES || n == DP_SPLICE_PACED_BYTES;
    link->ended |= (uint64_t)n > link->body.left; /* who lies about the length says nothing more */
    uint64_t passed = GW_MIN((uint64_t)n, link->body.left);
    call->bytes_in += passed;
    dp_h1_body_skip(&link->body, passed);
    if (link->body.done) {
        finish(link, GW_STR_NONE);
        return true;
    }
    call->events->body(call, GW_STR_NONE, false);
    if (link->base.call && call->wants_answer)
        dp_call_starved(call);
    return true;
}

static void on_readable(struct dp_conn *conn)
{
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    if (may_pass_by(link) && pass_by(link))
        return;
    if (link->phase != DP_LINK_IDLE && is_full(link)) {
        dp_conn_pause(conn);
        return;
    }
    size_t most = most_bytes(link);
    ptrdiff_t n = dp_conn_read_most(conn, expected_bytes(link), most);
    link->read_all_it_could = n == (ptrdiff_t)most || dp_input_room_left(&conn->input) == 0;
    link->passes_by = false; /* a longer head than that is read in large pieces */
    if (n == -EAGAIN && link->phase == DP_LINK_IDLE)
        dp_input_release(&conn->input, &conn->loop->blocks); /* TLS itself said something */
    else if (n == -EAGAIN)
        return;
    else if (link->phase == DP_LINK_IDLE)
        dp_h1_link_close(link);
    else if (n > 0)
        take_input(link);
    else
        take_end(link, n < 0);
    if (n > 0 && may_pass_by(link))
        (void)pass_by(link); /* mostly the rest is there; else reading goes on later */
}

static void on_connected(struct dp_conn *conn)
{
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    link->base.pool->address = link->address;
    dp_call_connected(link->base.call);
}

/* All that the caller of a tunnel has said has left. */
static void pass_end(struct dp_h1_link *link)
{
    link->fin_sent = true;
    dp_conn_shutdown(&link->conn);
    if (link->base.call->answer_complete)
        close_tunnel(link);
}

static void on_drained(struct dp_conn *conn)
{
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    link->base.blocked = false;
    if (link->base.call)
        dp_call_drained(link->base.call);
    if (link->base.call && link->base.call->tunnel && link->base.call->body_complete &&
        !link->fin_sent)
        pass_end(link);
}

static void on_stalled(struct dp_conn *conn)
{
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    link->base.blocked = true;
    if (link->base.call)
        dp_call_stalled(link->base.call);
}

/* A backend may answer, close, and reset what it did not read: what it said before counts. */
static void on_send_failed(struct dp_h1_link *link)
{
    link->base.send_failed = true;
    if (link->base.call->answer_complete) {
        close_tunnel(link);
        return;
    }
    dp_call_send_failed(link->base.call);
    if (link->ended || is_full(link))
        return;
    ptrdiff_t n = dp_conn_read(&link->conn, expected_bytes(link));
    if (n > 0)
        take_input(link);
    else
        take_end(link, true);
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error; /* the failure says what matters */
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    if (link->phase == DP_LINK_CONNECTING) {
        link->base.pool->upstreams->stats.connect_failures++;
        dp_link_tls_report(&link->tls, conn, link->base.pool);
        dp_call_connect_failed(link->base.call, DP_FAILURE_CONNECT);
    } else if (link->phase == DP_LINK_IDLE) {
        dp_h1_link_close(link);
    } else {
        on_send_failed(link);
    }
}

static void on_freed(struct dp_conn *conn)
{
    struct dp_h1_link *link = gw_container_of(conn, struct dp_h1_link, conn);
    dp_link_tls_done(&link->tls);
    free(link);
}

static void on_idle_timeout(struct dp_timer *timer)
{
    dp_h1_link_close(gw_container_of(timer, struct dp_h1_link, timer));
}

static const struct dp_conn_events events = {
    .connected = on_connected,
    .readable = on_readable,
    .drained = on_drained,
    .stalled = on_stalled,
    .failed = on_failed,
    .freed = on_freed,
};

static size_t pending(const struct dp_upstream_link *base)
{
    const struct dp_h1_link *link = gw_container_of(base, struct dp_h1_link, base);
    return dp_conn_pending(&link->conn);
}

static void open_tunnel(struct dp_upstream_link *base)
{
    struct dp_conn *conn = &dp_h1_link_of(base)->conn;
    dp_input_release(&conn->input, &conn->loop->blocks);
}

static void resume(struct dp_upstream_link *base)
{
    struct dp_h1_link *link = dp_h1_link_of(base);
    if (!link->ended)
        dp_conn_resume(&link->conn);
}

static void close_link(struct dp_upstream_link *base)
{
    dp_h1_link_close(dp_h1_link_of(base));
}

static const struct dp_link_ops ops = {
    .begin = dp_h1_link_begin,
    .send_data = dp_h1_link_send_data,
    .send_end = dp_h1_link_send_end,
    .pending = pending,
    .open_tunnel = open_tunnel,
    .resume = resume,
    .pump = pump,
    .close = close_link,
};

int dp_h1_link_connect(struct dp_upstream_call *call, const struct dp_address *address,
                       unsigned index)
{
    struct dp_upstreams *upstreams = call->upstreams;
    struct dp_endpoint *endpoint = call->member->endpoint;
    struct dp_h1_link *link = gw_calloc(1, sizeof(*link));
    upstreams->stats.connects++;
    int error = dp_conn_connect(&link->conn, upstreams->options.loop, &events, address,
                                dp_endpoint_port(endpoint));
    if (error) {
        free(link);
        return error;
    }
    link->base.ops = &ops;
    link->base.pool = dp_pool_enter(upstreams, endpoint);
    link->address = (uint8_t)index;
    link->peer = *address;
    link->phase = DP_LINK_CONNECTING;
    gw_list_init(&link->node);
    dp_timer_init(&link->timer, on_idle_timeout);
    if (call->request->tls &&
        (error = dp_link_tls_start(&link->tls, &link->conn, call, false)) != 0) {
        dp_h1_link_close(link);
        return error;
    }
    if (!link->conn.tls)
        link->base.sink.conn = &link->conn;
    link->base.call = call;
    call->link = &link->base;
    return 0;
}
