/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: who shares them, and how they end. */
#include "dataplane/upstream/h2_testing.h"
#include "dataplane/upstream/tls_testing.h"

#define MANY 20

struct group {
    struct caller callers[MANY];
    unsigned count;
};

static void group_start(struct group *group, struct bench *bench, unsigned count,
                        enum dp_method method)
{
    group->count = count;
    for (unsigned i = 0; i < count; i++) {
        h2_caller_init(&group->callers[i], bench, method);
        caller_start(&group->callers[i]);
    }
}

static bool group_has_ended(void *arg)
{
    struct group *group = arg;
    unsigned ended = 0;
    for (unsigned i = 0; i < group->count; i++)
        ended += caller_has_ended(&group->callers[i]);
    return ended == group->count;
}

static void group_finish_ok(struct group *group)
{
    bench_until(group->callers[0].bench, group_has_ended, group);
    for (unsigned i = 0; i < group->count; i++) {
        assert_int_equal(group->callers[i].failure, -1);
        assert_str(gw_buf_view(&group->callers[i].body), "hello");
        caller_done(&group->callers[i]);
    }
}

/* ---- sharing */

static void answer_many_at_last(struct backend *b)
{
    uint32_t ids[MANY];
    h2_accept(b);
    for (unsigned i = 0; i < MANY; i++)
        ids[i] = h2_request(b);
    for (unsigned i = MANY; i > 0; i--)
        h2_hello(b, ids[i - 1]);
    h2_read_end(b);
}

static void who_comes_while_it_connects_waits_for_it(void **state)
{
    (void)state;
    static struct group group;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_many_at_last);
    group_start(&group, &bench, MANY, DP_METHOD_GET);
    group_finish_ok(&group);
    assert_int_equal(stats_of(&bench)->connects, 1);
    bench_end(&bench, &b);
}

static void allow_one_each(struct backend *b)
{
    int fds[3];
    for (unsigned i = 0; i < 3; i++) {
        h2_accept_silently(b);
        h2_settings(b, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1);
        (void)h2_request(b);
        fds[i] = b->fd;
        b->fd = -1;
    }
    for (unsigned i = 0; i < 3; i++) {
        b->fd = fds[i];
        h2_hello(b, 1);
    }
    for (unsigned i = 0; i < 2; i++)
        close(fds[i]);
}

static void beyond_what_the_peer_takes_there_is_another(void **state)
{
    (void)state;
    static struct group group;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, allow_one_each);
    group_start(&group, &bench, 3, DP_METHOD_GET);
    group_finish_ok(&group);
    assert_int_equal(stats_of(&bench)->connects, 3);
    bench_done(&bench);
    backend_join(&b);
    assert_int_equal(b.requests, 3);
    backend_done(&b);
}

static void allow_none(struct backend *b)
{
    h2_accept_silently(b);
    h2_settings(b, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    h2_read_end(b);
}

static void a_backend_that_takes_nobody_is_unavailable(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, allow_none);
    h2_get_fails(&bench, DP_FAILURE_CONNECT, 0);
    bench_end(&bench, &b);
}

static void an_unused_session_closes(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){.idle_timeout_ms = 50});
    backend_start(&b, answer_many_at_last);
    bench_member(&bench, "127.0.0.1", b.port);
    static struct group group;
    group_start(&group, &bench, MANY, DP_METHOD_GET);
    group_finish_ok(&group);
    bench_until(&bench, nothing_is_idle, &bench);
    assert_int_equal(stats_of(&bench)->h2_sessions, 0);
    bench_end(&bench, &b);
    assert_int_equal(seen_frame.type, NGHTTP2_GOAWAY);
}

/* ---- what was not processed */

static void go_away_amid(struct backend *b)
{
    h2_accept(b);
    uint32_t first = h2_request(b);
    (void)h2_request(b);
    h2_goaway(b, first);
    h2_hello(b, first);
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void what_a_goaway_leaves_out_is_sent_again(void **state)
{
    (void)state;
    static struct group group;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, go_away_amid);
    group_start(&group, &bench, 2, DP_METHOD_POST); /* also what may not be sent twice */
    group_finish_ok(&group);
    assert_int_equal(stats_of(&bench)->h2_goaways, 1);
    assert_int_equal(stats_of(&bench)->h2_refused, 1);
    assert_int_equal(stats_of(&bench)->retries, 0); /* not of the budget */
    bench_end(&bench, &b);
}

static void refuse_then_answer(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    while (h2_read_type(b, NGHTTP2_DATA) && !(seen_frame.flags & END_STREAM)) {
    }
    h2_reset(b, id, NGHTTP2_REFUSED_STREAM);
    id = h2_request(b);
    while (h2_read_type(b, NGHTTP2_DATA) && !(seen_frame.flags & END_STREAM)) {
    }
    h2_hello(b, id);
    h2_read_end(b);
}

static void a_refused_stream_is_sent_again_with_its_body(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, refuse_then_answer);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, 100, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.call.attempts, 2);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void refuse_all(struct backend *b)
{
    h2_accept(b);
    for (int i = 0; i < 1 + DP_RETRY_REFUSED_MAX; i++)
        h2_reset(b, h2_request(b), NGHTTP2_REFUSED_STREAM);
    h2_read_end(b);
}

static void refusals_have_an_end(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, refuse_all);
    h2_get_fails(&bench, DP_FAILURE_REFUSED, 0);
    bench_end(&bench, &b);
    assert_int_equal(b.requests, 1 + DP_RETRY_REFUSED_MAX);
}

static void close_between(struct backend *b)
{
    h2_accept(b);
    h2_hello(b, h2_request(b));
    (void)h2_request(b);
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void a_stale_session_is_replaced(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, close_between);
    h2_get_ok(&bench, "hello");
    bench_until(&bench, group_has_ended, &(struct group){0});
    h2_get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->stale, 1);
    assert_int_equal(stats_of(&bench)->connects, 2);
    bench_end(&bench, &b);
}

/* ---- silence */

static void be_silent(struct backend *b)
{
    h2_accept(b);
    (void)h2_request(b);
    (void)h2_read_type(b, NGHTTP2_PING);
    h2_read_end(b);
}

static void a_backend_that_answers_no_ping_is_dead(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){.ping_after_ms = 50, .ping_timeout_ms = 50});
    backend_start(&b, be_silent);
    bench_member(&bench, "127.0.0.1", b.port);
    h2_get_fails(&bench, DP_FAILURE_TIMEOUT, 0);
    assert_int_equal(stats_of(&bench)->h2_dead, 1);
    bench_end(&bench, &b);
}

static void answer_ping_first(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    if (h2_read_type(b, NGHTTP2_PING))
        h2_send(b, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0,
                gw_str_n((const char *)seen_frame.payload, 8));
    backend_wait(b, 1);
    h2_hello(b, id);
    h2_read_end(b);
}

static bool has_waited(void *arg)
{
    struct caller *c = arg;
    return c->bench->loop.now_ms * 1000000 - c->call.started_ns > 300 * INT64_C(1000000);
}

static void who_answers_pings_may_take_long(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    bench_init(&bench, (struct dp_upstreams_options){.ping_after_ms = 50, .ping_timeout_ms = 50});
    backend_start(&b, answer_ping_first);
    bench_member(&bench, "127.0.0.1", b.port);
    h2_caller_init(&c, &bench, DP_METHOD_GET);
    caller_start(&c);
    bench_until(&bench, has_waited, &c);
    atomic_store(&b.step, 1);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    caller_done(&c);
    bench_end(&bench, &b);
}

/* ---- backends of HTTP/1 */

static void answer_in_http1(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    backend_read_end(b);
}

static void what_speaks_http1_is_told_apart(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_in_http1);
    h2_get_fails(&bench, DP_FAILURE_PROTOCOL, 0);
    assert_int_equal(stats_of(&bench)->h2_failures, 1);
    assert_int_equal(stats_of(&bench)->connect_failures, 1);
    bench_end(&bench, &b);
}

static void say_nothing(struct backend *b)
{
    h2_accept_silently(b);
    h2_read_end(b);
}

static void who_does_not_greet_is_not_waited_for(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){.connect_timeout_ms = 50});
    backend_start(&b, say_nothing);
    bench_member(&bench, "127.0.0.1", b.port);
    h2_get_fails(&bench, DP_FAILURE_CONNECT_TIMEOUT, 0);
    bench_end(&bench, &b);
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                     const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char wanted[] = {2, 'h', '2'};
    (void)ssl, (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, wanted, sizeof(wanted),
                                 in, in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void answer_over_tls(struct backend *b)
{
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void accept_and_wait(struct backend *b)
{
    backend_accept(b);
    backend_read_end(b);
}

static void run_tls(const struct authority *by, SSL_CTX *server, void (*script)(struct backend *),
                    void (*check)(struct bench *))
{
    struct bench bench;
    struct backend b;
    bench_init(&bench, (struct dp_upstreams_options){.ca_file = by->file});
    backend_start_tls(&b, script, server);
    bench_member(&bench, "127.0.0.1", b.port);
    check(&bench);
    bench_end(&bench, &b);
}

static void get_over_tls(struct bench *bench)
{
    struct caller c;
    for (int i = 0; i < 2; i++) {
        h2_caller_init(&c, bench, DP_METHOD_GET);
        c.request.tls = true;
        caller_run(&c);
        assert_int_equal(c.failure, -1);
        assert_str(gw_buf_view(&c.body), "hello");
        caller_done(&c);
    }
    assert_int_equal(stats_of(bench)->connects, 1);
}

static void fail_over_tls(struct bench *bench)
{
    struct caller c;
    h2_caller_init(&c, bench, DP_METHOD_GET);
    c.request.tls = true;
    c.request.retry_count = 0;
    caller_run(&c);
    assert_true(c.failure == DP_FAILURE_CONNECT || c.failure == DP_FAILURE_PROTOCOL);
    assert_int_equal(stats_of(bench)->connect_failures, 1);
    caller_done(&c);
}

static void over_tls_it_is_agreed_on(void **state)
{
    (void)state;
    struct authority by;
    authority_init(&by);
    SSL_CTX *server = new_server(&by, "IP:127.0.0.1", 10);
    run_tls(&by, server, accept_and_wait, fail_over_tls); /* it has HTTP/1.1 alone */
    SSL_CTX_set_alpn_select_cb(server, NULL, NULL);       /* it says nothing to the offer */
    run_tls(&by, server, accept_and_wait, fail_over_tls);
    SSL_CTX_set_alpn_select_cb(server, choose_h2, NULL);
    run_tls(&by, server, answer_over_tls, get_over_tls);
    SSL_CTX_free(server);
    authority_done(&by);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_while_it_connects_waits_for_it),
        cmocka_unit_test(beyond_what_the_peer_takes_there_is_another),
        cmocka_unit_test(a_backend_that_takes_nobody_is_unavailable),
        cmocka_unit_test(an_unused_session_closes),
        cmocka_unit_test(what_a_goaway_leaves_out_is_sent_again),
        cmocka_unit_test(a_refused_stream_is_sent_again_with_its_body),
        cmocka_unit_test(refusals_have_an_end),
        cmocka_unit_test(a_stale_session_is_replaced),
        cmocka_unit_test(a_backend_that_answers_no_ping_is_dead),
        cmocka_unit_test(who_answers_pings_may_take_long),
        cmocka_unit_test(what_speaks_http1_is_told_apart),
        cmocka_unit_test(who_does_not_greet_is_not_waited_for),
        cmocka_unit_test(over_tls_it_is_agreed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
