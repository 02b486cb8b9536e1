/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the SQLite store. One connection behind one lock: SQLite holds the file exclusively,
 * writes are fsyncs anyway, and what is read here is short. Functions of a struct cp_sqlite want
 * the lock, but for enter; those of a struct cp_store take it, and do what store.h says. */
#ifndef CP_SQLITE_INTERNAL_H
#define CP_SQLITE_INTERNAL_H

#include "controlplane/store/store_internal.h"

#include <pthread.h>
#include <sqlite3.h>

enum cp_sqlite_sql {
    CP_SQL_BEGIN,
    CP_SQL_COMMIT,
    CP_SQL_ROLLBACK,
    CP_SQL_FIND,
    CP_SQL_LIST,
    CP_SQL_COUNT,
    CP_SQL_EVENTS,
    CP_SQL_END,
    CP_SQL_INSERT,
    CP_SQL_SET_REVISION,
    CP_SQL_SET_COMPACTED,
    CP_SQL_FORGET,
    CP_SQL_LEASE_ADD,
    CP_SQL_LEASE_DROP,
    CP_SQL_LEASE_ALL,
    CP_SQL_LEASE_KEYS,
    CP_SQL_META,
    CP_SQL_COUNT_OF,
};

struct cp_sqlite_lease {
    int64_t id, ttl_s;
    gw_msec deadline; /* monotonic; kept alive in memory only: a restart grants the full ttl anew */
};

struct cp_sqlite {
    struct cp_store base;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the revision moved, a lease was granted, or a watch was cancelled */
    sqlite3 *db;
    sqlite3_stmt *sql[CP_SQL_COUNT_OF];
    struct cp_position at;
    int64_t compacted;              /* history up to here is gone */
    struct cp_sqlite_lease *leases; /* owned, in no order */
    size_t lease_count, lease_room;
    gw_msec reap_at; /* monotonic: when the first lease ends, or INT64_MAX */
    size_t watch_count;
};

/* Which keys a prefix means: low <= key < high. Text lies in the struct. */
struct cp_sqlite_span {
    char low_bytes[CP_STORE_KEY_MAX + 1], high_bytes[CP_STORE_KEY_MAX + 1];
    gw_str low, high;
};

/* sqlite_sql.c */
GW_MUST_CHECK int cp_sqlite_prepare(struct cp_sqlite *s, struct gw_error *err);
void cp_sqlite_finalize(struct cp_sqlite *s);
/* Ready to be bound and stepped; use with gw_auto(cp_sqlite_reset). */
sqlite3_stmt *cp_sqlite_use(struct cp_sqlite *s, enum cp_sqlite_sql which);
void cp_sqlite_reset(sqlite3_stmt **stmt);
void cp_sqlite_bind_int(sqlite3_stmt *stmt, int index, int64_t value);
void cp_sqlite_bind_bytes(sqlite3_stmt *stmt, int index, gw_str bytes); /* borrows until reset */
/* A view into the current row. */
gw_str cp_sqlite_bytes(sqlite3_stmt *stmt, int column);
/* Steps a statement that gives no rows. */
GW_MUST_CHECK int cp_sqlite_run(struct cp_sqlite *s, sqlite3_stmt *stmt, struct gw_error *err);
/* The contract's error for SQLite's result; returns -1. */
int cp_sqlite_fail(struct cp_sqlite *s, int rc, struct gw_error *err);
void cp_sqlite_span_of(struct cp_sqlite_span *span, gw_str prefix, gw_str after_key);

/* sqlite.c: takes the lock, and ends the leases that are due: whoever looks sees them ended. */
void cp_sqlite_enter(struct cp_sqlite *s);
void cp_sqlite_leave(struct cp_sqlite *s);
void cp_sqlite_reap_due(struct cp_sqlite *s);

/* sqlite_read.c */
int cp_sqlite_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                  struct cp_found *ret_found, struct gw_error *err);
int cp_sqlite_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                   struct cp_page *ret_page, struct gw_error *err);
int cp_sqlite_count(struct cp_store *store, gw_str prefix, int64_t *ret_count,
                    struct gw_error *err);

/* sqlite_txn.c */
int cp_sqlite_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret_commit,
                  struct gw_error *err);
int cp_sqlite_compact(struct cp_store *store, int64_t keep, struct gw_error *err);
/* A transaction of this store: begin, changes, then finish (or abandon). */
struct cp_sqlite_change {
    int64_t revision; /* of every change in it */
    size_t count;     /* 0: the revision does not move */
};
GW_MUST_CHECK int cp_sqlite_begin(struct cp_sqlite *s, struct cp_sqlite_change *ret_change,
                                  struct gw_error *err);
GW_MUST_CHECK int cp_sqlite_delete(struct cp_sqlite *s, struct cp_sqlite_change *change, gw_str key,
                                   struct gw_error *err);
/* Commits and wakes the watches; abandons by itself when that fails. */
GW_MUST_CHECK int cp_sqlite_finish(struct cp_sqlite *s, const struct cp_sqlite_change *change,
                                   struct gw_error *err);
void cp_sqlite_abandon(struct cp_sqlite *s);

/* sqlite_lease.c */
GW_MUST_CHECK int cp_sqlite_lease_load(struct cp_sqlite *s, struct gw_error *err);
bool cp_sqlite_lease_lives(const struct cp_sqlite *s, int64_t lease);
/* Ends the leases that are due at now. */
void cp_sqlite_lease_reap(struct cp_sqlite *s, gw_msec now);
int cp_sqlite_lease_grant(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                          struct gw_error *err);
int cp_sqlite_lease_keepalive(struct cp_store *store, int64_t lease, struct gw_error *err);
int cp_sqlite_lease_revoke(struct cp_store *store, int64_t lease, struct gw_error *err);

/* sqlite_watch.c */
int cp_sqlite_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                         struct cp_watch **ret_watch, struct gw_error *err);

#endif
