/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/sync.h"

#include "common/log.h"
#include "dataplane/sync/client.h"
#include "dataplane/sync/debug_call.h"
#include "dataplane/sync/identity.h"
#include "dataplane/sync/keeper.h"
#include "dataplane/sync/retired.h"
#include "dataplane/sync/statistics.h"

#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RETIRE_RESOURCES 256 /* in an update: what was before it is much to free */

struct dp_sync {
    const struct dp_sync_options *options; /* borrowed */
    const struct dp_sync_events *events;   /* borrowed */
    void *context;
    struct dp_catalog *catalog;         /* owned; sync thread, and before it starts */
    struct dp_client *client;           /* owned; sync thread */
    struct dp_identity *identity;       /* likewise; NULL: it is not enrolled */
    struct dp_debug_calls *debug_calls; /* owned; sync thread */
    struct dp_snapshot *current;        /* a reference; NULL: none yet */
    struct dp_retired *retired;         /* owned; sync thread */
    struct dp_refusals refusals;        /* borrowed from the catalog until the next apply */
    struct ev_loop *loop;               /* owned */
    ev_async stop;
    struct dp_route_stats_table *stats; /* borrowed */
    ev_timer tell;                      /* statistics */
    struct dp_keeper *keeper;           /* owned; NULL: nothing is kept on disk */
    ev_timer settle;   /* what was kept reaches the disk a moment after, not for each of a burst */
    bool is_unsettled; /* there has been a change since */
    enum dp_sync_role role;
    ev_async assume;
    _Atomic enum dp_sync_role asked_role; /* any thread's */
    pthread_t thread;
    bool is_running;
    pthread_mutex_t lock; /* for what follows */
    struct dp_sync_status status;
    struct dp_refusals told; /* a copy of the refusals, in the arena */
    struct gw_arena told_arena;
};

static void take(struct dp_sync *sync, struct dp_snapshot *snapshot, const struct dp_update *update)
{
    bool is_large = update->base_revision == 0 ||
                    update->upsert_count + update->removal_count >= RETIRE_RESOURCES;
    if (sync->current && is_large)
        dp_retired_add(sync->retired, sync->current);
    else
        dp_snapshot_unref(sync->current);
    sync->current = snapshot;
    sync->events->on_snapshot(sync->context, snapshot);
}

/* Chunks of one update, seen as one. */
static void gather(struct dp_update *update, Penstock__Agent__V1__Update **chunks, size_t count,
                   struct gw_arena *arena)
{
    size_t upserts = 0, removals = 0;
    for (size_t i = 0; i < count; i++) {
        upserts += chunks[i]->n_upserts;
        removals += chunks[i]->n_removals;
    }
    *update = (struct dp_update){
        .cluster_id = gw_str_from(chunks[0]->cluster_id),
        .revision = chunks[0]->revision,
        .base_revision = chunks[0]->base_revision,
        .upserts = gw_arena_alloc(arena, upserts * sizeof(update->upserts[0])),
        .removals = gw_arena_alloc(arena, removals * sizeof(update->removals[0])),
    };
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < chunks[i]->n_upserts; j++)
            update->upserts[update->upsert_count++] = chunks[i]->upserts[j];
        for (size_t j = 0; j < chunks[i]->n_removals; j++)
            update->removals[update->removal_count++] = chunks[i]->removals[j];
    }
}

static void tell_refusals(struct dp_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    gw_arena_reset(&sync->told_arena);
    size_t count = sync->refusals.count;
    struct dp_refused *copy = GW_ARENA_ARRAY(&sync->told_arena, struct dp_refused, count);
    for (size_t i = 0; i < count; i++) {
        copy[i] = sync->refusals.items[i];
        copy[i].name = gw_arena_strdup(&sync->told_arena, copy[i].name);
        copy[i].reason = gw_arena_strdup(&sync->told_arena, copy[i].reason);
    }
    sync->told = (struct dp_refusals){.items = copy, .count = count};
    sync->status.refused_resources = (int64_t)count;
    pthread_mutex_unlock(&sync->lock);
}

static void set_cached(struct dp_sync *sync)
{
    pthread_mutex_lock(&sync->lock);
    sync->status.cached_revision = dp_catalog_revision(sync->catalog);
    pthread_mutex_unlock(&sync->lock);
}

/* Before it is served: who is killed then goes on with no older revision. With nothing served yet
 * there is none, and the first one can wait. Beside another process of the same id, the directory
 * is that one's. */
static void keep(struct dp_sync *sync, Penstock__Agent__V1__Update **chunks, size_t count)
{
    sync->is_unsettled = sync->keeper != NULL;
    if (sync->keeper && sync->current && sync->role == DP_SYNC_ALONE &&
        dp_keeper_add(sync->keeper, sync->catalog, chunks, count))
        set_cached(sync);
}

/* From disk: it is kept already. */
static int apply(struct dp_sync *sync, Penstock__Agent__V1__Update **chunks, size_t count,
                 bool from_disk, struct gw_arena *arena, struct gw_error *err)
{
    struct dp_update update;
    struct dp_snapshot *snapshot;
    gather(&update, chunks, count, arena);
    if (dp_catalog_apply(sync->catalog, &update, &snapshot, &sync->refusals, err) < 0)
        return -1;
    if (!from_disk)
        keep(sync, chunks, count);
    take(sync, snapshot, &update);
    tell_refusals(sync);
    return 0;
}

/* ---- the cache */

static void settle(struct dp_sync *sync)
{
    sync->is_unsettled = false;
    if (dp_keeper_settle(sync->keeper, sync->catalog))
        set_cached(sync);
}

static void on_settle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
    settle(timer->data);
}

static void settle_soon(struct dp_sync *sync)
{
    if (!sync->is_unsettled || sync->role != DP_SYNC_ALONE || ev_is_active(&sync->settle))
        return;
    ev_timer_set(&sync->settle, 0.2, 0);
    ev_timer_start(sync->loop, &sync->settle);
}

/* Each update ends with its final chunk. */
static int apply_all(struct dp_sync *sync, Penstock__Agent__V1__Update **chunks, size_t count,
                     struct gw_arena *arena, struct gw_error *err)
{
    size_t begin = 0;
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        if (!chunks[i]->final)
            continue;
        result = apply(sync, chunks + begin, i + 1 - begin, true, arena, err);
        begin = i + 1;
    }
    return result;
}

/* True: what the file of that age holds is served, and what its journal holds as far as it is
 * whole. */
static bool load_file(struct dp_sync *sync, unsigned age)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_found found;
    int result = dp_cache_load(sync->options->cache_dir, age, &found, &err);
    if (result == 1 && found.is_journal_damaged)
        gw_log(GW_LOG_WARN, "sync", "the end of a journal on disk is of no use", gw_kv_error(&err));
    if (result == 1)
        result = apply_all(sync, found.updates, found.count, &found.arena, &err);
    if (result < 0)
        gw_log(GW_LOG_ERROR, "sync", "a snapshot on disk is of no use", gw_kv_error(&err));
    else if (sync->current && age == 0)
        dp_keeper_begin(sync->keeper, &found);
    dp_cache_found_done(&found);
    return sync->current != NULL;
}

static void load_cache(struct dp_sync *sync)
{
    unsigned age = 0;
    while (age < DP_CACHE_FILES && !load_file(sync, age))
        age++;
    if (age == DP_CACHE_FILES) {
        gw_log(GW_LOG_INFO, "sync", "no snapshot on disk, waiting for the control plane");
        return;
    }
    sync->status.revision = dp_snapshot_revision(sync->current);
    if (age == 0)
        set_cached(sync);
    gw_log(GW_LOG_INFO, "sync", "serving the snapshot on disk",
           gw_kv_int("revision", sync->status.revision),
           gw_kv_int("routes", dp_snapshot_route_count(sync->current)));
}

/* ---- events of the client */

static void fill_ack(struct dp_sync *sync, struct gw_arena *arena, Penstock__Agent__V1__Ack *ack)
{
    const struct dp_refused *refused = sync->refusals.items;
    size_t count = sync->refusals.count;
    ack->cluster_id =
        (char *)(uintptr_t)gw_arena_dup(arena, dp_snapshot_cluster_id(sync->current)).ptr;
    ack->revision = dp_snapshot_revision(sync->current);
    ack->n_refusals = count;
    ack->refusals = GW_ARENA_ARRAY(arena, Penstock__Agent__V1__Refusal *, count + 1);
    for (size_t i = 0; i < count; i++) {
        Penstock__Agent__V1__Refusal *refusal = GW_ARENA_NEW(arena, Penstock__Agent__V1__Refusal);
        Penstock__Agent__V1__ResourceKey *key =
            GW_ARENA_NEW(arena, Penstock__Agent__V1__ResourceKey);
        penstock__agent__v1__refusal__init(refusal);
        penstock__agent__v1__resource_key__init(key);
        key->kind = refused[i].kind;
        key->name = gw_arena_strdup(arena, refused[i].name);
        refusal->resource = key;
        refusal->reason = gw_arena_strdup(arena, refused[i].reason);
        refusal->revision = refused[i].revision;
        ack->refusals[i] = refusal;
    }
}

static bool on_hello(void *user, struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                     struct gw_content_digest *ret_digest)
{
    struct dp_sync *sync = user;
    if (!sync->current)
        return false;
    fill_ack(sync, arena, ret_ack);
    *ret_digest = dp_catalog_digest(sync->catalog);
    return true;
}

/* Those that came with this revision; older ones have been logged. */
static void log_refusals(const Penstock__Agent__V1__Ack *ack)
{
    for (size_t i = 0; i < ack->n_refusals; i++)
        if (ack->refusals[i]->revision == ack->revision)
            gw_log(GW_LOG_WARN, "sync", "resource refused, its last good form stays in force",
                   gw_kv_text("resource", ack->refusals[i]->resource->name),
                   gw_kv_text("reason", ack->refusals[i]->reason));
}

static int on_update(void *user, Penstock__Agent__V1__Update **chunks, size_t count,
                     struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                     struct gw_error *err)
{
    struct dp_sync *sync = user;
    if (apply(sync, chunks, count, false, arena, err) < 0)
        return -1;
    fill_ack(sync, arena, ret_ack);
    settle_soon(sync);
    pthread_mutex_lock(&sync->lock);
    sync->status.revision = ret_ack->revision;
    sync->status.updates++;
    sync->status.last_update_wall_ms = gw_clock_wall_ms();
    pthread_mutex_unlock(&sync->lock);
    log_refusals(ret_ack);
    gw_log(GW_LOG_DEBUG, "sync", "revision applied", gw_kv_int("revision", ret_ack->revision));
    return 0;
}

static void on_connected(void *user, const char *endpoint)
{
    struct dp_sync *sync = user;
    pthread_mutex_lock(&sync->lock);
    sync->status.connected = true;
    sync->status.connects++;
    pthread_mutex_unlock(&sync->lock);
    gw_log(GW_LOG_INFO, "sync", "connected to the control plane", gw_kv_text("endpoint", endpoint));
}

static void on_disconnected(void *user, const char *endpoint, const struct gw_error *why,
                            gw_msec retry_ms)
{
    struct dp_sync *sync = user;
    pthread_mutex_lock(&sync->lock);
    sync->status.connected = false;
    sync->status.failures++;
    memcpy(sync->status.last_error, why->message, sizeof(sync->status.last_error));
    pthread_mutex_unlock(&sync->lock);
    if (sync->role != DP_SYNC_ALONE) {
        gw_log(GW_LOG_INFO, "sync", "the control plane is left to the new process",
               gw_kv_text("endpoint", endpoint), gw_kv_error(why));
        return;
    }
    gw_log(GW_LOG_WARN, "sync", "not connected to the control plane, serving goes on",
           gw_kv_text("endpoint", endpoint), gw_kv_error(why), gw_kv_int("retry_ms", retry_ms));
}

/* ---- the debug tool */

static void on_debug_call(void *user, const Penstock__Agent__V1__DebugCall *call)
{
    struct dp_sync *sync = user;
    dp_debug_calls_take(sync->debug_calls, call);
}

static void on_guest(void *user, int fd, bool https, struct dp_snapshot *snapshot)
{
    struct dp_sync *sync = user;
    sync->events->on_guest(sync->context, fd, https, snapshot);
}

/* Who asked may be gone; a control plane that comes later did not. */
static void on_debug_reply(void *user, gw_str message)
{
    struct dp_sync *sync = user;
    if (dp_client_is_open(sync->client))
        dp_client_send(sync->client, message);
}

static const struct dp_debug_events debug_events = {.guest = on_guest, .reply = on_debug_reply};

static const struct dp_client_events client_events = {
    .on_hello = on_hello,
    .on_update = on_update,
    .on_debug_call = on_debug_call,
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
};

/* What was counted while nobody listens is told later: deltas are only taken to be sent. */
static void on_tell(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_sync *sync = timer->data;
    struct gw_arena arena = {0};
    if (!dp_client_is_open(sync->client))
        return;
    struct dp_statistics told = dp_statistics_take(sync->stats, &arena);
    for (size_t i = 0; i < told.count && dp_client_is_open(sync->client); i++)
        dp_client_send(sync->client, told.messages[i]);
    gw_arena_done(&arena);
}

/* ---- the agent's own certificate */

static void set_expiry(struct dp_sync *sync, int64_t expiry_s)
{
    pthread_mutex_lock(&sync->lock);
    sync->status.certificate_expiry_wall_ms = expiry_s * 1000;
    pthread_mutex_unlock(&sync->lock);
}

/* A stream that is open stays: the certificate is for the next one. */
static void on_certificate(void *user, int64_t expiry_s)
{
    struct dp_sync *sync = user;
    set_expiry(sync, expiry_s);
    if (sync->role == DP_SYNC_ALONE && !dp_client_is_open(sync->client))
        dp_client_resume(sync->client);
}

/* Without a certificate there is nothing to connect with. */
static int begin_identity(struct dp_sync *sync, struct gw_error *err)
{
    const char *file = sync->options->enrolment_token_file;
    if (!file || !*file)
        return 0;
    if (dp_identity_new(sync->loop, sync->options, on_certificate, sync, &sync->identity, err) < 0)
        return -1;
    set_expiry(sync, dp_identity_expiry_s(sync->identity));
    if (!dp_identity_is_ready(sync->identity))
        dp_client_pause(sync->client);
    return 0;
}

/* ---- beside another process of the same id */

static void assume(struct dp_sync *sync, enum dp_sync_role role)
{
    sync->role = role;
    if (sync->identity)
        dp_identity_pause(sync->identity, role != DP_SYNC_ALONE);
    switch (role) {
    case DP_SYNC_ALONE:
        dp_client_resume(sync->client);
        settle_soon(sync);
        return;
    case DP_SYNC_YIELDS:
        dp_client_pause(sync->client);
        break;
    case DP_SYNC_REPLACED:
        dp_client_leave(sync->client);
        break;
    }
    ev_timer_stop(sync->loop, &sync->settle);
    if (role == DP_SYNC_YIELDS && sync->is_unsettled)
        settle(sync);
    if (sync->keeper)
        dp_keeper_release(sync->keeper);
}

static void on_assume(struct ev_loop *loop, ev_async *async, int events)
{
    (void)loop, (void)events;
    struct dp_sync *sync = async->data;
    enum dp_sync_role role = atomic_load(&sync->asked_role);
    assume(sync, role);
    if (sync->events->on_role)
        sync->events->on_role(sync->context, role);
}

void dp_sync_assume(struct dp_sync *sync, enum dp_sync_role role)
{
    atomic_store(&sync->asked_role, role);
    ev_async_send(sync->loop, &sync->assume);
}

/* ---- life */

static void on_stop(struct ev_loop *loop, ev_async *async, int events)
{
    (void)async, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void *run(void *arg)
{
    struct dp_sync *sync = arg;
    ev_run(sync->loop, 0);
    if (ev_is_active(&sync->settle))
        settle(sync);
    return NULL;
}

static int start_thread(struct dp_sync *sync, struct gw_error *err)
{
    sigset_t all, before;
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(&sync->thread, NULL, run, sync);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return gw_fail(err, GW_INTERNAL, "pthread_create: %s", strerror(result));
    sync->is_running = true;
    return 0;
}

int dp_sync_start(const struct dp_sync_options *options, const struct dp_compile_env *env,
                  const struct dp_sync_events *events, void *context, struct dp_sync **ret_sync,
                  struct gw_error *err)
{
    struct dp_sync *sync = gw_calloc(1, sizeof(*sync));
    *sync = (struct dp_sync){.options = options,
                             .events = events,
                             .context = context,
                             .stats = env->stats,
                             .loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV),
                             .catalog = dp_catalog_new(env)};
    pthread_mutex_init(&sync->lock, NULL);
    ev_async_init(&sync->stop, on_stop);
    ev_init(&sync->settle, on_settle);
    ev_timer_init(&sync->tell, on_tell, DP_STATISTICS_MS / 1000., DP_STATISTICS_MS / 1000.);
    ev_async_init(&sync->assume, on_assume);
    sync->settle.data = sync->tell.data = sync->assume.data = sync;
    ev_timer_start(sync->loop, &sync->tell);
    ev_async_start(sync->loop, &sync->stop);
    ev_async_start(sync->loop, &sync->assume);
    sync->retired = dp_retired_new(sync->loop);
    sync->debug_calls = dp_debug_calls_new(sync->loop, env, &debug_events, sync);
    if (options->cache_dir && *options->cache_dir) {
        sync->keeper = dp_keeper_new(options->cache_dir);
        load_cache(sync);
    }
    if (dp_client_new(sync->loop, options, &client_events, sync, &sync->client, err) < 0 ||
        begin_identity(sync, err) < 0 || start_thread(sync, err) < 0) {
        dp_sync_stop(sync);
        return -1;
    }
    *ret_sync = sync;
    return 0;
}

void dp_sync_stop(struct dp_sync *sync)
{
    if (!sync)
        return;
    if (sync->is_running) {
        ev_async_send(sync->loop, &sync->stop);
        pthread_join(sync->thread, NULL);
    }
    dp_debug_calls_free(sync->debug_calls);
    dp_identity_free(sync->identity);
    dp_client_free(sync->client);
    dp_keeper_free(sync->keeper);
    dp_catalog_free(sync->catalog);
    dp_snapshot_unref(sync->current);
    dp_retired_free(sync->retired);
    ev_loop_destroy(sync->loop);
    gw_arena_done(&sync->told_arena);
    pthread_mutex_destroy(&sync->lock);
    free(sync);
}

void dp_sync_read_status(struct dp_sync *sync, struct dp_sync_status *ret_status)
{
    pthread_mutex_lock(&sync->lock);
    *ret_status = sync->status;
    pthread_mutex_unlock(&sync->lock);
}

void dp_sync_read_refusals(struct dp_sync *sync, dp_sync_visit_refused *visit, void *arg)
{
    pthread_mutex_lock(&sync->lock);
    for (size_t i = 0; i < sync->told.count; i++)
        visit(arg, &sync->told.items[i]);
    pthread_mutex_unlock(&sync->lock);
}
