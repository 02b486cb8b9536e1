/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a route tree; private to route_tree.c (memory and match) and route_tree_add.c (build).
 *
 * Nodes are the segments of all patterns, shared from the front. Two hash tables make the cost of a
 * match independent of the number of routes: `edges` from (node, literal segment) to the node
 * below, and `exacts` from a whole path without parameters to its node. All references are indexes,
 * so that the arrays may grow; text stands once in `text`. */
#ifndef DP_SNAPSHOT_ROUTE_TREE_H
#define DP_SNAPSHOT_ROUTE_TREE_H

#include "dataplane/snapshot/router.h"

#include <stdatomic.h>

#define DP_ROUTE_NONE UINT32_MAX

/* How a route takes what is left of the path at its node. */
enum dp_route_kind {
    DP_ROUTE_EXACT,       /* nothing must be left */
    DP_ROUTE_TAIL,        /* NORMAL ending in {x+}: at least one byte behind the slash */
    DP_ROUTE_PREFIX_TAIL, /* SWA ending in {x+}: the same, but NORMAL wins */
    DP_ROUTE_PREFIX,      /* SWA: whatever is left */
};

/* Bytes [at, at + len) of the tree's text. */
struct dp_route_slice {
    uint32_t at, len;
};

struct dp_route_entry {
    const void *value;   /* borrowed */
    uint32_t next;       /* route of the same node, or NONE */
    uint32_t first_name; /* names[first_name ... + param_count) */
    uint8_t method;      /* enum dp_method or DP_METHOD_ANY */
    uint8_t kind;
    uint8_t param_count;
};

struct dp_route_node {
    uint32_t first_route;    /* or NONE */
    uint32_t param;          /* node below for {x}; 0: none, as the root is below nobody */
    uint32_t visits;         /* most nodes that a match from here on can touch */
    uint32_t literal_visits; /* the largest of those of the literal nodes below */
};

/* Open addressing with linear probing; child 0: free. */
struct dp_route_edge {
    uint32_t hash, parent, child;
    struct dp_route_slice segment;
};

/* The same; node NONE: free. */
struct dp_route_exact {
    uint32_t hash, node;
    struct dp_route_slice path;
};

struct dp_route_tree {
    atomic_uint refs;
    struct dp_route_node *nodes;    /* owned, as are all; [0] is the root */
    struct dp_route_entry *entries; /* in the order of adding */
    struct dp_route_slice *names;
    struct dp_route_edge *edges;
    struct dp_route_exact *exacts;
    char *text;
    uint32_t node_count, node_capacity;
    uint32_t entry_count, entry_capacity;
    uint32_t name_count, name_capacity;
    uint32_t text_len, text_capacity;
    uint32_t edge_count, edge_capacity; /* capacities of the tables: powers of two, or 0 */
    uint32_t exact_count, exact_capacity;
};

static inline gw_str dp_route_text(const struct dp_route_tree *tree, struct dp_route_slice slice)
{
    return (gw_str){tree->text + slice.at, slice.len};
}

/* Only what is configured is stored, so nobody outside can choose what collides. */
uint32_t dp_route_hash(gw_str text, uint32_t seed);
/* Node below `parent` for a literal segment; 0: none. */
uint32_t dp_route_edge_find(const struct dp_route_tree *tree, uint32_t parent, gw_str segment);
/* Node of a path without parameters that has an EXACT route, or NONE. */
uint32_t dp_route_exact_find(const struct dp_route_tree *tree, gw_str path);

#endif
