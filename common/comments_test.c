/* SPDX-License-Identifier: Apache-2.0 */
#include "common/comments.h"

#include "common/test.h"

static struct gw_comments *ours(void)
{
    return gw_comments_new(
        gw_str_n((const char *)penstock_documented_set, penstock_documented_set_len));
}

static void expect(const struct gw_comments *comments, const char *name, const char *begin)
{
    gw_str text = gw_comment_of(comments, gw_str_from(name));
    if (!gw_str_has_prefix(text, gw_str_from(begin)))
        fail_msg("%s: \"%.*s\"", name, GW_STR_ARG(text));
    assert_int_equal(text.ptr[text.len], 0);
    assert_null(memchr(text.ptr, '\n', text.len));
}

static void test_everything_that_has_a_comment_has_a_name(void **state)
{
    (void)state;
    struct gw_comments *comments = ours();
    expect(comments, "penstock.admin.v1.ApiGroup.name", "\"groups/{group}\". The id: 1 to 63");
    expect(comments, "penstock.admin.v1.Release", "");
    expect(comments, "penstock.admin.v1.Refusal", "One \"no\", with its reason.");
    expect(comments, "penstock.admin.v1.ApiGroupService", "All methods: viewers may read");
    expect(comments, "penstock.admin.v1.ApiGroupService.DeleteApiGroup",
           "Refused while the group contains APIs: FAILED_PRECONDITION, APIG.3415. Its domains go "
           "with it. The group DEFAULT cannot");
    expect(comments, "penstock.admin.v1.DebugAudience.DEBUG_AUDIENCE_APPS", "The API's own apps");
    gw_comments_free(comments);
}

static void test_what_has_none_is_empty(void **state)
{
    (void)state;
    struct gw_comments *comments = ours();
    assert_int_equal(gw_comment_of(comments, GW_STR("penstock.admin.v1.NoSuchThing")).len, 0);
    assert_int_equal(gw_comment_of(comments, GW_STR("penstock.admin.v1.GetApiRequest.name")).len,
                     0);
    gw_comments_free(comments);
}

static void test_streams_are_known(void **state)
{
    (void)state;
    struct gw_comments *comments = ours();
    assert_true(gw_comments_is_stream(comments, GW_STR("penstock.agent.v1.AgentService.Stream")));
    assert_false(gw_comments_is_stream(comments, GW_STR("penstock.admin.v1.ApiService.GetApi")));
    gw_comments_free(comments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_that_has_a_comment_has_a_name),
        cmocka_unit_test(test_what_has_none_is_empty),
        cmocka_unit_test(test_streams_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
