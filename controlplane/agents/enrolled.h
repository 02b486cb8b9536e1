/* SPDX-License-Identifier: Apache-2.0 */
/* Who has been enrolled, in memory: what the store has of AgentIdentity, and the authority that
 * signed their certificates. Admission asks here, so it does not block, and goes on with the store
 * away. Any thread; one puts and removes. */
#ifndef CP_AGENTS_ENROLLED_H
#define CP_AGENTS_ENROLLED_H

#include "common/arena.h"
#include "common/error.h"
#include "common/rpc/server.h"
#include "controlplane/agents/identity.h"
#include "controlplane/model/types.h"

struct cp_enrolled;

/* on_change: of the agent of that id something is different; on the thread that put it. */
struct cp_enrolled *cp_enrolled_new(void (*on_change)(void *arg, const char *agent_id), void *arg);
void cp_enrolled_free(struct cp_enrolled *enrolled); /* takes NULL */

/* A whole list comes, and what it does not have is gone at its end. */
void cp_enrolled_begin(struct cp_enrolled *enrolled);
void cp_enrolled_end(struct cp_enrolled *enrolled);
/* What is older than what is known changes nothing. */
void cp_enrolled_put(struct cp_enrolled *enrolled, const cp_agent_record *record,
                     int64_t mod_revision);
void cp_enrolled_remove(struct cp_enrolled *enrolled, const char *agent_id, int64_t mod_revision);
void cp_enrolled_set_authority(struct cp_enrolled *enrolled, const char *pem);

/* The certificate is of the sort that enrolled agents have. */
bool cp_enrolled_is_name(const char *cert_name);
/* The caller's certificate is one of those that its agent got last. PERMISSION_DENIED otherwise.
 * agent_id: who it says that it is; NULL: it has not said. */
GW_MUST_CHECK int cp_enrolled_admit(struct cp_enrolled *enrolled,
                                    const struct gw_rpc_caller *caller, const char *agent_id,
                                    struct gw_arena *arena, struct cp_agent_identity *ret_identity,
                                    struct gw_error *err);

/* For struct gw_rpc_server_options: the authority's certificate. */
char *cp_enrolled_cas(void *enrolled, uint64_t *ret_generation);
/* How many there are, and when the first certificate expires (wall clock; 0: none does). */
void cp_enrolled_stats(struct cp_enrolled *enrolled, size_t *ret_count, gw_msec *ret_expiry_ms);

#endif
