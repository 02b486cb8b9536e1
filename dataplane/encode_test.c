/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/encode.h"

#include "common/test.h"

static void callers_say_what_they_accept(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool want;
    } cases[] = {
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"x-gzip", true},
        {"br, gzip", true},
        {"deflate, br", false},
        {"identity", false},
        {"*", true},
        {"*;q=0", false},
        {"gzip;q=0", false},
        {"gzip;q=0.000", false},
        {"gzip; Q=0 , *", false},
        {"*;q=0, gzip", true},
        {"gzip;q=0.001", true},
        {"gzip ; q = 1", true},
        {"gzip;q=", true},
        {"gzipped", false},
        {"identity;q=0, *;q=0.5", true},
        {",,gzip,", true},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        if (dp_encode_is_accepted(gw_str_from(cases[i].list)) != cases[i].want)
            fail_msg("\"%s\"", cases[i].list);
    assert_false(dp_encode_is_accepted(GW_STR_NONE));
}

static void types_are_listed(void **state)
{
    (void)state;
    static const char *const listed[] = {"application/json", "Application/JSON; charset=utf-8",
                                         "text/plain;charset=x", "image/svg+xml", "text/css "};
    static const char *const others[] = {"",
                                         "text/html",
                                         "image/png",
                                         "text/event-stream",
                                         "application/grpc",
                                         "application/jsonx",
                                         ";text/plain"};
    for (size_t i = 0; i < GW_ARRAY_LEN(listed); i++)
        assert_true(dp_encode_is_listed(gw_str_from(listed[i])));
    for (size_t i = 0; i < GW_ARRAY_LEN(others); i++)
        assert_false(dp_encode_is_listed(gw_str_from(others[i])));
    assert_false(dp_encode_is_listed(GW_STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_say_what_they_accept),
        cmocka_unit_test(types_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
