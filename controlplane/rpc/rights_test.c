/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/rights.h"

#include "common/test.h"

static void patterns_of_actions(void **state)
{
    (void)state;
    assert_true(cp_action_matches("*", "ApiService/GetApi"));
    assert_true(cp_action_matches("ApiService/GetApi", "ApiService/GetApi"));
    assert_true(cp_action_matches("ApiService/*", "ApiService/GetApi"));
    assert_true(cp_action_matches("*/Get*", "ApiService/GetApi"));
    assert_true(cp_action_matches("*/*Api*", "ApiService/PublishApis"));
    assert_true(cp_action_matches("ApiService/G*A*i", "ApiService/GetApi"));
    assert_false(cp_action_matches("ApiService/Get", "ApiService/GetApi"));
    assert_false(cp_action_matches("ApiService/GetApi", "ApiService/GetApis"));
    assert_false(cp_action_matches("Api*", "ApiService/GetApi")); /* "*" takes no "/" */
    assert_false(cp_action_matches("*/Get*", "ApiService/ListApis"));
    assert_false(cp_action_matches("apiservice/*", "ApiService/GetApi"));

    assert_true(cp_action_pattern_is("*"));
    assert_true(cp_action_pattern_is("ApiService/Get*"));
    assert_false(cp_action_pattern_is(""));
    assert_false(cp_action_pattern_is("ApiService"));
    assert_false(cp_action_pattern_is("ApiService/"));
    assert_false(cp_action_pattern_is("a/b/c"));
    assert_false(cp_action_pattern_is("Api.Service/Get"));
    char longer[CP_ACTION_MAX + 2];
    memset(longer, 'a', sizeof(longer));
    longer[1] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_false(cp_action_pattern_is(longer));
}

/* A hundred stars are no reason to think long. */
static void patterns_are_cheap(void **state)
{
    (void)state;
    char pattern[CP_ACTION_MAX + 1], name[2 * CP_ACTION_MAX];
    for (size_t i = 0; i + 2 < sizeof(pattern); i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + sizeof(pattern) - 3, "/b", 3);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(cp_action_matches(pattern, name));
}

static void what_is_inside(void **state)
{
    (void)state;
    assert_true(cp_is_inside("groups/shop", "groups/shop"));
    assert_true(cp_is_inside("groups/shop", "groups/shop/apis/read"));
    assert_false(cp_is_inside("groups/shop", "groups/shop2"));
    assert_false(cp_is_inside("groups/shop", "groups/shop2/apis/read"));
    assert_false(cp_is_inside("groups/shop", "groups/sho"));
    assert_false(cp_is_inside("groups/shop", "groups/-"));
    assert_false(cp_is_inside("groups/shop", "apps/shop"));
    assert_false(cp_is_inside("groups/shop", ""));
}

static const char *const reads[] = {"ApiService/Get*", "ApiService/List*"};
static const char *const publishes[] = {"ApiService/PublishApi*"};
static const char *const shop[] = {"groups/shop"};
static const char *const food[] = {"groups/food", "groups/fruit"};

/* Reads all APIs, publishes those of shop, and operates food and fruit. */
static struct cp_principal make(struct cp_grant *grants)
{
    struct cp_principal principal = {.name = "ann"};
    const struct cp_grant all[] = {
        {.role_name = "reader", .actions = {reads, 2}},
        {.role_name = "publisher", .actions = {publishes, 1}, .limits = {shop, 1}},
        {.role_name = "operator", .role = CP_ROLE_OPERATOR, .limits = {food, 2}},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(all); i++)
        cp_principal_add(&principal, grants, &all[i]);
    return principal;
}

static const char *check(const struct cp_principal *principal, const char *name, enum cp_role role,
                         const char *first, const char *second)
{
    static struct gw_error err;
    err = GW_ERROR_NONE;
    struct cp_action action = {name, role};
    const char *const names[] = {first, second};
    if (cp_check_rights(principal, &action, names, first ? second ? 2 : 1 : 0, &err) == 0)
        return "yes";
    assert_int_equal(err.code, GW_PERMISSION_DENIED);
    return err.message;
}

static void grants_add_up(void **state)
{
    (void)state;
    struct cp_grant grants[3];
    struct cp_principal ann = make(grants);
    assert_int_equal(ann.role, CP_ROLE_NONE);
    assert_string_equal(check(&ann, "ApiService/GetApi", CP_ROLE_VIEWER, "groups/x/apis/a", NULL),
                        "yes");
    assert_string_equal(check(&ann, "ApiService/ListApis", CP_ROLE_VIEWER, NULL, NULL), "yes");
    assert_string_equal(
        check(&ann, "ApiService/PublishApi", CP_ROLE_OPERATOR, "groups/shop/apis/a", NULL), "yes");
    /* One call over what two grants allow. */
    assert_string_equal(check(&ann, "ApiService/PublishApis", CP_ROLE_OPERATOR,
                              "groups/shop/apis/a", "groups/fruit/apis/b"),
                        "yes");
    assert_string_equal(check(&ann, "DomainService/DeleteDomain", CP_ROLE_OPERATOR,
                              "groups/food/domains/a.b", NULL),
                        "yes");
}

static void what_is_outside_is_said(void **state)
{
    (void)state;
    struct cp_grant grants[3];
    struct cp_principal ann = make(grants);
    assert_string_equal(
        check(&ann, "ApiService/PublishApi", CP_ROLE_OPERATOR, "groups/x/apis/a", NULL),
        "ann may ApiService/PublishApi only in groups/shop, groups/food, groups/fruit, not in "
        "groups/x/apis/a");
    /* One foreign name spoils the call. */
    assert_string_equal(check(&ann, "ApiService/UpdateApi", CP_ROLE_OPERATOR, "groups/food/apis/a",
                              "groups/shop/apis/b"),
                        "ann may ApiService/UpdateApi only in groups/food, groups/fruit, not in "
                        "groups/shop/apis/b");
    assert_string_equal(check(&ann, "ChannelService/ListChannels", CP_ROLE_VIEWER, NULL, NULL),
                        "ann may ChannelService/ListChannels only in groups/food, groups/fruit, "
                        "not everywhere");
    assert_string_equal(check(&ann, "CertificateService/DeleteCertificate", CP_ROLE_ADMINISTRATOR,
                              "certificates/a", NULL),
                        "DeleteCertificate needs the role administrator or one with the action "
                        "CertificateService/DeleteCertificate, and ann has none of them");
}

static void a_role_everywhere_is_no_grant(void **state)
{
    (void)state;
    struct cp_grant grants[3];
    struct cp_principal ben = {.name = "ben"};
    const struct cp_grant viewer = {.role_name = "viewer", .role = CP_ROLE_VIEWER};
    const struct cp_grant operates = {
        .role_name = "operator", .role = CP_ROLE_OPERATOR, .limits = {shop, 1}};
    const struct cp_grant administrates = {
        .role_name = "administrator", .role = CP_ROLE_ADMINISTRATOR, .limits = {food, 2}};
    cp_principal_add(&ben, grants, &viewer);
    cp_principal_add(&ben, grants, &operates);
    cp_principal_add(&ben, grants, &administrates);
    assert_int_equal(ben.role, CP_ROLE_VIEWER);
    assert_int_equal(ben.grant_count, 2);
    assert_false(cp_is_administrator(&ben)); /* limits are limits */
    assert_string_equal(check(&ben, "AppService/ListApps", CP_ROLE_VIEWER, NULL, NULL), "yes");
    assert_string_equal(check(&ben, "X/Y", CP_ROLE_ANYBODY, NULL, NULL), "yes");
    struct cp_principal nobody = {.name = "nobody"};
    assert_string_equal(check(&nobody, "X/WhoAmI", CP_ROLE_ANYBODY, NULL, NULL), "yes");
    assert_string_equal(
        check(&nobody, "AppService/ListApps", CP_ROLE_VIEWER, NULL, NULL),
        "ListApps needs the role viewer or one with the action AppService/ListApps, and nobody "
        "has none of them");
    const struct cp_principal ada = {.name = "ada", .role = CP_ROLE_ADMINISTRATOR};
    assert_true(cp_is_administrator(&ada));
}

static void many_limits_are_cut_short(void **state)
{
    (void)state;
    static const char *many[CP_GRANT_LIMITS_MAX];
    for (size_t i = 0; i < GW_ARRAY_LEN(many); i++)
        many[i] = "groups/a-group-with-a-rather-long-name";
    const struct cp_grant grant = {
        .role_name = "viewer", .role = CP_ROLE_VIEWER, .limits = {many, GW_ARRAY_LEN(many)}};
    struct cp_principal principal = {.name = "ann", .grants = &grant, .grant_count = 1};
    const char *message = check(&principal, "X/GetY", CP_ROLE_VIEWER, "groups/b", NULL);
    assert_non_null(strstr(message, ", ..., not in groups/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_of_actions),
        cmocka_unit_test(patterns_are_cheap),
        cmocka_unit_test(what_is_inside),
        cmocka_unit_test(grants_add_up),
        cmocka_unit_test(what_is_outside_is_said),
        cmocka_unit_test(a_role_everywhere_is_no_grant),
        cmocka_unit_test(many_limits_are_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
