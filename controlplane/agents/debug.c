/* SPDX-License-Identifier: Apache-2.0 */
/* Debug calls: sent to one agent, and waited for on the thread of who asks. */
#include "controlplane/agents/debug.h"

#include "common/message.h"
#include "controlplane/agents/registry_internal.h"
#include "controlplane/agents/session.h"
#include "controlplane/model/names.h"

#include <stdlib.h>

struct waiter {
    struct gw_list node;
    uint64_t id;
    const struct cp_agent_link *link; /* who was asked */
    struct gw_arena *arena;           /* of who asks, who sleeps meanwhile */
    cp_debug_reply *reply;            /* NULL: not yet */
};

static unsigned waiting_for(const struct cp_registry *registry, const struct cp_agent_link *link)
{
    unsigned count = 0;
    gw_list_each(&registry->debug_waiters, node) count +=
        gw_container_of(node, struct waiter, node)->link == link;
    return count;
}

/* The one that has applied more; of equals the one that has less to do. */
static bool is_better(const struct cp_registry *registry, const struct cp_known_agent *a,
                      const struct cp_known_agent *b)
{
    if (a->message.applied_revision != b->message.applied_revision)
        return a->message.applied_revision > b->message.applied_revision;
    return waiting_for(registry, a->link) < waiting_for(registry, b->link);
}

/* An agent with a scope sees nothing of others', not by debug calls either. */
static bool gets(const struct cp_known_agent *agent, const char *environment)
{
    for (size_t i = 0; i < agent->message.n_environments; i++)
        if (strcmp(cp_name_last(agent->message.environments[i]), environment) == 0)
            return true;
    return agent->message.n_environments == 0;
}

/* With the lock held: the one that was named, or of those that can the best. */
static const struct cp_known_agent *find(struct cp_registry *registry, struct cp_debug_aim aim,
                                         struct gw_error *err)
{
    const char *name = aim.agent;
    const struct cp_known_agent *found = NULL;
    bool is_known = false, is_foreign = false;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));) {
        const struct cp_known_agent *agent = e->value;
        if (*name && strcmp(agent->message.name, name) != 0)
            continue;
        is_known = true;
        if (!agent->link || !agent->takes_debug_calls)
            continue;
        if (!gets(agent, aim.environment)) {
            is_foreign = true;
            continue;
        }
        if (!found || is_better(registry, agent, found))
            found = agent;
    }
    if (found)
        return found;
    if (is_foreign)
        (void)gw_fail(err, GW_UNAVAILABLE, "%s gets only some environments, not %s",
                      *name ? name : "each connected agent",
                      *aim.environment ? aim.environment : "drafts");
    else if (*name && !is_known)
        (void)gw_fail(err, GW_NOT_FOUND, "%s is not known", name);
    else if (*name)
        (void)gw_fail(err, GW_UNAVAILABLE,
                      "%s is not connected to this control plane, or too old for debug calls",
                      name);
    else
        (void)gw_fail(err, GW_UNAVAILABLE,
                      "no agent is connected to this control plane that makes debug calls");
    return NULL;
}

/* With the lock held. */
static struct cp_session *begin(struct cp_registry *registry, struct waiter *waiter,
                                struct cp_debug_aim aim, char **ret_agent, struct gw_error *err)
{
    if (registry->is_stopped) {
        (void)gw_fail(err, GW_UNAVAILABLE, "draining");
        return NULL;
    }
    if (registry->debug_count >= CP_DEBUG_WAITERS_MAX) {
        (void)gw_fail(err, GW_RESOURCE_EXHAUSTED, "%d debug calls are under way: try again",
                      CP_DEBUG_WAITERS_MAX);
        return NULL;
    }
    const struct cp_known_agent *agent = find(registry, aim, err);
    if (!agent)
        return NULL;
    *ret_agent = gw_arena_strdup(waiter->arena, agent->message.name);
    waiter->link = agent->link;
    waiter->id = ++registry->debug_ids;
    gw_list_push(&registry->debug_waiters, &waiter->node);
    registry->debug_count++;
    return cp_session_ref(agent->link->session);
}

static void send(struct cp_session *session, struct gw_arena *arena, cp_debug_call *call)
{
    cp_control_message message = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__KIND_DEBUG_CALL;
    message.debug_call = call;
    cp_session_send(session, call->id, gw_message_pack(arena, &message.base));
}

/* With the lock held. */
static void sleep_on(struct cp_registry *registry, const struct waiter *waiter, gw_msec deadline_ms)
{
    const struct timespec deadline = {.tv_sec = deadline_ms / 1000,
                                      .tv_nsec = (deadline_ms % 1000) * 1000000};
    while (!waiter->reply && waiter->link && !registry->is_stopped &&
           gw_clock_monotonic_ms() < deadline_ms)
        (void)pthread_cond_timedwait(&registry->changed, &registry->lock, &deadline);
}

static int tell_why(const struct cp_registry *registry, const struct waiter *waiter,
                    const char *agent, struct gw_error *err)
{
    if (registry->is_stopped)
        return gw_fail(err, GW_UNAVAILABLE, "draining");
    if (!waiter->link)
        return gw_fail(err, GW_UNAVAILABLE, "%s has left before it answered", agent);
    return gw_fail(err, GW_DEADLINE_EXCEEDED, "%s has not answered in time", agent);
}

int cp_registry_debug(struct cp_registry *registry, struct gw_arena *arena, struct cp_debug_aim aim,
                      cp_debug_call *call, gw_msec deadline_ms, cp_debug_reply **ret_reply,
                      char **ret_agent, struct gw_error *err)
{
    struct waiter waiter = {.arena = arena};
    gw_list_init(&waiter.node);
    pthread_mutex_lock(&registry->lock);
    struct cp_session *session = begin(registry, &waiter, aim, ret_agent, err);
    pthread_mutex_unlock(&registry->lock);
    if (!session)
        return -1;
    call->id = waiter.id;
    send(session, arena, call);

    pthread_mutex_lock(&registry->lock);
    sleep_on(registry, &waiter, deadline_ms);
    gw_list_remove(&waiter.node);
    registry->debug_count--;
    int result = waiter.reply ? 0 : tell_why(registry, &waiter, *ret_agent, err);
    pthread_mutex_unlock(&registry->lock);
    cp_session_unsend(session, call->id); /* it may be a POST, and nobody waits for it any more */
    cp_session_unref(session);
    *ret_reply = waiter.reply;
    return result;
}

void cp_registry_debug_reply(struct cp_registry *registry, struct cp_agent_link *link,
                             const cp_debug_reply *reply)
{
    pthread_mutex_lock(&registry->lock);
    gw_list_each(&registry->debug_waiters, node)
    {
        struct waiter *waiter = gw_container_of(node, struct waiter, node);
        if (waiter->id == reply->id && waiter->link == link && !waiter->reply)
            waiter->reply = (cp_debug_reply *)(void *)gw_message_copy(waiter->arena, &reply->base);
    }
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

void cp_registry_end_debug(struct cp_registry *registry, const struct cp_agent_link *link)
{
    gw_list_each(&registry->debug_waiters, node)
    {
        struct waiter *waiter = gw_container_of(node, struct waiter, node);
        if (waiter->link == link)
            waiter->link = NULL;
    }
    pthread_cond_broadcast(&registry->changed);
}
