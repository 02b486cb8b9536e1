/* SPDX-License-Identifier: Apache-2.0 */
/* Agents as the API shows them, and publishes that wait for them. */
#include "controlplane/agents/fake_session.h"
#include "controlplane/service/publish.h"
#include "controlplane/service/test_apis.h"

#include <pthread.h>

#define ROUTE API "@RELEASE"

static struct cp_image *image;

static int stage(void **state)
{
    if (backstage_set_up(state))
        return -1;
    struct fixture *f = *state;
    image = cp_image_new(10);
    image_commit(image, 1, NULL, 0, true);
    f->services.registry = cp_registry_new(image, 10);
    return 0;
}

static int clear(void **state)
{
    struct fixture *f = *state;
    cp_registry_free(f->services.registry);
    cp_image_free(image);
    return backstage_tear_down(state);
}

#define WITH_AGENTS(test) cmocka_unit_test_setup_teardown(test, stage, clear)

/* ---- waiting */

/* A call on a thread. */
struct caller {
    struct fixture f;
    pthread_t thread;
    const char *method, *request;
    const char *answer; /* NULL: it failed */
};

static void *run(void *arg)
{
    struct caller *caller = arg;
    gw_str answer;
    if (call(&caller->f, &cp_api_service, caller->method, caller->request, &answer) == GW_OK)
        caller->answer = answer.ptr;
    return NULL;
}

static void begin(struct caller *caller, const struct fixture *f, const char *method,
                  const char *request)
{
    *caller = (struct caller){.method = method, .request = request};
    caller->f.services = f->services;
    caller->f.services.store = backstage.inner;
    caller->f.principal = f->principal;
    assert_int_equal(pthread_create(&caller->thread, NULL, run, caller), 0);
}

static const char *finish(struct caller *caller)
{
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
    if (!caller->answer)
        fail_msg("%s", caller->f.err.message);
    return caller->answer;
}

/* The revision of the store once it is not `before` any more: the call has written. */
static int64_t written(int64_t before)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_position at = {0};
    until(cp_store_ping(backstage.inner, &at, &err) == 0 && at.revision > before);
    return at.revision;
}

static int64_t revision_now(void)
{
    return written(0);
}

static void test_publish_waits_for_agents(void **state)
{
    struct fixture *f = *state;
    struct caller caller;
    struct cp_session one, two;
    create(f, "a", "GET", "/a");
    fake_connect(f->services.registry, &one, "one", 1);
    fake_connect(f->services.registry, &two, "two", 1);
    int64_t before = revision_now();
    begin(&caller, f, "PublishApi", "{\"name\": \"" API "\", \"wait\": \"20s\"}");
    int64_t revision = written(before);
    image_put_group(image, revision, ROUTE, "any");
    fake_ack(f->services.registry, &one, revision, NULL);
    fake_ack(f->services.registry, &two, revision, ROUTE);
    const char *answer = finish(&caller);
    ASSERT_HAS(answer, format("\"rollout\":{\"revision\":\"%lld\"", (long long)revision));
    ASSERT_HAS(answer, "\"agents\":2");
    ASSERT_HAS(answer, "\"applied\":1");
    ASSERT_HAS(answer, "\"agent\":\"agents/two\"");
    ASSERT_HAS(answer, "\"reason\":\"cannot be compiled\"");
    ASSERT_HAS(get(f), "\"reason\":\"cannot be compiled\"");
    fake_close(f->services.registry, &one);
    fake_close(f->services.registry, &two);
    gw_arena_done(&caller.f.arena);
}

static void test_a_rollback_that_changes_nothing_waits_for_what_made_it(void **state)
{
    struct fixture *f = *state;
    struct caller caller;
    struct cp_session one;
    create(f, "a", "GET", "/a");
    publish(f, API);
    int64_t revision = revision_now();
    image_put_group(image, revision, ROUTE, "any");
    fake_connect(f->services.registry, &one, "one", revision);
    fake_ack(f->services.registry, &one, revision, NULL);
    begin(&caller, f, "RollbackApi",
          "{\"release\": \"" API "/releases/RELEASE-1\", \"wait\": \"20s\"}");
    const char *answer = finish(&caller);
    ASSERT_HAS(answer, format("\"revision\":\"%lld\"", (long long)revision));
    ASSERT_HAS(answer, "\"applied\":1");
    fake_close(f->services.registry, &one);
    gw_arena_done(&caller.f.arena);
}

/* The answer comes when the time is over, and says how far it came. */
static void test_nobody_waits_longer_than_asked(void **state)
{
    struct fixture *f = *state;
    struct cp_session one;
    create(f, "a", "GET", "/a");
    fake_connect(f->services.registry, &one, "one", 1);
    const char *answer =
        ok(f, &cp_api_service, "PublishApi", "{\"name\": \"" API "\", \"wait\": \"0.010s\"}");
    ASSERT_HAS(answer, "\"agents\":1");
    ASSERT_HAS_NOT(answer, "\"applied\":1");
    ASSERT_HAS(
        ok(f, &cp_api_service, "UnpublishApi", "{\"name\": \"" API "\", \"wait\": \"0.010s\"}"),
        "\"agents\":1");
    fake_close(f->services.registry, &one);
}

/* ---- agents */

static void test_agents_are_shown(void **state)
{
    struct fixture *f = *state;
    struct cp_session sessions[3];
    static const char *const ids[] = {"one", "three", "two"};
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++)
        fake_connect(f->services.registry, &sessions[i], ids[i], 1);
    const char *answer = ok(f, &cp_agent_service, "GetAgent", "{\"name\": \"agents/two\"}");
    ASSERT_HAS(answer, "\"name\":\"agents/two\"");
    ASSERT_HAS(answer, "\"connected\":true");
    ASSERT_HAS(answer, "\"version\":\"1.2.3\"");
    answer = ok(f, &cp_agent_service, "ListAgents", "{\"pageSize\": 2}");
    assert_int_equal(count(answer, "\"connected\""), 2);
    ASSERT_HAS(answer, "\"nextPageToken\":\"agents/three\"");
    answer = ok(f, &cp_agent_service, "ListAgents",
                "{\"pageSize\": 2, \"pageToken\": \"agents/three\"}");
    assert_int_equal(count(answer, "\"connected\""), 1);
    ASSERT_HAS(answer, "agents/two");
    ASSERT_HAS_NOT(answer, "nextPageToken");
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++)
        fake_close(f->services.registry, &sessions[i]);
}

static void test_what_is_no_agent(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_NOT_FOUND, &cp_agent_service, "GetAgent", "{\"name\": \"agents/x\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_agent_service, "GetAgent", "{\"name\": \"x\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_agent_service, "GetAgent", "{\"name\": \"agents/\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_agent_service, "ListAgents", "{\"pageSize\": -1}");
    refused(f, GW_INVALID_ARGUMENT, &cp_agent_service, "ListAgents", "{\"pageToken\": \"x\"}");
    assert_string_equal(ok(f, &cp_agent_service, "ListAgents", "{}"), "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_AGENTS(test_publish_waits_for_agents),
        WITH_AGENTS(test_a_rollback_that_changes_nothing_waits_for_what_made_it),
        WITH_AGENTS(test_nobody_waits_longer_than_asked),
        WITH_AGENTS(test_agents_are_shown),
        WITH_AGENTS(test_what_is_no_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
