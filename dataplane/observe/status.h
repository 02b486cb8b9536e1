/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations port tells of this agent: /metrics, /livez, /readyz, /config. Main thread,
 * but for dp_status_publish. */
#ifndef DP_OBSERVE_STATUS_H
#define DP_OBSERVE_STATUS_H

#include "common/metrics.h"
#include "dataplane/observe/ops.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/sync/sync.h"

#include <pthread.h>

#define DP_STATUS_STALLED_MS 10000 /* a worker that turns no more: /livez says so */
#define DP_STATUS_ROUTES_MAX 1000  /* routes with series of their own; the rest is one */

struct dp_access_log;
struct dp_endpoints;
struct dp_limiter;
struct dp_route_stats_table;

/* All workers together. */
struct dp_workers_status {
    unsigned count;
    gw_msec stalled_ms; /* the most */
    int64_t revision;   /* the least that new requests are answered with; -1: one has none */
};

/* Where it comes from; borrowed, and read for as long as the metrics are. */
struct dp_status_sources {
    const char *agent_id;
    struct dp_route_stats_table *routes;
    const struct dp_limiter *limiter;
    struct dp_endpoints *endpoints;
    const struct dp_access_log *access_log; /* NULL: off */
    void (*read_workers)(void *arg, struct dp_workers_status *ret_status);
    void (*read_sync)(void *arg, struct dp_sync_status *ret_status);
    void (*read_refusals)(void *arg, dp_sync_visit_refused *visit, void *visit_arg);
    void *arg;
};

struct dp_status {
    struct dp_status_sources sources;
    struct gw_metrics *metrics; /* borrowed */
    bool draining;              /* set by main */
    pthread_mutex_t lock;
    struct dp_snapshot *snapshot; /* a reference, or NULL; under the lock */
};

/* Adds itself to the metrics, for as long as they live. */
void dp_status_init(struct dp_status *status, const struct dp_status_sources *sources,
                    struct gw_metrics *metrics);
void dp_status_done(struct dp_status *status);
/* Any thread. Takes a reference of its own; NULL: there is none any more. */
void dp_status_publish(struct dp_status *status, struct dp_snapshot *snapshot);
/* A reference, or NULL. */
struct dp_snapshot *dp_status_snapshot(struct dp_status *status);

/* Their arg is the struct dp_status. */
extern const struct dp_ops_page dp_status_pages[];
extern const size_t dp_status_page_count;

/* config_page.c */
unsigned dp_status_write_config(void *status, struct gw_buf *body);
/* status_metrics.c: the collector; arg is the status. */
void dp_status_write_metrics(struct gw_buf *out, void *arg);

#endif
