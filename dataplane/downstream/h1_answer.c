/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1, writing: answers to bytes. */
#include "dataplane/downstream/h1_connection.h"
#include "dataplane/http/h1_write.h"

/* The rest of a request's body that is read and dropped to keep the connection; more costs less by
 * closing it. */
#define DISCARD_BYTES_MAX (64 * 1024)

static size_t pending(const struct dp_downstream *downstream)
{
    return dp_conn_pending(&downstream->connection->conn);
}

static void put(struct dp_h1_connection *c, gw_str bytes)
{
    c->downstream.bytes_out += bytes.len;
    dp_conn_send(&c->base.conn, bytes);
}

/* The scratch buffer holds any head that the parsers and the policies' limits let through. */
static void send_written(struct dp_h1_connection *c, int result)
{
    struct gw_buf *scratch = &c->base.server->loop->scratch;
    if (result < 0)
        gw_panic("an answer's head does not fit the scratch buffer");
    put(c, gw_buf_view(scratch));
    gw_buf_clear(scratch);
}

static void write_head(struct dp_h1_connection *c, const struct dp_response_head *head,
                       const struct dp_h1_framing *framing)
{
    struct gw_buf *scratch = &c->base.server->loop->scratch, room = dp_conn_room(&c->base.conn);
    if (dp_h1_write_response(&room, head->status, head->reason, &head->headers, framing) == 0) {
        c->downstream.bytes_out += room.end;
        dp_conn_commit(&c->base.conn, &room);
    } else { /* a large one, or it goes nowhere */
        send_written(
            c, dp_h1_write_response(scratch, head->status, head->reason, &head->headers, framing));
    }
}

static void send_interim(struct dp_downstream *downstream, const struct dp_response_head *head)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    struct dp_h1_framing framing = {.kind = DP_BODY_NONE, .minor = 1, .keep_alive = true};
    if (c->downstream.framing.minor == 0 || c->head_sent)
        return;
    write_head(c, head, &framing);
}

/* What is left of the request's body is worth reading for the sake of the connection. */
static bool may_discard_rest(const struct dp_h1_connection *c)
{
    if (c->body.done)
        return true;
    bool is_withheld = c->downstream.framing.expect_continue && !c->continued;
    return c->body.kind == DP_BODY_LENGTH && c->body.left <= DISCARD_BYTES_MAX && !is_withheld;
}

/* The request's head goes, and a body comes that nobody announced. */
static void open_tunnel(struct dp_h1_connection *c)
{
    const struct dp_h1_framing framing = {.kind = DP_BODY_TUNNEL};
    dp_h1_body_init(&c->body, &framing, &dp_h1_limits_default, c->arena);
    dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    dp_timer_stop(&c->base.timer);
}

static void send_head(struct dp_downstream *downstream, const struct dp_downstream_answer *answer)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    struct dp_h1_framing framing = {.kind = answer->kind, .length = answer->length, .minor = 1};
    bool is_last = c->half_closed && dp_input_view(&c->base.conn.input).len == 0;
    framing.upgrade = answer->kind == DP_BODY_TUNNEL;
    framing.keep_alive = c->downstream.framing.keep_alive && !framing.upgrade && !answer->close &&
                         !c->broken && !is_last && !c->base.server->draining && may_discard_rest(c);
    dp_h1_framing_for_reader(&framing, c->downstream.framing.minor);
    c->keep_alive = framing.keep_alive;
    c->out_kind = framing.kind;
    c->head_sent = true;
    if (framing.kind == DP_BODY_LENGTH && !c->base.conn.tls)
        c->downstream.sink.conn = &c->base.conn;
    write_head(c, answer->head, &framing);
    if (framing.upgrade)
        open_tunnel(c);
}

static void send_body(struct dp_downstream *downstream, gw_str data)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    if (data.len == 0 || c->out_kind == DP_BODY_NONE)
        return;
    if (c->out_kind != DP_BODY_CHUNKED) {
        put(c, data);
        return;
    }
    char line[DP_H1_CHUNK_HEAD_MAX];
    put(c, gw_str_n(line, dp_h1_chunk_head(line, data.len)));
    put(c, data);
    put(c, DP_H1_CHUNK_TAIL);
}

static void send_end(struct dp_downstream *downstream, const struct dp_headers *trailers)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    if (c->out_kind == DP_BODY_CHUNKED && trailers && trailers->count > 0)
        send_written(c, dp_h1_write_trailers(&c->base.server->loop->scratch, trailers));
    else if (c->out_kind == DP_BODY_CHUNKED)
        put(c, DP_H1_LAST_CHUNK);
    c->answer_done = true;
    if (c->base.conn.blocked) /* a tunnel had no limit before */
        dp_loop_arm(c->base.server->loop, &c->base.timer, c->base.server->limits.write_timeout_ms);
    dp_conn_touch(&c->base.conn);
}

/* RFC 9110 15.2: 100 is for whoever did not expect it to ignore; RFC 9112 7.1: the size of the next
 * chunk may begin with zeros. */
bool dp_h1_probe(struct dp_h1_connection *c)
{
    if (!c->head_sent && c->downstream.framing.minor > 0)
        dp_conn_send(&c->base.conn, GW_STR("HTTP/1.1 100 Continue\r\n\r\n"));
    else if (c->head_sent && c->out_kind == DP_BODY_CHUNKED && !c->answer_done)
        dp_conn_send(&c->base.conn, GW_STR("0"));
    else
        return false;
    return true;
}

const struct dp_downstream_ops dp_h1_downstream_ops = {
    .read_body = dp_h1_read_body,
    .send_interim = send_interim,
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .pending = pending,
    .finish = dp_h1_finish,
    .abort = dp_h1_abort,
};
