/* SPDX-License-Identifier: Apache-2.0 */
/* Apps and AppService. */
#include "controlplane/service/apps.h"

#include "common/message.h"
#include "controlplane/model/check_app.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/services.h"

/* An app may have more authorizations than a transaction takes. They go before it does: were it the
 * other way round, an app of the same name would come into them. */
#define DROPPED_AT_ONCE 25
#define CHILDREN_LEFT "CHILDREN_LEFT"

_Static_assert((DROPPED_AT_ONCE + CP_APP_CODES_MAX + 1) * CP_DROP_OPS + 1 <= CP_CHANGE_OPS_ROUND,
               "with its codes and the app itself they are one transaction");

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    return cp_check_app((const cp_app *)message, (const cp_app *)before, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_app *app = (cp_app *)message;
    if (!app->display_name[0])
        app->display_name = gw_arena_strdup(arena, cp_name_last(app->name));
}

static int seal(const struct cp_call *call, ProtobufCMessage *message,
                const ProtobufCMessage *before, struct gw_error *err)
{
    return cp_seal_app(call, (cp_app *)message, (const cp_app *)before, err);
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_app *app = (const cp_app *)message;
    if (!*app->key || (before && *((const cp_app *)before)->key))
        return 0;
    return cp_claim_app_key(call, change, app, err);
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    (void)call;
    (void)err;
    ((cp_app *)message)->secret = (char *)(uintptr_t) "";
    ((cp_app *)message)->sealed_secret = (ProtobufCBinaryData){0, NULL};
    return 0;
}

/* ---- deletion */

static int read_children(const struct cp_call *call, enum cp_kind_id kind, const char *app,
                         size_t limit, struct cp_page *ret_page, struct gw_error *err)
{
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, kind, gw_str_from(app)),
        .limit = limit,
    };
    return cp_store_list(call->services->store, &range, call->arena, ret_page, err);
}

static int drop_codes(const struct cp_call *call, struct cp_change *change, const char *app,
                      struct gw_error *err)
{
    struct cp_page page;
    if (read_children(call, CP_KIND_CODE, app, CP_APP_CODES_MAX, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        ProtobufCMessage *code;
        if (gw_message_unpack(call->arena, CP_TYPE(app_code), page.kvs[i].value, &code, err) < 0)
            return -1;
        cp_drop_app_code(change, (const cp_app_code *)code, page.kvs[i].mod_revision);
    }
    return 0;
}

static int drop_authorizations(const struct cp_call *call, struct cp_change *change,
                               const char *app, bool *ret_more, struct gw_error *err)
{
    struct cp_page page;
    if (read_children(call, CP_KIND_AUTHORIZATION, app, DROPPED_AT_ONCE, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        ProtobufCMessage *authorization;
        if (gw_message_unpack(call->arena, CP_TYPE(authorization), page.kvs[i].value,
                              &authorization, err) < 0)
            return -1;
        cp_drop_authorization(change, (const cp_authorization *)authorization,
                              page.kvs[i].mod_revision);
    }
    *ret_more = page.more;
    return 0;
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    bool more = false;
    const char *app = ((const cp_app *)before)->name;
    cp_release_app_key(change, (const cp_app *)before);
    if (drop_codes(call, change, app, err) < 0 ||
        drop_authorizations(call, change, app, &more, err) < 0)
        return -1;
    if (!more)
        return 0;
    (void)gw_fail(err, GW_ABORTED, "%s has authorizations left", app);
    return gw_error_reason(err, CHILDREN_LEFT);
}

struct drop {
    const char *app;
    bool more;
};

static int attempt_drop(const struct cp_call *call, struct cp_change *change, void *arg,
                        struct gw_error *err)
{
    struct drop *drop = arg;
    return drop_authorizations(call, change, drop->app, &drop->more, err);
}

/* Each round in an arena of its own: there may be thousands. */
static int drop_all_authorizations(const struct cp_call *call, const char *app,
                                   struct gw_error *err)
{
    struct drop drop = {.app = app, .more = true};
    while (drop.more) {
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        struct cp_call round = *call;
        round.arena = &arena;
        if (cp_write(&round, false, attempt_drop, &drop, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static const char *const output_only[] = {"sealed_secret", "secret_time", NULL};
const struct cp_resource_rules cp_app_rules = {
    .kind = CP_KIND_APP,
    .quota = CP_QUOTA_APPS,
    .field = "app",
    .list_field = "apps",
    .list_reply = CP_TYPE(list_apps_response),
    .output_only = output_only,
    .check = check,
    .fill = fill,
    .seal = seal,
    .prepare = prepare,
    .present = present,
    .prepare_delete = prepare_delete,
};

static int delete_app(const struct cp_call *call, const ProtobufCMessage *request,
                      ProtobufCMessage **ret_reply, struct gw_error *err)
{
    while (cp_resource_delete(call, &cp_app_rules, request, ret_reply, err) < 0) {
        if (strcmp(err->reason, CHILDREN_LEFT) != 0)
            return -1;
        *err = GW_ERROR_NONE;
        if (cp_bool_field(request, "validate_only")) {
            *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
            return 0;
        }
        if (drop_all_authorizations(call, gw_message_text(request, "name"), err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the service */

CP_RESOURCE_HANDLER(get, app, cp_app_rules)
CP_RESOURCE_HANDLER(list, apps, cp_app_rules)
CP_RESOURCE_HANDLER(update, app, cp_app_rules)
CP_RESOURCE_HANDLER(get, app_code, cp_app_code_rules)
CP_RESOURCE_HANDLER(list, app_codes, cp_app_code_rules)
CP_RESOURCE_HANDLER(delete, app_code, cp_app_code_rules)
CP_RESOURCE_HANDLER(get, authorization, cp_authorization_rules)
CP_RESOURCE_HANDLER(list, authorizations, cp_authorization_rules)
CP_RESOURCE_HANDLER(create, authorization, cp_authorization_rules)
CP_RESOURCE_HANDLER(delete, authorization, cp_authorization_rules)

static const struct cp_method methods[] = {
    {"GetApp", CP_ROLE_VIEWER, get_app},
    {"ListApps", CP_ROLE_VIEWER, list_apps},
    {"CreateApp", CP_ROLE_OPERATOR, cp_create_app},
    {"UpdateApp", CP_ROLE_OPERATOR, update_app},
    {"DeleteApp", CP_ROLE_OPERATOR, delete_app},
    {"ResetAppSecret", CP_ROLE_OPERATOR, cp_reset_app_secret},
    {"GetAppCode", CP_ROLE_VIEWER, get_app_code},
    {"ListAppCodes", CP_ROLE_VIEWER, list_app_codes},
    {"CreateAppCode", CP_ROLE_OPERATOR, cp_create_app_code},
    {"DeleteAppCode", CP_ROLE_OPERATOR, delete_app_code},
    {"GetAuthorization", CP_ROLE_VIEWER, get_authorization},
    {"ListAuthorizations", CP_ROLE_VIEWER, list_authorizations},
    {"CreateAuthorization", CP_ROLE_OPERATOR, create_authorization},
    {"DeleteAuthorization", CP_ROLE_OPERATOR, delete_authorization},
};
const struct cp_service cp_app_service = {&penstock__admin__v1__app_service__descriptor, methods,
                                          GW_ARRAY_LEN(methods)};
