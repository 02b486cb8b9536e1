/* SPDX-License-Identifier: Apache-2.0 */
/* How a snapshot is put together; between compile.c and snapshot.c. */
#ifndef DP_SNAPSHOT_SNAPSHOT_PARTS_H
#define DP_SNAPSHOT_SNAPSHOT_PARTS_H

#include "dataplane/snapshot/code_map.h"

/* The routes of one group in one environment. */
struct dp_tree_unit {
    struct dp_unit unit;
    gw_str group, environment;
    struct dp_route_tree *tree; /* a reference, as are the routes */
    const struct dp_route_unit *const *routes;
    size_t route_count;
};

/* Where requests go: shared by snapshots in which no group and no route differs. */
struct dp_routing_unit {
    struct dp_unit unit;
    struct dp_router *router; /* owned */
    const struct dp_tree_unit *const *trees;
    const size_t *first; /* [i]: routes in the trees before trees[i] */
    size_t tree_count, route_count;
    const struct dp_domain_tls *default_tls; /* of callers that ask for no domain; NULL: none */
};

/* The gateway's settings; of what is not set the values are 0, or has_ says so. */
struct dp_settings_unit {
    struct dp_unit unit;
    struct dp_tunables values;
    bool has_forwarded_for, has_gzip, has_audience, has_slash;
};

struct dp_unit *dp_compile_settings(const Penstock__Agent__V1__Settings *message,
                                    struct gw_error *err);
/* Puts what is set on top of the flags. */
void dp_settings_unit_apply(const struct dp_settings_unit *unit, struct dp_tunables *tunables);

struct dp_snapshot_parts {
    struct dp_routing_unit *routing;
    struct dp_code_map *codes;
    struct dp_tickets_unit *tickets;   /* NULL: there are none */
    struct dp_settings_unit *settings; /* NULL: likewise */
    size_t app_count;
};

/* Takes references of its own. */
struct dp_snapshot *dp_snapshot_new(gw_str cluster_id, int64_t revision,
                                    const struct dp_snapshot_parts *parts);

#endif
