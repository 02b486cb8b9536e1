/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that keeps the image equal to the store: list, build, then watch and build what each
 * change concerns. With the store away the image stays as it is and is served.
 *
 * A certificate that is in use and whose key for secrets is not here has no last good form at the
 * start: the image is withheld then, not loaded, until every one of them opens. Agents would else
 * drop what callers are served with. */
#ifndef CP_SNAPSHOT_WATCHER_H
#define CP_SNAPSHOT_WATCHER_H

#include "common/clock.h"
#include "common/error.h"
#include "controlplane/snapshot/image.h"
#include "controlplane/store/seal.h"
#include "controlplane/store/watch.h"

#define CP_WATCHER_TURN_MS 1000 /* the longest wait for the store; also the pace of on_turn */
#define CP_WATCHER_RETRY_MS 200 /* between attempts to list */

struct cp_watcher;

struct cp_watcher_options {
    struct cp_store *store;     /* borrowed, as the image is */
    struct cp_image *image;     /* changed by nobody else */
    const struct cp_seal *seal; /* borrowed; NULL: secrets cannot be opened */
    /* On the watcher's thread: when the store is lost or found (also the first time it is found,
     * after the image is loaded or withheld), and about once a second. Each may be NULL. */
    void (*on_store)(void *arg, bool is_reachable);
    void (*on_turn)(void *arg);
    /* What others want to follow: the whole store was read at that point; what came behind it, once
     * agents were told. */
    void (*on_listed)(void *arg, struct cp_position at);
    void (*on_batch)(void *arg, const struct cp_batch *batch);
    void *arg;
};

/* Starts the thread; the store may be away. */
struct cp_watcher *cp_watcher_start(const struct cp_watcher_options *options);
/* Joins it; a call to the store that is under way is waited for. Takes NULL. */
void cp_watcher_stop(struct cp_watcher *watcher);

struct cp_watcher_stats {
    bool is_reachable;
    int64_t lists; /* of the whole store: the first one, and after a compaction or reset */
    int64_t builds, build_ns; /* resources built, and the time it took */
    int64_t refused;          /* of those that could not be built */
    int64_t changes;          /* batches of the watch that changed something */
    int64_t withheld;         /* certificates for which the image is withheld; 0: it is not */
    char why_withheld[GW_ERROR_MESSAGE_MAX]; /* the first of them, and its error */
};
/* Any thread. */
void cp_watcher_stats(struct cp_watcher *watcher, struct cp_watcher_stats *ret_stats);

#endif
