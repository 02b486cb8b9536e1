/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/services.h"

#include "controlplane/model/types.h"

#include "penstock/admin/v1/agent.pb-c.h"
#include "penstock/admin/v1/alarm_rule.pb-c.h"
#include "penstock/admin/v1/authorizer.pb-c.h"
#include "penstock/admin/v1/gateway_response.pb-c.h"
#include "penstock/admin/v1/signature_key.pb-c.h"

#define LATER(name)                                                                                \
    {                                                                                              \
        &penstock__admin__v1__##name##__descriptor, NULL, 0                                        \
    }

void cp_services_add(struct cp_methods *methods)
{
    static const struct cp_service *const working[] = {
        &cp_group_service,    &cp_domain_service,      &cp_environment_service, &cp_channel_service,
        &cp_api_service,      &cp_release_service,     &cp_agent_service,       &cp_app_service,
        &cp_policy_service,   &cp_certificate_service, &cp_variable_service,    &cp_auth_service,
        &cp_bundle_service,   &cp_audit_service,       &cp_openapi_service,     &cp_account_service,
        &cp_settings_service, &cp_quota_service,       &cp_enrolment_service,
    };
    static const struct cp_service later[] = {
        LATER(authorizer_service),
        LATER(signature_key_service),
        LATER(gateway_response_service),
        LATER(alarm_rule_service),
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(working); i++)
        cp_methods_add_service(methods, working[i]);
    for (size_t i = 0; i < GW_ARRAY_LEN(later); i++)
        cp_methods_add_service(methods, &later[i]);
}
