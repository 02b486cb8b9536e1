/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys. The secret is sealed, so that it can be used for signatures; the id leads to one key
 * whoever's it is. */
#include "common/message.h"
#include "controlplane/model/check_account.h"
#include "controlplane/service/accounts.h"
#include "controlplane/service/fields.h"

#include <openssl/rand.h>

#define SECRET_FIELD "secret"
#define RANDOM_BYTES 256 /* much more than the letters need */

typedef Penstock__Admin__V1__CreateAccessKeyRequest create_request;

static int random_letters(struct gw_arena *arena, size_t len, char **ret_text, struct gw_error *err)
{
    unsigned char bytes[RANDOM_BYTES];
    *ret_text = gw_arena_bytes(arena, len + 1);
    if (RAND_bytes(bytes, sizeof(bytes)) == 1 &&
        cp_letters_from_random(bytes, sizeof(bytes), *ret_text, len))
        return 0;
    return gw_fail(err, GW_INTERNAL, "there are no random numbers");
}

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    (void)message;
    char *id;
    return random_letters(arena, CP_ACCESS_KEY_ID_LEN, &id, err) < 0 ? NULL : id;
}

/* ---- the secret */

static struct cp_seal_place place_of(const cp_access_key *key)
{
    return (struct cp_seal_place){key->name, SECRET_FIELD};
}

static gw_str sealed_secret(const cp_access_key *key)
{
    return gw_str_n((const char *)key->sealed_secret.data, key->sealed_secret.len);
}

static int put_secret(const struct cp_call *call, cp_access_key *key, gw_str secret,
                      struct gw_error *err)
{
    gw_str sealed;
    if (cp_seal_close(call->services->seal, place_of(key), secret, call->arena, &sealed, err) < 0)
        return -1;
    key->sealed_secret = (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    return 0;
}

int cp_access_key_open(const struct cp_seal *seal, const cp_access_key *key, struct gw_arena *arena,
                       gw_str *ret_secret, struct gw_error *err)
{
    return cp_seal_open(seal, place_of(key), sealed_secret(key), arena, ret_secret, err);
}

int cp_access_key_reseal(const struct cp_call *call, cp_access_key *key, struct gw_error *err)
{
    gw_str secret;
    if (cp_seal_is_current(call->services->seal, sealed_secret(key)))
        return 0;
    if (cp_access_key_open(call->services->seal, key, call->arena, &secret, err) < 0)
        return -1;
    return put_secret(call, key, secret, err);
}

/* The same secret again, as in a file that is applied twice, changes nothing. */
static int keep_secret(const struct cp_call *call, cp_access_key *key, const char *sent,
                       struct gw_error *err)
{
    gw_str secret;
    struct gw_error ignored;
    if (!*sent) {
        (void)cp_access_key_reseal(call, key, &ignored); /* else it stays as it is */
        return 0;
    }
    if (cp_access_key_open(call->services->seal, key, call->arena, &secret, err) < 0)
        return -1;
    if (gw_str_eq_secret(secret, gw_str_from(sent)))
        return 0;
    return gw_fail_field(err, SECRET_FIELD, "cannot change: make another access key");
}

static int seal(const struct cp_call *call, ProtobufCMessage *message,
                const ProtobufCMessage *before, struct gw_error *err)
{
    cp_access_key *key = (cp_access_key *)message;
    const char *sent = key->secret;
    key->secret = (char *)(uintptr_t) "";
    if (before)
        return keep_secret(call, key, sent, err);
    return put_secret(call, key, gw_str_from(sent), err);
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    (void)call;
    (void)err;
    ((cp_access_key *)message)->secret = (char *)(uintptr_t) "";
    ((cp_access_key *)message)->sealed_secret = (ProtobufCBinaryData){0, NULL};
    return 0;
}

/* ---- rules */

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_access_key((const cp_access_key *)message, err);
}

/* Who makes a key of a user can be that user, and who deletes its keys shuts it out. One that goes
 * in the same transaction has been checked itself. */
static int check_owner(const struct cp_call *call, struct cp_change *change, const char *key,
                       struct gw_error *err)
{
    struct cp_stored user;
    const char *owner = gw_arena_dup(change->arena, cp_name_parent(gw_str_from(key))).ptr;
    if (cp_find(call, CP_KIND_USER, owner, &user, err) < 0)
        return -1;
    if (!user.message)
        return 0;
    if (((const cp_user *)user.message)->n_grants > 0 &&
        cp_require_administrator(call, "a key of a user with grants", err) < 0)
        return -1;
    if (cp_check_account_is_open(call, change, owner, err) < 0)
        return -1;
    cp_change_expect(change, cp_key_of(change->arena, CP_KIND_USER, owner), user.mod_revision);
    return 0;
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_access_key *key = (const cp_access_key *)message;
    if (check_owner(call, change, key->name, err) < 0)
        return -1;
    if (before)
        return 0;
    if (cp_change_claim(call, change, CP_ACCESS_KEY_INDEX, gw_str_from(cp_name_last(key->name)),
                        key->name, err) == 0)
        return 0;
    if (err->code == GW_ALREADY_EXISTS) /* whose it is is nobody's business */
        (void)gw_fail(err, GW_ALREADY_EXISTS, "there is an access key %s already",
                      cp_name_last(key->name));
    return -1;
}

static void release_id(struct cp_change *change, const char *name)
{
    cp_change_release(change, CP_ACCESS_KEY_INDEX, gw_str_from(cp_name_last(name)));
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    const char *name = ((const cp_access_key *)before)->name;
    if (check_owner(call, change, name, err) < 0)
        return -1;
    release_id(change, name);
    return 0;
}

void cp_drop_access_key(struct cp_change *change, const char *name, int64_t mod_revision)
{
    gw_str key = cp_key_of(change->arena, CP_KIND_ACCESS_KEY, name);
    cp_change_expect(change, key, mod_revision);
    cp_change_delete(change, key);
    release_id(change, name);
}

static const char *const output_only[] = {"sealed_secret", NULL};
const struct cp_resource_rules cp_access_key_rules = {
    .kind = CP_KIND_ACCESS_KEY,
    .field = "access_key",
    .list_field = "access_keys",
    .list_reply = CP_TYPE(list_access_keys_response),
    .output_only = output_only,
    .max = CP_ACCESS_KEYS_MAX,
    .make_id = make_id,
    .check = check,
    .seal = seal,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
    .present = present,
};

int cp_create_access_key(const struct cp_call *call, const ProtobufCMessage *request,
                         ProtobufCMessage **ret_reply, struct gw_error *err)
{
    create_request *changed = (create_request *)gw_message_copy(call->arena, request);
    if (!changed->access_key)
        changed->access_key = (cp_access_key *)gw_message_new(call->arena, CP_TYPE(access_key));
    cp_access_key *key = changed->access_key;
    if (!key->secret[0] && random_letters(call->arena, CP_ACCESS_KEY_SECRET_LEN, &key->secret, err))
        return -1;
    if (cp_resource_create(call, &cp_access_key_rules, &changed->base, ret_reply, err) < 0)
        return -1;
    if (!changed->validate_only) /* one that is not stored must not be handed out */
        ((cp_access_key *)*ret_reply)->secret = key->secret;
    return 0;
}
