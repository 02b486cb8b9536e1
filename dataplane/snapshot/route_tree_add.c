/* SPDX-License-Identifier: Apache-2.0 */
/* Adds routes to a tree. Everything that can be refused is refused before the tree is touched. */
#include "dataplane/snapshot/route_tree.h"

#include <errno.h>
#include <stdlib.h>

#define SEGMENTS_MAX (DP_ROUTE_PATTERN_MAX / 2 + 1)

struct segment {
    gw_str text; /* literal, or name of the parameter */
    bool is_param;
};

struct pattern {
    struct segment segments[SEGMENTS_MAX]; /* without a {x+} at the end */
    unsigned count;
    unsigned param_count;
    gw_str tail; /* name of {x+}; ptr NULL: there is none */
    enum dp_route_kind kind;
};

/* "{name}" or "{name+}" to name; false: something else in braces. */
static bool param_name(gw_str text, bool *ret_is_tail, gw_str *ret_name)
{
    if (text.len < 3 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}')
        return false;
    gw_str name = {text.ptr + 1, text.len - 2};
    *ret_is_tail = name.ptr[name.len - 1] == '+';
    name.len -= *ret_is_tail;
    *ret_name = name;
    return name.len > 0 && gw_str_find(name, '{') < 0 && gw_str_find(name, '}') < 0;
}

static bool has_brace(gw_str text)
{
    return gw_str_find(text, '{') >= 0 || gw_str_find(text, '}') >= 0;
}

/* One segment, the last one or not, into the pattern. */
static int parse_segment(struct pattern *pattern, gw_str text, bool is_last)
{
    struct segment *segment = &pattern->segments[pattern->count];
    bool is_tail = false;
    segment->text = text;
    segment->is_param = has_brace(text);
    if (!segment->is_param) {
        pattern->count++;
        return text.len > 0 || is_last ? 0 : -EINVAL; /* no normalised path has "//" */
    }
    if (!param_name(text, &is_tail, &segment->text) || (is_tail && !is_last) ||
        ++pattern->param_count > DP_ROUTE_PARAMS_MAX)
        return -EINVAL;
    if (is_tail)
        pattern->tail = segment->text;
    else
        pattern->count++;
    return 0;
}

/* A prefix means the same with and without a slash at its end. */
static int parse_pattern(const struct dp_route_def *def, struct pattern *pattern)
{
    gw_str rest = def->pattern;
    pattern->count = pattern->param_count = 0;
    pattern->tail = GW_STR_NONE;
    if (rest.len == 0 || *rest.ptr != '/' || rest.len > DP_ROUTE_PATTERN_MAX)
        return -EINVAL;
    if (def->is_prefix && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    rest = rest.len > 0 ? gw_str_n(rest.ptr + 1, rest.len - 1) : GW_STR_NONE;
    while (rest.ptr) {
        gw_str text = gw_str_split(&rest, '/');
        bool is_last = !rest.ptr;
        if (def->is_prefix && text.len == 0)
            return -EINVAL;
        int result = parse_segment(pattern, text, is_last);
        if (result < 0)
            return result;
    }
    if (pattern->tail.ptr)
        pattern->kind = def->is_prefix ? DP_ROUTE_PREFIX_TAIL : DP_ROUTE_TAIL;
    else
        pattern->kind = def->is_prefix ? DP_ROUTE_PREFIX : DP_ROUTE_EXACT;
    return 0;
}

/* Nodes of the pattern that there are already, root first; how many. */
static unsigned find_nodes(const struct dp_route_tree *tree, const struct pattern *pattern,
                           uint32_t nodes[SEGMENTS_MAX + 1])
{
    nodes[0] = 0;
    for (unsigned i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        uint32_t child = segment->is_param ? tree->nodes[nodes[i]].param
                                           : dp_route_edge_find(tree, nodes[i], segment->text);
        if (child == 0)
            return i + 1;
        nodes[i + 1] = child;
    }
    return pattern->count + 1;
}

static bool is_taken(const struct dp_route_tree *tree, uint32_t node,
                     const struct dp_route_def *def, enum dp_route_kind kind)
{
    uint32_t at = tree->nodes[node].first_route;
    while (at != DP_ROUTE_NONE) {
        const struct dp_route_entry *entry = &tree->entries[at];
        if (entry->kind == kind && entry->method == def->method)
            return true;
        at = entry->next;
    }
    return false;
}

/* Visits of the root once the pattern is in. A path touches the literal node of its segment and the
 * {x} node beside it, so the bound is the largest of the former plus the latter. */
static uint32_t visits_with(const struct dp_route_tree *tree, const struct pattern *pattern,
                            const uint32_t *nodes, unsigned known)
{
    static const struct dp_route_node fresh = {.visits = 1};
    uint32_t below = 0;
    for (unsigned i = pattern->count + 1; i-- > 0;) {
        const struct dp_route_node *node = i < known ? &tree->nodes[nodes[i]] : &fresh;
        uint32_t literal = node->literal_visits;
        uint32_t param = node->param ? tree->nodes[node->param].visits : 0;
        if (i < pattern->count && pattern->segments[i].is_param)
            param = below;
        else
            literal = GW_MAX(literal, below);
        below = 1 + literal + param;
    }
    return below;
}

/* Room for one more element; an array of `size` bytes each. */
static void *grow(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    assert(*capacity < UINT32_MAX / 2);
    *capacity = *capacity ? *capacity * 2 : 4;
    return gw_realloc(array, *capacity * size);
}

static struct dp_route_slice add_text(struct dp_route_tree *tree, gw_str text)
{
    assert(tree->text_len < UINT32_MAX / 2);
    while (tree->text_len + text.len > tree->text_capacity) {
        tree->text_capacity = tree->text_capacity ? tree->text_capacity * 2 : 64;
        tree->text = gw_realloc(tree->text, tree->text_capacity);
    }
    struct dp_route_slice slice = {tree->text_len, (uint32_t)text.len};
    if (text.len > 0)
        memcpy(tree->text + slice.at, text.ptr, text.len);
    tree->text_len += (uint32_t)text.len;
    return slice;
}

static uint32_t add_node(struct dp_route_tree *tree)
{
    tree->nodes = grow(tree->nodes, tree->node_count, &tree->node_capacity, sizeof(*tree->nodes));
    tree->nodes[tree->node_count] =
        (struct dp_route_node){.first_route = DP_ROUTE_NONE, .visits = 1};
    return tree->node_count++;
}

static void put_edge(struct dp_route_tree *tree, struct dp_route_edge edge)
{
    uint32_t mask = tree->edge_capacity - 1, i = edge.hash & mask;
    while (tree->edges[i].child != 0)
        i = (i + 1) & mask;
    tree->edges[i] = edge;
}

/* Tables are at most three quarters full. */
static bool is_full(uint32_t count, uint32_t capacity)
{
    return count + 1 > capacity / 4 * 3;
}

static void add_edge(struct dp_route_tree *tree, struct dp_route_edge edge)
{
    if (is_full(tree->edge_count, tree->edge_capacity)) {
        struct dp_route_edge *old = tree->edges;
        uint32_t old_capacity = tree->edge_capacity;
        tree->edge_capacity = old_capacity ? old_capacity * 2 : 4;
        tree->edges = gw_calloc(tree->edge_capacity, sizeof(*tree->edges));
        for (uint32_t i = 0; i < old_capacity; i++) {
            if (old[i].child != 0)
                put_edge(tree, old[i]);
        }
        free(old);
    }
    put_edge(tree, edge);
    tree->edge_count++;
}

static void put_exact(struct dp_route_tree *tree, struct dp_route_exact exact)
{
    uint32_t mask = tree->exact_capacity - 1, i = exact.hash & mask;
    while (tree->exacts[i].node != DP_ROUTE_NONE)
        i = (i + 1) & mask;
    tree->exacts[i] = exact;
}

static void add_exact(struct dp_route_tree *tree, struct dp_route_exact exact)
{
    if (is_full(tree->exact_count, tree->exact_capacity)) {
        struct dp_route_exact *old = tree->exacts;
        uint32_t old_capacity = tree->exact_capacity;
        tree->exact_capacity = old_capacity ? old_capacity * 2 : 4;
        tree->exacts = gw_malloc(tree->exact_capacity * sizeof(*tree->exacts));
        for (uint32_t i = 0; i < tree->exact_capacity; i++)
            tree->exacts[i].node = DP_ROUTE_NONE;
        for (uint32_t i = 0; i < old_capacity; i++) {
            if (old[i].node != DP_ROUTE_NONE)
                put_exact(tree, old[i]);
        }
        free(old);
    }
    put_exact(tree, exact);
    tree->exact_count++;
}

static uint32_t add_child(struct dp_route_tree *tree, uint32_t parent,
                          const struct segment *segment)
{
    uint32_t child = add_node(tree);
    if (segment->is_param) {
        tree->nodes[parent].param = child;
        return child;
    }
    add_edge(tree, (struct dp_route_edge){.hash = dp_route_hash(segment->text, parent),
                                          .parent = parent,
                                          .child = child,
                                          .segment = add_text(tree, segment->text)});
    return child;
}

/* Brings visits up to date along the pattern, leaf first. */
static void update_visits(struct dp_route_tree *tree, const struct pattern *pattern,
                          const uint32_t *nodes)
{
    for (unsigned i = pattern->count + 1; i-- > 0;) {
        struct dp_route_node *node = &tree->nodes[nodes[i]];
        if (i < pattern->count && !pattern->segments[i].is_param)
            node->literal_visits = GW_MAX(node->literal_visits, tree->nodes[nodes[i + 1]].visits);
        node->visits =
            1 + node->literal_visits + (node->param ? tree->nodes[node->param].visits : 0);
    }
}

static void add_name(struct dp_route_tree *tree, gw_str name)
{
    tree->names = grow(tree->names, tree->name_count, &tree->name_capacity, sizeof(*tree->names));
    tree->names[tree->name_count++] = add_text(tree, name);
}

static void add_entry(struct dp_route_tree *tree, const struct dp_route_def *def,
                      const struct pattern *pattern, uint32_t node)
{
    struct dp_route_entry entry = {.value = def->value,
                                   .next = tree->nodes[node].first_route,
                                   .first_name = tree->name_count,
                                   .method = (uint8_t)def->method,
                                   .kind = (uint8_t)pattern->kind,
                                   .param_count = (uint8_t)pattern->param_count};
    for (unsigned i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].is_param)
            add_name(tree, pattern->segments[i].text);
    }
    if (pattern->tail.ptr)
        add_name(tree, pattern->tail);
    tree->entries =
        grow(tree->entries, tree->entry_count, &tree->entry_capacity, sizeof(*tree->entries));
    tree->entries[tree->entry_count] = entry;
    tree->nodes[node].first_route = tree->entry_count++;
}

int dp_route_tree_add(struct dp_route_tree *tree, const struct dp_route_def *def)
{
    assert(atomic_load(&tree->refs) == 1 && def->value);
    struct pattern pattern;
    uint32_t nodes[SEGMENTS_MAX + 1];
    int result = parse_pattern(def, &pattern);
    if (result < 0 || def->method == DP_METHOD_OTHER || def->method > DP_METHOD_ANY)
        return -EINVAL;
    unsigned known = find_nodes(tree, &pattern, nodes);
    if (known == pattern.count + 1 && is_taken(tree, nodes[pattern.count], def, pattern.kind))
        return -EEXIST;
    if (visits_with(tree, &pattern, nodes, known) > DP_ROUTE_VISITS_MAX)
        return -E2BIG;
    for (unsigned i = known; i <= pattern.count; i++)
        nodes[i] = add_child(tree, nodes[i - 1], &pattern.segments[i - 1]);
    update_visits(tree, &pattern, nodes);
    add_entry(tree, def, &pattern, nodes[pattern.count]);
    if (pattern.kind == DP_ROUTE_EXACT && pattern.param_count == 0 &&
        dp_route_exact_find(tree, def->pattern) == DP_ROUTE_NONE)
        add_exact(tree, (struct dp_route_exact){.hash = dp_route_hash(def->pattern, 0),
                                                .node = nodes[pattern.count],
                                                .path = add_text(tree, def->pattern)});
    return 0;
}
