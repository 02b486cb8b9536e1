/* SPDX-License-Identifier: Apache-2.0 */
/* Breaches of the protocol: the stream ends, and that is counted. */
#include "controlplane/agents/test_plane.h"

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
        TEST(a_hello_out_of_turn),         TEST(a_silent_stream),
        TEST(a_hello_that_is_wrong),       TEST(an_ack_that_is_wrong),
        TEST(a_message_that_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
