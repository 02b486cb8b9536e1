/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf-c messages in an arena, and the checks that protobuf-c leaves out (stack.md 5.4). */
#ifndef GW_MESSAGE_H
#define GW_MESSAGE_H

#include "common/arena.h"
#include "common/error.h"

#include <protobuf-c/protobuf-c.h>

/* Allocator over an arena: frees nothing; messages live as long as the arena. Never mix them with
 * protobuf_c_message_free_unpacked(NULL). */
ProtobufCAllocator gw_message_allocator(struct gw_arena *arena);

/* Levels of messages in messages. Our types have no recursion and stay far below; the well-known
 * ones (descriptor.proto) do recurse. */
#define GW_MESSAGE_DEPTH_MAX 32

/* Unpacks `bytes`, drops unknown fields at every level, checks all text for UTF-8 without NUL,
 * field numbers and depth; of a label that comes twice the last one stays. INVALID_ARGUMENT
 * otherwise, with the field's path where it is known. */
GW_MUST_CHECK int gw_message_unpack(struct gw_arena *arena, const ProtobufCMessageDescriptor *type,
                                    gw_str bytes, ProtobufCMessage **ret_message,
                                    struct gw_error *err);
/* The same, but what is not known stays in it, and is packed again: for who passes on or keeps what
 * a newer peer has said. */
GW_MUST_CHECK int gw_message_unpack_whole(struct gw_arena *arena,
                                          const ProtobufCMessageDescriptor *type, gw_str bytes,
                                          ProtobufCMessage **ret_message, struct gw_error *err);
/* Fields from this number on may be passed over by who does not know them; those below say
 * something that has to be understood. */
#define GW_MESSAGE_OPTIONAL_FIELDS 1000
/* The first field below that, or value of an enumeration, at any level, that is not known here:
 * INVALID_ARGUMENT with its path. What came by gw_message_unpack has no such fields. */
GW_MUST_CHECK int gw_message_refuse_unknown(const ProtobufCMessage *message, struct gw_error *err);
/* Packed bytes in the arena. */
gw_str gw_message_pack(struct gw_arena *arena, const ProtobufCMessage *message);
/* A deep copy in the arena. */
ProtobufCMessage *gw_message_copy(struct gw_arena *arena, const ProtobufCMessage *message);
/* A new message of the type with its defaults. */
ProtobufCMessage *gw_message_new(struct gw_arena *arena, const ProtobufCMessageDescriptor *type);

/* Fields by proto name, for code that serves all resources alike. The field must exist with that
 * type (assert). Strings: "" for unset. */
const char *gw_message_text(const ProtobufCMessage *message, const char *field);
void gw_message_set_text(ProtobufCMessage *message, const char *field, char *borrowed_text);
ProtobufCMessage **gw_message_child(ProtobufCMessage *message, const char *field);

/* Labels: `repeated LabelsEntry labels` with a nested message of key and value, as protoc makes of
 * a map with text keys (descriptors have no flag for it). */
bool gw_message_is_map(const ProtobufCFieldDescriptor *field);
/* False for a oneof member that is not the chosen one, for no elements, for a message that is not
 * there. True for every plain proto3 scalar. */
bool gw_message_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
/* The member of a field inside the message: *(int32_t *)gw_message_at(...). */
static inline void *gw_message_at(const ProtobufCMessage *message,
                                  const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->offset;
}
/* The number of elements of a repeated field, the case of a oneof member. */
static inline void *gw_message_quantifier(const ProtobufCMessage *message,
                                          const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->quantifier_offset;
}

#endif
