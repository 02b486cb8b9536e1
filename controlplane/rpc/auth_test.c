/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/auth.h"

#include "common/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* SHA-256 of "token", and of "other" */
#define TOKEN_DIGEST "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"
#define OTHER_DIGEST "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

#define TOKENS(digest)                                                                             \
    "{\"tokens\": [{\"sha256\": \"" digest "\", \"principal\": \"ci\", \"role\": \"operator\"}],"  \
    " \"certificates\": [{\"name\": \"ann\", \"principal\": \"Ann\", \"role\": \"viewer\"}],"      \
    " \"agents\": [{\"name\": \"agent-1\"}]}"

static char folder[] = "/tmp/penstock-auth-XXXXXX";
static char file[64];

/* As an editor or a mounted secret does it: another file under the same name. */
static void write_file(const char *text)
{
    char fresh[80];
    snprintf(fresh, sizeof(fresh), "%s.new", file);
    FILE *out = fopen(fresh, "we");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(fresh, file), 0);
}

static int make_folder(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/credentials", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(file); /* a test may have done it */
    return rmdir(folder);
}

static struct cp_auth *open_auth(const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_auth *auth;
    if (cp_auth_new(path, &auth, &err))
        fail_msg("%s", err.message);
    return auth;
}

/* "ci/operator", or the code and the message. */
static const char *who(struct cp_auth *auth, struct gw_rpc_caller caller)
{
    static char text[GW_ERROR_MESSAGE_MAX + 64];
    struct gw_error err = GW_ERROR_NONE;
    struct cp_principal principal;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    if (cp_auth_identify(auth, &caller, &arena, &principal, &err))
        snprintf(text, sizeof(text), "%s: %s", gw_code_name(err.code), err.message);
    else
        snprintf(text, sizeof(text), "%s/%s", principal.name, cp_role_name(principal.role));
    return text;
}
#define WHO(auth, ...) who(auth, (struct gw_rpc_caller){__VA_ARGS__})

static const char *agent(struct cp_auth *auth, const char *id, struct gw_rpc_caller caller)
{
    static char text[GW_ERROR_MESSAGE_MAX + 64];
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_texts environments;
    if (cp_auth_identify_agent(auth, &caller, id, &arena, &environments, &err) == 0)
        snprintf(text, sizeof(text), "yes%s%s", environments.count ? " of " : "",
                 environments.count ? environments.at[0] : "");
    else
        snprintf(text, sizeof(text), "%s: %s", gw_code_name(err.code), err.message);
    return text;
}
#define AGENT(auth, ...) agent(auth, NULL, (struct gw_rpc_caller){__VA_ARGS__})

static void without_credentials_loopback_is_everything(void **state)
{
    (void)state;
    struct cp_auth *auth = open_auth(NULL);
    assert_false(cp_auth_is_configured(auth));
    assert_string_equal(WHO(auth, .is_loopback = true), "local/administrator");
    assert_string_equal(WHO(auth, .is_loopback = false, .bearer = "token", .cert_name = "ann"),
                        "UNAUTHENTICATED: no credentials are configured: only callers on loopback "
                        "are served");
    assert_string_equal(AGENT(auth, .is_loopback = true), "yes");
    assert_string_equal(AGENT(auth, .is_loopback = false),
                        "PERMISSION_DENIED: no credentials are configured: only agents on "
                        "loopback are served");
    cp_auth_free(auth);
}

static void tokens_and_certificates(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    assert_true(cp_auth_is_configured(auth));
    assert_string_equal(WHO(auth, .bearer = "token"), "ci/operator");
    assert_string_equal(WHO(auth, .cert_name = "ann"), "Ann/viewer");
    assert_string_equal(WHO(auth, .bearer = "token", .cert_name = "ann"), "ci/operator");
    cp_auth_free(auth);
}

static void loopback_is_nothing_special_with_credentials(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    assert_string_equal(WHO(auth, .is_loopback = true),
                        "UNAUTHENTICATED: a bearer token or a client certificate is needed");
    assert_string_equal(AGENT(auth, .is_loopback = true),
                        "PERMISSION_DENIED: agents need a client certificate");
    cp_auth_free(auth);
}

static void strangers_are_told_without_their_token(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    assert_string_equal(WHO(auth, .bearer = "wrong"),
                        "UNAUTHENTICATED: the bearer token is not known");
    assert_string_equal(WHO(auth, .bearer = ""), "UNAUTHENTICATED: the bearer token is not known");
    /* The digest is no token. */
    assert_string_equal(WHO(auth, .bearer = TOKEN_DIGEST),
                        "UNAUTHENTICATED: the bearer token is not known");
    /* A wrong token is not made good by a certificate. */
    assert_string_equal(WHO(auth, .bearer = "wrong", .cert_name = "ann"),
                        "UNAUTHENTICATED: the bearer token is not known");
    assert_string_equal(WHO(auth, .cert_name = "bob"),
                        "UNAUTHENTICATED: no principal for the client certificate of \"bob\"");
    cp_auth_free(auth);
}

/* People are not agents, and agents are not people. */
static void agents_are_named_on_their_own(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    assert_string_equal(AGENT(auth, .cert_name = "agent-1"), "yes");
    assert_string_equal(AGENT(auth, .cert_name = "ann"),
                        "PERMISSION_DENIED: \"ann\" is not named as an agent");
    assert_string_equal(AGENT(auth, .bearer = "token"),
                        "PERMISSION_DENIED: agents need a client certificate");
    assert_string_equal(WHO(auth, .cert_name = "agent-1"),
                        "UNAUTHENTICATED: no principal for the client certificate of \"agent-1\"");
    cp_auth_free(auth);
}

/* Who has a certificate is one agent, and no other. */
static void an_agent_says_the_id_that_its_certificate_is_for(void **state)
{
    (void)state;
    write_file("{\"agents\": [{\"name\": \"agent-1\"}, {\"name\": \"spiffe://x/edge\", \"ids\": "
               "[\"edge-*\", \"hub\"], \"environments\": [\"TEST\"]}]}");
    struct cp_auth *auth = open_auth(file);
    const struct gw_rpc_caller one = {.cert_name = "agent-1"},
                               edge = {.cert_name = "spiffe://x/edge"};
    assert_string_equal(agent(auth, "agent-1", one), "yes");
    assert_non_null(strstr(agent(auth, "agent-2", one),
                           "PERMISSION_DENIED: the certificate of \"agent-1\" is not for an agent "
                           "of the id agent-2"));
    assert_string_equal(agent(auth, "edge-7", edge), "yes of TEST");
    assert_string_equal(agent(auth, "hub", edge), "yes of TEST");
    assert_non_null(strstr(agent(auth, "agent-1", edge), "PERMISSION_DENIED"));
    assert_non_null(strstr(agent(auth, "spiffe://x/edge", edge), "PERMISSION_DENIED"));
    cp_auth_free(auth);
}

static void a_reading_is_told_once(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    (void)cp_auth_refresh(auth);
    assert_false(cp_auth_refresh(auth));
    write_file(TOKENS(OTHER_DIGEST));
    assert_true(cp_auth_refresh(auth));
    assert_false(cp_auth_refresh(auth));
    cp_auth_free(auth);
}

static void a_change_takes_effect_at_the_next_call(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    assert_string_equal(WHO(auth, .bearer = "token"), "ci/operator");
    write_file(TOKENS(OTHER_DIGEST));
    assert_string_equal(WHO(auth, .bearer = "token"),
                        "UNAUTHENTICATED: the bearer token is not known");
    assert_string_equal(WHO(auth, .bearer = "other"), "ci/operator");
    write_file("{}");
    assert_string_equal(AGENT(auth, .cert_name = "agent-1"),
                        "PERMISSION_DENIED: \"agent-1\" is not named as an agent");
    cp_auth_free(auth);
}

/* ---- users of accounts */

static int find_nobody(void *arg, gw_str account, gw_str claim, struct gw_arena *arena,
                       struct cp_known_user *ret, struct gw_error *err)
{
    (void)arg, (void)account, (void)claim, (void)arena, (void)err;
    *ret = (struct cp_known_user){.name = NULL};
    return 0;
}

/* "ok" is the only secret; the id says what becomes of it. */
static int find_by_key(void *arg, gw_str id, gw_str secret, struct gw_arena *arena,
                       struct cp_known_user *ret, struct gw_error *err)
{
    static const char *const limits[] = {"groups/shop"};
    static const struct cp_grant grants[] = {{.role_name = "operator", .limits = {limits, 1}},
                                             {.role_name = "viewer"},
                                             {.role_name = "gone"},
                                             {.role_name = "publisher", .limits = {limits, 1}}};
    (void)arg;
    (void)arena;
    *ret = (struct cp_known_user){.name = NULL};
    if (gw_str_eq(id, GW_STR("away")))
        return gw_fail(err, GW_UNAVAILABLE, "the store is away");
    if (!gw_str_eq(secret, GW_STR("ok")))
        return 0;
    *ret = (struct cp_known_user){.name = "accounts/a/users/ann",
                                  .is_disabled = gw_str_eq(id, GW_STR("disabled")),
                                  .grants = grants,
                                  .grant_count = GW_ARRAY_LEN(grants)};
    return 0;
}

static const struct cp_directory directory = {.by_key = find_by_key, .by_claim = find_nobody};

static void access_keys_lead_to_users(void **state)
{
    (void)state;
    write_file("{\"roles\": [{\"name\": \"publisher\", \"actions\": [\"ApiService/PublishApi\"]}],"
               " \"tokens\": [{\"sha256\": \"" TOKEN_DIGEST
               "\", \"principal\": \"ci\", \"role\": \"operator\"}]}");
    static const char unknown[] =
        "UNAUTHENTICATED: the access key is not known, or its secret is wrong";
    struct cp_auth *auth = open_auth(file);
    assert_string_equal(WHO(auth, .bearer = "AK:ok"), unknown); /* nobody to ask */
    cp_auth_set_directory(auth, &directory);
    assert_string_equal(WHO(auth, .bearer = "AK:ok"), "accounts/a/users/ann/viewer");
    assert_string_equal(WHO(auth, .bearer = "AK:no"), unknown);
    assert_string_equal(WHO(auth, .bearer = "AK:ok:ok"), unknown);
    assert_string_equal(WHO(auth, .bearer = ":"), unknown);
    assert_string_equal(WHO(auth, .bearer = "disabled:ok"),
                        "UNAUTHENTICATED: accounts/a/users/ann is disabled, or its account or "
                        "access key is");
    assert_string_equal(WHO(auth, .bearer = "away:ok"), "UNAVAILABLE: the store is away");
    assert_string_equal(WHO(auth, .bearer = "token"), "ci/operator");

    struct gw_error err;
    struct cp_principal ann;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_rpc_caller caller = {.bearer = "AK:ok"};
    assert_int_equal(cp_auth_identify(auth, &caller, &arena, &ann, &err), 0);
    assert_int_equal(ann.grant_count, 2); /* the role that is gone gives nothing */
    assert_int_equal(ann.grants[0].role, CP_ROLE_OPERATOR);
    assert_string_equal(ann.grants[1].actions.at[0], "ApiService/PublishApi");
    assert_string_equal(ann.grants[1].limits.at[0], "groups/shop");
    assert_string_equal(ann.proof, "access key");
    assert_true(cp_auth_has_role(auth, "publisher"));
    assert_true(cp_auth_has_role(auth, "viewer"));
    assert_false(cp_auth_has_role(auth, "gone"));
    assert_false(cp_auth_has_role(NULL, "publisher"));
    cp_auth_free(auth);
}

static void a_wrong_edit_keeps_the_last_good_form(void **state)
{
    (void)state;
    write_file(TOKENS(TOKEN_DIGEST));
    struct cp_auth *auth = open_auth(file);
    write_file("{\"tokens\": [{}]}");
    assert_string_equal(WHO(auth, .bearer = "token"), "ci/operator");
    assert_int_equal(unlink(file), 0);
    assert_string_equal(WHO(auth, .bearer = "token"), "ci/operator");
    write_file(TOKENS(OTHER_DIGEST));
    assert_string_equal(WHO(auth, .bearer = "other"), "ci/operator");
    cp_auth_free(auth);
}

static void a_wrong_file_fails_at_the_start(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_auth *auth;
    write_file("{\"tokens\": [{}]}");
    assert_int_equal(cp_auth_new(file, &auth, &err), -1);
    assert_non_null(strstr(err.message, "tokens[0].principal"));
    assert_int_equal(unlink(file), 0);
    assert_int_equal(cp_auth_new(file, &auth, &err), -1);
    assert_non_null(strstr(err.message, "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_credentials_loopback_is_everything),
        cmocka_unit_test(tokens_and_certificates),
        cmocka_unit_test(loopback_is_nothing_special_with_credentials),
        cmocka_unit_test(strangers_are_told_without_their_token),
        cmocka_unit_test(agents_are_named_on_their_own),
        cmocka_unit_test(an_agent_says_the_id_that_its_certificate_is_for),
        cmocka_unit_test(a_reading_is_told_once),
        cmocka_unit_test(a_change_takes_effect_at_the_next_call),
        cmocka_unit_test(access_keys_lead_to_users),
        cmocka_unit_test(a_wrong_edit_keeps_the_last_good_form),
        cmocka_unit_test(a_wrong_file_fails_at_the_start),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
