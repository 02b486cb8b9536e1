/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_settings.h"

#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct gw_arena arena;

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static struct gw_error checked(const char *json)
{
    ProtobufCMessage *message;
    struct gw_error err = GW_ERROR_NONE;
    if (gw_json_parse(&arena, CP_TYPE(settings), gw_str_from(json), &message, &err))
        fail_msg("%s: %s", json, err.message);
    (void)!cp_check_settings((cp_gateway_settings *)(void *)message, &err); /* it is in err */
    return err;
}

static void test_what_is_right(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "{\"requestBodyMaxBytes\": 1048576}",
        "{\"requestBodyMaxBytes\": 9999220736}",
        "{\"requestBodyTimeout\": \"1s\", \"backendTimeoutMax\": \"0.001s\"}",
        "{\"requestBodyTimeout\": \"600s\", \"backendTimeoutMax\": \"600s\"}",
        "{\"forwardedFor\": {\"enabled\": true, \"index\": -100}}",
        "{\"gzip\": {\"enabled\": true, \"level\": 9}, \"debugAudience\": "
        "\"DEBUG_AUDIENCE_NOBODY\", \"escapedSlash\": \"ESCAPED_SLASH_KEPT\", "
        "\"http2\": {}}",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (checked(good[i]).code != GW_OK)
            fail_msg("%s: %s", good[i], checked(good[i]).message);
}

static void test_each_rule_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *field;
    } bad[] = {
        {"{\"requestBodyMaxBytes\": 1048575}", "request_body_max_bytes"},
        {"{\"requestBodyMaxBytes\": 9999220737}", "request_body_max_bytes"},
        {"{\"requestBodyMaxBytes\": -1}", "request_body_max_bytes"},
        {"{\"requestBodyTimeout\": \"0.999s\"}", "request_body_timeout"},
        {"{\"requestBodyTimeout\": \"600.001s\"}", "request_body_timeout"},
        {"{\"backendTimeoutMax\": \"0s\"}", "backend_timeout_max"},
        {"{\"backendTimeoutMax\": \"-1s\"}", "backend_timeout_max"},
        {"{\"backendTimeoutMax\": \"1.0001s\"}", "backend_timeout_max"},
        {"{\"forwardedFor\": {\"index\": 101}}", "forwarded_for.index"},
        {"{\"forwardedFor\": {\"index\": -101}}", "forwarded_for.index"},
        {"{\"gzip\": {\"level\": 10}}", "gzip.level"},
        {"{\"gzip\": {\"level\": -1}}", "gzip.level"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct gw_error err = checked(bad[i].json);
        if (err.code != GW_INVALID_ARGUMENT || strcmp(err.violations[0].field, bad[i].field) != 0)
            fail_msg("%s: %s", bad[i].json, err.message);
    }
}

/* JSON knows their names alone; by gRPC any number comes. */
static void test_numbers_that_no_enum_has(void **state)
{
    (void)state;
    struct gw_error err;
    cp_gateway_settings settings = CP_INIT(SETTINGS);
    settings.debug_audience = (Penstock__Admin__V1__DebugAudience)4;
    settings.escaped_slash = (Penstock__Admin__V1__EscapedSlash)-1;
    assert_int_equal(cp_check_settings(&settings, &err), -1);
    assert_int_equal(err.violation_count, 2);
    assert_string_equal(err.violations[0].field, "debug_audience");
    assert_string_equal(err.violations[1].field, "escaped_slash");
}

static void test_what_has_no_effect_is_refused_by_name(void **state)
{
    (void)state;
    struct gw_error err = checked("{\"defaultApiLimit\": 200}");
    assert_int_equal(err.code, GW_UNIMPLEMENTED);
    assert_non_null(strstr(err.message, "default_api_limit"));
    err = checked("{\"deniedBackendNetworks\": [\"10.0.0.0/8\"]}");
    assert_int_equal(err.code, GW_UNIMPLEMENTED);
    assert_non_null(strstr(err.message, "denied_backend_networks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_right),
        cmocka_unit_test(test_each_rule_refuses),
        cmocka_unit_test(test_numbers_that_no_enum_has),
        cmocka_unit_test(test_what_has_no_effect_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
