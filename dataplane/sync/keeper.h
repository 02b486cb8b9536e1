/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what is served on disk: each update in the journal before it is served, and from time to
 * time all of it as a snapshot (cache.h). What cannot be kept is logged, and serving goes on. Sync
 * thread. */
#ifndef DP_SYNC_KEEPER_H
#define DP_SYNC_KEEPER_H

#include "dataplane/sync/cache.h"

/* A journal becomes a snapshot when it is larger than that and than the snapshot that it is behind.
 */
#define DP_KEEPER_JOURNAL_MIN ((size_t)1024 * 1024)

struct dp_keeper;

/* The directory's name is borrowed. */
struct dp_keeper *dp_keeper_new(const char *dir);
void dp_keeper_free(struct dp_keeper *keeper); /* takes NULL */

/* What was found on disk is served: its journal is gone on with. */
void dp_keeper_begin(struct dp_keeper *keeper, const struct dp_cache_found *found);
/* An update, applied to the catalog and not yet served. False: it is not on disk; dp_keeper_settle
 * tries again. */
bool dp_keeper_add(struct dp_keeper *keeper, const struct dp_catalog *catalog,
                   Penstock__Agent__V1__Update **chunks, size_t count);
/* A moment after changes: what is kept survives a power cut, too. False: it is not on disk. */
bool dp_keeper_settle(struct dp_keeper *keeper, const struct dp_catalog *catalog);
/* The directory is another process's from now on, or was: what is there is not to be gone on with.
 */
void dp_keeper_release(struct dp_keeper *keeper);

#endif
