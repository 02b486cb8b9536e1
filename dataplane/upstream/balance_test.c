/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/balance.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

static _Atomic uint64_t cursor;

static struct dp_channel channel_of(const struct dp_member *members, unsigned count)
{
    return (struct dp_channel){.members = members, .member_count = count, .cursor = &cursor};
}

static void a_cycle_is_exact_and_mixed(void **state)
{
    (void)state;
    static const struct dp_member members[] = {
        {.weight = 50}, {.weight = 30}, {.weight = 20}, {.weight = 1}};
    struct dp_channel channel = channel_of(members, 4);
    unsigned seen[4] = {0}, run = 0, longest = 0;
    const struct dp_member *before = NULL;
    for (int i = 0; i < 101 * 3; i++) {
        dp_tried tried = 0;
        const struct dp_member *member = dp_balance_pick(&channel, &tried);
        seen[member - members]++;
        run = member == before ? run + 1 : 1;
        longest = run > longest ? run : longest;
        before = member;
    }
    assert_int_equal(seen[0], 150);
    assert_int_equal(seen[1], 90);
    assert_int_equal(seen[2], 60);
    assert_int_equal(seen[3], 3);
    assert_true(longest <= 3);
}

static void random_weights_are_exact_over_a_cycle(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 200; round++) {
        struct dp_member members[8];
        unsigned seen[8] = {0}, total = 0, count = 1 + (unsigned)rand() % 8;
        for (unsigned i = 0; i < count; i++) {
            members[i] = (struct dp_member){.weight = 1 + (uint32_t)rand() % 100};
            total += members[i].weight;
        }
        struct dp_channel channel = channel_of(members, count);
        for (unsigned i = 0; i < total; i++) {
            dp_tried tried = 0;
            seen[dp_balance_pick(&channel, &tried) - members]++;
        }
        for (unsigned i = 0; i < count && count > 1; i++)
            assert_int_equal(seen[i], members[i].weight);
    }
}

static void equal_members_take_turns(void **state)
{
    (void)state;
    static const struct dp_member members[] = {{.weight = 5}, {.weight = 5}, {.weight = 5}};
    struct dp_channel channel = channel_of(members, 3);
    dp_tried tried = 0;
    const struct dp_member *before = dp_balance_pick(&channel, &tried);
    for (int i = 0; i < 9; i++) {
        tried = 0;
        const struct dp_member *member = dp_balance_pick(&channel, &tried);
        assert_int_equal((member - members), (before - members + 1) % 3);
        before = member;
    }
}

static void the_tried_are_passed_over_and_backups_come_last(void **state)
{
    (void)state;
    static const struct dp_member members[] = {
        {.weight = 1, .backup = true}, {.weight = 1}, {.weight = 9}};
    struct dp_channel channel = channel_of(members, 3);
    for (int i = 0; i < 20; i++) {
        dp_tried tried = 0;
        const struct dp_member *first = dp_balance_pick(&channel, &tried);
        const struct dp_member *second = dp_balance_pick(&channel, &tried);
        assert_false(first->backup || second->backup);
        assert_ptr_not_equal(first, second);
        assert_ptr_equal(dp_balance_pick(&channel, &tried), &members[0]);
        assert_null(dp_balance_pick(&channel, &tried));
    }
}

static void an_empty_channel_has_none(void **state)
{
    (void)state;
    struct dp_channel channel = channel_of(NULL, 0);
    dp_tried tried = 0;
    assert_null(dp_balance_pick(&channel, &tried));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cycle_is_exact_and_mixed),
        cmocka_unit_test(random_weights_are_exact_over_a_cycle),
        cmocka_unit_test(equal_members_take_turns),
        cmocka_unit_test(the_tried_are_passed_over_and_backups_come_last),
        cmocka_unit_test(an_empty_channel_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
