/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/settings.h"

#include "common/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct dp_settings settings;
static struct gw_error err;
static char folder[64], cache[96], id_file[128];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/penstock-settings-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(cache, sizeof(cache), "%s/cache", folder);
    snprintf(id_file, sizeof(id_file), "%s/agent-id", cache);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(id_file); /* neither need be there */
    (void)rmdir(cache);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

#define LOAD(...) load((char *[]){"penstock-agent", ##__VA_ARGS__, NULL})

static int load(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    err = GW_ERROR_NONE;
    return dp_settings_load(&settings, argc, argv, &err);
}

static void assert_refused(int result, const char *named)
{
    assert_int_equal(result, -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    if (!strstr(err.message, named) && !strstr(err.violations[0].field, named))
        fail_msg("\"%s\" (%s) does not name %s", err.message, err.violations[0].field, named);
}

static void no_flag_is_needed(void **state)
{
    (void)state;
    assert_int_equal(LOAD(), 0);
    assert_string_equal(settings.listen, "0.0.0.0:8080");
    assert_string_equal(settings.ops_listen, "127.0.0.1:9100");
    assert_string_equal(settings.controlplane, "127.0.0.1:9440");
    assert_string_equal(settings.access_log, "-");
    assert_string_equal(settings.cache_dir, "");
    assert_string_equal(settings.upstream_ca_file, "");
    assert_true(settings.workers >= 1 && settings.workers <= DP_WORKERS_MAX);
    assert_int_equal(settings.log_level, GW_LOG_INFO);
    assert_int_equal(settings.request_body_max, 12 * 1024 * 1024);
    assert_int_equal(settings.xff_index, -1);
    assert_false(settings.source_from_xff || settings.debug_for_all);
    assert_true(settings.agent_id[0] != 0);
}

static void what_the_scenarios_give_is_understood(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--listen", "127.0.0.1:1,[::1]:2, *:3", "--ops-listen", "off",
                          "--controlplane", "a:1,b:2", "--agent-id", "agent-1", "--access-log",
                          "off", "--drain-grace", "0ms", "--workers", "3", "--log-level", "debug",
                          "--source-from-xff", "--xff-index", "-2"),
                     0);
    assert_string_equal(settings.ops_listen, "");
    assert_string_equal(settings.agent_id, "agent-1");
    assert_int_equal(settings.drain_grace_ms, 0);
    assert_int_equal(settings.workers, 3);
    assert_int_equal(settings.log_level, GW_LOG_DEBUG);
    assert_true(settings.source_from_xff);
    assert_int_equal(settings.xff_index, -2);
}

static void what_makes_no_sense_is_named(void **state)
{
    (void)state;
    assert_refused(LOAD("--listen", "8080"), "--listen");
    assert_refused(LOAD("--listen", "127.0.0.1:1,,127.0.0.1:2"), "--listen");
    assert_refused(LOAD("--listen",
                        "1.1.1.1:1,1.1.1.1:2,1.1.1.1:3,1.1.1.1:4,1.1.1.1:5,1.1.1.1:6,"
                        "1.1.1.1:7,1.1.1.1:8,1.1.1.1:9,1.1.1.1:10,1.1.1.1:11,1.1.1.1:12,"
                        "1.1.1.1:13,1.1.1.1:14,1.1.1.1:15,1.1.1.1:16,1.1.1.1:17"),
                   "--listen");
    assert_refused(LOAD("--ops-listen", "127.0.0.1:1,127.0.0.1:2"), "--ops-listen");
    assert_refused(LOAD("--workers", "257"), "--workers");
    assert_refused(LOAD("--agent-id", "a b"), "--agent-id");
    assert_refused(LOAD("--log-level", "loud"), "--log-level");
    assert_refused(LOAD("--controlplane-cert-file", "x"), "--controlplane-cert-file");
    assert_refused(LOAD("--controlplane-key-file", "x"), "--controlplane-cert-file");
    assert_refused(LOAD("--controlplane-cert-file", "x", "--controlplane-key-file", "y"),
                   "--controlplane-ca-file");
    assert_refused(LOAD("--request-body-max", "1"), "--request-body-max");
    assert_refused(LOAD("--nonsense"), "--nonsense");
    assert_refused(LOAD("serve"), "serve");
}

static void an_id_is_made_once_and_kept(void **state)
{
    (void)state;
    char first[sizeof(settings.agent_id)];
    assert_int_equal(LOAD("--cache-dir", cache), 0);
    strcpy(first, settings.agent_id);
    assert_int_equal(strlen(first), 6 + 16);
    assert_int_equal(LOAD("--cache-dir", cache), 0);
    assert_string_equal(settings.agent_id, first);
    assert_int_equal(LOAD("--cache-dir", cache, "--agent-id", "other"), 0);
    assert_string_equal(settings.agent_id, "other");
    assert_int_equal(LOAD("--cache-dir", cache), 0);
    assert_string_equal(settings.agent_id, first);
    assert_int_equal(unlink(id_file), 0);
    assert_int_equal(LOAD("--cache-dir", cache), 0);
    assert_string_not_equal(settings.agent_id, first);
}

static void write_id(const char *text)
{
    int fd = open(id_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void a_kept_id_is_checked(void **state)
{
    (void)state;
    char too_long[200];
    memset(too_long, 'a', sizeof(too_long));
    too_long[199] = 0;
    assert_int_equal(mkdir(cache, 0700), 0);
    write_id("by-hand");
    assert_int_equal(LOAD("--cache-dir", cache), 0);
    assert_string_equal(settings.agent_id, "by-hand");
    const char *broken[] = {"", "\n", "a b\n", "a\nb\n", too_long};
    for (unsigned i = 0; i < GW_ARRAY_LEN(broken); i++) {
        write_id(broken[i]);
        assert_int_equal(LOAD("--cache-dir", cache), -1);
        assert_int_equal(err.code, GW_FAILED_PRECONDITION);
        assert_non_null(strstr(err.message, id_file));
    }
    assert_int_equal(LOAD("--cache-dir", cache, "--agent-id", "given"), 0);
}

static void a_cache_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--cache-dir", "/nowhere/cache"), -1);
    assert_int_equal(err.code, GW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "/nowhere/cache"));
}

static void callers_leave_descriptors_to_others(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--connections-max", "20000"), 0);
    dp_settings_fit(&settings, UINT64_MAX);
    assert_int_equal(settings.connections_max, 20000);
    dp_settings_fit(&settings, 21024);
    assert_int_equal(settings.connections_max, 20000);
    const int64_t fitted[][2] = {{20000, 18976}, {1024, 736}, {64, 16}, {20, 1}};
    for (unsigned i = 0; i < GW_ARRAY_LEN(fitted); i++) {
        dp_settings_fit(&settings, (uint64_t)fitted[i][0]);
        assert_int_equal(settings.connections_max, fitted[i][1]);
    }
}

static void help_and_version_need_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--nonsense", "--help"), 0);
    assert_true(settings.help);
    assert_int_equal(LOAD("--version"), 0);
    assert_true(settings.version && !settings.help);
    assert_refused(LOAD("--", "--help"), "--help");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(no_flag_is_needed),
        CASE(what_the_scenarios_give_is_understood),
        CASE(what_makes_no_sense_is_named),
        CASE(an_id_is_made_once_and_kept),
        CASE(a_kept_id_is_checked),
        CASE(a_cache_that_cannot_be_made_is_named),
        CASE(callers_leave_descriptors_to_others),
        CASE(help_and_version_need_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
