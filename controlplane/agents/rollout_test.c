/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for agents: waits run on threads of their own, and the test decides what happens. */
#include "controlplane/agents/fake_session.h"
#include "controlplane/agents/registry_internal.h"

static struct cp_image *image;
static struct cp_registry *registry;

static int setup(void **state)
{
    (void)state;
    image = cp_image_new(10);
    registry = cp_registry_new(image, 10);
    image_commit(image, 100, NULL, 0, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cp_registry_free(registry);
    cp_image_free(image);
    return 0;
}

/* One cp_registry_wait on a thread. */
struct waiter {
    pthread_t thread;
    int64_t revision;
    const char *resource;
    gw_msec deadline_ms;
    struct gw_arena arena;
    cp_rollout rollout;
    atomic_bool is_done;
};

static void *run(void *arg)
{
    struct waiter *waiter = arg;
    cp_registry_wait(registry, &waiter->arena, waiter->revision, gw_str_from(waiter->resource),
                     waiter->deadline_ms, &waiter->rollout);
    atomic_store(&waiter->is_done, true);
    return NULL;
}

static void begin(struct waiter *waiter, int64_t revision, gw_msec patience_ms)
{
    waiter->revision = revision;
    waiter->resource = "groups/a";
    waiter->deadline_ms = gw_clock_monotonic_ms() + patience_ms;
    waiter->rollout = (cp_rollout)CP_INIT(ROLLOUT);
    atomic_init(&waiter->is_done, false);
    gw_arena_init(&waiter->arena, 0);
    assert_int_equal(pthread_create(&waiter->thread, NULL, run, waiter), 0);
}

static unsigned waiting(void)
{
    pthread_mutex_lock(&registry->lock);
    unsigned count = registry->waiters;
    pthread_mutex_unlock(&registry->lock);
    return count;
}

static void finish(struct waiter *waiter)
{
    assert_int_equal(pthread_join(waiter->thread, NULL), 0);
}

static void expect(struct waiter *waiter, int agents, int applied, size_t refusals)
{
    finish(waiter);
    assert_int_equal(waiter->rollout.revision, waiter->revision);
    assert_int_equal(waiter->rollout.agents, agents);
    assert_int_equal(waiter->rollout.applied, applied);
    assert_int_equal(waiter->rollout.n_refusals, refusals);
    assert_non_null(waiter->rollout.duration);
    gw_arena_done(&waiter->arena);
}

static void nobody_to_wait_for(void **state)
{
    (void)state;
    struct waiter waiter;
    begin(&waiter, 200, PATIENCE_MS);
    expect(&waiter, 0, 0, 0);
}

static void all_have_it_already(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    begin(&waiter, 100, PATIENCE_MS);
    expect(&waiter, 1, 1, 0);
    fake_close(registry, &one);
}

static void waits_for_the_last_one(void **state)
{
    (void)state;
    struct cp_session one, two;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 100);
    image_put_group(image, 101, "groups/a", "1");
    begin(&waiter, 101, PATIENCE_MS);
    until(waiting() == 1);
    fake_ack(registry, &two, 101, NULL);
    assert_false(waiter.is_done);
    fake_ack(registry, &one, 101, NULL);
    expect(&waiter, 2, 2, 0);
    fake_close(registry, &one);
    fake_close(registry, &two);
}

/* A write that changes nothing for agents: seeing it is enough. */
static void a_revision_without_news_needs_no_ack(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    begin(&waiter, 105, PATIENCE_MS);
    until(waiting() == 1);
    image_commit(image, 105, NULL, 0, false);
    expect(&waiter, 1, 1, 0);
    fake_close(registry, &one);
}

static void an_ack_of_another_cluster_does_not_count(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    assert_true(cp_registry_ack(registry, &one.link, new_ack(&arena, "beef", 900), 1));
    gw_arena_done(&arena);
    begin(&waiter, 100, 30);
    expect(&waiter, 1, 0, 0);
    fake_close(registry, &one);
}

static void the_deadline_ends_it(void **state)
{
    (void)state;
    struct cp_session one, two;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 100);
    image_put_group(image, 101, "groups/a", "1");
    fake_ack(registry, &one, 101, NULL);
    begin(&waiter, 101, 30);
    expect(&waiter, 2, 1, 0);
    fake_close(registry, &one);
    fake_close(registry, &two);
}

static void who_refuses_has_not_applied(void **state)
{
    (void)state;
    struct cp_session one, two;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 100);
    image_put_group(image, 101, "groups/a", "1");
    begin(&waiter, 101, PATIENCE_MS);
    until(waiting() == 1);
    fake_ack(registry, &one, 101, "groups/a");
    fake_ack(registry, &two, 101, "groups/other");
    finish(&waiter);
    assert_int_equal(waiter.rollout.agents, 2);
    assert_int_equal(waiter.rollout.applied, 1);
    assert_int_equal(waiter.rollout.n_refusals, 1);
    assert_string_equal(waiter.rollout.refusals[0]->agent, "agents/one");
    gw_arena_done(&waiter.arena);
    fake_close(registry, &one);
    fake_close(registry, &two);
}

static void the_builders_refusal_is_told(void **state)
{
    (void)state;
    struct waiter waiter;
    image_refuse(image, 101, "groups/a", "no release");
    begin(&waiter, 101, PATIENCE_MS);
    expect(&waiter, 0, 0, 1);
}

/* It is waited for: it may come back with the change. */
static void an_agent_that_reconnects_counts(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiter;
    fake_connect(registry, &one, "one", 100);
    image_put_group(image, 101, "groups/a", "1");
    begin(&waiter, 101, PATIENCE_MS);
    until(waiting() == 1);
    fake_close(registry, &one);
    assert_false(waiter.is_done);
    fake_connect(registry, &one, "one", 101);
    expect(&waiter, 1, 1, 0);
    fake_close(registry, &one);
}

static void a_drain_ends_waits_and_later_ones(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiter, later, last;
    fake_connect(registry, &one, "one", 100);
    begin(&waiter, 101, PATIENCE_MS);
    until(waiting() == 1);
    cp_registry_stop(registry);
    expect(&waiter, 1, 0, 0);
    begin(&later, 101, PATIENCE_MS);
    expect(&later, 1, 0, 0);
    fake_close(registry, &one);
    begin(&last, 101, PATIENCE_MS); /* its agent's stream has ended meanwhile */
    expect(&last, 1, 0, 0);
}

/* They hold threads of the server: one more than may wait gets the state as it is. */
static void too_many_do_not_wait(void **state)
{
    (void)state;
    struct cp_session one;
    struct waiter waiters[CP_ROLLOUT_WAITERS_MAX], late;
    fake_connect(registry, &one, "one", 100);
    for (int i = 0; i < CP_ROLLOUT_WAITERS_MAX; i++)
        begin(&waiters[i], 101, PATIENCE_MS);
    until(waiting() == CP_ROLLOUT_WAITERS_MAX);
    begin(&late, 101, PATIENCE_MS);
    expect(&late, 1, 0, 0);
    image_put_group(image, 101, "groups/a", "1");
    fake_ack(registry, &one, 101, NULL);
    for (int i = 0; i < CP_ROLLOUT_WAITERS_MAX; i++)
        expect(&waiters[i], 1, 1, 0);
    fake_close(registry, &one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nobody_to_wait_for),
        TEST(all_have_it_already),
        TEST(waits_for_the_last_one),
        TEST(a_revision_without_news_needs_no_ack),
        TEST(an_ack_of_another_cluster_does_not_count),
        TEST(the_deadline_ends_it),
        TEST(who_refuses_has_not_applied),
        TEST(the_builders_refusal_is_told),
        TEST(an_agent_that_reconnects_counts),
        TEST(a_drain_ends_waits_and_later_ones),
        TEST(too_many_do_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
