/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of an API, what goes with it, and what lists show of it. */
#include "controlplane/service/history.h"

#include "controlplane/service/test_apis.h"

/* ---- what is kept */

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

static void test_all_can_be_kept(void **state)
{
    struct fixture *f = *state;
    f->services.releases_kept = 0;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 25; i++)
        publish(f, API);
    assert_int_equal(count(history(f), "\"number\""), 25);
    f->services.releases_kept = 3;
    publish(f, API);
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 3);
    ASSERT_HAS(answer, "RELEASE-26\"");
    ASSERT_HAS(answer, "RELEASE-24\"");
}

/* Whatever was effective before, what is published now is, and stays in the history. */
static void test_the_effective_release_stays(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 0; i < 10; i++)
        publish(f, API);
    rollback(f, API "/releases/RELEASE-1");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"1\"");
    assert_int_equal(count(history(f), "\"number\""), 10);
    f->services.releases_kept = 1;
    publish(f, API);
    const char *answer = history(f);
    assert_int_equal(count(answer, "\"number\""), 1);
    ASSERT_HAS(answer, "\"effective\":true");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"11\"");
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
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"channel\":\"channels/back\"");
    ok(f, &cp_api_service, "UpdateApi", draft);
    publish(f, API);
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\": \"channels/back\"}");
    f->services.releases_kept = 1;
    publish(f, API);
    ok(f, &cp_channel_service, "DeleteChannel", "{\"name\": \"channels/back\"}");
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
    struct cp_range all = {.keys_only = true};
    unsigned found = 0;
    assert_int_equal(cp_store_list(f->services.store, &all, &f->arena, &page, &err), 0);
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
    char token[64];
    assert_int_equal(
        sscanf(strstr(answer, "\"nextPageToken\":"), "\"nextPageToken\":\"%63[0-9a-f.]", token), 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_only_the_definition_is_frozen),
        STAGED(test_history_keeps_ten),
        STAGED(test_all_can_be_kept),
        STAGED(test_the_effective_release_stays),
        STAGED(test_numbers_are_never_given_twice),
        STAGED(test_channels_stay_while_a_release_needs_them),
        STAGED(test_delete_is_refused_while_published),
        STAGED(test_everything_goes_with_it),
        STAGED(test_history_comes_in_pages),
        STAGED(test_lists_of_apis_show_publications),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
