/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/test_plane.h"

/* ---- updates */

static void full_snapshot_then_deltas_and_acks(void **state)
{
    (void)state;
    struct agent agent;
    image_put_group(plane.image, 101, "groups/a", "1");
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>101 +groups/a=1");
    acknowledge(&agent, 101);
    until(applied("agents/one") == 101);
    assert_int_equal(stats().acks, 1);
    assert_int_equal(stats().lagging, 0);

    image_put_group(plane.image, 102, "groups/b", "1");
    expect(&agent, "101>102 +groups/b=1");
    assert_int_equal(stats().lagging, 1);
    assert_int_equal(stats().max_lag, 1);
    image_remove(plane.image, 103, "groups/a"); /* goes on top of what was not acknowledged */
    expect(&agent, "102>103 -groups/a");
    acknowledge(&agent, 102);
    acknowledge(&agent, 103);
    until(applied("agents/one") == 103);
    assert_int_equal(stats().acks, 3);
    assert_true(look("agents/one")->apply_latency_ms >= 0);
    close_agent(&agent);
}

static void nothing_is_sent_before_the_store_was_read(void **state)
{
    (void)state;
    struct cp_image *empty = cp_image_new(TOMBSTONES);
    plane.sessions.image = empty;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    until(look("agents/one"));
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    assert_int_equal(gw_rpc_reader_next(agent.reader, &agent.arena, 50, &message, &err), -1);
    assert_int_equal(err.code, GW_DEADLINE_EXCEEDED);
    image_commit(empty, 7, NULL, 0, true);
    image_put_group(plane.image, 101, "groups/a", "1"); /* wakes the sessions */
    expect(&agent, "0>7");
    close_agent(&agent);
    until(stats().connected == 0);
    cp_image_free(empty);
}

static void a_known_base_gets_what_changed(void **state)
{
    (void)state;
    struct agent agent;
    image_put_group(plane.image, 101, "groups/a", "1");
    image_put_group(plane.image, 102, "groups/b", "1");
    connect_agent(&agent, "one", CLUSTER_TEXT, 101);
    expect(&agent, "101>102 +groups/b=1");
    close_agent(&agent);

    connect_agent(&agent, "one", CLUSTER_TEXT, 102); /* has all there is */
    until(applied("agents/one") == 102);
    image_put_group(plane.image, 103, "groups/a", "2");
    expect(&agent, "102>103 +groups/a=2");
    close_agent(&agent);
}

static void an_unknown_base_gets_everything(void **state)
{
    (void)state;
    static const struct {
        const char *cluster_id;
        int64_t revision;
    } bases[] = {
        {"", 0},
        {CLUSTER_TEXT, 0},
        {CLUSTER_TEXT, 99},        /* from before this program's time */
        {"000000000000beef", 101}, /* another cluster's revision says nothing here */
        {CLUSTER_TEXT ".90", 101}, /* a history that was set back */
    };
    image_put_group(plane.image, 101, "groups/a", "1");
    for (size_t i = 0; i < GW_ARRAY_LEN(bases); i++) {
        struct agent agent;
        connect_agent(&agent, "one", bases[i].cluster_id, bases[i].revision);
        expect(&agent, "0>101 +groups/a=1");
        close_agent(&agent);
    }
}

static void a_base_whose_removals_are_forgotten_gets_everything(void **state)
{
    (void)state;
    static const char *const names[] = {"groups/a", "groups/b", "groups/c"};
    for (int i = 0; i < 3; i++)
        image_put_group(plane.image, 101 + i, names[i], "1");
    for (int i = 0; i < 3; i++)
        image_remove(plane.image, 111 + i, names[i]);
    struct agent agent;
    connect_agent(&agent, "one", CLUSTER_TEXT, 110);
    expect(&agent, "0>113");
    close_agent(&agent);
}

static void only_kinds_that_it_knows_are_sent(void **state)
{
    (void)state;
    image_put_group(plane.image, 101, "groups/a", "1");
    image_put_app(plane.image, 102, "apps/x");
    struct agent old, new;
    open_agent(&old);
    cp_hello *hello = new_hello(&old.arena, "old", "", 0);
    hello->n_kinds = 1; /* group */
    say_hello(&old, hello);
    expect(&old, "0>102 +groups/a=1");
    connect_agent(&new, "new", "", 0);
    expect(&new, "0>102 +apps/x +groups/a=1");
    close_agent(&old);
    close_agent(&new);
}

/* Many chunks, and more than flow control takes at once. */
static void a_large_snapshot_comes_whole(void **state)
{
    (void)state;
    enum { GROUPS = 60, DOMAIN_BYTES = 100 * 1024 };
    char *domain = gw_calloc(1, DOMAIN_BYTES + 1);
    memset(domain, 'x', DOMAIN_BYTES);
    for (int i = 0; i < GROUPS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "groups/%d", i);
        image_put_group(plane.image, 101 + i, name, domain);
    }
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    size_t upserts = 0, chunks = 0;
    for (bool final = false; !final; chunks++) {
        struct gw_error err = GW_ERROR_NONE;
        ProtobufCMessage *message;
        assert_int_equal(
            gw_rpc_reader_next(agent.reader, &agent.arena, PATIENCE_MS, &message, &err), 1);
        const cp_update *update = ((cp_control_message *)(void *)message)->update;
        assert_int_equal(update->revision, 100 + GROUPS);
        upserts += update->n_upserts;
        final = update->final;
    }
    assert_int_equal(upserts, GROUPS);
    assert_true(chunks >= 10);
    close_agent(&agent);
    free(domain);
}

static int64_t timed(enum cp_step step)
{
    return cp_steps_count(cp_image_steps(plane.image), step);
}

/* What an agent lacked when it came is no measure of how fast changes are. */
static void each_step_is_timed(void **state)
{
    (void)state;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>100");
    acknowledge(&agent, 100);
    until(timed(CP_STEP_ACKNOWLEDGE) == 1);
    assert_int_equal(timed(CP_STEP_SERVE), 0);
    gw_msec now_ms = gw_clock_monotonic_ms();
    until(gw_clock_monotonic_ms() > now_ms); /* behind the Hello, also in milliseconds */

    cp_steps_committed(cp_image_steps(plane.image), 101);
    struct cp_edit edit = {GW_STR("groups/a"), GW_STR("bytes"), NULL};
    struct cp_image_change change = {CLUSTER, 101, &edit, 1, .seen_ns = gw_clock_monotonic_ns()};
    cp_image_commit(plane.image, &change);
    until(timed(CP_STEP_SEND) == 1);
    cp_ack *ack = new_ack(&agent.arena, CLUSTER_TEXT, 101);
    ack->apply_us = 1500;
    say_ack(&agent, ack);
    until(timed(CP_STEP_APPLY) == 1);
    assert_int_equal(timed(CP_STEP_WATCH), 1);
    assert_int_equal(timed(CP_STEP_BUILD), 1);
    assert_int_equal(timed(CP_STEP_ACKNOWLEDGE), 2);
    assert_int_equal(timed(CP_STEP_SERVE), 1);
    close_agent(&agent);
}

static void lag_is_shown_since_the_first_change_that_is_lacking(void **state)
{
    (void)state;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>100");
    acknowledge(&agent, 100);
    until(look("agents/one")->applied_time);
    assert_null(look("agents/one")->lag);
    assert_int_equal(stats().max_lag_ms, 0);
    gw_msec before_ms = gw_clock_wall_ms();
    image_put_group(plane.image, 101, "groups/a", "1");
    image_put_group(plane.image, 103, "groups/b", "1");
    gw_msec between_ms = gw_clock_wall_ms();
    until(stats().max_lag_ms >= 5);
    const cp_agent *seen = look("agents/one");
    assert_int_equal(seen->lag_revisions, 3);
    assert_non_null(seen->lag);
    assert_in_range(seen->lag_since->seconds * 1000 + seen->lag_since->nanos / 1000000, before_ms,
                    between_ms);
    acknowledge(&agent, 101);
    acknowledge(&agent, 103);
    until(look("agents/one")->lag_revisions == 0);
    assert_null(look("agents/one")->lag_since);
    close_agent(&agent);
}

/* ---- refusals and statistics */

static void refusals_are_shown_until_they_are_gone(void **state)
{
    (void)state;
    struct agent agent;
    image_put_group(plane.image, 101, "groups/a", "1");
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>101 +groups/a=1");
    cp_ack *ack = new_ack(&agent.arena, CLUSTER_TEXT, 101);
    add_refusal(&agent.arena, ack, "groups/a", "no such domain", 101);
    say_ack(&agent, ack);
    until(stats().refusals == 1);
    const cp_agent *seen = look("agents/one");
    assert_int_equal(seen->n_refusals, 1);
    assert_string_equal(seen->refusals[0]->agent, "agents/one");
    assert_string_equal(seen->refusals[0]->resource, "groups/a");
    assert_string_equal(seen->refusals[0]->reason, "no such domain");
    assert_int_equal(seen->refusals[0]->revision, 101);
    cp_refusal **refusals;
    gw_str name = GW_STR("groups/a");
    assert_int_equal(cp_registry_refusals(plane.registry, &plane.fixture.arena, name, &refusals),
                     1);

    image_put_group(plane.image, 102, "groups/a", "2");
    expect(&agent, "101>102 +groups/a=2");
    acknowledge(&agent, 102);
    until(stats().refusals == 0);
    assert_int_equal(look("agents/one")->n_refusals, 0);
    close_agent(&agent);
}

static void statistics_are_counted(void **state)
{
    (void)state;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    Penstock__Agent__V1__Statistics statistics = PENSTOCK__AGENT__V1__STATISTICS__INIT;
    cp_agent_message message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_STATISTICS;
    message.statistics = &statistics;
    send(&agent, &message);
    until(stats().statistics == 1);
    close_agent(&agent);
}

/* ---- who is connected */

static void what_an_agent_says_of_itself_is_shown(void **state)
{
    (void)state;
    typedef Penstock__Agent__V1__Hello__LabelsEntry label;
    struct agent agent;
    open_agent(&agent);
    cp_hello *hello = new_hello(&agent.arena, "one", CLUSTER_TEXT, 100);
    label zone = PENSTOCK__AGENT__V1__HELLO__LABELS_ENTRY__INIT;
    zone.key = gw_arena_strdup(&agent.arena, "zone");
    zone.value = gw_arena_strdup(&agent.arena, "b");
    label *labels[] = {&zone};
    hello->labels = labels;
    hello->n_labels = 1;
    say_hello(&agent, hello);
    until(look("agents/one"));
    const cp_agent *seen = look("agents/one");
    assert_string_equal(seen->version, "1.2.3");
    assert_true(seen->connected);
    assert_int_equal(seen->n_labels, 1);
    assert_string_equal(seen->labels[0]->key, "zone");
    assert_string_equal(seen->labels[0]->value, "b");
    assert_int_equal(strncmp(seen->peer, "ipv4:127.0.0.1:", 15), 0);
    assert_int_equal(seen->applied_revision, 100);
    assert_int_equal(seen->current_revision, 100);
    close_agent(&agent);
    until(!look("agents/one")->connected);
}

static void the_newer_of_two_with_one_id_stays(void **state)
{
    (void)state;
    struct agent older, newer;
    connect_agent(&older, "one", CLUSTER_TEXT, 100);
    until(stats().connected == 1);
    connect_agent(&newer, "one", CLUSTER_TEXT, 100);
    expect_end(&older, GW_ALREADY_EXISTS, "another agent with the id one");
    assert_int_equal(stats().replaced, 1);
    close_agent(&older);
    image_put_group(plane.image, 101, "groups/a", "1");
    expect(&newer, "100>101 +groups/a=1");
    acknowledge(&newer, 101);
    until(applied("agents/one") == 101);
    assert_int_equal(stats().connected, 1);
    assert_int_equal(stats().violations, 0);
    close_agent(&newer);
}

static void an_agent_that_is_done_gets_ok(void **state)
{
    (void)state;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>100");
    gw_rpc_reader_half_close(agent.reader);
    expect_end(&agent, GW_OK, "");
    close_agent(&agent);
    until(!look("agents/one")->connected);
}

static void strangers_are_not_admitted(void **state)
{
    (void)state;
    plane.nobody_is_admitted = true;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    expect_end(&agent, GW_PERMISSION_DENIED, "not an agent");
    close_agent(&agent);
    assert_null(look("agents/one"));
}

static void no_more_than_agents_max(void **state)
{
    (void)state;
    struct agent agents[AGENTS_MAX], late;
    for (unsigned i = 0; i < AGENTS_MAX; i++) {
        char id[16];
        snprintf(id, sizeof(id), "agent-%u", i);
        connect_agent(&agents[i], id, "", 0);
        expect(&agents[i], "0>100");
    }
    connect_agent(&late, "late", "", 0);
    expect_end(&late, GW_RESOURCE_EXHAUSTED, "3 agents are connected");
    close_agent(&late);
    close_agent(&agents[0]);
    until(stats().connected == AGENTS_MAX - 1);
    connect_agent(&late, "late", "", 0);
    expect(&late, "0>100");
    close_agent(&late);
    for (unsigned i = 1; i < AGENTS_MAX; i++)
        close_agent(&agents[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_plane, stop_plane)
    const struct CMUnitTest tests[] = {
        TEST(full_snapshot_then_deltas_and_acks),
        TEST(nothing_is_sent_before_the_store_was_read),
        TEST(a_known_base_gets_what_changed),
        TEST(an_unknown_base_gets_everything),
        TEST(a_base_whose_removals_are_forgotten_gets_everything),
        TEST(only_kinds_that_it_knows_are_sent),
        TEST(a_large_snapshot_comes_whole),
        TEST(each_step_is_timed),
        TEST(lag_is_shown_since_the_first_change_that_is_lacking),
        TEST(refusals_are_shown_until_they_are_gone),
        TEST(statistics_are_counted),
        TEST(what_an_agent_says_of_itself_is_shown),
        TEST(the_newer_of_two_with_one_id_stays),
        TEST(an_agent_that_is_done_gets_ok),
        TEST(strangers_are_not_admitted),
        TEST(no_more_than_agents_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
