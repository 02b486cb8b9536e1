/* SPDX-License-Identifier: Apache-2.0 */
/* house: one contract, one table of cases.
 * The contract of store.h, held against every backend. */
#include "controlplane/store/etcd.h"
#include "controlplane/store/test_store.h"

#include <pthread.h>

static void test_put_get_delete(void **state)
{
    struct fixture *f = *state;
    struct cp_found found = get(f, "a");
    assert_false(found.found);
    assert_int_equal(found.kv.mod_revision, 0);
    assert_true(found.at.cluster_id != 0 && found.at.revision > 0);

    int64_t first = put(f, "a", "one");
    int64_t second = put(f, "a", "two");
    assert_true(first > found.at.revision && second > first);
    found = get(f, "a");
    assert_true(found.found);
    assert_str(found.kv.value, "two");
    assert_true(gw_str_eq(found.kv.key, key_of(f, "a")));
    assert_int_equal(found.kv.mod_revision, second);
    assert_int_equal(found.kv.create_revision, first);
    assert_true(found.at.revision >= second);

    int64_t gone = delete (f, "a");
    assert_true(gone > second);
    assert_false(get(f, "a").found);
    int64_t again = put(f, "a", "three");
    assert_int_equal(get(f, "a").kv.create_revision, again);
}

static void test_get_all(void **state)
{
    enum { MANY = 300 }; /* more than etcd takes at once */
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_found found[MANY];
    gw_str keys[MANY];
    for (unsigned i = 0; i < MANY; i++)
        keys[i] = key_of(f, gw_arena_printf(&f->arena, "%u", i).ptr);
    int64_t second = put(f, "2", "two"), last = put(f, "299", "last");
    keys[100] = keys[2]; /* twice */
    OK(cp_store_get_all(f->store, keys, MANY, &f->arena, found, &err));
    for (unsigned i = 0; i < MANY; i++)
        assert_true(found[i].found == (i == 2 || i == 100 || i == 299));
    assert_str(found[2].kv.value, "two");
    assert_int_equal(found[100].kv.mod_revision, second);
    assert_str(found[299].kv.value, "last");
    assert_int_equal(found[299].kv.create_revision, last);
    assert_int_equal(found[0].kv.mod_revision, 0);
    assert_true(found[0].at.cluster_id != 0 && found[0].at.revision >= last);
    OK(cp_store_get_all(f->store, keys + 299, 1, &f->arena, found, &err));
    assert_str(found[0].kv.value, "last");
    OK(cp_store_get_all(f->store, NULL, 0, &f->arena, found, &err));
    keys[7] = GW_STR("");
    REFUSED(cp_store_get_all(f->store, keys, MANY, &f->arena, found, &err), GW_INVALID_ARGUMENT);
}

static void test_empty_and_binary_values(void **state)
{
    struct fixture *f = *state;
    char bytes[256];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    struct cp_op ops[] = {op_put(f, "empty", ""), op_put(f, "binary", "")};
    ops[0].value = GW_STR_NONE;
    ops[1].value = gw_str_n(bytes, sizeof bytes);
    commit_ops(f, ops, 2);
    struct cp_found empty = get(f, "empty");
    assert_true(empty.found);
    assert_int_equal(empty.kv.value.len, 0);
    struct cp_found binary = get(f, "binary");
    assert_true(gw_str_eq(binary.kv.value, ops[1].value));
}

static void test_largest_transaction(void **state)
{
    struct fixture *f = *state;
    struct cp_op op = op_put(f, "big", "");
    size_t size = CP_STORE_TXN_BYTES_MAX - op.key.len;
    char *bytes = gw_malloc(size);
    memset(bytes, 0xa5, size);
    op.value = gw_str_n(bytes, size);
    commit_ops(f, &op, 1);
    assert_true(gw_str_eq(get(f, "big").kv.value, op.value));
    free(bytes);

    struct cp_op ops[127]; /* of both the most that etcd takes without transactions within it */
    struct cp_compare compares[127];
    for (size_t i = 0; i < GW_ARRAY_LEN(compares); i++)
        compares[i] =
            (struct cp_compare){.key = gw_arena_printf(&f->arena, "%smany/%03zu", f->prefix, i)};
    for (size_t i = 0; i < GW_ARRAY_LEN(ops); i++)
        ops[i] = (struct cp_op){.key = compares[i].key, .value = GW_STR("x")};
    struct cp_txn txn = {compares, GW_ARRAY_LEN(compares), ops, GW_ARRAY_LEN(ops)};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, &txn, &commit, &err));
    assert_true(commit.committed);
    int64_t count = 0;
    OK(cp_store_count(f->store, key_of(f, "many/"), &count, &err));
    assert_int_equal(count, GW_ARRAY_LEN(ops));
    OK(cp_store_txn(f->store, &txn, &commit, &err)); /* they exist now */
    assert_false(commit.committed);
}

static bool commits(struct fixture *f, const struct cp_txn *txn)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, txn, &commit, &err));
    assert_true(commit.at.cluster_id != 0 && commit.at.revision > 0);
    return commit.committed;
}

/* Wherever the one of many compares stands that does not hold, nothing happens. */
static void test_every_one_of_most_compares_counts(void **state)
{
    struct fixture *f = *state;
    static struct cp_compare compares[CP_STORE_COMPARES_MAX];
    static const size_t places[] = {0, 63, 64, 127, 1999, 2000, CP_STORE_COMPARES_MAX - 1};
    int64_t first = put(f, "there", "1");
    int64_t second = put(f, "there", "2");
    for (size_t i = 0; i < GW_ARRAY_LEN(compares); i++)
        compares[i] = i % 3 == 0
                          ? (struct cp_compare){key_of(f, "there"), CP_COMPARE_EXISTS, 0}
                          : (struct cp_compare){
                                i % 3 == 1 ? key_of(f, "there")
                                           : gw_arena_printf(&f->arena, "%sno/%zu", f->prefix, i),
                                CP_COMPARE_MOD, i % 3 == 1 ? second : 0};
    struct cp_op op = op_put(f, "target", "x");
    struct cp_txn txn = {compares, GW_ARRAY_LEN(compares), &op, 1};
    for (size_t i = 0; i < GW_ARRAY_LEN(places); i++) {
        struct cp_compare right = compares[places[i]];
        compares[places[i]] = (struct cp_compare){key_of(f, "there"), CP_COMPARE_MOD, first};
        assert_false(commits(f, &txn));
        compares[places[i]] = (struct cp_compare){key_of(f, "absent"), CP_COMPARE_EXISTS, 0};
        assert_false(commits(f, &txn));
        compares[places[i]] = right;
    }
    assert_false(get(f, "target").found);
    txn.op_count = 0; /* only to ask */
    assert_true(commits(f, &txn));
    compares[200].kind = CP_COMPARE_MOD, compares[200].mod_revision = first;
    assert_false(commits(f, &txn));
    compares[200] = compares[0];
    txn.op_count = 1;
    assert_true(commits(f, &txn));
    assert_str(get(f, "target").kv.value, "x");
}

/* The most changes beside the most compares: one revision, all or nothing, and so again as
 * deletions, which need each of them as it is. */
static void test_transaction_of_most_changes(void **state)
{
    struct fixture *f = *state;
    static struct cp_op ops[CP_STORE_OPS_MAX];
    static struct cp_compare compares[CP_STORE_OPS_MAX];
    for (size_t i = 0; i < GW_ARRAY_LEN(ops); i++)
        ops[i] = (struct cp_op){.key = gw_arena_printf(&f->arena, "%smost/%04zu", f->prefix, i),
                                .value = GW_STR("x")};
    for (size_t i = 0; i < GW_ARRAY_LEN(compares); i++)
        compares[i] = (struct cp_compare){.key = ops[i].key};
    struct cp_txn txn = {compares, GW_ARRAY_LEN(compares), ops, GW_ARRAY_LEN(ops)};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, &txn, &commit, &err));
    assert_true(commit.committed);
    struct cp_page page;
    OK(cp_store_list(f->store, &(struct cp_range){.prefix = key_of(f, "most/")}, &f->arena, &page,
                     &err));
    assert_int_equal(page.count, CP_STORE_OPS_MAX);
    for (size_t i = 0; i < page.count; i++)
        assert_int_equal(page.kvs[i].mod_revision, commit.at.revision);
    OK(cp_store_txn(f->store, &txn, &commit, &err)); /* they exist now */
    assert_false(commit.committed);
    for (size_t i = 0; i < GW_ARRAY_LEN(ops); i++)
        ops[i] = (struct cp_op){.kind = CP_OP_DELETE, .key = ops[i].key};
    for (size_t i = 0; i < GW_ARRAY_LEN(compares); i++)
        compares[i].mod_revision = page.kvs[0].mod_revision;
    compares[1500].mod_revision--;
    assert_false(commits(f, &txn));
    compares[1500].mod_revision++;
    assert_true(commits(f, &txn));
    int64_t count = 0;
    OK(cp_store_count(f->store, key_of(f, "most/"), &count, &err));
    assert_int_equal(count, 0);
}

/* Tries to put "x" to key "target" under one compare. */
static bool compare_put(struct fixture *f, enum cp_compare_kind kind, const char *name,
                        int64_t revision)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    struct cp_compare compare = {key_of(f, name), kind, revision};
    struct cp_op op = op_put(f, "target", "x");
    OK(cp_store_txn(f->store, &(struct cp_txn){&compare, 1, &op, 1}, &commit, &err));
    assert_true(commit.at.cluster_id != 0 && commit.at.revision > 0);
    assert_int_equal(get(f, "target").found, commit.committed);
    if (commit.committed)
        delete (f, "target");
    return commit.committed;
}

static void test_compares(void **state)
{
    struct fixture *f = *state;
    assert_true(compare_put(f, CP_COMPARE_MOD, "a", 0));
    assert_false(compare_put(f, CP_COMPARE_EXISTS, "a", 0));
    int64_t first = put(f, "a", "1");
    assert_false(compare_put(f, CP_COMPARE_MOD, "a", 0));
    assert_true(compare_put(f, CP_COMPARE_MOD, "a", first));
    assert_true(compare_put(f, CP_COMPARE_EXISTS, "a", 0));
    int64_t second = put(f, "a", "2");
    assert_false(compare_put(f, CP_COMPARE_MOD, "a", first));
    assert_true(compare_put(f, CP_COMPARE_MOD, "a", second));
    delete (f, "a");
    assert_false(compare_put(f, CP_COMPARE_MOD, "a", second));
    assert_false(compare_put(f, CP_COMPARE_EXISTS, "a", 0));
    assert_true(compare_put(f, CP_COMPARE_MOD, "a", 0));
}

static void test_transaction_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    put(f, "old", "1");
    struct cp_op ops[] = {op_put(f, "b", "1"), op_delete(f, "old"), op_put(f, "a", "1"),
                          op_delete(f, "never-there")};
    struct cp_compare compares[] = {{key_of(f, "old"), CP_COMPARE_EXISTS, 0},
                                    {key_of(f, "b"), CP_COMPARE_EXISTS, 0}};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_commit commit = {0};
    OK(cp_store_txn(f->store, &(struct cp_txn){compares, 2, ops, 4}, &commit, &err));
    assert_false(commit.committed); /* the second compare */
    assert_true(get(f, "old").found);
    assert_false(get(f, "a").found || get(f, "b").found);

    int64_t revision = commit_ops(f, ops, 4);
    assert_false(get(f, "old").found);
    assert_int_equal(get(f, "a").kv.mod_revision, revision);
    assert_int_equal(get(f, "b").kv.mod_revision, revision);

    struct cp_op dead[] = {op_put(f, "c", "1"), op_put(f, "d", "1")};
    dead[1].lease = grant(f, 60);
    OK(cp_store_lease_revoke(f->store, dead[1].lease, &err));
    REFUSED(cp_store_txn(f->store, &(struct cp_txn){.ops = dead, .op_count = 2}, &commit, &err),
            GW_NOT_FOUND);
    assert_false(get(f, "c").found || get(f, "d").found);

    OK(cp_store_txn(f->store, &(struct cp_txn){compares, 0, ops, 0}, &commit, &err));
    assert_true(commit.committed); /* nothing to do is done */
}

static struct cp_page list(struct fixture *f, struct cp_range range)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_page page = {0};
    OK(cp_store_list(f->store, &range, &f->arena, &page, &err));
    for (size_t i = 1; i < page.count; i++)
        assert_true(gw_str_cmp(page.kvs[i - 1].key, page.kvs[i].key) < 0);
    return page;
}

/* The names after the case's prefix, "a b c". */
static gw_str names(struct fixture *f, const struct cp_page *page)
{
    gw_str text = GW_STR_NONE;
    for (size_t i = 0; i < page->count; i++) {
        gw_str key = page->kvs[i].key;
        size_t skip = strlen(f->prefix);
        text = gw_arena_printf(&f->arena, "%.*s%s%.*s", GW_STR_ARG(text), i ? " " : "",
                               (int)(key.len - skip), key.ptr + skip);
    }
    return text;
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    const char *all[] = {"q/b", "q/a/x", "q", "q/", "q/\xc3\xa9", "q/a", "q0", "p/z"};
    for (size_t i = 0; i < GW_ARRAY_LEN(all); i++)
        put(f, all[i], all[i]);
    struct cp_page page = list(f, (struct cp_range){.prefix = key_of(f, "q/")});
    assert_str(names(f, &page), "q/ q/a q/a/x q/b q/\xc3\xa9");
    assert_false(page.more);
    assert_str(page.kvs[1].value, "q/a");
    assert_int_equal(page.kvs[1].mod_revision, get(f, "q/a").kv.mod_revision);
    assert_int_equal(page.kvs[1].create_revision, page.kvs[1].mod_revision);
    assert_true(page.at.cluster_id != 0 && page.at.revision >= page.kvs[1].mod_revision);

    page = list(f, (struct cp_range){.prefix = key_of(f, "q/"), .limit = 2});
    assert_str(names(f, &page), "q/ q/a");
    assert_true(page.more);
    page = list(
        f, (struct cp_range){.prefix = key_of(f, "q/"), .after_key = key_of(f, "q/a"), .limit = 3});
    assert_str(names(f, &page), "q/a/x q/b q/\xc3\xa9");
    assert_false(page.more);
    page = list(f, (struct cp_range){.prefix = key_of(f, "q/"), .after_key = key_of(f, "q/c")});
    assert_str(names(f, &page), "q/\xc3\xa9");
    page = list(f, (struct cp_range){.prefix = key_of(f, "q/"), .after_key = key_of(f, "q0")});
    assert_int_equal(page.count, 0);
    page = list(f, (struct cp_range){.prefix = key_of(f, "q/"), .after_key = key_of(f, "p/z")});
    assert_int_equal(page.count, 5);

    page = list(f, (struct cp_range){.prefix = key_of(f, "q/a"), .keys_only = true});
    assert_str(names(f, &page), "q/a q/a/x");
    assert_int_equal(page.kvs[0].value.len, 0);
    assert_true(page.kvs[0].mod_revision > 0);
    page = list(f, (struct cp_range){.prefix = key_of(f, "none/")});
    assert_true(page.count == 0 && !page.more && page.at.revision > 0);

    struct gw_error err = GW_ERROR_NONE;
    int64_t count = -1;
    OK(cp_store_count(f->store, key_of(f, "q/"), &count, &err));
    assert_int_equal(count, 5);
    OK(cp_store_count(f->store, key_of(f, "none/"), &count, &err));
    assert_int_equal(count, 0);
}

static int by_key(const void *a, const void *b)
{
    return gw_str_cmp(((const struct cp_op *)a)->key, ((const struct cp_op *)b)->key);
}

/* Whatever the shape of keys, the size of pages, and where they begin. */
static void test_pages_of_any_size(void **state)
{
    struct fixture *f = *state;
    static const char *const shapes[] = {"p/%zu",
                                         "p/g%05zu/a",
                                         "p/g1/%zu/x",
                                         "p/\xc3\xa9/%zu",
                                         "p/z/a/b/c/%03zu",
                                         "p/long-%zu-name/"
                                         "%060d"};
    static struct cp_op ops[240];
    for (size_t i = 0; i < GW_ARRAY_LEN(ops); i++)
        ops[i] = op_put(f, gw_arena_printf(&f->arena, shapes[i % 6], i * i, 7).ptr, "v");
    commit_ops(f, ops, GW_ARRAY_LEN(ops));
    put(f, "o", "before"), put(f, "q", "behind");
    qsort(ops, GW_ARRAY_LEN(ops), sizeof ops[0], by_key);
    static const size_t sizes[] = {1, 2, 7, 50, 239, 240, 241};
    for (size_t s = 0; s < GW_ARRAY_LEN(sizes); s++) {
        struct cp_range range = {.prefix = key_of(f, "p/"), .limit = sizes[s]};
        size_t at = 0;
        for (struct cp_page page = {.more = true}; page.more;) {
            page = list(f, range);
            assert_int_equal(page.count, GW_MIN(sizes[s], GW_ARRAY_LEN(ops) - at));
            for (size_t i = 0; i < page.count; i++, at++)
                assert_true(gw_str_eq(page.kvs[i].key, ops[at].key));
            if (page.count > 0)
                range.after_key = page.kvs[page.count - 1].key;
        }
        assert_int_equal(at, GW_ARRAY_LEN(ops));
    }
}

static void test_list_everything(void **state)
{
    struct fixture *f = *state;
    put(f, "a", "1");
    struct cp_page page = {.more = true};
    bool seen = false;
    gw_str after = GW_STR_NONE;
    while (page.more) {
        page = list(f, (struct cp_range){.after_key = after, .limit = 50, .keys_only = true});
        assert_true(page.count > 0);
        for (size_t i = 0; i < page.count; i++)
            seen = seen || gw_str_eq(page.kvs[i].key, key_of(f, "a"));
        after = page.kvs[page.count - 1].key;
    }
    assert_true(seen);
}

static void test_pages_of_one_revision(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 25; i++)
        put(f, gw_arena_printf(&f->arena, "%02u", i).ptr, "old");
    struct cp_range range = {.prefix = gw_str_from(f->prefix), .limit = 10};
    struct cp_page page = list(f, range);
    range.at_revision = page.at.revision;
    size_t total = 0;
    while (true) {
        for (size_t i = 0; i < page.count; i++) {
            gw_str want = gw_arena_printf(&f->arena, "%s%02zu", f->prefix, total + i);
            assert_str(page.kvs[i].key, want.ptr);
            assert_str(page.kvs[i].value, "old");
        }
        assert_int_equal(page.at.revision, range.at_revision);
        total += page.count;
        if (!page.more)
            break;
        /* What comes next changes before it is read. */
        range.after_key = page.kvs[page.count - 1].key;
        put(f, gw_arena_printf(&f->arena, "%02zu", total).ptr, "new");
        put(f, gw_arena_printf(&f->arena, "%02zu", total).ptr, "newer");
        delete (f, gw_arena_printf(&f->arena, "%02zu", total + 1).ptr);
        put(f, gw_arena_printf(&f->arena, "%02zu-added", total + 2).ptr, "new");
        page = list(f, range);
    }
    assert_int_equal(total, 25);
    assert_int_equal(list(f, (struct cp_range){.prefix = range.prefix}).count, 25);
}

static void test_list_outside_of_history(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_page page = {0};
    int64_t first = put(f, "a", "1");
    put(f, "a", "2");
    int64_t third = put(f, "a", "3");
    struct cp_range range = {.prefix = gw_str_from(f->prefix), .at_revision = first};
    page = list(f, range);
    assert_str(page.kvs[0].value, "1");
    OK(cp_store_compact(f->store, 0, &err));
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_OUT_OF_RANGE);
    range.at_revision = third + 1000;
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_OUT_OF_RANGE);
    assert_str(get(f, "a").kv.value, "3");
    OK(cp_store_compact(f->store, 0, &err)); /* nothing more to forget */
    OK(cp_store_compact(f->store, 1000000, &err));
}

static void test_compaction_keeps(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    put(f, "a", "1");
    put(f, "b", "1");
    int64_t kept = put(f, "a", "2");
    delete (f, "b");
    put(f, "a", "3");
    OK(cp_store_compact(f->store, position(f).revision - kept, &err));
    struct cp_page page =
        list(f, (struct cp_range){.prefix = gw_str_from(f->prefix), .at_revision = kept});
    assert_str(names(f, &page), "a b");
    assert_str(page.kvs[0].value, "2");
}

static int try_txn(struct fixture *f, struct cp_txn txn, struct gw_error *err)
{
    struct cp_commit commit = {0};
    *err = GW_ERROR_NONE;
    return cp_store_txn(f->store, &txn, &commit, err);
}

static void test_limits_of_transactions(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    int64_t before = position(f).revision;
    char *bytes = gw_malloc(CP_STORE_VALUE_MAX + 1);
    memset(bytes, 'x', CP_STORE_VALUE_MAX + 1);
    struct cp_op op = op_put(f, "a", "");
    struct cp_txn txn = {.ops = &op, .op_count = 1};
    op.value = gw_str_n(bytes, CP_STORE_VALUE_MAX + 1);
    REFUSED(try_txn(f, txn, &err), GW_INVALID_ARGUMENT);
    op.value.len = CP_STORE_TXN_BYTES_MAX - op.key.len + 1;
    REFUSED(try_txn(f, txn, &err), GW_INVALID_ARGUMENT);
    op.value.len = 1;
    const gw_str keys[] = {GW_STR_NONE, gw_str_n(bytes, CP_STORE_KEY_MAX + 1), GW_STR("a\0b"),
                           GW_STR("\xff")};
    for (size_t i = 0; i < GW_ARRAY_LEN(keys); i++) {
        op.key = keys[i];
        REFUSED(try_txn(f, txn, &err), GW_INVALID_ARGUMENT);
    }
    struct cp_op twice[] = {op_put(f, "a", "1"), op_delete(f, "a")};
    REFUSED(try_txn(f, (struct cp_txn){.ops = twice, .op_count = 2}, &err), GW_INVALID_ARGUMENT);
    static struct cp_op ops[CP_STORE_OPS_MAX + 1];
    static struct cp_compare compares[CP_STORE_COMPARES_MAX + 1] = {{GW_STR_NONE}};
    for (size_t i = 0; i < GW_ARRAY_LEN(ops); i++)
        ops[i] = op_put(f, gw_arena_printf(&f->arena, "%zu", i).ptr, "1");
    txn = (struct cp_txn){.ops = ops, .op_count = GW_ARRAY_LEN(ops)};
    REFUSED(try_txn(f, txn, &err), GW_INVALID_ARGUMENT);
    for (size_t i = 0; i < GW_ARRAY_LEN(compares); i++)
        compares[i].key = key_of(f, "a");
    txn = (struct cp_txn){.compares = compares, .compare_count = GW_ARRAY_LEN(compares)};
    REFUSED(try_txn(f, txn, &err), GW_INVALID_ARGUMENT);
    assert_int_equal(position(f).revision, before);
    free(bytes);
}

static void test_limits_of_calls(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    char bytes[CP_STORE_KEY_MAX + 1];
    memset(bytes, 'x', sizeof bytes);
    gw_str too_long = gw_str_n(bytes, sizeof bytes);
    struct cp_found found;
    struct cp_page page;
    struct cp_watch *watch;
    struct cp_position now = {0, 0}, past = {0, -1};
    int64_t number;
    REFUSED(cp_store_get(f->store, GW_STR_NONE, &f->arena, &found, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_get(f->store, too_long, &f->arena, &found, &err), GW_INVALID_ARGUMENT);
    struct cp_range range = {.prefix = too_long};
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_INVALID_ARGUMENT);
    range = (struct cp_range){.after_key = too_long};
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_INVALID_ARGUMENT);
    range = (struct cp_range){.at_revision = -1};
    REFUSED(cp_store_list(f->store, &range, &f->arena, &page, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_count(f->store, too_long, &number, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_lease_grant(f->store, 0, &number, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_lease_grant(f->store, INT64_MAX, &number, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_store_compact(f->store, -1, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_watch_open(f->store, too_long, now, &watch, &err), GW_INVALID_ARGUMENT);
    REFUSED(cp_watch_open(f->store, GW_STR_NONE, past, &watch, &err), GW_INVALID_ARGUMENT);
}

#define INCREMENTS 25
/* One of four that count in one key; runs without cmocka, whose asserts want its own thread. */
struct counter {
    struct cp_store *store;
    gw_str key;
    unsigned done;
};

static bool increment(struct counter *c, struct gw_arena *arena)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_found found;
    struct cp_commit commit = {0};
    while (!commit.committed) {
        gw_arena_reset(arena);
        if (cp_store_get(c->store, c->key, arena, &found, &err))
            return false;
        uint64_t value = 0;
        if (found.found && gw_str_to_u64(found.kv.value, 1000, &value))
            return false;
        struct cp_compare compare = {c->key, CP_COMPARE_MOD, found.kv.mod_revision};
        struct cp_op op = {.key = c->key, .value = gw_arena_printf(arena, "%d", (int)value + 1)};
        if (cp_store_txn(c->store, &(struct cp_txn){&compare, 1, &op, 1}, &commit, &err))
            return false;
    }
    return true;
}

static void *count_up(void *arg)
{
    struct counter *c = arg;
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    while (c->done < INCREMENTS && increment(c, &arena))
        c->done++;
    gw_arena_done(&arena);
    return NULL;
}

static void test_no_increment_is_lost(void **state)
{
    struct fixture *f = *state;
    struct counter counters[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        counters[i] = (struct counter){.store = f->store, .key = key_of(f, "n")};
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, &counters[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(counters[i].done, INCREMENTS);
    }
    assert_str(get(f, "n").kv.value, "100");
}

static void test_lease_revoke(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    int64_t lease = grant(f, 60), other = grant(f, 60);
    assert_true(lease != other);
    struct cp_op ops[] = {op_put(f, "a", "1"), op_put(f, "b", "1"), op_put(f, "freed", "1"),
                          op_put(f, "other", "1")};
    for (size_t i = 0; i < 3; i++)
        ops[i].lease = lease;
    ops[3].lease = other;
    commit_ops(f, ops, 4);
    put(f, "freed", "2"); /* a put without the lease lets go of it */
    OK(cp_store_lease_keepalive(f->store, lease, &err));
    OK(cp_store_lease_revoke(f->store, lease, &err));
    struct cp_page page = list(f, (struct cp_range){.prefix = gw_str_from(f->prefix)});
    assert_str(names(f, &page), "freed other");
    REFUSED(cp_store_lease_keepalive(f->store, lease, &err), GW_NOT_FOUND);
    REFUSED(cp_store_lease_revoke(f->store, lease, &err), GW_NOT_FOUND);
    OK(cp_store_lease_keepalive(f->store, other, &err));
}

static void test_lease_ends(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_op op = op_put(f, "a", "1");
    op.lease = grant(f, 1);
    int64_t revision = commit_ops(f, &op, 1);
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (get(f, "a").found && gw_clock_monotonic_ms() < end)
        node_nap();
    assert_false(get(f, "a").found);
    assert_true(position(f).revision > revision);
    REFUSED(cp_store_lease_keepalive(f->store, op.lease, &err), GW_NOT_FOUND);
}

static const struct CMUnitTest cases[] = {
    CASE(test_put_get_delete),
    CASE(test_get_all),
    CASE(test_empty_and_binary_values),
    CASE(test_largest_transaction),
    CASE(test_transaction_of_most_changes),
    CASE(test_every_one_of_most_compares_counts),
    CASE(test_compares),
    CASE(test_transaction_is_all_or_nothing),
    CASE(test_list),
    CASE(test_pages_of_any_size),
    CASE(test_list_everything),
    CASE(test_pages_of_one_revision),
    CASE(test_list_outside_of_history),
    CASE(test_compaction_keeps),
    CASE(test_limits_of_transactions),
    CASE(test_limits_of_calls),
    CASE(test_no_increment_is_lost),
    CASE(test_lease_revoke),
    CASE(test_lease_ends),
};

/* Lists as those of a large store (etcd_list.c). */
static int etcd_large_setup(void **state)
{
    if (etcd_setup(state))
        return -1;
    struct fixture *f = *state;
    etcd_of(f->store)->large_keys = 0;
    return 0;
}

int main(void)
{
    return cmocka_run_group_tests_name("sqlite in memory", cases, memory_setup, sqlite_teardown) +
           cmocka_run_group_tests_name("sqlite in a file", cases, file_setup, sqlite_teardown) +
           cmocka_run_group_tests_name("etcd", cases, etcd_setup, etcd_teardown) +
           cmocka_run_group_tests_name("etcd, large", cases, etcd_large_setup, etcd_teardown);
}
