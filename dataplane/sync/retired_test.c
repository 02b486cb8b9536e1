/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/retired.h"

#include "common/test.h"
#include "dataplane/limiter.h"
#include "dataplane/snapshot/compile.h"

#include <ev.h>

struct fixture {
    struct dp_compile_env env;
    struct dp_catalog *catalog;
    struct ev_loop *loop;
    struct dp_retired *retired;
};

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    f->env.limiter = dp_limiter_new(16);
    f->catalog = dp_catalog_new(&f->env);
    f->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    f->retired = dp_retired_new(f->loop);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_retired_free(f->retired);
    dp_catalog_free(f->catalog);
    dp_limiter_free(f->env.limiter);
    ev_loop_destroy(f->loop);
    free(f);
    return 0;
}

static struct dp_snapshot *make(struct fixture *f)
{
    struct dp_update update = {.cluster_id = GW_STR("c"),
                               .revision = dp_catalog_revision(f->catalog) + 1};
    struct dp_snapshot *snapshot;
    struct dp_refusals refusals;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(dp_catalog_apply(f->catalog, &update, &snapshot, &refusals, &err), 0);
    return snapshot;
}

/* The loop ends once there is nothing to look for: a leak would be the sanitizer's to find. */
static void test_what_nobody_has_goes(void **state)
{
    struct fixture *f = *state;
    dp_retired_add(f->retired, make(f));
    dp_retired_add(f->retired, make(f));
    ev_run(f->loop, 0);
}

static void let_go(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_snapshot *snapshot = timer->data;
    assert_true(dp_snapshot_is_shared(snapshot)); /* it was looked at before, and kept */
    dp_snapshot_unref(snapshot);
}

static void test_what_somebody_has_waits_for_him(void **state)
{
    struct fixture *f = *state;
    struct dp_snapshot *snapshot = make(f);
    ev_timer timer;
    ev_timer_init(&timer, let_go, 0.25, 0);
    timer.data = dp_snapshot_ref(snapshot);
    ev_timer_start(f->loop, &timer);
    dp_retired_add(f->retired, snapshot);
    dp_retired_add(f->retired, make(f));
    ev_run(f->loop, 0);
}

struct stream {
    struct fixture *f;
    struct dp_snapshot *first; /* a reference */
    int added;
};

static void add_another(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct stream *stream = timer->data;
    dp_retired_add(stream->f->retired, make(stream->f));
    if (++stream->added == 200)
        fail_msg("none has gone while others came");
    if (stream->added > 2 && stream->first) { /* from now on only the retired have it */
        dp_snapshot_unref(stream->first);
        stream->first = NULL;
    }
    if (dp_retired_count(stream->f->retired) < (size_t)stream->added)
        ev_timer_stop(loop, timer);
}

static void test_many_that_come_do_not_put_it_off(void **state)
{
    struct fixture *f = *state;
    struct stream stream = {.f = f, .first = make(f)};
    ev_timer timer;
    dp_retired_add(f->retired, dp_snapshot_ref(stream.first));
    ev_timer_init(&timer, add_another, 0.02, 0.02);
    timer.data = &stream;
    ev_timer_start(f->loop, &timer);
    ev_run(f->loop, 0);
}

static void test_an_end_leaves_it_to_who_has_it(void **state)
{
    struct fixture *f = *state;
    struct dp_snapshot *mine = make(f);
    for (int i = 0; i < 9; i++)
        dp_retired_add(f->retired, i == 4 ? dp_snapshot_ref(mine) : make(f));
    assert_true(dp_snapshot_is_shared(mine));
    dp_retired_free(f->retired);
    f->retired = NULL;
    assert_false(dp_snapshot_is_shared(mine));
    dp_snapshot_unref(mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_nobody_has_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_somebody_has_waits_for_him, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_that_come_do_not_put_it_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_end_leaves_it_to_who_has_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
