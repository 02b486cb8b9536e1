/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/test_state.h"

#define ROUTE "groups/g/apis/a@RELEASE"
#define PUBLICATION(number)                                                                        \
    "{\"type\":\"Publication\",\"name\":\"groups/g/apis/a/publications/RELEASE\","                 \
    "\"release\":\"groups/g/apis/a/releases/RELEASE-" number "\"}"
#define RELEASE(number, backend)                                                                   \
    "{\"type\":\"Release\",\"name\":\"groups/g/apis/a/releases/RELEASE-" number "\","              \
    "\"number\":\"" number "\",\"definition\":{\"backend\":{\"http\":{" backend "}}}}"
#define BINDING(policy)                                                                            \
    "{\"type\":\"PolicyBinding\",\"name\":\"policies/" policy "/bindings/b\","                     \
    "\"api\":\"groups/g/apis/a\",\"environment\":\"environments/RELEASE\"}"

struct fixture {
    struct cp_state *state;
    struct gw_map touched;
};

static int setup(void **context)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    f->state = cp_state_new(NULL);
    gw_map_init(&f->touched);
    *context = f;
    return 0;
}

static int teardown(void **context)
{
    struct fixture *f = *context;
    gw_map_done(&f->touched);
    cp_state_free(f->state);
    free(f);
    return 0;
}

/* What was touched since the last look, in order: "a b c". */
static void expect_touched(struct fixture *f, const char *expected)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    gw_str *names = test_sorted(&arena, &f->touched);
    gw_str text = GW_STR("");
    for (size_t i = 0; i < f->touched.count; i++)
        text = gw_arena_printf(&arena, "%.*s%s%.*s", GW_STR_ARG(text), i ? " " : "",
                               GW_STR_ARG(names[i]));
    assert_str(text, expected);
    gw_arena_done(&arena);
    gw_map_done(&f->touched);
    gw_map_init(&f->touched);
}

static void put(struct fixture *f, const char *text)
{
    test_put_text(f->state, text, &f->touched);
}

static void take(struct fixture *f, enum cp_kind_id kind, const char *name)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    cp_state_remove(f->state, cp_key_of(&arena, kind, name), &f->touched);
    gw_arena_done(&arena);
}

static void test_simple_resources_concern_themselves_or_their_parent(void **context)
{
    struct fixture *f = *context;
    put(f, "{\"type\":\"ApiGroup\",\"name\":\"groups/g\"}");
    expect_touched(f, "groups/g");
    put(f, "{\"type\":\"Domain\",\"name\":\"groups/g/domains/a.example.com\"}");
    expect_touched(f, "groups/g");
    put(f, "{\"type\":\"App\",\"name\":\"apps/shop\"}");
    expect_touched(f, "apps/shop");
    put(f, "{\"type\":\"AppCode\",\"name\":\"apps/shop/codes/one\"}");
    expect_touched(f, "apps/shop");
    put(f, "{\"type\":\"Authorization\",\"name\":\"apps/shop/authorizations/x\"}");
    expect_touched(f, "apps/shop");
    take(f, CP_KIND_DOMAIN, "groups/g/domains/a.example.com");
    expect_touched(f, "groups/g");
    take(f, CP_KIND_DOMAIN, "groups/g/domains/a.example.com");
    expect_touched(f, "");
}

static void is_used(struct fixture *f, const char *certificate, bool expected)
{
    struct gw_arena arena = {0};
    assert_int_equal(cp_state_is_used(f->state, &arena, gw_str_from(certificate)), expected);
    gw_arena_done(&arena);
}

static void test_certificates_are_needed_by_domains(void **context)
{
    struct fixture *f = *context;
    put(f, "{\"type\":\"Certificate\",\"name\":\"certificates/aaaa\"}");
    expect_touched(f, "certificates/aaaa");
    is_used(f, "certificates/aaaa", false);
    put(f, "{\"type\":\"Domain\",\"name\":\"groups/g/domains/a.example.com\","
           "\"certificates\":[\"certificates/aaaa\"]}");
    expect_touched(f, "certificates/aaaa groups/g");
    is_used(f, "certificates/aaaa", true);
    put(f, "{\"type\":\"Domain\",\"name\":\"groups/g/domains/a.example.com\","
           "\"certificates\":[\"certificates/bbbb\",\"certificates/cccc\"]}");
    expect_touched(f, "certificates/aaaa certificates/bbbb certificates/cccc groups/g");
    is_used(f, "certificates/aaaa", false);
    is_used(f, "certificates/cccc", true);
    take(f, CP_KIND_DOMAIN, "groups/g/domains/a.example.com");
    expect_touched(f, "certificates/bbbb certificates/cccc groups/g");
    is_used(f, "certificates/cccc", false);
    take(f, CP_KIND_CERTIFICATE, "certificates/aaaa");
    expect_touched(f, "certificates/aaaa");
}

static void test_certificates_are_needed_by_effective_releases(void **context)
{
    struct fixture *f = *context;
    put(f, RELEASE("1", "\"certificate\":\"certificates/aaaa\""));
    expect_touched(f, "");
    is_used(f, "certificates/aaaa", false);
    put(f, PUBLICATION("1"));
    expect_touched(f, "certificates/aaaa " ROUTE);
    is_used(f, "certificates/aaaa", true);
    put(f, RELEASE("2", "\"certificate\":\"certificates/bbbb\""));
    expect_touched(f, "");
    put(f, PUBLICATION("2"));
    expect_touched(f, "certificates/aaaa certificates/bbbb " ROUTE);
    is_used(f, "certificates/aaaa", false);
    is_used(f, "certificates/bbbb", true);
    put(f, "{\"type\":\"Certificate\",\"name\":\"certificates/bbbb\"}");
    expect_touched(f, "certificates/bbbb " ROUTE);
    take(f, CP_KIND_PUBLICATION, "groups/g/apis/a/publications/RELEASE");
    expect_touched(f, "certificates/bbbb " ROUTE);
    is_used(f, "certificates/bbbb", false);
}

static void test_drafts_and_environments_concern_nobody(void **context)
{
    struct fixture *f = *context;
    put(f, "{\"type\":\"Api\",\"name\":\"groups/g/apis/a\"}");
    put(f, "{\"type\":\"Environment\",\"name\":\"environments/TEST\"}");
    struct gw_error err;
    assert_int_equal(
        cp_state_put(f->state, GW_STR("/penstock/v1/guards/x"), GW_STR("1"), 1, &f->touched, &err),
        0);
    expect_touched(f, "");
    assert_null(cp_state_get(f->state, GW_STR("groups/g/apis/a")));
}

static void test_only_the_effective_release_concerns_its_route(void **context)
{
    struct fixture *f = *context;
    put(f, RELEASE("1", "\"address\":\"a\""));
    expect_touched(f, "");
    put(f, PUBLICATION("1"));
    expect_touched(f, ROUTE);
    put(f, RELEASE("2", "\"address\":\"a\""));
    expect_touched(f, "");
    put(f, RELEASE("1", "\"address\":\"b\""));
    expect_touched(f, ROUTE);
    put(f, PUBLICATION("2"));
    expect_touched(f, ROUTE);
    take(f, CP_KIND_RELEASE, "groups/g/apis/a/releases/RELEASE-1");
    expect_touched(f, "");
    take(f, CP_KIND_PUBLICATION, "groups/g/apis/a/publications/RELEASE");
    expect_touched(f, ROUTE);
}

static void test_policy_concerns_routes_only_by_being_there(void **context)
{
    struct fixture *f = *context;
    put(f, BINDING("one"));
    expect_touched(f, ROUTE);
    put(f, "{\"type\":\"Policy\",\"name\":\"policies/one\"}");
    expect_touched(f, ROUTE " policies/one");
    put(f, "{\"type\":\"Policy\",\"name\":\"policies/one\",\"description\":\"x\"}");
    expect_touched(f, "policies/one");
    take(f, CP_KIND_POLICY, "policies/one");
    expect_touched(f, ROUTE " policies/one");
    take(f, CP_KIND_BINDING, "policies/one/bindings/b");
    expect_touched(f, ROUTE);
}

static void test_binding_that_moves_concerns_both_routes(void **context)
{
    struct fixture *f = *context;
    put(f, BINDING("one"));
    expect_touched(f, ROUTE);
    put(f, "{\"type\":\"PolicyBinding\",\"name\":\"policies/one/bindings/b\","
           "\"api\":\"groups/g/apis/z\",\"environment\":\"environments/RELEASE\"}");
    expect_touched(f, ROUTE " groups/g/apis/z@RELEASE");
}

static void test_channel_concerns_effective_routes_only_by_being_there(void **context)
{
    struct fixture *f = *context;
    put(f, RELEASE("1", "\"channel\":\"channels/orders\""));
    put(f, RELEASE("2", "\"channel\":\"channels/orders\""));
    put(f, PUBLICATION("2"));
    expect_touched(f, ROUTE);
    put(f, "{\"type\":\"Channel\",\"name\":\"channels/orders\"}");
    expect_touched(f, "channels/orders " ROUTE);
    put(f, "{\"type\":\"Channel\",\"name\":\"channels/orders\",\"port\":80}");
    expect_touched(f, "channels/orders");
    take(f, CP_KIND_CHANNEL, "channels/orders");
    expect_touched(f, "channels/orders " ROUTE);
}

static void test_members_come_by_name_and_kind(void **context)
{
    struct fixture *f = *context;
    put(f, "{\"type\":\"AppCode\",\"name\":\"apps/shop/codes/two\"}");
    put(f, "{\"type\":\"AppCode\",\"name\":\"apps/shop/codes/one\"}");
    put(f, "{\"type\":\"Authorization\",\"name\":\"apps/shop/authorizations/x\"}");
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_members codes = cp_state_members(f->state, &arena, GW_STR("apps/shop"), CP_KIND_CODE);
    assert_int_equal(codes.count, 2);
    assert_str(codes.items[0]->name, "apps/shop/codes/one");
    assert_str(codes.items[1]->name, "apps/shop/codes/two");
    assert_int_equal(cp_state_members(f->state, &arena, GW_STR("apps/other"), CP_KIND_CODE).count,
                     0);
    gw_arena_done(&arena);
}

static void test_unreadable_binding_is_kept_and_said(void **context)
{
    struct fixture *f = *context;
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct gw_error err = GW_ERROR_NONE;
    put(f, BINDING("one"));
    expect_touched(f, ROUTE);
    gw_str key = cp_key_of(&arena, CP_KIND_BINDING, "policies/one/bindings/b");
    assert_int_equal(cp_state_put(f->state, key, GW_STR("\xff"), 9, &f->touched, &err), -1);
    expect_touched(f, ROUTE);
    assert_non_null(cp_state_get(f->state, GW_STR("policies/one/bindings/b")));
    gw_arena_done(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_simple_resources_concern_themselves_or_their_parent),
        TEST(test_certificates_are_needed_by_domains),
        TEST(test_certificates_are_needed_by_effective_releases),
        TEST(test_drafts_and_environments_concern_nobody),
        TEST(test_only_the_effective_release_concerns_its_route),
        TEST(test_policy_concerns_routes_only_by_being_there),
        TEST(test_binding_that_moves_concerns_both_routes),
        TEST(test_channel_concerns_effective_routes_only_by_being_there),
        TEST(test_members_come_by_name_and_kind),
        TEST(test_unreadable_binding_is_kept_and_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
