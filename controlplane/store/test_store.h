/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's contract tests share: a backend under test, a fresh prefix for every case, and
 * the calls with their errors checked. The same cases run on every backend.
 * house: test code shared by three programs; there is no .c to put it into. */
#ifndef CP_TEST_STORE_H
#define CP_TEST_STORE_H

#include "controlplane/store/etcd_fixture.h"
#include "controlplane/store/watch.h"

#define PATIENCE_MS 60000 /* until something that must come is missing */

struct fixture {
    struct cp_store *store;
    char dir[64];     /* of the file; empty: none */
    struct node node; /* of etcd */
    char prefix[32];  /* of this case, "/t/7/" */
    unsigned case_count;
    struct gw_arena arena; /* of this case */
};

static inline void check_ok(int result, const struct gw_error *err, int line)
{
    if (result == 0)
        return;
    print_error("line %d: %s: %s\n", line, gw_code_name(err->code), err->message);
    fail();
}
/* The call must succeed; it uses the caller's `err`. */
#define OK(call) check_ok((call), &err, __LINE__)

static inline void check_refused(int result, const struct gw_error *err, enum gw_code code,
                                 int line)
{
    if (result != 0 && err->code == code && err->message[0])
        return;
    print_error("line %d: got %d %s %s, want %s\n", line, result, gw_code_name(err->code),
                err->message, gw_code_name(code));
    fail();
}
#define REFUSED(call, code) check_refused((call), &err, (code), __LINE__)

/* A key of this case. */
static inline gw_str key_of(struct fixture *f, const char *name)
{
    return gw_arena_printf(&f->arena, "%s%s", f->prefix, name);
}

static inline struct cp_op op_put(struct fixture *f, const char *name, const char *value)
{
    return (struct cp_op){.kind = CP_OP_PUT, .key = key_of(f, name), .value = gw_str_from(value)};
}

static inline struct cp_op op_delete(struct fixture *f, const char *name)
{
    return (struct cp_op){.kind = CP_OP_DELETE, .key = key_of(f, name)};
}

/* Commits without a compare; returns the revision. */
static inline int64_t commit_ops(struct fixture *f, const struct cp_op *ops, size_t count)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, &(struct cp_txn){.ops = ops, .op_count = count}, &commit, &err));
    assert_true(commit.committed);
    assert_true(commit.at.cluster_id != 0);
    return commit.at.revision;
}

static inline int64_t put(struct fixture *f, const char *name, const char *value)
{
    struct cp_op op = op_put(f, name, value);
    return commit_ops(f, &op, 1);
}

static inline int64_t delete (struct fixture *f, const char *name)
{
    struct cp_op op = op_delete(f, name);
    return commit_ops(f, &op, 1);
}

static inline struct cp_found get(struct fixture *f, const char *name)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_found found = {0};
    OK(cp_store_get(f->store, key_of(f, name), &f->arena, &found, &err));
    return found;
}

static inline struct cp_position position(struct fixture *f)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_position at = {0};
    OK(cp_store_ping(f->store, &at, &err));
    return at;
}

static inline int64_t grant(struct fixture *f, int64_t ttl_s)
{
    struct gw_error err = GW_ERROR_NONE;
    int64_t lease = 0;
    OK(cp_store_lease_grant(f->store, ttl_s, &lease, &err));
    assert_true(lease != 0);
    return lease;
}

/* A case: its own keys, its own arena. */
static inline int case_setup(void **state)
{
    struct fixture *f = *state;
    (void)snprintf(f->prefix, sizeof f->prefix, "/t/%u/", ++f->case_count);
    gw_arena_init(&f->arena, 0);
    return 0;
}

static inline int case_teardown(void **state)
{
    struct fixture *f = *state;
    gw_arena_done(&f->arena);
    return 0;
}
#define CASE(test) cmocka_unit_test_setup_teardown(test, case_setup, case_teardown)

static inline void make_dir(struct fixture *f)
{
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/penstock-store-XXXXXX");
    if (!mkdtemp(f->dir))
        gw_panic("mkdtemp %s", f->dir);
}

static inline void remove_dir(struct fixture *f)
{
    if (f->dir[0])
        remove_tree(f->dir);
    f->dir[0] = '\0';
}

/* The backends. */
static inline int open_sqlite(struct fixture *f, const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    if (cp_store_open_sqlite(path, &f->store, &err) == 0)
        return 0;
    print_error("%s: %s\n", path, err.message);
    return -1;
}

static inline int memory_setup(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    *state = f;
    return open_sqlite(f, ":memory:");
}

static inline int file_setup(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    *state = f;
    make_dir(f);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/store.db", f->dir);
    return open_sqlite(f, path);
}

static inline int sqlite_teardown(void **state)
{
    struct fixture *f = *state;
    cp_store_close(f->store);
    remove_dir(f);
    free(f);
    return 0;
}

/* Whether etcd answers; false: it has ended (its port was taken meanwhile), or time is up. */
static inline bool wait_etcd(struct fixture *f, struct gw_error *err)
{
    struct cp_position at;
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (gw_clock_monotonic_ms() < end) {
        if (cp_store_ping(f->store, &at, err) == 0)
            return true;
        if (waitpid(f->node.pid, NULL, WNOHANG) == f->node.pid) {
            f->node.pid = 0;
            return false;
        }
        node_nap();
    }
    return false;
}

static inline int etcd_setup(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    struct gw_error err = GW_ERROR_NONE;
    *state = f;
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        node_init(&f->node);
        node_start(&f->node);
        struct cp_etcd_options options = {.endpoints = f->node.url};
        if (cp_store_open_etcd(&options, &f->store, &err) == 0 && wait_etcd(f, &err))
            return 0;
        print_error("etcd on %s: %s\n", f->node.url, err.message);
        cp_store_close(f->store);
        f->store = NULL;
        node_done(&f->node);
    }
    free(f);
    return -1;
}

static inline int etcd_teardown(void **state)
{
    struct fixture *f = *state;
    cp_store_close(f->store);
    node_done(&f->node);
    free(f);
    return 0;
}

#endif
