/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/access_log.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4
#define LINES 20000

static char folder[64], path[96], moved[96];
static struct dp_access_log *opened;
static struct gw_error err;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/penstock-access-log-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/access.log", folder);
    snprintf(moved, sizeof(moved), "%s/access.log.1", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path); /* either may not be there */
    (void)unlink(moved);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

static void open_log(const char *target)
{
    assert_int_equal(dp_access_log_open(target, WORKERS, &opened, &err), 0);
}

static void put(unsigned worker, const char *line)
{
    dp_access_log_put(opened, worker, gw_str_from(line));
}

/* The whole file; freed by the caller's gw_buf_done. */
static struct gw_buf contents_of(const char *name)
{
    struct gw_buf buf;
    char block[4096];
    size_t n;
    gw_buf_init(&buf, 0);
    FILE *file = fopen(name, "r");
    if (!file)
        return buf;
    while ((n = fread(block, 1, sizeof(block), file)) > 0)
        assert_int_equal(gw_buf_append(&buf, gw_str_n(block, n)), 0);
    fclose(file);
    return buf;
}

static void assert_contents(const char *name, const char *expected)
{
    struct gw_buf buf = contents_of(name);
    assert_str(gw_buf_view(&buf), expected);
    gw_buf_done(&buf);
}

static void wait_for_contents(const char *name, const char *expected)
{
    bool is_there = false;
    while (!is_there) { /* the test program has a time limit */
        struct gw_buf buf = contents_of(name);
        is_there = gw_str_eq(gw_buf_view(&buf), gw_str_from(expected));
        gw_buf_done(&buf);
        usleep(1000);
    }
}

static void a_line_reaches_the_file_without_more(void **state)
{
    (void)state;
    open_log(path);
    put(0, "first\n");
    wait_for_contents(path, "first\n");
    put(3, "second\n");
    wait_for_contents(path, "first\nsecond\n");
    dp_access_log_close(opened);
}

static void what_is_left_is_written_at_close(void **state)
{
    (void)state;
    open_log(path);
    put(1, "a\n");
    put(1, "b\n");
    dp_access_log_close(opened);
    assert_contents(path, "a\nb\n");
    open_log(path);
    put(1, "c\n");
    dp_access_log_close(opened);
    assert_contents(path, "a\nb\nc\n");
    dp_access_log_close(NULL);
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    (void)state;
    assert_int_equal(dp_access_log_open("/nowhere/access.log", 1, &opened, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_non_null(strstr(err.message, "/nowhere/access.log"));
}

static void reopening_goes_on_in_a_new_file(void **state)
{
    (void)state;
    open_log(path);
    put(0, "old\n");
    wait_for_contents(path, "old\n");
    assert_int_equal(rename(path, moved), 0);
    dp_access_log_reopen(opened);
    wait_for_contents(path, "");
    while (access(path, F_OK) != 0)
        usleep(1000);
    put(0, "new\n");
    dp_access_log_close(opened);
    assert_contents(path, "new\n");
    assert_contents(moved, "old\n");
}

static void a_failed_reopening_keeps_the_old_file(void **state)
{
    (void)state;
    open_log(path);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    dp_access_log_reopen(opened);
    put(0, "kept\n");
    dp_access_log_close(opened);
    assert_contents(moved, "kept\n");
    assert_int_equal(rmdir(path), 0);
}

/* ---- a reader that takes nothing */

static int open_pipe_reader(void)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

/* Lines of 100 bytes with their number, until one is dropped; how many there were. */
static int64_t fill(void)
{
    struct dp_access_log_stats stats = {0};
    int64_t count = 0;
    char line[101];
    while (stats.dropped == 0) {
        snprintf(line, sizeof(line), "%099lld\n", (long long)count++);
        put(0, line);
        dp_access_log_read_stats(opened, &stats);
    }
    return count;
}

/* Reads until nobody has the pipe open for writing. */
static void read_to_end(int fd, struct gw_buf *ret_all)
{
    char block[4096];
    ssize_t n;
    while ((n = read(fd, block, sizeof(block))) != 0) {
        assert_true(n > 0 || errno == EAGAIN);
        if (n > 0)
            assert_int_equal(gw_buf_append(ret_all, gw_str_n(block, (size_t)n)), 0);
        else
            sched_yield();
    }
}

static void *close_log(void *arg)
{
    dp_access_log_close(arg);
    return NULL;
}

static void lines_without_room_are_dropped_whole_and_counted(void **state)
{
    (void)state;
    struct dp_access_log_stats stats;
    struct gw_buf all;
    pthread_t closer;
    gw_buf_init(&all, 0);
    int fd = open_pipe_reader();
    open_log(path);
    int64_t count = fill();
    dp_access_log_read_stats(opened, &stats);
    assert_int_equal(stats.dropped, 1);
    assert_int_equal(stats.lines, count - 1);
    assert_int_equal(pthread_create(&closer, NULL, close_log, opened), 0);
    read_to_end(fd, &all);
    assert_int_equal(pthread_join(closer, NULL), 0);
    assert_int_equal(gw_buf_len(&all), 100 * (count - 1));
    for (int64_t i = 0; i < count - 1; i++)
        assert_int_equal(strtoll(all.data + 100 * i, NULL, 10), i);
    gw_buf_done(&all);
    close(fd);
}

static void a_reader_that_never_reads_does_not_keep_it_open(void **state)
{
    (void)state;
    int fd = open_pipe_reader();
    open_log(path);
    assert_true(fill() > 1000);
    dp_access_log_close(opened);
    close(fd);
}

static void a_full_disk_costs_lines_but_leaves_the_next_ones_whole(void **state)
{
    (void)state;
    struct dp_access_log_stats stats = {0};
    struct rlimit before, small = {.rlim_cur = 10};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    open_log(path);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    put(0, "seven78\ncut off\nlost\n");
    while (stats.dropped < 2) {
        dp_access_log_read_stats(opened, &stats);
        usleep(1000);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    put(0, "whole\n");
    dp_access_log_close(opened);
    assert_contents(path, "seven78\ncu\nwhole\n");
}

static void stdout_is_a_target(void **state)
{
    (void)state;
    fflush(stdout);
    int kept = dup(STDOUT_FILENO), file = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(kept >= 0 && file >= 0);
    dup2(file, STDOUT_FILENO);
    open_log("-");
    put(0, "to stdout\n");
    dp_access_log_reopen(opened);
    dp_access_log_close(opened);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    assert_contents(path, "to stdout\n");
}

/* ---- threads */

struct job {
    pthread_t thread;
    unsigned worker;
};

static void *work(void *arg)
{
    const struct job *job = arg;
    char line[64];
    for (unsigned i = 0; i < LINES; i++) {
        snprintf(line, sizeof(line), "%u %u %.*s\n", job->worker, i, (int)(i % 30),
                 "..............................");
        put(job->worker, line);
    }
    return NULL;
}

static void lines_of_all_workers_arrive_whole_and_in_their_order(void **state)
{
    (void)state;
    struct job jobs[WORKERS];
    struct dp_access_log_stats stats;
    unsigned next[WORKERS] = {0};
    int64_t lines = 0;
    open_log(path);
    for (unsigned i = 0; i < WORKERS; i++) {
        jobs[i] = (struct job){.worker = i};
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(jobs[i].thread, NULL), 0);
    dp_access_log_read_stats(opened, &stats);
    assert_int_equal(stats.lines + stats.dropped, WORKERS * LINES);
    dp_access_log_close(opened);
    FILE *file = fopen(path, "r");
    char line[64], dots[32];
    while (fgets(line, sizeof(line), file)) {
        unsigned worker, number;
        dots[0] = 0;
        assert_true(sscanf(line, "%u %u %31s", &worker, &number, dots) >= 2);
        assert_true(worker < WORKERS && number >= next[worker]);
        assert_int_equal(strlen(dots), number % 30);
        next[worker] = number + 1;
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, stats.lines);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_line_reaches_the_file_without_more),
        CASE(what_is_left_is_written_at_close),
        CASE(a_file_that_cannot_be_opened_is_named),
        CASE(reopening_goes_on_in_a_new_file),
        CASE(a_failed_reopening_keeps_the_old_file),
        CASE(lines_without_room_are_dropped_whole_and_counted),
        CASE(a_reader_that_never_reads_does_not_keep_it_open),
        CASE(a_full_disk_costs_lines_but_leaves_the_next_ones_whole),
        CASE(stdout_is_a_target),
        CASE(lines_of_all_workers_arrive_whole_and_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
