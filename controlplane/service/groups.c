/* SPDX-License-Identifier: Apache-2.0 */
/* API groups. */
#include "common/message.h"
#include "controlplane/model/check_group.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/domains.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"
#include "controlplane/service/variables.h"

#include <stdio.h>
#include <sys/random.h>

#define DEFAULT_GROUP "groups/DEFAULT"
#define DEBUG_LABEL_BYTES 16
#define CHILDREN_LEFT "CHILDREN_LEFT"
#define VARIABLES_AT_ONCE 30 /* that go with it; its domains have to fit as well */

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

static int refuse_apis(const struct cp_call *call, const char *group, struct gw_error *err)
{
    int64_t apis;
    gw_str prefix = cp_key_children(call->arena, CP_KIND_API, gw_str_from(group));
    if (cp_store_count(call->services->store, prefix, &apis, err) < 0)
        return -1;
    if (apis == 0)
        return 0;
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "%s has %lld APIs: delete them first", group,
                  (long long)apis);
    return gw_error_apig(err, "APIG.3415");
}

/* As many as fit. */
static int drop_variables(const struct cp_call *call, struct cp_change *change, const char *group,
                          bool *ret_more, struct gw_error *err)
{
    struct cp_page page;
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_VARIABLE, gw_str_from(group)),
        .limit = VARIABLES_AT_ONCE,
    };
    if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        struct cp_stored stored;
        if (cp_unpack(call, CP_KIND_VARIABLE, &page.kvs[i], &stored, err) < 0)
            return -1;
        cp_drop_variable(change, (const cp_variable *)stored.message);
    }
    *ret_more = page.more;
    return 0;
}

static int prepare_delete_group(const struct cp_call *call, struct cp_change *change,
                                const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_api_group *group = (const cp_api_group *)before;
    bool more;
    if (strcmp(group->name, DEFAULT_GROUP) == 0)
        return gw_fail(err, GW_FAILED_PRECONDITION, "the group DEFAULT cannot be deleted");
    if (refuse_apis(call, group->name, err) < 0 ||
        drop_variables(call, change, group->name, &more, err) < 0)
        return -1;
    if (more) {
        (void)gw_fail(err, GW_ABORTED, "%s has variables left", group->name);
        return gw_error_reason(err, CHILDREN_LEFT);
    }
    cp_change_release(change, CP_DOMAINS_INDEX, gw_str_from(group->debug_domain));
    return cp_each(call, CP_KIND_DOMAIN, group->name, visit_domain, change, err);
}

/* Variables that do not fit into the last transaction go before, as long as there is no API: who
 * creates one meanwhile puts the guard. */
struct round {
    const char *group, *etag;
    bool more;
};

static int attempt_round(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct round *round = arg;
    struct cp_stored group;
    if (cp_get(call, CP_KIND_GROUP, round->group, &group, err) < 0 ||
        cp_check_etag(round->etag, group.mod_revision, round->group, err) < 0 ||
        cp_change_guard(call, change, CP_KIND_GROUP, round->group, err) < 0 ||
        refuse_apis(call, round->group, err) < 0)
        return -1;
    return drop_variables(call, change, round->group, &round->more, err);
}

static const char *const group_output_only[] = {"debug_domain", NULL};
const struct cp_resource_rules cp_group_rules = {
    .kind = CP_KIND_GROUP,
    .quota = CP_QUOTA_GROUPS,
    .field = "group",
    .list_field = "groups",
    .list_reply = CP_TYPE(list_api_groups_response),
    .output_only = group_output_only,
    .check = check_group,
    .fill = fill_group,
    .prepare = prepare_group,
    .prepare_delete = prepare_delete_group,
};
CP_RESOURCE_HANDLER(get, group, cp_group_rules)
CP_RESOURCE_HANDLER(list, groups, cp_group_rules)
CP_RESOURCE_HANDLER(create, group, cp_group_rules)
CP_RESOURCE_HANDLER(update, group, cp_group_rules)

static int delete_group(const struct cp_call *call, const ProtobufCMessage *request,
                        ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const Penstock__Admin__V1__DeleteApiGroupRequest *asked =
        (const Penstock__Admin__V1__DeleteApiGroupRequest *)request;
    struct round round = {.group = asked->name, .etag = asked->etag, .more = true};
    *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
    while (cp_resource_delete(call, &cp_group_rules, request, ret_reply, err) < 0) {
        if (strcmp(err->reason, CHILDREN_LEFT) != 0)
            return -1;
        *err = GW_ERROR_NONE;
        if (asked->validate_only)
            return 0;
        if (cp_write(call, false, attempt_round, &round, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static const struct cp_method group_methods[] = {
    {"GetApiGroup", CP_ROLE_VIEWER, get_group},
    {"ListApiGroups", CP_ROLE_VIEWER, list_groups},
    {"CreateApiGroup", CP_ROLE_OPERATOR, create_group},
    {"UpdateApiGroup", CP_ROLE_OPERATOR, update_group},
    {"DeleteApiGroup", CP_ROLE_OPERATOR, delete_group},
};
const struct cp_service cp_group_service = {&penstock__admin__v1__api_group_service__descriptor,
                                            group_methods, GW_ARRAY_LEN(group_methods)};
