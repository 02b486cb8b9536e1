/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"
#include "common/test.h"

#include <errno.h>

static void what_goes_in_comes_out_in_order(void **state)
{
    (void)state;
    struct gw_buf buf;
    gw_buf_init(&buf, 0);
    unsigned in = 0, out = 0;
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < round % 13; i++, in++)
            assert_int_equal(gw_buf_append(&buf, gw_str_n(&(char){(char)in}, 1)), 0);
        for (unsigned i = 0; i < round % 11 && gw_buf_len(&buf); i++, out++) {
            assert_int_equal((unsigned char)gw_buf_view(&buf).ptr[0], out % 256);
            gw_buf_consume(&buf, 1);
        }
        assert_int_equal(gw_buf_len(&buf), in - out);
    }
    assert_true(in > out);
    gw_buf_done(&buf);
}

static void the_limit_holds_for_the_content(void **state)
{
    (void)state;
    struct gw_buf buf;
    gw_buf_init(&buf, 8);
    assert_int_equal(gw_buf_append(&buf, GW_STR("12345678")), 0);
    assert_int_equal(gw_buf_append(&buf, GW_STR("9")), -ENOBUFS);
    assert_int_equal(gw_buf_reserve(&buf, SIZE_MAX), -ENOBUFS);
    assert_str(gw_buf_view(&buf), "12345678");
    gw_buf_consume(&buf, 3);
    assert_int_equal(gw_buf_append(&buf, GW_STR("abc")), 0);
    assert_str(gw_buf_view(&buf), "45678abc");
    assert_int_equal(buf.capacity, 8);
    assert_int_equal(gw_buf_printf(&buf, "%d", 1), -ENOBUFS);
    gw_buf_consume(&buf, 2);
    assert_int_equal(gw_buf_printf(&buf, "%d", 42), 0);
    assert_str(gw_buf_view(&buf), "678abc42");
    gw_buf_done(&buf);
}

static void an_unlimited_buffer_refuses_only_the_absurd(void **state)
{
    (void)state;
    struct gw_buf buf;
    gw_buf_init(&buf, 0);
    assert_int_equal(gw_buf_reserve(&buf, SIZE_MAX), -ENOBUFS);
    assert_int_equal(gw_buf_append(&buf, GW_STR_NONE), 0);
    assert_int_equal(gw_buf_len(&buf), 0);
    gw_buf_done(&buf);
}

static void reserve_then_commit(void **state)
{
    (void)state;
    struct gw_buf buf;
    gw_buf_init(&buf, 4096);
    assert_int_equal(gw_buf_reserve(&buf, 300), 0);
    memset(buf.data + buf.end, 'x', 300);
    gw_buf_commit(&buf, 300);
    assert_int_equal(gw_buf_len(&buf), 300);
    gw_buf_consume(&buf, 300);
    assert_int_equal(buf.start, 0);
    assert_str(gw_buf_view(&buf), "");
    gw_buf_done(&buf);
    assert_int_equal(buf.limit_bytes, 4096);
    assert_int_equal(gw_buf_append(&buf, GW_STR("again")), 0);
    gw_buf_clear(&buf);
    assert_int_equal(gw_buf_len(&buf), 0);
    gw_buf_done(&buf);
}

static void printf_of_any_length(void **state)
{
    (void)state;
    struct gw_buf buf;
    gw_buf_init(&buf, 0);
    size_t len = 0;
    for (int width = 250; width < 260; width++) {
        assert_int_equal(gw_buf_printf(&buf, "%*d", width, 5), 0);
        len += (size_t)width;
        assert_int_equal(gw_buf_len(&buf), len);
        assert_int_equal(gw_buf_view(&buf).ptr[len - 1], '5');
    }
    gw_buf_done(&buf);
    gw_buf_init(&buf, 300); /* the NUL of vsnprintf is not content */
    assert_int_equal(gw_buf_printf(&buf, "%300d", 5), 0);
    gw_buf_done(&buf);
}

static void an_empty_buffer_has_an_empty_view(void **state)
{
    (void)state;
    struct gw_buf buf = {0};
    assert_null(gw_buf_view(&buf).ptr);
    assert_int_equal(gw_buf_view(&buf).len, 0);
    gw_buf_consume(&buf, 0);
    gw_buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out_in_order),
        cmocka_unit_test(the_limit_holds_for_the_content),
        cmocka_unit_test(an_unlimited_buffer_refuses_only_the_absurd),
        cmocka_unit_test(reserve_then_commit),
        cmocka_unit_test(printf_of_any_length),
        cmocka_unit_test(an_empty_buffer_has_an_empty_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
