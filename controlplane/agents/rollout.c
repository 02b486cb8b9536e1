/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the registry: agents for the management API, and how far a change has come. */
#include "common/message.h"
#include "controlplane/agents/registry_internal.h"
#include "controlplane/agents/session.h"
#include "controlplane/snapshot/scope.h"

#include <stdlib.h>

bool cp_registry_covers(const struct cp_registry *registry, const struct cp_known_agent *agent,
                        int64_t revision)
{
    struct cp_image_status status;
    const bool is_here = agent->link && agent->link->image;
    cp_image_status(is_here ? agent->link->image : registry->image, &status);
    return cp_image_covers(&status, agent->cluster_id, agent->message.applied_revision, revision);
}

int64_t cp_registry_applied(const struct cp_registry *registry, const struct cp_known_agent *agent,
                            const struct cp_image_status *whole)
{
    int64_t applied = agent->message.applied_revision;
    bool is_scoped = agent->link && agent->link->image && agent->link->image != registry->image;
    if (is_scoped && cp_registry_covers(registry, agent, whole->content_revision))
        return GW_MAX(applied, whole->content_revision);
    return applied;
}

static cp_timestamp *timestamp_of(struct gw_arena *arena, gw_msec wall_ms)
{
    cp_timestamp *time = GW_ARENA_NEW(arena, cp_timestamp);
    google__protobuf__timestamp__init(time);
    time->seconds = wall_ms / 1000;
    time->nanos = (int32_t)(wall_ms % 1000) * 1000000;
    return time;
}

static cp_duration *duration_of(struct gw_arena *arena, gw_nsec ns)
{
    cp_duration *duration = GW_ARENA_NEW(arena, cp_duration);
    google__protobuf__duration__init(duration);
    duration->seconds = ns / 1000000000;
    duration->nanos = (int32_t)(ns % 1000000000);
    return duration;
}

/* In revisions; the time since when, wall, goes to *ret_since_ms, 0 when it is not behind. */
static int64_t lag_of(const struct cp_registry *registry, const struct cp_known_agent *agent,
                      const struct cp_image_status *status, gw_msec *ret_since_ms)
{
    bool is_current = cp_scope_same_cluster(agent->cluster_id, status->cluster_id);
    int64_t applied = is_current ? cp_registry_applied(registry, agent, status) : 0;
    int64_t lag = GW_MAX(0, status->content_revision - applied);
    if (lag == 0)
        *ret_since_ms = 0;
    else if (applied > 0)
        *ret_since_ms = cp_steps_passed_ms(cp_image_steps(registry->image), applied);
    else
        *ret_since_ms = agent->connect_time.seconds * 1000 + agent->connect_time.nanos / 1000000;
    return lag;
}

cp_agent *cp_agent_copy(const struct cp_registry *registry, const struct cp_known_agent *agent,
                        const struct cp_image_status *status, struct gw_arena *arena)
{
    gw_msec since_ms;
    cp_agent shown = agent->message;
    cp_timestamp applied_time = agent->applied_time, error_time = agent->last_error_time;
    shown.applied_revision = cp_registry_applied(registry, agent, status);
    shown.current_revision = status->content_revision;
    shown.lag_revisions = lag_of(registry, agent, status, &since_ms);
    shown.lag_since = since_ms ? timestamp_of(arena, since_ms) : NULL;
    gw_msec lag_ms = GW_MAX(gw_clock_wall_ms() - since_ms, (gw_msec)0);
    shown.lag = since_ms ? duration_of(arena, lag_ms * 1000000) : NULL;
    shown.applied_time = applied_time.seconds ? &applied_time : NULL;
    shown.last_error = (char *)(uintptr_t)agent->last_error;
    shown.last_error_time = error_time.seconds ? &error_time : NULL;
    return (cp_agent *)(void *)gw_message_copy(arena, &shown.base);
}

cp_agent *cp_registry_get(struct cp_registry *registry, struct gw_arena *arena, gw_str name)
{
    gw_str id = name;
    if (!gw_str_eq(gw_str_split(&id, '/'), GW_STR("agents")))
        return NULL;
    struct cp_image_status status;
    cp_image_status(registry->image, &status);
    pthread_mutex_lock(&registry->lock);
    const struct cp_known_agent *agent = gw_map_get(&registry->agents, id);
    cp_agent *message = agent ? cp_agent_copy(registry, agent, &status, arena) : NULL;
    pthread_mutex_unlock(&registry->lock);
    return message;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct cp_known_agent *const *)a)->message.name,
                  (*(const struct cp_known_agent *const *)b)->message.name);
}

/* With the lock held: all agents by name, in the arena. */
static const struct cp_known_agent **sorted(struct cp_registry *registry, struct gw_arena *arena,
                                            size_t *ret_count)
{
    const struct cp_known_agent **all =
        GW_ARENA_ARRAY(arena, const struct cp_known_agent *, registry->agents.count + 1);
    size_t count = 0;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));)
        all[count++] = e->value;
    qsort(all, count, sizeof(*all), by_name);
    *ret_count = count;
    return all;
}

size_t cp_registry_list(struct cp_registry *registry, struct gw_arena *arena, gw_str after,
                        size_t limit, cp_agent ***ret_agents, bool *ret_more)
{
    struct cp_image_status status;
    cp_image_status(registry->image, &status);
    size_t total, count = 0;
    *ret_more = false;
    pthread_mutex_lock(&registry->lock);
    const struct cp_known_agent **all = sorted(registry, arena, &total);
    *ret_agents = GW_ARENA_ARRAY(arena, cp_agent *, GW_MIN(limit, total) + 1);
    for (size_t i = 0; i < total && !*ret_more; i++) {
        if (gw_str_cmp(gw_str_from(all[i]->message.name), after) <= 0)
            continue;
        if (count < limit)
            (*ret_agents)[count++] = cp_agent_copy(registry, all[i], &status, arena);
        else
            *ret_more = true;
    }
    pthread_mutex_unlock(&registry->lock);
    return count;
}

/* ---- refusals ---- */

static const cp_refusal *refusal_by(const struct cp_known_agent *agent, gw_str resource)
{
    for (size_t i = 0; i < agent->message.n_refusals; i++)
        if (gw_str_eq(gw_str_from(agent->message.refusals[i]->resource), resource))
            return agent->message.refusals[i];
    return NULL;
}

static cp_refusal *builder_refusal(struct cp_registry *registry, struct gw_arena *arena,
                                   gw_str resource)
{
    struct cp_image_refusal found;
    if (!cp_image_refusal(registry->image, resource, &found))
        return NULL;
    cp_timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = found.wall_ms / 1000;
    time.nanos = (int32_t)(found.wall_ms % 1000) * 1000000;
    cp_refusal refusal = CP_INIT(REFUSAL);
    refusal.agent = (char[]){"builder"};
    refusal.resource = gw_arena_bytes(arena, resource.len + 1);
    memcpy(refusal.resource, resource.ptr, resource.len);
    refusal.resource[resource.len] = '\0';
    refusal.reason = found.reason;
    refusal.revision = found.revision;
    refusal.time = &time;
    return (cp_refusal *)(void *)gw_message_copy(arena, &refusal.base);
}

/* With the lock held. */
static size_t collect_refusals(struct cp_registry *registry, struct gw_arena *arena,
                               gw_str resource, cp_refusal ***ret_refusals)
{
    size_t count = 0, total;
    const struct cp_known_agent **all = sorted(registry, arena, &total);
    cp_refusal **refusals = GW_ARENA_ARRAY(arena, cp_refusal *, total + 2);
    cp_refusal *builder = builder_refusal(registry, arena, resource);
    if (builder)
        refusals[count++] = builder;
    for (size_t i = 0; i < total; i++) {
        const cp_refusal *refusal = all[i]->link ? refusal_by(all[i], resource) : NULL;
        if (refusal)
            refusals[count++] = (cp_refusal *)(void *)gw_message_copy(arena, &refusal->base);
    }
    *ret_refusals = refusals;
    return count;
}

size_t cp_registry_refusals(struct cp_registry *registry, struct gw_arena *arena, gw_str resource,
                            cp_refusal ***ret_refusals)
{
    pthread_mutex_lock(&registry->lock);
    size_t count = collect_refusals(registry, arena, resource, ret_refusals);
    pthread_mutex_unlock(&registry->lock);
    return count;
}

/* ---- rollouts ---- */

/* On the stack of who waits. */
struct cp_wait {
    int64_t revision;
    unsigned bit; /* of cp_known_agent.waited_by; 0: it does not wait, only looks */
    size_t pending, total;
    size_t applied; /* got there, and do not refuse the resource */
    gw_str resource;
};

/* Also at a stop: nobody may read of a change that agents have not got that there are no agents. */
static bool is_expected(const struct cp_registry *registry, const struct cp_known_agent *agent)
{
    return agent->link || (registry->is_stopped && agent->left_ms >= registry->stopped_ms);
}

/* A place among those that wait, if there is one. */
static void enlist(struct cp_registry *registry, struct cp_wait *wait)
{
    for (unsigned i = 0; i < CP_ROLLOUT_WAITERS_MAX && !wait->bit; i++) {
        if (registry->waits[i])
            continue;
        registry->waits[i] = wait;
        wait->bit = 1u << i;
        registry->waiters++;
    }
}

static void leave(struct cp_registry *registry, struct cp_wait *wait)
{
    if (!wait->bit)
        return;
    for (unsigned i = 0; i < CP_ROLLOUT_WAITERS_MAX; i++)
        if (registry->waits[i] == wait)
            registry->waits[i] = NULL;
    registry->waiters--;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));)
        ((struct cp_known_agent *)e->value)->waited_by &= ~wait->bit;
}

static void begin(struct cp_registry *registry, struct cp_wait *wait)
{
    enlist(registry, wait);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));) {
        struct cp_known_agent *agent = e->value;
        if (!is_expected(registry, agent))
            continue;
        wait->total++;
        if (cp_registry_covers(registry, agent, wait->revision)) {
            wait->applied += refusal_by(agent, wait->resource) == NULL;
        } else {
            wait->pending++;
            agent->waited_by |= wait->bit;
        }
    }
}

/* An acknowledgement costs what waits for that agent, not what all waits wait for. */
void cp_registry_advance(struct cp_registry *registry, struct cp_known_agent *agent)
{
    for (unsigned i = 0; i < CP_ROLLOUT_WAITERS_MAX; i++) {
        struct cp_wait *wait = registry->waits[i];
        if (!(agent->waited_by >> i & 1) || !cp_registry_covers(registry, agent, wait->revision))
            continue;
        agent->waited_by &= ~wait->bit;
        wait->applied += refusal_by(agent, wait->resource) == NULL;
        if (--wait->pending == 0)
            pthread_cond_broadcast(&registry->changed);
    }
}

void cp_registry_advance_all(struct cp_registry *registry)
{
    if (registry->waiters == 0)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));)
        cp_registry_advance(registry, e->value);
}

static void sleep_until(struct cp_registry *registry, gw_msec deadline_ms)
{
    struct timespec deadline = {.tv_sec = deadline_ms / 1000,
                                .tv_nsec = (deadline_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&registry->changed, &registry->lock, &deadline); /* looks again */
}

void cp_registry_wait(struct cp_registry *registry, struct gw_arena *arena, int64_t revision,
                      gw_str resource, gw_msec deadline_ms, cp_rollout *ret_rollout)
{
    gw_nsec begin_ns = gw_clock_monotonic_ns();
    struct cp_wait wait = {.revision = revision, .resource = resource};
    pthread_mutex_lock(&registry->lock);
    begin(registry, &wait);
    while (wait.bit && wait.pending > 0 && !registry->is_stopped &&
           gw_clock_monotonic_ms() < deadline_ms)
        sleep_until(registry, deadline_ms);
    leave(registry, &wait);
    ret_rollout->n_refusals = collect_refusals(registry, arena, resource, &ret_rollout->refusals);
    pthread_mutex_unlock(&registry->lock);

    gw_nsec spent_ns = gw_clock_monotonic_ns() - begin_ns;
    ret_rollout->revision = revision;
    ret_rollout->agents = (int32_t)wait.total;
    ret_rollout->applied = (int32_t)wait.applied;
    ret_rollout->duration = duration_of(arena, spent_ns);
}

void cp_registry_stats(struct cp_registry *registry, struct cp_registry_stats *ret_stats)
{
    struct cp_image_status status;
    gw_msec now_ms = gw_clock_wall_ms();
    cp_image_status(registry->image, &status);
    pthread_mutex_lock(&registry->lock);
    *ret_stats = (struct cp_registry_stats){.acks = registry->acks,
                                            .ack_latency_ms_sum = registry->ack_latency_ms_sum,
                                            .statistics = registry->statistics,
                                            .replaced = registry->replaced,
                                            .violations = registry->violations,
                                            .refused = registry->refused,
                                            .updates = registry->updates,
                                            .snapshots = registry->snapshots,
                                            .update_bytes = registry->update_bytes};
    unsigned waiting, in;
    cp_pace_counts(&registry->pace, &waiting, &in);
    ret_stats->updates_waiting = waiting;
    ret_stats->updates_under_way = in;
    ret_stats->update_bytes_held = (int64_t)cp_delta_bytes_held();
    memcpy(ret_stats->dropped, registry->dropped, sizeof(ret_stats->dropped));
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));) {
        const struct cp_known_agent *agent = e->value;
        if (!agent->link)
            continue;
        gw_msec since_ms;
        int64_t lag = lag_of(registry, agent, &status, &since_ms);
        if (since_ms)
            ret_stats->max_lag_ms = GW_MAX(ret_stats->max_lag_ms, now_ms - since_ms);
        ret_stats->connected++;
        ret_stats->refusals += agent->refusal_count;
        ret_stats->lagging += lag > 0;
        ret_stats->max_lag = GW_MAX(ret_stats->max_lag, lag);
    }
    pthread_mutex_unlock(&registry->lock);
}
