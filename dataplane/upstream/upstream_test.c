/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt: what goes over the wire and what becomes of the connection. retries_test.c has more
 * than one. */
#include "dataplane/upstream/testing.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void run_with(struct bench *bench, struct backend *b, void (*script)(struct backend *))
{
    bench_init(bench, (struct dp_upstreams_options){0});
    backend_start(b, script);
    bench_member(bench, "127.0.0.1", b->port);
}

static void end(struct bench *bench, struct backend *b)
{
    assert_int_equal(stats_of(bench)->open, stats_of(bench)->idle);
    bench_done(bench);
    backend_join(b);
    backend_done(b);
}

static void answer_three_on_one(struct backend *b)
{
    backend_accept(b);
    for (int i = 0; i < 3; i++) {
        backend_read_head(b);
        backend_say(b, OK_HELLO);
    }
    backend_read_end(b);
}

static void a_connection_is_used_again(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_three_on_one);
    for (int i = 0; i < 3; i++)
        get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->connects, 1);
    assert_int_equal(stats_of(&bench)->reuses, 2);
    assert_int_equal(stats_of(&bench)->idle, 1);
    end(&bench, &b);
}

static void answer_with_echo(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    gw_str seen = gw_buf_view(&b->seen);
    char head[64];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", seen.len);
    backend_say(b, head);
    backend_write(b, seen);
    backend_read_end(b);
}

static void the_head_is_as_it_was_given(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_with_echo);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.request.line.target = GW_STR("/a/b?c=d");
    dp_headers_add(&c.headers, GW_STR("X-One"), GW_STR("1"));
    dp_headers_add(&c.headers, GW_STR("Connection"), GW_STR("close"));
    dp_headers_add(&c.headers, GW_STR("Expect"), GW_STR("100-continue"));
    caller_run(&c);
    char want[128];
    snprintf(want, sizeof(want), "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nX-One: 1\r\n\r\n",
             b.port);
    assert_str(gw_buf_view(&c.body), want);
    assert_int_equal(c.call.bytes_out, strlen(want));
    assert_int_equal(c.call.attempts, 1);
    assert_false(c.call.reused);
    assert_true(c.call.sent_ns >= c.call.started_ns && c.call.head_ns >= c.call.sent_ns);
    assert_ptr_equal(c.call.endpoint, bench.members[0].endpoint);
    caller_done(&c);
    end(&bench, &b);
}

static void answer_chunked_with_trailers(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    backend_say(b, "lo\r\n6;x=y\r\n world\r\n0\r\nX-Sum: 11\r\nContent-Length: 3\r\n\r\n");
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void chunks_are_decoded_and_trailers_kept(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_chunked_with_trailers);
    caller_init(&c, &bench, DP_METHOD_GET);
    caller_run(&c);
    assert_str(gw_buf_view(&c.body), "hello world");
    const struct dp_headers *trailers = dp_upstream_trailers(&c.call);
    assert_int_equal(trailers->count, 1);
    assert_str(trailers->items[0].name, "X-Sum");
    assert_str(trailers->items[0].value, "11");
    caller_done(&c);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->reuses, 1);
    end(&bench, &b);
}

static void answer_until_close(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\n\r\nhello");
    backend_say(b, " world");
}

static void an_answer_may_end_with_the_connection(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_until_close);
    get_ok(&bench, "hello world");
    assert_int_equal(stats_of(&bench)->open, 0);
    end(&bench, &b);
}

static void answer_until_reset(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\n\r\nhello");
    backend_wait(b, 1);
    backend_reset(b);
}

static void a_reset_is_no_end(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_until_reset);
    caller_init(&c, &bench, DP_METHOD_GET);
    caller_start(&c);
    bench_until(&bench, caller_has_head, &c);
    atomic_store(&b.step, 1);
    caller_finish(&c);
    assert_int_equal(c.failure, DP_FAILURE_RESET);
    caller_done(&c);
    end(&bench, &b);
}

static void answer_without_bodies(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 204 No Content\r\n\r\n");
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n");
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    backend_read_end(b);
}

static void answers_without_a_body_end_at_once(void **state)
{
    (void)state;
    static const unsigned statuses[] = {200, 204, 304, 200};
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_without_bodies);
    for (int i = 0; i < 4; i++) {
        struct caller c;
        caller_init(&c, &bench, i == 0 ? DP_METHOD_HEAD : DP_METHOD_GET);
        caller_run(&c);
        assert_int_equal(c.failure, -1);
        assert_int_equal(c.status, statuses[i]);
        assert_int_equal(gw_buf_len(&c.body), 0);
        caller_done(&c);
    }
    assert_int_equal(stats_of(&bench)->connects, 1);
    end(&bench, &b);
}

static void answer_after_interims(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    backend_say(b, OK_HELLO);
    backend_accept(b);
    backend_read_head(b);
    char interims[40 * 32] = "";
    for (int i = 0; i < 40; i++)
        strcat(interims, "HTTP/1.1 103 Early Hints\r\n\r\n");
    backend_say(b, interims);
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    backend_read_end(b);
}

static void interim_answers_are_dropped(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_after_interims);
    get_ok(&bench, "hello");
    /* The backend accepts anew: the first connection closes while it is idle. */
    bench_until(&bench, nothing_is_idle, &bench);
    get_fails(&bench, DP_FAILURE_PROTOCOL, 0);
    get_fails(&bench, DP_FAILURE_PROTOCOL, 0);
    end(&bench, &b);
}

static void answer_early(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
}

static void an_early_answer_ends_the_connection(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_early);
    caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, 1000, DP_BODY_LENGTH);
    c.to_send = 0; /* the body never comes */
    caller_run(&c);
    assert_int_equal(c.status, 413);
    assert_false(c.wants);
    assert_str(gw_buf_view(&c.body), "no");
    assert_int_equal(stats_of(&bench)->open, 0);
    /* More of the body is ignored. */
    dp_upstream_send_body(&c.call, GW_STR("late"), true, NULL);
    caller_done(&c);
    get_ok(&bench, "hello");
    end(&bench, &b);
}

static void answer_early_and_reset(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    backend_reset(b); /* with the body unread */
}

static void an_answer_before_a_reset_counts(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct bench bench;
        struct backend b;
        struct caller c;
        run_with(&bench, &b, answer_early_and_reset);
        caller_init(&c, &bench, DP_METHOD_POST);
        caller_body(&c, 4000000, DP_BODY_LENGTH);
        caller_run(&c);
        assert_int_equal(c.failure, -1);
        assert_int_equal(c.status, 413);
        assert_str(gw_buf_view(&c.body), "no");
        caller_done(&c);
        end(&bench, &b);
    }
}

static void answer_garbage(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "SSH-2.0-OpenSSH_9.2p1\r\n");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-");
}

static void garbage_is_a_failure(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_garbage);
    get_fails(&bench, DP_FAILURE_PROTOCOL, 0);
    get_fails(&bench, DP_FAILURE_PROTOCOL, 1);
    get_fails(&bench, DP_FAILURE_PROTOCOL, 0); /* a head that is cut */
    assert_int_equal(b.requests, 3);
    end(&bench, &b);
}

static void answer_cut(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
}

static void a_cut_answer_fails_after_its_head(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_cut);
    get_fails(&bench, DP_FAILURE_RESET, 1);
    get_fails(&bench, DP_FAILURE_RESET, 1);
    end(&bench, &b);
}

static void answer_too_much(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_wait(b, 1);
    backend_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
}

static void bytes_behind_an_answer_reach_nobody(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_too_much);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->open, 0);
    get_ok(&bench, "hello");
    atomic_store(&b.step, 1);
    bench_until(&bench, nothing_is_idle, &bench);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->reuses, 0);
    end(&bench, &b);
}

static void answer_close(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    backend_read_end(b);
}

static void a_connection_that_closes_is_not_kept(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_close);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->open, 0);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->open, 0);
    end(&bench, &b);
}

static void take_body_chunked(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_until(b, "0\r\nX-Sum: 5\r\n\r\n");
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_body_without_length_is_chunked(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, take_body_chunked);
    caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, 0, DP_BODY_CHUNKED);
    struct dp_headers trailers;
    dp_headers_init(&trailers, &c.arena);
    dp_headers_add(&trailers, GW_STR("X-Sum"), GW_STR("5"));
    caller_start(&c);
    /* Before it is asked for: a body that a filter had kept. */
    dp_upstream_send_body(&c.call, GW_STR("abc"), false, NULL);
    dp_upstream_send_body(&c.call, GW_STR("de"), true, &trailers);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_false(c.wants);
    caller_done(&c);
    assert_int_equal(stats_of(&bench)->idle, 1);
    bench_done(&bench);
    backend_join(&b);
    assert_true(seen_has(&b, "Transfer-Encoding: chunked\r\n"));
    assert_true(seen_has(&b, "\r\n\r\n5\r\nabcde\r\n0\r\nX-Sum: 5\r\n\r\n"));
    backend_done(&b);
}

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
    end(&bench, &b);
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
    assert_true(c.call.link->conn.input.block->capacity <= DP_BLOCK_BODY);
    assert_int_equal(atomic_load(&b.step), 0);
    dp_upstream_read_body(&c.call, true);
    assert_int_equal(gw_buf_len(&c.body), 0); /* not from within */
    caller_finish(&c);
    assert_int_equal(gw_buf_len(&c.body), BIG);
    assert_null(bench.loop.blocks.free[DP_BLOCK_CLASSES - 1]); /* no block was larger */
    caller_done(&c);
    assert_int_equal(stats_of(&bench)->idle, 1);
    end(&bench, &b);
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
    end(&bench, &b);
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
    end(&bench, &b);
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
    end(&bench, &b);
}

static void answer_many(struct backend *b)
{
    int fds[4];
    for (int i = 0; i < 4; i++) {
        b->fd = -1;
        backend_accept(b);
        fds[i] = b->fd;
    }
    for (int i = 0; i < 4; i++) {
        b->fd = fds[i];
        backend_read_head(b);
        backend_say(b, OK_HELLO);
    }
    for (int i = 0; i < 4; i++) {
        b->fd = fds[i];
        backend_read_end(b);
        backend_close(b);
    }
}

static void unused_connections_are_few_and_leave(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c[4];
    bench_init(&bench, (struct dp_upstreams_options){.idle_max = 2, .idle_timeout_ms = 100});
    backend_start(&b, answer_many);
    bench_member(&bench, "127.0.0.1", b.port);
    for (int i = 0; i < 4; i++) {
        caller_init(&c[i], &bench, DP_METHOD_GET);
        caller_start(&c[i]);
    }
    for (int i = 0; i < 4; i++) {
        caller_finish(&c[i]);
        assert_true(stats_of(&bench)->idle <= 2);
        caller_done(&c[i]);
    }
    bench_until(&bench, nothing_is_idle, &bench);
    assert_int_equal(stats_of(&bench)->open, 0);
    assert_null(*dp_endpoint_pool(bench.members[0].endpoint, 0));
    end(&bench, &b);
}

static void an_endpoint_outlives_its_channel_by_its_connections(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_three_on_one);
    get_ok(&bench, "hello");
    /* The channel goes, as on the sync thread; then the same backend comes back. */
    struct dp_endpoint *endpoint = bench.members[0].endpoint;
    dp_endpoint_unref(endpoint);
    bench.channel.member_count = 0;
    bench_member(&bench, "127.0.0.1", b.port);
    assert_ptr_equal(bench.members[0].endpoint, endpoint);
    get_ok(&bench, "hello");
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->reuses, 2);
    end(&bench, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_used_again),
        cmocka_unit_test(the_head_is_as_it_was_given),
        cmocka_unit_test(chunks_are_decoded_and_trailers_kept),
        cmocka_unit_test(an_answer_may_end_with_the_connection),
        cmocka_unit_test(a_reset_is_no_end),
        cmocka_unit_test(answers_without_a_body_end_at_once),
        cmocka_unit_test(interim_answers_are_dropped),
        cmocka_unit_test(an_early_answer_ends_the_connection),
        cmocka_unit_test(an_answer_before_a_reset_counts),
        cmocka_unit_test(garbage_is_a_failure),
        cmocka_unit_test(a_cut_answer_fails_after_its_head),
        cmocka_unit_test(bytes_behind_an_answer_reach_nobody),
        cmocka_unit_test(a_connection_that_closes_is_not_kept),
        cmocka_unit_test(a_body_without_length_is_chunked),
        cmocka_unit_test(a_slow_backend_holds_the_caller_back),
        cmocka_unit_test(a_slow_caller_holds_the_backend_back),
        cmocka_unit_test(what_came_before_the_end_waits_to_be_read),
        cmocka_unit_test(a_call_can_be_cancelled_anywhere),
        cmocka_unit_test(silence_times_out),
        cmocka_unit_test(unused_connections_are_few_and_leave),
        cmocka_unit_test(an_endpoint_outlives_its_channel_by_its_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
