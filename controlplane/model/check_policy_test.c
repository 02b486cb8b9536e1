/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_policy.h"

#include "common/test.h"
#include <stdio.h>
#include <stdlib.h>

/* 129 bytes: one more than agents take. */
#define LONG_NAME                                                                                  \
    "123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"   \
    "123456789012345678901234567890123456789"

static void assert_refused(const cp_policy *policy, const char *field, enum gw_code code)
{
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_policy(policy, &err), -1);
    assert_string_equal(err.violations[0].field, field);
    assert_int_equal(err.violation_count, 1);
    assert_int_equal(err.code, code);
}

static void assert_good(const cp_policy *policy)
{
    struct gw_error err = GW_ERROR_NONE;
    if (cp_check_policy(policy, &err))
        fail_msg("%s", err.message);
    assert_int_equal(err.code, GW_OK);
}

/* ---- IP access */

static void test_entries_of_an_address_list(void **state)
{
    (void)state;
    static const char *const good[] = {
        "10.0.0.1",
        "0.0.0.0/0",
        "192.168.0.1/16", /* host bits are ignored */
        "10.0.0.1/32",
        "192.168.12.12-192.168.12.19",
        "10.0.0.1 - 10.0.0.1",
        " 10.0.0.1 ",
        "::1",
        "::/0",
        "2001:db8::/128",
        "2001:db8::1-2001:db8::ffff",
        "9.255.255.255-10.0.0.0",
    };
    static const char *const bad[] = {
        "",
        " ",
        "/",
        "-",
        "10.0.0",
        "10.0.0.256",
        "010.0.0.1.1",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/0x8",
        "/8",
        "2001:db8::/129",
        "10.0.0.2-10.0.0.1",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "10.0.0.1-2001:db8::1",
        "10.0.0.0/8-10.0.0.9",
        "::ffff:10.0.0.1",
        "::ffff:10.0.0.0/104",
        "[::1]",
        "fe80::1%eth0",
        "10.0.0.1,10.0.0.2",
        "localhost",
        "*",
        "2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (!cp_is_address_entry(gw_str_from(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (cp_is_address_entry(gw_str_from(bad[i])))
            fail_msg("accepted: %s", bad[i]);
    assert_false(cp_is_address_entry(gw_str_n("10.0.0.1\0", 9)));
}

static void test_ip_access(void **state)
{
    (void)state;
    char address[] = "10.0.0.1", *addresses[101];
    for (size_t i = 0; i < GW_ARRAY_LEN(addresses); i++)
        addresses[i] = address;
    cp_ip_access access = CP_INIT(IP_ACCESS);
    access.effect = CP_ENUM(ACCESS_EFFECT, DENY);
    access.addresses = addresses;
    access.n_addresses = 100;
    cp_policy policy = CP_INIT(POLICY);
    policy.kind_case = CP_ONEOF(POLICY, IP_ACCESS);
    policy.ip_access = &access;
    assert_good(&policy);

    access.n_addresses = 101;
    assert_refused(&policy, "ip_access.addresses", GW_INVALID_ARGUMENT);
    access.n_addresses = 0;
    assert_refused(&policy, "ip_access.addresses", GW_INVALID_ARGUMENT);
    access.n_addresses = 7;
    addresses[3] = (char[]){"office"};
    assert_refused(&policy, "ip_access.addresses[3]", GW_INVALID_ARGUMENT);
    access.n_addresses = 3;
    access.effect = CP_ENUM(ACCESS_EFFECT, UNSPECIFIED);
    assert_refused(&policy, "ip_access.effect", GW_INVALID_ARGUMENT);
}

/* ---- throttle */

static cp_throttle a_throttle(void)
{
    cp_throttle throttle = CP_INIT(THROTTLE);
    throttle.api_limit = 100;
    return throttle;
}

static cp_policy policy_of(cp_throttle *throttle)
{
    cp_policy policy = CP_INIT(POLICY);
    policy.kind_case = CP_ONEOF(POLICY, THROTTLE);
    policy.throttle = throttle;
    return policy;
}

static void test_throttle_limits(void **state)
{
    (void)state;
    cp_throttle throttle = a_throttle();
    cp_policy policy = policy_of(&throttle);
    assert_good(&policy);
    throttle.api_limit = throttle.interval = throttle.app_limit = throttle.ip_limit = INT32_MAX;
    throttle.scope = CP_ENUM(THROTTLE_SCOPE, SHARED);
    throttle.mode = CP_ENUM(THROTTLE_MODE, LOCAL);
    throttle.unit = CP_ENUM(TIME_UNIT, DAY);
    assert_good(&policy);

    static const struct {
        size_t offset;
        int64_t value;
        const char *field;
    } cases[] = {
        {offsetof(cp_throttle, api_limit), INT64_C(1) << 31, "throttle.api_limit"},
        {offsetof(cp_throttle, api_limit), INT64_MAX, "throttle.api_limit"},
        {offsetof(cp_throttle, api_limit), 0, "throttle.api_limit"},
        {offsetof(cp_throttle, api_limit), -1, "throttle.api_limit"},
        {offsetof(cp_throttle, interval), -1, "throttle.interval"},
        {offsetof(cp_throttle, interval), INT64_C(1) << 31, "throttle.interval"},
        {offsetof(cp_throttle, app_limit), 101, "throttle.app_limit"},
        {offsetof(cp_throttle, app_limit), -1, "throttle.app_limit"},
        {offsetof(cp_throttle, ip_limit), 101, "throttle.ip_limit"},
        {offsetof(cp_throttle, ip_limit), INT64_MIN, "throttle.ip_limit"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        throttle = a_throttle();
        *(int64_t *)(void *)((char *)&throttle + cases[i].offset) = cases[i].value;
        assert_refused(&policy, cases[i].field, GW_INVALID_ARGUMENT);
    }
}

static void test_throttle_words(void **state)
{
    (void)state;
    cp_throttle throttle = a_throttle();
    cp_policy policy = policy_of(&throttle);
    throttle.scope = (Penstock__Admin__V1__ThrottleScope)3;
    assert_refused(&policy, "throttle.scope", GW_INVALID_ARGUMENT);
    throttle = a_throttle();
    throttle.mode = (Penstock__Admin__V1__ThrottleMode)4;
    assert_refused(&policy, "throttle.mode", GW_INVALID_ARGUMENT);
    throttle = a_throttle();
    throttle.unit = (Penstock__Admin__V1__TimeUnit)-1;
    assert_refused(&policy, "throttle.unit", GW_INVALID_ARGUMENT);
}

static void test_what_throttles_cannot_do_yet(void **state)
{
    (void)state;
    cp_throttle throttle = a_throttle();
    cp_policy policy = policy_of(&throttle);
    throttle.mode = CP_ENUM(THROTTLE_MODE, FAST);
    assert_refused(&policy, "throttle.mode", GW_UNIMPLEMENTED);
    throttle.mode = CP_ENUM(THROTTLE_MODE, EXACT);
    assert_refused(&policy, "throttle.mode", GW_UNIMPLEMENTED);
    throttle = a_throttle();
    throttle.account_limit = 5;
    assert_refused(&policy, "throttle.account_limit", GW_UNIMPLEMENTED);
    throttle = a_throttle();
    throttle.n_rules = 1;
    assert_refused(&policy, "throttle.rules", GW_UNIMPLEMENTED);
}

static void test_what_is_wrong_counts_for_more_than_what_is_not_available(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    cp_throttle throttle = CP_INIT(THROTTLE);
    cp_policy policy = policy_of(&throttle);
    throttle.mode = CP_ENUM(THROTTLE_MODE, FAST);
    throttle.n_rules = 1;
    assert_int_equal(cp_check_policy(&policy, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_int_equal(err.violation_count, 3);
    assert_string_equal(err.violations[0].field, "throttle.mode");
    assert_string_equal(err.violations[1].field, "throttle.api_limit");
    assert_string_equal(err.violations[2].field, "throttle.rules");
}

static void test_throttle_exceptions(void **state)
{
    (void)state;
    cp_throttle_exception exceptions[31];
    cp_throttle_exception *list[31];
    char names[31][16];
    for (size_t i = 0; i < GW_ARRAY_LEN(list); i++) {
        snprintf(names[i], sizeof(names[i]), "apps/a%zu", i);
        exceptions[i] = (cp_throttle_exception)CP_INIT(THROTTLE_EXCEPTION);
        exceptions[i].app = names[i];
        exceptions[i].limit = (int64_t)i + 1;
        list[i] = &exceptions[i];
    }
    cp_throttle throttle = a_throttle();
    cp_policy policy = policy_of(&throttle);
    throttle.app_limit = 2;
    throttle.exceptions = list;
    throttle.n_exceptions = 30;
    exceptions[0].limit = INT32_MAX; /* above every other limit: allowed */
    assert_good(&policy);
    throttle.n_exceptions = 31;
    assert_refused(&policy, "throttle.exceptions", GW_INVALID_ARGUMENT);

    throttle.n_exceptions = 5;
    exceptions[0].limit = 0;
    assert_refused(&policy, "throttle.exceptions[0].limit", GW_INVALID_ARGUMENT);
    exceptions[0].limit = 1;
    exceptions[4].app = (char[]){"apps/a1"};
    assert_refused(&policy, "throttle.exceptions[4].app", GW_INVALID_ARGUMENT);
    exceptions[4].app = (char[]){""};
    assert_refused(&policy, "throttle.exceptions[4].app", GW_INVALID_ARGUMENT);
    exceptions[4].app = (char[]){"policies/abc"};
    assert_refused(&policy, "throttle.exceptions[4].app", GW_INVALID_ARGUMENT);
    exceptions[4].app = (char[]){""};
    exceptions[4].account = (char[]){"accounts/a"};
    assert_refused(&policy, "throttle.exceptions[4].account", GW_UNIMPLEMENTED);
    exceptions[4].app = (char[]){"apps/a4"};
    assert_refused(&policy, "throttle.exceptions[4].app", GW_INVALID_ARGUMENT);
}

/* ---- response headers */

struct headers {
    cp_header_action actions[11];
    cp_header_action *list[11];
    char names[11][8];
    cp_response_headers message;
    cp_policy policy;
};

static struct headers *set_up(void)
{
    struct headers *h = calloc(1, sizeof(*h));
    for (size_t i = 0; i < GW_ARRAY_LEN(h->list); i++) {
        snprintf(h->names[i], sizeof(h->names[i]), "x-%zu", i);
        h->actions[i] = (cp_header_action)CP_INIT(HEADER_ACTION);
        h->actions[i].name = h->names[i];
        h->actions[i].value = (char *)(uintptr_t) "one";
        h->actions[i].action = (Penstock__Admin__V1__HeaderActionType)(1 + i % 5);
        h->list[i] = &h->actions[i];
    }
    h->message = (cp_response_headers)CP_INIT(RESPONSE_HEADERS);
    h->message.headers = h->list;
    h->message.n_headers = 10;
    h->policy = (cp_policy)CP_INIT(POLICY);
    h->policy.kind_case = CP_ONEOF(POLICY, RESPONSE_HEADERS);
    h->policy.response_headers = &h->message;
    return h;
}

static void test_response_headers(void **state)
{
    (void)state;
    struct headers *h = set_up();
    assert_good(&h->policy);
    h->message.n_headers = 11;
    assert_refused(&h->policy, "response_headers.headers", GW_INVALID_ARGUMENT);
    h->message.n_headers = 0;
    assert_refused(&h->policy, "response_headers.headers", GW_INVALID_ARGUMENT);
    h->message.n_headers = 2;
    h->actions[1].name = (char[]){"X-0"};
    assert_refused(&h->policy, "response_headers.headers[1].name", GW_INVALID_ARGUMENT);
    h->actions[1].name = (char[]){"X-1"};
    h->actions[1].action = CP_ENUM(HEADER_ACTION_TYPE, UNSPECIFIED);
    assert_refused(&h->policy, "response_headers.headers[1].action", GW_INVALID_ARGUMENT);
    h->actions[1].action = (Penstock__Admin__V1__HeaderActionType)6;
    assert_refused(&h->policy, "response_headers.headers[1].action", GW_INVALID_ARGUMENT);
    free(h);
}

static void test_names_of_response_headers(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "a b",
        "a:",
        "a\r\nb",
        "\xc3\xa9",
        "X-Apig-Mode",
        "x-apig-",
        "X-Request-Id",
        "Access-Control-Allow-Origin",
        "Content-Length",
        "transfer-encoding",
        "TE",
        "Connection",
        "Proxy-Connection",
        "upgrade",
        LONG_NAME,
    };
    struct headers *h = set_up();
    h->message.n_headers = 1;
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        h->actions[0].name = (char *)(uintptr_t)bad[i];
        assert_refused(&h->policy, "response_headers.headers[0].name", GW_INVALID_ARGUMENT);
    }
    h->actions[0].name = (char[]){"Server"};
    assert_good(&h->policy);
    free(h);
}

static void test_values_of_response_headers(void **state)
{
    (void)state;
    struct headers *h = set_up();
    char value[1026];
    memset(value, 'v', 1025);
    value[1025] = '\0';
    h->message.n_headers = 1;
    h->actions[0].value = value;
    assert_refused(&h->policy, "response_headers.headers[0].value", GW_INVALID_ARGUMENT);
    value[1024] = '\0';
    assert_good(&h->policy);
    h->actions[0].value = (char[]){"a\r\nSet-Cookie: b"};
    assert_refused(&h->policy, "response_headers.headers[0].value", GW_INVALID_ARGUMENT);
    h->actions[0].value = (char[]){"a\x7f"};
    assert_refused(&h->policy, "response_headers.headers[0].value", GW_INVALID_ARGUMENT);
    h->actions[0].value = (char[]){"a\tb"};
    assert_good(&h->policy);
    free(h);
}

/* ---- kinds and bindings */

static void test_kinds(void **state)
{
    (void)state;
    cp_policy policy = CP_INIT(POLICY);
    assert_refused(&policy, "kind", GW_INVALID_ARGUMENT);
    static const struct {
        Penstock__Admin__V1__Policy__KindCase kind;
        const char *name;
    } later[] = {
        {CP_ONEOF(POLICY, ACCOUNT_ACCESS), "account_access"},
        {CP_ONEOF(POLICY, CORS), "cors"},
        {CP_ONEOF(POLICY, CIRCUIT_BREAKER), "circuit_breaker"},
        {CP_ONEOF(POLICY, THIRD_PARTY_AUTHORIZER), "third_party_authorizer"},
        {CP_ONEOF(POLICY, KAFKA_LOG), "kafka_log"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(later); i++) {
        policy.kind_case = later[i].kind;
        assert_refused(&policy, later[i].name, GW_UNIMPLEMENTED);
    }
    assert_string_equal(cp_policy_kind_name(CP_ONEOF(POLICY, IP_ACCESS)), "ip_access");
    assert_string_equal(cp_policy_kind_name(CP_ONEOF(POLICY, _NOT_SET)), "");
}

static void test_the_kind_stays(void **state)
{
    (void)state;
    struct headers *h = set_up();
    cp_throttle throttle = a_throttle();
    cp_policy before = policy_of(&throttle);
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_policy_update(&before, &before, &err), 0);
    assert_int_equal(cp_check_policy_update(&before, &h->policy, &err), -1);
    assert_string_equal(err.violations[0].field, "response_headers");
    cp_policy none = CP_INIT(POLICY);
    err = GW_ERROR_NONE;
    assert_int_equal(cp_check_policy_update(&before, &none, &err), -1);
    assert_string_equal(err.violations[0].field, "kind");
    free(h);
}

static void test_bindings(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    cp_policy_binding binding = CP_INIT(POLICY_BINDING);
    binding.api = (char[]){"groups/g/apis/a"};
    assert_int_equal(cp_check_policy_binding(&binding, &err), 0);
    binding.environment = (char[]){"environments/prod"};
    assert_int_equal(cp_check_policy_binding(&binding, &err), 0);
    binding.environment = (char[]){"prod"};
    binding.api = (char[]){"groups/g"};
    assert_int_equal(cp_check_policy_binding(&binding, &err), -1);
    assert_int_equal(err.violation_count, 2);
    assert_string_equal(err.violations[0].field, "api");
    assert_string_equal(err.violations[1].field, "environment");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_of_an_address_list),
        cmocka_unit_test(test_ip_access),
        cmocka_unit_test(test_throttle_limits),
        cmocka_unit_test(test_throttle_words),
        cmocka_unit_test(test_what_throttles_cannot_do_yet),
        cmocka_unit_test(test_what_is_wrong_counts_for_more_than_what_is_not_available),
        cmocka_unit_test(test_throttle_exceptions),
        cmocka_unit_test(test_response_headers),
        cmocka_unit_test(test_names_of_response_headers),
        cmocka_unit_test(test_values_of_response_headers),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_the_kind_stays),
        cmocka_unit_test(test_bindings),
    };
    return cmocka_run_group_tests_name("check_policy", tests, NULL, NULL);
}
