/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/route_stats.h"

#include "common/test.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 3
#define ROUNDS 20000

static struct dp_route_stats_table *table;

static int set_up(void **state)
{
    (void)state;
    table = dp_route_stats_table_new(WORKERS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dp_route_stats_table_free(table);
    return 0;
}

/* What a visit saw, added up. */
struct seen {
    unsigned count;
    char names[256]; /* each followed by a blank */
    struct dp_route_totals last;
};

static void note(gw_str name, const struct dp_route_totals *totals, void *arg)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->names);
    seen->count++;
    seen->last = *totals;
    assert_true(used + name.len + 2 <= sizeof(seen->names));
    memcpy(seen->names + used, name.ptr, name.len);
    strcpy(seen->names + used + name.len, " ");
}

static void add_requests(struct dp_route_stats *stats, unsigned worker, int64_t requests)
{
    dp_route_stats_add(stats, worker, &(struct dp_route_totals){.requests = requests});
}

static void every_field_is_summed_over_workers(void **state)
{
    (void)state;
    struct dp_route_totals totals;
    struct dp_route_stats *stats = dp_route_stats_get(table, GW_STR("a"));
    dp_route_stats_add(stats, 0, &(struct dp_route_totals){1, 2, 3, 4, 5, 6, 7});
    dp_route_stats_add(stats, 0, &(struct dp_route_totals){1, 0, 0, 0, 0, 0, 0});
    dp_route_stats_add(stats, 2, &(struct dp_route_totals){10, 20, 30, 40, 50, 60, 70});
    dp_route_stats_read(stats, &totals);
    assert_int_equal(totals.requests, 12);
    assert_int_equal(totals.errors_4xx, 22);
    assert_int_equal(totals.errors_5xx, 33);
    assert_int_equal(totals.throttled, 44);
    assert_int_equal(totals.latency_us, 55);
    assert_int_equal(totals.request_bytes, 66);
    assert_int_equal(totals.response_bytes, 77);
    dp_route_stats_unref(stats);
}

static void one_name_is_one_set_of_counters_while_it_is_held(void **state)
{
    (void)state;
    struct dp_route_totals totals;
    struct dp_route_stats *first = dp_route_stats_get(table, GW_STR("a"));
    add_requests(first, 0, 5);
    struct dp_route_stats *second = dp_route_stats_get(table, GW_STR("a"));
    assert_ptr_equal(first, second);
    dp_route_stats_unref(first);
    dp_route_stats_read(second, &totals);
    assert_int_equal(totals.requests, 5);
    dp_route_stats_unref(second);
    struct dp_route_stats *third = dp_route_stats_get(table, GW_STR("a"));
    dp_route_stats_read(third, &totals);
    assert_int_equal(totals.requests, 0);
    dp_route_stats_unref(third);
    dp_route_stats_unref(NULL);
}

static void each_tells_all_in_the_order_of_their_first_use(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct dp_route_stats *b = dp_route_stats_get(table, GW_STR("b"));
    struct dp_route_stats *gone = dp_route_stats_get(table, GW_STR("gone"));
    struct dp_route_stats *a = dp_route_stats_get(table, GW_STR("a"));
    add_requests(a, 0, 3);
    dp_route_stats_unref(gone);
    dp_route_stats_each(table, note, &seen);
    assert_string_equal(seen.names, "b a ");
    assert_int_equal(seen.last.requests, 3);
    dp_route_stats_unref(a);
    dp_route_stats_unref(b);
}

static void deltas_are_told_once(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct dp_route_stats *a = dp_route_stats_get(table, GW_STR("a"));
    struct dp_route_stats *quiet = dp_route_stats_get(table, GW_STR("quiet"));
    add_requests(a, 0, 3);
    add_requests(a, 1, 1);
    dp_route_stats_take_deltas(table, note, &seen);
    assert_string_equal(seen.names, "a ");
    assert_int_equal(seen.last.requests, 4);
    dp_route_stats_take_deltas(table, note, &seen);
    assert_int_equal(seen.count, 1);
    add_requests(a, 1, 2);
    dp_route_stats_take_deltas(table, note, &seen);
    assert_int_equal(seen.last.requests, 2);
    dp_route_stats_unref(a);
    dp_route_stats_unref(quiet);
}

static void deltas_of_a_route_that_is_gone_are_still_told(void **state)
{
    (void)state;
    struct seen seen = {0};
    dp_route_stats_take_deltas(table, note, &seen);
    struct dp_route_stats *a = dp_route_stats_get(table, GW_STR("a"));
    add_requests(a, 0, 3);
    dp_route_stats_unref(a);
    struct dp_route_stats *again = dp_route_stats_get(table, GW_STR("a"));
    add_requests(again, 0, 1);
    dp_route_stats_unref(again);
    dp_route_stats_take_deltas(table, note, &seen);
    assert_string_equal(seen.names, "a ");
    assert_int_equal(seen.last.requests, 4);
    seen = (struct seen){0};
    dp_route_stats_each(table, note, &seen);
    assert_int_equal(seen.count, 0);
}

static void add_up(gw_str name, const struct dp_route_totals *totals, void *arg)
{
    int64_t *sum = arg;
    (void)name;
    *sum += totals->requests;
}

/* Those that rest are told again when they wake, and freed when nobody holds them, however that
 * meets with the looks. */
static void a_route_may_rest_and_wake_and_go_at_any_time(void **state)
{
    (void)state;
    int64_t added = 0, told = 0;
    uint32_t seed = 5;
    struct dp_route_stats *held[4] = {NULL};
    static const char *const names[] = {"a", "b", "c", "d"};
    for (unsigned round = 0; round < 20000; round++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned at = seed >> 8 & 3, what = seed >> 10 & 7;
        if (what == 0 && held[at]) {
            dp_route_stats_unref(held[at]);
            held[at] = NULL;
        } else if (what < 3) {
            dp_route_stats_take_deltas(table, add_up, &told);
            assert_int_equal(told, added);
        } else if (!held[at]) {
            held[at] = dp_route_stats_get(table, gw_str_from(names[at]));
        } else if (what < 5) {
            add_requests(held[at], what % WORKERS, 1);
            added++;
        }
    }
    for (unsigned i = 0; i < GW_ARRAY_LEN(held); i++)
        dp_route_stats_unref(held[i]);
    for (unsigned i = 0; i < 3; i++)
        dp_route_stats_take_deltas(table, add_up, &told);
    struct seen seen = {0};
    dp_route_stats_each(table, note, &seen);
    assert_int_equal(seen.count, 0);
}

/* ---- threads */

struct job {
    pthread_t thread;
    unsigned worker;
    struct dp_route_stats *stats;
};

static void *work(void *arg)
{
    struct job *job = arg;
    for (unsigned i = 0; i < ROUNDS; i++)
        add_requests(job->stats, job->worker, 1);
    return NULL;
}

static void *compile_over_and_over(void *arg)
{
    const atomic_bool *stop = arg;
    while (!*stop) {
        struct dp_route_stats *held = dp_route_stats_get(table, GW_STR("hot"));
        dp_route_stats_unref(dp_route_stats_get(table, GW_STR("cold")));
        dp_route_stats_unref(held);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    struct job jobs[WORKERS];
    atomic_bool stop = false;
    pthread_t compiler;
    int64_t taken = 0, seen = 0;
    struct dp_route_stats *stats = dp_route_stats_get(table, GW_STR("hot"));
    assert_int_equal(pthread_create(&compiler, NULL, compile_over_and_over, &stop), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        jobs[i] = (struct job){.worker = i, .stats = stats};
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 50; i++) {
        dp_route_stats_take_deltas(table, add_up, &taken);
        dp_route_stats_each(table, add_up, &seen);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(jobs[i].thread, NULL), 0);
    stop = true;
    assert_int_equal(pthread_join(compiler, NULL), 0);
    dp_route_stats_take_deltas(table, add_up, &taken);
    assert_int_equal(taken, WORKERS * ROUNDS);
    dp_route_stats_unref(stats);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(every_field_is_summed_over_workers),
        CASE(one_name_is_one_set_of_counters_while_it_is_held),
        CASE(each_tells_all_in_the_order_of_their_first_use),
        CASE(deltas_are_told_once),
        CASE(deltas_of_a_route_that_is_gone_are_still_told),
        CASE(a_route_may_rest_and_wake_and_go_at_any_time),
        CASE(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
