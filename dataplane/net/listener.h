/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets, one per worker and address (SO_REUSEPORT): the kernel deals the connections
 * out. */
#ifndef DP_NET_LISTENER_H
#define DP_NET_LISTENER_H

#include "common/error.h"
#include "dataplane/net/address.h"
#include "dataplane/net/loop.h"

#define DP_LISTENERS_MAX 16

/* What a listener is told: an address, and words behind it. */
struct dp_listener_spec {
    struct dp_address address;
    uint16_t port;
    bool tls;   /* "tls": callers speak TLS here */
    bool proxy; /* "proxy": a PROXY header comes before anything else (net/proxy.h) */
};

struct dp_listener {
    struct dp_loop *loop; /* borrowed */
    struct dp_listener_spec spec;
    int fd;        /* -1: closed */
    uint16_t port; /* as bound */
    ev_io watcher;
    struct dp_timer pause; /* while there are no descriptors left */
    /* Takes over fd. */
    void (*accepted)(struct dp_listener *, int fd, const struct sockaddr *peer);
    void *owner;
    uint64_t refused; /* accepts that failed for want of descriptors or memory */
};

/* "0.0.0.0:8080", "[::]:8080", "*:8080" (both families); words follow: "0.0.0.0:8443 tls",
 * "10.0.0.1:9000 tls proxy". */
GW_MUST_CHECK int dp_listener_parse(gw_str text, struct dp_listener_spec *ret_spec,
                                    struct gw_error *err);
/* Binds and listens; nothing is accepted before dp_listener_start. */
GW_MUST_CHECK int dp_listener_open(struct dp_listener *listener, struct dp_loop *loop, gw_str text,
                                   struct gw_error *err);
/* The same with a socket that listens already, which it takes over. */
void dp_listener_adopt(struct dp_listener *listener, struct dp_loop *loop,
                       const struct dp_listener_spec *spec, int fd);
void dp_listener_start(struct dp_listener *listener);
/* Accepts what the kernel has queued already, so that no caller who got through is reset, and
 * closes. Twice is once. */
void dp_listener_close(struct dp_listener *listener);
/* Closes, and leaves what is queued to the other process that has the socket. Twice is once. */
void dp_listener_leave(struct dp_listener *listener);

#endif
