/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas: each refuses one too many with its code, also when many come at the same time. */
#include "controlplane/service/quotas.h"

#include "controlplane/service/test_apis.h"

#include <pthread.h>

/* Creates until it is refused; wants `allowed` to be created, and then that quota's reason and
 * code. `request` holds one or two
 * %d. */
static void fill_up(struct fixture *f, enum cp_quota_id id, const struct cp_service *service,
                    const char *method, const char *request, int allowed)
{
    gw_str answer;
    char text[512];
    for (int i = 0; i <= allowed; i++) {
        (void)snprintf(text, sizeof text, request, i, i);
        enum gw_code code = call(f, service, method, text, &answer);
        if (code != (i < allowed ? GW_OK : GW_RESOURCE_EXHAUSTED))
            fail_msg("%s %d: %s", method, i, f->err.message);
    }
    assert_string_equal(f->err.reason, cp_quota_get(id)->name);
    assert_string_equal(f->err.apig, cp_quota_get(id)->apig);
}

#define API_OF(parent)                                                                             \
    "{\"parent\": \"" parent "\", \"api_id\": \"n%d\", \"api\": {\"frontend\": {\"method\": "      \
    "\"HTTP_METHOD_GET\", \"path\": \"/%d\"}, \"backend\": {\"mock\": {}}}}"

static void test_each_quota(void **state)
{
    struct fixture *f = *state;
    int64_t *quotas = f->services.quotas;
    for (enum cp_quota_id id = CP_QUOTA_NONE + 1; id < CP_QUOTA_COUNT; id++)
        quotas[id] = 3;
    quotas[CP_QUOTA_APIS] = 5;
    fill_up(f, CP_QUOTA_GROUPS, &cp_group_service, "CreateApiGroup", "{\"group_id\": \"n%d\"}", 2);
    fill_up(f, CP_QUOTA_GROUP_APIS, &cp_api_service, "CreateApi", API_OF("groups/n0"), 3);
    fill_up(f, CP_QUOTA_APIS, &cp_api_service, "CreateApi", API_OF("groups/n1"), 2);
    fill_up(f, CP_QUOTA_APPS, &cp_app_service, "CreateApp", "{\"app_id\": \"n%d\"}", 3);
    fill_up(f, CP_QUOTA_APP_CODES, &cp_app_service, "CreateAppCode",
            "{\"parent\": \"apps/n0\", \"code_id\": \"n%d\"}", 3);
    fill_up(f, CP_QUOTA_ENVIRONMENTS, &cp_environment_service, "CreateEnvironment",
            "{\"environment_id\": \"env%d\"}", 2);
    fill_up(f, CP_QUOTA_DOMAINS, &cp_domain_service, "CreateDomain",
            "{\"parent\": \"groups/n0\", \"domain_id\": \"n%d.example.com\"}", 3);
    fill_up(f, CP_QUOTA_CHANNELS, &cp_channel_service, "CreateChannel",
            "{\"channel_id\": \"chan%d\", \"channel\": {\"port\": 80}}", 3);
    f->services.variables_max = 3;
    fill_up(f, CP_QUOTA_VARIABLES, &cp_variable_service, "CreateVariable",
            "{\"parent\": \"groups/n0\", \"variable_id\": \"RELEASE.var%d\", \"variable\": "
            "{\"value\": \"a\"}}",
            3);
}

static void test_authorizations_of_an_app(void **state)
{
    struct fixture *f = *state;
    f->services.quotas[CP_QUOTA_AUTHORIZATIONS] = 2;
    ok(f, &cp_app_service, "CreateApp", "{\"app_id\": \"shop\"}");
    for (int i = 0; i < 3; i++)
        ok(f, &cp_api_service, "CreateApi",
           format("{\"parent\": \"groups/DEFAULT\", \"api_id\": \"n%d\", \"api\": {\"frontend\": "
                  "{\"method\": \"HTTP_METHOD_GET\", \"path\": \"/%d\"}, \"backend\": {\"mock\": "
                  "{}}, \"authentication\": {\"type\": \"AUTH_TYPE_APP\", \"app_code\": true}}}",
                  i, i));
    fill_up(
        f, CP_QUOTA_AUTHORIZATIONS, &cp_app_service, "CreateAuthorization",
        "{\"parent\": \"apps/shop\", \"authorization\": {\"api\": \"groups/DEFAULT/apis/n%d\"}}",
        2);
}

static void test_policies_by_their_kind(void **state)
{
    struct fixture *f = *state;
    f->services.quotas[CP_QUOTA_THROTTLES] = 2;
    f->services.quotas[CP_QUOTA_ACCESS_CONTROLS] = 3;
    f->services.quotas[CP_QUOTA_PLUGINS] = 1;
    fill_up(f, CP_QUOTA_THROTTLES, &cp_policy_service, "CreatePolicy",
            "{\"policy_id\": \"throttle%d\", \"policy\": {\"throttle\": {\"api_limit\": 3}}}", 2);
    fill_up(f, CP_QUOTA_ACCESS_CONTROLS, &cp_policy_service, "CreatePolicy",
            "{\"policy_id\": \"access%d\", \"policy\": {\"ip_access\": {\"effect\": "
            "\"ACCESS_EFFECT_DENY\", \"addresses\": [\"192.0.2.1\"]}}}",
            3);
    fill_up(
        f, CP_QUOTA_PLUGINS, &cp_policy_service, "CreatePolicy",
        "{\"policy_id\": \"headers%d\", \"policy\": {\"response_headers\": {\"headers\": "
        "[{\"name\": \"X-A\", \"value\": \"b\", \"action\": \"HEADER_ACTION_TYPE_OVERRIDE\"}]}}}",
        1);
}

static void test_what_goes_makes_room(void **state)
{
    struct fixture *f = *state;
    f->services.quotas[CP_QUOTA_APPS] = 1;
    ok(f, &cp_app_service, "CreateApp", "{\"app_id\": \"one\"}");
    refused(f, GW_RESOURCE_EXHAUSTED, &cp_app_service, "CreateApp", "{\"app_id\": \"two\"}");
    ok(f, &cp_app_service, "UpdateApp",
       "{\"app\": {\"name\": \"apps/one\", \"description\": \"d\"}}");
    ok(f, &cp_app_service, "DeleteApp", "{\"name\": \"apps/one\"}");
    ok(f, &cp_app_service, "CreateApp", "{\"app_id\": \"two\"}");
    f->services.quotas[CP_QUOTA_APPS] = 0; /* any number */
    ok(f, &cp_app_service, "CreateApp", "{\"app_id\": \"three\"}");
}

/* ---- many at once */

#define THREADS 16
#define EACH 7

struct creator {
    struct fixture f;
    pthread_t thread;
    int index, created, refused;
};

static void *create_many(void *arg)
{
    struct creator *creator = arg;
    for (int i = 0; i < EACH; i++) {
        char request[256];
        gw_str answer;
        int number = creator->index * EACH + i;
        (void)snprintf(request, sizeof request, API_OF("groups/DEFAULT"), number, number);
        enum gw_code code = call(&creator->f, &cp_api_service, "CreateApi", request, &answer);
        creator->created += code == GW_OK;
        creator->refused += code == GW_RESOURCE_EXHAUSTED;
    }
    return NULL;
}

static void run_creators(struct fixture *f, int *ret_created, int *ret_refused)
{
    struct creator creators[THREADS] = {0};
    *ret_created = *ret_refused = 0;
    for (int i = 0; i < THREADS; i++) {
        creators[i].f = (struct fixture){.services = f->services, .principal = f->principal};
        creators[i].index = i;
        assert_int_equal(pthread_create(&creators[i].thread, NULL, create_many, &creators[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(creators[i].thread, NULL);
        *ret_created += creators[i].created;
        *ret_refused += creators[i].refused;
        gw_arena_done(&creators[i].f.arena);
    }
}

static void test_far_from_the_limit_nobody_is_in_the_way(void **state)
{
    struct fixture *f = *state;
    int created, refusals;
    run_creators(f, &created, &refusals);
    assert_int_equal(created, THREADS * EACH);
}

static void test_near_the_limit_not_one_more(void **state)
{
    struct fixture *f = *state;
    int created, refusals;
    f->services.quotas[CP_QUOTA_GROUP_APIS] = 60;
    run_creators(f, &created, &refusals);
    assert_true(created <= 60);
    /* Who gives up a race that others win all the time is told so, and is not counted here. */
    assert_true(created + refusals > THREADS * EACH * 9 / 10);
    if (created < 60)
        assert_true(created + refusals < THREADS * EACH);
}

/* ---- how they are shown */

static void test_they_can_be_read(void **state)
{
    struct fixture *f = *state;
    f->services.quotas[CP_QUOTA_APPS] = 7;
    ok(f, &cp_app_service, "CreateApp", "{\"app_id\": \"one\"}");
    ok(f, &cp_policy_service, "CreatePolicy",
       "{\"policy_id\": \"three\", \"policy\": {\"throttle\": {\"api_limit\": 3}}}");
    const char *answer = ok(f, &cp_quota_service, "ListQuotas", "{}");
    assert_int_equal(count(answer, "\"name\":"), CP_QUOTA_COUNT - 1);
    ASSERT_HAS(answer,
               "{\"name\":\"quotas/APP_NUM_LIMIT\",\"description\":\"apps\",\"limit\":\"7\","
               "\"used\":\"1\",\"apigCode\":\"APIG.3103\",\"option\":\"--apps-max\"}");
    ASSERT_HAS(ok(f, &cp_quota_service, "GetQuota", "{\"name\": \"quotas/THROTTLE_NUM_LIMIT\"}"),
               "\"limit\":\"300\",\"used\":\"1\"");
    refused(f, GW_NOT_FOUND, &cp_quota_service, "GetQuota", "{\"name\": \"quotas/NONE\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_quota_service, "GetQuota", "{\"name\": \"x\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_quota_service, "ListQuotas", "{\"page_token\": \"x\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_quota_service, "ListQuotas", "{\"page_size\": -1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_each_quota),
        STAGED(test_authorizations_of_an_app),
        STAGED(test_policies_by_their_kind),
        STAGED(test_what_goes_makes_room),
        TEST(test_far_from_the_limit_nobody_is_in_the_way),
        TEST(test_near_the_limit_not_one_more),
        TEST(test_they_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
