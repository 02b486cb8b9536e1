/* SPDX-License-Identifier: Apache-2.0 */
/* Which fields are secrets, by descriptor, and messages without them. Pure. Who adds a field with a
 * secret names it so ("secret", "password", "private_key", "digest" in its name), or adds it to the
 * table. */
#ifndef CP_MODEL_SECRETS_H
#define CP_MODEL_SECRETS_H

#include "common/arena.h"

#include <protobuf-c/protobuf-c.h>

#define CP_SECRET_HIDDEN "(hidden)" /* stands for one */

bool cp_field_is_secret(const ProtobufCMessageDescriptor *owner,
                        const ProtobufCFieldDescriptor *field);

/* A copy for people to read: each secret that is set reads "(hidden)", and bytes, which nobody
 * reads, are left out. */
ProtobufCMessage *cp_redact(struct gw_arena *arena, const ProtobufCMessage *message);

#endif
