/* SPDX-License-Identifier: Apache-2.0 */
/* What every resource does alike, on channels and groups. */
#include "controlplane/service/test_services.h"

#define CHANNEL                                                                                    \
    "\"channel\":{\"port\":80,\"members\":[{\"host\":\"10.0.0.1\",\"weight\":1}"                   \
    "]}"

static const char *create_channel(struct fixture *f, const char *id)
{
    static char request[256];
    (void)snprintf(request, sizeof request, "{\"channelId\":\"%s\"," CHANNEL "}", id);
    return ok(f, &cp_channel_service, "CreateChannel", request);
}

static const char *channel(struct fixture *f, const char *method, const char *request)
{
    return ok(f, &cp_channel_service, method, request);
}

static void what_is_created_can_be_read(void **state)
{
    struct fixture *f = *state;
    const char *created = create_channel(f, "orders");
    ASSERT_HAS(created, "\"name\":\"channels/orders\"");
    ASSERT_HAS(created, "BALANCE_WEIGHTED_ROUND_ROBIN"); /* defaults are made explicit */
    ASSERT_HAS(created, "\"createTime\":");
    char first[1024];
    (void)snprintf(first, sizeof first, "%s", created);
    assert_string_equal(channel(f, "GetChannel", "{\"name\":\"channels/orders\"}"), first);
    refused(f, GW_ALREADY_EXISTS, &cp_channel_service, "CreateChannel",
            "{\"channelId\":\"orders\"," CHANNEL "}");
    refused(f, GW_NOT_FOUND, &cp_channel_service, "GetChannel", "{\"name\":\"channels/none\"}");
    ASSERT_HAS(f->err.message, "channels/none");
}

static void everything_that_is_wrong_is_said_at_once(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "CreateChannel",
            "{\"channelId\":\"orders\",\"channel\":{\"port\":70000,\"members\":["
            "{\"host\":\"10.0.0.1\",\"weight\":-1},{\"host\":\"no "
            "host\"},{\"host\":\"10.0.0.1\"}],"
            "\"labels\":{\"\":\"x\"}}}");
    assert_true(violates(f, "port"));
    assert_true(violates(f, "members[0].weight"));
    assert_true(violates(f, "members[1].host"));
    assert_true(violates(f, "members[2]"));
    assert_true(violates(f, "labels[0]"));
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "CreateChannel",
            "{\"channelId\":\"no/id\",\"channel\":{}}");
    assert_true(violates(f, "channel_id"));
    assert_true(violates(f, "port"));
    assert_int_equal(f->err.violation_count, 2);
    refused(f, GW_UNIMPLEMENTED, &cp_channel_service, "CreateChannel",
            "{\"channelId\":\"orders\",\"channel\":{\"port\":80,\"balance\":"
            "\"BALANCE_URI_HASH\"}}");
    assert_true(violates(f, "balance"));
}

static void validate_only_writes_nothing(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(
        channel(f, "CreateChannel", "{\"channelId\":\"orders\",\"validateOnly\":true," CHANNEL "}"),
        "channels/orders");
    refused(f, GW_NOT_FOUND, &cp_channel_service, "GetChannel", "{\"name\":\"channels/orders\"}");
    create_channel(f, "orders");
    (void)channel(f, "DeleteChannel", "{\"name\":\"channels/orders\",\"validateOnly\":true}");
    (void)channel(f, "UpdateChannel",
                  "{\"channel\":{\"name\":\"channels/"
                  "orders\",\"port\":81},\"validateOnly\":true}");
    ASSERT_HAS(channel(f, "GetChannel", "{\"name\":\"channels/orders\"}"), "\"port\":80");
}

static void an_update_changes_what_its_mask_names(void **state)
{
    struct fixture *f = *state;
    create_channel(f, "orders");
    const char *updated = channel(f, "UpdateChannel",
                                  "{\"channel\":{\"name\":\"channels/"
                                  "orders\",\"port\":81,\"description\":\"x\"},"
                                  "\"updateMask\":\"port\"}");
    ASSERT_HAS(updated, "\"port\":81");
    ASSERT_HAS(updated, "10.0.0.1");
    ASSERT_HAS_NOT(updated, "description");
    updated = channel(f, "UpdateChannel",
                      "{\"channel\":{\"name\":\"channels/orders\",\"description\":\"x\"}}");
    ASSERT_HAS(updated, "\"port\":81"); /* no mask: what is set */
    ASSERT_HAS(updated, "\"description\":\"x\"");
    updated = channel(f, "UpdateChannel",
                      "{\"channel\":{\"name\":\"channels/orders\",\"port\":82},"
                      "\"updateMask\":\"*\"}");
    ASSERT_HAS_NOT(updated, "10.0.0.1"); /* all: also what is not set */
    ASSERT_HAS(updated, "createTime");
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "UpdateChannel",
            "{\"channel\":{\"name\":\"channels/orders\"},\"updateMask\":\"colour\"}");
    assert_true(violates(f, "update_mask"));
    refused(f, GW_NOT_FOUND, &cp_channel_service, "UpdateChannel",
            "{\"channel\":{\"name\":\"channels/none\",\"port\":1}}");
}

static void a_stale_etag_is_aborted(void **state)
{
    struct fixture *f = *state;
    char request[512], old[128];
    (void)snprintf(old, sizeof old, "%s", etag_of(create_channel(f, "orders")));
    (void)snprintf(request, sizeof request,
                   "{\"channel\":{\"name\":\"channels/"
                   "orders\",\"port\":81,\"etag\":\"%s\"}}",
                   old);
    const char *updated = channel(f, "UpdateChannel", request);
    assert_string_not_equal(etag_of(updated), old);
    (void)snprintf(request, sizeof request,
                   "{\"channel\":{\"name\":\"channels/"
                   "orders\",\"port\":82,\"etag\":\"%s\"}}",
                   old);
    refused(f, GW_ABORTED, &cp_channel_service, "UpdateChannel", request);
    assert_string_equal(f->err.reason, "ETAG_MISMATCH");
    (void)snprintf(request, sizeof request, "{\"name\":\"channels/orders\",\"etag\":\"%s\"}", old);
    refused(f, GW_ABORTED, &cp_channel_service, "DeleteChannel", request);
    (void)channel(f, "DeleteChannel", "{\"name\":\"channels/orders\"}");
    refused(f, GW_NOT_FOUND, &cp_channel_service, "DeleteChannel",
            "{\"name\":\"channels/orders\"}");
}

static void what_changes_nothing_is_not_written(void **state)
{
    struct fixture *f = *state;
    char etag[128];
    (void)snprintf(etag, sizeof etag, "%s", etag_of(create_channel(f, "orders")));
    const char *same =
        channel(f, "UpdateChannel", "{\"channel\":{\"name\":\"channels/orders\",\"port\":80}}");
    assert_string_equal(etag_of(same), etag);
}

static void lists_come_in_pages(void **state)
{
    struct fixture *f = *state;
    char id[32], token[512], request[640];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(id, sizeof id, "chan-%d", i);
        create_channel(f, id);
    }
    const char *page = channel(f, "ListChannels", "{\"pageSize\":3}");
    ASSERT_HAS(page, "channels/chan-2");
    ASSERT_HAS_NOT(page, "channels/chan-3");
    const char *at = strstr(page, "\"nextPageToken\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"nextPageToken\":\"%500[^\"]", token), 1);
    create_channel(f, "chan-4b"); /* later: not in this list */
    (void)snprintf(request, sizeof request, "{\"pageSize\":3,\"pageToken\":\"%s\"}", token);
    page = channel(f, "ListChannels", request);
    ASSERT_HAS(page, "channels/chan-4\"");
    ASSERT_HAS_NOT(page, "chan-4b");
    ASSERT_HAS_NOT(page, "nextPageToken");
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\"}", token);
    refused(f, GW_INVALID_ARGUMENT, &cp_environment_service, "ListEnvironments", request);
    assert_true(violates(f, "page_token"));
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "ListChannels", "{\"pageSize\":-1}");
}

/* A page token as the skeleton writes them: hex of "hash.revision.key". */
static enum gw_code list_after(struct fixture *f, const char *plain)
{
    char request[1024] = "{\"pageToken\":\"";
    gw_str answer;
    for (size_t at = strlen(request); *plain; plain++, at += 2)
        (void)snprintf(request + at, sizeof request - at, "%02x", (unsigned char)*plain);
    strcat(request, "\"}");
    return call(f, &cp_channel_service, "ListChannels", request, &answer);
}

static void page_tokens_are_not_trusted(void **state)
{
    struct fixture *f = *state;
    static const char *const broken[] = {"zz", "0", "3030", "2e2e2e", "302e312e", "302E"};
    for (size_t i = 0; i < GW_ARRAY_LEN(broken); i++) {
        char request[64];
        (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\"}", broken[i]);
        refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "ListChannels", request);
        assert_true(violates(f, "page_token"));
    }
    char plain[256];
    unsigned long long hash = gw_str_hash(GW_STR("/penstock/v1/channels/"));
    (void)snprintf(plain, sizeof plain, "%llx.1./penstock/v1/channels/a", hash);
    assert_int_equal(list_after(f, plain), GW_OK); /* so the others fail for what they say */
    (void)snprintf(plain, sizeof plain, "%llx.1./penstock/v1/apps/a", hash);
    assert_int_equal(list_after(f, plain), GW_INVALID_ARGUMENT);
    (void)snprintf(plain, sizeof plain, "%llx.1./penstock/v1/channels/a", hash + 1);
    assert_int_equal(list_after(f, plain), GW_INVALID_ARGUMENT);
    (void)snprintf(plain, sizeof plain, "%llx.-1./penstock/v1/channels/a", hash);
    assert_int_equal(list_after(f, plain), GW_INVALID_ARGUMENT);
    (void)snprintf(plain, sizeof plain, "%llx.7fffffffffffffff./penstock/v1/channels/a", hash);
    assert_int_equal(list_after(f, plain), GW_ABORTED);
    assert_string_equal(f->err.reason, "PAGE_TOKEN_EXPIRED");
}

static void a_list_that_is_too_old_starts_again(void **state)
{
    struct fixture *f = *state;
    char token[512], request[640];
    for (int i = 0; i < 3; i++)
        create_channel(f, (const char *const[]){"one", "two", "three"}[i]);
    const char *at = strstr(channel(f, "ListChannels", "{\"pageSize\":1}"), "\"nextPageToken\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"nextPageToken\":\"%500[^\"]", token), 1);
    create_channel(f, "four");
    assert_int_equal(cp_store_compact(f->services.store, 1, &f->err), 0);
    create_channel(f, "five");
    assert_int_equal(cp_store_compact(f->services.store, 1, &f->err), 0);
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\"}", token);
    refused(f, GW_ABORTED, &cp_channel_service, "ListChannels", request);
    assert_string_equal(f->err.reason, "PAGE_TOKEN_EXPIRED");
}

static void all_parents_are_meant_by_a_dash_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"-",          "/-",      "apps/-", "groups/a/-",
                                        "groups/-/-", "groups/", ""};
    (void)ok(f, &cp_domain_service, "ListDomains", "{\"parent\":\"groups/-\"}");
    for (size_t i = 0; i < GW_ARRAY_LEN(wrong); i++) {
        char request[64];
        (void)snprintf(request, sizeof request, "{\"parent\":\"%s\"}", wrong[i]);
        refused(f, GW_INVALID_ARGUMENT, &cp_domain_service, "ListDomains", request);
        assert_true(violates(f, "parent"));
    }
}

static void what_the_server_sets_cannot_be_sent(void **state)
{
    struct fixture *f = *state;
    const char *group = ok(f, &cp_group_service, "CreateApiGroup",
                           "{\"groupId\":\"g\",\"group\":{\"debugDomain\":\"mine.example.com\","
                           "\"createTime\":\"2001-01-01T00:00:00Z\",\"etag\":\"\\\"1\\\"\"}}");
    ASSERT_HAS_NOT(group, "mine.example.com");
    ASSERT_HAS_NOT(group, "2001-01-01");
    ASSERT_HAS(group, "\"displayName\":\"g\""); /* shorter than one may choose */
    group = ok(f, &cp_group_service, "UpdateApiGroup",
               "{\"group\":{\"name\":\"groups/g\",\"debugDomain\":\"mine.example.com\","
               "\"description\":\"x\"},\"updateMask\":\"*\"}");
    ASSERT_HAS_NOT(group, "mine.example.com");
    ASSERT_HAS(group, "." CP_DEBUG_DOMAIN_SUFFIX_DEFAULT);
    ASSERT_HAS(group, "\"description\":\"x\"");
    refused(f, GW_INVALID_ARGUMENT, &cp_group_service, "CreateApiGroup",
            "{\"groupId\":\"two\",\"group\":{\"name\":\"groups/three\"}}");
    assert_true(violates(f, "name"));
}

static void members_are_limited_by_the_setting(void **state)
{
    struct fixture *f = *state;
    f->services.channel_members_max = 1;
    create_channel(f, "orders");
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "UpdateChannel",
            "{\"channel\":{\"name\":\"channels/orders\",\"members\":[{\"host\":\"a.example\"},"
            "{\"host\":\"b.example\"}]}}");
    assert_true(violates(f, "members"));
}

static void what_always_exists_stays(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(ok(f, &cp_group_service, "ListApiGroups", "{}"), "groups/DEFAULT");
    ASSERT_HAS(ok(f, &cp_environment_service, "ListEnvironments", "{}"), "environments/RELEASE");
    assert_int_equal(cp_services_seed(&f->services, &f->err), 0); /* again: nothing happens */
    refused(f, GW_FAILED_PRECONDITION, &cp_group_service, "DeleteApiGroup",
            "{\"name\":\"groups/DEFAULT\"}");
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\":\"environments/RELEASE\"}");
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "UpdateEnvironment",
            "{\"environment\":{\"name\":\"environments/RELEASE\",\"description\":\"x\"}}");
    refused(f, GW_ALREADY_EXISTS, &cp_environment_service, "CreateEnvironment",
            "{\"environmentId\":\"RELEASE\"}");
    (void)ok(f, &cp_environment_service, "UpdateEnvironment", /* as `apply` of what is there does */
             "{\"environment\":{\"name\":\"environments/RELEASE\"}}");
}

static void a_host_belongs_to_one_group(void **state)
{
    struct fixture *f = *state;
    const char *one = ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    ASSERT_HAS(one, "." CP_DEBUG_DOMAIN_SUFFIX_DEFAULT);
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"two\"}");
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\":\"groups/one\",\"domainId\":\"a.example.com\"}");
    refused(f, GW_ALREADY_EXISTS, &cp_domain_service, "CreateDomain",
            "{\"parent\":\"groups/two\",\"domainId\":\"a.example.com\"}");
    ASSERT_HAS(f->err.message, "groups/one");
    (void)ok(f, &cp_group_service, "DeleteApiGroup", "{\"name\":\"groups/one\"}");
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\":\"groups/two\",\"domainId\":\"a.example.com\"}");
    ASSERT_HAS(ok(f, &cp_domain_service, "ListDomains", "{\"parent\":\"groups/-\"}"), "groups/two");
    refused(f, GW_NOT_FOUND, &cp_domain_service, "ListDomains", "{\"parent\":\"groups/one\"}");
    refused(f, GW_NOT_FOUND, &cp_domain_service, "CreateDomain",
            "{\"parent\":\"groups/one\",\"domainId\":\"b.example.com\"}");
}

static void a_group_has_at_most_five_domains(void **state)
{
    struct fixture *f = *state;
    char request[128];
    for (int i = 0; i < cp_quota_get(CP_QUOTA_DOMAINS)->fallback; i++) {
        (void)snprintf(request, sizeof request,
                       "{\"parent\":\"groups/DEFAULT\",\"domainId\":\"h%d.example.com\"}", i);
        (void)ok(f, &cp_domain_service, "CreateDomain", request);
    }
    refused(f, GW_RESOURCE_EXHAUSTED, &cp_domain_service, "CreateDomain",
            "{\"parent\":\"groups/DEFAULT\",\"domainId\":\"more.example.com\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_created_can_be_read),
        TEST(everything_that_is_wrong_is_said_at_once),
        TEST(validate_only_writes_nothing),
        TEST(an_update_changes_what_its_mask_names),
        TEST(a_stale_etag_is_aborted),
        TEST(what_changes_nothing_is_not_written),
        TEST(lists_come_in_pages),
        TEST(what_always_exists_stays),
        TEST(a_host_belongs_to_one_group),
        TEST(a_group_has_at_most_five_domains),
        TEST(page_tokens_are_not_trusted),
        TEST(a_list_that_is_too_old_starts_again),
        TEST(all_parents_are_meant_by_a_dash_alone),
        TEST(what_the_server_sets_cannot_be_sent),
        TEST(members_are_limited_by_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
