/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/overlay.h"

#include "common/map.h"
#include "controlplane/store/store_internal.h"

#include <stdlib.h>

struct overlay {
    struct cp_store store;
    struct cp_store *inner;
    const struct cp_op *const *ops;
    const size_t *count;
    struct gw_arena *arena;
    struct gw_map read;    /* by key -> struct cp_found, as it really is */
    struct gw_map counted; /* by prefix -> int64_t, likewise */
    char last[CP_STORE_KEY_MAX];
    size_t last_len;
    bool is_last_prefix;
};

static struct overlay *overlay_of(struct cp_store *store)
{
    return (struct overlay *)store;
}

static void note(struct overlay *overlay, gw_str what, bool is_prefix)
{
    overlay->last_len = GW_MIN(what.len, sizeof overlay->last);
    if (what.len > 0)
        memcpy(overlay->last, what.ptr, overlay->last_len);
    overlay->is_last_prefix = is_prefix;
}

gw_str cp_store_overlay_last(const struct cp_store *store, bool *ret_is_prefix)
{
    const struct overlay *overlay = (const struct overlay *)store;
    *ret_is_prefix = overlay->is_last_prefix;
    return gw_str_n(overlay->last, overlay->last_len);
}

/* NULL: the transaction leaves the key alone. */
static const struct cp_op *find_op(const struct overlay *overlay, gw_str key)
{
    for (size_t i = 0; i < *overlay->count; i++)
        if (gw_str_eq((*overlay->ops)[i].key, key))
            return &(*overlay->ops)[i];
    return NULL;
}

static int read_base(struct overlay *overlay, gw_str key, const struct cp_found **ret,
                     struct gw_error *err)
{
    struct cp_found *found = gw_map_get(&overlay->read, key);
    if (!found) {
        found = GW_ARENA_NEW(overlay->arena, struct cp_found);
        if (cp_store_get(overlay->inner, key, overlay->arena, found, err) < 0)
            return -1;
        gw_map_put(&overlay->read, key, found);
    }
    *ret = found;
    return 0;
}

static int overlay_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                       struct cp_found *ret_found, struct gw_error *err)
{
    (void)arena;
    struct overlay *overlay = overlay_of(store);
    const struct cp_found *base;
    const struct cp_op *op = find_op(overlay, key);
    note(overlay, key, false);
    if (read_base(overlay, key, &base, err) < 0)
        return -1;
    *ret_found = *base;
    if (!op)
        return 0;
    ret_found->found = op->kind == CP_OP_PUT;
    ret_found->kv.key = op->key;
    ret_found->kv.value = op->value;
    return 0;
}

static size_t find_unread(const struct overlay *overlay, const gw_str *keys, size_t count,
                          gw_str *ret_unread)
{
    size_t unread = 0;
    for (size_t i = 0; i < count; i++)
        if (!gw_map_get(&overlay->read, keys[i]))
            ret_unread[unread++] = keys[i];
    return unread;
}

static int overlay_get_all(struct cp_store *store, const gw_str *keys, size_t count,
                           struct gw_arena *arena, struct cp_found *ret_found, struct gw_error *err)
{
    struct overlay *overlay = overlay_of(store);
    gw_str *unread = GW_ARENA_ARRAY(arena, gw_str, count);
    size_t unread_count = find_unread(overlay, keys, count, unread);
    struct cp_found *found = GW_ARENA_ARRAY(overlay->arena, struct cp_found, unread_count + 1);
    if (cp_store_get_all(overlay->inner, unread, unread_count, overlay->arena, found, err) < 0)
        return -1;
    for (size_t i = 0; i < unread_count; i++)
        gw_map_put(&overlay->read, unread[i], &found[i]);
    for (size_t i = 0; i < count; i++)
        if (overlay_get(store, keys[i], arena, &ret_found[i], err) < 0)
            return -1;
    return 0;
}

static int count_base(struct overlay *overlay, gw_str prefix, int64_t *ret_count,
                      struct gw_error *err)
{
    int64_t *count = gw_map_get(&overlay->counted, prefix);
    if (!count) {
        count = GW_ARENA_NEW(overlay->arena, int64_t);
        if (cp_store_count(overlay->inner, prefix, count, err) < 0)
            return -1;
        gw_map_put(&overlay->counted, prefix, count);
    }
    *ret_count = *count;
    return 0;
}

static int overlay_count(struct cp_store *store, gw_str prefix, int64_t *ret_count,
                         struct gw_error *err)
{
    struct overlay *overlay = overlay_of(store);
    note(overlay, prefix, true);
    if (count_base(overlay, prefix, ret_count, err) < 0)
        return -1;
    for (size_t i = 0; i < *overlay->count; i++) {
        const struct cp_found *base;
        const struct cp_op *op = &(*overlay->ops)[i];
        if (!gw_str_has_prefix(op->key, prefix))
            continue;
        if (read_base(overlay, op->key, &base, err) < 0)
            return -1;
        *ret_count += (op->kind == CP_OP_PUT) - base->found;
    }
    return 0;
}

/* ---- lists: two that are merged */

struct merge {
    struct overlay *overlay;
    struct gw_arena *arena;
    struct cp_range range; /* of the next page of what is really there */
    struct cp_page page;
    size_t page_at;
    const struct cp_op **puts; /* within the range, by key */
    size_t put_count, put_at;
    struct cp_kv *kvs;
    size_t count, room;
};

static int by_key(const void *a, const void *b)
{
    return gw_str_cmp((*(const struct cp_op *const *)a)->key,
                      (*(const struct cp_op *const *)b)->key);
}

static void find_puts(struct merge *merge)
{
    const struct overlay *overlay = merge->overlay;
    const struct cp_range *range = &merge->range;
    merge->puts = GW_ARENA_ARRAY(merge->arena, const struct cp_op *, *overlay->count + 1);
    for (size_t i = 0; i < *overlay->count; i++) {
        const struct cp_op *op = &(*overlay->ops)[i];
        if (op->kind == CP_OP_PUT && gw_str_has_prefix(op->key, range->prefix) &&
            (range->after_key.len == 0 || gw_str_cmp(op->key, range->after_key) > 0))
            merge->puts[merge->put_count++] = op;
    }
    qsort(merge->puts, merge->put_count, sizeof merge->puts[0], by_key);
}

static void emit(struct merge *merge, struct cp_kv kv)
{
    if (merge->count == merge->room) {
        size_t room = merge->room ? 2 * merge->room : 64;
        struct cp_kv *kvs = GW_ARENA_ARRAY(merge->arena, struct cp_kv, room);
        if (merge->count > 0)
            memcpy(kvs, merge->kvs, merge->count * sizeof *kvs);
        merge->kvs = kvs;
        merge->room = room;
    }
    merge->kvs[merge->count++] = kv;
}

static int next_page(struct merge *merge, struct gw_error *err)
{
    merge->page_at = 0;
    if (cp_store_list(merge->overlay->inner, &merge->range, merge->arena, &merge->page, err) < 0)
        return -1;
    merge->range.at_revision = merge->page.at.revision;
    if (merge->page.count > 0)
        merge->range.after_key = merge->page.kvs[merge->page.count - 1].key;
    return 0;
}

/* 1: took one; 0: there are no more. */
static int step(struct merge *merge, struct gw_error *err)
{
    if (merge->page_at == merge->page.count && merge->page.more && next_page(merge, err) < 0)
        return -1;
    const struct cp_kv *base =
        merge->page_at < merge->page.count ? &merge->page.kvs[merge->page_at] : NULL;
    const struct cp_op *put = merge->put_at < merge->put_count ? merge->puts[merge->put_at] : NULL;
    if (!base && !put)
        return 0;
    int order = !put ? -1 : !base ? 1 : gw_str_cmp(base->key, put->key);
    merge->page_at += order <= 0;
    merge->put_at += order >= 0;
    if (order >= 0) {
        struct cp_kv kv = {.key = put->key};
        if (order == 0)
            kv = *base;
        kv.value = merge->range.keys_only ? GW_STR_NONE : put->value;
        emit(merge, kv);
    } else if (!find_op(merge->overlay, base->key)) {
        emit(merge, *base);
    }
    return 1;
}

static int overlay_list(struct cp_store *store, const struct cp_range *range,
                        struct gw_arena *arena, struct cp_page *ret_page, struct gw_error *err)
{
    struct merge merge = {.overlay = overlay_of(store), .arena = arena, .range = *range};
    note(merge.overlay, range->prefix, true);
    find_puts(&merge);
    if (next_page(&merge, err) < 0)
        return -1;
    int more = 1;
    while (more > 0 && merge.count <= range->limit) /* one that is too many tells of more */
        more = step(&merge, err);
    if (more < 0)
        return -1;
    *ret_page = (struct cp_page){.kvs = merge.kvs,
                                 .count = GW_MIN(merge.count, range->limit),
                                 .more = merge.count > range->limit,
                                 .at = merge.page.at};
    return 0;
}

static int overlay_txn(struct cp_store *store, const struct cp_txn *txn,
                       struct cp_commit *ret_commit, struct gw_error *err)
{
    (void)store, (void)txn, (void)ret_commit;
    return gw_fail(err, GW_INTERNAL, "a transaction within a transaction");
}

static const struct cp_store_ops overlay_ops = {.get = overlay_get,
                                                .get_all = overlay_get_all,
                                                .list = overlay_list,
                                                .count = overlay_count,
                                                .txn = overlay_txn};

static void forget(void *arg)
{
    struct overlay *overlay = arg;
    gw_map_done(&overlay->read);
    gw_map_done(&overlay->counted);
}

struct cp_store *cp_store_overlay(struct cp_store *inner, const struct cp_op *const *ops,
                                  const size_t *count, struct gw_arena *arena)
{
    struct overlay *overlay = GW_ARENA_NEW(arena, struct overlay);
    *overlay = (struct overlay){
        .store = {.ops = &overlay_ops}, .inner = inner, .ops = ops, .count = count, .arena = arena};
    gw_map_init(&overlay->read);
    gw_map_init(&overlay->counted);
    gw_arena_defer(arena, forget, overlay);
    return &overlay->store;
}
