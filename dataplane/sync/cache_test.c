/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/cache.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/penstock-cache-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    char path[128];
    static const char *const names[] = {"", ".old", ".tmp"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE "%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static void save(int64_t revision, unsigned chunks)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_writer *writer;
    assert_int_equal(dp_cache_begin(dir, &writer, &err), 0);
    for (unsigned i = 0; i < chunks; i++) {
        Penstock__Agent__V1__Update update = PENSTOCK__AGENT__V1__UPDATE__INIT;
        update.cluster_id = "c1";
        update.revision = revision;
        update.final = i + 1 == chunks;
        dp_cache_add(writer, &update);
    }
    assert_int_equal(dp_cache_finish(writer, &err), 0);
}

/* Revision of what is loaded; 0: nothing; -1: damaged. */
static int64_t load_age(unsigned age, size_t *ret_count)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_arena arena;
    Penstock__Agent__V1__Update **updates;
    gw_arena_init(&arena, 0);
    int64_t result = dp_cache_load(dir, age, &arena, &updates, ret_count, &err);
    if (result == 1)
        result = updates[0]->revision;
    else if (result < 0)
        assert_int_not_equal(err.code, GW_OK);
    gw_arena_done(&arena);
    return result;
}

static int64_t load(size_t *ret_count)
{
    return load_age(0, ret_count);
}

static void damage(const char *suffix, long offset)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE "%s", dir, suffix);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_CUR);
    fputc(byte ^ 0x20, file);
    fclose(file);
}

static void an_empty_directory_holds_nothing(void **state)
{
    (void)state;
    size_t count;
    assert_int_equal(load(&count), 0);
}

static void what_was_saved_is_loaded(void **state)
{
    (void)state;
    size_t count;
    save(7, 3);
    assert_int_equal(load(&count), 7);
    assert_int_equal(count, 3);
}

static void private_keys_in_it_are_for_nobody_else(void **state)
{
    (void)state;
    char path[128];
    struct stat file;
    size_t count;
    mode_t mask = umask(0);
    snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE ".tmp", dir);
    assert_int_equal(symlink("elsewhere", path), 0);
    save(7, 1);
    assert_int_equal(load(&count), 7);
    int left = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666); /* by a process that was killed */
    assert_true(left >= 0);
    close(left);
    save(8, 1);
    umask(mask);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE "%s", dir, i ? ".old" : "");
        assert_int_equal(lstat(path, &file), 0);
        assert_int_equal(file.st_mode, S_IFREG | 0600);
    }
}

static void a_damaged_file_leaves_the_one_before(void **state)
{
    (void)state;
    size_t count;
    save(7, 1);
    save(8, 1);
    assert_int_equal(load(&count), 8);
    damage("", 25);
    assert_int_equal(load(&count), -1);
    assert_int_equal(load_age(1, &count), 7);
    damage(".old", -1);
    assert_int_equal(load_age(1, &count), -1);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    char path[128];
    struct stat stat_;
    size_t count;
    save(7, 2);
    snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE, dir);
    assert_int_equal(stat(path, &stat_), 0);
    for (off_t size = stat_.st_size - 1; size >= 0; size--) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(load(&count), -1);
    }
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_writer *writer;
    assert_int_equal(dp_cache_begin("/nonexistent/penstock", &writer, &err), -1);
    assert_non_null(strstr(err.message, "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_directory_holds_nothing, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(what_was_saved_is_loaded, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(private_keys_in_it_are_for_nobody_else, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_damaged_file_leaves_the_one_before, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_file_cut_anywhere_is_refused, make_dir, remove_dir),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
