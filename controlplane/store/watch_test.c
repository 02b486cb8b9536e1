/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of watch.h, held against every backend. */
#include "controlplane/store/test_store.h"

#include <pthread.h>

static struct cp_watch *watch_open(struct fixture *f, struct cp_position after)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_watch *watch = NULL;
    OK(cp_watch_open(f->store, gw_str_from(f->prefix), after, &watch, &err));
    return watch;
}

/* The next batch that is not empty; the watch must be alive until then. */
static struct cp_batch next_events(struct fixture *f, struct cp_watch *watch)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_batch batch = {0};
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (batch.count == 0 && gw_clock_monotonic_ms() < end)
        assert_int_equal(cp_watch_next(watch, 1000, &f->arena, &batch, &err), CP_WATCH_LIVE);
    assert_true(batch.count > 0);
    assert_true(batch.at.cluster_id != 0);
    assert_true(batch.at.revision >= batch.events[batch.count - 1].kv.mod_revision);
    return batch;
}

/* The state that the watch comes to; it must stay in it. */
static enum cp_watch_state final_state(struct fixture *f, struct cp_watch *watch,
                                       struct gw_error *err)
{
    struct cp_batch batch;
    enum cp_watch_state state = CP_WATCH_LIVE;
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (state == CP_WATCH_LIVE && gw_clock_monotonic_ms() < end)
        state = cp_watch_next(watch, 1000, &f->arena, &batch, err);
    assert_int_equal(batch.count, 0);
    assert_true(err->code != GW_OK && err->message[0]);
    assert_int_equal(cp_watch_next(watch, PATIENCE_MS, &f->arena, &batch, err), state);
    assert_true(err->code != GW_OK && err->message[0]);
    return state;
}

static void check_event(struct fixture *f, const struct cp_event *event, const char *name,
                        const char *value, int64_t revision)
{
    assert_true(gw_str_eq(event->kv.key, key_of(f, name)));
    assert_int_equal(event->is_delete, value == NULL);
    assert_str(event->kv.value, value ? value : "");
    assert_int_equal(event->kv.mod_revision, revision);
    assert_int_equal(event->kv.create_revision == 0, value == NULL);
}

static void test_a_revision_is_one_batch(void **state)
{
    struct fixture *f = *state;
    struct cp_position after = position(f);
    after.revision = put(f, "old", "1");
    struct cp_watch *watch = watch_open(f, after);
    struct cp_op ops[] = {op_put(f, "c", "1"), op_put(f, "a", ""), op_delete(f, "old"),
                          op_put(f, "b", "2")};
    int64_t revision = commit_ops(f, ops, GW_ARRAY_LEN(ops));
    struct cp_batch batch = next_events(f, watch);
    assert_int_equal(batch.count, 4);
    check_event(f, &batch.events[0], "c", "1", revision);
    check_event(f, &batch.events[1], "a", "", revision);
    check_event(f, &batch.events[2], "old", NULL, revision);
    check_event(f, &batch.events[3], "b", "2", revision);
    assert_int_equal(batch.events[0].kv.create_revision, revision);
    cp_watch_close(watch);
}

static void test_history_is_replayed(void **state)
{
    struct fixture *f = *state;
    struct cp_position after = position(f);
    int64_t revisions[4] = {put(f, "a", "1"), put(f, "a", "2"), delete (f, "a"), put(f, "a", "3")};
    const char *values[4] = {"1", "2", NULL, "3"};
    struct cp_watch *watch = watch_open(f, after);
    size_t seen = 0;
    while (seen < 4) {
        struct cp_batch batch = next_events(f, watch);
        for (size_t i = 0; i < batch.count; i++, seen++) {
            assert_true(seen < 4);
            check_event(f, &batch.events[i], "a", values[seen], revisions[seen]);
        }
    }
    cp_watch_close(watch);
}

/* More than any batch or frame takes at once: every revision still comes whole, and in order. */
static void test_long_history(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 6 };
    struct cp_position after = position(f);
    static struct cp_op ops[CP_STORE_OPS_MAX];
    int64_t revisions[ROUNDS];
    for (size_t i = 0; i < CP_STORE_OPS_MAX; i++)
        ops[i] = op_put(f, gw_arena_printf(&f->arena, "%04zu", i).ptr, "x");
    for (size_t i = 0; i < ROUNDS; i++)
        revisions[i] = commit_ops(f, ops, CP_STORE_OPS_MAX);
    struct cp_watch *watch = watch_open(f, after);
    size_t seen = 0;
    while (seen < ROUNDS * CP_STORE_OPS_MAX) {
        struct cp_batch batch = next_events(f, watch);
        assert_int_equal(batch.count % CP_STORE_OPS_MAX, 0);
        for (size_t i = 0; i < batch.count; i++, seen++) {
            assert_true(gw_str_eq(batch.events[i].kv.key, ops[seen % CP_STORE_OPS_MAX].key));
            assert_int_equal(batch.events[i].kv.mod_revision, revisions[seen / CP_STORE_OPS_MAX]);
        }
    }
    cp_watch_close(watch);
}

static void test_only_the_prefix(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_watch *watch = NULL;
    OK(cp_watch_open(f->store, key_of(f, "p/"), position(f), &watch, &err));
    put(f, "p", "1");
    put(f, "p0", "1");
    put(f, "o/a", "1");
    int64_t revision = put(f, "p/a", "1");
    struct cp_batch batch = next_events(f, watch);
    assert_int_equal(batch.count, 1);
    check_event(f, &batch.events[0], "p/a", "1", revision);
    cp_watch_close(watch);
}

static void test_from_now_on(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    put(f, "before", "1");
    struct cp_watch *watch = watch_open(f, (struct cp_position){0});
    struct cp_batch batch = {0};
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (batch.at.revision == 0 && gw_clock_monotonic_ms() < end) {
        assert_int_equal(cp_watch_next(watch, 100, &f->arena, &batch, &err), CP_WATCH_LIVE);
        assert_int_equal(batch.count, 0);
        assert_int_equal(err.code, GW_OK);
    }
    assert_int_equal(batch.at.cluster_id, position(f).cluster_id);
    int64_t revision = put(f, "after", "1");
    batch = next_events(f, watch);
    assert_int_equal(batch.count, 1);
    check_event(f, &batch.events[0], "after", "1", revision);
    cp_watch_close(watch);
}

static void test_resume(void **state)
{
    struct fixture *f = *state;
    struct cp_watch *watch = watch_open(f, position(f));
    put(f, "a", "1");
    struct cp_position at = next_events(f, watch).at;
    cp_watch_close(watch);
    int64_t second = put(f, "a", "2");
    int64_t third = delete (f, "a");
    watch = watch_open(f, at);
    struct cp_batch batch = next_events(f, watch);
    check_event(f, &batch.events[0], "a", "2", second);
    if (batch.count == 1) {
        batch = next_events(f, watch);
        check_event(f, &batch.events[0], "a", NULL, third);
    } else {
        check_event(f, &batch.events[1], "a", NULL, third);
    }
    cp_watch_close(watch);
}

static void test_compacted(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_position before = position(f);
    struct cp_watch *lively = watch_open(f, before);
    for (unsigned i = 0; i < 5; i++)
        put(f, "a", "1");
    size_t seen = 0;
    while (seen < 5)
        seen += next_events(f, lively).count;
    OK(cp_store_compact(f->store, 0, &err));
    struct cp_watch *late = watch_open(f, before);
    assert_int_equal(final_state(f, late, &err), CP_WATCH_COMPACTED);
    assert_int_equal(err.code, GW_OUT_OF_RANGE);
    cp_watch_close(late);

    int64_t revision = put(f, "a", "2"); /* who has seen everything goes on */
    struct cp_batch batch = next_events(f, lively);
    check_event(f, &batch.events[0], "a", "2", revision);
    cp_watch_close(lively);
}

static void test_reset(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    struct cp_position other = position(f);
    other.cluster_id++;
    struct cp_watch *watch = watch_open(f, other);
    assert_int_equal(final_state(f, watch, &err), CP_WATCH_RESET);
    cp_watch_close(watch);

    struct cp_position later = position(f);
    later.revision += 1000;
    watch = watch_open(f, later);
    assert_int_equal(final_state(f, watch, &err), CP_WATCH_RESET);
    cp_watch_close(watch);
}

/* A thread that follows a watch until it has seen `want` events, or its end. */
struct follower {
    struct cp_watch *watch;
    size_t want, seen;
    int64_t last_revision;
    bool out_of_order;
    enum cp_watch_state state;
    pthread_t thread;
};

static void *follow(void *arg)
{
    struct follower *w = arg;
    struct gw_arena arena;
    struct gw_error err;
    struct cp_batch batch;
    gw_arena_init(&arena, 0);
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    while (w->seen < w->want && w->state == CP_WATCH_LIVE && gw_clock_monotonic_ms() < end) {
        gw_arena_reset(&arena);
        w->state = cp_watch_next(w->watch, PATIENCE_MS, &arena, &batch, &err);
        for (size_t i = 0; i < batch.count; i++, w->seen++) {
            int64_t revision = batch.events[i].kv.mod_revision;
            w->out_of_order = w->out_of_order || revision <= w->last_revision;
            w->last_revision = revision;
        }
    }
    gw_arena_done(&arena);
    return NULL;
}

static void follower_start(struct fixture *f, struct follower *w, size_t want)
{
    *w = (struct follower){.watch = watch_open(f, position(f)), .want = want};
    assert_int_equal(pthread_create(&w->thread, NULL, follow, w), 0);
}

static void test_cancel_from_another_thread(void **state)
{
    struct fixture *f = *state;
    struct follower w;
    follower_start(f, &w, SIZE_MAX);
    cp_watch_cancel(w.watch);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.state, CP_WATCH_CANCELLED);
    struct gw_error err;
    assert_int_equal(final_state(f, w.watch, &err), CP_WATCH_CANCELLED);
    assert_int_equal(err.code, GW_CANCELLED);
    cp_watch_close(w.watch);
}

static void test_followers_miss_nothing(void **state)
{
    struct fixture *f = *state;
    struct follower followers[3];
    for (size_t i = 0; i < 3; i++)
        follower_start(f, &followers[i], 100);
    int64_t last = 0;
    for (unsigned i = 0; i < 100; i++)
        last = put(f, i % 2 ? "a" : "b", "x");
    for (size_t i = 0; i < 3; i++) {
        pthread_join(followers[i].thread, NULL);
        assert_int_equal(followers[i].state, CP_WATCH_LIVE);
        assert_int_equal(followers[i].seen, 100);
        assert_int_equal(followers[i].last_revision, last);
        assert_false(followers[i].out_of_order);
        cp_watch_close(followers[i].watch);
    }
}

static void test_time_out_is_an_empty_batch(void **state)
{
    struct fixture *f = *state;
    struct gw_error err;
    struct cp_batch batch;
    struct cp_position after = position(f);
    struct cp_watch *watch = watch_open(f, after);
    gw_msec end = gw_clock_monotonic_ms() + PATIENCE_MS;
    enum cp_watch_state now = CP_WATCH_AWAY; /* one that has yet to connect says so */
    while (now == CP_WATCH_AWAY && gw_clock_monotonic_ms() < end) {
        now = cp_watch_next(watch, 1, &f->arena, &batch, &err);
        assert_int_equal(batch.count, 0);
        assert_int_equal(err.code == GW_OK, now == CP_WATCH_LIVE);
    }
    assert_int_equal(now, CP_WATCH_LIVE);
    assert_int_equal(batch.at.cluster_id, after.cluster_id);
    assert_true(batch.at.revision >= after.revision);
    cp_watch_close(watch);
}

static void test_end_of_a_lease_is_seen(void **state)
{
    struct fixture *f = *state;
    struct cp_op ops[] = {op_put(f, "a", "1"), op_put(f, "b", "1")};
    ops[0].lease = ops[1].lease = grant(f, 1);
    struct cp_position after = position(f);
    after.revision = commit_ops(f, ops, 2);
    struct cp_watch *watch = watch_open(f, after);
    struct cp_batch batch = next_events(f, watch);
    assert_int_equal(batch.count, 2);
    int64_t revision = batch.events[0].kv.mod_revision;
    check_event(f, &batch.events[0], "a", NULL, revision);
    check_event(f, &batch.events[1], "b", NULL, revision);
    cp_watch_close(watch);
}

static const struct CMUnitTest cases[] = {
    CASE(test_a_revision_is_one_batch),
    CASE(test_history_is_replayed),
    CASE(test_long_history),
    CASE(test_only_the_prefix),
    CASE(test_from_now_on),
    CASE(test_resume),
    CASE(test_compacted),
    CASE(test_reset),
    CASE(test_cancel_from_another_thread),
    CASE(test_followers_miss_nothing),
    CASE(test_time_out_is_an_empty_batch),
    CASE(test_end_of_a_lease_is_seen),
};

int main(void)
{
    return cmocka_run_group_tests_name("sqlite in memory", cases, memory_setup, sqlite_teardown) +
           cmocka_run_group_tests_name("sqlite in a file", cases, file_setup, sqlite_teardown) +
           cmocka_run_group_tests_name("etcd", cases, etcd_setup, etcd_teardown);
}
