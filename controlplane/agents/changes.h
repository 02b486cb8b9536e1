/* SPDX-License-Identifier: Apache-2.0 */
/* What has changed of agents, for those who follow them. Nothing is kept but what agents are now
 * and when that began: who is slow misses what was in between, never the end. Any thread. */
#ifndef CP_AGENTS_CHANGES_H
#define CP_AGENTS_CHANGES_H

#include "controlplane/agents/registry.h"

#define CP_AGENTS_GONE_KEPT 1024 /* names of those that were forgotten */

struct cp_agent_change {
    const char *name;
    cp_agent *agent; /* NULL: it is forgotten */
    bool is_new;
};

/* Where the changes to come begin. Counts from 0 in this process: no revision of the store. */
int64_t cp_registry_moment(struct cp_registry *registry);
/* At most `limit` of those behind *cursor, in order, in the arena; moves the cursor. Told are: who
 * connects and leaves, what is applied and what is refused; not that somebody is still there. -1:
 * some that were forgotten since are not known any more. */
int cp_registry_changes(struct cp_registry *registry, struct gw_arena *arena, size_t limit,
                        int64_t *cursor, struct cp_agent_change **ret_changes, size_t *ret_count);
/* Called behind each change, without a lock, from any thread; NULL: nobody is. */
void cp_registry_listen(struct cp_registry *registry, void (*changed)(void *arg), void *arg);

#endif
