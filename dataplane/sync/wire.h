/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to one address of a control plane: transport, the stream on it, and the bytes
 * between the two. It has no timer and no opinion: the client says how long it may take. One
 * thread. */
#ifndef DP_SYNC_WIRE_H
#define DP_SYNC_WIRE_H

#include "dataplane/sync/places.h"

struct dp_wire;

struct dp_wire_events {
    const char *path; /* of the call; NULL: the agents' stream */
    /* The transport is open: messages can be queued. -1 with err: it is of no use. */
    int (*on_open)(void *user, struct dp_wire *wire, struct gw_error *err);
    /* The peer has said the first bytes of its HTTP/2: it is not only its kernel that listens. A
     * message may have come before. */
    int (*on_heard)(void *user, struct dp_wire *wire, struct gw_error *err);
    int (*on_message)(void *user, struct dp_wire *wire, gw_str bytes, struct gw_error *err);
    /* It has failed, or the server has ended it. Who hears it frees it, now or later. */
    void (*on_lost)(void *user, struct dp_wire *wire, const struct gw_error *why);
};

/* Starts to connect. events and loop are borrowed, options too. -1 with err: nothing is open. */
GW_MUST_CHECK int dp_wire_open(struct ev_loop *loop, const struct dp_place *place,
                               const struct dp_sync_options *options,
                               const struct dp_wire_events *events, void *user,
                               struct dp_wire **ret_wire, struct gw_error *err);
/* Not from within its own events but on_lost. Takes NULL. */
void dp_wire_free(struct dp_wire *wire);

const struct dp_place *dp_wire_place(const struct dp_wire *wire);
/* When bytes have come last, monotonic; 0: none have. */
gw_msec dp_wire_heard_ms(const struct dp_wire *wire);
/* How often. */
uint64_t dp_wire_reads(const struct dp_wire *wire);
/* Sends a PING, unless one is unanswered: then its answer is what is waited for. */
void dp_wire_ping(struct dp_wire *wire);
/* Queues one message. RESOURCE_EXHAUSTED: the peer does not read. dp_wire_run sends it; what is
 * queued within on_open and on_message goes out by itself. */
GW_MUST_CHECK int dp_wire_send(struct dp_wire *wire, gw_str bytes, struct gw_error *err);
/* Reads and writes what there is; may end in on_lost. Not from within its events. */
void dp_wire_run(struct dp_wire *wire);

#endif
