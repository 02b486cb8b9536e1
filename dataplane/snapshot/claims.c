/* SPDX-License-Identifier: Apache-2.0 */
/* A host belongs to one group; what is claimed leads there. */
#include "dataplane/snapshot/catalog.h"

#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name

void dp_claims_release(struct dp_catalog *catalog, struct dp_entry *entry)
{
    if (entry->kind == KIND(GROUP) && entry->unit) {
        const struct dp_group_unit *group = (const struct dp_group_unit *)entry->unit;
        catalog->routing = dp_routing_own(catalog->routing);
        dp_router_remove_group(catalog->routing->router, entry->number);
        for (unsigned i = 0; i < group->host_count; i++) {
            if (gw_map_get(&catalog->hosts, group->hosts[i]) != entry)
                continue;
            dp_routing_remove_host(catalog->routing, group->hosts[i]);
            (void)gw_map_take(&catalog->hosts, group->hosts[i]); /* it is entry */
        }
    }
}

int dp_claims_check(const struct dp_catalog *catalog, const struct dp_unit *unit,
                    Penstock__Agent__V1__Kind kind, struct gw_error *err)
{
    const struct dp_group_unit *group = (const struct dp_group_unit *)unit;
    for (unsigned i = 0; kind == KIND(GROUP) && i < group->host_count; i++) {
        const struct dp_entry *owner = gw_map_get(&catalog->hosts, group->hosts[i]);
        if (owner)
            return gw_fail_field(err, "domains", "%.*s belongs to %s", GW_STR_ARG(group->hosts[i]),
                                 owner->name.ptr);
    }
    return 0;
}

void dp_claims_take(struct dp_catalog *catalog, struct dp_entry *entry)
{
    if (entry->kind == KIND(GROUP) && entry->unit) {
        struct dp_group_unit *group = (struct dp_group_unit *)entry->unit;
        catalog->routing = dp_routing_own(catalog->routing);
        dp_router_put_group(catalog->routing->router, entry->number, NULL);
        for (unsigned i = 0; i < group->host_count; i++) {
            if (gw_map_get(&catalog->hosts, group->hosts[i]))
                continue;
            (void)gw_map_put(&catalog->hosts, group->hosts[i], entry); /* there was none */
            dp_routing_add_host(catalog->routing, group, i, entry->number);
        }
    }
}
