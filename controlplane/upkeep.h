/* SPDX-License-Identifier: Apache-2.0 */
/* What the control plane writes by itself while the store can be written to: what always exists, by
 * any replica; secrets again after a rotation, the keys of session tickets, and an end to
 * enrolments that expired, by the one that leads. On the watcher's thread. */
#ifndef CP_UPKEEP_H
#define CP_UPKEEP_H

#include "controlplane/service/context.h"
#include "controlplane/service/ticket_keys.h"

struct cp_upkeep {
    struct cp_services *services; /* borrowed */
    bool is_seeded;
    _Atomic int64_t resealed_term; /* of leadership, in which secrets were sealed again */
    struct cp_ticket_turns ticket_turns;
    gw_msec enrolments_due_ms; /* monotonic */
};

/* What is due now. What fails is logged, and due again. */
void cp_upkeep_run(struct cp_upkeep *upkeep);
/* This replica leads, and has seen to it that every secret is sealed under its first key: the
 * others of its file are needed no more. Any thread. */
bool cp_upkeep_has_resealed(const struct cp_upkeep *upkeep);

#endif
