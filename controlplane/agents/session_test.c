/* SPDX-License-Identifier: Apache-2.0 */
/* house: one protocol, tested as a whole.
 *
 * Agents made by hand over a real server on loopback. */
#include "controlplane/agents/session.h"

#include "common/rpc/fixture.h"
#include "controlplane/agents/test_agents.h"

#define PATH "/penstock.agent.v1.AgentService/Stream"
#define TOMBSTONES 2
#define AGENTS_MAX 3

static struct {
    struct cp_image *image;
    struct cp_registry *registry;
    struct cp_sessions sessions;
    struct gw_rpc_method method;
    struct fixture fixture;
    bool nobody_is_admitted;
} plane;

static int admit(void *arg, const struct gw_rpc_caller *caller, struct gw_error *err)
{
    assert_ptr_equal(arg, &plane);
    assert_true(caller->is_loopback);
    if (plane.nobody_is_admitted)
        return gw_fail(err, GW_PERMISSION_DENIED, "not an agent");
    return 0;
}

/* An image that has been read from the store and holds nothing, at revision 100. */
static int start_plane(void **state)
{
    (void)state;
    memset(&plane, 0, sizeof(plane));
    plane.image = cp_image_new(TOMBSTONES);
    plane.registry = cp_registry_new(plane.image, AGENTS_MAX);
    plane.sessions = (struct cp_sessions){plane.registry, plane.image, admit, &plane};
    plane.method = cp_session_method(&plane.sessions);
    fixture_start(&plane.fixture, (struct gw_rpc_server_options){0}, &plane.method, 1);
    image_commit(plane.image, 100, NULL, 0, true);
    return 0;
}

static int stop_plane(void **state)
{
    (void)state;
    cp_registry_stop(plane.registry);
    fixture_stop(&plane.fixture);
    cp_registry_free(plane.registry);
    cp_image_free(plane.image);
    return 0;
}

static struct cp_registry_stats stats(void)
{
    struct cp_registry_stats now;
    cp_registry_stats(plane.registry, &now);
    return now;
}

/* The registry's view of an agent; lives until the next look. */
static const cp_agent *look(const char *name)
{
    gw_arena_reset(&plane.fixture.arena);
    return cp_registry_get(plane.registry, &plane.fixture.arena, gw_str_from(name));
}

static int64_t applied(const char *name)
{
    const cp_agent *agent = look(name);
    return agent ? agent->applied_revision : -1;
}

/* ---- agents */

struct agent {
    struct gw_rpc_reader *reader;
    struct gw_arena arena;
};

static void open_agent(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_arena_init(&agent->arena, 0);
    if (gw_rpc_client_stream(plane.fixture.client, PATH, NULL,
                             &penstock__agent__v1__control_message__descriptor, &agent->reader,
                             &err))
        fail_msg("%s", err.message);
}

static void close_agent(struct agent *agent)
{
    gw_rpc_reader_close(agent->reader);
    gw_arena_done(&agent->arena);
}

/* A stream that has ended does not take it, which the reader then tells. */
static void send(struct agent *agent, const cp_agent_message *message)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)!gw_rpc_reader_send(agent->reader, &message->base, PATIENCE_MS, &err);
}

static void say_hello(struct agent *agent, cp_hello *hello)
{
    cp_agent_message message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO;
    message.hello = hello;
    send(agent, &message);
}

static void say_ack(struct agent *agent, cp_ack *ack)
{
    cp_agent_message message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK;
    message.ack = ack;
    send(agent, &message);
}

static void acknowledge(struct agent *agent, int64_t revision)
{
    say_ack(agent, new_ack(&agent->arena, CLUSTER_TEXT, revision));
}

static void connect_agent(struct agent *agent, const char *id, const char *cluster_id,
                          int64_t revision)
{
    open_agent(agent);
    say_hello(agent, new_hello(&agent->arena, id, cluster_id, revision));
}

static gw_str describe(struct gw_arena *arena, gw_str text, const cp_update *update)
{
    for (size_t i = 0; i < update->n_upserts; i++) {
        const cp_agent_resource *resource = update->upserts[i];
        if (resource->kind_case == CP_AGENT_RESOURCE(GROUP))
            text = gw_arena_printf(arena, "%.*s +%s=%s", GW_STR_ARG(text), resource->group->name,
                                   resource->group->domains[0]);
        else
            text = gw_arena_printf(arena, "%.*s +%s", GW_STR_ARG(text), resource->app->name);
    }
    for (size_t i = 0; i < update->n_removals; i++)
        text = gw_arena_printf(arena, "%.*s -%s", GW_STR_ARG(text), update->removals[i]->name);
    return text;
}

/* The next whole update: "100>105 +groups/a=x -groups/b". */
static void expect(struct agent *agent, const char *expected)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    gw_str text = GW_STR_NONE;
    const cp_update *update = NULL;
    while (!update || !update->final) {
        int got = gw_rpc_reader_next(agent->reader, &agent->arena, PATIENCE_MS, &message, &err);
        if (got <= 0)
            fail_msg("waited for %s: %d %s", expected, got, err.message);
        update = ((cp_control_message *)(void *)message)->update;
        assert_string_equal(update->cluster_id, CLUSTER_TEXT);
        if (!text.ptr)
            text = gw_arena_printf(&agent->arena, "%d>%d", (int)update->base_revision,
                                   (int)update->revision);
        text = describe(&agent->arena, text, update);
    }
    assert_str(text, expected);
}

/* The stream ends so; updates that were under way are skipped. */
static void expect_end(struct agent *agent, enum gw_code code, const char *words)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    int got;
    while ((got = gw_rpc_reader_next(agent->reader, &agent->arena, PATIENCE_MS, &message, &err)) >
           0)
        ;
    enum gw_code ended = got == 0 ? GW_OK : err.code;
    if (ended != code || !strstr(err.message, words))
        fail_msg("ended with %s \"%s\", want %s \"%s\"", gw_code_name(ended), err.message,
                 gw_code_name(code), words);
}

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
    image_commit(plane.image, 100, NULL, 0, false); /* wakes the sessions */
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

/* ---- breaches of the protocol: the stream ends, and that is counted */

/* total: how many there were in this test, with this one. */
static void expect_violation(struct agent *agent, const char *words, int64_t total)
{
    expect_end(agent, GW_INVALID_ARGUMENT, words);
    assert_int_equal(stats().violations, total);
    close_agent(agent);
}

static void a_hello_out_of_turn(void **state)
{
    (void)state;
    struct agent agent;
    open_agent(&agent);
    acknowledge(&agent, 100);
    expect_violation(&agent, "the first message is not a Hello", 1);

    connect_agent(&agent, "one", "", 0);
    say_hello(&agent, new_hello(&agent.arena, "one", "", 0));
    expect_violation(&agent, "a second Hello", 2);
}

static void a_silent_stream(void **state)
{
    (void)state;
    struct agent silent, greeted;
    connect_agent(&greeted, "one", "", 0);
    expect(&greeted, "0>100");
    open_agent(&silent);
    until(({
        gw_clock_fake(gw_clock_monotonic_ms() + CP_AGENT_HELLO_TIMEOUT_MS + 1, gw_clock_wall_ms());
        cp_registry_tick(plane.registry);
        gw_clock_fake_off();
        stats().violations == 1;
    }));
    expect_violation(&silent, "no Hello in 10 seconds", 1);
    assert_int_equal(stats().connected, 1);
    close_agent(&greeted);
}

static char *repeat(struct gw_arena *arena, char letter, size_t count)
{
    char *text = gw_arena_bytes(arena, count + 1);
    memset(text, letter, count);
    text[count] = '\0';
    return text;
}

static void a_hello_that_is_wrong(void **state)
{
    (void)state;
    typedef Penstock__Agent__V1__Hello__LabelsEntry label;
    static char unheard[] = "unheard-of";
    static char *no_kinds[] = {unheard};
    static const char *const words[] = {
        "hello.agent_id",   "hello.agent_id", "hello.agent_id", "hello.version",
        "hello.cluster_id", "hello.revision", "hello.kinds",    "hello.kinds",
        "hello.labels",     "hello.labels",   "hello.labels",
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(words); i++) {
        struct agent agent;
        open_agent(&agent);
        struct gw_arena *arena = &agent.arena;
        cp_hello *hello = new_hello(arena, "one", "", 0);
        label empty = PENSTOCK__AGENT__V1__HELLO__LABELS_ENTRY__INIT, *labels[65];
        for (unsigned k = 0; k < GW_ARRAY_LEN(labels); k++)
            labels[k] = &empty;
        hello->labels = labels;
        switch (i) {
        case 0:
            hello->agent_id = repeat(arena, 'a', 0);
            break;
        case 1:
            hello->agent_id = repeat(arena, 'a', CP_AGENT_ID_MAX + 1);
            break;
        case 2:
            hello->agent_id = gw_arena_strdup(arena, "a/b");
            break;
        case 3:
            hello->version = repeat(arena, '1', CP_AGENT_VERSION_MAX + 1);
            break;
        case 4:
            hello->cluster_id = repeat(arena, 'c', CP_CLUSTER_MAX);
            break;
        case 5:
            hello->revision = -1;
            break;
        case 6:
            hello->n_kinds = 0;
            break;
        case 7:
            hello->kinds = no_kinds, hello->n_kinds = 1;
            break;
        case 8:
            hello->n_labels = 1;
            break; /* an empty key */
        case 9:
            hello->n_labels = CP_AGENT_LABELS_MAX + 1;
            break;
        default:
            empty.key = repeat(arena, 'k', CP_AGENT_LABEL_KEY_MAX);
            empty.value = repeat(arena, 'v', CP_AGENT_LABEL_VALUE_MAX + 1);
            hello->n_labels = 1;
        }
        say_hello(&agent, hello);
        expect_violation(&agent, words[i], i + 1);
    }
    assert_null(look("agents/one"));
}

static void an_ack_that_is_wrong(void **state)
{
    (void)state;
    struct agent agent;
    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>100");
    say_ack(&agent, new_ack(&agent.arena, "000000000000beef", 900)); /* was under way: no breach */
    acknowledge(&agent, 101);
    expect_violation(&agent, "ack.revision: was not sent", 1);

    connect_agent(&agent, "one", "", 0);
    expect(&agent, "0>100");
    image_put_group(plane.image, 101, "groups/a", "1");
    expect(&agent, "100>101 +groups/a=1");
    acknowledge(&agent, 101);
    acknowledge(&agent, 100);
    expect_violation(&agent, "ack.revision: is older", 2);
}

static void a_message_that_is_too_large(void **state)
{
    (void)state;
    struct agent agent;
    open_agent(&agent);
    cp_hello *hello = new_hello(&agent.arena, "one", "", 0);
    hello->version = repeat(&agent.arena, 'x', 5 * 1024 * 1024);
    say_hello(&agent, hello);
    expect_end(&agent, GW_RESOURCE_EXHAUSTED, "");
    close_agent(&agent);
    assert_null(look("agents/one"));
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
        TEST(refusals_are_shown_until_they_are_gone),
        TEST(statistics_are_counted),
        TEST(what_an_agent_says_of_itself_is_shown),
        TEST(the_newer_of_two_with_one_id_stays),
        TEST(an_agent_that_is_done_gets_ok),
        TEST(strangers_are_not_admitted),
        TEST(no_more_than_agents_max),
        TEST(a_hello_out_of_turn),
        TEST(a_silent_stream),
        TEST(a_hello_that_is_wrong),
        TEST(an_ack_that_is_wrong),
        TEST(a_message_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
