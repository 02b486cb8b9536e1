/* SPDX-License-Identifier: Apache-2.0 */
/* Variables at a publish, and what becomes stale afterwards. */
#include "controlplane/service/variables.h"

#include "controlplane/model/variables.h"
#include "controlplane/service/history.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/test_variables.h"

/* ---- publishing */

static void test_a_release_holds_the_values_of_its_environment(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    create_variable(f, "RELEASE.host", "a.net");
    create_variable(f, "RELEASE.Path", "/Stage/prod");
    create_variable(f, "TEST.host", "b.net");
    create_variable(f, "TEST.Path", "/Stage/test");
    create_api(f, "a", "#host#:8080", "/#Path#");
    const char *answer = publish(f, API);
    ASSERT_HAS(answer, "{\"name\":\"" PATH "\",\"value\":\"/Stage/prod\"},{\"name\":\"" HOST
                       "\",\"value\":\"a.net\"}");
    ASSERT_HAS(answer, "\"unresolvedDefinition\"");
    ASSERT_HAS(publish_into(f, "TEST"), "\"value\":\"b.net\"");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"path\":\"/Stage/prod\"");
    ASSERT_HAS(agents_see(API "@RELEASE"), "a.net");
    ASSERT_HAS(agents_see(API "@TEST"), "\"path\":\"/Stage/test\"");
    ASSERT_HAS(agents_see(API "@TEST"), "b.net");
    ASSERT_HAS(get(f), "#host#:8080"); /* the draft stays as it is */
}

static void test_what_refers_to_nothing_keeps_no_more_than_before(void **state)
{
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    const char *answer = publish(f, API);
    ASSERT_HAS_NOT(answer, "variables");
    ASSERT_HAS_NOT(answer, "unresolvedDefinition");
}

static void test_publish_names_what_is_missing(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    create_variable(f, "RELEASE.host", "a.net");
    create_variable(f, "TEST.port", "80");
    create_api(f, "a", "#host#:#port#", "/#Path#/#host#");
    const char *before = stored();
    refuse_publish(f, "TEST");
    assert_string_equal(f->err.message,
                        "groups/DEFAULT has no value in environments/TEST for #Path#, #host#");
    assert_string_equal(f->err.reason, "VARIABLES_MISSING");
    assert_true(violates(f, "backend.http.address") && violates(f, "backend.http.path"));
    assert_string_equal(f->err.violations[0].rule, "#host#: not in environments/TEST");
    assert_string_equal(f->err.violations[1].rule, "#Path#, #host#: not in environments/TEST");
    refuse_publish(f, "RELEASE");
    ASSERT_HAS(f->err.message, "environments/RELEASE for #Path#, #port#");
    assert_string_equal(stored(), before);
    create_variable(f, "TEST.host", "b.net");
    create_variable(f, "TEST.path", "/x"); /* case-sensitive */
    refuse_publish(f, "TEST");
    ASSERT_HAS(f->err.message, "for #Path#");
    create_variable(f, "TEST.Path", "/x");
    publish_into(f, "TEST");
}

static void test_many_missing_ones_are_all_named(void **state)
{
    struct fixture *f = *state;
    char path[512] = "";
    for (int i = 0; i < 60; i++)
        (void)snprintf(path + strlen(path), sizeof path - strlen(path), "/#v%02d#", i);
    create_api(f, "a", "a.net", path);
    refuse_publish(f, "RELEASE");
    ASSERT_HAS(f->err.message, " and ");
    for (int i = 0; i < 60; i++) {
        bool is_named = false;
        for (unsigned k = 0; k < f->err.violation_count; k++)
            is_named |= strstr(f->err.violations[k].rule, format("#v%02d#", i)) != NULL;
        assert_true(is_named);
    }
}

static void test_publish_refuses_what_does_not_become_good(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *value, *address, *path, *field;
    } cases[] = {
        {"/x", "#bad#", "/", "backend.http.address"},
        {"a:b", "#bad#", "/", "backend.http.address"},
        {"70000", "a.net:#bad#", "/", "backend.http.address"},
        {"1.2.3", "#bad#", "/", "backend.http.address"},
        {"..", "a.net", "/#bad#/x", "backend.http.path"},
        {"/../x", "a.net", "/#bad#", "backend.http.path"},
        {".", "a.net", "/.#bad#", "backend.http.path"},
    };
    create_variable(f, "RELEASE.bad", "x");
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        create_api(f, "a", cases[i].address, cases[i].path);
        set_value(f, "groups/DEFAULT/variables/RELEASE.bad", cases[i].value);
        refuse_publish(f, "RELEASE");
        assert_string_equal(f->err.reason, "VARIABLES_WRONG");
        assert_int_equal(f->err.violation_count, 1);
        assert_string_equal(f->err.violations[0].field, cases[i].field);
        ASSERT_HAS(f->err.message, cases[i].value);
        ASSERT_HAS(f->err.message, "environments/RELEASE");
        ok(f, &cp_api_service, "DeleteApi", "{\"name\": \"" API "\"}");
    }
}

static void test_what_becomes_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    char value[251];
    memset(value, 'x', sizeof value);
    value[250] = '\0';
    create_variable(f, "RELEASE.long", value);
    create_api(f, "a", "a.net", "/#long##long##long#");
    refuse_publish(f, "RELEASE");
    assert_true(violates(f, "backend.http.path"));
    ASSERT_HAS(f->err.message, "at most 512 bytes");
}

static void test_drafts_are_checked_when_they_are_written(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_INVALID_ARGUMENT, &cp_api_service, "CreateApi",
            "{\"parent\": \"groups/DEFAULT\", \"apiId\": \"a\", \"api\": {\"frontend\":"
            " {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/#ab#\"}, \"backend\": {\"http\":"
            " {\"address\": \"#host\", \"path\": \"/#a b#\", \"hostHeader\": \"#host#\"}}}}");
    assert_true(violates(f, "backend.http.address") && violates(f, "backend.http.host_header") &&
                violates(f, "frontend.path"));
}

static void test_a_rollback_brings_the_values_of_then(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a.net");
    create_api(f, "a", "#host#", "/");
    publish(f, API);
    ASSERT_HAS(set_value(f, HOST, "b.net"), "\"staleApis\":[\"" API "\"]");
    ASSERT_HAS(agents_see(API "@RELEASE"), "a.net"); /* frozen */
    publish(f, API);
    ASSERT_HAS(agents_see(API "@RELEASE"), "b.net");
    rollback(f, API "/releases/RELEASE-1");
    ASSERT_HAS(agents_see(API "@RELEASE"), "a.net");
    ASSERT_HAS(get(f), "\"staleVariables\":[\"" HOST "\"]");
    delete_variable(f, HOST);
    refuse_publish(f, "RELEASE");
    rollback(f, API "/releases/RELEASE-2");
    ASSERT_HAS(agents_see(API "@RELEASE"), "b.net");
}

static const char *diff(struct fixture *f, const char *source, const char *target)
{
    return ok(f, &cp_release_service, "DiffReleases",
              format("{\"source\": \"%s\", \"target\": \"%s\"}", source, target));
}

/* A draft has no values: what it says is compared with what was written then. */
static void test_differences_of_drafts_are_not_those_of_values(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a.net");
    create_api(f, "a", "#host#", "/");
    publish(f, API);
    assert_string_equal(diff(f, API "/releases/RELEASE-1", API), "{}");
    set_value(f, HOST, "b.net");
    publish(f, API);
    const char *answer = diff(f, API "/releases/RELEASE-1", API "/releases/RELEASE-2");
    ASSERT_HAS(answer, "a.net");
    ASSERT_HAS(answer, "b.net");
}

/* ---- what becomes stale */

static void test_an_edit_makes_stale_and_a_publish_fresh(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a.net");
    create_variable(f, "RELEASE.unused", "a.net");
    create_api(f, "a", "#host#", "/");
    ASSERT_HAS_NOT(set_value(f, HOST, "c.net"), "staleApis"); /* it is published nowhere */
    publish(f, API);
    ASSERT_HAS_NOT(get(f), "staleVariables");
    ASSERT_HAS_NOT(set_value(f, "groups/DEFAULT/variables/RELEASE.unused", "b.net"), "staleApis");
    ASSERT_HAS(set_value(f, HOST, "b.net"), "\"staleApis\":[\"" API "\"]");
    ASSERT_HAS(get(f), "\"staleVariables\":[\"" HOST "\"]");
    ASSERT_HAS(ok(f, &cp_api_service, "ListApis", "{\"parent\": \"groups/-\"}"),
               "\"staleVariables\":[\"" HOST "\"]");
    ASSERT_HAS(ok(f, &cp_variable_service, "ListVariables", "{\"parent\": \"groups/-\"}"),
               "\"staleApis\":[\"" API "\"]");
    ASSERT_HAS(ok(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}"),
               "\"staleApis\":[\"" API "\"]");
    ASSERT_HAS_NOT(set_value(f, HOST, "c.net"), "staleApis"); /* as it was */
    ASSERT_HAS_NOT(get(f), "staleVariables");
    set_value(f, HOST, "b.net");
    publish(f, API);
    ASSERT_HAS_NOT(get(f), "staleVariables");
}

static void test_only_the_environment_of_the_edit_is_stale(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    create_variable(f, "RELEASE.host", "a.net");
    create_variable(f, "TEST.host", "b.net");
    create_api(f, "a", "#host#", "/");
    publish(f, API);
    publish_into(f, "TEST");
    set_value(f, "groups/DEFAULT/variables/TEST.host", "c.net");
    assert_int_equal(count(get(f), "staleVariables"), 1);
    ASSERT_HAS(get(f), "\"staleVariables\":[\"groups/DEFAULT/variables/TEST.host\"]");
}

static void test_a_deleted_variable_makes_stale(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a.net");
    create_api(f, "a", "#host#", "/");
    publish(f, API);
    delete_variable(f, HOST);
    ASSERT_HAS(get(f), "\"staleVariables\":[\"" HOST "\"]");
    ASSERT_HAS(agents_see(API "@RELEASE"), "a.net");
    create_variable(f, "RELEASE.host", "a.net");
    ASSERT_HAS_NOT(get(f), "staleVariables");
    delete_variable(f, HOST);
    unpublish(f, API); /* what nobody reaches is not stale */
    ASSERT_HAS_NOT(get(f), "staleVariables");
    create_variable(f, "RELEASE.host", "b.net");
    ASSERT_HAS_NOT(ok(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}"),
                   "staleApis");
}

static const char *list_stale(struct fixture *f, const char *more)
{
    return ok(f, &cp_release_service, "ListStaleReleases",
              format("{\"parent\": \"groups/-\"%s}", more));
}

static void test_stale_releases_are_listed(void **state)
{
    struct fixture *f = *state;
    create_environment(f, "TEST");
    create_variable(f, "RELEASE.host", "a.net");
    create_variable(f, "TEST.host", "b.net");
    create_api(f, "a", "#host#", "/");
    create_api(f, "b", "#host#", "/");
    create(f, "c", "GET", "/c");
    publish(f, API);
    publish_into(f, "TEST");
    publish(f, "groups/DEFAULT/apis/b");
    publish(f, "groups/DEFAULT/apis/c");
    assert_string_equal(list_stale(f, ""), "{}");
    set_value(f, HOST, "c.net");
    delete_variable(f, "groups/DEFAULT/variables/TEST.host");
    const char *answer = list_stale(f, "");
    assert_int_equal(count(answer, "\"api\""), 3);
    ASSERT_HAS(answer, "{\"name\":\"" API "/releases/RELEASE-1\",\"api\":\"" API "\","
                       "\"environment\":\"environments/RELEASE\",\"variables\":[{\"name\":\"" HOST
                       "\",\"frozenValue\":\"a.net\",\"currentValue\":\"c.net\"}]}");
    ASSERT_HAS(answer, "TEST.host\",\"frozenValue\":\"b.net\"}"); /* it is gone */
    answer = list_stale(f, ", \"environment\": \"environments/TEST\"");
    assert_int_equal(count(answer, "\"api\""), 1);
    ASSERT_HAS(answer, API "/releases/TEST-1");
    publish(f, API);
    answer = list_stale(f, ", \"environment\": \"environments/RELEASE\"");
    assert_int_equal(count(answer, "\"api\""), 1);
    ASSERT_HAS(answer, "groups/DEFAULT/apis/b\"");
}

/* "" after the last page. */
static void read_next(const char *answer, char token[256])
{
    const char *at = strstr(answer, "nextPageToken\":\"");
    if (!at || sscanf(at, "nextPageToken\":\"%255[^\"]", token) != 1)
        token[0] = '\0';
}

static void test_stale_releases_come_in_pages(void **state)
{
    struct fixture *f = *state;
    char token[256] = "";
    unsigned seen = 0, pages = 0;
    create_variable(f, "RELEASE.host", "a.net");
    for (int i = 0; i < 5; i++) {
        create_api(f, format("a%d", i), "#host#", "/");
        publish(f, format("groups/DEFAULT/apis/a%d", i));
    }
    set_value(f, HOST, "b.net");
    do {
        const char *answer =
            list_stale(f, format(", \"pageSize\": 2, \"pageToken\": \"%s\"", token));
        seen += count(answer, "\"api\"");
        read_next(answer, token);
        pages++;
    } while (*token);
    assert_int_equal(seen, 5);
    assert_int_equal(pages, 3);
    static const char *const bad[] = {"{\"parent\": \"\"}",
                                      "{\"parent\": \"groups/-\", \"pageSize\": -1}",
                                      "{\"parent\": \"groups/-\", \"pageToken\": \"1.x\"}",
                                      "{\"parent\": \"groups/-\", \"environment\": \"RELEASE\"}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        refused(f, GW_INVALID_ARGUMENT, &cp_release_service, "ListStaleReleases", bad[i]);
    refused(f, GW_NOT_FOUND, &cp_release_service, "ListStaleReleases",
            "{\"parent\": \"groups/none\"}");
    survives_the_store(f, &cp_release_service, "ListStaleReleases", "{\"parent\": \"groups/-\"}");
}

/* ---- as many and as long as they may be */

enum { FROZEN = 50 };

static cp_frozen_variable **freeze_many(void)
{
    struct gw_arena *arena = &backstage.arena;
    cp_frozen_variable **all = GW_ARENA_ARRAY(arena, cp_frozen_variable *, FROZEN);
    char *value = gw_arena_bytes(arena, CP_VARIABLE_VALUE_MAX + 1);
    memset(value, 'v', CP_VARIABLE_VALUE_MAX);
    value[CP_VARIABLE_VALUE_MAX] = '\0';
    for (int i = 0; i < FROZEN; i++) {
        all[i] = GW_ARENA_NEW(arena, cp_frozen_variable);
        *all[i] = (cp_frozen_variable)CP_INIT(FROZEN_VARIABLE);
        all[i]->name =
            cp_variable_resource_name(arena, GW_STR("groups/DEFAULT"), "environments/RELEASE",
                                      gw_arena_printf(arena, "v-%d", i));
        all[i]->value = value;
    }
    return all;
}

/* All pages, none of them longer than callers take. Returns how often `item` is in them. */
static unsigned read_all_pages(struct fixture *f, const char *method, const char *parent,
                               const char *item)
{
    char token[256] = "";
    unsigned found = 0;
    do {
        const char *answer =
            ok(f, &cp_release_service, method,
               format("{\"parent\": \"%s\", \"pageSize\": 1000, \"pageToken\": \"%s\"}", parent,
                      token));
        assert_in_range(strlen(answer), 1, 2 * CP_PAGE_BYTES_MAX);
        found += count(answer, item);
        read_next(answer, token);
    } while (*token);
    return found;
}

static void test_pages_of_stale_releases_are_not_too_long(void **state)
{
    enum { APIS = 500 };
    struct fixture *f = *state;
    for (int i = 0; i < APIS; i++) {
        cp_publication publication = CP_INIT(PUBLICATION);
        gw_str api = gw_arena_printf(&backstage.arena, "groups/DEFAULT/apis/a%03d", i);
        publication.name = cp_publication_name(&backstage.arena, api.ptr, "environments/RELEASE");
        publication.release = cp_release_name(&backstage.arena, api.ptr, "environments/RELEASE", 1);
        publication.n_variables = FROZEN;
        publication.variables = freeze_many();
        store_message(CP_KIND_PUBLICATION, &publication.base);
    }
    assert_int_equal(read_all_pages(f, "ListStaleReleases", "groups/-", "\"api\""), APIS);
}

static void test_pages_of_releases_are_not_too_long(void **state)
{
    enum { RELEASES = 500 };
    struct fixture *f = *state;
    create(f, "a", "GET", "/a");
    for (int i = 1; i <= RELEASES; i++) {
        cp_release release = CP_INIT(RELEASE);
        release.name = cp_release_name(&backstage.arena, API, "environments/RELEASE", i);
        release.number = i;
        release.n_variables = FROZEN;
        release.variables = freeze_many();
        store_message(CP_KIND_RELEASE, &release.base);
    }
    assert_int_equal(read_all_pages(f, "ListReleases", API, "\"number\""), RELEASES);
}

/* ---- races, and a store that fails */

static void edit_host(struct fixture *other)
{
    set_value(other, HOST, "b.net");
}

static void drop_host(struct fixture *other)
{
    delete_variable(other, HOST);
}

static void test_a_publish_takes_no_value_that_has_just_changed(void **state)
{
    struct fixture *f = *state;
    create_variable(f, "RELEASE.host", "a.net");
    create_api(f, "a", "#host#", "/");
    backstage.before_txn = edit_host;
    ASSERT_HAS(publish(f, API), "\"value\":\"b.net\"");
    ASSERT_HAS(agents_see(API "@RELEASE"), "b.net");
    ASSERT_HAS_NOT(get(f), "staleVariables");
    backstage.before_txn = drop_host;
    refuse_publish(f, "RELEASE");
    assert_string_equal(f->err.reason, "VARIABLES_MISSING");
    ASSERT_HAS(agents_see(API "@RELEASE"), "\"releaseNumber\":\"1\"");
}

static void test_the_store_fails(void **state)
{
    struct fixture *f = *state;
    create_api(f, "a", "#host#", "/#host#");
    survives_the_store(f, &cp_variable_service, "CreateVariable",
                       "{\"parent\": \"groups/DEFAULT\", \"variableId\": \"RELEASE.host\","
                       " \"variable\": {\"value\": \"a.net\"}}");
    survives_the_store(f, &cp_api_service, "PublishApi", "{\"name\": \"" API "\"}");
    survives_the_store(f, &cp_variable_service, "UpdateVariable",
                       "{\"variable\": {\"name\": \"" HOST "\", \"value\": \"b\"}}");
    survives_the_store(f, &cp_variable_service, "GetVariable", "{\"name\": \"" HOST "\"}");
    survives_the_store(f, &cp_api_service, "GetApi", "{\"name\": \"" API "\"}");
    survives_the_store(f, &cp_variable_service, "ListVariables", "{\"parent\": \"groups/-\"}");
    survives_the_store(f, &cp_variable_service, "DeleteVariable", "{\"name\": \"" HOST "\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_a_release_holds_the_values_of_its_environment),
        STAGED(test_what_refers_to_nothing_keeps_no_more_than_before),
        STAGED(test_publish_names_what_is_missing),
        STAGED(test_many_missing_ones_are_all_named),
        STAGED(test_publish_refuses_what_does_not_become_good),
        STAGED(test_what_becomes_too_long_is_refused),
        STAGED(test_drafts_are_checked_when_they_are_written),
        STAGED(test_a_rollback_brings_the_values_of_then),
        STAGED(test_differences_of_drafts_are_not_those_of_values),
        STAGED(test_an_edit_makes_stale_and_a_publish_fresh),
        STAGED(test_only_the_environment_of_the_edit_is_stale),
        STAGED(test_a_deleted_variable_makes_stale),
        STAGED(test_stale_releases_are_listed),
        STAGED(test_stale_releases_come_in_pages),
        STAGED(test_pages_of_stale_releases_are_not_too_long),
        STAGED(test_pages_of_releases_are_not_too_long),
        STAGED(test_a_publish_takes_no_value_that_has_just_changed),
        STAGED(test_the_store_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
