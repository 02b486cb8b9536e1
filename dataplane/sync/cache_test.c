/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/cache.h"

#include "dataplane/limiter.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/snapshot/test_endpoints.h"

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
    static const char *const names[] = {"", ".old", ".tmp", ".journal", ".journal.old"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/" DP_CACHE_FILE "%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static uint8_t digest[DP_JOURNAL_DIGEST_BYTES]; /* of the file that was saved last */

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
        dp_cache_add(writer, &update, GW_STR_NONE);
    }
    struct dp_cache_mark mark;
    assert_int_equal(dp_cache_finish(writer, &mark, &err), 0);
    memcpy(digest, mark.digest, sizeof(digest));
}

/* Revision of what is loaded; 0: nothing; -1: damaged. */
static int64_t load_age(unsigned age, size_t *ret_count)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_found found;
    int64_t result = dp_cache_load(dir, age, &found, &err);
    *ret_count = found.count;
    if (result == 1)
        result = found.updates[found.count - 1]->revision;
    assert_true((err.code != GW_OK) == (result < 0 || found.is_journal_damaged));
    dp_cache_found_done(&found);
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

/* One update of one chunk is added to the journal. */
static void add(struct dp_journal *journal, int64_t revision)
{
    struct gw_error err = GW_ERROR_NONE;
    Penstock__Agent__V1__Update update = PENSTOCK__AGENT__V1__UPDATE__INIT, *chunks = &update;
    update.cluster_id = "c1";
    update.base_revision = revision - 1;
    update.revision = revision;
    update.final = true;
    assert_int_equal(dp_journal_add(journal, &chunks, 1, &err), 0);
}

static struct dp_journal *begin(void)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_journal *journal;
    assert_int_equal(dp_journal_begin(dir, digest, &journal, &err), 0);
    return journal;
}

static void what_came_after_it_is_loaded(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    size_t count;
    save(7, 2);
    struct dp_journal *journal = begin();
    assert_int_equal(load(&count), 7);
    add(journal, 8);
    add(journal, 9);
    assert_int_equal(dp_journal_sync(journal, &err), 0);
    dp_journal_close(journal);
    assert_int_equal(load(&count), 9);
    assert_int_equal(count, 4);
}

static void a_journal_goes_with_its_snapshot(void **state)
{
    (void)state;
    size_t count;
    save(7, 1);
    struct dp_journal *journal = begin();
    add(journal, 8);
    dp_journal_close(journal);
    save(9, 1); /* killed before its journal begins */
    assert_int_equal(load(&count), 9);
    assert_int_equal(count, 1);
    dp_journal_close(begin());
    assert_int_equal(load(&count), 9);
    assert_int_equal(load_age(1, &count), 8);
}

static void a_journal_cut_or_damaged_anywhere_counts_up_to_there(void **state)
{
    (void)state;
    char path[128];
    struct stat stat_;
    size_t count;
    save(7, 1);
    struct dp_journal *journal = begin();
    for (int64_t revision = 8; revision <= 10; revision++)
        add(journal, revision);
    size_t head = sizeof("penstock journal 1\n") - 1 + DP_JOURNAL_DIGEST_BYTES;
    size_t record = (dp_journal_bytes(journal) - head) / 3;
    dp_journal_close(journal);
    snprintf(path, sizeof(path), "%s/" DP_JOURNAL_FILE, dir);
    assert_int_equal(stat(path, &stat_), 0);
    for (size_t at = head; at < (size_t)stat_.st_size; at++) {
        damage(".journal", (long)at);
        assert_int_equal(load(&count), 7 + (at - head) / record);
        damage(".journal", (long)at); /* undone */
    }
    assert_int_equal(load(&count), 10);
    for (size_t size = (size_t)stat_.st_size - 1; size > 0; size--) {
        assert_int_equal(truncate(path, (off_t)size), 0);
        assert_int_equal(load(&count), size < head ? 7 : 7 + (size - head) / record);
    }
}

static void it_is_gone_on_with_behind_what_is_whole(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_found found;
    struct dp_journal *journal;
    size_t count;
    char path[128];
    save(7, 1);
    journal = begin();
    add(journal, 8);
    size_t whole = dp_journal_bytes(journal);
    add(journal, 9);
    dp_journal_close(journal);
    snprintf(path, sizeof(path), "%s/" DP_JOURNAL_FILE, dir);
    assert_int_equal(truncate(path, (off_t)whole + 10), 0);
    assert_int_equal(dp_cache_load(dir, 0, &found, &err), 1);
    assert_true(found.is_journal_damaged);
    dp_cache_found_done(&found);
    assert_int_equal(found.end.bytes, whole);
    assert_int_equal(dp_journal_resume(dir, &found.end, &journal, &err), 0);
    add(journal, 9);
    dp_journal_close(journal);
    assert_int_equal(load(&count), 9);
    dp_journal_close(begin()); /* by another process */
    assert_int_equal(dp_journal_resume(dir, &found.end, &journal, &err), -1);
    assert_int_equal(err.code, GW_FAILED_PRECONDITION);
}

static void a_record_has_a_limit(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    size_t count;
    Penstock__Agent__V1__Update update = PENSTOCK__AGENT__V1__UPDATE__INIT, *chunks = &update;
    update.cluster_id = gw_calloc(1, DP_JOURNAL_RECORD_MAX + 1);
    memset(update.cluster_id, 'c', DP_JOURNAL_RECORD_MAX);
    save(7, 1);
    struct dp_journal *journal = begin();
    assert_int_equal(dp_journal_add(journal, &chunks, 1, &err), -1);
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    add(journal, 8);
    dp_journal_close(journal);
    free(update.cluster_id);
    assert_int_equal(load(&count), 8);
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_writer *writer;
    assert_int_equal(dp_cache_begin("/nonexistent/penstock", &writer, &err), -1);
    assert_non_null(strstr(err.message, "No such file"));
}

/* ---- all of a catalog */

#define APPS 4000 /* more than one chunk */

typedef Penstock__Agent__V1__Resource resource;

/* A group that is good, a route that is refused, and apps. */
struct world {
    Penstock__Agent__V1__Group group;
    Penstock__Agent__V1__Route route;
    Penstock__Agent__V1__App apps[APPS];
    char names[APPS][96];
    resource resources[2 + APPS], *all[2 + APPS];
};

static struct world *new_world(void)
{
    struct world *world = gw_calloc(1, sizeof(*world));
    penstock__agent__v1__group__init(&world->group);
    penstock__agent__v1__route__init(&world->route);
    world->group.name = "groups/g";
    world->route.name = "groups/g/apis/a@RELEASE"; /* the rest is missing */
    for (unsigned i = 0; i < 2 + APPS; i++) {
        penstock__agent__v1__resource__init(&world->resources[i]);
        world->all[i] = &world->resources[i];
    }
    world->resources[0].kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_GROUP;
    world->resources[0].group = &world->group;
    world->resources[1].kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_ROUTE;
    world->resources[1].route = &world->route;
    for (unsigned i = 0; i < APPS; i++) {
        penstock__agent__v1__app__init(&world->apps[i]);
        (void)snprintf(world->names[i], sizeof(world->names[i]), "apps/%070u", i);
        world->apps[i].name = world->names[i];
        world->resources[2 + i].kind_case = PENSTOCK__AGENT__V1__RESOURCE__KIND_APP;
        world->resources[2 + i].app = &world->apps[i];
    }
    return world;
}

static void apply(struct dp_catalog *catalog, const struct dp_update *update)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_snapshot *snapshot;
    struct dp_refusals refusals;
    assert_int_equal(dp_catalog_apply(catalog, update, &snapshot, &refusals, &err), 0);
    assert_int_equal(refusals.count, 1);
    assert_int_equal(dp_snapshot_app_count(snapshot), APPS);
    dp_snapshot_unref(snapshot);
}

static void apply_found(struct dp_catalog *catalog, const struct dp_cache_found *found)
{
    resource **all = gw_calloc(2 + APPS, sizeof(*all));
    size_t count = 0, last = found->count - 1;
    assert_true(found->count > 2);
    for (size_t i = 0; i < found->count; i++) {
        const Penstock__Agent__V1__Update *chunk = found->updates[i];
        assert_string_equal(chunk->cluster_id, "c1");
        assert_int_equal(chunk->revision, 7);
        assert_int_equal(chunk->base_revision, i == last ? 7 : 0); /* what is refused */
        assert_int_equal(chunk->final, i + 1 >= last);
        for (size_t k = 0; k < chunk->n_upserts; k++)
            all[count++] = chunk->upserts[k];
    }
    assert_int_equal(count, 2 + APPS);
    assert_int_equal(found->updates[last]->n_upserts, 1);
    assert_string_equal(found->updates[last]->upserts[0]->route->name, "groups/g/apis/a@RELEASE");
    apply(catalog, &(struct dp_update){.cluster_id = GW_STR("c1"), 7, 0, all, count, NULL, 0});
    free(all);
}

static void all_of_a_catalog_makes_it_again(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_compile_env env = {dp_limiter_new(64), dp_endpoints_new(1),
                                 dp_route_stats_table_new(1)};
    struct dp_catalog *catalog = dp_catalog_new(&env), *again = dp_catalog_new(&env);
    struct world *world = new_world();
    struct dp_cache_mark mark;
    struct dp_cache_found found;
    apply(catalog, &(struct dp_update){GW_STR("c1"), 7, 0, world->all, 2 + APPS, NULL, 0});
    assert_int_equal(dp_cache_save(dir, catalog, &mark, &err), 0);
    assert_int_equal(dp_cache_load(dir, 0, &found, &err), 1);
    assert_int_equal(found.bytes, mark.bytes);
    apply_found(again, &found);
    dp_cache_found_done(&found);
    free(world);
    dp_catalog_free(again);
    dp_catalog_free(catalog);
    dp_route_stats_table_free(env.stats);
    dp_endpoints_free(env.endpoints);
    dp_limiter_free(env.limiter);
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
        cmocka_unit_test_setup_teardown(what_came_after_it_is_loaded, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_journal_goes_with_its_snapshot, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_journal_cut_or_damaged_anywhere_counts_up_to_there,
                                        make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(it_is_gone_on_with_behind_what_is_whole, make_dir,
                                        remove_dir),
        cmocka_unit_test_setup_teardown(a_record_has_a_limit, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(all_of_a_catalog_makes_it_again, make_dir, remove_dir),
        cmocka_unit_test(a_directory_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
