/* SPDX-License-Identifier: Apache-2.0 */
/* What an exchange leaves behind at its end: one line of the access log, and the metrics. One
 * observer per worker, used by its thread only; metrics and log are shared. */
#ifndef DP_OBSERVE_H
#define DP_OBSERVE_H

#include "common/clock.h"
#include "common/metrics.h"
#include "dataplane/exchange.h"

struct dp_access_log; /* access_log.h */
struct dp_observer;

/* metrics, of the table dp_agent_metrics (agent_metrics.h), and access_log are borrowed; access_log
 * NULL: off. */
struct dp_observer *dp_observer_new(struct gw_metrics *metrics, struct dp_access_log *access_log,
                                    unsigned worker);
void dp_observer_free(struct dp_observer *observer); /* takes NULL */

/* How it went, where the exchange itself does not say. Text is borrowed for the call. */
struct dp_outcome {
    unsigned status;              /* as sent to the caller; 499: it left before an answer */
    gw_str reason;                /* word of a refusal (refusal.h) or fault; empty: none */
    gw_str upstream;              /* "host:port" of the last attempt; empty: none */
    unsigned attempts;            /* at the backend */
    bool reused;                  /* the connection to the backend */
    bool cut;                     /* the answer did not leave whole */
    bool tunnel;                  /* dp_observe_tunnel was called for it */
    uint64_t bytes_in, bytes_out; /* of the caller's connection, heads and framing included */
    bool has_grpc_status;
    int grpc_status;            /* of a call of gRPC; -1: it is no number */
    bool gzip_limited;          /* it would have been compressed: too many were */
    uint64_t gzip_in, gzip_out; /* of its body before and after; 0: as it is */
    gw_nsec duration_ns;        /* first byte of the head to last byte of the answer */
    gw_nsec upstream_ns;        /* from the start of the call to the answer's head; 0: none */
    /* Of the caller's connection; empty in the clear. */
    gw_str tls_version, tls_cipher;
    gw_str server_name;    /* SNI; empty: none */
    gw_str client_subject; /* of the certificate it showed, good or not; empty: none */
};
/* Once per exchange, also for those that never got a head parsed (then route is NULL). */
void dp_observe_exchange(struct dp_observer *observer, const struct dp_exchange *x,
                         const struct dp_outcome *outcome);

/* Once per tunnel, at its handshake, which is what counts as the call and as its duration; its end
 * adds the bytes, and writes the line. */
void dp_observe_tunnel(struct dp_observer *observer, const struct dp_exchange *x,
                       gw_nsec duration_ns);

struct dp_server;
struct dp_upstreams_stats;
struct dp_tls_stats;

/* Once a second: what the worker's connections count for themselves. */
void dp_observe_connections(struct dp_observer *observer, const struct dp_server *server,
                            const struct dp_upstreams_stats *upstreams);
void dp_observe_tls(struct dp_observer *observer, const struct dp_tls_stats *stats);

#endif
