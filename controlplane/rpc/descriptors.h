/* SPDX-License-Identifier: Apache-2.0 */
/* The protos of this program by file name and by symbol: what reflection answers from. Immutable
 * once made; any thread. */
#ifndef CP_RPC_DESCRIPTORS_H
#define CP_RPC_DESCRIPTORS_H

#include "common/arena.h"
#include "common/map.h"

struct cp_proto_file {
    gw_str name;
    gw_str bytes; /* its FileDescriptorProto as protoc wrote it, borrowed from the set */
    struct cp_proto_file **imports; /* direct ones */
    size_t import_count;
};

struct cp_descriptors {
    struct gw_arena arena;
    struct gw_map files;   /* name -> struct cp_proto_file */
    struct gw_map symbols; /* messages, fields, enums, values, services, methods -> its file */
    const char **services; /* in the order of the set */
    size_t service_count;
    size_t file_count;
};

/* The set is a packed google.protobuf.FileDescriptorSet, borrowed, from the build (it is trusted:
 * anything wrong with it panics). Imports stand before those who import them, as protoc writes. */
struct cp_descriptors *cp_descriptors_new(gw_str set);
void cp_descriptors_free(struct cp_descriptors *descriptors);

/* The set that the build embeds. */
struct cp_descriptors *cp_descriptors_new_own(void);
/* Whether the pattern ("ApiService/Get*") fits a method of the management API. */
bool cp_descriptors_have_action(const struct cp_descriptors *descriptors, const char *pattern);

#endif
