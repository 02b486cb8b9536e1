/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections are kept, and for how long. */
#include "dataplane/upstream/testing.h"

static void answer_three_on_one(struct backend *b)
{
    backend_accept(b);
    for (int i = 0; i < 3; i++) {
        backend_read_head(b);
        backend_say(b, OK_HELLO);
    }
    backend_read_end(b);
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
    bench_end(&bench, &b);
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
    bench_end(&bench, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_connections_are_few_and_leave),
        cmocka_unit_test(an_endpoint_outlives_its_channel_by_its_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
