/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of fixed windows, shared by all workers of the agent: a table of atomics of a fixed
 * size, made at start. Counting takes no lock; a subject that is seen for the first time takes its
 * place in a set of 16 cells under that set's spin lock. Windows are aligned to the epoch. Counters
 * outlive snapshots: a configuration change never resets them, unless it changes the window. */
#ifndef DP_LIMITER_H
#define DP_LIMITER_H

#include "common/clock.h"
#include "common/str.h"
#include "dataplane/siphash.h"

struct dp_limiter;

/* One limit of one request. */
struct dp_limit {
    uint64_t key[2]; /* in: 128-bit hash of policy, dimension and subject, by one of those below */
    int64_t limit;   /* in: most in a window, 1 to DP_LIMIT_MAX */
    int64_t window_seconds; /* in: at least 1 */
    int64_t remaining;      /* out: after this request */
    int64_t reset_ms;       /* out: until the window ends */
};

#define DP_LIMITS_MAX 8 /* limits of one request */
#define DP_LIMIT_MAX INT32_MAX

/* capacity: counters alive at once, rounded up to a power of two; 56 bytes each, touched when used.
 * A peer that makes more keys than that (addresses) is bounded: cells whose window is over are
 * reused; when a set has none, that limit does not bind this request and dp_limiter_overflows
 * counts it. */
struct dp_limiter *dp_limiter_new(size_t capacity);
void dp_limiter_free(struct dp_limiter *limiter);

/* Where the keys of a policy's limits are made: by a secret of the process and the policy's name,
 * so that nobody can make keys collide. */
struct dp_siphash_key dp_limiter_stem(const struct dp_limiter *limiter, gw_str policy);
void dp_limit_key(const struct dp_siphash_key *stem, unsigned dimension, gw_str subject,
                  uint64_t ret_key[2]);
/* The same of what has a hash already; NULL: of nothing. Hash and stem are both secret and evenly
 * spread, so that their sum is as good as a hash of both. */
void dp_limit_key_of(const struct dp_siphash_key *stem, unsigned dimension,
                     const struct dp_name_hash *subject, uint64_t ret_key[2]);

/* All limits are checked, then all committed: -1 and everything granted, or the index of one that
 * has no room and nothing consumed. In a window never more than `limit` are granted. A clock that
 * is behind (another thread's, or set back by less than a window) counts into the newer window. Any
 * thread. */
int dp_limiter_take(struct dp_limiter *limiter, struct dp_limit *limits, unsigned count,
                    gw_msec wall_ms);
uint64_t dp_limiter_overflows(const struct dp_limiter *limiter);

#endif
