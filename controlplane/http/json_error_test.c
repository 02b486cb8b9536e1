/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_error.h"

#include "common/test.h"

static void writes(const struct gw_error *err, unsigned status, const char *json)
{
    gw_auto(gw_buf_done) struct gw_buf text = {0};
    cp_json_error_write(&text, err, status);
    assert_int_equal(gw_buf_append(&text, gw_str_n("", 1)), 0);
    assert_string_equal(gw_buf_view(&text).ptr, json);
}

static void test_codes_reasons_and_fields(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(&err, GW_NOT_FOUND, "no \"group\"");
    writes(&err, 404,
           "{\"error\":{\"code\":404,\"message\":\"no \\\"group\\\"\",\"status\":\"NOT_FOUND\","
           "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":"
           "\"NOT_FOUND\",\"domain\":\"penstock\",\"metadata\":{}}]}}\n");
    err = GW_ERROR_NONE;
    (void)gw_fail_field(&err, "frontend.path", "is wrong");
    (void)gw_fail_field(&err, "name", "\xc3\xa4");
    (void)gw_error_reason(&err, "WRONG");
    (void)gw_error_apig(&err, "APIG.2011");
    writes(&err, 400,
           "{\"error\":{\"code\":400,\"message\":\"frontend.path: is wrong\",\"status\":"
           "\"INVALID_ARGUMENT\",\"details\":[{\"@type\":"
           "\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"WRONG\",\"domain\":"
           "\"penstock\",\"metadata\":{\"apig_code\":\"APIG.2011\"}},{\"@type\":"
           "\"type.googleapis.com/google.rpc.BadRequest\",\"fieldViolations\":[{\"field\":"
           "\"frontend.path\",\"description\":\"is wrong\"},{\"field\":\"name\",\"description\":"
           "\"\xc3\xa4\"}]}]}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_codes_reasons_and_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
