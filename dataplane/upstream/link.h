/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to a backend, and the exchange on it; private to upstream/. link.c reads, send.c
 * writes, call.c decides what becomes of an attempt. */
#ifndef DP_UPSTREAM_LINK_H
#define DP_UPSTREAM_LINK_H

#include "dataplane/net/conn.h"
#include "dataplane/upstream/pool.h"

enum dp_link_phase {
    DP_LINK_CONNECTING, /* for a call that waits for it */
    DP_LINK_IDLE,       /* in the pool, without a call: idle timeout */
    DP_LINK_HEAD,       /* the request goes out, the answer's head is to come */
    DP_LINK_BODY        /* the head was told, the body is to come */
};

struct dp_upstream_link {
    struct dp_conn conn;
    struct dp_pool *pool;          /* borrowed: it outlives its connections */
    struct gw_list node;           /* of pool->idle */
    struct dp_timer timer;         /* while idle */
    struct dp_upstream_call *call; /* borrowed; NULL: idle or closed */
    struct dp_h1_parser parser;
    struct dp_h1_body body; /* of the answer */
    enum dp_link_phase phase;
    uint8_t interims;   /* 1xx answers so far */
    char *tls_peer;     /* owned; NULL: a plain connection */
    gw_str tls_name;    /* the front of tls_peer: whom the certificate names */
    bool send_failed;   /* the backend takes no more; it may have answered before */
    bool fin_sent;      /* of a tunnel: the caller's end was passed on */
    bool ended, broken; /* nothing more comes: by FIN, or by an error */
};

/* Starts to connect call->link. 0, or -errno at once. */
GW_MUST_CHECK int dp_link_connect(struct dp_upstream_call *call, const struct dp_address *address);
/* Any time, also from within the call's callbacks. The call hears nothing. */
void dp_link_close(struct dp_upstream_link *link);
/* Hands on what the call wants of the answer's body. */
void dp_link_pump(struct dp_upstream_link *link);

/* Writes the head of call->request: the exchange begins. */
void dp_link_begin(struct dp_upstream_link *link, struct dp_upstream_call *call);
void dp_link_send_data(struct dp_upstream_link *link, gw_str data);
void dp_link_send_end(struct dp_upstream_link *link);

/* Whom the certificate of the call's member must name, when TLS is asked for. */
gw_str dp_call_tls_name(const struct dp_upstream_call *call);

/* call.c's part. After each of them look at link->call: the call may have ended or left. */
void dp_call_connected(struct dp_upstream_call *call);
void dp_call_connect_failed(struct dp_upstream_call *call);
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
