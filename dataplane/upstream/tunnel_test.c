/* SPDX-License-Identifier: Apache-2.0 */
/* After a 101 that was asked for: bytes both ways, each side's end by itself. */
#include "dataplane/upstream/testing.h"

#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

static void ask(struct caller *c, struct bench *bench)
{
    caller_init(c, bench, DP_METHOD_GET);
    c->request.framing.upgrade = true;
    c->request.stream_idle_ms = PATIENCE_S * 1000;
}

static bool has_answer_end(void *arg)
{
    struct caller *c = arg;
    return c->call.answer_complete;
}

static void echo_and_end(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, SWITCHED "early");
    gw_buf_clear(&b->seen);
    backend_read_bytes(b, 100000);
    backend_say(b, "late");
    backend_read_end(b); /* the caller's FIN */
}

static void bytes_flow_both_ways_and_the_caller_ends_first(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, echo_and_end);
    ask(&c, &bench);
    c.to_send = 100000;
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 101);
    assert_str(gw_buf_view(&c.body), "earlylate");
    assert_int_equal(c.call.attempts, 1);
    assert_int_equal(stats_of(&bench)->idle, 0); /* no request goes out behind it */
    caller_done(&c);
    bench_end(&bench, &b);
}

static void end_first(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    if (!seen_has(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        give_up(b, "no request to upgrade");
    backend_say(b, SWITCHED "bye");
    shutdown(b->fd, SHUT_WR);
    gw_buf_clear(&b->seen);
    backend_read_bytes(b, 50000); /* it still listens */
    backend_read_end(b);
}

static void the_backend_may_end_first_and_still_listen(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, end_first);
    ask(&c, &bench);
    caller_start(&c);
    bench_until(&bench, has_answer_end, &c);
    assert_int_equal(c.ends, 0);
    assert_str(gw_buf_view(&c.body), "bye");
    c.to_send = 50000;
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void reset_behind_101(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, SWITCHED "x");
    backend_read_bytes(b, gw_buf_len(&b->seen) + 1);
    backend_reset(b);
}

static void a_reset_fails_the_call(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, reset_behind_101);
    ask(&c, &bench);
    c.to_send = 1000000000; /* never done */
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_RESET);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void read_nothing(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, SWITCHED);
    backend_wait(b, 1);
    backend_read_end(b);
}

static bool nothing_fits(void *arg)
{
    struct caller *c = arg;
    size_t before = c->sent;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->sent == before && c->call.link && c->call.link->blocked && !c->wants;
}

static void a_backend_that_does_not_read_holds_the_caller_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, read_nothing);
    ask(&c, &bench);
    c.to_send = 1000000000;
    caller_start(&c);
    bench_until(&bench, nothing_fits, &c);
    assert_in_range(c.most, 1, DP_CONN_HIGH_WATER + PUSH_BYTES);
    dp_upstream_cancel(&c.call);
    atomic_store(&b.step, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

/* With a short timeout once the head is there, however long that took. */
static void run_impatiently(struct caller *c, gw_msec timeout_ms)
{
    c->manual = true;
    caller_start(c);
    bench_until(c->bench, caller_has_head, c);
    c->request.timeout_ms = timeout_ms;
    dp_upstream_read_body(&c->call, true);
    caller_finish(c);
}

static void stay_silent(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, SWITCHED);
    backend_read_end(b);
}

static void silence_has_a_limit_of_its_own(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, stay_silent);
    ask(&c, &bench);
    c.request.stream_idle_ms = 100;
    run_impatiently(&c, 1);
    assert_int_equal(c.failure, DP_FAILURE_TIMEOUT);
    assert_int_equal(c.heads, 1);
    assert_in_range(bench.loop.now_ns - c.call.head_ns, INT64_C(80000000), INT64_MAX);
    assert_int_equal(stats_of(&bench)->stream_timeouts, 1);
    assert_int_equal(stats_of(&bench)->timeouts, 0);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void pause_between_events(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n");
    usleep(200000);
    backend_say(b, "data: 1\n\n");
}

static void an_event_stream_may_be_silent_as_long(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, pause_between_events);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.request.stream_idle_ms = PATIENCE_S * 1000;
    run_impatiently(&c, 50);
    assert_int_equal(c.failure, -1);
    assert_str(gw_buf_view(&c.body), "data: 1\n\n");
    caller_done(&c);
    bench_end(&bench, &b);
}

static void refuse_to_switch(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_head(b); /* the connection goes on */
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void another_answer_is_an_ordinary_one(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, refuse_to_switch);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.status, 200);
    assert_str(gw_buf_view(&c.body), "hello");
    caller_done(&c);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->reuses, 1);
    bench_end(&bench, &b);
}

static void switch_to_something_else(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    backend_read_end(b);
}

static void another_protocol_is_a_failure(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, switch_to_something_else);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_PROTOCOL);
    assert_int_equal(c.heads, 0);
    caller_done(&c);
    bench_end(&bench, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_flow_both_ways_and_the_caller_ends_first),
        cmocka_unit_test(the_backend_may_end_first_and_still_listen),
        cmocka_unit_test(a_reset_fails_the_call),
        cmocka_unit_test(a_backend_that_does_not_read_holds_the_caller_back),
        cmocka_unit_test(silence_has_a_limit_of_its_own),
        cmocka_unit_test(an_event_stream_may_be_silent_as_long),
        cmocka_unit_test(another_answer_is_an_ordinary_one),
        cmocka_unit_test(another_protocol_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
