/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/registry.h"

#include "common/log.h"
#include "common/map.h"
#include "common/message.h"
#include "controlplane/agents/registry_internal.h"
#include "controlplane/agents/session.h"
#include "controlplane/model/names.h"
#include "controlplane/snapshot/newer.h"
#include "controlplane/snapshot/scope.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "agents"

static void on_image(void *arg, bool has_news);

struct cp_registry *cp_registry_new(struct cp_image *image, unsigned agents_max)
{
    struct cp_registry *registry = gw_calloc(1, sizeof(*registry));
    registry->image = image;
    registry->agents_max = agents_max;
    pthread_mutex_init(&registry->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&registry->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    gw_map_init(&registry->agents);
    gw_list_init(&registry->sessions);
    gw_list_init(&registry->debug_waiters);
    cp_pace_init(&registry->pace);
    gw_list_init(&registry->log.agents);
    cp_image_listen(image, on_image, registry);
    return registry;
}

static void agent_free(struct cp_known_agent *agent)
{
    gw_arena_done(&agent->said);
    gw_arena_done(&agent->refused);
    gw_arena_done(&agent->shown);
    free(agent);
}

void cp_registry_free(struct cp_registry *registry)
{
    if (!registry)
        return;
    assert(gw_list_is_empty(&registry->sessions));
    cp_image_listen(registry->image, NULL, NULL);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));)
        agent_free(e->value);
    gw_map_done(&registry->agents);
    cp_pace_done(&registry->pace);
    cp_registry_log_done(&registry->log);
    pthread_cond_destroy(&registry->changed);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

struct cp_pace *cp_registry_pace(struct cp_registry *registry)
{
    return &registry->pace;
}

void cp_registry_stop(struct cp_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    registry->is_stopped = true;
    registry->stopped_ms = gw_clock_monotonic_ms();
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

/* ---- sessions ---- */

struct picked {
    struct cp_session **sessions; /* owned, a reference each */
    size_t count;
};

/* With the lock held: references, so that the sessions can be called without it. */
static struct picked pick(struct cp_registry *registry)
{
    struct picked picked = {gw_calloc(registry->session_count + 1, sizeof(struct cp_session *)), 0};
    gw_list_each(&registry->sessions, node)
    {
        const struct cp_agent_link *link = gw_container_of(node, struct cp_agent_link, node);
        picked.sessions[picked.count++] = cp_session_ref(link->session);
    }
    return picked;
}

/* The same for those that have not said Hello in time; each is picked once. */
static struct picked pick_late(struct cp_registry *registry, gw_msec now_ms)
{
    struct picked picked = {gw_calloc(registry->session_count + 1, sizeof(struct cp_session *)), 0};
    gw_list_each(&registry->sessions, node)
    {
        struct cp_agent_link *link = gw_container_of(node, struct cp_agent_link, node);
        if (link->is_greeted || link->is_late ||
            now_ms - link->opened_ms <= CP_AGENT_HELLO_TIMEOUT_MS)
            continue;
        link->is_late = true;
        picked.sessions[picked.count++] = cp_session_ref(link->session);
    }
    return picked;
}

static void drop(struct picked *picked)
{
    for (size_t i = 0; i < picked->count; i++)
        cp_session_unref(picked->sessions[i]);
    free(picked->sessions);
}

/* Most writes are none of the agents' business: their sessions are left alone. */
static void on_image(void *arg, bool has_news)
{
    struct cp_registry *registry = arg;
    struct picked picked = {NULL, 0};
    pthread_mutex_lock(&registry->lock);
    if (has_news)
        picked = pick(registry);
    cp_registry_advance_all(registry); /* what was seen may be all that a rollout waits for */
    pthread_mutex_unlock(&registry->lock);
    for (size_t i = 0; i < picked.count; i++)
        cp_session_wake(picked.sessions[i]);
    drop(&picked);
}

void cp_registry_turn_away(struct cp_registry *registry, const struct gw_error *why)
{
    pthread_mutex_lock(&registry->lock);
    struct picked picked = pick(registry);
    pthread_mutex_unlock(&registry->lock);
    for (size_t i = 0; i < picked.count; i++)
        cp_session_end(picked.sessions[i], why);
    drop(&picked);
}

/* With the lock held. */
static struct picked pick_named(struct cp_registry *registry, const char *agent_id)
{
    struct picked picked = {gw_calloc(1, sizeof(struct cp_session *)), 0};
    const struct cp_known_agent *agent = gw_map_get(&registry->agents, gw_str_from(agent_id));
    if (agent && agent->link)
        picked.sessions[picked.count++] = cp_session_ref(agent->link->session);
    return picked;
}

void cp_registry_readmit(struct cp_registry *registry, const char *agent_id)
{
    pthread_mutex_lock(&registry->lock);
    struct picked picked = agent_id ? pick_named(registry, agent_id) : pick(registry);
    pthread_mutex_unlock(&registry->lock);
    for (size_t i = 0; i < picked.count; i++)
        cp_session_readmit(picked.sessions[i]);
    drop(&picked);
}

int cp_registry_open(struct cp_registry *registry, struct cp_agent_link *link, struct gw_error *err)
{
    pthread_mutex_lock(&registry->lock);
    bool is_full = registry->session_count >= registry->agents_max;
    if (!is_full) {
        registry->session_count++;
        gw_list_push(&registry->sessions, &link->node);
        link->opened_ms = gw_clock_monotonic_ms();
    }
    pthread_mutex_unlock(&registry->lock);
    if (is_full)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "%u agents are connected, the most allowed here",
                       registry->agents_max);
    return 0;
}

static void timestamp(cp_timestamp *time, gw_msec wall_ms)
{
    google__protobuf__timestamp__init(time);
    time->seconds = wall_ms / 1000;
    time->nanos = (int32_t)(wall_ms % 1000) * 1000000;
}

static struct cp_known_agent *agent_of(struct cp_registry *registry, const char *id)
{
    struct cp_known_agent *agent = gw_map_get(&registry->agents, gw_str_from(id));
    if (agent)
        return agent;
    agent = gw_calloc(1, sizeof(*agent));
    gw_arena_init(&agent->said, 512);
    gw_arena_init(&agent->refused, 512);
    gw_arena_init(&agent->shown, 512);
    gw_list_init(&agent->order);
    gw_map_put(&registry->agents, gw_str_from(id), agent);
    return agent;
}

static void write_labels(struct cp_known_agent *agent, const cp_hello *hello)
{
    typedef Penstock__Admin__V1__Agent__LabelsEntry label;
    cp_agent *message = &agent->message;
    message->labels = GW_ARENA_ARRAY(&agent->said, label *, hello->n_labels + 1);
    for (size_t i = 0; i < hello->n_labels; i++) {
        label *entry = GW_ARENA_NEW(&agent->said, label);
        penstock__admin__v1__agent__labels_entry__init(entry);
        entry->key = gw_arena_strdup(&agent->said, hello->labels[i]->key);
        entry->value = gw_arena_strdup(&agent->said, hello->labels[i]->value);
        message->labels[message->n_labels++] = entry;
    }
}

static void write_hello(struct cp_known_agent *agent, const cp_hello *hello, const char *peer)
{
    gw_arena_reset(&agent->said);
    gw_arena_reset(&agent->refused);
    agent->refusal_count = 0;
    cp_agent *message = &agent->message;
    *message = (cp_agent)CP_INIT(AGENT);
    gw_str name = gw_arena_printf(&agent->said, "agents/%s", hello->agent_id);
    message->name = gw_arena_bytes(&agent->said, name.len + 1);
    memcpy(message->name, name.ptr, name.len);
    message->name[name.len] = '\0';
    message->version = gw_arena_strdup(&agent->said, hello->version);
    message->peer = gw_arena_strdup(&agent->said, peer);
    message->connected = true;
    message->applied_revision = hello->revision;
    memcpy(agent->cluster_id, hello->cluster_id, strlen(hello->cluster_id) + 1);
    timestamp(&agent->connect_time, gw_clock_wall_ms());
    agent->last_seen_time = agent->connect_time;
    message->connect_time = &agent->connect_time;
    message->last_seen_time = &agent->last_seen_time;
    agent->applied_time = (cp_timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    write_labels(agent, hello);
}

/* What it has shown by its certificate. */
static void write_identity(struct cp_known_agent *agent, const struct cp_agent_identity *identity)
{
    size_t count = 0;
    gw_str rest = identity->scope;
    cp_agent *message = &agent->message;
    gw_arena_reset(&agent->shown);
    message->identity = gw_arena_strdup(&agent->shown, identity->name);
    message->environments = GW_ARENA_ARRAY(&agent->shown, char *, CP_SCOPE_ENVIRONMENTS_MAX);
    while (rest.len > 0 && count < CP_SCOPE_ENVIRONMENTS_MAX) {
        gw_str id = gw_str_split(&rest, ',');
        gw_str name = gw_arena_printf(&agent->shown, "environments/%.*s", GW_STR_ARG(id));
        message->environments[count++] = (char *)(uintptr_t)name.ptr;
    }
    message->n_environments = count;
    timestamp(&agent->expire_time, identity->expiry_ms);
    message->certificate_expire_time = identity->expiry_ms > 0 ? &agent->expire_time : NULL;
}

void cp_registry_rescope(struct cp_registry *registry, struct cp_agent_link *link,
                         const struct cp_agent_identity *identity, struct cp_image *image)
{
    pthread_mutex_lock(&registry->lock);
    link->image = image;
    if (link->agent)
        write_identity(link->agent, identity);
    pthread_mutex_unlock(&registry->lock);
}

/* With the lock held: why its stream is ended. */
static void note_error(struct cp_known_agent *agent, const struct gw_error *why)
{
    if (!agent)
        return;
    snprintf(agent->last_error, sizeof(agent->last_error), "%s", why->message);
    timestamp(&agent->last_error_time, gw_clock_wall_ms());
}

void cp_registry_greet(struct cp_registry *registry, struct cp_agent_link *link,
                       const cp_hello *hello, const struct cp_agent_identity *identity,
                       const char *peer)
{
    struct cp_session *older = NULL;
    struct gw_error err;
    (void)gw_fail(&err, GW_ALREADY_EXISTS, "another agent with the id %s has connected",
                  hello->agent_id);
    pthread_mutex_lock(&registry->lock);
    struct cp_known_agent *agent = agent_of(registry, hello->agent_id);
    if (agent->link) {
        note_error(agent, &err);
        older = cp_session_ref(agent->link->session);
        agent->link->agent = NULL;
        registry->replaced++;
    }
    write_hello(agent, hello, peer);
    write_identity(agent, identity);
    agent->takes_debug_calls = hello->takes_debug_calls;
    agent->link = link;
    link->agent = agent;
    link->is_greeted = true;
    cp_registry_advance(registry, agent);
    cp_registry_note(registry, agent);
    pthread_mutex_unlock(&registry->lock);
    cp_registry_tell(registry);
    if (!older)
        return;
    cp_session_end(older, &err);
    cp_session_unref(older);
}

/* At most max - 1 bytes, not cut within a character. */
static char *cut_text(struct gw_arena *arena, const char *text, size_t max)
{
    size_t length = strnlen(text, max);
    if (length == max)
        for (length--; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    char *copy = gw_arena_bytes(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

/* When it was refused first, if this is still that refusal; 0: it is new. */
static gw_msec refused_since(const cp_agent *before, const char *resource, int64_t revision)
{
    for (size_t i = 0; i < before->n_refusals; i++) {
        const cp_refusal *old = before->refusals[i];
        if (old->revision == revision && strcmp(old->resource, resource) == 0)
            return old->time->seconds * 1000 + old->time->nanos / 1000000;
    }
    return 0;
}

struct refusal_list {
    struct cp_known_agent *agent;
    struct gw_arena arena; /* of what comes */
    cp_refusal **items;
    size_t count, fresh;
};

static void add_refusal(struct refusal_list *list, const char *resource, const char *reason,
                        int64_t revision)
{
    cp_refusal *refusal = list->items[list->count++] = GW_ARENA_NEW(&list->arena, cp_refusal);
    *refusal = (cp_refusal)CP_INIT(REFUSAL);
    refusal->agent = list->agent->message.name;
    refusal->resource = cut_text(&list->arena, resource, CP_NAME_MAX);
    refusal->reason = cut_text(&list->arena, reason, CP_REASON_MAX);
    refusal->revision = revision;
    refusal->time = GW_ARENA_NEW(&list->arena, cp_timestamp);
    gw_msec since_ms = refused_since(&list->agent->message, refusal->resource, revision);
    list->fresh += since_ms == 0;
    timestamp(refusal->time, since_ms ? since_ms : gw_clock_wall_ms());
}

static void add_held_back(void *arg, gw_str name, int64_t revision, const char *reason)
{
    struct refusal_list *list = arg;
    add_refusal(list, gw_arena_dup(&list->arena, name).ptr, reason, revision);
}

/* What it says, and what it was not sent because it does not know it. Returns how many are new. */
static size_t write_refusals(const struct cp_agent_link *link, const cp_ack *ack)
{
    struct cp_known_agent *agent = link->agent;
    struct refusal_list list = {.agent = agent};
    gw_arena_init(&list.arena, 512);
    size_t count = GW_MIN(ack->n_refusals, (size_t)CP_AGENT_REFUSALS_MAX);
    size_t held = link->image ? cp_image_held_back(link->image, link->kinds, 0, NULL, NULL) : 0;
    size_t room = GW_MIN(held, CP_AGENT_REFUSALS_MAX - count);
    list.items = GW_ARENA_ARRAY(&list.arena, cp_refusal *, count + room + 1);
    for (size_t i = 0; i < count; i++) {
        const cp_agent_refusal *from = ack->refusals[i];
        add_refusal(&list, from->resource ? from->resource->name : "", from->reason,
                    from->revision);
    }
    if (held > 0)
        held = cp_image_held_back(link->image, link->kinds, room, add_held_back, &list);
    /* Of those that are not kept, the more that there are. */
    size_t unkept = ack->n_refusals + held - list.count;
    size_t before =
        GW_MAX(agent->refusal_count, (size_t)CP_AGENT_REFUSALS_MAX) - CP_AGENT_REFUSALS_MAX;
    list.fresh += unkept > before ? unkept - before : 0;
    gw_arena_done(&agent->refused);
    agent->refused = list.arena;
    agent->message.refusals = list.items;
    agent->message.n_refusals = list.count;
    agent->refusal_count = ack->n_refusals + held;
    return list.fresh;
}

bool cp_registry_ack(struct cp_registry *registry, struct cp_agent_link *link, const cp_ack *ack,
                     gw_msec latency_ms)
{
    pthread_mutex_lock(&registry->lock);
    struct cp_known_agent *agent = link->agent;
    bool is_news = agent && (agent->message.applied_revision != ack->revision ||
                             agent->refusal_count + ack->n_refusals > 0);
    if (agent) {
        memcpy(agent->cluster_id, ack->cluster_id, strlen(ack->cluster_id) + 1);
        agent->message.applied_revision = ack->revision;
        timestamp(&agent->last_seen_time, gw_clock_wall_ms());
        agent->applied_time = agent->last_seen_time;
        registry->refused += (int64_t)write_refusals(link, ack);
        if (latency_ms >= 0) {
            agent->message.apply_latency_ms = latency_ms;
            registry->acks++;
            registry->ack_latency_ms_sum += latency_ms;
        }
        cp_registry_advance(registry, agent);
        if (is_news)
            cp_registry_note(registry, agent);
    }
    pthread_mutex_unlock(&registry->lock);
    if (is_news)
        cp_registry_tell(registry);
    return agent != NULL;
}

void cp_registry_statistics(struct cp_registry *registry, struct cp_agent_link *link)
{
    pthread_mutex_lock(&registry->lock);
    registry->statistics++;
    if (link->agent)
        timestamp(&link->agent->last_seen_time, gw_clock_wall_ms());
    pthread_mutex_unlock(&registry->lock);
}

void cp_registry_close(struct cp_registry *registry, struct cp_agent_link *link)
{
    pthread_mutex_lock(&registry->lock);
    gw_list_remove(&link->node);
    registry->session_count--;
    cp_registry_end_debug(registry, link);
    struct cp_known_agent *agent = link->agent;
    if (agent) {
        agent->link = NULL;
        agent->left_ms = gw_clock_monotonic_ms();
        agent->message.connected = false;
        timestamp(&agent->last_seen_time, gw_clock_wall_ms());
        cp_registry_note(registry, agent);
    }
    pthread_mutex_unlock(&registry->lock);
    if (agent)
        cp_registry_tell(registry);
}

void cp_registry_count_sent(struct cp_registry *registry, const struct cp_delta *delta)
{
    atomic_fetch_add_explicit(&registry->updates, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&registry->snapshots, delta->base_revision == 0,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&registry->update_bytes, (int64_t)delta->bytes, memory_order_relaxed);
}

void cp_registry_count_violation(struct cp_registry *registry, struct cp_agent_link *link,
                                 const struct gw_error *why)
{
    pthread_mutex_lock(&registry->lock);
    registry->violations++;
    note_error(link->agent, why);
    pthread_mutex_unlock(&registry->lock);
}

/* ---- time ---- */

static bool forget_left(struct cp_registry *registry, gw_msec now_ms)
{
    gw_str *ids = gw_calloc(registry->agents.count + 1, sizeof(gw_str));
    size_t count = 0;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&registry->agents, e));) {
        const struct cp_known_agent *agent = e->value;
        if (!agent->link && !agent->waited_by && now_ms - agent->left_ms > CP_AGENT_FORGET_MS)
            ids[count++] = e->key;
    }
    for (size_t i = 0; i < count; i++) {
        struct cp_known_agent *agent = gw_map_take(&registry->agents, ids[i]);
        cp_registry_note_gone(registry, agent);
        agent_free(agent);
    }
    free(ids);
    return count > 0;
}

/* Who it is, for the log; "" before its Hello. */
static void count_drop(struct cp_registry *registry, struct cp_session *session, enum cp_drop drop,
                       const struct gw_error *why)
{
    char id[CP_AGENT_ID_MAX + 1] = "";
    pthread_mutex_lock(&registry->lock);
    registry->dropped[drop]++;
    gw_list_each(&registry->sessions, node)
    {
        const struct cp_agent_link *link = gw_container_of(node, struct cp_agent_link, node);
        if (link->session != session || !link->agent)
            continue;
        snprintf(id, sizeof(id), "%s", link->agent->message.name + strlen("agents/"));
        note_error(link->agent, why);
    }
    pthread_mutex_unlock(&registry->lock);
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 10, &dropped))
        gw_log(GW_LOG_WARN, COMPONENT,
               "agent dropped, it is to connect again and to go on from there",
               gw_kv_text("agent", id), gw_kv_error(why), gw_kv_int("dropped", dropped));
}

static void drop_slow(struct cp_registry *registry, gw_msec now_ms)
{
    pthread_mutex_lock(&registry->lock);
    struct picked picked = pick(registry);
    pthread_mutex_unlock(&registry->lock);
    for (size_t i = 0; i < picked.count; i++) {
        struct gw_error why = GW_ERROR_NONE;
        enum cp_drop reason;
        if (!cp_session_is_slow(picked.sessions[i], now_ms, &reason, &why))
            continue;
        count_drop(registry, picked.sessions[i], reason, &why);
        cp_session_drop(picked.sessions[i], &why);
    }
    drop(&picked);
}

void cp_registry_tick(struct cp_registry *registry)
{
    gw_msec now_ms = gw_clock_monotonic_ms();
    drop_slow(registry, now_ms);
    pthread_mutex_lock(&registry->lock);
    bool has_forgotten = forget_left(registry, now_ms);
    struct picked silent = pick_late(registry, now_ms);
    registry->violations += (int64_t)silent.count;
    pthread_mutex_unlock(&registry->lock);
    if (has_forgotten)
        cp_registry_tell(registry);
    struct gw_error err;
    (void)gw_fail(&err, GW_INVALID_ARGUMENT, "no Hello in %d seconds",
                  CP_AGENT_HELLO_TIMEOUT_MS / 1000);
    for (size_t i = 0; i < silent.count; i++)
        cp_session_end(silent.sessions[i], &err);
    drop(&silent);
}
