/* SPDX-License-Identifier: Apache-2.0 */
/* What is different between two messages of one type, field by field, by descriptor. Pure. */
#ifndef CP_MODEL_DIFF_H
#define CP_MODEL_DIFF_H

#include "common/arena.h"

#include <protobuf-c/protobuf-c.h>

#define CP_DIFF_VALUE_MAX 1024 /* bytes shown of a value */

struct cp_difference {
    const char *path;     /* "backend.http.timeout", "request_parameters[id].type" */
    gw_str before, after; /* as JSON; empty: not set. Fields with a secret's name: "(hidden)" */
};

/* In the order of the fields; equal messages have none. Lists of messages are compared by the
 * elements' names where they have unique ones, else by position. */
size_t cp_diff(struct gw_arena *arena, const ProtobufCMessage *before,
               const ProtobufCMessage *after, struct cp_difference **ret_differences);

/* A line each: "~ path: before -> after", "+ path: after", "- path: before". */
gw_str cp_diff_text(struct gw_arena *arena, const struct cp_difference *differences, size_t count);

#endif
