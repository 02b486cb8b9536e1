/* SPDX-License-Identifier: Apache-2.0 */
/* Writing to the SQLite store: all changes of a transaction get the next revision, or none. */
#include "controlplane/store/sqlite_internal.h"

int cp_sqlite_begin(struct cp_sqlite *s, struct cp_sqlite_change *ret_change, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_BEGIN);
    if (cp_sqlite_run(s, stmt, err))
        return -1;
    *ret_change = (struct cp_sqlite_change){.revision = s->at.revision + 1};
    return 0;
}

void cp_sqlite_abandon(struct cp_sqlite *s)
{
    if (sqlite3_get_autocommit(s->db)) /* SQLite has rolled back by itself */
        return;
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_ROLLBACK);
    (void)sqlite3_step(stmt); /* the next BEGIN fails if this did */
}

static int commit(struct cp_sqlite *s, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_COMMIT);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        return 0;
    (void)cp_sqlite_fail(s, rc, err); /* returned below */
    /* Gone for this process, but a crash now may find it in the log. */
    return (rc & 0xff) == SQLITE_IOERR ? gw_error_reason(err, CP_STORE_OUTCOME_UNKNOWN) : -1;
}

static int set_revision(struct cp_sqlite *s, const struct cp_sqlite_change *change,
                        struct gw_error *err)
{
    if (change->count == 0)
        return 0;
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_SET_REVISION);
    cp_sqlite_bind_int(stmt, 1, change->revision);
    return cp_sqlite_run(s, stmt, err);
}

int cp_sqlite_finish(struct cp_sqlite *s, const struct cp_sqlite_change *change,
                     struct gw_error *err)
{
    if (set_revision(s, change, err) || commit(s, err)) {
        cp_sqlite_abandon(s);
        return -1;
    }
    if (change->count > 0) {
        s->at.revision = change->revision;
        pthread_cond_broadcast(&s->changed);
    }
    return 0;
}

/* Ends the key's row, if it has one; *ret_create is then when the key was made, else 0. */
static int end_row(struct cp_sqlite *s, const struct cp_sqlite_change *change, gw_str key,
                   int64_t *ret_create, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_END);
    cp_sqlite_bind_bytes(stmt, 1, key);
    cp_sqlite_bind_int(stmt, 2, change->revision);
    *ret_create = 0;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        *ret_create = sqlite3_column_int64(stmt, 0);
    return rc == SQLITE_DONE ? 0 : cp_sqlite_fail(s, rc, err);
}

int cp_sqlite_delete(struct cp_sqlite *s, struct cp_sqlite_change *change, gw_str key,
                     struct gw_error *err)
{
    int64_t create;
    if (end_row(s, change, key, &create, err))
        return -1;
    if (create == 0)
        return 0;
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_INSERT);
    cp_sqlite_bind_bytes(stmt, 1, key);
    cp_sqlite_bind_int(stmt, 2, change->revision);
    cp_sqlite_bind_int(stmt, 3, 0);
    cp_sqlite_bind_int(stmt, 4, change->revision);
    cp_sqlite_bind_int(stmt, 5, 0);
    cp_sqlite_bind_bytes(stmt, 6, GW_STR_NONE);
    change->count++;
    return cp_sqlite_run(s, stmt, err);
}

static int put(struct cp_sqlite *s, struct cp_sqlite_change *change, const struct cp_op *op,
               struct gw_error *err)
{
    if (op->lease != 0 && !cp_sqlite_lease_lives(s, op->lease))
        return gw_fail(err, GW_NOT_FOUND, "lease %lld has ended", (long long)op->lease);
    int64_t create;
    if (end_row(s, change, op->key, &create, err))
        return -1;
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_INSERT);
    cp_sqlite_bind_bytes(stmt, 1, op->key);
    cp_sqlite_bind_int(stmt, 2, change->revision);
    cp_sqlite_bind_int(stmt, 3, create ? create : change->revision);
    /* 4, ended, stays NULL */
    cp_sqlite_bind_int(stmt, 5, op->lease);
    cp_sqlite_bind_bytes(stmt, 6, op->value);
    change->count++;
    return cp_sqlite_run(s, stmt, err);
}

static int compare(struct cp_sqlite *s, const struct cp_compare *compare, bool *ret_holds,
                   struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_FIND);
    cp_sqlite_bind_bytes(stmt, 1, compare->key);
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return cp_sqlite_fail(s, rc, err);
    int64_t revision = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 1) : 0;
    *ret_holds =
        compare->kind == CP_COMPARE_EXISTS ? revision != 0 : revision == compare->mod_revision;
    return 0;
}

static int compare_all(struct cp_sqlite *s, const struct cp_txn *txn, bool *ret_holds,
                       struct gw_error *err)
{
    *ret_holds = true;
    for (size_t i = 0; i < txn->compare_count && *ret_holds; i++)
        if (compare(s, &txn->compares[i], ret_holds, err))
            return -1;
    return 0;
}

static int change_all(struct cp_sqlite *s, const struct cp_txn *txn,
                      struct cp_sqlite_change *change, struct gw_error *err)
{
    for (size_t i = 0; i < txn->op_count; i++) {
        const struct cp_op *op = &txn->ops[i];
        int failed = op->kind == CP_OP_PUT ? put(s, change, op, err)
                                           : cp_sqlite_delete(s, change, op->key, err);
        if (failed)
            return -1;
    }
    return 0;
}

static int run_txn(struct cp_sqlite *s, const struct cp_txn *txn, bool *ret_committed,
                   struct gw_error *err)
{
    struct cp_sqlite_change change;
    if (cp_sqlite_begin(s, &change, err))
        return -1;
    bool holds;
    if (compare_all(s, txn, &holds, err) || (holds && change_all(s, txn, &change, err))) {
        cp_sqlite_abandon(s);
        return -1;
    }
    *ret_committed = holds;
    return cp_sqlite_finish(s, &change, err);
}

int cp_sqlite_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
                  struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    bool committed;
    cp_sqlite_enter(s);
    int result = run_txn(s, txn, &committed, err);
    if (result == 0)
        *ret_commit = (struct cp_commit){.committed = committed, .at = s->at};
    cp_sqlite_leave(s);
    return result;
}

static int forget(struct cp_sqlite *s, int64_t revision, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *rows = cp_sqlite_use(s, CP_SQL_FORGET);
    gw_auto(cp_sqlite_reset) sqlite3_stmt *meta = cp_sqlite_use(s, CP_SQL_SET_COMPACTED);
    cp_sqlite_bind_int(rows, 1, revision);
    cp_sqlite_bind_int(meta, 1, revision);
    return cp_sqlite_run(s, rows, err) || cp_sqlite_run(s, meta, err) ? -1 : 0;
}

static int compact(struct cp_sqlite *s, int64_t revision, struct gw_error *err)
{
    if (revision <= s->compacted)
        return 0;
    struct cp_sqlite_change change;
    if (cp_sqlite_begin(s, &change, err))
        return -1;
    if (forget(s, revision, err)) {
        cp_sqlite_abandon(s);
        return -1;
    }
    if (cp_sqlite_finish(s, &change, err))
        return -1;
    s->compacted = revision;
    pthread_cond_broadcast(&s->changed);
    return 0;
}

int cp_sqlite_compact(struct cp_store *store, int64_t keep, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    int result = compact(s, s->at.revision - keep, err);
    cp_sqlite_leave(s);
    return result;
}
