/* SPDX-License-Identifier: Apache-2.0 */
/* AuthService: what the guard around methods (rpc/method.c) has found out about the caller. */
#include "common/message.h"
#include "controlplane/model/types.h"
#include "controlplane/service/services.h"

#include "penstock/admin/v1/auth.pb-c.h"

typedef Penstock__Admin__V1__Identity identity;
typedef Penstock__Admin__V1__Right right;

/* They are the caller's own, and live as long as the answer. */
static char **texts(const struct cp_texts *from)
{
    return (char **)(uintptr_t)from->at;
}

static right *make_right(struct gw_arena *arena, const struct cp_grant *grant)
{
    right *made = (right *)gw_message_new(arena, CP_TYPE(right));
    made->role = (char *)(uintptr_t)grant->role_name;
    made->actions = texts(&grant->actions);
    made->n_actions = grant->actions.count;
    made->limits = texts(&grant->limits);
    made->n_limits = grant->limits.count;
    return made;
}

static int who_am_i(const struct cp_call *call, const ProtobufCMessage *request,
                    ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)request;
    (void)err;
    const struct cp_principal *principal = call->principal;
    identity *reply = (identity *)gw_message_new(call->arena, CP_TYPE(identity));
    reply->principal = gw_arena_strdup(call->arena, principal->name);
    reply->proof = (char *)(uintptr_t)(principal->proof ? principal->proof : "");
    if (principal->expires_s) {
        reply->expire_time = GW_ARENA_NEW(call->arena, cp_timestamp);
        google__protobuf__timestamp__init(reply->expire_time);
        reply->expire_time->seconds = principal->expires_s;
    }
    reply->rights = GW_ARENA_ARRAY(call->arena, right *, principal->grant_count + 1);
    struct cp_grant everywhere = {.role_name = cp_role_name(principal->role)};
    if (principal->role != CP_ROLE_NONE)
        reply->rights[reply->n_rights++] = make_right(call->arena, &everywhere);
    for (size_t i = 0; i < principal->grant_count; i++)
        reply->rights[reply->n_rights++] = make_right(call->arena, &principal->grants[i]);
    *ret_reply = &reply->base;
    return 0;
}

static const struct cp_method methods[] = {{"WhoAmI", CP_ROLE_ANYBODY, who_am_i}};
const struct cp_service cp_auth_service = {&penstock__admin__v1__auth_service__descriptor, methods,
                                           GW_ARRAY_LEN(methods)};
