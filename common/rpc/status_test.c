/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/fixture.h"
#include "common/rpc/internal.h"

static struct gw_error round_trip(const struct gw_error *err, size_t *ret_details_bytes)
{
    struct gw_rpc_status status;
    gw_rpc_status_init(&status, err);
    grpc_metadata_array trailers = {.count = status.details_count, .metadata = &status.details};
    *ret_details_bytes = status.details_count ? GRPC_SLICE_LENGTH(status.details.value) : 0;
    struct gw_error back = GW_ERROR_NONE;
    gw_rpc_status_decode(status.code, gw_rpc_slice_view(&status.message), &trailers, &back);
    gw_rpc_status_done(&status);
    return back;
}

static void test_plain_error_has_its_code_for_a_reason(void **state)
{
    (void)state;
    struct gw_error err;
    size_t bytes;
    (void)gw_fail(&err, GW_NOT_FOUND, "groups/x is not there");
    struct gw_error back = round_trip(&err, &bytes);
    assert_true(bytes > 0);
    assert_int_equal(back.code, GW_NOT_FOUND);
    assert_string_equal(back.message, "groups/x is not there");
    assert_string_equal(back.reason, ""); /* people need not read the code twice */
}

static void test_reason_code_and_violations_survive(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    size_t bytes;
    (void)gw_fail_field(&err, "frontend.path", "must start with \"/\"");
    (void)gw_fail_field(&err, "backend.http.timeout", "1ms to 10m");
    (void)gw_error_reason(&err, "INVALID_FIELDS");
    (void)gw_error_apig(&err, "APIG.3301");
    struct gw_error back = round_trip(&err, &bytes);
    assert_int_equal(back.code, GW_INVALID_ARGUMENT);
    assert_string_equal(back.message, err.message);
    assert_string_equal(back.reason, "INVALID_FIELDS");
    assert_string_equal(back.apig, "APIG.3301");
    assert_int_equal(back.violation_count, 2);
    assert_string_equal(back.violations[1].field, "backend.http.timeout");
    assert_string_equal(back.violations[1].rule, "1ms to 10m");
}

static void test_details_are_cut_to_what_clients_take(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    size_t bytes;
    char rule[GW_ERROR_MESSAGE_MAX];
    memset(rule, 'r', sizeof(rule) - 1);
    rule[sizeof(rule) - 1] = '\0';
    for (int i = 0; i < GW_ERROR_VIOLATIONS_MAX; i++)
        (void)gw_fail_field(&err, "name", "%s", rule);
    struct gw_error back = round_trip(&err, &bytes);
    assert_true(bytes <= GW_RPC_DETAILS_MAX_BYTES);
    assert_in_range(back.violation_count, 5, GW_ERROR_VIOLATIONS_MAX - 1);
}

static void test_foreign_details_do_no_harm(void **state)
{
    (void)state;
    grpc_metadata bad = {.key = grpc_slice_from_static_string(GW_RPC_DETAILS_KEY),
                         .value = grpc_slice_from_static_string("\xff\xff\xff\x01 no protobuf")};
    grpc_metadata_array trailers = {.count = 1, .metadata = &bad};
    struct gw_error err;
    gw_rpc_status_decode(GRPC_STATUS_ABORTED, GW_STR("stale etag"), &trailers, &err);
    assert_int_equal(err.code, GW_ABORTED);
    assert_string_equal(err.message, "stale etag");
    assert_int_equal(err.violation_count, 0);
}

static void test_codes_that_we_do_not_have(void **state)
{
    (void)state;
    grpc_metadata_array none = {0};
    struct gw_error err;
    gw_rpc_status_decode(GRPC_STATUS_DATA_LOSS, GW_STR("x"), &none, &err);
    assert_int_equal(err.code, GW_INTERNAL);
    gw_rpc_status_decode((grpc_status_code)77, GW_STR("x"), &none, &err);
    assert_int_equal(err.code, GW_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_error_has_its_code_for_a_reason),
        cmocka_unit_test(test_reason_code_and_violations_survive),
        cmocka_unit_test(test_details_are_cut_to_what_clients_take),
        cmocka_unit_test(test_foreign_details_do_no_harm),
        cmocka_unit_test(test_codes_that_we_do_not_have),
    };
    gw_rpc_core_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gw_rpc_core_done();
    return failed;
}
