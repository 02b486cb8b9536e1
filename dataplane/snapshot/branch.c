/* SPDX-License-Identifier: Apache-2.0 */
/* One tree for each group and environment, in which routes that change are replaced. Snapshots have
 * what the trees were. */
#include "dataplane/snapshot/catalog.h"

#include <errno.h>
#include <stdlib.h>

static const struct dp_route_unit *route_of(const struct dp_unit *unit)
{
    return (const struct dp_route_unit *)unit;
}

/* ---- branches */

static struct dp_branch *new_branch(struct dp_catalog *catalog, gw_str key,
                                    const struct dp_route *route)
{
    struct dp_branch *branch = gw_calloc(1, sizeof *branch);
    char *copy = gw_strdup(key.ptr);
    branch->group = gw_str_n(copy, route->group.len);
    branch->environment = gw_str_n(copy + route->group.len + 1, route->environment.len);
    branch->group_entry =
        dp_entry_get(catalog, PENSTOCK__AGENT__V1__KIND__KIND_GROUP, branch->group);
    branch->group_entry->branches++;
    branch->tree = dp_route_tree_new();
    branch->is_own = true;
    gw_list_init(&branch->changed);
    gw_list_init(&branch->in_dirty);
    (void)gw_map_put(&catalog->branches, key, branch); /* there was none */
    return branch;
}

void dp_branch_free(struct dp_branch *branch)
{
    dp_route_tree_unref(branch->tree);
    free((char *)(uintptr_t)branch->group.ptr);
    free(branch);
}

/* Its last route has gone. */
static void end_branch(struct dp_catalog *catalog, struct dp_branch *branch)
{
    struct dp_entry *group = branch->group_entry;
    dp_router_put_tree(catalog->routing->router, group->number, branch->environment, NULL);
    (void)gw_map_take(&catalog->branches, gw_str_from(branch->group.ptr)); /* it is branch */
    dp_branch_free(branch);
    group->branches--;
    dp_entry_release(catalog, group);
}

static void mark(struct dp_catalog *catalog, struct dp_branch *branch)
{
    if (gw_list_is_empty(&branch->in_dirty))
        gw_list_push(&catalog->dirty_branches, &branch->in_dirty);
}

void dp_branch_join(struct dp_catalog *catalog, struct dp_entry *route)
{
    struct dp_branch *branch = route->branch;
    if (!branch) {
        const struct dp_route *compiled = &route_of(route->candidate)->route;
        gw_str key = gw_arena_printf(&catalog->scratch, "%.*s@%.*s", GW_STR_ARG(compiled->group),
                                     GW_STR_ARG(compiled->environment));
        branch = gw_map_get(&catalog->branches, key);
        if (!branch)
            branch = new_branch(catalog, key, compiled);
        branch->count++;
        route->branch = branch;
        route->order = ++catalog->routes_joined;
    }
    if (gw_list_is_empty(&route->in_branch))
        gw_list_push(&branch->changed, &route->in_branch);
    mark(catalog, branch);
}

/* ---- places in the tree */

static struct dp_route_tree *own_tree(struct dp_branch *branch)
{
    if (!branch->is_own) {
        struct dp_route_tree *copy = dp_route_tree_copy(branch->tree);
        dp_route_tree_unref(branch->tree);
        branch->tree = copy;
        branch->is_own = true;
    }
    return branch->tree;
}

static struct dp_route_def def_of(struct dp_unit *unit)
{
    const struct dp_route_unit *route = route_of(unit);
    return (struct dp_route_def){
        .method = route->method,
        .is_prefix = route->route.is_prefix,
        .pattern = route->route.path,
        .value = &route->route,
        .owner = unit,
    };
}

static void take_out(struct dp_catalog *catalog, struct dp_entry *route)
{
    if (!route->placed)
        return;
    struct dp_route_def def = def_of(route->placed);
    if (dp_route_tree_remove(own_tree(route->branch), &def) < 0)
        gw_panic("%s has no place in its tree", route->name.ptr);
    dp_unit_unref(route->placed);
    route->placed = NULL;
    catalog->route_count--;
}

static int put_in(struct dp_catalog *catalog, struct dp_entry *route, struct dp_unit *unit,
                  struct gw_error *err)
{
    *err = GW_ERROR_NONE; /* of this route alone */
    struct dp_route_def def = def_of(unit);
    int result = dp_route_tree_add(own_tree(route->branch), &def);
    if (result == -EEXIST)
        return gw_fail_field(err, "path", "another API of the group has it with that method");
    if (result < 0)
        return gw_fail_field(err, "path", "overlaps with too many others");
    route->placed = dp_unit_ref(unit);
    catalog->route_count++;
    return 0;
}

void dp_branch_leave(struct dp_catalog *catalog, struct dp_entry *route)
{
    struct dp_branch *branch = route->branch;
    if (!branch)
        return;
    take_out(catalog, route);
    gw_list_remove(&route->in_branch);
    branch->count--;
    mark(catalog, branch);
    route->branch = NULL;
}

/* ---- an update */

static struct dp_entry *route_at(struct gw_list *in_branch)
{
    return gw_container_of(in_branch, struct dp_entry, in_branch);
}

static int by_order(const void *a, const void *b)
{
    const struct dp_entry *x = *(struct dp_entry *const *)a, *y = *(struct dp_entry *const *)b;
    return (x->order > y->order) - (x->order < y->order);
}

/* In the order in which they first came: of two that want one path, always the same one has it. */
static void sort_changed(struct dp_branch *branch)
{
    size_t count = 0;
    gw_list_each(&branch->changed, node) count++;
    if (count < 2)
        return;
    struct dp_entry **routes = gw_calloc(count, sizeof *routes);
    count = 0;
    gw_list_each(&branch->changed, node)
    {
        routes[count++] = route_at(node);
        gw_list_remove(node);
    }
    qsort(routes, count, sizeof *routes, by_order);
    for (size_t i = 0; i < count; i++)
        gw_list_push(&branch->changed, &routes[i]->in_branch);
    free(routes);
}

/* Routes that did not change keep their paths. Those that changed give up theirs, and get the new
 * ones; who finds that taken has its last good form, if that can still be, and tries again with
 * each change of the branch. */
static void grow(struct dp_catalog *catalog, struct dp_branch *branch)
{
    struct gw_error err;
    sort_changed(branch);
    gw_list_each(&branch->changed, node) take_out(catalog, route_at(node));
    gw_list_each(&branch->changed, node)
    {
        struct dp_entry *route = route_at(node);
        if (!route->candidate)
            continue;
        if (put_in(catalog, route, route->candidate, &err) < 0) {
            dp_entry_refuse(catalog, route, &err);
            continue;
        }
        dp_entry_accept(route);
        gw_list_remove(node);
    }
    gw_list_each(&branch->changed, node)
    {
        struct dp_entry *route = route_at(node);
        if (route->unit)
            (void)!put_in(catalog, route, route->unit, &err); /* else it stays away, as is told */
        if (route->placed && !route->candidate)
            gw_list_remove(node);
    }
}

void dp_branches_grow(struct dp_catalog *catalog)
{
    if (gw_list_is_empty(&catalog->dirty_branches))
        return;
    catalog->routing = dp_routing_own(catalog->routing);
    gw_list_each(&catalog->dirty_branches, node)
    {
        struct dp_branch *branch = gw_container_of(node, struct dp_branch, in_dirty);
        gw_list_remove(&branch->in_dirty);
        if (branch->count == 0) {
            end_branch(catalog, branch);
            continue;
        }
        grow(catalog, branch);
        if (branch->is_own)
            dp_router_put_tree(catalog->routing->router, branch->group_entry->number,
                               branch->environment, branch->tree);
        branch->is_own = false;
    }
}
