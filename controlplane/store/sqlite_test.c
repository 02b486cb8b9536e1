/* SPDX-License-Identifier: Apache-2.0 */
/* What only the SQLite store promises: its file, and who may open it. */
#include "controlplane/store/sqlite_internal.h"
#include "controlplane/store/test_store.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* The fixture's file; the store is open from setup on. */
static const char *file_path(struct fixture *f)
{
    return gw_arena_printf(&f->arena, "%s/store.db", f->dir).ptr;
}

static void reopen(struct fixture *f)
{
    cp_store_close(f->store);
    f->store = NULL;
    assert_int_equal(open_sqlite(f, file_path(f)), 0);
}

static int case_file_setup(void **state)
{
    int result = file_setup(state);
    return result ? result : case_setup(state);
}

static int case_file_teardown(void **state)
{
    case_teardown(state);
    return sqlite_teardown(state);
}
#define FILE_CASE(test) cmocka_unit_test_setup_teardown(test, case_file_setup, case_file_teardown)

static struct cp_batch watch_once(struct fixture *f, struct cp_position after, gw_msec timeout_ms)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_batch batch = {0};
    struct cp_watch *watch = NULL;
    OK(cp_watch_open(f->store, gw_str_from(f->prefix), after, &watch, &err));
    assert_int_equal(cp_watch_next(watch, timeout_ms, &f->arena, &batch, &err), CP_WATCH_LIVE);
    cp_watch_close(watch);
    return batch;
}

static void test_everything_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    put(f, "gone", "1");
    OK(cp_store_compact(f->store, 0, &err));
    struct cp_position before = position(f);
    int64_t first = put(f, "a", "1");
    int64_t second = put(f, "a", "2");
    reopen(f);
    struct cp_found found = get(f, "a");
    assert_str(found.kv.value, "2");
    assert_int_equal(found.kv.create_revision, first);
    assert_int_equal(found.at.cluster_id, before.cluster_id);
    assert_int_equal(found.at.revision, second);
    struct cp_batch batch = watch_once(f, before, PATIENCE_MS);
    assert_int_equal(batch.count, 2);
    assert_str(batch.events[0].kv.value, "1");
    assert_true(put(f, "a", "3") > second);

    struct cp_page page;
    struct cp_range range = {.at_revision = before.revision - 1};
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_OUT_OF_RANGE);
}

static void test_stores_have_their_own_cluster_id(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_store *other = NULL;
    struct cp_position at = {0};
    OK(cp_store_open_sqlite(":memory:", &other, &err));
    OK(cp_store_ping(other, &at, &err));
    assert_true(at.cluster_id != 0 && at.cluster_id != position(f).cluster_id);
    cp_store_close(other);
}

static void test_file_is_for_its_owner(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    const char *names[] = {"store.db", "store.db-wal"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        struct stat st;
        const char *path = gw_arena_printf(&f->arena, "%s/%s", f->dir, names[i]).ptr;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

/* Runs this program as another process; returns its wait status. */
static int run_other(const char *what, const char *path)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl("/proc/self/exe", "sqlite_test", what, path, (char *)NULL);
        _exit(99);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* The other process: exit status 0 when it did what is wanted. */
static int other_process(const char *what, const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_store *store = NULL;
    int result = cp_store_open_sqlite(path, &store, &err);
    if (strcmp(what, "refused") == 0) {
        bool is_clear = strstr(err.message, "in use by another process") != NULL;
        cp_store_close(store);
        return result != 0 && err.code == GW_FAILED_PRECONDITION && is_clear ? 0 : 1;
    }
    if (result)
        return 2;
    struct cp_op op = {.key = GW_STR("/t/1/killed"), .value = GW_STR("1")};
    struct cp_commit commit = {0};
    if (cp_store_txn(store, &(struct cp_txn){.ops = &op, .op_count = 1}, &commit, &err))
        return 3;
    raise(SIGKILL);
    return 4;
}

static void test_second_opener_is_refused(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    struct gw_error err = GW_ERROR_NONE;
    struct cp_store *second = NULL;
    REFUSED(cp_store_open_sqlite(file_path(f), &second, &err), GW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "in use by another process"));
    assert_null(second);
    int status = run_other("refused", file_path(f)); /* also after the try above */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    put(f, "a", "2");
}

static void test_a_killed_process_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t before = put(f, "a", "1");
    cp_store_close(f->store);
    f->store = NULL;
    int status = run_other("killed", file_path(f));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(open_sqlite(f, file_path(f)), 0);
    struct cp_found found = get(f, "killed");
    assert_true(found.found);
    assert_int_equal(found.kv.mod_revision, before + 1);
}

static void write_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_files_of_others_are_refused(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_store *store = NULL;
    cp_store_close(f->store);
    f->store = NULL;
    const char *text = gw_arena_printf(&f->arena, "%s/text", f->dir).ptr;
    FILE *file = fopen(text, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 1000; i++)
        (void)fputs("These are not the bytes of a database.\n", file);
    (void)fclose(file);
    REFUSED(cp_store_open_sqlite(text, &store, &err), GW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "not a store of Penstock"));

    const char *other = gw_arena_printf(&f->arena, "%s/other.db", f->dir).ptr;
    write_sql(other, "CREATE TABLE theirs (a)");
    REFUSED(cp_store_open_sqlite(other, &store, &err), GW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "not a store of Penstock"));

    write_sql(file_path(f), "PRAGMA user_version = 99");
    REFUSED(cp_store_open_sqlite(file_path(f), &store, &err), GW_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "another version"));

    REFUSED(cp_store_open_sqlite("", &store, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_open_sqlite(f->dir, &store, &err), GW_FAILED_PRECONDITION);
    const char *nowhere = gw_arena_printf(&f->arena, "%s/no/store.db", f->dir).ptr;
    REFUSED(cp_store_open_sqlite(nowhere, &store, &err), GW_FAILED_PRECONDITION);
    assert_null(store);
}

static void set_pragma(struct fixture *f, const char *sql)
{
    struct cp_sqlite *s = gw_container_of(f->store, struct cp_sqlite, base);
    assert_int_equal(sqlite3_exec(s->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void test_full_store_still_reads(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    int64_t before = put(f, "a", "1");
    set_pragma(f, "PRAGMA max_page_count = 1"); /* SQLite makes it what there is now */
    char bytes[100000];
    memset(bytes, 'x', sizeof bytes);
    struct cp_op ops[] = {op_put(f, "a", "2"), op_put(f, "big", "")};
    ops[1].value = gw_str_n(bytes, sizeof bytes);
    struct cp_commit commit = {0};
    REFUSED(cp_store_txn(f->store, &(struct cp_txn){.ops = ops, .op_count = 2}, &commit, &err),
            GW_RESOURCE_EXHAUSTED);
    assert_string_equal(err.reason, "");
    assert_str(get(f, "a").kv.value, "1");
    assert_int_equal(position(f).revision, before);
    set_pragma(f, "PRAGMA max_page_count = 1000000");
    assert_int_equal(commit_ops(f, ops, 2), before + 1);
}

static void test_lease_ends_on_time(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    gw_clock_fake(1000, 0);
    struct cp_op op = op_put(f, "a", "1");
    op.lease = grant(f, 10);
    commit_ops(f, &op, 1);
    gw_clock_fake(10999, 0);
    assert_true(get(f, "a").found);
    OK(cp_store_lease_keepalive(f->store, op.lease, &err));
    gw_clock_fake(20998, 0);
    assert_true(get(f, "a").found);

    gw_clock_fake(20000, 0);
    reopen(f); /* a restart grants the full ttl anew */
    gw_clock_fake(29999, 0);
    assert_true(get(f, "a").found);
    gw_clock_fake(30000, 0);
    assert_false(get(f, "a").found);
    REFUSED(cp_store_lease_keepalive(f->store, op.lease, &err), GW_NOT_FOUND);
    reopen(f);
    assert_true(grant(f, 10) != op.lease); /* never the number of an ended one */
    gw_clock_fake_off();
}

static void test_lease_waits_for_room(void **state)
{
    struct fixture *f = *state;
    gw_clock_fake(1000, 0);
    struct cp_op op = op_put(f, "a", "1");
    op.lease = grant(f, 1);
    commit_ops(f, &op, 1);
    set_pragma(f, "PRAGMA query_only = ON");
    gw_clock_fake(2000, 0);
    assert_true(get(f, "a").found); /* cannot be deleted yet, and reading goes on */
    set_pragma(f, "PRAGMA query_only = OFF");
    gw_clock_fake(3000, 0);
    assert_false(get(f, "a").found);
    gw_clock_fake_off();
}

static int64_t row_count(struct fixture *f)
{
    struct cp_sqlite *s = gw_container_of(f->store, struct cp_sqlite, base);
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(s->db, "SELECT count(*) FROM entry", -1, &stmt, NULL), 0);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return count;
}

static void test_compaction_frees_rows(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    for (unsigned i = 0; i < 10; i++)
        put(f, "a", "x");
    put(f, "b", "x");
    delete (f, "b");
    assert_int_equal(row_count(f), 12);
    OK(cp_store_compact(f->store, 0, &err));
    assert_int_equal(row_count(f), 1);
}

static void test_watch_moves_without_events(void **state)
{
    struct fixture *f = *state;
    struct cp_position after = position(f);
    struct gw_error err = GW_ERROR_NONE;
    struct cp_op op = {.key = GW_STR("/elsewhere"), .value = GW_STR("1")};
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, &(struct cp_txn){.ops = &op, .op_count = 1}, &commit, &err));
    struct cp_batch batch = watch_once(f, after, 1);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.at.revision, commit.at.revision);
}

static int interrupt_always(void *arg)
{
    (void)arg;
    return 1;
}

static void test_watch_goes_on_after_a_failure(void **state)
{
    struct fixture *f = *state;
    struct cp_sqlite *s = gw_container_of(f->store, struct cp_sqlite, base);
    struct gw_error err = GW_ERROR_NONE;
    struct cp_batch batch;
    struct cp_watch *watch = NULL;
    OK(cp_watch_open(f->store, gw_str_from(f->prefix), position(f), &watch, &err));
    put(f, "a", "1");
    sqlite3_progress_handler(s->db, 1, interrupt_always, NULL);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cp_watch_next(watch, 1, &f->arena, &batch, &err), CP_WATCH_AWAY);
        assert_int_equal(batch.count, 0);
        assert_true(err.code != GW_OK && err.message[0]);
    }
    sqlite3_progress_handler(s->db, 0, NULL, NULL);
    assert_int_equal(cp_watch_next(watch, 1, &f->arena, &batch, &err), CP_WATCH_LIVE);
    assert_int_equal(batch.count, 1);
    cp_watch_close(watch);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return other_process(argv[1], argv[2]);
    const struct CMUnitTest tests[] = {
        FILE_CASE(test_everything_survives_a_restart),
        FILE_CASE(test_stores_have_their_own_cluster_id),
        FILE_CASE(test_file_is_for_its_owner),
        FILE_CASE(test_second_opener_is_refused),
        FILE_CASE(test_a_killed_process_loses_nothing),
        FILE_CASE(test_files_of_others_are_refused),
        FILE_CASE(test_full_store_still_reads),
        FILE_CASE(test_lease_ends_on_time),
        FILE_CASE(test_lease_waits_for_room),
        FILE_CASE(test_compaction_frees_rows),
        FILE_CASE(test_watch_moves_without_events),
        FILE_CASE(test_watch_goes_on_after_a_failure),
    };
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
