/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/router.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = dp_router_new();
    return 0;
}

static int teardown(void **state)
{
    dp_router_free(*state);
    return 0;
}

/* Each host leads to a group whose value is the host as it was configured. */
static int add_host(struct dp_router *router, const char *host)
{
    uint32_t number = (uint32_t)gw_str_hash(gw_str_from(host));
    dp_router_put_group(router, number, host);
    return dp_router_add_host(router, gw_str_from(host), number, host, NULL);
}

static void expect(const struct dp_router *router, const char *host, const char *want)
{
    const void *value = NULL;
    const struct dp_router_group *group = dp_router_find(router, gw_str_from(host), &value);
    const char *got = group ? dp_router_group_value(group) : "none";
    if (strcmp(got, want) != 0)
        fail_msg("%s: got %s, want %s", host, got, want);
    assert_ptr_equal(value, group ? got : NULL);
}

static void exact_hosts_come_before_the_longest_wildcard(void **state)
{
    struct dp_router *router = *state;
    expect(router, "api.example.com", "none");
    assert_int_equal(add_host(router, "api.example.com"), 0);
    assert_int_equal(add_host(router, "*.example.com"), 0);
    assert_int_equal(add_host(router, "*.eu.example.com"), 0);
    assert_int_equal(add_host(router, "Upper.Example.ORG."), 0);
    assert_int_equal(add_host(router, "10.0.0.1"), 0);
    assert_int_equal(add_host(router, "[2001:DB8::1]"), 0);
    expect(router, "api.example.com", "api.example.com");
    expect(router, "API.EXAMPLE.com", "api.example.com");
    expect(router, "api.example.com.", "api.example.com");
    expect(router, "other.example.com", "*.example.com");
    expect(router, "a.b.c.example.com", "*.example.com");
    expect(router, "x.api.example.com", "*.example.com");
    expect(router, "shop.eu.example.com", "*.eu.example.com");
    expect(router, "a.shop.EU.example.com", "*.eu.example.com");
    expect(router, "eu.example.com", "*.example.com");
    expect(router, "upper.example.org", "Upper.Example.ORG.");
    expect(router, "10.0.0.1", "10.0.0.1");
    expect(router, "[2001:db8::1]", "[2001:DB8::1]");
    expect(router, "example.com", "none");
    expect(router, ".example.com", "none");
    expect(router, "badexample.com", "none");
    expect(router, "com", "none");
    expect(router, "", "none");
    expect(router, ".", "none");
}

static void a_star_takes_all_the_rest(void **state)
{
    struct dp_router *router = *state;
    assert_int_equal(add_host(router, "*"), 0);
    assert_int_equal(add_host(router, "*.example.com"), 0);
    expect(router, "other", "*");
    expect(router, "example.com", "*");
    expect(router, "a.example.com", "*.example.com");
    expect(router, "", "*");
}

static void hosts_that_are_none_or_twice_are_refused(void **state)
{
    struct dp_router *router = *state;
    static const char *const bad[] = {"", ".", "*..", "*a.example", "a.*.example", "**", "*.*"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(add_host(router, bad[i]), -EINVAL);
    assert_int_equal(add_host(router, "a.example"), 0);
    assert_int_equal(add_host(router, "A.example"), -EEXIST);
    assert_int_equal(add_host(router, "*.example"), 0);
    assert_int_equal(add_host(router, "*.EXAMPLE"), -EEXIST);
    char text[257];
    memset(text, 'a', sizeof(text));
    dp_router_put_group(router, 7, NULL);
    assert_int_equal(dp_router_add_host(router, gw_str_n(text, 255), 7, NULL, NULL), 0);
    assert_int_equal(dp_router_add_host(router, gw_str_n(text, 257), 7, NULL, NULL), -EINVAL);
    const void *value;
    assert_non_null(dp_router_find(router, gw_str_n(text, 255), &value));
    assert_null(dp_router_find(router, gw_str_n(text, 257), &value));
}

struct listed {
    unsigned count;
    bool has_exact, has_wildcard, has_rest;
};

static void list_host(void *arg, gw_str host, const void *value)
{
    struct listed *listed = arg;
    listed->count++;
    listed->has_exact |= gw_str_eq(host, GW_STR("a.example")) && value == listed;
    listed->has_wildcard |= gw_str_eq(host, GW_STR("*.b.example")) && !value;
    listed->has_rest |= gw_str_eq(host, GW_STR("*")) && !value;
}

static void hosts_are_listed_as_they_were_added(void **state)
{
    struct dp_router *router = *state;
    struct listed listed = {0};
    assert_int_equal(dp_router_add_host(router, GW_STR("A.example"), 1, &listed, NULL), 0);
    assert_int_equal(dp_router_add_host(router, GW_STR("*.b.example"), 1, NULL, NULL), 0);
    assert_int_equal(dp_router_add_host(router, GW_STR("*"), 1, NULL, NULL), 0);
    dp_router_each_host(router, list_host, &listed);
    assert_int_equal(listed.count, 3);
    assert_true(listed.has_exact && listed.has_wildcard && listed.has_rest);
}

/* The group of "g.example", which has the number 1. */
static const struct dp_router_group *group_of(const struct dp_router *router)
{
    const void *value;
    return dp_router_find(router, GW_STR("g.example"), &value);
}

static void count_tree(void *arg, const struct dp_route_tree *tree)
{
    *(size_t *)arg += 1 + dp_route_tree_count(tree);
}

static void groups_have_a_tree_for_each_environment(void **state)
{
    struct dp_router *router = *state;
    struct dp_route_tree *release = dp_route_tree_new(), *test = dp_route_tree_new();
    size_t count = 0;
    assert_int_equal(dp_router_add_host(router, GW_STR("g.example"), 1, NULL, NULL), 0);
    assert_null(group_of(router));
    dp_router_put_tree(router, 1, GW_STR("RELEASE"), release); /* before the group itself */
    dp_router_put_group(router, 1, "before");
    dp_router_put_tree(router, 1, GW_STR("test"), release);
    dp_router_put_tree(router, 1, GW_STR("test"), test);
    dp_router_put_group(router, 1, "value");
    assert_string_equal(dp_router_group_value(group_of(router)), "value");
    assert_ptr_equal(dp_router_group_tree(group_of(router), GW_STR("RELEASE")), release);
    assert_ptr_equal(dp_router_group_tree(group_of(router), GW_STR("test")), test);
    assert_null(dp_router_group_tree(group_of(router), GW_STR("TEST")));
    assert_null(dp_router_group_tree(group_of(router), GW_STR("")));
    dp_router_each_tree(router, count_tree, &count);
    assert_int_equal(count, 2);
    dp_route_tree_unref(release); /* the router holds its own */
    dp_route_tree_unref(test);
    dp_router_put_tree(router, 1, GW_STR("test"), NULL);
    assert_null(dp_router_group_tree(group_of(router), GW_STR("test")));
    dp_router_remove_group(router, 1);
    assert_non_null(group_of(router)); /* it still has a tree */
    dp_router_put_tree(router, 1, GW_STR("RELEASE"), NULL);
    assert_null(group_of(router));
    dp_router_remove_group(router, 1);
}

/* A change of one tree, group or host makes a router that shares the others. */
static void routers_share_what_does_not_change(void **state)
{
    struct dp_router *router = *state;
    struct dp_route_tree *tree = dp_route_tree_new();
    struct dp_route_def def = {.method = DP_METHOD_GET, .pattern = GW_STR("/a"), .value = "value"};
    assert_int_equal(dp_route_tree_add(tree, &def), 0);
    dp_router_put_group(router, 1, "old");
    assert_int_equal(dp_router_add_host(router, GW_STR("g.example"), 1, NULL, NULL), 0);
    struct dp_router *copy = dp_router_copy(router);
    dp_router_put_tree(copy, 1, GW_STR("RELEASE"), tree);
    dp_router_put_group(copy, 1, "new");
    assert_int_equal(dp_router_add_host(copy, GW_STR("*.a.b.c.d"), 1, NULL, NULL), 0);
    dp_route_tree_unref(tree);
    assert_string_equal(dp_router_group_value(group_of(router)), "old");
    assert_null(dp_router_group_tree(group_of(router), GW_STR("RELEASE")));
    expect(router, "x.a.b.c.d", "none");
    dp_router_free(router);
    *state = copy;
    struct dp_route_match match;
    const struct dp_route_tree *kept = dp_router_group_tree(group_of(copy), GW_STR("RELEASE"));
    assert_int_equal(dp_route_tree_match(kept, DP_METHOD_GET, GW_STR("/a"), &match),
                     DP_ROUTE_FOUND);
    dp_router_remove_host(copy, GW_STR("*.a.b.c.d"));
    dp_router_remove_host(copy, GW_STR("*.a.b.c.d"));
    dp_router_remove_host(copy, GW_STR("*..."));
    expect(copy, "x.a.b.c.d", "none");
    dp_router_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(exact_hosts_come_before_the_longest_wildcard),
        TEST(a_star_takes_all_the_rest),
        TEST(hosts_that_are_none_or_twice_are_refused),
        TEST(hosts_are_listed_as_they_were_added),
        TEST(groups_have_a_tree_for_each_environment),
        TEST(routers_share_what_does_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
