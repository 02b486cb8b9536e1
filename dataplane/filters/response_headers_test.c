/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

typedef Penstock__Agent__V1__HeaderAction header_action;
#define TYPE(name) PENSTOCK__AGENT__V1__HEADER_ACTION_TYPE__HEADER_ACTION_TYPE_##name

static int compile(struct fixture *f, const char *name, const char *value,
                   Penstock__Agent__V1__HeaderActionType type)
{
    header_action action = PENSTOCK__AGENT__V1__HEADER_ACTION__INIT;
    Penstock__Agent__V1__ResponseHeaders source = PENSTOCK__AGENT__V1__RESPONSE_HEADERS__INIT;
    Penstock__Agent__V1__Policy policy = PENSTOCK__AGENT__V1__POLICY__INIT;
    action.name = (char *)(uintptr_t)name;
    action.value = (char *)(uintptr_t)value;
    action.action = type;
    source.headers = (header_action *[]){&action};
    source.n_headers = 1;
    policy.kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_RESPONSE_HEADERS;
    policy.response_headers = &source;
    fixture_init(f, &dp_filter_response_headers);
    return fixture_compile(f, &policy);
}

static void five_actions(void **state)
{
    (void)state;
    static const struct {
        Penstock__Agent__V1__HeaderActionType type;
        const char *absent, *once, *twice; /* what is there after, when that was there before */
    } rows[] = {
        {TYPE(OVERRIDE), "new", "new", "new"},
        {TYPE(APPEND), "new", "v1,new", "v1,v2,new"},
        {TYPE(DELETE), "-", "-", "-"},
        {TYPE(SKIP), "new", "v1", "v1|v2"},
        {TYPE(ADD), "new", "v1|new", "v1|v2|new"},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(rows); i++) {
        const char *expected[] = {rows[i].absent, rows[i].once, rows[i].twice};
        for (unsigned present = 0; present < 3; present++) {
            struct fixture f;
            assert_int_equal(compile(&f, "X-Color", " new ", rows[i].type), 0);
            dp_headers_add(&f.x.response.head.headers, GW_STR("Other"), GW_STR("stays"));
            if (present > 0)
                dp_headers_add(&f.x.response.head.headers, GW_STR("x-color"), GW_STR("v1"));
            if (present > 1)
                dp_headers_add(&f.x.response.head.headers, GW_STR("X-COLOR"), GW_STR("v2"));
            fixture_response(&f);
            assert_string_equal(fixture_header(&f, "x-color"), expected[present]);
            assert_string_equal(fixture_header(&f, "Other"), "stays");
            fixture_done(&f);
        }
    }
}

/* Names that the parser knows by number take another way than those that it does not. */
static void well_known_names(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(compile(&f, "server", "", TYPE(DELETE)), 0);
    dp_headers_add(&f.x.response.head.headers, GW_STR("Server"), GW_STR("nginx"));
    fixture_response(&f);
    assert_string_equal(fixture_header(&f, "Server"), "-");
    fixture_done(&f);
    assert_int_equal(compile(&f, "vary", "Origin", TYPE(APPEND)), 0);
    dp_headers_add(&f.x.response.head.headers, GW_STR("Vary"), GW_STR("Accept"));
    fixture_response(&f);
    assert_string_equal(fixture_header(&f, "Vary"), "Accept,Origin");
    fixture_done(&f);
}

static void cookies_are_never_joined(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(compile(&f, "Set-Cookie", "b=2", TYPE(APPEND)), 0);
    dp_headers_add(&f.x.response.head.headers, GW_STR("Set-Cookie"), GW_STR("a=1"));
    fixture_response(&f);
    assert_string_equal(fixture_header(&f, "Set-Cookie"), "a=1|b=2");
    fixture_done(&f);
}

static void protected_and_broken_headers_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "x-apig-mode",
        "X-Request-ID",
        "access-control-allow-origin",
        "Content-Length",
        "transfer-encoding",
        "Connection",
        "Upgrade",
        "a b",
        "",
        "a:b",
    };
    struct fixture f;
    for (unsigned i = 0; i < GW_ARRAY_LEN(names); i++) {
        assert_int_equal(compile(&f, names[i], "x", TYPE(OVERRIDE)), -1);
        assert_string_equal(f.err.violations[0].field, "response_headers.headers");
        fixture_done(&f);
    }
    assert_int_equal(compile(&f, "X-Color", "red\r\nX-Evil: 1", TYPE(ADD)), -1);
    fixture_done(&f);
    assert_int_equal(compile(&f, "X-Color", "red", TYPE(UNSPECIFIED)), -1);
    fixture_done(&f);
    assert_int_equal(compile(&f, "X-Color", "red", (Penstock__Agent__V1__HeaderActionType)77), -1);
    fixture_done(&f);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    Penstock__Agent__V1__ResponseHeaders source = PENSTOCK__AGENT__V1__RESPONSE_HEADERS__INIT;
    Penstock__Agent__V1__Policy policy = PENSTOCK__AGENT__V1__POLICY__INIT;
    struct fixture f;
    policy.response_headers = &source;
    fixture_init(&f, &dp_filter_response_headers);
    assert_int_equal(fixture_compile(&f, &policy), -1);
    source.n_headers = 11;
    assert_int_equal(fixture_compile(&f, &policy), -1);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_actions),
        cmocka_unit_test(well_known_names),
        cmocka_unit_test(cookies_are_never_joined),
        cmocka_unit_test(protected_and_broken_headers_are_refused),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
