/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of the contract, checked once for both implementations, and the way to them. */
#include "controlplane/store/store_internal.h"

#define TTL_MAX_S (366 * 24 * 3600) /* a longer one is a mistake of units */

static int check_key(gw_str key, struct gw_error *err)
{
    if (key.len == 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a key is empty");
    if (key.len > CP_STORE_KEY_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a key has %zu bytes, more than %d", key.len,
                       CP_STORE_KEY_MAX);
    if (!gw_str_is_utf8(key))
        return gw_fail(err, GW_INVALID_ARGUMENT, "a key is not UTF-8 text");
    return 0;
}

/* A prefix and the last key of a page may be empty. */
static int check_prefix(gw_str prefix, struct gw_error *err)
{
    return prefix.len == 0 ? 0 : check_key(prefix, err);
}

static int check_op(const struct cp_op *op, struct gw_error *err)
{
    if (check_key(op->key, err))
        return -1;
    if (op->kind == CP_OP_DELETE && (op->value.len > 0 || op->lease != 0))
        return gw_fail(err, GW_INVALID_ARGUMENT, "a deletion has a value or a lease");
    if (op->value.len > CP_STORE_VALUE_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "the value of %.*s has %zu bytes, more than %d",
                       GW_STR_ARG(op->key), op->value.len, CP_STORE_VALUE_MAX);
    return 0;
}

static int check_compares(const struct cp_txn *txn, size_t *bytes, struct gw_error *err)
{
    for (size_t i = 0; i < txn->compare_count; i++) {
        const struct cp_compare *compare = &txn->compares[i];
        if (check_key(compare->key, err))
            return -1;
        if (compare->mod_revision < 0)
            return gw_fail(err, GW_INVALID_ARGUMENT, "a compare has a negative revision");
        *bytes += compare->key.len;
    }
    return 0;
}

static int check_ops(const struct cp_txn *txn, size_t *bytes, struct gw_error *err)
{
    for (size_t i = 0; i < txn->op_count; i++) {
        const struct cp_op *op = &txn->ops[i];
        if (check_op(op, err))
            return -1;
        for (size_t j = 0; j < i; j++)
            if (gw_str_eq(txn->ops[j].key, op->key))
                return gw_fail(err, GW_INVALID_ARGUMENT, "a transaction changes %.*s twice",
                               GW_STR_ARG(op->key));
        *bytes += op->key.len + op->value.len;
    }
    return 0;
}

static int check_txn(const struct cp_txn *txn, struct gw_error *err)
{
    if (txn->op_count > CP_STORE_OPS_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a transaction has %zu changes, more than %d",
                       txn->op_count, CP_STORE_OPS_MAX);
    if (txn->compare_count > CP_STORE_COMPARES_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a transaction has %zu compares, more than %d",
                       txn->compare_count, CP_STORE_COMPARES_MAX);
    size_t bytes = 0;
    if (check_compares(txn, &bytes, err) || check_ops(txn, &bytes, err))
        return -1;
    if (bytes > CP_STORE_TXN_BYTES_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a transaction has %zu bytes, more than %d", bytes,
                       CP_STORE_TXN_BYTES_MAX);
    return 0;
}

/* Those who ask tell it from what others mean by UNAVAILABLE. */
static int answer(int result, struct gw_error *err)
{
    if (result == 0 || err->code != GW_UNAVAILABLE || err->reason[0])
        return result;
    return gw_error_reason(err, CP_STORE_AWAY);
}

void cp_store_close(struct cp_store *store)
{
    if (store)
        store->ops->close(store);
}

int cp_store_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                 struct cp_found *ret_found, struct gw_error *err)
{
    if (check_key(key, err))
        return -1;
    return answer(store->ops->get(store, key, arena, ret_found, err), err);
}

static int get_each(struct cp_store *store, const gw_str *keys, size_t count,
                    struct gw_arena *arena, struct cp_found *ret_found, struct gw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (store->ops->get(store, keys[i], arena, &ret_found[i], err))
            return -1;
    return 0;
}

int cp_store_get_all(struct cp_store *store, const gw_str *keys, size_t count,
                     struct gw_arena *arena, struct cp_found *ret_found, struct gw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (check_key(keys[i], err))
            return -1;
    bool is_one_by_one = count < 2 || !store->ops->get_all;
    return answer(
        (is_one_by_one ? get_each : store->ops->get_all)(store, keys, count, arena, ret_found, err),
        err);
}

int cp_store_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                  struct cp_page *ret_page, struct gw_error *err)
{
    if (check_prefix(range->prefix, err) || check_prefix(range->after_key, err))
        return -1;
    if (range->at_revision < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a list has a negative revision");
    struct cp_range limited = *range;
    if (limited.limit == 0 || limited.limit > CP_STORE_LIMIT_MAX)
        limited.limit = CP_STORE_LIMIT_MAX;
    return answer(store->ops->list(store, &limited, arena, ret_page, err), err);
}

int cp_store_count(struct cp_store *store, gw_str prefix, int64_t *ret_count, struct gw_error *err)
{
    if (check_prefix(prefix, err))
        return -1;
    return answer(store->ops->count(store, prefix, ret_count, err), err);
}

int cp_store_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
                 struct gw_error *err)
{
    if (check_txn(txn, err))
        return -1;
    if (answer(store->ops->txn(store, txn, ret_commit, err), err))
        return -1;
    if (ret_commit->committed && store->on_commit)
        store->on_commit(store->on_commit_arg, ret_commit->at.revision);
    return 0;
}

void cp_store_listen(struct cp_store *store, cp_store_listener *on_commit, void *arg)
{
    store->on_commit = on_commit;
    store->on_commit_arg = arg;
}

int cp_store_lease_grant(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                         struct gw_error *err)
{
    if (ttl_s < 1 || ttl_s > TTL_MAX_S)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a lease of %lld seconds is not within 1 and %d",
                       (long long)ttl_s, TTL_MAX_S);
    return answer(store->ops->lease_grant(store, ttl_s, ret_lease, err), err);
}

int cp_store_lease_keepalive(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    return answer(store->ops->lease_keepalive(store, lease, err), err);
}

int cp_store_lease_revoke(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    return answer(store->ops->lease_revoke(store, lease, err), err);
}

int cp_store_ping(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err)
{
    return answer(store->ops->ping(store, ret_at, err), err);
}

int cp_store_compact(struct cp_store *store, int64_t keep, struct gw_error *err)
{
    if (keep < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a negative number of revisions cannot be kept");
    return answer(store->ops->compact(store, keep, err), err);
}

int cp_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                  struct cp_watch **ret_watch, struct gw_error *err)
{
    if (check_prefix(prefix, err))
        return -1;
    if (after.revision < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "a watch starts at a negative revision");
    return store->ops->watch_open(store, prefix, after, ret_watch, err);
}

enum cp_watch_state cp_watch_next(struct cp_watch *watch, gw_msec timeout_ms,
                                  struct gw_arena *arena, struct cp_batch *ret_batch,
                                  struct gw_error *err)
{
    *ret_batch = (struct cp_batch){0};
    *err = GW_ERROR_NONE;
    return watch->ops->next(watch, timeout_ms, arena, ret_batch, err);
}

void cp_watch_cancel(struct cp_watch *watch)
{
    watch->ops->cancel(watch);
}

void cp_watch_close(struct cp_watch *watch)
{
    if (watch)
        watch->ops->close(watch);
}
