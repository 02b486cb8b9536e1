/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_text.h"

#include "common/json.h"
#include "common/test.h"

static void timestamps_round_trip(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {1767225600, 0, "2026-01-01T00:00:00Z"},
        {1709210096, 7000000, "2024-02-29T12:34:56.007Z"},
        {1709210096, 7000, "2024-02-29T12:34:56.000007Z"},
        {1709210096, 7, "2024-02-29T12:34:56.000000007Z"},
        {-1, 999999999, "1969-12-31T23:59:59.999999999Z"},
        {INT64_C(-62135596800), 0, "0001-01-01T00:00:00Z"},
        {INT64_C(253402300799), 999999999, "9999-12-31T23:59:59.999999999Z"},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(rows); i++) {
        char text[GW_JSON_TIME_MAX];
        size_t len = gw_json_print_timestamp(rows[i].seconds, rows[i].nanos, text);
        assert_str(gw_str_n(text, len), rows[i].text);
        int64_t seconds;
        int32_t nanos;
        assert_int_equal(gw_json_parse_timestamp(gw_str_from(rows[i].text), &seconds, &nanos), 0);
        assert_int_equal(seconds, rows[i].seconds);
        assert_int_equal(nanos, rows[i].nanos);
    }
}

static void offsets_and_short_fractions_are_read(void **state)
{
    (void)state;
    int64_t seconds;
    int32_t nanos;
    assert_int_equal(
        gw_json_parse_timestamp(GW_STR("2026-01-01T02:30:00.5+02:30"), &seconds, &nanos), 0);
    assert_int_equal(seconds, 1767225600);
    assert_int_equal(nanos, 500000000);
    assert_int_equal(gw_json_parse_timestamp(GW_STR("2025-12-31T19:00:00-05:00"), &seconds, &nanos),
                     0);
    assert_int_equal(seconds, 1767225600);
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01t00:00:00Z",
        "2026-01-01T00:00:00z",
        "2026-01-01T00:00:00Zx",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00+0200",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+02:60",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-12-31T23:59:59Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "26-01-01T00:00:00Z",
        "+026-01-01T00:00:00Z",
    };
    int64_t seconds = 7;
    int32_t nanos = 7;
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (gw_json_parse_timestamp(gw_str_from(bad[i]), &seconds, &nanos) == 0)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(seconds, 7);
    assert_int_equal(nanos, 7);
}

static void durations_round_trip(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        int32_t nanos;
        const char *text;
    } rows[] = {
        {0, 0, "0s"},
        {15, 0, "15s"},
        {1, 500000000, "1.500s"},
        {0, 1, "0.000000001s"},
        {0, -250000000, "-0.250s"},
        {-3, -1000, "-3.000001s"},
        {INT64_C(315576000000), 999999999, "315576000000.999999999s"},
        {INT64_C(-315576000000), 0, "-315576000000s"},
    };
    int64_t seconds;
    int32_t nanos;
    for (unsigned i = 0; i < GW_ARRAY_LEN(rows); i++) {
        char text[GW_JSON_TIME_MAX];
        size_t len = gw_json_print_duration(rows[i].seconds, rows[i].nanos, text);
        assert_str(gw_str_n(text, len), rows[i].text);
        assert_int_equal(gw_json_parse_duration(gw_str_from(rows[i].text), &seconds, &nanos), 0);
        assert_int_equal(seconds, rows[i].seconds);
        assert_int_equal(nanos, rows[i].nanos);
    }
    static const char *const bad[] = {"",    "s",    "1",    "1.s", ".5s",           "1m",  "+1s",
                                      "1 s", "--1s", "1.5S", "1ss", "315576000001s", "1e3s"};
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (gw_json_parse_duration(gw_str_from(bad[i]), &seconds, &nanos) == 0)
            fail_msg("accepted: %s", bad[i]);
}

/* Messages may hold what no parser lets in. */
static void absurd_times_still_print(void **state)
{
    (void)state;
    char text[GW_JSON_TIME_MAX];
    size_t len = gw_json_print_timestamp(INT64_MAX, -5, text);
    assert_str(gw_str_n(text, len), "9999-12-31T23:59:59Z");
    len = gw_json_print_timestamp(INT64_MIN, INT32_MAX, text);
    assert_str(gw_str_n(text, len), "0001-01-01T00:00:00Z");
    len = gw_json_print_duration(INT64_MIN, INT32_MIN, text);
    assert_str(gw_str_n(text, len), "-315576000000.147483648s");
    struct gw_arena arena = {0};
    assert_str(gw_json_timestamp(&arena, 1, 0), "1970-01-01T00:00:01Z");
    gw_arena_done(&arena);
}

static void names_change_case(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"name", "name"},
                                          {"display_name", "displayName"},
                                          {"a_b.c_d", "aB.cD"},
                                          {"ip_v4", "ipV4"},
                                          {"x_1", "x1"}};
    struct gw_arena arena = {0};
    for (unsigned i = 0; i < GW_ARRAY_LEN(rows); i++) {
        char camel[32];
        gw_str snake = gw_str_from(rows[i][0]);
        assert_str(gw_str_n(camel, gw_json_camel(snake, camel)), rows[i][1]);
    }
    assert_str(gw_json_snake(&arena, GW_STR("displayName.aB")), "display_name.a_b");
    assert_str(gw_json_snake(&arena, GW_STR("display_name")), "display_name");
    gw_arena_done(&arena);
}

static void base64_of_every_length(void **state)
{
    (void)state;
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t n = 0; n < GW_ARRAY_LEN(want); n++) {
        char text[16], bytes[16];
        size_t len;
        gw_json_base64(gw_str_n("foobar", n), text);
        assert_str(gw_str_n(text, GW_BASE64_LEN(n)), want[n]);
        assert_int_equal(gw_json_unbase64(gw_str_from(want[n]), bytes, &len), 0);
        assert_true(gw_str_eq(gw_str_n(bytes, len), gw_str_n("foobar", n)));
        gw_str bare = gw_str_from(want[n]);
        while (gw_str_has_suffix(bare, GW_STR("=")))
            bare.len--;
        assert_int_equal(gw_json_unbase64(bare, bytes, &len), 0);
        assert_int_equal(len, n);
    }
    static const char *const bad[] = {
        "A", "Zg=", "Zh==", "Zm9=", "====", "Zg==Zg==", "Z g=", "\xff\xff"};
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        char bytes[16];
        size_t len;
        if (gw_json_unbase64(gw_str_from(bad[i]), bytes, &len) == 0)
            fail_msg("accepted: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timestamps_round_trip),
        cmocka_unit_test(offsets_and_short_fractions_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(durations_round_trip),
        cmocka_unit_test(absurd_times_still_print),
        cmocka_unit_test(names_change_case),
        cmocka_unit_test(base64_of_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
