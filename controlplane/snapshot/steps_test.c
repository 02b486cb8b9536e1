/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/steps.h"

#include "common/test.h"

#define MS ((gw_nsec)1000000)

static struct cp_steps *steps;

static int setup(void **state)
{
    (void)state;
    steps = cp_steps_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cp_steps_free(steps);
    return 0;
}

static void test_a_change_of_this_replica(void **state)
{
    (void)state;
    gw_nsec before_ns = gw_clock_monotonic_ns();
    cp_steps_committed(steps, 7);
    gw_nsec after_ns = gw_clock_monotonic_ns();
    gw_nsec began_ns = cp_steps_seen(steps, 7, after_ns + 20 * MS);
    assert_true(began_ns >= before_ns && began_ns <= after_ns);
    assert_int_equal(cp_steps_count(steps, CP_STEP_WATCH), 1);
}

static void test_an_event_before_the_answer(void **state)
{
    (void)state;
    assert_int_equal(cp_steps_seen(steps, 7, 1000), 1000);
    assert_int_equal(cp_steps_count(steps, CP_STEP_WATCH), 0);
    cp_steps_committed(steps, 7);
    assert_int_equal(cp_steps_count(steps, CP_STEP_WATCH), 1);
}

/* Nor do times that were forgotten in between count for another revision. */
static void test_a_change_of_another_replica_has_no_watch_step(void **state)
{
    (void)state;
    cp_steps_committed(steps, 7);
    assert_int_equal(cp_steps_seen(steps, 8, 1000), 1000);
    assert_int_equal(cp_steps_seen(steps, 7 + 256, 2000), 2000);
    assert_int_equal(cp_steps_seen(steps, 7, 3000), 3000);
    assert_int_equal(cp_steps_count(steps, CP_STEP_WATCH), 0);
}

static void test_when_a_revision_was_passed(void **state)
{
    (void)state;
    assert_int_equal(cp_steps_passed_ms(steps, 0), 0);
    gw_msec before_ms = gw_clock_wall_ms();
    cp_steps_built(steps, 10, 0);
    cp_steps_built(steps, 20, gw_clock_monotonic_ns());
    assert_true(cp_steps_passed_ms(steps, 9) >= before_ms);
    assert_true(cp_steps_passed_ms(steps, 19) >= cp_steps_passed_ms(steps, 9));
    assert_int_equal(cp_steps_passed_ms(steps, 20), 0);
    for (int i = 21; i < 6000; i++)
        cp_steps_built(steps, i, 0);
    assert_true(cp_steps_passed_ms(steps, 0) >=
                before_ms); /* forgotten: the oldest that is known */
    assert_int_equal(cp_steps_passed_ms(steps, 5999), 0);
    assert_int_equal(cp_steps_count(steps, CP_STEP_BUILD), 1);
    cp_steps_built(steps, 15, 0); /* a restored backup */
    assert_true(cp_steps_passed_ms(steps, 14) >= before_ms);
    assert_int_equal(cp_steps_passed_ms(steps, 15), 0);
}

static void test_buckets_add_up(void **state)
{
    (void)state;
    struct gw_buf out;
    gw_buf_init(&out, 0);
    cp_steps_observe(steps, CP_STEP_SEND, -5);
    cp_steps_observe(steps, CP_STEP_SEND, 2 * MS);
    cp_steps_observe(steps, CP_STEP_SEND, 60000 * MS);
    cp_steps_write(steps, &out);
    assert_int_equal(gw_buf_append(&out, gw_str_n("", 1)), 0);
    const char *text = gw_buf_view(&out).ptr;
    static const char *const lines[] = {
        "# TYPE penstock_controlplane_config_send_seconds histogram\n",
        "penstock_controlplane_config_send_seconds_bucket{le=\"0.001\"} 1\n",
        "penstock_controlplane_config_send_seconds_bucket{le=\"0.0025\"} 2\n",
        "penstock_controlplane_config_send_seconds_bucket{le=\"30\"} 2\n",
        "penstock_controlplane_config_send_seconds_bucket{le=\"+Inf\"} 3\n",
        "penstock_controlplane_config_send_seconds_sum 60.002\n",
        "penstock_controlplane_config_send_seconds_count 3\n",
        "penstock_controlplane_config_serve_seconds_count 0\n",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(lines); i++)
        if (!strstr(text, lines[i]))
            fail_msg("no %s in %s", lines[i], text);
    gw_buf_done(&out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_change_of_this_replica),
        TEST(test_an_event_before_the_answer),
        TEST(test_a_change_of_another_replica_has_no_watch_step),
        TEST(test_when_a_revision_was_passed),
        TEST(test_buckets_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
