/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that wait for their PROXY header, and nothing beyond it is read: what follows is TLS
 * or HTTP, and for others. One thread. */
#ifndef DP_NET_PROXY_GATE_H
#define DP_NET_PROXY_GATE_H

#include "dataplane/net/loop.h"
#include "dataplane/net/proxy.h"

struct dp_proxy_gate {
    struct dp_loop *loop; /* borrowed */
    gw_msec timeout_ms;   /* from the start of the connection to the end of its header */
    struct gw_list waiting;
    unsigned count;
    uint64_t refused; /* no header, a malformed one, or too late */
    /* Takes over fd; peer is the connection's own. tag: see dp_proxy_gate_take. */
    void (*passed)(struct dp_proxy_gate *, int fd, const struct sockaddr *peer,
                   const struct dp_proxy_header *header, void *tag);
    void (*emptied)(struct dp_proxy_gate *); /* may be NULL: nobody waits any more */
};

void dp_proxy_gate_init(struct dp_proxy_gate *gate, struct dp_loop *loop, gw_msec timeout_ms);
/* Takes over the socket. `tag` comes back with it. */
void dp_proxy_gate_take(struct dp_proxy_gate *gate, int fd, const struct sockaddr *peer, void *tag);
/* Closes all that wait. */
void dp_proxy_gate_close(struct dp_proxy_gate *gate);

#endif
