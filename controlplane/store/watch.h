/* SPDX-License-Identifier: Apache-2.0 */
/* Watching a store: every change of the keys under a prefix, in order, none missed. The watch
 * reconnects by itself and says so; it never pretends to be alive. */
#ifndef CP_WATCH_H
#define CP_WATCH_H

#include "controlplane/store/store.h"

struct cp_watch;

struct cp_event {
    bool is_delete;
    struct cp_kv kv;
};
enum cp_watch_state {
    CP_WATCH_LIVE, /* connected; the batch may be empty (time-out, progress) */
    CP_WATCH_AWAY, /* store lost; every further call tries again by itself; nothing is missed */
    CP_WATCH_COMPACTED, /* changes were forgotten: list again and open a new watch. Final */
    CP_WATCH_RESET,     /* another cluster or an older state (restored backup): the same. Final */
    CP_WATCH_CANCELLED, /* cp_watch_cancel was called. Final */
};
struct cp_batch {
    struct cp_event *events; /* oldest first; all events of a revision are in one batch */
    size_t count;
    struct cp_position at; /* everything up to here has been seen; moves also without events */
};
/* Every change after `after` (the position of a list) of keys with the prefix. Does not block.
 * after.revision 0: from now on. after.cluster_id 0: of whatever cluster answers. */
GW_MUST_CHECK int cp_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                                struct cp_watch **ret_watch, struct gw_error *err);
/* Waits for the next batch, a change of state, or the time-out (an empty batch). err says why in
 * every state but LIVE. One thread at a time; keep calling: the connection lives in these calls. */
enum cp_watch_state cp_watch_next(struct cp_watch *watch, gw_msec timeout_ms,
                                  struct gw_arena *arena, struct cp_batch *ret_batch,
                                  struct gw_error *err);
/* Any thread; cp_watch_next returns at once, also the next time. */
void cp_watch_cancel(struct cp_watch *watch);
/* Not while cp_watch_next runs. Takes NULL. */
void cp_watch_close(struct cp_watch *watch);

#endif
