/* SPDX-License-Identifier: Apache-2.0 */
/* Callers with JWTs: what issuers of the credentials file give them, as whom, and files that
 * change. The tokens themselves: jwt_test.c. */
#include "common/clock.h"
#include "controlplane/rpc/auth.h"
#include "controlplane/rpc/credentials.h"
#include "controlplane/rpc/test_jwt.h"

#include <stdio.h>
#include <unistd.h>

#define ISSUER "https://id.example.com"

static struct gw_arena arena;
static cjose_jwk_t *first, *second;
static char folder[] = "/tmp/penstock-auth-jwt-XXXXXX";
static char file[64], keys[64];

/* As an editor or a mounted secret does it: another file under the same name. */
static void write_file(const char *name, const char *text)
{
    char fresh[80];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", name);
    FILE *out = fopen(fresh, "we");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(fresh, name), 0);
}

static void write_keys(const cjose_jwk_t *key)
{
    write_file(keys, gw_arena_printf(&arena, "{\"keys\":[%s]}", test_jwk(&arena, key)).ptr);
}

static void write_issuer(const char *more)
{
    write_file(file, gw_arena_printf(&arena,
                                     "{\"roles\":[{\"name\":\"publisher\",\"actions\":["
                                     "\"ApiService/PublishApi\"]}],\"issuers\":[{\"issuer\":"
                                     "\"" ISSUER "\",\"audiences\":[\"penstock\"],"
                                     "\"jwksFile\":\"keys.json\"%s}]}",
                                     more)
                         .ptr);
}

static int make(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(file, sizeof(file), "%s/credentials", folder);
    (void)snprintf(keys, sizeof(keys), "%s/keys.json", folder);
    first = test_rsa("one", 2048);
    second = test_ec("two", CJOSE_JWK_EC_P_256);
    return 0;
}

static int done(void **state)
{
    (void)state;
    cjose_jwk_release(first);
    cjose_jwk_release(second);
    gw_arena_done(&arena);
    (void)unlink(file);
    (void)unlink(keys);
    return rmdir(folder);
}

static struct cp_auth *open_auth(void)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_auth *auth;
    if (cp_auth_new(file, &auth, &err))
        fail_msg("%s", err.message);
    return auth;
}

static const char *payload(const char *more)
{
    return gw_arena_printf(&arena, "{\"iss\":\"" ISSUER "\",\"aud\":\"penstock\",\"exp\":%lld%s}",
                           (long long)gw_clock_wall_ms() / 1000 + 300, more)
        .ptr;
}

static const char *token(const char *more)
{
    return test_sign(&arena, first, "RS256", "{}", payload(more));
}

/* "name role, its grants: role@limit", or the code and the message. */
static const char *who(struct cp_auth *auth, const char *bearer)
{
    static char text[GW_ERROR_MESSAGE_MAX + 64];
    struct gw_error err = GW_ERROR_NONE;
    struct cp_principal principal;
    struct gw_rpc_caller caller = {.bearer = bearer};
    if (cp_auth_identify(auth, &caller, &arena, &principal, &err)) {
        (void)snprintf(text, sizeof(text), "%s: %s", gw_code_name(err.code), err.message);
        return text;
    }
    size_t at =
        (size_t)snprintf(text, sizeof(text), "%s %s", principal.name, cp_role_name(principal.role));
    for (size_t i = 0; i < principal.grant_count; i++)
        at += (size_t)snprintf(
            text + at, sizeof(text) - at, " %s@%s", principal.grants[i].role_name,
            principal.grants[i].limits.count ? principal.grants[i].limits.at[0] : "");
    return text;
}

static void claims_give_rights(void **state)
{
    (void)state;
    write_keys(first);
    write_issuer(",\"grants\":[{\"claim\":\"groups=admins\",\"role\":\"administrator\"},"
                 "{\"claim\":\"groups=shop\",\"role\":\"operator\",\"limits\":[\"groups/shop\"]},"
                 "{\"claim\":\"realm.roles=pub\",\"role\":\"publisher\"}]");
    struct cp_auth *auth = open_auth();
    assert_string_equal(who(auth, token(",\"sub\":\"ann\"")), ISSUER "#ann none");
    assert_string_equal(who(auth, token(",\"sub\":\"ann\",\"groups\":[\"x\",\"admins\"]")),
                        ISSUER "#ann administrator");
    assert_string_equal(who(auth, token(",\"sub\":\"ann\",\"groups\":\"shop\",\"realm\":{"
                                        "\"roles\":[\"pub\"]}")),
                        ISSUER "#ann none operator@groups/shop publisher@");
    struct gw_error err;
    struct cp_principal ann;
    struct gw_rpc_caller caller = {.bearer = token(",\"sub\":\"ann\"")};
    assert_int_equal(cp_auth_identify(auth, &caller, &arena, &ann, &err), 0);
    assert_string_equal(ann.proof, "JWT");
    assert_true(ann.expires_s > gw_clock_wall_ms() / 1000);
    cp_auth_free(auth);
}

static void grants_for_everybody_of_an_issuer(void **state)
{
    (void)state;
    write_keys(first);
    write_issuer(",\"grants\":[{\"role\":\"viewer\"}],\"principalClaim\":\"email\"");
    struct cp_auth *auth = open_auth();
    assert_string_equal(who(auth, token(",\"email\":\"ann@example.com\"")),
                        ISSUER "#ann@example.com viewer");
    assert_string_equal(who(auth, token(",\"sub\":\"ann\"")),
                        "UNAUTHENTICATED: the JWT's email is no text of 1 to 127 bytes");
    assert_string_equal(who(auth, token(",\"email\":\"\"")),
                        "UNAUTHENTICATED: the JWT's email is no text of 1 to 127 bytes");
    assert_string_equal(who(auth, token(",\"email\":7")),
                        "UNAUTHENTICATED: the JWT's email is no text of 1 to 127 bytes");
    assert_string_equal(who(auth, token(",\"email\":\"a\\nb\"")),
                        "UNAUTHENTICATED: the JWT's email has control characters");
    cp_auth_free(auth);
}

static void wrong_ones_are_refused(void **state)
{
    (void)state;
    write_keys(first);
    write_issuer(",\"grants\":[{\"role\":\"administrator\"}]");
    struct cp_auth *auth = open_auth();
    assert_string_equal(
        who(auth, test_sign(&arena, second, "ES256", "{}", payload(",\"sub\":\"ann\""))),
        "UNAUTHENTICATED: the JWT is signed by a key that the issuer has not");
    assert_string_equal(who(auth, token(",\"sub\":\"ann\",\"nbf\":99999999999")),
                        "UNAUTHENTICATED: the JWT is not valid yet (nbf)");
    assert_string_equal(who(auth, "e30.e30.AAAA"),
                        "UNAUTHENTICATED: the JWT is of an issuer that is not known here");
    write_file(file, "{}"); /* without issuers a JWT is a token like any other */
    assert_string_equal(who(auth, token(",\"sub\":\"ann\"")),
                        "UNAUTHENTICATED: the bearer token is not known");
    cp_auth_free(auth);
}

/* ---- keys that change */

static void rotated_keys_are_read(void **state)
{
    (void)state;
    write_keys(first);
    write_issuer("");
    struct cp_auth *auth = open_auth();
    const char *old = token(",\"sub\":\"ann\"");
    const char *new = test_sign(&arena, second, "ES256", "{}", payload(",\"sub\":\"ann\""));
    assert_string_equal(who(auth, old), ISSUER "#ann none");
    write_keys(second);
    assert_string_equal(who(auth, new), ISSUER "#ann none");
    assert_string_equal(who(auth, old),
                        "UNAUTHENTICATED: the JWT is signed by a key that the issuer has not");
    write_file(keys, "{\"keys\":"); /* the last good form stays */
    assert_string_equal(who(auth, new), ISSUER "#ann none");
    assert_int_equal(unlink(keys), 0);
    assert_string_equal(who(auth, new), ISSUER "#ann none");
    write_keys(first);
    assert_string_equal(who(auth, old), ISSUER "#ann none");
    cp_auth_free(auth);
}

/* A file that a broken edit names first is tried again, though nobody watches it. */
static void keys_that_come_later_are_read(void **state)
{
    (void)state;
    write_keys(first);
    write_file(file, "{}");
    (void)unlink(keys);
    struct cp_auth *auth = open_auth();
    write_issuer("");
    const char *ann = token(",\"sub\":\"ann\"");
    assert_string_equal(who(auth, ann), "UNAUTHENTICATED: the bearer token is not known");
    write_keys(first);
    gw_msec end_ms = gw_clock_monotonic_ms() + 20000;
    while (strcmp(who(auth, ann), ISSUER "#ann none") != 0)
        if (gw_clock_monotonic_ms() > end_ms)
            fail_msg("the keys are not read: %s", who(auth, ann));
    cp_auth_free(auth);
}

/* ---- users */

static char asked[256];

static int by_key(void *arg, gw_str id, gw_str secret, struct gw_arena *to,
                  struct cp_known_user *ret, struct gw_error *err)
{
    (void)arg, (void)id, (void)secret, (void)to, (void)err;
    *ret = (struct cp_known_user){.name = NULL};
    return 0;
}

static int by_claim(void *arg, gw_str account, gw_str claim, struct gw_arena *to,
                    struct cp_known_user *ret, struct gw_error *err)
{
    static const char *const limits[] = {"groups/food"};
    static const struct cp_grant grants[] = {{.role_name = "operator", .limits = {limits, 1}}};
    (void)arg, (void)to;
    (void)snprintf(asked + strlen(asked), sizeof(asked) - strlen(asked), "%.*s %.*s;",
                   GW_STR_ARG(account), GW_STR_ARG(claim));
    *ret = (struct cp_known_user){.name = NULL};
    if (gw_str_eq(claim, GW_STR("sub=away")))
        return gw_fail(err, GW_UNAVAILABLE, "the store is away");
    if (gw_str_eq(account, GW_STR("acme")) && !gw_str_eq(claim, GW_STR("sub=nobody")))
        *ret = (struct cp_known_user){.name = "accounts/acme/users/ann",
                                      .is_disabled = gw_str_eq(claim, GW_STR("email=gone")),
                                      .grants = grants,
                                      .grant_count = 1};
    return 0;
}

static void a_claim_stands_for_a_user(void **state)
{
    (void)state;
    static const struct cp_directory directory = {.by_key = by_key, .by_claim = by_claim};
    write_keys(first);
    write_issuer(
        ",\"usersOf\":[\"other\",\"acme\"],\"userClaims\":[\"sub\",\"email\"],"
        "\"grants\":[{\"role\":\"viewer\"},{\"claim\":\"team=x\",\"role\":\"publisher\"}]");
    struct cp_auth *auth = open_auth();
    cp_auth_set_directory(auth, &directory);
    asked[0] = '\0';
    assert_string_equal(who(auth, token(",\"sub\":\"s\",\"email\":\"e\",\"team\":\"x\"")),
                        "accounts/acme/users/ann viewer operator@groups/food publisher@");
    assert_string_equal(asked, "other sub=s;other email=e;acme sub=s;");
    assert_string_equal(who(auth, token(",\"sub\":\"nobody\"")), ISSUER "#nobody viewer");
    assert_string_equal(who(auth, token(",\"sub\":\"nobody\",\"email\":\"gone\"")),
                        "UNAUTHENTICATED: accounts/acme/users/ann is disabled, or its account or "
                        "access key is");
    assert_string_equal(who(auth, token(",\"sub\":\"away\"")), "UNAVAILABLE: the store is away");
    cp_auth_free(auth);
}

/* ---- the file */

static void refuse(const char *more, const char *message)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_credentials *credentials;
    write_issuer(more);
    assert_int_equal(cp_credentials_load(file, &credentials, &err), -1);
    assert_string_equal(err.message,
                        gw_arena_printf(&arena, "%s: issuers[0].%s", file, message).ptr);
}

static void wrong_issuers_are_named(void **state)
{
    (void)state;
    write_keys(first);
    refuse(",\"jwksUrl\":\"https://x\"", "jwksUrl: unknown key");
    refuse(",\"algorithms\":[\"none\"]",
           "algorithms: must be of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512");
    refuse(",\"algorithms\":[\"HS256\"]",
           "algorithms: must be of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512");
    refuse(",\"leewaySeconds\":301", "leewaySeconds: must be 0 to 300");
    refuse(",\"leewaySeconds\":\"1\"", "leewaySeconds: must be 0 to 300");
    refuse(",\"principalClaim\":\"a b\"", "principalClaim: must be the name of a claim");
    refuse(",\"usersOf\":[\"123\"]", "usersOf: must be ids of accounts: \"acme\"");
    refuse(",\"usersOf\":[\"acme\"],\"userClaims\":[\"=\"]", "userClaims: must be names of claims");
    refuse(",\"userClaims\":[\"sub\"]", "userClaims: not without usersOf");
    refuse(",\"grants\":{}", "grants: must be a list of at most 50 objects");
    refuse(",\"grants\":[{\"role\":\"viewer\",\"claim\":\"x\"}]",
           "grants[0].claim: must be \"name=value\", the name of letters, digits or \"-_.:/\"");
    refuse(",\"grants\":[{\"role\":\"root\"}]",
           "grants[0].role: must be viewer, operator, administrator or one of \"roles\"");
    refuse(",\"grants\":[{\"role\":\"viewer\",\"limits\":[\"shop\"]}]",
           "grants[0].limits: must be names of groups, accounts, apps, channels or others that "
           "stand alone: \"groups/shop\"");
    write_file(keys, "{}");
    refuse("", "jwksFile: not a JWKS: an object with a list of \"keys\"");
    (void)unlink(keys);
    refuse("", "jwksFile: No such file or directory");
}

static void wrong_issuers_without_their_parts(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"{}", "issuers[0].issuer: must be a text of 1 to 127 bytes"},
        {"{\"issuer\":\"a\"}",
         "issuers[0].audiences: required: of a token meant for us, aud has one"},
        {"{\"issuer\":\"a\",\"audiences\":[]}",
         "issuers[0].audiences: must be a list of 1 to 10 texts"},
        {"{\"issuer\":\"a\",\"audiences\":[\"\"]}",
         "issuers[0].audiences: must be texts of 1 to 127 bytes"},
        {"{\"issuer\":\"a\",\"audiences\":[\"b\"]}",
         "issuers[0].jwksFile: must be a text of 1 to 127 bytes"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(wrong); i++) {
        struct gw_error err = GW_ERROR_NONE;
        struct cp_credentials *credentials;
        gw_str json = gw_arena_printf(&arena, "{\"issuers\":[%s]}", wrong[i][0]);
        assert_int_equal(cp_credentials_parse(json, &credentials, &err), -1);
        assert_string_equal(err.message, wrong[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_give_rights),
        cmocka_unit_test(grants_for_everybody_of_an_issuer),
        cmocka_unit_test(wrong_ones_are_refused),
        cmocka_unit_test(rotated_keys_are_read),
        cmocka_unit_test(keys_that_come_later_are_read),
        cmocka_unit_test(a_claim_stands_for_a_user),
        cmocka_unit_test(wrong_issuers_are_named),
        cmocka_unit_test(wrong_issuers_without_their_parts),
    };
    return cmocka_run_group_tests(tests, make, done);
}
