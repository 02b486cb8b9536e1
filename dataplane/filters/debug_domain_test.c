/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

#define NOON (gw_msec)1767268800000 /* 2026-01-01T12:00:00Z */

static const struct dp_route routes[2] = {{.group = {"groups/a", 8}}, {.group = {"groups/b", 8}}};

static void init(struct fixture *f)
{
    fixture_init(f, &dp_filter_debug_domain);
    f->compile.limiter = dp_limiter_new(64);
    assert_int_equal(fixture_compile(f, NULL), 0);
    f->x.route = &routes[0];
    f->x.request.via_debug_domain = true;
    gw_clock_fake(0, NOON);
}

static void done(struct fixture *f)
{
    gw_clock_fake_off();
    dp_limiter_free(f->compile.limiter);
    fixture_done(f);
}

static void a_thousand_calls_a_day(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    for (unsigned i = 0; i < 1000; i++) {
        fixture_next(&f);
        assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    }
    gw_clock_fake(0, NOON + 12 * 3600 * 1000 - 1);
    assert_int_equal(fixture_request(&f), DP_REFUSE_DEBUG_QUOTA);
    assert_string_equal(fixture_header(&f, "Retry-After"), "1");
    gw_clock_fake(0, NOON + 12 * 3600 * 1000); /* midnight, UTC */
    fixture_next(&f);
    assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    done(&f);
}

static void each_domain_has_its_own(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    f.x.route = &routes[1];
    assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    f.x.route = &routes[0];
    f.x.request.via_debug_domain = false; /* the group's other domains are not limited */
    assert_int_equal(fixture_request(&f), DP_REFUSAL_NONE);
    done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_calls_a_day),
        cmocka_unit_test(each_domain_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
