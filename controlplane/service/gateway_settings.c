/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's settings. There is one resource of the kind, always: until somebody sets something
 * nothing is stored of it. */
#include "common/message.h"
#include "controlplane/model/check_settings.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

typedef Penstock__Admin__V1__UpdateSettingsRequest update_request;

/* One update, over all its tries. */
struct job {
    const update_request *asked;
    cp_gateway_settings *result;
    int64_t mod_revision; /* of what was there */
};

static int check_name(const char *name, struct gw_error *err)
{
    return *name ? cp_name_check(CP_KIND_SETTINGS, name, "name", err) : 0;
}

static int read_settings(const struct cp_call *call, cp_gateway_settings **ret,
                         int64_t *ret_revision, struct gw_error *err)
{
    struct cp_stored stored;
    if (cp_find(call, CP_KIND_SETTINGS, CP_SETTINGS_NAME, &stored, err) < 0)
        return -1;
    if (!stored.message)
        stored.message = gw_message_new(call->arena, CP_TYPE(settings));
    *ret = (cp_gateway_settings *)stored.message;
    (*ret)->name = gw_arena_strdup(call->arena, CP_SETTINGS_NAME);
    *ret_revision = stored.mod_revision;
    return 0;
}

static int get_settings(const struct cp_call *call, const ProtobufCMessage *request,
                        ProtobufCMessage **ret_reply, struct gw_error *err)
{
    int64_t revision;
    cp_gateway_settings *settings;
    if (check_name(gw_message_text(request, "name"), err) < 0 ||
        read_settings(call, &settings, &revision, err) < 0)
        return -1;
    cp_set_etag(call->arena, &settings->base, revision);
    *ret_reply = &settings->base;
    return 0;
}

static int attempt_update(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    cp_gateway_settings *before;
    if (read_settings(call, &before, &job->mod_revision, err) < 0 ||
        cp_check_etag(job->asked->settings->etag, job->mod_revision, CP_SETTINGS_NAME, err) < 0)
        return -1;
    job->result = (cp_gateway_settings *)gw_message_copy(call->arena, &before->base);
    if (cp_apply_mask(&job->result->base, &job->asked->settings->base, job->asked->update_mask,
                      NULL, err) < 0 ||
        cp_check_settings(job->result, err) < 0)
        return -1;
    cp_fill_settings(job->result);
    if (gw_str_eq(gw_message_pack(call->arena, &job->result->base),
                  gw_message_pack(call->arena, &before->base)))
        return 0;
    job->result->update_time = cp_now(call->arena);
    gw_str key = cp_key_of(call->arena, CP_KIND_SETTINGS, CP_SETTINGS_NAME);
    cp_change_expect(change, key, job->mod_revision);
    cp_change_put_message(change, key, &job->result->base);
    return 0;
}

static int update_settings(const struct cp_call *call, const ProtobufCMessage *request,
                           ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct cp_position at;
    struct job job = {.asked = (const update_request *)request};
    if (!job.asked->settings)
        return gw_fail_field(err, "settings", "must be set");
    if (check_name(job.asked->settings->name, err) < 0 ||
        cp_write(call, job.asked->validate_only, attempt_update, &job, &at, err) < 0)
        return -1;
    cp_set_etag(call->arena, &job.result->base, at.revision ? at.revision : job.mod_revision);
    *ret_reply = &job.result->base;
    return 0;
}

static const struct cp_method methods[] = {
    {"GetSettings", CP_ROLE_VIEWER, get_settings},
    {"UpdateSettings", CP_ROLE_ADMINISTRATOR, update_settings},
};
const struct cp_service cp_settings_service = {&penstock__admin__v1__settings_service__descriptor,
                                               methods, GW_ARRAY_LEN(methods)};
