/* SPDX-License-Identifier: Apache-2.0 */
/* Watching the SQLite store: reads the history after the watch's position; a writer's broadcast
 * wakes the one that waits for more. */
#include "controlplane/store/sqlite_internal.h"

#include <stdlib.h>
#include <time.h>

/* A batch above either ends with its revision; the rest is the next batch. */
#define BATCH_EVENTS 1000
#define BATCH_BYTES (4 * 1024 * 1024)
#define AWAY_RETRY_MS 500

struct watch {
    struct cp_watch base;
    struct cp_sqlite *store; /* borrowed: outlives its watches */
    struct cp_sqlite_span span;
    struct cp_position at;
    bool is_cancelled; /* under the store's lock, as all of this */
    bool is_away;      /* the last answer was AWAY */
};

/* The real clock: a test's clock stands still, and a wait must end. */
static gw_msec real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (gw_msec)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for a change or for the next end of a lease, until a real time at most. */
static void wait_change(struct cp_sqlite *s, gw_msec until)
{
    if (s->reap_at < INT64_MAX) {
        gw_msec left = GW_MAX(s->reap_at - gw_clock_monotonic_ms(), 1);
        until = GW_MIN(until, real_ms() + left);
    }
    struct timespec end = {.tv_sec = (time_t)(until / 1000),
                           .tv_nsec = (long)(until % 1000) * 1000000};
    (void)pthread_cond_timedwait(&s->changed, &s->lock, &end); /* the caller looks what it was */
}

static void grow(struct cp_batch *batch, size_t *room, struct gw_arena *arena)
{
    if (batch->count < *room)
        return;
    struct cp_event *old = batch->events;
    *room = *room ? *room * 2 : 16;
    batch->events = GW_ARENA_ARRAY(arena, struct cp_event, *room);
    if (old)
        memcpy(batch->events, old, batch->count * sizeof *old);
}

static struct cp_event event_of_row(sqlite3_stmt *stmt, struct gw_arena *arena)
{
    int64_t create = sqlite3_column_int64(stmt, 2);
    return (struct cp_event){
        .is_delete = create == 0,
        .kv = {.key = gw_arena_dup(arena, cp_sqlite_bytes(stmt, 0)),
               .value = gw_arena_dup(arena, cp_sqlite_bytes(stmt, 3)),
               .mod_revision = sqlite3_column_int64(stmt, 1),
               .create_revision = create},
    };
}

/* What happened after the watch's position; batch->at is how far that reaches. */
static int read_events(struct watch *w, struct gw_arena *arena, struct cp_batch *batch,
                       struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(w->store, CP_SQL_EVENTS);
    cp_sqlite_bind_bytes(stmt, 1, w->span.low);
    cp_sqlite_bind_bytes(stmt, 2, w->span.high);
    cp_sqlite_bind_int(stmt, 3, w->at.revision);
    size_t room = 0, bytes = 0;
    batch->at = w->store->at;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        bool is_full = batch->count >= BATCH_EVENTS || bytes >= BATCH_BYTES;
        int64_t last = batch->count > 0 ? batch->events[batch->count - 1].kv.mod_revision : 0;
        if (is_full && sqlite3_column_int64(stmt, 1) != last) {
            batch->at.revision = last;
            return 0;
        }
        grow(batch, &room, arena);
        struct cp_event *event = &batch->events[batch->count++];
        *event = event_of_row(stmt, arena);
        bytes += event->kv.key.len + event->kv.value.len;
    }
    return rc == SQLITE_DONE ? 0 : cp_sqlite_fail(w->store, rc, err);
}

/* Whether the watch can go on from its position. */
static enum cp_watch_state check(struct watch *w, struct gw_error *err)
{
    const struct cp_sqlite *s = w->store;
    long long at = (long long)w->at.revision;
    enum cp_watch_state state = CP_WATCH_LIVE;
    if (w->is_cancelled) {
        (void)gw_fail(err, GW_CANCELLED, "the watch was cancelled");
        state = CP_WATCH_CANCELLED;
    } else if (w->at.cluster_id != s->at.cluster_id) {
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "the store is not the one of the watch");
        state = CP_WATCH_RESET;
    } else if (w->at.revision > s->at.revision) {
        (void)gw_fail(err, GW_FAILED_PRECONDITION,
                      "the store is at revision %lld, before the watch's %lld: restored",
                      (long long)s->at.revision, at);
        state = CP_WATCH_RESET;
    } else if (w->at.revision < s->compacted) {
        (void)gw_fail(err, GW_OUT_OF_RANGE, "the changes after revision %lld are compacted", at);
        state = CP_WATCH_COMPACTED;
    }
    return state;
}

/* One look, without waiting. */
static enum cp_watch_state look(struct watch *w, struct gw_arena *arena, struct cp_batch *batch,
                                struct gw_error *err)
{
    cp_sqlite_reap_due(w->store);
    enum cp_watch_state state = check(w, err);
    *batch = (struct cp_batch){.at = w->at};
    if (state != CP_WATCH_LIVE || w->at.revision == w->store->at.revision)
        return state;
    if (read_events(w, arena, batch, err)) {
        *batch = (struct cp_batch){.at = w->at};
        return CP_WATCH_AWAY;
    }
    w->at = batch->at;
    return CP_WATCH_LIVE;
}

static enum cp_watch_state next(struct cp_watch *watch, gw_msec timeout_ms, struct gw_arena *arena,
                                struct cp_batch *ret_batch, struct gw_error *err)
{
    struct watch *w = gw_container_of(watch, struct watch, base);
    struct cp_sqlite *s = w->store;
    gw_msec until = real_ms() + GW_MAX(timeout_ms, 0);
    pthread_mutex_lock(&s->lock);
    if (w->is_away && !w->is_cancelled) /* a caller that asks at once must not spin */
        wait_change(s, GW_MIN(until, real_ms() + AWAY_RETRY_MS));
    enum cp_watch_state state = look(w, arena, ret_batch, err);
    while (state == CP_WATCH_LIVE && ret_batch->count == 0 && real_ms() < until) {
        wait_change(s, until);
        state = look(w, arena, ret_batch, err);
    }
    w->is_away = state == CP_WATCH_AWAY;
    pthread_mutex_unlock(&s->lock);
    return state;
}

static void cancel(struct cp_watch *watch)
{
    struct watch *w = gw_container_of(watch, struct watch, base);
    pthread_mutex_lock(&w->store->lock);
    w->is_cancelled = true;
    pthread_cond_broadcast(&w->store->changed);
    pthread_mutex_unlock(&w->store->lock);
}

static void close_watch(struct cp_watch *watch)
{
    struct watch *w = gw_container_of(watch, struct watch, base);
    pthread_mutex_lock(&w->store->lock);
    w->store->watch_count--;
    pthread_mutex_unlock(&w->store->lock);
    free(w);
}

static const struct cp_watch_ops ops = {.next = next, .cancel = cancel, .close = close_watch};

int cp_sqlite_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                         struct cp_watch **ret_watch, struct gw_error *err)
{
    (void)err; /* nothing to contact */
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    struct watch *w = gw_calloc(1, sizeof *w);
    *w = (struct watch){.base = {&ops}, .store = s, .at = after};
    cp_sqlite_span_of(&w->span, prefix, GW_STR_NONE);
    cp_sqlite_enter(s);
    if (after.cluster_id == 0)
        w->at.cluster_id = s->at.cluster_id;
    if (after.revision == 0)
        w->at.revision = s->at.revision;
    s->watch_count++;
    cp_sqlite_leave(s);
    *ret_watch = &w->base;
    return 0;
}
