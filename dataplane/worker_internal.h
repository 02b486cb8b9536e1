/* SPDX-License-Identifier: Apache-2.0 */
/* A worker from inside: what exchanges take from it. Private to worker.c, exchange.c and its steps;
 * its thread only, but for the atomics. */
#ifndef DP_WORKER_INTERNAL_H
#define DP_WORKER_INTERNAL_H

#include "dataplane/downstream/server.h"
#include "dataplane/encode.h"
#include "dataplane/http/date.h"
#include "dataplane/net/listener.h"
#include "dataplane/net/proxy_gate.h"
#include "dataplane/observe/observe.h"
#include "dataplane/request_id.h"
#include "dataplane/tls/front.h"
#include "dataplane/tunables.h"
#include "dataplane/upstream/upstream.h"
#include "dataplane/worker.h"

#include <pthread.h>
#include <stdatomic.h>

/* A snapshot and how many exchanges of this worker use it: counted here and not in the snapshot,
 * whose count all workers share. */
struct dp_pinned {
    struct dp_snapshot *snapshot;
    unsigned users; /* the worker itself is one while it is the current one */
};

/* Of the connection of a guest: dp_downstream_context. */
struct dp_visit {
    struct dp_pinned *pinned; /* NULL: it gets what everybody gets */
    bool https;
};

struct dp_worker {
    struct dp_loop loop;
    const struct dp_worker_shared *shared;
    unsigned index;
    struct dp_server server;
    struct dp_proxy_gate gate;     /* in front of it, for listeners that say "proxy" */
    struct dp_listener *listeners; /* owned; several of one address when they were inherited */
    unsigned listener_count;
    struct dp_tls_front *tls; /* NULL: no listener speaks TLS */
    struct dp_upstreams *upstreams;
    struct dp_observer *observer;
    struct dp_pinned *current; /* NULL: none yet */
    struct dp_encoders encoders;
    struct dp_tunables tunables; /* of the current snapshot */
    struct gw_list free_flows;   /* of dp_flow.node */
    unsigned free_flow_count;
    struct dp_request_ids ids;
    struct dp_date date;

    pthread_t thread;
    bool started;
    ev_async wake; /* for what the atomics below hold */
    ev_timer tick; /* once a second */
    struct dp_timer drain_timer;
    gw_msec drain_deadline_ms; /* monotonic; 0: the grace is not over */

    _Atomic(struct dp_snapshot *) posted;     /* a reference, or NULL */
    _Atomic(struct dp_posted_guest *) guests; /* worker_guest.c */
    atomic_bool drain_asked, has_heir;        /* heir: another process has the listeners, too */
    _Atomic gw_msec drain_grace_ms, drain_timeout_ms;
    _Atomic gw_msec turned_ms; /* monotonic */
    _Atomic int64_t revision;  /* -1: none */
};

/* The current snapshot with one more user; NULL: there is none. */
struct dp_pinned *dp_worker_pin(struct dp_worker *worker);
void dp_worker_unpin(struct dp_pinned *pinned); /* takes NULL */
/* The same for a request of a guest; visit NULL: of anybody. */
struct dp_pinned *dp_worker_pin_for(struct dp_worker *worker, const struct dp_visit *visit);
gw_str dp_worker_date(struct dp_worker *worker);

/* worker_guest.c: those that were posted begin, or are closed; and the end of one's connection. */
void dp_worker_take_guests(struct dp_worker *worker);
void dp_worker_drop_guests(struct dp_worker *worker);
void dp_worker_end_visit(void *visit);

/* The time to drain is over: what is left is cut. */
bool dp_worker_is_drained(const struct dp_worker *worker);

/* exchange.c: what the server calls with requests; and the end of all free flows. */
extern const struct dp_handler dp_exchange_handler;
void dp_exchange_free_flows(struct dp_worker *worker);

#endif
