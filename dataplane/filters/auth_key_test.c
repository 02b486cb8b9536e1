/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"
#include "dataplane/sha256.h"

static const struct dp_app shop;
static unsigned lookups;

/* One app, with one code. */
const struct dp_app *dp_snapshot_app_by_code(const struct dp_snapshot *snapshot,
                                             const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    (void)snapshot;
    uint8_t known[DP_SHA256_BYTES];
    dp_sha256(GW_STR("the code"), known);
    lookups++;
    return memcmp(known, digest, sizeof known) == 0 ? &shop : NULL;
}

static Penstock__Agent__V1__Auth auth = PENSTOCK__AGENT__V1__AUTH__INIT;
static Penstock__Agent__V1__Route route = PENSTOCK__AGENT__V1__ROUTE__INIT;

static void init(struct fixture *f, bool app_code, bool over_http)
{
    fixture_init(f, &dp_filter_auth_key);
    auth.app = true;
    auth.app_code = app_code;
    auth.app_code_over_http = over_http;
    route.auth = &auth;
    assert_int_equal(fixture_compile(f, &route), 0);
    lookups = 0;
}

static void show(struct fixture *f, const char *code)
{
    dp_headers_add(&f->x.request.head.headers, GW_STR("x-apig-appcode"), gw_str_from(code));
}

static enum dp_refusal call_with(struct fixture *f, const char *code)
{
    fixture_next(f);
    show(f, code);
    return fixture_request(f);
}

static void applies_to_routes_for_apps(void **state)
{
    (void)state;
    struct fixture f;
    auth = (Penstock__Agent__V1__Auth)PENSTOCK__AGENT__V1__AUTH__INIT;
    route.auth = NULL;
    assert_false(dp_filter_auth_key.applies(&route.base));
    route.auth = &auth;
    assert_false(dp_filter_auth_key.applies(&route.base));
    auth.app = true;
    assert_true(dp_filter_auth_key.applies(&route.base));
    auth = (Penstock__Agent__V1__Auth)PENSTOCK__AGENT__V1__AUTH__INIT;
    auth.app_code = true; /* a code that nothing asks for: refused, not ignored */
    assert_true(dp_filter_auth_key.applies(&route.base));
    fixture_init(&f, &dp_filter_auth_key);
    assert_int_equal(fixture_compile(&f, &route), -1);
    fixture_done(&f);
}

static void a_known_code_is_taken_and_hidden(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, true, false);
    f.x.request.tls = true;
    show(&f, "the code");
    dp_headers_add_id(&f.x.request.head.headers, DP_HEADER_AUTHORIZATION, GW_STR("Basic eDp5"));
    assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    assert_ptr_equal(f.x.app, &shop);
    assert_true(gw_str_eq(f.x.auth_type, GW_STR("app_code")));
    assert_null(dp_headers_get(&f.x.request.head.headers, DP_HEADER_X_APIG_APPCODE));
    assert_null(dp_headers_get(&f.x.request.head.headers, DP_HEADER_AUTHORIZATION));
    fixture_done(&f);
}

static void no_code_or_a_wrong_one_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, true, true);
    assert_int_equal(fixture_request(&f), DP_REFUSE_AUTH_MISSING);
    assert_string_equal(fixture_header(&f, "WWW-Authenticate"), "AppCode realm=\"api\"");
    assert_int_equal(call_with(&f, ""), DP_REFUSE_AUTH_MISSING);
    assert_int_equal(call_with(&f, "The code"), DP_REFUSE_AUTH_UNKNOWN);
    assert_null(f.x.app);
    assert_string_equal(fixture_header(&f, "WWW-Authenticate"), "AppCode realm=\"api\"");
    fixture_done(&f);
}

static void two_codes_are_none(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, true, true);
    show(&f, "the code");
    show(&f, "the code");
    assert_int_equal(fixture_request(&f), DP_REFUSE_AUTH_UNKNOWN);
    assert_int_equal(lookups, 0);
    fixture_done(&f);
}

static void codes_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    char code[182];
    memset(code, 'x', sizeof code);
    code[181] = '\0';
    init(&f, true, true);
    assert_int_equal(call_with(&f, code), DP_REFUSE_AUTH_UNKNOWN);
    assert_int_equal(lookups, 0);
    code[180] = '\0';
    assert_int_equal(call_with(&f, code), DP_REFUSE_AUTH_UNKNOWN);
    assert_int_equal(lookups, 1);
    fixture_done(&f);
}

/* A secret that travelled in the clear is not accepted unless the API says so. */
static void plain_http_only_where_allowed(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, true, false);
    assert_int_equal(call_with(&f, "the code"), DP_REFUSE_AUTH_PLAINTEXT);
    assert_int_equal(lookups, 0);
    fixture_done(&f);
    init(&f, true, true);
    assert_int_equal(call_with(&f, "the code"), DP_REFUSAL_NONE);
    fixture_done(&f);
}

static void nobody_passes_where_codes_are_off(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, false, false);
    f.x.request.tls = true;
    assert_int_equal(call_with(&f, "the code"), DP_REFUSE_AUTH_MISSING);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_to_routes_for_apps),
        cmocka_unit_test(a_known_code_is_taken_and_hidden),
        cmocka_unit_test(no_code_or_a_wrong_one_is_refused),
        cmocka_unit_test(two_codes_are_none),
        cmocka_unit_test(codes_are_bounded),
        cmocka_unit_test(plain_http_only_where_allowed),
        cmocka_unit_test(nobody_passes_where_codes_are_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
