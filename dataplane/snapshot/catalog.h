/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the catalog, for its files alone: entry.c (what is known of each resource), claims.c
 * (what belongs to one of them), apps.c, branch.c (trees), assemble.c (snapshots) and compile.c
 * (the steps of an update). Sync thread. */
#ifndef DP_SNAPSHOT_CATALOG_H
#define DP_SNAPSHOT_CATALOG_H

#include "common/list.h"
#include "common/map.h"
#include "dataplane/snapshot/apps.h"
#include "dataplane/snapshot/branch.h"
#include "dataplane/snapshot/parts.h"
#include "dataplane/snapshot/snapshot_parts.h"

#define DP_KINDS (PENSTOCK__AGENT__V1__KIND__KIND_SETTINGS + 1)

/* A resource as it came, packed. */
struct dp_form {
    int64_t revision;
    size_t len;
    char bytes[];
};

/* A route names a group, a channel or a policy, and it and a group certificates. */
struct dp_edge {
    struct gw_list in_users; /* of names */
    struct dp_entry *user, *names;
};

/* What is known of one resource; without forms it only stands for a name that routes use. */
struct dp_entry {
    struct dp_trie_item item; /* by name */
    Penstock__Agent__V1__Kind kind;
    uint32_t seen;        /* serial of the last update that brought it */
    gw_str name;          /* behind all this, ends with NUL */
    struct dp_form *good; /* owned: the one in force, NULL: none ever was */
    struct dp_form *next; /* owned: newer and not in force; NULL: good is the newest */
    const Penstock__Agent__V1__Resource
        *fresh;                /* borrowed during an update: next, unpacked; NULL */
    struct dp_unit *unit;      /* a reference: good, compiled; NULL: not in force */
    struct dp_unit *candidate; /* a reference: compiled, not yet in force */
    bool candidate_is_next;    /* made of next; else of good, for what it names has changed */
    bool conflicts;            /* another resource has what it wants: tried with each update */
    char *reason;              /* owned: why the newest form is not in force; NULL: it is */
    struct gw_list in_dirty, in_refused, in_branch;
    struct gw_list users;  /* struct dp_edge */
    struct dp_edge *edges; /* owned */
    unsigned edge_count;
    struct dp_branch *branch; /* of a route that could be compiled once */
    struct dp_unit *placed;   /* a reference: of a route: what of it is in the branch's tree */
    uint64_t order;           /* of a route: among those of its branch */
    uint32_t number;          /* of a group: its own in the router */
    unsigned branches;        /* of a group: they refer to it */
    uint64_t route_number;    /* of a route: its own, ever */
    uint32_t granted;         /* of a route: in how many apps it stands */
    char text[];
};

struct dp_catalog {
    struct dp_parts parts;
    struct dp_compile_env env;
    struct dp_trie entries[DP_KINDS];     /* by kind: struct dp_entry, by name; in no other trie */
    struct gw_map branches;               /* "groups/g@RELEASE" -> struct dp_branch; owned */
    struct gw_map hosts;                  /* who has a host: -> struct dp_entry of a group */
    struct dp_apps apps;                  /* they have no entries */
    struct dp_routing *routing;           /* a reference: as in the next snapshot */
    size_t route_count;                   /* in force */
    uint64_t routes_named, routes_joined; /* ever */
    uint32_t groups_made;                 /* ever */
    struct gw_list dirty[DP_KINDS], dirty_branches, refused;
    struct gw_arena scratch; /* messages of one resource */
    struct gw_arena report;  /* the list of refusals */
    char *cluster_id;        /* owned */
    int64_t revision;
    uint32_t serial; /* of updates */
};

/* ---- entry.c */
/* A name as a key: one that is too long is cut. Its compiler sees all of it, and refuses. */
gw_str dp_entry_key(const char *name);
gw_str dp_entry_reason(struct gw_arena *arena, const struct gw_error *err); /* ends with NUL */
struct dp_entry *dp_entry_find(const struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind,
                               gw_str name);
struct dp_entry *dp_entry_get(struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind,
                              gw_str name); /* made when it is not there */
void dp_entry_release(struct dp_catalog *catalog, struct dp_entry *entry); /* if it is of no use */
extern const struct dp_trie_kind dp_entries; /* frees entries, whatever refers to them */

void dp_entry_set_next(struct dp_entry *entry, gw_str packed, int64_t revision);
void dp_entry_drop_next(struct dp_entry *entry);
gw_str dp_entry_newest(const struct dp_entry *entry); /* packed; NONE: there is no form */
struct gw_content_digest dp_entry_digest(gw_str form);
void dp_entry_mark(struct dp_catalog *catalog, struct dp_entry *entry);
void dp_entry_mark_users(struct dp_catalog *catalog, struct dp_entry *entry);
/* What a route names: count entries, with what it named before forgotten. */
void dp_entry_set_names(struct dp_catalog *catalog, struct dp_entry *entry,
                        struct dp_entry *const *names, unsigned count);

void dp_entry_refuse(struct dp_catalog *catalog, struct dp_entry *entry,
                     const struct gw_error *err);
void dp_entry_drop_candidate(struct dp_entry *entry);
void dp_entry_accept(struct dp_entry *entry); /* the candidate comes into force */
void dp_entry_clear(struct dp_entry *entry);  /* no form is left */

/* ---- claims.c */
void dp_claims_release(struct dp_catalog *catalog, struct dp_entry *entry);
GW_MUST_CHECK int dp_claims_check(const struct dp_catalog *catalog, const struct dp_unit *unit,
                                  Penstock__Agent__V1__Kind kind, struct gw_error *err);
void dp_claims_take(struct dp_catalog *catalog, struct dp_entry *entry); /* what nobody has */

/* ---- compile.c */
/* A form in the scratch arena, which is emptied first. NULL with err. */
const Penstock__Agent__V1__Resource *dp_compile_unpack(struct dp_catalog *catalog, gw_str form,
                                                       struct gw_error *err);
/* What a newer control plane means by something that is not known here cannot be left out: -1. */
GW_MUST_CHECK int dp_compile_refuse_newer(const ProtobufCMessage *message, struct gw_error *err);

struct dp_snapshot *dp_snapshot_assemble(struct dp_catalog *catalog); /* assemble.c */

#endif
