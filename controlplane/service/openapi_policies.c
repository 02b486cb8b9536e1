/* SPDX-License-Identifier: Apache-2.0 */
/* Policies of OpenAPI documents: those that they define, what their operations name, and what is
 * bound to APIs. Each write is what PolicyService does, by the rights that it asks for. */
#include "common/map.h"
#include "common/message.h"
#include "controlplane/service/bound.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/openapi.h"
#include "controlplane/service/policies.h"

#define BOUND_MAX 16 /* more than there are kinds */

typedef Penstock__Admin__V1__PolicyOutcome policy_outcome;
typedef Penstock__Admin__V1__CreatePolicyRequest create_request;
typedef Penstock__Admin__V1__UpdatePolicyRequest update_request;
typedef Penstock__Admin__V1__CreatePolicyBindingRequest bind_request;

static int may(const struct cp_call *call, const struct cp_resource_rules *rules, const char *verb,
               const char *name, struct gw_error *err)
{
    size_t i = 0;
    while (cp_bundle_kinds[i].rules != rules)
        i++;
    return cp_bundle_check(call, &cp_bundle_kinds[i], verb, name, err);
}

/* ---- what a document defines */

static int create(const struct cp_call *call, const struct cp_openapi_policy *defined,
                  const char *name, bool validate_only, struct gw_error *err)
{
    create_request request = CP_INIT(CREATE_POLICY_REQUEST);
    ProtobufCMessage *reply;
    request.policy_id = (char *)(uintptr_t)defined->id;
    request.policy = defined->policy;
    request.validate_only = validate_only;
    if (may(call, &cp_policy_rules, "Create", name, err) < 0)
        return -1;
    return cp_resource_create(call, &cp_policy_rules, &request.base, &reply, err);
}

/* The kind alone: labels and description are not the document's. */
static int update(const struct cp_call *call, const struct cp_openapi_policy *defined,
                  const struct cp_stored *before, bool validate_only, bool *ret_is_same,
                  struct gw_error *err)
{
    cp_policy *policy = (cp_policy *)gw_message_copy(call->arena, before->message);
    cp_policy *fresh = defined->policy;
    update_request request = CP_INIT(UPDATE_POLICY_REQUEST);
    ProtobufCMessage *reply;
    policy->kind_case = fresh->kind_case;
    policy->throttle = fresh->throttle; /* either one: it is a union */
    policy->etag = cp_etag(call->arena, before->mod_revision);
    request.policy = policy;
    request.validate_only = validate_only;
    if (may(call, &cp_policy_rules, "Update", policy->name, err) < 0 ||
        cp_resource_update(call, &cp_policy_rules, &request.base, &reply, err) < 0)
        return -1;
    const cp_policy *after = (const cp_policy *)reply, *was = (const cp_policy *)before->message;
    *ret_is_same = after->update_time && was->update_time &&
                   after->update_time->seconds == was->update_time->seconds &&
                   after->update_time->nanos == was->update_time->nanos;
    return 0;
}

static int do_policy(const struct cp_call *call, const cp_import_request *asked,
                     const struct cp_openapi_policy *defined, policy_outcome *outcome,
                     struct gw_error *err)
{
    struct cp_stored before;
    bool is_same = false, is_override = asked->mode == CP_ENUM(IMPORT_MODE, OVERRIDE);
    outcome->policy =
        (char *)(uintptr_t)gw_arena_printf(call->arena, "policies/%s", defined->id).ptr;
    if (!defined->policy) {
        *err = *defined->err;
        return -1;
    }
    if (cp_id_check(CP_KIND_POLICY, defined->id, "name", err) < 0 ||
        may(call, &cp_policy_rules, "Get", outcome->policy, err) < 0 || /* or whether it is there */
        cp_find(call, CP_KIND_POLICY, outcome->policy, &before, err) < 0)
        return -1;
    if (!before.message) {
        outcome->result = CP_ENUM(OPERATION_RESULT, CREATED);
        return create(call, defined, outcome->policy, asked->validate_only, err);
    }
    outcome->result = CP_ENUM(OPERATION_RESULT, KEPT);
    if (!is_override)
        return 0;
    if (update(call, defined, &before, asked->validate_only, &is_same, err) < 0)
        return -1;
    outcome->result =
        is_same ? CP_ENUM(OPERATION_RESULT, UNCHANGED) : CP_ENUM(OPERATION_RESULT, UPDATED);
    return 0;
}

void cp_openapi_import_policies(const struct cp_call *call, const cp_import_request *asked,
                                const struct cp_openapi *document, cp_import_reply *reply)
{
    static char nothing[] = "";
    if (!*asked->environment)
        return;
    reply->policies = GW_ARENA_ARRAY(call->arena, policy_outcome *, document->policy_count + 1);
    for (size_t i = 0; i < document->policy_count; i++) {
        struct gw_error why = GW_ERROR_NONE;
        policy_outcome *outcome =
            (policy_outcome *)gw_message_new(call->arena, CP_TYPE(policy_outcome));
        outcome->name = (char *)(uintptr_t)document->policies[i].name;
        if (do_policy(call, asked, &document->policies[i], outcome, &why) < 0) {
            outcome->result = CP_ENUM(OPERATION_RESULT, REFUSED);
            outcome->policy = nothing;
            outcome->failure = cp_openapi_failure(call->arena, &why);
        }
        reply->policies[reply->n_policies++] = outcome;
    }
}

/* ---- what an operation names */

static const char *policy_of(struct gw_arena *arena, const char *name)
{
    return gw_arena_printf(arena, "policies/%s", cp_openapi_id(arena, name)).ptr;
}

static bool defines(const struct cp_openapi *document, const char *name)
{
    for (size_t i = 0; i < document->policy_count; i++)
        if (strcmp(document->policies[i].name, name) == 0 && document->policies[i].policy)
            return true;
    return false;
}

static int bind_one(const struct cp_call *call, const cp_import_request *asked, const char *policy,
                    const char *api, struct gw_error *err)
{
    cp_policy_binding binding = CP_INIT(POLICY_BINDING);
    bind_request request = CP_INIT(CREATE_POLICY_BINDING_REQUEST);
    struct cp_stored there;
    ProtobufCMessage *reply;
    gw_str name = gw_arena_printf(call->arena, "%s/bindings/%s", policy,
                                  cp_bound_id(call->arena, api, asked->environment));
    if (!cp_name_is(CP_KIND_POLICY, policy))
        return gw_fail(err, GW_NOT_FOUND, "%s is no name of a policy", policy);
    if (may(call, &cp_policy_binding_rules, "Get", name.ptr, err) < 0)
        return -1; /* nor whether it is there */
    if (cp_find(call, CP_KIND_BINDING, name.ptr, &there, err) < 0 || there.message)
        return there.message ? 0 : -1;
    binding.api = (char *)(uintptr_t)api;
    binding.environment = asked->environment;
    request.parent = (char *)(uintptr_t)policy;
    request.binding = &binding;
    request.validate_only = asked->validate_only;
    if (may(call, &cp_policy_binding_rules, "Create", name.ptr, err) < 0)
        return -1;
    return cp_resource_create(call, &cp_policy_binding_rules, &request.base, &reply, err);
}

void cp_openapi_bind(const struct cp_call *call, const cp_import_request *asked,
                     const struct cp_openapi *document, struct cp_openapi_operation *operation,
                     const char *api)
{
    for (size_t i = 0; i < operation->policy_count; i++) {
        struct gw_error why = GW_ERROR_NONE;
        const char *name = operation->policies[i];
        if (!*asked->environment)
            (void)gw_fail(&why, GW_FAILED_PRECONDITION, "no environment was given");
        else if (!api || (asked->validate_only && defines(document, name)))
            continue; /* would be bound, or is told later */
        else
            (void)bind_one(call, asked, policy_of(call->arena, name), api, &why); /* in why */
        if (why.code != GW_OK)
            cp_openapi_add_note(call->arena, operation,
                                gw_arena_printf(call->arena, "policy \"%.64s\" not bound: %.160s",
                                                name, why.message)
                                    .ptr);
    }
}

/* ---- what is bound to APIs */

struct finding {
    const struct cp_call *call;
    const char *environment;
    struct gw_map *policies; /* by name, as they were read */
    cp_policy **found;
    size_t count;
};

static int visit_binding(void *arg, const char *name, struct gw_error *err)
{
    struct finding *finding = arg;
    struct gw_arena *arena = finding->call->arena;
    struct cp_stored binding, policy;
    if (cp_find(finding->call, CP_KIND_BINDING, name, &binding, err) < 0)
        return -1;
    bool is_meant = binding.message && strcmp(((cp_policy_binding *)binding.message)->environment,
                                              finding->environment) == 0;
    if (!is_meant || finding->count == BOUND_MAX)
        return 0;
    struct gw_error refusal = GW_ERROR_NONE;
    gw_str policy_name = gw_arena_dup(arena, cp_name_parent(gw_str_from(name)));
    if (may(finding->call, &cp_policy_rules, "Get", policy_name.ptr, &refusal) < 0)
        return 0; /* bound to the caller's API by others, who may see it */
    cp_policy *known = gw_map_get(finding->policies, policy_name);
    if (!known) {
        if (cp_get(finding->call, CP_KIND_POLICY, policy_name.ptr, &policy, err) < 0)
            return -1;
        known = (cp_policy *)policy.message;
        gw_map_put(finding->policies, policy_name, known);
    }
    finding->found[finding->count++] = known;
    return 0;
}

int cp_openapi_find_policies(const struct cp_call *call, cp_api *const *apis, size_t count,
                             const char *environment, cp_policy ****ret_policies,
                             struct gw_error *err)
{
    struct gw_map policies;
    int result = 0;
    gw_map_init(&policies);
    cp_policy ***all = GW_ARENA_ARRAY(call->arena, cp_policy **, count + 1);
    for (size_t i = 0; i < count && result == 0; i++) {
        struct finding finding = {.call = call, .environment = environment, .policies = &policies};
        finding.found = GW_ARENA_ARRAY(call->arena, cp_policy *, BOUND_MAX + 1);
        result = cp_each_referrer(call, CP_KIND_BINDING, CP_KIND_API, apis[i]->name, visit_binding,
                                  &finding, err);
        all[i] = finding.found;
    }
    gw_map_done(&policies);
    *ret_policies = all;
    return result;
}
