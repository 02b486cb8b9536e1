/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/bulk.h"

#include "controlplane/service/test_apis.h"

#define B "groups/DEFAULT/apis/b"
#define C "groups/DEFAULT/apis/c"

static const char *do_all(struct fixture *f, const char *method, const char *request)
{
    return ok(f, &cp_api_service, method, request);
}

static void refuse(struct fixture *f, enum gw_code code, const char *request)
{
    refused(f, code, &cp_api_service, "PublishApis", request);
    refused(f, code, &cp_api_service, "UnpublishApis", request);
}

static void make(struct fixture *f)
{
    create(f, "a", "GET", "/a");
    create(f, "b", "GET", "/b");
    create(f, "d", "GET", "/c");
    publish(f, "groups/DEFAULT/apis/d");
    move_api(f, "d", "/d"); /* not published there yet: it has the path of c */
    create(f, "c", "GET", "/c");
}

static void test_each_for_itself(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *answer = do_all(f, "PublishApis",
                                "{\"names\": [\"" B "\", \"" API "\", \"" C
                                "\", \"groups/DEFAULT/apis/none\"], \"description\": \"all\"}");
    ASSERT_HAS(answer, "{\"outcomes\":[{\"name\":\"" B "\",\"release\":\"" B "/releases/RELEASE-1\""
                       "},{\"name\":\"" API "\",\"release\":\"" API "/releases/RELEASE-1\"},"
                       "{\"name\":\"" C "\",\"failure\":{\"code\":\"ALREADY_EXISTS\",");
    ASSERT_HAS(answer, "\"apigCode\":\"APIG.3301\"");
    ASSERT_HAS(answer, "\"reason\":\"NOT_UNIQUE\"");
    ASSERT_HAS(answer, "{\"code\":\"NOT_FOUND\",\"message\":\"groups/DEFAULT/apis/none does not");
    ASSERT_HAS(answer, "\"succeeded\":2,\"failed\":2");
    ASSERT_HAS(agents_see(API "@RELEASE"), "/a");
    ASSERT_HAS(agents_see(B "@RELEASE"), "/b");
    ASSERT_HAS(history(f), "\"description\":\"all\"");
    answer = do_all(f, "UnpublishApis", "{\"names\": [\"" C "\", \"" B "\"]}");
    ASSERT_HAS(answer, "{\"name\":\"" C "\",\"failure\":{\"code\":\"FAILED_PRECONDITION\"");
    ASSERT_HAS(answer, "\"reason\":\"NOT_PUBLISHED\"");
    ASSERT_HAS(answer, "{\"name\":\"" B "\"}");
    assert_string_equal(agents_see(B "@RELEASE"), "");
}

static void test_a_group(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *answer = do_all(f, "PublishApis", "{\"parent\": \"groups/DEFAULT\"}");
    ASSERT_HAS(answer, "\"succeeded\":3,\"failed\":1");
    answer = do_all(f, "UnpublishApis", "{\"parent\": \"groups/DEFAULT\"}");
    assert_int_equal(count(answer, "\"name\""), 3);
    ASSERT_HAS_NOT(answer, "failed");
    assert_string_equal(do_all(f, "UnpublishApis", "{\"parent\": \"groups/DEFAULT\"}"), "{}");
}

static void test_another_environment(void **state)
{
    struct fixture *f = *state;
    make(f);
    ok(f, &cp_environment_service, "CreateEnvironment", "{\"environmentId\": \"test\"}");
    ASSERT_HAS(do_all(f, "PublishApis",
                      "{\"names\": [\"" API "\"], \"environment\": \"environments/test\"}"),
               "/releases/test-1");
    refuse(f, GW_NOT_FOUND, "{\"names\": [\"" API "\"], \"environment\": \"environments/none\"}");
}

static void test_refusals_of_the_whole(void **state)
{
    struct fixture *f = *state;
    make(f);
    const char *before = stored();
    refuse(f, GW_INVALID_ARGUMENT, "{}");
    assert_true(violates(f, "names"));
    refuse(f, GW_INVALID_ARGUMENT, "{\"names\": [\"" API "\"], \"parent\": \"groups/DEFAULT\"}");
    assert_true(violates(f, "parent"));
    refuse(f, GW_INVALID_ARGUMENT, "{\"names\": [\"" API "\", \"" B "\", \"" API "\", \"d\"]}");
    assert_true(violates(f, "names[2]"));
    assert_true(violates(f, "names[3]"));
    assert_false(violates(f, "names[1]"));
    refuse(f, GW_INVALID_ARGUMENT, "{\"names\": [\"" API "\"], \"environment\": \"RELEASE\"}");
    assert_true(violates(f, "environment"));
    refuse(f, GW_INVALID_ARGUMENT, "{\"names\": [\"" API "\"], \"wait\": \"61s\"}");
    assert_true(violates(f, "wait"));
    refuse(f, GW_INVALID_ARGUMENT, "{\"parent\": \"DEFAULT\"}");
    assert_true(violates(f, "parent"));
    refuse(f, GW_NOT_FOUND, "{\"parent\": \"groups/none\"}");
    char text[300];
    memset(text, 'x', 256);
    text[256] = '\0';
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "PublishApis",
            format("{\"names\": [\"" API "\"], \"description\": \"%s\"}", text));
    assert_true(violates(f, "description"));
    assert_string_equal(stored(), before);
}

/* "{"names": [...]}" of so many. */
static gw_str names(unsigned how_many)
{
    struct gw_buf text;
    gw_buf_init(&text, 0);
    for (unsigned i = 0; i < how_many; i++)
        if (gw_buf_printf(&text, "%s\"groups/DEFAULT/apis/many%04u\"", i ? ", " : "{\"names\": [",
                          i) < 0)
            fail();
    if (gw_buf_append(&text, GW_STR("]}")) < 0)
        fail();
    gw_str result = gw_arena_dup(&backstage.arena, gw_buf_view(&text));
    gw_buf_done(&text);
    return result;
}

static void test_a_thousand_and_not_one_more(void **state)
{
    struct fixture *f = *state;
    f->services.quotas[CP_QUOTA_GROUP_APIS] = 0;
    char id[16], path[16];
    refuse(f, GW_INVALID_ARGUMENT, names(CP_BULK_MAX + 1).ptr);
    assert_true(violates(f, "names"));
    for (unsigned i = 0; i < CP_BULK_MAX + 1; i++) {
        (void)snprintf(id, sizeof id, "many%04u", i);
        (void)snprintf(path, sizeof path, "/%u", i);
        create(f, id, "GET", path);
    }
    refuse(f, GW_INVALID_ARGUMENT, "{\"parent\": \"groups/DEFAULT\"}");
    assert_true(violates(f, "parent"));
    ASSERT_HAS(f->err.message, "has more than 1000 APIs");
    ASSERT_HAS(do_all(f, "PublishApis", names(CP_BULK_MAX).ptr), "\"succeeded\":1000}");
    ASSERT_HAS(do_all(f, "UnpublishApis", names(CP_BULK_MAX).ptr), "\"succeeded\":1000}");
}

static void test_a_store_that_goes_away(void **state)
{
    struct fixture *f = *state;
    make(f);
    publish(f, B);
    backstage.calls = 0;
    ok(f, &cp_api_service, "PublishApis", "{\"names\": [\"" B "\"]}");
    backstage.fail_at = backstage.calls + 1; /* behind the first one */
    backstage.calls = 0;
    const char *answer =
        do_all(f, "PublishApis", "{\"names\": [\"" B "\", \"" API "\", \"" C "\"]}");
    backstage.fail_at = 0;
    ASSERT_HAS(answer, "\"succeeded\":1,\"failed\":2");
    assert_int_equal(count(answer, "\"code\":\"UNAVAILABLE\""), 2);
    survives_the_store(f, &cp_api_service, "PublishApis", "{\"names\": [\"" API "\"]}");
    survives_the_store(f, &cp_api_service, "UnpublishApis", "{\"parent\": \"groups/DEFAULT\"}");
}

/* Who asked has gone: what was begun is finished, and nothing else is. */
static void test_a_deadline_that_passes(void **state)
{
    struct fixture *f = *state;
    make(f);
    ProtobufCMessage *reply;
    struct cp_call call = {.services = &f->services,
                           .arena = &backstage.arena,
                           .principal = &f->principal,
                           .deadline_ms = gw_clock_monotonic_ms()};
    const ProtobufCMessage *request =
        from_json(&penstock__admin__v1__publish_apis_request__descriptor,
                  "{\"names\": [\"" API "\", \"" B "\"]}");
    assert_int_equal(cp_publish_apis(&call, request, &reply, &f->err), 0);
    const Penstock__Admin__V1__PublishApisResponse *answer = (const void *)reply;
    assert_int_equal(answer->succeeded, 1);
    assert_int_equal(answer->n_outcomes, 2);
    assert_string_equal(answer->outcomes[0]->release, API "/releases/RELEASE-1");
    assert_string_equal(answer->outcomes[1]->failure->code, "DEADLINE_EXCEEDED");
    assert_string_equal(agents_see(B "@RELEASE"), "");
}

static void test_a_trial_writes_nothing(void **state)
{
    struct fixture *f = *state;
    make(f);
    publish(f, B);
    const char *before = stored();
    ASSERT_HAS(do_all(f, "PublishApis", "{\"names\": [\"" API "\"], \"validateOnly\": true}"),
               "\"succeeded\":1");
    ASSERT_HAS(do_all(f, "UnpublishApis", "{\"names\": [\"" B "\"], \"validateOnly\": true}"),
               "\"succeeded\":1");
    assert_string_equal(stored(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_each_for_itself),
        STAGED(test_a_group),
        STAGED(test_another_environment),
        STAGED(test_refusals_of_the_whole),
        STAGED(test_a_thousand_and_not_one_more),
        STAGED(test_a_store_that_goes_away),
        STAGED(test_a_deadline_that_passes),
        STAGED(test_a_trial_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
