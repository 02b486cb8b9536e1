/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/variables.h"

#include "controlplane/model/check_api.h"
#include "controlplane/model/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TEXT(text) ((char *)(uintptr_t)(text))
#define V30 "abcdefghijklmnopqrstuvwxyzabcd"

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"abc", "A-b", "a_1", V30 "ef", "a--", "Z9_"};
    static const char *const bad[] = {"",    "ab",   "1bc",        "-bc",     "_bc", "a.c",
                                      "a#c", "a bc", "ab\303\244", V30 "efg", "ab/", "ab:"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (!cp_variable_name_is(gw_str_from(good[i])))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (cp_variable_name_is(gw_str_from(bad[i])))
            fail_msg("%s is taken", bad[i]);
}

/* The only violation, "" when there is none. */
static const char *field_of(const cp_variable *variable)
{
    static struct gw_error err;
    err = GW_ERROR_NONE;
    int result = cp_check_variable(variable, &err);
    assert_int_equal(result, err.violation_count > 0 ? -1 : 0);
    assert_true(err.violation_count <= 1);
    return err.violation_count ? err.violations[0].field : "";
}

static void test_values(void **state)
{
    (void)state;
    char longest[257];
    cp_variable variable = CP_INIT(VARIABLE);
    memset(longest, 'v', sizeof longest);
    static const char *const good[] = {"a", "10.0.0.1:8080", "/Stage/test", "_-/.:", "Z9"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++) {
        variable.value = TEXT(good[i]);
        assert_string_equal(field_of(&variable), "");
    }
    static const char *const bad[] = {"",    "a b", "a?b", "#a#",   "{x}",  "a%20", "\303\244",
                                      "a\n", "a@b", "a=b", "[::1]", "a\\b", "a,b",  "a~b"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        variable.value = TEXT(bad[i]);
        assert_string_equal(field_of(&variable), "value");
    }
    longest[255] = '\0';
    variable.value = longest;
    assert_string_equal(field_of(&variable), "");
    longest[255] = 'v';
    longest[256] = '\0';
    assert_string_equal(field_of(&variable), "value");
}

static void test_what_else_a_variable_says(void **state)
{
    (void)state;
    char text[258];
    cp_variable variable = CP_INIT(VARIABLE);
    variable.value = TEXT("v");
    memset(text, 'x', sizeof text);
    text[256] = '\0';
    variable.description = text;
    assert_string_equal(field_of(&variable), "description");
    variable.description = TEXT("");
    variable.display_name = text;
    assert_string_equal(field_of(&variable), "display_name");
    variable.display_name = TEXT("");
    variable.environment = TEXT("environments/x");
    assert_string_equal(field_of(&variable), "environment");
    variable.environment = TEXT("environments/TEST");
    variable.variable = TEXT("a.b");
    assert_string_equal(field_of(&variable), "variable");
}

static void test_the_name_says_the_environment_and_the_variable(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    cp_variable variable = CP_INIT(VARIABLE);
    variable.value = TEXT("v");
    variable.name = TEXT("groups/g/variables/TEST-1.the-host");
    assert_string_equal(field_of(&variable), "");
    cp_fill_variable(&arena, &variable);
    assert_string_equal(variable.environment, "environments/TEST-1");
    assert_string_equal(variable.variable, "the-host");
    assert_string_equal(field_of(&variable), "");
    variable.environment = TEXT("environments/TEST-2");
    assert_string_equal(field_of(&variable), "environment");
    variable.environment = TEXT("TEST-1");
    assert_string_equal(field_of(&variable), "environment");
    variable.environment = TEXT("environments/TEST-1");
    variable.variable = TEXT("The-host"); /* case-sensitive */
    assert_string_equal(field_of(&variable), "variable");
    gw_arena_done(&arena);
}

/* ---- names of resources */

static void test_ids(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "groups/g/variables/TEST-host",  "groups/g/variables/TEST.ab",
        "groups/g/variables/TE.host",    "groups/g/variables/.host",
        "groups/g/variables/TEST.",      "groups/g/variables/TEST.a.bc",
        "groups/g/variables/TEST.1host", "groups/g/variables/host"};
    struct gw_arena arena = {0};
    gw_str name;
    assert_true(cp_name_is(CP_KIND_VARIABLE, "groups/g/variables/TEST.host"));
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (cp_name_is(CP_KIND_VARIABLE, bad[i]))
            fail_msg("%s is taken", bad[i]);
    gw_str key = cp_key_of(&arena, CP_KIND_VARIABLE, "groups/g/variables/TEST.host");
    assert_string_equal(key.ptr, "/penstock/v1/variables/g/TEST.host");
    assert_ptr_equal(cp_key_parse(&arena, key, &name), cp_kind_get(CP_KIND_VARIABLE));
    assert_string_equal(name.ptr, "groups/g/variables/TEST.host");
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_id_check(CP_KIND_VARIABLE, "host", "variable_id", &err), -1);
    assert_non_null(strstr(err.violations[0].rule, "{environment}.{variable}"));
    gw_arena_done(&arena);
}

/* ---- references */

static void test_references_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"", "/a", "/#abc#", "#abc##def#", "x#abc#y", "#abc#:#def#"};
    static const char *const bad[] = {"#",       "##",    "/#abc", "#abc#def#",
                                      "#ab#",    "#a b#", "#1bc#", "a#" V30 "efg#",
                                      "###abc#", "#a.c#", "#{x}#", "/#abc#/##"};
    struct gw_error err;
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++) {
        err = GW_ERROR_NONE;
        if (cp_check_references(good[i], "f", &err) < 0)
            fail_msg("%s: %s", good[i], err.message);
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        err = GW_ERROR_NONE;
        if (cp_check_references(bad[i], "f", &err) == 0)
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(err.violation_count, 1);
        assert_string_equal(err.violations[0].field, "f");
    }
}

static const char *value(void *arg, gw_str variable)
{
    static const struct {
        const char *name, *value;
    } values[] = {{"Path", "/Stage/test"}, {"host", "10.0.0.1"}, {"port", "8080"},
                  {"slash", "/"},          {"both", "/a/"},      {"plain", "v1"},
                  {"double", "a//b"},      {"Host", "other.net"}};
    (*(unsigned *)arg)++;
    for (size_t i = 0; i < GW_ARRAY_LEN(values); i++)
        if (gw_str_eq(variable, gw_str_from(values[i].name)))
            return values[i].value;
    return NULL;
}

static void test_values_are_put_in(void **state)
{
    (void)state;
    static const struct {
        bool is_path;
        const char *text, *result;
    } cases[] = {
        {true, "/#Path#", "/Stage/test"}, /* the catalogue's example */
        {true, "/a/#Path#/b", "/a/Stage/test/b"},
        {true, "/#both#/b", "/a/b"},
        {true, "/#slash#/b", "/b"},
        {true, "/#slash##slash#", "/"},
        {true, "/#both##both#", "/a/a/"},
        {true, "/x#plain#y/{p}", "/xv1y/{p}"},
        {true, "/#plain##plain#", "/v1v1"},
        {true, "/a//#plain#//b", "/a//v1//b"}, /* only where a value meets a slash */
        {true, "/#double#", "/a//b"},
        {true, "/", "/"},
        {true, "", ""},
        {false, "#host#:#port#", "10.0.0.1:8080"},
        {false, "#Host#", "other.net"},
        {false, "a#both##both#", "a/a//a/"},
    };
    struct gw_arena arena = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        unsigned asked = 0;
        assert_string_equal(
            cp_references_resolve(&arena, cases[i].text, cases[i].is_path, value, &asked),
            cases[i].result);
        unsigned marks = 0;
        for (const char *c = cases[i].text; *c; c++)
            marks += *c == '#';
        assert_int_equal(asked, marks / 2);
    }
    gw_arena_done(&arena);
}

/* ---- where they may stand */

static const char *api_field(cp_http_backend *http, cp_grpc_backend *grpc)
{
    static struct gw_error err;
    cp_api api = CP_INIT(API);
    cp_frontend frontend = CP_INIT(FRONTEND);
    cp_backend backend = CP_INIT(BACKEND);
    err = GW_ERROR_NONE;
    api.frontend = &frontend;
    api.backend = &backend;
    frontend.method = CP_ENUM(HTTP_METHOD, GET);
    frontend.path = TEXT("/{x}");
    backend.kind_case = http ? CP_ONEOF(BACKEND, HTTP) : CP_ONEOF(BACKEND, GRPC);
    if (http)
        backend.http = http;
    else
        backend.grpc = grpc;
    if (grpc) {
        frontend.protocol = CP_ENUM(PROTOCOL, GRPC);
        frontend.method = CP_ENUM(HTTP_METHOD, POST);
        frontend.path = TEXT("/");
    }
    int result = cp_check_api(&api, &err);
    assert_int_equal(result, err.violation_count > 0 ? -1 : 0);
    assert_true(err.violation_count <= 1);
    return err.violation_count ? err.violations[0].field : "";
}

static void test_addresses_and_paths_may_refer(void **state)
{
    (void)state;
    cp_http_backend http = CP_INIT(HTTP_BACKEND);
    cp_grpc_backend grpc = CP_INIT(GRPC_BACKEND);
    static const char *const good[] = {"#host#", "#host#:#port#", "#abc##def#", "api.#zone#:80",
                                       "[#abc#]:80"};
    static const char *const bad[] = {"#host",     "http://#host#", "#host#/a", "#ab#",
                                      "a b#host#", "#host#@x",      "##"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++) {
        http.address = grpc.address = TEXT(good[i]);
        assert_string_equal(api_field(&http, NULL), "");
        assert_string_equal(api_field(NULL, &grpc), "");
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        http.address = grpc.address = TEXT(bad[i]);
        assert_string_equal(api_field(&http, NULL), "backend.http.address");
        assert_string_equal(api_field(NULL, &grpc), "backend.grpc.address");
    }
    http.address = TEXT("#host#");
    http.path = TEXT("/#Path#/{x}/v-#abc##def#");
    assert_string_equal(api_field(&http, NULL), "");
    static const char *const paths[] = {"/#Path",   "#Path#",   "/##",      "/#ab#",
                                        "/{#abc#}", "/%2#abc#", "/../#abc#"};
    for (size_t i = 0; i < GW_ARRAY_LEN(paths); i++) {
        http.path = TEXT(paths[i]);
        assert_string_equal(api_field(&http, NULL), "backend.http.path");
    }
}

static void test_nothing_else_may_refer(void **state)
{
    (void)state;
    cp_http_backend http = CP_INIT(HTTP_BACKEND);
    http.address = TEXT("#host#");
    http.host_header = TEXT("#host#");
    assert_string_equal(api_field(&http, NULL), "backend.http.host_header");
    http = (cp_http_backend)CP_INIT(HTTP_BACKEND);
    http.channel = TEXT("channels/#host#");
    assert_string_equal(api_field(&http, NULL), "backend.http.channel");
}

static void test_an_address_is_bounded_before_and_after(void **state)
{
    (void)state;
    char text[300];
    cp_http_backend http = CP_INIT(HTTP_BACKEND);
    memset(text, 'a', sizeof text);
    memcpy(text, "#host#", 6);
    text[256] = '\0';
    http.address = text;
    assert_string_equal(api_field(&http, NULL), "backend.http.address");
    text[255] = '\0';
    assert_string_equal(api_field(&http, NULL), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_else_a_variable_says),
        cmocka_unit_test(test_the_name_says_the_environment_and_the_variable),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_references_are_checked),
        cmocka_unit_test(test_values_are_put_in),
        cmocka_unit_test(test_addresses_and_paths_may_refer),
        cmocka_unit_test(test_nothing_else_may_refer),
        cmocka_unit_test(test_an_address_is_bounded_before_and_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
