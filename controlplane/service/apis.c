/* SPDX-License-Identifier: Apache-2.0 */
/* Drafts of APIs, and ApiService. */
#include "controlplane/service/apis.h"

#include "common/message.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_path.h"
#include "controlplane/service/bulk.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/debug.h"
#include "controlplane/service/history.h"
#include "controlplane/service/publish.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#include <stdio.h>

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
    else if (cp_quota_take(call, change, CP_QUOTA_APIS, CP_KIND_API, "", err) < 0)
        return -1;
    if (cp_refer_backend(call, change, CP_KIND_API, api->name, api, err) < 0)
        return -1;
    return cp_claim_draft_route(call, change, api, (const cp_api *)before, err);
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    cp_api *api = (cp_api *)message;
    if (cp_show_publications(call, api->name, &api, 1, err) == 0)
        return 0;
    api->n_publications = 0;
    return -1;
}

static const char *const output_only[] = {"publications", NULL};
#define RULES                                                                                      \
    .kind = CP_KIND_API, .quota = CP_QUOTA_GROUP_APIS, .field = "api", .list_field = "apis",       \
    .list_reply = CP_TYPE(list_apis_response), .exists_apig = "APIG.3202",                         \
    .output_only = output_only, .check = check, .fill = fill, .prepare = prepare,                  \
    .remove = cp_remove_api
static const struct cp_resource_rules rules = {RULES, .present = present};

static bool has_tag(const cp_api *api, const char *tag)
{
    for (size_t i = 0; i < api->n_tags; i++)
        if (strcmp(api->tags[i], tag) == 0)
            return true;
    return false;
}

static bool has_tags(const ProtobufCMessage *request, const ProtobufCMessage *message)
{
    const Penstock__Admin__V1__ListApisRequest *asked = (const void *)request;
    for (size_t i = 0; i < asked->n_tags; i++)
        if (!has_tag((const cp_api *)message, asked->tags[i]))
            return false;
    return true;
}

/* A list reads the publications of all its APIs at once, a bundle has none. */
const struct cp_resource_rules cp_api_rules = {RULES};
static const struct cp_resource_rules tagged_rules = {RULES, .matches = has_tags};

static int list_apis(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const Penstock__Admin__V1__ListApisRequest *asked = (const void *)request;
    const char *parent = asked->parent;
    cp_check_tags(asked->tags, asked->n_tags, err);
    if (err->violation_count > 0 ||
        cp_resource_list(call, asked->n_tags > 0 ? &tagged_rules : &cp_api_rules, request,
                         ret_reply, err) < 0)
        return -1;
    Penstock__Admin__V1__ListApisResponse *reply =
        (Penstock__Admin__V1__ListApisResponse *)*ret_reply;
    bool is_all = gw_str_has_suffix(gw_str_from(parent), GW_STR("/-"));
    return cp_show_publications(call, is_all ? "" : parent, reply->apis, reply->n_apis, err);
}

CP_RESOURCE_HANDLER(get, api, rules)
CP_RESOURCE_HANDLER(create, api, rules)
CP_RESOURCE_HANDLER(update, api, rules)

/* ---- clone */

typedef Penstock__Admin__V1__CloneApiRequest clone_request;
typedef Penstock__Admin__V1__CreateApiRequest create_request;

/* Both in one group cannot be published: said here, where the other path can still be chosen. */
static int check_other_path(const struct cp_call *call, const cp_api *source, const char *path,
                            struct gw_error *err)
{
    struct gw_error bad = GW_ERROR_NONE;
    const cp_frontend *frontend = source->frontend;
    bool is_prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    bool is_grpc = cp_protocol_is_grpc(frontend->protocol);
    if (!*path)
        return gw_fail_field(err, "path", "required in the same group");
    if (!is_grpc && cp_path_check(path, is_prefix, "path", &bad) < 0)
        return 0; /* said with all else that is wrong */
    if (!gw_str_eq(cp_path_shape(call->arena, path, is_prefix),
                   cp_path_shape(call->arena, frontend->path, is_prefix)))
        return 0;
    (void)gw_fail_field(err, "path", "must be another one in the same group: %s has it already",
                        source->name);
    err->code = GW_ALREADY_EXISTS;
    (void)gw_error_apig(err, "APIG.3301");
    return gw_error_reason(err, "NOT_UNIQUE");
}

/* What CreateApi gets. The source's draft is in the call's arena, and ours. */
static void make_copy(create_request *create, cp_api *source, const clone_request *asked)
{
    static char nothing[] = "";
    cp_frontend *frontend = source->frontend;
    source->name = nothing;
    source->display_name = nothing;
    if (*asked->path) {
        frontend->path = asked->path;
        if (cp_protocol_is_grpc(frontend->protocol)) /* goes by the path */
            frontend->match_mode = CP_ENUM(MATCH_MODE, UNSPECIFIED);
    }
    create->api = source;
    create->api_id = asked->api_id;
    create->validate_only = asked->validate_only;
}

/* In the words of the request. */
static void rename_violation(struct gw_error *err)
{
    for (unsigned i = 0; i < err->violation_count; i++)
        if (strcmp(err->violations[i].field, "frontend.path") == 0)
            (void)snprintf(err->violations[i].field, sizeof err->violations[i].field, "path");
}

static int clone_api(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const clone_request *asked = (const clone_request *)request;
    create_request create = CP_INIT(CREATE_API_REQUEST);
    struct cp_stored stored;
    if (cp_name_check(CP_KIND_API, asked->name, "name", err) < 0 ||
        cp_get(call, CP_KIND_API, asked->name, &stored, err) < 0)
        return -1;
    cp_api *source = (cp_api *)stored.message;
    gw_str group = gw_arena_dup(call->arena, cp_name_parent(gw_str_from(asked->name)));
    create.parent = *asked->parent ? asked->parent : (char *)(uintptr_t)group.ptr;
    bool is_same_group = gw_str_eq(group, gw_str_from(create.parent));
    if (is_same_group && check_other_path(call, source, asked->path, err) < 0)
        return -1;
    make_copy(&create, source, asked);
    /* It has no publications yet that would have to be shown. */
    if (cp_resource_create(call, &cp_api_rules, &create.base, ret_reply, err) == 0)
        return 0;
    rename_violation(err);
    return -1;
}

static const struct cp_method methods[] = {
    {"GetApi", CP_ROLE_VIEWER, get_api},
    {"ListApis", CP_ROLE_VIEWER, list_apis},
    {"CreateApi", CP_ROLE_OPERATOR, create_api},
    {"UpdateApi", CP_ROLE_OPERATOR, update_api},
    {"DeleteApi", CP_ROLE_OPERATOR, cp_delete_api},
    {"CloneApi", CP_ROLE_OPERATOR, clone_api},
    {"PublishApi", CP_ROLE_OPERATOR, cp_publish_api},
    {"UnpublishApi", CP_ROLE_OPERATOR, cp_unpublish_api},
    {"PublishApis", CP_ROLE_OPERATOR, cp_publish_apis},
    {"UnpublishApis", CP_ROLE_OPERATOR, cp_unpublish_apis},
    {"RollbackApi", CP_ROLE_OPERATOR, cp_rollback_api},
    {"PromoteApi", CP_ROLE_OPERATOR, cp_promote_api},
    {"DebugApi", CP_ROLE_OPERATOR, cp_debug_api},
};
const struct cp_service cp_api_service = {&penstock__admin__v1__api_service__descriptor, methods,
                                          GW_ARRAY_LEN(methods)};
