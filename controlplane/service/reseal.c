/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/reseal.h"

#include "controlplane/service/accounts.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/certificates.h"
#include "controlplane/service/enrolments.h"
#include "controlplane/service/leader.h"
#include "controlplane/service/ticket_keys.h"

struct job {
    const struct cp_call *call;
    enum cp_kind_id kind;
    const char *name;
    bool changed;   /* by the last attempt */
    unsigned count; /* of records */
};

static bool reseal(const struct cp_call *call, enum cp_kind_id kind, ProtobufCMessage *message)
{
    struct gw_error ignored;
    if (kind == CP_KIND_TICKET_KEYS)
        return cp_ticket_keys_reseal(call, (cp_ticket_key_set *)message);
    if (kind == CP_KIND_AGENT_AUTHORITY)
        return cp_agent_authority_reseal(call, (cp_agent_authority *)message);
    if (kind == CP_KIND_ACCESS_KEY) {
        cp_access_key *key = (cp_access_key *)message;
        const uint8_t *was = key->sealed_secret.data;
        (void)cp_access_key_reseal(call, key, &ignored);
        return key->sealed_secret.data != was;
    }
    if (kind == CP_KIND_APP) {
        cp_app *app = (cp_app *)message;
        const uint8_t *was = app->sealed_secret.data;
        (void)cp_app_reseal(call, app, &ignored);
        return app->sealed_secret.data != was;
    }
    cp_certificate *certificate = (cp_certificate *)message;
    const uint8_t *before = certificate->sealed_private_key.data;
    (void)cp_certificate_reseal(call, certificate, &ignored);
    return certificate->sealed_private_key.data != before;
}

static int attempt_reseal(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored stored;
    job->changed = false;
    if (cp_find(call, job->kind, job->name, &stored, err) < 0)
        return -1;
    if (!stored.message || !reseal(call, job->kind, stored.message))
        return 0;
    gw_str key = cp_key_of(change->arena, job->kind, job->name);
    cp_change_expect(change, key, stored.mod_revision);
    cp_change_put_message(change, key, stored.message);
    job->changed = true;
    return cp_change_fence(call, change, err);
}

/* Looked at first, in an arena of its own: most need nothing. */
static int visit(void *arg, const char *name, const struct cp_stored *stored, struct gw_error *err)
{
    struct job *job = arg;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call call = *job->call;
    call.arena = &arena;
    if (!reseal(&call, job->kind, stored->message))
        return 0;
    job->name = name;
    if (cp_write(&call, false, attempt_reseal, job, NULL, err) < 0)
        return -1;
    job->count += job->changed;
    return 0;
}

int cp_services_reseal(struct cp_services *services, unsigned *ret_count, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call call = {.services = services, .arena = &arena, .deadline_ms = INT64_MAX};
    static const enum cp_kind_id kinds[] = {CP_KIND_CERTIFICATE, CP_KIND_TICKET_KEYS,
                                            CP_KIND_ACCESS_KEY, CP_KIND_APP,
                                            CP_KIND_AGENT_AUTHORITY};
    struct job job = {.call = &call};
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++) {
        job.kind = kinds[i];
        if (cp_each(&call, job.kind, "", visit, &job, err) < 0)
            return -1;
    }
    *ret_count = job.count;
    return 0;
}
