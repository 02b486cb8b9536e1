/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_openapi.h"
#include "controlplane/http/json_request.h"

#include "common/json.h"
#include "common/test.h"
#include "penstock/admin/v1/api.pb-c.h"
#include "penstock/admin/v1/api_group.pb-c.h"
#include "penstock/admin/v1/app.pb-c.h"
#include "penstock/admin/v1/release.pb-c.h"
#include "penstock/admin/v1/settings.pb-c.h"
#include "penstock/admin/v1/variable.pb-c.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static struct gw_arena arena;
static struct gw_comments *comments;
static struct cp_json_routes *routes;
static struct gw_rpc_method rows[200];
static size_t row_count;

static int no_handler(void *context, const struct gw_rpc_caller *caller,
                      struct gw_arena *call_arena, const ProtobufCMessage *request,
                      ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)context, (void)caller, (void)call_arena, (void)request, (void)ret_reply;
    return gw_fail(err, GW_INTERNAL, "nobody calls it");
}

static void add_service(const ProtobufCServiceDescriptor *service)
{
    for (unsigned i = 0; i < service->n_methods; i++)
        rows[row_count++] = (struct gw_rpc_method){
            .path = gw_arena_printf(&arena, "/%s/%s", service->name, service->methods[i].name).ptr,
            .request = service->methods[i].input,
            .reply = service->methods[i].output,
            .unary = no_handler};
}

static int setup(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    add_service(&penstock__admin__v1__api_service__descriptor);
    add_service(&penstock__admin__v1__api_group_service__descriptor);
    add_service(&penstock__admin__v1__app_service__descriptor);
    add_service(&penstock__admin__v1__release_service__descriptor);
    add_service(&penstock__admin__v1__settings_service__descriptor);
    add_service(&penstock__admin__v1__variable_service__descriptor);
    rows[row_count++] = (struct gw_rpc_method){.path = "/grpc.health.v1.Health/Check"};
    comments = gw_comments_new(
        gw_str_n((const char *)penstock_documented_set, penstock_documented_set_len));
    routes = cp_json_routes_new(rows, row_count, comments);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cp_json_routes_free(routes);
    gw_comments_free(comments);
    gw_arena_done(&arena);
    return 0;
}

static const struct cp_json_route *find(enum cp_json_verb verb, const char *path,
                                        gw_str *ret_subject)
{
    unsigned allowed;
    return cp_json_route_find(routes, verb, gw_str_from(path), ret_subject, &allowed);
}

static void expect(enum cp_json_verb verb, const char *path, const char *name, const char *subject)
{
    gw_str got = GW_STR_NONE;
    const struct cp_json_route *route = find(verb, path, &got);
    if (!route)
        fail_msg("%s %s: no route", cp_json_verb_name(verb), path);
    if (!gw_str_eq(route->name, gw_str_from(name)) || !gw_str_eq(got, gw_str_from(subject)))
        fail_msg("%s %s: %.*s of \"%.*s\"", cp_json_verb_name(verb), path, GW_STR_ARG(route->name),
                 GW_STR_ARG(got));
}

static void test_standard_methods(void **state)
{
    (void)state;
    expect(CP_JSON_GET, "groups/shop", "GetApiGroup", "groups/shop");
    expect(CP_JSON_GET, "groups", "ListApiGroups", "");
    expect(CP_JSON_GET, "groups/shop/apis/read", "GetApi", "groups/shop/apis/read");
    expect(CP_JSON_GET, "groups/-/apis", "ListApis", "groups/-");
    expect(CP_JSON_POST, "groups/shop/apis", "CreateApi", "groups/shop");
    expect(CP_JSON_PATCH, "groups/shop/apis/read", "UpdateApi", "groups/shop/apis/read");
    expect(CP_JSON_DELETE, "groups/shop/apis/read", "DeleteApi", "groups/shop/apis/read");
    expect(CP_JSON_GET, "groups/a/apis/b/releases/RELEASE-3", "GetRelease",
           "groups/a/apis/b/releases/RELEASE-3");
    expect(CP_JSON_GET, "apps/shop/codes", "ListAppCodes", "apps/shop");
    expect(CP_JSON_POST, "groups/shop/variables", "CreateVariable", "groups/shop");
    expect(CP_JSON_GET, "settings", "GetSettings", "settings");
    expect(CP_JSON_PATCH, "settings", "UpdateSettings", "settings");
}

static void test_methods_of_their_own(void **state)
{
    (void)state;
    expect(CP_JSON_POST, "groups/a/apis/b:publish", "PublishApi", "groups/a/apis/b");
    expect(CP_JSON_POST, "groups/a/apis/b:clone", "CloneApi", "groups/a/apis/b");
    expect(CP_JSON_POST, "groups/a/apis/b/releases/TEST-1:rollback", "RollbackApi",
           "groups/a/apis/b/releases/TEST-1");
    expect(CP_JSON_POST, "groups/a/apis/b/releases/TEST-1:promote", "PromoteApi",
           "groups/a/apis/b/releases/TEST-1");
    expect(CP_JSON_POST, "groups/a/apis:publish", "PublishApis", "groups/a");
    expect(CP_JSON_POST, "groups/-/apis:publish", "PublishApis", "");
    expect(CP_JSON_GET, "groups/-/releases:listStale", "ListStaleReleases", "groups/-");
    expect(CP_JSON_GET, "releases:diff", "DiffReleases", "");
    expect(CP_JSON_POST, "apps/shop:resetSecret", "ResetAppSecret", "apps/shop");
}

static void test_what_is_nowhere(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "group",
                                        "groups/",
                                        "groups//apis",
                                        "groups/a/apis/b/c",
                                        "groups/a/apis/b:",
                                        "groups/a/apis/b:Publish",
                                        "groups/a:publish",
                                        "groups/a/apis/b:publish:publish",
                                        ":publish",
                                        "grpc.health.v1.Health:check"};
    for (size_t i = 0; i < GW_ARRAY_LEN(paths); i++) {
        gw_str subject;
        for (enum cp_json_verb verb = CP_JSON_GET; verb <= CP_JSON_NO_VERB; verb++)
            if (find(verb, paths[i], &subject))
                fail_msg("%s is served", paths[i]);
    }
}

static void test_what_a_path_is_served_for(void **state)
{
    (void)state;
    gw_str subject;
    unsigned allowed;
    assert_null(
        cp_json_route_find(routes, CP_JSON_NO_VERB, GW_STR("groups/a"), &subject, &allowed));
    assert_int_equal(allowed, 1 << CP_JSON_GET | 1 << CP_JSON_PATCH | 1 << CP_JSON_DELETE);
    assert_null(cp_json_route_find(routes, CP_JSON_GET, GW_STR("groups/a/apis/b:publish"), &subject,
                                   &allowed));
    assert_int_equal(allowed, 1 << CP_JSON_POST);
}

/* No two methods on one path, and everything in the package is somewhere. */
static void test_every_method_has_a_path_of_its_own(void **state)
{
    (void)state;
    size_t count;
    const struct cp_json_route *list = cp_json_routes_list(routes, &count);
    assert_int_equal(count, row_count - 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (list[i].verb == list[k].verb && gw_str_eq(list[i].path, list[k].path) &&
                gw_str_eq(list[i].custom, list[k].custom))
                fail_msg("%.*s and %.*s are both at %.*s", GW_STR_ARG(list[i].name),
                         GW_STR_ARG(list[k].name), GW_STR_ARG(list[i].path));
}

/* ---- requests ---- */

/* "a=1&b=2", already decoded. */
static int make(enum cp_json_verb verb, const char *path, const char *query, const char *body,
                ProtobufCMessage **ret_request, struct gw_error *err)
{
    struct cp_json_parameter list[16];
    struct cp_json_input input = {.parameters = list, .body = gw_str_from(body)};
    const struct cp_json_route *route = find(verb, path, &input.subject);
    assert_non_null(route);
    gw_str rest = gw_str_from(query);
    while (rest.len) {
        gw_str value = gw_str_split(&rest, '&');
        list[input.parameter_count].name = gw_str_split(&value, '=');
        list[input.parameter_count++].value = value;
    }
    *err = GW_ERROR_NONE;
    return cp_json_request_make(&arena, route, &input, ret_request, err);
}

static void becomes(enum cp_json_verb verb, const char *path, const char *query, const char *body,
                    const char *json)
{
    struct gw_error err;
    ProtobufCMessage *request = NULL;
    if (make(verb, path, query, body, &request, &err))
        fail_msg("%s?%s: %s", path, query, err.message);
    gw_auto(gw_buf_done) struct gw_buf text = {0};
    gw_json_write(&text, request, GW_JSON_COMPACT);
    assert_int_equal(gw_buf_append(&text, gw_str_n("", 1)), 0);
    assert_string_equal(gw_buf_view(&text).ptr, json);
}

static void is_refused(enum cp_json_verb verb, const char *path, const char *query,
                       const char *body, const char *message)
{
    struct gw_error err;
    ProtobufCMessage *request = NULL;
    assert_int_equal(make(verb, path, query, body, &request, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.message, message);
}

static void test_requests(void **state)
{
    (void)state;
    becomes(CP_JSON_GET, "groups/a", "", "", "{\"name\":\"groups/a\"}");
    becomes(
        CP_JSON_GET, "groups/a/apis", "pageSize=9&page_token=x&tags=t1&tags=t2", "",
        "{\"parent\":\"groups/a\",\"pageSize\":9,\"pageToken\":\"x\",\"tags\":[\"t1\",\"t2\"]}");
    becomes(CP_JSON_POST, "groups", "groupId=a&validateOnly=true", "{\"displayName\":\"The A\"}",
            "{\"groupId\":\"a\",\"group\":{\"displayName\":\"The A\"},\"validateOnly\":true}");
    becomes(CP_JSON_POST, "groups", "groupId=a", "", "{\"groupId\":\"a\"}");
    becomes(CP_JSON_PATCH, "groups/a", "updateMask=displayName,description", "{}",
            "{\"group\":{\"name\":\"groups/a\"},\"updateMask\":\"displayName,description\"}");
    becomes(CP_JSON_PATCH, "groups/a", "", "{\"name\":\"groups/a\"}",
            "{\"group\":{\"name\":\"groups/a\"}}");
    becomes(CP_JSON_DELETE, "groups/a", "etag=\"7\"", "",
            "{\"name\":\"groups/a\",\"etag\":\"\\\"7\\\"\"}");
    becomes(CP_JSON_POST, "groups/a/apis/b:publish", "",
            "{\"environment\":\"environments/TEST\",\"wait\":\"5s\"}",
            "{\"name\":\"groups/a/apis/b\",\"environment\":\"environments/TEST\",\"wait\":\"5s\"}");
    becomes(CP_JSON_POST, "groups/a/apis/b:publish", "environment=environments/TEST&wait=5s", "",
            "{\"name\":\"groups/a/apis/b\",\"environment\":\"environments/TEST\",\"wait\":\"5s\"}");
    becomes(CP_JSON_POST, "groups/-/apis:publish", "", "{\"names\":[\"groups/a/apis/b\"]}",
            "{\"names\":[\"groups/a/apis/b\"]}");
}

static void test_refused_requests(void **state)
{
    (void)state;
    is_refused(CP_JSON_GET, "groups", "nope=1", "", "nope: is no parameter of this method");
    is_refused(CP_JSON_GET, "groups", "pageSize=1&page_size=2", "", "page_size: stands twice");
    is_refused(CP_JSON_GET, "groups", "pageSize=many", "",
               "page_size: must be a whole number of 32 bits");
    is_refused(CP_JSON_GET, "groups", "pageToken=\xff", "",
               "pageToken: must be UTF-8 text without NUL");
    is_refused(CP_JSON_GET, "groups/a", "name=groups/b", "", "name: is what the path says");
    is_refused(CP_JSON_POST, "groups", "group=x", "", "group: is the body");
    is_refused(CP_JSON_POST, "groups", "validateOnly=1", "", "validateOnly: must be true or false");
    is_refused(CP_JSON_POST, "groups", "", "{\"nope\":1}", "nope: is not a field");
    is_refused(CP_JSON_PATCH, "groups/a", "", "{\"name\":\"groups/b\"}",
               "name: is not what the path says, \"groups/a\"");
    is_refused(CP_JSON_POST, "groups/a/apis/b:publish", "", "{\"name\":\"groups/a/apis/c\"}",
               "name: is not what the path says, \"groups/a/apis/b\"");
    is_refused(CP_JSON_POST, "groups/a/apis/b:publish", "wait=5s", "{}",
               "PublishApi takes a body or query parameters, not both");
    is_refused(CP_JSON_GET, "groups/a", "", "{}", "GetApiGroup takes no body");
}

/* ---- the description ---- */

static bool is_api(const struct gw_rpc_method *method)
{
    return strstr(method->path, "DebugApi") == NULL;
}

static void test_the_description_has_what_works(void **state)
{
    (void)state;
    gw_auto(gw_buf_done) struct gw_buf text = {0};
    cp_json_openapi_write(&text, routes, comments, is_api);
    json_t *root = json_loadb(text.data, gw_buf_len(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_t *paths = json_object_get(root, "paths");
    json_t *api = json_object_get(paths, "/v1/groups/{group}/apis/{api}");
    assert_non_null(json_object_get(api, "get"));
    assert_non_null(json_object_get(api, "patch"));
    assert_non_null(json_object_get(api, "delete"));
    assert_non_null(json_object_get(paths, "/v1/groups/{group}/apis/{api}:publish"));
    assert_null(json_object_get(paths, "/v1/groups/{group}/apis/{api}:debug"));
    json_t *schemas = json_object_get(json_object_get(root, "components"), "schemas");
    assert_non_null(json_object_get(schemas, "Api"));
    assert_null(json_object_get(schemas, "DebugApiResponse"));
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_standard_methods),
        cmocka_unit_test(test_methods_of_their_own),
        cmocka_unit_test(test_what_is_nowhere),
        cmocka_unit_test(test_what_a_path_is_served_for),
        cmocka_unit_test(test_every_method_has_a_path_of_its_own),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_the_description_has_what_works),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
