/* SPDX-License-Identifier: Apache-2.0 */
/* The stored form of ticket keys: what those who write them and those who build of them agree on.
 * Pure. */
#ifndef CP_MODEL_TICKET_KEYS_H
#define CP_MODEL_TICKET_KEYS_H

#include "common/arena.h"
#include "controlplane/model/types.h"

#define CP_TICKET_KEYS_NAME "ticketKeys/tls"
#define CP_TICKET_ID_BYTES 16
#define CP_TICKET_AES_BYTES 32
#define CP_TICKET_HMAC_BYTES 32
#define CP_TICKET_SECRET_BYTES (CP_TICKET_AES_BYTES + CP_TICKET_HMAC_BYTES) /* in this order */

/* The field that a sealed key is bound to: one of its own, so that keys cannot change places. */
const char *cp_ticket_key_field(struct gw_arena *arena, const cp_ticket_key *key);

#endif
