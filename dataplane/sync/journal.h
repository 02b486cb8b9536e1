/* SPDX-License-Identifier: Apache-2.0 */
/* What came after the snapshot on disk (cache.h), an update a record, so that keeping a change
 * costs what the change does: an agent that is killed goes on where it was. Records are written
 * before their update is served, and reach the disk itself when dp_journal_sync says so.
 *
 * The file is a magic line, the SHA-256 that the snapshot's file ends with, and records: 8 bytes of
 * length, packed Update messages with a length before each as in the snapshot's file, and the
 * SHA-256 of that of the record before (of the snapshot's file at first) and of these messages. So
 * a record counts only behind all those before it. Sync thread. */
#ifndef DP_SYNC_JOURNAL_H
#define DP_SYNC_JOURNAL_H

#include "common/arena.h"
#include "common/error.h"

#include "penstock/agent/v1/agent.pb-c.h"

#define DP_JOURNAL_FILE "snapshot.penstock.journal"
#define DP_JOURNAL_DIGEST_BYTES 32
#define DP_JOURNAL_RECORD_MAX ((size_t)16 * 1024 * 1024) /* bytes; larger: a snapshot is due */

struct dp_journal;

/* Where a journal ends, for who goes on with it. */
struct dp_journal_end {
    uint8_t base[DP_JOURNAL_DIGEST_BYTES]; /* the digest of the snapshot that it is behind */
    uint8_t last[DP_JOURNAL_DIGEST_BYTES]; /* that of the last whole record, or base */
    size_t bytes;                          /* of what is whole; 0: there is none */
};

/* A new and empty one behind the snapshot of that digest; that of the one before is kept for it. */
GW_MUST_CHECK int dp_journal_begin(const char *dir, const uint8_t *base,
                                   struct dp_journal **ret_journal, struct gw_error *err);
/* Goes on with what is there, behind that end. FAILED_PRECONDITION: there is another one by now. */
GW_MUST_CHECK int dp_journal_resume(const char *dir, const struct dp_journal_end *end,
                                    struct dp_journal **ret_journal, struct gw_error *err);
/* The chunks of one update. RESOURCE_EXHAUSTED: a record takes no more than DP_JOURNAL_RECORD_MAX.
 * After any failure the file ends as before, or the journal is of no use: a snapshot is due. */
GW_MUST_CHECK int dp_journal_add(struct dp_journal *journal, Penstock__Agent__V1__Update **chunks,
                                 size_t count, struct gw_error *err);
/* What was added is there after a power cut, too. Returns at once when nothing was. */
GW_MUST_CHECK int dp_journal_sync(struct dp_journal *journal, struct gw_error *err);
size_t dp_journal_bytes(const struct dp_journal *journal);
void dp_journal_close(struct dp_journal *journal); /* takes NULL */

/* Reads the journal of that age (cache.h) behind the snapshot of the digest end->base; the rest of
 * `end` is filled in. 0: *ret_updates are its messages, in the arena, none when it is that of
 * another snapshot. -1 with err: the same, up to where it is damaged or was cut. */
GW_MUST_CHECK int dp_journal_load(const char *dir, unsigned age, struct gw_arena *arena,
                                  struct dp_journal_end *end,
                                  Penstock__Agent__V1__Update ***ret_updates, size_t *ret_count,
                                  struct gw_error *err);

#endif
