/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables as resources. */
#include "controlplane/service/variables.h"

#include "controlplane/service/test_variables.h"

#include <pthread.h>

#define THREADS 4

/* ---- the resource */

static void test_create_read_update_delete(void **state)
{
    struct fixture *f = *state;
    const char *answer = create_variable(f, "RELEASE.host", "a.net");
    ASSERT_HAS(answer, "\"name\":\"" HOST "\"");
    ASSERT_HAS(answer, "\"environment\":\"environments/RELEASE\"");
    ASSERT_HAS(answer, "\"variable\":\"host\"");
    ASSERT_HAS(answer, "\"createTime\"");
    char stale[64];
    (void)snprintf(stale, sizeof stale, "%s", etag_of(answer));
    ASSERT_HAS(ok(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}"),
               "\"value\":\"a.net\"");
    ASSERT_HAS(ok(f, &cp_variable_service, "UpdateVariable",
                  "{\"variable\": {\"name\": \"" HOST "\", \"value\": \"b.net\", \"description\":"
                  " \"new\"}, \"updateMask\": \"value\"}"),
               "\"value\":\"b.net\"");
    answer = ok(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}");
    ASSERT_HAS(answer, "\"value\":\"b.net\"");
    ASSERT_HAS_NOT(answer, "new");
    refused(f, GW_ABORTED, &cp_variable_service, "UpdateVariable",
            format("{\"variable\": {\"name\": \"" HOST "\", \"value\": \"c\", \"etag\": \"%s\"}}",
                   stale));
    refused(f, GW_ABORTED, &cp_variable_service, "DeleteVariable",
            format("{\"name\": \"" HOST "\", \"etag\": \"%s\"}", stale));
    const char *before = stored();
    ok(f, &cp_variable_service, "UpdateVariable",
       "{\"variable\": {\"name\": \"" HOST "\", \"value\": \"c\"}, \"validateOnly\": true}");
    ok(f, &cp_variable_service, "DeleteVariable",
       "{\"name\": \"" HOST "\", \"validateOnly\": true}");
    set_value(f, HOST, "b.net"); /* which it has */
    assert_string_equal(stored(), before);
    delete_variable(f, HOST);
    refused(f, GW_NOT_FOUND, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}");
    refused(f, GW_NOT_FOUND, &cp_variable_service, "DeleteVariable", "{\"name\": \"" HOST "\"}");
}

static void test_the_id_may_be_left_out(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(ok(f, &cp_variable_service, "CreateVariable",
                  "{\"parent\": \"groups/DEFAULT\", \"variable\": {\"environment\":"
                  " \"environments/RELEASE\", \"variable\": \"host\", \"value\": \"a\"}}"),
               "\"name\":\"" HOST "\"");
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/DEFAULT\", \"variable\": {\"value\": \"a b\"}}");
    assert_true(violates(f, "environment") && violates(f, "variable") && violates(f, "value"));
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/DEFAULT\", \"variable\": {\"environment\":"
            " \"environments/x\", \"variable\": \"ab\", \"value\": \"a\"}}");
    assert_true(violates(f, "environment") && violates(f, "variable"));
}

static void test_create_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *field;
    } cases[] = {
        {"\"variableId\": \"RELEASE-host\", \"variable\": {\"value\": \"a\"}", "variable_id"},
        {"\"variableId\": \"RELEASE.ab\", \"variable\": {\"value\": \"a\"}", "variable_id"},
        {"\"variableId\": \"RELEASE.1ab\", \"variable\": {\"value\": \"a\"}", "variable_id"},
        {"\"variableId\": \"RELEASE.host\"", "value"},
        {"\"variableId\": \"RELEASE.host\", \"variable\": {\"value\": \"a#b\"}", "value"},
        {"\"variableId\": \"RELEASE.host\", \"variable\": {\"value\": \"a\", \"environment\":"
         " \"environments/TEST\"}",
         "environment"},
        {"\"variableId\": \"RELEASE.host\", \"variable\": {\"value\": \"a\", \"variable\":"
         " \"Host\"}",
         "variable"},
        {"\"variableId\": \"RELEASE.host\", \"variable\": {\"value\": \"a\", \"name\":"
         " \"groups/DEFAULT/variables/RELEASE.other\"}",
         "name"},
    };
    const char *before = stored();
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "CreateVariable",
                format("{\"parent\": \"groups/DEFAULT\", %s}", cases[i].request));
        if (!violates(f, cases[i].field))
            fail_msg("%s: %s", cases[i].request, f->err.message);
    }
    refused(f, GW_NOT_FOUND, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/none\", \"variableId\": \"RELEASE.host\", \"variable\":"
            " {\"value\": \"a\"}}");
    refused(f, GW_NOT_FOUND, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"none.host\", \"variable\":"
            " {\"value\": \"a\"}}");
    ASSERT_HAS(f->err.message, "environments/none");
    assert_string_equal(stored(), before);
    create_variable(f, "RELEASE.host", "a");
    create_variable(f, "RELEASE.Host", "a"); /* case-sensitive */
    refused(f, GW_ALREADY_EXISTS, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"RELEASE.host\", \"variable\":"
            " {\"value\": \"b\"}}");
}

static void test_environment_and_name_are_for_good(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a");
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "UpdateVariable",
            "{\"variable\": {\"name\": \"" HOST "\", \"environment\": \"environments/TEST\"}}");
    assert_true(violates(f, "environment"));
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "UpdateVariable",
            "{\"variable\": {\"name\": \"" HOST "\", \"variable\": \"other\"}}");
    assert_true(violates(f, "variable"));
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "UpdateVariable",
            "{\"variable\": {\"name\": \"" HOST "\"}, \"updateMask\": \"value\"}");
    assert_true(violates(f, "value"));
    ASSERT_HAS(ok(f, &cp_variable_service, "UpdateVariable",
                  "{\"variable\": {\"name\": \"" HOST "\", \"value\": \"b\"}, \"updateMask\":"
                  " \"*\"}"),
               "\"environment\":\"environments/RELEASE\"");
}

static void test_lists(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "RELEASE-2");
    create_variable(f, "RELEASE.bbb", "1");
    create_variable(f, "RELEASE.aaa", "2");
    create_variable(f, "RELEASE-2.ccc", "3");
    const char *answer =
        ok(f, &cp_variable_service, "ListVariables", "{\"parent\": \"groups/DEFAULT\"}");
    assert_int_equal(count(answer, "\"name\""), 3);
    assert_true(strstr(answer, "RELEASE.aaa") < strstr(answer, "RELEASE.bbb"));
    answer = ok(f, &cp_variable_service, "ListVariables",
                "{\"parent\": \"groups/DEFAULT\", \"environment\": \"environments/RELEASE\"}");
    assert_int_equal(count(answer, "\"name\""), 2);
    ASSERT_HAS_NOT(answer, "ccc");
    assert_int_equal(count(ok(f, &cp_variable_service, "ListVariables",
                              "{\"parent\": \"groups/-\", \"pageSize\": 2}"),
                           "\"name\""),
                     2);
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "ListVariables",
            "{\"parent\": \"groups/DEFAULT\", \"environment\": \"RELEASE\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_variable_service, "ListVariables",
            "{\"parent\": \"groups/-\", \"environment\": \"environments/RELEASE\"}");
    refused(f, GW_NOT_FOUND, &cp_variable_service, "ListVariables",
            "{\"parent\": \"groups/none\"}");
}

static void test_fifty_of_a_group_and_environment(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"other\"}");
    for (int i = 0; i < CP_VARIABLES_MAX_DEFAULT; i++)
        create_variable(f, format("RELEASE.v-%d", i), "a");
    refused(f, GW_RESOURCE_EXHAUSTED, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"RELEASE.more\", \"variable\":"
            " {\"value\": \"a\"}}");
    ASSERT_HAS(f->err.message, "50 of 50 variables in environments/RELEASE");
    create_variable(f, "TEST.more", "a");
    ok(f, &cp_variable_service, "CreateVariable",
       "{\"parent\": \"groups/other\", \"variableId\": \"RELEASE.more\", \"variable\":"
       " {\"value\": \"a\"}}");
    delete_variable(f, "groups/DEFAULT/variables/RELEASE.v-7");
    create_variable(f, "RELEASE.more", "a");
    f->services.variables_max = 51;
    create_variable(f, "RELEASE.more-2", "a");
}

static void test_they_go_with_their_group(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    const char *before = stored();
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"one\"}");
    for (int i = 0; i < 2 * CP_VARIABLES_MAX_DEFAULT; i++)
        ok(f, &cp_variable_service, "CreateVariable",
           format("{\"parent\": \"groups/one\", \"variableId\": \"%s.v-%d\", \"variable\":"
                  " {\"value\": \"a\"}}",
                  i % 2 ? "TEST" : "RELEASE", i));
    ok(f, &cp_api_service, "CreateApi",
       "{\"parent\": \"groups/one\", \"apiId\": \"a\", \"api\": {\"frontend\": {\"method\":"
       " \"HTTP_METHOD_GET\", \"path\": \"/\"}, \"backend\": {\"mock\": {}}}}");
    const char *full = stored();
    refused(f, GW_FAILED_PRECONDITION, &cp_group_service, "DeleteApiGroup",
            "{\"name\": \"groups/one\"}");
    assert_string_equal(f->err.apig, "APIG.3415");
    assert_string_equal(stored(), full);
    ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"groups/one/apis/a\"}");
    full = stored();
    ok(f, &cp_group_service, "DeleteApiGroup",
       "{\"name\": \"groups/one\", \"validateOnly\": true}");
    assert_string_equal(stored(), full);
    ok(f, &cp_group_service, "DeleteApiGroup", "{\"name\": \"groups/one\"}");
    ok(f, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/TEST\"}");
    ASSERT_HAS(before, "environments/TEST");
    ASSERT_HAS_NOT(stored(), "/one");
    ASSERT_HAS_NOT(stored(), "TEST");
}

static void test_they_go_with_their_environment(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"one\"}");
    create_variable(f, "RELEASE.host", "a");
    for (int i = 0; i < 2 * CP_VARIABLES_MAX_DEFAULT + 20; i++) {
        f->services.variables_max = 100;
        ok(f, &cp_variable_service, "CreateVariable",
           format("{\"parent\": \"groups/%s\", \"variableId\": \"TEST.v-%d\", \"variable\":"
                  " {\"value\": \"a\"}}",
                  i % 2 ? "one" : "DEFAULT", i));
    }
    create(f, "a", "GET", "/a");
    ok(f, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/TEST\"}");
    const char *full = stored();
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\": \"environments/TEST\"}");
    assert_string_equal(f->err.apig, "APIG.3418");
    ASSERT_HAS(f->err.message, API "/publications/TEST");
    ASSERT_HAS_NOT(f->err.message, "variables");
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\": \"environments/RELEASE\"}");
    ASSERT_HAS(f->err.message, "RELEASE cannot be deleted");
    refused(f, GW_ABORTED, &cp_environment_service, "DeleteEnvironment",
            "{\"name\": \"environments/TEST\", \"etag\": \"\\\"1\\\"\"}");
    assert_string_equal(stored(), full);
    ok(f, &cp_api_service, "UnpublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/TEST\"}");
    full = stored();
    ok(f, &cp_environment_service, "DeleteEnvironment",
       "{\"name\": \"environments/TEST\", \"validateOnly\": true}");
    assert_string_equal(stored(), full);
    ok(f, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/TEST\"}");
    ASSERT_HAS_NOT(stored(), "TEST.v-");
    ASSERT_HAS_NOT(stored(), "environments/TEST");
    ASSERT_HAS(stored(), "RELEASE.host");
}

static void test_ten_environments(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i < cp_quota_get(CP_QUOTA_ENVIRONMENTS)->fallback; i++)
        create_environment(f, format("e-%d", i));
    refused(f, GW_RESOURCE_EXHAUSTED, &cp_environment_service, "CreateEnvironment",
            "{\"environmentId\": \"more\"}");
    ok(f, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/e-3\"}");
    create_environment(f, "more");
}

static void publish_in_test(struct fixture *other)
{
    ok(other, &cp_api_service, "PublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/TEST\"}");
}

static void add_to_test(struct fixture *other)
{
    ok(other, &cp_variable_service, "CreateVariable",
       "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"TEST.late\", \"variable\":"
       " {\"value\": \"a\"}}");
}

/* Who comes to use an environment that is about to go keeps it, and its variables. */
static void test_an_environment_that_comes_into_use_stays(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    create_variable(f, "TEST.host", "a");
    create(f, "a", "GET", "/a");
    backstage.before_txn = publish_in_test;
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\": \"environments/TEST\"}");
    ASSERT_HAS(stored(), "variables/DEFAULT/TEST.host");
    ok(f, &cp_api_service, "UnpublishApi",
       "{\"name\": \"" API "\", \"environment\": \"environments/TEST\"}");
    backstage.before_txn = add_to_test;
    ok(f, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/TEST\"}");
    ASSERT_HAS_NOT(stored(), "variables/");
    create_environment(f, "TEST");
    create_variable(f, "TEST.host", "a");
    survives_the_store(f, &cp_environment_service, "DeleteEnvironment",
                       "{\"name\": \"environments/TEST\"}");
}

/* ---- many APIs */

/* An answer with n names must not take n * n pointers of memory. */
static void test_memory_goes_with_the_stale_apis(void **state)
{
    enum { APIS = 3000 };
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "new");
    cp_frozen_variable frozen = CP_INIT(FROZEN_VARIABLE), *all[] = {&frozen};
    frozen.name = (char *)(uintptr_t)HOST;
    frozen.value = (char *)(uintptr_t) "old";
    for (int i = 0; i < APIS; i++) {
        char name[64];
        cp_publication publication = CP_INIT(PUBLICATION);
        (void)snprintf(name, sizeof name, "groups/DEFAULT/apis/a%d/publications/RELEASE", i);
        publication.name = name;
        publication.n_variables = 1;
        publication.variables = all;
        store_message(CP_KIND_PUBLICATION, &publication.base);
    }
    const char *answer = ok(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}");
    assert_int_equal(count(answer, "\"groups/DEFAULT/apis/a"), APIS);
    assert_in_range(f->arena.total_bytes, 1, APIS * 384);
}

/* ---- races */

static void drop_test(struct fixture *other)
{
    ok(other, &cp_environment_service, "DeleteEnvironment", "{\"name\": \"environments/TEST\"}");
}

static void drop_group(struct fixture *other)
{
    ok(other, &cp_group_service, "DeleteApiGroup", "{\"name\": \"groups/one\"}");
}

static void add_to_group(struct fixture *other)
{
    ok(other, &cp_variable_service, "CreateVariable",
       "{\"parent\": \"groups/one\", \"variableId\": \"RELEASE.late\", \"variable\":"
       " {\"value\": \"a\"}}");
}

static void test_a_variable_of_what_has_just_gone_is_refused(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"one\"}");
    backstage.before_txn = drop_test;
    refused(f, GW_NOT_FOUND, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/one\", \"variableId\": \"TEST.host\", \"variable\":"
            " {\"value\": \"a\"}}");
    backstage.before_txn = drop_group;
    refused(f, GW_NOT_FOUND, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/one\", \"variableId\": \"RELEASE.host\", \"variable\":"
            " {\"value\": \"a\"}}");
    ASSERT_HAS_NOT(stored(), "/one");
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\": \"one\"}");
    backstage.before_txn = add_to_group;
    drop_group(f);
    ASSERT_HAS_NOT(stored(), "/one");
    ASSERT_HAS_NOT(stored(), "late");
}

struct racer {
    struct fixture f;
    pthread_t thread;
    int index, created;
};

static void *create_many(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < 5; i++) {
        char request[160];
        gw_str answer;
        (void)snprintf(request, sizeof request,
                       "{\"parent\":\"groups/DEFAULT\",\"variableId\":\"RELEASE.v-%d-%d\","
                       "\"variable\":{\"value\":\"a\"}}",
                       racer->index, i);
        racer->created +=
            call(&racer->f, &cp_variable_service, "CreateVariable", request, &answer) == GW_OK;
    }
    return NULL;
}

static void test_the_limit_holds_against_many_at_once(void **state)
{
    struct fixture *f = *state;
    struct racer racers[THREADS] = {0};
    int64_t count;
    f->services.variables_max = 5;
    for (int i = 0; i < THREADS; i++) {
        racers[i].f = (struct fixture){.services = f->services, .principal = f->principal};
        racers[i].index = i;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, create_many, &racers[i]), 0);
    }
    int created = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        created += racers[i].created;
        gw_arena_done(&racers[i].f.arena);
    }
    assert_int_equal(
        cp_store_count(f->services.store, GW_STR("/penstock/v1/variables/"), &count, &f->err), 0);
    assert_int_equal(count, 5);
    assert_int_equal(created, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_create_read_update_delete),
        STAGED(test_the_id_may_be_left_out),
        STAGED(test_create_refuses),
        STAGED(test_environment_and_name_are_for_good),
        STAGED(test_lists),
        STAGED(test_fifty_of_a_group_and_environment),
        STAGED(test_they_go_with_their_group),
        STAGED(test_they_go_with_their_environment),
        STAGED(test_ten_environments),
        STAGED(test_an_environment_that_comes_into_use_stays),
        STAGED(test_a_variable_of_what_has_just_gone_is_refused),
        STAGED(test_memory_goes_with_the_stale_apis),
        TEST(test_the_limit_holds_against_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
