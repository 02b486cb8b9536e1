/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

static Penstock__Agent__V1__MockBackend mock;
static Penstock__Agent__V1__Backend backend;
static Penstock__Agent__V1__Route route;

static void init(struct fixture *f, unsigned status, const char *body)
{
    fixture_init(f, &dp_filter_mock);
    mock = (Penstock__Agent__V1__MockBackend)PENSTOCK__AGENT__V1__MOCK_BACKEND__INIT;
    backend = (Penstock__Agent__V1__Backend)PENSTOCK__AGENT__V1__BACKEND__INIT;
    route = (Penstock__Agent__V1__Route)PENSTOCK__AGENT__V1__ROUTE__INIT;
    mock.status = status;
    mock.body.data = (uint8_t *)(uintptr_t)body;
    mock.body.len = strlen(body);
    backend.kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK;
    backend.mock = &mock;
    route.backend = &backend;
}

static int compile_with_header(struct fixture *f, const char *name, const char *value)
{
    Penstock__Agent__V1__Header header = PENSTOCK__AGENT__V1__HEADER__INIT;
    header.name = (char *)(uintptr_t)name;
    header.value = (char *)(uintptr_t)value;
    mock.headers = (Penstock__Agent__V1__Header *[]){&header};
    mock.n_headers = 1;
    return fixture_compile(f, &route);
}

static void applies_to_mocks_only(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, 200, "");
    assert_true(dp_filter_mock.applies(&route.base));
    backend.kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP;
    assert_false(dp_filter_mock.applies(&route.base));
    route.backend = NULL;
    assert_false(dp_filter_mock.applies(&route.base));
    fixture_done(&f);
}

static void answers_as_defined(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, 203, "{\"a\": 1}");
    assert_int_equal(compile_with_header(&f, "X-Color", " red "), 0);
    assert_int_equal(f.filter->on_request(&f.x, f.conf, f.scratch), DP_REPLY);
    assert_int_equal(f.x.response.refusal, DP_REFUSAL_NONE);
    assert_int_equal(f.x.response.head.status, 203);
    assert_true(gw_str_eq(f.x.response.body, GW_STR("{\"a\": 1}")));
    assert_string_equal(fixture_header(&f, "X-Color"), "red");
    assert_string_equal(fixture_header(&f, "Content-Type"), "application/json");
    fixture_done(&f);
}

static void its_own_content_type_stands(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, 200, "hello");
    assert_int_equal(compile_with_header(&f, "content-type", "text/plain"), 0);
    assert_int_equal(f.filter->on_request(&f.x, f.conf, f.scratch), DP_REPLY);
    assert_string_equal(fixture_header(&f, "Content-Type"), "text/plain");
    fixture_done(&f);
}

static void its_own_server_is_the_only_one(void **state)
{
    (void)state;
    struct fixture f;
    init(&f, 200, "hello");
    assert_int_equal(compile_with_header(&f, "server", "theirs"), 0);
    assert_int_equal(f.filter->on_request(&f.x, f.conf, f.scratch), DP_REPLY);
    assert_string_equal(fixture_header(&f, "Server"), "theirs");
    fixture_done(&f);
}

static void bad_definitions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } bad[] = {
        {"", "x"},
        {"a b", "x"},
        {"a", "x\r\nSet-Cookie: y"},
        {"Content-Length", "3"},
        {"transfer-encoding", "chunked"},
        {"Connection", "close"},
    };
    struct fixture f;
    init(&f, 200, "x");
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(compile_with_header(&f, bad[i].name, bad[i].value), -1);
    assert_int_equal(compile_with_header(&f, "X-Good", "x"), 0);
    mock.n_headers = 11;
    assert_int_equal(fixture_compile(&f, &route), -1);
    mock.n_headers = 0;
    mock.status = 199;
    assert_int_equal(fixture_compile(&f, &route), -1);
    mock.status = 600;
    assert_int_equal(fixture_compile(&f, &route), -1);
    mock.status = 599;
    mock.body.len = 65536;
    assert_int_equal(fixture_compile(&f, &route), -1);
    assert_string_equal(f.err.violations[0].field, "backend.mock.body");
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_to_mocks_only),
        cmocka_unit_test(answers_as_defined),
        cmocka_unit_test(its_own_content_type_stands),
        cmocka_unit_test(its_own_server_is_the_only_one),
        cmocka_unit_test(bad_definitions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
