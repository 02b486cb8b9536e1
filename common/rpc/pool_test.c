/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/fixture.h"
#include "common/rpc/pool.h"

struct work {
    struct gw_rpc_job job;
    struct counter *started, *gate, *done;
};

static void run(struct gw_rpc_job *job)
{
    struct work *work = gw_container_of(job, struct work, job);
    counter_add(work->started, 1);
    counter_wait(work->gate, 1);
    counter_add(work->done, 1);
    free(work);
}

static struct work *new_work(struct counter *started, struct counter *gate, struct counter *done)
{
    struct work *work = gw_calloc(1, sizeof(*work));
    *work = (struct work){.job.run = run, .started = started, .gate = gate, .done = done};
    return work;
}

static void test_limit_counts_queued_and_running(void **state)
{
    (void)state;
    struct counter started = COUNTER_INIT, gate = COUNTER_INIT, done = COUNTER_INIT;
    struct gw_rpc_pool pool;
    assert_int_equal(gw_rpc_pool_init(&pool, 2, 3), 0);
    for (int i = 0; i < 3; i++)
        assert_true(gw_rpc_pool_submit(&pool, &new_work(&started, &gate, &done)->job));
    counter_wait(&started, 2);
    struct work *refused = new_work(&started, &gate, &done);
    assert_false(gw_rpc_pool_submit(&pool, &refused->job));
    free(refused);
    counter_add(&gate, 1);
    counter_wait(&done, 3);
    gw_rpc_pool_done(&pool);
    assert_int_equal(started.value, 3);
}

static void test_done_runs_what_is_queued(void **state)
{
    (void)state;
    struct counter started = COUNTER_INIT, gate = COUNTER_INIT, done = COUNTER_INIT;
    struct gw_rpc_pool pool;
    assert_int_equal(gw_rpc_pool_init(&pool, 1, 100), 0);
    for (int i = 0; i < 100; i++)
        assert_true(gw_rpc_pool_submit(&pool, &new_work(&started, &gate, &done)->job));
    counter_add(&gate, 1);
    gw_rpc_pool_done(&pool);
    assert_int_equal(done.value, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_counts_queued_and_running),
        cmocka_unit_test(test_done_runs_what_is_queued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
