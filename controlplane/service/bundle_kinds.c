/* SPDX-License-Identifier: Apache-2.0 */
/* What bundles hold: a new kind is a row here and a member of BundleResource.kind. */
#include "controlplane/service/bundle.h"

#include "common/message.h"
#include "controlplane/service/accounts.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/pages.h"
#include "controlplane/service/policies.h"
#include "controlplane/service/services.h"

const struct cp_bundle_kind cp_bundle_kinds[] = {
    {&cp_environment_rules, &cp_environment_service},
    {&cp_certificate_rules, &cp_certificate_service},
    {&cp_channel_rules, &cp_channel_service},
    {&cp_group_rules, &cp_group_service},
    {&cp_domain_rules, &cp_domain_service},
    {&cp_variable_rules, &cp_variable_service},
    {&cp_api_rules, &cp_api_service},
    {&cp_app_rules, &cp_app_service},
    {&cp_app_code_rules, &cp_app_service},
    {&cp_authorization_rules, &cp_app_service},
    {&cp_policy_rules, &cp_policy_service},
    {&cp_policy_binding_rules, &cp_policy_service},
    {&cp_account_rules, &cp_account_service},
    {&cp_user_rules, &cp_account_service},
};
const size_t cp_bundle_kind_count = GW_ARRAY_LEN(cp_bundle_kinds);

static const ProtobufCMessageDescriptor *type_of(const struct cp_bundle_kind *kind)
{
    return cp_kind_get(kind->rules->kind)->type;
}

const ProtobufCFieldDescriptor *cp_bundle_field(const struct cp_bundle_kind *kind)
{
    const ProtobufCMessageDescriptor *bundle = CP_TYPE(bundle_resource);
    for (unsigned i = 0; i < bundle->n_fields; i++)
        if (bundle->fields[i].descriptor == type_of(kind))
            return &bundle->fields[i];
    gw_panic("no bundle holds a %s", cp_kind_get(kind->rules->kind)->noun);
}

ProtobufCMessage *cp_bundle_content(const cp_bundle_resource *resource,
                                    const struct cp_bundle_kind **ret_kind)
{
    for (size_t i = 0; i < cp_bundle_kind_count; i++) {
        const ProtobufCFieldDescriptor *field = cp_bundle_field(&cp_bundle_kinds[i]);
        if (!gw_message_has(&resource->base, field))
            continue;
        *ret_kind = &cp_bundle_kinds[i];
        return *(ProtobufCMessage **)gw_message_at(&resource->base, field);
    }
    return NULL;
}

static enum cp_role role_of(const struct cp_service *service, const char *method)
{
    for (size_t i = 0; i < service->count; i++)
        if (strcmp(service->methods[i].name, method) == 0)
            return service->methods[i].role;
    gw_panic("%s has no %s", service->descriptor->name, method);
}

struct cp_action cp_bundle_action(struct gw_arena *arena, const struct cp_bundle_kind *kind,
                                  const char *verb)
{
    bool is_update = strcmp(verb, "Update") == 0;
    const char *method =
        gw_arena_printf(arena, "%s%s", is_update && kind->rules->is_replaced ? "Create" : verb,
                        type_of(kind)->short_name)
            .ptr;
    return (struct cp_action){
        .name = gw_arena_printf(arena, "%s/%s", kind->service->descriptor->short_name, method).ptr,
        .role = role_of(kind->service, method),
    };
}

gw_str *cp_bundle_readable(const struct cp_call *call, const struct cp_bundle_kind *kind,
                           size_t *ret_count)
{
    struct cp_action action = cp_bundle_action(call->arena, kind, "Get");
    if (!cp_may_everywhere(call->principal, &action))
        return cp_visible_prefixes(call->arena, call->principal, &action, kind->rules->kind,
                                   ret_count);
    gw_str *all = GW_ARENA_ARRAY(call->arena, gw_str, 1);
    *all = cp_key_prefix(call->arena, kind->rules->kind);
    *ret_count = 1;
    return all;
}

int cp_bundle_check(const struct cp_call *call, const struct cp_bundle_kind *kind, const char *verb,
                    const char *name, struct gw_error *err)
{
    struct cp_action action = cp_bundle_action(call->arena, kind, verb);
    return cp_check_rights(call->principal, &action, &name, 1, err);
}

bool cp_managed_by(const ProtobufCMessage *message, const char **ret_value)
{
    const ProtobufCFieldDescriptor *field = cp_field(message, "labels");
    *ret_value = "";
    if (!field)
        return false;
    size_t count = *(const size_t *)gw_message_quantifier(message, field);
    ProtobufCMessage *const *labels = *(ProtobufCMessage *const **)gw_message_at(message, field);
    for (size_t i = 0; i < count; i++)
        if (strcmp(gw_message_text(labels[i], "key"), CP_MANAGED_BY) == 0)
            *ret_value = gw_message_text(labels[i], "value");
    return true;
}
