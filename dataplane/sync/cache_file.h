/* SPDX-License-Identifier: Apache-2.0 */
/* What the snapshot's file and its journal are written and read with; private to these two. */
#ifndef DP_SYNC_CACHE_FILE_H
#define DP_SYNC_CACHE_FILE_H

#include "common/arena.h"
#include "common/buf.h"
#include "common/error.h"

#include "penstock/agent/v1/agent.pb-c.h"

/* A message with its length before it. */
size_t dp_cache_packed_size(const Penstock__Agent__V1__Update *update);
/* more: bytes of fields that the caller puts behind it. */
void dp_cache_pack(const Penstock__Agent__V1__Update *update, size_t more, char *out);
/* Messages of bytes whose checksum holds. */
GW_MUST_CHECK int dp_cache_unpack(struct gw_arena *arena, gw_str bytes,
                                  Penstock__Agent__V1__Update ***ret_updates, size_t *ret_count,
                                  struct gw_error *err);

/* All of a regular file; 0 or -errno. */
GW_MUST_CHECK int dp_cache_read_file(const char *path, struct gw_buf *out);

#endif
