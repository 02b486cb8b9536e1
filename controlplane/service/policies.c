/* SPDX-License-Identifier: Apache-2.0 */
/* Policies and PolicyService. A policy is live: agents have a change at once. */
#include "controlplane/service/policies.h"

#include "controlplane/model/check.h"
#include "controlplane/model/check_policy.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/services.h"

#define DISPLAY_NAME_MIN 3
#define DISPLAY_NAME_MAX 255
#define DESCRIPTION_BYTES_MAX 255

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    const cp_policy *policy = (const cp_policy *)message;
    (void)(before ? cp_check_policy_update((const cp_policy *)before, policy, err)
                  : cp_check_policy(policy, err));
    cp_check_characters(policy->display_name, DISPLAY_NAME_MIN, DISPLAY_NAME_MAX, "display_name",
                        err);
    cp_check_bytes(policy->description, DESCRIPTION_BYTES_MAX, "description", err);
    return err->code == GW_OK ? 0 : -1;
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    (void)arena;
    const cp_policy *policy = (const cp_policy *)message;
    if (policy->kind_case != CP_ONEOF(POLICY, THROTTLE))
        return;
    cp_throttle *throttle = policy->throttle;
    if (throttle->scope == CP_ENUM(THROTTLE_SCOPE, UNSPECIFIED))
        throttle->scope = CP_ENUM(THROTTLE_SCOPE, API);
    if (throttle->mode == CP_ENUM(THROTTLE_MODE, UNSPECIFIED))
        throttle->mode = CP_ENUM(THROTTLE_MODE, LOCAL);
    if (throttle->unit == CP_ENUM(TIME_UNIT, UNSPECIFIED))
        throttle->unit = CP_ENUM(TIME_UNIT, SECOND);
    if (throttle->interval == 0)
        throttle->interval = 1;
}

/* What the reference product answers for this kind; it has no code for the others. */
static const char *in_use_apig(Penstock__Admin__V1__Policy__KindCase kind)
{
    if (kind == CP_ONEOF(POLICY, IP_ACCESS) || kind == CP_ONEOF(POLICY, ACCOUNT_ACCESS))
        return "APIG.3447";
    return kind == CP_ONEOF(POLICY, THROTTLE) ? "APIG.3451" : "";
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    return before ? 0 : cp_quota_take_policy(call, change, message, err);
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)change;
    const cp_policy *policy = (const cp_policy *)before;
    struct cp_page page;
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_BINDING, gw_str_from(policy->name)),
        .limit = 1,
    };
    gw_str name;
    if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    if (page.count == 0)
        return 0;
    if (!cp_key_parse(call->arena, page.kvs[0].key, &name))
        name = page.kvs[0].key;
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s is bound: %.*s%s", policy->name, (int)name.len,
                  name.ptr, page.more ? " and others" : "");
    (void)gw_error_apig(err, in_use_apig(policy->kind_case));
    return gw_error_reason(err, "IN_USE");
}

const struct cp_resource_rules cp_policy_rules = {
    .kind = CP_KIND_POLICY,
    .field = "policy",
    .list_field = "policies",
    .list_reply = CP_TYPE(list_policies_response),
    .check = check,
    .fill = fill,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
};
CP_RESOURCE_HANDLERS(policy, policies, cp_policy_rules)
CP_RESOURCE_HANDLER(get, policy_binding, cp_policy_binding_rules)
CP_RESOURCE_HANDLER(list, policy_bindings, cp_policy_binding_rules)
CP_RESOURCE_HANDLER(create, policy_binding, cp_policy_binding_rules)
CP_RESOURCE_HANDLER(delete, policy_binding, cp_policy_binding_rules)

static const struct cp_method methods[] = {
    {"GetPolicy", CP_ROLE_VIEWER, get_policy},
    {"ListPolicies", CP_ROLE_VIEWER, list_policies},
    {"CreatePolicy", CP_ROLE_OPERATOR, create_policy},
    {"UpdatePolicy", CP_ROLE_OPERATOR, update_policy},
    {"DeletePolicy", CP_ROLE_OPERATOR, delete_policy},
    {"GetPolicyBinding", CP_ROLE_VIEWER, get_policy_binding},
    {"ListPolicyBindings", CP_ROLE_VIEWER, list_policy_bindings},
    {"CreatePolicyBinding", CP_ROLE_OPERATOR, create_policy_binding},
    {"DeletePolicyBinding", CP_ROLE_OPERATOR, delete_policy_binding},
};
const struct cp_service cp_policy_service = {&penstock__admin__v1__policy_service__descriptor,
                                             methods, GW_ARRAY_LEN(methods)};
