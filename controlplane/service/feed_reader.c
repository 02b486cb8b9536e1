/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/feed_internal.h"

#include "common/message.h"

#include <stdio.h>
#include <stdlib.h>

/* One watch. Under the feed's lock, but for what is set once. */
struct reader {
    struct gw_list link;   /* in feed->readers */
    struct gw_rpc_job job; /* until it is there */
    struct cp_feed *feed;
    struct cp_sink sink;
    bool is_closed, is_ended, is_writable;
    bool is_unknown; /* the pool has it */
    bool is_counted; /* in feed->reader_count */
    bool is_placed;  /* it knows where it reads, and was told */

    /* Of one thread: of the pool, then the feed's. */
    struct gw_arena arena;  /* of the request and the caller: set once */
    struct gw_arena rights; /* of the principal */
    struct gw_rpc_caller caller;
    const struct cp_bundle_kind *kinds[CP_FEED_KINDS_MAX]; /* none: all */
    size_t kind_count;
    const char *parent; /* "": everything */
    int64_t after;      /* as asked for; 0: from now on */
    gw_msec opened_ms;
    struct cp_principal principal;
    bool is_known;      /* the principal is there */
    gw_msec checked_ms; /* when it was asked last who the caller is */
    int64_t number;     /* of the change that it reads next */
    int64_t told;       /* the revision that it was told last */
    int64_t agents;     /* the moment up to which it was told of agents */
    bool told_agents;   /* last, and not of the store */
    gw_msec told_ms;
};

/* ---- what it wants ---- */

static int read_kinds(struct reader *reader, const cp_watch_request *request, struct gw_error *err)
{
    if (request->n_kinds > CP_FEED_KINDS_MAX)
        return gw_fail_field(err, "kinds", "at most %d", CP_FEED_KINDS_MAX);
    for (size_t i = 0; i < request->n_kinds; i++) {
        const struct cp_bundle_kind *kind = cp_feed_kind_called(gw_str_from(request->kinds[i]));
        char field[32];
        (void)snprintf(field, sizeof(field), "kinds[%zu]", i);
        if (!kind)
            return gw_fail_field(err, field,
                                 "is no collection that can be watched: \"apis\", \"groups\" ...");
        for (size_t k = 0; k < i; k++)
            if (reader->kinds[k] == kind)
                return gw_fail_field(err, field, "stands twice");
        reader->kinds[reader->kind_count++] = kind;
    }
    return 0;
}

static int read_request(struct reader *reader, const cp_watch_request *request,
                        struct gw_error *err)
{
    if (strlen(request->parent) > CP_NAME_MAX)
        return gw_fail_field(err, "parent", "at most %d bytes", CP_NAME_MAX);
    if (request->after_revision < 0)
        return gw_fail_field(err, "after_revision", "must not be negative");
    reader->parent = gw_arena_strdup(&reader->arena, request->parent);
    reader->after = request->after_revision;
    return read_kinds(reader, request, err);
}

static const char *copy(struct gw_arena *arena, const char *text)
{
    return text ? gw_arena_strdup(arena, text) : NULL;
}

/* The transport's own may go before the feed's thread has seen that the reader is closed. */
static void copy_caller(struct reader *reader, const struct gw_rpc_caller *caller)
{
    reader->caller = *caller;
    reader->caller.peer = copy(&reader->arena, caller->peer);
    reader->caller.bearer = copy(&reader->arena, caller->bearer);
    reader->caller.cert_name = copy(&reader->arena, caller->cert_name);
    reader->caller.cert_pem = gw_arena_dup(&reader->arena, caller->cert_pem);
}

static bool wants_kind(const struct reader *reader, const struct cp_bundle_kind *kind)
{
    for (size_t i = 0; i < reader->kind_count; i++)
        if (reader->kinds[i] == kind)
            return true;
    return reader->kind_count == 0 && kind != &cp_feed_audit_events;
}

static bool wants(const struct reader *reader, const struct cp_feed_item *item)
{
    return wants_kind(reader, item->kind) &&
           (!*reader->parent || cp_is_inside(reader->parent, item->name));
}

static bool wants_any(const struct reader *reader, const struct cp_feed_change *change)
{
    for (size_t i = 0; i < change->count; i++)
        if (wants(reader, &change->items[i]))
            return true;
    return false;
}

static bool may_see(const struct reader *reader, struct gw_arena *arena,
                    const struct cp_bundle_kind *kind, const char *name)
{
    struct cp_action action = cp_feed_action(arena, kind);
    return cp_may_at(&reader->principal, &action, name);
}

/* ---- the end of it ---- */

static void end(struct reader *reader, const struct gw_error *err)
{
    if (!reader->is_ended && !reader->is_closed)
        reader->sink.end(reader->sink.arg, err);
    reader->is_ended = true;
}

static void end_relist(struct reader *reader, const char *why)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(&err, GW_OUT_OF_RANGE, "%s: list again and watch from there", why);
    (void)gw_error_reason(&err, "RELIST");
    end(reader, &err);
}

static void end_slow(struct reader *reader)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(
        &err, GW_RESOURCE_EXHAUSTED,
        "the watch is too slow: changes behind revision %lld are forgotten; list again and "
        "watch from there",
        (long long)reader->told);
    (void)gw_error_reason(&err, "WATCH_TOO_SLOW");
    reader->feed->slow++;
    end(reader, &err);
}

void cp_feed_end_all(struct cp_feed *feed, const struct gw_error *err)
{
    gw_list_each(&feed->readers, it) end(gw_container_of(it, struct reader, link), err);
}

/* ---- rights ---- */

static int check_kinds(struct reader *reader, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    const char *first = NULL;
    const struct cp_bundle_kind *kind;
    for (size_t i = 0; (kind = cp_feed_kind_at(i)) != NULL; i++) {
        if (!wants_kind(reader, kind))
            continue;
        struct cp_action action = cp_feed_action(&scratch, kind);
        first = first ? first : action.name;
        if (cp_may_somewhere(&reader->principal, &action))
            return 0;
    }
    return gw_fail(err, GW_PERMISSION_DENIED, "%s may read none of these kinds (%s)",
                   reader->principal.name, first ? first : "none");
}

/* Who it is, now: the lock is let go, for credentials may be read from the store. */
static void identify(struct reader *reader)
{
    struct cp_feed *feed = reader->feed;
    struct gw_error err = GW_ERROR_NONE;
    struct gw_arena fresh;
    struct cp_principal principal;
    gw_arena_init(&fresh, 0);
    pthread_mutex_unlock(&feed->lock);
    int failed = cp_auth_identify(feed->options.auth, &reader->caller, &fresh, &principal, &err);
    pthread_mutex_lock(&feed->lock);
    reader->checked_ms = gw_clock_monotonic_ms(); /* behind it: however long that takes */
    /* A store that is away takes nothing from who was known. */
    if (failed && reader->is_known && err.code == GW_UNAVAILABLE) {
        gw_arena_done(&fresh);
        return;
    }
    gw_arena_done(&reader->rights);
    reader->rights = fresh;
    reader->is_known = !failed;
    if (!failed) {
        reader->principal = principal;
        failed = check_kinds(reader, &err);
    }
    if (failed)
        end(reader, &err);
}

/* ---- telling ---- */

static void tell(struct reader *reader, cp_watch_response *response, gw_msec now_ms)
{
    reader->told = response->revision;
    reader->told_ms = now_ms;
    reader->is_writable = false;
    reader->feed->sent++;
    if (!reader->sink.send(reader->sink.arg, &response->base))
        reader->is_ended = true;
}

static void tell_revision(struct reader *reader, int64_t revision, gw_msec now_ms)
{
    cp_watch_response response = PENSTOCK__ADMIN__V1__WATCH_RESPONSE__INIT;
    response.revision = revision;
    tell(reader, &response, now_ms);
}

static void tell_change(struct reader *reader, const struct cp_feed_change *change, gw_msec now_ms)
{
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    cp_watch_response response = PENSTOCK__ADMIN__V1__WATCH_RESPONSE__INIT;
    response.revision = change->revision;
    response.events = GW_ARENA_ARRAY(&scratch, cp_resource_event *, change->count);
    for (size_t i = 0; i < change->count; i++)
        if (wants(reader, &change->items[i]) &&
            may_see(reader, &scratch, change->items[i].kind, change->items[i].name))
            response.events[response.n_events++] = change->items[i].event;
    if (response.n_events > 0)
        tell(reader, &response, now_ms);
}

/* What is new of agents; false: nothing. Beside the store's changes, so that neither waits for the
 * other: its revision is what has been told of those. */
static bool read_agents(struct reader *reader, gw_msec now_ms)
{
    struct cp_feed *feed = reader->feed;
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    cp_watch_response response = PENSTOCK__ADMIN__V1__WATCH_RESPONSE__INIT;
    int64_t before = reader->agents;
    if (cp_feed_agents_read(feed, &scratch, &reader->agents, &response)) {
        end_slow(reader);
        return true;
    }
    size_t count = response.n_events;
    response.n_events = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = response.events[i]->name;
        if ((!*reader->parent || cp_is_inside(reader->parent, name)) &&
            may_see(reader, &scratch, &cp_feed_agents, name))
            response.events[response.n_events++] = response.events[i];
    }
    response.revision = reader->number == feed->next ? feed->at.revision : reader->told;
    if (response.n_events > 0)
        tell(reader, &response, now_ms);
    reader->told_agents = reader->agents != before;
    return reader->told_agents;
}

/* Where it begins to read. */
static void place(struct reader *reader, gw_msec now_ms)
{
    struct cp_feed *feed = reader->feed;
    if (feed->at.revision == 0)
        return; /* the store has not been read yet */
    int64_t after = reader->after ? reader->after : feed->at.revision;
    if (after > feed->at.revision) {
        if (now_ms - reader->opened_ms > CP_FEED_AHEAD_MS)
            end_relist(reader, "the store has not come to this revision");
        return;
    }
    if (after < feed->forgotten) {
        end_relist(reader, "changes behind this revision are forgotten");
        return;
    }
    reader->number = feed->first;
    while (reader->number < feed->next && cp_feed_at(feed, reader->number)->revision <= after)
        reader->number++;
    reader->is_placed = true;
    reader->agents = cp_feed_agents_begin(feed);
    tell_revision(reader, after, now_ms);
}

/* What there is to read; false: nothing. */
static bool read_on(struct reader *reader, gw_msec now_ms)
{
    struct cp_feed *feed = reader->feed;
    gw_msec bookmark_ms = feed->options.bookmark_ms;
    if (!reader->is_placed) {
        place(reader, now_ms);
        return reader->is_placed || reader->is_ended;
    }
    if (reader->number < feed->first) {
        end_slow(reader);
        return true;
    }
    if (!reader->is_writable)
        return false;
    bool is_at_end = reader->number == feed->next;
    if (wants_kind(reader, &cp_feed_agents) && (is_at_end || !reader->told_agents) &&
        read_agents(reader, now_ms))
        return true;
    reader->told_agents = false;
    if (is_at_end) {
        if (now_ms - reader->told_ms < bookmark_ms)
            return false;
        tell_revision(reader, feed->at.revision, now_ms);
        return true;
    }
    struct cp_feed_change *change = cp_feed_at(feed, reader->number);
    bool is_wanted = wants_any(reader, change);
    if (is_wanted && !change->is_shown && !cp_feed_show(feed, change))
        return true; /* where it reads has been forgotten meanwhile */
    reader->number++;
    if (is_wanted && !reader->is_closed)
        tell_change(reader, change, now_ms);
    cp_feed_fit(feed, change);
    return true;
}

/* One step; false: there is nothing to do for it. Whoever was asked about reads on in the same one:
 * when asking takes longer than its answer holds, something is told all the same. */
static bool step(struct reader *reader, gw_msec now_ms)
{
    bool is_due = now_ms - reader->checked_ms >= reader->feed->options.bookmark_ms;
    if (is_due) {
        identify(reader);
        now_ms = gw_clock_monotonic_ms();
    }
    bool goes_on = !reader->is_closed && !reader->is_ended;
    bool did = goes_on && read_on(reader, now_ms);
    return did || is_due; /* the lock was let go: what came meanwhile was not waited for */
}

static void free_reader(struct reader *reader)
{
    gw_list_remove(&reader->link);
    if (reader->is_counted)
        reader->feed->reader_count--;
    gw_arena_done(&reader->arena);
    gw_arena_done(&reader->rights);
    free(reader);
}

bool cp_feed_serve(struct cp_feed *feed, gw_msec now_ms)
{
    bool did = false;
    gw_list_each(&feed->readers, it)
    {
        struct reader *reader = gw_container_of(it, struct reader, link);
        /* The lock may be let go within: new readers come at the end, and only this thread frees.
         */
        if (!reader->is_closed && !reader->is_ended)
            did |= step(reader, now_ms);
        it_next = reader->link.next;
        if (reader->is_closed)
            free_reader(reader);
    }
    return did;
}

/* ---- the stream ---- */

static int check_room(const struct cp_feed *feed, struct gw_error *err)
{
    if (feed->reader_count < CP_FEED_READERS_MAX)
        return 0;
    (void)gw_fail(err, GW_RESOURCE_EXHAUSTED, "%d watches are open already", CP_FEED_READERS_MAX);
    return gw_error_reason(err, "WATCHES_TOO_MANY");
}

/* It is known who reads, or it has ended: the feed's thread has it from now on. */
static void admit(struct reader *reader)
{
    struct cp_feed *feed = reader->feed;
    struct gw_error err = GW_ERROR_NONE;
    gw_list_push(&feed->readers, &reader->link);
    pthread_cond_signal(&feed->changed);
    if (!reader->is_known || reader->is_ended)
        return;
    if (check_room(feed, &err)) {
        end(reader, &err);
        return;
    }
    reader->is_counted = true;
    feed->reader_count++;
}

/* On a thread of the pool. */
static void introduce(struct gw_rpc_job *job)
{
    struct reader *reader = gw_container_of(job, struct reader, job);
    struct cp_feed *feed = reader->feed;
    pthread_mutex_lock(&feed->lock);
    if (!reader->is_closed && !feed->is_stopping)
        identify(reader);
    reader->is_unknown = false;
    if (reader->is_closed)
        free_reader(reader);
    else
        admit(reader);
    pthread_mutex_unlock(&feed->lock);
}

/* With the lock held: who stops the feed waits for the pool then. */
static int take_up(struct reader *reader, struct gw_error *err)
{
    struct cp_feed *feed = reader->feed;
    if (feed->is_stopping)
        return gw_fail(err, GW_UNAVAILABLE, "draining");
    if (check_room(feed, err))
        return -1;
    reader->is_unknown = true;
    reader->job.run = introduce;
    if (gw_rpc_pool_submit(&feed->pool, &reader->job))
        return 0;
    (void)gw_fail(err, GW_RESOURCE_EXHAUSTED,
                  "of %d watches it is being asked already who their callers are",
                  CP_FEED_UNKNOWN_MAX);
    return gw_error_reason(err, "WATCHES_TOO_MANY");
}

static int begin(struct reader *reader, struct gw_error *err)
{
    pthread_mutex_lock(&reader->feed->lock);
    int failed = take_up(reader, err);
    pthread_mutex_unlock(&reader->feed->lock);
    return failed;
}

static int open_reader(void *context, const struct gw_rpc_caller *caller,
                       const ProtobufCMessage *request, const struct cp_sink *sink,
                       void **ret_stream, struct gw_error *err)
{
    struct reader *reader = gw_calloc(1, sizeof(*reader));
    reader->feed = context;
    reader->sink = *sink;
    reader->is_writable = true;
    reader->opened_ms = gw_clock_monotonic_ms();
    gw_list_init(&reader->link);
    gw_arena_init(&reader->arena, 512);
    copy_caller(reader, caller);
    if (read_request(reader, (const cp_watch_request *)request, err) || begin(reader, err)) {
        gw_arena_done(&reader->arena);
        free(reader);
        return -1;
    }
    *ret_stream = reader;
    return 0;
}

static void on_writable(void *stream)
{
    struct reader *reader = stream;
    struct cp_feed *feed = reader->feed;
    pthread_mutex_lock(&feed->lock);
    reader->is_writable = true;
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

static void on_close(void *stream)
{
    struct reader *reader = stream;
    struct cp_feed *feed = reader->feed;
    pthread_mutex_lock(&feed->lock);
    reader->is_closed = true;
    if (feed->has_ended)
        free_reader(reader);
    else if (!reader->is_unknown)            /* the pool frees what it has */
        pthread_cond_signal(&feed->changed); /* the thread frees it: it may be looking at it */
    pthread_mutex_unlock(&feed->lock);
}

const struct cp_stream_type cp_feed_stream_type = {open_reader, on_writable, on_close};
