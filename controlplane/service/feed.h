/* SPDX-License-Identifier: Apache-2.0 */
/* WatchService: the last changes of the store, kept for any number of readers that each are at a
 * place of their own. The snapshot's watcher brings the changes; a thread of its own shows them to
 * readers. Who a new reader is, a few more threads ask, for the store may be slow: what strangers
 * bring holds nobody up and takes no reader's place. What a reader does not take costs nothing: it
 * is the changes that are kept, not copies, and a reader whose next change is forgotten is sent
 * away. */
#ifndef CP_SERVICE_FEED_H
#define CP_SERVICE_FEED_H

#include "controlplane/rpc/stream.h"
#include "controlplane/service/context.h"
#include "controlplane/store/watch.h"

#define CP_FEED_READERS_MAX 1000
#define CP_FEED_UNKNOWN_MAX 256     /* callers of whom it is asked who they are */
#define CP_FEED_THREADS 4           /* that ask */
#define CP_FEED_REVISIONS_MAX 16384 /* that are kept, and of bytes: */
#define CP_FEED_BYTES_MAX 67108864  /* unless --watch-bytes-max says otherwise */
#define CP_FEED_KINDS_MAX 32
#define CP_FEED_BOOKMARK_MS 5000 /* also how often it is asked whether a reader still may read */
#define CP_FEED_AHEAD_MS 5000    /* for a revision that has not come here yet */

struct cp_feed;

struct cp_feed_options {
    struct cp_services *services; /* borrowed, as auth is */
    struct cp_auth *auth;
    size_t revisions_max, bytes_max; /* 0: as above */
    gw_msec bookmark_ms;
};

struct cp_feed *cp_feed_start(const struct cp_feed_options *options);
/* Ends every reader with UNAVAILABLE and joins the thread; readers may still close. */
void cp_feed_stop(struct cp_feed *feed);
/* All readers are closed. Takes NULL. */
void cp_feed_free(struct cp_feed *feed);

/* WatchService/Watch. */
struct gw_rpc_method cp_feed_method(struct cp_feed *feed);

/* From one thread: the whole store was read at this point. When changes may have been missed since
 * the last one, every reader has to list again. */
void cp_feed_listed(struct cp_feed *feed, struct cp_position at);
/* ... and what came behind it. */
void cp_feed_add(struct cp_feed *feed, const struct cp_batch *batch);

struct cp_feed_stats {
    int64_t readers, bytes, sent, slow;
};
/* Any thread. */
void cp_feed_stats(struct cp_feed *feed, struct cp_feed_stats *ret_stats);

#endif
