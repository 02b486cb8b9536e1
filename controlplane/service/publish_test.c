/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/publish.h"

#include "common/message.h"
#include "controlplane/service/history.h"
#include "controlplane/service/test_services.h"
#include "controlplane/snapshot/build.h"

#include <pthread.h>

#define API "groups/DEFAULT/apis/a"
#define THREADS 4
#define PUBLISHES 6 /* of each thread */

static const char *format(const char *text, ...) GW_PRINTF(1, 2);
static const char *format(const char *text, ...)
{
    static char buffers[4][1024];
    static unsigned at;
    char *buffer = buffers[at++ % GW_ARRAY_LEN(buffers)];
    va_list args;
    va_start(args, text);
    (void)vsnprintf(buffer, sizeof buffers[0], text, args);
    va_end(args);
    return buffer;
}

static const char *create(struct fixture *f, const char *id, const char *method, const char *path)
{
    return ok(f, &cp_api_service, "CreateApi",
              format("{\"parent\": \"groups/DEFAULT\", \"apiId\": \"%s\", \"api\": {\"frontend\":"
                     " {\"method\": \"HTTP_METHOD_%s\", \"path\": \"%s\"}, \"backend\":"
                     " {\"mock\": {}}}}",
                     id, method, path));
}

static const char *publish(struct fixture *f, const char *api)
{
    return ok(f, &cp_api_service, "PublishApi", format("{\"name\": \"%s\"}", api));
}

static const char *unpublish(struct fixture *f, const char *api)
{
    return ok(f, &cp_api_service, "UnpublishApi", format("{\"name\": \"%s\"}", api));
}

static const char *rollback(struct fixture *f, const char *release)
{
    return ok(f, &cp_api_service, "RollbackApi", format("{\"release\": \"%s\"}", release));
}

static const char *get(struct fixture *f)
{
    return ok(f, &cp_api_service, "GetApi", "{\"name\": \"" API "\"}");
}

static const char *history(struct fixture *f)
{
    return ok(f, &cp_release_service, "ListReleases", "{\"parent\": \"" API "\"}");
}

static unsigned count(const char *text, const char *part)
{
    unsigned found = 0;
    while ((text = strstr(text, part))) {
        found++;
        text += strlen(part);
    }
    return found;
}

/* ---- what agents get */

/* The route that the snapshot builder makes of all that is stored; NULL: none. */
static cp_agent_route *built(struct fixture *f, const char *name)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_page page;
    struct gw_map touched;
    struct cp_state *state = cp_state_new();
    cp_agent_route *route = NULL;
    gw_map_init(&touched);
    struct cp_range everything = {.limit = 0};
    if (cp_store_list(f->services.store, &everything, &f->arena, &page, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < page.count; i++)
        if (cp_state_put(state, page.kvs[i].key, page.kvs[i].value, page.kvs[i].mod_revision,
                         &touched, &err) < 0)
            fail_msg("%s", err.message);
    if (cp_build_route(state, gw_str_from(name), &f->arena, &route, &err) < 0)
        fail_msg("%s: %s", name, err.message);
    if (route) /* outlives the state */
        route = (cp_agent_route *)gw_message_copy(&f->arena, &route->base);
    cp_state_free(state);
    gw_map_done(&touched);
    return route;
}

static void test_what_is_published_is_what_agents_get(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a/{x}");
    assert_null(built(f, API "@RELEASE"));
    publish(f, API);
    const cp_agent_route *route = built(f, API "@RELEASE");
    assert_string_equal(route->path, "/a/{x}");
    assert_string_equal(route->method, "GET");
    assert_string_equal(route->api_name, "a");
    assert_int_equal(route->release_number, 1);
    assert_true(route->https);
    assert_int_equal(route->backend->mock->status, 200);
    unpublish(f, API);
    assert_null(built(f, API "@RELEASE"));
}

/* ---- publishing */

static void test_publish_makes_a_release(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    const char *answer =
        ok(f, &cp_api_service, "PublishApi", "{\"name\": \"" API "\", \"description\": \"first\"}");
    ASSERT_HAS(answer, "\"name\":\"" API "/releases/RELEASE-1\"");
    ASSERT_HAS(answer, "\"number\":\"1\"");
    ASSERT_HAS(answer, "\"environment\":\"environments/RELEASE\"");
    ASSERT_HAS(answer, "\"author\":\"tester\"");
    ASSERT_HAS(answer, "\"description\":\"first\"");
    ASSERT_HAS(answer, "\"effective\":true");
    ASSERT_HAS(answer, "\"etag\"");
    ASSERT_HAS_NOT(answer, "rollout");
    answer = get(f);
    ASSERT_HAS(answer, "\"release\":\"" API "/releases/RELEASE-1\"");
    ASSERT_HAS(answer, "\"revision\"");
}

static void test_drafts_are_frozen(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    publish(f, API);
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"frontend\": {\"method\": \"HTTP_METHOD_GET\","
       " \"path\": \"/b\"}}}");
    assert_string_equal(built(f, API "@RELEASE")->path, "/a");
    publish(f, API);
    assert_string_equal(built(f, API "@RELEASE")->path, "/b");
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 2);
    assert_int_equal(count(answer, "\"effective\":true"), 1);
    assert_true(strstr(answer, "RELEASE-2\"") < strstr(answer, "RELEASE-1\""));
}

static void test_only_the_definition_is_frozen(void **state)
{
    struct fixture *f = *state;
    cp_api draft = CP_INIT(API), *definition;
    cp_frontend frontend = CP_INIT(FRONTEND);
    cp_backend backend = CP_INIT(BACKEND);
    struct gw_error err = GW_ERROR_NONE;
    char path[] = "/a", name[] = API, etag[] = "\"7\"", title[] = "title";
    frontend.path = path;
    draft.name = name;
    draft.etag = etag;
    draft.display_name = title;
    draft.frontend = &frontend;
    draft.backend = &backend;
    const cp_release *release = cp_freeze_api(&f->arena, &draft, "\"8\"");
    assert_string_equal(release->draft_etag, "\"8\"");
    assert_int_equal(cp_thaw_release(&f->arena, release, &definition, &err), 0);
    assert_string_equal(definition->name, "");
    assert_string_equal(definition->etag, "");
    assert_string_equal(definition->display_name, "title");
    assert_string_equal(definition->frontend->path, "/a");
}

static void test_history_keeps_ten(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 12; i++)
        publish(f, API);
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 10);
    ASSERT_HAS(answer, "RELEASE-12\"");
    ASSERT_HAS(answer, "RELEASE-3\"");
    ASSERT_HAS_NOT(answer, "RELEASE-2\"");
    refused(f, GW_NOT_FOUND, &cp_release_service, "GetRelease",
            "{\"name\": \"" API "/releases/RELEASE-2\"}");
}

/* Whatever was effective before, what is published now is, and stays in the history. */
static void test_the_effective_release_stays(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 10; i++)
        publish(f, API);
    rollback(f, API "/releases/RELEASE-1");
    assert_int_equal(built(f, API "@RELEASE")->release_number, 1);
    assert_int_equal(count(history(f), "\"number\""), 10);
    f->services.releases_kept = 1;
    publish(f, API);
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 1);
    ASSERT_HAS(answer, "\"effective\":true");
    assert_int_equal(built(f, API "@RELEASE")->release_number, 11);
}

static void test_numbers_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    publish(f, API);
    publish(f, API);
    unpublish(f, API);
    ASSERT_HAS(publish(f, API), "RELEASE-3\"");
    rollback(f, API "/releases/RELEASE-1");
    ASSERT_HAS(publish(f, API), "RELEASE-4\"");
}

static void test_environments_are_apart(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    ok(f, &cp_environment_service, "CreateEnvironment", "{\"environmentId\": \"test\"}");
    publish(f, API);
    ASSERT_HAS(ok(f, &cp_api_service, "PublishApi",
                  "{\"name\": \"" API "\", \"environment\": \"environments/test\"}"),
               "/releases/test-1\"");
    ASSERT_HAS(publish(f, API), "RELEASE-2\"");
    const char *answer = ok(f, &cp_release_service, "ListReleases",
                            "{\"parent\": \"" API "\", \"environment\": \"environments/test\"}");
    assert_int_equal(count(answer, "\"number\""), 1);
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\": \"environments/test\"}");
    assert_string_equal(f->err.apig, "APIG.3418");
    ok(f, &cp_api_service, "UnpublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/test\"}");
    ok(f, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/test\"}");
}

static void test_publish_refuses(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    refused(f, GW_NOT_FOUND, &cp_api_service, "PublishApi",
            "{\"name\": \"groups/DEFAULT/apis/none\"}");
    refused(f, GW_NOT_FOUND, &cp_api_service, "PublishApi",
            "{\"name\": \"" API "\", \"environment\": \"environments/none\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "PublishApi", "{\"name\": \"a\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "PublishApi",
            "{\"name\": \"" API "\", \"wait\": \"60.001s\"}");
    assert_true(violates(f, "wait"));
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "PublishApi",
            "{\"name\": \"" API "\", \"wait\": \"-1s\"}");
    refused(f, GW_ABORTED, &cp_api_service, "PublishApi",
            "{\"name\": \"" API "\", \"etag\": \"\\\"1\\\"\"}");
    char long_text[300];
    memset(long_text, 'x', sizeof long_text);
    long_text[256] = '\0';
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "PublishApi",
            format("{\"name\": \"" API "\", \"description\": \"%s\"}", long_text));
    assert_true(violates(f, "description"));
    ASSERT_HAS_NOT(get(f), "publications");
}

static void test_publishes_what_was_reviewed(void **state)
{
    struct fixture *f = *state;
    const char *etag = etag_of(create(f, "a", "GET", "/a"));
    char request[256];
    (void)snprintf(request, sizeof request, "{\"name\": \"" API "\", \"etag\": \"%s\"}", etag);
    ok(f, &cp_api_service, "PublishApi", request);
    ok(f, &cp_api_service, "PublishApi", request); /* publishing does not change the draft */
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"description\": \"changed\"}}");
    refused(f, GW_ABORTED, &cp_api_service, "PublishApi", request);
    assert_string_equal(f->err.reason, "ETAG_MISMATCH");
}

static void test_parameters_are_not_published(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"requestParameters\": [{\"name\": \"q\", \"location\":"
       " \"PARAMETER_LOCATION_QUERY\", \"type\": \"PARAMETER_TYPE_STRING\"}]}}");
    refused(f, GW_UNIMPLEMENTED, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}");
    assert_true(violates(f, "request_parameters"));
}

static void test_validate_only_writes_nothing(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    ASSERT_HAS(ok(f, &cp_api_service, "PublishApi",
                  "{\"name\": \"" API "\", \"validateOnly\": true, \"wait\": \"1s\"}"),
               "RELEASE-1\"");
    ASSERT_HAS_NOT(get(f), "publications");
    publish(f, API);
    ok(f, &cp_api_service, "UnpublishApi", "{\"name\": \"" API "\", \"validateOnly\": true}");
    publish(f, API);
    ok(f, &cp_api_service, "RollbackApi",
       "{\"release\": \"" API "/releases/RELEASE-1\", \"validateOnly\": true}");
    ASSERT_HAS(get(f), "\"release\":\"" API "/releases/RELEASE-2\"");
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "DeleteApi",
            "{\"name\": \"" API "\", \"validateOnly\": true}");
    unpublish(f, API);
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\", \"validateOnly\": true}");
    assert_int_equal(count(history(f), "\"number\""), 2);
}

/* ---- taking offline, and back */

static void test_unpublish_keeps_the_history(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "UnpublishApi", "{\"name\": \"" API "\"}");
    publish(f, API);
    unpublish(f, API);
    ASSERT_HAS_NOT(get(f), "publications");
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 1);
    ASSERT_HAS_NOT(answer, "\"effective\":true");
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "UnpublishApi", "{\"name\": \"" API "\"}");
    rollback(f, API "/releases/RELEASE-1");
    assert_int_equal(built(f, API "@RELEASE")->release_number, 1);
}

static void test_rollback(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 11; i++)
        publish(f, API);
    const char *answer = rollback(f, API "/releases/RELEASE-5");
    ASSERT_HAS(answer, "RELEASE-5\"");
    ASSERT_HAS(answer, "\"effective\":true");
    assert_int_equal(built(f, API "@RELEASE")->release_number, 5);
    ASSERT_HAS(
        ok(f, &cp_release_service, "GetRelease", "{\"name\": \"" API "/releases/RELEASE-5\"}"),
        "\"effective\":true");
    assert_int_equal(count(history(f), "\"number\""), 10);
    refused(f, GW_NOT_FOUND, &cp_api_service, "RollbackApi",
            "{\"release\": \"" API "/releases/RELEASE-1\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "RollbackApi",
            "{\"release\": \"" API "/releases/RELEASE\"}");
    ASSERT_HAS(get(f), "\"release\":\"" API "/releases/RELEASE-5\"");
}

static void test_rollback_to_the_effective_one_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct cp_position before, after;
    struct gw_error err = GW_ERROR_NONE;
    create(f, "a", "GET", "/a");
    publish(f, API);
    assert_int_equal(cp_store_ping(f->services.store, &before, &err), 0);
    rollback(f, API "/releases/RELEASE-1");
    assert_int_equal(cp_store_ping(f->services.store, &after, &err), 0);
    assert_int_equal(before.revision, after.revision);
}

/* ---- deletion */

static void test_delete_is_refused_while_published(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    publish(f, API);
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    assert_string_equal(f->err.apig, "APIG.3416");
    unpublish(f, API);
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    refused(f, GW_NOT_FOUND, &cp_api_service, "GetApi", "{\"name\": \"" API "\"}");
    refused(f, GW_NOT_FOUND, &cp_release_service, "GetRelease",
            "{\"name\": \"" API "/releases/RELEASE-1\"}");
    create(f, "a", "GET", "/a");
    ASSERT_HAS(publish(f, API), "RELEASE-1\""); /* another API, which starts over */
}

/* Keys that have to do with the API, in whatever form it is named there. */
static unsigned traces(struct fixture *f)
{
    static const char *const forms[] = {"/DEFAULT/a", "/DEFAULT.a.", "/routes/DEFAULT/"};
    struct gw_error err = GW_ERROR_NONE;
    struct cp_page page;
    struct cp_range everything = {.keys_only = true};
    unsigned found = 0;
    assert_int_equal(cp_store_list(f->services.store, &everything, &f->arena, &page, &err), 0);
    assert_false(page.more);
    for (size_t i = 0; i < page.count; i++) {
        const char *key = gw_arena_dup(&f->arena, page.kvs[i].key).ptr;
        for (size_t k = 0; k < GW_ARRAY_LEN(forms); k++)
            found += strstr(key, forms[k]) != NULL;
    }
    return found;
}

/* With a long history, many authorizations and a binding: nothing stays behind. */
static void test_everything_goes_with_it(void **state)
{
    struct fixture *f = *state;
    ok(f, &cp_channel_service, "CreateChannel",
       "{\"channelId\": \"back\", \"channel\": {\"port\": 80, \"members\": [{\"host\": \"b\"}]}}");
    ok(f, &cp_policy_service, "CreatePolicy",
       "{\"policyId\": \"open\", \"policy\": {\"ipAccess\": {\"effect\": \"ACCESS_EFFECT_PERMIT\","
       " \"addresses\": [\"192.0.2.1\"]}}}");
    for (int i = 0; i < 40; i++)
        ok(f, &cp_app_service, "CreateApp", format("{\"appId\": \"app%d\"}", i));
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"frontend\": {\"method\":"
       " \"HTTP_METHOD_GET\", \"path\": \"/a\"}, \"backend\": {\"http\": {\"channel\":"
       " \"channels/back\"}}, \"authentication\": {\"type\": \"AUTH_TYPE_APP\", \"appCode\":"
       " true}}}");
    for (int i = 0; i < 40; i++)
        ok(f, &cp_app_service, "CreateAuthorization",
           format("{\"parent\": \"apps/app%d\", \"authorization\": {\"api\": \"" API "\"}}", i));
    ok(f, &cp_policy_service, "CreatePolicyBinding",
       "{\"parent\": \"policies/open\", \"binding\": {\"api\": \"" API "\"}}");
    f->services.releases_kept = 40;
    for (int i = 0; i < 40; i++)
        publish(f, API);
    assert_true(traces(f) > 160);
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    unpublish(f, API);
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\", \"validateOnly\": true}");
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    assert_int_equal(traces(f), 0);
    ok(f, &cp_channel_service, "DeleteChannel", "{\"name\": \"channels/back\"}");
    ok(f, &cp_policy_service, "DeletePolicy", "{\"name\": \"policies/open\"}");
    for (int i = 0; i < 40; i++)
        ok(f, &cp_app_service, "DeleteApp", format("{\"name\": \"apps/app%d\"}", i));
}

/* ---- channels */

static void test_channels_stay_while_a_release_needs_them(void **state)
{
    struct fixture *f = *state;
    const char *draft = "{\"api\": {\"name\": \"" API "\", \"backend\": {\"mock\": {}}}}";
    refused(f, GW_NOT_FOUND, &cp_api_service, "CreateApi",
            "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"frontend\":"
            " {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/a\"}, \"backend\": {\"http\":"
            " {\"channel\": \"channels/back\"}}}}");
    ok(f, &cp_channel_service, "CreateChannel",
       "{\"channelId\": \"back\", \"channel\": {\"port\": 80, \"members\": [{\"host\": \"b\"}]}}");
    create(f, "a", "GET", "/a");
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"backend\": {\"http\": {\"channel\":"
       " \"channels/back\"}}}}");
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\": \"channels/back\"}");
    publish(f, API);
    assert_string_equal(built(f, API "@RELEASE")->backend->http->channel, "channels/back");
    ok(f, &cp_api_service, "UpdateApi", draft);
    publish(f, API);
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\": \"channels/back\"}");
    f->services.releases_kept = 1;
    publish(f, API);
    ok(f, &cp_channel_service, "DeleteChannel", "{\"name\": \"channels/back\"}");
}

/* ---- two APIs on one path */

static void test_two_apis_cannot_publish_the_same_path(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a/{x}");
    create(f, "b", "GET", "/a/{y}");
    publish(f, API);
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "PublishApi",
            "{\"name\": \"groups/DEFAULT/apis/b\"}");
    assert_string_equal(f->err.apig, "APIG.3301");
    ASSERT_HAS(f->err.message, API);
    ASSERT_HAS(f->err.message, "GET /a/{y}");
    unpublish(f, API);
    publish(f, "groups/DEFAULT/apis/b");
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "RollbackApi",
            "{\"release\": \"" API "/releases/RELEASE-1\"}");
}

static void test_what_differs_may_be_published(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *id, *method, *path;
    } apis[] = {{"a", "GET", "/a"},    {"b", "POST", "/a"},    {"c", "ANY", "/a"},
                {"d", "GET", "/a/"},   {"e", "GET", "/a/{x}"}, {"f", "GET", "/a/{x+}"},
                {"g", "GET", "/a/lit"}};
    for (size_t i = 0; i < GW_ARRAY_LEN(apis); i++) {
        create(f, apis[i].id, apis[i].method, apis[i].path);
        publish(f, format("groups/DEFAULT/apis/%s", apis[i].id));
    }
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"other\"}");
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/other\", \"apiId\": \"a\", \"api\": {\"frontend\": {\"method\":"
       " \"HTTP_METHOD_GET\", \"path\": \"/a\"}, \"backend\": {\"mock\": {}}}}");
    publish(f, "groups/other/apis/a");
}

/* A path that is given up with a publish is free for others, and one that is not stays taken. */
static void test_paths_move_with_what_is_effective(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    create(f, "b", "GET", "/a");
    publish(f, API);
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"frontend\": {\"method\": \"HTTP_METHOD_GET\","
       " \"path\": \"/c\"}}}");
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "PublishApi",
            "{\"name\": \"groups/DEFAULT/apis/b\"}");
    publish(f, API);
    publish(f, "groups/DEFAULT/apis/b");
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "RollbackApi",
            "{\"release\": \"" API "/releases/RELEASE-1\"}");
    assert_string_equal(built(f, API "@RELEASE")->path, "/c");
}

/* ---- many at once */

struct publisher {
    struct fixture f;
    pthread_t thread;
    int64_t numbers[PUBLISHES];
};

static void *publish_many(void *arg)
{
    struct publisher *p = arg;
    for (int i = 0; i < PUBLISHES;) {
        gw_str answer;
        enum gw_code code =
            call(&p->f, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}", &answer);
        if (code == GW_ABORTED)
            continue; /* others were faster each time; people try again */
        const char *at = code == GW_OK ? strstr(answer.ptr, "\"number\":\"") : NULL;
        if (!at)
            return NULL; /* its numbers stay 0 */
        p->numbers[i++] = strtoll(at + strlen("\"number\":\""), NULL, 10);
    }
    return NULL;
}

static void test_numbers_of_concurrent_publishes_are_distinct(void **state)
{
    struct fixture *f = *state;
    struct publisher publishers[THREADS];
    bool seen[THREADS * PUBLISHES + 1] = {false};
    create(f, "a", "GET", "/a");
    for (int i = 0; i < THREADS; i++) {
        publishers[i] = (struct publisher){.f = {.services = f->services}};
        publishers[i].f.principal = f->principal;
        assert_int_equal(pthread_create(&publishers[i].thread, NULL, publish_many, &publishers[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(publishers[i].thread, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        for (int k = 0; k < PUBLISHES; k++) {
            int64_t number = publishers[i].numbers[k];
            assert_in_range(number, 1, THREADS * PUBLISHES);
            assert_false(seen[number]);
            seen[number] = true;
        }
        gw_arena_done(&publishers[i].f.arena);
    }
    assert_int_equal(count(history(f), "\"number\""), 10);
    assert_int_equal(built(f, API "@RELEASE")->release_number, THREADS * PUBLISHES);
}

/* ---- lists */

static void test_history_comes_in_pages(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 5; i++)
        publish(f, API);
    const char *answer =
        ok(f, &cp_release_service, "ListReleases", "{\"parent\": \"" API "\", \"pageSize\": 3}");
    assert_int_equal(count(answer, "\"number\""), 3);
    ASSERT_HAS(answer, "RELEASE-5\"");
    char token[32];
    assert_int_equal(
        sscanf(strstr(answer, "\"nextPageToken\":"), "\"nextPageToken\":\"%31[0-9]", token), 1);
    answer = ok(f, &cp_release_service, "ListReleases",
                format("{\"parent\": \"" API "\", \"pageSize\": 3, \"pageToken\": \"%s\"}", token));
    assert_int_equal(count(answer, "\"number\""), 2);
    ASSERT_HAS(answer, "RELEASE-2\"");
    ASSERT_HAS_NOT(answer, "nextPageToken");
    refused(f, GW_INVALID_ARGUMENT, &cp_release_service, "ListReleases",
            "{\"parent\": \"" API "\", \"pageToken\": \"x\"}");
    refused(f, GW_NOT_FOUND, &cp_release_service, "ListReleases",
            "{\"parent\": \"groups/DEFAULT/apis/none\"}");
}

static void test_lists_of_apis_show_publications(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    create(f, "a-b", "GET", "/a-b"); /* sorts before "a" among publications */
    create(f, "c", "GET", "/c");
    publish(f, API);
    publish(f, "groups/DEFAULT/apis/a-b");
    static const char *const parents[] = {"groups/DEFAULT", "groups/-"};
    for (size_t i = 0; i < GW_ARRAY_LEN(parents); i++) {
        const char *answer =
            ok(f, &cp_api_service, "ListApis", format("{\"parent\": \"%s\"}", parents[i]));
        assert_int_equal(count(answer, "\"publications\""), 2);
        ASSERT_HAS(answer, "\"release\":\"" API "/releases/RELEASE-1\"");
        ASSERT_HAS(answer, "\"release\":\"groups/DEFAULT/apis/a-b/releases/RELEASE-1\"");
    }
}

static void test_without_a_registry_there_are_no_agents(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS_NOT(ok(f, &cp_agent_service, "ListAgents", "{}"), "agents");
    refused(f, GW_NOT_FOUND, &cp_agent_service, "GetAgent", "{\"name\": \"agents/x\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_agent_service, "GetAgent", "{\"name\": \"x\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_published_is_what_agents_get),
        TEST(test_publish_makes_a_release),
        TEST(test_drafts_are_frozen),
        TEST(test_only_the_definition_is_frozen),
        TEST(test_history_keeps_ten),
        TEST(test_the_effective_release_stays),
        TEST(test_numbers_are_never_given_twice),
        TEST(test_environments_are_apart),
        TEST(test_publish_refuses),
        TEST(test_publishes_what_was_reviewed),
        TEST(test_parameters_are_not_published),
        TEST(test_validate_only_writes_nothing),
        TEST(test_unpublish_keeps_the_history),
        TEST(test_rollback),
        TEST(test_rollback_to_the_effective_one_writes_nothing),
        TEST(test_delete_is_refused_while_published),
        TEST(test_everything_goes_with_it),
        TEST(test_channels_stay_while_a_release_needs_them),
        TEST(test_two_apis_cannot_publish_the_same_path),
        TEST(test_what_differs_may_be_published),
        TEST(test_paths_move_with_what_is_effective),
        TEST(test_numbers_of_concurrent_publishes_are_distinct),
        TEST(test_history_comes_in_pages),
        TEST(test_lists_of_apis_show_publications),
        TEST(test_without_a_registry_there_are_no_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
