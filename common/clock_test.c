/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"
#include "common/test.h"

#include <time.h>

static void real_clocks_are_the_system_ones(void **state)
{
    (void)state;
    gw_nsec before = gw_clock_monotonic_ns();
    gw_nsec after = gw_clock_monotonic_ns();
    assert_true(before > 0 && after >= before);
    assert_true(gw_clock_monotonic_ms() >= after / 1000000);
    time_t now = time(NULL);
    assert_in_range(gw_clock_wall_ms() / 1000, now, now + 60);
}

static void fake_clocks_stand_still(void **state)
{
    (void)state;
    gw_clock_fake(1500, 1767225600123);
    assert_int_equal(gw_clock_monotonic_ms(), 1500);
    assert_int_equal(gw_clock_monotonic_ns(), 1500000000);
    assert_int_equal(gw_clock_wall_ms(), 1767225600123);
    gw_clock_fake_off();
    assert_int_not_equal(gw_clock_wall_ms(), 1767225600123);
}

static void rfc3339_of(gw_msec wall_ms, const char *want)
{
    char text[GW_RFC3339_LEN + 1];
    gw_clock_to_rfc3339(wall_ms, text);
    assert_string_equal(text, want);
}

static void rfc3339_in_utc_with_milliseconds(void **state)
{
    (void)state;
    rfc3339_of(0, "1970-01-01T00:00:00.000Z");
    rfc3339_of(1767225600123, "2026-01-01T00:00:00.123Z");
    rfc3339_of(1709210096007, "2024-02-29T12:34:56.007Z");
    rfc3339_of(-1, "1969-12-31T23:59:59.999Z");
    rfc3339_of(INT64_MAX, "9999-12-31T23:59:59.999Z");
    rfc3339_of(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_clocks_are_the_system_ones),
        cmocka_unit_test(fake_clocks_stand_still),
        cmocka_unit_test(rfc3339_in_utc_with_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
