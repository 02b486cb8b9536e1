/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of what is in force; where requests go is made anew only if that has changed. */
#include "dataplane/snapshot/catalog.h"

#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name

static void free_router(void *router)
{
    dp_router_free(router);
}

static void add_group(const struct dp_catalog *catalog, struct dp_routing_unit *routing,
                      const struct dp_entry *entry)
{
    const struct dp_group_unit *group = (const struct dp_group_unit *)entry->unit;
    struct dp_router_group *target = dp_router_add_group(routing->router, group->name, NULL);
    dp_unit_keep(&routing->unit, entry->unit);
    for (unsigned i = 0; i < group->host_count; i++) {
        const struct dp_domain_tls *tls = group->values[i]->tls;
        if (gw_map_get(&catalog->hosts, group->hosts[i]) != entry)
            continue;
        if (tls && tls->certificate_count > 0 &&
            (!routing->default_tls || gw_str_cmp(tls->host, routing->default_tls->host) < 0))
            routing->default_tls = tls;
        /* A domain that the group names twice is there already. */
        (void)!dp_router_add_host(routing->router, group->hosts[i], target, group->values[i]);
    }
}

static void add_tree(const struct dp_catalog *catalog, struct dp_routing_unit *routing,
                     struct dp_tree_unit *tree, size_t *first)
{
    const struct dp_entry *group = dp_entry_find(catalog, KIND(GROUP), tree->group);
    size_t index = routing->tree_count++;
    first[index] = routing->route_count;
    routing->route_count += tree->route_count;
    ((const struct dp_tree_unit **)(uintptr_t)routing->trees)[index] = tree;
    dp_unit_keep(&routing->unit, &tree->unit);
    if (!group || !group->unit) /* no host leads there any more */
        return;
    struct dp_router_group *target = dp_router_add_group(routing->router, tree->group, NULL);
    if (dp_router_add_tree(target, tree->environment, tree->tree) < 0)
        gw_panic("compile: two trees for %s", tree->group.ptr);
}

static struct dp_routing_unit *new_routing(const struct dp_catalog *catalog)
{
    struct dp_routing_unit *routing = dp_unit_new(sizeof *routing, 0);
    struct gw_arena *arena = &routing->unit.arena;
    size_t *first = GW_ARENA_ARRAY(arena, size_t, catalog->branches.count);
    routing->first = first;
    routing->trees = GW_ARENA_ARRAY(arena, const struct dp_tree_unit *, catalog->branches.count);
    routing->router = dp_router_new();
    gw_arena_defer(arena, free_router, routing->router);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&catalog->entries[KIND(GROUP)], e));) {
        if (((const struct dp_entry *)e->value)->unit)
            add_group(catalog, routing, e->value);
    }
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&catalog->branches, e));) {
        struct dp_branch *branch = e->value;
        if (branch->unit)
            add_tree(catalog, routing, branch->unit, first);
    }
    return routing;
}

struct dp_snapshot *dp_snapshot_assemble(struct dp_catalog *catalog)
{
    if (catalog->is_routing_stale) {
        if (catalog->routing)
            dp_unit_unref(&catalog->routing->unit);
        catalog->routing = new_routing(catalog);
        catalog->is_routing_stale = false;
    }
    const struct dp_entry *tickets =
        dp_entry_find(catalog, KIND(TICKET_KEYS), GW_STR(DP_COMPILE_TICKET_KEYS));
    const struct dp_entry *settings =
        dp_entry_find(catalog, KIND(SETTINGS), GW_STR(DP_COMPILE_SETTINGS));
    struct dp_snapshot_parts parts = {
        .routing = catalog->routing,
        .codes = catalog->codes,
        .tickets = tickets ? (struct dp_tickets_unit *)tickets->unit : NULL,
        .settings = settings ? (struct dp_settings_unit *)settings->unit : NULL,
        .app_count = catalog->app_count,
    };
    return dp_snapshot_new(dp_catalog_cluster_id(catalog), catalog->revision, &parts);
}
