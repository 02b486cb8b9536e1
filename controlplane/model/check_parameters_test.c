/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_parameters.h"

#include "common/json.h"
#include "controlplane/model/check_api.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct gw_arena arena;

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

/* GET /{id}/{rest+} with these lists, to a backend with that path. */
static cp_api *api_of(const char *request, const char *backend, const char *path)
{
    ProtobufCMessage *message = NULL;
    struct gw_error err = GW_ERROR_NONE;
    gw_str json = gw_arena_printf(
        &arena,
        "{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/{id}/{rest+}\"}, "
        "\"backend\": {\"http\": {\"address\": \"b\", \"path\": \"%s\"}}, "
        "\"requestParameters\": [%s], \"backendParameters\": [%s]}",
        path, request, backend);
    if (gw_json_parse(&arena, CP_TYPE(api), json, &message, &err))
        fail_msg("%s in %s", err.message, json.ptr);
    cp_api *api = (cp_api *)(void *)message;
    api->name = gw_arena_strdup(&arena, "groups/g/apis/a");
    cp_fill_api(&arena, api);
    return api;
}

static struct gw_error check(const char *request, const char *backend, const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    int result = cp_check_api(api_of(request, backend, path), &err);
    assert_int_equal(result < 0, err.code != GW_OK);
    return err;
}

static void assert_violates(const struct gw_error *err, const char *field, const char *rule)
{
    assert_int_equal(err->code, GW_INVALID_ARGUMENT);
    for (unsigned i = 0; i < err->violation_count; i++)
        if (strcmp(err->violations[i].field, field) == 0 && strstr(err->violations[i].rule, rule))
            return;
    fail_msg("no violation of %s: %s; the first is %s", field, rule, err->message);
}

#define QUERY(more) "{\"name\": \"q\", \"location\": 2, \"type\": 1" more "}"
#define NUMBER(more) "{\"name\": \"q\", \"location\": 2, \"type\": 2" more "}"

/* One request parameter that breaks the rule. */
static void refuses(const char *parameter, const char *field, const char *rule)
{
    struct gw_error err = check(parameter, "", "/");
    assert_violates(&err, gw_arena_printf(&arena, "request_parameters[0].%s", field).ptr, rule);
}

static void takes(const char *parameter)
{
    struct gw_error err = check(parameter, "", "/");
    if (err.code != GW_OK)
        fail_msg("%s: %s", parameter, err.message);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const reserved[] = {"x-apig-mode", "X-Sdk-Date", "X-STAGE"};
    static const char *const bad[] = {
        "", "1a", "a b", "filter[name]", "_a", "a123456789012345678901234567890123"};
    char text[128];
    for (size_t i = 0; i < GW_ARRAY_LEN(reserved); i++) {
        (void)snprintf(text, sizeof text, "{\"name\": \"%s\", \"location\": 2, \"type\": 1}",
                       reserved[i]);
        refuses(text, "name", "gateway's own");
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        (void)snprintf(text, sizeof text, "{\"name\": \"%s\", \"location\": 2, \"type\": 1}",
                       bad[i]);
        refuses(text, "name", "must be 1 to 32");
    }
    takes("{\"name\": \"x-stages\", \"location\": 2, \"type\": 1}");
    takes("{\"name\": \"a_b.c-9\", \"location\": 2, \"type\": 1}");
}

static void test_names_of_headers(void **state)
{
    (void)state;
    refuses("{\"name\": \"authorization\", \"location\": 3, \"type\": 1}", "name", "own");
    refuses("{\"name\": \"X-Auth-Token\", \"location\": 3, \"type\": 1}", "name", "own");
    refuses("{\"name\": \"api_key\", \"location\": 3, \"type\": 1}", "name", "without \"_\"");
    takes("{\"name\": \"Authorization\", \"location\": 2, \"type\": 1}");
    takes("{\"name\": \"X-Request-Source\", \"location\": 3, \"type\": 1}");
}

static void test_parts_of_the_path(void **state)
{
    (void)state;
    refuses("{\"name\": \"other\", \"location\": 1, \"type\": 1}", "name",
            "no parameter of frontend.path");
    refuses("{\"name\": \"ID\", \"location\": 1, \"type\": 1}", "name", "no parameter");
    takes("{\"name\": \"rest\", \"location\": 1, \"type\": 1}");
    const cp_api *api = api_of("{\"name\": \"id\", \"location\": 1, \"type\": 1}", "", "/");
    assert_true(api->request_parameters[0]->required);
}

static void test_each_once_at_a_place(void **state)
{
    (void)state;
    struct gw_error err =
        check(QUERY("") ", {\"name\": \"Q\", \"location\": 2, \"type\": 1}", "", "/");
    assert_violates(&err, "request_parameters[1].name", "twice");
    takes(QUERY("") ", {\"name\": \"Q\", \"location\": 3, \"type\": 1}");
}

static void test_choices(void **state)
{
    (void)state;
    refuses("{\"name\": \"q\", \"type\": 1}", "location", "required");
    refuses("{\"name\": \"q\", \"location\": 2}", "type", "required");
    cp_api *api = api_of(QUERY(""), "", "/");
    api->request_parameters[0]->location = (Penstock__Admin__V1__ParameterLocation)9;
    api->request_parameters[0]->type = (Penstock__Admin__V1__ParameterType)9;
    struct gw_error err = GW_ERROR_NONE;
    cp_check_parameters(api, &err);
    assert_violates(&err, "request_parameters[0].location", "not known");
    assert_violates(&err, "request_parameters[0].type", "not known");
}

static void test_bounds(void **state)
{
    (void)state;
    refuses(QUERY(", \"minNumber\": 1, \"maxNumber\": 2"), "min_number", "only with type NUMBER");
    refuses(QUERY(", \"maxNumber\": 2"), "max_number", "only with type NUMBER");
    refuses(NUMBER(", \"minNumber\": 2, \"maxNumber\": 1"), "max_number", "less than min_number");
    refuses(NUMBER(", \"minNumber\": 2"), "max_number", "less than min_number");
    refuses(NUMBER(", \"maxNumber\": \"Infinity\""), "max_number", "finite");
    refuses(NUMBER(", \"minNumber\": \"NaN\""), "min_number", "finite");
    refuses(NUMBER(", \"minLength\": 1"), "min_length", "only with type STRING");
    refuses(NUMBER(", \"maxLength\": 1"), "max_length", "only with type STRING");
    refuses(QUERY(", \"minLength\": -1"), "min_length", "negative");
    refuses(QUERY(", \"maxLength\": -1"), "max_length", "must be 0");
    refuses(QUERY(", \"minLength\": 3, \"maxLength\": 2"), "max_length", "min_length");
    takes(QUERY(", \"minLength\": 3"));
    takes(NUMBER(", \"minNumber\": -1.5, \"maxNumber\": 1.7976931348623157e308"));
}

static void test_defaults(void **state)
{
    (void)state;
    refuses(NUMBER(", \"defaultValue\": \"many\""), "default_value", "must be a number");
    refuses(NUMBER(", \"defaultValue\": \"0x10\""), "default_value", "must be a number");
    refuses(NUMBER(", \"defaultValue\": \"1e999\""), "default_value", "must be a number");
    refuses(NUMBER(", \"validate\": true, \"maxNumber\": 5, \"defaultValue\": \"6\""),
            "default_value", "within");
    refuses(QUERY(", \"validate\": true, \"maxLength\": 2, \"defaultValue\": \"abc\""),
            "default_value", "within");
    refuses(QUERY(", \"validate\": true, \"enumerations\": [\"a\"], \"defaultValue\": \"b\""),
            "default_value", "one of");
    refuses(QUERY(", \"defaultValue\": \"a\\nb\""), "default_value", "control");
    char text[400];
    (void)snprintf(text, sizeof text, QUERY(", \"defaultValue\": \"%0256d\""), 1);
    refuses(text, "default_value", "at most 255");
    takes(NUMBER(", \"validate\": true, \"maxNumber\": 5, \"defaultValue\": \"-0.5e1\""
                 ", \"minNumber\": -5"));
    takes(QUERY(", \"maxLength\": 2, \"defaultValue\": \"abc\"")); /* nobody looks */
    takes(QUERY(", \"validate\": true, \"maxLength\": 2, \"defaultValue\": \"\\u00e4\\u00f6\""));
}

static void test_enumerations(void **state)
{
    (void)state;
    refuses(QUERY(", \"enumerations\": [\"a\", \"\"]"), "enumerations[1]", "1 to 255");
    refuses(QUERY(", \"enumerations\": [\"a\", \"a\"]"), "enumerations[1]", "twice");
    refuses(NUMBER(", \"enumerations\": [\"1\", \"b\"]"), "enumerations[1]", "number");
    refuses(NUMBER(", \"maxNumber\": 5, \"enumerations\": [\"6\"]"), "enumerations[0]", "within");
    cp_api *api = api_of(QUERY(""), "", "/");
    cp_request_parameter *p = api->request_parameters[0];
    p->n_enumerations = CP_PARAMETER_ENUMERATIONS_MAX + 1;
    p->enumerations = GW_ARENA_ARRAY(&arena, char *, p->n_enumerations);
    for (size_t i = 0; i < p->n_enumerations; i++)
        p->enumerations[i] = (char *)(uintptr_t)gw_arena_printf(&arena, "%030zu", i).ptr;
    struct gw_error err = GW_ERROR_NONE;
    cp_check_parameters(api, &err);
    assert_violates(&err, "request_parameters[0].enumerations", "at most 256");
    p->n_enumerations = 4096 / 30 + 1;
    err = GW_ERROR_NONE;
    cp_check_parameters(api, &err);
    assert_violates(&err, "request_parameters[0].enumerations", "4096 bytes together");
    p->n_enumerations--;
    err = GW_ERROR_NONE;
    cp_check_parameters(api, &err);
    assert_int_equal(err.code, GW_OK);
}

static void test_descriptions(void **state)
{
    (void)state;
    char text[400];
    (void)snprintf(text, sizeof text, QUERY(", \"description\": \"%0256d\""), 1);
    refuses(text, "description", "at most 255");
    (void)snprintf(text, sizeof text,
                   "{\"name\": \"a\", \"location\": 2, \"origin\": 2, \"value\": \"v\", "
                   "\"description\": \"%0256d\"}",
                   1);
    struct gw_error err = check("", text, "/");
    assert_violates(&err, "backend_parameters[0].description", "at most 255");
}

static void test_at_most_fifty(void **state)
{
    (void)state;
    cp_api *api = api_of(QUERY(""),
                         "{\"name\": \"a\", \"location\": 2, \"origin\": 2, "
                         "\"value\": \"v\"}",
                         "/");
    cp_request_parameter **requests = GW_ARENA_ARRAY(&arena, cp_request_parameter *, 51);
    cp_backend_parameter **backends = GW_ARENA_ARRAY(&arena, cp_backend_parameter *, 51);
    for (size_t i = 0; i < 51; i++) {
        requests[i] = GW_ARENA_NEW(&arena, cp_request_parameter);
        backends[i] = GW_ARENA_NEW(&arena, cp_backend_parameter);
        *requests[i] = *api->request_parameters[0];
        *backends[i] = *api->backend_parameters[0];
        requests[i]->name = (char *)(uintptr_t)gw_arena_printf(&arena, "r%zu", i).ptr;
        backends[i]->name = (char *)(uintptr_t)gw_arena_printf(&arena, "b%zu", i).ptr;
    }
    api->request_parameters = requests;
    api->backend_parameters = backends;
    api->n_request_parameters = api->n_backend_parameters = 50;
    struct gw_error err = GW_ERROR_NONE;
    cp_check_parameters(api, &err);
    assert_int_equal(err.code, GW_OK);
    api->n_request_parameters = api->n_backend_parameters = 51;
    cp_check_parameters(api, &err);
    assert_violates(&err, "request_parameters", "at most 50");
    assert_violates(&err, "backend_parameters", "at most 50");
}

/* ---- of the backend ---- */

#define BACKEND(name, location, origin, value)                                                     \
    "{\"name\": \"" name "\", \"location\": " location ", \"origin\": " origin                     \
    ", \"value\": \"" value "\"}"

static void backend_refuses(const char *parameter, const char *field, const char *rule,
                            const char *apig)
{
    struct gw_error err = check(QUERY(""), parameter, "/x-{to}-{id}");
    assert_violates(&err, gw_arena_printf(&arena, "backend_parameters[0].%s", field).ptr, rule);
    assert_string_equal(err.apig, apig);
}

static void test_backend_parameters(void **state)
{
    (void)state;
    static const char to[] = BACKEND("to", "1", "2", "v");
    struct gw_error err = check(QUERY(""), to, "/x-{to}-{id}");
    assert_int_equal(err.code, GW_OK);
    err = check(QUERY(""), "", "/x-{to}-{id}");
    assert_violates(&err, "backend.http.path", "no backend parameter");
    assert_string_equal(err.apig, "APIG.2027");
    err = check(QUERY(""), BACKEND("id", "1", "1", "Q"), ""); /* the path as it came */
    assert_int_equal(err.code, GW_OK);
    err = check(QUERY(""), BACKEND("to", "1", "1", "q"), "");
    assert_violates(&err, "backend_parameters[0].name", "not in the backend's path");
    err = check(QUERY(""), BACKEND("A", "3", "2", "v") ", " BACKEND("a", "3", "2", "v"), "/");
    assert_violates(&err, "backend_parameters[1].name", "twice");
    err = check(QUERY(""), BACKEND("A", "2", "2", "v") ", " BACKEND("a", "2", "2", "v"), "/");
    assert_int_equal(err.code, GW_OK);
}

static void test_backend_rules(void **state)
{
    (void)state;
#define WITH(parameter) parameter ", " BACKEND("to", "1", "2", "v")
    backend_refuses(WITH(BACKEND("X-Stage", "3", "2", "v")), "name", "own", "");
    backend_refuses(WITH(BACKEND("_a", "3", "2", "v")), "name", "1 to 32", "");
    backend_refuses(WITH(BACKEND("Content-Length", "3", "2", "9")), "name", "set by the gateway",
                    "");
    backend_refuses(WITH(BACKEND("host", "3", "2", "v")), "name", "set by the gateway", "");
    backend_refuses(WITH(BACKEND("a", "0", "2", "v")), "location", "required", "");
    backend_refuses(WITH(BACKEND("a", "2", "0", "v")), "origin", "required", "");
    backend_refuses(WITH(BACKEND("a", "2", "2", "")), "value", "1 to 255", "");
    backend_refuses(WITH(BACKEND("a", "2", "2", "a\\r\\nb: c")), "value", "control", "");
    backend_refuses(WITH(BACKEND("a", "2", "1", "nothing")), "value", "no request parameter",
                    "APIG.2028");
    backend_refuses(WITH(BACKEND("a", "2", "3", "$context.providerAppId")), "value", "$context.",
                    "");
    backend_refuses(WITH(BACKEND("a", "2", "3", "sourceIp")), "value", "$context.", "");
    backend_refuses(WITH(BACKEND("a", "2", "3", "$context.authorizer.frontend.user")), "value",
                    "authorizer", "APIG.2036");
#undef WITH
    struct gw_error err =
        check(QUERY(""),
              BACKEND("a", "3", "3", "$context.sourceIp") ", " BACKEND("b", "2", "1", "q"), "/");
    assert_int_equal(err.code, GW_OK);
    err = check(QUERY("") ", {\"name\": \"q\", \"location\": 3, \"type\": 1}",
                BACKEND("b", "2", "1", "q"), "/");
    assert_violates(&err, "backend_parameters[0].value", "name of 2");
}

static void test_mocks_have_none(void **state)
{
    (void)state;
    cp_api *api = api_of("", BACKEND("a", "2", "2", "v"), "/");
    struct gw_error err = GW_ERROR_NONE;
    cp_mock_backend mock = CP_INIT(MOCK_BACKEND);
    api->backend->kind_case = CP_ONEOF(BACKEND, MOCK);
    api->backend->mock = &mock;
    cp_check_parameters(api, &err);
    assert_violates(&err, "backend_parameters", "none with a mock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_names, tear_down),
        cmocka_unit_test_teardown(test_names_of_headers, tear_down),
        cmocka_unit_test_teardown(test_parts_of_the_path, tear_down),
        cmocka_unit_test_teardown(test_each_once_at_a_place, tear_down),
        cmocka_unit_test_teardown(test_choices, tear_down),
        cmocka_unit_test_teardown(test_bounds, tear_down),
        cmocka_unit_test_teardown(test_defaults, tear_down),
        cmocka_unit_test_teardown(test_enumerations, tear_down),
        cmocka_unit_test_teardown(test_descriptions, tear_down),
        cmocka_unit_test_teardown(test_at_most_fifty, tear_down),
        cmocka_unit_test_teardown(test_backend_parameters, tear_down),
        cmocka_unit_test_teardown(test_backend_rules, tear_down),
        cmocka_unit_test_teardown(test_mocks_have_none, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
