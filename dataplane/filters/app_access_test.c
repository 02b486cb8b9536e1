/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

static bool may_call;

bool dp_app_may_call(const struct dp_app *app, const struct dp_route *route)
{
    (void)app;
    (void)route;
    return may_call;
}

static void applies_to_routes_for_apps(void **state)
{
    (void)state;
    Penstock__Agent__V1__Auth auth = PENSTOCK__AGENT__V1__AUTH__INIT;
    Penstock__Agent__V1__Route route = PENSTOCK__AGENT__V1__ROUTE__INIT;
    assert_false(dp_filter_app_access.applies(&route.base));
    route.auth = &auth;
    assert_false(dp_filter_app_access.applies(&route.base));
    auth.app = true;
    assert_true(dp_filter_app_access.applies(&route.base));
}

static void who_may_call(void **state)
{
    (void)state;
    static const struct {
        bool has_app, frozen, authorized;
        enum dp_refusal answer;
    } cases[] = {
        {true, false, true, DP_REFUSAL_NONE},
        {true, false, false, DP_REFUSE_APP_UNAUTHORIZED},
        {true, true, true, DP_REFUSE_APP_FROZEN},
        {true, true, false, DP_REFUSE_APP_FROZEN},
        {false, false, true, DP_REFUSE_APP_UNAUTHORIZED},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct fixture f;
        fixture_init(&f, &dp_filter_app_access);
        struct dp_app app = {.frozen = cases[i].frozen};
        may_call = cases[i].authorized;
        f.x.app = cases[i].has_app ? &app : NULL;
        assert_int_equal(fixture_request(&f), cases[i].answer);
        fixture_done(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_to_routes_for_apps),
        cmocka_unit_test(who_may_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
