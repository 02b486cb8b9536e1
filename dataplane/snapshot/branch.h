/* SPDX-License-Identifier: Apache-2.0 */
/* Where the routes of the catalog are in trees; private to the catalog. Sync thread. */
#ifndef DP_SNAPSHOT_BRANCH_H
#define DP_SNAPSHOT_BRANCH_H

#include "common/list.h"
#include "dataplane/snapshot/router.h"

struct dp_catalog;
struct dp_entry;

/* The routes of one group in one environment, and their tree. */
struct dp_branch {
    gw_str group, environment;    /* owned, as one */
    struct dp_entry *group_entry; /* counts this branch */
    struct gw_list changed;       /* struct dp_entry: with candidates, or out of their place */
    struct gw_list in_dirty;
    size_t count;               /* of routes */
    struct dp_route_tree *tree; /* a reference */
    bool is_own;                /* no snapshot has the tree: it may be changed */
};

/* Puts a route with a candidate where its name says, and marks that branch. */
void dp_branch_join(struct dp_catalog *catalog, struct dp_entry *route);
void dp_branch_leave(struct dp_catalog *catalog, struct dp_entry *route);
/* Brings the trees of marked branches up to date: candidates come into force, or are refused. */
void dp_branches_grow(struct dp_catalog *catalog);
void dp_branch_free(struct dp_branch *branch);

#endif
