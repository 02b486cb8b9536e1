/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of messages by descriptor: what Create and Update need of any resource. Pure. */
#ifndef CP_SERVICE_FIELDS_H
#define CP_SERVICE_FIELDS_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#include <protobuf-c/protobuf-c.h>

/* The field of that name; NULL: the message has none. */
const ProtobufCFieldDescriptor *cp_field(const ProtobufCMessage *message, const char *name);
bool cp_bool_field(const ProtobufCMessage *message, const char *name);        /* false: also none */
const char *cp_text_field(const ProtobufCMessage *message, const char *name); /* "": also none */
ProtobufCMessage *cp_message_field(const ProtobufCMessage *message, const char *name);

/* Fields that only the server sets: create_time, update_time, etag, and those of `more`, which ends
 * with NULL and may itself be NULL. */
bool cp_is_output_only(const char *field, const char *const *more);
/* Sets them to nothing. */
void cp_clear_output_only(ProtobufCMessage *message, const char *const *more);
/* The same field of another message of that type; shares what it points to. */
void cp_copy_field(ProtobufCMessage *to, const ProtobufCMessage *from,
                   const ProtobufCFieldDescriptor *field);
/* Copies what the mask names from `from`: none: all fields that are set; "*": all. Never the name
 * or output only fields. INVALID_ARGUMENT for a path that is no top-level field. */
GW_MUST_CHECK int cp_apply_mask(ProtobufCMessage *to, const ProtobufCMessage *from,
                                const cp_field_mask *mask, const char *const *more,
                                struct gw_error *err);

#endif
