/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts of APIs, and ApiService. */
#include "controlplane/service/apis.h"

#include "controlplane/model/check_api.h"
#include "controlplane/service/history.h"
#include "controlplane/service/publish.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_api((const cp_api *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_fill_api(arena, (cp_api *)message);
}

/* A draft refers to what it uses, as a release does. */
static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_api *api = (const cp_api *)message;
    if (before)
        cp_unrefer_backend(change, CP_KIND_API, api->name, (const cp_api *)before);
    return cp_refer_backend(call, change, CP_KIND_API, api->name, api, err);
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    cp_api *api = (cp_api *)message;
    return cp_show_publications(call, api->name, &api, 1, err);
}

static const char *const output_only[] = {"publications", NULL};
#define RULES                                                                                      \
    .kind = CP_KIND_API, .field = "api", .list_field = "apis",                                     \
    .list_reply = CP_TYPE(list_apis_response), .output_only = output_only, .check = check,         \
    .fill = fill, .prepare = prepare
static const struct cp_resource_rules rules = {RULES, .present = present};
/* A list reads the publications of all its APIs at once. */
static const struct cp_resource_rules list_rules = {RULES};

static int list_apis(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const char *parent = ((const Penstock__Admin__V1__ListApisRequest *)request)->parent;
    if (cp_resource_list(call, &list_rules, request, ret_reply, err) < 0)
        return -1;
    Penstock__Admin__V1__ListApisResponse *reply =
        (Penstock__Admin__V1__ListApisResponse *)*ret_reply;
    bool is_all = gw_str_has_suffix(gw_str_from(parent), GW_STR("/-"));
    return cp_show_publications(call, is_all ? "" : parent, reply->apis, reply->n_apis, err);
}

CP_RESOURCE_HANDLER(get, api, rules)
CP_RESOURCE_HANDLER(create, api, rules)
CP_RESOURCE_HANDLER(update, api, rules)

static const struct cp_method methods[] = {
    {"GetApi", CP_ROLE_VIEWER, get_api},
    {"ListApis", CP_ROLE_VIEWER, list_apis},
    {"CreateApi", CP_ROLE_OPERATOR, create_api},
    {"UpdateApi", CP_ROLE_OPERATOR, update_api},
    {"DeleteApi", CP_ROLE_OPERATOR, cp_delete_api},
    {"PublishApi", CP_ROLE_OPERATOR, cp_publish_api},
    {"UnpublishApi", CP_ROLE_OPERATOR, cp_unpublish_api},
    {"RollbackApi", CP_ROLE_OPERATOR, cp_rollback_api},
};
const struct cp_service cp_api_service = {&penstock__admin__v1__api_service__descriptor, methods,
                                          GW_ARRAY_LEN(methods)};
