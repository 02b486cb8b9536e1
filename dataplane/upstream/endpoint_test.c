/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/endpoint.h"

#include "common/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_until_settled(struct dp_endpoint *endpoint)
{
    for (int i = 0; i < 20000 && !dp_endpoint_is_settled(endpoint); i++)
        usleep(1000);
    assert_true(dp_endpoint_is_settled(endpoint));
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
    (void)state;
    struct dp_endpoints *endpoints = dp_endpoints_new(1);
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    struct dp_endpoint *endpoint = dp_endpoint_get(endpoints, GW_STR("localhost"), 80);
    wait_until_settled(endpoint);
    unsigned count = dp_endpoint_addresses(endpoint, addresses);
    assert_true(count >= 1 && count <= DP_ENDPOINT_ADDRESSES_MAX);
    struct dp_address v4, v6;
    assert_int_equal(dp_address_parse(GW_STR("127.0.0.1"), &v4), 0);
    assert_int_equal(dp_address_parse(GW_STR("::1"), &v6), 0);
    assert_true(dp_address_cmp(&addresses[0], &v4) == 0 || dp_address_cmp(&addresses[0], &v6) == 0);
    dp_endpoint_unref(endpoint);
    dp_endpoints_free(endpoints);
}

static void a_name_that_is_none_settles_without_addresses(void **state)
{
    (void)state;
    struct dp_endpoints *endpoints = dp_endpoints_new(1);
    struct dp_address addresses[DP_ENDPOINT_ADDRESSES_MAX];
    char longest[400];
    memset(longest, 'a', sizeof(longest));
    const gw_str names[] = {GW_STR("not a name"), gw_str_n(longest, sizeof(longest))};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        struct dp_endpoint *endpoint = dp_endpoint_get(endpoints, names[i], 80);
        wait_until_settled(endpoint);
        assert_int_equal(dp_endpoint_addresses(endpoint, addresses), 0);
        dp_endpoint_unref(endpoint);
    }
    dp_endpoints_free(endpoints);
}

#define THREADS 4
#define ROUNDS 3000

static struct dp_endpoints *shared;

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
    return NULL;
}

static void any_thread_may_get_and_let_go(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    shared = dp_endpoints_new(1);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_let_go, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    dp_endpoints_free(shared); /* asserts that no reference is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_address_is_known_at_once),
        cmocka_unit_test(the_same_host_and_port_are_the_same_endpoint),
        cmocka_unit_test(a_name_is_resolved_in_the_background),
        cmocka_unit_test(a_name_that_is_none_settles_without_addresses),
        cmocka_unit_test(any_thread_may_get_and_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
