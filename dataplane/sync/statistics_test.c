/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/statistics.h"

#include "common/message.h"
#include "dataplane/observe/route_stats.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROUTES (DP_STATISTICS_ROUTES_MAX + 500)

static Penstock__Agent__V1__Statistics *unpack(struct gw_arena *arena, gw_str packed)
{
    ProtobufCMessage *message;
    struct gw_error err = GW_ERROR_NONE;
    if (gw_message_unpack(arena, &penstock__agent__v1__agent_message__descriptor, packed, &message,
                          &err) < 0)
        fail_msg("%s", err.message);
    Penstock__Agent__V1__AgentMessage *agent = (Penstock__Agent__V1__AgentMessage *)message;
    assert_int_equal(agent->kind_case, PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_STATISTICS);
    return agent->statistics;
}

static void what_was_counted_is_told_once(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct dp_route_stats_table *table = dp_route_stats_table_new(1);
    struct dp_route_stats *route = dp_route_stats_get(table, GW_STR("groups/g/apis/a@RELEASE"));
    struct dp_route_totals delta = {.requests = 3,
                                    .errors_4xx = 2,
                                    .throttled = 1,
                                    .latency_us = 40,
                                    .request_bytes = 5,
                                    .response_bytes = 6};
    assert_int_equal(dp_statistics_take(table, &arena).count, 0);
    dp_route_stats_add(route, 0, &delta);
    struct dp_statistics taken = dp_statistics_take(table, &arena);
    assert_int_equal(taken.count, 1);
    Penstock__Agent__V1__Statistics *told = unpack(&arena, taken.messages[0]);
    assert_int_equal(told->n_routes, 1);
    assert_string_equal(told->routes[0]->route, "groups/g/apis/a@RELEASE");
    assert_int_equal(told->routes[0]->requests, 3);
    assert_int_equal(told->routes[0]->errors_4xx, 2);
    assert_int_equal(told->routes[0]->throttled, 1);
    assert_int_equal(told->routes[0]->latency_us, 40);
    assert_int_equal(told->routes[0]->request_bytes, 5);
    assert_int_equal(told->routes[0]->response_bytes, 6);
    assert_int_equal(dp_statistics_take(table, &arena).count, 0);
    dp_route_stats_unref(route);
    dp_route_stats_table_free(table);
    gw_arena_done(&arena);
}

static void many_routes_take_several_messages(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct dp_route_stats_table *table = dp_route_stats_table_new(1);
    struct dp_route_stats **routes = gw_calloc(ROUTES, sizeof *routes);
    struct dp_route_totals delta = {.requests = 1};
    for (unsigned i = 0; i < ROUTES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "groups/g/apis/a%u@RELEASE", i);
        routes[i] = dp_route_stats_get(table, gw_str_from(name));
        dp_route_stats_add(routes[i], 0, &delta);
    }
    struct dp_statistics taken = dp_statistics_take(table, &arena);
    assert_int_equal(taken.count, 2);
    size_t told = unpack(&arena, taken.messages[0])->n_routes;
    told += unpack(&arena, taken.messages[1])->n_routes;
    assert_int_equal(told, ROUTES);
    for (unsigned i = 0; i < ROUTES; i++)
        dp_route_stats_unref(routes[i]);
    free(routes);
    dp_route_stats_table_free(table);
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_counted_is_told_once),
        cmocka_unit_test(many_routes_take_several_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
