/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a request is about, by its descriptor: what rights with limits are checked
 * against. What cannot be told is refused, so a new field is no hole. Pure. */
#ifndef CP_RPC_TARGETS_H
#define CP_RPC_TARGETS_H

#include "common/arena.h"

#include <protobuf-c/protobuf-c.h>

/* In the arena, or borrowed from the request. */
struct cp_targets {
    const char **names;
    size_t count;
    bool is_list_of_all; /* a List of no parent, or of "groups/-" */
    const char
        *unknown; /* a field of which it is not known what it names, so nothing is; or NULL */
};

void cp_targets_of(struct gw_arena *arena, const char *method, const ProtobufCMessage *request,
                   struct cp_targets *ret_targets);
/* Whether the fields of a type of request are all known here; if not, *ret_field is the first one
 * that is not. For tests over all methods. */
bool cp_targets_are_known(const ProtobufCMessageDescriptor *request, const char **ret_field);

#endif
