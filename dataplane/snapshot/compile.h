/* SPDX-License-Identifier: Apache-2.0 */
/* From resources to snapshots. The catalog is all that the agent knows, by kind and name: the bytes
 * of each resource's last good form and what they were compiled into. A change compiles what
 * changed; a snapshot shares the rest with the one before. Nothing that comes in is trusted:
 * whatever a worker relies on is checked here. Sync thread only; what it makes is any thread's. */
#ifndef DP_SNAPSHOT_COMPILE_H
#define DP_SNAPSHOT_COMPILE_H

#include "common/content_digest.h"
#include "common/error.h"
#include "dataplane/snapshot/snapshot.h"

#include "penstock/agent/v1/agent.pb-c.h"

/* Limits of one resource beyond those of the router; more is refused, by name. */
#define DP_COMPILE_NAME_MAX 512          /* bytes of a resource's name */
#define DP_COMPILE_TEXT_MAX 1024         /* bytes of any other short text */
#define DP_COMPILE_DOMAINS_MAX 1000      /* domains of a group */
#define DP_COMPILE_POLICIES_MAX 32       /* policies of a route */
#define DP_COMPILE_MEMBERS_MAX 1000      /* members of a channel */
#define DP_COMPILE_WEIGHT_MAX 10000      /* of a member */
#define DP_COMPILE_TIMEOUT_MAX_MS 600000 /* of a backend */
#define DP_COMPILE_RETRIES_MAX 10
#define DP_COMPILE_CODES_MAX 1000    /* AppCodes of an app */
#define DP_COMPILE_GRANTS_MAX 200000 /* routes that an app may call */
#define DP_COMPILE_CLUSTER_MAX 128   /* bytes of a cluster id */
#define DP_COMPILE_CIPHERS_MAX 64    /* of a domain */
#define DP_COMPILE_TICKET_KEYS "ticketKeys"
#define DP_COMPILE_TICKET_KEYS_MAX 16
#define DP_COMPILE_SETTINGS "settings"

struct dp_catalog;
struct dp_endpoints;
struct dp_limiter;
struct dp_route_stats_table;

/* What compiled resources hold on to. Borrowed for the catalog's life and for that of the snapshots
 * it made. */
struct dp_compile_env {
    struct dp_limiter *limiter;
    struct dp_endpoints *endpoints;
    struct dp_route_stats_table *stats;
};

/* One change, all chunks of it together. Borrowed for the call. */
struct dp_update {
    gw_str cluster_id;
    int64_t revision;      /* > 0 */
    int64_t base_revision; /* 0: whatever is not in it is gone */
    Penstock__Agent__V1__Resource **upserts;
    size_t upsert_count;
    Penstock__Agent__V1__ResourceKey **removals; /* after the upserts */
    size_t removal_count;
};

/* A resource whose newest form is not in force. */
struct dp_refused {
    Penstock__Agent__V1__Kind kind;
    const char *name;
    const char *reason; /* for people: field and rule */
    int64_t revision;   /* that brought the refused form */
};

/* Sorted by kind and name. Borrowed from the catalog until its next apply. */
struct dp_refusals {
    const struct dp_refused *items;
    size_t count;
};

struct dp_catalog *dp_catalog_new(const struct dp_compile_env *env);
void dp_catalog_free(struct dp_catalog *catalog); /* snapshots stay; takes NULL */

/* 0: the catalog stands at update->revision, *ret_snapshot is a reference for the caller, and *ret
 * is the complete list of refusals now: a resource that cannot be compiled, or names one that is
 * not there, is refused alone and keeps its last good form (or stays away until what it lacks
 * comes).
 * -1: nothing changed. FAILED_PRECONDITION: base_revision is not what the catalog stands at, under
 * that cluster id: ask for a full snapshot. INVALID_ARGUMENT: the update itself makes no sense. */
GW_MUST_CHECK int dp_catalog_apply(struct dp_catalog *catalog, const struct dp_update *update,
                                   struct dp_snapshot **ret_snapshot, struct dp_refusals *ret,
                                   struct gw_error *err);

/* What it stands at: "" and 0 before the first update. */
gw_str dp_catalog_cluster_id(const struct dp_catalog *catalog);
int64_t dp_catalog_revision(const struct dp_catalog *catalog);

/* Of every newest form, refused or not: AgentMessage.Hello.content_digest. Reads all of them but
 * for those of apps. */
struct gw_content_digest dp_catalog_digest(const struct dp_catalog *catalog);

/* Every resource's last good form, packed (penstock.agent.v1.Resource): what a cache on disk needs
 * to make the same snapshot again. fn returns false to stop. Refused forms are not among them. */
typedef bool dp_catalog_fn(void *arg, gw_str packed_resource);
void dp_catalog_each(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg);
/* Every newest form that is refused. */
void dp_catalog_each_refused(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg);

#endif
