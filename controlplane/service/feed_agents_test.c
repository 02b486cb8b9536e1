/* SPDX-License-Identifier: Apache-2.0 */
/* Agents in a watch. */
#include "controlplane/agents/fake_session.h"
#include "controlplane/service/test_apis.h"
#include "controlplane/service/test_ear.h"

static struct cp_image *image;
static struct cp_registry *registry;
static struct cp_feed *feed;
static struct cp_auth *auth;

static int stage(void **state)
{
    if (set_up(state))
        return -1;
    struct fixture *f = *state;
    struct cp_position at;
    image = cp_image_new(10);
    image_commit(image, 1, NULL, 0, true);
    registry = f->services.registry = cp_registry_new(image, 300);
    assert_int_equal(cp_auth_new(NULL, &auth, &f->err), 0);
    feed = cp_feed_start(&(struct cp_feed_options){.services = &f->services, .auth = auth});
    assert_int_equal(cp_store_ping(f->services.store, &at, &f->err), 0);
    cp_feed_listed(feed, at);
    return 0;
}

static int clear(void **state)
{
    cp_feed_free(feed);
    cp_auth_free(auth);
    cp_registry_free(registry);
    cp_image_free(image);
    return tear_down(state);
}

static void begin_watch(struct ear *ear, const char *request)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_rpc_caller caller = {.peer = "ipv4:127.0.0.1:1", .is_loopback = true};
    struct cp_sink sink = {.send = hear_message, .end = hear_end, .arg = ear};
    ProtobufCMessage *message;
    *ear = (struct ear){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    if (gw_json_parse(&arena, &penstock__admin__v1__watch_request__descriptor, gw_str_from(request),
                      &message, &ear->err) ||
        cp_feed_stream_type.open(feed, &caller, message, &sink, &ear->stream, &ear->err))
        fail_msg("%s", ear->err.message);
    ASSERT_HAS_NOT(hear(ear), "events");
}

static void agents_come_change_and_leave(void **state)
{
    (void)state;
    struct cp_session before, one, two;
    struct ear all, some, groups;
    fake_connect(registry, &before, "before", 1);
    begin_watch(&all, "{}");
    begin_watch(&some, "{\"kinds\": [\"agents\"], \"parent\": \"agents/two\"}");
    begin_watch(&groups, "{\"kinds\": [\"groups\"]}");
    fake_connect(registry, &one, "one", 1);
    ASSERT_HAS(hear(&all), "CREATED\",\"name\":\"agents/one\",\"agent\":{\"name\":\"agents/one\"");
    ASSERT_HAS(all.line, "\"connected\":true");
    fake_connect(registry, &two, "two", 1);
    ASSERT_HAS(hear(&all), "CREATED\",\"name\":\"agents/two\"");
    ASSERT_HAS(hear(&some), "CREATED\",\"name\":\"agents/two\"");
    fake_ack(registry, &two, 2, "groups/a");
    ASSERT_HAS(hear(&all), "UPDATED\",\"name\":\"agents/two\"");
    ASSERT_HAS(hear(&some), "\"appliedRevision\":\"2\"");
    ASSERT_HAS(some.line, "\"refusals\":[{\"agent\":\"agents/two\"");
    fake_close(registry, &two);
    ASSERT_HAS(hear(&all), "UPDATED\",\"name\":\"agents/two\"");
    ASSERT_HAS_NOT(hear(&some), "\"connected\":true");
    fake_close(registry, &one);
    fake_close(registry, &before);
    cp_feed_stop(feed);
    assert_int_equal(hear_all_of(&all)->code, GW_UNAVAILABLE);
    (void)hear_all_of(&groups);
    leave(&all);
    leave(&some);
    leave(&groups);
}

/* Who takes nothing for a while is told how each agent is then, and not what it was meanwhile. */
static void a_slow_reader_misses_steps_and_no_end(void **state)
{
    (void)state;
    static struct cp_session sessions[250];
    struct ear ear;
    begin_watch(&ear, "{\"kinds\": [\"agents\"]}");
    fake_connect(registry, &sessions[0], "a0", 1); /* is on its way to the reader */
    for (unsigned i = 1; i < GW_ARRAY_LEN(sessions); i++)
        fake_connect(registry, &sessions[i], format("a%u", i), 1);
    for (unsigned i = 0; i < GW_ARRAY_LEN(sessions); i++)
        fake_ack(registry, &sessions[i], 7, NULL);
    for (unsigned at_seven = 0, answers = 0; at_seven < GW_ARRAY_LEN(sessions); answers++) {
        at_seven += count(hear(&ear), "\"appliedRevision\":\"7\"");
        assert_true(count(ear.line, "\"type\"") <= CP_FEED_AGENTS_MAX);
        assert_true(answers < GW_ARRAY_LEN(sessions));
    }
    cp_feed_stop(feed);
    leave(&ear);
    for (unsigned i = 0; i < GW_ARRAY_LEN(sessions); i++)
        fake_close(registry, &sessions[i]);
}

int main(void)
{
#define WITH_FEED(test) cmocka_unit_test_setup_teardown(test, stage, clear)
    const struct CMUnitTest tests[] = {
        WITH_FEED(agents_come_change_and_leave),
        WITH_FEED(a_slow_reader_misses_steps_and_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
