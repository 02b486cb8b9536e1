/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/changes.h"

#include "controlplane/agents/fake_session.h"

#include <stdio.h>

static struct cp_image *image;
static struct cp_registry *registry;
static struct gw_arena arena;
static int64_t cursor;
static unsigned told;

static void on_change(void *arg)
{
    assert_ptr_equal(arg, &told);
    told++;
}

static int setup(void **state)
{
    (void)state;
    image = cp_image_new(10);
    registry = cp_registry_new(image, 2000);
    gw_arena_init(&arena, 0);
    image_commit(image, 100, NULL, 0, true);
    cp_registry_listen(registry, on_change, &told);
    cursor = cp_registry_moment(registry);
    told = 0;
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

/* "+one@100 ~two@99 -three": new, changed, forgotten; "!" behind one that is not connected, "?" of
 * one that refuses something. */
static const char *changes(size_t limit)
{
    size_t count;
    struct cp_agent_change *list;
    gw_str text = GW_STR("");
    if (cp_registry_changes(registry, &arena, limit, &cursor, &list, &count) < 0)
        return "too far behind";
    for (size_t i = 0; i < count; i++) {
        const cp_agent *agent = list[i].agent;
        const char *id = strchr(list[i].name, '/') + 1;
        text = gw_arena_printf(&arena, "%.*s%s%s%s", GW_STR_ARG(text), i ? " " : "",
                               !agent           ? "-"
                               : list[i].is_new ? "+"
                                                : "~",
                               id);
        if (agent)
            text = gw_arena_printf(&arena, "%.*s@%lld%s%s", GW_STR_ARG(text),
                                   (long long)agent->applied_revision, agent->n_refusals ? "?" : "",
                                   agent->connected ? "" : "!");
    }
    return text.ptr;
}

static void what_is_told(void **state)
{
    (void)state;
    struct cp_session one, two;
    assert_string_equal(changes(10), "");
    fake_connect(registry, &one, "one", 100);
    fake_connect(registry, &two, "two", 98);
    assert_int_equal(told, 2);
    assert_string_equal(changes(10), "+one@100 +two@98");
    assert_string_equal(changes(10), "");
    fake_ack(registry, &one, 100, NULL); /* nothing new */
    cp_registry_statistics(registry, &one.link);
    assert_int_equal(told, 2);
    assert_string_equal(changes(10), "");
    fake_ack(registry, &two, 99, NULL);
    fake_ack(registry, &two, 100, "groups/a");
    fake_ack(registry, &one, 101, NULL);
    assert_string_equal(changes(10), "~two@100? ~one@101"); /* as they are now, each once */
    fake_ack(registry, &two, 100, NULL);                    /* it refuses nothing any more */
    assert_string_equal(changes(10), "~two@100");
    fake_close(registry, &one);
    assert_string_equal(changes(10), "~one@101!");
    fake_connect(registry, &one, "one", 101);
    assert_string_equal(changes(10), "~one@101");
    fake_close(registry, &one);
    fake_close(registry, &two);
}

static void few_at_a_time(void **state)
{
    (void)state;
    struct cp_session sessions[5];
    for (int i = 0; i < 5; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "a%d", i);
        fake_connect(registry, &sessions[i], id, 100);
    }
    assert_string_equal(changes(2), "+a0@100 +a1@100");
    fake_ack(registry, &sessions[0], 101, NULL);
    assert_string_equal(changes(2), "+a2@100 +a3@100");
    assert_string_equal(changes(2), "+a4@100 ~a0@101");
    assert_string_equal(changes(2), "");
    for (int i = 0; i < 5; i++)
        fake_close(registry, &sessions[i]);
}

static void forget(const char *id, gw_msec *now_ms)
{
    struct cp_session session;
    fake_connect(registry, &session, id, 100);
    fake_close(registry, &session);
    *now_ms += CP_AGENT_FORGET_MS + 1;
    gw_clock_fake(*now_ms, *now_ms);
    cp_registry_tick(registry);
}

static void who_is_forgotten(void **state)
{
    (void)state;
    gw_msec now_ms = 1000000;
    struct cp_session two;
    gw_clock_fake(now_ms, now_ms);
    fake_connect(registry, &two, "two", 100);
    assert_string_equal(changes(10), "+two@100");
    forget("one", &now_ms);
    fake_ack(registry, &two, 101, NULL);
    forget("three", &now_ms);
    assert_string_equal(changes(2), "-one ~two@101");
    assert_string_equal(changes(2), "-three");
    fake_close(registry, &two);
}

/* Names of those that are forgotten are kept for so many, and no more. */
static void too_many_are_forgotten(void **state)
{
    (void)state;
    gw_msec now_ms = 1000000;
    gw_clock_fake(now_ms, now_ms);
    for (unsigned i = 0; i < CP_AGENTS_GONE_KEPT; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "a%u", i);
        forget(id, &now_ms);
    }
    int64_t begin = cursor;
    assert_string_equal(changes(1), "-a0");
    forget("last", &now_ms);
    assert_string_equal(changes(1), "-a1");
    cursor = begin;
    assert_string_equal(changes(1), "too far behind");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_told),
        TEST(few_at_a_time),
        TEST(who_is_forgotten),
        TEST(too_many_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
