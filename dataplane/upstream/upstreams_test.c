/* SPDX-License-Identifier: Apache-2.0 */
/* Flow both ways, and the ends that the caller or the clock sets. */
#include "dataplane/upstream/testing.h"

#define BIG (8 * 1024 * 1024)

static void take_big_body(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_wait(b, 1);
    backend_read_bytes(b, BIG);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

/* Gives all that is asked for, in one go, until nothing more is. */
static bool is_held_back(void *arg)
{
    struct caller *c = arg;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->sent > 0 && !c->wants;
}

static void a_slow_backend_holds_the_caller_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, take_big_body);
    caller_init(&c, &bench, DP_METHOD_PUT);
    caller_body(&c, BIG, DP_BODY_LENGTH);
    caller_start(&c);
    bench_until(&bench, is_held_back, &c);
    assert_true(c.sent < BIG); /* the rest of it is in the kernel's buffers */
    atomic_store(&b.step, 1);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.sent, BIG);
    /* Beyond the mark only what came with one event. */
    assert_true(c.most >= DP_CONN_HIGH_WATER && c.most < DP_CONN_HIGH_WATER + PUSH_BYTES);
    assert_int_equal(stats_of(&bench)->idle, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void give_big_body(struct backend *b)
{
    char *block = gw_malloc(BIG);
    memset(block, 'y', BIG);
    char head[80];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, head);
    backend_write(b, gw_str_n(block, BIG));
    atomic_store(&b->step, 1);
    backend_read_end(b);
    free(block);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void a_slow_caller_holds_the_backend_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, give_big_body);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.manual = true;
    caller_start(&c);
    bench_until(&bench, caller_has_head, &c);
    for (int i = 0; i < 20; i++) {
        bench_until(&bench, always, NULL); /* turns of the loop: what it reads ahead is bounded */
        assert_int_equal(gw_buf_len(&c.body), 0);
    }
    assert_true(dp_h1_link_of(c.call.link)->conn.input.block->capacity <= DP_BLOCK_BODY);
    assert_int_equal(atomic_load(&b.step), 0);
    dp_upstream_read_body(&c.call, true);
    assert_int_equal(gw_buf_len(&c.body), 0); /* not from within */
    caller_finish(&c);
    assert_int_equal(gw_buf_len(&c.body), BIG);
    assert_null(bench.loop.blocks.free[DP_BLOCK_CLASSES - 1]); /* no block was larger */
    caller_done(&c);
    assert_int_equal(stats_of(&bench)->idle, 1);
    bench_end(&bench, &b);
}

static void close_before_it_is_read(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\n\r\nhello");
    backend_close(b);
    atomic_store(&b->step, 1);
}

static bool backend_has_closed(void *arg)
{
    return atomic_load(&((struct backend *)arg)->step) == 1;
}

static void what_came_before_the_end_waits_to_be_read(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, close_before_it_is_read);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.manual = true;
    caller_start(&c);
    bench_until(&bench, caller_has_head, &c);
    bench_until(&bench, backend_has_closed, &b);
    for (int i = 0; i < 20; i++)
        bench_until(&bench, always, NULL);
    assert_int_equal(c.ends, 0);
    assert_str(dp_headers_value(&c.call.head.headers, DP_HEADER_CONTENT_LENGTH), "");
    dp_upstream_read_body(&c.call, true);
    caller_finish(&c);
    assert_str(gw_buf_view(&c.body), "hello");
    caller_done(&c);
    bench_end(&bench, &b);
}

static void answer_half(struct backend *b)
{
    for (int i = 0; i < 3; i++) {
        backend_accept(b);
        backend_read_head(b);
        if (i > 0)
            backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        backend_read_end(b);
    }
}

static bool backend_has_request(void *arg)
{
    return atomic_load(&((struct backend *)arg)->requests) > 0;
}

static void a_call_can_be_cancelled_anywhere(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_half);

    caller_init(&c, &bench, DP_METHOD_GET); /* while it waits */
    caller_start(&c);
    bench_until(&bench, backend_has_request, &b);
    dp_upstream_cancel(&c.call);
    dp_upstream_cancel(&c.call);
    assert_int_equal(c.heads + c.ends, 0);
    caller_done(&c);

    caller_init(&c, &bench, DP_METHOD_GET); /* from within head */
    c.cancel_in_head = true;
    caller_run(&c);
    caller_done(&c);

    caller_init(&c, &bench, DP_METHOD_GET); /* from within body */
    c.cancel_in_body = true;
    caller_run(&c);
    assert_str(gw_buf_view(&c.body), "hello");
    caller_done(&c);

    caller_init(&c, &bench, DP_METHOD_POST); /* from within want_body */
    caller_body(&c, 10, DP_BODY_LENGTH);
    c.cancel_in_want = true;
    caller_run(&c);
    caller_done(&c);

    caller_init(&c, &bench, DP_METHOD_GET); /* at once */
    caller_start(&c);
    dp_upstream_cancel(&c.call);
    caller_done(&c);
    assert_int_equal(stats_of(&bench)->open, 0);
    bench_end(&bench, &b);
}

static void answer_never(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    backend_read_end(b);
}

static void silence_times_out(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_never);
    for (unsigned heads = 0; heads < 2; heads++) {
        struct caller c;
        caller_init(&c, &bench, DP_METHOD_GET);
        c.request.timeout_ms = 50;
        c.request.retry_count = 0;
        caller_run(&c);
        assert_int_equal(c.failure, DP_FAILURE_TIMEOUT);
        assert_int_equal(c.heads, heads);
        assert_int_equal(c.call.attempts, 1);
        caller_done(&c);
    }
    assert_int_equal(stats_of(&bench)->timeouts, 2);
    bench_end(&bench, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_backend_holds_the_caller_back),
        cmocka_unit_test(a_slow_caller_holds_the_backend_back),
        cmocka_unit_test(what_came_before_the_end_waits_to_be_read),
        cmocka_unit_test(a_call_can_be_cancelled_anywhere),
        cmocka_unit_test(silence_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
