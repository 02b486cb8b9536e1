/* SPDX-License-Identifier: Apache-2.0 */
/* Agents that are slow, and many that come at once. */
#include "controlplane/agents/test_plane.h"

#define DOMAIN_BYTES (100 * 1024)

/* Groups of one chunk or so each, so that a snapshot of some is a large update. */
static void put_large_groups(int count, int64_t revision)
{
    char *domain = gw_calloc(1, DOMAIN_BYTES + 1);
    memset(domain, 'x', DOMAIN_BYTES);
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "groups/large-%d", i);
        image_put_group(plane.image, revision + i, name, domain);
    }
    free(domain);
}

static struct cp_pace_limits *limits(void)
{
    return &cp_registry_pace(plane.registry)->limits;
}

/* The next update's revision and base; its resources are not looked at. */
static int64_t take_update(struct agent *agent, int64_t *ret_base)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    const cp_update *update = NULL;
    while (!update || !update->final) {
        gw_arena_reset(&agent->arena);
        int got = gw_rpc_reader_next(agent->reader, &agent->arena, PATIENCE_MS, &message, &err);
        if (got <= 0)
            fail_msg("waited for an update: %d %s", got, err.message);
        update = ((cp_control_message *)(void *)message)->update;
    }
    *ret_base = update->base_revision;
    return update->revision;
}

static void take_snapshot(struct agent *agent, int64_t revision)
{
    int64_t base;
    assert_int_equal(take_update(agent, &base), revision);
    assert_int_equal(base, 0);
}

static void large_updates_take_turns(void **state)
{
    (void)state;
    struct agent one, two, three;
    limits()->at_once = 1;
    put_large_groups(5, 101);
    connect_agent(&one, "one", "", 0);
    take_snapshot(&one, 105);
    connect_agent(&two, "two", "", 0);
    connect_agent(&three, "three", "", 0);
    until(stats().updates_waiting == 2);
    assert_int_equal(stats().updates_under_way, 1);
    assert_int_equal(stats().snapshots, 1);
    acknowledge(&one, 105); /* and the next one's turn comes, one after the other */
    take_snapshot(&two, 105);
    assert_int_equal(stats().updates_waiting, 1);
    close_agent(&two); /* leaves without a word */
    take_snapshot(&three, 105);
    acknowledge(&three, 105);
    until(stats().updates_under_way == 0);
    close_agent(&one);
    close_agent(&three);
}

/* Changes do not wait behind snapshots. */
static void small_updates_overtake(void **state)
{
    (void)state;
    struct agent small, large;
    limits()->at_once = 1;
    put_large_groups(5, 101);
    connect_agent(&small, "small", CLUSTER_TEXT, 105);
    until(look("agents/small"));
    connect_agent(&large, "large", "", 0);
    take_snapshot(&large, 105);
    image_put_group(plane.image, 106, "groups/a", "1");
    expect(&small, "105>106 +groups/a=1");
    close_agent(&small);
    close_agent(&large);
}

/* One that does not acknowledge loses its place to the next one, soon; the rest it keeps. */
static void the_slow_hold_up_nobody(void **state)
{
    (void)state;
    struct agent slow, next;
    limits()->at_once = 1;
    put_large_groups(5, 101);
    connect_agent(&slow, "slow", "", 0);
    take_snapshot(&slow, 105);
    connect_agent(&next, "next", "", 0);
    until(stats().updates_waiting == 1);
    until((cp_registry_tick(plane.registry), stats().updates_waiting == 0));
    take_snapshot(&next, 105);
    acknowledge(&slow, 105);
    until(applied("agents/slow") == 105);
    close_agent(&slow);
    close_agent(&next);
}

static void who_acknowledges_nothing_is_dropped(void **state)
{
    (void)state;
    struct agent slow, prompt;
    limits()->stall_ms = 100;
    connect_agent(&slow, "slow", "", 0);
    expect(&slow, "0>100");
    connect_agent(&prompt, "prompt", CLUSTER_TEXT, 100); /* nothing is expected of it */
    until((cp_registry_tick(plane.registry), stats().dropped[CP_DROP_STALLED] == 1));
    expect_end(&slow, GW_ABORTED, "too slow");
    assert_non_null(strstr(look("agents/slow")->last_error, "too slow"));
    assert_non_null(look("agents/slow")->last_error_time);
    assert_string_equal(look("agents/prompt")->last_error, "");
    close_agent(&slow);
    limits()->stall_ms = PATIENCE_MS;
    connect_agent(&slow, "slow", CLUSTER_TEXT, 100); /* comes again, with what it has */
    image_put_group(plane.image, 101, "groups/a", "1");
    expect(&slow, "100>101 +groups/a=1");
    expect(&prompt, "100>101 +groups/a=1");
    assert_int_equal(stats().violations, 0);
    close_agent(&slow);
    close_agent(&prompt);
}

/* It takes no more than flow control lets through: its end does not wait for the rest. */
static void who_reads_nothing_is_dropped(void **state)
{
    (void)state;
    struct agent slow;
    limits()->stall_ms = 100;
    put_large_groups(100, 101);
    connect_agent(&slow, "slow", "", 0);
    until(stats().updates_under_way == 1);
    until((cp_registry_tick(plane.registry), stats().dropped[CP_DROP_STALLED] == 1));
    until(stats().connected == 0);
    assert_int_equal(stats().updates_under_way, 0);
    close_agent(&slow);
}

static void who_is_outrun_is_dropped(void **state)
{
    (void)state;
    struct agent slow;
    put_large_groups(100, 101);
    connect_agent(&slow, "slow", "", 0);
    until(stats().updates_under_way == 1);
    for (int i = 0; i <= 4 * CP_IMAGE_STALE_MIN; i++)
        image_put_group(plane.image, 301 + i, "groups/a", i % 2 ? "1" : "2");
    cp_registry_tick(plane.registry);
    assert_int_equal(stats().dropped[CP_DROP_OUTRUN], 1);
    until(stats().connected == 0);
    close_agent(&slow);
}

/* An agent gets no further update while it has so many to acknowledge; then all in one. */
static void changes_are_put_together_for_the_slow(void **state)
{
    (void)state;
    enum { UNACKNOWLEDGED = 16, CHANGES = 40 };
    struct agent agent;
    int64_t base, revision = 100;
    connect_agent(&agent, "one", CLUSTER_TEXT, 100);
    until(look("agents/one"));
    for (int i = 1; i <= UNACKNOWLEDGED; i++) {
        image_put_group(plane.image, 100 + i, "groups/a", i % 2 ? "1" : "2");
        revision = take_update(&agent, &base);
        assert_int_equal(revision, 100 + i);
    }
    for (int i = UNACKNOWLEDGED + 1; i <= CHANGES; i++)
        image_put_group(plane.image, 100 + i, "groups/a", i % 2 ? "1" : "2");
    assert_int_equal(stats().updates, UNACKNOWLEDGED);
    acknowledge(&agent, 101);
    assert_int_equal(take_update(&agent, &base), 100 + CHANGES);
    assert_int_equal(base, 100 + UNACKNOWLEDGED);
    close_agent(&agent);
}

/* A thousand agents that come while changes do not cost a thousand snapshots. */
static void a_snapshot_that_is_under_way_is_given_to_others(void **state)
{
    (void)state;
    struct agent one, two;
    int64_t base;
    put_large_groups(100, 101);
    connect_agent(&one, "one", "", 0); /* reads later */
    until(stats().updates_under_way == 1);
    int64_t held = stats().update_bytes_held;
    image_put_group(plane.image, 201, "groups/a", "1");
    connect_agent(&two, "two", "", 0);
    take_snapshot(&two, 200);
    assert_int_equal(take_update(&two, &base), 201);
    assert_int_equal(base, 200);
    assert_in_range(stats().update_bytes_held, held, held + 1024 * 1024);
    take_snapshot(&one, 200);
    close_agent(&one);
    close_agent(&two);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_plane, stop_plane)
    const struct CMUnitTest tests[] = {
        TEST(large_updates_take_turns),
        TEST(small_updates_overtake),
        TEST(the_slow_hold_up_nobody),
        TEST(who_acknowledges_nothing_is_dropped),
        TEST(who_reads_nothing_is_dropped),
        TEST(who_is_outrun_is_dropped),
        TEST(changes_are_put_together_for_the_slow),
        TEST(a_snapshot_that_is_under_way_is_given_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
