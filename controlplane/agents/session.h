/* SPDX-License-Identifier: Apache-2.0 */
/* One connected agent: penstock.agent.v1.AgentService.Stream. It gets what it is missing, one
 * message at a time; what changes meanwhile goes on top when that update is through. */
#ifndef CP_AGENTS_SESSION_H
#define CP_AGENTS_SESSION_H

#include "common/rpc/server.h"
#include "controlplane/agents/registry.h"

/* Who may open a stream, and say that it is this agent (NULL: it has not said which); 0, or -1 with
 * err. Does not block. */
typedef int cp_session_admit(void *arg, const struct gw_rpc_caller *caller, const char *agent_id,
                             struct gw_arena *arena, struct cp_agent_identity *ret_identity,
                             struct gw_error *err);

/* The context of the method; borrowed while the server runs. */
struct cp_sessions {
    struct cp_registry *registry;
    struct cp_image *image;
    cp_session_admit *admit;
    void *admit_arg;
};

/* The row for the rpc server. */
struct gw_rpc_method cp_session_method(struct cp_sessions *sessions);

/* For the registry; any thread. */
struct cp_session *cp_session_ref(struct cp_session *session);
void cp_session_unref(struct cp_session *session);
/* There may be something to send. */
void cp_session_wake(struct cp_session *session);
/* Asks again whether it is admitted, and to what: ends it, or goes on with another scope, which
 * the agent gets whole once the update under way is through. */
void cp_session_readmit(struct cp_session *session);
/* A packed ControlMessage, copied: it goes out as soon as what is being sent has, also between the
 * chunks of an update. After the end nothing does. */
void cp_session_send(struct cp_session *session, uint64_t id, gw_str packed);
/* If it has not gone out yet, it does not. */
void cp_session_unsend(struct cp_session *session, uint64_t id);
void cp_session_end(struct cp_session *session, const struct gw_error *why);
/* About once a second. True, with why: the agent is too slow, and its session is to be dropped. */
bool cp_session_is_slow(struct cp_session *session, gw_msec now_ms, enum cp_drop *ret_drop,
                        struct gw_error *ret_why);
/* Ends it without waiting for what is on its way: the agent connects again, and says what it has.
 */
void cp_session_drop(struct cp_session *session, const struct gw_error *why);

#endif
