/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for agents to come in by, and who has come in. */
#include "controlplane/service/enrolments.h"

#include "common/message.h"
#include "controlplane/model/agent_certificates.h"
#include "controlplane/model/agent_ids.h"
#include "controlplane/model/check_account.h"
#include "controlplane/service/leader.h"
#include "controlplane/service/services.h"

#include <openssl/rand.h>
#include <openssl/sha.h>

#define ID_CHARS 16
#define RANDOM_BYTES 256 /* much more than the letters need */

typedef Penstock__Admin__V1__CreateEnrolmentRequest create_request;

static int random_letters(struct gw_arena *arena, size_t length, char **ret_text,
                          struct gw_error *err)
{
    unsigned char bytes[RANDOM_BYTES];
    *ret_text = gw_arena_bytes(arena, length + 1);
    if (RAND_bytes(bytes, sizeof(bytes)) == 1 &&
        cp_letters_from_random(bytes, sizeof(bytes), *ret_text, length))
        return 0;
    return gw_fail(err, GW_INTERNAL, "there are no random numbers");
}

gw_str cp_enrolment_digest(struct gw_arena *arena, gw_str token)
{
    unsigned char *digest = gw_arena_alloc(arena, SHA256_DIGEST_LENGTH);
    SHA256((const unsigned char *)token.ptr, token.len, digest);
    return gw_str_n((const char *)digest, SHA256_DIGEST_LENGTH);
}

/* ---- checks */

static int64_t life_s(const cp_enrolment *enrolment)
{
    return enrolment->lifetime ? enrolment->lifetime->seconds : CP_ENROLMENT_LIFE_DEFAULT_S;
}

static void check_environments(char **environments, size_t count, struct gw_error *err)
{
    if (count > CP_ENROLMENT_ENVIRONMENTS_MAX)
        (void)gw_fail_field(err, "environments", "must be at most %d",
                            CP_ENROLMENT_ENVIRONMENTS_MAX);
    for (size_t i = 0; i < count && i < CP_ENROLMENT_ENVIRONMENTS_MAX; i++)
        if (!cp_name_is(CP_KIND_ENVIRONMENT, environments[i])) {
            (void)gw_fail_field(err, "environments", "must be names: \"environments/RELEASE\"");
            return;
        }
}

static int check_enrolment(const ProtobufCMessage *message, const ProtobufCMessage *before,
                           struct gw_error *err)
{
    (void)before;
    const cp_enrolment *enrolment = (const cp_enrolment *)message;
    *err = GW_ERROR_NONE;
    if (!cp_agent_pattern_is(gw_str_from(enrolment->agent)))
        (void)gw_fail_field(err, "agent",
                            "required: an agent's id, 1 to %d of a-z A-Z 0-9 . - _, or its "
                            "beginning with \"*\" behind it",
                            CP_AGENT_ID_MAX);
    if (enrolment->uses < 0 || enrolment->uses > CP_ENROLMENT_USES_MAX)
        (void)gw_fail_field(err, "uses", "must be 1 to %d", CP_ENROLMENT_USES_MAX);
    if (life_s(enrolment) < CP_ENROLMENT_LIFE_MIN_S || life_s(enrolment) > CP_ENROLMENT_LIFE_MAX_S)
        (void)gw_fail_field(err, "lifetime", "must be 1m to 30d");
    check_environments(enrolment->environments, enrolment->n_environments, err);
    return err->violation_count > 0 ? -1 : 0;
}

static int check_record(const ProtobufCMessage *message, const ProtobufCMessage *before,
                        struct gw_error *err)
{
    (void)before;
    const cp_agent_record *record = (const cp_agent_record *)message;
    *err = GW_ERROR_NONE;
    check_environments(record->environments, record->n_environments, err);
    return err->violation_count > 0 ? -1 : 0;
}

/* ---- rules */

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    (void)message;
    char *id;
    return random_letters(arena, ID_CHARS, &id, err) < 0 ? NULL : id;
}

/* What the token is good for is stored, and of the token its digest. */
static int seal(const struct cp_call *call, ProtobufCMessage *message,
                const ProtobufCMessage *before, struct gw_error *err)
{
    (void)err;
    cp_enrolment *enrolment = (cp_enrolment *)message;
    if (before)
        return 0;
    gw_str digest = cp_enrolment_digest(call->arena, gw_str_from(enrolment->token));
    enrolment->token = (char *)(uintptr_t) "";
    enrolment->token_digest = (ProtobufCBinaryData){digest.len, (uint8_t *)(uintptr_t)digest.ptr};
    enrolment->expire_time = cp_now(call->arena);
    enrolment->expire_time->seconds += life_s(enrolment);
    enrolment->lifetime = NULL;
    enrolment->uses = GW_MAX(enrolment->uses, 1);
    return 0;
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    (void)call;
    (void)err;
    ((cp_enrolment *)message)->token_digest = (ProtobufCBinaryData){0, NULL};
    return 0;
}

static const char *const enrolment_output_only[] = {"expire_time", "token_digest", NULL};
const struct cp_resource_rules cp_enrolment_rules = {
    .kind = CP_KIND_ENROLMENT,
    .field = "enrolment",
    .list_field = "enrolments",
    .list_reply = CP_TYPE(list_enrolments_response),
    .output_only = enrolment_output_only,
    .max = CP_ENROLMENTS_MAX,
    .make_id = make_id,
    .check = check_enrolment,
    .seal = seal,
    .present = present,
};

static const char *const record_output_only[] = {"enrolment", "expire_time", "certificates", NULL};
const struct cp_resource_rules cp_agent_record_rules = {
    .kind = CP_KIND_AGENT_IDENTITY,
    .field = "agent_identity",
    .list_field = "agent_identities",
    .list_reply = CP_TYPE(list_agent_identities_response),
    .output_only = record_output_only,
    .check = check_record,
};

/* ---- those that expired */

struct cleaning {
    const char *name;
    gw_msec now_ms;
};

static bool is_over(const cp_enrolment *enrolment, gw_msec now_ms)
{
    return enrolment->expire_time &&
           enrolment->expire_time->seconds * 1000 + CP_ENROLMENT_KEPT_MS < now_ms;
}

static int attempt_clean(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct cp_stored stored;
    const struct cleaning *cleaning = arg;
    if (cp_find(call, CP_KIND_ENROLMENT, cleaning->name, &stored, err) < 0)
        return -1;
    if (!stored.message || !is_over((cp_enrolment *)stored.message, cleaning->now_ms))
        return 0;
    if (cp_change_remove(call, change, CP_KIND_ENROLMENT, cleaning->name, stored.mod_revision,
                         err) < 0)
        return -1;
    return cp_change_fence(call, change, err);
}

int cp_enrolments_clean(struct cp_services *services, gw_msec now_ms, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_page page;
    struct cp_call call = {.services = services, .arena = &arena, .deadline_ms = INT64_MAX};
    struct cp_range range = {.prefix = cp_key_prefix(&arena, CP_KIND_ENROLMENT),
                             .limit = CP_ENROLMENTS_MAX};
    if (cp_store_list(services->store, &range, &arena, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        gw_str name;
        ProtobufCMessage *message;
        struct cleaning cleaning = {.now_ms = now_ms};
        if (!cp_key_parse(&arena, page.kvs[i].key, &name) ||
            gw_message_unpack(&arena, CP_TYPE(enrolment), page.kvs[i].value, &message, err) < 0 ||
            !is_over((cp_enrolment *)message, now_ms))
            continue;
        cleaning.name = name.ptr;
        if (cp_write(&call, false, attempt_clean, &cleaning, NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- methods */

/* The answer alone has the token. */
static int create_enrolment(const struct cp_call *call, const ProtobufCMessage *request,
                            ProtobufCMessage **ret_reply, struct gw_error *err)
{
    char *secret;
    struct cp_pem_pair authority;
    create_request *changed = (create_request *)gw_message_copy(call->arena, request);
    if (!changed->enrolment)
        changed->enrolment = (cp_enrolment *)gw_message_new(call->arena, CP_TYPE(enrolment));
    if (changed->enrolment->token[0])
        return gw_fail_field(err, "enrolment.token", "is made by the control plane");
    if (!changed->enrolment_id[0])
        changed->enrolment_id = (char *)(uintptr_t)cp_name_last(changed->enrolment->name);
    if (!changed->enrolment_id[0] &&
        random_letters(call->arena, ID_CHARS, &changed->enrolment_id, err) < 0)
        return -1;
    if (random_letters(call->arena, CP_ENROLMENT_SECRET_CHARS, &secret, err) < 0)
        return -1;
    gw_str token = gw_arena_printf(call->arena, "%s.%s", changed->enrolment_id, secret);
    changed->enrolment->token = (char *)(uintptr_t)token.ptr;
    if (!changed->validate_only && /* an agent that comes in needs it */
        cp_agent_authority_read(call->services, true, call->arena, &authority, err) < 0)
        return -1;
    if (cp_resource_create(call, &cp_enrolment_rules, &changed->base, ret_reply, err) < 0)
        return -1;
    if (!changed->validate_only)
        ((cp_enrolment *)*ret_reply)->token = (char *)(uintptr_t)token.ptr;
    return 0;
}

CP_RESOURCE_HANDLER(get, enrolment, cp_enrolment_rules)
CP_RESOURCE_HANDLER(list, enrolments, cp_enrolment_rules)
CP_RESOURCE_HANDLER(delete, enrolment, cp_enrolment_rules)
CP_RESOURCE_HANDLER(get, identity, cp_agent_record_rules)
CP_RESOURCE_HANDLER(list, identities, cp_agent_record_rules)
CP_RESOURCE_HANDLER(update, identity, cp_agent_record_rules)
CP_RESOURCE_HANDLER(delete, identity, cp_agent_record_rules)

static const struct cp_method methods[] = {
    {"GetEnrolment", CP_ROLE_VIEWER, get_enrolment},
    {"ListEnrolments", CP_ROLE_VIEWER, list_enrolments},
    {"CreateEnrolment", CP_ROLE_ADMINISTRATOR, create_enrolment},
    {"DeleteEnrolment", CP_ROLE_ADMINISTRATOR, delete_enrolment},
    {"GetAgentIdentity", CP_ROLE_VIEWER, get_identity},
    {"ListAgentIdentities", CP_ROLE_VIEWER, list_identities},
    {"UpdateAgentIdentity", CP_ROLE_ADMINISTRATOR, update_identity},
    {"DeleteAgentIdentity", CP_ROLE_ADMINISTRATOR, delete_identity},
};
const struct cp_service cp_enrolment_service = {&penstock__admin__v1__enrolment_service__descriptor,
                                                methods, GW_ARRAY_LEN(methods)};
