/* SPDX-License-Identifier: Apache-2.0 */
/* Which replica does what is to be done once: cleaning the audit trail, turning ticket keys,
 * sealing again. One holds a key under a lease of the store. The lease says when another one may
 * follow; that the first one writes nothing from then on, however long it slept in between, is
 * held by the fence: each of these writes expects the key as its holder has put it. */
#ifndef CP_SERVICE_LEADER_H
#define CP_SERVICE_LEADER_H

#include "controlplane/service/change.h"

#define CP_LEADER_KEY "/penstock/leader"
#define CP_LEADER_TTL_S 5
/* Between two looks of those that do not lead; those that do keep the lease alive as often. Who
 * dies is followed within the lease, and this, and what etcd takes to notice (half a second). */
#define CP_LEADER_TURN_MS 1000

struct cp_leader; /* NULL wherever it is taken: this process is alone (SQLite, tests), and leads */

/* store is borrowed. No thread: cp_leader_step is the caller's to call. */
struct cp_leader *cp_leader_new(struct cp_store *store, int64_t ttl_s);
/* From here on a thread of its own steps. */
void cp_leader_start(struct cp_leader *leader);
/* Ends the thread, lets go of the key, so that another one follows at once, and frees. Takes NULL.
 */
void cp_leader_free(struct cp_leader *leader);
/* Takes the key when nobody has it, keeps it, or notices that it is lost. Any thread. */
void cp_leader_step(struct cp_leader *leader);

/* By its own clock: there is sense in beginning. Any thread. */
bool cp_leader_leads(struct cp_leader *leader);
/* How many times it has come to lead; another number: another term. */
int64_t cp_leader_terms(struct cp_leader *leader);

/* For a write that only who leads may make; not NULL. FAILED_PRECONDITION: this one does not lead.
 */
GW_MUST_CHECK int cp_leader_fence(struct cp_leader *leader, struct cp_compare *ret_compare,
                                  struct gw_error *err);
GW_MUST_CHECK int cp_change_fence(const struct cp_call *call, struct cp_change *change,
                                  struct gw_error *err);

#endif
