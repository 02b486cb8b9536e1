/* SPDX-License-Identifier: Apache-2.0 */
/* Old audit events go: by age, and when there are too many of them. A thread of every replica, but
 * the one that leads (leader.h) does the rounds; the mark in the store keeps them apart when
 * another one comes to lead. */
#ifndef CP_SERVICE_AUDIT_CLEAN_H
#define CP_SERVICE_AUDIT_CLEAN_H

#include "controlplane/service/context.h"

#define CP_AUDIT_RETENTION_DEFAULT "168h"
#define CP_AUDIT_EVENTS_MAX_DEFAULT 200000
/* Of the store's history behind what was deleted: what page tokens and watches still find. */
#define CP_AUDIT_REVISIONS_KEPT 100000

/* What a replica remembers between rounds; begins as all zero. */
struct cp_audit_rounds {
    int64_t mark_revision; /* of the mark as last seen */
};

/* One round, unless another replica has done one since this one looked. *ret_count: events deleted.
 */
GW_MUST_CHECK int cp_audit_clean(struct cp_services *services, gw_msec now_ms,
                                 struct cp_audit_rounds *rounds, int64_t *ret_count,
                                 struct gw_error *err);

struct cp_audit_cleaner;
struct cp_audit_cleaner *cp_audit_cleaner_start(struct cp_services *services);
/* Takes NULL. */
void cp_audit_cleaner_stop(struct cp_audit_cleaner *cleaner);

#endif
