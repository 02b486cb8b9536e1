/* SPDX-License-Identifier: Apache-2.0 */
/* Watches of members that go away, come back, hang, forget, or turn out to be others. */
#include "controlplane/store/etcd_proxy.h"

#define PREFIX "/penstock/v1/"

static struct cp_watch *watch_from(struct cp_store *store, struct cp_position after)
{
    struct cp_watch *watch;
    struct gw_error err;
    assert_int_equal(cp_watch_open(store, GW_STR(PREFIX), after, &watch, &err), 0);
    return watch;
}

/* A watch that is live, from where the store is. */
static struct cp_watch *watch_live(struct cp_store *store)
{
    struct gw_arena arena = {0};
    struct cp_batch batch;
    struct gw_error err;
    struct cp_watch *watch = watch_from(store, store_wait(store));
    enum cp_watch_state state = cp_watch_next(watch, WAIT_MS, &arena, &batch, &err);
    assert_int_equal(state, CP_WATCH_LIVE);
    assert_int_equal(batch.count, 0);
    gw_arena_done(&arena);
    return watch;
}

/* Calls until the watch is in the state; fails when events or a final state come before. */
static struct gw_error expect_state(struct cp_watch *watch, enum cp_watch_state want)
{
    gw_msec end_ms = gw_clock_monotonic_ms() + WAIT_MS;
    for (;;) {
        struct gw_arena arena = {0};
        struct cp_batch batch;
        struct gw_error err;
        enum cp_watch_state state = cp_watch_next(watch, 1000, &arena, &batch, &err);
        size_t count = batch.count;
        gw_arena_done(&arena);
        assert_int_equal(count, 0);
        assert_true((err.code == GW_OK) == (state == CP_WATCH_LIVE));
        if (state == want)
            return err;
        if (state > CP_WATCH_AWAY || gw_clock_monotonic_ms() > end_ms)
            fail_msg("state %d: %s", state, err.message);
    }
}

/* Reads events until "count" have come; every one is a put of the next number. */
static void expect_numbers(struct cp_watch *watch, int from, int count)
{
    gw_msec end_ms = gw_clock_monotonic_ms() + WAIT_MS;
    while (count > 0) {
        struct gw_arena arena = {0};
        struct cp_batch batch;
        struct gw_error err;
        enum cp_watch_state state = cp_watch_next(watch, 1000, &arena, &batch, &err);
        if (state > CP_WATCH_AWAY || gw_clock_monotonic_ms() > end_ms)
            fail_msg("state %d: %s", state, err.message);
        for (size_t i = 0; i < batch.count; i++, from++, count--) {
            assert_false(batch.events[i].is_delete);
            assert_int_equal(atoi(batch.events[i].kv.value.ptr), from);
            assert_true(batch.at.revision >= batch.events[i].kv.mod_revision);
        }
        gw_arena_done(&arena);
    }
    assert_int_equal(count, 0);
}

static void put_numbers(struct cp_store *store, int from, int count)
{
    for (int i = from; i < from + count; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%d", i);
        store_put(store, PREFIX "n", text);
    }
}

static void nothing_is_missed_over_a_crash(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    struct cp_watch *watch = watch_live(store);
    put_numbers(store, 0, 3);
    expect_numbers(watch, 0, 3);
    put_numbers(store, 3, 2);
    expect_numbers(watch, 3, 2);
    node_stop(&node, SIGKILL);
    assert_int_equal(expect_state(watch, CP_WATCH_AWAY).code, GW_UNAVAILABLE);
    assert_int_equal(expect_state(watch, CP_WATCH_AWAY).code, GW_UNAVAILABLE);
    node_start(&node);
    store_wait(store);
    put_numbers(store, 5, 50); /* before the watch is back */
    expect_numbers(watch, 5, 50);
    expect_state(watch, CP_WATCH_LIVE);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

/* The watch sees AWAY even when the member is back before anybody asks. */
static void restart_is_seen_as_away(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    struct cp_watch *watch = watch_live(store);
    node_stop(&node, SIGTERM);
    node_start(&node);
    store_wait(store);
    expect_state(watch, CP_WATCH_AWAY);
    expect_state(watch, CP_WATCH_LIVE);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

/* A watch by way of a proxy that can be muted, beside the store itself. */
struct muted {
    struct node node;
    struct proxy proxy;
    struct cp_store *direct, *store;
    struct cp_watch *watch;
};

/* progress_ms: 0: etcd's own default. */
static void muted_up(struct muted *m, gw_msec progress_ms)
{
    m->direct = node_up(&m->node);
    proxy_start(&m->proxy, m->node.port);
    m->store = store_open(&(struct cp_etcd_options){
        .endpoints = m->proxy.url, .timeout_ms = 1000, .progress_ms = progress_ms});
    m->watch = watch_live(m->store);
}

static void muted_down(struct muted *m)
{
    cp_watch_close(m->watch);
    cp_store_close(m->store);
    cp_store_close(m->direct);
    proxy_stop(&m->proxy);
    node_done(&m->node);
}

static void forgotten_changes_are_final(void **state)
{
    (void)state;
    struct muted m;
    struct gw_error err;
    muted_up(&m, 100);
    proxy_mute(&m.proxy, true);
    expect_state(m.watch, CP_WATCH_AWAY);
    put_numbers(m.direct, 0, 5);
    assert_int_equal(cp_store_compact(m.direct, 0, &err), 0);
    proxy_mute(&m.proxy, false);
    err = expect_state(m.watch, CP_WATCH_COMPACTED);
    assert_int_equal(err.code, GW_OUT_OF_RANGE);
    expect_state(m.watch, CP_WATCH_COMPACTED); /* and stays */
    muted_down(&m);
}

/* Also where etcd says only every ten minutes that it is there; one that is there keeps the watch.
 */
static void a_member_that_hangs_is_asked(void **state)
{
    (void)state;
    struct muted m;
    muted_up(&m, 0);
    struct gw_arena arena = {0};
    struct cp_batch batch;
    struct gw_error err;
    assert_int_equal(cp_watch_next(m.watch, 2500, &arena, &batch, &err), CP_WATCH_LIVE);
    gw_arena_done(&arena);
    proxy_mute(&m.proxy, true);
    assert_non_null(strstr(expect_state(m.watch, CP_WATCH_AWAY).message, "silent"));
    put_numbers(m.direct, 0, 2);
    proxy_mute(&m.proxy, false);
    expect_numbers(m.watch, 0, 2);
    muted_down(&m);
}

static void silence_counts_as_death(void **state)
{
    (void)state;
    struct muted m;
    muted_up(&m, 100);
    /* progress moves the position while nothing is written under the prefix */
    int64_t revision = store_put(m.direct, "/penstock/other", "x");
    struct cp_batch batch = {0};
    while (batch.at.revision < revision) {
        struct gw_arena arena = {0};
        struct gw_error err;
        assert_int_equal(cp_watch_next(m.watch, WAIT_MS, &arena, &batch, &err), CP_WATCH_LIVE);
        assert_int_equal(batch.count, 0);
        gw_arena_done(&arena);
    }
    proxy_mute(&m.proxy, true);
    assert_non_null(strstr(expect_state(m.watch, CP_WATCH_AWAY).message, "silent"));
    put_numbers(m.direct, 0, 2);
    proxy_mute(&m.proxy, false);
    expect_numbers(m.watch, 0, 2);
    muted_down(&m);
}

/* Another data directory behind the same address; token NULL: with the same cluster id. */
static void replace_store(struct node *node, const char *cluster_token)
{
    node_stop(node, SIGKILL);
    remove_tree(node->data);
    node->cluster_token = cluster_token;
    node_start(node);
}

static void restored_store_is_a_reset(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    put_numbers(store, 0, 5);
    struct cp_watch *watch = watch_live(store);
    uint64_t cluster_id = store_wait(store).cluster_id;
    replace_store(&node, NULL);
    assert_int_equal(store_wait(store).cluster_id, cluster_id);
    assert_non_null(strstr(expect_state(watch, CP_WATCH_RESET).message, "older"));
    expect_state(watch, CP_WATCH_RESET);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

static void other_cluster_is_a_reset(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    struct cp_watch *watch = watch_live(store);
    uint64_t cluster_id = store_wait(store).cluster_id;
    replace_store(&node, "other");
    assert_int_not_equal(store_wait(store).cluster_id, cluster_id);
    put_numbers(store, 0, 9);
    assert_non_null(strstr(expect_state(watch, CP_WATCH_RESET).message, "another cluster"));
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

/* The replay of many revisions comes in many lines, with headers that are ahead of the events. */
static void long_replay_keeps_order(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    struct cp_position at = store_wait(store);
    put_numbers(store, 0, 2500);
    struct cp_watch *watch = watch_from(store, at);
    expect_numbers(watch, 0, 1000);
    node_stop(&node, SIGKILL);
    node_start(&node);
    expect_numbers(watch, 1000, 1500);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

/* More at once than we take: to list again is cheaper. */
static void too_long_a_replay_is_final(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    struct cp_position at = store_wait(store);
    put_numbers(store, 0, 100);
    etcd_of(store)->answer_bytes_max = 4096;
    struct cp_watch *watch = watch_from(store, at);
    expect_state(watch, CP_WATCH_COMPACTED);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

static void *cancel_soon(void *watch)
{
    node_nap();
    cp_watch_cancel(watch);
    return NULL;
}

static void cancelled_while_it_waits(void **state)
{
    (void)state;
    struct node node;
    struct cp_store *store = node_up(&node);
    for (int is_hung = 0; is_hung < 2; is_hung++) {
        pthread_t thread;
        struct cp_watch *watch = watch_live(store);
        if (is_hung)
            kill(node.pid, SIGSTOP);
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, watch), 0);
        struct gw_error err = expect_state(watch, CP_WATCH_CANCELLED);
        assert_int_equal(err.code, GW_CANCELLED);
        pthread_join(thread, NULL);
        cp_watch_close(watch);
    }
    cp_store_close(store);
    node_done(&node);
}

static void token_is_renewed_for_a_watch(void **state)
{
    (void)state;
    struct node node;
    char path[96];
    struct cp_store *root = node_up(&node);
    ask_etcd(root, "/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"r\"}");
    ask_etcd(root, "/v3/auth/role/add", "{\"name\":\"root\"}");
    ask_etcd(root, "/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
    ask_etcd(root, "/v3/auth/enable", "{}");
    cp_store_close(root);
    snprintf(path, sizeof(path), "%s/password", node.dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("r", file);
    fclose(file);
    struct cp_store *store = store_open(
        &(struct cp_etcd_options){.endpoints = node.url, .user = "root", .password_file = path});
    struct cp_watch *watch = watch_live(store);
    node_stop(&node, SIGKILL); /* and with it the token */
    node_start(&node);
    expect_state(watch, CP_WATCH_AWAY);
    expect_state(watch, CP_WATCH_LIVE);
    put_numbers(store, 0, 1);
    expect_numbers(watch, 0, 1);
    cp_watch_close(watch);
    cp_store_close(store);
    node_done(&node);
}

/* Three members, two of them die: the third keeps the stream open, but it has no leader. */
static void lost_quorum_is_away(void **state)
{
    (void)state;
    struct node nodes[3];
    char cluster[320] = "";
    for (unsigned i = 0; i < 3; i++) {
        node_init(&nodes[i]);
        size_t len = strlen(cluster);
        snprintf(cluster + len, sizeof(cluster) - len, "%sn%d=%s", i ? "," : "", nodes[i].peer_port,
                 nodes[i].peer_url);
    }
    for (unsigned i = 0; i < 3; i++) {
        nodes[i].cluster = cluster;
        node_start(&nodes[i]);
    }
    struct cp_store *store =
        store_open(&(struct cp_etcd_options){.endpoints = nodes[0].url, .timeout_ms = 2000});
    struct cp_watch *watch = watch_live(store);
    node_stop(&nodes[1], SIGKILL);
    node_stop(&nodes[2], SIGKILL);
    expect_state(watch, CP_WATCH_AWAY);
    node_start(&nodes[1]);
    expect_state(watch, CP_WATCH_LIVE);
    put_numbers(store, 0, 1);
    expect_numbers(watch, 0, 1);
    cp_watch_close(watch);
    cp_store_close(store);
    for (unsigned i = 0; i < 3; i++)
        node_done(&nodes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_missed_over_a_crash),
        cmocka_unit_test(restart_is_seen_as_away),
        cmocka_unit_test(forgotten_changes_are_final),
        cmocka_unit_test(silence_counts_as_death),
        cmocka_unit_test(a_member_that_hangs_is_asked),
        cmocka_unit_test(restored_store_is_a_reset),
        cmocka_unit_test(other_cluster_is_a_reset),
        cmocka_unit_test(long_replay_keeps_order),
        cmocka_unit_test(too_long_a_replay_is_final),
        cmocka_unit_test(cancelled_while_it_waits),
        cmocka_unit_test(token_is_renewed_for_a_watch),
        cmocka_unit_test(lost_quorum_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
