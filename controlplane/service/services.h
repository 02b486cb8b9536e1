/* SPDX-License-Identifier: Apache-2.0 */
/* Every service of the management API that works, and the table of all. */
#ifndef CP_SERVICE_SERVICES_H
#define CP_SERVICE_SERVICES_H

#include "controlplane/rpc/method.h"

extern const struct cp_service cp_account_service;
extern const struct cp_service cp_group_service;
extern const struct cp_service cp_domain_service;
extern const struct cp_service cp_enrolment_service;
extern const struct cp_service cp_environment_service;
extern const struct cp_service cp_channel_service;
extern const struct cp_service cp_certificate_service;
extern const struct cp_service cp_api_service;
extern const struct cp_service cp_release_service;
extern const struct cp_service cp_agent_service;
extern const struct cp_service cp_auth_service;
extern const struct cp_service cp_app_service;
extern const struct cp_service cp_policy_service;
extern const struct cp_service cp_variable_service;
extern const struct cp_service cp_bundle_service;
extern const struct cp_service cp_audit_service;
extern const struct cp_service cp_openapi_service;
extern const struct cp_service cp_settings_service;
extern const struct cp_service cp_quota_service;

/* Adds them all, and those of the protos of which nothing works yet: their methods answer
 * UNIMPLEMENTED. */
void cp_services_add(struct cp_methods *methods);

#endif
