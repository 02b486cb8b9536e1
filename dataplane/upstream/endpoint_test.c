/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/endpoint.h"

#include "dataplane/net/loop.h"
#include "dataplane/upstream/fake_dns.h"

#include <stdlib.h>

struct fixture {
    struct fake_dns dns;
    struct dp_loop loop;
    struct dp_endpoints *endpoints;
    ev_timer tick;
    struct dp_endpoint *endpoint;
    bool (*until)(const struct fixture *);
    unsigned version; /* what the endpoint had before */
    uint64_t failures;
    gw_msec patience_ms;
};

static void on_tick(struct ev_loop *ev, ev_timer *tick, int events)
{
    (void)events;
    struct fixture *f = gw_container_of(tick, struct fixture, tick);
    if (f->until(f) || (f->patience_ms -= 1) == 0)
        ev_break(ev, EVBREAK_ALL);
}

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    struct gw_error err = GW_ERROR_NONE;
    dns_start(&f->dns);
    assert_int_equal(dp_loop_init(&f->loop), 0);
    ev_timer_init(&f->tick, on_tick, 0.001, 0.001);
    struct dp_resolver_options options = {.loop = &f->loop, .servers = f->dns.address};
    f->endpoints = dp_endpoints_new(1);
    assert_int_equal(dp_endpoints_resolve(f->endpoints, &options, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_endpoint_unref(f->endpoint);
    dp_endpoints_free(f->endpoints); /* asserts that no reference is left */
    dp_loop_done(&f->loop);
    dns_stop(&f->dns);
    free(f);
    return 0;
}

static void run_until(struct fixture *f, bool (*until)(const struct fixture *))
{
    f->until = until;
    f->patience_ms = 20000;
    ev_timer_start(f->loop.ev, &f->tick);
    dp_loop_run(&f->loop);
    ev_timer_stop(f->loop.ev, &f->tick);
    assert_true(until(f));
}

static bool is_settled(const struct fixture *f)
{
    return dp_endpoint_is_settled(f->endpoint);
}

static bool is_new(const struct fixture *f)
{
    return dp_endpoint_version(f->endpoint) != f->version;
}

static bool has_failed_twice(const struct fixture *f)
{
    struct dp_endpoints_stats stats;
    dp_endpoints_read_stats(f->endpoints, &stats);
    return stats.failures >= f->failures + 2;
}

static bool is_well(const struct fixture *f)
{
    return !dp_endpoint_error(f->endpoint);
}

static void get(struct fixture *f, const char *host)
{
    dp_endpoint_unref(f->endpoint);
    f->endpoint = dp_endpoint_get(f->endpoints, gw_str_from(host), 80);
}

static unsigned count_of(const struct fixture *f)
{
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    return dp_endpoint_addresses(f->endpoint, addresses);
}

static void a_literal_address_is_known_at_once(void **state)
{
    (void)state;
    struct dp_endpoints *endpoints = dp_endpoints_new(2);
    static const struct {
        const char *host, *want_host, *name;
    } cases[] = {
        {"192.0.2.7", "192.0.2.7", "192.0.2.7:80"},
        {"2001:DB8::1", "2001:db8::1", "[2001:db8::1]:80"},
        {"[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:80"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
        char text[DP_ADDRESS_TEXT_MAX];
        struct dp_endpoint *endpoint = dp_endpoint_get(endpoints, gw_str_from(cases[i].host), 80);
        assert_true(dp_endpoint_is_settled(endpoint));
        assert_int_equal(dp_endpoint_addresses(endpoint, addresses), 1);
        (void)dp_address_print(&addresses[0], text);
        assert_string_equal(text, cases[i].want_host);
        assert_str(dp_endpoint_host(endpoint), cases[i].want_host);
        assert_str(dp_endpoint_name(endpoint), cases[i].name);
        assert_int_equal(dp_endpoint_port(endpoint), 80);
        assert_null(*dp_endpoint_pool(endpoint, 1));
        dp_endpoint_unref(endpoint);
    }
    dp_endpoints_free(endpoints);
}

static void the_same_host_and_port_are_the_same_endpoint(void **state)
{
    (void)state;
    struct dp_endpoints *endpoints = dp_endpoints_new(1);
    struct dp_endpoint *a = dp_endpoint_get(endpoints, GW_STR("LocalHost"), 80);
    struct dp_endpoint *b = dp_endpoint_get(endpoints, GW_STR("localhost"), 80);
    struct dp_endpoint *c = dp_endpoint_get(endpoints, GW_STR("localhost"), 81);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_equal(dp_endpoint_ref(a), a);
    for (int i = 0; i < 3; i++)
        dp_endpoint_unref(a);
    dp_endpoint_unref(c);
    dp_endpoint_unref(NULL);
    dp_endpoints_free(endpoints);
    dp_endpoints_free(NULL);
}

static void a_name_is_resolved_in_the_background(void **state)
{
    struct fixture *f = *state;
    struct dp_endpoints_stats stats;
    get(f, "localhost");
    assert_false(dp_endpoint_is_settled(f->endpoint));
    run_until(f, is_settled);
    assert_true(count_of(f) >= 1);
    assert_null(dp_endpoint_error(f->endpoint));
    dp_endpoints_read_stats(f->endpoints, &stats);
    assert_int_equal(stats.names, 1);
    assert_int_equal(stats.lookups, 1);
}

static void a_name_that_is_none_settles_without_addresses(void **state)
{
    struct fixture *f = *state;
    char longest[400];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    const char *const names[] = {"not a name", longest, "..", "gone.test."};
    f->dns.mode = DNS_NO_SUCH_NAME;
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        get(f, names[i]);
        run_until(f, is_settled);
        assert_int_equal(count_of(f), 0);
        assert_non_null(dp_endpoint_error(f->endpoint));
    }
}

static void addresses_change_when_their_time_is_over(void **state)
{
    struct fixture *f = *state;
    f->dns.ttl_s = 0; /* the least there is then counts */
    get(f, "backend.test.");
    run_until(f, is_settled);
    assert_int_equal(count_of(f), 1);
    f->version = dp_endpoint_version(f->endpoint);
    f->dns.v4 = 3;
    run_until(f, is_new);
    assert_int_equal(count_of(f), 3);
}

static void the_last_addresses_stay_while_nothing_better_is_known(void **state)
{
    struct fixture *f = *state;
    struct dp_endpoints_stats stats;
    f->dns.ttl_s = 0;
    get(f, "backend.test.");
    run_until(f, is_settled);
    f->dns.mode = DNS_FAILS;
    f->version = dp_endpoint_version(f->endpoint);
    run_until(f, has_failed_twice);
    dp_endpoints_read_stats(f->endpoints, &stats);
    assert_int_equal(stats.failing, 1);
    assert_non_null(dp_endpoint_error(f->endpoint));
    assert_int_equal(count_of(f), 1);
    assert_int_equal(dp_endpoint_version(f->endpoint), f->version);
    f->dns.mode = DNS_ANSWERS;
    run_until(f, is_well);
    dp_endpoints_read_stats(f->endpoints, &stats);
    assert_int_equal(stats.failing, 0);
}

static bool has_failed(const struct fixture *f)
{
    return !is_well(f);
}

static bool has_two(const struct fixture *f)
{
    return is_well(f) && count_of(f) == 2;
}

static void a_family_that_fails_keeps_its_addresses(void **state)
{
    struct fixture *f = *state;
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    static const int broken[] = {1, 28, -1};
    f->dns.v6 = 1;
    f->dns.ttl_s = 1;
    get(f, "backend.test.");
    run_until(f, is_settled);
    assert_int_equal(count_of(f), 2);
    for (size_t i = 0; i < GW_ARRAY_LEN(broken); i++) {
        f->dns.broken = broken[i];
        f->version = dp_endpoint_version(f->endpoint);
        run_until(f, has_failed);
        assert_int_equal(dp_endpoint_addresses(f->endpoint, addresses), 2);
        assert_true(dp_address_is_v4(&addresses[0]) != dp_address_is_v4(&addresses[1]));
        assert_int_equal(dp_endpoint_version(f->endpoint), f->version);
        f->dns.broken = 0;
        run_until(f, has_two);
    }
}

static void a_family_without_addresses_goes(void **state)
{
    struct fixture *f = *state;
    f->dns.v6 = 1;
    f->dns.ttl_s = 1;
    get(f, "backend.test.");
    run_until(f, is_settled);
    f->dns.v4 = 0;
    f->version = dp_endpoint_version(f->endpoint);
    run_until(f, is_new);
    assert_int_equal(count_of(f), 1);
    assert_null(dp_endpoint_error(f->endpoint));
}

static void a_family_that_was_never_known_is_asked_for_again_soon(void **state)
{
    struct fixture *f = *state;
    f->dns.v6 = 1;
    f->dns.broken = 1;
    get(f, "backend.test."); /* good for a minute */
    run_until(f, is_settled);
    assert_int_equal(count_of(f), 1);
    run_until(f, has_failed);
    f->dns.broken = 0;
    run_until(f, has_two);
}

static bool has_no_names(const struct fixture *f)
{
    struct dp_endpoints_stats stats;
    dp_endpoints_read_stats(f->endpoints, &stats);
    return stats.names == 0;
}

static void names_that_nobody_uses_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct dp_endpoints_stats stats;
    get(f, "backend.test.");
    run_until(f, is_settled);
    get(f, "other.test.");          /* and the first one is let go */
    dp_endpoint_unref(f->endpoint); /* as is the second, before its look-up has begun */
    f->endpoint = NULL;
    run_until(f, has_no_names); /* an answer may still be on its way */
    get(f, "third.test.");
    run_until(f, is_settled);
    dp_endpoints_read_stats(f->endpoints, &stats);
    assert_int_equal(stats.lookups, 2);
}

static bool are_many_settled(const struct fixture *f)
{
    struct dp_endpoints_stats stats;
    dp_endpoints_read_stats(f->endpoints, &stats);
    return stats.lookups == DP_ENDPOINT_LOOKUPS_MAX * 4;
}

static void many_names_wait_for_their_turn(void **state)
{
    struct fixture *f = *state;
    struct dp_endpoint *many[DP_ENDPOINT_LOOKUPS_MAX * 4];
    for (unsigned i = 0; i < GW_ARRAY_LEN(many); i++) {
        char host[32];
        (void)snprintf(host, sizeof(host), "b%u.test.", i);
        many[i] = dp_endpoint_get(f->endpoints, gw_str_from(host), 80);
    }
    run_until(f, are_many_settled);
    for (unsigned i = 0; i < GW_ARRAY_LEN(many); i++) {
        assert_true(dp_endpoint_is_settled(many[i]));
        assert_null(dp_endpoint_error(many[i]));
        dp_endpoint_unref(many[i]);
    }
}

#define THREADS 4
#define ROUNDS 3000

static struct dp_endpoints *shared;
static atomic_int threads_done;

/* As the sync thread and workers do: get, read and let go, over few names. */
static void *get_and_let_go(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
        struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
        seed = seed * 1103515245 + 12345;
        struct dp_endpoint *endpoint = dp_endpoint_get(shared, gw_str_from(hosts[(seed >> 16) % 3]),
                                                       (uint16_t)(80 + (seed >> 20) % 2));
        dp_endpoint_ref(endpoint);
        unsigned count = dp_endpoint_addresses(endpoint, addresses);
        for (unsigned k = 0; k < count; k++) {
            /* Never a mixture: each of them is a loopback address. */
            char text[DP_ADDRESS_TEXT_MAX];
            (void)dp_address_print(&addresses[k], text);
            if (strcmp(text, "127.0.0.1") != 0 && strcmp(text, "::1") != 0)
                abort();
        }
        dp_endpoint_unref(endpoint);
        dp_endpoint_unref(endpoint);
    }
    threads_done++;
    return NULL;
}

static bool are_threads_done(const struct fixture *f)
{
    (void)f;
    return atomic_load(&threads_done) == THREADS;
}

static void any_thread_may_get_and_let_go(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    shared = f->endpoints;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_let_go, (void *)(i + 1)), 0);
    run_until(f, are_threads_done);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_address_is_known_at_once),
        cmocka_unit_test(the_same_host_and_port_are_the_same_endpoint),
        TEST(a_name_is_resolved_in_the_background),
        TEST(a_name_that_is_none_settles_without_addresses),
        TEST(addresses_change_when_their_time_is_over),
        TEST(the_last_addresses_stay_while_nothing_better_is_known),
        TEST(a_family_that_fails_keeps_its_addresses),
        TEST(a_family_without_addresses_goes),
        TEST(a_family_that_was_never_known_is_asked_for_again_soon),
        TEST(names_that_nobody_uses_are_forgotten),
        TEST(many_names_wait_for_their_turn),
        TEST(any_thread_may_get_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
