/* SPDX-License-Identifier: Apache-2.0 */
/* What a resource is compiled into: immutable, reference counted, with all its memory in an arena
 * of its own. Snapshots, trees and other units share it. The structs here are private to
 * snapshot/. */
#ifndef DP_SNAPSHOT_UNIT_H
#define DP_SNAPSHOT_UNIT_H

#include "common/content_digest.h"
#include "dataplane/siphash.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/snapshot/trie.h"

#include <stdatomic.h>

struct dp_unit {
    atomic_uint refs;
    struct gw_arena *arena; /* behind the struct that this begins; NULL: it needs none */
};

/* A zeroed struct of `size` bytes that starts with a struct dp_unit, with one reference.
 * arena_block_bytes 0: without an arena. */
void *dp_unit_new(size_t size, size_t arena_block_bytes);
struct dp_unit *dp_unit_ref(struct dp_unit *unit); /* any thread */
void dp_unit_unref(struct dp_unit *unit);          /* any thread; takes NULL */
/* `other` lives at least as long as `unit`, which has an arena. */
void dp_unit_keep(struct dp_unit *unit, struct dp_unit *other);

struct dp_group_unit {
    struct dp_unit unit;
    gw_str name;
    struct dp_host domain, debug;  /* values of the router's hosts */
    const gw_str *hosts;           /* lower case; the debugging domain is [0] when has_debug */
    const struct dp_host **values; /* of each host */
    unsigned host_count;
    bool has_debug;
};

struct dp_channel_unit {
    struct dp_unit unit;
    struct dp_channel channel;
};

struct dp_certificate_unit {
    struct dp_unit unit;
    struct dp_certificate certificate;
};

struct dp_tickets_unit {
    struct dp_unit unit;
    struct dp_ticket_keys keys;
};

struct dp_policy_unit {
    struct dp_unit unit;
    const struct dp_filter *filter;
    const void *conf;
};

struct dp_app_unit;

/* In code_map.h. */
struct dp_code {
    struct dp_trie_item item; /* its references are those of maps: 0 in none */
    uint8_t digest[DP_APP_CODE_DIGEST_BYTES];
    struct dp_app_unit *app; /* that it stands in */
};

/* A route that an app may call. */
struct dp_grant {
    uint64_t number;        /* dp_route.number */
    struct dp_entry *route; /* the catalog's; of apps in force. Sync thread */
};

/* What few apps have; in the arena. */
struct dp_app_extras {
    gw_str form; /* packed: what the unit alone does not say again */
    const struct dp_address_list *addresses;
};

/* There may be a million: all in one piece, and no form beside it; compile_app.c packs it again.
 * Behind the codes are the grants, sorted by number, then the name and the display name, without
 * NUL. */
struct dp_app_unit {
    struct dp_unit unit;
    struct dp_trie_item by_name;     /* the catalog's: apps in force */
    struct gw_content_digest digest; /* of the form that it was compiled from */
    uint32_t seen;                   /* serial of the last update that brought it; sync thread */
    uint32_t grant_count;
    const struct dp_app_extras *extras; /* NULL: none */
    struct dp_app app;
    struct dp_code codes[];
};

static inline const struct dp_grant *dp_app_grants(const struct dp_app_unit *unit)
{
    return (const struct dp_grant *)(const void *)(unit->codes + unit->app.code_count);
}

struct dp_route_unit {
    struct dp_unit unit;
    struct dp_route route;
    unsigned method; /* enum dp_method or DP_METHOD_ANY */
};

int dp_grant_cmp(const void *a, const void *b); /* by number */

#endif
