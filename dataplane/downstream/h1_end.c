/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1, the ends: of a request, of a connection, and of callers who say nothing more. */
#include "dataplane/downstream/h1_connection.h"

#include <errno.h>

/* Behind a FIN: until it is asked whether somebody still reads, twice as long each time; and for
 * the reset that is the answer of nobody. Where nothing can be asked (HTTP/1.0), for an answer. */
#define PROBE_MS 1000
#define PROBES_MAX 5
#define PROBE_ANSWER_MS 250
#define HALF_CLOSED_MS 3000
/* After the last answer, what still comes is read and dropped, so that no reset overtakes the
 * answer: many callers write a whole upload before they read. */
#define LINGER_SILENCE_MS 2000
#define LINGER_MS 30000

void dp_h1_close(struct dp_h1_connection *c)
{
    c->reading = false;
    dp_task_cancel(&c->task);
    dp_connection_close(&c->base);
}

/* Nothing was cut; RFC 9112 9.8. */
void dp_h1_end(struct dp_h1_connection *c)
{
    dp_conn_announce_end(&c->base.conn);
    dp_h1_close(c);
}

void dp_h1_leave(struct dp_h1_connection *c)
{
    void *request = c->request;
    c->request = NULL;
    c->reading = false;
    if (request) /* before its input goes: the handler's views are still good */
        c->base.server->handler->fault(request, DP_FAULT_GONE, 0);
    dp_h1_close(c);
}

/* In a tunnel silence is watched by who hands its bytes on. */
void dp_h1_arm(struct dp_h1_connection *c, gw_msec after)
{
    if (c->out_kind != DP_BODY_TUNNEL || c->answer_done)
        dp_loop_arm(c->base.server->loop, &c->base.timer, after);
}

/* FIN behind a whole request: either the caller has left, or it has said all that it wants to say
 * and waits for the answer. Only what is written to it tells: nobody answers with a reset. */
void dp_h1_watch_half(struct dp_h1_connection *c)
{
    gw_msec after_ms = PROBE_MS << GW_MIN(c->probes / 2, PROBES_MAX);
    if (!c->head_sent && c->downstream.framing.minor == 0)
        after_ms = HALF_CLOSED_MS;
    else if (c->probes % 2)
        after_ms = PROBE_ANSWER_MS;
    dp_h1_arm(c, after_ms);
}

void dp_h1_on_watch(struct dp_h1_connection *c)
{
    bool is_over = !c->head_sent && c->downstream.framing.minor == 0;
    if (is_over || dp_conn_is_reset(&c->base.conn)) {
        dp_h1_leave(c);
        return;
    }
    if (c->probes % 2)
        c->probes++;
    else if (c->probes < 2 * PROBES_MAX && dp_h1_probe(c))
        c->probes++;
    dp_h1_watch_half(c);
}

void dp_h1_on_linger(struct dp_h1_connection *c)
{
    ptrdiff_t n = dp_conn_read(&c->base.conn, 0);
    if (n == -EAGAIN)
        return;
    if (n <= 0 || c->base.server->loop->now_ms >= c->linger_until_ms) {
        dp_h1_close(c);
        return;
    }
    dp_input_consume(&c->base.conn.input, (size_t)n);
    dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    dp_loop_arm(c->base.server->loop, &c->base.timer, LINGER_SILENCE_MS);
}

static void linger(struct dp_h1_connection *c)
{
    struct dp_loop *loop = c->base.server->loop;
    c->phase = DP_PHASE_LINGER;
    c->linger_until_ms = loop->now_ms + LINGER_MS;
    if (c->base.conn.input.block)
        dp_input_consume(&c->base.conn.input, dp_input_view(&c->base.conn.input).len);
    dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    if (c->out_kind != DP_BODY_TUNNEL) /* there it has been sent */
        dp_conn_shutdown(&c->base.conn);
    dp_conn_resume(&c->base.conn);
    dp_loop_arm(loop, &c->base.timer, LINGER_SILENCE_MS);
}

/* What comes in after a close is answered by a reset, which may overtake the answer. */
static bool may_say_more(const struct dp_h1_connection *c)
{
    bool is_over = c->body.done && !c->broken && dp_input_view(&c->base.conn.input).len == 0;
    return !c->half_closed && (!is_over || c->downstream.framing.keep_alive);
}

void dp_h1_finish(struct dp_downstream *downstream)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    c->request = NULL;
    c->reading = false;
    dp_timer_rest(&c->base.timer);
    if (!c->keep_alive) {
        if (may_say_more(c))
            linger(c);
        else
            dp_h1_end(c);
        return;
    }
    if (c->body.done) {
        dp_h1_go_idle(c);
        return;
    }
    dp_input_release(&c->base.conn.input, &c->base.conn.loop->blocks);
    c->phase = DP_PHASE_DISCARD;
    dp_loop_arm(c->base.server->loop, &c->base.timer, c->base.server->limits.body_timeout_ms);
    dp_conn_resume(&c->base.conn);
    dp_loop_later(c->base.server->loop, &c->task);
}

void dp_h1_abort(struct dp_downstream *downstream)
{
    struct dp_h1_connection *c = dp_h1_connection_of(downstream);
    c->request = NULL;
    /* To a reader of "until close" only a reset tells a cut answer from a whole one; and to some of
     * chunks behind the zeros of dp_h1_probe, which they take for the last one. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    dp_conn_push(
        &c->base.conn); /* half an answer says more than none, which looks like a lost request */
    bool looks_whole =
        c->out_kind == DP_BODY_UNTIL_CLOSE || (c->out_kind == DP_BODY_CHUNKED && c->probes > 0);
    if (c->base.conn.fd >= 0 && c->head_sent && looks_whole)
        (void)setsockopt(c->base.conn.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    dp_h1_close(c);
}
