/* SPDX-License-Identifier: Apache-2.0 */
/* Every statement of the SQLite store in one table, and the small steps between C and SQLite. */
#include "controlplane/store/sqlite_internal.h"

/* Table entry (sqlite.c): one row for each write of a key. `ended` is the revision of the key's
 * next write, NULL while the row is the key's value. A deletion is a row that ended as it began. */
static const char *const texts[CP_SQL_COUNT_OF] = {
    [CP_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CP_SQL_COMMIT] = "COMMIT",
    [CP_SQL_ROLLBACK] = "ROLLBACK",
    [CP_SQL_FIND] = "SELECT key, mod_revision, create_revision, value FROM entry"
                    " WHERE key = ?1 AND ended IS NULL",
    /* What is there now and was there then, and what has ended since: few rows, a list being
     * recent. */
    [CP_SQL_LIST] =
        "SELECT key, mod_revision, create_revision, CASE WHEN ?5 THEN x'' ELSE value END"
        " FROM entry INDEXED BY entry_now"
        " WHERE ended IS NULL AND key >= ?1 AND key < ?2 AND mod_revision <= ?3"
        " UNION ALL "
        "SELECT key, mod_revision, create_revision, CASE WHEN ?5 THEN x'' ELSE value END"
        " FROM entry INDEXED BY entry_past"
        " WHERE ended > ?3 AND key >= ?1 AND key < ?2 AND mod_revision <= ?3"
        " ORDER BY key LIMIT ?4",
    [CP_SQL_COUNT] = "SELECT count(*) FROM entry WHERE ended IS NULL AND key >= ?1 AND key < ?2",
    [CP_SQL_EVENTS] = "SELECT key, mod_revision, create_revision, value"
                      " FROM entry INDEXED BY entry_order"
                      " WHERE mod_revision > ?3 AND key >= ?1 AND key < ?2"
                      " ORDER BY mod_revision, id",
    [CP_SQL_END] = "UPDATE entry SET ended = ?2 WHERE key = ?1 AND ended IS NULL"
                   " RETURNING create_revision",
    [CP_SQL_INSERT] = "INSERT INTO entry (key, mod_revision, create_revision, ended, lease, value)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [CP_SQL_SET_REVISION] = "UPDATE meta SET revision = ?1",
    [CP_SQL_SET_COMPACTED] = "UPDATE meta SET compacted = ?1",
    [CP_SQL_FORGET] = "DELETE FROM entry WHERE ended <= ?1",
    [CP_SQL_LEASE_ADD] = "INSERT INTO lease (ttl_s) VALUES (?1)",
    [CP_SQL_LEASE_DROP] = "DELETE FROM lease WHERE id = ?1",
    [CP_SQL_LEASE_ALL] = "SELECT id, ttl_s FROM lease",
    [CP_SQL_LEASE_KEYS] = "SELECT key FROM entry INDEXED BY entry_lease"
                          " WHERE lease = ?1 AND lease > 0 AND ended IS NULL ORDER BY key LIMIT 1",
    [CP_SQL_META] = "SELECT cluster_id, revision, compacted FROM meta",
};

int cp_sqlite_prepare(struct cp_sqlite *s, struct gw_error *err)
{
    for (size_t i = 0; i < CP_SQL_COUNT_OF; i++) {
        int rc =
            sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->sql[i], NULL);
        if (rc != SQLITE_OK)
            return cp_sqlite_fail(s, rc, err);
    }
    return 0;
}

void cp_sqlite_finalize(struct cp_sqlite *s)
{
    for (size_t i = 0; i < CP_SQL_COUNT_OF; i++)
        sqlite3_finalize(s->sql[i]);
}

sqlite3_stmt *cp_sqlite_use(struct cp_sqlite *s, enum cp_sqlite_sql which)
{
    assert(!sqlite3_stmt_busy(s->sql[which]));
    return s->sql[which];
}

void cp_sqlite_reset(sqlite3_stmt **stmt)
{
    sqlite3_reset(*stmt); /* repeats the error of the last step, which was handled there */
    sqlite3_clear_bindings(*stmt);
}

void cp_sqlite_bind_int(sqlite3_stmt *stmt, int index, int64_t value)
{
    int rc = sqlite3_bind_int64(stmt, index, value);
    if (rc != SQLITE_OK)
        gw_panic("sqlite: bind %d: %s", index, sqlite3_errstr(rc));
}

void cp_sqlite_bind_bytes(sqlite3_stmt *stmt, int index, gw_str bytes)
{
    /* A NULL pointer would bind NULL instead of an empty blob. */
    const char *ptr = bytes.len > 0 ? bytes.ptr : "";
    int rc = sqlite3_bind_blob64(stmt, index, ptr, bytes.len, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        gw_panic("sqlite: bind %d: %s", index, sqlite3_errstr(rc));
}

gw_str cp_sqlite_bytes(sqlite3_stmt *stmt, int column)
{
    const void *ptr = sqlite3_column_blob(stmt, column); /* before the length, says SQLite */
    return gw_str_n(ptr, (size_t)sqlite3_column_bytes(stmt, column));
}

int cp_sqlite_run(struct cp_sqlite *s, sqlite3_stmt *stmt, struct gw_error *err)
{
    int rc = sqlite3_step(stmt);
    return rc == SQLITE_DONE ? 0 : cp_sqlite_fail(s, rc, err);
}

static enum gw_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return GW_RESOURCE_EXHAUSTED;
    case SQLITE_IOERR:
    case SQLITE_READONLY:
        return GW_UNAVAILABLE;
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_NOTADB:
        return GW_FAILED_PRECONDITION;
    default:
        return GW_INTERNAL;
    }
}

int cp_sqlite_fail(struct cp_sqlite *s, int rc, struct gw_error *err)
{
    if ((rc & 0xff) == SQLITE_NOMEM)
        gw_panic("sqlite: out of memory");
    const char *path = sqlite3_db_filename(s->db, "main");
    return gw_fail(err, code_of(rc), "%s: %s",
                   path && *path ? path : ":memory:", sqlite3_errstr(rc));
}

void cp_sqlite_span_of(struct cp_sqlite_span *span, gw_str prefix, gw_str after_key)
{
    gw_str low = prefix;
    bool is_after = after_key.len > 0 && gw_str_cmp(after_key, prefix) >= 0;
    if (is_after)
        low = after_key;
    if (low.len > 0)
        memcpy(span->low_bytes, low.ptr, low.len);
    span->low_bytes[low.len] = '\0'; /* the very next key after after_key is it and a NUL */
    span->low = gw_str_n(span->low_bytes, low.len + (is_after ? 1 : 0));

    if (prefix.len == 0) {
        span->high_bytes[0] = '\xff'; /* above all text */
        span->high = gw_str_n(span->high_bytes, 1);
        return;
    }
    memcpy(span->high_bytes, prefix.ptr, prefix.len);
    unsigned char last = (unsigned char)prefix.ptr[prefix.len - 1];
    assert(last < 0xff); /* store.c lets only UTF-8 pass */
    span->high_bytes[prefix.len - 1] = (char)(last + 1);
    span->high = gw_str_n(span->high_bytes, prefix.len);
}
