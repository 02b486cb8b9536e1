/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of TLS session tickets: one record, sealed, that any replica may make and turn. A key is
 * sent to agents one rotation before it seals, so that agents that lag can open what others sealed
 * with it, and stays a day after it has sealed, which is longer than any ticket lives. */
#ifndef CP_SERVICE_TICKET_KEYS_H
#define CP_SERVICE_TICKET_KEYS_H

#include "controlplane/model/ticket_keys.h"
#include "controlplane/service/change.h"

#define CP_TICKET_KEY_ROTATION_DEFAULT "12h"
#define CP_TICKET_KEYS_MAX 16 /* what agents take; the oldest go first */
#define CP_TICKET_KEY_KEPT_MS ((gw_msec)24 * 3600 * 1000)
/* From here on none goes before the hour that a ticket lives. */
#define CP_TICKET_KEY_ROTATION_FULL_MS ((gw_msec)5 * 60 * 1000)

/* What this process knows of them; zeroed at first, one caller's. */
struct cp_ticket_turns {
    gw_msec due_ms; /* by our clock: before it there is nothing to do */
    /* When somebody turned them, by that one's clock, and since when we know. Keys are no younger
     * than that: a clock that was ahead must not keep them for as long. */
    gw_msec turned_ms, seen_ms;
};

/* Makes the keys when there are none, and turns them when they are due; by now_ms, milliseconds
 * since the epoch. Those of a replica with another key for
 * secrets are that one's to turn, unless they are overdue by a rotation: then it is gone. Without
 * keys for secrets: FAILED_PRECONDITION. */
GW_MUST_CHECK int cp_ticket_keys_turn(struct cp_services *services, gw_msec now_ms,
                                      struct cp_ticket_turns *turns, struct gw_error *err);
/* Seals those again that are not under the first key; those that do not open stay as they are.
 * False: nothing has changed. */
bool cp_ticket_keys_reseal(const struct cp_call *call, cp_ticket_key_set *set);

#endif
