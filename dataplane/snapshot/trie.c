/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/trie.h"

#include "common/slab.h"

static struct dp_trie of_branch(struct dp_trie_branch *branch)
{
    return (struct dp_trie){(uintptr_t)branch};
}

static struct dp_trie of_item(struct dp_trie_item *item)
{
    return (struct dp_trie){item ? (uintptr_t)item | 1 : 0};
}

static bool is_item(struct dp_trie trie)
{
    return trie.bits & 1;
}

static struct dp_trie_branch *branch_of(struct dp_trie trie)
{
    return (struct dp_trie_branch *)trie.bits;
}

/* ---- references */

struct dp_trie dp_trie_ref(struct dp_trie trie)
{
    if (is_item(trie))
        atomic_fetch_add_explicit(&dp_trie_as_item(trie)->refs, 1, memory_order_relaxed);
    else if (trie.bits)
        atomic_fetch_add_explicit(&branch_of(trie)->refs, 1, memory_order_relaxed);
    return trie;
}

/* True: nobody holds it any more. */
static bool let_go(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

void dp_trie_unref(struct dp_trie trie, const struct dp_trie_kind *kind)
{
    if (is_item(trie)) {
        if (let_go(&dp_trie_as_item(trie)->refs))
            kind->free(dp_trie_as_item(trie));
        return;
    }
    if (!trie.bits || !let_go(&branch_of(trie)->refs))
        return;
    for (uint32_t i = 0; i < branch_of(trie)->count; i++)
        dp_trie_unref(branch_of(trie)->children[i], kind);
    gw_slab_free(branch_of(trie));
}

/* ---- branches */

static struct dp_trie_branch *new_branch(uint32_t count)
{
    struct dp_trie_branch *branch =
        gw_slab_alloc(sizeof *branch + count * sizeof branch->children[0]);
    atomic_init(&branch->refs, 1);
    branch->present = 0;
    branch->count = count;
    branch->first = NULL;
    return branch;
}

/* The branch itself when nobody else can see it, else a copy that shares the children: they then
 * have a second reference, and are copied in their turn when a change reaches them. */
static struct dp_trie_branch *own(struct dp_trie_branch *branch, const struct dp_trie_kind *kind)
{
    if (atomic_load_explicit(&branch->refs, memory_order_acquire) == 1)
        return branch;
    struct dp_trie_branch *copy = new_branch(branch->count);
    copy->present = branch->present;
    copy->first = branch->first;
    for (uint32_t i = 0; i < branch->count; i++)
        copy->children[i] = dp_trie_ref(branch->children[i]);
    dp_trie_unref(of_branch(branch), kind);
    return copy;
}

const struct dp_trie_item *dp_trie_first(struct dp_trie trie)
{
    return is_item(trie) || !trie.bits ? dp_trie_as_item(trie) : branch_of(trie)->first;
}

static void find_first(struct dp_trie_branch *branch, const struct dp_trie_kind *kind)
{
    if (!kind->comes_before)
        return;
    branch->first = dp_trie_first(branch->children[0]);
    for (uint32_t i = 1; i < branch->count; i++) {
        const struct dp_trie_item *item = dp_trie_first(branch->children[i]);
        if (kind->comes_before(item, branch->first))
            branch->first = item;
    }
}

/* After a change of one child, which is not empty. had_first: the first one was below it, and may
 * be gone, or not be the first any more; else it need not be looked for. */
static void compare_first(struct dp_trie_branch *branch, const struct dp_trie_kind *kind,
                          struct dp_trie child, bool had_first)
{
    if (had_first)
        find_first(branch, kind);
    else if (kind->comes_before && kind->comes_before(dp_trie_first(child), branch->first))
        branch->first = dp_trie_first(child);
}

static struct dp_trie_branch *insert(struct dp_trie_branch *branch, uint32_t at,
                                     struct dp_trie child)
{
    branch =
        gw_slab_realloc(branch, sizeof *branch + (branch->count + 1) * sizeof branch->children[0]);
    memmove(branch->children + at + 1, branch->children + at,
            (branch->count - at) * sizeof branch->children[0]);
    branch->children[at] = child;
    branch->count++;
    return branch;
}

/* Without the child, which is gone. What is left of a branch with one item is that item, so that
 * the same items always make the same trie. */
static struct dp_trie drop(struct dp_trie_branch *branch, uint32_t at,
                           const struct dp_trie_kind *kind, bool had_first)
{
    branch->count--;
    memmove(branch->children + at, branch->children + at + 1,
            (branch->count - at) * sizeof branch->children[0]);
    if (branch->count > 1 || (branch->count == 1 && !is_item(branch->children[0]))) {
        if (had_first)
            find_first(branch, kind);
        return of_branch(branch);
    }
    struct dp_trie left = branch->count ? branch->children[0] : DP_TRIE_EMPTY;
    gw_slab_free(branch);
    return left;
}

/* ---- changes */

static struct dp_trie update(struct dp_trie trie, uint32_t hash, unsigned shift,
                             const struct dp_trie_change *change);

/* Index of the hash's bits at that level. */
static unsigned index_at(uint32_t hash, unsigned shift)
{
    return hash >> shift & (DP_TRIE_FANOUT - 1);
}

/* Puts what has become of a child in its place. */
static struct dp_trie settle(struct dp_trie_branch *branch, uint32_t at, struct dp_trie child,
                             const struct dp_trie_kind *kind, bool had_first)
{
    if (!child.bits)
        return drop(branch, at, kind, had_first);
    branch->children[at] = child;
    if (branch->count == 1 && is_item(child)) { /* it was a branch that has become an item */
        gw_slab_free(branch);
        return child;
    }
    compare_first(branch, kind, child, had_first);
    return of_branch(branch);
}

static struct dp_trie update_bucket(struct dp_trie_branch *branch,
                                    const struct dp_trie_change *change)
{
    uint32_t at = 0;
    while (at < branch->count && !change->is(dp_trie_as_item(branch->children[at]), change->key))
        at++;
    bool is_new = at == branch->count;
    struct dp_trie_item *item = is_new ? NULL : dp_trie_as_item(branch->children[at]);
    bool had_first = item && item == branch->first;
    item = change->change(item, change->arg);
    if (!is_new)
        return settle(branch, at, of_item(item), change->kind, had_first);
    if (item) {
        branch = insert(branch, at, of_item(item));
        compare_first(branch, change->kind, of_item(item), false);
    }
    return of_branch(branch);
}

static struct dp_trie update_branch(struct dp_trie_branch *branch, uint32_t hash, unsigned shift,
                                    const struct dp_trie_change *change)
{
    uint32_t bit = 1u << index_at(hash, shift);
    uint32_t at = dp_trie_count(branch->present & (bit - 1));
    bool is_new = !(branch->present & bit);
    struct dp_trie child = is_new ? DP_TRIE_EMPTY : branch->children[at];
    bool had_first = !is_new && dp_trie_first(child) == branch->first;
    child = update(child, hash, shift + DP_TRIE_BITS, change);
    if (is_new) {
        if (child.bits) {
            branch = insert(branch, at, child);
            branch->present |= bit;
            compare_first(branch, change->kind, child, false);
        }
        return of_branch(branch);
    }
    if (!child.bits)
        branch->present &= ~bit;
    return settle(branch, at, child, change->kind, had_first);
}

/* Two items with different keys, from that level on: as many branches as their hashes go together,
 * and a bucket if that is all the way. */
static struct dp_trie join(struct dp_trie_item *a, struct dp_trie_item *b, unsigned shift,
                           const struct dp_trie_kind *kind)
{
    bool is_bucket = shift >= DP_TRIE_HASH_BITS;
    unsigned i = is_bucket ? 0 : index_at(a->hash, shift);
    unsigned k = is_bucket ? 1 : index_at(b->hash, shift);
    struct dp_trie_branch *branch = new_branch(i == k ? 1 : 2);
    branch->present = is_bucket ? 0 : 1u << i | 1u << k;
    if (i == k) {
        branch->children[0] = join(a, b, shift + DP_TRIE_BITS, kind);
    } else {
        branch->children[i > k] = of_item(a);
        branch->children[k > i] = of_item(b);
    }
    find_first(branch, kind);
    return of_branch(branch);
}

static struct dp_trie update(struct dp_trie trie, uint32_t hash, unsigned shift,
                             const struct dp_trie_change *change)
{
    struct dp_trie_item *there = dp_trie_as_item(trie);
    if (trie.bits && !there) {
        struct dp_trie_branch *branch = own(branch_of(trie), change->kind);
        return shift >= DP_TRIE_HASH_BITS ? update_bucket(branch, change)
                                          : update_branch(branch, hash, shift, change);
    }
    if (!there || (there->hash == hash && change->is(there, change->key)))
        return of_item(change->change(there, change->arg));
    struct dp_trie_item *item = change->change(NULL, change->arg);
    return item ? join(there, item, shift, change->kind) : trie;
}

struct dp_trie dp_trie_update(struct dp_trie trie, uint32_t hash,
                              const struct dp_trie_change *change)
{
    return update(trie, hash, 0, change);
}

struct replacement {
    const struct dp_trie_kind *kind;
    struct dp_trie_item *item;
};

static struct dp_trie_item *replace(struct dp_trie_item *item, void *arg)
{
    const struct replacement *with = arg;
    dp_trie_unref(of_item(item), with->kind);
    return with->item;
}

struct dp_trie dp_trie_put(struct dp_trie trie, const struct dp_trie_kind *kind, dp_trie_is *is,
                           const void *key, struct dp_trie_item *item)
{
    struct replacement with = {kind, item};
    const struct dp_trie_change change = {kind, is, key, replace, &with};
    return update(trie, item->hash, 0, &change);
}

struct dp_trie dp_trie_remove(struct dp_trie trie, const struct dp_trie_kind *kind, uint32_t hash,
                              dp_trie_is *is, const void *key)
{
    struct replacement with = {kind, NULL};
    const struct dp_trie_change change = {kind, is, key, replace, &with};
    if (!dp_trie_find(trie, hash, is, key)) /* nothing is copied for nothing */
        return trie;
    return update(trie, hash, 0, &change);
}

void dp_trie_each(struct dp_trie trie, dp_trie_visit *visit, void *arg)
{
    if (is_item(trie)) {
        visit(dp_trie_as_item(trie), arg);
        return;
    }
    for (uint32_t i = 0; trie.bits && i < branch_of(trie)->count; i++)
        dp_trie_each(branch_of(trie)->children[i], visit, arg);
}

size_t dp_trie_bytes(struct dp_trie trie)
{
    if (!trie.bits || is_item(trie))
        return 0;
    const struct dp_trie_branch *branch = branch_of(trie);
    size_t bytes = sizeof *branch + branch->count * sizeof branch->children[0];
    for (uint32_t i = 0; i < branch->count; i++)
        bytes += dp_trie_bytes(branch->children[i]);
    return bytes;
}
