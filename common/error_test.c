/* SPDX-License-Identifier: Apache-2.0 */
#include "common/error.h"
#include "common/test.h"

static void fail_sets_code_and_message_and_clears_the_rest(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    gw_fail_field(&err, "name", "is required");
    gw_error_reason(&err, "NAME_MISSING");
    gw_error_apig(&err, "APIG.3301");
    assert_int_equal(gw_fail(&err, GW_NOT_FOUND, "no api %s", "a1"), -1);
    assert_int_equal(err.code, GW_NOT_FOUND);
    assert_string_equal(err.message, "no api a1");
    assert_string_equal(err.reason, "");
    assert_string_equal(err.apig, "");
    assert_int_equal(err.violation_count, 0);
}

static void a_message_may_quote_the_one_before(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    gw_fail(&err, GW_INTERNAL, "disk is full");
    gw_fail(&err, GW_UNAVAILABLE, "store: %s", err.message);
    assert_string_equal(err.message, "store: disk is full");
    gw_fail_field(&err, "x", "%s!", err.message);
    assert_string_equal(err.message, "x: store: disk is full!");
}

static void violations_gather_up_to_the_maximum(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(gw_fail_field(&err, "backend.http.timeout", "must be at most %d s", 60), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.message, "backend.http.timeout: must be at most 60 s");
    for (int i = 0; i < GW_ERROR_VIOLATIONS_MAX + 5; i++)
        gw_fail_field(&err, "other", "rule %d", i);
    assert_int_equal(err.violation_count, GW_ERROR_VIOLATIONS_MAX);
    assert_string_equal(err.violations[0].field, "backend.http.timeout");
    assert_string_equal(err.violations[0].rule, "must be at most 60 s");
    assert_string_equal(err.violations[15].rule, "rule 14");
    assert_string_equal(err.message, "backend.http.timeout: must be at most 60 s");
    gw_fail_field(&(struct gw_error){0}, "", "whole message");
}

static void texts_are_cut_and_stay_utf8(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    char longest[2000];
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = 0;
    memcpy(longest + GW_ERROR_MESSAGE_MAX - 2, "\xc3\xbc", 2); /* the cut falls between the two */
    gw_fail(&err, GW_INTERNAL, "%s", longest);
    assert_int_equal(strlen(err.message), GW_ERROR_MESSAGE_MAX - 1);
    assert_true(gw_str_is_utf8(gw_str_from(err.message)));
    gw_fail(&err, GW_INTERNAL, "got \"\xff\xc3\xbc\xc3\"");
    assert_string_equal(err.message, "got \"?\xc3\xbc?\"");
    gw_fail_field(&err, longest, "%s", longest);
    assert_int_equal(strlen(err.violations[0].field), GW_ERROR_FIELD_MAX - 1);
    assert_true(gw_str_is_utf8(gw_str_from(err.violations[0].rule)));
    gw_error_reason(&err, longest);
    assert_int_equal(strlen(err.reason), sizeof(err.reason) - 1);
    gw_error_apig(&err, longest);
    assert_int_equal(strlen(err.apig), sizeof(err.apig) - 1);
}

static void codes_have_names_and_http_statuses(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *name;
        int http;
    } rows[] = {
        {0, "OK", 200},
        {1, "CANCELLED", 499},
        {2, "UNKNOWN", 500},
        {3, "INVALID_ARGUMENT", 400},
        {4, "DEADLINE_EXCEEDED", 504},
        {5, "NOT_FOUND", 404},
        {6, "ALREADY_EXISTS", 409},
        {7, "PERMISSION_DENIED", 403},
        {8, "RESOURCE_EXHAUSTED", 429},
        {9, "FAILED_PRECONDITION", 400},
        {10, "ABORTED", 409},
        {11, "OUT_OF_RANGE", 400},
        {12, "UNIMPLEMENTED", 501},
        {13, "INTERNAL", 500},
        {14, "UNAVAILABLE", 503},
        {15, "UNKNOWN", 500}, /* DATA_LOSS: never ours */
        {16, "UNAUTHENTICATED", 401},
        {17, "UNKNOWN", 500},
        {-1, "UNKNOWN", 500},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(rows); i++) {
        assert_string_equal(gw_code_name((enum gw_code)rows[i].code), rows[i].name);
        assert_int_equal(gw_code_to_http((enum gw_code)rows[i].code), rows[i].http);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_sets_code_and_message_and_clears_the_rest),
        cmocka_unit_test(a_message_may_quote_the_one_before),
        cmocka_unit_test(violations_gather_up_to_the_maximum),
        cmocka_unit_test(texts_are_cut_and_stay_utf8),
        cmocka_unit_test(codes_have_names_and_http_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
