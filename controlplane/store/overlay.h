/* SPDX-License-Identifier: Apache-2.0 */
/* A store as it would be once a transaction that is still being put together had happened: what
 * reads it sees the transaction's own writes, so that one part of it can build on another. */
#ifndef CP_STORE_OVERLAY_H
#define CP_STORE_OVERLAY_H

#include "controlplane/store/store.h"

/* Get, list and count see *ops, as many as *count says at the time; the rest is refused. Revisions
 * are those of what is really there, 0 of what is not: what the transaction has to compare with. Of
 * a key that is read twice the first reading counts. All is borrowed, and lives in the arena; one
 * thread. */
struct cp_store *cp_store_overlay(struct cp_store *inner, const struct cp_op *const *ops,
                                  const size_t *count, struct gw_arena *arena);

#endif
