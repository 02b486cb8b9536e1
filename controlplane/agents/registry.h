/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents there are, what they serve and what they refuse. Any thread. */
#ifndef CP_AGENTS_REGISTRY_H
#define CP_AGENTS_REGISTRY_H

#include "common/arena.h"
#include "common/error.h"
#include "common/list.h"
#include "controlplane/agents/identity.h"
#include "controlplane/agents/pace.h"
#include "controlplane/model/agent_ids.h"
#include "controlplane/model/types.h"
#include "controlplane/snapshot/image.h"

#define CP_AGENTS_MAX_DEFAULT 10000
#define CP_AGENT_VERSION_MAX 64 /* bytes */
#define CP_AGENT_LABELS_MAX 64  /* pairs */
#define CP_AGENT_LABEL_KEY_MAX 63
#define CP_AGENT_LABEL_VALUE_MAX 255
#define CP_AGENT_REFUSALS_MAX 100             /* kept of an acknowledgement; the rest is counted */
#define CP_AGENT_FORGET_MS (10 * 60 * 1000)   /* how long one that left is shown */
#define CP_AGENT_HELLO_TIMEOUT_MS (10 * 1000) /* from the stream's begin to its Hello */
#define CP_ROLLOUT_WAITERS_MAX 8 /* they hold threads of the rpc server; more do not wait */

/* Why an agent was too slow. It connects again, and gets what it lacks then. */
enum cp_drop { CP_DROP_STALLED, CP_DROP_OUTRUN, CP_DROP_MEMORY, CP_DROP_COUNT };

struct cp_registry;
struct cp_session;

struct cp_known_agent;

/* A session as the registry sees it: embedded in it, the registry's own but for `session`. */
struct cp_agent_link {
    struct cp_session *session;
    struct cp_image *image; /* what it gets; borrowed from the session; NULL before its Hello */
    struct gw_list node;
    struct cp_known_agent *agent; /* whom it speaks for; NULL before its Hello, or when replaced */
    gw_msec opened_ms;
    unsigned kinds;           /* that it knows, from its Hello on (newer.h) */
    bool is_greeted, is_late; /* late: no Hello in time, the stream is being ended */
};

/* image is borrowed; the registry becomes its listener. agents_max: sessions at a time. */
struct cp_registry *cp_registry_new(struct cp_image *image, unsigned agents_max);
/* No session is left. Takes NULL. */
void cp_registry_free(struct cp_registry *registry);
/* Waits for rollouts end now, and later ones at once: before the rpc server drains. */
void cp_registry_stop(struct cp_registry *registry);
/* How large updates take turns, and who is too slow; limits to be set before the first session. */
struct cp_pace *cp_registry_pace(struct cp_registry *registry);
/* About once a second: ends streams without a Hello, drops agents that are too slow, forgets those
 * that left long ago. */
void cp_registry_tick(struct cp_registry *registry);
/* Ends every session: its agent may try another control plane. */
void cp_registry_turn_away(struct cp_registry *registry, const struct gw_error *why);
/* Who is connected is asked again whether it may be, and what it may get: `agent_id`, or with NULL
 * everybody. */
void cp_registry_readmit(struct cp_registry *registry, const char *agent_id);

/* ---- what sessions say; the link is borrowed until cp_registry_close ---- */

/* A stream begins. RESOURCE_EXHAUSTED: there are agents_max. */
GW_MUST_CHECK int cp_registry_open(struct cp_registry *registry, struct cp_agent_link *link,
                                   struct gw_error *err);
/* Its Hello, checked before, and who it has shown to be. An older session of the same id ends with
 * ALREADY_EXISTS. */
void cp_registry_greet(struct cp_registry *registry, struct cp_agent_link *link,
                       const cp_hello *hello, const struct cp_agent_identity *identity,
                       const char *peer);
/* It gets another image from now on. */
void cp_registry_rescope(struct cp_registry *registry, struct cp_agent_link *link,
                         const struct cp_agent_identity *identity, struct cp_image *image);
/* latency_ms -1: not known. False: a newer session speaks for the agent. */
bool cp_registry_ack(struct cp_registry *registry, struct cp_agent_link *link, const cp_ack *ack,
                     gw_msec latency_ms);
void cp_registry_statistics(struct cp_registry *registry, struct cp_agent_link *link);
void cp_registry_debug_reply(struct cp_registry *registry, struct cp_agent_link *link,
                             const cp_debug_reply *reply);
void cp_registry_close(struct cp_registry *registry, struct cp_agent_link *link);

/* ---- what others ask ---- */

/* The agent of that name ("agents/{agent}"), a copy in the arena; NULL: unknown. */
cp_agent *cp_registry_get(struct cp_registry *registry, struct gw_arena *arena, gw_str name);
/* Copies in the arena, by name, of at most `limit` agents after the name `after` ("": from the
 * start); *ret_more: there are others behind them. Returns how many. */
size_t cp_registry_list(struct cp_registry *registry, struct gw_arena *arena, gw_str after,
                        size_t limit, cp_agent ***ret_agents, bool *ret_more);

/* Waits until every agent that is connected now has acknowledged the store's revision, at most
 * until deadline_ms (monotonic). *ret_rollout is set up by the caller; refusals are those of
 * `resource`, an agent resource's name, by the builder and by agents. */
void cp_registry_wait(struct cp_registry *registry, struct gw_arena *arena, int64_t revision,
                      gw_str resource, gw_msec deadline_ms, cp_rollout *ret_rollout);
/* Who refuses the agent resource now, and why. Returns how many. */
size_t cp_registry_refusals(struct cp_registry *registry, struct gw_arena *arena, gw_str resource,
                            cp_refusal ***ret_refusals);

struct cp_registry_stats {
    size_t connected, lagging; /* lagging: connected, and not at the content revision */
    size_t refusals;           /* of connected agents */
    int64_t max_lag;           /* revisions, of the one furthest behind */
    int64_t max_lag_ms;        /* of the one that is behind for the longest time */
    int64_t acks, ack_latency_ms_sum, statistics, replaced, violations;
    int64_t dropped[CP_DROP_COUNT];
    int64_t refused;                            /* resources, each counted once for each form */
    int64_t updates, snapshots, update_bytes;   /* sent; snapshots: full updates of those */
    int64_t updates_waiting, updates_under_way; /* large ones, now */
    int64_t update_bytes_held;                  /* of packed updates in memory, now */
};
void cp_registry_stats(struct cp_registry *registry, struct cp_registry_stats *ret_stats);
/* The last chunk of an update goes out. */
void cp_registry_count_sent(struct cp_registry *registry, const struct cp_delta *delta);
/* A session ended because its agent broke the protocol. */
void cp_registry_count_violation(struct cp_registry *registry, struct cp_agent_link *link,
                                 const struct gw_error *why);

#endif
