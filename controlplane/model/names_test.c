/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/names.h"

#include "common/test.h"
#include <setjmp.h>
#include <stdarg.h>

static const struct {
    enum cp_kind_id kind;
    const char *name, *key;
} pairs[] = {
    {CP_KIND_GROUP, "groups/DEFAULT", "/penstock/v1/groups/DEFAULT"},
    {CP_KIND_DOMAIN, "groups/g/domains/*.example.com", "/penstock/v1/domains/g/*.example.com"},
    {CP_KIND_ENVIRONMENT, "environments/RELEASE", "/penstock/v1/environments/RELEASE"},
    {CP_KIND_CHANNEL, "channels/abc.d", "/penstock/v1/channels/abc.d"},
    {CP_KIND_API, "groups/orders/apis/list.v1", "/penstock/v1/apis/orders/list.v1"},
    {CP_KIND_RELEASE, "groups/orders/apis/list/releases/pre-prod-12",
     "/penstock/v1/releases/orders/list/pre-prod/0000000000000000012"},
    {CP_KIND_RELEASE, "groups/a/apis/b/releases/abc-9223372036854775807",
     "/penstock/v1/releases/a/b/abc/9223372036854775807"},
    {CP_KIND_PUBLICATION, "groups/a/apis/b/publications/RELEASE",
     "/penstock/v1/publications/a/b/RELEASE"},
    {CP_KIND_APP, "apps/shop", "/penstock/v1/apps/shop"},
    {CP_KIND_CODE, "apps/shop/codes/1", "/penstock/v1/codes/shop/1"},
    {CP_KIND_AUTHORIZATION, "apps/shop/authorizations/g.a.RELEASE",
     "/penstock/v1/authorizations/shop/g.a.RELEASE"},
    {CP_KIND_POLICY, "policies/slow", "/penstock/v1/policies/slow"},
    {CP_KIND_BINDING, "policies/slow/bindings/g.a.RELEASE",
     "/penstock/v1/bindings/slow/g.a.RELEASE"},
    {CP_KIND_ACCOUNT, "accounts/acme", "/penstock/v1/accounts/acme"},
    {CP_KIND_USER, "accounts/acme/users/ann@a.b", "/penstock/v1/users/acme/ann@a.b"},
    {CP_KIND_ACCESS_KEY, "accounts/acme/users/ann/keys/AK123456",
     "/penstock/v1/keys/acme/ann/AK123456"},
};

static void test_names_and_keys_are_each_others_inverse(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(pairs); i++) {
        gw_str key = cp_key_of(&arena, pairs[i].kind, pairs[i].name);
        assert_string_equal(key.ptr, pairs[i].key);
        gw_str name;
        const struct cp_kind *kind = cp_key_parse(&arena, key, &name);
        assert_ptr_equal(kind, cp_kind_get(pairs[i].kind));
        assert_true(gw_str_eq(name, gw_str_from(pairs[i].name)));
    }
    gw_arena_done(&arena);
}

static void test_keys_that_are_no_resources(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "/penstock/v1/",
        "/penstock/v1/apis",
        "/penstock/v1/apis/orders",
        "/penstock/v1/apis/orders/list/more",
        "/penstock/v1/apis/orders/",
        "/penstock/v1/guards/groups/orders",
        "/penstock/v1/index/hosts/a.example",
        "/penstock/v2/apis/orders/list",
        "/penstock/v1/releases/a/b/RELEASE/12",
        "/penstock/v1/releases/a/b/RELEASE/0000000000000000000",
        "/penstock/v1/releases/a/b/RELEASE",
    };
    struct gw_arena arena = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(keys); i++) {
        gw_str name;
        assert_null(cp_key_parse(&arena, gw_str_from(keys[i]), &name));
    }
    gw_arena_done(&arena);
}

static void test_names_that_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum cp_kind_id kind;
        const char *name;
    } rows[] = {
        {CP_KIND_GROUP, ""},
        {CP_KIND_GROUP, "groups/"},
        {CP_KIND_GROUP, "groups/a/"},
        {CP_KIND_GROUP, "groups/-a"},
        {CP_KIND_GROUP, "groups/a.b"},
        {CP_KIND_GROUP, "group/a"},
        {CP_KIND_GROUP, "groups/a b"},
        {CP_KIND_GROUP, "groups/a123456789012345678901234567890123456789012345678901234567890123"},
        {CP_KIND_API, "groups/a"},
        {CP_KIND_API, "groups/a/apis"},
        {CP_KIND_API, "groups/a/apis/"},
        {CP_KIND_API, "groups/a/apis/../x"},
        {CP_KIND_API, "groups/-/apis/x"},
        {CP_KIND_ENVIRONMENT, "environments/ab"},
        {CP_KIND_ENVIRONMENT, "environments/1ab"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/RELEASE"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/RELEASE-"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/RELEASE-0"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/RELEASE-01"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/RELEASE-9223372036854775808"},
        {CP_KIND_RELEASE, "groups/a/apis/b/releases/ab-1"},
        {CP_KIND_ACCOUNT, "accounts/123"},
        {CP_KIND_ACCESS_KEY, "accounts/a/users/b/keys/AK-12345678"},
        {CP_KIND_DOMAIN, "groups/a/domains/A.example"},
        {CP_KIND_DOMAIN, "groups/a/domains/10.0.0.1"},
        {CP_KIND_DOMAIN, "groups/a/domains/*"},
        {CP_KIND_DOMAIN, "groups/a/domains/a..b"},
        {CP_KIND_DOMAIN, "groups/a/domains/a.*.b"},
        {CP_KIND_DOMAIN, "groups/a/domains/-a.b"},
        {CP_KIND_DOMAIN, "groups/a/domains/a.b:80"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        struct gw_error err = GW_ERROR_NONE;
        assert_false(cp_name_is(rows[i].kind, rows[i].name));
        assert_int_equal(cp_name_check(rows[i].kind, rows[i].name, "api.name", &err), -1);
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        assert_string_equal(err.violations[0].field, "api.name");
    }
}

static void test_ids_name_their_rule(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_id_check(CP_KIND_CHANNEL, "my.pool", "channel_id", &err), 0);
    assert_int_equal(cp_id_check(CP_KIND_CHANNEL, "x", "channel_id", &err), -1);
    assert_string_equal(err.violations[0].rule,
                        "must be 3 to 64 letters, digits or \"-_.\", a letter first");
    err = GW_ERROR_NONE;
    assert_int_equal(cp_id_check(CP_KIND_DOMAIN, "EXAMPLE.com", "domain_id", &err), -1);
    assert_int_equal(cp_id_check(CP_KIND_API, "", "api_id", &err), -1);
    assert_int_equal(err.violation_count, 2);
}

static void test_prefixes(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    assert_string_equal(cp_key_prefix(&arena, CP_KIND_API).ptr, "/penstock/v1/apis/");
    assert_string_equal(cp_key_children(&arena, CP_KIND_API, GW_STR("groups/a")).ptr,
                        "/penstock/v1/apis/a/");
    assert_string_equal(cp_key_children(&arena, CP_KIND_RELEASE, GW_STR("groups/a/apis/b")).ptr,
                        "/penstock/v1/releases/a/b/");
    assert_string_equal(cp_key_children(&arena, CP_KIND_APP, GW_STR("")).ptr, "/penstock/v1/apps/");
    assert_string_equal(cp_key_history(&arena, "groups/a/apis/b", "environments/RELEASE").ptr,
                        "/penstock/v1/releases/a/b/RELEASE/");
    assert_true(gw_str_eq(cp_name_parent(GW_STR("groups/a/apis/b")), GW_STR("groups/a")));
    assert_int_equal(cp_name_parent(GW_STR("groups/a")).len, 0);
    assert_string_equal(cp_name_last("groups/a/apis/b"), "b");
    assert_string_equal(cp_route_name(&arena, "groups/a/apis/b", "environments/RELEASE").ptr,
                        "groups/a/apis/b@RELEASE");
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_keys_are_each_others_inverse),
        cmocka_unit_test(test_keys_that_are_no_resources),
        cmocka_unit_test(test_names_that_are_refused),
        cmocka_unit_test(test_ids_name_their_rule),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
