/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/targets.h"

#include "common/json.h"
#include "common/test.h"
#include "controlplane/model/types.h"
#include "penstock/admin/v1/audit_event.pb-c.h"

#include <stdio.h>

static struct gw_arena arena;

static int done(void **state)
{
    (void)state;
    gw_arena_reset(&arena);
    return 0;
}

/* "groups/a groups/b", with "all " in front for a list of all and "? " for what cannot be told. */
static const char *targets(const ProtobufCMessageDescriptor *type, const char *method,
                           const char *json)
{
    static char text[256];
    struct gw_error err = GW_ERROR_NONE;
    struct cp_targets found;
    ProtobufCMessage *request;
    if (gw_json_parse(&arena, type, gw_str_from(json), &request, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    cp_targets_of(&arena, method, request, &found);
    (void)snprintf(text, sizeof(text), "%s%s", found.is_list_of_all ? "all " : "",
                   found.unknown ? "? " : "");
    for (size_t i = 0; i < found.count; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                       found.names[i]);
    return text;
}
#define TARGETS(type, method, json) targets(CP_TYPE(type), method, json)

static void each_class_of_methods(void **state)
{
    (void)state;
    assert_string_equal(TARGETS(get_api_request, "GetApi", "{\"name\": \"groups/a/apis/b\"}"),
                        "groups/a/apis/b");
    assert_string_equal(
        TARGETS(list_apis_request, "ListApis", "{\"parent\": \"groups/a\", \"tags\": [\"x\"]}"),
        "groups/a");
    assert_string_equal(TARGETS(create_api_request, "CreateApi",
                                "{\"parent\": \"groups/a\", \"api_id\": \"b\", "
                                "\"api\": {\"name\": \"groups/c/apis/b\"}}"),
                        "groups/a groups/c/apis/b");
    assert_string_equal(
        TARGETS(update_api_request, "UpdateApi", "{\"api\": {\"name\": \"groups/a/apis/b\"}}"),
        "groups/a/apis/b");
    assert_string_equal(TARGETS(update_api_request, "UpdateApi", "{}"), "");
    assert_string_equal(TARGETS(delete_api_request, "DeleteApi", "{\"name\": \"groups/a/apis/b\"}"),
                        "groups/a/apis/b");
    assert_string_equal(TARGETS(publish_api_request, "PublishApi",
                                "{\"name\": \"groups/a/apis/b\", \"environment\": "
                                "\"environments/TEST\"}"),
                        "groups/a/apis/b");
    assert_string_equal(TARGETS(publish_apis_request, "PublishApis",
                                "{\"names\": [\"groups/a/apis/b\", \"groups/c/apis/d\"]}"),
                        "groups/a/apis/b groups/c/apis/d");
    assert_string_equal(
        TARGETS(unpublish_apis_request, "UnpublishApis", "{\"parent\": \"groups/-\"}"), "groups/-");
    assert_string_equal(TARGETS(clone_api_request, "CloneApi",
                                "{\"name\": \"groups/a/apis/b\", \"parent\": \"groups/c\", "
                                "\"api_id\": \"d\"}"),
                        "groups/a/apis/b groups/c");
    assert_string_equal(TARGETS(diff_releases_request, "DiffReleases",
                                "{\"source\": \"groups/a/apis/b\", \"target\": "
                                "\"groups/c/apis/d/releases/RELEASE-1\"}"),
                        "groups/a/apis/b groups/c/apis/d/releases/RELEASE-1");
}

static void what_stands_alone_is_named_by_its_id(void **state)
{
    (void)state;
    assert_string_equal(TARGETS(create_api_group_request, "CreateApiGroup",
                                "{\"group_id\": \"shop\", \"group\": {}}"),
                        "groups/shop");
    assert_string_equal(TARGETS(create_channel_request, "CreateChannel",
                                "{\"channel_id\": \"x\", \"channel\": {\"name\": "
                                "\"channels/y\"}}"),
                        "channels/y channels/x");
}

/* Whose events, of what: rights with limits end there. */
static void what_is_not_known_is_said(void **state)
{
    (void)state;
    const char *field = NULL;
    assert_string_equal(targets(&penstock__admin__v1__list_audit_events_request__descriptor,
                                "ListAuditEvents", "{\"resource\": \"groups/a\"}"),
                        "all ? ");
    assert_false(
        cp_targets_are_known(&penstock__admin__v1__list_audit_events_request__descriptor, &field));
    assert_string_equal(field, "resource");
    assert_true(cp_targets_are_known(CP_TYPE(publish_apis_request), &field));
}

static void lists_of_all(void **state)
{
    (void)state;
    assert_string_equal(TARGETS(list_api_groups_request, "ListApiGroups", "{}"), "all ");
    assert_string_equal(TARGETS(list_apis_request, "ListApis", "{}"), "all ");
    assert_string_equal(TARGETS(list_apis_request, "ListApis", "{\"parent\": \"groups/-\"}"),
                        "all groups/-");
    assert_string_equal(TARGETS(list_apis_request, "ListApis", "{\"parent\": \"groups/a-b\"}"),
                        "groups/a-b");
    /* Only lists show a part. */
    assert_string_equal(TARGETS(get_api_request, "GetApi", "{}"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(each_class_of_methods, done),
        cmocka_unit_test_teardown(what_stands_alone_is_named_by_its_id, done),
        cmocka_unit_test_teardown(lists_of_all, done),
        cmocka_unit_test_teardown(what_is_not_known_is_said, done),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gw_arena_done(&arena);
    return failed;
}
