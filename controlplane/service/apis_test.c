/* SPDX-License-Identifier: Apache-2.0 */
/* Cloning: what comes along, what does not, and what is refused. Lists by tags. */
#include "controlplane/service/apis.h"

#include "controlplane/service/resource.h"

#include "controlplane/service/test_apis.h"

#define OTHER "groups/other/apis/"

static const char *clone_as(struct fixture *f, const char *id, const char *more)
{
    return ok(f, &cp_api_service, "CloneApi",
              format("{\"name\": \"" API "\", \"apiId\": \"%s\"%s}", id, more));
}

static void refuse(struct fixture *f, enum gw_code code, const char *more)
{
    refused(f, code, &cp_api_service, "CloneApi", format("{\"name\": \"" API "\"%s}", more));
}

/* An API with a bit of everything, published, and its policy. */
static void make(struct fixture *f)
{
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"other\"}");
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"displayName\": \"title\","
       " \"description\": \"text\", \"labels\": {\"team\": \"x\"}, \"tags\": [\"t\"], \"frontend\":"
       " {\"method\": \"HTTP_METHOD_POST\", \"path\": \"/a/{x}\"}, \"backend\": {\"http\":"
       " {\"address\": \"b:1\", \"path\": \"/to/{x}\"}}}}");
    publish(f, API);
    ok(f, &cp_policy_service, "CreatePolicy",
       "{\"policyId\": \"three\", \"policy\": {\"throttle\": {\"apiLimit\": 3}}}");
    ok(f, &cp_policy_service, "CreatePolicyBinding",
       "{\"parent\": \"policies/three\", \"binding\": {\"api\": \"" API "\"}}");
}

static void test_a_clone_is_a_draft_like_the_other(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *answer = clone_as(f, "b", ", \"path\": \"/b/{x}\"");
    ASSERT_HAS(answer, "\"name\":\"groups/DEFAULT/apis/b\"");
    ASSERT_HAS(answer, "\"displayName\":\"b\"");
    ASSERT_HAS(answer, "\"description\":\"text\"");
    ASSERT_HAS(answer, "\"labels\":{\"team\":\"x\"}");
    ASSERT_HAS(answer, "\"tags\":[\"t\"]");
    ASSERT_HAS(answer, "\"method\":\"HTTP_METHOD_POST\",\"path\":\"/b/{x}\"");
    ASSERT_HAS(answer, "\"path\":\"/to/{x}\"");
    ASSERT_HAS_NOT(answer, "publications");
    assert_string_equal(agents_see("groups/DEFAULT/apis/b@RELEASE"), "");
    publish(f, "groups/DEFAULT/apis/b");
    ASSERT_HAS_NOT(agents_see("groups/DEFAULT/apis/b@RELEASE"), "throttle");
    ASSERT_HAS(agents_see(API "@RELEASE"), "/a/{x}");
    ASSERT_HAS(get(f), "\"displayName\":\"title\"");
}

static void test_into_another_group(void **state)
{
    struct fixture *f = *state;
    make(f);
    ASSERT_HAS(clone_as(f, "a", ", \"parent\": \"groups/other\""), "\"name\":\"" OTHER "a\"");
    ASSERT_HAS(clone_as(f, "b", ", \"parent\": \"groups/other\", \"path\": \"/b/{x}\""),
               "\"path\":\"/b/{x}\"");
    publish(f, OTHER "a");
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" OTHER "b\"}");
}

static void test_channels_hold_their_clones(void **state)
{
    struct fixture *f = *state;
    ok(f, &cp_channel_service, "CreateChannel",
       "{\"channelId\": \"back\", \"channel\": {\"port\": 80}}");
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"frontend\": {\"method\":"
       " \"HTTP_METHOD_GET\", \"path\": \"/a\"}, \"backend\": {\"http\": {\"channel\":"
       " \"channels/back\"}}}}");
    clone_as(f, "b", ", \"path\": \"/b\"");
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\": \"channels/back\"}");
    ASSERT_HAS(f->err.message, "groups/DEFAULT/apis/b");
}

static void test_grpc_goes_by_the_path(void **state)
{
    struct fixture *f = *state;
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"frontend\": {\"protocol\":"
       " \"PROTOCOL_GRPC\", \"path\": \"/shop.Orders/List\"}, \"backend\": {\"grpc\": {\"address\":"
       " \"b:1\"}}}}");
    ASSERT_HAS(clone_as(f, "b", ", \"path\": \"/shop.Orders\""), "MATCH_MODE_PREFIX");
    refuse(f, GW_ALREADY_EXISTS, ", \"apiId\": \"c\", \"path\": \"/shop.Orders/List\"");
}

static void test_the_path_in_the_same_group(void **state)
{
    struct fixture *f = *state;
    make(f);
    refuse(f, GW_INVALID_ARGUMENT, ", \"apiId\": \"b\"");
    assert_true(violates(f, "path"));
    ASSERT_HAS(f->err.message, "required in the same group");
    refuse(f, GW_ALREADY_EXISTS, ", \"apiId\": \"b\", \"path\": \"/a/{other}\"");
    assert_true(violates(f, "path"));
    assert_string_equal(f->err.apig, "APIG.3301");
    assert_string_equal(f->err.reason, "NOT_UNIQUE");
    ASSERT_HAS(f->err.message, API " has it already");
    refuse(f, GW_INVALID_ARGUMENT, ", \"apiId\": \"b\", \"path\": \"no path\"");
    assert_true(violates(f, "path"));
    refuse(f, GW_INVALID_ARGUMENT, ", \"apiId\": \"b\", \"path\": \"/without-x\"");
    assert_true(violates(f, "backend.http.path"));
}

static void test_names(void **state)
{
    struct fixture *f = *state;
    make(f);
    refuse(f, GW_ALREADY_EXISTS, ", \"apiId\": \"a\", \"path\": \"/b/{x}\"");
    assert_string_equal(f->err.apig, "APIG.3202");
    refuse(f, GW_INVALID_ARGUMENT, ", \"path\": \"/b/{x}\"");
    assert_true(violates(f, "api_id"));
    refuse(f, GW_INVALID_ARGUMENT, ", \"apiId\": \"b/c\", \"path\": \"/b/{x}\"");
    assert_true(violates(f, "api_id"));
    refuse(f, GW_INVALID_ARGUMENT, ", \"apiId\": \"b\", \"parent\": \"other\"");
    assert_true(violates(f, "parent"));
    refuse(f, GW_NOT_FOUND, ", \"apiId\": \"b\", \"parent\": \"groups/none\"");
    refused(f, GW_NOT_FOUND, &cp_api_service, "CloneApi",
            "{\"name\": \"groups/DEFAULT/apis/none\", \"apiId\": \"b\", \"path\": \"/b\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "CloneApi", "{\"name\": \"a\"}");
    assert_true(violates(f, "name"));
}

static void test_a_trial_and_a_store_that_fails(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *before = stored();
    clone_as(f, "b", ", \"path\": \"/b/{x}\", \"validateOnly\": true");
    assert_string_equal(stored(), before);
    survives_the_store(f, &cp_api_service, "CloneApi",
                       "{\"name\": \"" API "\", \"apiId\": \"b\", \"path\": \"/b/{x}\"}");
}

/* Where it is published is read after the commit: that this fails does not undo the write. */
static void test_a_write_is_told_though_the_store_goes_away(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    publish(f, API);
    survives_the_store(f, &cp_api_service, "UpdateApi",
                       "{\"api\": {\"name\": \"" API "\", \"description\": \"new\"},"
                       " \"updateMask\": \"description\"}");
    ASSERT_HAS(get(f), "\"description\":\"new\"");
    ASSERT_HAS(get(f), "\"release\":\"" API "/releases/RELEASE-1\"");
    survives_the_store(f, &cp_api_service, "CreateApi",
                       "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"b\", \"api\": {\"frontend\":"
                       " {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/b\"}, \"backend\":"
                       " {\"mock\": {}}}}");
}

/* ---- lists by tags */

static const char *tagged(struct fixture *f, const char *tags, const char *more)
{
    return ok(f, &cp_api_service, "ListApis",
              format("{\"parent\": \"groups/DEFAULT\", \"tags\": [%s]%s}", tags, more));
}

static void tag(struct fixture *f, const char *id, const char *tags)
{
    create(f, id, "GET", format("/%s", id));
    ok(f, &cp_api_service, "UpdateApi",
       format("{\"api\": {\"name\": \"groups/DEFAULT/apis/%s\", \"tags\": [%s]}}", id, tags));
}

static void test_lists_by_tags(void **state)
{
    struct fixture *f = *state;
    tag(f, "a", "\"x\", \"y\"");
    tag(f, "b", "\"x\"");
    create(f, "c", "GET", "/c");
    tag(f, "d", "\"y\", \"x\"");
    publish(f, API);
    const char *answer = tagged(f, "\"x\"", "");
    assert_int_equal(count(answer, "\"frontend\""), 3);
    ASSERT_HAS(answer, "\"release\":\"" API "/releases/RELEASE-1\"");
    answer = tagged(f, "\"x\", \"y\"", "");
    assert_int_equal(count(answer, "\"frontend\""), 2);
    ASSERT_HAS_NOT(answer, "apis/b\"");
    ASSERT_HAS_NOT(answer, "nextPageToken");
    assert_string_equal(tagged(f, "\"X\"", ""), "{}");
    assert_int_equal(count(tagged(f, "", ""), "\"frontend\""), 4);
}

static void test_lists_by_tags_come_in_pages(void **state)
{
    struct fixture *f = *state;
    char token[512];
    tag(f, "a", "\"x\"");
    create(f, "b", "GET", "/b");
    tag(f, "c", "\"x\"");
    const char *answer = tagged(f, "\"x\"", ", \"pageSize\": 1");
    ASSERT_HAS(answer, "apis/a\"");
    assert_int_equal(
        sscanf(strstr(answer, "\"nextPageToken\":\""), "\"nextPageToken\":\"%500[0-9a-f]", token),
        1);
    answer = tagged(f, "\"x\"", format(", \"pageSize\": 1, \"pageToken\": \"%s\"", token));
    ASSERT_HAS(answer, "apis/c\"");
    ASSERT_HAS_NOT(answer, "nextPageToken");
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "ListApis",
            format("{\"parent\": \"groups/DEFAULT\", \"tags\": [\"y\"], \"pageToken\": \"%s\"}",
                   token));
    assert_true(violates(f, "page_token"));
}

/* More than the reads of one page: an empty page, and its token goes on. */
static void test_what_is_rare_is_found(void **state)
{
    struct fixture *f = *state;
    char token[512], name[64];
    f->services.quotas[CP_QUOTA_GROUP_APIS] = 0;
    for (unsigned i = 0; i < CP_PAGE_READS_MAX * CP_PAGE_SIZE_MAX; i++) {
        cp_api api = CP_INIT(API);
        (void)snprintf(name, sizeof name, "groups/DEFAULT/apis/n%05u", i);
        api.name = name;
        store_message(CP_KIND_API, &api.base);
        gw_arena_reset(&backstage.arena);
    }
    tag(f, "z", "\"rare\"");
    const char *answer = tagged(f, "\"rare\"", "");
    assert_int_equal(sscanf(answer, "{\"nextPageToken\":\"%500[0-9a-f]", token), 1);
    ASSERT_HAS(tagged(f, "\"rare\"", format(", \"pageToken\": \"%s\"", token)), "apis/z\"");
}

/* The last that the store's page has is the one with which the answer is full. */
static void test_a_full_answer_at_the_end_of_a_read(void **state)
{
    struct fixture *f = *state;
    char token[512], name[64], text[4096], *tags[] = {(char *)(uintptr_t) "x"};
    size_t bytes = CP_PAGE_BYTES_MAX / (CP_PAGE_SIZE_MAX - 1) + 1;
    memset(text, '.', sizeof text);
    for (unsigned i = 0; i <= CP_PAGE_SIZE_MAX; i++) {
        cp_api api = CP_INIT(API);
        (void)snprintf(name, sizeof name, "groups/DEFAULT/apis/n%05u", i);
        api.name = name;
        api.n_tags = i > 0;
        api.tags = tags;
        text[bytes - 60] = '\0';
        api.description = text;
        size_t short_of = bytes - protobuf_c_message_get_packed_size(&api.base);
        text[bytes - 60] = '.';
        text[bytes - 60 + short_of] = '\0';
        store_message(CP_KIND_API, &api.base);
        text[bytes - 60 + short_of] = '.';
        gw_arena_reset(&backstage.arena);
    }
    const char *answer = tagged(f, "\"x\"", ", \"pageSize\": 1000");
    assert_int_equal(count(answer, "\"tags\""), CP_PAGE_SIZE_MAX - 1);
    const char *next = strstr(answer, "\"nextPageToken\":\"");
    assert_int_equal(sscanf(next, "\"nextPageToken\":\"%500[0-9a-f]", token), 1);
    answer = tagged(f, "\"x\"", format(", \"pageSize\": 1000, \"pageToken\": \"%s\"", token));
    ASSERT_HAS(answer, "apis/n01000\"");
    assert_int_equal(count(answer, "\"tags\""), 1);
}

static void test_tags_that_no_api_can_have(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "ListApis",
            "{\"parent\": \"groups/DEFAULT\", \"tags\": [\"x\", \"1x\"]}");
    assert_true(violates(f, "tags[1]"));
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "ListApis",
            "{\"parent\": \"groups/DEFAULT\", \"tags\": [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\","
            " \"g\", \"h\", \"i\", \"j\", \"k\"]}");
    assert_true(violates(f, "tags"));
    ASSERT_HAS(f->err.message, "must be at most 10");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_a_clone_is_a_draft_like_the_other),
        STAGED(test_into_another_group),
        STAGED(test_channels_hold_their_clones),
        STAGED(test_grpc_goes_by_the_path),
        STAGED(test_the_path_in_the_same_group),
        STAGED(test_names),
        STAGED(test_a_trial_and_a_store_that_fails),
        STAGED(test_lists_by_tags),
        STAGED(test_a_write_is_told_though_the_store_goes_away),
        STAGED(test_lists_by_tags_come_in_pages),
        STAGED(test_what_is_rare_is_found),
        STAGED(test_tags_that_no_api_can_have),
        STAGED(test_a_full_answer_at_the_end_of_a_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
