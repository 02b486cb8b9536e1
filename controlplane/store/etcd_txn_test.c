/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions whose requests and answers get lost on the way. */
#include "controlplane/store/etcd_proxy.h"

#define KEY "/penstock/v1/a"

/* A store through a proxy that has already talked: the connection is open, a mark is there. */
struct bench {
    struct node node;
    struct cp_store *direct, *store;
    struct proxy proxy;
    int64_t revision; /* of KEY, whose value is "first" */
};

static void bench_up(struct bench *bench)
{
    bench->direct = node_up(&bench->node);
    proxy_start(&bench->proxy, bench->node.port);
    bench->store =
        store_open(&(struct cp_etcd_options){.endpoints = bench->proxy.url, .timeout_ms = 2000});
    bench->revision = store_put(bench->store, KEY, "first");
}

static void bench_done(struct bench *bench)
{
    cp_store_close(bench->store);
    cp_store_close(bench->direct);
    proxy_stop(&bench->proxy);
    node_done(&bench->node);
}

/* Compares KEY with the revision and puts "second". */
static int replace(struct bench *bench, int64_t revision, struct cp_commit *ret_commit,
                   struct gw_error *err)
{
    struct cp_compare compare = {GW_STR(KEY), CP_COMPARE_MOD, revision};
    struct cp_op op = {CP_OP_PUT, GW_STR(KEY), GW_STR("second"), 0};
    struct cp_txn txn = {&compare, 1, &op, 1};
    return cp_store_txn(bench->store, &txn, ret_commit, err);
}

static void holds_value(struct bench *bench, const char *value, int64_t revision)
{
    struct gw_arena arena = {0};
    struct cp_found found;
    struct gw_error err;
    assert_int_equal(cp_store_get(bench->direct, GW_STR(KEY), &arena, &found, &err), 0);
    assert_str(found.kv.value, value);
    assert_int_equal(found.kv.mod_revision, revision);
    gw_arena_done(&arena);
}

static void expect_replaced(struct bench *bench)
{
    struct cp_commit commit;
    struct gw_error err;
    assert_int_equal(replace(bench, bench->revision, &commit, &err), 0);
    assert_true(commit.committed);
    assert_true(commit.at.cluster_id != 0);
    holds_value(bench, "second", commit.at.revision);
    /* the mark is in order again */
    int64_t next = store_put(bench->store, KEY, "third");
    holds_value(bench, "third", next);
}

static void calls_share_a_connection(void **state)
{
    (void)state;
    struct bench bench;
    bench_up(&bench);
    for (int i = 0; i < 20; i++)
        store_put(bench.store, KEY, "more");
    assert_int_equal(atomic_load(&bench.proxy.accepted), 1);
    bench_done(&bench);
}

static void lost_answer_is_found_out(void **state)
{
    (void)state;
    struct bench bench;
    bench_up(&bench);
    atomic_store(&bench.proxy.cut_answers, 1);
    expect_replaced(&bench);
    assert_int_equal(atomic_load(&bench.proxy.cut_answers), 0);
    bench_done(&bench);
}

/* The store thinks that it has two members to ask. */
static void bench_up_twice(struct bench *bench)
{
    char urls[160];
    bench_up(bench);
    cp_store_close(bench->store);
    snprintf(urls, sizeof(urls), "%s,%s", bench->proxy.url, bench->proxy.url);
    bench->store = store_open(&(struct cp_etcd_options){.endpoints = urls});
}

static void lost_answer_to_the_question_is_asked_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_up_twice(&bench);
    atomic_store(&bench.proxy.cut_answers, 2);
    expect_replaced(&bench);
    assert_int_equal(atomic_load(&bench.proxy.cut_answers), 0);
    bench_done(&bench);
}

/* The transaction does not arrive, and the answer to its fence is lost. */
static void fence_is_recognised(void **state)
{
    (void)state;
    struct bench bench;
    bench_up_twice(&bench);
    atomic_store(&bench.proxy.cut_requests, 1);
    atomic_store(&bench.proxy.cut_answers, 1);
    expect_replaced(&bench);
    assert_int_equal(atomic_load(&bench.proxy.cut_requests), 0);
    assert_int_equal(atomic_load(&bench.proxy.cut_answers), 0);
    bench_done(&bench);
}

static void lost_request_is_sent_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_up(&bench);
    atomic_store(&bench.proxy.cut_requests, 1);
    expect_replaced(&bench);
    assert_int_equal(atomic_load(&bench.proxy.cut_requests), 0);
    bench_done(&bench);
}

static void lost_answer_to_a_refusal_stays_a_refusal(void **state)
{
    (void)state;
    struct bench bench;
    struct cp_commit commit;
    struct gw_error err;
    bench_up(&bench);
    atomic_store(&bench.proxy.cut_answers, 1);
    assert_int_equal(replace(&bench, bench.revision - 1, &commit, &err), 0);
    assert_false(commit.committed);
    holds_value(&bench, "first", bench.revision);
    bench_done(&bench);
}

static void unknown_only_when_asking_fails_too(void **state)
{
    (void)state;
    struct bench bench;
    struct cp_commit commit;
    struct gw_error err;
    bench_up(&bench);
    atomic_store(&bench.proxy.cut_answers, 100);
    assert_int_equal(replace(&bench, bench.revision, &commit, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_string_equal(err.reason, CP_STORE_OUTCOME_UNKNOWN);
    atomic_store(&bench.proxy.cut_answers, 0);
    store_put(bench.store, KEY, "third"); /* by a mark of its own */
    bench_done(&bench);
}

/* A member that hangs: the attempt times out after it was sent, and so does the question. */
static void silence_is_unknown(void **state)
{
    (void)state;
    struct bench bench;
    struct cp_commit commit;
    struct gw_error err;
    bench_up(&bench);
    cp_store_close(bench.store);
    bench.store =
        store_open(&(struct cp_etcd_options){.endpoints = bench.proxy.url, .timeout_ms = 300});
    store_wait(bench.store);
    proxy_mute(&bench.proxy, true);
    assert_int_equal(replace(&bench, bench.revision, &commit, &err), -1);
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_string_equal(err.reason, CP_STORE_OUTCOME_UNKNOWN);
    proxy_mute(&bench.proxy, false);
    bench_done(&bench);
}

#define WRITERS 6
#define ADDS 15

static void *add_many(void *arg)
{
    struct bench *bench = arg;
    struct gw_error err;
    for (int done = 0; done < ADDS;) {
        struct gw_arena arena = {0};
        struct cp_found found;
        struct cp_commit commit = {0};
        if (cp_store_get(bench->store, GW_STR("/penstock/v1/n"), &arena, &found, &err) == 0) {
            int n = found.found ? atoi(found.kv.value.ptr) : 0;
            gw_str next = gw_arena_printf(&arena, "%d", n + 1);
            struct cp_compare compare = {GW_STR("/penstock/v1/n"), CP_COMPARE_MOD,
                                         found.kv.mod_revision};
            struct cp_op op = {CP_OP_PUT, GW_STR("/penstock/v1/n"), next, 0};
            struct cp_txn txn = {&compare, 1, &op, 1};
            int failed = cp_store_txn(bench->store, &txn, &commit, &err);
            if (failed && strcmp(err.reason, CP_STORE_OUTCOME_UNKNOWN) == 0)
                return (void *)1; /* unknown: the sum could not be told */
            done += !failed && commit.committed;
        }
        gw_arena_done(&arena);
    }
    return NULL;
}

static void every_commit_counts_once_while_answers_get_lost(void **state)
{
    (void)state;
    struct bench bench;
    pthread_t threads[WRITERS];
    struct gw_arena arena = {0};
    struct cp_found found;
    struct gw_error err;
    char urls[200];
    bench_up(&bench);
    cp_store_close(bench.store);
    snprintf(urls, sizeof(urls), "%s,%s", bench.proxy.url, bench.node.url);
    bench.store = store_open(&(struct cp_etcd_options){.endpoints = urls});
    for (unsigned i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &bench), 0);
    for (unsigned i = 0; i < 20; i++) {
        atomic_fetch_add(&bench.proxy.cut_answers, 1);
        atomic_fetch_add(&bench.proxy.cut_requests, 1);
        atomic_store(&etcd_of(bench.store)->preferred, 0); /* back to the proxy */
        node_nap();
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    assert_int_equal(cp_store_get(bench.direct, GW_STR("/penstock/v1/n"), &arena, &found, &err), 0);
    assert_int_equal(atoi(found.kv.value.ptr), WRITERS * ADDS);
    gw_arena_done(&arena);
    bench_done(&bench);
}

/* Another history with other revisions: the mark that we know is not there. */
static void mark_is_learned_again_after_a_restore(void **state)
{
    (void)state;
    struct bench bench;
    bench_up(&bench);
    node_stop(&bench.node, SIGKILL);
    remove_tree(bench.node.data);
    node_start(&bench.node);
    store_wait(bench.store);
    int64_t revision = store_put(bench.store, KEY, "new");
    holds_value(&bench, "new", revision);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_a_connection),
        cmocka_unit_test(lost_answer_is_found_out),
        cmocka_unit_test(lost_answer_to_the_question_is_asked_again),
        cmocka_unit_test(fence_is_recognised),
        cmocka_unit_test(lost_request_is_sent_again),
        cmocka_unit_test(lost_answer_to_a_refusal_stays_a_refusal),
        cmocka_unit_test(unknown_only_when_asking_fails_too),
        cmocka_unit_test(silence_is_unknown),
        cmocka_unit_test(every_commit_counts_once_while_answers_get_lost),
        cmocka_unit_test(mark_is_learned_again_after_a_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
