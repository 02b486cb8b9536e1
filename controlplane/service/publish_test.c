/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/publish.h"

#include "controlplane/service/test_apis.h"

#include <pthread.h>

#define THREADS 4
#define PUBLISHES 6 /* of each thread */

/* ---- what agents get */

static void test_what_is_published_is_what_agents_get(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a/{x}");
    assert_string_equal(agents_see(API "@RELEASE"), "");
    publish(f, API);
    const char *route = agents_see(API "@RELEASE");
    ASSERT_HAS(route, "\"path\":\"/a/{x}\"");
    ASSERT_HAS(route, "\"method\":\"GET\"");
    ASSERT_HAS(route, "\"apiName\":\"a\"");
    ASSERT_HAS(route, "\"releaseNumber\":\"1\"");
    ASSERT_HAS(route, "\"https\":true");
    ASSERT_HAS(route, "\"status\":200");
    unpublish(f, API);
    assert_string_equal(agents_see(API "@RELEASE"), "");
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
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"path\":\"/a\"");
    publish(f, API);
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"path\":\"/b\"");
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 2);
    assert_int_equal(count(answer, "\"effective\":true"), 1);
    assert_true(strstr(answer, "RELEASE-2\"") < strstr(answer, "RELEASE-1\""));
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
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"1\"");
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
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"5\"");
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
    create(f, "a", "GET", "/a");
    publish(f, API);
    const char *before = stored();
    rollback(f, API "/releases/RELEASE-1");
    assert_string_equal(stored(), before);
}

/* ---- two APIs on one path */

static void test_two_apis_cannot_publish_the_same_path(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a/{x}");
    publish(f, API);
    move_api(f, "a", "/moved");
    create(f, "b", "GET", "/a/{y}");
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
    publish(f, API);
    move_api(f, "a", "/c");
    create(f, "b", "GET", "/a");
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "PublishApi",
            "{\"name\": \"groups/DEFAULT/apis/b\"}");
    publish(f, API);
    publish(f, "groups/DEFAULT/apis/b");
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "RollbackApi",
            "{\"release\": \"" API "/releases/RELEASE-1\"}");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"path\":\"/c\"");
}

/* ---- somebody is faster, or the store is away */

static void delete_api(struct fixture *other)
{
    ok(other, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
}

static void publish_api(struct fixture *other)
{
    publish(other, API);
}

static void bring_b_back(struct fixture *other)
{
    ok(other, &cp_api_service, "RollbackApi",
       "{\"release\": \"groups/DEFAULT/apis/b/releases/RELEASE-1\"}");
}

static void change_draft(struct fixture *other)
{
    ok(other, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"description\": \"changed\"}}");
}

static void test_publishing_what_is_being_deleted(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    backstage.before_txn = delete_api;
    refused(f, GW_NOT_FOUND, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}");
    assert_string_equal(agents_see(API "@RELEASE"), "");
}

static void test_deleting_what_is_being_published(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    backstage.before_txn = publish_api;
    refused(f, GW_FAILED_PRECONDITION, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    assert_string_equal(f->err.apig, "APIG.3416");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"1\"");
}

static void test_a_path_that_is_taken_meanwhile(void **state)
{
    struct fixture *f = *state;
    create(f, "b", "GET", "/a");
    publish(f, "groups/DEFAULT/apis/b");
    unpublish(f, "groups/DEFAULT/apis/b");
    move_api(f, "b", "/b");
    create(f, "a", "GET", "/a");
    backstage.before_txn = bring_b_back;
    refused(f, GW_ALREADY_EXISTS, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}");
    ASSERT_HAS(f->err.message, "groups/DEFAULT/apis/b");
}

static void test_a_draft_that_changes_meanwhile(void **state)
{
    struct fixture *f = *state;
    char request[256];
    const char *etag = etag_of(create(f, "a", "GET", "/a"));
    (void)snprintf(request, sizeof request, "{\"name\": \"" API "\", \"etag\": \"%s\"}", etag);
    backstage.before_txn = change_draft;
    refused(f, GW_ABORTED, &cp_api_service, "PublishApi", request);
    backstage.before_txn = publish_api; /* without an etag: what is there then */
    ASSERT_HAS(publish(f, API), "RELEASE-2\"");
}

static void test_the_store_fails(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    f->services.releases_kept = 1;
    publish(f, API);
    survives_the_store(f, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}");
    survives_the_store(f, &cp_api_service, "UnpublishApi", "{\"name\": \"" API "\"}");
    survives_the_store(f, &cp_api_service, "RollbackApi",
                       "{\"release\": \"" API "/releases/RELEASE-2\"}");
    survives_the_store(f, &cp_api_service, "ListApis", "{\"parent\": \"groups/DEFAULT\"}");
    survives_the_store(f, &cp_release_service, "ListReleases", "{\"parent\": \"" API "\"}");
    unpublish(f, API);
    survives_the_store(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
}

/* Each of them is a way to etcd and back. */
static void test_a_publish_asks_the_store_little(void **state)
{
    struct fixture *f = *state;
    ok(f, &cp_bundle_service, "Apply",
       "{\"resources\": [{\"channel\": {\"name\": \"channels/pool\", \"port\": 80}},"
       " {\"variable\": {\"name\": \"groups/DEFAULT/variables/RELEASE.way\", \"value\": \"w\"}},"
       " {\"api\": {\"name\": \"" API
       "\", \"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/a\"}, \"backend\":"
       " {\"http\": {\"channel\": \"channels/pool\", \"path\": \"/#way#\"}}}}]}");
    f->services.releases_kept = 2;
    publish(f, API);
    publish(f, API);
    backstage.calls = 0;
    publish(f, API); /* place; what was effective, what is dropped, the route; commit */
    assert_int_equal(backstage.calls, 3);
    backstage.calls = 0;
    unpublish(f, API); /* place; what was effective; commit */
    assert_int_equal(backstage.calls, 3);
    backstage.calls = 0;
    rollback(f, API "/releases/RELEASE-2"); /* place; the route; commit */
    assert_int_equal(backstage.calls, 3);
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
    ASSERT_HAS(history(f), format("RELEASE-%d\"", THREADS * PUBLISHES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_what_is_published_is_what_agents_get),
        STAGED(test_publish_makes_a_release),
        STAGED(test_drafts_are_frozen),
        STAGED(test_environments_are_apart),
        STAGED(test_publish_refuses),
        STAGED(test_publishes_what_was_reviewed),
        STAGED(test_parameters_are_not_published),
        STAGED(test_validate_only_writes_nothing),
        STAGED(test_unpublish_keeps_the_history),
        STAGED(test_rollback),
        STAGED(test_rollback_to_the_effective_one_writes_nothing),
        STAGED(test_two_apis_cannot_publish_the_same_path),
        STAGED(test_what_differs_may_be_published),
        STAGED(test_paths_move_with_what_is_effective),
        STAGED(test_publishing_what_is_being_deleted),
        STAGED(test_deleting_what_is_being_published),
        STAGED(test_a_path_that_is_taken_meanwhile),
        STAGED(test_a_draft_that_changes_meanwhile),
        STAGED(test_the_store_fails),
        STAGED(test_a_publish_asks_the_store_little),
        TEST(test_numbers_of_concurrent_publishes_are_distinct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
