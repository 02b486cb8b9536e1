/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/agent_ids.h"

#include "common/test.h"

static bool fits(const char *pattern, const char *id)
{
    return cp_agent_pattern_fits(gw_str_from(pattern), gw_str_from(id));
}

static void test_ids(void **state)
{
    (void)state;
    char longest[CP_AGENT_ID_MAX + 2] = {0};
    memset(longest, 'a', CP_AGENT_ID_MAX);
    assert_true(cp_agent_id_is(GW_STR("Edge-1.a_b")));
    assert_true(cp_agent_id_is(gw_str_from(longest)));
    longest[CP_AGENT_ID_MAX] = 'a';
    assert_false(cp_agent_id_is(gw_str_from(longest)));
    assert_false(cp_agent_id_is(GW_STR("")));
    assert_false(cp_agent_id_is(GW_STR("a/b")));
    assert_false(cp_agent_id_is(GW_STR("a*")));
    assert_false(cp_agent_id_is(gw_str_n("a\0b", 3)));
}

static void test_patterns(void **state)
{
    (void)state;
    assert_true(cp_agent_pattern_is(GW_STR("edge-1")));
    assert_true(cp_agent_pattern_is(GW_STR("edge-*")));
    assert_true(cp_agent_pattern_is(GW_STR("*")));
    assert_false(cp_agent_pattern_is(GW_STR("*-1")));
    assert_false(cp_agent_pattern_is(GW_STR("")));
    assert_true(fits("edge-1", "edge-1"));
    assert_false(fits("edge-1", "edge-10"));
    assert_true(fits("edge-*", "edge-10"));
    assert_true(fits("edge-*", "edge-"));
    assert_false(fits("edge-*", "hub-1"));
    assert_false(fits("edge-*", "edge-/"));
    assert_true(fits("*", "hub"));
    assert_false(fits("*", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
