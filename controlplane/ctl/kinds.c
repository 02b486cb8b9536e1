/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/kinds.h"

#include "penstock/admin/v1/account.pb-c.h"
#include "penstock/admin/v1/agent.pb-c.h"
#include "penstock/admin/v1/api.pb-c.h"
#include "penstock/admin/v1/api_group.pb-c.h"
#include "penstock/admin/v1/app.pb-c.h"
#include "penstock/admin/v1/audit_event.pb-c.h"
#include "penstock/admin/v1/certificate.pb-c.h"
#include "penstock/admin/v1/channel.pb-c.h"
#include "penstock/admin/v1/domain.pb-c.h"
#include "penstock/admin/v1/enrolment.pb-c.h"
#include "penstock/admin/v1/environment.pb-c.h"
#include "penstock/admin/v1/policy.pb-c.h"
#include "penstock/admin/v1/quota.pb-c.h"
#include "penstock/admin/v1/release.pb-c.h"
#include "penstock/admin/v1/settings.pb-c.h"
#include "penstock/admin/v1/variable.pb-c.h"

#include <stdio.h>

#define SERVICE(name) &penstock__admin__v1__##name##_service__descriptor
#define MESSAGE(name) &penstock__admin__v1__##name##__descriptor

const struct cp_ctl_kind cp_ctl_kinds[] = {
    {"ApiGroup",
     "ApiGroups",
     "group",
     "groups",
     "groups/{group}",
     SERVICE(api_group),
     MESSAGE(api_group),
     {{"NAME", "name"}, {"DEBUG DOMAIN", "debug_domain"}, {"DESCRIPTION", "description"}}},
    {"Domain",
     "Domains",
     "domain",
     "domains",
     "groups/{group}/domains/{domain}",
     SERVICE(domain),
     MESSAGE(domain),
     {{"NAME", "name"},
      {"CERTIFICATES", "certificates"},
      {"MIN TLS", "min_tls_version"},
      {"CREATED", "create_time"}}},
    {"Certificate",
     "Certificates",
     "certificate",
     "certs",
     "certificates/{certificate}",
     SERVICE(certificate),
     MESSAGE(certificate),
     {{"NAME", "name"},
      {"KEY", "key_algorithm"},
      {"NAMES", "subject_alternative_names"},
      {"EXPIRES", "not_after_time"}}},
    {"Api",
     "Apis",
     "api",
     "apis",
     "groups/{group}/apis/{api}",
     SERVICE(api),
     MESSAGE(api),
     {{"NAME", "name"},
      {"METHOD", "frontend.method"},
      {"PATH", "frontend.path"},
      {"MATCH", "frontend.match_mode"},
      {"AUTH", "authentication.type"},
      {"PUBLISHED", "publications.release"},
      {"STALE", "publications.stale_variables"},
      {"REFUSED", "publications.refusals.reason"}}},
    {"Release",
     "Releases",
     "release",
     "releases",
     "groups/{group}/apis/{api}/releases/{release}",
     SERVICE(release),
     MESSAGE(release),
     {{"NUMBER", "number"},
      {"ENVIRONMENT", "environment"},
      {"EFFECTIVE", "effective"},
      {"CREATED", "create_time"},
      {"AUTHOR", "author"},
      {"DESCRIPTION", "description"}}},
    {"StaleRelease",
     "StaleReleases",
     "stale-release",
     "stale",
     "groups/{group}/stale/{release}",
     SERVICE(release),
     MESSAGE(stale_release),
     {{"NAME", "name"},
      {"VARIABLES", "variables.name"},
      {"PUBLISHED", "variables.frozen_value"},
      {"NOW", "variables.current_value"}}},
    {"Environment",
     "Environments",
     "environment",
     "env",
     "environments/{environment}",
     SERVICE(environment),
     MESSAGE(environment),
     {{"NAME", "name"}, {"DESCRIPTION", "description"}}},
    {"Variable",
     "Variables",
     "variable",
     "vars",
     "groups/{group}/variables/{variable}",
     SERVICE(variable),
     MESSAGE(variable),
     {{"NAME", "name"},
      {"VALUE", "value"},
      {"STALE APIS", "stale_apis"},
      {"DESCRIPTION", "description"}}},
    {"Channel",
     "Channels",
     "channel",
     "channels",
     "channels/{channel}",
     SERVICE(channel),
     MESSAGE(channel),
     {{"NAME", "name"}, {"PORT", "port"}, {"MEMBERS", "members.host"}}},
    {"App",
     "Apps",
     "app",
     "apps",
     "apps/{app}",
     SERVICE(app),
     MESSAGE(app),
     {{"NAME", "name"},
      {"KEY", "key"},
      {"SECRET MADE", "secret_time"},
      {"FROZEN", "frozen"},
      {"DESCRIPTION", "description"}}},
    {"AppCode",
     "AppCodes",
     "code",
     "codes",
     "apps/{app}/codes/{code}",
     SERVICE(app),
     MESSAGE(app_code),
     {{"NAME", "name"}, {"CODE", "code"}, {"HINT", "hint"}, {"CREATED", "create_time"}}},
    {"Authorization",
     "Authorizations",
     "authorization",
     "auth",
     "apps/{app}/authorizations/{authorization}",
     SERVICE(app),
     MESSAGE(authorization),
     {{"NAME", "name"}, {"API", "api"}, {"ENVIRONMENT", "environment"}}},
    {"Policy",
     "Policies",
     "policy",
     "policies",
     "policies/{policy}",
     SERVICE(policy),
     MESSAGE(policy),
     {{"NAME", "name"}, {"KIND", "kind"}, {"DESCRIPTION", "description"}}},
    {"PolicyBinding",
     "PolicyBindings",
     "binding",
     "bindings",
     "policies/{policy}/bindings/{binding}",
     SERVICE(policy),
     MESSAGE(policy_binding),
     {{"NAME", "name"}, {"API", "api"}, {"ENVIRONMENT", "environment"}}},
    {"Settings",
     "SettingsList",
     "settings",
     "setting",
     "settings",
     SERVICE(settings),
     MESSAGE(settings),
     {{"NAME", "name"},
      {"BODY MAX", "request_body_max_bytes"},
      {"DEBUG", "debug_audience"},
      {"ESCAPED SLASH", "escaped_slash"},
      {"UPDATED", "update_time"}}},
    {"Quota",
     "Quotas",
     "quota",
     "quotas",
     "quotas/{quota}",
     SERVICE(quota),
     MESSAGE(quota),
     {{"NAME", "name"},
      {"LIMIT", "limit"},
      {"USED", "used"},
      {"PER", "per"},
      {"CODE", "apig_code"},
      {"OPTION", "option"}}},
    {"AuditEvent",
     "AuditEvents",
     "audit-event",
     "audit-events",
     "auditEvents/{audit_event}",
     SERVICE(audit_event),
     MESSAGE(audit_event),
     {{"TIME", "event_time"},
      {"PRINCIPAL", "principal"},
      {"FROM", "source_address"},
      {"METHOD", "method"},
      {"RESOURCE", "resource"},
      {"CODE", "code"},
      {"REVISION", "revision"},
      {"MESSAGE", "message"}}},
    {"Account",
     "Accounts",
     "account",
     "accounts",
     "accounts/{account}",
     SERVICE(account),
     MESSAGE(account),
     {{"NAME", "name"}, {"DISABLED", "disabled"}, {"DESCRIPTION", "description"}}},
    {"User",
     "Users",
     "user",
     "users",
     "accounts/{account}/users/{user}",
     SERVICE(account),
     MESSAGE(user),
     {{"NAME", "name"},
      {"DISABLED", "disabled"},
      {"CLAIMS", "claims"},
      {"ROLES", "grants.role"},
      {"LIMITS", "grants.limits"}}},
    {"AccessKey",
     "AccessKeys",
     "access-key",
     "keys",
     "accounts/{account}/users/{user}/keys/{key}",
     SERVICE(account),
     MESSAGE(access_key),
     {{"NAME", "name"}, {"DISABLED", "disabled"}, {"CREATED", "create_time"}}},
    {"Enrolment",
     "Enrolments",
     "enrolment",
     "enrolments",
     "enrolments/{enrolment}",
     SERVICE(enrolment),
     MESSAGE(enrolment),
     {{"NAME", "name"},
      {"AGENT", "agent"},
      {"ENVIRONMENTS", "environments"},
      {"USES", "uses"},
      {"EXPIRES", "expire_time"}}},
    {"AgentIdentity",
     "AgentIdentities",
     "agent-identity",
     "agent-identities",
     "agentIdentities/{agent}",
     SERVICE(enrolment),
     MESSAGE(agent_identity),
     {{"NAME", "name"},
      {"ENVIRONMENTS", "environments"},
      {"ENROLMENT", "enrolment"},
      {"EXPIRES", "expire_time"}}},
    {"Agent",
     "Agents",
     "agent",
     "agents",
     "agents/{agent}",
     SERVICE(agent),
     MESSAGE(agent),
     {{"NAME", "name"},
      {"CONNECTED", "connected"},
      {"VERSION", "version"},
      {"APPLIED", "applied_revision"},
      {"CURRENT", "current_revision"},
      {"REFUSALS", "refusals.resource"},
      {"IDENTITY", "identity"},
      {"ENVIRONMENTS", "environments"},
      {"EXPIRES", "certificate_expire_time"},
      {"LAST SEEN", "last_seen_time"}}},
};
const unsigned cp_ctl_kind_count = GW_ARRAY_LEN(cp_ctl_kinds);

const struct cp_ctl_kind *cp_kind_find(gw_str word)
{
    for (unsigned i = 0; i < cp_ctl_kind_count; i++) {
        const struct cp_ctl_kind *kind = &cp_ctl_kinds[i];
        const char *const names[] = {kind->word, kind->plural, kind->command, kind->alias};
        for (size_t j = 0; j < GW_ARRAY_LEN(names); j++)
            if (gw_str_eq_nocase(word, gw_str_from(names[j])))
                return kind;
    }
    return NULL;
}

/* Segments of a name against those of a pattern: "{x}" takes any, not empty. */
static bool fits(gw_str pattern, gw_str name)
{
    while (pattern.ptr && name.ptr) {
        gw_str want = gw_str_split(&pattern, '/'), have = gw_str_split(&name, '/');
        bool is_id = want.len > 0 && want.ptr[0] == '{';
        if (is_id ? have.len == 0 : !gw_str_eq(want, have))
            return false;
    }
    return !pattern.ptr && !name.ptr;
}

const struct cp_ctl_kind *cp_kind_of_name(gw_str name)
{
    for (unsigned i = 0; i < cp_ctl_kind_count; i++)
        if (fits(gw_str_from(cp_ctl_kinds[i].pattern), name))
            return &cp_ctl_kinds[i];
    return NULL;
}

int cp_kind_name(const struct cp_ctl_kind *kind, gw_str typed, struct gw_arena *arena,
                 gw_str *ret_name, struct gw_error *err)
{
    gw_str pattern = gw_str_from(kind->pattern), ids = typed, name = GW_STR("");
    if (fits(pattern, typed)) {
        *ret_name = gw_arena_dup(arena, typed);
        return 0;
    }
    while (pattern.ptr) {
        gw_str part = gw_str_split(&pattern, '/');
        bool is_id = part.ptr[0] == '{';
        if (is_id && !ids.ptr)
            goto bad;
        if (is_id)
            part = gw_str_split(&ids, '/');
        if (part.len == 0)
            goto bad;
        name = gw_arena_printf(arena, "%.*s%s%.*s", GW_STR_ARG(name), name.len ? "/" : "",
                               GW_STR_ARG(part));
    }
    if (!ids.ptr) {
        *ret_name = name;
        return 0;
    }
bad:
    return gw_fail(err, GW_INVALID_ARGUMENT, "\"%.*s\" is no name of kind %s: it looks like %s",
                   GW_STR_ARG(typed), kind->command, kind->pattern);
}

void cp_kind_split(gw_str name, gw_str *ret_parent, gw_str *ret_id)
{
    size_t slashes[2] = {0, 0}; /* last and last but one; a name of two segments has no parent */
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '/')
            continue;
        slashes[1] = slashes[0];
        slashes[0] = i;
    }
    *ret_parent = gw_str_n(name.ptr, slashes[1]);
    *ret_id = gw_str_n(name.ptr + slashes[0] + 1, name.len - slashes[0] - 1);
}

bool cp_kind_has_parent(const struct cp_ctl_kind *kind)
{
    gw_str pattern = gw_str_from(kind->pattern);
    (void)gw_str_split(&pattern,
                       '/'); /* collection and id of the kind itself, when it stands alone */
    (void)gw_str_split(&pattern, '/');
    return pattern.ptr != NULL;
}

const ProtobufCMethodDescriptor *cp_kind_method(const struct cp_ctl_kind *kind, const char *verb)
{
    char name[64];
    snprintf(name, sizeof(name), "%s%s", verb,
             strcmp(verb, "List") == 0 ? kind->plural : kind->word);
    return protobuf_c_service_descriptor_get_method_by_name(kind->service, name);
}

const char *cp_kind_path(const ProtobufCServiceDescriptor *service,
                         const ProtobufCMethodDescriptor *method, struct gw_arena *arena)
{
    return gw_arena_printf(arena, "/%s/%s", service->name, method->name).ptr;
}
