/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/feed.h"

#include "controlplane/agents/changes.h"
#include "controlplane/service/feed_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define PATH "/penstock.admin.v1.WatchService/Watch"
#define TURN_MS 500 /* of what time alone makes due */

/* ---- changes ---- */

static bool unref(struct cp_feed_change *change)
{
    bool is_last = --change->refs == 0;
    if (is_last)
        cp_feed_change_free(change);
    return !is_last;
}

static void forget_first(struct cp_feed *feed)
{
    struct cp_feed_change *change = cp_feed_at(feed, feed->first++);
    feed->forgotten = change->revision;
    feed->bytes -= change->bytes;
    (void)unref(change);
}

static void unshow(struct cp_feed *feed, struct cp_feed_change *change)
{
    size_t bytes = cp_feed_change_unshow(change);
    change->bytes -= bytes;
    feed->bytes -= bytes;
}

/* Events of other changes go first, the oldest before: they can be made again. Then what came
 * before this one, which its reader has read. */
static void make_room(struct cp_feed *feed, const struct cp_feed_change *change)
{
    size_t max = feed->options.bytes_max;
    for (int64_t n = feed->first; feed->bytes > max && n < feed->next; n++)
        if (cp_feed_at(feed, n)->is_shown && cp_feed_at(feed, n) != change)
            unshow(feed, cp_feed_at(feed, n));
    while (feed->bytes > max && cp_feed_at(feed, feed->first) != change)
        forget_first(feed);
}

bool cp_feed_show(struct cp_feed *feed, struct cp_feed_change *change)
{
    change->refs++;
    pthread_mutex_unlock(&feed->lock);
    cp_feed_change_show(change, feed->options.services);
    pthread_mutex_lock(&feed->lock);
    bool is_kept = unref(change);
    if (!is_kept)
        return false;
    change->is_shown = true;
    change->bytes += change->shown.total_bytes;
    feed->bytes += change->shown.total_bytes;
    make_room(feed, change);
    return true;
}

void cp_feed_fit(struct cp_feed *feed, struct cp_feed_change *change)
{
    if (change->is_shown && feed->bytes > feed->options.bytes_max)
        unshow(feed, change);
}

static void keep(struct cp_feed *feed, struct cp_feed_change *change)
{
    while (feed->next > feed->first &&
           (feed->next - feed->first == (int64_t)feed->options.revisions_max ||
            feed->bytes + change->bytes > feed->options.bytes_max))
        forget_first(feed);
    feed->changes[(size_t)feed->next++ % feed->options.revisions_max] = change;
    feed->bytes += change->bytes;
}

void cp_feed_listed(struct cp_feed *feed, struct cp_position at)
{
    struct gw_error err = GW_ERROR_NONE;
    pthread_mutex_lock(&feed->lock);
    bool is_same = feed->at.cluster_id == at.cluster_id && feed->at.revision == at.revision;
    if (!is_same && feed->at.revision > 0) {
        (void)gw_fail(&err, GW_OUT_OF_RANGE,
                      "changes of the store may have been missed: list again and watch from there");
        (void)gw_error_reason(&err, "RELIST");
        cp_feed_end_all(feed, &err);
    }
    if (!is_same) {
        while (feed->first < feed->next)
            forget_first(feed);
        feed->forgotten = at.revision;
        feed->at = at;
    }
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

void cp_feed_add(struct cp_feed *feed, const struct cp_batch *batch)
{
    pthread_mutex_lock(&feed->lock);
    for (size_t from = 0, to = 0; from < batch->count; from = to) {
        int64_t revision = batch->events[from].kv.mod_revision;
        while (to < batch->count && batch->events[to].kv.mod_revision == revision)
            to++;
        struct cp_feed_change *change = cp_feed_change_new(&batch->events[from], to - from);
        if (change)
            keep(feed, change);
    }
    feed->at.revision = GW_MAX(feed->at.revision, batch->at.revision);
    if (batch->count > 0)
        pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

static void on_agents(void *arg)
{
    struct cp_feed *feed = arg;
    pthread_mutex_lock(&feed->lock);
    if (!gw_list_is_empty(&feed->readers)) /* a thousand acknowledgements wake nobody for nothing */
        pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
}

/* ---- life ---- */

static void *run(void *arg)
{
    struct cp_feed *feed = arg;
    pthread_mutex_lock(&feed->lock);
    while (!feed->is_stopping) {
        gw_msec now_ms = gw_clock_monotonic_ms();
        if (cp_feed_serve(feed, now_ms))
            continue;
        gw_msec until_ms = now_ms + TURN_MS;
        struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
        if (!feed->is_stopping)
            (void)pthread_cond_timedwait(&feed->changed, &feed->lock, &until);
    }
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(&err, GW_UNAVAILABLE, "draining");
    pthread_mutex_unlock(&feed->lock);
    gw_rpc_pool_done(&feed->pool); /* whom it has comes to the readers */
    pthread_mutex_lock(&feed->lock);
    cp_feed_end_all(feed, &err);
    (void)cp_feed_serve(feed, gw_clock_monotonic_ms()); /* frees the closed ones */
    feed->has_ended = true;
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

struct cp_feed *cp_feed_start(const struct cp_feed_options *options)
{
    struct cp_feed *feed = gw_calloc(1, sizeof(*feed));
    feed->options = *options;
    if (!feed->options.revisions_max)
        feed->options.revisions_max = CP_FEED_REVISIONS_MAX;
    if (!feed->options.bytes_max)
        feed->options.bytes_max = CP_FEED_BYTES_MAX;
    if (!feed->options.bookmark_ms)
        feed->options.bookmark_ms = CP_FEED_BOOKMARK_MS;
    feed->method = (struct cp_stream_method){.type = &cp_feed_stream_type, .context = feed};
    feed->changes = gw_calloc(feed->options.revisions_max, sizeof(struct cp_feed_change *));
    gw_list_init(&feed->readers);
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (gw_rpc_pool_init(&feed->pool, CP_FEED_THREADS, CP_FEED_UNKNOWN_MAX))
        gw_panic("cannot start %d threads of watches", CP_FEED_THREADS);
    int failed = pthread_create(&feed->thread, NULL, run, feed);
    if (failed)
        gw_panic("cannot start the thread of watches: %s", strerror(failed));
    if (options->services->registry)
        cp_registry_listen(options->services->registry, on_agents, feed);
    return feed;
}

void cp_feed_stop(struct cp_feed *feed)
{
    struct cp_registry *registry = feed->options.services->registry;
    if (registry)
        cp_registry_listen(registry, NULL, NULL);
    pthread_mutex_lock(&feed->lock);
    feed->is_stopping = true;
    pthread_cond_signal(&feed->changed);
    pthread_mutex_unlock(&feed->lock);
    pthread_join(feed->thread, NULL);
}

void cp_feed_free(struct cp_feed *feed)
{
    if (!feed)
        return;
    assert(gw_list_is_empty(&feed->readers));
    while (feed->first < feed->next)
        forget_first(feed);
    free(feed->changes);
    pthread_cond_destroy(&feed->changed);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

struct gw_rpc_method cp_feed_method(struct cp_feed *feed)
{
    return cp_stream_row(PATH, &penstock__admin__v1__watch_request__descriptor,
                         &penstock__admin__v1__watch_response__descriptor, &feed->method);
}

void cp_feed_stats(struct cp_feed *feed, struct cp_feed_stats *ret_stats)
{
    pthread_mutex_lock(&feed->lock);
    *ret_stats = (struct cp_feed_stats){.readers = feed->reader_count,
                                        .bytes = (int64_t)feed->bytes,
                                        .sent = feed->sent,
                                        .slow = feed->slow};
    pthread_mutex_unlock(&feed->lock);
}
