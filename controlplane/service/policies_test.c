/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/policies.h"

#include "controlplane/service/test_backstage.h"

#define SERVICE &cp_policy_service
#define LIMIT_TEN "{\"policyId\": \"ten\", \"policy\": {\"throttle\": {\"apiLimit\": \"10\"}}}"
#define LIMIT_FIVE "{\"policyId\": \"five\", \"policy\": {\"throttle\": {\"apiLimit\": \"5\"}}}"
#define OFFICE                                                                                     \
    "{\"policyId\": \"office\", \"policy\": {\"ipAccess\": {\"effect\": \"ACCESS_EFFECT_PERMIT\"," \
    " \"addresses\": [\"10.0.0.0/8\"]}}}"
#define BIND(policy)                                                                               \
    "{\"parent\": \"policies/" policy "\", \"binding\": {\"api\": \"groups/g/apis/a\"}}"
#define NAME(name) "{\"name\": \"" name "\"}"

static int stage(void **state)
{
    if (backstage_set_up(state))
        return -1;
    store_json(CP_KIND_ENVIRONMENT, NAME("environments/test"));
    store_json(CP_KIND_GROUP, NAME("groups/g"));
    store_json(CP_KIND_API, NAME("groups/g/apis/a"));
    return 0;
}
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage, backstage_tear_down)

/* ---- policies */

static void test_a_policy_is_stored_with_its_defaults_and_built(void **state)
{
    struct fixture *f = *state;
    const char *answer = ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    ASSERT_HAS(answer, "\"name\":\"policies/ten\"");
    ASSERT_HAS(answer, "\"etag\":");
    ASSERT_HAS(answer, "\"createTime\":");
    ASSERT_HAS(ok(f, SERVICE, "GetPolicy", NAME("policies/ten")),
               "\"throttle\":{\"scope\":\"THROTTLE_SCOPE_API\",\"mode\":\"THROTTLE_MODE_LOCAL\","
               "\"interval\":\"1\",\"unit\":\"TIME_UNIT_SECOND\",\"apiLimit\":\"10\"}");
    assert_string_equal(agents_see("policies/ten"),
                        "{\"policy\":{\"name\":\"policies/ten\",\"throttle\":{\"windowSeconds\":"
                        "\"1\",\"apiLimit\":\"10\",\"windowText\":\"time:1 second\"}}}");
}

static void test_what_agents_do_not_enforce_is_never_stored(void **state)
{
    struct fixture *f = *state;
    const char *before = stored();
    refused(f, GW_UNIMPLEMENTED, SERVICE, "CreatePolicy",
            "{\"policyId\": \"web\", \"policy\": {\"cors\": {\"allowOrigins\": [\"*\"]}}}");
    assert_string_equal(f->err.violations[0].field, "cors");
    refused(f, GW_UNIMPLEMENTED, SERVICE, "CreatePolicy",
            "{\"policyId\": \"few\", \"policy\": {\"throttle\": {\"apiLimit\": \"1\","
            " \"mode\": \"THROTTLE_MODE_EXACT\"}}}");
    assert_string_equal(f->err.violations[0].field, "throttle.mode");
    assert_string_equal(stored(), before);
}

static void test_all_that_is_wrong_is_said_at_once(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "CreatePolicy",
            "{\"policyId\": \"bad\", \"policy\": {\"displayName\": \"x\", \"ipAccess\": {"
            "\"addresses\": [\"10.0.0.0/8\", \"office\"]}, \"labels\": {\"\": \"v\"}}}");
    assert_int_equal(f->err.violation_count, 4);
    assert_string_equal(f->err.violations[0].field, "ip_access.effect");
    assert_string_equal(f->err.violations[1].field, "ip_access.addresses[1]");
    assert_string_equal(f->err.violations[2].field, "display_name");
    assert_string_equal(f->err.violations[3].field, "labels[0]");
}

static void test_a_policy_changes_but_not_its_kind(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    ASSERT_HAS(
        ok(f, SERVICE, "UpdatePolicy",
           "{\"policy\": {\"name\": \"policies/ten\", \"throttle\": {\"apiLimit\": \"20\"}}}"),
        "\"apiLimit\":\"20\"");
    ASSERT_HAS(agents_see("policies/ten"), "\"apiLimit\":\"20\"");
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "UpdatePolicy",
            "{\"policy\": {\"name\": \"policies/ten\", \"ipAccess\": {\"effect\": "
            "\"ACCESS_EFFECT_DENY\", \"addresses\": [\"::1\"]}}}");
    assert_string_equal(f->err.violations[0].field, "ip_access");
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "UpdatePolicy",
            "{\"policy\": {\"name\": \"policies/ten\"}, \"updateMask\": \"throttle\"}");
    refused(f, GW_ABORTED, SERVICE, "UpdatePolicy",
            "{\"policy\": {\"name\": \"policies/ten\", \"etag\": \"\\\"1\\\"\","
            " \"displayName\": \"Ten\"}}");
}

static void test_a_bound_policy_is_not_deleted(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    (void)ok(f, SERVICE, "CreatePolicy", OFFICE);
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("office"));
    refused(f, GW_FAILED_PRECONDITION, SERVICE, "DeletePolicy", NAME("policies/ten"));
    assert_string_equal(f->err.apig, "APIG.3451");
    ASSERT_HAS(f->err.message, "policies/ten/bindings/g.a.RELEASE");
    refused(f, GW_FAILED_PRECONDITION, SERVICE, "DeletePolicy", NAME("policies/office"));
    assert_string_equal(f->err.apig, "APIG.3447");
    (void)ok(f, SERVICE, "DeletePolicyBinding", NAME("policies/ten/bindings/g.a.RELEASE"));
    (void)ok(f, SERVICE, "DeletePolicy", NAME("policies/ten"));
    assert_string_equal(agents_see("policies/ten"), "");
    refused(f, GW_NOT_FOUND, SERVICE, "GetPolicy", NAME("policies/ten"));
}

/* ---- bindings */

/* A route is there once something is published. */
static void publish(void)
{
    char name[] = "groups/g/apis/a/releases/RELEASE-1";
    gw_str packed = gw_message_pack(&backstage.arena,
                                    from_json(CP_TYPE(api),
                                              "{\"frontend\": {\"method\": \"HTTP_METHOD_GET\","
                                              " \"path\": \"/a\"}, \"backend\": {\"mock\": {}}}"));
    cp_release release = CP_INIT(RELEASE);
    release.name = name;
    release.definition.data = (uint8_t *)(uintptr_t)packed.ptr;
    release.definition.len = packed.len;
    store_message(CP_KIND_RELEASE, &release.base);
    store_json(CP_KIND_PUBLICATION, "{\"name\": \"groups/g/apis/a/publications/RELEASE\","
                                    " \"release\": \"groups/g/apis/a/releases/RELEASE-1\"}");
}

static void test_a_binding_is_live(void **state)
{
    struct fixture *f = *state;
    publish();
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    ASSERT_HAS_NOT(agents_see("groups/g/apis/a@RELEASE"), "policies");
    const char *answer = ok(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    ASSERT_HAS(answer, "\"name\":\"policies/ten/bindings/g.a.RELEASE\"");
    ASSERT_HAS(answer, "\"environment\":\"environments/RELEASE\"");
    assert_non_null(
        strstr(agents_see("groups/g/apis/a@RELEASE"), "\"policies\":[\"policies/ten\"]"));
    (void)ok(f, SERVICE, "DeletePolicyBinding", NAME("policies/ten/bindings/g.a.RELEASE"));
    ASSERT_HAS_NOT(agents_see("groups/g/apis/a@RELEASE"), "policies");
}

static void test_one_policy_of_a_kind_for_an_api_in_an_environment(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_FIVE);
    (void)ok(f, SERVICE, "CreatePolicy", OFFICE);
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreatePolicyBinding", BIND("five"));
    ASSERT_HAS(f->err.message, "policies/ten");
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreatePolicyBinding",
            "{\"parent\": \"policies/ten\", \"bindingId\": \"again\","
            " \"binding\": {\"api\": \"groups/g/apis/a\"}}");
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("office"));
    (void)ok(f, SERVICE, "CreatePolicyBinding",
             "{\"parent\": \"policies/five\", \"binding\": {\"api\": \"groups/g/apis/a\","
             " \"environment\": \"environments/test\"}}");
    (void)ok(f, SERVICE, "DeletePolicyBinding", NAME("policies/ten/bindings/g.a.RELEASE"));
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("five"));
}

static void test_a_binding_names_what_exists(void **state)
{
    struct fixture *f = *state;
    refused(f, GW_NOT_FOUND, SERVICE, "CreatePolicyBinding", BIND("ten"));
    ASSERT_HAS(f->err.message, "policies/ten");
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    refused(f, GW_NOT_FOUND, SERVICE, "CreatePolicyBinding",
            "{\"parent\": \"policies/ten\", \"binding\": {\"api\": \"groups/g/apis/none\"}}");
    ASSERT_HAS(f->err.message, "groups/g/apis/none");
    refused(f, GW_NOT_FOUND, SERVICE, "CreatePolicyBinding",
            "{\"parent\": \"policies/ten\", \"binding\": {\"api\": \"groups/g/apis/a\","
            " \"environment\": \"environments/none\"}}");
    refused(f, GW_INVALID_ARGUMENT, SERVICE, "CreatePolicyBinding",
            "{\"parent\": \"policies/ten\"}");
    assert_string_equal(f->err.violations[0].field, "api");
    assert_int_equal(f->err.violation_count, 1);
}

static void test_bindings_are_listed_by_policy_or_all(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    (void)ok(f, SERVICE, "CreatePolicy", OFFICE);
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("office"));
    const char *list = ok(f, SERVICE, "ListPolicyBindings", "{\"parent\": \"policies/ten\"}");
    ASSERT_HAS(list, "policies/ten/bindings/g.a.RELEASE");
    ASSERT_HAS_NOT(list, "policies/office");
    list = ok(f, SERVICE, "ListPolicyBindings", "{\"parent\": \"policies/-\"}");
    ASSERT_HAS(list, "policies/ten/bindings/g.a.RELEASE");
    ASSERT_HAS(list, "policies/office/bindings/g.a.RELEASE");
}

static int drop_binding(const struct cp_call *call, struct cp_change *change, void *arg,
                        struct gw_error *err)
{
    struct cp_stored stored;
    if (cp_get(call, CP_KIND_BINDING, arg, &stored, err) < 0 ||
        cp_drop_policy_binding(call, change, (const cp_policy_binding *)stored.message,
                               stored.mod_revision, err) < 0)
        return -1;
    assert_int_equal(change->op_count, CP_DROP_BINDING_OPS);
    return 0;
}

static void test_a_dropped_binding_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char name[] = "policies/ten/bindings/g.a.RELEASE";
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    (void)ok(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    ASSERT_HAS(stored(), "/index/bindings/throttle/groups/g/apis/a@RELEASE");
    const struct cp_call call = {.services = &f->services, .arena = &f->arena};
    assert_int_equal(cp_write(&call, false, drop_binding, name, NULL, &f->err), 0);
    ASSERT_HAS_NOT(stored(), "bindings/");
    ASSERT_HAS_NOT(stored(), "index/refs/");
}

/* ---- others, and the store */

static void delete_ten(struct fixture *other)
{
    (void)ok(other, SERVICE, "DeletePolicy", NAME("policies/ten"));
}

static void bind_ten(struct fixture *other)
{
    (void)ok(other, SERVICE, "CreatePolicyBinding", BIND("ten"));
}

static void test_binding_and_deletion_at_the_same_time(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    backstage.before_txn = bind_ten;
    refused(f, GW_FAILED_PRECONDITION, SERVICE, "DeletePolicy", NAME("policies/ten"));
    (void)ok(f, SERVICE, "DeletePolicyBinding", NAME("policies/ten/bindings/g.a.RELEASE"));
    backstage.before_txn = delete_ten;
    refused(f, GW_NOT_FOUND, SERVICE, "CreatePolicyBinding", BIND("ten"));
    ASSERT_HAS_NOT(stored(), "bindings/");
}

static void test_two_policies_bound_at_the_same_time(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_FIVE);
    backstage.before_txn = bind_ten;
    refused(f, GW_ALREADY_EXISTS, SERVICE, "CreatePolicyBinding", BIND("five"));
    ASSERT_HAS(f->err.message, "policies/ten");
}

static void test_validate_only_writes_nothing(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    const char *before = stored();
    (void)ok(f, SERVICE, "CreatePolicyBinding",
             "{\"parent\": \"policies/ten\", \"binding\": {\"api\": \"groups/g/apis/a\"},"
             " \"validateOnly\": true}");
    (void)ok(f, SERVICE, "DeletePolicy", "{\"name\": \"policies/ten\", \"validateOnly\": true}");
    assert_string_equal(stored(), before);
}

static void test_a_store_that_fails(void **state)
{
    struct fixture *f = *state;
    survives_the_store(f, SERVICE, "CreatePolicy", LIMIT_TEN);
    survives_the_store(
        f, SERVICE, "UpdatePolicy",
        "{\"policy\": {\"name\": \"policies/ten\", \"throttle\": {\"apiLimit\": \"20\"}}}");
    survives_the_store(f, SERVICE, "CreatePolicyBinding", BIND("ten"));
    survives_the_store(f, SERVICE, "ListPolicyBindings", "{\"parent\": \"policies/ten\"}");
    survives_the_store(f, SERVICE, "DeletePolicyBinding",
                       NAME("policies/ten/bindings/g.a.RELEASE"));
    survives_the_store(f, SERVICE, "DeletePolicy", NAME("policies/ten"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_a_policy_is_stored_with_its_defaults_and_built),
        STAGED(test_what_agents_do_not_enforce_is_never_stored),
        STAGED(test_all_that_is_wrong_is_said_at_once),
        STAGED(test_a_policy_changes_but_not_its_kind),
        STAGED(test_a_bound_policy_is_not_deleted),
        STAGED(test_a_binding_is_live),
        STAGED(test_one_policy_of_a_kind_for_an_api_in_an_environment),
        STAGED(test_a_binding_names_what_exists),
        STAGED(test_bindings_are_listed_by_policy_or_all),
        STAGED(test_a_dropped_binding_leaves_nothing),
        STAGED(test_binding_and_deletion_at_the_same_time),
        STAGED(test_two_policies_bound_at_the_same_time),
        STAGED(test_validate_only_writes_nothing),
        STAGED(test_a_store_that_fails),
    };
    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
