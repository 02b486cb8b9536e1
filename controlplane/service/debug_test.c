/* SPDX-License-Identifier: Apache-2.0 */
/* DebugApi: what an agent is asked, and what is made of its reply. */
#include "common/message.h"
#include "controlplane/agents/fake_session.h"
#include "controlplane/agents/registry_internal.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/test_apis.h"

#define DEBUG(...) "{\"name\": \"" API "\", \"path\": \"/a\"" __VA_ARGS__ "}"
#define CONSUMER ", \"mode\": \"DEBUG_MODE_CONSUMER\""
#define FAILURE(name) PENSTOCK__AGENT__V1__DEBUG_FAILURE__DEBUG_FAILURE_##name

/* One agent, which replies as the test says. */
static struct {
    struct fixture *f;
    struct cp_image *image;
    struct cp_session session;
    cp_debug_call *call; /* the last one it got, in the arena */
    struct gw_arena arena;
    void (*reply)(cp_debug_reply *reply); /* fills it; NULL: there is none */
} agent;

static void on_sent(struct cp_session *session, gw_str packed)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    gw_arena_reset(&agent.arena);
    if (gw_message_unpack(&agent.arena, &penstock__agent__v1__control_message__descriptor, packed,
                          &message, &err) < 0)
        fail_msg("%s", err.message);
    agent.call = ((cp_control_message *)message)->debug_call;
    cp_debug_reply reply = PENSTOCK__AGENT__V1__DEBUG_REPLY__INIT;
    reply.id = agent.call->id;
    if (!agent.reply)
        return;
    agent.reply(&reply);
    reply.id++; /* of another call: nobody waits for it */
    cp_registry_debug_reply(agent.f->services.registry, &session->link, &reply);
    reply.id--;
    cp_registry_debug_reply(agent.f->services.registry, &session->link, &reply);
}

static void say_ok(cp_debug_reply *reply)
{
    static char fields[] = "Content-Type: text/plain\r\nX-Caf\xe9: \xe9\xe8:x\r\n",
                body[] = "hello";
    reply->status = 200;
    reply->fields = (ProtobufCBinaryData){sizeof(fields) - 1, (uint8_t *)fields};
    reply->body = (ProtobufCBinaryData){5, (uint8_t *)body};
    reply->head_us = 1500;
    reply->latency_us = 2000001;
}

static int stage(void **state)
{
    if (backstage_set_up(state))
        return -1;
    memset(&agent, 0, sizeof(agent));
    agent.f = *state;
    agent.image = cp_image_new(10);
    image_commit(agent.image, 1, NULL, 0, true);
    agent.f->services.registry = cp_registry_new(agent.image, 10);
    fake_connect(agent.f->services.registry, &agent.session, "one", 1);
    fake_sent = on_sent;
    agent.reply = say_ok;
    return 0;
}

static int clear(void **state)
{
    fake_sent = NULL;
    fake_close(agent.f->services.registry, &agent.session);
    cp_registry_free(agent.f->services.registry);
    cp_image_free(agent.image);
    gw_arena_done(&agent.arena);
    return backstage_tear_down(state);
}

#define WITH_AGENT(test) cmocka_unit_test_setup_teardown(test, stage, clear)

static void make(struct fixture *f, const char *api)
{
    (void)ok(f, &cp_api_service, "CreateApi",
             format("{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": %s}", api));
}

static const char *debug(struct fixture *f, const char *request)
{
    return ok(f, &cp_api_service, "DebugApi", request);
}

static void is_refused(struct fixture *f, enum gw_code code, const char *request, const char *says)
{
    refused(f, code, &cp_api_service, "DebugApi", request);
    ASSERT_HAS(f->err.message, says);
}

static void a_draft_goes_out_alone_and_open(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, &cp_channel_service, "CreateChannel",
             "{\"channelId\": \"chan\", \"channel\": {\"port\": 80, \"members\": [{\"host\": "
             "\"10.0.0.1\"}]}}");
    make(f, "{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/a\", \"protocol\": "
            "\"PROTOCOL_HTTPS\"},"
            "\"authentication\": {\"type\": \"AUTH_TYPE_APP\", \"appCode\": true},"
            "\"backend\": {\"http\": {\"channel\": \"channels/chan\", \"timeout\": \"90s\"}}}");
    const char *answer = debug(f, DEBUG(", \"https\": true, \"domain\": \"x.example.com\""));
    ASSERT_HAS(answer, "\"status\":200");
    ASSERT_HAS(answer, "{\"name\":\"Content-Type\",\"value\":\"text/plain\"}");
    ASSERT_HAS(answer, "\"value\":\"\xc3\xa9\xc3\xa8:x\""); /* Latin-1 is text, too */
    ASSERT_HAS(answer, "\"body\":\"aGVsbG8=\"");
    ASSERT_HAS(answer, "\"latency\":\"2.000001s\"");
    ASSERT_HAS(answer, "\"headLatency\":\"0.001500s\"");
    ASSERT_HAS(answer, "\"agent\":\"agents/one\"");
    assert_int_equal(agent.call->n_resources, 3);
    assert_true(agent.call->https);
    const cp_agent_route *route = agent.call->resources[0]->route;
    assert_string_equal(route->name, API "@:debug");
    assert_string_equal(route->environment, ":debug");
    assert_true(route->http && route->https && !route->auth->app && route->n_policies == 0);
    assert_int_equal(route->backend->http->timeout_ms, 60000);
    assert_string_equal(agent.call->resources[1]->group->domains[0], "x.example.com");
    assert_string_equal(agent.call->resources[2]->channel->name, "channels/chan");
    gw_str sent = gw_str_n((char *)agent.call->request.data, agent.call->request.len);
    assert_true(gw_str_has_prefix(sent, GW_STR("GET /a HTTP/1.1\r\nHost: x.example.com\r\n"
                                               "User-Agent: APIGatewayDebugClient/1.0\r\n"
                                               "X-Apig-Mode: debug\r\nX-Stage: :debug\r\n")));
}

static void what_is_published_is_called_as_it_is(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    is_refused(f, GW_FAILED_PRECONDITION, DEBUG(CONSUMER),
               "is not published in environments/RELEASE");
    assert_string_equal(f->err.reason, "NOT_PUBLISHED");
    publish(f, API);
    const char *answer = debug(f, DEBUG(CONSUMER ", \"appCode\": \"sesame\""));
    assert_int_equal(agent.call->n_resources, 0);
    gw_str sent = gw_str_n((char *)agent.call->request.data, agent.call->request.len);
    assert_non_null(
        memmem(sent.ptr, sent.len, "X-Stage: RELEASE\r\nX-Apig-Appcode: sesame\r\n", 42));
    ASSERT_HAS(answer, "X-Apig-Appcode: ***");
    ASSERT_HAS_NOT(answer, "sesame");
    is_refused(f, GW_FAILED_PRECONDITION,
               DEBUG(CONSUMER ", \"environment\": \"environments/TEST\""),
               "is not published in environments/TEST");
    (void)ok(f, &cp_group_service, "UpdateApiGroup",
             "{\"group\": {\"name\": \"groups/DEFAULT\", \"debugDomainDisabled\": true}}");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "DebugApi", DEBUG(CONSUMER));
    assert_true(violates(f, "domain"));
}

static void what_cannot_be_debugged_is_said(void **state)
{
    struct fixture *f = *state;
    is_refused(f, GW_NOT_FOUND, DEBUG(), API);
    make(f, "{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/a\"},"
            "\"backend\": {\"http\": {\"address\": \"#host#\"}}}");
    is_refused(f, GW_FAILED_PRECONDITION, DEBUG(), "backend.http.address refers to #host#");
    assert_string_equal(f->err.reason, "VARIABLES");
    (void)ok(f, &cp_api_service, "UpdateApi",
             "{\"api\": {\"name\": \"" API
             "\", \"frontend\": {\"method\": \"HTTP_METHOD_POST\", \"path\": \"/s/m\","
             "\"protocol\": \"PROTOCOL_GRPC\"}, \"backend\": {\"grpc\": {\"address\": "
             "\"10.0.0.1:80\"}}}}");
    is_refused(f, GW_FAILED_PRECONDITION, DEBUG(), "is of gRPC");
    assert_null(agent.call);
}

static void fail_as(cp_debug_reply *reply, Penstock__Agent__V1__DebugFailure kind, const char *why)
{
    reply->failure_kind = kind;
    reply->failure = (char *)(uintptr_t)why;
}

static void what_callers_reach_is_called_in_the_own_group_only(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    publish(f, API);
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"other\"}");
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\": \"groups/DEFAULT\", \"domainId\": \"*.example.com\"}");
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\": \"groups/other\", \"domainId\": \"b.example.com\"}");
    (void)debug(f, DEBUG(CONSUMER ", \"domain\": \"a.example.com\""));
    (void)debug(f, DEBUG(CONSUMER ", \"domain\": \"x.y.example.com\""));
    static const char *const others[] = {"b.example.com", "example.com", "example.org"};
    for (size_t i = 0; i < GW_ARRAY_LEN(others); i++) {
        refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "DebugApi",
                format(DEBUG(CONSUMER ", \"domain\": \"%s\""), others[i]));
        assert_true(violates(f, "domain"));
    }
    (void)debug(f, DEBUG(", \"domain\": \"b.example.com\"")); /* a draft is alone there */
}

static void say_refused(cp_debug_reply *reply)
{
    fail_as(reply, FAILURE(REFUSED), "path: too long");
}

static void say_busy(cp_debug_reply *reply)
{
    fail_as(reply, FAILURE(BUSY), "4 under way");
}

static void say_too_late(cp_debug_reply *reply)
{
    fail_as(reply, FAILURE(TIMEOUT), "not in time");
}

static void say_half(cp_debug_reply *reply)
{
    say_ok(reply);
    fail_as(reply, FAILURE(CUT), "cut off");
}

static void say_long(cp_debug_reply *reply)
{
    say_ok(reply);
    reply->truncated = true;
}

static void what_agents_say_becomes_an_error_or_an_answer(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    agent.reply = say_refused;
    is_refused(f, GW_FAILED_PRECONDITION, DEBUG(), "path: too long");
    agent.reply = say_busy;
    is_refused(f, GW_RESOURCE_EXHAUSTED, DEBUG(), "4 under way");
    agent.reply = say_too_late;
    is_refused(f, GW_DEADLINE_EXCEEDED, DEBUG(), "not in time");
    agent.reply = say_half;
    ASSERT_HAS(debug(f, DEBUG()), "\"failure\":\"cut off\"");
    agent.reply = say_long;
    const char *answer = debug(f, DEBUG());
    ASSERT_HAS(answer, "\"truncated\":true");
    ASSERT_HAS(answer, "\"body\":\"aGVsbG9bVFJVTkNBVEVEXQ==\""); /* hello[TRUNCATED] */
}

static void who_is_asked_may_be_named_and_may_not_be_there(void **state)
{
    struct fixture *f = *state;
    struct cp_session old, two;
    create(f, "a", "GET", "/a");
    is_refused(f, GW_NOT_FOUND, DEBUG(", \"agent\": \"agents/none\""), "agents/none is not known");
    fake_connect(f->services.registry, &old, "old", 5);
    fake_connect(f->services.registry, &two, "two", 3);
    ASSERT_HAS(debug(f, DEBUG()), "\"agent\":\"agents/two\""); /* the one that is furthest */
    ASSERT_HAS(debug(f, DEBUG(", \"agent\": \"agents/one\"")), "\"agent\":\"agents/one\"");
    is_refused(f, GW_UNAVAILABLE, DEBUG(", \"agent\": \"agents/old\""), "too old");
    fake_close(f->services.registry, &two);
    is_refused(f, GW_UNAVAILABLE, DEBUG(", \"agent\": \"agents/two\""), "is not connected");
    fake_close(f->services.registry, &old);
}

static void leave(struct cp_session *session, gw_str packed)
{
    (void)packed;
    cp_registry_end_debug(agent.f->services.registry, &session->link);
}

static void an_agent_that_leaves_is_waited_for_no_more(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    fake_sent = leave;
    is_refused(f, GW_UNAVAILABLE, DEBUG(), "agents/one has left");
    cp_registry_stop(f->services.registry);
    is_refused(f, GW_UNAVAILABLE, DEBUG(), "draining");
}

/* What goes to backends is known before it does; UNAVAILABLE is not always the store. */
static void each_call_is_an_event(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    f->is_recorded = true;
    int64_t lost = cp_audit_lost();
    (void)debug(f, DEBUG(", \"headers\": [{\"name\": \"Token\", \"value\": \"c0de\"}]"));
    const char *events = ok(f, &cp_audit_service, "ListAuditEvents", "{\"method\": \"DebugApi\"}");
    assert_int_equal(count(events, "\"eventTime\""), 1);
    ASSERT_HAS(events, "\"resource\":\"" API "\"");
    ASSERT_HAS(events, "\\\"path\\\":\\\"/a\\\"");
    ASSERT_HAS_NOT(events, "c0de");
    ASSERT_HAS_NOT(events, "\"code\"");
    fake_sent = leave;
    is_refused(f, GW_UNAVAILABLE, DEBUG(), "agents/one has left");
    events = ok(f, &cp_audit_service, "ListAuditEvents", "{\"code\": 14}");
    ASSERT_HAS(events, "agents/one has left");
    assert_int_equal(cp_audit_lost(), lost);
    agent.call = NULL;
    fake_sent = on_sent;
    backstage.calls = 0;
    backstage.fail_at = 2; /* the API, the event */
    is_refused(f, GW_UNAVAILABLE, DEBUG(), "");
    assert_null(agent.call); /* no event, no call */
    backstage.fail_at = 0;
    assert_int_equal(cp_audit_lost(), lost + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_AGENT(a_draft_goes_out_alone_and_open),
        WITH_AGENT(what_is_published_is_called_as_it_is),
        WITH_AGENT(what_cannot_be_debugged_is_said),
        WITH_AGENT(what_callers_reach_is_called_in_the_own_group_only),
        WITH_AGENT(what_agents_say_becomes_an_error_or_an_answer),
        WITH_AGENT(who_is_asked_may_be_named_and_may_not_be_there),
        WITH_AGENT(an_agent_that_leaves_is_waited_for_no_more),
        WITH_AGENT(each_call_is_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
