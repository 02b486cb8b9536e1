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
            "{\"channelId\":\"no/id\"," CHANNEL "}");
    assert_true(violates(f, "channel_id"));
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
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "ListChannels", "{\"pageToken\":\"zz\"}");
    refused(f, GW_INVALID_ARGUMENT, &cp_channel_service, "ListChannels", "{\"pageSize\":-1}");
}

static void what_always_exists_cannot_be_deleted(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(ok(f, &cp_group_service, "ListApiGroups", "{}"), "groups/DEFAULT");
    ASSERT_HAS(ok(f, &cp_environment_service, "ListEnvironments", "{}"), "environments/RELEASE");
    assert_int_equal(cp_services_seed(&f->services, &f->err), 0); /* again: nothing happens */
    refused(f, GW_FAILED_PRECONDITION, &cp_group_service, "DeleteApiGroup",
            "{\"name\":\"groups/DEFAULT\"}");
    refused(f, GW_FAILED_PRECONDITION, &cp_environment_service, "DeleteEnvironment",
            "{\"name\":\"environments/RELEASE\"}");
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
    for (int i = 0; i < CP_DOMAINS_MAX; i++) {
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
        TEST(what_is_created_can_be_read),  TEST(everything_that_is_wrong_is_said_at_once),
        TEST(validate_only_writes_nothing), TEST(an_update_changes_what_its_mask_names),
        TEST(a_stale_etag_is_aborted),      TEST(what_changes_nothing_is_not_written),
        TEST(lists_come_in_pages),          TEST(what_always_exists_cannot_be_deleted),
        TEST(a_host_belongs_to_one_group),  TEST(a_group_has_at_most_five_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
