/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the routes that fit a path is taken: the first of them in the
 * order literal, {x}, {x+}, shorter prefix, compared segment by segment from the left, among those
 * that have the method; then the method itself before ANY. A route of another method does not
 * shadow a less precise one. */
#include "dataplane/snapshot/route_tree.h"

#include <stdlib.h>

static const struct dp_route_node empty_node = {.first_route = DP_ROUTE_NONE, .visits = 1};

struct dp_route_tree *dp_route_tree_new(void)
{
    struct dp_route_tree *tree = gw_calloc(1, sizeof(*tree));
    atomic_init(&tree->refs, 1);
    tree->nodes = gw_malloc(sizeof(*tree->nodes));
    tree->nodes[0] = empty_node;
    tree->node_count = tree->node_capacity = 1;
    return tree;
}

struct dp_route_tree *dp_route_tree_ref(struct dp_route_tree *tree)
{
    atomic_fetch_add_explicit(&tree->refs, 1, memory_order_relaxed);
    return tree;
}

void dp_route_tree_unref(struct dp_route_tree *tree)
{
    if (!tree || atomic_fetch_sub_explicit(&tree->refs, 1, memory_order_acq_rel) != 1)
        return;
    free(tree->nodes);
    free(tree->entries);
    free(tree->names);
    free(tree->edges);
    free(tree->exacts);
    free(tree->text);
    free(tree);
}

size_t dp_route_tree_count(const struct dp_route_tree *tree)
{
    return tree->entry_count;
}

size_t dp_route_tree_bytes(const struct dp_route_tree *tree)
{
    return sizeof(*tree) + tree->node_capacity * sizeof(*tree->nodes) +
           tree->entry_capacity * sizeof(*tree->entries) +
           tree->name_capacity * sizeof(*tree->names) + tree->edge_capacity * sizeof(*tree->edges) +
           tree->exact_capacity * sizeof(*tree->exacts) + tree->text_capacity;
}

static uint64_t load_tail(gw_str text)
{
    uint64_t word = 0;
    uint32_t low, high;
    if (text.len >= 8) {
        memcpy(&word, text.ptr + text.len - 8, 8);
    } else if (text.len >= 4) {
        memcpy(&low, text.ptr, 4);
        memcpy(&high, text.ptr + text.len - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (text.len > 0) {
        word = (uint64_t)(unsigned char)text.ptr[0] |
               (uint64_t)(unsigned char)text.ptr[text.len / 2] << 8 |
               (uint64_t)(unsigned char)text.ptr[text.len - 1] << 16;
    }
    return word;
}

/* Eight bytes a step: multiply by an odd constant (2^64 / golden ratio), fold the high half down.
 */
uint32_t dp_route_hash(gw_str text, uint32_t seed)
{
    const uint64_t factor = 0x9e3779b97f4a7c15u;
    uint64_t hash = (seed + 1) * factor ^ text.len;
    for (size_t i = 0; i + 8 < text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.ptr + i, 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    hash = (hash ^ load_tail(text)) * factor;
    hash = (hash ^ (hash >> 32)) * factor;
    return (uint32_t)(hash >> 32);
}

uint32_t dp_route_edge_find(const struct dp_route_tree *tree, uint32_t parent, gw_str segment)
{
    if (tree->edge_count == 0 || segment.len > DP_ROUTE_PATTERN_MAX)
        return 0;
    uint32_t hash = dp_route_hash(segment, parent), mask = tree->edge_capacity - 1;
    for (uint32_t i = hash & mask; tree->edges[i].child != 0; i = (i + 1) & mask) {
        const struct dp_route_edge *edge = &tree->edges[i];
        if (edge->hash == hash && edge->parent == parent &&
            gw_str_eq(dp_route_text(tree, edge->segment), segment))
            return edge->child;
    }
    return 0;
}

uint32_t dp_route_exact_find(const struct dp_route_tree *tree, gw_str path)
{
    if (tree->exact_count == 0 || path.len > DP_ROUTE_PATTERN_MAX)
        return DP_ROUTE_NONE;
    uint32_t hash = dp_route_hash(path, 0), mask = tree->exact_capacity - 1;
    for (uint32_t i = hash & mask; tree->exacts[i].node != DP_ROUTE_NONE; i = (i + 1) & mask) {
        const struct dp_route_exact *exact = &tree->exacts[i];
        if (exact->hash == hash && gw_str_eq(dp_route_text(tree, exact->path), path))
            return exact->node;
    }
    return DP_ROUTE_NONE;
}

/* One search, depth first in the order of precedence. Recursion is as deep as the longest pattern
 * has segments, and dp_route_tree_add has seen to it that few nodes fit any path. */
struct walk {
    const struct dp_route_tree *tree;
    gw_str path;
    unsigned method;
    bool has_path; /* some route fits the path */
    const struct dp_route_entry *found;
    gw_str rest; /* of the path, at the node of `found` */
    gw_str captures[DP_ROUTE_PARAMS_MAX];
};

/* The node's route of that kind for the method, else for ANY. */
static bool take(struct walk *walk, uint32_t node, enum dp_route_kind kind, gw_str rest)
{
    const struct dp_route_entry *best = NULL;
    uint32_t at = walk->tree->nodes[node].first_route;
    while (at != DP_ROUTE_NONE) {
        const struct dp_route_entry *entry = &walk->tree->entries[at];
        at = entry->next;
        if (entry->kind != kind)
            continue;
        walk->has_path = true;
        if (entry->method == walk->method || (entry->method == DP_METHOD_ANY && !best))
            best = entry;
        if (best && best->method == walk->method)
            break;
    }
    walk->found = best;
    walk->rest = rest;
    return best != NULL;
}

static bool walk_node(struct walk *walk, uint32_t node, size_t at, unsigned captured);

/* Below the node: rest is "/segment" and what follows. */
static bool walk_below(struct walk *walk, uint32_t node, gw_str rest, unsigned captured)
{
    const char *slash = memchr(rest.ptr + 1, '/', rest.len - 1);
    size_t len = slash ? (size_t)(slash - rest.ptr) - 1 : rest.len - 1;
    size_t next = (size_t)(rest.ptr - walk->path.ptr) + 1 + len;
    gw_str segment = {rest.ptr + 1, len};
    uint32_t child = dp_route_edge_find(walk->tree, node, segment);
    if (child != 0 && walk_node(walk, child, next, captured))
        return true;
    child = walk->tree->nodes[node].param;
    if (child == 0 || len == 0)
        return false;
    assert(captured < DP_ROUTE_PARAMS_MAX);
    walk->captures[captured] = segment;
    return walk_node(walk, child, next, captured + 1);
}

static bool walk_tail(struct walk *walk, uint32_t node, gw_str rest, unsigned captured)
{
    if (!take(walk, node, DP_ROUTE_TAIL, GW_STR_NONE) &&
        !take(walk, node, DP_ROUTE_PREFIX_TAIL, GW_STR_NONE))
        return false;
    assert(captured < DP_ROUTE_PARAMS_MAX);
    walk->captures[captured] = gw_str_n(rest.ptr + 1, rest.len - 1);
    return true;
}

static bool walk_node(struct walk *walk, uint32_t node, size_t at, unsigned captured)
{
    gw_str rest = {walk->path.ptr + at, walk->path.len - at};
    if (rest.len == 0) {
        if (take(walk, node, DP_ROUTE_EXACT, GW_STR_NONE))
            return true;
    } else if (walk_below(walk, node, rest, captured)) {
        return true;
    }
    if (walk->tree->nodes[node].first_route == DP_ROUTE_NONE)
        return false;
    if (rest.len > 1 && walk_tail(walk, node, rest, captured))
        return true;
    return take(walk, node, DP_ROUTE_PREFIX, rest);
}

enum dp_route_result dp_route_tree_match(const struct dp_route_tree *tree, enum dp_method method,
                                         gw_str path, struct dp_route_match *ret_match)
{
    if (path.len == 0 || *path.ptr != '/')
        return DP_ROUTE_NO_PATH;
    struct walk walk;
    walk.tree = tree; /* field by field: the captures need no clearing */
    walk.path = path;
    walk.method = method;
    walk.has_path = false;
    uint32_t exact = dp_route_exact_find(tree, path);
    bool is_found = exact != DP_ROUTE_NONE && take(&walk, exact, DP_ROUTE_EXACT, GW_STR_NONE);
    if (!is_found && !walk_node(&walk, 0, 0, 0))
        return walk.has_path ? DP_ROUTE_NO_METHOD : DP_ROUTE_NO_PATH;
    ret_match->value = walk.found->value;
    ret_match->rest = walk.rest;
    ret_match->param_count = walk.found->param_count;
    for (unsigned i = 0; i < walk.found->param_count; i++) {
        ret_match->params[i].name = dp_route_text(tree, tree->names[walk.found->first_name + i]);
        ret_match->params[i].value = walk.captures[i];
    }
    return DP_ROUTE_FOUND;
}
