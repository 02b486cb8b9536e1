/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_group.h"

#include "common/test.h"
#include "controlplane/model/check.h"

#define TEXT(text) ((char[]){text})

/* A text of `length` bytes, good until the next one. */
static char *text_of(size_t length)
{
    static char text[2048];
    assert_true(length < sizeof text);
    memset(text, 'x', length);
    text[length] = '\0';
    return text;
}

/* What a check says: OK, or the code and the field of its only violation. */
#define SAYS(check, message, want, at_field)                                                       \
    do {                                                                                           \
        struct gw_error err = GW_ERROR_NONE;                                                       \
        assert_int_equal(check(message, &err), (want) == GW_OK ? 0 : -1);                          \
        assert_int_equal(err.code, want);                                                          \
        assert_int_equal(err.violation_count, (want) == GW_OK ? 0 : 1);                            \
        if ((want) != GW_OK)                                                                       \
            assert_string_equal(err.violations[0].field, at_field);                                \
    } while (0)

static void test_groups(void **state)
{
    (void)state;
    cp_api_group group = CP_INIT(API_GROUP);
    group.name = TEXT("groups/ab");
    SAYS(cp_check_group, &group, GW_OK, "");
    group.display_name = TEXT("xy");
    SAYS(cp_check_group, &group, GW_INVALID_ARGUMENT, "display_name");
    group.display_name = TEXT("ab"); /* the id, which is the default */
    SAYS(cp_check_group, &group, GW_OK, "");
    group.display_name = text_of(255);
    SAYS(cp_check_group, &group, GW_OK, "");
    group.display_name = text_of(256);
    SAYS(cp_check_group, &group, GW_INVALID_ARGUMENT, "display_name");
    group.display_name = TEXT("");
    group.description = text_of(1000);
    SAYS(cp_check_group, &group, GW_OK, "");
    group.description = text_of(1001);
    SAYS(cp_check_group, &group, GW_INVALID_ARGUMENT, "description");
}

/* What is not there yet is said beside what is wrong, and what is wrong makes the code. */
static void test_what_is_wrong_comes_before_what_is_not_there(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    cp_channel channel = CP_INIT(CHANNEL);
    channel.balance = CP_ENUM(BALANCE, SOURCE_HASH);
    cp_member member = CP_INIT(MEMBER), *members[] = {&member};
    channel.port = 80;
    channel.members = members;
    channel.n_members = 1; /* without a host: found after the balance */
    assert_int_equal(cp_check_channel(&channel, &err), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_int_equal(err.violation_count, 2);
}

static void test_environments(void **state)
{
    (void)state;
    cp_environment environment = CP_INIT(ENVIRONMENT);
    SAYS(cp_check_environment, &environment, GW_OK, "");
    environment.description = text_of(255);
    SAYS(cp_check_environment, &environment, GW_OK, "");
    environment.description = text_of(256);
    SAYS(cp_check_environment, &environment, GW_INVALID_ARGUMENT, "description");
}

/* ---- channels */

static void test_ports_of_channels(void **state)
{
    (void)state;
    cp_channel channel = CP_INIT(CHANNEL);
    static const struct {
        int32_t port;
        enum gw_code code;
    } cases[] = {
        {0, GW_INVALID_ARGUMENT}, {-1, GW_INVALID_ARGUMENT},    {1, GW_OK},
        {65535, GW_OK},           {65536, GW_INVALID_ARGUMENT}, {INT32_MAX, GW_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        channel.port = cases[i].port;
        SAYS(cp_check_channel, &channel, cases[i].code, "port");
    }
}

static void test_balances(void **state)
{
    (void)state;
    cp_channel channel = CP_INIT(CHANNEL);
    channel.port = 80;
    channel.balance = CP_ENUM(BALANCE, WEIGHTED_ROUND_ROBIN);
    SAYS(cp_check_channel, &channel, GW_OK, "");
    channel.balance = CP_ENUM(BALANCE, WEIGHTED_LEAST_CONNECTIONS);
    SAYS(cp_check_channel, &channel, GW_UNIMPLEMENTED, "balance");
    channel.balance = 17;
    SAYS(cp_check_channel, &channel, GW_INVALID_ARGUMENT, "balance");
    channel.balance = CP_ENUM(BALANCE, UNSPECIFIED);
    Penstock__Admin__V1__HealthCheck health = CP_INIT(HEALTH_CHECK);
    channel.health_check = &health;
    SAYS(cp_check_channel, &channel, GW_UNIMPLEMENTED, "health_check");
}

static enum gw_code check_member(const char *host, int32_t port, int32_t weight, const char *field)
{
    cp_channel channel = CP_INIT(CHANNEL);
    cp_member member = CP_INIT(MEMBER), *members[] = {&member};
    struct gw_error err = GW_ERROR_NONE;
    member.host = (char *)(uintptr_t)host;
    member.port = port;
    member.weight = weight;
    channel.port = 80;
    channel.members = members;
    channel.n_members = 1;
    int result = cp_check_channel(&channel, &err);
    assert_int_equal(result, err.code == GW_OK ? 0 : -1);
    if (result < 0)
        assert_string_equal(err.violations[0].field, field);
    return err.code;
}

static void test_hosts_of_members(void **state)
{
    (void)state;
    static const char *const good[] = {"10.0.0.1",  "::1",        "fe80::1:2",     "a",
                                       "a.example", "a.example.", "my_host.local", "1a.example"};
    static const char *const bad[] = {
        "",           "a b",  "a..b",     ".a",  "-a.example",       "[::1]",       "10.0.0",
        "10.0.0.256", "a:80", "http://a", "a/b", "\xc3\xa9.example", "a.example..", "."};
    for (size_t i = 0; i < GW_ARRAY_LEN(good); i++)
        if (check_member(good[i], 0, 0, "") != GW_OK)
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        if (check_member(bad[i], 0, 0, "members[0].host") != GW_INVALID_ARGUMENT)
            fail_msg("%s is taken", bad[i]);
    char host[CP_MEMBER_HOST_MAX + 2];
    memset(host, 'a', sizeof host);
    host[32] = '.';
    host[CP_MEMBER_HOST_MAX + 1] = '\0';
    assert_int_equal(check_member(host, 0, 0, "members[0].host"), GW_INVALID_ARGUMENT);
    host[CP_MEMBER_HOST_MAX] = '\0';
    assert_int_equal(check_member(host, 0, 0, ""), GW_OK);
}

static void test_ports_and_weights_of_members(void **state)
{
    (void)state;
    assert_int_equal(check_member("a", 65535, 10000, ""), GW_OK);
    assert_int_equal(check_member("a", 65536, 0, "members[0].port"), GW_INVALID_ARGUMENT);
    assert_int_equal(check_member("a", -1, 0, "members[0].port"), GW_INVALID_ARGUMENT);
    assert_int_equal(check_member("a", 0, 10001, "members[0].weight"), GW_INVALID_ARGUMENT);
    assert_int_equal(check_member("a", 0, -1, "members[0].weight"), GW_INVALID_ARGUMENT);
}

static void test_no_place_is_a_member_twice(void **state)
{
    (void)state;
    cp_channel channel = CP_INIT(CHANNEL);
    cp_member a = CP_INIT(MEMBER), b = CP_INIT(MEMBER), *members[] = {&a, &b};
    a.host = TEXT("a.example");
    b.host = TEXT("A.example");
    channel.port = 80;
    channel.members = members;
    channel.n_members = 2;
    SAYS(cp_check_channel, &channel, GW_INVALID_ARGUMENT, "members[1]");
    b.port = 80; /* what 0 stands for */
    SAYS(cp_check_channel, &channel, GW_INVALID_ARGUMENT, "members[1]");
    b.port = 81;
    SAYS(cp_check_channel, &channel, GW_OK, "");
}

static void test_too_many_members_are_not_even_looked_at(void **state)
{
    (void)state;
    static cp_member *members[CP_CHANNEL_MEMBERS_MAX + 1]; /* reading one of them would crash */
    cp_channel channel = CP_INIT(CHANNEL);
    channel.port = 80;
    channel.members = members;
    channel.n_members = GW_ARRAY_LEN(members);
    SAYS(cp_check_channel, &channel, GW_INVALID_ARGUMENT, "members");
}

/* ---- labels, of any kind */

static void test_labels(void **state)
{
    (void)state;
    Penstock__Admin__V1__Channel__LabelsEntry label =
        PENSTOCK__ADMIN__V1__CHANNEL__LABELS_ENTRY__INIT;
    Penstock__Admin__V1__Channel__LabelsEntry *labels[CP_LABELS_MAX + 1];
    for (size_t i = 0; i < GW_ARRAY_LEN(labels); i++)
        labels[i] = &label;
    cp_channel channel = CP_INIT(CHANNEL);
    channel.labels = labels;
    static const struct {
        size_t count, key, value;
        const char *field; /* "": right */
    } cases[] = {
        {CP_LABELS_MAX, 1, 0, ""}, {1, 63, 255, ""},        {CP_LABELS_MAX + 1, 1, 0, "labels"},
        {1, 0, 1, "labels[0]"},    {1, 64, 1, "labels[0]"}, {1, 1, 256, "labels[0]"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char key[65] = "", value[257] = "";
        memset(key, 'k', cases[i].key);
        memset(value, 'v', cases[i].value);
        label.key = key;
        label.value = value;
        channel.n_labels = cases[i].count;
        struct gw_error err = GW_ERROR_NONE;
        cp_check_labels(&channel.base, &err);
        assert_int_equal(err.code, *cases[i].field ? GW_INVALID_ARGUMENT : GW_OK);
        assert_int_equal(err.violation_count, *cases[i].field ? 1 : 0);
        if (*cases[i].field)
            assert_string_equal(err.violations[0].field, cases[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_what_is_wrong_comes_before_what_is_not_there),
        cmocka_unit_test(test_environments),
        cmocka_unit_test(test_ports_of_channels),
        cmocka_unit_test(test_balances),
        cmocka_unit_test(test_hosts_of_members),
        cmocka_unit_test(test_ports_and_weights_of_members),
        cmocka_unit_test(test_no_place_is_a_member_twice),
        cmocka_unit_test(test_too_many_members_are_not_even_looked_at),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests_name("check_group", tests, NULL, NULL);
}
