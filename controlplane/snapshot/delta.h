/* SPDX-License-Identifier: Apache-2.0 */
/* A change as it goes to agents: ready-made chunks, immutable, shared by all sessions that need the
 * same one. Packed once, however many agents there are. */
#ifndef CP_SNAPSHOT_DELTA_H
#define CP_SNAPSHOT_DELTA_H

#include "common/clock.h"
#include "controlplane/snapshot/agent_types.h"

#define CP_CLUSTER_MAX 64                  /* bytes of a cluster id's text, NUL included */
#define CP_CHUNK_TARGET_BYTES (128 * 1024) /* a chunk is sent once it holds this much */
#define CP_CHUNK_MAX_BYTES (256 * 1024)    /* exceeded only by one resource that is larger alone */

struct cp_delta {
    _Atomic unsigned refs;
    char cluster_id[CP_CLUSTER_MAX];
    int64_t base_revision; /* 0: a full snapshot */
    int64_t revision;
    gw_msec commit_ms; /* monotonic: when this replica had it */
    /* Set by the image: its edits until then; monotonic, as in steps.h. */
    int64_t edits;
    gw_nsec commit_ns, built_ns;
    size_t bytes;   /* of all chunks */
    gw_str *chunks; /* owned; packed ControlMessages, the last one is final */
    size_t chunk_count;
};

struct cp_delta_writer;

/* Upserts first, then removals, then finish, which frees the writer and gives the one reference. */
struct cp_delta_writer *cp_delta_begin(const char *cluster_id, int64_t base_revision,
                                       int64_t revision, gw_msec commit_ms);
/* packed: a Resource. */
void cp_delta_upsert(struct cp_delta_writer *writer, gw_str packed);
void cp_delta_remove(struct cp_delta_writer *writer, cp_agent_kind kind, gw_str name);
struct cp_delta *cp_delta_finish(struct cp_delta_writer *writer);

/* Any thread, as all below. Somebody beside the caller has it. */
bool cp_delta_is_shared(const struct cp_delta *delta);
/* Of all deltas that are in memory. */
size_t cp_delta_bytes_held(void);
struct cp_delta *cp_delta_ref(struct cp_delta *delta);
void cp_delta_unref(struct cp_delta *delta); /* takes NULL */

#endif
