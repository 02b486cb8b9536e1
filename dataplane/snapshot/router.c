/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and groups. Lookups cost one hash for an exact host, and one for each depth at which a
 * wildcard is configured. */
#include "dataplane/snapshot/router.h"

#include "common/map.h"

#include <errno.h>
#include <stdlib.h>

#define HOST_BYTES_MAX 255

struct environment {
    gw_str name;                /* owned */
    struct dp_route_tree *tree; /* a reference */
};

struct dp_router_group {
    const void *value;                /* borrowed */
    struct environment *environments; /* owned; few, so they are searched in turn */
    unsigned count;
};

struct host {
    const struct dp_router_group *group;
    const void *value; /* borrowed */
};

struct dp_router {
    struct gw_map groups;    /* name -> struct dp_router_group */
    struct gw_map hosts;     /* lower case -> struct host */
    struct gw_map wildcards; /* ".example.com", "" for "*" -> struct host */
    unsigned wildcard_dots;  /* most dots of a wildcard */
};

struct dp_router *dp_router_new(void)
{
    struct dp_router *router = gw_calloc(1, sizeof(*router));
    gw_map_init(&router->groups);
    gw_map_init(&router->hosts);
    gw_map_init(&router->wildcards);
    return router;
}

static void free_group(struct dp_router_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        dp_route_tree_unref(group->environments[i].tree);
        free((char *)group->environments[i].name.ptr);
    }
    free(group->environments);
    free(group);
}

static void free_hosts(struct gw_map *map)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(map, e)) != NULL;)
        free(e->value);
    gw_map_done(map);
}

void dp_router_free(struct dp_router *router)
{
    if (!router)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&router->groups, e)) != NULL;)
        free_group(e->value);
    gw_map_done(&router->groups);
    free_hosts(&router->hosts);
    free_hosts(&router->wildcards);
    free(router);
}

struct dp_router_group *dp_router_add_group(struct dp_router *router, gw_str name,
                                            const void *value)
{
    struct dp_router_group *group = gw_map_get(&router->groups, name);
    if (group)
        return group;
    group = gw_calloc(1, sizeof(*group));
    group->value = value;
    (void)gw_map_put(&router->groups, name, group); /* there was none */
    return group;
}

/* In lower case and without a dot at the end, into `text`. Empty: not a host. */
static gw_str fold_host(gw_str host, char text[HOST_BYTES_MAX])
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (host.len > HOST_BYTES_MAX)
        return GW_STR_NONE;
    for (size_t i = 0; i < host.len; i++) {
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

int dp_router_add_host(struct dp_router *router, gw_str host, struct dp_router_group *group,
                       const void *value)
{
    char text[HOST_BYTES_MAX];
    gw_str key = fold_host(host, text);
    struct gw_map *map = &router->hosts;
    if (key.len == 0)
        return -EINVAL;
    if (key.ptr[0] == '*') {
        map = &router->wildcards;
        key = gw_str_n(key.ptr + 1, key.len - 1);
        if (key.len == 1 || (key.len > 0 && key.ptr[0] != '.'))
            return -EINVAL;
    }
    if (gw_str_find(key, '*') >= 0)
        return -EINVAL;
    if (gw_map_get(map, key))
        return -EEXIST;
    struct host *entry = gw_calloc(1, sizeof(*entry));
    *entry = (struct host){.group = group, .value = value};
    (void)gw_map_put(map, key, entry); /* there was none */
    if (map == &router->wildcards)
        router->wildcard_dots = GW_MAX(router->wildcard_dots, count_dots(key));
    return 0;
}

int dp_router_add_tree(struct dp_router_group *group, gw_str environment,
                       struct dp_route_tree *tree)
{
    if (dp_router_group_tree(group, environment))
        return -EEXIST;
    char *name = gw_malloc(environment.len + 1);
    if (environment.len > 0)
        memcpy(name, environment.ptr, environment.len);
    group->environments =
        gw_realloc(group->environments, (group->count + 1) * sizeof(*group->environments));
    group->environments[group->count++] =
        (struct environment){{name, environment.len}, dp_route_tree_ref(tree)};
    return 0;
}

/* The longest wildcard. Suffixes with more dots than any wildcard has are not even tried, so a host
 * of a hundred labels costs no more than another. */
static const struct host *find_wildcard(const struct dp_router *router, gw_str host)
{
    if (router->wildcards.count == 0)
        return NULL;
    unsigned dots = count_dots(host);
    gw_str rest = host;
    while (rest.len > 0) {
        ptrdiff_t dot = gw_str_find(rest, '.');
        if (dot < 0)
            break;
        gw_str suffix = {rest.ptr + dot, rest.len - (size_t)dot};
        const struct host *found = NULL;
        bool is_below = suffix.ptr > host.ptr; /* "*.a" is not ".a" */
        if (dots-- <= router->wildcard_dots && is_below)
            found = gw_map_get(&router->wildcards, suffix);
        if (found)
            return found;
        rest = gw_str_n(suffix.ptr + 1, suffix.len - 1);
    }
    return gw_map_get(&router->wildcards, GW_STR(""));
}

const struct dp_router_group *dp_router_find(const struct dp_router *router, gw_str host,
                                             const void **ret_host_value)
{
    char text[HOST_BYTES_MAX];
    gw_str key = fold_host(host, text);
    const struct host *found = gw_map_get(&router->hosts, key);
    if (!found)
        found = find_wildcard(router, key);
    if (!found)
        return NULL;
    *ret_host_value = found->value;
    return found->group;
}

void dp_router_each_host(const struct dp_router *router, dp_router_visit_host *visit, void *arg)
{
    char text[HOST_BYTES_MAX + 1] = "*";
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&router->hosts, e)) != NULL;)
        visit(arg, e->key, ((const struct host *)e->value)->value);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&router->wildcards, e)) != NULL;) {
        memcpy(text + 1, e->key.ptr, e->key.len);
        visit(arg, gw_str_n(text, e->key.len + 1), ((const struct host *)e->value)->value);
    }
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
