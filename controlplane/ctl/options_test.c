/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* What was parsed last. */
static struct cp_options options;

/* Parses words up to NULL. */
static int parse(struct gw_error *err, char **words)
{
    int count = 0;
    while (words[count])
        count++;
    *err = GW_ERROR_NONE;
    cp_options_done(&options);
    return cp_options_parse(&options, count, words, err);
}

#define PARSE(...) parse(&err, (char *[]){"penstockctl", __VA_ARGS__, NULL})

static void flags_may_stand_anywhere(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(PARSE("-o", "json", "get", "--server=h:1", "apis", "g", "-f", "a", "-fb"), 0);
    assert_string_equal(options.command, "get");
    assert_int_equal(options.arg_count, 2);
    assert_string_equal(options.args[1], "g");
    assert_int_equal(options.output, CP_OUTPUT_JSON);
    assert_string_equal(options.connection.server, "h:1");
    assert_int_equal(options.file_count, 2);
}

static void wait_has_a_default(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(PARSE("publish", "a/b"), 0);
    assert_int_equal(options.wait_ms, 0);
    assert_int_equal(PARSE("publish", "a/b", "--wait"), 0);
    assert_int_equal(options.wait_ms, 10000);
    assert_int_equal(PARSE("publish", "a/b", "--wait=250ms"), 0);
    assert_int_equal(options.wait_ms, 250);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(PARSE("get", "--no-such"), -1);
    assert_non_null(strstr(err.message, "--no-such"));
    assert_int_equal(PARSE("get", "-o"), -1);
    assert_non_null(strstr(err.message, "-o needs a value"));
    assert_int_equal(PARSE("get", "-o", "xml"), -1);
    assert_int_equal(PARSE("get", "--timeout", "5"), -1);
    assert_string_equal(err.violations[0].field, "--timeout");
    assert_int_equal(PARSE("rollback", "--to", "0"), -1);
}

static void the_environment_comes_second(void **state)
{
    (void)state;
    struct gw_error err;
    setenv("PENSTOCK_SERVER", "env:1", 1);
    setenv("PENSTOCK_TOKEN", "t1", 1);
    assert_int_equal(PARSE("agents"), 0);
    assert_string_equal(options.connection.server, "env:1");
    assert_string_equal(options.token, "t1");
    cp_options_done(&options);
    assert_int_equal(PARSE("agents", "-s", "flag:1"), 0);
    assert_string_equal(options.connection.server, "flag:1");
    cp_options_done(&options);
    unsetenv("PENSTOCK_SERVER");
    unsetenv("PENSTOCK_TOKEN");
}

static void a_token_is_read_from_its_file(void **state)
{
    (void)state;
    char path[] = "/tmp/penstock-token-XXXXXX";
    struct gw_error err;
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "secret\n", 7), 7);
    close(fd);
    assert_int_equal(PARSE("agents", "--token-file", path), 0);
    assert_string_equal(options.token, "secret");
    cp_options_done(&options);
    unlink(path);
    assert_int_equal(PARSE("agents", "--token-file", path), -1);
}

static void durations_have_units(void **state)
{
    (void)state;
    gw_msec ms;
    assert_int_equal(cp_duration_parse(GW_STR("250ms"), &ms), 0);
    assert_int_equal(ms, 250);
    assert_int_equal(cp_duration_parse(GW_STR("2m"), &ms), 0);
    assert_int_equal(ms, 120000);
    assert_int_equal(cp_duration_parse(GW_STR("1h"), &ms), 0);
    assert_int_equal(ms, 3600000);
    static const char *const bad[] = {"", "5", "s", "-1s", "1.5s", "99999999s"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(cp_duration_parse(gw_str_from(bad[i]), &ms), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_may_stand_anywhere),
        cmocka_unit_test(wait_has_a_default),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(the_environment_comes_second),
        cmocka_unit_test(a_token_is_read_from_its_file),
        cmocka_unit_test(durations_have_units),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cp_options_done(&options);
    return failed;
}
