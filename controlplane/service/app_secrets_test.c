/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and secrets of apps. */
#include "controlplane/model/check_app.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/reseal.h"
#include "controlplane/service/test_backstage.h"

#include <unistd.h>

#define SECRET "my-secret_!@#$%"
#define KEY "key-of-the-shop"
#define GIVEN "{\"appId\": \"shop\", \"app\": {\"key\": \"" KEY "\", \"secret\": \"" SECRET "\"}}"
#define SHOP "{\"name\": \"apps/shop\"}"

static const char *app(struct fixture *f, const char *method, const char *request)
{
    return ok(f, &cp_app_service, method, request);
}

static void wrong(struct fixture *f, enum gw_code code, const char *method, const char *request)
{
    refused(f, code, &cp_app_service, method, request);
}

/* The text of a field in an answer, until the end of the test; "": it is not there. */
static const char *field_of(const char *answer, const char *field)
{
    const char *start = strstr(answer, gw_arena_printf(&backstage.arena, "\"%s\":\"", field).ptr);
    if (!start)
        return "";
    start += strlen(field) + 4;
    return gw_arena_dup(&backstage.arena, gw_str_n(start, strcspn(start, "\""))).ptr;
}

static bool is_stored(const char *text)
{
    struct cp_page page = everything();
    for (size_t i = 0; i < page.count; i++)
        if (memmem(page.kvs[i].value.ptr, page.kvs[i].value.len, text, strlen(text)) ||
            memmem(page.kvs[i].key.ptr, page.kvs[i].key.len, text, strlen(text)))
            return true;
    return false;
}

/* What the seal holds of apps/shop. */
static const char *kept_secret(struct fixture *f)
{
    gw_str secret;
    struct gw_error err;
    struct cp_found found;
    ProtobufCMessage *message;
    gw_str key = cp_key_of(&backstage.arena, CP_KIND_APP, "apps/shop");
    if (cp_store_get(backstage.inner, key, &backstage.arena, &found, &err) < 0 ||
        gw_message_unpack(&backstage.arena, CP_TYPE(app), found.kv.value, &message, &err) < 0 ||
        cp_app_secret_open(f->services.seal, (const cp_app *)message, &backstage.arena, &secret,
                           &err) < 0)
        fail_msg("%s", err.message);
    return secret.ptr;
}

static void what_is_made_is_seen_once(void **state)
{
    struct fixture *f = *state;
    const char *answer = app(f, "CreateApp", "{\"appId\": \"shop\"}");
    const char *key = field_of(answer, "key"), *secret = field_of(answer, "secret");
    assert_int_equal(strlen(key), 32);
    assert_int_equal(strspn(key, "0123456789abcdef"), 32);
    assert_int_equal(strlen(secret), CP_APP_SECRET_LEN);
    ASSERT_HAS(answer, "\"secretTime\":");
    assert_string_equal(kept_secret(f), secret);
    assert_false(is_stored(secret));
    static const char *const reads[] = {"GetApp", "ListApps", "UpdateApp"};
    static const char *const requests[] = {
        SHOP, "{}", "{\"app\": {\"name\": \"apps/shop\", \"description\": \"d\"}}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(reads); i++) {
        answer = app(f, reads[i], requests[i]);
        ASSERT_HAS(answer, key);
        ASSERT_HAS_NOT(answer, secret);
        ASSERT_HAS_NOT(answer, "\"secret\"");
        ASSERT_HAS_NOT(answer, "ealed");
    }
    assert_string_equal(kept_secret(f), secret);
    ASSERT_HAS_NOT(agents_see("apps/shop"), key); /* they check no signatures yet */
    assert_string_not_equal(field_of(app(f, "CreateApp", "{\"appId\": \"two\"}"), "key"), key);
}

static void a_trial_hands_nothing_out(void **state)
{
    struct fixture *f = *state;
    const char *answer = app(f, "CreateApp", "{\"appId\": \"shop\", \"validateOnly\": true}");
    ASSERT_HAS_NOT(answer, "secret\"");
    ASSERT_HAS_NOT(answer, "\"key\"");
    (void)app(f, "CreateApp", GIVEN);
    const char *before = stored();
    answer = app(f, "ResetAppSecret", "{\"name\": \"apps/shop\", \"validateOnly\": true}");
    assert_string_equal(answer, "{\"key\":\"" KEY "\"}");
    assert_string_equal(stored(), before);
}

static void both_may_be_given_and_stay(void **state)
{
    struct fixture *f = *state;
    const char *answer = app(f, "CreateApp", GIVEN);
    assert_string_equal(field_of(answer, "key"), KEY);
    assert_string_equal(field_of(answer, "secret"), SECRET);
    assert_string_equal(kept_secret(f), SECRET);
    assert_false(is_stored(SECRET));
    const char *before = stored();
    (void)app(f, "UpdateApp",
              "{\"app\": {\"name\": \"apps/shop\", \"key\": \"" KEY "\", \"secret\": \"" SECRET
              "\"}}");
    assert_string_equal(stored(), before); /* the same again is no change */
    wrong(f, GW_INVALID_ARGUMENT, "UpdateApp",
          "{\"app\": {\"name\": \"apps/shop\", \"key\": \"another-key\"}}");
    assert_string_equal(f->err.message, "key: cannot change: make another app");
    wrong(f, GW_INVALID_ARGUMENT, "UpdateApp",
          "{\"app\": {\"name\": \"apps/shop\", \"secret\": \"another-secret\"}}");
    assert_string_equal(f->err.message, "secret: is another one: ResetAppSecret changes it");
    answer = app(f, "UpdateApp",
                 "{\"app\": {\"name\": \"apps/shop\", \"frozen\": true}, \"updateMask\": \"*\"}");
    assert_string_equal(field_of(answer, "key"), KEY);
    assert_string_equal(kept_secret(f), SECRET);
    wrong(f, GW_INVALID_ARGUMENT, "CreateApp",
          "{\"appId\": \"bad\", \"app\": {\"key\": \"short\", \"secret\": \"short\"}}");
    assert_true(violates(f, "key") && violates(f, "secret"));
}

static void a_key_is_one_apps(void **state)
{
    struct fixture *f = *state;
    (void)app(f, "CreateApp", GIVEN);
    wrong(f, GW_ALREADY_EXISTS, "CreateApp",
          "{\"appId\": \"two\", \"app\": {\"key\": \"" KEY "\"}}");
    assert_string_equal(f->err.message, "there is an app with this key already");
    assert_string_equal(f->err.reason, "NOT_UNIQUE");
    (void)app(f, "CreateApp", "{\"appId\": \"two\", \"app\": {\"key\": \"Key-of-the-shop\"}}");
    (void)app(f, "DeleteApp", SHOP);
    assert_false(is_stored(KEY)); /* nor is anything left of it */
    (void)app(f, "CreateApp", "{\"appId\": \"three\", \"app\": {\"key\": \"" KEY "\"}}");
}

static void take_the_key(struct fixture *other)
{
    (void)app(other, "CreateApp", "{\"appId\": \"two\", \"app\": {\"key\": \"" KEY "\"}}");
}

static void of_two_at_the_same_time_one_gets_the_key(void **state)
{
    struct fixture *f = *state;
    backstage.before_txn = take_the_key;
    wrong(f, GW_ALREADY_EXISTS, "CreateApp", GIVEN);
    wrong(f, GW_NOT_FOUND, "GetApp", SHOP);
}

static void a_reset_makes_the_old_one_worthless(void **state)
{
    struct fixture *f = *state;
    const char *etag = etag_of(app(f, "CreateApp", GIVEN));
    const char *reset =
        gw_arena_printf(&backstage.arena, "{\"name\": \"apps/shop\", \"etag\": \"%s\"}", etag).ptr;
    const char *answer = app(f, "ResetAppSecret", reset);
    const char *secret = field_of(answer, "secret");
    char new_etag[64];
    snprintf(new_etag, sizeof(new_etag), "%s", etag_of(answer));
    assert_string_equal(field_of(answer, "key"), KEY);
    assert_int_equal(strlen(secret), CP_APP_SECRET_LEN);
    assert_string_equal(kept_secret(f), secret);
    assert_false(is_stored(secret));
    assert_string_equal(etag_of(app(f, "GetApp", SHOP)), new_etag);
    wrong(f, GW_ABORTED, "ResetAppSecret", reset);
    answer = app(f, "ResetAppSecret", "{\"name\": \"apps/shop\", \"secret\": \"chosen%by#me\"}");
    assert_string_equal(field_of(answer, "secret"), "chosen%by#me");
    assert_string_equal(kept_secret(f), "chosen%by#me");
    wrong(f, GW_INVALID_ARGUMENT, "ResetAppSecret",
          "{\"name\": \"apps/shop\", \"secret\": \"with a blank\"}");
    assert_true(violates(f, "secret"));
    wrong(f, GW_INVALID_ARGUMENT, "ResetAppSecret", "{\"name\": \"shop\"}");
    wrong(f, GW_NOT_FOUND, "ResetAppSecret", "{\"name\": \"apps/none\"}");
    assert_string_equal(kept_secret(f), "chosen%by#me");
}

/* As they were made before apps had keys. */
static void an_app_of_before_gets_both_at_its_first_reset(void **state)
{
    struct fixture *f = *state;
    store_json(CP_KIND_APP, "{\"name\": \"apps/shop\", \"displayName\": \"shop\"}");
    const char *before = stored();
    (void)app(f, "UpdateApp", "{\"app\": {\"name\": \"apps/shop\", \"displayName\": \"shop\"}}");
    assert_string_equal(stored(), before);
    assert_string_equal(field_of(app(f, "GetApp", SHOP), "key"), "");
    const char *answer = app(f, "ResetAppSecret", SHOP);
    const char *key = field_of(answer, "key");
    assert_int_equal(strlen(key), 32);
    assert_string_equal(kept_secret(f), field_of(answer, "secret"));
    assert_string_equal(field_of(app(f, "GetApp", SHOP), "key"), key);
    assert_string_equal(field_of(app(f, "ResetAppSecret", SHOP), "key"), key);
    wrong(f, GW_ALREADY_EXISTS, "CreateApp",
          gw_arena_printf(&backstage.arena, "{\"appId\": \"two\", \"app\": {\"key\": \"%s\"}}", key)
              .ptr);

    store_json(CP_KIND_APP, "{\"name\": \"apps/old\", \"displayName\": \"old\"}");
    (void)app(f, "UpdateApp", "{\"app\": {\"name\": \"apps/old\", \"key\": \"" KEY "\"}}");
    wrong(f, GW_ALREADY_EXISTS, "CreateApp", GIVEN); /* it is the old one's now */
    store_json(CP_KIND_APP, "{\"name\": \"apps/none\", \"displayName\": \"none\"}");
    (void)app(f, "DeleteApp", "{\"name\": \"apps/none\"}");
}

static const char *apply(struct fixture *f, const char *document, const char *more)
{
    return ok(
        f, &cp_bundle_service, "Apply",
        gw_arena_printf(&backstage.arena, "{\"resources\": [{\"app\": %s}]%s}", document, more)
            .ptr);
}

static void an_app_of_a_bundle_has_a_key_and_the_secret_it_says(void **state)
{
    struct fixture *f = *state;
    const char *answer = apply(f, SHOP, ", \"validateOnly\": true");
    ASSERT_HAS_NOT(answer, "\"key\""); /* the next plan would tell another one */
    (void)apply(f, SHOP, "");
    answer = app(f, "GetApp", SHOP);
    const char *key = field_of(answer, "key");
    assert_int_equal(strlen(key), 32);
    ASSERT_HAS_NOT(answer, "secretTime"); /* nobody would have seen it */
    ASSERT_HAS(apply(f, SHOP, ""), "\"unchanged\":1");
    (void)app(f, "ResetAppSecret", SHOP);
    ASSERT_HAS(apply(f, SHOP, ""), "\"unchanged\":1");

    static const char given[] =
        "{\"name\": \"apps/two\", \"key\": \"" KEY "\", \"secret\": \"" SECRET "\"}";
    ASSERT_HAS_NOT(apply(f, given, ""), SECRET);
    ASSERT_HAS(apply(f, given, ""), "\"unchanged\":1");
    assert_false(is_stored(SECRET));
    refused(f, GW_INVALID_ARGUMENT, &cp_bundle_service, "Apply",
            "{\"resources\": [{\"app\": {\"name\": \"apps/two\", \"secret\": \"another-one\"}}]}");
    answer = ok(f, &cp_bundle_service, "Export", "{}");
    ASSERT_HAS(answer, "\"key\":\"" KEY "\"");
    ASSERT_HAS(answer, "{\"name\":\"apps/two\",\"field\":\"secret\",\"reason\":");
    ASSERT_HAS_NOT(answer, SECRET);
    ASSERT_HAS_NOT(answer, "secretTime");
    ASSERT_HAS_NOT(answer, "ealed");
}

static void the_audit_trail_has_no_secret(void **state)
{
    struct fixture *f = *state;
    f->is_recorded = true;
    (void)app(f, "CreateApp", GIVEN);
    (void)app(f, "ResetAppSecret", "{\"name\": \"apps/shop\", \"secret\": \"chosen%by#me\"}");
    const char *made = field_of(app(f, "ResetAppSecret", SHOP), "secret");
    f->is_recorded = false;
    const char *answer = ok(f, &cp_audit_service, "ListAuditEvents", "{}");
    ASSERT_HAS(answer, "ResetAppSecret");
    ASSERT_HAS(answer, KEY);
    ASSERT_HAS_NOT(answer, SECRET);
    ASSERT_HAS_NOT(answer, "chosen%by#me");
    ASSERT_HAS_NOT(answer, made);
    assert_false(is_stored(SECRET) || is_stored("chosen%by#me") || is_stored(made));
}

static struct cp_seal *seal_of(const char *text)
{
    char path[] = "/tmp/penstock-seal-XXXXXX";
    struct cp_seal *seal;
    struct gw_error err;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    assert_int_equal(cp_seal_load(path, &seal, &err), 0);
    unlink(path);
    return seal;
}

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "f00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static void a_rotation_seals_secrets_again(void **state)
{
    struct fixture *f = *state;
    unsigned count;
    const struct cp_seal *own = f->services.seal;
    struct cp_seal *seals[] = {seal_of(KEY_A), seal_of(KEY_B KEY_A), seal_of(KEY_B)};
    f->services.seal = seals[0];
    (void)app(f, "CreateApp", GIVEN);
    store_json(CP_KIND_APP, "{\"name\": \"apps/none\"}");
    f->services.seal = seals[1];
    assert_int_equal(cp_services_reseal(&f->services, &count, &f->err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(cp_services_reseal(&f->services, &count, &f->err), 0);
    assert_int_equal(count, 0);
    f->services.seal = seals[2]; /* the old key is gone */
    assert_string_equal(kept_secret(f), SECRET);
    f->services.seal = own;
    for (size_t i = 0; i < GW_ARRAY_LEN(seals); i++)
        cp_seal_free(seals[i]);
}

static void without_keys_for_secrets_there_are_none(void **state)
{
    struct fixture *f = *state;
    const struct cp_seal *own = f->services.seal;
    f->services.seal = NULL;
    wrong(f, GW_FAILED_PRECONDITION, "CreateApp", GIVEN);
    ASSERT_HAS(f->err.message, "--seal-key-file");
    const char *answer = app(f, "CreateApp", "{\"appId\": \"shop\"}"); /* AppCodes do without */
    assert_int_equal(strlen(field_of(answer, "key")), 32);
    ASSERT_HAS_NOT(answer, "secret");
    wrong(f, GW_FAILED_PRECONDITION, "ResetAppSecret", SHOP);
    ASSERT_HAS(f->err.message, "--seal-key-file");
    f->services.seal = own;
    (void)app(f, "ResetAppSecret", SHOP);
}

static void the_store_may_fail_at_any_call(void **state)
{
    struct fixture *f = *state;
    survives_the_store(f, &cp_app_service, "CreateApp", GIVEN);
    survives_the_store(f, &cp_app_service, "ResetAppSecret", SHOP);
    store_json(CP_KIND_APP, "{\"name\": \"apps/old\"}");
    survives_the_store(f, &cp_app_service, "ResetAppSecret", "{\"name\": \"apps/old\"}");
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, backstage_set_up, backstage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_made_is_seen_once),
        TEST(a_trial_hands_nothing_out),
        TEST(both_may_be_given_and_stay),
        TEST(a_key_is_one_apps),
        TEST(of_two_at_the_same_time_one_gets_the_key),
        TEST(a_reset_makes_the_old_one_worthless),
        TEST(an_app_of_before_gets_both_at_its_first_reset),
        TEST(an_app_of_a_bundle_has_a_key_and_the_secret_it_says),
        TEST(the_audit_trail_has_no_secret),
        TEST(a_rotation_seals_secrets_again),
        TEST(without_keys_for_secrets_there_are_none),
        TEST(the_store_may_fail_at_any_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
