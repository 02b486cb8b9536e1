/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base.h"
#include "common/test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct outer {
    int before;
    int member;
};

static void container_of_finds_the_owner(void **state)
{
    (void)state;
    struct outer outer = {1, 2};
    assert_ptr_equal(gw_container_of(&outer.member, struct outer, member), &outer);
    assert_int_equal(GW_ARRAY_LEN(((int[]){1, 2, 3})), 3);
}

static void nothing_is_still_a_pointer(void **state)
{
    (void)state;
    gw_auto(gw_freep) char *a = gw_malloc(0);
    gw_auto(gw_freep) char *b = gw_calloc(0, 8);
    gw_auto(gw_freep) char *c = gw_realloc(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
}

static void calloc_zeroes_and_strdup_copies(void **state)
{
    (void)state;
    static const char zero[64];
    gw_auto(gw_freep) char *a = gw_calloc(8, 8);
    assert_memory_equal(a, zero, sizeof(zero));
    gw_auto(gw_freep) char *b = gw_strdup("weir");
    assert_string_equal(b, "weir");
}

/* Runs fn in a child with stderr on a pipe; its text, and how it ended. */
static int run_child(void (*fn)(void), char *ret_text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(ends[0], ret_text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    ret_text[len] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void do_panic(void)
{
    gw_panic("cell %d is gone", 7);
}

static void overflow(void)
{
    volatile size_t huge = SIZE_MAX / 2;
    gw_freep(&(void *){gw_calloc(huge, 4)});
}

static void panic_says_why_and_aborts(void **state)
{
    (void)state;
    char text[512];
    int status = run_child(do_panic, text, sizeof(text));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_string_equal(text, "panic: cell 7 is gone\n");
}

static void impossible_sizes_end_the_process(void **state)
{
    (void)state;
    char text[512];
    int status = run_child(overflow, text, sizeof(text));
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(container_of_finds_the_owner),
        cmocka_unit_test(nothing_is_still_a_pointer),
        cmocka_unit_test(calloc_zeroes_and_strdup_copies),
        cmocka_unit_test(panic_says_why_and_aborts),
        cmocka_unit_test(impossible_sizes_end_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
