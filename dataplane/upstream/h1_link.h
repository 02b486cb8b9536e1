/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1 connection to a backend, and the exchange on it; private to upstream/. h1_link.c
 * reads, h1_send.c writes. */
#ifndef DP_UPSTREAM_H1_LINK_H
#define DP_UPSTREAM_H1_LINK_H

#include "dataplane/net/conn.h"
#include "dataplane/upstream/link.h"
#include "dataplane/upstream/link_tls.h"

enum dp_link_phase {
    DP_LINK_CONNECTING, /* for a call that waits for it */
    DP_LINK_IDLE,       /* in the pool, without a call: idle timeout */
    DP_LINK_HEAD,       /* the request goes out, the answer's head is to come */
    DP_LINK_BODY        /* the head was told, the body is to come */
};

struct dp_h1_link {
    struct dp_upstream_link base;
    struct dp_conn conn;
    struct gw_list node;   /* of pool->idle */
    struct dp_timer timer; /* while idle */
    struct dp_h1_parser parser;
    struct dp_h1_body body; /* of the answer */
    enum dp_link_phase phase;
    uint8_t address; /* index of the one it goes to */
    struct dp_address peer;
    unsigned peer_seen; /* of dp_endpoint_has */
    uint8_t interims;   /* 1xx answers so far */
    struct dp_link_tls tls;
    bool fin_sent;          /* of a tunnel: the caller's end was passed on */
    bool ended, broken;     /* nothing more comes: by FIN, or by an error */
    bool read_all_it_could; /* the last read had no room for more than it got */
    bool passes_by; /* the last answer did: of the next one little more than the head is read */
    uint32_t head_bytes; /* of the last answer */
};

static inline struct dp_h1_link *dp_h1_link_of(struct dp_upstream_link *link)
{
    return gw_container_of(link, struct dp_h1_link, base);
}

/* Starts to connect call->link to the endpoint's address of that index. 0, or -errno at once. */
GW_MUST_CHECK int dp_h1_link_connect(struct dp_upstream_call *call,
                                     const struct dp_address *address, unsigned index);
/* Any time. The call hears nothing. */
void dp_h1_link_close(struct dp_h1_link *link);

/* h1_send.c's part of the ops. */
void dp_h1_link_begin(struct dp_upstream_link *base);
void dp_h1_link_send_data(struct dp_upstream_link *base, gw_str data);
void dp_h1_link_send_end(struct dp_upstream_link *base);

/* The idle connection to the call's member that was used last, and that is what the call asks for
 * (plain, or TLS with the same name in the certificate). It is idle no longer. NULL: none. */
struct dp_h1_link *dp_pool_take(const struct dp_upstream_call *call);
/* It has nothing to read or to write. Beyond idle_max the one unused for longest closes. */
void dp_pool_put(struct dp_h1_link *link);
/* An idle connection stops being one. */
void dp_pool_remove(struct dp_h1_link *link);

#endif
