/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/date.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_text_follows_the_second(void **state)
{
    (void)state;
    static const struct {
        int64_t second;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
    };
    struct dp_date date = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_str text = dp_date_text(&date, cases[i].second);
        assert_int_equal(text.len, DP_DATE_LEN);
        assert_memory_equal(text.ptr, cases[i].text, DP_DATE_LEN);
        assert_ptr_equal(dp_date_text(&date, cases[i].second).ptr, text.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_text_follows_the_second)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
