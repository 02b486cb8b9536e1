/* SPDX-License-Identifier: Apache-2.0 */
/* Leases of the SQLite store. No thread waits for their end: whoever looks at the store ends what
 * is due first (cp_sqlite_enter), and a waiting watch wakes for it. */
#include "controlplane/store/sqlite_internal.h"

#include <stdlib.h>

#define REAP_RETRY_MS 1000 /* after a write that failed, such as on a full disk */

static struct cp_sqlite_lease *lease_find(const struct cp_sqlite *s, int64_t id)
{
    for (size_t i = 0; i < s->lease_count; i++)
        if (s->leases[i].id == id)
            return &s->leases[i];
    return NULL;
}

bool cp_sqlite_lease_lives(const struct cp_sqlite *s, int64_t lease)
{
    return lease_find(s, lease) != NULL;
}

static void add(struct cp_sqlite *s, int64_t id, int64_t ttl_s)
{
    if (s->lease_count == s->lease_room) {
        s->lease_room = s->lease_room ? s->lease_room * 2 : 4;
        s->leases = gw_realloc(s->leases, s->lease_room * sizeof *s->leases);
    }
    gw_msec deadline = gw_clock_monotonic_ms() + ttl_s * 1000;
    s->leases[s->lease_count++] =
        (struct cp_sqlite_lease){.id = id, .ttl_s = ttl_s, .deadline = deadline};
    s->reap_at = GW_MIN(s->reap_at, deadline);
}

int cp_sqlite_lease_load(struct cp_sqlite *s, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_LEASE_ALL);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        add(s, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1));
    return rc == SQLITE_DONE ? 0 : cp_sqlite_fail(s, rc, err);
}

/* The first key of the lease, in key order; *ret_key.len 0: none is left. */
static int next_key(struct cp_sqlite *s, int64_t lease, char bytes[CP_STORE_KEY_MAX],
                    gw_str *ret_key, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_LEASE_KEYS);
    cp_sqlite_bind_int(stmt, 1, lease);
    *ret_key = GW_STR_NONE;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_DONE)
        return 0;
    if (rc != SQLITE_ROW)
        return cp_sqlite_fail(s, rc, err);
    gw_str key = cp_sqlite_bytes(stmt, 0);
    if (key.len == 0 || key.len > CP_STORE_KEY_MAX)
        return gw_fail(err, GW_INTERNAL, "the store's file holds a key of %zu bytes", key.len);
    memcpy(bytes, key.ptr, key.len);
    *ret_key = gw_str_n(bytes, key.len);
    return 0;
}

static int delete_keys(struct cp_sqlite *s, struct cp_sqlite_change *change, int64_t lease,
                       struct gw_error *err)
{
    char bytes[CP_STORE_KEY_MAX];
    gw_str key;
    do {
        if (next_key(s, lease, bytes, &key, err))
            return -1;
        if (key.len > 0 && cp_sqlite_delete(s, change, key, err))
            return -1;
    } while (key.len > 0);
    return 0;
}

static int drop(struct cp_sqlite *s, int64_t lease, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_LEASE_DROP);
    cp_sqlite_bind_int(stmt, 1, lease);
    return cp_sqlite_run(s, stmt, err);
}

/* Ends the lease with all of its keys, in one revision. */
static int end_lease(struct cp_sqlite *s, struct cp_sqlite_lease *lease, struct gw_error *err)
{
    struct cp_sqlite_change change;
    if (cp_sqlite_begin(s, &change, err))
        return -1;
    if (delete_keys(s, &change, lease->id, err) || drop(s, lease->id, err)) {
        cp_sqlite_abandon(s);
        return -1;
    }
    if (cp_sqlite_finish(s, &change, err))
        return -1;
    *lease = s->leases[--s->lease_count];
    return 0;
}

void cp_sqlite_lease_reap(struct cp_sqlite *s, gw_msec now)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_msec next = INT64_MAX;
    size_t i = 0;
    while (i < s->lease_count) {
        struct cp_sqlite_lease *lease = &s->leases[i];
        /* A lease that could not be ended stays, with its keys, for the next try: whoever looked
         * may still read, and a write of theirs will say what is wrong. */
        bool is_due = lease->deadline <= now;
        if (is_due && end_lease(s, lease, &err) == 0)
            continue; /* another one took its place */
        next = GW_MIN(next, is_due ? now + REAP_RETRY_MS : lease->deadline);
        i++;
    }
    s->reap_at = next;
}

static int grant(struct cp_sqlite *s, int64_t ttl_s, int64_t *ret_lease, struct gw_error *err)
{
    gw_auto(cp_sqlite_reset) sqlite3_stmt *stmt = cp_sqlite_use(s, CP_SQL_LEASE_ADD);
    cp_sqlite_bind_int(stmt, 1, ttl_s);
    if (cp_sqlite_run(s, stmt, err))
        return -1;
    *ret_lease = sqlite3_last_insert_rowid(s->db);
    add(s, *ret_lease, ttl_s);
    pthread_cond_broadcast(&s->changed); /* watches wake for its end */
    return 0;
}

int cp_sqlite_lease_grant(struct cp_store *store, int64_t ttl_s, int64_t *ret_lease,
                          struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    int result = grant(s, ttl_s, ret_lease, err);
    cp_sqlite_leave(s);
    return result;
}

static int fail_ended(int64_t lease, struct gw_error *err)
{
    return gw_fail(err, GW_NOT_FOUND, "lease %lld has ended", (long long)lease);
}

int cp_sqlite_lease_keepalive(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    struct cp_sqlite_lease *found = lease_find(s, lease);
    if (found) /* reap_at may stay: reaping early finds nothing and sets it anew */
        found->deadline = gw_clock_monotonic_ms() + found->ttl_s * 1000;
    int result = found ? 0 : fail_ended(lease, err);
    cp_sqlite_leave(s);
    return result;
}

int cp_sqlite_lease_revoke(struct cp_store *store, int64_t lease, struct gw_error *err)
{
    struct cp_sqlite *s = gw_container_of(store, struct cp_sqlite, base);
    cp_sqlite_enter(s);
    struct cp_sqlite_lease *found = lease_find(s, lease);
    int result = found ? end_lease(s, found, err) : fail_ended(lease, err);
    cp_sqlite_leave(s);
    return result;
}
