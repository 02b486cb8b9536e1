/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table that shares what does not change: a trie over 32 bits of hash, 5 a level, whose
 * branches are copied where a change passes and somebody else sees them. One change in 100,000
 * items costs four branches, and so does letting go of what was before. Branches keep which item
 * below comes first, so that a maximum of all is always at hand. One thread changes; what more than
 * one holds is immutable and any thread's. */
#ifndef DP_SNAPSHOT_TRIE_H
#define DP_SNAPSHOT_TRIE_H

#include "common/str.h"

#include <stdatomic.h>

#define DP_TRIE_BITS 5
#define DP_TRIE_FANOUT (1u << DP_TRIE_BITS)
#define DP_TRIE_HASH_BITS 32

/* Embedded in what is stored, at its start. */
struct dp_trie_item {
    atomic_uint refs; /* 1 when it is made */
    uint32_t hash;
};

/* An item (bit 0 of the address set), a branch, or nothing; a reference. */
struct dp_trie {
    uintptr_t bits;
};

#define DP_TRIE_EMPTY ((struct dp_trie){0})

/* A branch, or below all bits of the hash a bucket of items that have all of it in common. */
struct dp_trie_branch {
    atomic_uint refs;
    uint32_t present;                 /* bit n: children has one for n; bucket: 0 */
    uint32_t count;                   /* of children */
    const struct dp_trie_item *first; /* of all below; borrowed from them */
    struct dp_trie children[];
};

/* What the items of a trie are. */
struct dp_trie_kind {
    void (*free)(struct dp_trie_item *item);
    /* May be NULL. */
    bool (*comes_before)(const struct dp_trie_item *a, const struct dp_trie_item *b);
};

typedef bool dp_trie_is(const struct dp_trie_item *item, const void *key);

/* One change: item is what has that key, or NULL, and its reference is taken over; what is returned
 * comes in its place, with its reference: NULL: nothing. */
struct dp_trie_change {
    const struct dp_trie_kind *kind;
    dp_trie_is *is;
    const void *key;
    struct dp_trie_item *(*change)(struct dp_trie_item *item, void *arg);
    void *arg;
};

static inline struct dp_trie_item *dp_trie_as_item(struct dp_trie trie)
{
    return trie.bits & 1 ? (struct dp_trie_item *)(trie.bits - 1) : NULL;
}

static inline const struct dp_trie_branch *dp_trie_as_branch(struct dp_trie trie)
{
    return (const struct dp_trie_branch *)trie.bits;
}

/* Bits that are set. Where every x86-64 processor must do, gcc's own is a call. */
static inline uint32_t dp_trie_count(uint32_t bits)
{
    bits -= (bits >> 1) & 0x55555555;
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333);
    return ((bits + (bits >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

/* The item with that key, NULL: none. Inline, so that `is` is, too. */
static inline const struct dp_trie_item *dp_trie_find(struct dp_trie trie, uint32_t hash,
                                                      dp_trie_is *is, const void *key)
{
    uint32_t left = hash;
    while (trie.bits && !(trie.bits & 1)) {
        const struct dp_trie_branch *branch = dp_trie_as_branch(trie);
        uint32_t bit = 1u << (left & (DP_TRIE_FANOUT - 1));
        left >>= DP_TRIE_BITS;
        if (gw_likely(branch->present & bit)) {
            trie = branch->children[dp_trie_count(branch->present & (bit - 1))];
            continue;
        }
        for (uint32_t i = 0; branch->present == 0 && i < branch->count; i++) {
            const struct dp_trie_item *item = dp_trie_as_item(branch->children[i]);
            if (is(item, key))
                return item;
        }
        return NULL;
    }
    const struct dp_trie_item *item = dp_trie_as_item(trie);
    return item && item->hash == hash && is(item, key) ? item : NULL;
}

struct dp_trie dp_trie_ref(struct dp_trie trie);
void dp_trie_unref(struct dp_trie trie, const struct dp_trie_kind *kind);

/* Takes over the reference to trie, and gives one. Nobody else sees a difference. */
GW_MUST_CHECK struct dp_trie dp_trie_update(struct dp_trie trie, uint32_t hash,
                                            const struct dp_trie_change *change);
/* Puts item, whose reference it takes over, in the place of what `is` finds by its key. */
GW_MUST_CHECK struct dp_trie dp_trie_put(struct dp_trie trie, const struct dp_trie_kind *kind,
                                         dp_trie_is *is, const void *key,
                                         struct dp_trie_item *item);
GW_MUST_CHECK struct dp_trie dp_trie_remove(struct dp_trie trie, const struct dp_trie_kind *kind,
                                            uint32_t hash, dp_trie_is *is, const void *key);

/* Of a kind that has an order: the item that no other comes before. NULL: there is none. */
const struct dp_trie_item *dp_trie_first(struct dp_trie trie);
typedef void dp_trie_visit(const struct dp_trie_item *item, void *arg);
void dp_trie_each(struct dp_trie trie, dp_trie_visit *visit, void *arg); /* in no order */
size_t dp_trie_bytes(struct dp_trie trie);                               /* of branches */

#endif
