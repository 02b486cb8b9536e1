/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, users, access keys, and users as callers. */
#include "controlplane/service/accounts.h"
#include "controlplane/service/reseal.h"
#include "controlplane/service/test_backstage.h"

#include <unistd.h>

#define SECRET "0123456789abcdef-secret"

static const char *account(struct fixture *f, const char *method, const char *request)
{
    return ok(f, &cp_account_service, method, request);
}

static void wrong(struct fixture *f, enum gw_code code, const char *method, const char *request)
{
    refused(f, code, &cp_account_service, method, request);
}

/* accounts/acme with ann (sub=ann), who has the key AK12345678. */
static void make_ann(struct fixture *f)
{
    account(f, "CreateAccount", "{\"accountId\":\"acme\"}");
    account(f, "CreateUser",
            "{\"parent\":\"accounts/acme\",\"userId\":\"ann\",\"user\":{\"claims\":[\"sub=ann\"],"
            "\"grants\":[{\"role\":\"operator\",\"limits\":[\"groups/shop\"]}]}}");
    account(f, "CreateAccessKey",
            "{\"parent\":\"accounts/acme/users/ann\",\"accessKeyId\":\"AK12345678\","
            "\"accessKey\":{\"secret\":\"" SECRET "\"}}");
}

static void lives_of_accounts_and_users(void **state)
{
    struct fixture *f = *state;
    const char *answer = account(f, "CreateAccount", "{\"accountId\":\"acme\"}");
    ASSERT_HAS(answer, "\"displayName\":\"acme\"");
    wrong(f, GW_ALREADY_EXISTS, "CreateAccount", "{\"accountId\":\"acme\"}");
    wrong(f, GW_NOT_FOUND, "CreateUser", "{\"parent\":\"accounts/none\",\"userId\":\"ann\"}");
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ann@example.com\"}");
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ann@example.com\",\"description\":\"d\"}}");
    ASSERT_HAS(account(f, "ListUsers", "{\"parent\":\"accounts/-\"}"), "ann@example.com");
    account(f, "UpdateAccount", "{\"account\":{\"name\":\"accounts/acme\",\"disabled\":true}}");
    ASSERT_HAS(account(f, "GetAccount", "{\"name\":\"accounts/acme\"}"), "\"disabled\":true");

    wrong(f, GW_FAILED_PRECONDITION, "DeleteAccount", "{\"name\":\"accounts/acme\"}");
    assert_string_equal(f->err.message, "accounts/acme has users: "
                                        "accounts/acme/users/ann@example.com");
    account(f, "DeleteUser", "{\"name\":\"accounts/acme/users/ann@example.com\"}");
    account(f, "DeleteAccount", "{\"name\":\"accounts/acme\"}");
    wrong(f, GW_NOT_FOUND, "GetAccount", "{\"name\":\"accounts/acme\"}");
}

static void ids_that_are_refused(void **state)
{
    struct fixture *f = *state;
    account(f, "CreateAccount", "{\"accountId\":\"acme\"}");
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ann\"}");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccount", "{\"accountId\":\"123\"}");
    assert_string_equal(f->err.message, "account_id: must not be of digits alone");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccount", "{\"accountId\":\"a b\"}");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccount", "{}");
    wrong(f, GW_INVALID_ARGUMENT, "CreateUser",
          "{\"parent\":\"accounts/acme\",\"userId\":\"a/b\"}");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccessKey",
          "{\"parent\":\"accounts/acme/users/ann\",\"accessKeyId\":\"SHORT\"}");
    assert_string_equal(f->err.message, "access_key_id: must be 8 to 64 letters or digits");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccessKey",
          "{\"parent\":\"accounts/acme/users/ann\",\"accessKeyId\":\"AK-12345678\"}");
    wrong(f, GW_INVALID_ARGUMENT, "CreateAccessKey",
          "{\"parent\":\"accounts/acme/users/ann\",\"accessKey\":{\"secret\":\"short\"}}");
    assert_true(violates(f, "secret"));
    wrong(f, GW_INVALID_ARGUMENT, "CreateUser",
          "{\"parent\":\"accounts/acme\",\"userId\":\"u\",\"user\":{\"grants\":["
          "{\"role\":\"publisher\"}]}}");
    ASSERT_HAS(f->err.message, "\"publisher\" is none of viewer, operator, administrator");
}

static void a_secret_is_seen_once_and_stored_sealed(void **state)
{
    struct fixture *f = *state;
    char made[128];
    make_ann(f);
    const char *answer = account(f, "CreateAccessKey", "{\"parent\":\"accounts/acme/users/ann\"}");
    assert_int_equal(sscanf(strstr(answer, "\"secret\":\""), "\"secret\":\"%100[^\"]", made), 1);
    assert_int_equal(strlen(made), 40);
    ASSERT_HAS_NOT(answer, "sealed");
    const char *shown = account(f, "ListAccessKeys", "{\"parent\":\"accounts/acme/users/ann\"}");
    ASSERT_HAS(shown, "AK12345678");
    ASSERT_HAS_NOT(shown, "secret");
    ASSERT_HAS_NOT(shown, "ealed");
    struct cp_page page = everything();
    for (size_t i = 0; i < page.count; i++) {
        gw_str value = page.kvs[i].value;
        assert_null(memmem(value.ptr, value.len, made, strlen(made)));
        assert_null(memmem(value.ptr, value.len, SECRET, strlen(SECRET)));
    }
    wrong(f, GW_RESOURCE_EXHAUSTED, "CreateAccessKey", "{\"parent\":\"accounts/acme/users/ann\"}");
    /* One that is not stored is not handed out. */
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ben\"}");
    answer = account(f, "CreateAccessKey",
                     "{\"parent\":\"accounts/acme/users/ben\",\"validateOnly\":true}");
    ASSERT_HAS_NOT(answer, "secret");
}

static void a_key_can_only_be_disabled(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
#define KEY "\"name\":\"accounts/acme/users/ann/keys/AK12345678\""
    const char *before = stored();
    account(f, "UpdateAccessKey", "{\"accessKey\":{" KEY ",\"secret\":\"" SECRET "\"}}");
    assert_string_equal(stored(), before); /* the same again is no change */
    wrong(f, GW_INVALID_ARGUMENT, "UpdateAccessKey",
          "{\"accessKey\":{" KEY ",\"secret\":\"another-0123456789\"}}");
    assert_string_equal(f->err.message, "secret: cannot change: make another access key");
    ASSERT_HAS(account(f, "UpdateAccessKey", "{\"accessKey\":{" KEY ",\"disabled\":true}}"),
               "\"disabled\":true");
    ASSERT_HAS_NOT(account(f, "GetAccessKey", "{" KEY "}"), "secret");
    account(f, "DeleteAccessKey", "{" KEY "}");
    wrong(f, GW_NOT_FOUND, "GetAccessKey", "{" KEY "}");
    account(f, "CreateAccessKey",
            "{\"parent\":\"accounts/acme/users/ann\",\"accessKeyId\":\"AK12345678\"}");
}

static void ids_of_keys_and_claims_are_one_users(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    account(f, "CreateAccount", "{\"accountId\":\"other\"}");
    account(f, "CreateUser",
            "{\"parent\":\"accounts/other\",\"userId\":\"eve\",\"user\":{\"claims\":["
            "\"sub=ann\"]}}"); /* of another account */
    wrong(f, GW_ALREADY_EXISTS, "CreateAccessKey",
          "{\"parent\":\"accounts/other/users/eve\",\"accessKeyId\":\"AK12345678\"}");
    assert_string_equal(f->err.message, "there is an access key AK12345678 already");
    wrong(f, GW_ALREADY_EXISTS, "CreateUser",
          "{\"parent\":\"accounts/acme\",\"userId\":\"ben\",\"user\":{\"claims\":[\"email=b\","
          "\"sub=ann\"]}}");
    /* What one gives up another may have. */
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ann\",\"claims\":[\"email=b\"]}}");
    account(f, "CreateUser",
            "{\"parent\":\"accounts/acme\",\"userId\":\"ben\",\"user\":{\"claims\":["
            "\"sub=ann\"]}}");
    account(f, "DeleteUser", "{\"name\":\"accounts/acme/users/ann\"}");
    wrong(f, GW_NOT_FOUND, "GetAccessKey", "{" KEY "}");
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"claims\":[\"email=b\"]}}");
    account(f, "CreateAccessKey",
            "{\"parent\":\"accounts/other/users/eve\",\"accessKeyId\":\"AK12345678\"}");
}

/* Nothing of a deleted user is left in the store. */
static void a_deleted_user_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    account(f, "CreateAccount", "{\"accountId\":\"acme\"}");
    size_t before = everything().count;
    account(f, "DeleteAccount", "{\"name\":\"accounts/acme\"}");
    make_ann(f);
    account(f, "DeleteUser", "{\"name\":\"accounts/acme/users/ann\"}");
    struct cp_page page = everything();
    for (size_t i = 0; i < page.count; i++)
        if (strstr(page.kvs[i].key.ptr, "ann") || strstr(page.kvs[i].key.ptr, "AK1"))
            fail_msg("%s is left", page.kvs[i].key.ptr);
    assert_true(page.count <= before + 3); /* the guard of the account, two of 1024 limit keys */
}

/* ---- rights are given by administrators without limits */

static const char *const own[] = {"accounts/acme"};
static const struct cp_grant limited = {
    .role_name = "administrator", .role = CP_ROLE_ADMINISTRATOR, .limits = {own, 1}};

/* What only an administrator without limits may do. */
static const char *const unlimited_calls[][2] = {
    {"CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"eve\",\"user\":{\"grants\":["
                   "{\"role\":\"viewer\"}]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"grants\":[{\"role\":"
                   "\"administrator\"}]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/ann\",\"claims\":[\"sub=eve\"]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/ann\"},\"updateMask\":"
                   "\"grants\"}"},
    {"CreateAccessKey", "{\"parent\":\"accounts/acme/users/ann\"}"},
    {"CreateAccessKey", "{\"parent\":\"accounts/acme/users/ann\",\"validateOnly\":true}"},
    {"UpdateAccessKey", "{\"accessKey\":{" KEY ",\"disabled\":true}}"},
    {"UpdateAccount", "{\"account\":{\"name\":\"accounts/acme\",\"disabled\":true}}"},
    {"DeleteUser", "{\"name\":\"accounts/acme/users/ann\"}"},
    {"DeleteUser", "{\"name\":\"accounts/acme/users/cat\"}"}, /* it has claims */
    {"DeleteAccessKey", "{" KEY "}"},
    {"CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"eve\",\"user\":{\"claims\":["
                   "\"sub=eve\"]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"claims\":[\"sub=eve\"]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/cat\"},\"updateMask\":\"claims\"}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/cat\",\"claims\":[\"sub=eve\"]}}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/acme/users/cat\",\"disabled\":true}}"},
    {"CreateUser", "{\"parent\":\"accounts/shut\",\"userId\":\"eve\"}"},
    {"CreateAccessKey", "{\"parent\":\"accounts/shut/users/dan\"}"},
    {"UpdateAccessKey", "{\"accessKey\":{\"name\":\"accounts/shut/users/dan/keys/AKOFDAN00\","
                        "\"disabled\":true}}"},
    {"DeleteAccessKey", "{\"name\":\"accounts/shut/users/dan/keys/AKOFDAN00\"}"},
    {"UpdateUser", "{\"user\":{\"name\":\"accounts/shut/users/dan\",\"description\":\"d\"}}"},
    {"DeleteUser", "{\"name\":\"accounts/shut/users/dan\"}"},
    {"DeleteAccount", "{\"name\":\"accounts/shut\"}"},
};

static void who_has_limits_gives_no_rights(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ben\"}");
    account(
        f, "CreateUser",
        "{\"parent\":\"accounts/acme\",\"userId\":\"cat\",\"user\":{\"claims\":[\"sub=cat\"]}}");
    account(f, "CreateAccount", "{\"accountId\":\"shut\",\"account\":{\"disabled\":true}}");
    account(f, "CreateUser", "{\"parent\":\"accounts/shut\",\"userId\":\"dan\"}");
    account(f, "CreateAccessKey",
            "{\"parent\":\"accounts/shut/users/dan\",\"accessKeyId\":\"AKOFDAN00\"}");
    f->principal = (struct cp_principal){.name = "lim", .grants = &limited, .grant_count = 1};
    const char *before = stored();
    for (size_t i = 0; i < GW_ARRAY_LEN(unlimited_calls); i++) {
        wrong(f, GW_PERMISSION_DENIED, unlimited_calls[i][0], unlimited_calls[i][1]);
        ASSERT_HAS(f->err.message, "takes an administrator without limits, and lim is none");
    }
    assert_string_equal(stored(), before);
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/cat\",\"claims\":[\"sub=cat\"],"
            "\"description\":\"d\"}}");
    account(f, "CreateAccessKey",
            "{\"parent\":\"accounts/acme/users/ben\",\"accessKeyId\":\"AK33333333\"}");
    account(f, "DeleteAccessKey", "{\"name\":\"accounts/acme/users/ben/keys/AK33333333\"}");
    account(f, "CreateAccessKey", "{\"parent\":\"accounts/acme/users/ben\"}");
    account(f, "DeleteUser", "{\"name\":\"accounts/acme/users/ben\"}");
}

/* Somebody gives the user rights between the reading and the key. */
static void give_rights(struct fixture *other)
{
    account(other, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"grants\":[{\"role\":"
            "\"administrator\"}]}}");
}

static void a_key_does_not_slip_in_before_rights(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ben\"}");
    f->principal = (struct cp_principal){.name = "lim", .grants = &limited, .grant_count = 1};
    backstage.before_txn = give_rights;
    wrong(f, GW_PERMISSION_DENIED, "CreateAccessKey", "{\"parent\":\"accounts/acme/users/ben\"}");
}

#define GRANT_BEN                                                                                  \
    "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"grants\":[{\"role\":\"viewer\"}]},"         \
    "\"updateMask\":\"grants\"}"
#define MAKE_KEY_OF_BEN "{\"parent\":\"accounts/acme/users/ben\",\"accessKeyId\":\"AK22222222\"}"

/* Else who made a key of a user without rights would have those that it is given later. */
static void what_was_planted_gets_no_rights(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    account(f, "CreateUser",
            "{\"parent\":\"accounts/acme\",\"userId\":\"ben\",\"user\":{\"claims\":[\"sub=b\"]}}");
    account(f, "CreateAccessKey", MAKE_KEY_OF_BEN);
    const char *before = stored();
    wrong(f, GW_FAILED_PRECONDITION, "UpdateUser", GRANT_BEN);
    ASSERT_HAS(f->err.message, "delete AK22222222 first, and make others after the grants");
    assert_string_equal(stored(), before);
    account(f, "DeleteAccessKey", "{\"name\":\"accounts/acme/users/ben/keys/AK22222222\"}");
    wrong(f, GW_FAILED_PRECONDITION, "UpdateUser", GRANT_BEN);
    ASSERT_HAS(f->err.message, "take out \"sub=b\" first, and write it again after the grants");
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ben\"},\"updateMask\":\"claims\"}");
    account(f, "UpdateUser", GRANT_BEN);
    account(f, "CreateAccessKey", MAKE_KEY_OF_BEN);
    /* Who has grants may get others. */
    account(f, "UpdateUser",
            "{\"user\":{\"name\":\"accounts/acme/users/ben\",\"claims\":[\"sub=b\"],\"grants\":["
            "{\"role\":\"operator\"}]}}");
}

static void plant(struct fixture *other)
{
    account(other, "CreateAccessKey", MAKE_KEY_OF_BEN);
}

static void a_key_does_not_slip_in_while_rights_are_given(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ben\"}");
    backstage.before_txn = plant;
    wrong(f, GW_FAILED_PRECONDITION, "UpdateUser", GRANT_BEN);
}

/* ---- users as callers */

/* "accounts/acme/users/ann operator groups/shop", "nobody", or the error. */
static const char *known(struct fixture *f, const char *id, const char *secret)
{
    static char text[256];
    struct cp_known_user user;
    struct cp_directory directory = cp_directory_of(&f->services);
    gw_arena_reset(&f->arena);
    f->err = GW_ERROR_NONE;
    int failed = secret ? directory.by_key(directory.arg, gw_str_from(id), gw_str_from(secret),
                                           &f->arena, &user, &f->err)
                        : directory.by_claim(directory.arg, GW_STR("acme"), gw_str_from(id),
                                             &f->arena, &user, &f->err);
    if (failed)
        return gw_code_name(f->err.code);
    if (!user.name)
        return "nobody";
    (void)snprintf(text, sizeof(text), "%s%s %s %s", user.is_disabled ? "disabled " : "", user.name,
                   user.grant_count ? user.grants[0].role_name : "",
                   user.grant_count ? user.grants[0].limits.at[0] : "");
    return text;
}

static void users_are_found_by_key_and_by_claim(void **state)
{
    static const char ann[] = "accounts/acme/users/ann operator groups/shop";
    struct fixture *f = *state;
    make_ann(f);
    assert_string_equal(known(f, "AK12345678", SECRET), ann);
    assert_string_equal(known(f, "sub=ann", NULL), ann);
    assert_string_equal(known(f, "AK12345678", SECRET "x"), "nobody");
    assert_string_equal(known(f, "AK12345678", ""), "nobody");
    assert_string_equal(known(f, "AK1234567", SECRET), "nobody");
    assert_string_equal(known(f, "", SECRET), "nobody");
    assert_string_equal(known(f, "sub=ben", NULL), "nobody");
    char longer[CP_STORE_KEY_MAX + 1];
    memset(longer, 'A', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_string_equal(known(f, longer, SECRET), "nobody");
}

static void each_of_the_three_can_be_disabled(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    static const char *const calls[][3] = {
        {"UpdateUser", "user", "\"name\":\"accounts/acme/users/ann\""},
        {"UpdateAccount", "account", "\"name\":\"accounts/acme\""},
        {"UpdateAccessKey", "accessKey", KEY},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(calls); i++) {
        for (int on = 1; on >= 0; on--) {
            char request[256];
            (void)snprintf(request, sizeof(request),
                           "{\"%s\":{%s,\"disabled\":%s},\"updateMask\":\"disabled\"}", calls[i][1],
                           calls[i][2], on ? "true" : "false");
            account(f, calls[i][0], request);
            assert_int_equal(
                gw_str_has_prefix(gw_str_from(known(f, "AK12345678", SECRET)), GW_STR("disabled")),
                on);
        }
    }
}

static void the_store_away_is_no_refusal(void **state)
{
    struct fixture *f = *state;
    make_ann(f);
    for (int at = 1; at <= 4; at++) { /* index, key, user, account */
        backstage.calls = 0;
        backstage.fail_at = at;
        assert_string_equal(known(f, "AK12345678", SECRET), "UNAVAILABLE");
    }
    backstage.fail_at = 0;
    const struct cp_seal *right = f->services.seal;
    struct cp_seal *other = cp_seal_new_random();
    f->services.seal = other;
    assert_string_equal(known(f, "AK12345678", SECRET), "UNAVAILABLE");
    f->services.seal = right;
    cp_seal_free(other);
}

/* ---- rotation */

static struct cp_seal *seal_of(const char *keys)
{
    char path[] = "/tmp/penstock-accounts-XXXXXX";
    struct gw_error err = GW_ERROR_NONE;
    struct cp_seal *seal;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, keys, strlen(keys)), strlen(keys));
    close(fd);
    if (cp_seal_load(path, &seal, &err))
        fail_msg("%s", err.message);
    (void)unlink(path);
    return seal;
}

#define OLD "1111111111111111111111111111111111111111111111111111111111111111\n"
#define NEW "2222222222222222222222222222222222222222222222222222222222222222\n"

static void a_rotation_seals_secrets_again(void **state)
{
    struct fixture *f = *state;
    const struct cp_seal *own_seal = f->services.seal;
    struct cp_seal *seals[] = {seal_of(OLD), seal_of(NEW OLD), seal_of(NEW)};
    unsigned count = 0;
    f->services.seal = seals[0];
    make_ann(f);
    f->services.seal = seals[1];
    assert_int_equal(cp_services_reseal(&f->services, &count, &f->err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(cp_services_reseal(&f->services, &count, &f->err), 0);
    assert_int_equal(count, 0);
    f->services.seal = seals[2]; /* the old key is gone */
    assert_string_equal(known(f, "AK12345678", SECRET),
                        "accounts/acme/users/ann operator groups/shop");
    f->services.seal = own_seal;
    for (size_t i = 0; i < GW_ARRAY_LEN(seals); i++)
        cp_seal_free(seals[i]);
}

static void without_keys_for_secrets_there_are_no_access_keys(void **state)
{
    struct fixture *f = *state;
    account(f, "CreateAccount", "{\"accountId\":\"acme\"}");
    account(f, "CreateUser", "{\"parent\":\"accounts/acme\",\"userId\":\"ann\"}");
    const struct cp_seal *own_seal = f->services.seal;
    f->services.seal = NULL;
    wrong(f, GW_FAILED_PRECONDITION, "CreateAccessKey", "{\"parent\":\"accounts/acme/users/ann\"}");
    f->services.seal = own_seal;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, backstage_set_up, backstage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lives_of_accounts_and_users),
        TEST(ids_that_are_refused),
        TEST(a_secret_is_seen_once_and_stored_sealed),
        TEST(a_key_can_only_be_disabled),
        TEST(ids_of_keys_and_claims_are_one_users),
        TEST(a_deleted_user_leaves_nothing),
        TEST(who_has_limits_gives_no_rights),
        TEST(a_key_does_not_slip_in_before_rights),
        TEST(what_was_planted_gets_no_rights),
        TEST(a_key_does_not_slip_in_while_rights_are_given),
        TEST(users_are_found_by_key_and_by_claim),
        TEST(each_of_the_three_can_be_disabled),
        TEST(the_store_away_is_no_refusal),
        TEST(a_rotation_seals_secrets_again),
        TEST(without_keys_for_secrets_there_are_no_access_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
