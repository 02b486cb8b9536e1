/* SPDX-License-Identifier: Apache-2.0 */
/* Apps: who has an AppCode and what it opens, over updates that take codes, swap and refuse them.
 */
#include "dataplane/sha256.h"
#include "dataplane/snapshot/test_updates.h"

#define ONE "groups/g/apis/one@RELEASE"
#define TWO "groups/g/apis/two@RELEASE"
#define OPTIONAL_TAG "\xc2\x3e" /* field 1000, a string */

/* "apps/shop" has the code; "": nobody. */
static const char *owner(struct fixture *f, uint8_t code)
{
    static char name[64];
    uint8_t digest[DP_APP_CODE_DIGEST_BYTES] = {code};
    const struct dp_app *found = dp_snapshot_app_by_code(f->snapshot, digest);
    gw_str text = found ? dp_app_name(found) : GW_STR("");
    (void)snprintf(name, sizeof name, "%.*s", GW_STR_ARG(text));
    return name;
}

static bool opens(struct fixture *f, uint8_t code, const char *api)
{
    uint8_t digest[DP_APP_CODE_DIGEST_BYTES] = {code};
    return dp_app_may_call(dp_snapshot_app_by_code(f->snapshot, digest), served(f, api));
}

static int set_up_routes(void **state)
{
    assert_int_equal(set_up(state), 0);
    struct fixture *f = *state;
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    route(f, "two", "/two");
    apply(f);
    return 0;
}

static void what_it_is_called(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE)->display_name = text(f, "the shop");
    apply(f);
    uint8_t digest[DP_APP_CODE_DIGEST_BYTES] = {1};
    const struct dp_app *shop = dp_snapshot_app_by_code(f->snapshot, digest);
    assert_true(gw_str_eq(dp_app_name(shop), GW_STR("apps/shop")));
    assert_true(gw_str_eq(dp_app_id(shop), GW_STR("shop")));
    assert_int_equal(dp_snapshot_app_count(f->snapshot), 1);
    assert_true(opens(f, 1, "one") && !opens(f, 1, "two"));
}

static void a_code_belongs_to_one_app(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE);
    apply(f);
    app(f, "apps/thief", 1, TWO);
    apply(f);
    assert_string_equal(owner(f, 1), "apps/shop");
    assert_int_equal(f->refusals.count, 1);
    assert_string_equal(f->refusals.items[0].name, "apps/thief");
    assert_string_equal(f->refusals.items[0].reason, "app_code_digests: [0] belongs to apps/shop");
    assert_int_equal(f->refusals.items[0].revision, 3);
    assert_int_equal(dp_snapshot_app_count(f->snapshot), 1);
    apply(f); /* nothing has changed: it is tried, and refused, again */
    assert_int_equal(f->refusals.count, 1);
    assert_int_equal(f->refusals.items[0].revision, 3);
    remove_one(f, KIND(APP), "apps/shop");
    apply(f);
    assert_string_equal(owner(f, 1), "apps/thief");
    assert_int_equal(f->refusals.count, 0);
}

static void codes_are_swapped_in_one_update(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE);
    app(f, "apps/bank", 2, TWO);
    apply(f);
    app(f, "apps/shop", 2, ONE);
    app(f, "apps/bank", 1, TWO);
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(owner(f, 1), "apps/bank");
    assert_string_equal(owner(f, 2), "apps/shop");
    remove_one(f, KIND(APP), "apps/bank");
    app(f, "apps/new", 1, ONE);
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(owner(f, 1), "apps/new");
}

static void a_bad_form_leaves_the_good_one(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE);
    apply(f);
    app(f, "apps/shop", 2, ONE)->app_code_digests[0].len = 31;
    apply(f);
    assert_string_equal(owner(f, 1), "apps/shop");
    assert_string_equal(f->refusals.items[0].reason, "app_code_digests: must have 32 bytes each");
    app(f, "apps/shop", 1, ONE); /* back to what is in force */
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(owner(f, 1), "apps/shop");
    app(f, "apps/shop", 2, ONE)->app_code_digests[0].len = 31;
    apply(f);
    remove_one(f, KIND(APP), "apps/shop");
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(owner(f, 1), "");
}

static void of_what_comes_twice_the_later_counts(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE);
    app(f, "apps/shop", 1, TWO);
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    assert_true(opens(f, 1, "two") && !opens(f, 1, "one"));
    app(f, "apps/shop", 2, ONE);
    remove_one(f, KIND(APP), "apps/shop"); /* removals come after */
    apply(f);
    assert_int_equal(dp_snapshot_app_count(f->snapshot), 0);
    assert_string_equal(owner(f, 2), "");
}

static void a_full_update_takes_away_what_it_does_not_bring(void **state)
{
    struct fixture *f = *state;
    app(f, "apps/shop", 1, ONE);
    app(f, "apps/gone", 2, ONE);
    app(f, "apps/thief", 1, ONE);
    apply(f);
    assert_int_equal(f->refusals.count, 1);
    group(f, "groups/g", "a.example.com");
    route(f, "one", "/one");
    app(f, "apps/shop", 1, ONE);
    assert_int_equal(apply_on(f, 0), 0);
    assert_int_equal(f->refusals.count, 0);
    assert_string_equal(owner(f, 1), "apps/shop");
    assert_string_equal(owner(f, 2), "");
    assert_int_equal(dp_snapshot_app_count(f->snapshot), 1);
    assert_true(opens(f, 1, "one"));
}

/* What an app may call is known by name, and stays granted while the route goes and comes. */
static void a_route_may_come_later_and_again(void **state)
{
    struct fixture *f = *state;
    Penstock__Agent__V1__App *shop = app(f, "apps/shop", 1, "groups/g/apis/new@RELEASE");
    shop->n_routes = 2;
    shop->routes = GW_ARENA_ARRAY(&f->arena, char *, 2);
    shop->routes[0] = shop->routes[1] = text(f, "groups/g/apis/new@RELEASE"); /* it says so twice */
    apply(f);
    route(f, "new", "/new");
    apply(f);
    assert_true(opens(f, 1, "new"));
    remove_one(f, KIND(ROUTE), "groups/g/apis/new@RELEASE");
    apply(f);
    route(f, "new", "/newer");
    apply(f);
    assert_true(opens(f, 1, "new"));
    remove_one(f, KIND(APP), "apps/shop");
    remove_one(f, KIND(ROUTE), "groups/g/apis/new@RELEASE");
    apply(f);
    route(f, "new", "/newest");
    app(f, "apps/shop", 1, TWO);
    apply(f);
    assert_true(opens(f, 1, "two") && !opens(f, 1, "new"));
}

static void they_are_kept_and_read_again(void **state)
{
    struct fixture *f = *state;
    static char entry[] = "192.0.2.0/24", *entries[] = {entry};
    Penstock__Agent__V1__IpAccess access = PENSTOCK__AGENT__V1__IP_ACCESS__INIT;
    access.permit = true;
    access.addresses = entries;
    access.n_addresses = 1;
    app(f, "apps/shop", 1, ONE)->display_name = text(f, "the shop");
    app(f, "apps/near", 2, TWO)->ip_access = &access;
    app(f, "apps/cold", 3, TWO)->frozen = true;
    app(f, "apps/thief", 1, ONE);
    apply(f);
    struct fixture copy = {.env = f->env, .catalog = dp_catalog_new(&f->env)};
    dp_catalog_each(f->catalog, keep_resource, &copy);
    assert_int_equal(copy.upsert_count, 3 + 3); /* the group and its routes; no refused ones */
    assert_int_equal(apply_on(&copy, 0), 0);
    assert_string_equal(owner(&copy, 1), "apps/shop");
    uint8_t near[DP_APP_CODE_DIGEST_BYTES] = {2}, cold[DP_APP_CODE_DIGEST_BYTES] = {3};
    assert_non_null(dp_app_addresses(dp_snapshot_app_by_code(copy.snapshot, near)));
    assert_true(dp_snapshot_app_by_code(copy.snapshot, cold)->frozen);
    assert_true(opens(&copy, 1, "one") && opens(&copy, 2, "two") && !opens(&copy, 2, "one"));
    assert_false(
        gw_content_digest_eq(dp_catalog_digest(f->catalog), dp_catalog_digest(copy.catalog)));
    dp_catalog_each_refused(f->catalog, keep_resource, &copy);
    assert_int_equal(copy.upsert_count, 1);
    assert_string_equal(copy.upserts[0]->app->name, "apps/thief");
    apply(&copy);
    assert_int_equal(copy.refusals.count, 1);
    assert_true(
        gw_content_digest_eq(dp_catalog_digest(f->catalog), dp_catalog_digest(copy.catalog)));
    dp_catalog_free(copy.catalog);
    dp_snapshot_unref(copy.snapshot);
    gw_arena_done(&copy.arena);
}

static bool add_form(void *arg, gw_str packed)
{
    uint8_t sha256[DP_SHA256_BYTES];
    dp_sha256(packed, sha256);
    gw_content_digest_add(arg, gw_content_digest_of(sha256));
    return true;
}

/* Of routes and apps, refused or not, each once. */
static void the_digest_is_of_all_newest_forms(void **state)
{
    struct fixture *f = *state;
    struct gw_content_digest empty = {{0, 0}}, sum = empty, good = empty;
    app(f, "apps/shop", 1, ONE);
    app(f, "apps/bank", 2, TWO);
    apply(f);
    dp_catalog_each(f->catalog, add_form, &sum);
    assert_true(gw_content_digest_eq(sum, dp_catalog_digest(f->catalog)));
    struct gw_content_digest before = sum;
    app(f, "apps/shop", 2, ONE); /* refused */
    route(f, "one", "broken");
    apply(f);
    assert_int_equal(f->refusals.count, 2);
    assert_false(gw_content_digest_eq(before, dp_catalog_digest(f->catalog)));
    dp_catalog_each(f->catalog, add_form, &good);
    assert_true(gw_content_digest_eq(before, good)); /* what is in force is the same */
    app(f, "apps/shop", 1, ONE);
    route(f, "one", "/one");
    apply(f);
    assert_true(gw_content_digest_eq(before, dp_catalog_digest(f->catalog)));
    remove_one(f, KIND(APP), "apps/shop");
    remove_one(f, KIND(APP), "apps/bank");
    remove_one(f, KIND(ROUTE), ONE);
    remove_one(f, KIND(ROUTE), TWO);
    remove_one(f, KIND(GROUP), "groups/g");
    apply(f);
    assert_true(gw_content_digest_eq(empty, dp_catalog_digest(f->catalog)));
}

static bool look_for_tag(void *arg, gw_str packed)
{
    bool *is_there = arg;
    *is_there |= memmem(packed.ptr, packed.len, OPTIONAL_TAG, strlen(OPTIONAL_TAG)) != NULL;
    return true;
}

/* It may be passed over, and is there for a later version of the agent. */
static void what_is_not_known_is_kept(void **state)
{
    struct fixture *f = *state;
    char word[] = "\3new";
    ProtobufCMessageUnknownField later = {1000, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 4,
                                          (uint8_t *)word};
    Penstock__Agent__V1__App *shop = app(f, "apps/shop", 1, ONE);
    shop->base.n_unknown_fields = 1;
    shop->base.unknown_fields = &later;
    apply(f);
    assert_int_equal(f->refusals.count, 0);
    bool is_there = false;
    dp_catalog_each(f->catalog, look_for_tag, &is_there);
    assert_true(is_there);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_routes, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_is_called),
        TEST(a_code_belongs_to_one_app),
        TEST(codes_are_swapped_in_one_update),
        TEST(a_bad_form_leaves_the_good_one),
        TEST(of_what_comes_twice_the_later_counts),
        TEST(a_full_update_takes_away_what_it_does_not_bring),
        TEST(a_route_may_come_later_and_again),
        TEST(they_are_kept_and_read_again),
        TEST(the_digest_is_of_all_newest_forms),
        TEST(what_is_not_known_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
