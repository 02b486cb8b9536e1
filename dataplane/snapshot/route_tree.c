/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the routes that fit a path is taken: the first of them in the
 * order literal, {x}, {x+}, shorter prefix, compared segment by segment from the left, among those
 * that have the method; then the method itself before ANY. A route of another method does not
 * shadow a less precise one. */
#include "dataplane/snapshot/route_tree.h"

#include "common/slab.h"
#include "dataplane/snapshot/unit.h"

/* ---- memory */

static bool let_go(atomic_uint *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

void dp_route_entry_unref(struct dp_route_entry *entry)
{
    if (!let_go(&entry->refs))
        return;
    dp_unit_unref(entry->owner);
    gw_slab_free(entry);
}

void dp_route_set_unref(struct dp_route_set *set)
{
    if (!set || !let_go(&set->refs))
        return;
    for (uint32_t i = 0; i < set->count; i++)
        dp_route_entry_unref(set->items[i].entry);
    gw_slab_free(set);
}

static void free_node(struct dp_trie_item *item)
{
    struct dp_route_node *node = (struct dp_route_node *)item;
    dp_route_set_unref(node->routes);
    dp_route_node_unref(node->param);
    dp_trie_unref(node->below, &dp_route_nodes);
    gw_slab_free(node);
}

void dp_route_node_unref(struct dp_route_node *node)
{
    if (node && let_go(&node->item.refs))
        free_node(&node->item);
}

static void free_exact(struct dp_trie_item *item)
{
    struct dp_route_exact *exact = (struct dp_route_exact *)item;
    dp_route_set_unref(exact->routes);
    gw_slab_free(exact);
}

static bool has_more_visits(const struct dp_trie_item *a, const struct dp_trie_item *b)
{
    return ((const struct dp_route_node *)a)->visits > ((const struct dp_route_node *)b)->visits;
}

const struct dp_trie_kind dp_route_nodes = {free_node, has_more_visits};
const struct dp_trie_kind dp_route_exacts = {free_exact, NULL};

struct dp_route_tree *dp_route_tree_new(void)
{
    struct dp_route_tree *tree = gw_slab_zalloc(sizeof(*tree));
    atomic_init(&tree->refs, 1);
    tree->root = gw_slab_zalloc(sizeof(*tree->root));
    atomic_init(&tree->root->item.refs, 1);
    tree->root->visits = 1;
    return tree;
}

struct dp_route_tree *dp_route_tree_copy(const struct dp_route_tree *tree)
{
    struct dp_route_tree *copy = gw_slab_zalloc(sizeof(*copy));
    atomic_init(&copy->refs, 1);
    atomic_fetch_add_explicit(&tree->root->item.refs, 1, memory_order_relaxed);
    copy->root = tree->root;
    copy->exacts = dp_trie_ref(tree->exacts);
    copy->count = tree->count;
    return copy;
}

struct dp_route_tree *dp_route_tree_ref(struct dp_route_tree *tree)
{
    atomic_fetch_add_explicit(&tree->refs, 1, memory_order_relaxed);
    return tree;
}

void dp_route_tree_unref(struct dp_route_tree *tree)
{
    if (!tree || !let_go(&tree->refs))
        return;
    dp_route_node_unref(tree->root);
    dp_trie_unref(tree->exacts, &dp_route_exacts);
    gw_slab_free(tree);
}

size_t dp_route_tree_count(const struct dp_route_tree *tree)
{
    return tree->count;
}

/* ---- all of it */

struct each {
    void (*visit)(void *arg, const void *value);
    void *arg;
};

static void visit_node(const struct dp_trie_item *item, void *arg)
{
    const struct dp_route_node *node = (const struct dp_route_node *)item;
    const struct each *each = arg;
    for (uint32_t i = 0; node->routes && i < node->routes->count; i++)
        each->visit(each->arg, node->routes->items[i].entry->value);
    if (node->param)
        visit_node(&node->param->item, arg);
    dp_trie_each(node->below, visit_node, arg);
}

void dp_route_tree_each(const struct dp_route_tree *tree,
                        void (*visit)(void *arg, const void *value), void *arg)
{
    struct each each = {visit, arg};
    visit_node(&tree->root->item, &each);
}

static size_t node_bytes(const struct dp_route_node *node);

static void add_node_bytes(const struct dp_trie_item *item, void *arg)
{
    *(size_t *)arg += node_bytes((const struct dp_route_node *)item);
}

static size_t set_bytes(const struct dp_route_set *set)
{
    size_t bytes = sizeof(*set) + set->count * sizeof(set->items[0]);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dp_route_entry *entry = set->items[i].entry;
        const char *at = entry->names;
        for (unsigned k = 0; k < entry->param_count; k++) {
            uint16_t len;
            memcpy(&len, at, sizeof len);
            at += sizeof len + len;
        }
        bytes += (size_t)(at - (const char *)entry);
    }
    return bytes;
}

static size_t node_bytes(const struct dp_route_node *node)
{
    size_t bytes = sizeof(*node) + node->len + dp_trie_bytes(node->below);
    bytes += node->routes ? set_bytes(node->routes) : 0;
    bytes += node->param ? node_bytes(node->param) : 0;
    dp_trie_each(node->below, add_node_bytes, &bytes);
    return bytes;
}

static void add_exact_bytes(const struct dp_trie_item *item, void *arg)
{
    *(size_t *)arg += sizeof(struct dp_route_exact) + ((const struct dp_route_exact *)item)->len;
}

size_t dp_route_tree_bytes(const struct dp_route_tree *tree)
{
    size_t bytes = sizeof(*tree) + node_bytes(tree->root) + dp_trie_bytes(tree->exacts);
    dp_trie_each(tree->exacts, add_exact_bytes, &bytes);
    return bytes;
}

/* ---- hash */

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
uint32_t dp_route_hash(gw_str text)
{
    const uint64_t factor = 0x9e3779b97f4a7c15u;
    uint64_t hash = factor ^ text.len;
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

/* One search, depth first in the order of precedence. Recursion is as deep as the longest pattern
 * has segments, and dp_route_tree_add has seen to it that few nodes fit any path. */
struct walk {
    gw_str path;
    unsigned method;
    bool has_path; /* some route fits the path */
    const struct dp_route_entry *found;
    gw_str rest; /* of the path, at the node of `found` */
    gw_str captures[DP_ROUTE_PARAMS_MAX];
};

/* A node's route of that kind for the method, else for ANY. */
static bool take(struct walk *walk, const struct dp_route_set *routes, enum dp_route_kind kind,
                 gw_str rest)
{
    const struct dp_route_pick *best = NULL;
    for (uint32_t i = 0; i < routes->count; i++) {
        const struct dp_route_pick *pick = &routes->items[i];
        if (pick->kind != kind)
            continue;
        walk->has_path = true;
        if (pick->method == walk->method || (pick->method == DP_METHOD_ANY && !best))
            best = pick;
        if (best && best->method == walk->method)
            break;
    }
    walk->found = best ? best->entry : NULL;
    walk->rest = rest;
    return best != NULL;
}

static bool walk_node(struct walk *walk, const struct dp_route_node *node, size_t at,
                      unsigned captured);

/* Below the node: rest is "/segment" and what follows. */
static bool walk_below(struct walk *walk, const struct dp_route_node *node, gw_str rest,
                       unsigned captured)
{
    const char *slash = memchr(rest.ptr + 1, '/', rest.len - 1);
    size_t len = slash ? (size_t)(slash - rest.ptr) - 1 : rest.len - 1;
    size_t next = (size_t)(rest.ptr - walk->path.ptr) + 1 + len;
    gw_str segment = {rest.ptr + 1, len};
    const struct dp_route_node *child = dp_route_node_below(node, segment);
    if (child && walk_node(walk, child, next, captured))
        return true;
    if (!node->param || len == 0)
        return false;
    assert(captured < DP_ROUTE_PARAMS_MAX);
    walk->captures[captured] = segment;
    return walk_node(walk, node->param, next, captured + 1);
}

static bool walk_tail(struct walk *walk, const struct dp_route_set *routes, gw_str rest,
                      unsigned captured)
{
    if (!take(walk, routes, DP_ROUTE_TAIL, GW_STR_NONE) &&
        !take(walk, routes, DP_ROUTE_PREFIX_TAIL, GW_STR_NONE))
        return false;
    assert(captured < DP_ROUTE_PARAMS_MAX);
    walk->captures[captured] = gw_str_n(rest.ptr + 1, rest.len - 1);
    return true;
}

static bool walk_node(struct walk *walk, const struct dp_route_node *node, size_t at,
                      unsigned captured)
{
    gw_str rest = {walk->path.ptr + at, walk->path.len - at};
    if (rest.len == 0) {
        if (node->routes && take(walk, node->routes, DP_ROUTE_EXACT, GW_STR_NONE))
            return true;
    } else if (walk_below(walk, node, rest, captured)) {
        return true;
    }
    if (!node->routes)
        return false;
    if (rest.len > 1 && walk_tail(walk, node->routes, rest, captured))
        return true;
    return take(walk, node->routes, DP_ROUTE_PREFIX, rest);
}

static const struct dp_route_set *find_exact(const struct dp_route_tree *tree, gw_str path)
{
    if (!tree->exacts.bits || path.len > DP_ROUTE_PATTERN_MAX)
        return NULL;
    const struct dp_trie_item *item =
        dp_trie_find(tree->exacts, dp_route_hash(path), dp_route_exact_is, &path);
    return item ? ((const struct dp_route_exact *)item)->routes : NULL;
}

static void name_params(const struct dp_route_entry *entry, const gw_str *captures,
                        struct dp_route_match *match)
{
    const char *at = entry->names;
    match->param_count = entry->param_count;
    for (unsigned i = 0; i < entry->param_count; i++) {
        uint16_t len;
        memcpy(&len, at, sizeof len);
        match->params[i] = (struct dp_route_param){gw_str_n(at + sizeof len, len), captures[i]};
        at += sizeof len + len;
    }
}

enum dp_route_result dp_route_tree_match(const struct dp_route_tree *tree, enum dp_method method,
                                         gw_str path, struct dp_route_match *ret_match)
{
    if (path.len == 0 || *path.ptr != '/')
        return DP_ROUTE_NO_PATH;
    struct walk walk; /* field by field: the captures need no clearing */
    walk.path = path;
    walk.method = method;
    walk.has_path = false;
    const struct dp_route_set *exact = find_exact(tree, path);
    bool is_found = exact && take(&walk, exact, DP_ROUTE_EXACT, GW_STR_NONE);
    if (!is_found && !walk_node(&walk, tree->root, 0, 0))
        return walk.has_path ? DP_ROUTE_NO_METHOD : DP_ROUTE_NO_PATH;
    ret_match->value = walk.found->value;
    ret_match->rest = walk.rest;
    name_params(walk.found, walk.captures, ret_match);
    return DP_ROUTE_FOUND;
}
