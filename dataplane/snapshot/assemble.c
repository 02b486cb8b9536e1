/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of what is in force. */
#include "dataplane/snapshot/catalog.h"

#define KIND(name) PENSTOCK__AGENT__V1__KIND__KIND_##name

struct dp_snapshot *dp_snapshot_assemble(struct dp_catalog *catalog)
{
    const struct dp_entry *tickets =
        dp_entry_find(catalog, KIND(TICKET_KEYS), GW_STR(DP_COMPILE_TICKET_KEYS));
    const struct dp_entry *settings =
        dp_entry_find(catalog, KIND(SETTINGS), GW_STR(DP_COMPILE_SETTINGS));
    struct dp_snapshot_parts parts = {
        .routing = catalog->routing,
        .codes = catalog->apps.codes,
        .tickets = tickets ? (struct dp_tickets_unit *)tickets->unit : NULL,
        .settings = settings ? (struct dp_settings_unit *)settings->unit : NULL,
        .app_count = catalog->apps.count,
        .route_count = catalog->route_count,
    };
    return dp_snapshot_new(dp_catalog_cluster_id(catalog), catalog->revision, &parts);
}
