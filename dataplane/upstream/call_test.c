/* SPDX-License-Identifier: Apache-2.0 */
/* More than one attempt: member by member, and what it must never do. */
#include "dataplane/upstream/testing.h"

static void refuse_all(struct backend *b)
{
    (void)b; /* nobody comes here */
}

static void answer_one(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_refused_connection_leads_to_the_next_member(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    bench_init(&bench, (struct dp_upstreams_options){0});
    bench_member(&bench, "127.0.0.1", refusing_port());
    backend_start(&b, answer_one);
    bench_member(&bench, "127.0.0.1", b.port);
    caller_init(&c, &bench, DP_METHOD_POST); /* also what may not be sent twice: nothing was sent */
    c.request.retry_count = 0;
    caller_body(&c, 10, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_str(gw_buf_view(&c.body), "hello");
    assert_int_equal(c.call.attempts, 2);
    assert_ptr_equal(c.call.endpoint, bench.members[1].endpoint);
    assert_int_equal(stats_of(&bench)->connect_failures, 1);
    assert_int_equal(stats_of(&bench)->retries, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void with_all_members_refusing_it_fails(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){0});
    backend_start(&b, refuse_all);
    bench_member(&bench, "127.0.0.1", refusing_port());
    bench_member(&bench, "127.0.0.1", refusing_port());
    get_fails(&bench, DP_FAILURE_CONNECT, 0);
    assert_int_equal(stats_of(&bench)->connects, 2);
    bench_end(&bench, &b);
}

static void without_members_or_addresses_it_fails(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){0});
    backend_start(&b, refuse_all);
    get_fails(&bench, DP_FAILURE_NO_MEMBER, 0);
    bench_member(&bench, "not a name", 80);
    get_fails(&bench, DP_FAILURE_UNRESOLVED, 0);
    assert_int_equal(stats_of(&bench)->connects, 0);
    bench_end(&bench, &b);
}

static void a_new_name_is_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){.connect_timeout_ms = PATIENCE_S * 1000});
    backend_start(&b, answer_one);
    bench_member(&bench, "localhost", b.port); /* its look-up has hardly begun */
    get_ok(&bench, "hello");
    bench_end(&bench, &b);
}

static void close_after_first(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_head(b); /* the next request comes, and finds it closed */
    backend_close(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_stale_connection_is_replaced(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, close_after_first);
    get_ok(&bench, "hello");
    caller_init(&c, &bench, DP_METHOD_PUT);
    c.request.retry_count = 0; /* this is no attempt in the policy's sense */
    caller_body(&c, 10, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.call.attempts, 2);
    assert_false(c.call.reused);
    assert_int_equal(stats_of(&bench)->stale, 1);
    assert_int_equal(stats_of(&bench)->retries, 0);
    caller_done(&c);
    bench_end(&bench, &b);
    assert_int_equal(b.requests, 3);
}

static void close_on_post(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_head(b);
    backend_close(b);
}

static void what_may_have_been_done_is_not_sent_again(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, close_on_post);
    get_ok(&bench, "hello");
    caller_init(&c, &bench, DP_METHOD_POST);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_STALE);
    assert_int_equal(c.call.attempts, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void close_idle(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_wait(b, 1);
    backend_close(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_connection_that_closes_while_idle_is_dropped(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, close_idle);
    get_ok(&bench, "hello");
    atomic_store(&b.step, 1);
    caller_init(&c, &bench, DP_METHOD_POST);
    bench_until(&bench, nothing_is_idle, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(stats_of(&bench)->stale, 0);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void reset_then_answer(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_until(b, "xxxxxxxxxx");
    backend_close(b);
    backend_accept(b);
    backend_read_head(b);
    backend_read_until(b, "xxxxxxxxxx");
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_small_body_is_sent_again(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        struct bench bench;
        struct backend b;
        struct caller c;
        run_with(&bench, &b, reset_then_answer);
        caller_init(&c, &bench, DP_METHOD_PUT);
        caller_body(&c, 10, chunked ? DP_BODY_CHUNKED : DP_BODY_LENGTH);
        caller_run(&c);
        assert_int_equal(c.failure, -1);
        assert_int_equal(c.call.attempts, 2);
        assert_int_equal(c.sent, 10); /* the owner was asked once */
        assert_int_equal(stats_of(&bench)->retries, 1);
        caller_done(&c);
        bench_end(&bench, &b);
    }
}

static void reset_in_body(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_bytes(b, PUSH_BYTES / 8);
    atomic_store(&b->step, 1);
    backend_wait(b, 2);
    backend_reset(b);
    backend_accept(b);
    backend_read_head(b);
    backend_read_bytes(b, 2 * PUSH_BYTES / 8);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static bool backend_is_at_one(void *arg)
{
    return atomic_load(&((struct backend *)arg)->step) == 1;
}

static bool is_retried_and_wanted(void *arg)
{
    struct caller *c = arg;
    return c->call.attempts == 2 && c->wants;
}

static void a_body_in_the_making_goes_on_after_its_replay(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    char piece[PUSH_BYTES / 8];
    memset(piece, 'x', sizeof(piece));
    run_with(&bench, &b, reset_in_body);
    caller_init(&c, &bench, DP_METHOD_PUT);
    c.request.framing = (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 2 * sizeof(piece)};
    caller_start(&c);
    dp_upstream_send_body(&c.call, gw_str_n(piece, sizeof(piece)), false, NULL);
    bench_until(&bench, backend_is_at_one, &b);
    atomic_store(&b.step, 2);
    bench_until(&bench, is_retried_and_wanted, &c);
    dp_upstream_send_body(&c.call, gw_str_n(piece, sizeof(piece)), true, NULL);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 200);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void reset_after_large(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_bytes(b, DP_UPSTREAM_REPLAY_BYTES + 1);
    backend_reset(b);
}

static void a_large_body_is_not_sent_again(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, reset_after_large);
    caller_init(&c, &bench, DP_METHOD_PUT);
    caller_body(&c, DP_UPSTREAM_REPLAY_BYTES + 1, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_RESET);
    assert_int_equal(c.call.attempts, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void answer_503_then_200(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_busy_backend_is_asked_once_more(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_503_then_200);
    get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->retries, 1);
    bench_end(&bench, &b);
}

static void answer_503_always(struct backend *b)
{
    static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
    for (int i = 0; i < 2; i++) {
        backend_accept(b);
        backend_read_head(b);
        backend_say(b, busy);
        if (i == 0)
            backend_read_end(b);
    }
    backend_read_head(b); /* of the POST: the connection that gave an answer was kept */
    backend_say(b, busy);
    backend_read_end(b);
}

static void the_last_busy_answer_passes(void **state)
{
    (void)state;
    static const enum dp_method methods[] = {DP_METHOD_GET, DP_METHOD_POST};
    static const unsigned attempts[] = {2, 1};
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_503_always);
    for (int i = 0; i < 2; i++) {
        struct caller c;
        caller_init(&c, &bench, methods[i]);
        caller_run(&c);
        assert_int_equal(c.failure, -1);
        assert_int_equal(c.status, 503);
        assert_str(gw_buf_view(&c.body), "busy");
        assert_int_equal(c.call.attempts, attempts[i]);
        caller_done(&c);
    }
    bench_end(&bench, &b);
}

static void reset_each(struct backend *b)
{
    for (;;) {
        backend_accept(b);
        if (atomic_load(&b->step) == 1)
            return;
        backend_read_head(b);
    }
}

static void a_budget_bounds_retries(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, reset_each);
    /* The loop's time stands still between two runs of it, so all is within one second. */
    enum { CALLS = 8 };
    struct caller c[CALLS];
    gw_clock_fake(5000, 0);
    for (int i = 0; i < CALLS; i++) {
        caller_init(&c[i], &bench, DP_METHOD_GET);
        caller_start(&c[i]);
    }
    unsigned attempts = 0;
    for (int i = 0; i < CALLS; i++) {
        caller_finish(&c[i]);
        assert_int_equal(c[i].failure, DP_FAILURE_RESET);
        attempts += c[i].call.attempts;
        caller_done(&c[i]);
    }
    gw_clock_fake_off();
    assert_int_equal(attempts, CALLS + DP_RETRY_BUDGET_MIN);
    assert_int_equal(stats_of(&bench)->retries, DP_RETRY_BUDGET_MIN);
    assert_int_equal(stats_of(&bench)->budget_refusals, CALLS - DP_RETRY_BUDGET_MIN);
    atomic_store(&b.step, 1);
    struct caller last; /* lets the script's accept return */
    caller_init(&last, &bench, DP_METHOD_POST);
    caller_run(&last);
    caller_done(&last);
    bench_end(&bench, &b);
}

static void stay_silent_once(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_read_end(b);
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_read_end(b);
}

static void a_slow_head_is_retried(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, stay_silent_once);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.request.timeout_ms = 300;
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.call.attempts, 2);
    assert_int_equal(stats_of(&bench)->timeouts, 1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void a_connection_that_is_not_made_times_out(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    uint16_t port;
    /* A listener whose queue is full drops what comes. */
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int full = listen_anywhere(&port), fillers[8];
    assert_int_equal(listen(full, 0), 0);
    in.sin_port = htons(port);
    for (size_t i = 0; i < GW_ARRAY_LEN(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&in, sizeof(in)); /* some of them wait */
    }
    bench_init(&bench, (struct dp_upstreams_options){.connect_timeout_ms = 50});
    backend_start(&b, refuse_all);
    bench_member(&bench, "127.0.0.1", port);
    caller_init(&c, &bench, DP_METHOD_GET);
    c.request.retry_count = 0;
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_CONNECT_TIMEOUT);
    caller_done(&c);
    bench_end(&bench, &b);
    close(full);
    for (size_t i = 0; i < GW_ARRAY_LEN(fillers); i++)
        close(fillers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_connection_leads_to_the_next_member),
        cmocka_unit_test(with_all_members_refusing_it_fails),
        cmocka_unit_test(without_members_or_addresses_it_fails),
        cmocka_unit_test(a_new_name_is_waited_for),
        cmocka_unit_test(a_stale_connection_is_replaced),
        cmocka_unit_test(what_may_have_been_done_is_not_sent_again),
        cmocka_unit_test(a_connection_that_closes_while_idle_is_dropped),
        cmocka_unit_test(a_small_body_is_sent_again),
        cmocka_unit_test(a_body_in_the_making_goes_on_after_its_replay),
        cmocka_unit_test(a_large_body_is_not_sent_again),
        cmocka_unit_test(a_busy_backend_is_asked_once_more),
        cmocka_unit_test(the_last_busy_answer_passes),
        cmocka_unit_test(a_budget_bounds_retries),
        cmocka_unit_test(a_slow_head_is_retried),
        cmocka_unit_test(a_connection_that_is_not_made_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
