/* SPDX-License-Identifier: Apache-2.0 */
/* Counters by route name. They outlive a route's compiled form: whoever compiles the next form of a
 * route of that name gets the same counters. Each worker writes its own cell, readers sum. */
#ifndef DP_OBSERVE_ROUTE_STATS_H
#define DP_OBSERVE_ROUTE_STATS_H

#include "common/str.h"

struct dp_route_stats;
struct dp_route_stats_table; /* process lifetime; its functions lock, those of one route do not */

struct dp_route_totals {
    int64_t requests, errors_4xx, errors_5xx, throttled;
    int64_t latency_us; /* sum */
    int64_t request_bytes, response_bytes;
};

struct dp_route_stats_table *dp_route_stats_table_new(unsigned worker_count);
/* Every reference must be gone. */
void dp_route_stats_table_free(struct dp_route_stats_table *table);
/* A reference to the counters of that name, made when nobody holds them. Any thread. */
struct dp_route_stats *dp_route_stats_get(struct dp_route_stats_table *table, gw_str name);
void dp_route_stats_unref(struct dp_route_stats *stats); /* any thread; takes NULL */

/* Adds to the cell of that worker; only its thread. */
void dp_route_stats_add(struct dp_route_stats *stats, unsigned worker,
                        const struct dp_route_totals *delta);
/* Sum over workers. Any thread. */
void dp_route_stats_read(const struct dp_route_stats *stats, struct dp_route_totals *ret_totals);

typedef void dp_route_stats_visit(gw_str name, const struct dp_route_totals *totals, void *arg);
/* Totals of every route. Any thread. */
void dp_route_stats_each(struct dp_route_stats_table *table, dp_route_stats_visit *visit,
                         void *arg);
/* What was added since the last call, for routes that have any: for the Statistics of the agents'
 * stream. It costs what those cost, whatever the number of routes. One caller. */
void dp_route_stats_take_deltas(struct dp_route_stats_table *table, dp_route_stats_visit *visit,
                                void *arg);

#endif
