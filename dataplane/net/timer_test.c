/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/timer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

#define START 1000003

struct probe {
    struct dp_timer timer;
    gw_msec fired_at;
    unsigned fired;
    struct dp_wheel *rearm; /* arms itself again, 100 ms on */
};

static gw_msec now;

static void on_expired(struct dp_timer *timer)
{
    struct probe *probe = gw_container_of(timer, struct probe, timer);
    probe->fired++;
    probe->fired_at = now;
    if (probe->rearm)
        dp_timer_arm(probe->rearm, timer, now + 100);
}

/* Steps like a loop that sleeps until the wheel wants to be woken. */
static void run_until(struct dp_wheel *wheel, gw_msec end)
{
    while (wheel->next_ms <= end) {
        now = GW_MAX(now, wheel->next_ms);
        dp_wheel_advance(wheel, now);
    }
    now = end;
    dp_wheel_advance(wheel, now);
}

static void timers_fire_in_time(void **state)
{
    (void)state;
    static const gw_msec delays[] = {0,    1,     15,    16,     17,      500,     4095,
                                     4096, 10000, 75000, 600000, 1044000, 3600000, 7200000};
    struct dp_wheel wheel;
    struct probe probes[GW_ARRAY_LEN(delays)] = {0};
    now = START;
    dp_wheel_init(&wheel, now);
    for (size_t i = 0; i < GW_ARRAY_LEN(delays); i++) {
        dp_timer_init(&probes[i].timer, on_expired);
        dp_timer_arm(&wheel, &probes[i].timer, now + delays[i]);
    }
    run_until(&wheel, START + 7300000);
    for (size_t i = 0; i < GW_ARRAY_LEN(delays); i++) {
        assert_int_equal(probes[i].fired, 1);
        assert_in_range(probes[i].fired_at - START, delays[i], delays[i] + 2 * DP_WHEEL_TICK_MS);
    }
    assert_true(wheel.next_ms == INT64_MAX);
}

static void a_stopped_timer_stays_silent(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe probe = {0};
    now = START;
    dp_wheel_init(&wheel, now);
    dp_timer_init(&probe.timer, on_expired);
    dp_timer_stop(&probe.timer);
    dp_timer_arm(&wheel, &probe.timer, now + 50);
    dp_timer_stop(&probe.timer);
    run_until(&wheel, START + 1000);
    assert_int_equal(probe.fired, 0);
}

static void a_resting_timer_stays_silent_until_it_is_armed(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe rested = {0}, sooner = {0}, later = {0};
    now = START;
    dp_wheel_init(&wheel, now);
    dp_timer_init(&rested.timer, on_expired);
    dp_timer_init(&sooner.timer, on_expired);
    dp_timer_init(&later.timer, on_expired);
    dp_timer_rest(&sooner.timer); /* also what was never armed */
    assert_false(dp_timer_is_armed(&sooner.timer));
    dp_timer_arm(&wheel, &rested.timer, now + 50);
    dp_timer_arm(&wheel, &sooner.timer, now + 20000);
    dp_timer_arm(&wheel, &later.timer, now + 50);
    dp_timer_rest(&rested.timer);
    dp_timer_rest(&sooner.timer);
    dp_timer_rest(&later.timer);
    assert_false(dp_timer_is_armed(&rested.timer));
    dp_timer_arm(&wheel, &sooner.timer, now + 50);
    dp_timer_arm(&wheel, &later.timer, now + 20000);
    run_until(&wheel, START + 19999);
    assert_int_equal(rested.fired, 0);
    assert_int_equal(sooner.fired, 1);
    assert_int_equal(later.fired, 0);
    run_until(&wheel, START + 20100);
    assert_int_equal(later.fired, 1);
    assert_int_equal(rested.fired, 0);
    assert_true(wheel.next_ms == INT64_MAX);
}

static void arming_again_moves_the_deadline(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe later = {0}, sooner = {0};
    now = START;
    dp_wheel_init(&wheel, now);
    dp_timer_init(&later.timer, on_expired);
    dp_timer_init(&sooner.timer, on_expired);
    dp_timer_arm(&wheel, &later.timer, now + 50);
    dp_timer_arm(&wheel, &later.timer, now + 20000);
    dp_timer_arm(&wheel, &sooner.timer, now + 20000);
    dp_timer_arm(&wheel, &sooner.timer, now + 50);
    run_until(&wheel, START + 19999);
    assert_int_equal(later.fired, 0);
    assert_int_equal(sooner.fired, 1);
    run_until(&wheel, START + 20100);
    assert_int_equal(later.fired, 1);
    assert_int_equal(sooner.fired, 1);
}

static void a_callback_may_arm_again(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe probe = {.rearm = &wheel};
    now = START;
    dp_wheel_init(&wheel, now);
    dp_timer_init(&probe.timer, on_expired);
    dp_timer_arm(&wheel, &probe.timer, now);
    run_until(&wheel, START + 1000);
    assert_in_range(probe.fired, 8, 11);
}

static void a_long_stop_fires_everything_once(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe probes[64] = {0};
    now = START;
    dp_wheel_init(&wheel, now);
    for (size_t i = 0; i < GW_ARRAY_LEN(probes); i++) {
        dp_timer_init(&probes[i].timer, on_expired);
        dp_timer_arm(&wheel, &probes[i].timer, now + (gw_msec)i * 30000);
    }
    now = START + 86400000;
    dp_wheel_advance(&wheel, now);
    for (size_t i = 0; i < GW_ARRAY_LEN(probes); i++)
        assert_int_equal(probes[i].fired, 1);
}

/* Against the definition: thousands of arms, moves and stops at random. */
static void random_use_agrees_with_a_plain_list(void **state)
{
    (void)state;
    struct dp_wheel wheel;
    struct probe *probes = gw_calloc(500, sizeof(*probes));
    now = START;
    dp_wheel_init(&wheel, now);
    srand(7);
    for (size_t i = 0; i < 500; i++)
        dp_timer_init(&probes[i].timer, on_expired);
    for (int round = 0; round < 20000; round++) {
        struct probe *probe = &probes[rand() % 500];
        int what = rand() % 8;
        if (what == 0) {
            dp_timer_stop(&probe->timer);
        } else if (what == 1) {
            dp_timer_rest(&probe->timer);
            probe->fired = 0;
        } else {
            dp_timer_arm(&wheel, &probe->timer, now + rand() % 30000);
            probe->fired = 0;
        }
        if (rand() % 8 == 0) {
            now += rand() % 200;
            dp_wheel_advance(&wheel, now);
            for (size_t i = 0; i < 500; i++) {
                if (dp_timer_is_armed(&probes[i].timer))
                    assert_true(probes[i].timer.deadline + DP_WHEEL_TICK_MS > now);
                assert_true(probes[i].fired <= 1);
                if (probes[i].fired)
                    assert_true(probes[i].timer.deadline <= now);
            }
        }
    }
    free(probes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_time),
        cmocka_unit_test(a_stopped_timer_stays_silent),
        cmocka_unit_test(a_resting_timer_stays_silent_until_it_is_armed),
        cmocka_unit_test(arming_again_moves_the_deadline),
        cmocka_unit_test(a_callback_may_arm_again),
        cmocka_unit_test(a_long_stop_fires_everything_once),
        cmocka_unit_test(random_use_agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
