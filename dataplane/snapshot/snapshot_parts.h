/* SPDX-License-Identifier: Apache-2.0 */
/* How a snapshot is put together; between the catalog and
 * snapshot.c. */
#ifndef DP_SNAPSHOT_SNAPSHOT_PARTS_H
#define DP_SNAPSHOT_SNAPSHOT_PARTS_H

#include "dataplane/snapshot/code_map.h"
#include "dataplane/snapshot/trie.h"

/* Where requests go: shared by snapshots in which no group and no route differs. */
struct dp_routing {
    atomic_uint refs;
    struct dp_router *router; /* owned */
    struct dp_trie secured;   /* domains that are served over TLS; first: in byte order */
};

struct dp_routing *dp_routing_new(void);
/* Takes over a reference and gives one to what may be changed. */
struct dp_routing *dp_routing_own(struct dp_routing *routing);
struct dp_routing *dp_routing_ref(struct dp_routing *routing); /* any thread */
void dp_routing_unref(struct dp_routing *routing);             /* any thread; takes NULL */
/* A host of the group's, by its index there, leads to the group of that number, or no more. */
void dp_routing_add_host(struct dp_routing *routing, struct dp_group_unit *group, unsigned index,
                         uint32_t number);
void dp_routing_remove_host(struct dp_routing *routing, gw_str host);
/* Of callers that ask for no domain; NULL: none. */
const struct dp_domain_tls *dp_routing_default_tls(const struct dp_routing *routing);

/* The gateway's settings; of what is not set the values are 0, or has_ says so. */
struct dp_settings_unit {
    struct dp_unit unit;
    struct dp_tunables values;
    bool has_forwarded_for, has_gzip, has_audience, has_slash, has_http2;
};

struct dp_unit *dp_compile_settings(const Penstock__Agent__V1__Settings *message,
                                    struct gw_error *err);
/* Puts what is set on top of the flags. */
void dp_settings_unit_apply(const struct dp_settings_unit *unit, struct dp_tunables *tunables);

struct dp_snapshot_parts {
    struct dp_routing *routing;
    struct dp_trie codes;              /* code_map.h */
    struct dp_tickets_unit *tickets;   /* NULL: there are none */
    struct dp_settings_unit *settings; /* NULL: likewise */
    size_t app_count, route_count;
};

/* Takes references of its own. */
struct dp_snapshot *dp_snapshot_new(gw_str cluster_id, int64_t revision,
                                    const struct dp_snapshot_parts *parts);

#endif
