/* SPDX-License-Identifier: Apache-2.0 */
/* AppCodes: what callers show to be known as an app. The store holds their SHA-256 only, which is
 * also the key of an index: a code leads to one app. */
#include "common/message.h"
#include "controlplane/model/check_app.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/fields.h"

#include <openssl/rand.h>

#define INDEX "codes"
#define ID_RANDOM_BYTES 8

typedef Penstock__Admin__V1__CreateAppCodeRequest create_request;

static int random_bytes(unsigned char *bytes, size_t count, struct gw_error *err)
{
    if (RAND_bytes(bytes, (int)count) == 1)
        return 0;
    return gw_fail(err, GW_INTERNAL, "there are no random numbers");
}

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    (void)message;
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[ID_RANDOM_BYTES];
    if (random_bytes(bytes, sizeof(bytes), err) < 0)
        return NULL;
    char *id = gw_arena_bytes(arena, 2 * sizeof(bytes) + 1);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        id[2 * i] = digits[bytes[i] >> 4];
        id[2 * i + 1] = digits[bytes[i] & 15];
    }
    id[2 * sizeof(bytes)] = '\0';
    return id;
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    (void)before;
    const cp_app_code *code = (const cp_app_code *)message;
    if (cp_change_claim(call, change, INDEX, gw_str_from(code->digest), code->name, err) == 0)
        return 0;
    if (err->code == GW_ALREADY_EXISTS) /* whose it is would be told to whoever guesses */
        (void)gw_fail(err, GW_ALREADY_EXISTS, "there is such an AppCode already: choose another");
    return -1;
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)err;
    cp_change_release(change, INDEX, gw_str_from(((const cp_app_code *)before)->digest));
    return 0;
}

void cp_drop_app_code(struct cp_change *change, const cp_app_code *code, int64_t mod_revision)
{
    gw_str key = cp_key_of(change->arena, CP_KIND_CODE, code->name);
    cp_change_expect(change, key, mod_revision);
    cp_change_delete(change, key);
    cp_change_release(change, INDEX, gw_str_from(code->digest));
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    (void)call;
    (void)err;
    ((cp_app_code *)message)->digest = (char *)(uintptr_t) "";
    return 0;
}

const struct cp_resource_rules cp_app_code_rules = {
    .kind = CP_KIND_CODE,
    .field = "code",
    .list_field = "codes",
    .list_reply = CP_TYPE(list_app_codes_response),
    .quota = CP_QUOTA_APP_CODES,
    .is_replaced = true,
    .make_id = make_id,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
    .present = present,
};

/* ---- creation */

/* The code that was sent, or a new one. */
static int find_code(struct gw_arena *arena, const cp_app_code *sent, char **ret_code,
                     struct gw_error *err)
{
    unsigned char bytes[CP_APP_CODE_RANDOM_BYTES];
    if (sent->code[0]) {
        *ret_code = sent->code;
        return cp_check_app_code(sent, err);
    }
    if (random_bytes(bytes, sizeof(bytes), err) < 0)
        return -1;
    *ret_code = gw_arena_bytes(arena, CP_APP_CODE_GENERATED_LEN + 1);
    cp_app_code_from_random(bytes, *ret_code);
    return 0;
}

int cp_enter_app_code(struct gw_arena *arena, cp_app_code *code, char **ret_clear,
                      struct gw_error *err)
{
    if (find_code(arena, code, ret_clear, err) < 0)
        return -1;
    code->digest = gw_arena_bytes(arena, CP_APP_CODE_DIGEST_LEN + 1);
    cp_app_code_digest(gw_str_from(*ret_clear), code->digest);
    code->hint = gw_arena_bytes(arena, CP_APP_CODE_HINT_LEN + 1);
    memcpy(code->hint, *ret_clear, CP_APP_CODE_HINT_LEN);
    code->hint[CP_APP_CODE_HINT_LEN] = '\0';
    code->code = (char *)(uintptr_t) "";
    return 0;
}

int cp_create_app_code(const struct cp_call *call, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_reply, struct gw_error *err)
{
    char *clear;
    create_request *changed = (create_request *)gw_message_copy(call->arena, request);
    if (!changed->code)
        changed->code = (cp_app_code *)gw_message_new(call->arena, CP_TYPE(app_code));
    if (cp_enter_app_code(call->arena, changed->code, &clear, err) < 0 ||
        cp_resource_create(call, &cp_app_code_rules, &changed->base, ret_reply, err) < 0)
        return -1;
    if (!changed->validate_only) /* one that is not stored must not be handed out */
        ((cp_app_code *)*ret_reply)->code = clear;
    return 0;
}
