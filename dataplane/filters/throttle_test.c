/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

#define NOON (gw_msec)1767268800000 /* 2026-01-01T12:00:00Z */

typedef Penstock__Agent__V1__Throttle throttle;

static const struct dp_route orders = {.hash = {{1, 2}}, .name = {"orders", 6}},
                             users = {.hash = {{3, 4}}, .name = {"users", 5}};
static const struct dp_app shop = {.hash = {{5, 6}}}, bank = {.hash = {{7, 8}}};

gw_str dp_app_name(const struct dp_app *app)
{
    if (app == &shop)
        return GW_STR("apps/shop");
    return app == &bank ? GW_STR("apps/bank") : GW_STR("apps/other");
}

static throttle minute(int64_t api, int64_t app, int64_t ip)
{
    throttle source = PENSTOCK__AGENT__V1__THROTTLE__INIT;
    source.window_seconds = 60;
    source.window_text = (char *)(uintptr_t) "time:1 minute";
    source.api_limit = api;
    source.app_limit = app;
    source.ip_limit = ip;
    return source;
}

static int compile(struct fixture *f, throttle *source)
{
    Penstock__Agent__V1__Policy policy = PENSTOCK__AGENT__V1__POLICY__INIT;
    policy.name = (char *)(uintptr_t) "policies/p";
    policy.kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_THROTTLE;
    policy.throttle = source;
    return fixture_compile(f, &policy);
}

static void init(struct fixture *f, throttle source)
{
    fixture_init(f, &dp_filter_throttle);
    f->compile.limiter = dp_limiter_new(256);
    assert_int_equal(compile(f, &source), 0);
    f->x.route = &orders;
    gw_clock_fake(0, NOON + 15500);
}

static void done(struct fixture *f)
{
    gw_clock_fake_off();
    dp_limiter_free(f->compile.limiter);
    fixture_done(f);
}

static enum dp_refusal call(struct fixture *f, const struct dp_app *app)
{
    fixture_next(f);
    f->x.app = app;
    enum dp_refusal refusal = fixture_request(f);
    fixture_response(f);
    return refusal;
}

/* How many of ten calls pass. */
static unsigned calls(struct fixture *f, const struct dp_app *app)
{
    unsigned passed = 0;
    for (unsigned i = 0; i < 10; i++)
        passed += call(f, app) == DP_REFUSAL_NONE;
    return passed;
}

static void the_api_limit_counts_everyone(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(3, 0, 0));
    assert_int_equal(call(&f, NULL), DP_REFUSAL_NONE);
    assert_string_equal(fixture_header(&f, "RateLimit-Limit"), "3");
    assert_string_equal(fixture_header(&f, "RateLimit-Remaining"), "2");
    assert_string_equal(fixture_header(&f, "RateLimit-Reset"), "45");
    assert_string_equal(fixture_header(&f, "Retry-After"), "-");
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-api"), "-");
    assert_int_equal(call(&f, &shop), DP_REFUSAL_NONE);
    assert_int_equal(call(&f, &bank), DP_REFUSAL_NONE);
    assert_int_equal(call(&f, NULL), DP_REFUSE_THROTTLED);
    assert_string_equal(fixture_header(&f, "RateLimit-Remaining"), "0");
    assert_string_equal(fixture_header(&f, "Retry-After"), "45");
    gw_clock_fake(0, NOON + 60000);
    assert_int_equal(call(&f, NULL), DP_REFUSAL_NONE);
    done(&f);
}

static void app_and_address_limits_count_apart(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(100, 2, 0));
    assert_int_equal(calls(&f, &shop), 2);
    assert_int_equal(calls(&f, &bank), 2);
    assert_int_equal(calls(&f, NULL), 10);
    done(&f);
    init(&f, minute(100, 0, 4));
    assert_int_equal(calls(&f, &shop), 4);
    assert_int_equal(dp_address_parse(GW_STR("192.0.2.8"), &f.x.request.source), 0);
    assert_int_equal(calls(&f, &shop), 4);
    done(&f);
}

/* Whoever has one IPv6 address has the 2^64 of its network. */
static void an_ipv6_network_is_one_subject(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(100, 0, 3));
    assert_int_equal(dp_address_parse(GW_STR("2001:db8:0:1::1"), &f.x.request.source), 0);
    assert_int_equal(calls(&f, NULL), 3);
    assert_int_equal(dp_address_parse(GW_STR("2001:db8:0:1:ffff::2"), &f.x.request.source), 0);
    assert_int_equal(calls(&f, NULL), 0);
    assert_int_equal(dp_address_parse(GW_STR("2001:db8:0:2::1"), &f.x.request.source), 0);
    assert_int_equal(calls(&f, NULL), 3);
    done(&f);
}

/* api 10, app 3, A excepted with 2, B with 4. */
static void an_exception_replaces_the_app_limit(void **state)
{
    (void)state;
    Penstock__Agent__V1__ThrottleException a = PENSTOCK__AGENT__V1__THROTTLE_EXCEPTION__INIT;
    Penstock__Agent__V1__ThrottleException b = PENSTOCK__AGENT__V1__THROTTLE_EXCEPTION__INIT;
    a.app = (char *)(uintptr_t) "apps/shop";
    a.limit = 2;
    b.app = (char *)(uintptr_t) "apps/bank";
    b.limit = 4;
    throttle source = minute(10, 3, 0);
    source.exceptions = (Penstock__Agent__V1__ThrottleException *[]){&a, &b};
    source.n_exceptions = 2;
    struct dp_app other = {.hash = {{9, 10}}}, last = {.hash = {{11, 12}}};
    struct fixture f;
    init(&f, source);
    assert_int_equal(calls(&f, &shop), 2);
    assert_int_equal(calls(&f, &bank), 4);
    assert_int_equal(calls(&f, &other), 3);
    assert_int_equal(calls(&f, &last), 1); /* the api limit still holds */
    done(&f);
}

static void a_refused_request_consumes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(5, 2, 0));
    assert_int_equal(calls(&f, &shop), 2);
    assert_int_equal(calls(&f, NULL), 3); /* eight refusals of the shop took nothing */
    done(&f);
}

static void scope_says_who_shares(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(5, 4, 3));
    assert_int_equal(calls(&f, &shop), 3);
    f.x.route = &users;
    assert_int_equal(calls(&f, &shop), 3);
    done(&f);
    throttle source = minute(100, 4, 0);
    source.shared = true;
    init(&f, source);
    assert_int_equal(calls(&f, &shop), 4);
    f.x.route = &users;
    assert_int_equal(calls(&f, &shop), 0);
    done(&f);
}

static void counters_outlive_the_policy_s_form(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(5, 0, 0));
    assert_int_equal(calls(&f, NULL), 5);
    throttle source = minute(7, 0, 0);
    assert_int_equal(compile(&f, &source), 0);
    assert_int_equal(calls(&f, NULL), 2);
    done(&f);
}

static void debug_headers_name_every_limit(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, minute(10, 5, 2));
    f.x.request.debug = true;
    f.x.request.debug_audience = DP_DEBUG_APPS;
    assert_int_equal(call(&f, &shop), DP_REFUSAL_NONE);
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-api"),
                        "remain:9,limit:10,time:1 minute");
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-app"),
                        "remain:4,limit:5,time:1 minute");
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-ip"),
                        "remain:1,limit:2,time:1 minute");
    assert_string_equal(fixture_header(&f, "RateLimit-Limit"), "2"); /* the tightest */
    assert_int_equal(call(&f, &shop), DP_REFUSAL_NONE);
    assert_int_equal(call(&f, &shop), DP_REFUSE_THROTTLED);
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-ip"),
                        "remain:0,limit:2,time:1 minute");
    assert_string_equal(fixture_header(&f, "X-Apig-RateLimit-api"),
                        "remain:8,limit:10,time:1 minute");
    done(&f);
}

static void bad_policies_are_refused(void **state)
{
    (void)state;
    Penstock__Agent__V1__ThrottleException twice = PENSTOCK__AGENT__V1__THROTTLE_EXCEPTION__INIT;
    twice.app = (char *)(uintptr_t) "apps/shop";
    twice.limit = 1;
    throttle bad[] = {minute(0, 0, 0),         minute(-1, 0, 0),        minute(1LL << 31, 0, 0),
                      minute(1, -1, 0),        minute(1, 1LL << 31, 0), minute(1, 0, -1),
                      minute(1, 0, 1LL << 31), minute(1, 0, 0),         minute(1, 0, 0),
                      minute(1, 0, 0),         minute(1, 0, 0)};
    bad[7].window_seconds = 0;
    bad[8].window_text = (char *)(uintptr_t) "time:1\r\nX: y";
    bad[9].exceptions = (Penstock__Agent__V1__ThrottleException *[]){&twice, &twice};
    bad[9].n_exceptions = 2;
    bad[10].n_exceptions = 1001;
    struct fixture f;
    fixture_init(&f, &dp_filter_throttle);
    f.compile.limiter = dp_limiter_new(16);
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        assert_int_equal(compile(&f, &bad[i]), -1);
        assert_int_equal(f.err.violation_count, 1);
    }
    twice.limit = 0;
    bad[9].n_exceptions = 1;
    assert_int_equal(compile(&f, &bad[9]), -1);
    dp_limiter_free(f.compile.limiter);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_api_limit_counts_everyone),
        cmocka_unit_test(app_and_address_limits_count_apart),
        cmocka_unit_test(an_ipv6_network_is_one_subject),
        cmocka_unit_test(an_exception_replaces_the_app_limit),
        cmocka_unit_test(a_refused_request_consumes_nothing),
        cmocka_unit_test(scope_says_who_shares),
        cmocka_unit_test(counters_outlive_the_policy_s_form),
        cmocka_unit_test(debug_headers_name_every_limit),
        cmocka_unit_test(bad_policies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
