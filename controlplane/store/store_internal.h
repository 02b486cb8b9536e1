/* SPDX-License-Identifier: Apache-2.0 */
/* What a store's implementation provides. store.c checks every argument against the limits of
 * store.h before it calls one of these, and sets range->limit: an implementation sees only keys of
 * 1 to CP_STORE_KEY_MAX bytes of UTF-8, no key twice in the ops of a transaction, no negative
 * revision, ttl or keep. Each function has the contract of its namesake in store.h and watch.h.
 * An implementation embeds struct cp_store (struct cp_watch) as the first field of its own. */
#ifndef CP_STORE_INTERNAL_H
#define CP_STORE_INTERNAL_H

#include "controlplane/store/store.h"
#include "controlplane/store/watch.h"

struct cp_store_ops {
    void (*close)(struct cp_store *store);
    int (*get)(struct cp_store *store, gw_str key, struct gw_arena *arena,
               struct cp_found *ret_found, struct gw_error *err);
    /* NULL: it gains nothing, and get is called for each. */
    int (*get_all)(struct cp_store *store, const gw_str *keys, size_t count, struct gw_arena *arena,
                   struct cp_found *ret_found, struct gw_error *err);
    int (*list)(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                struct cp_page *ret_page, struct gw_error *err);
    int (*count)(struct cp_store *store, gw_str prefix, int64_t *ret_count, struct gw_error *err);
    int (*txn)(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
               struct gw_error *err);
    int (*lease_grant)(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                       struct gw_error *err);
    int (*lease_keepalive)(struct cp_store *store, int64_t lease, struct gw_error *err);
    int (*lease_revoke)(struct cp_store *store, int64_t lease, struct gw_error *err);
    int (*ping)(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err);
    int (*compact)(struct cp_store *store, int64_t keep, struct gw_error *err);
    int (*watch_open)(struct cp_store *store, gw_str prefix, struct cp_position after,
                      struct cp_watch **ret_watch, struct gw_error *err);
};

struct cp_store {
    const struct cp_store_ops *ops;
    cp_store_listener *on_commit; /* NULL: nobody */
    void *on_commit_arg;
};

struct cp_watch_ops {
    /* store.c has zeroed *ret_batch and *err. */
    enum cp_watch_state (*next)(struct cp_watch *watch, gw_msec timeout_ms, struct gw_arena *arena,
                                struct cp_batch *ret_batch, struct gw_error *err);
    void (*cancel)(struct cp_watch *watch);
    void (*close)(struct cp_watch *watch);
};

struct cp_watch {
    const struct cp_watch_ops *ops;
};

#endif
