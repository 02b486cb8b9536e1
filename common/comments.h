/* SPDX-License-Identifier: Apache-2.0 */
/* What the protos say of their services, methods, messages, fields and enums, by full name. The
 * comments come from a descriptor set that protoc wrote with --include_source_info. Immutable once
 * made; any thread. */
#ifndef GW_COMMENTS_H
#define GW_COMMENTS_H

#include "common/arena.h"

/* Our own APIs (penstock.admin.v1, penstock.agent.v1), embedded at build time. */
extern const unsigned char penstock_documented_set[];
extern const size_t penstock_documented_set_len;

struct gw_comments;

/* The set is a packed google.protobuf.FileDescriptorSet from the build: it is trusted, and anything
 * wrong with it panics. */
struct gw_comments *gw_comments_new(gw_str set);
/* Takes NULL. */
void gw_comments_free(struct gw_comments *comments);

/* Of "penstock.admin.v1.Api", "penstock.admin.v1.Api.name",
 * "penstock.admin.v1.ApiService.PublishApi", "penstock.admin.v1.Protocol.PROTOCOL_HTTP": the
 * comment above it in one line, followed by a NUL; empty where there is none. */
gw_str gw_comment_of(const struct gw_comments *comments, gw_str full_name);

/* Whether a method ("penstock.admin.v1.ApiService.GetApi") answers with a stream: protobuf-c's own
 * descriptors do not tell. */
bool gw_comments_is_stream(const struct gw_comments *comments, gw_str method);

#endif
