/* SPDX-License-Identifier: Apache-2.0 */
/* AgentService.Enrol and Renew: certificates for agents. Handlers block, as all of this folder. */
#include "common/log.h"
#include "common/message.h"
#include "controlplane/model/agent_certificates.h"
#include "controlplane/model/agent_ids.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/enrolments.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "enrolment"
#define KEY_FIELD "key"
#define ADDRESSES 1024 /* addresses of one hash share their allowance */
#define WINDOW_MS 60000
#define ENROL_PATH "/penstock.agent.v1.AgentService/Enrol"
#define RENEW_PATH "/penstock.agent.v1.AgentService/Renew"

typedef Penstock__Agent__V1__EnrolRequest enrol_request;
typedef Penstock__Agent__V1__RenewRequest renew_request;
typedef Penstock__Agent__V1__EnrolResponse enrol_reply;

struct cp_enroller {
    struct cp_services *services; /* borrowed */
    gw_msec life_ms;
    bool has_tls;
    pthread_mutex_t lock; /* all below */
    struct {
        gw_msec since_ms;
        unsigned refused;
    } addresses[ADDRESSES];
};

struct cp_enroller *cp_enroller_new(struct cp_services *services, gw_msec life_ms, bool has_tls)
{
    struct cp_enroller *enroller = gw_calloc(1, sizeof(*enroller));
    *enroller = (struct cp_enroller){.services = services, .life_ms = life_ms, .has_tls = has_tls};
    pthread_mutex_init(&enroller->lock, NULL);
    return enroller;
}

void cp_enroller_free(struct cp_enroller *enroller)
{
    if (!enroller)
        return;
    pthread_mutex_destroy(&enroller->lock);
    free(enroller);
}

/* ---- the authority */

static struct cp_seal_place authority_place(void)
{
    return (struct cp_seal_place){CP_AGENT_AUTHORITY_NAME, KEY_FIELD};
}

static gw_str sealed_key(const cp_agent_authority *authority)
{
    return gw_str_n((const char *)authority->sealed_key.data, authority->sealed_key.len);
}

static int seal_key(const struct cp_call *call, cp_agent_authority *authority, gw_str key,
                    struct gw_error *err)
{
    gw_str sealed;
    if (cp_seal_close(call->services->seal, authority_place(), key, call->arena, &sealed, err) < 0)
        return -1;
    authority->sealed_key = (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    return 0;
}

bool cp_agent_authority_reseal(const struct cp_call *call, cp_agent_authority *authority)
{
    gw_str key;
    struct gw_error ignored;
    return !cp_seal_is_current(call->services->seal, sealed_key(authority)) &&
           cp_seal_open(call->services->seal, authority_place(), sealed_key(authority), call->arena,
                        &key, &ignored) == 0 &&
           seal_key(call, authority, key, &ignored) == 0;
}

static int attempt_authority(const struct cp_call *call, struct cp_change *change, void *arg,
                             struct gw_error *err)
{
    struct cp_stored stored;
    struct cp_pem_pair made;
    (void)arg;
    if (cp_find(call, CP_KIND_AGENT_AUTHORITY, CP_AGENT_AUTHORITY_NAME, &stored, err) < 0)
        return -1;
    if (stored.message)
        return 0;
    cp_agent_authority *authority = (cp_agent_authority *)gw_message_new(
        call->arena, &penstock__store__v1__agent_authority__descriptor);
    if (cp_agent_authority_make(gw_clock_wall_ms() / 1000, call->arena, &made, err) < 0 ||
        seal_key(call, authority, gw_str_from(made.key), err) < 0)
        return -1;
    authority->name = gw_arena_strdup(call->arena, CP_AGENT_AUTHORITY_NAME);
    authority->certificate_pem = gw_arena_strdup(call->arena, made.certificate);
    gw_str key = cp_key_of(change->arena, CP_KIND_AGENT_AUTHORITY, CP_AGENT_AUTHORITY_NAME);
    cp_change_expect(change, key, 0);
    cp_change_put_message(change, key, &authority->base);
    return 0;
}

int cp_agent_authority_read(struct cp_services *services, bool make, struct gw_arena *arena,
                            struct cp_pem_pair *ret, struct gw_error *err)
{
    gw_str key;
    struct cp_stored stored;
    struct cp_call call = {.services = services, .arena = arena, .deadline_ms = INT64_MAX};
    *ret = (struct cp_pem_pair){NULL, NULL};
    if (make && cp_write(&call, false, attempt_authority, NULL, NULL, err) < 0)
        return -1;
    if (cp_find(&call, CP_KIND_AGENT_AUTHORITY, CP_AGENT_AUTHORITY_NAME, &stored, err) < 0)
        return -1;
    const cp_agent_authority *authority = (const cp_agent_authority *)stored.message;
    if (!authority)
        return 0;
    if (cp_seal_open(services->seal, authority_place(), sealed_key(authority), arena, &key, err) <
        0)
        return -1;
    *ret = (struct cp_pem_pair){authority->certificate_pem, gw_arena_dup(arena, key).ptr};
    return 0;
}

/* ---- how often */

static gw_str address_of(const struct gw_rpc_caller *caller)
{
    const char *port = strrchr(caller->peer, ':');
    return gw_str_n(caller->peer, port ? (size_t)(port - caller->peer) : strlen(caller->peer));
}

/* counts: it has been refused. False: too often. */
static bool may_try(struct cp_enroller *enroller, const struct gw_rpc_caller *caller, bool counts)
{
    size_t at = gw_str_hash(address_of(caller)) % ADDRESSES;
    gw_msec now_ms = gw_clock_monotonic_ms();
    pthread_mutex_lock(&enroller->lock);
    if (now_ms - enroller->addresses[at].since_ms >= WINDOW_MS) {
        enroller->addresses[at].since_ms = now_ms;
        enroller->addresses[at].refused = 0;
    }
    bool may = enroller->addresses[at].refused < CP_ENROL_REFUSED_MAX;
    enroller->addresses[at].refused += counts;
    pthread_mutex_unlock(&enroller->lock);
    return may;
}

/* ---- certificates */

struct job {
    struct cp_enroller *enroller;
    const struct gw_rpc_caller *caller;
    /* For the audit trail, without the certificate request: who has shown nothing could fill the
     * store with those. */
    const ProtobufCMessage *told;
    const enrol_request *asked; /* NULL: a renewal */
    const char *request_pem, *agent_id;
    const char *shown; /* of a renewal: the certificate's fingerprint */
    struct cp_pem_pair authority;
    struct cp_agent_certificate made;
    const char *why; /* the token is refused: for the log alone */
};

static int refuse(struct job *job, const char *why, struct gw_error *err)
{
    job->why = why;
    if (!job->asked)
        return gw_fail(err, GW_PERMISSION_DENIED,
                       "only an enrolled agent, by the certificate that it has, gets the next one");
    return gw_fail(err, GW_PERMISSION_DENIED, "the enrolment is refused");
}

static int sign(const struct cp_call *call, struct job *job, struct gw_error *err)
{
    if (!job->authority.key)
        return refuse(job, "there is no authority yet: no enrolment was ever made", err);
    return cp_agent_certificate_sign(&job->authority, job->request_pem, job->agent_id,
                                     gw_clock_wall_ms() / 1000, job->enroller->life_ms / 1000,
                                     call->arena, &job->made, err);
}

static void write_record(const struct cp_call *call, struct cp_change *change, struct job *job,
                         cp_agent_record *record, int64_t mod_revision)
{
    size_t kept = GW_MIN(record->n_certificates, (size_t)CP_AGENT_CERTIFICATES_MAX - 1);
    char **certificates = GW_ARENA_ARRAY(call->arena, char *, CP_AGENT_CERTIFICATES_MAX);
    certificates[0] = (char *)(uintptr_t)job->made.fingerprint;
    for (size_t i = 0; i < kept; i++)
        certificates[i + 1] = record->certificates[i];
    record->certificates = certificates;
    record->n_certificates = kept + 1;
    record->update_time = cp_now(call->arena);
    record->expire_time = cp_now(call->arena);
    record->expire_time->seconds = job->made.expiry_s;
    record->expire_time->nanos = 0;
    gw_str key = cp_key_of(change->arena, CP_KIND_AGENT_IDENTITY, record->name);
    cp_change_expect(change, key, mod_revision);
    cp_change_put_message(change, key, &record->base);
}

/* ---- Enrol */

/* Who knows no token takes as long as who knows half of one. */
static bool is_good(const struct cp_call *call, const struct job *job,
                    const cp_enrolment *enrolment, const char **ret_why)
{
    static const uint8_t nobody[32];
    gw_str digest = cp_enrolment_digest(call->arena, gw_str_from(job->asked->token));
    gw_str stored = enrolment && enrolment->token_digest.len == sizeof(nobody)
                        ? gw_str_n((const char *)enrolment->token_digest.data, sizeof(nobody))
                        : gw_str_n((const char *)nobody, sizeof(nobody));
    bool is_equal = gw_str_eq_secret(digest, stored);
    *ret_why = "no such token, or it was used or revoked";
    if (!enrolment || !is_equal)
        return false;
    *ret_why = "the token has expired";
    if (enrolment->expire_time->seconds <= gw_clock_wall_ms() / 1000)
        return false;
    *ret_why = "the token is for another agent";
    return cp_agent_pattern_fits(gw_str_from(enrolment->agent), gw_str_from(job->agent_id));
}

static void use_up(struct cp_change *change, cp_enrolment *enrolment, int64_t mod_revision)
{
    gw_str key = cp_key_of(change->arena, CP_KIND_ENROLMENT, enrolment->name);
    cp_change_expect(change, key, mod_revision);
    if (--enrolment->uses <= 0)
        cp_change_delete(change, key);
    else
        cp_change_put_message(change, key, &enrolment->base);
}

static int attempt_enrol(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored stored = {NULL, 0}, before;
    gw_str id = gw_str_from(job->asked->token);
    const char *why, *name = gw_arena_printf(call->arena, "enrolments/%.*s",
                                             GW_STR_ARG(gw_str_n(id.ptr, strcspn(id.ptr, "."))))
                                 .ptr;
    const char *record_name = gw_arena_printf(call->arena, "agentIdentities/%s", job->agent_id).ptr;
    if (cp_name_is(CP_KIND_ENROLMENT, name) &&
        cp_find(call, CP_KIND_ENROLMENT, name, &stored, err) < 0)
        return -1;
    cp_enrolment *enrolment = (cp_enrolment *)stored.message;
    if (!is_good(call, job, enrolment, &why))
        return refuse(job, why, err);
    if (!cp_name_is(CP_KIND_AGENT_IDENTITY, record_name))
        return refuse(job, "the agent's id does not begin with a letter or a digit", err);
    if (cp_find(call, CP_KIND_AGENT_IDENTITY, record_name, &before, err) < 0)
        return -1;
    bool is_exact = strcmp(enrolment->agent, job->agent_id) == 0;
    if (before.message && !is_exact)
        return refuse(job, "the agent is enrolled, and the token is for several", err);
    if (sign(call, job, err) < 0)
        return -1;
    cp_agent_record *record =
        (cp_agent_record *)gw_message_new(call->arena, CP_TYPE(agent_identity));
    record->name = (char *)(uintptr_t)record_name;
    record->create_time = cp_now(call->arena);
    record->enrolment = enrolment->name;
    record->environments = enrolment->environments;
    record->n_environments = enrolment->n_environments;
    write_record(call, change, job, record, before.mod_revision);
    use_up(change, enrolment, stored.mod_revision);
    return 0;
}

/* ---- Renew */

static int attempt_renew(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored stored = {NULL, 0};
    const char *name = gw_arena_printf(call->arena, "agentIdentities/%s", job->agent_id).ptr;
    if (cp_name_is(CP_KIND_AGENT_IDENTITY, name) &&
        cp_find(call, CP_KIND_AGENT_IDENTITY, name, &stored, err) < 0)
        return -1;
    cp_agent_record *record = (cp_agent_record *)stored.message;
    bool is_known = false;
    for (size_t i = 0; record && i < record->n_certificates; i++)
        is_known |= strcmp(record->certificates[i], job->shown) == 0;
    if (!is_known)
        return refuse(job, "the certificate is not one of the agent's", err);
    if (sign(call, job, err) < 0)
        return -1;
    write_record(call, change, job, record, stored.mod_revision);
    return 0;
}

/* ---- both */

/* Who has shown nothing has no name, whatever the request says: all of them share what one caller's
 * refusals may take of the audit trail. */
static void tell_refusal(struct job *job, struct cp_call *call, struct gw_error *err)
{
    static const struct cp_principal anonymous = {.name = "anonymous"};
    if (job->asked)
        call->principal = &anonymous;
    (void)may_try(job->enroller, job->caller, true);
    cp_audit_end(call, err);
    gw_log(GW_LOG_WARN, COMPONENT, "refused", gw_kv_text("agent", job->agent_id),
           gw_kv_text("peer", job->caller->peer),
           gw_kv_text("why", job->why ? job->why : err->message));
}

static int give(struct job *job, cp_attempt *attempt, struct gw_arena *arena,
                ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct cp_enroller *enroller = job->enroller;
    struct cp_principal agent = {0};
    struct cp_call call = {.services = enroller->services,
                           .arena = arena,
                           .principal = &agent,
                           .deadline_ms = INT64_MAX};
    if (!enroller->has_tls)
        return gw_fail(err, GW_FAILED_PRECONDITION,
                       "agents are enrolled over TLS, by control planes with a credentials file");
    if (!may_try(enroller, job->caller, false))
        return gw_fail(err, GW_RESOURCE_EXHAUSTED,
                       "too many refused enrolments from this address: try again in a minute");
    if (cp_agent_authority_read(enroller->services, false, arena, &job->authority, err) < 0)
        return -1;
    (void)snprintf(agent.name, sizeof(agent.name), "agents/%s", job->agent_id);
    call.audit = cp_audit_begin(&call, job->asked ? ENROL_PATH + 1 : RENEW_PATH + 1,
                                job->caller->peer, job->told);
    cp_audit_about(&call, gw_arena_printf(arena, "agentIdentities/%s", job->agent_id).ptr);
    if (cp_write(&call, false, attempt, job, NULL, err) < 0) {
        if (err->code == GW_PERMISSION_DENIED || err->code == GW_INVALID_ARGUMENT)
            tell_refusal(job, &call, err);
        return -1;
    }
    gw_log(GW_LOG_INFO, COMPONENT, job->asked ? "agent enrolled" : "certificate renewed",
           gw_kv_text("agent", job->agent_id), gw_kv_text("peer", job->caller->peer),
           gw_kv_text("fingerprint", job->made.fingerprint));
    enrol_reply *reply =
        (enrol_reply *)gw_message_new(arena, &penstock__agent__v1__enrol_response__descriptor);
    reply->certificate_pem = (char *)(uintptr_t)job->made.pem;
    *ret_reply = &reply->base;
    return 0;
}

static int enrol(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                 const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                 struct gw_error *err)
{
    const enrol_request *asked = (const enrol_request *)request;
    enrol_request told = *asked;
    told.certificate_request_pem = (char *)(uintptr_t) "";
    struct job job = {.enroller = context,
                      .caller = caller,
                      .told = &told.base,
                      .asked = asked,
                      .request_pem = asked->certificate_request_pem,
                      .agent_id = asked->agent_id};
    if (!cp_agent_id_is(gw_str_from(asked->agent_id)))
        return gw_fail_field(err, "agent_id", "must be 1 to %d of a-z A-Z 0-9 . - _",
                             CP_AGENT_ID_MAX);
    return give(&job, attempt_enrol, arena, ret_reply, err);
}

static int renew(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                 const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                 struct gw_error *err)
{
    char shown[CP_FINGERPRINT_CHARS + 1] = "";
    const renew_request *asked = (const renew_request *)request;
    renew_request told = *asked;
    told.certificate_request_pem = (char *)(uintptr_t) "";
    struct job job = {.enroller = context,
                      .caller = caller,
                      .told = &told.base,
                      .request_pem = asked->certificate_request_pem,
                      .agent_id = "",
                      .shown = shown};
    bool has_name = caller->cert_name &&
                    gw_str_has_prefix(gw_str_from(caller->cert_name), GW_STR(CP_AGENT_URI)) &&
                    cp_agent_id_is(gw_str_from(caller->cert_name + strlen(CP_AGENT_URI))) &&
                    cp_certificate_fingerprint(caller->cert_pem, shown);
    if (!has_name)
        return refuse(&job, "", err);
    job.agent_id = caller->cert_name + strlen(CP_AGENT_URI);
    return give(&job, attempt_renew, arena, ret_reply, err);
}

void cp_enroller_methods(struct cp_enroller *enroller,
                         struct gw_rpc_method ret_methods[CP_ENROL_METHODS])
{
    ret_methods[0] = (struct gw_rpc_method){
        .path = ENROL_PATH,
        .request = &penstock__agent__v1__enrol_request__descriptor,
        .reply = &penstock__agent__v1__enrol_response__descriptor,
        .unary = enrol,
        .context = enroller,
    };
    ret_methods[1] = (struct gw_rpc_method){
        .path = RENEW_PATH,
        .request = &penstock__agent__v1__renew_request__descriptor,
        .reply = &penstock__agent__v1__enrol_response__descriptor,
        .unary = renew,
        .context = enroller,
    };
}
