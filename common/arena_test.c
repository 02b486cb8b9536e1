/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arena.h"
#include "common/test.h"

static void a_zeroed_arena_can_be_ended_and_used(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    gw_arena_done(&arena);
    assert_str(gw_arena_dup(&arena, GW_STR("x")), "x");
    assert_true(arena.total_bytes > 0);
    gw_arena_done(&arena);
    assert_int_equal(arena.total_bytes, 0);
}

static void memory_is_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct gw_arena arena;
    gw_arena_init(&arena, 256);
    unsigned char *parts[200];
    for (size_t i = 0; i < GW_ARRAY_LEN(parts); i++) {
        size_t size = i % 50;
        (void)gw_arena_bytes(&arena, i % 7); /* puts the next one off its alignment */
        parts[i] = gw_arena_zalloc(&arena, size);
        assert_int_equal((uintptr_t)parts[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(parts[i][k], 0);
        memset(parts[i], (int)i, size);
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(parts); i++)
        for (size_t k = 0; k < i % 50; k++)
            assert_int_equal(parts[i][k], i);
    assert_ptr_not_equal(gw_arena_alloc(&arena, 0), gw_arena_alloc(&arena, 0));
    gw_arena_done(&arena);
}

static void a_large_request_leaves_the_current_block_in_use(void **state)
{
    (void)state;
    struct gw_arena arena;
    gw_arena_init(&arena, 1024);
    (void)gw_arena_alloc(&arena, 8);
    char *at = arena.at;
    memset(gw_arena_alloc(&arena, 100000), 1, 100000);
    assert_ptr_equal(arena.at, at);
    (void)gw_arena_alloc(&arena, 8);
    assert_ptr_not_equal(arena.at, at);
    gw_arena_done(&arena);
}

static void reset_keeps_one_ordinary_block(void **state)
{
    (void)state;
    struct gw_arena arena;
    gw_arena_init(&arena, 512);
    (void)gw_arena_alloc(&arena, 16);
    size_t one = arena.total_bytes;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            memset(gw_arena_alloc(&arena, 100), i, 100);
        (void)gw_arena_alloc(&arena, 5000);
        assert_true(arena.total_bytes > 10000);
        gw_arena_reset(&arena);
        assert_int_equal(arena.total_bytes, one);
    }
    gw_arena_done(&arena);
    gw_arena_init(&arena, 512);
    (void)gw_arena_alloc(&arena, 5000);
    gw_arena_reset(&arena);
    assert_int_equal(arena.total_bytes, 0);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    gw_str copy = gw_arena_dup(&arena, gw_str_n("a\0b", 3));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    assert_string_equal(gw_arena_dup(&arena, GW_STR_NONE).ptr, "");
    assert_string_equal(gw_arena_strdup(&arena, "groups/a"), "groups/a");
    assert_str(gw_arena_printf(&arena, "%s-%d", "x", 7), "x-7");
    assert_str(gw_arena_printf(&arena, "%s", ""), "");
    for (int width = 250; width < 260; width++) {
        gw_str text = gw_arena_printf(&arena, "%*d", width, 1);
        assert_int_equal(text.len, width);
        assert_int_equal(strlen(text.ptr), width);
    }
    gw_arena_done(&arena);
}

static char trace[16];
static struct gw_arena nested;

static void note(void *ptr)
{
    strncat(trace, ptr, sizeof(trace) - strlen(trace) - 1);
}

static void note_and_defer(void *ptr)
{
    note(ptr);
    gw_arena_defer(&nested, note, "n");
}

static void defers_run_once_newest_first(void **state)
{
    (void)state;
    trace[0] = 0;
    gw_arena_init(&nested, 0);
    gw_arena_defer(&nested, note, "1");
    gw_arena_defer(&nested, note_and_defer, "2");
    gw_arena_defer(&nested, note, "3");
    gw_arena_reset(&nested);
    assert_string_equal(trace, "32n1");
    gw_arena_defer(&nested, note, "4");
    gw_arena_done(&nested);
    gw_arena_done(&nested);
    assert_string_equal(trace, "32n14");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_arena_can_be_ended_and_used),
        cmocka_unit_test(memory_is_aligned_zeroed_and_apart),
        cmocka_unit_test(a_large_request_leaves_the_current_block_in_use),
        cmocka_unit_test(reset_keeps_one_ordinary_block),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(defers_run_once_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
