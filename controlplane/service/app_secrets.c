/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and secrets of apps. The key is known to whoever sees a signed request; it leads to one app,
 * and never changes. The secret is sealed, and shown when it is made. */
#include "common/message.h"
#include "controlplane/model/check_account.h"
#include "controlplane/model/check_app.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/fields.h"

#include <openssl/rand.h>

#define INDEX "appKeys"
#define SECRET_FIELD "secret"
#define RANDOM_BYTES 256 /* much more than the letters need */

typedef Penstock__Admin__V1__CreateAppRequest create_request;
typedef Penstock__Admin__V1__ResetAppSecretRequest reset_request;
typedef Penstock__Admin__V1__ResetAppSecretResponse reset_reply;

static char *no_text(void)
{
    return (char *)(uintptr_t) "";
}

static int make_key(struct gw_arena *arena, cp_app *app, struct gw_error *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[CP_APP_KEY_RANDOM_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return gw_fail(err, GW_INTERNAL, "there are no random numbers");
    app->key = gw_arena_bytes(arena, 2 * sizeof bytes + 1);
    for (size_t i = 0; i < sizeof bytes; i++) {
        app->key[2 * i] = digits[bytes[i] >> 4];
        app->key[2 * i + 1] = digits[bytes[i] & 15];
    }
    app->key[2 * sizeof bytes] = '\0';
    return 0;
}

static int make_secret(struct gw_arena *arena, char **ret_secret, struct gw_error *err)
{
    unsigned char bytes[RANDOM_BYTES];
    *ret_secret = gw_arena_bytes(arena, CP_APP_SECRET_LEN + 1);
    if (RAND_bytes(bytes, sizeof bytes) == 1 &&
        cp_letters_from_random(bytes, sizeof bytes, *ret_secret, CP_APP_SECRET_LEN))
        return 0;
    return gw_fail(err, GW_INTERNAL, "there are no random numbers");
}

/* ---- sealed */

static struct cp_seal_place place_of(const cp_app *app)
{
    return (struct cp_seal_place){app->name, SECRET_FIELD};
}

static gw_str sealed_secret(const cp_app *app)
{
    return gw_str_n((const char *)app->sealed_secret.data, app->sealed_secret.len);
}

static int put_secret(const struct cp_call *call, cp_app *app, gw_str secret, struct gw_error *err)
{
    gw_str sealed;
    if (cp_seal_close(call->services->seal, place_of(app), secret, call->arena, &sealed, err) < 0)
        return -1;
    app->sealed_secret = (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    return 0;
}

int cp_app_secret_open(const struct cp_seal *seal, const cp_app *app, struct gw_arena *arena,
                       gw_str *ret_secret, struct gw_error *err)
{
    return cp_seal_open(seal, place_of(app), sealed_secret(app), arena, ret_secret, err);
}

int cp_app_reseal(const struct cp_call *call, cp_app *app, struct gw_error *err)
{
    gw_str secret, sealed = sealed_secret(app);
    if (sealed.len == 0 || cp_seal_is_current(call->services->seal, sealed))
        return 0;
    if (cp_app_secret_open(call->services->seal, app, call->arena, &secret, err) < 0)
        return -1;
    return put_secret(call, app, secret, err);
}

static int put_new_secret(const struct cp_call *call, cp_app *app, const char *secret,
                          struct gw_error *err)
{
    if (put_secret(call, app, gw_str_from(secret), err) < 0)
        return -1;
    app->secret_time = cp_now(call->arena);
    return 0;
}

/* The same secret again, as in a file that is applied twice, changes nothing. */
static int keep_secret(const struct cp_call *call, cp_app *app, const char *sent,
                       struct gw_error *err)
{
    gw_str secret;
    struct gw_error ignored;
    if (!*sent) {
        (void)cp_app_reseal(call, app, &ignored); /* else it stays as it is */
        return 0;
    }
    if (cp_app_secret_open(call->services->seal, app, call->arena, &secret, err) < 0)
        return -1;
    if (gw_str_eq_secret(secret, gw_str_from(sent)))
        return 0;
    return gw_fail_field(err, SECRET_FIELD, "is another one: ResetAppSecret changes it");
}

int cp_seal_app(const struct cp_call *call, cp_app *app, const cp_app *before, struct gw_error *err)
{
    const char *sent = app->secret;
    app->secret = no_text();
    if (before && !*app->key)
        app->key = before->key;
    if (!before && !*app->key && make_key(call->arena, app, err) < 0)
        return -1;
    if (app->sealed_secret.len > 0)
        return keep_secret(call, app, sent, err);
    return *sent ? put_new_secret(call, app, sent, err) : 0;
}

/* ---- unique */

int cp_claim_app_key(const struct cp_call *call, struct cp_change *change, const cp_app *app,
                     struct gw_error *err)
{
    if (cp_change_claim(call, change, INDEX, gw_str_from(app->key), app->name, err) == 0)
        return 0;
    if (err->code == GW_ALREADY_EXISTS) { /* whose it is is nobody's business */
        (void)gw_fail(err, GW_ALREADY_EXISTS, "there is an app with this key already");
        (void)gw_error_reason(err, "NOT_UNIQUE");
    }
    return -1;
}

void cp_release_app_key(struct cp_change *change, const cp_app *app)
{
    if (*app->key)
        cp_change_release(change, INDEX, gw_str_from(app->key));
}

/* ---- methods */

int cp_create_app(const struct cp_call *call, const ProtobufCMessage *request,
                  ProtobufCMessage **ret_reply, struct gw_error *err)
{
    create_request *changed = (create_request *)gw_message_copy(call->arena, request);
    if (!changed->app)
        changed->app = (cp_app *)gw_message_new(call->arena, CP_TYPE(app));
    cp_app *app = changed->app;
    bool is_made = !*app->key;
    if (!*app->secret && call->services->seal && make_secret(call->arena, &app->secret, err) < 0)
        return -1;
    if (cp_resource_create(call, &cp_app_rules, &changed->base, ret_reply, err) < 0)
        return -1;
    cp_app *created = (cp_app *)*ret_reply;
    if (!changed->validate_only) /* what is not stored must not be handed out */
        created->secret = app->secret;
    else if (is_made)
        created->key = no_text();
    return 0;
}

struct reset {
    const reset_request *request;
    const char *secret;
    const char *key; /* of the last attempt */
};

static int attempt_reset(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct cp_stored stored;
    struct reset *reset = arg;
    const char *name = reset->request->name;
    if (cp_get(call, CP_KIND_APP, name, &stored, err) < 0 ||
        cp_check_etag(reset->request->etag, stored.mod_revision, name, err) < 0)
        return -1;
    cp_app *app = (cp_app *)stored.message;
    bool is_without_key = !*app->key; /* made before apps had keys */
    if (is_without_key &&
        (make_key(call->arena, app, err) < 0 || cp_claim_app_key(call, change, app, err) < 0))
        return -1;
    if (put_new_secret(call, app, reset->secret, err) < 0)
        return -1;
    app->update_time = app->secret_time;
    reset->key = is_without_key && reset->request->validate_only ? "" : app->key;
    gw_str key = cp_key_of(change->arena, CP_KIND_APP, name);
    cp_change_expect(change, key, stored.mod_revision);
    cp_change_put_message(change, key, stored.message);
    return 0;
}

int cp_reset_app_secret(const struct cp_call *call, const ProtobufCMessage *request,
                        ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct cp_position at;
    struct reset reset = {.request = (const reset_request *)request};
    char *secret = reset.request->secret;
    int failed = cp_name_check(CP_KIND_APP, reset.request->name, "name", err);
    if (*secret)
        cp_check_app_secret(secret, err);
    if (failed || err->violation_count > 0 ||
        (!*secret && make_secret(call->arena, &secret, err) < 0))
        return -1;
    reset.secret = secret;
    if (cp_write(call, reset.request->validate_only, attempt_reset, &reset, &at, err) < 0)
        return -1;
    reset_reply *reply =
        (reset_reply *)gw_message_new(call->arena, CP_TYPE(reset_app_secret_response));
    reply->key = (char *)(uintptr_t)reset.key;
    if (at.revision) { /* what is not stored must not be handed out */
        reply->secret = secret;
        reply->etag = cp_etag(call->arena, at.revision);
    }
    *ret_reply = &reply->base;
    return 0;
}
