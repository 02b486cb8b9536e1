/* SPDX-License-Identifier: Apache-2.0 */
/* A store as it would be once a transaction that is still being put together had happened: what
 * reads it sees the transaction's own writes, so that one part of it can build on another. */
#ifndef CP_STORE_OVERLAY_H
#define CP_STORE_OVERLAY_H

#include "controlplane/store/store.h"

/* Get, list and count see *ops, as many as *count says at the time; the rest is refused. Revisions
 * are those of what is really there, 0 of what is not: what the transaction has to compare with. Of
 * a key that is read twice the first reading counts, and of what is counted. All is borrowed, and
 * lives in the arena; one thread. */
struct cp_store *cp_store_overlay(struct cp_store *inner, const struct cp_op *const *ops,
                                  const size_t *count, struct gw_arena *arena);
/* What was read last: a key, or with *ret_is_prefix all keys with a prefix. Until the next reading.
 */
gw_str cp_store_overlay_last(const struct cp_store *overlay, bool *ret_is_prefix);

#endif
