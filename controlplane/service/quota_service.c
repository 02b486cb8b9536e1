/* SPDX-License-Identifier: Apache-2.0 */
/* QuotaService: what the limits are, and how much of them is used. */
#include "common/message.h"
#include "controlplane/model/types.h"
#include "controlplane/service/change.h"
#include "controlplane/service/quotas.h"
#include "controlplane/service/services.h"

#include "penstock/admin/v1/quota.pb-c.h"

#define COLLECTION "quotas/"

typedef Penstock__Admin__V1__Quota quota_message;
typedef Penstock__Admin__V1__ListQuotasRequest list_request;
typedef Penstock__Admin__V1__ListQuotasResponse list_reply;

static char *text_of(const struct cp_call *call, const char *text)
{
    return gw_arena_strdup(call->arena, text);
}

static int64_t limit_of(const struct cp_call *call, enum cp_quota_id id)
{
    if (id == CP_QUOTA_MEMBERS)
        return call->services->channel_members_max;
    return id == CP_QUOTA_VARIABLES ? call->services->variables_max : call->services->quotas[id];
}

static int count(const struct cp_call *call, enum cp_quota_id id, int64_t *ret_count,
                 struct gw_error *err)
{
    const struct cp_quota *quota = cp_quota_get(id);
    *ret_count = 0;
    if (*quota->per)
        return 0;
    if (quota->kind == CP_KIND_POLICY)
        return cp_quota_count_policies(call, id, ret_count, err);
    return cp_store_count(call->services->store, cp_key_prefix(call->arena, quota->kind), ret_count,
                          err);
}

static int make(const struct cp_call *call, enum cp_quota_id id, quota_message **ret,
                struct gw_error *err)
{
    const struct cp_quota *quota = cp_quota_get(id);
    *ret = (quota_message *)gw_message_new(call->arena, CP_TYPE(quota));
    (*ret)->name =
        (char *)(uintptr_t)gw_arena_printf(call->arena, COLLECTION "%s", quota->name).ptr;
    (*ret)->description = text_of(call, quota->words);
    (*ret)->per = text_of(call, quota->per);
    (*ret)->limit = limit_of(call, id);
    (*ret)->apig_code = text_of(call, quota->apig);
    if (*quota->flag)
        (*ret)->option = (char *)(uintptr_t)gw_arena_printf(call->arena, "--%s", quota->flag).ptr;
    return count(call, id, &(*ret)->used, err);
}

static int get_quota(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    quota_message *found;
    gw_str name = gw_str_from(gw_message_text(request, "name"));
    if (!gw_str_has_prefix(name, GW_STR(COLLECTION)))
        return gw_fail_field(err, "name", "is not a name of the form \"quotas/{quota}\"");
    for (enum cp_quota_id id = CP_QUOTA_NONE + 1; id < CP_QUOTA_COUNT; id++) {
        if (strcmp(name.ptr + strlen(COLLECTION), cp_quota_get(id)->name) != 0)
            continue;
        if (make(call, id, &found, err) < 0)
            return -1;
        *ret_reply = &found->base;
        return 0;
    }
    return gw_fail(err, GW_NOT_FOUND, "there is no quota of that name");
}

static int list_quotas(const struct cp_call *call, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const list_request *asked = (const list_request *)request;
    if (asked->page_size < 0)
        return gw_fail_field(err, "page_size", "must not be negative");
    if (*asked->page_token)
        return gw_fail_field(err, "page_token", "is none of this list");
    list_reply *reply = (list_reply *)gw_message_new(call->arena, CP_TYPE(list_quotas_response));
    reply->quotas = GW_ARENA_ARRAY(call->arena, quota_message *, CP_QUOTA_COUNT);
    for (enum cp_quota_id id = CP_QUOTA_NONE + 1; id < CP_QUOTA_COUNT; id++)
        if (make(call, id, &reply->quotas[reply->n_quotas++], err) < 0)
            return -1;
    *ret_reply = &reply->base;
    return 0;
}

static const struct cp_method methods[] = {
    {"GetQuota", CP_ROLE_VIEWER, get_quota},
    {"ListQuotas", CP_ROLE_VIEWER, list_quotas},
};
const struct cp_service cp_quota_service = {&penstock__admin__v1__quota_service__descriptor,
                                            methods, GW_ARRAY_LEN(methods)};
