/* SPDX-License-Identifier: Apache-2.0 */
/* What feed.c, feed_change.c and feed_reader.c share; nobody else includes it. */
#ifndef CP_SERVICE_FEED_INTERNAL_H
#define CP_SERVICE_FEED_INTERNAL_H

#include "common/list.h"
#include "common/rpc/pool.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/feed.h"

#include "penstock/admin/v1/watch.pb-c.h"

#include <pthread.h>

typedef Penstock__Admin__V1__ResourceEvent cp_resource_event;
typedef Penstock__Admin__V1__WatchRequest cp_watch_request;
typedef Penstock__Admin__V1__WatchResponse cp_watch_response;

struct cp_feed;

/* ---- feed_change.c: what has changed ---- */

/* One resource that has changed. */
struct cp_feed_item {
    const struct cp_bundle_kind *kind;
    const char *name;
    int type; /* of ResourceEventType */
    gw_str value;
    int64_t mod_revision;
    cp_resource_event *event; /* NULL: it has not been shown to anybody yet */
};

/* All that changed at one revision; lives as long as somebody has it. */
struct cp_feed_change {
    struct gw_arena arena;
    struct gw_arena shown; /* of the events: what can be made again */
    unsigned refs;         /* under the feed's lock */
    int64_t revision;
    size_t bytes; /* of both arenas */
    struct cp_feed_item *items;
    size_t count;
    bool is_shown; /* every item has its event */
};

/* Of events[0..count), all of one revision; NULL: nothing in it is anybody's resource. */
struct cp_feed_change *cp_feed_change_new(const struct cp_event *events, size_t count);
void cp_feed_change_free(struct cp_feed_change *change);
/* Makes the events: reads the store. */
void cp_feed_change_show(struct cp_feed_change *change, struct cp_services *services);
/* Frees them; returns how many bytes that were. */
size_t cp_feed_change_unshow(struct cp_feed_change *change);

/* NULL: nobody may watch that. */
const struct cp_bundle_kind *cp_feed_kind(enum cp_kind_id id);
/* "apis" */
gw_str cp_feed_kind_word(const struct cp_bundle_kind *kind);
const struct cp_bundle_kind *cp_feed_kind_called(gw_str word);
/* Those that are no resources: agents are not stored; audit events are told to who asks for them.
 */
extern const struct cp_bundle_kind cp_feed_agents, cp_feed_audit_events;
/* All of them; NULL behind the last one. */
const struct cp_bundle_kind *cp_feed_kind_at(size_t index);
/* What it takes to read one of the kind. */
struct cp_action cp_feed_action(struct gw_arena *arena, const struct cp_bundle_kind *kind);

/* ---- feed_agents.c ---- */

#define CP_FEED_AGENTS_MAX 100 /* of one answer */

/* Where a reader begins, and what comes behind that: events, which may be none. -1: it is too far
 * behind. *cursor stays: there is nothing new. */
int64_t cp_feed_agents_begin(const struct cp_feed *feed);
int cp_feed_agents_read(const struct cp_feed *feed, struct gw_arena *arena, int64_t *cursor,
                        cp_watch_response *response);

/* ---- feed.c ---- */

struct cp_feed {
    struct cp_feed_options options;
    struct cp_stream_method method;
    pthread_t thread;
    struct gw_rpc_pool pool; /* asks who new readers are */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping, has_ended;
    struct gw_list readers;
    unsigned reader_count;           /* of those that are known */
    struct cp_position at;           /* everything up to here is in changes, or was */
    struct cp_feed_change **changes; /* owned; a ring, of revisions_max */
    int64_t first, next;             /* changes[first..next), by number modulo the size */
    int64_t forgotten;               /* the last revision that is no longer there */
    size_t bytes;
    int64_t sent, slow;
};

static inline struct cp_feed_change *cp_feed_at(const struct cp_feed *feed, int64_t number)
{
    return feed->changes[(size_t)number % feed->options.revisions_max];
}

/* Makes the change's events and room for them, with the lock let go meanwhile; false: it has been
 * forgotten by now. */
bool cp_feed_show(struct cp_feed *feed, struct cp_feed_change *change);
/* The change has been told: its events go when there was no room for them. */
void cp_feed_fit(struct cp_feed *feed, struct cp_feed_change *change);

/* ---- feed_reader.c: who reads; all with the feed's lock held, which may be let go meanwhile ----
 */

extern const struct cp_stream_type cp_feed_stream_type;
/* Does what there is to do for every reader; false: nothing was. */
bool cp_feed_serve(struct cp_feed *feed, gw_msec now_ms);
/* Ends every reader with this. */
void cp_feed_end_all(struct cp_feed *feed, const struct gw_error *err);

#endif
