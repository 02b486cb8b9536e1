/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

#define NOON (gw_msec)1767268800000 /* 2026-01-01T12:00:00Z */
#define THREADS 8

static struct dp_limit limit_of(const struct dp_limiter *limiter, const char *subject,
                                int64_t limit, int64_t window_seconds)
{
    struct dp_limit result = {.limit = limit, .window_seconds = window_seconds};
    struct dp_siphash_key stem = dp_limiter_stem(limiter, GW_STR("policies/p"));
    dp_limit_key(&stem, 1, gw_str_from(subject), result.key);
    return result;
}

static void counts_down(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    for (int64_t left = 2; left >= 0; left--) {
        struct dp_limit limit = limit_of(limiter, "a", 3, 60);
        assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 1500), -1);
        assert_int_equal(limit.remaining, left);
        assert_int_equal(limit.reset_ms, 58500);
    }
    struct dp_limit limit = limit_of(limiter, "a", 3, 60);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 59999), 0);
    assert_int_equal(limit.remaining, 0);
    assert_int_equal(limit.reset_ms, 1);
    dp_limiter_free(limiter);
}

static void windows_are_aligned_to_the_epoch(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    gw_msec midnight = NOON + 12 * 3600 * 1000;
    struct dp_limit day = limit_of(limiter, "a", 1, 86400);
    assert_int_equal(dp_limiter_take(limiter, &day, 1, midnight - 1), -1);
    assert_int_equal(day.reset_ms, 1);
    assert_int_equal(dp_limiter_take(limiter, &day, 1, midnight - 1), 0);
    assert_int_equal(dp_limiter_take(limiter, &day, 1, midnight), -1);
    assert_int_equal(day.reset_ms, 86400 * 1000);
    assert_int_equal(dp_limiter_take(limiter, &day, 1, midnight + 86400 * 1000 - 1), 0);
    dp_limiter_free(limiter);
}

static void subjects_and_dimensions_are_apart(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    uint64_t keys[4][2];
    struct dp_siphash_key p = dp_limiter_stem(limiter, GW_STR("p"));
    struct dp_siphash_key q = dp_limiter_stem(limiter, GW_STR("q"));
    dp_limit_key(&p, 1, GW_STR("s"), keys[0]);
    dp_limit_key(&p, 2, GW_STR("s"), keys[1]);
    dp_limit_key(&q, 1, GW_STR("s"), keys[2]);
    dp_limit_key(&p, 1, GW_STR("t"), keys[3]);
    for (unsigned i = 0; i < 4; i++) {
        struct dp_limit limit = {.key = {keys[i][0], keys[i][1]}, .limit = 1, .window_seconds = 60};
        assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), -1);
        assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), 0);
    }
    dp_limiter_free(limiter);
}

static void a_refusal_consumes_nothing(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    struct dp_limit both[2];
    for (unsigned i = 0; i < 5; i++) {
        both[0] = limit_of(limiter, "api", 10, 60);
        both[1] = limit_of(limiter, "app", 2, 60);
        assert_int_equal(dp_limiter_take(limiter, both, 2, NOON), i < 2 ? -1 : 1);
    }
    assert_int_equal(both[0].remaining, 8);
    assert_int_equal(both[1].remaining, 0);
    dp_limiter_free(limiter);
}

static void a_longer_or_shorter_window_starts_afresh(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    struct dp_limit minute = limit_of(limiter, "a", 1, 60);
    struct dp_limit hour = limit_of(limiter, "a", 1, 3600);
    assert_int_equal(dp_limiter_take(limiter, &minute, 1, NOON), -1);
    assert_int_equal(dp_limiter_take(limiter, &hour, 1, NOON), -1);
    assert_int_equal(dp_limiter_take(limiter, &minute, 1, NOON), 0);
    dp_limiter_free(limiter);
}

/* A lower limit takes effect on what has been counted already. */
static void limits_may_change_within_a_window(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    struct dp_limit limit = limit_of(limiter, "a", 10, 60);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), -1);
    limit.limit = 3;
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), 0);
    assert_int_equal(limit.remaining, 0);
    limit.limit = 6;
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), -1);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), 0);
    dp_limiter_free(limiter);
}

static void a_clock_behind_counts_into_the_newer_window(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    struct dp_limit limit = limit_of(limiter, "a", 2, 1);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 1000), -1);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 999), -1);
    assert_int_equal(limit.remaining, 0);
    assert_int_equal(limit.reset_ms, 1001);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 1500), 0);
    /* Set back by an hour: counting goes on, it does not wait for an hour. */
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON - 3600 * 1000), -1);
    dp_limiter_free(limiter);
}

static void windows_beyond_2106_never_end(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(64);
    struct dp_limit limit = limit_of(limiter, "a", 1, INT64_MAX);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), -1);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON * 2), 0);
    assert_true(limit.reset_ms > 0);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, -1), 0);
    dp_limiter_free(limiter);
}

static void a_full_table_lets_pass_and_counts(void **state)
{
    (void)state;
    struct dp_limiter *limiter = dp_limiter_new(8);
    char subject[16];
    unsigned granted_twice = 0;
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(subject, sizeof subject, "s%u", i);
        struct dp_limit limit = limit_of(limiter, subject, 1, 60);
        assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON), -1);
        granted_twice += dp_limiter_take(limiter, &limit, 1, NOON) < 0;
    }
    assert_int_equal(granted_twice, 100 - 16);
    assert_int_equal(dp_limiter_overflows(limiter), 2 * (100 - 16));
    /* The next window has room again: cells are reused. */
    struct dp_limit limit = limit_of(limiter, "new", 1, 60);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 60000), -1);
    assert_int_equal(dp_limiter_take(limiter, &limit, 1, NOON + 60000), 0);
    dp_limiter_free(limiter);
}

/* Threads that pull from the same limiter until they have tried often enough. */
struct race {
    struct dp_limiter *limiter;
    atomic_uint granted[4]; /* by window or subject */
    unsigned tries;
    atomic_uint index;
};

static void *race_one_limit(void *arg)
{
    struct race *race = arg;
    for (unsigned window = 0; window < 4; window++) {
        for (unsigned i = 0; i < race->tries; i++) {
            struct dp_limit limit = limit_of(race->limiter, "hot", 1000, 1);
            if (dp_limiter_take(race->limiter, &limit, 1, NOON + 1000 * (gw_msec)window) < 0)
                atomic_fetch_add(&race->granted[(limit.reset_ms - 1) / 1000 + window], 1);
        }
    }
    return NULL;
}

static void run(struct race *race, void *(*body)(void *))
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, race), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Threads reach a window at different times: the late ones count into the newer window, and in none
 * is one too many or too few granted. */
static void threads_grant_exactly_the_limit(void **state)
{
    (void)state;
    struct race race = {.limiter = dp_limiter_new(64), .tries = 2000};
    run(&race, race_one_limit);
    for (unsigned window = 0; window < 4; window++)
        assert_int_equal(atomic_load(&race.granted[window]), 1000);
    dp_limiter_free(race.limiter);
}

static const char *const pair_subjects[] = {"api", "app-0", "app-1"};
static const int64_t pair_limits[] = {1500, 1000, 900};

/* Two limits a request: a common one, and one of two in either order, so that roll-backs meet. */
static void *race_pairs(void *arg)
{
    struct race *race = arg;
    unsigned me = atomic_fetch_add(&race->index, 1) % 2 + 1;
    for (unsigned i = 0; i < race->tries; i++) {
        unsigned first = i % 2 ? 0 : me, second = i % 2 ? me : 0;
        struct dp_limit limits[2] = {
            limit_of(race->limiter, pair_subjects[first], pair_limits[first], 60),
            limit_of(race->limiter, pair_subjects[second], pair_limits[second], 60),
        };
        if (dp_limiter_take(race->limiter, limits, 2, NOON) < 0) {
            atomic_fetch_add(&race->granted[first], 1);
            atomic_fetch_add(&race->granted[second], 1);
        }
    }
    return NULL;
}

static void roll_backs_lose_nothing(void **state)
{
    (void)state;
    struct race race = {.limiter = dp_limiter_new(64), .tries = 2000};
    run(&race, race_pairs);
    for (unsigned i = 0; i < 3; i++) {
        int64_t granted = atomic_load(&race.granted[i]);
        assert_true(granted <= pair_limits[i]);
        struct dp_limit limit = limit_of(race.limiter, pair_subjects[i], pair_limits[i], 60);
        if (dp_limiter_take(race.limiter, &limit, 1, NOON) < 0)
            limit.remaining++;
        assert_int_equal(granted + limit.remaining, pair_limits[i]);
    }
    dp_limiter_free(race.limiter);
}

/* Many new subjects at once in a table that always has to reuse cells. */
static void *race_new_subjects(void *arg)
{
    struct race *race = arg;
    char subject[16];
    for (unsigned i = 0; i < race->tries; i++) {
        gw_msec now = NOON + 1000 * (gw_msec)i;
        (void)snprintf(subject, sizeof subject, "s%u", i);
        struct dp_limit limit = limit_of(race->limiter, subject, 1, 1);
        if (dp_limiter_take(race->limiter, &limit, 1, now) < 0)
            atomic_fetch_add(&race->granted[0], 1);
        if (limit.remaining != 0)
            atomic_fetch_add(&race->granted[1], 1);
    }
    return NULL;
}

static void a_new_subject_is_placed_once(void **state)
{
    (void)state;
    struct race race = {.limiter = dp_limiter_new(8), .tries = 1};
    for (unsigned round = 0; round < 50; round++) {
        run(&race, race_new_subjects);
        assert_int_equal(atomic_exchange(&race.granted[0], 0), 1);
        dp_limiter_free(race.limiter);
        race.limiter = dp_limiter_new(8);
    }
    race.tries = 2000;
    run(&race, race_new_subjects);
    assert_int_equal(atomic_load(&race.granted[1]), 0);
    dp_limiter_free(race.limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_down),
        cmocka_unit_test(windows_are_aligned_to_the_epoch),
        cmocka_unit_test(subjects_and_dimensions_are_apart),
        cmocka_unit_test(a_refusal_consumes_nothing),
        cmocka_unit_test(a_longer_or_shorter_window_starts_afresh),
        cmocka_unit_test(limits_may_change_within_a_window),
        cmocka_unit_test(a_clock_behind_counts_into_the_newer_window),
        cmocka_unit_test(windows_beyond_2106_never_end),
        cmocka_unit_test(a_full_table_lets_pass_and_counts),
        cmocka_unit_test(threads_grant_exactly_the_limit),
        cmocka_unit_test(roll_backs_lose_nothing),
        cmocka_unit_test(a_new_subject_is_placed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
