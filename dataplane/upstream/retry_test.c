/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/retry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

static bool allowed(enum dp_upstream_failure failure, bool idempotent, int32_t count,
                    unsigned retries)
{
    struct dp_retry_case c = {.failure = failure,
                              .is_idempotent = idempotent,
                              .has_sent = true,
                              .can_replay = true,
                              .retry_count = count,
                              .retries = retries,
                              .members = 1};
    return dp_retry_is_allowed(&c);
}

static void answers_that_did_not_come_are_retried_when_safe(void **state)
{
    (void)state;
    static const enum dp_upstream_failure failures[] = {DP_FAILURE_RESET, DP_FAILURE_TIMEOUT,
                                                        DP_FAILURE_STATUS};
    for (size_t i = 0; i < GW_ARRAY_LEN(failures); i++) {
        assert_true(allowed(failures[i], true, -1, 0));
        assert_false(allowed(failures[i], true, -1, 1));
        assert_false(allowed(failures[i], false, -1, 0));
        assert_false(allowed(failures[i], true, 0, 0));
        assert_true(allowed(failures[i], false, 2, 1));
        assert_false(allowed(failures[i], false, 2, 2));
    }
    assert_false(allowed(DP_FAILURE_PROTOCOL, true, 5, 0));
}

static void what_was_never_sent_goes_to_another_member(void **state)
{
    (void)state;
    struct dp_retry_case c = {
        .failure = DP_FAILURE_CONNECT, .can_replay = true, .retry_count = 0, .members = 2};
    assert_true(dp_retry_is_allowed(&c));
    c.retries = 1;
    assert_false(dp_retry_is_allowed(&c));
    c.retries = 0;
    c.members = 1;
    assert_false(dp_retry_is_allowed(&c));
    c.retry_count = 1;
    assert_true(dp_retry_is_allowed(&c));
}

static void who_takes_no_tunnel_is_not_asked_again(void **state)
{
    (void)state;
    struct dp_retry_case c = {
        .failure = DP_FAILURE_NO_TUNNEL, .can_replay = true, .retry_count = 3, .members = 1};
    assert_false(dp_retry_is_allowed(&c));
    c.members = 2;
    assert_true(dp_retry_is_allowed(&c));
    c.retries = 3;
    assert_false(dp_retry_is_allowed(&c));
}

static void a_stale_connection_does_not_count(void **state)
{
    (void)state;
    struct dp_retry_case c = {.failure = DP_FAILURE_STALE,
                              .is_idempotent = true,
                              .has_sent = true,
                              .can_replay = true,
                              .members = 1};
    assert_true(dp_retry_is_allowed(&c));
    c.is_idempotent = false;
    assert_false(dp_retry_is_allowed(&c));
    c.has_sent = false;
    assert_true(dp_retry_is_allowed(&c));
}

static void a_body_that_is_gone_is_never_sent_again(void **state)
{
    (void)state;
    for (int failure = 0; failure < DP_FAILURE_COUNT; failure++) {
        struct dp_retry_case c = {.failure = (enum dp_upstream_failure)failure,
                                  .is_idempotent = true,
                                  .retry_count = 10,
                                  .members = 3};
        assert_false(dp_retry_is_allowed(&c));
    }
}

static unsigned take_all(struct dp_retry_budgets *budgets, const void *channel, gw_msec now)
{
    unsigned taken = 0;
    while (dp_retry_take(budgets, channel, now))
        taken++;
    return taken;
}

static void the_budget_is_a_fifth_and_at_least_three(void **state)
{
    (void)state;
    struct dp_retry_budgets *budgets = gw_calloc(1, sizeof(*budgets));
    int busy, quiet;
    for (int i = 0; i < 1000; i++)
        dp_retry_count_request(budgets, &busy, 5000);
    assert_int_equal(take_all(budgets, &busy, 5999), 200);
    assert_int_equal(take_all(budgets, &busy, 6000), 200); /* by the second before */
    assert_int_equal(take_all(budgets, &busy, 9000), 3);
    dp_retry_count_request(budgets, &quiet, 9000);
    assert_int_equal(take_all(budgets, &quiet, 9000), 3);
    free(budgets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_did_not_come_are_retried_when_safe),
        cmocka_unit_test(what_was_never_sent_goes_to_another_member),
        cmocka_unit_test(who_takes_no_tunnel_is_not_asked_again),
        cmocka_unit_test(a_stale_connection_does_not_count),
        cmocka_unit_test(a_body_that_is_gone_is_never_sent_again),
        cmocka_unit_test(the_budget_is_a_fifth_and_at_least_three),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
