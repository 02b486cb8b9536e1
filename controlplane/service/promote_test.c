/* SPDX-License-Identifier: Apache-2.0 */
/* A release of one environment published into another. */
#include "controlplane/service/publish.h"

#include "controlplane/service/test_apis.h"

#define FIRST API "/releases/test-1"

static const char *promote(struct fixture *f, const char *release, const char *more)
{
    return ok(f, &cp_api_service, "PromoteApi", format("{\"release\": \"%s\"%s}", release, more));
}

static void refuse(struct fixture *f, enum gw_code code, const char *release, const char *more)
{
    refused(f, code, &cp_api_service, "PromoteApi",
            format("{\"release\": \"%s\"%s}", release, more));
}

#define TO_RELEASE ", \"environment\": \"environments/RELEASE\""

static void edit(struct fixture *f, const char *fields)
{
    ok(f, &cp_api_service, "UpdateApi", format("{\"api\": {\"name\": \"" API "\", %s}}", fields));
}

/* "a" as release 1 of the environment "test", with another draft since. */
static void make(struct fixture *f)
{
    create(f, "a", "GET", "/tested");
    ok(f, &cp_environment_service, "CreateEnvironment", "{\"environmentId\": \"test\"}");
    ok(f, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/test\"}");
    edit(f, "\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/untested\"}");
}

static void test_what_was_tested_is_published(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *answer = promote(f, FIRST, TO_RELEASE);
    ASSERT_HAS(answer, "\"name\":\"" API "/releases/RELEASE-1\"");
    ASSERT_HAS(answer, "\"environment\":\"environments/RELEASE\"");
    ASSERT_HAS(answer, "\"description\":\"promoted from test-1\"");
    ASSERT_HAS(answer, "\"promotedFrom\":\"" FIRST "\"");
    ASSERT_HAS(answer, "\"effective\":true");
    ASSERT_HAS(answer, "\"author\":\"tester\"");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"path\":\"/tested\"");
    ASSERT_HAS(agents_see(API "@test"), "\"path\":\"/tested\"");
    assert_string_equal(ok(f, &cp_release_service, "DiffReleases",
                           "{\"source\": \"" FIRST "\", \"target\": \"" API
                           "/releases/RELEASE-1\"}"),
                        "{}");
    ASSERT_HAS_NOT(publish(f, API), "promotedFrom");
    ASSERT_HAS(promote(f, FIRST, TO_RELEASE ", \"description\": \"mine\""),
               "\"description\":\"mine\"");
}

static void test_variables_are_the_targets(void **state)
{
    struct fixture *f = *state;
    make(f);
    ok(f, &cp_variable_service, "CreateVariable",
       "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"test.host\", \"variable\": {\"value\":"
       " \"tested.example.com\"}}");
    edit(f, "\"backend\": {\"http\": {\"address\": \"#host#\"}}");
    ok(f, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/test\"}");
    refuse(f, GW_FAILED_PRECONDITION, API "/releases/test-2", TO_RELEASE);
    ASSERT_HAS(f->err.message, "host");
    assert_string_equal(agents_see(API "@RELEASE"), "");
    ok(f, &cp_variable_service, "CreateVariable",
       "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"RELEASE.host\", \"variable\": "
       "{\"value\":"
       " \"real.example.com\"}}");
    promote(f, API "/releases/test-2", TO_RELEASE);
    ASSERT_HAS(agents_see(API "@RELEASE"), "real.example.com");
    ASSERT_HAS(agents_see(API "@test"), "tested.example.com");
    /* Releases differ by the values; from the draft they do not. */
    ASSERT_HAS(ok(f, &cp_release_service, "DiffReleases",
                  "{\"source\": \"" API "/releases/test-2\", \"target\": \"" API
                  "/releases/RELEASE-1\"}"),
               "backend.http.address: \\\"tested.example.com");
    assert_string_equal(ok(f, &cp_release_service, "DiffReleases",
                           "{\"source\": \"" API "/releases/RELEASE-1\", \"target\": \"" API "\"}"),
                        "{}");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    make(f);
    refuse(f, GW_INVALID_ARGUMENT, FIRST, "");
    assert_true(violates(f, "environment"));
    refuse(f, GW_INVALID_ARGUMENT, FIRST, ", \"environment\": \"environments/test\"");
    assert_true(violates(f, "environment"));
    ASSERT_HAS(f->err.message, "must be another one than the release's");
    refuse(f, GW_INVALID_ARGUMENT, FIRST, ", \"environment\": \"RELEASE\"");
    assert_true(violates(f, "environment"));
    refuse(f, GW_INVALID_ARGUMENT, API, TO_RELEASE);
    assert_true(violates(f, "release"));
    refuse(f, GW_INVALID_ARGUMENT, FIRST, TO_RELEASE ", \"wait\": \"61s\"");
    assert_true(violates(f, "wait"));
    char text[300];
    memset(text, 'x', 256);
    text[256] = '\0';
    refuse(f, GW_INVALID_ARGUMENT, FIRST, format(TO_RELEASE ", \"description\": \"%s\"", text));
    assert_true(violates(f, "description"));
    refuse(f, GW_NOT_FOUND, API "/releases/test-2", TO_RELEASE);
    refuse(f, GW_NOT_FOUND, FIRST, ", \"environment\": \"environments/none\"");
    assert_string_equal(agents_see(API "@RELEASE"), "");
}

static void test_the_path_may_be_taken_there(void **state)
{
    struct fixture *f = *state;
    make(f);
    create(f, "b", "GET", "/tested");
    publish(f, "groups/DEFAULT/apis/b");
    refuse(f, GW_ALREADY_EXISTS, FIRST, TO_RELEASE);
    assert_string_equal(f->err.apig, "APIG.3301");
    ASSERT_HAS(f->err.message, "groups/DEFAULT/apis/b");
}

static void drop_release(struct fixture *other)
{
    other->services.releases_kept = 1;
    ok(other, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/test\"}");
}

static void test_a_release_that_goes_meanwhile(void **state)
{
    struct fixture *f = *state;
    make(f);
    backstage.before_txn = drop_release;
    refuse(f, GW_NOT_FOUND, FIRST, TO_RELEASE);
    ASSERT_HAS(f->err.message, FIRST);
}

static void test_a_trial_and_a_store_that_fails(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *before = stored();
    promote(f, FIRST, TO_RELEASE ", \"validateOnly\": true");
    assert_string_equal(stored(), before);
    survives_the_store(f, &cp_api_service, "PromoteApi",
                       "{\"release\": \"" FIRST "\"" TO_RELEASE "}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_what_was_tested_is_published),
        STAGED(test_variables_are_the_targets),
        STAGED(test_refusals),
        STAGED(test_the_path_may_be_taken_there),
        STAGED(test_a_release_that_goes_meanwhile),
        STAGED(test_a_trial_and_a_store_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
