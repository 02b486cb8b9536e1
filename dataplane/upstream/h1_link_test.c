/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt: what goes over the wire and what becomes of the connection. */
#include "dataplane/upstream/h1_link.h"
#include "dataplane/upstream/testing.h"

#include <sys/ioctl.h>

static void on_nothing(struct dp_conn *conn)
{
    (void)conn;
}

static const struct dp_conn_events sink_events = {
    .readable = on_nothing, .drained = on_nothing, .stalled = on_nothing, .freed = on_nothing};

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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    assert_str(gw_buf_view(&c.body), "no");
    assert_int_equal(stats_of(&bench)->open, 0);
    /* More of the body is ignored. */
    dp_upstream_send_body(&c.call, GW_STR("late"), true, NULL);
    caller_done(&c);
    get_ok(&bench, "hello");
    bench_end(&bench, &b);
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
        bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
}

#define LARGE_BYTES (56 * 1024)
#define LARGE_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 57344\r\n\r\n"
#define SMUGGLED "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"

static void answer_large_and_more(struct backend *b)
{
    /* In one piece: the first read fills its block, and most of the body stays in the kernel. */
    static char all[sizeof(LARGE_HEAD) - 1 + LARGE_BYTES + sizeof(SMUGGLED) - 1];
    memcpy(all, LARGE_HEAD, sizeof(LARGE_HEAD) - 1);
    memcpy(all + sizeof(LARGE_HEAD) - 1 + LARGE_BYTES, SMUGGLED, sizeof(SMUGGLED) - 1);
    backend_accept(b);
    backend_read_head(b);
    backend_write(b, gw_str_n(all, sizeof(all)));
    backend_read_end(b);
}

/* What is not read yet, with what is behind the answer. */
static bool all_has_come(void *arg)
{
    struct caller *c = arg;
    const struct dp_h1_link *link = c->call.link ? dp_h1_link_of(c->call.link) : NULL;
    int unread = 0;
    dp_loop_settle(&c->bench->loop);
    if (c->heads == 0 || !link || ioctl(link->conn.fd, FIONREAD, &unread) != 0)
        return false;
    size_t here = (size_t)unread + dp_input_view(&link->conn.input).len;
    return here == LARGE_BYTES + sizeof(SMUGGLED) - 1;
}

static struct dp_upstreams_stats at_end; /* of the turn in which the answer ended */
static struct bench *bench_at_end;

static void look(struct dp_task *task)
{
    (void)task;
    at_end = *stats_of(bench_at_end);
}

static struct dp_task look_later;

static void on_passing_body(struct dp_upstream_call *call, gw_str data, bool last)
{
    (void)data;
    caller_of(call)->ends += last;
    if (last)
        dp_loop_later(&bench_at_end->loop, &look_later);
}

static void bytes_behind_an_answer_that_passed_by_reach_nobody(void **state)
{
    (void)state;
    struct dp_upstream_events passing = caller_events;
    struct dp_conn out;
    struct dp_sink sink = {.conn = &out};
    struct bench bench;
    struct backend b;
    struct caller c;
    int fds[2];
    run_with(&bench, &b, answer_large_and_more);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    dp_conn_init(&out, &bench.loop, &sink_events, fds[0]);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.manual = true;
    caller_start(&c);
    passing.body = on_passing_body;
    bench_at_end = &bench;
    dp_task_init(&look_later, look);
    c.call.events = &passing;
    c.call.sink = &sink;
    bench_until(&bench, all_has_come, &c);
    dp_upstream_read_body(&c.call, true);
    bench_until(&bench, caller_has_ended, &c);
    assert_true(sink.bytes > 0);
    assert_int_equal(at_end.idle, 0);
    dp_conn_close(&out);
    close(fds[1]);
    caller_done(&c);
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
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
        cmocka_unit_test(bytes_behind_an_answer_that_passed_by_reach_nobody),
        cmocka_unit_test(a_body_without_length_is_chunked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
