/* SPDX-License-Identifier: Apache-2.0 */
/* Agents in a watch: live state of this replica, beside the changes of the store. */
#include "controlplane/agents/changes.h"
#include "controlplane/service/feed_internal.h"
#include "controlplane/service/services.h"

#define TYPE(name) PENSTOCK__ADMIN__V1__RESOURCE_EVENT_TYPE__RESOURCE_EVENT_TYPE_##name

const struct cp_bundle_kind cp_feed_agents = {.service = &cp_agent_service};

int64_t cp_feed_agents_begin(const struct cp_feed *feed)
{
    struct cp_registry *registry = feed->options.services->registry;
    return registry ? cp_registry_moment(registry) : 0;
}

static cp_resource_event *event_of(struct gw_arena *arena, const struct cp_agent_change *change)
{
    cp_resource_event *event = GW_ARENA_NEW(arena, cp_resource_event);
    penstock__admin__v1__resource_event__init(event);
    event->name = (char *)(uintptr_t)change->name;
    event->type = !change->agent ? TYPE(DELETED) : change->is_new ? TYPE(CREATED) : TYPE(UPDATED);
    if (change->agent) {
        event->resource_case = PENSTOCK__ADMIN__V1__RESOURCE_EVENT__RESOURCE_AGENT;
        event->agent = change->agent;
    }
    return event;
}

int cp_feed_agents_read(const struct cp_feed *feed, struct gw_arena *arena, int64_t *cursor,
                        cp_watch_response *response)
{
    size_t count;
    struct cp_agent_change *changes;
    struct cp_registry *registry = feed->options.services->registry;
    if (!registry)
        return 0;
    if (cp_registry_changes(registry, arena, CP_FEED_AGENTS_MAX, cursor, &changes, &count) < 0)
        return -1;
    response->events = GW_ARENA_ARRAY(arena, cp_resource_event *, count + 1);
    for (size_t i = 0; i < count; i++)
        response->events[response->n_events++] = event_of(arena, &changes[i]);
    return 0;
}
