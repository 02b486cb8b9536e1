/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/watcher.h"

#include "common/log.h"
#include "common/message.h"
#include "controlplane/snapshot/build.h"
#include "controlplane/snapshot/listing.h"
#include "controlplane/snapshot/state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "watcher"

struct cp_watcher {
    struct cp_watcher_options options;
    pthread_t thread;

    pthread_mutex_t lock; /* up to stats */
    pthread_cond_t stopped;
    bool is_stopping;
    struct cp_watch *watch; /* NULL: none open */
    struct cp_watcher_stats stats;

    /* The thread's own from here on. */
    struct cp_state *state; /* what the image was built from */
    gw_msec turn_ms;        /* when on_turn ran last */
    bool was_told;          /* on_store was called, with: */
    bool told_reachable;
    bool is_withheld; /* the image, and not loaded */
};

/* ---- building ---- */

/* Edits under construction; packed bytes and reasons live in the arena. */
struct edits {
    struct gw_arena arena;
    struct cp_edit *items; /* owned */
    size_t count;
    size_t refused;
    const struct cp_edit *locked; /* the first that lacks its key for secrets */
    size_t locked_count;
};

static void edits_done(struct edits *edits)
{
    gw_arena_done(&edits->arena);
    free(edits->items);
}

static void log_refusal(gw_str name, const struct gw_error *why)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 20, &dropped))
        gw_log(GW_LOG_WARN, COMPONENT, "resource refused, its last good form stays",
               gw_kv_str("resource", name), gw_kv_error(why), gw_kv_int("dropped", dropped));
}

static void build_one(const struct cp_state *state, gw_str name, struct gw_arena *scratch,
                      struct edits *edits)
{
    struct cp_edit *edit = &edits->items[edits->count++];
    struct gw_error err = GW_ERROR_NONE;
    cp_agent_resource *resource;
    edit->name = gw_arena_dup(&edits->arena, name);
    int found = cp_build(state, name, scratch, &resource, &err);
    if (found > 0) {
        edit->packed = gw_message_pack(&edits->arena, &resource->base);
    } else if (found < 0) {
        edit->refusal = gw_arena_strdup(&edits->arena, err.message);
        edits->refused++;
        log_refusal(name, &err);
        if (strcmp(err.reason, CP_SEAL_NO_KEY) == 0) {
            edits->locked = edits->locked_count ? edits->locked : edit;
            edits->locked_count++;
        }
    }
    gw_arena_reset(scratch);
}

static void log_withheld(const struct edits *edits)
{
    static struct gw_log_limit limit;
    unsigned dropped;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_ERROR, COMPONENT,
               "certificates in use cannot be opened: agents keep what they have and get nothing "
               "from here. Start with the keys of all replicas (--seal-key-file), or apply these "
               "certificates again with their private keys",
               gw_kv_int("certificates", (int64_t)edits->locked_count),
               gw_kv_str("first", edits->locked->name), gw_kv_text("error", edits->locked->refusal),
               gw_kv_int("dropped", dropped));
}

/* True: this would be the first image, and agents would lose certificates by it. */
static bool withhold(struct cp_watcher *watcher, const struct edits *edits)
{
    struct cp_image_status status;
    cp_image_status(watcher->options.image, &status);
    watcher->is_withheld = !status.is_loaded && edits->locked_count > 0;
    pthread_mutex_lock(&watcher->lock);
    watcher->stats.withheld = watcher->is_withheld ? (int64_t)edits->locked_count : 0;
    if (watcher->is_withheld)
        (void)snprintf(watcher->stats.why_withheld, sizeof(watcher->stats.why_withheld), "%.*s: %s",
                       GW_STR_ARG(edits->locked->name), edits->locked->refusal);
    pthread_mutex_unlock(&watcher->lock);
    if (watcher->is_withheld)
        log_withheld(edits);
    return watcher->is_withheld;
}

/* Builds what was touched and hands it to the image. seen_ns: when the watch told of it; 0: it is
 * all there is, from a list. */
static void build(struct cp_watcher *watcher, const struct gw_map *touched, struct cp_position at,
                  gw_nsec seen_ns)
{
    gw_nsec begin_ns = gw_clock_monotonic_ns();
    bool is_complete = seen_ns == 0;
    struct gw_arena scratch;
    gw_arena_init(&scratch, 16 * 1024);
    gw_auto(edits_done) struct edits edits = {.count = 0};
    gw_arena_init(&edits.arena, 64 * 1024);
    edits.items = gw_calloc(touched->count + 1, sizeof(struct cp_edit));
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(touched, e));)
        build_one(watcher->state, e->key, &scratch, &edits);
    gw_arena_done(&scratch);
    struct cp_image_change change = {
        .cluster_id = at.cluster_id,
        .revision = at.revision,
        .edits = edits.items,
        .count = edits.count,
        .is_complete = is_complete,
        .seen_ns = seen_ns,
    };
    if (!withhold(watcher, &edits))
        cp_image_commit(watcher->options.image, &change);
    pthread_mutex_lock(&watcher->lock);
    watcher->stats.builds += (int64_t)edits.count;
    watcher->stats.refused += (int64_t)edits.refused;
    watcher->stats.build_ns += gw_clock_monotonic_ns() - begin_ns;
    watcher->stats.changes += edits.count > 0 && !is_complete;
    watcher->stats.lists += is_complete;
    pthread_mutex_unlock(&watcher->lock);
}

static void put(struct cp_state *state, const struct cp_kv *kv, struct gw_map *touched)
{
    struct gw_error err = GW_ERROR_NONE;
    static struct gw_log_limit limit;
    unsigned dropped;
    if (cp_state_put(state, kv->key, kv->value, kv->mod_revision, touched, &err) &&
        gw_log_allow(&limit, 20, &dropped))
        gw_log(GW_LOG_ERROR, COMPONENT, "a stored value cannot be read", gw_kv_str("key", kv->key),
               gw_kv_error(&err), gw_kv_int("dropped", dropped));
}

/* ---- telling ---- */

static bool is_stopping(struct cp_watcher *watcher)
{
    pthread_mutex_lock(&watcher->lock);
    bool stopping = watcher->is_stopping;
    pthread_mutex_unlock(&watcher->lock);
    return stopping;
}

static void tell_reachable(struct cp_watcher *watcher, bool is_reachable,
                           const struct gw_error *why)
{
    if (watcher->was_told && watcher->told_reachable == is_reachable)
        return;
    watcher->was_told = true;
    watcher->told_reachable = is_reachable;
    pthread_mutex_lock(&watcher->lock);
    watcher->stats.is_reachable = is_reachable;
    pthread_mutex_unlock(&watcher->lock);
    struct cp_image_status status;
    cp_image_status(watcher->options.image, &status);
    if (is_reachable)
        gw_log(
            GW_LOG_INFO, COMPONENT, "store reachable", gw_kv_text("cluster_id", status.cluster_id),
            gw_kv_int("revision", status.seen_revision), gw_kv_int("resources", status.resources));
    else
        gw_log(GW_LOG_WARN, COMPONENT, "store away, serving what is known",
               gw_kv_int("revision", status.seen_revision), gw_kv_error(why));
    if (watcher->options.on_store)
        watcher->options.on_store(watcher->options.arg, is_reachable);
}

/* An agent claims a revision that has not come here: ask the store itself, not the watch. */
static void check_store(struct cp_watcher *watcher)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_position at;
    gw_msec asked_ms = gw_clock_monotonic_ms();
    if (cp_image_wants_check(watcher->options.image) &&
        !cp_store_ping(watcher->options.store, &at, &err))
        cp_image_checked(watcher->options.image, asked_ms, at.revision);
}

static void turn(struct cp_watcher *watcher)
{
    gw_msec now_ms = gw_clock_monotonic_ms();
    check_store(watcher);
    if (now_ms - watcher->turn_ms < CP_WATCHER_TURN_MS)
        return;
    watcher->turn_ms = now_ms;
    if (watcher->options.on_turn)
        watcher->options.on_turn(watcher->options.arg);
}

/* ---- listing ---- */

struct take {
    struct cp_state *state;
    struct gw_map *touched;
};

static void take_page(void *arg, const struct cp_kv *kvs, size_t count)
{
    const struct take *take = arg;
    for (size_t i = 0; i < count; i++)
        put(take->state, &kvs[i], take->touched);
}

/* What agents depend on, and not the drafts, guards and indexes beside it, which are more. */
static int list_kinds(struct cp_watcher *watcher, struct cp_state *state, struct gw_map *touched,
                      struct cp_position *ret_at, struct gw_error *err)
{
    enum cp_kind_id kinds[CP_KIND_COUNT];
    size_t count = 0;
    for (enum cp_kind_id kind = 0; kind < CP_KIND_COUNT; kind++)
        if (cp_state_keeps(kind))
            kinds[count++] = kind;
    struct take take = {state, touched};
    return cp_listing_read(watcher->options.store, kinds, count, take_page, &take, ret_at, err);
}

/* Reads the whole store at one revision, and builds everything. */
static int load(struct cp_watcher *watcher, struct cp_position *ret_at, struct gw_error *err)
{
    struct cp_state *state = cp_state_new(watcher->options.seal);
    struct gw_map touched;
    gw_map_init(&touched);
    int result = list_kinds(watcher, state, &touched, ret_at, err);
    if (!result) {
        cp_state_free(watcher->state);
        watcher->state = state;
        build(watcher, &touched, *ret_at, 0);
    } else {
        cp_state_free(state);
    }
    gw_map_done(&touched);
    return result;
}

/* ---- watching ---- */

static void apply(struct cp_watcher *watcher, const struct cp_batch *batch)
{
    struct cp_image_status status;
    cp_image_status(watcher->options.image, &status);
    if (batch->count == 0 && batch->at.revision <= status.seen_revision)
        return;
    gw_nsec seen_ns = gw_clock_monotonic_ns();
    struct gw_map touched;
    gw_map_init(&touched);
    for (size_t i = 0; i < batch->count; i++) {
        const struct cp_event *event = &batch->events[i];
        if (event->is_delete)
            cp_state_remove(watcher->state, event->kv.key, &touched);
        else
            put(watcher->state, &event->kv, &touched);
    }
    build(watcher, &touched, batch->at, seen_ns);
    gw_map_done(&touched);
    if (watcher->options.on_batch)
        watcher->options.on_batch(watcher->options.arg, batch);
}

/* Sleeps, unless the watcher is stopped. */
static void rest(struct cp_watcher *watcher, gw_msec ms)
{
    gw_msec until_ms = gw_clock_monotonic_ms() + ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
    pthread_mutex_lock(&watcher->lock);
    while (!watcher->is_stopping &&
           !pthread_cond_timedwait(&watcher->stopped, &watcher->lock, &until))
        ;
    pthread_mutex_unlock(&watcher->lock);
}

static struct cp_watch *open_watch(struct cp_watcher *watcher, struct cp_position after,
                                   struct gw_error *err)
{
    struct cp_watch *watch;
    if (cp_watch_open(watcher->options.store, GW_STR(CP_KEY_WATCHED), after, &watch, err))
        return NULL;
    pthread_mutex_lock(&watcher->lock);
    watcher->watch = watch;
    if (watcher->is_stopping)
        cp_watch_cancel(watch);
    pthread_mutex_unlock(&watcher->lock);
    return watch;
}

static void close_watch(struct cp_watcher *watcher, struct cp_watch *watch)
{
    pthread_mutex_lock(&watcher->lock);
    watcher->watch = NULL;
    pthread_mutex_unlock(&watcher->lock);
    cp_watch_close(watch);
}

static bool has_resources(const struct cp_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (gw_str_has_prefix(batch->events[i].kv.key, GW_STR(CP_KEY_ROOT)))
            return true;
    return false;
}

/* Follows the store until the watch ends: the caller then lists again, or stops. */
static void follow(struct cp_watcher *watcher, struct cp_position after)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_watch *watch = open_watch(watcher, after, &err);
    if (!watch) {
        tell_reachable(watcher, false, &err);
        rest(watcher, CP_WATCHER_RETRY_MS);
        return;
    }
    struct gw_arena arena;
    gw_arena_init(&arena, 64 * 1024);
    enum cp_watch_state state = CP_WATCH_LIVE;
    while (state == CP_WATCH_LIVE || state == CP_WATCH_AWAY) {
        struct cp_batch batch = {.count = 0};
        gw_msec begin_ms = gw_clock_monotonic_ms();
        state = cp_watch_next(watch, CP_WATCHER_TURN_MS, &arena, &batch, &err);
        if (state == CP_WATCH_LIVE && watcher->is_withheld && has_resources(&batch)) {
            /* It may be what was missing: all of it is built again, with what comes meanwhile. */
            turn(watcher);
            rest(watcher, CP_WATCHER_RETRY_MS);
            break;
        }
        if (state == CP_WATCH_LIVE && !watcher->is_withheld)
            apply(watcher, &batch);
        if (state == CP_WATCH_LIVE || state == CP_WATCH_AWAY)
            tell_reachable(watcher, state == CP_WATCH_LIVE, &err);
        if (state == CP_WATCH_AWAY && gw_clock_monotonic_ms() - begin_ms < CP_WATCHER_RETRY_MS)
            rest(watcher, CP_WATCHER_RETRY_MS); /* a refused connection answers at once */
        gw_arena_reset(&arena);
        turn(watcher);
    }
    gw_arena_done(&arena);
    close_watch(watcher, watch);
    if (state != CP_WATCH_CANCELLED && state != CP_WATCH_LIVE)
        gw_log(GW_LOG_WARN, COMPONENT, "watch ended, listing the store again", gw_kv_error(&err));
}

static void *run(void *arg)
{
    struct cp_watcher *watcher = arg;
    while (!is_stopping(watcher)) {
        struct gw_error err = GW_ERROR_NONE;
        struct cp_position at;
        if (!load(watcher, &at, &err)) {
            if (watcher->options.on_listed)
                watcher->options.on_listed(watcher->options.arg, at);
            tell_reachable(watcher, true, NULL);
            follow(watcher, at);
            continue;
        }
        if (err.code != GW_OUT_OF_RANGE) /* compacted between two pages: again, at once */
            tell_reachable(watcher, false, &err);
        rest(watcher, CP_WATCHER_RETRY_MS);
        turn(watcher);
    }
    return NULL;
}

/* ---- life ---- */

struct cp_watcher *cp_watcher_start(const struct cp_watcher_options *options)
{
    struct cp_watcher *watcher = gw_calloc(1, sizeof(*watcher));
    watcher->options = *options;
    watcher->state = cp_state_new(options->seal);
    pthread_mutex_init(&watcher->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watcher->stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    int failed = pthread_create(&watcher->thread, NULL, run, watcher);
    if (failed)
        gw_panic("cannot start the watcher's thread: %s", strerror(failed));
    return watcher;
}

void cp_watcher_stop(struct cp_watcher *watcher)
{
    if (!watcher)
        return;
    pthread_mutex_lock(&watcher->lock);
    watcher->is_stopping = true;
    if (watcher->watch)
        cp_watch_cancel(watcher->watch);
    pthread_cond_broadcast(&watcher->stopped);
    pthread_mutex_unlock(&watcher->lock);
    pthread_join(watcher->thread, NULL);
    cp_state_free(watcher->state);
    pthread_cond_destroy(&watcher->stopped);
    pthread_mutex_destroy(&watcher->lock);
    free(watcher);
}

void cp_watcher_stats(struct cp_watcher *watcher, struct cp_watcher_stats *ret_stats)
{
    pthread_mutex_lock(&watcher->lock);
    *ret_stats = watcher->stats;
    pthread_mutex_unlock(&watcher->lock);
}
