/* SPDX-License-Identifier: Apache-2.0 */
/* What is different between releases, and between them and the draft. */
#include "controlplane/service/test_apis.h"

#define RELEASE(number) API "/releases/RELEASE-" #number

static const char *diff(struct fixture *f, const char *source, const char *target)
{
    return ok(f, &cp_release_service, "DiffReleases",
              format("{\"source\": \"%s\", \"target\": \"%s\"}", source, target));
}

static void refuse(struct fixture *f, enum gw_code code, const char *source, const char *target)
{
    refused(f, code, &cp_release_service, "DiffReleases",
            format("{\"source\": \"%s\", \"target\": \"%s\"}", source, target));
}

static void test_releases_and_the_draft(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/one");
    publish(f, API);
    assert_string_equal(diff(f, RELEASE(1), API), "{}");
    move_api(f, "a", "/two");
    publish(f, API);
    move_api(f, "a", "/three");
    const char *answer = diff(f, RELEASE(1), RELEASE(2));
    ASSERT_HAS(answer, "\"text\":\"~ frontend.path: \\\"/one\\\" -> \\\"/two\\\"\\n\"");
    ASSERT_HAS(answer, "\"path\":\"frontend.path\",\"oldValue\":\"\\\"/one\\\"\",\"newValue\":"
                       "\"\\\"/two\\\"\"");
    assert_int_equal(count(answer, "oldValue"), 1);
    ASSERT_HAS(diff(f, RELEASE(2), API), "/three");
    ASSERT_HAS(diff(f, API, RELEASE(2)), "\\\"/three\\\" -> \\\"/two\\\"");
    assert_string_equal(diff(f, API, API), "{}");
}

static void test_environments_may_be_compared(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/one");
    ok(f, &cp_environment_service, "CreateEnvironment", "{\"environmentId\": \"test\"}");
    publish(f, API);
    move_api(f, "a", "/two");
    ok(f, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/test\"}");
    ASSERT_HAS(diff(f, RELEASE(1), API "/releases/test-1"), "/two");
}

/* What a release has not is not told as a change of the draft; what cannot be published yet is. */
static void test_only_the_definition_counts(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/one");
    publish(f, API);
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"labels\": {\"team\": \"a\"}}}");
    assert_string_equal(diff(f, RELEASE(1), API), "{}");
    ok(f, &cp_api_service, "UpdateApi",
       "{\"api\": {\"name\": \"" API "\", \"requestParameters\": [{\"name\": \"q\", \"location\":"
       " \"PARAMETER_LOCATION_QUERY\", \"type\": \"PARAMETER_TYPE_STRING\"}]}}");
    ASSERT_HAS(diff(f, RELEASE(1), API), "+ request_parameters[q].name: \\\"q\\\"\\n");
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    create(f, "b", "GET", "/b");
    publish(f, API);
    refuse(f, GW_INVALID_ARGUMENT, "", "groups/DEFAULT");
    assert_true(violates(f, "source"));
    assert_true(violates(f, "target"));
    ASSERT_HAS(f->err.message, "must be groups/{group}/apis/{api} (its draft) or groups/{group}/");
    refuse(f, GW_INVALID_ARGUMENT, RELEASE(1), "groups/DEFAULT/apis/b");
    assert_true(violates(f, "target"));
    ASSERT_HAS(f->err.message, "must be of the same API as source");
    refuse(f, GW_NOT_FOUND, RELEASE(1), RELEASE(2));
    ASSERT_HAS(f->err.message, RELEASE(2));
    refuse(f, GW_NOT_FOUND, "groups/DEFAULT/apis/none", "groups/DEFAULT/apis/none");
    survives_the_store(f, &cp_release_service, "DiffReleases",
                       "{\"source\": \"" RELEASE(1) "\", \"target\": \"" API "\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_releases_and_the_draft),
        STAGED(test_environments_may_be_compared),
        STAGED(test_only_the_definition_counts),
        STAGED(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
