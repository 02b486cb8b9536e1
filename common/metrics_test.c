/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics.h"

#include "common/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 20000

enum { REQUESTS, BUSY, LATENCY, TIME, ROWS };

static const char *const results[] = {"ok", "re\"fu\\sed\n"};
static const int64_t latency_us[] = {500, 1000, 2500000};

static const struct gw_metric rows[ROWS] = {
    [REQUESTS] = {"t_requests_total", GW_COUNTER, "Requests, \"by\"\nresult \\o/.", "result",
                  results, 2, 0, NULL, 0},
    [BUSY] = {"t_busy", GW_GAUGE, "Busy.", NULL, NULL, 0, 0, NULL, 0},
    [LATENCY] = {"t_latency_seconds", GW_HISTOGRAM, "Latency.", "result", results, 2, 1e-6,
                 latency_us, 3},
    [TIME] = {"t_time_seconds_total", GW_COUNTER, "Time.", NULL, NULL, 0, 1e-3, NULL, 0},
};

static const char empty_text[] = "# HELP t_requests_total Requests, \"by\"\\nresult \\\\o/.\n"
                                 "# TYPE t_requests_total counter\n"
                                 "t_requests_total{result=\"ok\"} 0\n"
                                 "t_requests_total{result=\"re\\\"fu\\\\sed\\n\"} 0\n"
                                 "# HELP t_busy Busy.\n"
                                 "# TYPE t_busy gauge\n"
                                 "t_busy 0\n";

static const char full_text[] = "t_requests_total{result=\"ok\"} 5\n"
                                "t_requests_total{result=\"re\\\"fu\\\\sed\\n\"} 1\n"
                                "# HELP t_busy Busy.\n"
                                "# TYPE t_busy gauge\n"
                                "t_busy 7\n"
                                "# HELP t_latency_seconds Latency.\n"
                                "# TYPE t_latency_seconds histogram\n"
                                "t_latency_seconds_bucket{result=\"ok\",le=\"0.0005\"} 2\n"
                                "t_latency_seconds_bucket{result=\"ok\",le=\"0.001\"} 3\n"
                                "t_latency_seconds_bucket{result=\"ok\",le=\"2.5\"} 3\n"
                                "t_latency_seconds_bucket{result=\"ok\",le=\"+Inf\"} 4\n"
                                "t_latency_seconds_sum{result=\"ok\"} 3.001501\n"
                                "t_latency_seconds_count{result=\"ok\"} 4\n";

static gw_str write_all(struct gw_metrics *metrics, struct gw_buf *buf)
{
    gw_buf_clear(buf);
    gw_metrics_write(metrics, buf);
    assert_int_equal(gw_buf_append(buf, gw_str_n("", 1)), 0);
    return gw_buf_view(buf);
}

static void every_series_is_there_from_the_start(void **state)
{
    (void)state;
    struct gw_metrics *metrics = gw_metrics_new(rows, ROWS);
    struct gw_buf buf = {0};
    assert_true(gw_str_has_prefix(write_all(metrics, &buf), gw_str_from(empty_text)));
    gw_buf_done(&buf);
    gw_metrics_free(metrics);
    gw_metrics_free(NULL);
}

static void cells_of_threads_are_summed(void **state)
{
    (void)state;
    struct gw_metrics *metrics = gw_metrics_new(rows, ROWS);
    struct gw_metric_cells *one = gw_metrics_join(metrics);
    struct gw_metric_cells *two = gw_metrics_join(metrics);
    gw_metric_add(one, REQUESTS, 0, 2);
    gw_metric_add(two, REQUESTS, 0, 3);
    gw_metric_add(two, REQUESTS, 1, 1);
    gw_metric_set(one, BUSY, 0, 100);
    gw_metric_set(one, BUSY, 0, 3);
    gw_metric_set(two, BUSY, 0, 4);
    gw_metric_add(one, TIME, 0, 1500);
    gw_metric_observe(one, LATENCY, 0, 0);
    gw_metric_observe(two, LATENCY, 0, 500);
    gw_metric_observe(one, LATENCY, 0, 501);
    gw_metric_observe(two, LATENCY, 0, 3000500);
    assert_int_equal(gw_metric_read(metrics, REQUESTS, 0), 5);
    assert_int_equal(gw_metric_read(metrics, BUSY, 0), 7);
    assert_int_equal(gw_metric_read(metrics, LATENCY, 0), 4);
    assert_int_equal(gw_metric_read(metrics, LATENCY, 1), 0);
    struct gw_buf buf = {0};
    const char *text = write_all(metrics, &buf).ptr;
    assert_non_null(strstr(text, full_text));
    assert_non_null(strstr(text, "\nt_time_seconds_total 1.5\n"));
    gw_buf_done(&buf);
    gw_metrics_free(metrics);
}

static void say(struct gw_buf *out, void *arg)
{
    gw_metrics_write_head(out, arg, GW_GAUGE, "Said.");
    assert_int_equal(gw_buf_printf(out, "%s 1\n", (char *)arg), 0);
}

static void collectors_add_their_text_in_order(void **state)
{
    (void)state;
    struct gw_metrics *metrics = gw_metrics_new(rows, ROWS);
    gw_metrics_collect(metrics, say, "t_first");
    gw_metrics_collect(metrics, say, "t_second");
    struct gw_buf buf = {0};
    assert_non_null(strstr(write_all(metrics, &buf).ptr,
                           "# HELP t_first Said.\n# TYPE t_first gauge\nt_first 1\n"
                           "# HELP t_second Said.\n# TYPE t_second gauge\nt_second 1\n"));
    gw_buf_done(&buf);
    gw_metrics_free(metrics);
}

/* The number of the sample `name` in a fresh text of process metrics. */
static double process_value(const char *name)
{
    struct gw_buf buf = {0};
    gw_metrics_write_process(&buf);
    assert_int_equal(gw_buf_append(&buf, gw_str_n("", 1)), 0);
    char line[64] = "\n";
    strcat(strcat(line, name), " ");
    const char *at = strstr(gw_buf_view(&buf).ptr, line);
    if (!at)
        fail_msg("%s is missing", name);
    double value = strtod(at + strlen(line), NULL);
    gw_buf_done(&buf);
    return value;
}

static void *wait_for_end(void *arg)
{
    pthread_mutex_t *lock = arg;
    pthread_mutex_lock(lock); /* held by the test until it has counted */
    pthread_mutex_unlock(lock);
    return NULL;
}

static void the_process_is_measured(void **state)
{
    (void)state;
    double fds = process_value("process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(process_value("process_open_fds") == fds + 1);
    close(fd);
    assert_true(process_value("process_max_fds") >= fds);

    /* two, because the first one may bring the sanitizer's own with it */
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t first, second;
    pthread_mutex_lock(&lock);
    pthread_create(&first, NULL, wait_for_end, &lock);
    double threads = process_value("process_threads");
    pthread_create(&second, NULL, wait_for_end, &lock);
    assert_true(process_value("process_threads") == threads + 1);
    pthread_mutex_unlock(&lock);
    pthread_join(first, NULL);
    pthread_join(second, NULL);

    double memory = process_value("process_resident_memory_bytes");
    size_t size = 32 << 20;
    char *block = gw_malloc(size);
    memset(block, 1, size);
    assert_true(process_value("process_resident_memory_bytes") > memory + (double)size / 2);
    free(block);

    double start = process_value("process_start_time_seconds");
    assert_true(start <= (double)time(NULL) + 2 && start > (double)time(NULL) - 600);
    double cpu = process_value("process_cpu_seconds_total");
    while (clock() < (clock_t)((cpu + 0.02) * CLOCKS_PER_SEC))
        ;
    assert_true(process_value("process_cpu_seconds_total") > cpu);
}

static void *count(void *arg)
{
    struct gw_metric_cells *cells = gw_metrics_join(arg);
    for (int i = 0; i < ROUNDS; i++) {
        gw_metric_add(cells, REQUESTS, (unsigned)i % 2, 1);
        gw_metric_observe(cells, LATENCY, 0, i);
    }
    return NULL;
}

/* Readers see totals that only grow, while threads come, write and go. */
static void reading_while_threads_write(void **state)
{
    (void)state;
    struct gw_metrics *metrics = gw_metrics_new(rows, ROWS);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count, metrics);
    struct gw_buf buf = {0};
    int64_t before = 0;
    for (int i = 0; i < 20; i++) {
        int64_t now = gw_metric_read(metrics, REQUESTS, 0);
        assert_true(now >= before);
        before = now;
        write_all(metrics, &buf);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(gw_metric_read(metrics, REQUESTS, 0), THREADS * ROUNDS / 2);
    assert_int_equal(gw_metric_read(metrics, REQUESTS, 1), THREADS * ROUNDS / 2);
    assert_int_equal(gw_metric_read(metrics, LATENCY, 0), THREADS * ROUNDS);
    gw_buf_done(&buf);
    gw_metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_series_is_there_from_the_start),
        cmocka_unit_test(cells_of_threads_are_summed),
        cmocka_unit_test(collectors_add_their_text_in_order),
        cmocka_unit_test(the_process_is_measured),
        cmocka_unit_test(reading_while_threads_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
