/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_app.h"

#include "common/test.h"

static void assert_app(const cp_app *app, const char *field, enum gw_code code)
{
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_app(app, NULL, &err), *field ? -1 : 0);
    assert_string_equal(err.violations[0].field, field);
    assert_int_equal(err.code, code);
}

static void test_apps(void **state)
{
    (void)state;
    cp_app app = CP_INIT(APP);
    assert_app(&app, "", GW_OK);
    char text[257];
    memset(text, 'x', sizeof(text));
    text[256] = '\0';
    app.description = text;
    assert_app(&app, "description", GW_INVALID_ARGUMENT);
    text[255] = '\0';
    assert_app(&app, "", GW_OK);

    app.account = (char[]){"accounts/a"};
    assert_app(&app, "account", GW_UNIMPLEMENTED);
    app.display_name = (char[]){"ab"};
    assert_app(&app, "display_name", GW_INVALID_ARGUMENT);
}

static void test_display_names_are_counted_in_characters(void **state)
{
    (void)state;
    cp_app app = CP_INIT(APP);
    app.display_name = (char[]){"\xc3\xa9\xc3\xa9"};
    assert_app(&app, "display_name", GW_INVALID_ARGUMENT);
    app.display_name = (char[]){"\xc3\xa9\xc3\xa9\xc3\xa9"};
    assert_app(&app, "", GW_OK);
    char text[2 * 65 + 1] = "";
    for (size_t i = 0; i < 65; i++)
        memcpy(text + 2 * i, "\xc3\xa9", 3);
    app.display_name = text;
    assert_app(&app, "display_name", GW_INVALID_ARGUMENT);
    text[2 * 64] = '\0';
    assert_app(&app, "", GW_OK);
}

static void test_keys_and_secrets(void **state)
{
    (void)state;
    char text[CP_APP_KEY_MAX + 2];
    cp_app app = CP_INIT(APP), before = CP_INIT(APP);
    struct gw_error err;
    static const char *const keys[] = {"short-7",   "-abcdefgh", "_abcdefgh",
                                       "abcdefg.h", "abcdefg h", "abcdefgh\xc3\xa9"};
    for (size_t i = 0; i < GW_ARRAY_LEN(keys); i++) {
        app.key = strcpy(text, keys[i]);
        assert_app(&app, "key", GW_INVALID_ARGUMENT);
    }
    memset(text, '9', sizeof text);
    text[CP_APP_KEY_MAX + 1] = '\0';
    assert_app(&app, "key", GW_INVALID_ARGUMENT);
    text[CP_APP_KEY_MAX] = '\0';
    assert_app(&app, "", GW_OK);
    app.key = (char[]){"0a-_Z789"};
    assert_app(&app, "", GW_OK);

    before.key = (char[]){"0a-_Z789"};
    assert_int_equal(cp_check_app(&app, &before, &err), 0);
    before.key = (char[]){"0a-_Z78A"};
    assert_int_equal(cp_check_app(&app, &before, &err), -1);
    assert_string_equal(err.violations[0].rule, "cannot change: make another app");
    app.key = (char[]){""};
    assert_int_equal(cp_check_app(&app, &before, &err), 0);

    static const char *const secrets[] = {"short-7", "!abcdefgh", "abcdefg+h", "abcdefg h"};
    for (size_t i = 0; i < GW_ARRAY_LEN(secrets); i++) {
        app.secret = strcpy(text, secrets[i]);
        assert_app(&app, "secret", GW_INVALID_ARGUMENT);
    }
    memset(text, 'x', sizeof text);
    text[CP_APP_SECRET_MAX + 1] = '\0';
    assert_app(&app, "secret", GW_INVALID_ARGUMENT);
    text[CP_APP_SECRET_MAX] = '\0';
    assert_app(&app, "", GW_OK);
    app.secret = (char[]){"0_-!@#$%"};
    assert_app(&app, "", GW_OK);
}

static void test_authorizations(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    cp_authorization authorization = CP_INIT(AUTHORIZATION);
    assert_int_equal(cp_check_authorization(&authorization, &err), -1);
    assert_string_equal(err.violations[0].field, "api");
    err = GW_ERROR_NONE;
    authorization.api = (char[]){"groups/g/apis/a"};
    assert_int_equal(cp_check_authorization(&authorization, &err), 0);
    authorization.environment = (char[]){"environments/x"}; /* too short an id */
    assert_int_equal(cp_check_authorization(&authorization, &err), -1);
    assert_string_equal(err.violations[0].field, "environment");
}

/* ---- codes */

/* 180 good characters, the first replaced by what the test wants to see. */
static int check_code(const char *start, size_t length)
{
    char text[CP_APP_CODE_MAX + 2];
    memset(text, 'a', sizeof(text));
    memcpy(text, start, strlen(start));
    text[length] = '\0';
    cp_app_code code = CP_INIT(APP_CODE);
    code.code = text;
    struct gw_error err = GW_ERROR_NONE;
    int failed = cp_check_app_code(&code, &err);
    assert_int_equal(err.code, failed ? GW_INVALID_ARGUMENT : GW_OK);
    assert_null(strstr(err.message, "aaaaaaaa")); /* the secret is not repeated */
    return failed;
}

static void test_the_form_of_codes(void **state)
{
    (void)state;
    assert_int_equal(check_code("", 63), -1);
    assert_int_equal(check_code("", 64), 0);
    assert_int_equal(check_code("", 180), 0);
    assert_int_equal(check_code("", 181), -1);
    static const char *const good[] = {"+", "/", "9", "Z", "a+/_!@#$%-="};
    static const char *const bad[] = {"_",  "!",  "=",   "-",   " ",         "a b", "a,",
                                      "a.", "a:", "a\t", "a\"", "a\xc3\xa9", "a&",  "a*"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        assert_int_equal(check_code(good[i], 64), 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(check_code(bad[i], 64), -1);
}

static void test_a_generated_code_has_the_form(void **state)
{
    (void)state;
    unsigned char bytes[CP_APP_CODE_RANDOM_BYTES];
    char text[CP_APP_CODE_GENERATED_LEN + 1];
    for (unsigned start = 0; start < 256; start++) {
        for (unsigned i = 0; i < sizeof(bytes); i++)
            bytes[i] = (unsigned char)(start + 7 * i);
        cp_app_code_from_random(bytes, text);
        cp_app_code code = CP_INIT(APP_CODE);
        code.code = text;
        struct gw_error err = GW_ERROR_NONE;
        assert_int_equal(cp_check_app_code(&code, &err), 0);
    }
}

static void test_a_generated_code_is_base64(void **state)
{
    (void)state;
    const unsigned char bytes[CP_APP_CODE_RANDOM_BYTES + 1] =
        "Many hands make light work.\xfb\xff\xbf abcdefghijklmnopq";
    char text[CP_APP_CODE_GENERATED_LEN + 1];
    cp_app_code_from_random(bytes, text);
    assert_string_equal(text, "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu+/+/IGFiY2RlZmdoaWprbG1ub3Bx");
}

static void test_digests(void **state)
{
    (void)state;
    char digest[CP_APP_CODE_DIGEST_LEN + 1];
    cp_app_code_digest(GW_STR("abc"), digest); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apps),
        cmocka_unit_test(test_display_names_are_counted_in_characters),
        cmocka_unit_test(test_keys_and_secrets),
        cmocka_unit_test(test_authorizations),
        cmocka_unit_test(test_the_form_of_codes),
        cmocka_unit_test(test_a_generated_code_has_the_form),
        cmocka_unit_test(test_a_generated_code_is_base64),
        cmocka_unit_test(test_digests),
    };
    return cmocka_run_group_tests_name("check_app", tests, NULL, NULL);
}
