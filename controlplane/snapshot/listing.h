/* SPDX-License-Identifier: Apache-2.0 */
/* All that is stored of some kinds, as of one revision. Two threads read, a kind each: what takes
 * the time is etcd, which makes JSON of every key on one core for each call. Pages come to the
 * caller on its own thread, those of one kind in order, kinds mixed. */
#ifndef CP_SNAPSHOT_LISTING_H
#define CP_SNAPSHOT_LISTING_H

#include "controlplane/model/names.h"
#include "controlplane/store/store.h"

#define CP_LISTING_READERS 2
#define CP_LISTING_PAGE 500 /* keys; what is in memory at once is some five pages */
#define CP_LISTING_AHEAD 2  /* pages that were read and not yet taken */

typedef void cp_listing_take(void *arg, const struct cp_kv *kvs, size_t count);

/* Blocks until all is taken. Errors are those of cp_store_list(), the first that occurs; then some
 * pages may have been taken. */
GW_MUST_CHECK int cp_listing_read(struct cp_store *store, const enum cp_kind_id *kinds,
                                  size_t count, cp_listing_take *take, void *arg,
                                  struct cp_position *ret_at, struct gw_error *err);

#endif
