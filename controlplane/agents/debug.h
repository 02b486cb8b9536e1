/* SPDX-License-Identifier: Apache-2.0 */
/* Debug calls through an agent. Any thread. */
#ifndef CP_AGENTS_DEBUG_H
#define CP_AGENTS_DEBUG_H

#include "controlplane/agents/registry.h"

#define CP_DEBUG_WAITERS_MAX 8 /* they hold threads of the rpc server; one more is refused */

struct cp_debug_aim {
    const char *agent;       /* "agents/{agent}"; "": any */
    const char *environment; /* its id: only agents that get it are asked; "": a draft's, which is
                                in none, so it goes to agents that get everything */
};
/* Lets an agent make a call, whose id is set here, and waits for its
 * reply, at most until deadline_ms (monotonic). Reply and *ret_agent are in the arena. NOT_FOUND,
 * UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED as DebugApi has them. */
GW_MUST_CHECK int cp_registry_debug(struct cp_registry *registry, struct gw_arena *arena,
                                    struct cp_debug_aim aim, cp_debug_call *call,
                                    gw_msec deadline_ms, cp_debug_reply **ret_reply,
                                    char **ret_agent, struct gw_error *err);

#endif
