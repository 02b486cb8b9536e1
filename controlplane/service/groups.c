/* SPDX-License-Identifier: Apache-2.0 */
/* API groups. */
#include "controlplane/model/check_group.h"
#include "controlplane/service/domains.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#include <stdio.h>
#include <sys/random.h>

#define DEFAULT_GROUP "groups/DEFAULT"
#define DEBUG_LABEL_BYTES 16

/* ---- groups */

static int check_group(const ProtobufCMessage *message, const ProtobufCMessage *before,
                       struct gw_error *err)
{
    (void)before;
    return cp_check_group((const cp_api_group *)message, err);
}

static void fill_group(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_api_group *group = (cp_api_group *)message;
    if (!group->display_name[0])
        group->display_name = gw_arena_strdup(arena, cp_name_last(group->name));
}

static char *make_debug_domain(struct gw_arena *arena, const char *suffix)
{
    unsigned char bytes[DEBUG_LABEL_BYTES];
    char label[2 * DEBUG_LABEL_BYTES + 1];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        gw_panic("getrandom gave no bytes");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(label + 2 * i, 3, "%02x", bytes[i]);
    return (char *)(uintptr_t)gw_arena_printf(arena, "%s.%s", label, suffix).ptr;
}

static int prepare_group(const struct cp_call *call, struct cp_change *change,
                         ProtobufCMessage *message, const ProtobufCMessage *before,
                         struct gw_error *err)
{
    cp_api_group *group = (cp_api_group *)message;
    if (before)
        return 0;
    group->debug_domain = make_debug_domain(call->arena, call->services->debug_domain_suffix);
    return cp_change_claim(call, change, CP_DOMAINS_INDEX, gw_str_from(group->debug_domain),
                           group->name, err);
}

static int visit_domain(void *arg, const char *name, const struct cp_stored *stored,
                        struct gw_error *err)
{
    (void)name;
    (void)err;
    cp_drop_domain(arg, (const cp_domain *)stored->message);
    return 0;
}

static int prepare_delete_group(const struct cp_call *call, struct cp_change *change,
                                const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_api_group *group = (const cp_api_group *)before;
    int64_t apis;
    gw_str prefix = cp_key_children(call->arena, CP_KIND_API, gw_str_from(group->name));
    if (strcmp(group->name, DEFAULT_GROUP) == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the group DEFAULT cannot be deleted");
    if (cp_store_count(call->services->store, prefix, &apis, err) < 0)
        return -1;
    if (apis > 0) {
        (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s has %lld APIs: delete them first",
                      group->name, (long long)apis);
        return gw_error_apig(err, "APIG.3415");
    }
    cp_change_release(change, CP_DOMAINS_INDEX, gw_str_from(group->debug_domain));
    return cp_each(call, CP_KIND_DOMAIN, group->name, visit_domain, change, err);
}

static const char *const group_output_only[] = {"debug_domain", NULL};
static const struct cp_resource_rules group_rules = {
    .kind = CP_KIND_GROUP,
    .field = "group",
    .list_field = "groups",
    .list_reply = CP_TYPE(list_api_groups_response),
    .output_only = group_output_only,
    .check = check_group,
    .fill = fill_group,
    .prepare = prepare_group,
    .prepare_delete = prepare_delete_group,
};
CP_RESOURCE_HANDLERS(group, groups, group_rules)

static const struct cp_method group_methods[] = {
    {"GetApiGroup", CP_ROLE_VIEWER, get_group},
    {"ListApiGroups", CP_ROLE_VIEWER, list_groups},
    {"CreateApiGroup", CP_ROLE_OPERATOR, create_group},
    {"UpdateApiGroup", CP_ROLE_OPERATOR, update_group},
    {"DeleteApiGroup", CP_ROLE_OPERATOR, delete_group},
};
const struct cp_service cp_group_service = {&penstock__admin__v1__api_group_service__descriptor,
                                            group_methods, GW_ARRAY_LEN(group_methods)};
