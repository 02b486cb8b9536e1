/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void rows_are_complete(void **state)
{
    (void)state;
    for (unsigned i = DP_REFUSAL_NONE + 1; i < DP_REFUSAL_COUNT; i++) {
        const struct dp_refusal_row *row = dp_refusal_row((enum dp_refusal)i);
        assert_in_range(row->status, 400, 599);
        assert_int_equal(row->code.len, strlen("APIG.0000"));
        assert_true(gw_str_has_prefix(row->code, GW_STR("APIG.")));
        assert_true(row->message.len > 0);
        assert_true(gw_str_find(row->reason, '.') > 0);
    }
}

/* The reason word is a metric label: two refusals under one word could not be told apart. */
static void reasons_are_unique(void **state)
{
    (void)state;
    for (unsigned i = 1; i < DP_REFUSAL_COUNT; i++) {
        for (unsigned k = i + 1; k < DP_REFUSAL_COUNT; k++) {
            assert_false(gw_str_eq(dp_refusal_row((enum dp_refusal)i)->reason,
                                   dp_refusal_row((enum dp_refusal)k)->reason));
        }
    }
}

static void settled_statuses(void **state)
{
    (void)state;
    assert_int_equal(dp_refusal_row(DP_REFUSE_APP_FROZEN)->status, 403);
    assert_int_equal(dp_refusal_row(DP_REFUSE_APP_UNAUTHORIZED)->status, 403);
    assert_int_equal(dp_refusal_row(DP_REFUSE_HEADERS_TOO_LARGE)->status, 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(reasons_are_unique),
        cmocka_unit_test(settled_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
