/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/fake_session.h"

static struct cp_image *image;
static struct cp_registry *registry;
static struct gw_arena arena;

static int setup(void **state)
{
    (void)state;
    image = cp_image_new(10);
    registry = cp_registry_new(image, 3);
    gw_arena_init(&arena, 0);
    image_commit(image, 100, NULL, 0, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_clock_fake_off();
    gw_arena_done(&arena);
    cp_registry_free(registry);
    cp_image_free(image);
    return 0;
}

static struct cp_registry_stats stats(void)
{
    struct cp_registry_stats now;
    cp_registry_stats(registry, &now);
    return now;
}

static const cp_agent *get(const char *name)
{
    return cp_registry_get(registry, &arena, gw_str_from(name));
}

static void a_change_wakes_every_session(void **state)
{
    (void)state;
    struct cp_session one, silent;
    fake_connect(registry, &one, "one", 100);
    fake_open(registry, &silent);
    image_put_group(image, 101, "groups/a", "1");
    assert_int_equal(one.wakes, 1);
    assert_int_equal(silent.wakes, 1);
    fake_close(registry, &one);
    fake_close(registry, &silent);
    image_put_group(image, 102, "groups/a", "2");
    assert_int_equal(one.wakes, 1);
}

static void sessions_are_limited(void **state)
{
    (void)state;
    struct cp_session sessions[3], late = {.link.session = &late};
    struct gw_error err = GW_ERROR_NONE;
    for (int i = 0; i < 3; i++)
        fake_open(registry, &sessions[i]);
    assert_int_equal(cp_registry_open(registry, &late.link, &err), -1);
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    fake_close(registry, &sessions[1]);
    assert_int_equal(cp_registry_open(registry, &late.link, &err), 0);
    fake_close(registry, &late);
    fake_close(registry, &sessions[0]);
    fake_close(registry, &sessions[2]);
}

static void an_agent_that_left_is_shown_for_a_while(void **state)
{
    (void)state;
    struct cp_session one, two;
    gw_clock_fake(1000, 5000000);
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 100);
    gw_clock_fake(2000, 5001500);
    fake_close(registry, &one);
    assert_false(get("agents/one")->connected);
    assert_int_equal(get("agents/one")->connect_time->seconds, 5000);
    assert_int_equal(get("agents/one")->last_seen_time->seconds, 5001);
    assert_int_equal(get("agents/one")->last_seen_time->nanos, 500000000);
    gw_clock_fake(2000 + CP_AGENT_FORGET_MS, 5001500);
    cp_registry_tick(registry);
    assert_non_null(get("agents/one"));
    gw_clock_fake(2001 + CP_AGENT_FORGET_MS, 5001500);
    cp_registry_tick(registry);
    assert_null(get("agents/one"));
    assert_non_null(get("agents/two")); /* connected: however silent */
    fake_close(registry, &two);
}

static void a_stream_without_hello_is_ended_once(void **state)
{
    (void)state;
    struct cp_session silent, greeted;
    gw_clock_fake(1000, 0);
    fake_open(registry, &silent);
    fake_connect(registry, &greeted, "one", 100);
    gw_clock_fake(1000 + CP_AGENT_HELLO_TIMEOUT_MS, 0);
    cp_registry_tick(registry);
    assert_int_equal(silent.ended, GW_OK);
    gw_clock_fake(1001 + CP_AGENT_HELLO_TIMEOUT_MS, 0);
    cp_registry_tick(registry);
    assert_int_equal(silent.ended, GW_INVALID_ARGUMENT);
    cp_registry_tick(registry);
    assert_int_equal(stats().violations, 1);
    assert_int_equal(greeted.ended, GW_OK);
    fake_close(registry, &silent);
    fake_close(registry, &greeted);
}

static void all_can_be_turned_away(void **state)
{
    (void)state;
    struct cp_session early, greeted;
    struct gw_error why = GW_ERROR_NONE;
    fake_open(registry, &early);
    fake_connect(registry, &greeted, "one", 100);
    (void)gw_fail(&why, GW_UNAVAILABLE, "elsewhere");
    cp_registry_turn_away(registry, &why);
    assert_int_equal(atomic_load(&early.ended), GW_UNAVAILABLE);
    assert_int_equal(atomic_load(&greeted.ended), GW_UNAVAILABLE);
    fake_close(registry, &early);
    fake_close(registry, &greeted);
}

static void a_replaced_session_says_nothing_any_more(void **state)
{
    (void)state;
    struct cp_session older, newer;
    fake_connect(registry, &older, "one", 0);
    fake_connect(registry, &newer, "one", 0);
    assert_int_equal(older.ended, GW_ALREADY_EXISTS);
    assert_int_equal(newer.ended, GW_OK);
    assert_int_equal(stats().replaced, 1);
    fake_ack(registry, &newer, 100, NULL);
    cp_ack *ack = new_ack(&arena, CLUSTER_TEXT, 50);
    assert_false(cp_registry_ack(registry, &older.link, ack, 1));
    fake_close(registry, &older);
    assert_true(get("agents/one")->connected);
    assert_int_equal(get("agents/one")->applied_revision, 100);
    fake_close(registry, &newer);
}

static void lag_is_counted(void **state)
{
    (void)state;
    struct cp_session one, two, other;
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 100);
    image_put_group(image, 105, "groups/a", "1");
    assert_int_equal(stats().connected, 2);
    assert_int_equal(stats().lagging, 2);
    assert_int_equal(stats().max_lag, 5);
    fake_ack(registry, &one, 105, NULL);
    assert_int_equal(stats().lagging, 1);
    fake_ack(registry, &two, 105, NULL);
    assert_int_equal(stats().lagging, 0);
    assert_int_equal(stats().max_lag, 0);
    assert_int_equal(stats().ack_latency_ms_sum, 6);

    fake_open(registry, &other); /* of another cluster: it has nothing of this one */
    cp_registry_greet(registry, &other.link, new_hello(&arena, "other", "beef", 300),
                      &(struct cp_agent_identity){.name = "local", .scope = GW_STR("")}, "");
    assert_int_equal(stats().max_lag, 105);
    fake_close(registry, &one);
    fake_close(registry, &two);
    fake_close(registry, &other);
    assert_int_equal(stats().connected, 0);
    assert_int_equal(stats().lagging, 0);
}

static void an_ack_of_unknown_latency_is_not_timed(void **state)
{
    (void)state;
    struct cp_session one;
    fake_connect(registry, &one, "one", 100);
    assert_true(cp_registry_ack(registry, &one.link, new_ack(&arena, CLUSTER_TEXT, 100), -1));
    assert_int_equal(stats().acks, 0);
    assert_int_equal(stats().ack_latency_ms_sum, 0);
    fake_close(registry, &one);
}

/* ---- refusals */

static void refusals_are_cut_and_counted(void **state)
{
    (void)state;
    struct cp_session one;
    fake_connect(registry, &one, "one", 100);
    cp_ack *ack = new_ack(&arena, CLUSTER_TEXT, 100);
    char reason[2 * CP_REASON_MAX];
    for (size_t i = 0; i + 1 < sizeof(reason); i += 2)
        memcpy(reason + i, "\xc3\xa9", 2);
    reason[sizeof(reason) - 2] = '\0';
    for (int i = 0; i < CP_AGENT_REFUSALS_MAX + 20; i++)
        add_refusal(&arena, ack, "groups/a", reason, 100);
    assert_true(cp_registry_ack(registry, &one.link, ack, 1));
    const cp_agent *agent = get("agents/one");
    assert_int_equal(agent->n_refusals, CP_AGENT_REFUSALS_MAX);
    assert_int_equal(stats().refusals, CP_AGENT_REFUSALS_MAX + 20);
    gw_str kept = gw_str_from(agent->refusals[0]->reason);
    assert_int_equal(kept.len, CP_REASON_MAX - 2); /* 255 would be half a character */
    assert_true(gw_str_is_utf8(kept));
    fake_close(registry, &one);
    assert_int_equal(stats().refusals, 0); /* of connected agents only */
}

static void a_refusal_keeps_its_first_time(void **state)
{
    (void)state;
    struct cp_session one;
    gw_clock_fake(0, 7000);
    fake_connect(registry, &one, "one", 100);
    fake_ack(registry, &one, 101, "groups/a");
    gw_clock_fake(0, 9000);
    cp_ack *ack = new_ack(&arena, CLUSTER_TEXT, 102);
    add_refusal(&arena, ack, "groups/a", "cannot be compiled", 101); /* the same form */
    add_refusal(&arena, ack, "groups/b", "cannot be compiled", 102);
    assert_true(cp_registry_ack(registry, &one.link, ack, 1));
    const cp_agent *agent = get("agents/one");
    assert_int_equal(agent->refusals[0]->time->seconds, 7);
    assert_int_equal(agent->refusals[1]->time->seconds, 9);
    fake_close(registry, &one);
}

static void a_new_hello_forgets_refusals(void **state)
{
    (void)state;
    struct cp_session one;
    fake_connect(registry, &one, "one", 100);
    fake_ack(registry, &one, 100, "groups/a");
    assert_int_equal(stats().refusals, 1);
    fake_close(registry, &one);
    fake_connect(registry, &one, "one", 100);
    assert_int_equal(stats().refusals, 0);
    assert_int_equal(get("agents/one")->n_refusals, 0);
    fake_close(registry, &one);
}

static void refusals_of_a_resource_name_builder_and_agents(void **state)
{
    (void)state;
    struct cp_session one, two, gone;
    fake_connect(registry, &two, "two", 100);
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &gone, "gone", 100);
    image_refuse(image, 101, "groups/a", "no release");
    fake_ack(registry, &two, 101, "groups/a");
    fake_ack(registry, &one, 101, "groups/a");
    fake_ack(registry, &gone, 101, "groups/a");
    fake_close(registry, &gone);
    cp_refusal **refusals;
    size_t count = cp_registry_refusals(registry, &arena, GW_STR("groups/a"), &refusals);
    assert_int_equal(count, 3);
    assert_string_equal(refusals[0]->agent, "builder");
    assert_string_equal(refusals[0]->reason, "no release");
    assert_int_equal(refusals[0]->revision, 101);
    assert_string_equal(refusals[1]->agent, "agents/one");
    assert_string_equal(refusals[1]->reason, "cannot be compiled");
    assert_string_equal(refusals[2]->agent, "agents/two");
    assert_int_equal(cp_registry_refusals(registry, &arena, GW_STR("groups/b"), &refusals), 0);
    fake_close(registry, &one);
    fake_close(registry, &two);
}

/* ---- reading */

static void agents_are_listed_by_name_in_pages(void **state)
{
    (void)state;
    static const char *const ids[] = {"c", "a", "b"};
    struct cp_session sessions[3];
    for (int i = 0; i < 3; i++)
        fake_connect(registry, &sessions[i], ids[i], 100);
    cp_agent **agents;
    bool more;
    assert_int_equal(cp_registry_list(registry, &arena, GW_STR(""), 2, &agents, &more), 2);
    assert_string_equal(agents[0]->name, "agents/a");
    assert_string_equal(agents[1]->name, "agents/b");
    assert_true(more);
    gw_str after = gw_str_from(agents[1]->name);
    assert_int_equal(cp_registry_list(registry, &arena, after, 2, &agents, &more), 1);
    assert_string_equal(agents[0]->name, "agents/c");
    assert_false(more);
    assert_int_equal(cp_registry_list(registry, &arena, GW_STR(""), 3, &agents, &more), 3);
    assert_false(more);
    for (int i = 0; i < 3; i++)
        fake_close(registry, &sessions[i]);
}

static void only_names_of_agents_are_found(void **state)
{
    (void)state;
    struct cp_session one;
    fake_connect(registry, &one, "one", 100);
    assert_non_null(get("agents/one"));
    assert_null(get("agents/two"));
    assert_null(get("agents/"));
    assert_null(get("agents"));
    assert_null(get("one"));
    assert_null(get("apps/one"));
    fake_close(registry, &one);
}

static void the_slow_are_dropped(void **state)
{
    (void)state;
    struct cp_session one;
    struct cp_registry_stats stats;
    fake_connect(registry, &one, "one", 100);
    cp_registry_tick(registry);
    assert_int_equal(atomic_load(&one.ended), 0);
    fake_slow = CP_DROP_OUTRUN;
    cp_registry_tick(registry);
    fake_slow = CP_DROP_COUNT;
    assert_int_equal(atomic_load(&one.ended), GW_ABORTED);
    cp_registry_stats(registry, &stats);
    assert_int_equal(stats.dropped[CP_DROP_OUTRUN], 1);
    fake_close(registry, &one);
}

static int64_t refused(void)
{
    struct cp_registry_stats stats;
    cp_registry_stats(registry, &stats);
    return stats.refused;
}

/* Not each acknowledgement that still lists it. */
static void a_refusal_is_counted_once_for_each_form(void **state)
{
    (void)state;
    struct cp_session one;
    fake_connect(registry, &one, "one", 100);
    fake_ack(registry, &one, 100, "groups/a"); /* of revision 100 */
    assert_int_equal(refused(), 1);
    cp_ack *ack = new_ack(&arena, CLUSTER_TEXT, 101);
    add_refusal(&arena, ack, "groups/a", "cannot be compiled", 100);
    assert_true(cp_registry_ack(registry, &one.link, ack, -1));
    assert_int_equal(refused(), 1);
    add_refusal(&arena, ack, "groups/b", "nor this", 101);
    ack->refusals[0]->revision = 101; /* another form of it */
    assert_true(cp_registry_ack(registry, &one.link, ack, -1));
    assert_int_equal(refused(), 3);
    while (ack->n_refusals < CP_AGENT_REFUSALS_MAX + 7)
        add_refusal(&arena, ack, "groups/c", "nor these", 101 + (int64_t)ack->n_refusals);
    assert_true(cp_registry_ack(registry, &one.link, ack, -1));
    assert_true(cp_registry_ack(registry, &one.link, ack, -1));
    assert_int_equal(refused(), 1 + CP_AGENT_REFUSALS_MAX + 7);
    fake_close(registry, &one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_change_wakes_every_session),
        TEST(sessions_are_limited),
        TEST(an_agent_that_left_is_shown_for_a_while),
        TEST(a_stream_without_hello_is_ended_once),
        TEST(all_can_be_turned_away),
        TEST(a_replaced_session_says_nothing_any_more),
        TEST(the_slow_are_dropped),
        TEST(lag_is_counted),
        TEST(an_ack_of_unknown_latency_is_not_timed),
        TEST(refusals_are_cut_and_counted),
        TEST(a_refusal_keeps_its_first_time),
        TEST(a_refusal_is_counted_once_for_each_form),
        TEST(a_new_hello_forgets_refusals),
        TEST(refusals_of_a_resource_name_builder_and_agents),
        TEST(agents_are_listed_by_name_in_pages),
        TEST(only_names_of_agents_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
