/* SPDX-License-Identifier: Apache-2.0 */
/* EnrolmentService, and what agents call for certificates. */
#ifndef CP_SERVICE_ENROLMENTS_H
#define CP_SERVICE_ENROLMENTS_H

#include "common/rpc/server.h"
#include "controlplane/service/resource.h"

#define CP_ENROLMENTS_MAX 1000
#define CP_ENROLMENT_USES_MAX 1000
#define CP_ENROLMENT_LIFE_DEFAULT_S 3600
#define CP_ENROLMENT_LIFE_MIN_S 60
#define CP_ENROLMENT_LIFE_MAX_S (30 * 86400)
#define CP_ENROLMENT_ENVIRONMENTS_MAX 32
#define CP_ENROLMENT_SECRET_CHARS 43 /* of a-z A-Z 0-9: 256 bits */

#define CP_AGENT_AUTHORITY_NAME "agentAuthority/agents"

extern const struct cp_resource_rules cp_enrolment_rules, cp_agent_record_rules;

/* Of the token that an agent shows; 32 bytes, in the arena. */
gw_str cp_enrolment_digest(struct gw_arena *arena, gw_str token);

/* By who leads: deletes those that expired CP_ENROLMENT_KEPT_MS ago, so that they do not count any
 * more. FAILED_PRECONDITION: another one leads. */
#define CP_ENROLMENT_KEPT_MS ((gw_msec)86400 * 1000)
GW_MUST_CHECK int cp_enrolments_clean(struct cp_services *services, gw_msec now_ms,
                                      struct gw_error *err);

/* The authority of agents, with its key; made when there is none and make is true. NULL in *ret:
 * there is none. */
struct cp_pem_pair;
GW_MUST_CHECK int cp_agent_authority_read(struct cp_services *services, bool make,
                                          struct gw_arena *arena, struct cp_pem_pair *ret,
                                          struct gw_error *err);
/* The key under the first key for secrets, for reseal.c. */
bool cp_agent_authority_reseal(const struct cp_call *call, cp_agent_authority *authority);

/* Refused calls of one address in a minute; one more is not looked at. */
#define CP_ENROL_REFUSED_MAX 10

struct cp_enroller; /* AgentService.Enrol and Renew */
struct cp_enroller *cp_enroller_new(struct cp_services *services, gw_msec life_ms, bool has_tls);
void cp_enroller_free(struct cp_enroller *enroller); /* takes NULL */
#define CP_ENROL_METHODS 2
void cp_enroller_methods(struct cp_enroller *enroller,
                         struct gw_rpc_method ret_methods[CP_ENROL_METHODS]);

#endif
