/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings: which policies apply to an API in an environment, one of each kind. */
#include "controlplane/model/check_policy.h"
#include "controlplane/service/bound.h"
#include "controlplane/service/policies.h"

#define INDEX "bindings"

static const char *policy_of(struct gw_arena *arena, const cp_policy_binding *binding)
{
    return gw_arena_dup(arena, cp_name_parent(gw_str_from(binding->name))).ptr;
}

static gw_str unique_value(struct gw_arena *arena, const cp_policy *policy,
                           const cp_policy_binding *binding)
{
    gw_str route = cp_route_name(arena, binding->api, binding->environment);
    return gw_arena_printf(arena, "%s/%.*s", cp_policy_kind_name(policy->kind_case),
                           GW_STR_ARG(route));
}

static struct cp_bound bound(const cp_policy_binding *binding)
{
    return (struct cp_bound){.kind = CP_KIND_BINDING,
                             .name = binding->name,
                             .api = binding->api,
                             .environment = binding->environment};
}

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    const cp_policy_binding *binding = (const cp_policy_binding *)message;
    if (cp_check_policy_binding(binding, err) < 0)
        return NULL;
    return cp_bound_id(arena, binding->api, binding->environment);
}

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_policy_binding((const cp_policy_binding *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_bound_fill(arena, &((cp_policy_binding *)message)->environment);
}

/* The kind that is claimed is that of the policy as it is read here: no other may take its name
 * until this is written. */
static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    (void)before;
    struct cp_stored api, policy;
    const cp_policy_binding *binding = (const cp_policy_binding *)message;
    const char *policy_name = policy_of(change->arena, binding);
    struct cp_bound to = bound(binding);
    if (cp_get(call, CP_KIND_POLICY, policy_name, &policy, err) < 0 ||
        cp_bound_refer(call, change, &to, &api, err) < 0)
        return -1;
    cp_change_expect(change, cp_key_of(change->arena, CP_KIND_POLICY, policy_name),
                     policy.mod_revision);
    const cp_policy *bound_policy = (const cp_policy *)policy.message;
    return cp_change_claim(call, change, INDEX, unique_value(change->arena, bound_policy, binding),
                           to.name, err);
}

static int forget(const struct cp_call *call, struct cp_change *change,
                  const cp_policy_binding *binding, struct gw_error *err)
{
    struct cp_stored policy;
    struct cp_bound to = bound(binding);
    if (cp_get(call, CP_KIND_POLICY, policy_of(change->arena, binding), &policy, err) < 0)
        return -1;
    cp_bound_unrefer(change, &to);
    cp_change_release(change, INDEX,
                      unique_value(change->arena, (const cp_policy *)policy.message, binding));
    return 0;
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    return forget(call, change, (const cp_policy_binding *)before, err);
}

int cp_drop_policy_binding(const struct cp_call *call, struct cp_change *change,
                           const cp_policy_binding *binding, int64_t mod_revision,
                           struct gw_error *err)
{
    gw_str key = cp_key_of(change->arena, CP_KIND_BINDING, binding->name);
    cp_change_expect(change, key, mod_revision);
    cp_change_delete(change, key);
    return forget(call, change, binding, err);
}

const struct cp_resource_rules cp_policy_binding_rules = {
    .kind = CP_KIND_BINDING,
    .field = "binding",
    .list_field = "bindings",
    .list_reply = CP_TYPE(list_policy_bindings_response),
    .is_replaced = true,
    .make_id = make_id,
    .check = check,
    .fill = fill,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
};
