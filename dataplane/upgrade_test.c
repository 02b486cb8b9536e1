/* SPDX-License-Identifier: Apache-2.0 */
/* The old process against shells in the place of a new one, and the new process against a socket in
 * the place of the old one; both ends together are scenarios (test_upgrade.py). */
#include "dataplane/upgrade.h"

#include "common/test.h"
#include "dataplane/successor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct dp_loop loop;
static struct dp_upgrade upgrade;
static struct dp_successor successor;
static struct gw_error err, why;
static unsigned failures, serves, gos;

static bool may_go(void *arg, gw_str cluster_id, int64_t revision)
{
    (void)arg;
    assert_str(cluster_id, "c1");
    return revision >= 7;
}

static void on_serving(void *arg, pid_t pid)
{
    (void)arg;
    assert_true(pid > 0);
    serves++;
    dp_loop_stop(&loop);
}

static void on_failed(void *arg, const struct gw_error *error)
{
    (void)arg;
    why = *error;
    failures++;
    dp_loop_stop(&loop);
}

static const struct dp_upgrade_events events = {may_go, on_serving, on_failed};

static int set_up(void **state)
{
    (void)state;
    failures = serves = gos = 0;
    assert_int_equal(dp_loop_init(&loop), 0);
    dp_upgrade_init(&upgrade, &loop, &events, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dp_upgrade_cancel(&upgrade);
    dp_loop_done(&loop);
    return 0;
}

/* ---- the old one */

static void start_shell(const char *script, gw_msec timeout_ms)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
    int fds[] = {STDIN_FILENO, STDOUT_FILENO};
    struct dp_upgrade_plan plan = {"/bin/sh", argv, fds, GW_ARRAY_LEN(fds), timeout_ms};
    assert_int_equal(dp_upgrade_start(&upgrade, &plan, &err), 0);
}

static void assert_failed(const char *script, gw_msec timeout_ms, const char *reason)
{
    start_shell(script, timeout_ms);
    pid_t pid = upgrade.pid;
    dp_loop_run(&loop);
    assert_int_equal(failures, 1);
    if (!strstr(why.message, reason))
        fail_msg("\"%s\" is not \"%s\"", why.message, reason);
    assert_int_equal(kill(pid, 0), -1); /* it is no more, not even a zombie */
    assert_int_equal(upgrade.pid, 0);
}

static void one_that_ends_has_failed(void **state)
{
    (void)state;
    assert_failed("exit 3", 60000, "ended with status 3");
}

static void one_that_crashes_has_failed(void **state)
{
    (void)state;
    assert_failed("kill -ABRT $$", 60000, "ended by signal 6");
}

static void one_that_takes_too_long_is_ended(void **state)
{
    (void)state;
    assert_failed("exec sleep 60", 50, "not ready in time");
}

static void what_is_no_program_cannot_start(void **state)
{
    (void)state;
    char *argv[] = {(char *)"none", NULL};
    struct dp_upgrade_plan plan = {"/nowhere/none", argv, NULL, 0, 1000};
    assert_int_equal(dp_upgrade_start(&upgrade, &plan, &err), -1);
    assert_non_null(strstr(err.message, "/nowhere/none"));
    assert_int_equal(upgrade.pid, 0);
}

static void it_finds_its_descriptors_in_the_environment(void **state)
{
    (void)state;
    setenv(DP_UPGRADE_LISTEN_ENV, "of before", 1);
    assert_failed("test \"$PENSTOCK_LISTEN_FDS\" = 0,1 && test -e /dev/fd/$PENSTOCK_UPGRADE_FD && "
                  "exit 5",
                  60000, "ended with status 5");
    unsetenv(DP_UPGRADE_LISTEN_ENV);
}

/* ---- both ends in one process */

static void on_go(void *arg)
{
    (void)arg;
    gos++;
    dp_successor_serving(&successor);
}

/* A listening socket, and one of the other process, which has said something already or NULL: the
 * environment of a successor. */
static void be_successor_told(const char *first, int *ret_old)
{
    int ends[2], listener = socket(AF_INET, SOCK_STREAM, 0);
    char text[32];
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    if (first)
        assert_int_equal(send(ends[0], first, strlen(first), 0), strlen(first));
    snprintf(text, sizeof(text), "%d", listener);
    setenv(DP_UPGRADE_LISTEN_ENV, text, 1);
    snprintf(text, sizeof(text), "%d", ends[1]);
    setenv(DP_UPGRADE_SOCKET_ENV, text, 1);
    assert_int_equal(dp_successor_init(&successor, &err), 0);
    assert_null(getenv(DP_UPGRADE_LISTEN_ENV));
    assert_null(getenv(DP_UPGRADE_SOCKET_ENV));
    dp_successor_watch(&successor, &loop, on_go, NULL);
    *ret_old = ends[0];
}

static void be_successor(int *ret_old)
{
    be_successor_told(NULL, ret_old);
}

static void it_takes_the_keys_that_are_there_when_it_starts(void **state)
{
    (void)state;
    int old;
    be_successor(&old);
    assert_int_equal(successor.keys_len, 0);
    dp_successor_done(&successor);
    close(old);
    be_successor_told("of a later version", &old);
    assert_int_equal(successor.keys_len, 0);
    dp_successor_done(&successor);
    close(old);
    be_successor_told("keys abc", &old);
    assert_str(gw_str_n(successor.keys, successor.keys_len), "abc");
    dp_successor_done(&successor);
    close(old);
}

static void it_goes_when_it_is_told_that_what_it_has_is_new_enough(void **state)
{
    (void)state;
    start_shell("exec sleep 60", 60000); /* its end of the socket is taken over below */
    int old;
    be_successor(&old);
    assert_true(dup2(old, upgrade.fd) >= 0);
    close(old);
    dp_successor_ready(&successor, GW_STR("c1"), 6);
    ev_run(loop.ev, EVRUN_ONCE);
    assert_int_equal(gos, 0);
    dp_successor_ready(&successor, GW_STR("c1"), 7);
    dp_successor_ready(&successor, GW_STR("c1"), 8);
    ev_io_stop(loop.ev, &successor.io); /* the old one hears both before the new one hears "go" */
    ev_run(loop.ev, EVRUN_ONCE);
    ev_run(loop.ev, EVRUN_ONCE);
    ev_io_start(loop.ev, &successor.io);
    pid_t pid = upgrade.pid;
    dp_loop_run(&loop);
    assert_int_equal(gos, 1);
    assert_int_equal(serves, 1);
    assert_int_equal(failures, 0);
    kill(pid, SIGKILL);
}

static void it_goes_when_the_old_process_has_died(void **state)
{
    (void)state;
    int old;
    be_successor(&old);
    close(old);
    while (gos == 0)
        ev_run(loop.ev, EVRUN_ONCE);
    dp_successor_done(&successor);
}

static void without_the_environment_it_is_the_first(void **state)
{
    (void)state;
    assert_int_equal(dp_successor_init(&successor, &err), 0);
    assert_int_equal(successor.fd, -1);
    setenv(DP_UPGRADE_SOCKET_ENV, "1", 1);
    assert_int_equal(dp_successor_init(&successor, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    unsetenv(DP_UPGRADE_SOCKET_ENV);
}

static void the_path_is_the_one_that_was_called(void **state)
{
    (void)state;
    char path[256], own[256] = "";
    assert_true(readlink("/proc/self/exe", own, sizeof(own) - 1) > 0);
    assert_int_equal(dp_upgrade_path("/bin/../bin/sh", path, sizeof(path), &err), 0);
    assert_string_equal(path, "/bin/../bin/sh");
    assert_int_equal(dp_upgrade_path("sh", path, sizeof(path), &err), 0);
    assert_string_equal(path, own);
    assert_int_equal(dp_upgrade_path("/nowhere/sh", path, sizeof(path), &err), 0);
    assert_string_equal(path, own);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_ends_has_failed),
        TEST(one_that_crashes_has_failed),
        TEST(one_that_takes_too_long_is_ended),
        TEST(what_is_no_program_cannot_start),
        TEST(it_finds_its_descriptors_in_the_environment),
        TEST(it_takes_the_keys_that_are_there_when_it_starts),
        TEST(it_goes_when_it_is_told_that_what_it_has_is_new_enough),
        TEST(it_goes_when_the_old_process_has_died),
        TEST(without_the_environment_it_is_the_first),
        TEST(the_path_is_the_one_that_was_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
