/* SPDX-License-Identifier: Apache-2.0 */
/* One worker's connections to backends and its retry budgets: what all its calls (upstream.h)
 * share. Its thread only. */
#ifndef DP_UPSTREAMS_H
#define DP_UPSTREAMS_H

#include "common/error.h"
#include "dataplane/net/loop.h"

struct dp_upstreams;

struct dp_upstreams_options {
    struct dp_loop *loop;       /* borrowed */
    unsigned worker;            /* index: see dp_endpoint_pool */
    gw_msec connect_timeout_ms; /* of one attempt at one address, TLS included; 0: 5 s */
    gw_msec idle_timeout_ms;    /* an unused connection closes after; 0: 60 s */
    unsigned idle_max;          /* unused connections kept per endpoint; 0: 1024 */
    gw_msec ping_after_ms;      /* HTTP/2: silence while answers are due; 0: 20 s */
    gw_msec ping_timeout_ms;    /* then, until the session is given up; 0: 10 s */
    const char *ca_file;        /* PEM, for backends over TLS; NULL: the system's */
};
struct dp_upstreams_stats {
    uint64_t connects, connect_failures, reuses, stale, retries, timeouts;
    uint64_t tls_failures;    /* of connect_failures: the handshake, certificates among it */
    uint64_t budget_refusals; /* retries that the budget did not allow */
    uint64_t stream_timeouts; /* tunnels and event streams in which nothing moved */
    uint64_t open, idle;      /* connections now; a session of HTTP/2 is one */
    /* HTTP/2; now: sessions that take streams, streams */
    uint64_t h2_sessions, h2_streams;
    uint64_t h2_requests; /* streams that were opened */
    uint64_t
        h2_refused; /* of them, those that the backend has not processed: GOAWAY, REFUSED_STREAM */
    uint64_t h2_goaways;  /* received */
    uint64_t h2_failures; /* of connect_failures: what answered speaks no HTTP/2 */
    uint64_t h2_floods;   /* sessions ended for DP_UH2_CONTROL_FRAMES_MAX and the like */
    uint64_t h2_dead;     /* sessions ended because a PING was not answered */
};
GW_MUST_CHECK int dp_upstreams_new(const struct dp_upstreams_options *options,
                                   struct dp_upstreams **ret_upstreams, struct gw_error *err);
/* Closes idle connections; every call has ended. Takes NULL. */
void dp_upstreams_free(struct dp_upstreams *upstreams);
const struct dp_upstreams_stats *dp_upstreams_stats(const struct dp_upstreams *upstreams);

#endif
