/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/changes.h"

#include "controlplane/agents/registry_internal.h"

#include <stdlib.h>

/* ---- with the registry's lock held ---- */

void cp_registry_note(struct cp_registry *registry, struct cp_known_agent *agent)
{
    struct cp_agent_log *log = &registry->log;
    agent->changed = ++log->moment;
    if (!agent->created)
        agent->created = agent->changed;
    gw_list_remove(&agent->order);
    gw_list_push(&log->agents, &agent->order);
}

void cp_registry_note_gone(struct cp_registry *registry, struct cp_known_agent *agent)
{
    struct cp_agent_log *log = &registry->log;
    gw_list_remove(&agent->order);
    struct cp_agent_gone *gone = &log->gone[log->gone_count++ % CP_AGENTS_GONE_KEPT];
    if (gone->name)
        log->gone_forgotten = gone->moment;
    free(gone->name);
    gone->name = gw_strdup(agent->message.name);
    gone->moment = ++log->moment;
}

void cp_registry_log_done(struct cp_agent_log *log)
{
    for (size_t i = 0; i < CP_AGENTS_GONE_KEPT; i++)
        free(log->gone[i].name);
}

/* ---- without it ---- */

void cp_registry_tell(struct cp_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    void (*changed)(void *) = registry->log.changed;
    void *arg = registry->log.arg;
    pthread_mutex_unlock(&registry->lock);
    if (changed)
        changed(arg);
}

void cp_registry_listen(struct cp_registry *registry, void (*changed)(void *arg), void *arg)
{
    pthread_mutex_lock(&registry->lock);
    registry->log.changed = changed;
    registry->log.arg = arg;
    pthread_mutex_unlock(&registry->lock);
}

int64_t cp_registry_moment(struct cp_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    int64_t moment = registry->log.moment;
    pthread_mutex_unlock(&registry->lock);
    return moment;
}

/* Both lists end with what is newest: only what is behind the cursor is looked at. */
static const struct gw_list *first_behind(const struct cp_agent_log *log, int64_t cursor)
{
    const struct gw_list *at = log->agents.prev;
    while (at != &log->agents &&
           gw_container_of(at, const struct cp_known_agent, order)->changed > cursor)
        at = at->prev;
    return at->next;
}

static uint64_t first_gone_behind(const struct cp_agent_log *log, int64_t cursor)
{
    uint64_t oldest = log->gone_count - GW_MIN(log->gone_count, (uint64_t)CP_AGENTS_GONE_KEPT);
    uint64_t at = log->gone_count;
    while (at > oldest && log->gone[(at - 1) % CP_AGENTS_GONE_KEPT].moment > cursor)
        at--;
    return at;
}

static size_t take(struct cp_registry *registry, struct gw_arena *arena, size_t limit,
                   int64_t *cursor, struct cp_agent_change *changes)
{
    size_t count = 0;
    struct cp_image_status status;
    struct cp_agent_log *log = &registry->log;
    const struct gw_list *at = first_behind(log, *cursor);
    uint64_t gone = first_gone_behind(log, *cursor);
    int64_t began = *cursor;
    cp_image_status(registry->image, &status);
    while (count < limit && (at != &log->agents || gone < log->gone_count)) {
        const struct cp_known_agent *agent =
            at == &log->agents ? NULL : gw_container_of(at, const struct cp_known_agent, order);
        const struct cp_agent_gone *left = &log->gone[gone % CP_AGENTS_GONE_KEPT];
        struct cp_agent_change *change = &changes[count++];
        if (agent && (gone == log->gone_count || agent->changed < left->moment)) {
            change->agent = cp_agent_copy(registry, agent, &status, arena);
            change->name = change->agent->name;
            change->is_new = agent->created > began;
            *cursor = agent->changed;
            at = at->next;
        } else {
            *change = (struct cp_agent_change){.name = gw_arena_strdup(arena, left->name)};
            *cursor = left->moment;
            gone++;
        }
    }
    return count;
}

int cp_registry_changes(struct cp_registry *registry, struct gw_arena *arena, size_t limit,
                        int64_t *cursor, struct cp_agent_change **ret_changes, size_t *ret_count)
{
    *ret_count = 0;
    pthread_mutex_lock(&registry->lock);
    bool is_known = *cursor >= registry->log.gone_forgotten;
    if (is_known && *cursor < registry->log.moment) {
        *ret_changes = GW_ARENA_ARRAY(arena, struct cp_agent_change, limit);
        *ret_count = take(registry, arena, limit, cursor, *ret_changes);
    }
    pthread_mutex_unlock(&registry->lock);
    return is_known ? 0 : -1;
}
