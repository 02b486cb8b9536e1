/* SPDX-License-Identifier: Apache-2.0 */
/* From messages to units; between the compilers of each kind and the catalog. Sync thread. */
#ifndef DP_SNAPSHOT_PARTS_H
#define DP_SNAPSHOT_PARTS_H

#include "dataplane/snapshot/unit.h"

/* What compilers may ask for besides the message. Missing references: NULL. */
struct dp_parts {
    const struct dp_compile_env *env;
    struct dp_siphash_key secret; /* of the hashes of names; the same for the process's life */
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
struct dp_name_hash dp_compile_name_hash(const struct dp_parts *parts, gw_str name);

#endif
