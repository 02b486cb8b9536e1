/* SPDX-License-Identifier: Apache-2.0 */
/* Routes come and go. Everything that can be refused is refused before the tree is touched. */
#include "dataplane/snapshot/route_tree.h"

#include "common/slab.h"
#include "dataplane/snapshot/unit.h"

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
                           const struct dp_route_node *nodes[SEGMENTS_MAX + 1])
{
    nodes[0] = tree->root;
    for (unsigned i = 0; i < pattern->count; i++) {
        const struct segment *segment = &pattern->segments[i];
        nodes[i + 1] =
            segment->is_param ? nodes[i]->param : dp_route_node_below(nodes[i], segment->text);
        if (!nodes[i + 1])
            return i + 1;
    }
    return pattern->count + 1;
}

/* Where it is among the routes of its node; their number: it is not there. */
static uint32_t find_pick(const struct dp_route_set *routes, unsigned method,
                          enum dp_route_kind kind)
{
    uint32_t at = 0;
    while (routes && at < routes->count &&
           (routes->items[at].kind != kind || routes->items[at].method != method))
        at++;
    return at;
}

static bool has_pick(const struct dp_route_set *routes, unsigned method, enum dp_route_kind kind)
{
    return routes && find_pick(routes, method, kind) < routes->count;
}

static uint32_t literal_visits(const struct dp_route_node *node)
{
    const struct dp_trie_item *first = dp_trie_first(node->below);
    return first ? ((const struct dp_route_node *)first)->visits : 0;
}

/* Visits of the root once the pattern is in. A path touches the literal node of its segment and the
 * {x} node beside it, so the bound is the largest of the former plus the latter. */
static uint32_t visits_with(const struct pattern *pattern, const struct dp_route_node *const *nodes,
                            unsigned known)
{
    uint32_t below = 0;
    for (unsigned i = pattern->count + 1; i-- > 0;) {
        const struct dp_route_node *node = i < known ? nodes[i] : NULL;
        uint32_t literal = node ? literal_visits(node) : 0;
        uint32_t param = node && node->param ? node->param->visits : 0;
        if (i < pattern->count && pattern->segments[i].is_param)
            param = below;
        else
            literal = GW_MAX(literal, below);
        below = 1 + literal + param;
    }
    return below;
}

/* ---- parts */

static char *put_name(char *at, gw_str name)
{
    uint16_t len = (uint16_t)name.len; /* a pattern is short */
    memcpy(at, &len, sizeof len);
    memcpy(at + sizeof len, name.ptr, name.len);
    return at + sizeof len + name.len;
}

static struct dp_route_entry *new_entry(const struct dp_route_def *def,
                                        const struct pattern *pattern)
{
    size_t bytes = pattern->tail.ptr ? sizeof(uint16_t) + pattern->tail.len : 0;
    for (unsigned i = 0; i < pattern->count; i++)
        bytes +=
            pattern->segments[i].is_param ? sizeof(uint16_t) + pattern->segments[i].text.len : 0;
    struct dp_route_entry *entry = gw_slab_alloc(sizeof(*entry) + bytes);
    atomic_init(&entry->refs, 1);
    entry->value = def->value;
    entry->owner = def->owner ? dp_unit_ref(def->owner) : NULL;
    entry->param_count = (uint8_t)pattern->param_count;
    char *at = entry->names;
    for (unsigned i = 0; i < pattern->count; i++) {
        if (pattern->segments[i].is_param)
            at = put_name(at, pattern->segments[i].text);
    }
    if (pattern->tail.ptr)
        (void)put_name(at, pattern->tail); /* nothing comes behind */
    return entry;
}

/* A set of `count`, with those of the other (NULL: none) but the one at `without`. */
static struct dp_route_set *copy_set(const struct dp_route_set *from, uint32_t count,
                                     uint32_t without)
{
    struct dp_route_set *set = gw_slab_alloc(sizeof(*set) + count * sizeof(set->items[0]));
    atomic_init(&set->refs, 1);
    set->count = 0;
    for (uint32_t i = 0; from && i < from->count; i++) {
        if (i == without)
            continue;
        set->items[set->count++] = from->items[i];
        atomic_fetch_add_explicit(&from->items[i].entry->refs, 1, memory_order_relaxed);
    }
    return set;
}

/* Takes over both references and gives one. */
static struct dp_route_set *with_entry(struct dp_route_set *before, unsigned method,
                                       enum dp_route_kind kind, struct dp_route_entry *entry)
{
    uint32_t count = before ? before->count : 0;
    struct dp_route_set *set = copy_set(before, count + 1, UINT32_MAX);
    set->items[set->count++] = (struct dp_route_pick){(uint8_t)method, (uint8_t)kind, entry};
    dp_route_set_unref(before);
    return set;
}

static struct dp_route_set *without_entry(struct dp_route_set *before, uint32_t at)
{
    struct dp_route_set *set = before->count > 1 ? copy_set(before, before->count - 1, at) : NULL;
    dp_route_set_unref(before);
    return set;
}

static struct dp_route_node *new_node(gw_str text)
{
    struct dp_route_node *node = gw_slab_alloc(sizeof(*node) + text.len);
    memset(node, 0, sizeof(*node));
    atomic_init(&node->item.refs, 1);
    node->item.hash = dp_route_hash(text);
    node->len = (uint32_t)text.len;
    if (text.len > 0)
        memcpy(node->text, text.ptr, text.len);
    return node;
}

/* The node itself when nobody else can see it, else a copy; the reference goes from one to the
 * other. */
static struct dp_route_node *own_node(struct dp_route_node *node)
{
    if (atomic_load_explicit(&node->item.refs, memory_order_acquire) == 1)
        return node;
    struct dp_route_node *copy = new_node(gw_str_n(node->text, node->len));
    if (node->routes)
        atomic_fetch_add_explicit(&node->routes->refs, 1, memory_order_relaxed);
    if (node->param)
        atomic_fetch_add_explicit(&node->param->item.refs, 1, memory_order_relaxed);
    copy->routes = node->routes;
    copy->param = node->param;
    copy->below = dp_trie_ref(node->below);
    dp_route_node_unref(node);
    return copy;
}

/* ---- one change */

/* Along a pattern, from the root down. */
struct change {
    const struct pattern *pattern;
    unsigned method;
    struct dp_route_entry *entry; /* comes in; NULL: the one of that method and kind goes */
    unsigned depth;               /* of the node that is changed */
    struct dp_route_set *routes;  /* borrowed: what the last node has in the end */
};

static struct dp_route_node *change_node(struct dp_route_node *node, struct change *change);

static struct dp_trie_item *change_below(struct dp_trie_item *item, void *arg)
{
    struct dp_route_node *node = change_node((struct dp_route_node *)item, arg);
    return node ? &node->item : NULL;
}

static void change_routes(struct dp_route_node *node, struct change *change)
{
    enum dp_route_kind kind = change->pattern->kind;
    if (change->entry)
        node->routes = with_entry(node->routes, change->method, kind, change->entry);
    else
        node->routes = without_entry(node->routes, find_pick(node->routes, change->method, kind));
    change->routes = node->routes;
}

/* Takes over the reference to the node (NULL: it is made) and gives one; NULL: nothing is left of
 * it. */
static struct dp_route_node *change_node(struct dp_route_node *node, struct change *change)
{
    unsigned depth = change->depth++;
    const struct segment *above = depth > 0 ? &change->pattern->segments[depth - 1] : NULL;
    const struct segment *next = &change->pattern->segments[depth];
    node = node ? own_node(node) : new_node(above->is_param ? GW_STR_NONE : above->text);
    if (depth == change->pattern->count) {
        change_routes(node, change);
    } else if (next->is_param) {
        node->param = change_node(node->param, change);
    } else {
        const struct dp_trie_change below = {&dp_route_nodes, dp_route_node_is, &next->text,
                                             change_below, change};
        node->below = dp_trie_update(node->below, dp_route_hash(next->text), &below);
    }
    if (depth > 0 && !node->routes && !node->param && !node->below.bits) {
        dp_route_node_unref(node);
        return NULL;
    }
    node->visits = 1 + literal_visits(node) + (node->param ? node->param->visits : 0);
    return node;
}

/* The path that only literal segments make. */
static gw_str literal_path(const struct pattern *pattern, char text[DP_ROUTE_PATTERN_MAX])
{
    size_t len = 0;
    for (unsigned i = 0; i < pattern->count; i++) {
        gw_str segment = pattern->segments[i].text;
        text[len++] = '/';
        if (segment.len > 0)
            memcpy(text + len, segment.ptr, segment.len);
        len += segment.len;
    }
    return gw_str_n(text, len);
}

static bool has_exact(const struct dp_route_set *routes)
{
    for (uint32_t i = 0; routes && i < routes->count; i++) {
        if (routes->items[i].kind == DP_ROUTE_EXACT)
            return true;
    }
    return false;
}

/* What a whole path leads to at once follows its node. */
static void change_exact(struct dp_route_tree *tree, const struct pattern *pattern,
                         struct dp_route_set *routes)
{
    char text[DP_ROUTE_PATTERN_MAX];
    if (pattern->param_count > (pattern->tail.ptr != NULL) || pattern->count == 0)
        return;
    gw_str path = literal_path(pattern, text);
    uint32_t hash = dp_route_hash(path);
    if (!has_exact(routes)) {
        tree->exacts =
            dp_trie_remove(tree->exacts, &dp_route_exacts, hash, dp_route_exact_is, &path);
        return;
    }
    struct dp_route_exact *exact = gw_slab_alloc(sizeof(*exact) + path.len);
    atomic_init(&exact->item.refs, 1);
    exact->item.hash = hash;
    atomic_fetch_add_explicit(&routes->refs, 1, memory_order_relaxed);
    exact->routes = routes;
    exact->len = (uint32_t)path.len;
    memcpy(exact->text, path.ptr, path.len);
    tree->exacts =
        dp_trie_put(tree->exacts, &dp_route_exacts, dp_route_exact_is, &path, &exact->item);
}

static void apply(struct dp_route_tree *tree, struct change *change)
{
    tree->root = change_node(tree->root, change);
    change_exact(tree, change->pattern, change->routes);
    tree->count = change->entry ? tree->count + 1 : tree->count - 1;
}

static int check(const struct dp_route_def *def, struct pattern *ret_pattern)
{
    bool has_method = def->method != DP_METHOD_OTHER && def->method <= DP_METHOD_ANY;
    return has_method ? parse_pattern(def, ret_pattern) : -EINVAL;
}

int dp_route_def_check(const struct dp_route_def *def)
{
    struct pattern pattern;
    return check(def, &pattern);
}

int dp_route_tree_add(struct dp_route_tree *tree, const struct dp_route_def *def)
{
    assert(atomic_load(&tree->refs) == 1 && def->value);
    struct pattern pattern;
    const struct dp_route_node *nodes[SEGMENTS_MAX + 1];
    if (check(def, &pattern) < 0)
        return -EINVAL;
    unsigned known = find_nodes(tree, &pattern, nodes);
    if (known == pattern.count + 1 &&
        has_pick(nodes[pattern.count]->routes, def->method, pattern.kind))
        return -EEXIST;
    if (visits_with(&pattern, nodes, known) > DP_ROUTE_VISITS_MAX)
        return -E2BIG;
    struct change change = {
        .pattern = &pattern, .method = def->method, .entry = new_entry(def, &pattern)};
    apply(tree, &change);
    return 0;
}

int dp_route_tree_remove(struct dp_route_tree *tree, const struct dp_route_def *def)
{
    assert(atomic_load(&tree->refs) == 1);
    struct pattern pattern;
    const struct dp_route_node *nodes[SEGMENTS_MAX + 1];
    if (parse_pattern(def, &pattern) < 0 || find_nodes(tree, &pattern, nodes) <= pattern.count ||
        !has_pick(nodes[pattern.count]->routes, def->method, pattern.kind))
        return -ENOENT;
    struct change change = {.pattern = &pattern, .method = def->method};
    apply(tree, &change);
    return 0;
}
