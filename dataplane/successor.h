/* SPDX-License-Identifier: Apache-2.0 */
/* The process that replaces another one (upgrade.h): what it inherits, and how it waits until it
 * may accept. Main thread. */
#ifndef DP_SUCCESSOR_H
#define DP_SUCCESSOR_H

#include "common/error.h"
#include "dataplane/net/inherited.h"
#include "dataplane/net/loop.h"
#include "dataplane/upgrade.h"

struct dp_successor {
    struct dp_inherited inherited;
    int fd;          /* to the old process; -1: there is none (any more) */
    size_t keys_len; /* 0: it gave none */
    char keys[DP_UPGRADE_PACKET_MAX];
    struct dp_loop *loop; /* borrowed; NULL: not watched */
    ev_io io;
    void (*go)(void *arg);
    void *arg;
};

/* From the environment, out of which it takes what is there for it. Without that: fd is -1, and
 * this is the first process of its kind. */
GW_MUST_CHECK int dp_successor_init(struct dp_successor *successor, struct gw_error *err);
/* Calls go once: when the old process says so, or has ended without. */
void dp_successor_watch(struct dp_successor *successor, struct dp_loop *loop, void (*go)(void *arg),
                        void *arg);
/* This revision could be served. */
void dp_successor_ready(struct dp_successor *successor, gw_str cluster_id, int64_t revision);
/* After go: it is served. */
void dp_successor_serving(struct dp_successor *successor);
/* Twice is once. */
void dp_successor_done(struct dp_successor *successor);

#endif
