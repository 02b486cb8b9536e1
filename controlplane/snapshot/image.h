/* SPDX-License-Identifier: Apache-2.0 */
/* The built set: every agent resource in its last good form, with the revision at which it last
 * changed, and those removed lately. Out of it comes what an agent is missing. Any thread; the
 * watcher alone changes it.
 *
 * seen revision: the store's, all of it up to there is built. content revision: the last one that
 * changed something for agents, which is what they are sent and acknowledge; a draft that is edited
 * does not wake them. */
#ifndef CP_SNAPSHOT_IMAGE_H
#define CP_SNAPSHOT_IMAGE_H

#include "common/content_digest.h"
#include "controlplane/snapshot/delta.h"
#include "controlplane/snapshot/steps.h"

#define CP_IMAGE_TOMBSTONES_DEFAULT 10000
/* A full snapshot that agents are being sent is given to further ones, who get a delta on top,
 * until so many resources have changed since: CP_IMAGE_STALE_MIN or a quarter of all, the greater.
 * After four times as many an agent that is still being sent it is dropped. */
#define CP_IMAGE_STALE_MIN 1000
#define CP_REASON_MAX 256 /* bytes of a refusal's reason, NUL included; longer ones are cut */

struct cp_image;

/* tombstones_max: removals remembered; an agent that is further behind gets a full snapshot. */
struct cp_image *cp_image_new(unsigned tombstones_max);
/* Takes NULL. Deltas may outlive it. */
void cp_image_free(struct cp_image *image);
/* Called after every commit, on the thread that made it; has_news: agents may have to be sent
 * something. One listener; set before the first commit. */
typedef void cp_image_listener(void *arg, bool has_news);
void cp_image_listen(struct cp_image *image, cp_image_listener *on_change, void *arg);

/* What became of one resource. packed and no refusal: its new form (the same bytes: no change).
 * refusal: it cannot be built; the last good form stays. Neither: it is gone. */
struct cp_edit {
    gw_str name;
    gw_str packed; /* a Resource */
    const char *refusal;
};
struct cp_image_change {
    uint64_t cluster_id;
    int64_t revision;
    const struct cp_edit *edits; /* borrowed */
    size_t count;
    bool is_complete;  /* from a list: what is not among the edits is gone */
    gw_nsec seen_ns;   /* monotonic: when the watch told of it; 0: a list */
    gw_nsec commit_ns; /* when it was committed, if that is known already; 0: it is looked up */
};
/* Another cluster, or a list with an older revision than was seen (a restored backup): agents get
 * full snapshots under a cluster id that they do not know. */
void cp_image_commit(struct cp_image *image, const struct cp_image_change *change);

/* What an agent has. */
struct cp_image_base {
    const char *cluster_id; /* "": nothing */
    int64_t revision;
    gw_msec since_ms;                       /* monotonic: when it said so */
    const struct gw_content_digest *digest; /* of all that it has; NULL: it has not said */
};
/* What is missing to `base`, as a reference for the caller, of the kinds in the mask (1 << kind;
 * newer.h).
 * NULL: nothing, or not known yet; ask again after the next change. */
struct cp_delta *cp_image_delta(struct cp_image *image, const struct cp_image_base *base,
                                unsigned kinds);

/* Too much has changed since: whoever is still being sent it had better ask again. */
bool cp_image_is_outrun(struct cp_image *image, const struct cp_delta *delta);

/* An agent may be ahead of this replica: it has been told more by another one, or the store was set
 * back. True once when an agent is, and then the watcher asks the store (not its own watch) and
 * says what it found: an agent that is ahead of the store itself gets a full snapshot. */
bool cp_image_wants_check(struct cp_image *image);
void cp_image_checked(struct cp_image *image, gw_msec asked_ms, int64_t store_revision);

/* The times of its changes; any thread. */
struct cp_steps *cp_image_steps(struct cp_image *image);

struct cp_image_status {
    bool is_loaded; /* false: nothing has come from the store yet */
    char cluster_id[CP_CLUSTER_MAX];
    int64_t seen_revision, content_revision;
    size_t resources, refusals;
};
void cp_image_status(struct cp_image *image, struct cp_image_status *ret_status);
/* Whether an agent that serves `applied` of that cluster has all of the store's `revision`. */
bool cp_image_covers(const struct cp_image_status *status, const char *cluster_id, int64_t applied,
                     int64_t revision);

struct cp_image_refusal {
    char reason[CP_REASON_MAX];
    int64_t revision;
    gw_msec wall_ms;
};
/* Why the builder refuses the agent resource of that name. False: it does not. */
bool cp_image_refusal(struct cp_image *image, gw_str name, struct cp_image_refusal *ret_refusal);

#endif
