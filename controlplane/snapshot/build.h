/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the resources that agents get out of the state: denormalised, every default filled in.
 * Pure: the same state and name always give the same bytes. */
#ifndef CP_SNAPSHOT_BUILD_H
#define CP_SNAPSHOT_BUILD_H

#include "controlplane/model/types.h"
#include "controlplane/snapshot/agent_types.h"
#include "controlplane/snapshot/state.h"

/* The kind of the agent resource of that name; names alone tell kinds apart. */
cp_agent_kind cp_build_kind(gw_str name);

/* 1 with *ret_resource, which lives in the arena; 0: there is nothing of that name; -1: there is,
 * but it cannot be made, and err says why. */
GW_MUST_CHECK int cp_build(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                           cp_agent_resource **ret_resource, struct gw_error *err);

/* Parts of it, one file a kind of resource; results as above. The name is of that kind. */
int cp_build_route(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                   cp_agent_route **ret_route, struct gw_error *err);
int cp_build_certificate(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                         cp_agent_certificate **ret_certificate, struct gw_error *err);
int cp_build_ticket_keys(const struct cp_state *state, struct gw_arena *arena,
                         cp_agent_ticket_keys **ret_keys, struct gw_error *err);
int cp_build_settings(const struct cp_state *state, struct gw_arena *arena,
                      cp_agent_settings **ret_settings, struct gw_error *err);
/* What the domain says of TLS; nothing of one without certificates. */
void cp_build_domain_tls(struct gw_arena *arena, const cp_domain *domain, cp_agent_group *group);
/* NULL for NULL. */
cp_agent_ip_access *cp_build_ip_access(struct gw_arena *arena, const cp_ip_access *stored);
int cp_build_policy(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                    cp_agent_policy **ret_policy, struct gw_error *err);

/* A NUL-terminated copy, as generated messages want it. */
char *cp_build_text(struct gw_arena *arena, gw_str text);
/* The stored message of a resource in the arena; 0: it is not there. */
int cp_build_read(const struct cp_state *state, gw_str name, struct gw_arena *arena,
                  ProtobufCMessage **ret_message, struct gw_error *err);

#endif
