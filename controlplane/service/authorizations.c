/* SPDX-License-Identifier: Apache-2.0 */
/* Authorizations: which APIs an app may call, in which environment. */
#include "controlplane/model/check_app.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/bound.h"

#define INDEX "authorizations"

/* One of an app per API and environment, whatever its id. */
static gw_str unique_value(struct gw_arena *arena, const cp_authorization *authorization)
{
    gw_str app = cp_name_parent(gw_str_from(authorization->name));
    gw_str route = cp_route_name(arena, authorization->api, authorization->environment);
    return gw_arena_printf(arena, "%.*s/%.*s", GW_STR_ARG(app), GW_STR_ARG(route));
}

static struct cp_bound bound(const cp_authorization *authorization)
{
    return (struct cp_bound){.kind = CP_KIND_AUTHORIZATION,
                             .name = authorization->name,
                             .api = authorization->api,
                             .environment = authorization->environment};
}

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    const cp_authorization *authorization = (const cp_authorization *)message;
    if (cp_check_authorization(authorization, err) < 0)
        return NULL;
    return cp_bound_id(arena, authorization->api, authorization->environment);
}

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_authorization((const cp_authorization *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_bound_fill(arena, &((cp_authorization *)message)->environment);
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    (void)before;
    struct cp_stored api;
    const cp_authorization *authorization = (const cp_authorization *)message;
    struct cp_bound to = bound(authorization);
    if (cp_bound_refer(call, change, &to, &api, err) < 0)
        return -1;
    const cp_authentication *authentication = ((const cp_api *)api.message)->authentication;
    if (!authentication || authentication->type != CP_ENUM(AUTH_TYPE, APP))
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s does not have AUTH_TYPE_APP", to.api);
    cp_change_expect(change, cp_key_of(change->arena, CP_KIND_API, to.api), api.mod_revision);
    return cp_change_claim(call, change, INDEX, unique_value(change->arena, authorization), to.name,
                           err);
}

static void forget(struct cp_change *change, const cp_authorization *authorization)
{
    struct cp_bound to = bound(authorization);
    cp_bound_unrefer(change, &to);
    cp_change_release(change, INDEX, unique_value(change->arena, authorization));
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)err;
    forget(change, (const cp_authorization *)before);
    return 0;
}

void cp_drop_authorization(struct cp_change *change, const cp_authorization *authorization,
                           int64_t mod_revision)
{
    gw_str key = cp_key_of(change->arena, CP_KIND_AUTHORIZATION, authorization->name);
    cp_change_expect(change, key, mod_revision);
    cp_change_delete(change, key);
    forget(change, authorization);
}

const struct cp_resource_rules cp_authorization_rules = {
    .kind = CP_KIND_AUTHORIZATION,
    .quota = CP_QUOTA_AUTHORIZATIONS,
    .field = "authorization",
    .list_field = "authorizations",
    .list_reply = CP_TYPE(list_authorizations_response),
    .is_replaced = true,
    .make_id = make_id,
    .check = check,
    .fill = fill,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
};
