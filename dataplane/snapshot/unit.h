/* SPDX-License-Identifier: Apache-2.0 */
/* What a resource is compiled into: immutable, reference counted, with all its memory in an arena
 * of its own. Snapshots, trees and other units share it. The structs here are private to
 * snapshot/. */
#ifndef DP_SNAPSHOT_UNIT_H
#define DP_SNAPSHOT_UNIT_H

#include "dataplane/siphash.h"
#include "dataplane/snapshot/compile.h"

#include <stdatomic.h>

struct dp_unit {
    atomic_uint refs;
    struct gw_arena arena;
};

/* A zeroed struct of `size` bytes that starts with a struct dp_unit, with one reference. */
void *dp_unit_new(size_t size, size_t arena_block_bytes);
struct dp_unit *dp_unit_ref(struct dp_unit *unit); /* any thread */
void dp_unit_unref(struct dp_unit *unit);          /* any thread; takes NULL */
/* `other` lives at least as long as `unit`. */
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

/* Of a route's name: 128 bits of a keyed hash stand for it. */
struct dp_route_id {
    uint64_t words[2];
};

struct dp_app_unit {
    struct dp_unit unit;
    struct dp_app app;
    const uint8_t (*digests)[DP_APP_CODE_DIGEST_BYTES];
    unsigned digest_count;
    const struct dp_route_id *grants; /* sorted */
    size_t grant_count;
};

struct dp_route_unit {
    struct dp_unit unit;
    struct dp_route route;
    struct dp_route_id id;
    unsigned method; /* enum dp_method or DP_METHOD_ANY */
};

/* What compilers may ask for besides the message. Missing references: NULL. */
struct dp_parts {
    const struct dp_compile_env *env;
    struct dp_siphash_key secret; /* of route ids */
    struct dp_unit *(*find)(const struct dp_parts *parts, Penstock__Agent__V1__Kind kind,
                            const char *name);
};

/* Each gives one reference, or NULL with err. */
struct dp_unit *dp_compile_certificate(const Penstock__Agent__V1__Certificate *message,
                                       struct gw_error *err);
struct dp_unit *dp_compile_ticket_keys(const Penstock__Agent__V1__TicketKeys *message,
                                       struct gw_error *err);
struct dp_unit *dp_compile_group(const struct dp_parts *parts,
                                 const Penstock__Agent__V1__Group *group, struct gw_error *err);
/* Its part of that: group->values gets what message->tls says. */
GW_MUST_CHECK int dp_compile_domains_tls(const struct dp_parts *parts, struct dp_group_unit *group,
                                         const Penstock__Agent__V1__Group *message,
                                         struct gw_error *err);
struct dp_unit *dp_compile_channel(const struct dp_parts *parts,
                                   const Penstock__Agent__V1__Channel *channel,
                                   struct gw_error *err);
struct dp_unit *dp_compile_policy(const struct dp_parts *parts,
                                  const Penstock__Agent__V1__Policy *policy, struct gw_error *err);
struct dp_unit *dp_compile_app(const struct dp_parts *parts, const Penstock__Agent__V1__App *app,
                               struct gw_error *err);
struct dp_unit *dp_compile_route(const struct dp_parts *parts,
                                 const Penstock__Agent__V1__Route *route, struct gw_error *err);

/* Shared: one spelling for a host; and checks: -1 with err naming the field. */
GW_MUST_CHECK int dp_compile_check_name(const char *name, const char *prefix, struct gw_error *err);
GW_MUST_CHECK int dp_compile_check_text(const char *text, const char *field, struct gw_error *err);
gw_str dp_compile_fold_host(struct gw_arena *arena, const char *text);
/* A host name or an address, in brackets or not; no port. */
bool dp_compile_is_host(gw_str host);
struct dp_member dp_compile_member(const struct dp_parts *parts, struct dp_unit *owner,
                                   const Penstock__Agent__V1__Member *member);
GW_MUST_CHECK int dp_compile_check_member(const Penstock__Agent__V1__Member *member,
                                          const char *field, struct gw_error *err);
struct dp_route_id dp_compile_route_id(const struct dp_parts *parts, gw_str route_name);
/* Order of grants. */
int dp_route_id_cmp(const void *a, const void *b);

#endif
