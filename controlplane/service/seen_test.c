/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/seen.h"

#include "controlplane/service/change.h"
#include "controlplane/service/test_backstage.h"

static const char *const own[] = {"groups/mine", "channels/pool", "accounts/acme"};
static const struct cp_grant limited = {
    .role_name = "operator", .role = CP_ROLE_OPERATOR, .limits = {own, GW_ARRAY_LEN(own)}};

static bool sees(struct fixture *f, const char *name)
{
    const struct cp_call call = {
        .services = &f->services, .arena = &backstage.arena, .principal = &f->principal};
    return cp_may_see(&call, gw_str_from(name));
}

static void what_is_seen(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"groups/mine",
                                        "groups/mine/apis/a",
                                        "groups/mine/apis/a/releases/RELEASE-1",
                                        "groups/mine/apis/a/publications/RELEASE",
                                        "channels/pool",
                                        "accounts/acme/users/ann",
                                        "accounts/acme/users/ann/keys/AK12345678"};
    static const char *const others[] = {"groups/mine2",
                                         "groups/other/apis/a",
                                         "groups/other/apis/a/releases/RELEASE-1",
                                         "groups/other/apis/a/publications/RELEASE",
                                         "accounts/other/users/ann/keys/AK12345678",
                                         "settings",
                                         "nonsense"};
    for (size_t i = 0; i < GW_ARRAY_LEN(others); i++)
        assert_true(sees(f, names[i]) && sees(f, others[i])); /* an administrator */
    f->principal = (struct cp_principal){.name = "lim", .grants = &limited, .grant_count = 1};
    for (size_t i = 0; i < GW_ARRAY_LEN(others); i++)
        assert_true(sees(f, names[i]) && !sees(f, others[i]));
    const struct cp_call itself = {.services = &f->services, .arena = &backstage.arena};
    assert_true(cp_may_see(&itself, GW_STR("groups/other")));
    assert_string_equal(cp_shown_name(&itself, GW_STR("groups/other")), "groups/other");
}

/* APIs of a group at the channel. */
static void make_users(struct fixture *f, const char *group, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        gw_str request = gw_arena_printf(
            &backstage.arena,
            "{\"parent\":\"groups/%s\",\"apiId\":\"a%u\",\"api\":{\"frontend\":{\"method\":"
            "\"HTTP_METHOD_GET\",\"path\":\"/%u\"},\"backend\":{\"http\":{\"channel\":"
            "\"channels/pool\"}}}}",
            group, i, i);
        (void)ok(f, &cp_api_service, "CreateApi", request.ptr);
    }
}

static void those_that_may_be_seen_are_found_behind_others(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"mine\"}");
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"alien\"}");
    (void)ok(f, &cp_channel_service, "CreateChannel",
             "{\"channelId\":\"pool\",\"channel\":{\"port\":80,\"members\":[{\"host\":"
             "\"10.0.0.1\",\"weight\":1}]}}");
    const struct cp_principal everybody = f->principal;
    const struct cp_principal lim = {.name = "lim", .grants = &limited, .grant_count = 1};
    static const char request[] = "{\"name\":\"channels/pool\"}";
    make_users(f, "alien", 20);
    f->principal = lim;
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel", request);
    assert_string_equal(f->err.message, "channels/pool is used by others that you may not read");
    f->principal = everybody;
    make_users(f, "mine", 5);
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel", request);
    assert_string_equal(f->err.message,
                        "channels/pool is used by groups/alien/apis/a0, groups/alien/apis/a1, "
                        "groups/alien/apis/a10 and others");
    f->principal = lim;
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel", request);
    assert_string_equal(f->err.message,
                        "channels/pool is used by groups/mine/apis/a0, groups/mine/apis/a1, "
                        "groups/mine/apis/a2 and others");
    f->principal = everybody;
    for (unsigned i = 20; i < CP_REFERRERS_READ_MAX + 5; i++) /* more than are looked through */
        (void)ok(f, &cp_api_service, "CloneApi",
                 gw_arena_printf(&backstage.arena,
                                 "{\"name\":\"groups/alien/apis/a0\",\"apiId\":\"a%u\","
                                 "\"path\":\"/%u\"}",
                                 i, i)
                     .ptr);
    f->principal = lim;
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel", request);
    assert_string_equal(f->err.message, "channels/pool is used by others that you may not read");
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, backstage_set_up, backstage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_seen),
        TEST(those_that_may_be_seen_are_found_behind_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
