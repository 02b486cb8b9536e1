/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that much has been changed of since. Whoever lets one go last frees all that only it
 * had, and that takes 0.4 s for a hundred thousand routes: it shall not be a worker, whose callers
 * would wait. One thread. */
#ifndef DP_SYNC_RETIRED_H
#define DP_SYNC_RETIRED_H

#include "dataplane/snapshot/snapshot.h"

struct ev_loop;
struct dp_retired;

struct dp_retired *dp_retired_new(struct ev_loop *loop);
/* Frees what is left of them, as far as nobody else has it. Takes NULL. */
void dp_retired_free(struct dp_retired *retired);
size_t dp_retired_count(const struct dp_retired *retired); /* that wait */
/* Takes over the reference, and lets it go a moment after everybody else has. */
void dp_retired_add(struct dp_retired *retired, struct dp_snapshot *snapshot);

#endif
