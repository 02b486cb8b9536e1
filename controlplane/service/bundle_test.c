/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/bundle.h"

#include "controlplane/model/check_app.h"
#include "controlplane/service/test_apis.h"

#define BUNDLE &cp_bundle_service

/* Everything at once, who refers before who is referred to. */
#define BINDING "{\"binding\":{\"name\":\"policies/ten/bindings/b\",\"api\":\"groups/g/apis/a\"}}"
#define AUTHORIZATION                                                                              \
    "{\"authorization\":{\"name\":\"apps/shop/authorizations/x\",\"api\":\"groups/g/apis/a\"}}"
#define APP "{\"app\":{\"name\":\"apps/shop\"}}"
#define POLICY "{\"policy\":{\"name\":\"policies/ten\",\"throttle\":{\"apiLimit\":10}}}"
#define API_A                                                                                      \
    "{\"api\":{\"name\":\"groups/g/apis/a\",\"frontend\":{\"method\":\"HTTP_METHOD_GET\","         \
    "\"path\":\"/a\"},\"authentication\":{\"type\":\"AUTH_TYPE_APP\",\"appCode\":true},"           \
    "\"backend\":{\"http\":{\"channel\":\"channels/pool\"}}}}"
#define VARIABLE "{\"variable\":{\"name\":\"groups/g/variables/TEST.host\",\"value\":\"one\"}}"
#define DOMAIN_A "{\"domain\":{\"name\":\"groups/g/domains/a.example.com\"}}"
#define GROUP "{\"group\":{\"name\":\"groups/g\",\"description\":\"first\"}}"
#define TEST_ENVIRONMENT "{\"environment\":{\"name\":\"environments/TEST\"}}"
#define CHANNEL                                                                                    \
    "{\"channel\":{\"name\":\"channels/pool\",\"port\":80,\"members\":[{\"host\":\"10.0.0.1\","    \
    "\"weight\":1}]}}"
#define ALL                                                                                        \
    BINDING "," AUTHORIZATION "," APP "," POLICY "," API_A "," VARIABLE "," DOMAIN_A "," GROUP     \
            "," TEST_ENVIRONMENT "," CHANNEL
#define ALL_COUNT 10

#define CODE(app, id, number)                                                                      \
    "{\"code\":{\"name\":\"apps/app-" app "/codes/" id "\",\"code\":\""                            \
    "000000000000000000000000000000000000000000000000000000000000000" #number "\"}}"
static char request_text[2 * 1024 * 1024];

static const char *bundle(const char *resources, const char *more)
{
    (void)snprintf(request_text, sizeof request_text, "{\"resources\":[%s]%s}", resources, more);
    return request_text;
}

static const char *apply(struct fixture *f, const char *resources, const char *more)
{
    return ok(f, BUNDLE, "Apply", bundle(resources, more));
}

static void apply_refused(struct fixture *f, enum gw_code code, const char *resources,
                          const char *more)
{
    refused(f, code, BUNDLE, "Apply", bundle(resources, more));
}

static int64_t revision_now(struct fixture *f)
{
    struct cp_position at;
    struct gw_error err;
    assert_int_equal(cp_store_ping(f->services.store, &at, &err), 0);
    return at.revision;
}

static void test_the_order_does_not_matter_and_twice_changes_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t before = revision_now(f);
    const char *said = apply(f, ALL, "");
    ASSERT_HAS(said, "\"created\":10");
    assert_int_equal(count(said, "APPLY_ACTION_CREATED"), ALL_COUNT);
    assert_int_equal(revision_now(f), before + 1); /* one transaction */
    ASSERT_HAS(
        ok(f, &cp_policy_service, "GetPolicyBinding", "{\"name\":\"policies/ten/bindings/b\"}"),
        "environments/RELEASE");
    backstage.calls = 0;
    said = apply(f, ALL, "");
    assert_int_equal(backstage.calls, 1); /* what is there is looked up at once */
    ASSERT_HAS(said, "\"unchanged\":10");
    ASSERT_HAS_NOT(said, "revision");
    assert_int_equal(revision_now(f), before + 1);
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\":\"channels/pool\"}"); /* references are kept */
}

static void test_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t before = revision_now(f);
    apply_refused(f, GW_NOT_FOUND,
                  GROUP ",{\"api\":{\"name\":\"groups/g/apis/a\",\"frontend\":{\"path\":\"x\"}}}"
                        ",{\"domain\":{\"name\":\"groups/nope/domains/b.example.com\"}}",
                  "");
    assert_true(violates(f, "resources[1].api.frontend.path"));
    assert_true(violates(f, "resources[2]"));
    ASSERT_HAS(f->err.message, "nothing was applied: groups/nope/domains"); /* a kind before APIs */
    ASSERT_HAS(f->err.message, "and others are refused");
    assert_int_equal(revision_now(f), before);
    apply_refused(f, GW_NOT_FOUND, BINDING "," POLICY, "");
    apply_refused(f, GW_INVALID_ARGUMENT,
                  BINDING ",{\"policy\":{\"name\":\"policies/ten\",\"throttle\":{}}}", "");
    assert_true(violates(f, "resources[1].policy.throttle.api_limit"));
    ASSERT_HAS(f->err.violations[0].rule, "it needs policies/ten, which is refused itself");
    assert_int_equal(revision_now(f), before);
}

static void test_a_plan_says_what_would_happen_and_why_not(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, GROUP "," CHANNEL "," TEST_ENVIRONMENT, "");
    int64_t before = revision_now(f);
    const char *said =
        apply(f,
              "{\"group\":{\"name\":\"groups/g\",\"description\":\"second\"}},"
              "{\"app\":{\"name\":\"apps/shop\",\"displayName\":\"x\"}}," CHANNEL "," API_A,
              ",\"validateOnly\":true");
    ASSERT_HAS(said, "{\"path\":\"description\",\"oldValue\":\"\\\"first\\\"\","
                     "\"newValue\":\"\\\"second\\\"\"}");
    ASSERT_HAS_NOT(said, "update_time");
    ASSERT_HAS(said, "\"refusal\":{\"code\":\"INVALID_ARGUMENT\"");
    ASSERT_HAS(said, "\"violations\":[{\"field\":\"display_name\"");
    ASSERT_HAS(said, "{\"path\":\"frontend.path\",\"newValue\":\"\\\"/a\\\"\"}");
    ASSERT_HAS(said, "\"created\":1,\"updated\":1,\"unchanged\":1,\"refused\":1");
    assert_int_equal(revision_now(f), before);
}

static void test_etags_are_honoured(void **state)
{
    struct fixture *f = *state;
    char old[64];
    (void)snprintf(old, sizeof old, "%s", etag_of(apply(f, GROUP, "")));
    (void)apply(
        f, format("{\"group\":{\"name\":\"groups/g\",\"description\":\"2\",\"etag\":\"%s\"}}", old),
        "");
    apply_refused(
        f, GW_ABORTED,
        format("{\"group\":{\"name\":\"groups/g\",\"description\":\"3\",\"etag\":\"%s\"}}", old),
        "");
    assert_string_equal(f->err.reason, "ETAG_MISMATCH");
    apply_refused(f, GW_ABORTED, "{\"app\":{\"name\":\"apps/shop\",\"etag\":\"\\\"7\\\"\"}}", "");
    assert_string_equal(f->err.reason, "ETAG_MISMATCH");
}

static void test_a_mask_says_what_changes(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, "{\"app\":{\"name\":\"apps/shop\",\"frozen\":true,\"description\":\"d\"}}", "");
    (void)apply(f, "{\"app\":{\"name\":\"apps/shop\"},\"updateMask\":\"frozen\"}", "");
    const char *said = ok(f, &cp_app_service, "GetApp", "{\"name\":\"apps/shop\"}");
    ASSERT_HAS_NOT(said, "frozen");
    ASSERT_HAS(said, "\"description\":\"d\"");
    (void)apply(f, "{\"app\":{\"name\":\"apps/shop\"},\"updateMask\":\"*\"}", "");
    ASSERT_HAS_NOT(ok(f, &cp_app_service, "GetApp", "{\"name\":\"apps/shop\"}"), "\"d\"");
    apply_refused(f, GW_INVALID_ARGUMENT,
                  "{\"app\":{\"name\":\"apps/shop\"},\"updateMask\":\"nope\"}", "");
    assert_true(violates(f, "resources[0].app.update_mask"));
}

static void test_a_store_that_fails_leaves_nothing_half_done(void **state)
{
    struct fixture *f = *state;
    survives_the_store(f, BUNDLE, "Apply", bundle(ALL, ""));
}

/* ---- prune */

#define MINE ",\"managedBy\":\"ci\""
#define PRUNE MINE ",\"prune\":true"

static void test_prune_deletes_what_is_managed_and_left_out(void **state)
{
    struct fixture *f = *state;
    (void)ok(f, &cp_app_service, "CreateApp", "{\"appId\":\"other\"}");
    (void)apply(f, ALL, MINE);
    const char *said = apply(f, ALL, PRUNE);
    ASSERT_HAS(said, "\"unchanged\":10");
    ASSERT_HAS_NOT(said, "DELETED");
    said = apply(f, GROUP "," API_A "," CHANNEL "," POLICY, PRUNE ",\"validateOnly\":true");
    ASSERT_HAS(said, "\"unchanged\":4,\"deleted\":6");
    said = apply(f, GROUP "," API_A "," CHANNEL "," POLICY, PRUNE);
    ASSERT_HAS(said, "\"unchanged\":4,\"deleted\":6");
    refused(f, GW_NOT_FOUND, &cp_app_service, "GetApp", "{\"name\":\"apps/shop\"}");
    (void)ok(f, &cp_app_service, "GetApp", "{\"name\":\"apps/other\"}");
    said = apply(f, GROUP "," API_A "," CHANNEL "," POLICY, PRUNE);
    ASSERT_HAS(said, "\"unchanged\":4");
    said = ok(f, BUNDLE, "Apply", "{\"managedBy\":\"ci\",\"prune\":true}");
    ASSERT_HAS(said, "\"deleted\":4");
    refused(f, GW_NOT_FOUND, &cp_group_service, "GetApiGroup", "{\"name\":\"groups/g\"}");
}

static void test_what_may_not_go_refuses_the_bundle(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, GROUP "," CHANNEL "," API_A, MINE);
    (void)publish(f, "groups/g/apis/a");
    int64_t before = revision_now(f);
    apply_refused(f, GW_FAILED_PRECONDITION, GROUP "," CHANNEL "," APP, PRUNE);
    assert_string_equal(f->err.apig, "APIG.3416");
    assert_true(violates(f, "prune"));
    assert_int_equal(revision_now(f), before);
}

static void test_what_goes_makes_room_for_what_comes(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, GROUP "," DOMAIN_A, MINE);
    const char *said = apply(f,
                             GROUP ",{\"group\":{\"name\":\"groups/h\"}},"
                                   "{\"domain\":{\"name\":\"groups/h/domains/a.example.com\"}}",
                             PRUNE);
    ASSERT_HAS(said, "\"created\":2,\"unchanged\":1,\"deleted\":1");
    (void)ok(f, &cp_domain_service, "GetDomain", "{\"name\":\"groups/h/domains/a.example.com\"}");
    refused(f, GW_ALREADY_EXISTS, &cp_domain_service, "CreateDomain",
            "{\"parent\":\"groups/g\",\"domainId\":\"a.example.com\"}");
}

static void test_what_is_asked_for_does_not_go_along(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, ALL, MINE);
    apply_refused(f, GW_FAILED_PRECONDITION, GROUP "," POLICY "," BINDING, PRUNE);
    assert_true(violates(f, "resources[2]"));
}

/* ---- kinds with something of their own */

static void test_a_binding_that_says_something_else_is_replaced(void **state)
{
    struct fixture *f = *state;
    (void)apply(f, ALL, "");
    const char *other =
        "{\"api\":{\"name\":\"groups/g/apis/b\",\"frontend\":{\"method\":\"HTTP_METHOD_GET\","
        "\"path\":\"/b\"},\"backend\":{\"mock\":{}}}},"
        "{\"binding\":{\"name\":\"policies/ten/bindings/b\",\"api\":\"groups/g/apis/b\"}}";
    ASSERT_HAS(apply(f, other, ""), "\"created\":1,\"updated\":1");
    ASSERT_HAS(apply(f, other, ""), "\"unchanged\":2");
    (void)ok(f, &cp_policy_service, "CreatePolicyBinding",
             "{\"parent\":\"policies/ten\",\"binding\":{\"api\":\"groups/g/apis/a\"}}");
}

static void test_an_app_code_is_shown_once(void **state)
{
    struct fixture *f = *state;
    const char *code = APP ",{\"code\":{\"name\":\"apps/shop/codes/main\",\"digest\":\"forged\"}}";
    const char *said = apply(f, code, "");
    ASSERT_HAS(said, "\"code\":\"");
    ASSERT_HAS(said, "\"path\":\"digest\",\"newValue\":\"(hidden)\"");
    said = apply(f, code, "");
    ASSERT_HAS(said, "\"unchanged\":2");
    ASSERT_HAS_NOT(said, "\"code\":\"");
    said = apply(f, APP ",{\"code\":{\"name\":\"apps/shop/codes/two\"}}", ",\"validateOnly\":true");
    ASSERT_HAS_NOT(said, "\"code\":\"");
}

/* Codes of many apps: each is given number `shift` behind its own. */
static const char *app_codes(unsigned shift)
{
    enum { APPS = 50 };
    size_t len = (size_t)snprintf(request_text, sizeof request_text, "{\"resources\":[");
    for (unsigned i = 0; i < APPS; i++)
        len += (size_t)snprintf(request_text + len, sizeof request_text - len,
                                "%s{\"app\":{\"name\":\"apps/app-%u\"}}", i ? "," : "", i);
    for (unsigned i = 0; i < APPS * CP_APP_CODES_MAX; i++)
        len +=
            (size_t)snprintf(request_text + len, sizeof request_text - len,
                             ",{\"code\":{\"name\":\"apps/app-%u/codes/c%u\",\"code\":\"%064u\"}}",
                             i % APPS, i / APPS, i + shift);
    (void)snprintf(request_text + len, sizeof request_text - len, "]}");
    return request_text;
}

/* Each waits for the next one: only the last can go at first. */
static void test_a_long_chain_is_done_in_one_go(void **state)
{
    struct fixture *f = *state;
    ASSERT_HAS(ok(f, BUNDLE, "Apply", app_codes(0)), "\"created\":300");
    gw_msec begin_ms = gw_clock_monotonic_ms();
    ASSERT_HAS(ok(f, BUNDLE, "Apply", app_codes(0)), "\"unchanged\":300");
    gw_msec unchanged_ms = gw_clock_monotonic_ms() - begin_ms;
    begin_ms = gw_clock_monotonic_ms();
    ASSERT_HAS(ok(f, BUNDLE, "Apply", app_codes(1)), "\"updated\":250");
    print_message("unchanged %lld ms, a chain %lld ms\n", (long long)unchanged_ms,
                  (long long)(gw_clock_monotonic_ms() - begin_ms));
    ASSERT_HAS(ok(f, BUNDLE, "Apply", app_codes(1)), "\"unchanged\":300");
    /* Of two that want each other's neither can go first. */
    apply_refused(f, GW_ALREADY_EXISTS, CODE("0", "c0", 2) "," CODE("1", "c0", 1), "");
}

static void test_the_deadline_ends_it(void **state)
{
    struct fixture *f = *state;
    ProtobufCMessage *reply;
    int64_t before = revision_now(f);
    struct cp_call call = {.services = &f->services,
                           .arena = &f->arena,
                           .principal = &f->principal,
                           .deadline_ms = gw_clock_monotonic_ms()};
    const ProtobufCMessage *request = from_json(&penstock__admin__v1__apply_request__descriptor,
                                                "{\"resources\":[" APP "," GROUP "]}");
    assert_int_equal(cp_bundle_service.methods[0].run(&call, request, &reply, &f->err), -1);
    assert_int_equal(f->err.code, GW_DEADLINE_EXCEEDED);
    assert_int_equal(revision_now(f), before);
}

static void test_each_resource_takes_the_right_to_it(void **state)
{
    struct fixture *f = *state;
    static const char *const limits[] = {"groups/g"};
    const struct cp_grant grant = {
        .role_name = "operator", .role = CP_ROLE_OPERATOR, .limits = {limits, 1}};
    (void)apply(f, APP, MINE);
    f->principal = (struct cp_principal){.name = "ann", .grants = &grant, .grant_count = 1};
    apply_refused(f, GW_PERMISSION_DENIED, GROUP ",{\"group\":{\"name\":\"groups/h\"}}", "");
    assert_string_equal(f->err.reason, "OUTSIDE_OF_LIMITS");
    assert_true(violates(f, "resources[1]"));
    apply_refused(f, GW_PERMISSION_DENIED, APP, ""); /* not even what is there as asked */
    ASSERT_HAS(apply(f, GROUP "," DOMAIN_A, PRUNE), "\"created\":2");
    ASSERT_HAS_NOT(apply(f, GROUP, MINE), "DELETED");
    ASSERT_HAS(apply(f, GROUP, PRUNE), "\"unchanged\":1,\"deleted\":1");
    const char *exported = ok(f, BUNDLE, "Export", "{}");
    ASSERT_HAS(exported, "groups/g");
    ASSERT_HAS_NOT(exported, "apps/shop");
    refused(f, GW_PERMISSION_DENIED, BUNDLE, "Export", "{\"groups\":[\"groups/DEFAULT\"]}");
    f->principal = (struct cp_principal){.name = "eve", .role = CP_ROLE_VIEWER};
    ASSERT_HAS(apply(f, APP, ""), "\"unchanged\":1");
    apply_refused(f, GW_PERMISSION_DENIED, APP, ",\"managedBy\":\"eve\"");
    f->principal = (struct cp_principal){.name = "nobody"};
    refused(f, GW_PERMISSION_DENIED, BUNDLE, "Apply", bundle(GROUP, ""));
}

static void test_people_come_with_their_rights(void **state)
{
    struct fixture *f = *state;
    const char *people = "{\"user\":{\"name\":\"accounts/one/users/ann\",\"grants\":[{\"role\":"
                         "\"viewer\"}]}},{\"account\":{\"name\":\"accounts/one\"}}";
    f->principal.role = CP_ROLE_OPERATOR;
    apply_refused(f, GW_PERMISSION_DENIED, people, "");
    f->principal.role = CP_ROLE_ADMINISTRATOR;
    ASSERT_HAS(apply(f, people, ""), "\"created\":2");
    ASSERT_HAS_NOT(ok(f, BUNDLE, "Export", "{}"), "accounts/one");
    ASSERT_HAS(ok(f, BUNDLE, "Export", "{\"accounts\":true}"), "accounts/one/users/ann");
}

static void test_certificates_take_an_administrator(void **state)
{
    struct fixture *f = *state;
    f->principal.role = CP_ROLE_OPERATOR;
    apply_refused(f, GW_PERMISSION_DENIED,
                  "{\"certificate\":{\"name\":\"certificates/shop\",\"clientCaPem\":\"x\"}}," APP,
                  "");
}

/* ---- limits */

static const char *many_apis(unsigned count, const char *group)
{
    static char text[200 * 1024];
    size_t len = 0;
    for (unsigned i = 0; i < count; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len,
                             ",{\"api\":{\"name\":\"%s/apis/a%u\",\"frontend\":{\"method\":"
                             "\"HTTP_METHOD_GET\",\"path\":\"/a%u\"},\"backend\":{\"mock\":{}}}}",
                             group, i, i);
    return text;
}

static void test_what_a_request_may_not_say(void **state)
{
    struct fixture *f = *state;
    apply_refused(f, GW_INVALID_ARGUMENT, "", "");
    assert_true(violates(f, "resources"));
    apply_refused(f, GW_INVALID_ARGUMENT, APP "," APP, "");
    ASSERT_HAS(f->err.message, "apps/shop is there twice");
    apply_refused(f, GW_INVALID_ARGUMENT, APP ",{}", "");
    assert_true(violates(f, "resources[1]"));
    apply_refused(f, GW_INVALID_ARGUMENT, "{\"app\":{\"name\":\"shop\"}}", "");
    assert_true(violates(f, "resources[0].app.name"));
    apply_refused(f, GW_INVALID_ARGUMENT, APP, ",\"prune\":true");
    assert_true(violates(f, "managed_by"));
    apply_refused(
        f, GW_INVALID_ARGUMENT, APP,
        ",\"managedBy\":\"0123456789012345678901234567890123456789012345678901234567890123\"");
    assert_true(violates(f, "managed_by"));
    apply_refused(f, GW_INVALID_ARGUMENT, many_apis(1001, "groups/g") + 1, "");
    ASSERT_HAS(f->err.message, "must be at most 1000");
}

static void test_as_many_as_a_transaction_holds(void **state)
{
    struct fixture *f = *state;
    int64_t before = revision_now(f);
    const char *many = many_apis(999, "groups/g");
    ASSERT_HAS(apply(f, GROUP, ""), "\"created\":1");
    (void)snprintf(request_text, sizeof request_text, "{\"resources\":[%s]}", many + 1);
    ASSERT_HAS(ok(f, BUNDLE, "Apply", request_text), "\"created\":999");
    (void)snprintf(request_text, sizeof request_text,
                   "{\"resources\":[{\"group\":{\"name\":\"groups/h\"}}%s]}",
                   many_apis(999, "groups/h"));
    ASSERT_HAS(ok(f, BUNDLE, "Apply", request_text), "\"created\":1000");
    assert_int_equal(revision_now(f), before + 3);
    (void)snprintf(request_text, sizeof request_text, "{\"managedBy\":\"ci\",\"resources\":[%s]}",
                   many_apis(999, "groups/h") + 1);
    ASSERT_HAS(ok(f, BUNDLE, "Apply", request_text), "\"updated\":999"); /* all were as they were */
    assert_int_equal(revision_now(f), before + 4);
}

/* APIs of 3 KB each, in a group of their own. */
static const char *large_apis(const char *group, const char *note, unsigned count)
{
    static char body[4001];
    memset(body, 'x', sizeof body - 1);
    size_t len = (size_t)snprintf(request_text, sizeof request_text,
                                  "{\"resources\":[{\"group\":{\"name\":\"%s\"}}", group);
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(
            request_text + len, sizeof request_text - len,
            ",{\"api\":{\"name\":\"%s/apis/a%u\",\"description\":\"%s\",\"frontend\":{\"method\":"
            "\"HTTP_METHOD_GET\",\"path\":\"/a%u\"},\"backend\":{\"mock\":{\"body\":\"%s\"}}}}",
            group, i, note, i, body);
    (void)snprintf(request_text + len, sizeof request_text - len, "]}");
    return request_text;
}

static void test_more_than_a_transaction_holds_is_refused(void **state)
{
    struct fixture *f = *state;
    int64_t before = revision_now(f);
    refused(f, GW_INVALID_ARGUMENT, BUNDLE, "Apply", large_apis("groups/g", "", 400));
    assert_string_equal(f->err.reason, "TOO_LARGE");
    ASSERT_HAS(f->err.message, "Split it");
    assert_int_equal(revision_now(f), before);
}

static void test_quotas_hold_within_a_bundle(void **state)
{
    struct fixture *f = *state;
    apply_refused(f, GW_RESOURCE_EXHAUSTED,
                  GROUP ",{\"domain\":{\"name\":\"groups/g/domains/a.com\"}},"
                        "{\"domain\":{\"name\":\"groups/g/domains/b.com\"}},"
                        "{\"domain\":{\"name\":\"groups/g/domains/c.com\"}},"
                        "{\"domain\":{\"name\":\"groups/g/domains/d.com\"}},"
                        "{\"domain\":{\"name\":\"groups/g/domains/e.com\"}},"
                        "{\"domain\":{\"name\":\"groups/g/domains/f.com\"}}",
                  "");
    assert_true(violates(f, "resources[6]"));
    apply_refused(f, GW_ALREADY_EXISTS,
                  GROUP ",{\"domain\":{\"name\":\"groups/g/domains/a.com\"}},"
                        "{\"domain\":{\"name\":\"groups/DEFAULT/domains/a.com\"}}",
                  "");
}

/* ---- export */

static void test_an_export_applies_elsewhere(void **state)
{
    struct fixture *f = *state;
    static char first[64 * 1024], second[64 * 1024];
    (void)apply(f, ALL ",{\"code\":{\"name\":\"apps/shop/codes/main\"}}", "");
    (void)snprintf(first, sizeof first, "%s", ok(f, BUNDLE, "Export", "{}"));
    ASSERT_HAS(first, "\"omissions\":[{\"name\":\"apps/shop/codes/main\"");
    ASSERT_HAS_NOT(first, "etag");
    ASSERT_HAS_NOT(first, "createTime");
    ASSERT_HAS_NOT(first, "debugDomain");
    *strstr(first, ",\"omissions\"") = '}';
    *(strstr(first, "\"omissions\"")) = '\0';

    void *elsewhere;
    assert_int_equal(set_up(&elsewhere), 0);
    const char *said = ok(elsewhere, BUNDLE, "Apply", first);
    ASSERT_HAS(said, "\"created\":10,\"unchanged\":1");
    (void)snprintf(second, sizeof second, "%s", ok(elsewhere, BUNDLE, "Export", "{}"));
    *strstr(second, ",\"revision\"") = '}';
    *(strstr(second, "\"revision\"")) = '\0';
    assert_string_equal(first, second);
    tear_down(&elsewhere);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (; (text = strstr(text, part)); text += strlen(part))
        count++;
    return count;
}

/* The page behind the token; *token becomes that of the next one, or "". */
static const char *export_page(struct fixture *f, char token[2048])
{
    char request[4096];
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\"}", token);
    const char *page = ok(f, BUNDLE, "Export", request);
    assert_true(strlen(page) < 2 * (size_t)CP_EXPORT_BYTES_MAX);
    const char *next = strstr(page, "\"nextPageToken\":\"");
    *token = '\0';
    if (next)
        (void)sscanf(next, "\"nextPageToken\":\"%2047[0-9a-f]", token);
    return page;
}

static void test_an_export_of_everything_comes_in_pages_of_one_revision(void **state)
{
    static const char *const groups[] = {"groups/a", "groups/b", "groups/c", "groups/d",
                                         "groups/e", "groups/f", "groups/g"};
    struct fixture *f = *state;
    char token[2048] = "";
    unsigned pages = 0, apis = 0, seen_groups = 0;
    for (size_t i = 0; i < GW_ARRAY_LEN(groups); i++)
        (void)ok(f, BUNDLE, "Apply", large_apis(groups[i], "before", 250));
    do {
        const char *page = export_page(f, token);
        apis += count_of(page, "\"description\":\"before\"");
        seen_groups += count_of(page, "{\"group\":");
        ASSERT_HAS_NOT(page, "\"after\"");
        if (pages++ == 0) /* what is exported later is as it was at first */
            (void)ok(f, BUNDLE, "Apply", large_apis("groups/g", "after", 250));
    } while (*token);
    assert_int_equal(apis, 250 * GW_ARRAY_LEN(groups));
    assert_int_equal(seen_groups, GW_ARRAY_LEN(groups) + 1); /* and DEFAULT */
    assert_int_equal(pages, 2);
    refused(f, GW_RESOURCE_EXHAUSTED, BUNDLE, "Export",
            "{\"groups\":[\"groups/a\",\"groups/b\",\"groups/c\",\"groups/d\",\"groups/e\"]}");
}

static void test_a_page_token_is_of_this_export_and_not_forgotten(void **state)
{
    struct fixture *f = *state;
    char token[2048] = "", request[4096];
    static const char *const groups[] = {"groups/a", "groups/b", "groups/c", "groups/d",
                                         "groups/e"};
    for (size_t i = 0; i < GW_ARRAY_LEN(groups); i++)
        (void)ok(f, BUNDLE, "Apply", large_apis(groups[i], "before", 250));
    refused(f, GW_INVALID_ARGUMENT, BUNDLE, "Export", "{\"pageToken\":\"00\"}");
    assert_true(violates(f, "page_token"));
    (void)export_page(f, token);
    assert_true(*token != '\0');
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\",\"accounts\":true}", token);
    refused(f, GW_INVALID_ARGUMENT, BUNDLE, "Export", request);
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\",\"groups\":[\"groups/a\"]}",
                   token);
    refused(f, GW_INVALID_ARGUMENT, BUNDLE, "Export", request);
    (void)apply(f, APP, "");
    assert_int_equal(cp_store_compact(f->services.store, 0, &f->err), 0);
    (void)snprintf(request, sizeof request, "{\"pageToken\":\"%s\"}", token);
    refused(f, GW_ABORTED, BUNDLE, "Export", request);
    assert_string_equal(f->err.reason, "PAGE_TOKEN_EXPIRED");
}

static void test_the_export_of_a_group_stands_on_its_own(void **state)
{
    struct fixture *f = *state;
    (void)apply(f,
                ALL ",{\"app\":{\"name\":\"apps/other\"}},{\"channel\":{\"name\":"
                    "\"channels/other\",\"port\":1}},{\"group\":{\"name\":\"groups/h\"}}",
                "");
    const char *said = ok(f, BUNDLE, "Export", "{\"groups\":[\"groups/g\"]}");
    static const char *const there[] = {"\"policies/ten\"",
                                        "policies/ten/bindings/b",
                                        "\"apps/shop\"",
                                        "channels/pool",
                                        "apps/shop/authorizations/x",
                                        "environments/TEST",
                                        "groups/g/domains/a.example.com"};
    for (size_t i = 0; i < GW_ARRAY_LEN(there); i++)
        ASSERT_HAS(said, there[i]);
    ASSERT_HAS_NOT(said, "other");
    ASSERT_HAS_NOT(said, "groups/h");
    refused(f, GW_NOT_FOUND, BUNDLE, "Export", "{\"groups\":[\"groups/nope\"]}");
    refused(f, GW_INVALID_ARGUMENT, BUNDLE, "Export", "{\"groups\":[\"nope\"]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(test_the_order_does_not_matter_and_twice_changes_nothing),
        TEST(test_all_or_nothing),
        TEST(test_a_plan_says_what_would_happen_and_why_not),
        TEST(test_etags_are_honoured),
        TEST(test_a_mask_says_what_changes),
        STAGED(test_a_store_that_fails_leaves_nothing_half_done),
        TEST(test_prune_deletes_what_is_managed_and_left_out),
        TEST(test_what_may_not_go_refuses_the_bundle),
        TEST(test_what_goes_makes_room_for_what_comes),
        TEST(test_what_is_asked_for_does_not_go_along),
        TEST(test_a_binding_that_says_something_else_is_replaced),
        TEST(test_an_app_code_is_shown_once),
        TEST(test_a_long_chain_is_done_in_one_go),
        TEST(test_the_deadline_ends_it),
        TEST(test_each_resource_takes_the_right_to_it),
        TEST(test_people_come_with_their_rights),
        TEST(test_certificates_take_an_administrator),
        TEST(test_what_a_request_may_not_say),
        TEST(test_as_many_as_a_transaction_holds),
        TEST(test_more_than_a_transaction_holds_is_refused),
        TEST(test_quotas_hold_within_a_bundle),
        TEST(test_an_export_applies_elsewhere),
        TEST(test_an_export_of_everything_comes_in_pages_of_one_revision),
        TEST(test_a_page_token_is_of_this_export_and_not_forgotten),
        TEST(test_the_export_of_a_group_stands_on_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
