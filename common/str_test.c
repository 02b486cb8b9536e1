/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"
#include "common/test.h"

static void order_is_by_byte_then_length(void **state)
{
    (void)state;
    assert_true(gw_str_cmp(GW_STR("ab"), GW_STR("b")) < 0);
    assert_true(gw_str_cmp(GW_STR("b"), GW_STR("ab")) > 0);
    assert_true(gw_str_cmp(GW_STR("a"), GW_STR("ab")) < 0);
    assert_true(gw_str_cmp(GW_STR("ab"), GW_STR("a")) > 0);
    assert_true(gw_str_cmp(GW_STR("\xff"), GW_STR("a")) > 0);
    assert_int_equal(gw_str_cmp(GW_STR("ab"), GW_STR("ab")), 0);
    assert_int_equal(gw_str_cmp(GW_STR_NONE, GW_STR("")), 0);
    assert_true(gw_str_cmp(GW_STR_NONE, GW_STR("a")) < 0);
}

static void equality_folds_ascii_only(void **state)
{
    (void)state;
    assert_true(gw_str_eq_nocase(GW_STR("Content-Length"), GW_STR("cONTENT-lENGTH")));
    assert_false(gw_str_eq_nocase(GW_STR("a"), GW_STR("ab")));
    assert_false(gw_str_eq_nocase(GW_STR("@"), GW_STR("`")));
    assert_false(gw_str_eq_nocase(GW_STR("["), GW_STR("{")));
    assert_false(gw_str_eq_nocase(GW_STR("\xc4"), GW_STR("\xe4")));
    assert_true(gw_str_eq(GW_STR_NONE, GW_STR("")));
    assert_false(gw_str_eq(GW_STR("a"), GW_STR("A")));
}

static void prefix_and_suffix(void **state)
{
    (void)state;
    assert_true(gw_str_has_prefix(GW_STR("/v1/x"), GW_STR("/v1")));
    assert_false(gw_str_has_prefix(GW_STR("/v"), GW_STR("/v1")));
    assert_true(gw_str_has_prefix(GW_STR_NONE, GW_STR_NONE));
    assert_true(gw_str_has_suffix(GW_STR("a.example"), GW_STR(".example")));
    assert_false(gw_str_has_suffix(GW_STR("example"), GW_STR(".example")));
    assert_true(gw_str_has_suffix(GW_STR("x"), GW_STR("")));
}

static void trim_takes_blanks_off_both_ends(void **state)
{
    (void)state;
    assert_str(gw_str_trim(GW_STR(" \t a b\t ")), "a b");
    assert_str(gw_str_trim(GW_STR(" \t ")), "");
    assert_str(gw_str_trim(GW_STR("\r\n")), "\r\n");
    assert_str(gw_str_trim(GW_STR_NONE), "");
}

static void split_visits_every_part(void **state)
{
    (void)state;
    static const char *const want[] = {"a", "", "b", ""};
    gw_str rest = GW_STR("a,,b,");
    unsigned i = 0;
    while (rest.ptr) {
        gw_str part = gw_str_split(&rest, ',');
        assert_true(i < GW_ARRAY_LEN(want));
        assert_str(part, want[i++]);
    }
    assert_int_equal(i, GW_ARRAY_LEN(want));
    assert_int_equal(gw_str_find(GW_STR("abc"), 'c'), 2);
    assert_int_equal(gw_str_find(GW_STR("abc"), 'd'), -1);
    assert_int_equal(gw_str_find(GW_STR_NONE, 'd'), -1);
}

static void numbers_are_digits_within_the_bound(void **state)
{
    (void)state;
    uint64_t value = 77;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1a", "256", "2560"};
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(gw_str_to_u64(gw_str_from(bad[i]), 255, &value), -1);
    assert_int_equal(value, 77);
    assert_int_equal(gw_str_to_u64(GW_STR("255"), 255, &value), 0);
    assert_int_equal(value, 255);
    assert_int_equal(gw_str_to_u64(GW_STR("00012"), 255, &value), 0);
    assert_int_equal(value, 12);
    assert_int_equal(gw_str_to_u64(GW_STR("5"), 3, &value), -1);
    assert_int_equal(gw_str_to_u64(GW_STR("0"), 0, &value), 0);
    assert_int_equal(gw_str_to_u64(GW_STR("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(gw_str_to_u64(GW_STR("18446744073709551616"), UINT64_MAX, &value), -1);
    assert_int_equal(gw_str_to_u64(GW_STR("99999999999999999999"), UINT64_MAX, &value), -1);
}

static void assert_digits(uint64_t value, const char *want)
{
    char text[GW_U64_DIGITS];
    assert_int_equal(gw_str_put_u64(text, value) - text, strlen(want));
    assert_memory_equal(text, want, strlen(want));
}

static void numbers_are_written_without_zeros_in_front(void **state)
{
    (void)state;
    assert_digits(0, "0");
    assert_digits(9, "9");
    assert_digits(10, "10");
    assert_digits(65535, "65535");
    assert_digits(UINT64_MAX, "18446744073709551615");
}

static void utf8_is_what_unicode_says(void **state)
{
    (void)state;
    static const char *const good[] = {
        "",
        "plain",
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "gr\xc3\xbc\xc3\x9f dich",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2 ",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xe1\x80 ",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "a\xfe",
        "\xf1\x80\x80\xc0",
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(good); i++)
        if (!gw_str_is_utf8(gw_str_from(good[i])))
            fail_msg("good %u refused", i);
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (gw_str_is_utf8(gw_str_from(bad[i])))
            fail_msg("bad %u accepted", i);
    assert_false(gw_str_is_utf8(gw_str_n("a\0b", 3)));
    assert_int_equal(gw_str_utf8_step(GW_STR("\xe2\x82\xac!")), 3);
    assert_int_equal(gw_str_utf8_step(GW_STR_NONE), 0);
}

static void assert_json(gw_str s, const char *want)
{
    char got[128] = "", scratch[8];
    while (s.len) {
        gw_str piece = gw_str_json_step(&s, scratch);
        assert_true(piece.len > 0);
        strncat(got, piece.ptr, piece.len);
    }
    assert_string_equal(got, want);
}

static void json_text_is_escaped_and_always_utf8(void **state)
{
    (void)state;
    assert_json(GW_STR("plain gr\xc3\xbc\xc3\x9f"), "plain gr\xc3\xbc\xc3\x9f");
    assert_json(GW_STR("a\"b\\c/\n\t\r\b\x7f"), "a\\\"b\\\\c/\\n\\t\\r\\u0008\\u007f");
    assert_json(gw_str_n("a\0\x1f", 3), "a\\u0000\\u001f");
    assert_json(GW_STR("\xff"
                       "a\xc3"),
                "\\ufffda\\ufffd");
    assert_json(GW_STR_NONE, "");
}

static void hash_spreads_short_keys_in_the_low_bits(void **state)
{
    (void)state;
    unsigned used[64] = {0};
    for (int c = 0; c < 256; c++) {
        char text[2] = {'k', (char)c};
        used[gw_str_hash(gw_str_n(text, 2)) % 64]++;
    }
    for (int i = 0; i < 64; i++)
        assert_in_range(used[i], 0, 16);
    assert_true(gw_str_hash(GW_STR("a")) == gw_str_hash(GW_STR("a")));
    assert_true(gw_str_hash(GW_STR("a")) != gw_str_hash(GW_STR("b")));
    assert_true(gw_str_hash(GW_STR_NONE) == gw_str_hash(GW_STR("")));
}

static void secrets_compare_whole(void **state)
{
    (void)state;
    assert_true(gw_str_eq_secret(GW_STR("s3cret"), GW_STR("s3cret")));
    assert_false(gw_str_eq_secret(GW_STR("s3cret"), GW_STR("S3cret")));
    assert_false(gw_str_eq_secret(GW_STR("s3cret"), GW_STR("s3creT")));
    assert_false(gw_str_eq_secret(GW_STR("s3cret"), GW_STR("s3cre")));
    assert_true(gw_str_eq_secret(GW_STR_NONE, GW_STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_by_byte_then_length),
        cmocka_unit_test(equality_folds_ascii_only),
        cmocka_unit_test(prefix_and_suffix),
        cmocka_unit_test(trim_takes_blanks_off_both_ends),
        cmocka_unit_test(split_visits_every_part),
        cmocka_unit_test(numbers_are_digits_within_the_bound),
        cmocka_unit_test(numbers_are_written_without_zeros_in_front),
        cmocka_unit_test(utf8_is_what_unicode_says),
        cmocka_unit_test(json_text_is_escaped_and_always_utf8),
        cmocka_unit_test(hash_spreads_short_keys_in_the_low_bits),
        cmocka_unit_test(secrets_compare_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
