/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and groups. Lookups cost one search for an exact host, one for each depth at which a
 * wildcard is configured, and one for the group. */
#include "dataplane/snapshot/router.h"

#include "common/slab.h"
#include "dataplane/snapshot/trie.h"
#include "dataplane/snapshot/unit.h"

#include <errno.h>
#include <stdlib.h>

#define HOST_BYTES_MAX 255

struct environment {
    gw_str name;                /* behind the array */
    struct dp_route_tree *tree; /* a reference */
};

/* Immutable. */
struct dp_router_group {
    struct dp_trie_item item; /* hash: its number */
    const void *value;        /* borrowed */
    bool is_there;            /* else it only has trees */
    unsigned count;
    struct environment environments[]; /* few, so they are searched in turn */
};

struct host {
    struct dp_trie_item item;
    uint32_t group;
    unsigned dots;
    const void *value;     /* borrowed */
    struct dp_unit *owner; /* a reference, may be NULL */
    uint32_t len;
    char text[]; /* lower case; of a wildcard what is behind the star */
};

struct dp_router {
    struct dp_trie groups;
    struct dp_trie hosts;
    struct dp_trie wildcards; /* ".example.com", "" for "*"; first: most dots */
};

/* ---- memory */

static void free_group(struct dp_trie_item *item)
{
    struct dp_router_group *group = (struct dp_router_group *)item;
    for (unsigned i = 0; i < group->count; i++)
        dp_route_tree_unref(group->environments[i].tree);
    gw_slab_free(group);
}

static void free_host(struct dp_trie_item *item)
{
    struct host *host = (struct host *)item;
    dp_unit_unref(host->owner);
    gw_slab_free(host);
}

static bool has_more_dots(const struct dp_trie_item *a, const struct dp_trie_item *b)
{
    return ((const struct host *)a)->dots > ((const struct host *)b)->dots;
}

static const struct dp_trie_kind groups_kind = {free_group, NULL};
static const struct dp_trie_kind hosts_kind = {free_host, has_more_dots};

struct dp_router *dp_router_new(void)
{
    return gw_calloc(1, sizeof(struct dp_router));
}

struct dp_router *dp_router_copy(const struct dp_router *router)
{
    struct dp_router *copy = dp_router_new();
    copy->groups = dp_trie_ref(router->groups);
    copy->hosts = dp_trie_ref(router->hosts);
    copy->wildcards = dp_trie_ref(router->wildcards);
    return copy;
}

void dp_router_free(struct dp_router *router)
{
    if (!router)
        return;
    dp_trie_unref(router->groups, &groups_kind);
    dp_trie_unref(router->hosts, &hosts_kind);
    dp_trie_unref(router->wildcards, &hosts_kind);
    free(router);
}

/* ---- groups */

/* The number is the hash: numbers that follow each other fill the branches. */
static bool is_group(const struct dp_trie_item *item, const void *key)
{
    return item->hash == *(const uint32_t *)key;
}

static const struct dp_router_group *find_group(const struct dp_router *router, uint32_t number)
{
    return (const struct dp_router_group *)dp_trie_find(router->groups, number, is_group, &number);
}

/* A group of `count` environments with names of `bytes` in all, none of them there yet. */
static struct dp_router_group *new_group(uint32_t number, unsigned count, size_t bytes)
{
    size_t size = sizeof(struct dp_router_group) + count * sizeof(struct environment) + bytes;
    struct dp_router_group *group = gw_slab_zalloc(size);
    atomic_init(&group->item.refs, 1);
    group->item.hash = number;
    return group;
}

static void add_environment(struct dp_router_group *group, char **names, gw_str name,
                            struct dp_route_tree *tree)
{
    if (name.len > 0)
        memcpy(*names, name.ptr, name.len);
    group->environments[group->count++] =
        (struct environment){gw_str_n(*names, name.len), dp_route_tree_ref(tree)};
    *names += name.len;
}

/* What the group is when that environment has the tree (NULL: none); `before` may be NULL. */
static struct dp_router_group *group_with(const struct dp_router_group *before, uint32_t number,
                                          gw_str environment, struct dp_route_tree *tree)
{
    unsigned count = before ? before->count : 0;
    size_t bytes = environment.len;
    for (unsigned i = 0; i < count; i++)
        bytes += before->environments[i].name.len;
    struct dp_router_group *group = new_group(number, count + 1, bytes);
    char *names = (char *)&group->environments[count + 1];
    group->value = before ? before->value : NULL;
    group->is_there = before && before->is_there;
    for (unsigned i = 0; i < count; i++) {
        const struct environment *kept = &before->environments[i];
        if (!gw_str_eq(kept->name, environment))
            add_environment(group, &names, kept->name, kept->tree);
    }
    if (tree)
        add_environment(group, &names, environment, tree);
    return group;
}

/* Takes over the reference to the group; one that stands for nothing goes. */
static void put_group(struct dp_router *router, struct dp_router_group *group)
{
    uint32_t number = group->item.hash;
    if (group->is_there || group->count > 0) {
        router->groups = dp_trie_put(router->groups, &groups_kind, is_group, &number, &group->item);
        return;
    }
    router->groups = dp_trie_remove(router->groups, &groups_kind, number, is_group, &number);
    free_group(&group->item);
}

static void set_group(struct dp_router *router, uint32_t number, bool is_there, const void *value)
{
    struct dp_router_group *group =
        group_with(find_group(router, number), number, GW_STR_NONE, NULL);
    group->is_there = is_there;
    group->value = value;
    put_group(router, group);
}

void dp_router_put_group(struct dp_router *router, uint32_t group, const void *value)
{
    set_group(router, group, true, value);
}

void dp_router_remove_group(struct dp_router *router, uint32_t group)
{
    if (find_group(router, group))
        set_group(router, group, false, NULL);
}

void dp_router_put_tree(struct dp_router *router, uint32_t group, gw_str environment,
                        struct dp_route_tree *tree)
{
    put_group(router, group_with(find_group(router, group), group, environment, tree));
}

/* ---- hosts */

/* In lower case and without a dot at the end, into `text`. Empty: not a host. */
static gw_str fold_host(gw_str host, char text[HOST_BYTES_MAX])
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len > HOST_BYTES_MAX)
        return GW_STR_NONE;
    size_t i = 0;
    for (; host.len - i >= sizeof(gw_lanes); i += sizeof(gw_lanes)) {
        gw_lanes v;
        memcpy(&v, host.ptr + i, sizeof(v));
        v |= (gw_lanes)(v - 'A' < 26) & 0x20;
        memcpy(text + i, &v, sizeof(v));
    }
    for (; i < host.len; i++) {
        bool is_upper = host.ptr[i] >= 'A' && host.ptr[i] <= 'Z';
        text[i] = is_upper ? (char)(host.ptr[i] | 0x20) : host.ptr[i];
    }
    return gw_str_n(text, host.len);
}

static unsigned count_dots(gw_str text)
{
    unsigned dots = 0;
    for (size_t i = 0; i < text.len; i++)
        dots += text.ptr[i] == '.';
    return dots;
}

static bool is_host(const struct dp_trie_item *item, const void *key)
{
    const struct host *host = (const struct host *)item;
    return gw_str_eq(gw_str_n(host->text, host->len), *(const gw_str *)key);
}

static uint32_t hash_of(gw_str host)
{
    return (uint32_t)gw_str_hash(host);
}

static const struct host *find_host(struct dp_trie hosts, gw_str key)
{
    if (!hosts.bits)
        return NULL;
    return (const struct host *)dp_trie_find(hosts, hash_of(key), is_host, &key);
}

/* Where a host that is configured is kept, and under which key; NULL: it is none. */
static struct dp_trie *place_of(struct dp_router *router, gw_str host, char text[HOST_BYTES_MAX],
                                gw_str *ret_key)
{
    gw_str key = fold_host(host, text);
    struct dp_trie *place = &router->hosts;
    if (key.len == 0)
        return NULL;
    if (key.ptr[0] == '*') {
        place = &router->wildcards;
        key = gw_str_n(key.ptr + 1, key.len - 1);
        if (key.len == 1 || (key.len > 0 && key.ptr[0] != '.'))
            return NULL;
    }
    *ret_key = key;
    return gw_str_find(key, '*') < 0 ? place : NULL;
}

int dp_router_add_host(struct dp_router *router, gw_str host, uint32_t group, const void *value,
                       struct dp_unit *owner)
{
    char text[HOST_BYTES_MAX];
    gw_str key;
    struct dp_trie *place = place_of(router, host, text, &key);
    if (!place)
        return -EINVAL;
    if (find_host(*place, key))
        return -EEXIST;
    struct host *item = gw_slab_zalloc(sizeof(*item) + key.len);
    atomic_init(&item->item.refs, 1);
    item->item.hash = hash_of(key);
    item->group = group;
    item->dots = count_dots(key);
    item->value = value;
    item->owner = owner ? dp_unit_ref(owner) : NULL;
    item->len = (uint32_t)key.len;
    if (key.len > 0)
        memcpy(item->text, key.ptr, key.len);
    *place = dp_trie_put(*place, &hosts_kind, is_host, &key, &item->item);
    return 0;
}

void dp_router_remove_host(struct dp_router *router, gw_str host)
{
    char text[HOST_BYTES_MAX];
    gw_str key;
    struct dp_trie *place = place_of(router, host, text, &key);
    if (place)
        *place = dp_trie_remove(*place, &hosts_kind, hash_of(key), is_host, &key);
}

/* The longest wildcard. Suffixes with more dots than any wildcard has are not even tried, so a host
 * of a hundred labels costs no more than another. */
static const struct host *find_wildcard(const struct dp_router *router, gw_str host)
{
    const struct dp_trie_item *longest = dp_trie_first(router->wildcards);
    if (!longest)
        return NULL;
    unsigned dots = count_dots(host), dots_max = ((const struct host *)longest)->dots;
    gw_str rest = host;
    while (rest.len > 0) {
        ptrdiff_t dot = gw_str_find(rest, '.');
        if (dot < 0)
            break;
        gw_str suffix = {rest.ptr + dot, rest.len - (size_t)dot};
        const struct host *found = NULL;
        bool is_below = suffix.ptr > host.ptr; /* "*.a" is not ".a" */
        if (dots-- <= dots_max && is_below)
            found = find_host(router->wildcards, suffix);
        if (found)
            return found;
        rest = gw_str_n(suffix.ptr + 1, suffix.len - 1);
    }
    return find_host(router->wildcards, GW_STR(""));
}

const struct dp_router_group *dp_router_find(const struct dp_router *router, gw_str host,
                                             const void **ret_host_value)
{
    char text[HOST_BYTES_MAX];
    gw_str key = fold_host(host, text);
    const struct host *found = find_host(router->hosts, key);
    if (!found)
        found = find_wildcard(router, key);
    const struct dp_router_group *group = found ? find_group(router, found->group) : NULL;
    if (!group)
        return NULL;
    *ret_host_value = found->value;
    return group;
}

/* ---- all of them */

struct each_host {
    dp_router_visit_host *visit;
    void *arg;
};

static void visit_host(const struct dp_trie_item *item, void *arg)
{
    const struct host *host = (const struct host *)item;
    const struct each_host *each = arg;
    each->visit(each->arg, gw_str_n(host->text, host->len), host->value);
}

static void visit_wildcard(const struct dp_trie_item *item, void *arg)
{
    const struct host *host = (const struct host *)item;
    const struct each_host *each = arg;
    char text[HOST_BYTES_MAX + 1] = "*";
    memcpy(text + 1, host->text, host->len);
    each->visit(each->arg, gw_str_n(text, host->len + 1), host->value);
}

void dp_router_each_host(const struct dp_router *router, dp_router_visit_host *visit, void *arg)
{
    struct each_host each = {visit, arg};
    dp_trie_each(router->hosts, visit_host, &each);
    dp_trie_each(router->wildcards, visit_wildcard, &each);
}

struct each_tree {
    void (*visit)(void *arg, const struct dp_route_tree *tree);
    void *arg;
};

static void visit_trees(const struct dp_trie_item *item, void *arg)
{
    const struct dp_router_group *group = (const struct dp_router_group *)item;
    const struct each_tree *each = arg;
    for (unsigned i = 0; i < group->count; i++)
        each->visit(each->arg, group->environments[i].tree);
}

void dp_router_each_tree(const struct dp_router *router,
                         void (*visit)(void *arg, const struct dp_route_tree *tree), void *arg)
{
    struct each_tree each = {visit, arg};
    dp_trie_each(router->groups, visit_trees, &each);
}

const void *dp_router_group_value(const struct dp_router_group *group)
{
    return group->value;
}

const struct dp_route_tree *dp_router_group_tree(const struct dp_router_group *group,
                                                 gw_str environment)
{
    for (unsigned i = 0; i < group->count; i++) {
        if (gw_str_eq(group->environments[i].name, environment))
            return group->environments[i].tree;
    }
    return NULL;
}
