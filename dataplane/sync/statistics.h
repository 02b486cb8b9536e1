/* SPDX-License-Identifier: Apache-2.0 */
/* What the routes have counted since the last time, as messages for the control plane. Sync thread.
 */
#ifndef DP_SYNC_STATISTICS_H
#define DP_SYNC_STATISTICS_H

#include "common/arena.h"

#define DP_STATISTICS_MS 1000         /* between two of them: what agent.proto allows */
#define DP_STATISTICS_ROUTES_MAX 1000 /* in one message; the rest goes into further ones */

struct dp_route_stats_table;

/* Packed penstock.agent.v1.AgentMessage each, in the arena; none when nothing was counted. */
struct dp_statistics {
    gw_str *messages;
    size_t count;
};
/* Takes the deltas out of the table: what is not sent then is lost. */
struct dp_statistics dp_statistics_take(struct dp_route_stats_table *table, struct gw_arena *arena);

#endif
