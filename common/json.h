/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf-c message <-> JSON by descriptor, as in the proto3 JSON mapping: lowerCamelCase names
 * (snake_case accepted), enums by name, 64-bit integers as strings, bytes as base64, Timestamp and
 * Duration as text, FieldMask as comma list, labels maps as objects, unset fields left out. */
#ifndef GW_JSON_H
#define GW_JSON_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/error.h"

#include <protobuf-c/protobuf-c.h>

#define GW_JSON_DEPTH_MAX 32

enum gw_json_style { GW_JSON_COMPACT, GW_JSON_PRETTY };

/* Appends the message; out has no limit. Fields by number, which in our files is the order of their
 * declaration, so the text is stable (golden files). */
void gw_json_write(struct gw_buf *out, const ProtobufCMessage *message, enum gw_json_style style);

/* Appends the value of one field, compact; nothing where gw_json_write leaves the field out. */
void gw_json_write_field(struct gw_buf *out, const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field);

/* Parses a whole message out of `text` into the arena. Unknown names, wrong types, numbers out of
 * range, two members of a oneof and more than GW_JSON_DEPTH_MAX levels fail with the path of the
 * field ("members[2].weight") as a violation; what is not JSON (invalid UTF-8 and names that come
 * twice included) with line and column. null means unset. google.protobuf.Any is refused. */
GW_MUST_CHECK int gw_json_parse(struct gw_arena *arena, const ProtobufCMessageDescriptor *type,
                                gw_str text, ProtobufCMessage **ret_message, struct gw_error *err);

/* "2026-01-01T00:00:00Z" etc. for messages of google.protobuf.Timestamp, in tables and texts. */
gw_str gw_json_timestamp(struct gw_arena *arena, int64_t seconds, int32_t nanos);

#endif
