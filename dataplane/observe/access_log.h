/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: one JSON object per line and exchange. Each worker puts its lines into a ring of
 * its own, without a lock; one thread writes them out, when a ring is half full or a moment after
 * the first line. No worker waits for a disk: lines that find no room are dropped and counted. */
#ifndef DP_OBSERVE_ACCESS_LOG_H
#define DP_OBSERVE_ACCESS_LOG_H

#include "common/error.h"

#define DP_ACCESS_LOG_RING_BYTES (512 * 1024) /* lines of one worker not yet written */
#define DP_ACCESS_LOG_FLUSH_MS 200            /* the longest that a line waits */
#define DP_ACCESS_LOG_LINE_MAX (32 * 1024)

struct dp_access_log;

/* target: "-" (stdout), or a path to append to. UNAVAILABLE when it cannot be opened. Starts the
 * writer; the caller of each function but dp_access_log_put is the main thread. */
GW_MUST_CHECK int dp_access_log_open(const char *target, unsigned worker_count,
                                     struct dp_access_log **ret_log, struct gw_error *err);
/* Writes what is left, waiting a few seconds at most for a reader that takes nothing. No worker
 * puts any more. Takes NULL. */
void dp_access_log_close(struct dp_access_log *log);
/* Lines from about now on go to a new file of that name (rotation). When it cannot be opened, the
 * old one stays and that is logged. stdout stays. */
void dp_access_log_reopen(struct dp_access_log *log);

/* A whole line, "\n" included, at most DP_ACCESS_LOG_LINE_MAX bytes; copied. Only on the thread of
 * that worker. */
void dp_access_log_put(struct dp_access_log *log, unsigned worker, gw_str line);

/* Any thread. */
struct dp_access_log_stats {
    int64_t lines;   /* written, or about to be */
    int64_t dropped; /* no room, or the file took none */
};
void dp_access_log_read_stats(const struct dp_access_log *log,
                              struct dp_access_log_stats *ret_stats);

#endif
