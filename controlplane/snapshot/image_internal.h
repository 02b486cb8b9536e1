/* SPDX-License-Identifier: Apache-2.0 */
/* What image.c and scope.c share: a scope is an image of its own, made of a part of another one. */
#ifndef CP_SNAPSHOT_IMAGE_INTERNAL_H
#define CP_SNAPSHOT_IMAGE_INTERNAL_H

#include "common/content_digest.h"
#include "common/list.h"
#include "common/map.h"
#include "controlplane/snapshot/build.h"
#include "controlplane/snapshot/image.h"
#include "controlplane/snapshot/newer.h"

#include <pthread.h>

#define CP_CACHED_DELTAS 8
#define CP_CACHED_SNAPSHOTS 4
#define CP_IMAGE_KINDS 32        /* as many as a mask of kinds has bits */
#define CP_CLUSTER_SUFFIX_MAX 12 /* bytes that a scope adds to the cluster id, NUL included */

struct cp_item {
    struct gw_list node; /* in `live` or `removed`, by revision; in none: never had a good form */
    gw_str name;         /* owned, behind the struct */
    gw_str packed;       /* owned; ptr NULL: none */
    struct gw_content_digest digest;  /* of packed */
    const char *newer;                /* a field of it that old agents pass over; NULL: none */
    int64_t revision;                 /* of its last change */
    unsigned generation;              /* of the last list that had it */
    struct cp_image_refusal *refusal; /* owned; NULL: built well */
};

struct cp_cached {
    struct cp_delta *delta;
    unsigned kinds;
};

struct cp_image {
    pthread_mutex_t lock; /* a scope's is taken under its parent's, never the reverse */
    unsigned tombstones_max;
    bool is_loaded, wants_check;
    uint64_t cluster;
    char suffix[CP_CLUSTER_SUFFIX_MAX]; /* of a scope's cluster id; "": the whole image */
    char cluster_id[CP_CLUSTER_MAX];
    int64_t seen_revision, content_revision;
    int64_t floor_revision; /* removals up to here may be forgotten */
    gw_msec content_ms;     /* monotonic: when content_revision came */
    gw_nsec content_seen_ns, content_commit_ns, content_built_ns; /* of it, as in cp_delta */
    struct cp_steps *steps;                                       /* owned */
    gw_msec asked_ms;                                             /* the last check of the store */
    int64_t store_revision;
    struct gw_map items; /* by name; owned */
    struct gw_list live, removed;
    size_t live_count, removed_count, refusal_count;
    size_t kind_counts[CP_IMAGE_KINDS], newer_counts[CP_IMAGE_KINDS]; /* of live */
    struct gw_content_digest digests[CP_IMAGE_KINDS];                 /* likewise */
    /* What it began with: an agent that has just that lacks what came since. */
    struct gw_content_digest origin[CP_IMAGE_KINDS];
    int64_t origin_revision;
    unsigned generation;
    int64_t edits;                                   /* of all time */
    struct cp_cached cache[CP_CACHED_DELTAS];        /* up to content_revision, the newest first */
    struct cp_cached snapshots[CP_CACHED_SNAPSHOTS]; /* full ones, the newest first */
    cp_image_listener *on_change;
    void *on_change_arg;

    struct gw_list scopes;    /* struct cp_scope.node, owned; of the whole image */
    struct cp_item **changed; /* owned; by the commit that is under way, when there are scopes */
    size_t changed_count, changed_room;
};

/* Whether agents of such kinds get it, or hear of its end. */
static inline bool cp_item_is_for(const struct cp_item *item, unsigned kinds)
{
    return kinds >> cp_build_kind(item->name) & 1 && (kinds & CP_KINDS_STRICT || !item->newer);
}

/* It is what it begins with. */
void cp_image_set_origin(struct cp_image *image);

/* For image.c, with the lock of the whole image held. What was changed by a commit goes into the
 * scopes that it concerns; is_new_history: everything does. */
void cp_scopes_commit(struct cp_image *image, bool is_new_history);
bool cp_scopes_want_check(struct cp_image *image);
void cp_scopes_checked(struct cp_image *image);
void cp_scopes_free(struct cp_image *image);

#endif
