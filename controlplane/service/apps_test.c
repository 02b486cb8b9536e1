/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/apps.h"

#include "controlplane/model/check_app.h"
#include "controlplane/service/test_backstage.h"

#define SERVICE &cp_app_service
#define NAME(name) "{\"name\": \"" name "\"}"
#define SHOP "{\"appId\": \"shop\", \"app\": {\"description\": \"sells\"}}"
#define A_CODE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A_CODE_DIGEST "/+BU/nrgy23GXDr5th1SCfQ5hR20PQulmXM33xVGaOs="
#define CODE(app, id)                                                                              \
    "{\"parent\": \"apps/" app "\", \"codeId\": \"" id "\", \"code\": {\"code\": \"" A_CODE "\"}}"
#define GENERATE "{\"parent\": \"apps/shop\"}"
#define GRANT "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/g/apis/a\"}}"

static int stage(void **state)
{
    if (backstage_set_up(state))
        return -1;
    store_json(CP_KIND_ENVIRONMENT, NAME("environments/test"));
    store_json(CP_KIND_GROUP, NAME("groups/g"));
    store_json(CP_KIND_API, "{\"name\": \"groups/g/apis/a\","
                            " \"authentication\": {\"type\": \"AUTH_TYPE_APP\"}}");
    store_json(CP_KIND_API, NAME("groups/g/apis/open"));
    return 0;
}
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage, backstage_tear_down)

/* The text of a field in an answer, until the end of the test. */
static const char *field_of(const char *answer, const char *field)
{
    const char *start = strstr(answer, gw_arena_printf(&backstage.arena, "\"%s\":\"", field).ptr);
    if (!start)
        fail_msg("no %s in %s", field, answer);
    start += strlen(field) + 4;
    return gw_arena_dup(&backstage.arena, gw_str_n(start, strcspn(start, "\""))).ptr;
}

/* ---- apps */

static void test_an_app_is_created_changed_and_built(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(ok(f, SERVICE, "CreateApp", SHOP), "\"displayName\":\"shop\"");
    ASSERT_HAS(agents_see("apps/shop"), "\"name\":\"apps/shop\",\"displayName\":\"shop\"");
    ASSERT_HAS(
        ok(f, SERVICE, "UpdateApp", "{\"app\": {\"name\": \"apps/shop\", \"frozen\": true}}"),
        "\"frozen\":true");
    ASSERT_HAS(agents_see("apps/shop"), "\"frozen\":true");
    ASSERT_HAS(ok(f, SERVICE, "ListApps", "{}"), "\"description\":\"sells\"");
}

static void test_what_apps_cannot_do_yet(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_UNIMPLEMENTED, SERVICE, "CreateApp",
            "{\"appId\": \"shop\", \"app\": {\"account\": \"accounts/a\"}}");
    assert_true(violates(f, "account"));
}

/* ---- codes */

static void test_a_generated_code_is_seen_once(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    const char *answer = ok(f, SERVICE, "CreateAppCode", GENERATE);
    const char *code = field_of(answer, "code"), *name = field_of(answer, "name");
    assert_int_equal(strlen(code), CP_APP_CODE_GENERATED_LEN);
    assert_memory_equal(field_of(answer, "hint"), code, CP_APP_CODE_HINT_LEN);
    ASSERT_HAS_NOT(answer, "digest");
    const char *get = gw_arena_printf(&backstage.arena, "{\"name\": \"%s\"}", name).ptr;
    answer = ok(f, SERVICE, "GetAppCode", get);
    ASSERT_HAS(answer, "\"hint\":");
    ASSERT_HAS_NOT(answer, "\"code\":");
    ASSERT_HAS_NOT(answer, "digest");
    answer = ok(f, SERVICE, "ListAppCodes", "{\"parent\": \"apps/shop\"}");
    ASSERT_HAS(answer, name);
    ASSERT_HAS_NOT(answer, code);
    ASSERT_HAS_NOT(answer, "digest");
    assert_string_not_equal(field_of(ok(f, SERVICE, "CreateAppCode", GENERATE), "code"), code);
}

static bool is_in(gw_str text, const char *part)
{
    return memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

static void test_the_store_has_the_digest_alone(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    assert_string_equal(field_of(ok(f, SERVICE, "CreateAppCode", CODE("shop", "one")), "code"),
                        A_CODE);
    struct cp_page page = everything();
    for (size_t i = 0; i < page.count; i++)
        assert_false(is_in(page.kvs[i].key, A_CODE) || is_in(page.kvs[i].value, A_CODE));
    ASSERT_HAS(agents_see("apps/shop"), "\"appCodeDigests\":[\"" A_CODE_DIGEST "\"]");
    (void)ok(f, SERVICE, "DeleteAppCode", NAME("apps/shop/codes/one"));
    ASSERT_HAS_NOT(agents_see("apps/shop"), "appCodeDigests");
}

static void test_hints_and_digests_are_not_for_callers_to_say(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    const char *answer = ok(f, SERVICE, "CreateAppCode",
                            "{\"parent\": \"apps/shop\", \"code\": {\"code\": \"" A_CODE "\","
                            " \"hint\": \"mine\", \"digest\": \"mine\"}}");
    assert_string_equal(field_of(answer, "hint"), "aaaa");
    ASSERT_HAS(agents_see("apps/shop"), A_CODE_DIGEST);
}

static void test_a_code_is_of_one_app(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    (void)ok(f, SERVICE, "CreateApp", "{\"appId\": \"other\"}");
    (void)ok(f, SERVICE, "CreateAppCode", CODE("shop", "one"));
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreateAppCode", CODE("other", "one"));
    ASSERT_HAS_NOT(f->err.message, "shop");
    ASSERT_HAS_NOT(f->err.message, A_CODE);
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreateAppCode", CODE("shop", "two"));
    (void)ok(f, SERVICE, "DeleteAppCode", NAME("apps/shop/codes/one"));
    (void)ok(f, SERVICE, "CreateAppCode", CODE("other", "one"));
}

static void test_codes_have_a_form(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "CreateAppCode",
            "{\"parent\": \"apps/shop\", \"code\": {\"code\": \"secret\"}}");
    assert_true(violates(f, "code"));
    ASSERT_HAS_NOT(f->err.message, "secret");
    refused(f, GW_NOT_FOUND, SERVICE, "CreateAppCode", "{\"parent\": \"apps/none\"}");
}

static void add_code(struct fixture *other)
{
    (void)ok(other, SERVICE, "CreateAppCode", GENERATE);
}

static void test_five_codes_at_most(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    for (int i = 0; i < CP_APP_CODES_MAX - 1; i++)
        (void)ok(f, SERVICE, "CreateAppCode", GENERATE);
    backstage.before_txn = add_code; /* the fifth, while this one was looked at as such */
    refused(f, GW_RESOURCE_EXHAUSTED, SERVICE, "CreateAppCode", GENERATE);
}

static void test_a_code_that_is_only_tried_is_not_handed_out(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    const char *before = stored();
    const char *answer =
        ok(f, SERVICE, "CreateAppCode", "{\"parent\": \"apps/shop\", \"validateOnly\": true}");
    ASSERT_HAS_NOT(answer, "\"code\":");
    assert_string_equal(stored(), before);
}

/* ---- authorizations */

static void test_an_authorization_is_live(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    const char *answer = ok(f, SERVICE, "CreateAuthorization", GRANT);
    assert_string_equal(field_of(answer, "name"), "apps/shop/authorizations/g.a.RELEASE");
    assert_string_equal(field_of(answer, "environment"), "environments/RELEASE");
    ASSERT_HAS(agents_see("apps/shop"), "\"routes\":[\"groups/g/apis/a@RELEASE\"]");
    (void)ok(f, SERVICE, "DeleteAuthorization", NAME("apps/shop/authorizations/g.a.RELEASE"));
    ASSERT_HAS_NOT(agents_see("apps/shop"), "routes");
    ASSERT_HAS_NOT(stored(), "index/refs/");
    ASSERT_HAS_NOT(stored(), "index/authorizations/");
}

static void test_only_apis_of_apps_are_authorized(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    refused(f, GW_FAILED_PRECONDITION, SERVICE, "CreateAuthorization",
            "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/g/apis/open\"}}");
    refused(f, GW_NOT_FOUND, SERVICE, "CreateAuthorization",
            "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/g/apis/none\"}}");
    refused(f, GW_NOT_FOUND, SERVICE, "CreateAuthorization",
            "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/g/apis/a\","
            " \"environment\": \"environments/none\"}}");
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "CreateAuthorization",
            "{\"parent\": \"apps/shop\", \"authorizationId\": \"x\"}");
    assert_true(violates(f, "api"));
}

static void open_the_api(struct fixture *other)
{
    (void)other;
    store_json(CP_KIND_API, NAME("groups/g/apis/a"));
}

static void test_an_api_that_opens_meanwhile_is_not_authorized(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    backstage.before_txn = open_the_api;
    refused(f, GW_FAILED_PRECONDITION, SERVICE, "CreateAuthorization", GRANT);
}

static void test_one_authorization_per_api_and_environment(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    (void)ok(f, SERVICE, "CreateApp", "{\"appId\": \"other\"}");
    (void)ok(f, SERVICE, "CreateAuthorization", GRANT);
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreateAuthorization", GRANT);
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreateAuthorization",
            "{\"parent\": \"apps/shop\", \"authorizationId\": \"again\","
            " \"authorization\": {\"api\": \"groups/g/apis/a\"}}");
    (void)ok(f, SERVICE, "CreateAuthorization",
             "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/g/apis/a\","
             " \"environment\": \"environments/test\"}}");
    (void)ok(f, SERVICE, "CreateAuthorization",
             "{\"parent\": \"apps/other\", \"authorization\": {\"api\": \"groups/g/apis/a\"}}");
}

/* ---- deletion */

static void grant_many(struct fixture *f, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *name = gw_arena_printf(&backstage.arena,
                                           "{\"name\": \"groups/g/apis/a%u\", \"authentication\""
                                           ": {\"type\": \"AUTH_TYPE_APP\"}}",
                                           i)
                               .ptr;
        store_json(CP_KIND_API, name);
        const char *request = gw_arena_printf(&backstage.arena,
                                              "{\"parent\": \"apps/shop\", \"authorization\":"
                                              " {\"api\": \"groups/g/apis/a%u\"}}",
                                              i)
                                  .ptr;
        (void)ok(f, SERVICE, "CreateAuthorization", request);
    }
}

static void assert_nothing_of_shop_is_left(void)
{
    static const char *const parts[] = {"apps/shop", "/codes/", "/authorizations/", "index/refs/",
                                        "guards/apps/shop"};
    for (size_t i = 0; i < GW_ARRAY_LEN(parts); i++)
        ASSERT_HAS_NOT(stored(), parts[i]);
}

static void test_codes_and_authorizations_go_with_their_app(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    (void)ok(f, SERVICE, "CreateAppCode", GENERATE);
    (void)ok(f, SERVICE, "CreateAuthorization", GRANT);
    (void)ok(f, SERVICE, "DeleteApp", NAME("apps/shop"));
    assert_nothing_of_shop_is_left();
    assert_string_equal(agents_see("apps/shop"), "");
}

static void test_an_app_with_more_than_a_transaction_holds(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    for (int i = 0; i < CP_APP_CODES_MAX; i++)
        (void)ok(f, SERVICE, "CreateAppCode", GENERATE);
    grant_many(f, 60);
    const char *before = stored();
    (void)ok(f, SERVICE, "DeleteApp", "{\"name\": \"apps/shop\", \"validateOnly\": true}");
    refused(f, GW_ABORTED, SERVICE, "DeleteApp",
            "{\"name\": \"apps/shop\", \"etag\": \"\\\"1\\\"\"}");
    assert_string_equal(stored(), before);
    (void)ok(f, SERVICE, "DeleteApp", NAME("apps/shop"));
    assert_nothing_of_shop_is_left();
}

static void test_the_fullest_transaction(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    for (int i = 0; i < CP_APP_CODES_MAX; i++)
        (void)ok(f, SERVICE, "CreateAppCode", GENERATE);
    grant_many(f, 25);
    (void)ok(f, SERVICE, "DeleteApp", NAME("apps/shop"));
    assert_nothing_of_shop_is_left();
}

static void test_a_code_that_comes_while_its_app_goes(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    backstage.before_txn = add_code;
    (void)ok(f, SERVICE, "DeleteApp", NAME("apps/shop"));
    assert_nothing_of_shop_is_left();
}

static void delete_shop(struct fixture *other)
{
    (void)ok(other, SERVICE, "DeleteApp", NAME("apps/shop"));
}

static void test_an_app_that_goes_while_something_is_added(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    backstage.before_txn = delete_shop;
    refused(f, GW_NOT_FOUND, SERVICE, "CreateAppCode", GENERATE);
    assert_nothing_of_shop_is_left();
    (void)ok(f, SERVICE, "CreateApp", SHOP);
    backstage.before_txn = delete_shop;
    refused(f, GW_NOT_FOUND, SERVICE, "CreateAuthorization", GRANT);
    assert_nothing_of_shop_is_left();
}

static void test_a_store_that_fails(void **state)
{
    struct fixture *f = *state;
    survives_the_store(f, SERVICE, "CreateApp", SHOP);
    survives_the_store(f, SERVICE, "UpdateApp",
                       "{\"app\": {\"name\": \"apps/shop\", \"frozen\": true}}");
    survives_the_store(f, SERVICE, "CreateAppCode", CODE("shop", "one"));
    survives_the_store(f, SERVICE, "CreateAuthorization", GRANT);
    survives_the_store(f, SERVICE, "ListAppCodes", "{\"parent\": \"apps/shop\"}");
    survives_the_store(f, SERVICE, "DeleteAuthorization",
                       NAME("apps/shop/authorizations/g.a.RELEASE"));
    survives_the_store(f, SERVICE, "DeleteAppCode", NAME("apps/shop/codes/one"));
    (void)ok(f, SERVICE, "CreateAppCode", GENERATE);
    (void)ok(f, SERVICE, "CreateAuthorization", GRANT);
    survives_the_store(f, SERVICE, "DeleteApp", NAME("apps/shop"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_an_app_is_created_changed_and_built),
        STAGED(test_what_apps_cannot_do_yet),
        STAGED(test_a_generated_code_is_seen_once),
        STAGED(test_the_store_has_the_digest_alone),
        STAGED(test_hints_and_digests_are_not_for_callers_to_say),
        STAGED(test_a_code_is_of_one_app),
        STAGED(test_codes_have_a_form),
        STAGED(test_five_codes_at_most),
        STAGED(test_a_code_that_is_only_tried_is_not_handed_out),
        STAGED(test_an_authorization_is_live),
        STAGED(test_only_apis_of_apps_are_authorized),
        STAGED(test_an_api_that_opens_meanwhile_is_not_authorized),
        STAGED(test_one_authorization_per_api_and_environment),
        STAGED(test_codes_and_authorizations_go_with_their_app),
        STAGED(test_an_app_with_more_than_a_transaction_holds),
        STAGED(test_the_fullest_transaction),
        STAGED(test_a_code_that_comes_while_its_app_goes),
        STAGED(test_an_app_that_goes_while_something_is_added),
        STAGED(test_a_store_that_fails),
    };
    return cmocka_run_group_tests_name("apps", tests, NULL, NULL);
}
