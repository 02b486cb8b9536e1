/* SPDX-License-Identifier: Apache-2.0 */
/* What registry.c (who is connected) and rollout.c (how far they are) share. */
#ifndef CP_AGENTS_REGISTRY_INTERNAL_H
#define CP_AGENTS_REGISTRY_INTERNAL_H

#include "common/map.h"
#include "controlplane/agents/changes.h"

#include <pthread.h>

struct cp_known_agent {
    cp_agent message;           /* current_revision is set when it is read */
    struct gw_arena said;       /* what message borrows of the Hello */
    struct gw_arena refused;    /* message.refusals */
    struct gw_arena shown;      /* who it has shown to be, and what it gets: texts of message */
    size_t refusal_count;       /* with those that were not kept */
    struct cp_agent_link *link; /* NULL: it left */
    gw_msec left_ms;            /* monotonic */
    unsigned waited_by;         /* bit i: waits[i] waits for it */
    bool takes_debug_calls;
    char cluster_id[CP_CLUSTER_MAX]; /* of applied_revision */
    cp_timestamp connect_time, last_seen_time, expire_time;
    cp_timestamp applied_time;    /* seconds 0: not yet */
    cp_timestamp last_error_time; /* likewise */
    char last_error[GW_ERROR_MESSAGE_MAX];
    int64_t created, changed; /* moments of the log; 0: never */
    struct gw_list order;     /* in the log */
};

/* changes.c: who has changed when. */
struct cp_agent_gone {
    char *name; /* owned */
    int64_t moment;
};
struct cp_agent_log {
    int64_t moment;                                 /* of the last change */
    struct gw_list agents;                          /* struct cp_known_agent.order, by moment */
    struct cp_agent_gone gone[CP_AGENTS_GONE_KEPT]; /* a ring, by moment */
    uint64_t gone_count;
    int64_t gone_forgotten; /* moment of the last one that is not in the ring any more */
    void (*changed)(void *arg);
    void *arg;
};

struct cp_registry {
    struct cp_image *image; /* borrowed; its lock may be taken under ours, never the reverse */
    unsigned agents_max;
    pthread_mutex_t lock;   /* all below; never held over a call of a session */
    pthread_cond_t changed; /* anything that a rollout may wait for */
    bool is_stopped;
    gw_msec stopped_ms;      /* monotonic; agents that left since then did so because of it */
    struct gw_map agents;    /* struct cp_known_agent by id; owned */
    struct gw_list sessions; /* struct cp_agent_link.node */
    unsigned session_count, waiters;
    struct cp_wait *waits[CP_ROLLOUT_WAITERS_MAX]; /* on the stacks of those who wait */
    struct gw_list debug_waiters;                  /* debug.c */
    unsigned debug_count;
    uint64_t debug_ids; /* given out so far */
    int64_t acks, ack_latency_ms_sum, statistics, replaced, violations;
    int64_t dropped[CP_DROP_COUNT], refused;
    struct cp_agent_log log;
    /* With locks of their own, or none. */
    struct cp_pace pace;
    _Atomic int64_t updates, snapshots, update_bytes;
};

/* changes.c, with the lock held: something of the agent has changed that is told; it is forgotten.
 */
void cp_registry_note(struct cp_registry *registry, struct cp_known_agent *agent);
void cp_registry_note_gone(struct cp_registry *registry, struct cp_known_agent *agent);
void cp_registry_log_done(struct cp_agent_log *log);
/* Behind that, without the lock. */
void cp_registry_tell(struct cp_registry *registry);

/* rollout.c: as it is shown. */
cp_agent *cp_agent_copy(const struct cp_registry *registry, const struct cp_known_agent *agent,
                        const struct cp_image_status *status, struct gw_arena *arena);

/* rollout.c, with the lock held: the agent serves something else now; the image has seen more. */
void cp_registry_advance(struct cp_registry *registry, struct cp_known_agent *agent);
void cp_registry_advance_all(struct cp_registry *registry);

/* With the lock held: whether a connected agent has all that it gets of the store's revision. */
bool cp_registry_covers(const struct cp_registry *registry, const struct cp_known_agent *agent,
                        int64_t revision);
/* Likewise: the revision that it serves. What lies outside of its scope changes nothing for it, so
 * that may be more than it was told. */
int64_t cp_registry_applied(const struct cp_registry *registry, const struct cp_known_agent *agent,
                            const struct cp_image_status *whole);

/* debug.c, with the lock held: who waits for this agent waits no more. */
void cp_registry_end_debug(struct cp_registry *registry, const struct cp_agent_link *link);

#endif
