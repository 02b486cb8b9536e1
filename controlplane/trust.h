/* SPDX-License-Identifier: Apache-2.0 */
/* Which agents may come, and what they get: by the credentials file, or by having been enrolled.
 * Keeps what the store has of enrolled agents in memory. Listing, batches and turns come on the
 * watcher's thread. */
#ifndef CP_TRUST_H
#define CP_TRUST_H

#include "controlplane/agents/enrolled.h"
#include "controlplane/agents/registry.h"
#include "controlplane/service/context.h"
#include "controlplane/service/enrolments.h"
#include "controlplane/store/watch.h"

struct cp_trust {
    struct cp_services *services; /* borrowed */
    struct cp_enrolled *enrolled; /* owned */
    struct cp_enroller *enroller; /* owned */
    bool is_listed;
    unsigned turns;
};
#define CP_TRUST_READMIT_TURNS 30 /* of about a second: all agents are looked at again */

void cp_trust_init(struct cp_trust *trust, struct cp_services *services, gw_msec life_ms,
                   bool has_tls);
void cp_trust_done(struct cp_trust *trust); /* takes a zeroed one */

/* The whole store was read; what came after that; about once a second. */
void cp_trust_listed(struct cp_trust *trust);
void cp_trust_batch(struct cp_trust *trust, const struct cp_batch *batch);
void cp_trust_turn(struct cp_trust *trust, bool is_reachable);

GW_MUST_CHECK int cp_trust_admit(struct cp_trust *trust, const struct gw_rpc_caller *caller,
                                 const char *agent_id, struct gw_arena *arena,
                                 struct cp_agent_identity *ret_identity, struct gw_error *err);

#endif
