/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the SQLite store: a key, a page as of a revision, a count. */
#include "controlplane/store/sqlite_internal.h"

static struct cp_kv kv_of_row(sqlite3_stmt *stmt, struct gw_arena *arena)
{
    return (struct cp_kv){
        .key = gw_arena_dup(arena, cp_sqlite_bytes(stmt, 0)),
        .mod_revision = sqlite3_column_int64(stmt, 1),
        .create_revision = sqlite3_column_int64(stmt, 2),
        .value = gw_arena_dup(arena, cp_sqlite_bytes(stmt, 3)),
    };
}

static int find(struct cp_sqlite *s, gw_str key, struct gw_arena *arena, struct cp_found *ret_found,
                struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_FIND);
    cp_sqlite_bind_bytes(stmt, 1, key);
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return cp_sqlite_fail(s, rc, err);
    struct cp_found found = {.found = rc == SQLITE_ROW, .at = s->at};
    if (found.found)
        found.kv = kv_of_row(stmt, arena);
    *ret_found = found;
    return 0;
}

int cp_sqlite_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                  struct cp_found *ret_found, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    int result = find(s, key, arena, ret_found, err);
    cp_sqlite_leave(s);
    return result;
}

static int check_revision(const struct cp_sqlite *s, int64_t revision, struct gw_error *err)
{
    if (revision < s->compacted)
        return gw_fail(err, GW_OUT_OF_RANGE, "revision %lld has been compacted",
                       (long long)revision);
    if (revision > s->at.revision)
        return gw_fail(err, GW_OUT_OF_RANGE, "revision %lld is yet to come", (long long)revision);
    return 0;
}

static int list(struct cp_sqlite *s, const struct cp_range *range, struct gw_arena *arena,
                struct cp_page *ret_page, struct gw_error *err)
{
    struct cp_page page = {.at = s->at};
    if (range->at_revision > 0)
        page.at.revision = range->at_revision;
    if (check_revision(s, page.at.revision, err))
        return -1;

    struct cp_sqlite_span span;
    cp_sqlite_span_of(&span, range->prefix, range->after_key);
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_LIST);
    cp_sqlite_bind_bytes(stmt, 1, span.low);
    cp_sqlite_bind_bytes(stmt, 2, span.high);
    cp_sqlite_bind_int(stmt, 3, page.at.revision);
    cp_sqlite_bind_int(stmt, 4, (int64_t)range->limit + 1);
    cp_sqlite_bind_int(stmt, 5, range->keys_only);

    size_t room = 0;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (page.count == range->limit) {
            page.more = true;
            break;
        }
        if (page.count == room) {
            struct cp_kv *old = page.kvs;
            room = room ? room * 2 : 16;
            page.kvs = GW_ARENA_ARRAY(arena, struct cp_kv, room);
            if (old)
                memcpy(page.kvs, old, page.count * sizeof *old);
        }
        page.kvs[page.count++] = kv_of_row(stmt, arena);
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return cp_sqlite_fail(s, rc, err);
    *ret_page = page;
    return 0;
}

int cp_sqlite_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                   struct cp_page *ret_page, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    int result = list(s, range, arena, ret_page, err);
    cp_sqlite_leave(s);
    return result;
}

static int count(struct cp_sqlite *s, gw_str prefix, int64_t *ret_count, struct gw_error *err)
{
    struct cp_sqlite_span span;
    cp_sqlite_span_of(&span, prefix, GW_STR_NONE);
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_COUNT);
    cp_sqlite_bind_bytes(stmt, 1, span.low);
    cp_sqlite_bind_bytes(stmt, 2, span.high);
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return cp_sqlite_fail(s, rc, err);
    *ret_count = sqlite3_column_int64(stmt, 0);
    return 0;
}

int cp_sqlite_count(struct cp_store *store, gw_str prefix, int64_t *ret_count, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    int result = count(s, prefix, ret_count, err);
    cp_sqlite_leave(s);
    return result;
}
