/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/trust.h"

#include "common/log.h"
#include "common/message.h"
#include "controlplane/snapshot/scope.h"

#define COMPONENT "trust"

static void on_change(void *arg, const char *agent_id)
{
    const struct cp_trust *trust = arg;
    cp_registry_readmit(trust->services->registry, agent_id);
}

void cp_trust_init(struct cp_trust *trust, struct cp_services *services, gw_msec life_ms,
                   bool has_tls)
{
    trust->services = services;
    trust->enrolled = cp_enrolled_new(on_change, trust);
    trust->enroller = cp_enroller_new(services, life_ms, has_tls);
}

void cp_trust_done(struct cp_trust *trust)
{
    cp_enroller_free(trust->enroller);
    cp_enrolled_free(trust->enrolled);
}

/* ---- what the store has */

static int visit_record(void *arg, const char *name, const struct cp_stored *stored,
                        struct gw_error *err)
{
    struct cp_trust *trust = arg;
    (void)name;
    (void)err;
    cp_enrolled_put(trust->enrolled, (const cp_agent_record *)stored->message,
                    stored->mod_revision);
    return 0;
}

static int visit_authority(void *arg, const char *name, const struct cp_stored *stored,
                           struct gw_error *err)
{
    struct cp_trust *trust = arg;
    (void)name;
    (void)err;
    cp_enrolled_set_authority(trust->enrolled,
                              ((const cp_agent_authority *)stored->message)->certificate_pem);
    return 0;
}

void cp_trust_listed(struct cp_trust *trust)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_call call = {.services = trust->services, .arena = &arena, .deadline_ms = INT64_MAX};
    cp_enrolled_begin(trust->enrolled);
    trust->is_listed =
        cp_each(&call, CP_KIND_AGENT_AUTHORITY, "", visit_authority, trust, &err) == 0 &&
        cp_each(&call, CP_KIND_AGENT_IDENTITY, "", visit_record, trust, &err) == 0;
    if (trust->is_listed)
        cp_enrolled_end(trust->enrolled);
    else
        gw_log(GW_LOG_WARN, COMPONENT, "enrolled agents cannot be listed, trying again",
               gw_kv_error(&err));
}

static void take(struct cp_trust *trust, const struct cp_event *event, const struct cp_kind *kind,
                 gw_str name, struct gw_arena *arena)
{
    ProtobufCMessage *message;
    struct gw_error err;
    const char *text = gw_arena_dup(arena, name).ptr;
    struct cp_stored stored = {.mod_revision = event->kv.mod_revision};
    if (event->is_delete && kind->id == CP_KIND_AGENT_IDENTITY)
        cp_enrolled_remove(trust->enrolled, cp_name_last(text), event->kv.mod_revision);
    if (event->is_delete || gw_message_unpack(arena, kind->type, event->kv.value, &message, &err))
        return; /* what cannot be read was never admitted either */
    stored.message = message;
    if (kind->id == CP_KIND_AGENT_IDENTITY)
        (void)visit_record(trust, text, &stored, &err);
    else
        (void)visit_authority(trust, text, &stored, &err);
}

void cp_trust_batch(struct cp_trust *trust, const struct cp_batch *batch)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    for (size_t i = 0; i < batch->count; i++) {
        gw_str name;
        const struct cp_kind *kind = cp_key_parse(&arena, batch->events[i].kv.key, &name);
        if (kind && (kind->id == CP_KIND_AGENT_IDENTITY || kind->id == CP_KIND_AGENT_AUTHORITY))
            take(trust, &batch->events[i], kind, name, &arena);
    }
}

void cp_trust_turn(struct cp_trust *trust, bool is_reachable)
{
    if (is_reachable && !trust->is_listed)
        cp_trust_listed(trust);
    /* Certificates expire without anybody saying so. */
    bool is_due = ++trust->turns % CP_TRUST_READMIT_TURNS == 0;
    if (cp_auth_refresh(trust->services->auth) || is_due)
        cp_registry_readmit(trust->services->registry, NULL);
}

/* ---- admission */

int cp_trust_admit(struct cp_trust *trust, const struct gw_rpc_caller *caller, const char *agent_id,
                   struct gw_arena *arena, struct cp_agent_identity *ret, struct gw_error *err)
{
    struct cp_texts environments;
    if (cp_enrolled_is_name(caller->cert_name) && cp_auth_is_configured(trust->services->auth))
        return cp_enrolled_admit(trust->enrolled, caller, agent_id, arena, ret, err);
    if (cp_auth_identify_agent(trust->services->auth, caller, agent_id, arena, &environments, err))
        return -1;
    ret->name = caller->cert_name ? caller->cert_name : "local";
    ret->scope = cp_scope_text(arena, environments.at, environments.count);
    return 0;
}
