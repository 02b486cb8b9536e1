/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/input.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct dp_blocks blocks;

static size_t put(struct dp_input *input, char byte, size_t count, size_t want)
{
    size_t room;
    char *at = dp_input_room(input, &blocks, want, &room);
    if (!at)
        return 0;
    count = GW_MIN(count, room);
    memset(at, byte, count);
    dp_input_commit(input, count);
    return count;
}

static void a_block_is_held_only_while_bytes_are_unread(void **state)
{
    (void)state;
    struct dp_input input = {0};
    assert_int_equal(put(&input, 'a', 100, 0), 100);
    assert_int_equal(dp_input_view(&input).len, 100);
    dp_input_consume(&input, 100);
    dp_input_release(&input, &blocks);
    assert_null(input.block);
    assert_int_equal(blocks.free_count[1], 1);
    dp_input_done(&input, &blocks);
}

static void a_held_head_stays_while_the_body_streams(void **state)
{
    (void)state;
    struct dp_input input = {0};
    put(&input, 'h', 500, 0);
    put(&input, 'b', 10, 0);
    const char *head = dp_input_view(&input).ptr;
    dp_input_consume(&input, 500);
    dp_input_hold(&input);
    for (size_t total = 0; total < 1000000;) {
        total += put(&input, 'b', 70000, 1000000 - total);
        gw_str view = dp_input_view(&input);
        for (size_t i = 0; i < view.len; i++)
            assert_int_equal(view.ptr[i], 'b');
        dp_input_consume(&input, view.len);
    }
    assert_int_equal(head[0], 'h');
    assert_int_equal(head[499], 'h');
    dp_input_release(&input, &blocks);
    assert_null(input.block);
    assert_null(input.held);
}

static void unread_bytes_survive_the_move_out_of_a_held_block(void **state)
{
    (void)state;
    struct dp_input input = {0};
    put(&input, 'h', 100, 0);
    dp_input_consume(&input, 100);
    dp_input_hold(&input);
    while (dp_input_room_left(&input) > 0)
        put(&input, 'n', 5000, 0);
    size_t unread = dp_input_view(&input).len;
    assert_true(put(&input, 'm', 1, 0) == 1);
    gw_str view = dp_input_view(&input);
    assert_int_equal(view.len, unread + 1);
    assert_int_equal(view.ptr[0], 'n');
    assert_int_equal(view.ptr[unread], 'm');
    dp_input_release(&input, &blocks);
    assert_int_equal(dp_input_view(&input).len, unread + 1);
    dp_input_done(&input, &blocks);
}

static void unread_bytes_are_bounded(void **state)
{
    (void)state;
    struct dp_input input = {0};
    size_t total = 0, n;
    while ((n = put(&input, 'x', 1 << 20, 0)) > 0)
        total += n;
    assert_int_equal(total, DP_BLOCK_MAX);
    dp_input_consume(&input, 1);
    assert_int_equal(put(&input, 'x', 5, 0), 1);
    dp_input_done(&input, &blocks);
}

static void the_held_block_can_outlive_the_input(void **state)
{
    (void)state;
    struct dp_input input = {0};
    put(&input, 'h', 100, 0);
    dp_input_consume(&input, 100);
    dp_input_hold(&input);
    struct dp_block *held = dp_input_take_held(&input);
    assert_non_null(held);
    assert_null(input.block);
    assert_int_equal(held->data[0], 'h');
    dp_block_give(&blocks, held);
    dp_input_done(&input, &blocks);
}

static void output_blocks_grow_and_keep_their_content(void **state)
{
    (void)state;
    struct dp_block *block = NULL;
    size_t total = 0;
    for (size_t n = 1; n < 400000; n *= 3) {
        dp_block_reserve(&blocks, &block, n);
        memset(block->data + block->end, 'o', n);
        block->end += (uint32_t)n;
        total += n;
    }
    assert_int_equal(block->end - block->start, total);
    assert_int_equal(block->data[block->start], 'o');
    dp_block_give(&blocks, block);
}

static int teardown(void **state)
{
    (void)state;
    dp_blocks_done(&blocks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_held_only_while_bytes_are_unread),
        cmocka_unit_test(a_held_head_stays_while_the_body_streams),
        cmocka_unit_test(unread_bytes_survive_the_move_out_of_a_held_block),
        cmocka_unit_test(unread_bytes_are_bounded),
        cmocka_unit_test(the_held_block_can_outlive_the_input),
        cmocka_unit_test(output_blocks_grow_and_keep_their_content),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
