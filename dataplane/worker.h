/* SPDX-License-Identifier: Apache-2.0 */
/* One thread, one loop: its listeners, its connections, its snapshot. Workers share nothing but
 * snapshots, counters and limiter cells. Unless said otherwise: main thread only. */
#ifndef DP_WORKER_H
#define DP_WORKER_H

#include "common/clock.h"
#include "common/error.h"
#include "common/metrics.h"
#include "dataplane/snapshot/snapshot.h"

struct dp_access_log;
struct dp_inherited;
struct dp_settings;
struct dp_ticket_chain;

/* What all workers of a process share; borrowed, outlives them. */
struct dp_worker_shared {
    const struct dp_settings *settings;
    struct gw_metrics *metrics;
    struct dp_access_log *access_log; /* NULL: off */
    struct dp_inherited *inherited;   /* NULL: none; taken from while workers are made */
    const struct dp_ticket_chain *ticket_keys;
};

struct dp_worker;

/* Takes its share of the inherited sockets of settings->listen; where there is none for it, it
 * binds one with SO_REUSEPORT. Nothing is accepted yet. */
struct dp_worker *dp_worker_new(const struct dp_worker_shared *shared, unsigned index,
                                struct gw_error *err);
GW_MUST_CHECK int dp_worker_start(struct dp_worker *worker, struct gw_error *err);

/* Any thread. The worker takes a reference of its own; requests that have begun keep the snapshot
 * that they started with. */
void dp_worker_post_snapshot(struct dp_worker *worker, struct dp_snapshot *snapshot);
/* A caller that comes from no listener, on one end of a socket pair. */
struct dp_guest {
    int fd;                       /* non-blocking; the worker's from now on */
    bool https;                   /* counts as TLS */
    struct dp_snapshot *snapshot; /* what it is answered by; NULL: what everybody is */
};
/* Any thread. Takes a reference to the snapshot. */
void dp_worker_post_guest(struct dp_worker *worker, const struct dp_guest *guest);
/* Any thread. Listeners close after grace_ms, answers say Connection: close, and the loop ends when
 * the last connection has, at the latest timeout_ms later. */
void dp_worker_drain(struct dp_worker *worker, gw_msec grace_ms, gw_msec timeout_ms);
/* Any thread. The same at once, for another process that accepts on the same sockets already: what
 * is queued there is left to it. */
void dp_worker_hand_over(struct dp_worker *worker, gw_msec timeout_ms);
/* Any thread: milliseconds since the loop last turned (it turns at least once a second). */
gw_msec dp_worker_stalled_ms(const struct dp_worker *worker);
/* Any thread: revision that new requests are answered with; -1: none yet. */
int64_t dp_worker_revision(const struct dp_worker *worker);

/* Waits for the end of the thread. */
void dp_worker_join(struct dp_worker *worker);
void dp_worker_free(struct dp_worker *worker); /* takes NULL */
/* Its listening sockets: how many, and number i of them. */
unsigned dp_worker_listener_count(const struct dp_worker *worker);
int dp_worker_listener_fd(const struct dp_worker *worker, unsigned listener);
/* Port of listener i, for tests that listen on port 0. */
uint16_t dp_worker_port(const struct dp_worker *worker, unsigned listener);

#endif
