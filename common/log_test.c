/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include "common/clock.h"
#include "common/test.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4
#define LINES 200

static int saved_stderr;
static FILE *captured;

static int capture(void **state)
{
    (void)state;
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    /* append: as with a log file, several writers may share the end */
    fcntl(fileno(captured), F_SETFL, O_APPEND);
    dup2(fileno(captured), STDERR_FILENO);
    gw_clock_fake(1000, 1767225600000);
    return 0;
}

static int release(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(captured);
    gw_clock_fake_off();
    gw_log_set_level(GW_LOG_INFO);
    return 0;
}

/* The next line of the log; false at the end. */
static bool next_line(char *text, size_t size)
{
    return fgets(text, (int)size, captured) != NULL;
}

static void a_line_is_a_json_object_with_typed_fields(void **state)
{
    (void)state;
    char line[8192];
    gw_log(GW_LOG_WARN, "sync", "snapshot applied", gw_kv_int("revision", 812),
           gw_kv_bool("full", true), gw_kv_float("ms", 1.5), gw_kv_float("bad", NAN),
           gw_kv_text("by", "a\"b\\c\n\x01\x7f\xc3\xbc\xff"), gw_kv_str("none", GW_STR_NONE));
    rewind(captured);
    assert_true(next_line(line, sizeof(line)));
    assert_string_equal(line,
                        "{\"time\":\"2026-01-01T00:00:00.000Z\",\"level\":\"warn\",\"component\":"
                        "\"sync\",\"message\":\"snapshot applied\",\"revision\":812,"
                        "\"full\":true,\"ms\":1.5,\"bad\":null,\"by\":\"a\\\"b\\\\c\\n\\u0001"
                        "\\u007f\xc3\xbc\\ufffd\",\"none\":\"\"}\n");
    assert_false(next_line(line, sizeof(line)));
}

static void an_error_is_two_fields(void **state)
{
    (void)state;
    char line[8192];
    struct gw_error err;
    gw_fail(&err, GW_ABORTED, "stale");
    gw_log(GW_LOG_ERROR, "store", "write refused", gw_kv_error(&err));
    rewind(captured);
    assert_true(next_line(line, sizeof(line)));
    assert_non_null(strstr(line, "\"code\":\"ABORTED\",\"error\":\"stale\"}\n"));
}

static void the_level_holds_back_what_is_below(void **state)
{
    (void)state;
    char line[8192];
    enum gw_log_level level = GW_LOG_ERROR;
    assert_int_equal(gw_log_level_from(GW_STR("warn"), &level), 0);
    assert_int_equal(level, GW_LOG_WARN);
    assert_int_equal(gw_log_level_from(GW_STR("WARN"), &level), -1);
    assert_int_equal(gw_log_level_from(GW_STR(""), &level), -1);
    gw_log(GW_LOG_DEBUG, "a", "by default, no", gw_kv_int("n", 1));
    gw_log_set_level(GW_LOG_WARN);
    gw_log(GW_LOG_INFO, "a", "no", gw_kv_int("n", 2));
    gw_log(GW_LOG_WARN, "a", "yes", gw_kv_int("n", 3));
    gw_log_set_level(GW_LOG_DEBUG);
    gw_log_write(GW_LOG_DEBUG, "a", "yes", NULL, 0);
    rewind(captured);
    assert_true(next_line(line, sizeof(line)));
    assert_non_null(strstr(line, "\"n\":3"));
    assert_true(next_line(line, sizeof(line)));
    assert_non_null(strstr(line, "debug"));
    assert_false(next_line(line, sizeof(line)));
}

static void a_field_too_long_is_dropped_and_said(void **state)
{
    (void)state;
    char line[8192];
    char large[5000];
    memset(large, '"', sizeof(large));
    gw_log(GW_LOG_INFO, "a", "m", gw_kv_int("n", 1), gw_kv_str("x", gw_str_n(large, 5000)),
           gw_kv_int("after", 2));
    rewind(captured);
    assert_true(next_line(line, sizeof(line)));
    assert_non_null(strstr(line, "\"message\":\"m\",\"n\":1,\"truncated\":true}\n"));
    for (size_t len = 1900; len < 2100; len++) /* around the exact fit, two bytes a character */
        gw_log(GW_LOG_INFO, "a", "m", gw_kv_str("x", gw_str_n(large, len)));
    unsigned whole = 0, cut = 0;
    fseek(captured, (long)strlen(line), SEEK_SET);
    while (next_line(line, sizeof(line))) {
        assert_true(strlen(line) <= 4096);
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        json_object_get(root, "truncated") ? cut++ : whole++;
        json_decref(root);
    }
    assert_int_equal(whole + cut, 200);
    assert_true(whole > 0 && cut > 0);
}

static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES; i++)
        gw_log(GW_LOG_INFO, "thread", "line", gw_kv_int("thread", *(int *)arg), gw_kv_int("i", i));
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    int ids[THREADS], next[THREADS] = {0};
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, write_lines, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    rewind(captured);
    char line[8192];
    while (next_line(line, sizeof(line))) {
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        json_int_t id = json_integer_value(json_object_get(root, "thread"));
        assert_int_equal(json_integer_value(json_object_get(root, "i")), next[id]++);
        json_decref(root);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
}

/* Nobody reads the pipe: what does not fit is lost, whole lines of it, and who logs goes on. */
static void who_logs_waits_for_no_reader(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    int ends[2];
    uint64_t before = gw_log_lost();
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    for (int i = 0; i < MANY; i++)
        gw_log(GW_LOG_INFO, "thread", "line", gw_kv_int("i", i));
    uint64_t lost = gw_log_lost() - before;
    dup2(fileno(captured), STDERR_FILENO); /* the pipe has no writer any more */
    FILE *reader = fdopen(ends[0], "r");
    char line[8192];
    uint64_t read_lines = 0;
    for (; fgets(line, sizeof(line), reader); read_lines++) {
        json_t *root = json_loads(line, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(root, "i")), read_lines);
        json_decref(root);
    }
    fclose(reader);
    assert_true(lost > 0 && read_lines > 100 && read_lines + lost == MANY);
}

static void the_limit_counts_what_it_swallows(void **state)
{
    (void)state;
    struct gw_log_limit limit = {0};
    unsigned dropped = 99;
    gw_clock_fake(0, 0);
    assert_true(gw_log_allow(&limit, 2, &dropped));
    assert_int_equal(dropped, 0);
    assert_true(gw_log_allow(&limit, 2, &dropped));
    for (int i = 0; i < 3; i++)
        assert_false(gw_log_allow(&limit, 2, &dropped));
    gw_clock_fake(999, 0);
    assert_false(gw_log_allow(&limit, 2, &dropped));
    gw_clock_fake(1000, 0);
    assert_true(gw_log_allow(&limit, 2, &dropped));
    assert_int_equal(dropped, 4);
    assert_true(gw_log_allow(&limit, 2, &dropped));
    assert_int_equal(dropped, 0);
    assert_false(gw_log_allow(&limit, 2, &dropped));
}

static struct gw_log_limit shared_limit;
static _Atomic unsigned allowed, swallowed;

static void *try_often(void *arg)
{
    (void)arg;
    unsigned dropped;
    for (int i = 0; i < 1000; i++) {
        if (!gw_log_allow(&shared_limit, 10, &dropped))
            continue;
        atomic_fetch_add(&allowed, 1);
        atomic_fetch_add(&swallowed, dropped);
    }
    return NULL;
}

static void the_limit_holds_between_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, try_often, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(allowed, 10);
    unsigned dropped;
    gw_clock_fake(2000, 0);
    assert_true(gw_log_allow(&shared_limit, 10, &dropped));
    assert_int_equal(swallowed + dropped, THREADS * 1000 - 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_a_json_object_with_typed_fields, capture,
                                        release),
        cmocka_unit_test_setup_teardown(an_error_is_two_fields, capture, release),
        cmocka_unit_test_setup_teardown(the_level_holds_back_what_is_below, capture, release),
        cmocka_unit_test_setup_teardown(a_field_too_long_is_dropped_and_said, capture, release),
        cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, capture, release),
        cmocka_unit_test_setup_teardown(who_logs_waits_for_no_reader, capture, release),
        cmocka_unit_test_setup_teardown(the_limit_counts_what_it_swallows, capture, release),
        cmocka_unit_test_setup_teardown(the_limit_holds_between_threads, capture, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
