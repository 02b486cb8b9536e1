/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/supervisor.h"

#include "common/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64], path[96];
static struct gw_error err;

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/penstock-supervisor-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path); /* it need not be there */
    return rmdir(folder);
}

static void assert_holds(const char *want)
{
    char text[64] = "";
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = 0;
    assert_string_equal(text, want);
}

static void a_pid_file_tells_this_process_and_goes_with_it(void **state)
{
    (void)state;
    char pid[32];
    snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    assert_int_equal(dp_pid_file_write(path, &err), 0);
    assert_holds(pid);
    dp_pid_file_remove(path);
    assert_int_equal(access(path, F_OK), -1);
    dp_pid_file_remove(path);
}

static void the_pid_file_of_another_process_stays(void **state)
{
    (void)state;
    assert_int_equal(dp_file_replace(path, GW_STR("1\n"), 0600), 0);
    dp_pid_file_remove(path);
    assert_holds("1\n");
}

static void a_pid_file_that_cannot_be_written_is_named(void **state)
{
    (void)state;
    assert_int_equal(dp_pid_file_write("/nowhere/pid", &err), -1);
    assert_non_null(strstr(err.message, "/nowhere/pid"));
    assert_int_equal(dp_pid_file_write("", &err), 0);
}

static void what_is_notified_arrives(void **state)
{
    (void)state;
    char text[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", path, 1);
    dp_notify("READY=1");
    assert_int_equal(recv(fd, text, sizeof(text), 0), 7);
    assert_memory_equal(text, "READY=1", 7);
    unsetenv("NOTIFY_SOCKET");
    dp_notify("READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    dp_notify("READY=1");
    assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pid_file_tells_this_process_and_goes_with_it),
        TEST(the_pid_file_of_another_process_stays),
        TEST(a_pid_file_that_cannot_be_written_is_named),
        TEST(what_is_notified_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
