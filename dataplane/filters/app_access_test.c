/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"
#include "dataplane/snapshot/address_list.h"

static bool may_call;

bool dp_app_may_call(const struct dp_app *app, const struct dp_route *route)
{
    (void)app;
    (void)route;
    return may_call;
}

static const struct dp_address_list *addresses;

const struct dp_address_list *dp_app_addresses(const struct dp_app *app)
{
    (void)app;
    return addresses;
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

static enum dp_refusal from(const char *address, bool permit, bool is_doubtful)
{
    struct fixture f;
    struct gw_error err = GW_ERROR_NONE;
    fixture_init(&f, &dp_filter_app_access);
    char entry[] = "192.0.2.0/24", *entries[] = {entry};
    Penstock__Agent__V1__IpAccess access = PENSTOCK__AGENT__V1__IP_ACCESS__INIT;
    access.permit = permit;
    access.addresses = entries;
    access.n_addresses = 1;
    struct dp_app app = {0};
    assert_int_equal(dp_address_list_compile(&access, &f.x.arena, &addresses, &err), 0);
    may_call = true;
    f.x.app = &app;
    f.x.request.source_is_doubtful = is_doubtful;
    f.x.request.source = (struct dp_address){0};
    if (*address)
        assert_int_equal(dp_address_parse(gw_str_from(address), &f.x.request.source), 0);
    enum dp_refusal answer = fixture_request(&f);
    fixture_done(&f);
    addresses = NULL;
    return answer;
}

static void where_it_may_call_from(void **state)
{
    (void)state;
    assert_int_equal(from("192.0.2.7", true, false), DP_REFUSAL_NONE);
    assert_int_equal(from("192.0.3.7", true, false), DP_REFUSE_APP_ADDRESS);
    assert_int_equal(from("192.0.2.7", false, false), DP_REFUSE_APP_ADDRESS);
    assert_int_equal(from("2001:db8::1", false, false), DP_REFUSAL_NONE);
    assert_int_equal(from("192.0.2.7", true, true), DP_REFUSE_APP_ADDRESS); /* who knows */
    assert_int_equal(from("", false, false), DP_REFUSE_APP_ADDRESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applies_to_routes_for_apps),
        cmocka_unit_test(who_may_call),
        cmocka_unit_test(where_it_may_call_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
