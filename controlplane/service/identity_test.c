/* SPDX-License-Identifier: Apache-2.0 */
/* AuthService, and what rights with limits rest on in every method of the API. */
#include "controlplane/rpc/targets.h"
#include "controlplane/service/test_services.h"

static void who_am_i(void **state)
{
    struct fixture *f = *state;
    static const char *const actions[] = {"ApiService/Get*"};
    static const char *const limits[] = {"groups/a", "groups/b"};
    const struct cp_grant grant = {
        .role_name = "reader", .actions = {actions, 1}, .limits = {limits, 2}};
    f->principal = (struct cp_principal){.name = "ann",
                                         .role = CP_ROLE_VIEWER,
                                         .grants = &grant,
                                         .grant_count = 1,
                                         .proof = "bearer token",
                                         .expires_s = 86400};
    assert_string_equal(ok(f, &cp_auth_service, "WhoAmI", "{}"),
                        "{\"principal\":\"ann\",\"proof\":\"bearer token\","
                        "\"expireTime\":\"1970-01-02T00:00:00Z\",\"rights\":["
                        "{\"role\":\"viewer\"},"
                        "{\"role\":\"reader\",\"actions\":[\"ApiService/Get*\"],"
                        "\"limits\":[\"groups/a\",\"groups/b\"]}]}");
    f->principal = (struct cp_principal){.name = "nobody"};
    assert_string_equal(ok(f, &cp_auth_service, "WhoAmI", "{}"), "{\"principal\":\"nobody\"}");
}

/* Who adds a field to a request says in rpc/targets.c what it names. What is listed here is refused
 * to everybody whose rights have limits. */
static void every_request_is_known(void **state)
{
    struct fixture *f = *state;
    static const char *const exceptions[] = {"ListAuditEventsRequest", "ExportAuditEventsRequest",
                                             "ApplyRequest" /* bundle.c asks for each resource */};
    struct cp_methods *methods = cp_methods_new(NULL, &f->services);
    cp_services_add(methods);
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(methods, &count);
    assert_true(count > 100);
    for (size_t i = 0; i < count; i++) {
        const char *field = "";
        bool is_exception = false;
        for (size_t j = 0; j < GW_ARRAY_LEN(exceptions); j++)
            is_exception = is_exception || strcmp(exceptions[j], list[i].request->short_name) == 0;
        if (!cp_targets_are_known(list[i].request, &field) != is_exception)
            fail_msg("%s: does %s name what the call is about? say it in rpc/targets.c",
                     list[i].path, field);
    }
    cp_methods_free(methods);
}

/* ---- lists of which a part may be seen */

static const char *const shops[] = {"groups/shop", "groups/shop3"};

static const char *list_as(struct fixture *f, const struct cp_service *service, const char *method,
                           const char *request, bool *ret_kept)
{
    const struct cp_grant grant = {
        .role_name = "viewer", .role = CP_ROLE_VIEWER, .limits = {shops, 2}};
    const struct cp_principal ann = {.name = "ann", .grants = &grant, .grant_count = 1};
    struct cp_view view = {.principal = &ann, .action = {method, CP_ROLE_VIEWER}};
    f->view = &view;
    const char *answer = ok(f, service, method, request);
    f->view = NULL;
    *ret_kept = view.is_kept;
    return answer;
}

/* The names on all pages, and " |" for each page; whatever keys a token shows must be its own. */
static const char *pages(struct fixture *f, const char *method, const struct cp_service *service,
                         const char *parent, int size)
{
    static char text[2048];
    char token[512] = "", request[1024];
    text[0] = '\0';
    for (int guard = 0; guard < 50; guard++) {
        bool is_kept;
        (void)snprintf(request, sizeof(request), "{%s\"pageSize\":%d,\"pageToken\":\"%s\"}", parent,
                       size, token);
        const char *answer = list_as(f, service, method, request, &is_kept);
        for (const char *at = answer; (at = strstr(at, "\"name\":\"")); at++) {
            char name[128];
            assert_int_equal(sscanf(at, "\"name\":\"%100[^\"]", name), 1);
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", name);
        }
        const char *next = strstr(answer, "nextPageToken");
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "|");
        if (!next)
            return text;
        assert_int_equal(sscanf(next, "nextPageToken\":\"%500[^\"]", token), 1);
    }
    fail_msg("no end: %s", text);
    return text;
}

static void lists_go_from_one_limit_to_the_next(void **state)
{
    struct fixture *f = *state;
    static const char *const groups[] = {"aaa", "shop", "shop1", "shop2", "shop3", "zzz"};
    static const char all[] = "\"parent\":\"groups/-\",";
    char request[512];
    for (size_t i = 0; i < GW_ARRAY_LEN(groups); i++) {
        (void)snprintf(request, sizeof(request), "{\"groupId\":\"%s\"}", groups[i]);
        ok(f, &cp_group_service, "CreateApiGroup", request);
        for (int k = 0; k < 3; k++) {
            (void)snprintf(request, sizeof(request),
                           "{\"parent\":\"groups/%s\",\"variableId\":\"RELEASE.v%d__\","
                           "\"variable\":{\"value\":\"x\"}}",
                           groups[i], k);
            ok(f, &cp_variable_service, "CreateVariable", request);
        }
    }
#define V(group, k) "groups/" group "/variables/RELEASE.v" k "__ "
    assert_string_equal(pages(f, "ListVariables", &cp_variable_service, all, 2),
                        V("shop", "0") V("shop", "1") "|" V("shop", "2")
                            V("shop3", "0") "|" V("shop3", "1") V("shop3", "2") "|");
    assert_string_equal(pages(f, "ListVariables", &cp_variable_service, all, 3),
                        V("shop", "0") V("shop", "1") V("shop", "2") "|" V("shop3", "0")
                            V("shop3", "1") V("shop3", "2") "|");
    assert_string_equal(pages(f, "ListVariables", &cp_variable_service, all, 10),
                        V("shop", "0") V("shop", "1") V("shop", "2") V("shop3", "0") V("shop3", "1")
                            V("shop3", "2") "|");
    assert_string_equal(pages(f, "ListApiGroups", &cp_group_service, "", 10),
                        "groups/shop groups/shop3 |");
    /* Of kinds that no limit is of there is nothing. */
    assert_string_equal(pages(f, "ListChannels", &cp_channel_service, "", 1), "|");
}

static void lists_show_what_may_be_seen(void **state)
{
    struct fixture *f = *state;
    bool is_kept;
    for (int i = 0; i < 8; i++) {
        char request[64];
        (void)snprintf(request, sizeof(request), "{\"groupId\":\"shop%d\"}", i);
        ok(f, &cp_group_service, "CreateApiGroup", request);
    }
    ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"shop\"}");
    const char *answer =
        list_as(f, &cp_group_service, "ListApiGroups", "{\"pageSize\":2}", &is_kept);
    assert_true(is_kept);
    ASSERT_HAS(answer, "\"groups/shop\"");
    ASSERT_HAS(answer, "\"groups/shop3\"");
    ASSERT_HAS_NOT(answer, "shop1");
    ASSERT_HAS_NOT(answer, "DEFAULT");
    /* A page is as full as it can be, and the next one goes on behind it. */
    answer = list_as(f, &cp_group_service, "ListApiGroups", "{\"pageSize\":1}", &is_kept);
    ASSERT_HAS(answer, "\"groups/shop\"");
    ASSERT_HAS_NOT(answer, "\"groups/shop3\"");
    ASSERT_HAS(answer, "nextPageToken");
    /* A method that does not know of it does not say that it does. */
    (void)list_as(f, &cp_release_service, "ListStaleReleases", "{\"parent\":\"groups/-\"}",
                  &is_kept);
    assert_false(is_kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_am_i),
        TEST(every_request_is_known),
        TEST(lists_show_what_may_be_seen),
        TEST(lists_go_from_one_limit_to_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
