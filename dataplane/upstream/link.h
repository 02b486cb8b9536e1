/* SPDX-License-Identifier: Apache-2.0 */
/* What a call is attached to for one attempt: an HTTP/1 connection (h1_link.h), or one stream of an
 * HTTP/2 session that others share (h2_link.h). Private to upstream/. call.c decides what becomes
 * of an attempt, and is the only one who does. */
#ifndef DP_UPSTREAM_LINK_H
#define DP_UPSTREAM_LINK_H

#include "dataplane/upstream/pool.h"

#define DP_LINK_INTERIMS_MAX 16 /* 1xx answers to one request; more is no HTTP worth following */

/* None of them calls back but pump. */
struct dp_link_ops {
    /* Writes the head of call->request: the exchange begins. */
    void (*begin)(struct dp_upstream_link *);
    void (*send_data)(struct dp_upstream_link *, gw_str data);
    void (*send_end)(struct dp_upstream_link *);
    /* Bytes given to it that have not left. */
    size_t (*pending)(const struct dp_upstream_link *);
    /* The answer was a tunnel's, and nobody looks at its head any more. */
    void (*open_tunnel)(struct dp_upstream_link *);
    /* The call wants the answer's body (again); pump follows. */
    void (*resume)(struct dp_upstream_link *);
    /* Hands on what the call wants of the answer's body. */
    void (*pump)(struct dp_upstream_link *);
    /* Any time, also from within the call's callbacks. The call hears nothing. */
    void (*close)(struct dp_upstream_link *);
};

/* It stays where it is until the event ends, closed or not. */
struct dp_upstream_link {
    const struct dp_link_ops *ops;
    struct dp_pool *pool;          /* borrowed: it outlives its connections */
    struct dp_upstream_call *call; /* borrowed; NULL: none, or closed */
    struct dp_sink sink;           /* takes the request's body as it is; conn NULL: it cannot */
    bool blocked;                  /* the backend takes less than it is given */
    bool send_failed;              /* it takes no more; it may have answered before */
};

/* Whom the certificate of the call's member must name, when TLS is asked for. */
gw_str dp_call_tls_name(const struct dp_upstream_call *call);

/* call.c's part. After each of them look at link->call: the call may have ended or left. */
void dp_call_connected(struct dp_upstream_call *call);
/* What it waited for has no room for it: it goes elsewhere, at the same address. */
void dp_call_displaced(struct dp_upstream_call *call);
void dp_call_connect_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure);
/* All that was given to the link has left; or the backend takes less than is given. */
void dp_call_drained(struct dp_upstream_call *call);
void dp_call_stalled(struct dp_upstream_call *call);
/* The backend takes no more of the request. */
void dp_call_send_failed(struct dp_upstream_call *call);
/* The attempt has failed before the head was told. */
void dp_call_attempt_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure);
/* call->head is there: tells it, or tries again. */
void dp_call_answered(struct dp_upstream_call *call);
/* Waits for more of the body. */
void dp_call_starved(struct dp_upstream_call *call);
/* The backend ends its way of a tunnel, of which the other is still open. */
void dp_call_half_ended(struct dp_upstream_call *call);
/* The body ends before its end. */
void dp_call_cut(struct dp_upstream_call *call, enum dp_upstream_failure failure);
/* Last things before the owner hears of the end: no timer or task runs any more. */
void dp_call_end(struct dp_upstream_call *call);

#endif
