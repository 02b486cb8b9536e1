/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a route tree; private to route_tree.c (memory and match) and route_tree_add.c
 * (changes).
 *
 * Nodes are the segments of all patterns, shared from the front, and what is below a node is a trie
 * by segment; one more trie leads from a whole path without parameters to its routes. So neither
 * the cost of a match nor that of a change depends on the number of routes: what a change does not
 * touch is the same in the tree before and the tree after. */
#ifndef DP_SNAPSHOT_ROUTE_TREE_H
#define DP_SNAPSHOT_ROUTE_TREE_H

#include "dataplane/snapshot/router.h"
#include "dataplane/snapshot/trie.h"

/* How a route takes what is left of the path at its node. */
enum dp_route_kind {
    DP_ROUTE_EXACT,       /* nothing must be left */
    DP_ROUTE_TAIL,        /* NORMAL ending in {x+}: at least one byte behind the slash */
    DP_ROUTE_PREFIX_TAIL, /* SWA ending in {x+}: the same, but NORMAL wins */
    DP_ROUTE_PREFIX,      /* SWA: whatever is left */
};

/* A route at its node. */
struct dp_route_entry {
    atomic_uint refs;
    uint8_t param_count;
    const void *value;     /* borrowed */
    struct dp_unit *owner; /* a reference, may be NULL */
    char names[];          /* of the parameters, each with its length before it, uint16_t */
};

/* The routes of one node; immutable. */
struct dp_route_set {
    atomic_uint refs;
    uint32_t count;
    struct dp_route_pick {
        uint8_t method; /* enum dp_method or DP_METHOD_ANY */
        uint8_t kind;
        struct dp_route_entry *entry; /* a reference */
    } items[];
};

struct dp_route_node {
    struct dp_trie_item item;    /* by its segment */
    struct dp_route_set *routes; /* a reference; NULL: none */
    struct dp_route_node *param; /* a reference: below for {x}; NULL: none */
    struct dp_trie below;        /* nodes of literal segments; first: most visits */
    uint32_t visits;             /* most nodes that a match from here on can touch */
    uint32_t len;
    char text[]; /* the segment */
};

/* A path without parameters that has an EXACT route. */
struct dp_route_exact {
    struct dp_trie_item item;
    struct dp_route_set *routes; /* a reference: those of its node */
    uint32_t len;
    char text[];
};

struct dp_route_tree {
    atomic_uint refs;
    struct dp_route_node *root; /* a reference */
    struct dp_trie exacts;      /* struct dp_route_exact */
    size_t count;               /* of routes */
};

extern const struct dp_trie_kind dp_route_nodes, dp_route_exacts;
void dp_route_set_unref(struct dp_route_set *set); /* takes NULL */
void dp_route_entry_unref(struct dp_route_entry *entry);
void dp_route_node_unref(struct dp_route_node *node); /* takes NULL */

/* Only what is configured is stored, so nobody outside can choose what collides. */
uint32_t dp_route_hash(gw_str text);

static inline bool dp_route_node_is(const struct dp_trie_item *item, const void *key)
{
    const struct dp_route_node *node = (const struct dp_route_node *)item;
    return gw_str_eq(gw_str_n(node->text, node->len), *(const gw_str *)key);
}

static inline bool dp_route_exact_is(const struct dp_trie_item *item, const void *key)
{
    const struct dp_route_exact *exact = (const struct dp_route_exact *)item;
    return gw_str_eq(gw_str_n(exact->text, exact->len), *(const gw_str *)key);
}

/* Node below for a literal segment; NULL: none. */
static inline const struct dp_route_node *dp_route_node_below(const struct dp_route_node *node,
                                                              gw_str segment)
{
    if (!node->below.bits || segment.len > DP_ROUTE_PATTERN_MAX)
        return NULL;
    return (const struct dp_route_node *)dp_trie_find(node->below, dp_route_hash(segment),
                                                      dp_route_node_is, &segment);
}

#endif
