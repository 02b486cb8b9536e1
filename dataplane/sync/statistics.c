/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/statistics.h"

#include "common/message.h"
#include "dataplane/observe/route_stats.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <stdlib.h>

typedef Penstock__Agent__V1__RouteStatistics route_statistics;

/* The message in the making, and those that are ready. */
struct making {
    struct gw_arena *arena;
    struct dp_statistics ready;
    size_t room;
    route_statistics *routes[DP_STATISTICS_ROUTES_MAX];
    size_t route_count;
};

static void finish_message(struct making *making)
{
    Penstock__Agent__V1__Statistics statistics = PENSTOCK__AGENT__V1__STATISTICS__INIT;
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    if (making->route_count == 0)
        return;
    statistics.routes = making->routes;
    statistics.n_routes = making->route_count;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_STATISTICS;
    message.statistics = &statistics;
    if (making->ready.count == making->room) {
        gw_str *old = making->ready.messages;
        making->room = GW_MAX((size_t)4, making->room * 2);
        making->ready.messages = GW_ARENA_ARRAY(making->arena, gw_str, making->room);
        if (old)
            memcpy(making->ready.messages, old, making->ready.count * sizeof(old[0]));
    }
    making->ready.messages[making->ready.count++] = gw_message_pack(making->arena, &message.base);
    making->route_count = 0;
}

static void add_route(gw_str name, const struct dp_route_totals *totals, void *arg)
{
    struct making *making = arg;
    route_statistics *route = GW_ARENA_NEW(making->arena, route_statistics);
    penstock__agent__v1__route_statistics__init(route);
    route->route = (char *)(uintptr_t)gw_arena_dup(making->arena, name).ptr;
    route->requests = totals->requests;
    route->errors_4xx = totals->errors_4xx;
    route->errors_5xx = totals->errors_5xx;
    route->throttled = totals->throttled;
    route->latency_us = totals->latency_us;
    route->request_bytes = totals->request_bytes;
    route->response_bytes = totals->response_bytes;
    making->routes[making->route_count++] = route;
    if (making->route_count == DP_STATISTICS_ROUTES_MAX)
        finish_message(making);
}

struct dp_statistics dp_statistics_take(struct dp_route_stats_table *table, struct gw_arena *arena)
{
    struct making making = {.arena = arena};
    dp_route_stats_take_deltas(table, add_route, &making);
    finish_message(&making);
    return making.ready;
}
