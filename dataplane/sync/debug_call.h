/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that the control plane lets this agent make to itself (DebugCall of agent.proto): each
 * is written to one end of a socket pair, whose other end a worker answers like any caller's, by
 * the agent's own snapshot or by one made of what came along. Sync thread. */
#ifndef DP_SYNC_DEBUG_CALL_H
#define DP_SYNC_DEBUG_CALL_H

#include "dataplane/snapshot/compile.h"

struct ev_loop;
struct dp_debug_calls;

#define DP_DEBUG_CALLS_MAX 4                      /* at once; one more fails */
#define DP_DEBUG_BODY_BYTES_MAX (2 * 1024 * 1024) /* of an answer; the rest is cut off */
#define DP_DEBUG_TIMEOUT_MAX_MS 120000

struct dp_debug_events {
    /* The descriptor is the receiver's from now on; takes a reference to the snapshot, which may
     * be NULL. */
    void (*guest)(void *user, int fd, bool https, struct dp_snapshot *snapshot);
    /* A packed AgentMessage, borrowed. */
    void (*reply)(void *user, gw_str message);
};

/* All borrowed. */
struct dp_debug_calls *dp_debug_calls_new(struct ev_loop *loop, const struct dp_compile_env *env,
                                          const struct dp_debug_events *events, void *user);
/* Those under way get no reply. Takes NULL. */
void dp_debug_calls_free(struct dp_debug_calls *calls);
/* A reply follows, at once or later. */
void dp_debug_calls_take(struct dp_debug_calls *calls, const Penstock__Agent__V1__DebugCall *call);

#endif
