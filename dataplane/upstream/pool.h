/* SPDX-License-Identifier: Apache-2.0 */
/* One worker's connections to one endpoint; private to upstream/. A pool is there while it has a
 * connection, and holds a reference to its endpoint meanwhile: an endpoint that the sync thread
 * lets go lives until the worker's last connection to it closes, by the idle timeout at the latest.
 */
#ifndef DP_UPSTREAM_POOL_H
#define DP_UPSTREAM_POOL_H

#include "common/list.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/upstream/tls.h"
#include "dataplane/upstream/upstream.h"

struct dp_pool {
    struct dp_upstreams *upstreams; /* borrowed */
    struct dp_endpoint *endpoint;   /* a reference is owned */
    struct gw_list node;            /* of upstreams->pools */
    struct gw_list idle;            /* used last in front */
    unsigned idle_count;
    unsigned count;           /* connections, idle and busy */
    struct gw_list sessions;  /* of HTTP/2, oldest first; private to h2_session.c */
    unsigned streams_assumed; /* how many a new one of them will take */
    uint8_t address;          /* index of the address that took a connection last */
};

/* One worker's. */
struct dp_upstreams {
    struct dp_upstreams_options options;
    struct dp_upstreams_stats stats;
    struct gw_list pools;
    struct dp_upstream_tls *tls; /* owned; NULL: no backend over TLS yet, and no ca_file */
    struct dp_retry_budgets budgets;
};

/* Counts one connection more; makes the pool with the first one. */
struct dp_pool *dp_pool_enter(struct dp_upstreams *upstreams, struct dp_endpoint *endpoint);
/* One less; the last one frees the pool. */
void dp_pool_leave(struct dp_pool *pool);
/* NULL: there is none. */
struct dp_pool *dp_pool_find(struct dp_upstreams *upstreams, struct dp_endpoint *endpoint);

#endif
