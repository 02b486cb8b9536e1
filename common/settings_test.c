/* SPDX-License-Identifier: Apache-2.0 */
#include "common/settings.h"

#include "common/clock.h"
#include "common/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    const char *listen;
    const char *node;
    int64_t workers;
    bool quiet;
    gw_msec grace;
    int64_t body_limit;
};

static const struct gw_setting rows[] = {
    {"listen", GW_SETTING_TEXT, offsetof(struct options, listen), "0.0.0.0:8080", 0, 0,
     "Address to listen on"},
    {"node-id", GW_SETTING_TEXT, offsetof(struct options, node), NULL, 0, 0, "Name of this node."},
    GW_SETTINGS_HEADING("Work"),
    {"workers", GW_SETTING_INT, offsetof(struct options, workers), "2", -1, 64, "Worker threads"},
    {"quiet", GW_SETTING_BOOL, offsetof(struct options, quiet), "false", 0, 0, "Say less"},
    {"grace", GW_SETTING_DURATION, offsetof(struct options, grace), "15s", 0, 3600000,
     "Time to finish what is in flight"},
    {"body-limit", GW_SETTING_BYTES, offsetof(struct options, body_limit), "12MiB", 0, 0,
     "Largest body"},
};

static struct options got;
static int rest;
static struct gw_error err;

/* The words, with the program's name in front. */
#define LOAD(...) load((char *[]){"program", ##__VA_ARGS__, NULL})

static int load(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    got = (struct options){0};
    rest = -7;
    err = GW_ERROR_NONE;
    return gw_settings_load(rows, GW_ARRAY_LEN(rows), &got, argc, argv, &rest, &err);
}

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("PENSTOCK_LISTEN");
    unsetenv("PENSTOCK_WORKERS");
    unsetenv("PENSTOCK_BODY_LIMIT");
    return 0;
}

static void defaults_come_from_the_rows(void **state)
{
    (void)state;
    assert_int_equal(LOAD(), 0);
    assert_string_equal(got.listen, "0.0.0.0:8080");
    assert_null(got.node);
    assert_int_equal(got.workers, 2);
    assert_false(got.quiet);
    assert_int_equal(got.grace, 15000);
    assert_int_equal(got.body_limit, 12 << 20);
    assert_int_equal(rest, 1);
}

static void a_flag_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("PENSTOCK_BODY_LIMIT", "64KiB", 1);
    setenv("PENSTOCK_WORKERS", "many", 1); /* bad, but not used */
    setenv("PENSTOCK_LISTEN", "", 1);      /* as if not set */
    assert_int_equal(LOAD("--workers=4"), 0);
    assert_int_equal(got.workers, 4);
    assert_int_equal(got.body_limit, 64 << 10);
    assert_string_equal(got.listen, "0.0.0.0:8080");
    assert_int_equal(LOAD("--workers", "4", "--body-limit", "1000", "--workers=5"), 0);
    assert_int_equal(got.workers, 5);
    assert_int_equal(got.body_limit, 1000);
    assert_int_equal(LOAD(), -1);
    assert_string_equal(err.violations[0].field, "PENSTOCK_WORKERS");
    assert_string_equal(err.violations[0].rule, "\"many\" is not a whole number");
}

static void options_end_at_the_first_plain_word(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--quiet", "get", "--workers=4"), 0);
    assert_true(got.quiet);
    assert_int_equal(got.workers, 2);
    assert_int_equal(rest, 2);
    assert_int_equal(LOAD("--quiet", "--", "--workers=4"), 0);
    assert_int_equal(rest, 3);
    assert_int_equal(LOAD("-"), 0);
    assert_int_equal(rest, 1);
    assert_int_equal(LOAD("--quiet=0", "--listen="), 0);
    assert_false(got.quiet);
    assert_string_equal(got.listen, "");
}

static void every_unit_is_read(void **state)
{
    (void)state;
    static const struct {
        char *text;
        gw_msec want;
    } times[] = {{"--grace=250ms", 250},
                 {"--grace=2s", 2000},
                 {"--grace=5m", 300000},
                 {"--grace=1h", 3600000},
                 {"--grace=0", 0}};
    for (unsigned i = 0; i < GW_ARRAY_LEN(times); i++) {
        assert_int_equal(LOAD(times[i].text), 0);
        assert_int_equal(got.grace, times[i].want);
    }
    assert_int_equal(LOAD("--body-limit=3GiB", "--workers=-1"), 0);
    assert_true(got.body_limit == INT64_C(3) << 30);
    assert_int_equal(got.workers, -1);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        char *word;
        const char *message;
    } bad[] = {
        {"--workers=65", "--workers: must be -1 to 64, not 65"},
        {"--workers=-2", "--workers: must be -1 to 64, not -2"},
        {"--workers=", "--workers: \"\" is not a whole number"},
        {"--workers=4s", "--workers: \"4s\" is not a whole number"},
        {"--workers=99999999999999999999",
         "--workers: \"99999999999999999999\" is not a whole number"},
        {"--workers", "--workers: needs a value"},
        {"--grace=2h", "--grace: must be 0ms to 1h, not 2h"},
        {"--grace=15", "--grace: \"15\" is not a duration (250ms, 15s, 5m, 1h)"},
        {"--grace=1.5s", "--grace: \"1.5s\" is not a duration (250ms, 15s, 5m, 1h)"},
        {"--grace=9223372036854775807h",
         "--grace: \"9223372036854775807h\" is not a duration (250ms, 15s, 5m, 1h)"},
        {"--body-limit=12MB", "--body-limit: \"12MB\" is not a size (1000, 64KiB, 12MiB, 1GiB)"},
        {"--quiet=yes", "--quiet: \"yes\" is not true or false"},
        {"--color=red", "unknown option --color"},
        {"-v", "unknown option -v"},
        {"--=x", "unknown option --"},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        assert_int_equal(LOAD(bad[i].word), -1);
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        assert_string_equal(err.message, bad[i].message);
        assert_int_equal(rest, -7);
    }
}

static void help_says_flag_limits_default_and_variable(void **state)
{
    (void)state;
    char text[4096];
    FILE *file = tmpfile();
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    gw_settings_print_help(rows, GW_ARRAY_LEN(rows), "program [options]");
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = 0;
    fclose(file);
    assert_non_null(strstr(text, "usage: program [options]\n"));
    assert_non_null(strstr(text,
                           "\n  --grace <duration>\n"
                           "      Time to finish what is in flight. 0ms to 1h. Default: 15s.\n"
                           "      Environment: PENSTOCK_GRACE\n"));
    assert_non_null(strstr(text, "\n  --node-id <text>\n      Name of this node.\n"
                                 "      Environment: PENSTOCK_NODE_ID\n"));
    assert_non_null(strstr(text, "\n\nWork\n\n  --workers <number>\n"));
    assert_non_null(strstr(text, "\n  --quiet\n      Say less. Default: false.\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_come_from_the_rows, clear_environment),
        cmocka_unit_test_setup(a_flag_wins_over_the_environment, clear_environment),
        cmocka_unit_test_setup(options_end_at_the_first_plain_word, clear_environment),
        cmocka_unit_test_setup(every_unit_is_read, clear_environment),
        cmocka_unit_test_setup(what_is_wrong_is_named, clear_environment),
        cmocka_unit_test_setup(help_says_flag_limits_default_and_variable, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
