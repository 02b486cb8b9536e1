/* SPDX-License-Identifier: Apache-2.0 */
/* One tree for each group and environment, built anew when one of its routes changes and shared by
 * snapshots until then. */
#include "dataplane/snapshot/catalog.h"

#include <errno.h>
#include <stdlib.h>

#define TREE_BLOCK_BYTES 4096

static const struct dp_route_unit *route_of(const struct dp_unit *unit)
{
    return (const struct dp_route_unit *)unit;
}

void dp_branch_join(struct dp_catalog *catalog, struct dp_entry *route)
{
    struct dp_branch *branch = route->branch;
    if (!branch) {
        const struct dp_route *compiled = &route_of(route->candidate)->route;
        gw_str key = gw_arena_printf(&catalog->scratch, "%.*s@%.*s", GW_STR_ARG(compiled->group),
                                     GW_STR_ARG(compiled->environment));
        branch = gw_map_get(&catalog->branches, key);
        if (!branch) {
            branch = gw_calloc(1, sizeof *branch);
            char *copy = gw_strdup(key.ptr);
            branch->group = gw_str_n(copy, compiled->group.len);
            branch->environment =
                gw_str_n(copy + compiled->group.len + 1, compiled->environment.len);
            gw_list_init(&branch->routes);
            gw_list_init(&branch->in_dirty);
            (void)gw_map_put(&catalog->branches, key, branch); /* there was none */
        }
        route->branch = branch;
        gw_list_push(&branch->routes, &route->in_branch);
    }
    if (gw_list_is_empty(&branch->in_dirty))
        gw_list_push(&catalog->dirty_branches, &branch->in_dirty);
}

void dp_branch_leave(struct dp_catalog *catalog, struct dp_entry *route)
{
    if (!route->branch)
        return;
    gw_list_remove(&route->in_branch);
    if (gw_list_is_empty(&route->branch->in_dirty))
        gw_list_push(&catalog->dirty_branches, &route->branch->in_dirty);
    route->branch = NULL;
}

void dp_branch_free(struct dp_branch *branch)
{
    if (branch->unit)
        dp_unit_unref(&branch->unit->unit);
    free((char *)(uintptr_t)branch->group.ptr);
    free(branch);
}

static void unref_tree(void *tree)
{
    dp_route_tree_unref(tree);
}

static struct dp_tree_unit *new_tree(const struct dp_branch *branch)
{
    size_t count = 0;
    gw_list_each(&branch->routes, node) count++;
    struct dp_tree_unit *unit = dp_unit_new(sizeof *unit, TREE_BLOCK_BYTES);
    struct gw_arena *arena = &unit->unit.arena;
    unit->group = gw_arena_dup(arena, branch->group);
    unit->environment = gw_arena_dup(arena, branch->environment);
    unit->tree = dp_route_tree_new();
    gw_arena_defer(arena, unref_tree, unit->tree);
    unit->routes = GW_ARENA_ARRAY(arena, const struct dp_route_unit *, count);
    return unit;
}

static int add(struct dp_tree_unit *tree, struct dp_unit *unit, struct gw_error *err)
{
    *err = GW_ERROR_NONE; /* of this route alone */
    const struct dp_route_unit *route = route_of(unit);
    struct dp_route_def def = {
        .method = route->method,
        .is_prefix = route->route.is_prefix,
        .pattern = route->route.path,
        .value = &route->route,
    };
    int result = dp_route_tree_add(tree->tree, &def);
    if (result == -EEXIST)
        return gw_fail_field(err, "path", "another API of the group has it with that method");
    if (result < 0)
        return gw_fail_field(err, "path", "overlaps with too many others");
    dp_unit_keep(&tree->unit, unit);
    ((const struct dp_route_unit **)(uintptr_t)tree->routes)[tree->route_count++] = route;
    return 0;
}

/* Routes that did not change keep their paths; then the changed ones, in the order in which they
 * came; of one that finds its path taken, the last good form, if that can still be. */
static void grow(struct dp_catalog *catalog, struct dp_branch *branch)
{
    struct dp_tree_unit *tree = new_tree(branch);
    struct gw_error err;
    gw_list_each(&branch->routes, unchanged)
    {
        struct dp_entry *route = gw_container_of(unchanged, struct dp_entry, in_branch);
        if (!route->candidate && route->unit && add(tree, route->unit, &err) < 0)
            dp_entry_refuse(catalog, route, &err);
    }
    gw_list_each(&branch->routes, changed)
    {
        struct dp_entry *route = gw_container_of(changed, struct dp_entry, in_branch);
        if (!route->candidate)
            continue;
        if (add(tree, route->candidate, &err) == 0)
            dp_entry_accept(route);
        else
            dp_entry_refuse(catalog, route, &err);
    }
    gw_list_each(&branch->routes, refused)
    {
        struct dp_entry *route = gw_container_of(refused, struct dp_entry, in_branch);
        if (route->candidate && route->unit)
            (void)add(tree, route->unit, &err); /* else it stays away, as is reported */
    }
    if (branch->unit)
        dp_unit_unref(&branch->unit->unit);
    branch->unit = tree;
}

void dp_branches_grow(struct dp_catalog *catalog)
{
    gw_list_each(&catalog->dirty_branches, node)
    {
        struct dp_branch *branch = gw_container_of(node, struct dp_branch, in_dirty);
        gw_list_remove(&branch->in_dirty);
        catalog->is_routing_stale = true;
        if (!gw_list_is_empty(&branch->routes)) {
            grow(catalog, branch);
            continue;
        }
        gw_str key = gw_str_from(branch->group.ptr); /* "group@environment" in one */
        (void)gw_map_take(&catalog->branches, key);  /* it is branch */
        dp_branch_free(branch);
    }
}
