/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_api.h"

#include "common/json.h"
#include "common/message.h"
#include "common/test.h"
#include "controlplane/model/check_backend.h"
#include "controlplane/model/check_path.h"

#include <stdio.h>

static struct gw_arena arena;

static int set_up(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

/* An API in JSON, its defaults filled in. */
static cp_api *api_of(const char *json)
{
    ProtobufCMessage *message = NULL;
    struct gw_error err = GW_ERROR_NONE;
    if (gw_json_parse(&arena, CP_TYPE(api), gw_str_from(json), &message, &err))
        fail_msg("%s in %s", err.message, json);
    cp_api *api = (cp_api *)(void *)message;
    api->name = gw_arena_strdup(&arena, "groups/g/apis/a");
    cp_fill_api(&arena, api);
    return api;
}

/* An API with these parts; NULL: one that is good. */
static struct gw_error check(const char *frontend, const char *backend, const char *more)
{
    gw_str json =
        gw_arena_printf(&arena, "{\"frontend\": %s, \"backend\": %s%s%s}",
                        frontend ? frontend : "{\"method\": \"HTTP_METHOD_GET\", \"path\": \"/\"}",
                        backend ? backend : "{\"mock\": {}}", more ? ", " : "", more ? more : "");
    struct gw_error err = GW_ERROR_NONE;
    int result = cp_check_api(api_of(json.ptr), &err);
    assert_int_equal(result < 0, err.code != GW_OK);
    return err;
}

static void assert_refused(struct gw_error err, enum gw_code code, const char *field)
{
    assert_int_equal(err.code, code);
    for (unsigned i = 0; i < err.violation_count; i++)
        if (strcmp(err.violations[i].field, field) == 0)
            return;
    fail_msg("no violation of %s, the first is %s", field, err.message);
}

/* ---- defaults ---- */

static void test_defaults_are_written(void **state)
{
    (void)state;
    const cp_api *api = api_of("{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/\"},"
                               " \"backend\": {\"http\": {\"address\": \"b\"}}}");
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_api(api, &err), 0);
    assert_string_equal(api->display_name, "a");
    assert_int_equal(api->frontend->protocol, CP_ENUM(PROTOCOL, HTTPS));
    assert_int_equal(api->frontend->match_mode, CP_ENUM(MATCH_MODE, EXACT));
    assert_int_equal(api->authentication->type, CP_ENUM(AUTH_TYPE, NONE));
    assert_int_equal(api->backend->http->scheme, CP_ENUM(BACKEND_SCHEME, HTTP));
    assert_int_equal(api->backend->http->timeout->seconds, 5);
    assert_int_equal(api_of("{\"backend\": {\"mock\": {}}}")->backend->mock->status, 200);
}

static void test_what_is_set_stays(void **state)
{
    (void)state;
    const cp_api *api =
        api_of("{\"displayName\": \"List orders\", \"frontend\": {\"method\": \"HTTP_METHOD_GET\","
               " \"path\": \"/\", \"protocol\": \"PROTOCOL_BOTH\", \"matchMode\":"
               " \"MATCH_MODE_PREFIX\"}, \"backend\": {\"http\": {\"timeout\": \"0.250s\"}}}");
    assert_string_equal(api->display_name, "List orders");
    assert_int_equal(api->frontend->protocol, CP_ENUM(PROTOCOL, BOTH));
    assert_int_equal(api->frontend->match_mode, CP_ENUM(MATCH_MODE, PREFIX));
    assert_int_equal(api->backend->http->timeout->nanos, 250000000);
}

/* ---- paths ---- */

static bool is_path(const char *path, bool is_prefix)
{
    struct gw_error err = GW_ERROR_NONE;
    return cp_path_check(path, is_prefix, "frontend.path", &err) == 0;
}

static void test_paths(void **state)
{
    (void)state;
    static const char *const good[] = {
        "/",    "/a",      "/a/",         "/a/{x}",     "/a/{x}/b/{y+}", "/{x+}",
        "/a b", "/\u00e4", "/a.b/..c/.d", "/{a-1_b.c}", "/a;v=1",        "/a/{x}/"};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (!is_path(good[i], false))
            fail_msg("%s is refused", good[i]);
    static const char *const bad[] = {
        "",       "a",       "/a//b",  "//",       "/a/../b",     "/..",    "/a/.",  "/.;x/a",
        "/a\\..", "/{x+}/a", "/a{x}",  "/{x}a",    "/{}",         "/{+}",   "/{1x}", "/{x",
        "/x}",    "/{x}{y}", "/{{x}}", "/{x}/{x}", "/{x}/{x+}",   "/a%20b", "/a?b",  "/a#b",
        "/a\nb",  "/a\177",  "/{x y}", "/{x/y}",   "/{x}/{x}/{y}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (is_path(bad[i], false))
            fail_msg("%s is taken", bad[i]);
}

static void test_prefixes(void **state)
{
    (void)state;
    assert_true(is_path("/", true));
    assert_true(is_path("/a/", true));
    assert_true(is_path("/a/{x+}", true));
    assert_false(is_path("/a//", true));
    assert_false(is_path("//", true));
}

static const char *repeat(const char *piece, unsigned times)
{
    gw_str text = GW_STR("");
    for (unsigned i = 0; i < times; i++)
        text = gw_arena_printf(&arena, "%.*s%s", GW_STR_ARG(text), piece);
    return text.ptr;
}

static void test_path_limits(void **state)
{
    (void)state;
    assert_true(is_path(repeat("/aaa", CP_PATH_MAX / 4), false));
    assert_false(
        is_path(gw_arena_printf(&arena, "%sa", repeat("/aaa", CP_PATH_MAX / 4)).ptr, false));
    gw_str path = GW_STR("");
    for (unsigned i = 0; i < CP_PATH_PARAMS_MAX; i++)
        path = gw_arena_printf(&arena, "%.*s/{p%u}", GW_STR_ARG(path), i);
    assert_true(is_path(path.ptr, false));
    assert_false(is_path(gw_arena_printf(&arena, "%s/{q}", path.ptr).ptr, false));
    assert_true(is_path(gw_arena_printf(&arena, "/{%s}", repeat("x", 32)).ptr, false));
    assert_false(is_path(gw_arena_printf(&arena, "/{%s}", repeat("x", 33)).ptr, false));
}

static void assert_same_shape(const char *a, bool a_prefix, const char *b, bool b_prefix, bool same)
{
    bool is_same =
        gw_str_eq(cp_path_shape(&arena, a, a_prefix), cp_path_shape(&arena, b, b_prefix));
    if (is_same != same)
        fail_msg("%s and %s", a, b);
}

static void test_shapes_ignore_names_of_parameters(void **state)
{
    (void)state;
    assert_same_shape("/a/{x}", false, "/a/{y}", false, true);
    assert_same_shape("/a/{x+}", false, "/a/{y+}", false, true);
    assert_same_shape("/a/{x}", false, "/a/{x+}", false, false);
    assert_same_shape("/a", false, "/a/", false, false);
    assert_same_shape("/a", true, "/a/", true, true);
    assert_same_shape("/", true, "/", true, true);
    assert_same_shape("/", true, "/", false, false);
    assert_same_shape("/a", false, "/a", true, false);
    assert_same_shape("/a", false, "/A", false, false);
}

static bool is_backend_path(const char *path, const char *frontend_path)
{
    struct gw_error err = GW_ERROR_NONE;
    const struct cp_inserts inserts = {.frontend_path = frontend_path};
    cp_path_check_backend(path, &inserts, "backend.http.path", &err);
    return err.violation_count == 0;
}

static void test_backend_paths(void **state)
{
    (void)state;
    assert_true(is_backend_path("/v1", "/"));
    assert_true(is_backend_path("/v1-{x}/{y}{x}", "/{x}/{y+}"));
    assert_true(is_backend_path("/{y+}", "/{y+}"));
    assert_true(is_backend_path("/a%20b%2Fc", "/"));
    assert_true(is_backend_path("/%252e%252e", "/"));
    static const char *const bad[] = {"",        "v1",      "/{z}",   "/{",    "/}",      "/}{",
                                      "/{}",     "/a%",     "/a%2",   "/a%zz", "/%00",    "/a/..",
                                      "/%2e",    "/a?b",    "/{x",    "/x}",   "/..%2fa", "/a#",
                                      "/%2E%2e", "/a%5c..", "/{a{x}}"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (is_backend_path(bad[i], "/{x}"))
            fail_msg("%s is taken", bad[i]);
}

/* ---- frontends ---- */

static void test_frontend_is_required(void **state)
{
    (void)state;
    assert_refused(check("null", NULL, NULL), GW_INVALID_ARGUMENT, "frontend");
    assert_refused(check("{\"path\": \"/\"}", NULL, NULL), GW_INVALID_ARGUMENT, "frontend.method");
    assert_refused(check("{\"method\": \"HTTP_METHOD_GET\"}", NULL, NULL), GW_INVALID_ARGUMENT,
                   "frontend.path");
}

static void test_unknown_values_are_refused(void **state)
{
    (void)state;
    cp_api *api = api_of("{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/\"},"
                         " \"backend\": {\"http\": {\"address\": \"b\"}}}");
    api->frontend->method = 9;
    api->frontend->protocol = 5;
    api->frontend->match_mode = 3;
    api->authentication->type = 5;
    api->backend->http->scheme = 3;
    api->backend->http->method = 9;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_api(api, &err), -1);
    assert_int_equal(err.violation_count, 6);
    assert_refused(err, GW_INVALID_ARGUMENT, "frontend.method");
    assert_refused(err, GW_INVALID_ARGUMENT, "backend.http.method");
}

static void test_health_check_is_reserved(void **state)
{
    (void)state;
    assert_refused(
        check("{\"method\": \"HTTP_METHOD_GET\", \"path\": \"/apic/health_check\"}", NULL, NULL),
        GW_INVALID_ARGUMENT, "frontend.path");
    assert_refused(check("{\"method\": \"HTTP_METHOD_GET\", \"path\": \"/apic/health_check/\", "
                         "\"matchMode\": 2}",
                         NULL, NULL),
                   GW_INVALID_ARGUMENT, "frontend.path");
    assert_int_equal(check("{\"method\": 2, \"path\": \"/apic/health_check\"}", NULL, NULL).code,
                     GW_OK);
}

/* ---- authentication ---- */

static void test_authentication(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *field; /* NULL: good */
    } cases[] = {
        {"{\"type\": \"AUTH_TYPE_NONE\"}", NULL},
        {"{\"type\": \"AUTH_TYPE_APP\", \"appCode\": true}", NULL},
        {"{\"type\": \"AUTH_TYPE_APP\", \"appCode\": true, \"appCodeOverHttp\": true}", NULL},
        {"{\"type\": \"AUTH_TYPE_APP\"}", "authentication.app_code"},
        {"{\"appCode\": true}", "authentication.app_code"},
        {"{\"appCodeOverHttp\": true}", "authentication.app_code_over_http"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_str more = gw_arena_printf(&arena, "\"authentication\": %s", cases[i].json);
        struct gw_error err = check(NULL, NULL, more.ptr);
        if (cases[i].field)
            assert_refused(err, GW_INVALID_ARGUMENT, cases[i].field);
        else
            assert_int_equal(err.code, GW_OK);
    }
}

/* ---- backends ---- */

static void test_authorities(void **state)
{
    (void)state;
    static const char *const good[] = {"b",     "b.example.com:8080",  "192.0.2.1", "192.0.2.1:1",
                                       "[::1]", "[2001:db8::1]:65535", "a_b",       "b."};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (!cp_is_authority(gw_str_from(good[i])))
            fail_msg("%s is refused", good[i]);
    static const char *const bad[] = {"",    ":80",     "b:",     "b:0",      "b:65536",
                                      "b:x", "::1",     "[::1",   "[::1]x",   "[b]",
                                      "[]",  "a..b",    ".a",     "http://b", "b/c",
                                      "a b", "b:80:80", "[::1]:", "u@b",      "[192.0.2.1]"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (cp_is_authority(gw_str_from(bad[i])))
            fail_msg("%s is taken", bad[i]);
}

static void test_http_backends(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *field; /* NULL: good */
    } cases[] = {
        {"\"address\": \"b:80\"", NULL},
        {"\"channel\": \"channels/back\"", NULL},
        {"\"channel\": \"back\"", "backend.http.channel"},
        {"\"retryCount\": 1", "backend.http.address"},
        {"\"address\": \"b\", \"channel\": \"channels/back\"", "backend.http.address"},
        {"\"address\": \"b:\"", "backend.http.address"},
        {"\"address\": \"b\", \"hostHeader\": \"a b\"", "backend.http.host_header"},
        {"\"address\": \"b\", \"timeout\": \"600s\"", NULL},
        {"\"address\": \"b\", \"timeout\": \"0.001s\"", NULL},
        {"\"address\": \"b\", \"timeout\": \"0s\"", "backend.http.timeout"},
        {"\"address\": \"b\", \"timeout\": \"600.001s\"", "backend.http.timeout"},
        {"\"address\": \"b\", \"timeout\": \"-1s\"", "backend.http.timeout"},
        {"\"address\": \"b\", \"retryCount\": -1", NULL},
        {"\"address\": \"b\", \"retryCount\": 10", NULL},
        {"\"address\": \"b\", \"retryCount\": 11", "backend.http.retry_count"},
        {"\"address\": \"b\", \"retryCount\": -2", "backend.http.retry_count"},
        {"\"address\": \"b\", \"method\": \"HTTP_METHOD_PUT\"", NULL},
        {"\"address\": \"b\", \"method\": \"HTTP_METHOD_ANY\"", "backend.http.method"},
        {"\"address\": \"b\", \"path\": \"/{x}\"", "backend.http.path"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_str json = gw_arena_printf(&arena, "{\"http\": {%s}}", cases[i].json);
        struct gw_error err = check(NULL, json.ptr, NULL);
        if (cases[i].field)
            assert_refused(err, GW_INVALID_ARGUMENT, cases[i].field);
        else
            assert_int_equal(err.code, GW_OK);
    }
}

static void test_mock_backends(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *field; /* NULL: good */
    } cases[] = {
        {"\"status\": 599", NULL},
        {"\"status\": 199", "backend.mock.status"},
        {"\"status\": 600", "backend.mock.status"},
        {"\"headers\": [{\"name\": \"X-A\", \"value\": \"1\"}]", NULL},
        {"\"headers\": [{\"name\": \"X A\"}]", "backend.mock.headers[0].name"},
        {"\"headers\": [{\"name\": \"\"}]", "backend.mock.headers[0].name"},
        {"\"headers\": [{\"name\": \"Content-length\"}]", "backend.mock.headers[0].name"},
        {"\"headers\": [{\"name\": \"a\", \"value\": \"\\r\\n\"}]",
         "backend.mock.headers[0].value"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_str json = gw_arena_printf(&arena, "{\"mock\": {%s}}", cases[i].json);
        struct gw_error err = check(NULL, json.ptr, NULL);
        if (cases[i].field)
            assert_refused(err, GW_INVALID_ARGUMENT, cases[i].field);
        else
            assert_int_equal(err.code, GW_OK);
    }
}

/* Agents take ten headers, and the builder adds a Content-Type where there is none. */
static void test_mock_headers_leave_room_for_the_type(void **state)
{
    (void)state;
    const char *nine = repeat(", {\"name\": \"a\"}", 9);
    char json[512];
    (void)snprintf(json, sizeof(json), "%s%s]}}",
                   "{\"mock\": {\"headers\": [{\"name\": \"content-TYPE\"}", nine);
    assert_int_equal(check(NULL, json, NULL).code, GW_OK);
    (void)snprintf(json, sizeof(json), "%s%s]}}", "{\"mock\": {\"headers\": [{\"name\": \"b\"}",
                   nine);
    assert_refused(check(NULL, json, NULL), GW_INVALID_ARGUMENT, "backend.mock.headers");
}

static void test_backend_is_required(void **state)
{
    (void)state;
    assert_refused(check(NULL, "null", NULL), GW_INVALID_ARGUMENT, "backend");
    assert_refused(check(NULL, "{}", NULL), GW_INVALID_ARGUMENT, "backend");
}

/* ---- what describes it ---- */

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *field; /* NULL: good */
    } cases[] = {
        {"\"displayName\": \"a\"", NULL}, /* the id */
        {"\"displayName\": \"b\"", "display_name"},
        {"\"displayName\": \"list-orders/v1(x):y\"", NULL},
        {"\"displayName\": \"-abc\"", "display_name"},
        {"\"displayName\": \"a b c\"", "display_name"},
        {"\"version\": \"1234567890123456\"", NULL},
        {"\"version\": \"12345678901234567\"", "version"},
        {"\"tags\": [\"a*-#%.:_\"]", NULL},
        {"\"tags\": [\"a\", \"1a\"]", "tags[1]"},
        {"\"tags\": [\"\"]", "tags[0]"},
        {"\"tags\": [\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]", "tags"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err = check(NULL, NULL, cases[i].json);
        if (cases[i].field)
            assert_refused(err, GW_INVALID_ARGUMENT, cases[i].field);
        else
            assert_int_equal(err.code, GW_OK);
    }
    gw_str description = gw_arena_printf(&arena, "\"description\": \"%s\"", repeat("x", 255));
    assert_int_equal(check(NULL, NULL, description.ptr).code, GW_OK);
    description = gw_arena_printf(&arena, "\"description\": \"%s\"", repeat("x", 256));
    assert_refused(check(NULL, NULL, description.ptr), GW_INVALID_ARGUMENT, "description");
}

static void test_all_violations_are_told(void **state)
{
    (void)state;
    struct gw_error err =
        check("{\"method\": \"HTTP_METHOD_GET\", \"path\": \"x\"}", "{\"mock\": {\"status\": 1}}",
              "\"version\": \"12345678901234567\", \"cors\": true");
    assert_int_equal(err.violation_count, 4);
    assert_refused(err, GW_INVALID_ARGUMENT, "cors");
    assert_refused(err, GW_INVALID_ARGUMENT, "version");
    assert_refused(err, GW_INVALID_ARGUMENT, "frontend.path");
    assert_refused(err, GW_INVALID_ARGUMENT, "backend.mock.status");
}

/* ---- what is not there yet ---- */

static void test_fields_without_behaviour_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *more, *backend, *field;
    } cases[] = {
        {"\"cors\": true", NULL, "cors"},
        {"\"gatewayResponse\": \"groups/g/gatewayResponses/r\"", NULL, "gateway_response"},
        {"\"backendRules\": [{}]", NULL, "backend_rules"},
        {"\"authentication\": {\"type\": \"AUTH_TYPE_ACCOUNT\"}", NULL, "authentication.type"},
        {"\"authentication\": {\"type\": \"AUTH_TYPE_AUTHORIZER\"}", NULL, "authentication.type"},
        {"\"authentication\": {\"authorizer\": \"x\"}", NULL, "authentication.authorizer"},
        {NULL, "{\"function\": {}}", "backend.function"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_refused(check(NULL, cases[i].backend, cases[i].more), GW_UNIMPLEMENTED,
                       cases[i].field);
}

/* ---- gRPC ---- */

#define GRPC(more) "{\"protocol\": \"PROTOCOL_GRPCS\", " more "}"
#define GRPC_BACKEND "{\"grpc\": {\"address\": \"b:50051\"}}"

static void assert_grpc_path(const char *path, const char *mode, bool is_good)
{
    gw_str frontend = gw_arena_printf(
        &arena, GRPC("\"path\": \"%s\", \"matchMode\": \"MATCH_MODE_%s\""), path, mode);
    struct gw_error err = check(frontend.ptr, GRPC_BACKEND, NULL);
    if ((err.code == GW_OK) != is_good)
        fail_msg("%s %s: %s", path, mode, err.message);
}

static void test_grpc_paths_name_services_and_methods(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "/a b",          "/{service}",  "/s/{method}",
                                      "/s/m/more", "/s/",           "/.Service/m", "//m",
                                      "/1s/m",     "shop.Orders/m", "/s/m.n",      "/a..b/m"};
    assert_grpc_path("/", "PREFIX", true);
    assert_grpc_path("/shop.v1.Orders", "PREFIX", true);
    assert_grpc_path("/shop.v1.Orders/List", "EXACT", true);
    assert_grpc_path("/shop.v1.Orders/List", "PREFIX", true);
    assert_grpc_path("/Orders/list_all", "EXACT", true);
    assert_grpc_path("/", "EXACT", false);
    assert_grpc_path("/shop.v1.Orders", "EXACT", false);
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_grpc_path(bad[i], "PREFIX", false);
}

static void test_grpc_defaults_follow_the_path(void **state)
{
    (void)state;
    cp_api *api =
        api_of("{\"frontend\": " GRPC("\"path\": \"/s.S/m\"") ", \"backend\": " GRPC_BACKEND "}");
    assert_int_equal(api->frontend->match_mode, CP_ENUM(MATCH_MODE, EXACT));
    assert_int_equal(api->frontend->method, CP_ENUM(HTTP_METHOD, POST));
    assert_int_equal(api->backend->grpc->scheme, CP_ENUM(BACKEND_SCHEME, HTTP));
    assert_int_equal(api->backend->grpc->timeout->seconds, 60);
    api = api_of("{\"frontend\": " GRPC("\"path\": \"/s.S\"") ", \"backend\": " GRPC_BACKEND "}");
    assert_int_equal(api->frontend->match_mode, CP_ENUM(MATCH_MODE, PREFIX));
}

static void test_grpc_frontend_and_backend_go_together(void **state)
{
    (void)state;
    static const char good[] = GRPC("\"path\": \"/s.S\"");
    assert_int_equal(check(good, GRPC_BACKEND, NULL).code, GW_OK);
    assert_int_equal(check("{\"protocol\": \"PROTOCOL_GRPC_BOTH\", \"path\": \"/\"}", GRPC_BACKEND,
                           "\"authentication\": {\"type\": \"AUTH_TYPE_APP\", \"appCode\": true}")
                         .code,
                     GW_OK);
    assert_refused(check(good, "{\"mock\": {}}", NULL), GW_INVALID_ARGUMENT, "backend");
    assert_refused(check(good, "{\"http\": {\"address\": \"b\"}}", NULL), GW_INVALID_ARGUMENT,
                   "backend");
    assert_refused(check(NULL, GRPC_BACKEND, NULL), GW_INVALID_ARGUMENT, "frontend.protocol");
    assert_refused(
        check(GRPC("\"path\": \"/s.S\", \"method\": \"HTTP_METHOD_GET\""), GRPC_BACKEND, NULL),
        GW_INVALID_ARGUMENT, "frontend.method");
    assert_refused(
        check(good, GRPC_BACKEND,
              "\"backendParameters\": [{\"name\": \"x\", \"location\": 2, \"origin\": 2}]"),
        GW_INVALID_ARGUMENT, "backend_parameters");
    assert_refused(check(good, "{\"grpc\": {}}", NULL), GW_INVALID_ARGUMENT,
                   "backend.grpc.address");
    assert_refused(check(good, "{\"grpc\": {\"address\": \"b\", \"timeout\": \"601s\"}}", NULL),
                   GW_INVALID_ARGUMENT, "backend.grpc.timeout");
}

static void test_certificates_go_with_https(void **state)
{
    (void)state;
    const char *tls = "\"scheme\": \"BACKEND_SCHEME_HTTPS\", \"address\": \"b\", \"certificate\"";
    gw_str good = gw_arena_printf(&arena, "{\"http\": {%s: \"certificates/client\"}}", tls);
    gw_str bad = gw_arena_printf(&arena, "{\"http\": {%s: \"client\"}}", tls);
    assert_int_equal(check(NULL, good.ptr, NULL).code, GW_OK);
    assert_refused(check(NULL, bad.ptr, NULL), GW_INVALID_ARGUMENT, "backend.http.certificate");
    assert_refused(
        check(NULL, "{\"http\": {\"address\": \"b\", \"certificate\": \"certificates/client\"}}",
              NULL),
        GW_INVALID_ARGUMENT, "backend.http.certificate");
    assert_refused(
        check(GRPC("\"path\": \"/\""),
              "{\"grpc\": {\"address\": \"b\", \"certificate\": \"certificates/client\"}}", NULL),
        GW_INVALID_ARGUMENT, "backend.grpc.certificate");
    cp_api *api = api_of("{\"backend\": {\"http\": {\"address\": \"b\"}}}");
    struct gw_error err = GW_ERROR_NONE;
    api->backend->http->protocol = (Penstock__Admin__V1__BackendProtocol)7;
    cp_check_backend(api->backend, NULL, &err);
    assert_refused(err, GW_INVALID_ARGUMENT, "backend.http.protocol");
}

static void test_parameters_stay_in_drafts(void **state)
{
    (void)state;
    cp_api *api =
        api_of("{\"frontend\": {\"method\": \"HTTP_METHOD_GET\", \"path\": \"/\"}, \"backend\":"
               " {\"mock\": {}}, \"requestParameters\": [{\"name\": \"id\","
               " \"location\": 2, \"type\": 1}]}");
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_check_api(api, &err), 0);
    assert_int_equal(cp_check_api_publishable(api, &err), -1);
    assert_refused(err, GW_UNIMPLEMENTED, "request_parameters");
    assert_non_null(strstr(err.message, "\"id\""));
    api->n_request_parameters = 0;
    err = GW_ERROR_NONE;
    assert_int_equal(cp_check_api_publishable(api, &err), 0);
}

static void test_parameters_are_checked(void **state)
{
    (void)state;
    assert_refused(check(NULL, NULL, "\"requestParameters\": [{\"location\": 2, \"type\": 1}]"),
                   GW_INVALID_ARGUMENT, "request_parameters[0].name");
    assert_refused(check(NULL, NULL, "\"requestParameters\": [{\"name\": \"a\", \"type\": 1}]"),
                   GW_INVALID_ARGUMENT, "request_parameters[0].location");
    assert_refused(check(NULL, NULL, "\"requestParameters\": [{\"name\": \"a\", \"location\": 1}]"),
                   GW_INVALID_ARGUMENT, "request_parameters[0].type");
    assert_refused(check(NULL, NULL, "\"backendParameters\": [{\"name\": \"a\", \"location\": 1}]"),
                   GW_INVALID_ARGUMENT, "backend_parameters[0].origin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults_are_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_set_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prefixes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_path_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shapes_ignore_names_of_parameters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_backend_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frontend_is_required, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_values_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_health_check_is_reserved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_authentication, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_authorities, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_http_backends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mock_backends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mock_headers_leave_room_for_the_type, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_backend_is_required, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_violations_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grpc_paths_name_services_and_methods, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_grpc_defaults_follow_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_grpc_frontend_and_backend_go_together, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_certificates_go_with_https, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields_without_behaviour_are_refused_by_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_parameters_stay_in_drafts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parameters_are_checked, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
