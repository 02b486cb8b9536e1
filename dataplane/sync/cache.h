/* SPDX-License-Identifier: Apache-2.0 */
/* The last good snapshot on disk: what the agent starts from when the control plane is away. The
 * file is a magic line, packed penstock.agent.v1.Update messages with a length before each, and a
 * SHA-256 over all of it. It is replaced whole (write, fsync, rename), and the one before is kept
 * as a second choice. What comes after it goes into its journal (journal.h). Sync thread. */
#ifndef DP_SYNC_CACHE_H
#define DP_SYNC_CACHE_H

#include "dataplane/snapshot/compile.h"
#include "dataplane/sync/journal.h"

#define DP_CACHE_FILE "snapshot.penstock"
#define DP_CACHE_BYTES_MAX ((size_t)4 * 1024 * 1024 * 1024)

struct dp_cache_writer; /* a file in the making */

GW_MUST_CHECK int dp_cache_begin(const char *dir, struct dp_cache_writer **ret_writer,
                                 struct gw_error *err);
/* upserts: more of them, packed as fields of an Update. Errors are kept and reported by finish. */
void dp_cache_add(struct dp_cache_writer *writer, const Penstock__Agent__V1__Update *update,
                  gw_str upserts);

/* What a file is known by, and its size. */
struct dp_cache_mark {
    uint8_t digest[DP_JOURNAL_DIGEST_BYTES];
    size_t bytes;
};
/* Makes the file the current one; frees the writer, also on failure. */
GW_MUST_CHECK int dp_cache_finish(struct dp_cache_writer *writer, struct dp_cache_mark *ret_mark,
                                  struct gw_error *err);

/* All of what the catalog holds, refused forms too. */
GW_MUST_CHECK int dp_cache_save(const char *dir, const struct dp_catalog *catalog,
                                struct dp_cache_mark *ret_mark, struct gw_error *err);

#define DP_CACHE_FILES 2 /* ages: 0 is the current file, 1 the one before */

struct dp_cache_found {
    struct gw_arena arena; /* owned: holds the updates */
    Penstock__Agent__V1__Update **updates;
    size_t count;
    size_t bytes;              /* of the snapshot's file */
    struct dp_journal_end end; /* of its journal */
    bool is_journal_damaged;   /* updates go up to where it is whole; err says what is there */
};

/* Reads the file of that age, and its journal. 1: there is one. 0: there is none. -1 with err:
 * there is one, and it is not whole. */
GW_MUST_CHECK int dp_cache_load(const char *dir, unsigned age, struct dp_cache_found *ret_found,
                                struct gw_error *err);
/* After any answer of dp_cache_load. */
void dp_cache_found_done(struct dp_cache_found *found);

#endif
