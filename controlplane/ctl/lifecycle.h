/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about an API's life share. */
#ifndef CP_CTL_LIFECYCLE_H
#define CP_CTL_LIFECYCLE_H

#include "controlplane/ctl/call.h"

#include "penstock/admin/v1/release.pb-c.h"

/* The API's whole name for what was typed; a mistake is one of usage. */
GW_MUST_CHECK int cp_api_name(struct cp_session *session, const char *typed, gw_str *ret_name,
                              struct gw_error *err);
/* "environments/X" for --env, or for the fallback without it; NULL: neither. */
char *cp_environment_name(struct cp_session *session, const char *fallback);
/* The release of that number of the API, in --env or RELEASE. */
gw_str cp_release_of(struct cp_session *session, gw_str api, int64_t number);
/* The one that callers reach in the environment ("environments/X"). */
GW_MUST_CHECK int cp_effective_release(struct cp_session *session, gw_str api,
                                       const char *environment, gw_str *ret_name,
                                       struct gw_error *err);
/* --wait, for requests; NULL: not given. */
Google__Protobuf__Duration *cp_wait(struct cp_session *session);
/* The exit status: 1 when not all agents have applied it. NULL: 0. */
int cp_rollout_status(const Penstock__Admin__V1__Rollout *rollout);
/* "N of N agents applied revision R in X ms", then who refused what; and the exit status. NULL:
 * nothing. */
int cp_print_rollout(const Penstock__Admin__V1__Rollout *rollout);
void cp_print_refusals(const Penstock__Admin__V1__Rollout *rollout);
/* publish and unpublish of several: --group, or not one name. */
GW_MUST_CHECK int cp_command_bulk(struct cp_session *session, bool offline, struct gw_error *err);
/* A method of ApiService. */
GW_MUST_CHECK int cp_call_api(struct cp_session *session, const char *method,
                              const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                              struct gw_error *err);

#endif
