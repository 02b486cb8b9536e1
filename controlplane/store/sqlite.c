/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded store: one SQLite file for one process. SQLite itself holds the file's lock
 * (locking_mode EXCLUSIVE), so a second process is refused and nobody writes behind our back:
 * revision, compaction and leases are kept in memory too. */
#include "controlplane/store/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define APPLICATION_ID 0x504e5354 /* "PNST": tells our files from those of others */
#define SCHEMA_VERSION 1
#define FIRST_REVISION 1 /* as etcd's: the position of an empty list is not 0 */

/* Reached first, and takes the lock. A log that grew is cut back to 16 MiB. */
static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA journal_size_limit = 16777216;"
                              "PRAGMA trusted_schema = OFF;"
                              "BEGIN EXCLUSIVE; COMMIT;";

static const char schema[] =
    "CREATE TABLE meta (cluster_id INTEGER NOT NULL, revision INTEGER NOT NULL,"
    " compacted INTEGER NOT NULL);"
    "CREATE TABLE entry (id INTEGER PRIMARY KEY, key BLOB NOT NULL, mod_revision INTEGER NOT NULL,"
    " create_revision INTEGER NOT NULL, ended INTEGER, lease INTEGER NOT NULL,"
    " value BLOB NOT NULL);"
    "CREATE UNIQUE INDEX entry_now ON entry (key) WHERE ended IS NULL;"
    "CREATE INDEX entry_past ON entry (ended) WHERE ended IS NOT NULL;"
    "CREATE INDEX entry_order ON entry (mod_revision);"
    "CREATE INDEX entry_lease ON entry (lease, key) WHERE lease > 0 AND ended IS NULL;"
    /* AUTOINCREMENT: the number of an ended lease is never given again */
    "CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_s INTEGER NOT NULL);";

void cp_sqlite_reap_due(struct cp_sqlite *s)
{
    if (s->reap_at == INT64_MAX)
        return;
    gw_msec now = gw_clock_monotonic_ms();
    if (now >= s->reap_at)
        cp_sqlite_lease_reap(s, now);
}

void cp_sqlite_enter(struct cp_sqlite *s)
{
    pthread_mutex_lock(&s->lock);
    cp_sqlite_reap_due(s);
}

void cp_sqlite_leave(struct cp_sqlite *s)
{
    pthread_mutex_unlock(&s->lock);
}

static void close_store(struct cp_store *store)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    assert(s->watch_count == 0);
    cp_sqlite_finalize(s);
    sqlite3_close(s->db);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s->leases);
    free(s);
}

static int exec(struct cp_sqlite *s, const char *sql, struct gw_error *err)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : cp_sqlite_fail(s, rc, err);
}

/* The one number that a statement without parameters answers. */
static int ask(struct cp_sqlite *s, const char *sql, int64_t *ret_value, struct gw_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    int result = rc == SQLITE_ROW ? 0 : cp_sqlite_fail(s, rc, err);
    if (result == 0)
        *ret_value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return result;
}

/* Makes the file for its owner alone. Never opens one that is there: closing it again would drop
 * the lock that this process may already hold on it. */
static int make_file(const char *path, struct gw_error *err)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return 0;
}

static int open_db(struct cp_sqlite *s, const char *path, struct gw_error *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(path, &s->db, flags, NULL);
    if (!s->db)
        gw_panic("sqlite: out of memory");
    if (rc != SQLITE_OK)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", path, sqlite3_errstr(rc));
    rc = sqlite3_exec(s->db, pragmas, NULL, NULL, NULL);
    if ((rc & 0xff) == SQLITE_BUSY)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: in use by another process", path);
    if ((rc & 0xff) == SQLITE_NOTADB)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: not a store of Penstock", path);
    return rc == SQLITE_OK ? 0 : cp_sqlite_fail(s, rc, err);
}

static int64_t random_cluster_id(void)
{
    int64_t id = 0;
    while (id == 0) {
        if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
            gw_panic("getrandom: %s", strerror(errno));
        id &= INT64_MAX;
    }
    return id;
}

static int create_schema(struct cp_sqlite *s, struct gw_error *err)
{
    char finish[256];
    (void)snprintf(finish, sizeof finish,
                   "INSERT INTO meta VALUES (%lld, %d, 0);"
                   "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                   (long long)random_cluster_id(), FIRST_REVISION, APPLICATION_ID, SCHEMA_VERSION);
    if (exec(s, "BEGIN IMMEDIATE", err) || exec(s, schema, err) || exec(s, finish, err))
        return -1; /* closing rolls back */
    return 0;
}

/* Creates what a new file needs; refuses files of others and of newer versions. */
static int check_schema(struct cp_sqlite *s, const char *path, struct gw_error *err)
{
    int64_t tables, application, version;
    if (ask(s, "SELECT count(*) FROM sqlite_schema", &tables, err) ||
        ask(s, "PRAGMA application_id", &application, err) ||
        ask(s, "PRAGMA user_version", &version, err))
        return -1;
    if (tables == 0 && application == 0)
        return create_schema(s, err);
    if (application != APPLICATION_ID)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: not a store of Penstock", path);
    if (version != SCHEMA_VERSION)
        return gw_fail(err, GW_FAILED_PRECONDITION,
                       "%s: written by another version of Penstock (schema %lld, not %d)", path,
                       (long long)version, SCHEMA_VERSION);
    return 0;
}

static int read_meta(struct cp_sqlite *s, struct cp_position *ret_at, int64_t *ret_compacted,
                     struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_META);
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return cp_sqlite_fail(s, rc, err);
    *ret_at = (struct cp_position){.cluster_id = (uint64_t)sqlite3_column_int64(stmt, 0),
                                   .revision = sqlite3_column_int64(stmt, 1)};
    *ret_compacted = sqlite3_column_int64(stmt, 2);
    return 0;
}

static int ping(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    struct cp_position at;
    int result = read_meta(s, &at, &s->compacted, err); /* the file still answers */
    if (result == 0)
        *ret_at = at;
    cp_sqlite_leave(s);
    return result;
}

static const struct cp_store_ops ops = {
    .close = close_store,
    .get = cp_sqlite_get,
    .list = cp_sqlite_list,
    .count = cp_sqlite_count,
    .txn = cp_sqlite_txn,
    .lease_grant = cp_sqlite_lease_grant,
    .lease_keepalive = cp_sqlite_lease_keepalive,
    .lease_revoke = cp_sqlite_lease_revoke,
    .ping = ping,
    .compact = cp_sqlite_compact,
    .watch_open = cp_sqlite_watch_open,
};

static int load(struct cp_sqlite *s, const char *path, struct gw_error *err)
{
    bool is_file = strcmp(path, ":memory:") != 0;
    if (is_file && make_file(path, err))
        return -1;
    if (open_db(s, path, err) || check_schema(s, path, err) || cp_sqlite_prepare(s, err) ||
        read_meta(s, &s->at, &s->compacted, err) || cp_sqlite_lease_load(s, err))
        return -1;
    return 0;
}

int cp_store_open_sqlite(const char *path, struct cp_store **ret_store, struct gw_error *err)
{
    if (!*path)
        return gw_fail(err, GW_INVALID_ARGUMENT, "the store's path is empty");
    struct cp_sqlite *s = gw_calloc(1, sizeof *s);
    s->base.ops = &ops;
    s->reap_at = INT64_MAX;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (load(s, path, err)) {
        close_store(&s->base);
        return -1;
    }
    *ret_store = &s->base;
    return 0;
}
