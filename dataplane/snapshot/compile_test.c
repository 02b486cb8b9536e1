/* SPDX-License-Identifier: Apache-2.0 */
/* Updates to snapshots: what is in force, what is refused, and what a change leaves alone. */
#include "dataplane/snapshot/test_updates.h"

static void use_channel(struct fixture *f, Penstock__Agent__V1__Route *route, const char *channel)
{
    route->backend->kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP;
    route->backend->http = MESSAGE(f, http_backend);
    route->backend->http->channel = text(f, channel);
    route->backend->http->timeout_ms = 1000;
}

static Penstock__Agent__V1__Channel *channel(struct fixture *f, const char *name, const char *host)
{
    resource *r = upsert(f);
    r->kind_case = RESOURCE(CHANNEL);
    r->channel = MESSAGE(f, channel);
    r->channel->name = text(f, name);
    r->channel->n_members = 1;
    r->channel->members = GW_ARENA_ARRAY(&f->arena, Penstock__Agent__V1__Member *, 1);
    r->channel->members[0] = MESSAGE(f, member);
    r->channel->members[0]->host = text(f, host);
    r->channel->members[0]->port = 80;
    r->channel->members[0]->weight = 1;
    return r->channel;
}

/* The API that answers GET http://host/path in RELEASE; "" for none. */
static const char *found(struct fixture *f, const char *host, const char *path)
{
    static char name[128];
    const struct dp_host *settings;
    struct dp_route_match match;
    const struct dp_router_group *at =
        dp_snapshot_find_group(f->snapshot, gw_str_from(host), &settings);
    const struct dp_route_tree *tree = at ? dp_router_group_tree(at, GW_STR("RELEASE")) : NULL;
    if (!tree ||
        dp_route_tree_match(tree, DP_METHOD_GET, gw_str_from(path), &match) != DP_ROUTE_FOUND)
        return "";
    const struct dp_route *route = match.value;
    (void)snprintf(name, sizeof name, "%.*s", GW_STR_ARG(route->api_id));
    return name;
}

static void a_full_snapshot_is_served(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    use_channel(f, route(f, "two", "/two/{x}"), "channels/c");
    channel(f, "channels/c", "127.0.0.1"); /* order does not matter */
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(found(f, "a.example.com", "/one"), "one");
    assert_string_equal(found(f, "A.example.com", "/two/7"), "two");
    assert_string_equal(found(f, "b.example.com", "/one"), "");
    assert_int_equal(dp_snapshot_revision(f->snapshot), 1);
    assert_int_equal(served(f, "two")->backend.channel->member_count, 1);
}

static void a_change_leaves_the_rest_alone(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    use_channel(f, route(f, "two", "/two"), "channels/c");
    channel(f, "channels/c", "127.0.0.1");
    apply(f);
    const struct dp_route *two = served(f, "two");
    struct dp_snapshot *before = dp_snapshot_ref(f->snapshot);
    route(f, "one", "/uno");
    apply(f);
    assert_string_equal(found(f, "a.example.com", "/uno"), "one");
    assert_string_equal(found(f, "a.example.com", "/one"), "");
    assert_ptr_equal(served(f, "two"), two); /* the same compiled form */
    remove_one(f, KIND(ROUTE), "groups/g/apis/two@RELEASE");
    apply(f);
    assert_string_equal(found(f, "a.example.com", "/two"), "");
    assert_int_equal(dp_snapshot_route_count(before), 2); /* who holds the old one still has it */
    dp_snapshot_unref(before);
}

static void a_broken_form_is_refused_alone_and_the_last_good_one_stays(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    apply(f);
    route(f, "one", "no path");
    route(f, "two", "/two");
    route(f, "three", "/three")->backend->mock->status = 42;
    apply(f);
    assert_int_equal(f->refusals.count, 2);
    assert_string_equal(f->refusals.items[0].name, "groups/g/apis/one@RELEASE");
    assert_non_null(strstr(f->refusals.items[0].reason, "path"));
    assert_int_equal(f->refusals.items[0].revision, 2);
    assert_string_equal(found(f, "a.example.com", "/one"), "one");
    assert_string_equal(found(f, "a.example.com", "/two"), "two");
    assert_string_equal(found(f, "a.example.com", "/three"), "");
    route(f, "one", "/again");
    remove_one(f, KIND(ROUTE), "groups/g/apis/three@RELEASE");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(found(f, "a.example.com", "/again"), "one");
}

static void what_is_missing_may_come_later(void **state)
{
    struct fixture *f = *state;
    use_channel(f, route(f, "one", "/one"), "channels/c");
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    group(f, "groups/g", "a.example.com");
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    assert_non_null(strstr(f->refusals.items[0].reason, "channels/c"));
    channel(f, "channels/c", "127.0.0.1");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(found(f, "a.example.com", "/one"), "one");
}

static void a_host_belongs_to_one_group(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    apply(f);
    group(f, "groups/h", "A.EXAMPLE.com");
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    assert_string_equal(f->refusals.items[0].name, "groups/h");
    remove_one(f, KIND(GROUP), "groups/g");
    group(f, "groups/h", "a.example.com");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
}

static void two_routes_of_one_pattern_clash(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/{x}");
    apply(f);
    route(f, "two", "/{y}");
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    assert_string_equal(f->refusals.items[0].name, "groups/g/apis/two@RELEASE");
    assert_string_equal(f->refusals.items[0].reason,
                        "path: another API of the group has it with that method");
    assert_string_equal(found(f, "a.example.com", "/7"), "one");
    remove_one(f, KIND(ROUTE), "groups/g/apis/one@RELEASE");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(found(f, "a.example.com", "/7"), "two");
}

static void apps_are_found_by_the_digest_of_their_code(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    route(f, "two", "/two");
    app(f, "apps/shop", 1, "groups/g/apis/one@RELEASE");
    apply(f);
    uint8_t digest[DP_APP_CODE_DIGEST_BYTES] = {1};
    const struct dp_app *shop = dp_snapshot_app_by_code(f->snapshot, digest);
    assert_non_null(shop);
    assert_true(dp_app_may_call(shop, served(f, "one")));
    assert_false(dp_app_may_call(shop, served(f, "two")));
    digest[31] = 1;
    assert_null(dp_snapshot_app_by_code(f->snapshot, digest));
    app(f, "apps/shop", 2, "groups/g/apis/two@RELEASE");
    apply(f);
    digest[31] = 0;
    assert_null(dp_snapshot_app_by_code(f->snapshot, digest)); /* the old code is void at once */
}

static void the_round_robin_goes_on_over_changes_of_others(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    use_channel(f, route(f, "one", "/one"), "channels/c");
    channel(f, "channels/c", "127.0.0.1");
    apply(f);
    _Atomic uint64_t *cursor = served(f, "one")->backend.channel->cursor;
    use_channel(f, route(f, "one", "/uno"), "channels/c");
    apply(f);
    assert_ptr_equal(served(f, "one")->backend.channel->cursor, cursor);
}

static void a_delta_needs_its_base(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    apply(f);
    group(f, "groups/g", "a.example.com");
    apply(f);
    group(f, "groups/h", "h.example.com");
    assert_int_equal(apply_on(f, 1), -1);
    assert_int_equal(f->err.code, GW_FAILED_PRECONDITION);
    assert_int_equal(dp_catalog_revision(f->catalog), 2);
    group(f, "groups/h", "h.example.com");
    assert_int_equal(apply_on(f, 0), 0); /* full: what is not in it is gone */
    const struct dp_host *settings;
    assert_null(dp_snapshot_find_group(f->snapshot, GW_STR("a.example.com"), &settings));
    assert_non_null(dp_snapshot_find_group(f->snapshot, GW_STR("h.example.com"), &settings));
}

static void the_catalog_can_be_kept_and_read_again(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    use_channel(f, route(f, "two", "/two"), "channels/c");
    channel(f, "channels/c", "127.0.0.1");
    apply(f);
    route(f, "one", "broken");
    apply(f);
    struct fixture copy = {.env = f->env, .catalog = dp_catalog_new(&f->env)};
    dp_catalog_each(f->catalog, keep_resource, &copy);
    assert_int_equal(apply_on(&copy, 0), 0);
    assert_string_equal(found(&copy, "a.example.com", "/one"), "one");
    assert_string_equal(found(&copy, "a.example.com", "/two"), "two");
    dp_catalog_free(copy.catalog);
    dp_snapshot_unref(copy.snapshot);
    gw_arena_done(&copy.arena);
}

static Penstock__Agent__V1__Settings *settings(struct fixture *f, const char *name)
{
    resource *r = upsert(f);
    r->kind_case = RESOURCE(SETTINGS);
    r->settings = MESSAGE(f, settings);
    r->settings->name = text(f, name);
    return r->settings;
}

static struct dp_tunables tuned(const struct fixture *f)
{
    struct dp_tunables tunables = {
        .request_body_max = 7, .gzip_level = 3, .xff_index = -1, .http2 = true};
    dp_snapshot_tune(f->snapshot, &tunables);
    return tunables;
}

static void settings_stand_on_top_of_the_flags(void **state)
{
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    apply(f);
    assert_int_equal(tuned(f).request_body_max, 7);
    assert_true(tuned(f).http2);
    Penstock__Agent__V1__Settings *set = settings(f, "settings");
    set->request_body_max_bytes = 2 * 1024 * 1024;
    set->gzip = MESSAGE(f, compression);
    set->http2 = MESSAGE(f, http2);
    set->escaped_slash = PENSTOCK__AGENT__V1__ESCAPED_SLASH__ESCAPED_SLASH_KEPT;
    set->debug_audience = PENSTOCK__AGENT__V1__DEBUG_AUDIENCE__DEBUG_AUDIENCE_EVERYBODY;
    apply(f);
    assert_int_equal(tuned(f).request_body_max, 2 * 1024 * 1024);
    assert_int_equal(tuned(f).gzip_level, 0);
    assert_false(tuned(f).http2);
    assert_int_equal(tuned(f).xff_index, -1);
    assert_int_equal(tuned(f).debug_audience, DP_DEBUG_EVERYBODY);
    assert_true(tuned(f).keep_escaped_slash);
}

static void settings_that_are_wrong_are_refused(void **state)
{
    struct fixture *f = *state;
    settings(f, "settings")->request_body_max_bytes = 2 * 1024 * 1024;
    apply(f);
    settings(f, "settings")->request_body_max_bytes = 5;
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    assert_string_equal(f->refusals.items[0].reason,
                        "request_body_max_bytes: must be 1 MiB to 9536 MiB");
    assert_int_equal(tuned(f).request_body_max, 2 * 1024 * 1024);
    settings(f, "settings")->request_body_timeout_ms = 999;
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    settings(f, "settings")->backend_timeout_max_ms = 600001;
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    Penstock__Agent__V1__Settings *set = settings(f, "settings");
    set->gzip = MESSAGE(f, compression);
    set->gzip->enabled = true;
    set->gzip->level = 10;
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    set = settings(f, "settings");
    set->forwarded_for = MESSAGE(f, forwarded_for);
    set->forwarded_for->index = 101;
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    (void)settings(f, "settings");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_int_equal(tuned(f).request_body_max, 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_snapshot_is_served),
        TEST(a_change_leaves_the_rest_alone),
        TEST(a_broken_form_is_refused_alone_and_the_last_good_one_stays),
        TEST(what_is_missing_may_come_later),
        TEST(a_host_belongs_to_one_group),
        TEST(two_routes_of_one_pattern_clash),
        TEST(apps_are_found_by_the_digest_of_their_code),
        TEST(the_round_robin_goes_on_over_changes_of_others),
        TEST(a_delta_needs_its_base),
        TEST(the_catalog_can_be_kept_and_read_again),
        TEST(settings_stand_on_top_of_the_flags),
        TEST(settings_that_are_wrong_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
