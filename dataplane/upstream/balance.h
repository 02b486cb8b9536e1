/* SPDX-License-Identifier: Apache-2.0 */
/* Which member of a channel gets a request: weighted round robin, exact over a cycle and well mixed
 * within it, one atomic step per pick. Backups only when no other is left. Any thread. */
#ifndef DP_UPSTREAM_BALANCE_H
#define DP_UPSTREAM_BALANCE_H

#include "dataplane/snapshot/snapshot.h"

/* Members that one request has tried, by index; those beyond are never marked. */
#define DP_BALANCE_TRIED_MAX 64
typedef uint64_t dp_tried;

/* The next member that is not in *tried, and marks it; NULL when all have been. */
const struct dp_member *dp_balance_pick(const struct dp_channel *channel, dp_tried *tried);

#endif
