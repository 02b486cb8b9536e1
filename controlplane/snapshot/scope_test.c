/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/scope.h"

#include "common/json.h"
#include "common/message.h"
#include "common/test.h"
#include "controlplane/snapshot/image_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define CLUSTER 0xabcdULL
#define ALL_KINDS 0x1feu

static struct gw_arena arena;

static int begin(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

/* An agent resource written as JSON, by the name inside of it. */
static struct cp_edit edit(const char *name, const char *json)
{
    ProtobufCMessage *message;
    struct gw_error err = GW_ERROR_NONE;
    if (!json)
        return (struct cp_edit){gw_str_from(name), GW_STR_NONE, NULL};
    if (gw_json_parse(&arena, &penstock__agent__v1__resource__descriptor, gw_str_from(json),
                      &message, &err))
        fail_msg("%s: %s", json, err.message);
    return (struct cp_edit){gw_str_from(name), gw_message_pack(&arena, message), NULL};
}

static void commit(struct cp_image *image, int64_t revision, const struct cp_edit *edits,
                   size_t count, bool is_complete)
{
    struct cp_image_change change = {CLUSTER, revision, edits, count, is_complete};
    cp_image_commit(image, &change);
}

static void put(struct cp_image *image, int64_t revision, const char *name, const char *json)
{
    struct cp_edit one = edit(name, json);
    commit(image, revision, &one, 1, false);
}

static const char *route(const char *name, const char *group, const char *more)
{
    return gw_arena_printf(&arena, "{\"route\": {\"name\": \"%s\", \"group\": \"%s\"%s}}", name,
                           group, more)
        .ptr;
}

#define CHANNEL                                                                                    \
    ", \"backend\": {\"http\": {\"channel\": \"channels/x\", \"certificate\": "                    \
    "\"certificates/b\"}}"
#define POLICY ", \"policies\": [\"policies/p\"]"

/* One route in each of two environments of two groups, and what belongs to them. */
static struct cp_image *filled(void)
{
    struct cp_image *image = cp_image_new(10);
    const struct cp_edit edits[] = {
        edit("groups/a", "{\"group\": {\"name\": \"groups/a\", \"domains\": [\"a.com\"], \"tls\": "
                         "[{\"host\": \"a.com\", \"certificates\": [\"certificates/a\"]}]}}"),
        edit("groups/b", "{\"group\": {\"name\": \"groups/b\", \"domains\": [\"b.com\"]}}"),
        edit("groups/a/apis/one@TEST", route("groups/a/apis/one@TEST", "groups/a", POLICY)),
        edit("groups/a/apis/one@LIVE", route("groups/a/apis/one@LIVE", "groups/a", CHANNEL)),
        edit("groups/b/apis/two@LIVE", route("groups/b/apis/two@LIVE", "groups/b", "")),
        edit("channels/x", "{\"channel\": {\"name\": \"channels/x\"}}"),
        edit("policies/p", "{\"policy\": {\"name\": \"policies/p\"}}"),
        edit("policies/q", "{\"policy\": {\"name\": \"policies/q\"}}"),
        edit("certificates/a", "{\"certificate\": {\"name\": \"certificates/a\"}}"),
        edit("certificates/b", "{\"certificate\": {\"name\": \"certificates/b\"}}"),
        edit("apps/both", "{\"app\": {\"name\": \"apps/both\", \"routes\": "
                          "[\"groups/a/apis/one@LIVE\", \"groups/a/apis/one@TEST\"]}}"),
        edit("apps/live",
             "{\"app\": {\"name\": \"apps/live\", \"routes\": [\"groups/b/apis/two@LIVE\"]}}"),
        edit("settings", "{\"settings\": {\"name\": \"settings\"}}"),
    };
    commit(image, 100, edits, GW_ARRAY_LEN(edits), true);
    return image;
}

static const char *name_of(const cp_agent_resource *resource)
{
    ProtobufCMessage *body = &resource->group->base; /* members of the oneof share their place */
    return gw_message_text(body, "name");
}

static int by_text(const void *a, const void *b)
{
    return gw_str_cmp(*(const gw_str *)a, *(const gw_str *)b);
}

/* "100>105 +groups/a -groups/b", each side by name. */
static gw_str describe(struct cp_delta *delta)
{
    gw_str names[64];
    size_t count = 0;
    if (!delta)
        return GW_STR("none");
    for (size_t i = 0; i < delta->chunk_count; i++) {
        ProtobufCMessage *message;
        struct gw_error err;
        assert_int_equal(gw_message_unpack(&arena,
                                           &penstock__agent__v1__control_message__descriptor,
                                           delta->chunks[i], &message, &err),
                         0);
        const cp_update *update = ((cp_control_message *)(void *)message)->update;
        for (size_t k = 0; k < update->n_upserts; k++)
            names[count++] = gw_arena_printf(&arena, " +%s", name_of(update->upserts[k]));
        for (size_t k = 0; k < update->n_removals; k++)
            names[count++] = gw_arena_printf(&arena, " -%s", update->removals[k]->name);
    }
    qsort(names, count, sizeof(names[0]), by_text);
    gw_str text = gw_arena_printf(&arena, "%d>%d", (int)delta->base_revision, (int)delta->revision);
    for (size_t i = 0; i < count; i++)
        text = gw_arena_printf(&arena, "%.*s%.*s", GW_STR_ARG(text), GW_STR_ARG(names[i]));
    return text;
}

static void expect(struct cp_image *image, int64_t revision, const char *expected)
{
    struct cp_image_status status;
    cp_image_status(image, &status);
    struct cp_image_base base = {revision ? status.cluster_id : "", revision, 0};
    struct cp_delta *delta = cp_image_delta(image, &base, ALL_KINDS);
    assert_str(describe(delta), expected);
    cp_delta_unref(delta);
}

static void scopes_are_texts_in_order(void **state)
{
    (void)state;
    const char *const ids[] = {"TEST", "LIVE", "TEST", "live"};
    assert_str(cp_scope_text(&arena, ids, 4), "LIVE,TEST,live");
    assert_str(cp_scope_text(&arena, ids, 0), "");
    assert_true(cp_scope_same_cluster("abc", "abc/0123"));
    assert_true(cp_scope_same_cluster("abc/1", "abc/2"));
    assert_false(cp_scope_same_cluster("abc.9", "abc"));
    assert_false(cp_scope_same_cluster("ab", "abc"));
}

static void a_scope_has_what_its_routes_need(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    struct cp_image *live = cp_scope_join(whole, GW_STR("LIVE"));
    assert_ptr_equal(cp_scope_join(whole, GW_STR("")), whole);
    assert_ptr_equal(cp_scope_join(whole, GW_STR("TEST")), test);
    expect(test, 0,
           "0>100 +apps/both +certificates/a +groups/a +groups/a/apis/one@TEST +policies/p "
           "+settings");
    expect(live, 0,
           "0>100 +apps/both +apps/live +certificates/a +certificates/b +channels/x +groups/a "
           "+groups/a/apis/one@LIVE +groups/b +groups/b/apis/two@LIVE +settings");
    expect(cp_scope_join(whole, GW_STR("NONE")), 0, "0>100 +settings");
    cp_image_free(whole);
}

/* Not a byte of what another environment has: names, texts and digests are searched for. */
static void an_app_is_cut_to_the_routes_of_the_scope(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    struct cp_image_base nothing = {"", 0, 0};
    struct cp_delta *delta = cp_image_delta(test, &nothing, ALL_KINDS);
    for (size_t i = 0; i < delta->chunk_count; i++)
        assert_null(memmem(delta->chunks[i].ptr, delta->chunks[i].len, "LIVE", 4));
    cp_delta_unref(delta);
    put(whole, 101, "apps/both",
        "{\"app\": {\"name\": \"apps/both\", \"routes\": [\"groups/a/apis/one@TEST\"]}}");
    expect(test, 100, "none");
    expect(whole, 100, "100>101 +apps/both");
    put(whole, 102, "apps/both",
        "{\"app\": {\"name\": \"apps/both\", \"routes\": [\"groups/a/apis/one@LIVE\"]}}");
    expect(test, 100, "100>102 -apps/both");
    cp_image_free(whole);
}

static void what_lies_outside_is_not_sent_and_is_covered(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    struct cp_image_status status;
    put(whole, 101, "channels/x", "{\"channel\": {\"name\": \"channels/x\", \"members\": [{}]}}");
    put(whole, 102, "groups/b/apis/three@LIVE",
        route("groups/b/apis/three@LIVE", "groups/b", CHANNEL));
    put(whole, 103, "groups/b/apis/three@LIVE", NULL);
    put(whole, 104, "policies/q", NULL);
    expect(test, 100, "none");
    cp_image_status(test, &status);
    assert_true(cp_image_covers(&status, status.cluster_id, 100, 104));
    assert_int_equal(status.resources, 6);
    assert_int_equal(test->items.count, 6); /* no trace of foreign names either */
    put(whole, 105, "policies/p", "{\"policy\": {\"name\": \"policies/p\", \"ipAccess\": {}}}");
    cp_image_status(test, &status);
    assert_false(cp_image_covers(&status, status.cluster_id, 100, 105));
    expect(test, 100, "100>105 +policies/p");
    cp_image_free(whole);
}

static void what_a_route_begins_or_ceases_to_need_comes_and_goes(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    put(whole, 101, "groups/a/apis/one@TEST", route("groups/a/apis/one@TEST", "groups/a", CHANNEL));
    expect(test, 100, "100>101 +certificates/b +channels/x +groups/a/apis/one@TEST -policies/p");
    put(whole, 102, "groups/b/apis/two@TEST", route("groups/b/apis/two@TEST", "groups/b", POLICY));
    expect(test, 101, "101>102 +groups/b +groups/b/apis/two@TEST +policies/p");
    put(whole, 103, "groups/a/apis/one@TEST", NULL); /* the last one of its group */
    expect(test, 102,
           "102>103 -certificates/a -certificates/b -channels/x -groups/a -groups/a/apis/one@TEST");
    put(whole, 104, "groups/a",
        "{\"group\": {\"name\": \"groups/a\", \"domains\": [\"a.com\", \"c.com\"]}}");
    expect(test, 103, "none");
    put(whole, 105, "groups/a/apis/one@TEST", route("groups/a/apis/one@TEST", "groups/a", ""));
    expect(test, 103, "103>105 +groups/a +groups/a/apis/one@TEST");
    put(whole, 106, "groups/a",
        "{\"group\": {\"name\": \"groups/a\", \"domains\": [\"a.com\"], \"tls\": [{\"host\": "
        "\"a.com\", \"certificates\": [\"certificates/b\"]}]}}");
    expect(test, 105, "105>106 +certificates/b +groups/a");
    cp_image_free(whole);
}

/* Two routes change hands of a channel in one revision: it has not changed. */
static void what_is_still_needed_is_not_sent_again(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *live = cp_scope_join(whole, GW_STR("LIVE"));
    const struct cp_edit edits[] = {
        edit("groups/a/apis/one@LIVE", route("groups/a/apis/one@LIVE", "groups/a", "")),
        edit("groups/b/apis/two@LIVE", route("groups/b/apis/two@LIVE", "groups/b", CHANNEL)),
    };
    commit(whole, 101, edits, 2, false);
    expect(live, 100, "100>101 +groups/a/apis/one@LIVE +groups/b/apis/two@LIVE");
    cp_image_free(whole);
}

static void the_cluster_id_tells_scopes_apart(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    struct cp_image *live = cp_scope_join(whole, GW_STR("LIVE"));
    struct cp_image_status status;
    cp_image_status(test, &status);
    struct cp_image_base of_test = {status.cluster_id, 100, 0},
                         of_whole = {"000000000000abcd", 100, 0};
    struct cp_delta *delta = cp_image_delta(live, &of_test, ALL_KINDS);
    assert_int_equal(delta->base_revision, 0);
    cp_delta_unref(delta);
    delta = cp_image_delta(whole, &of_test, ALL_KINDS);
    assert_int_equal(delta->base_revision, 0);
    cp_delta_unref(delta);
    delta = cp_image_delta(test, &of_whole, ALL_KINDS);
    assert_int_equal(delta->base_revision, 0);
    assert_true(cp_scope_same_cluster(delta->cluster_id, "000000000000abcd"));
    assert_true(strlen(delta->cluster_id) < 48); /* what control planes before scopes accept */
    cp_delta_unref(delta);
    cp_image_free(whole);
}

/* The store is listed again, set back, and another one: the scope follows. */
static void a_scope_follows_lists_and_histories(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    const struct cp_edit edits[] = {
        edit("groups/a", "{\"group\": {\"name\": \"groups/a\"}}"),
        edit("groups/a/apis/one@TEST", route("groups/a/apis/one@TEST", "groups/a", "")),
        edit("groups/a/apis/one@LIVE", route("groups/a/apis/one@LIVE", "groups/a", CHANNEL)),
    };
    commit(whole, 110, edits, 3, true);
    expect(test, 100,
           "100>110 +groups/a +groups/a/apis/one@TEST -apps/both -certificates/a -policies/p "
           "-settings");
    commit(whole, 90, edits, 2, true);
    expect(test, 0, "0>90 +groups/a +groups/a/apis/one@TEST");
    struct cp_image_status status;
    cp_image_status(test, &status);
    assert_int_equal(strncmp(status.cluster_id, "000000000000abcd.90/", 20), 0);
    struct cp_image *late = cp_scope_join(whole, GW_STR("LIVE"));
    cp_image_status(late, &status);
    assert_int_equal(strncmp(status.cluster_id, "000000000000abcd.90/", 20), 0);
    put(whole, 91, "groups/a/apis/one@TEST", NULL);
    expect(test, 90, "90>91 -groups/a -groups/a/apis/one@TEST");
    cp_image_free(whole);
}

/* An agent of the scope that comes from another replica has all of it: foreign changes since then
 * make no full snapshot. */
static void a_new_scope_goes_on_where_nothing_of_it_changed(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    put(whole, 101, "policies/p", "{\"policy\": {\"name\": \"policies/p\", \"ipAccess\": {}}}");
    put(whole, 102, "channels/x", "{\"channel\": {\"name\": \"channels/x\", \"members\": [{}]}}");
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    expect(test, 101, "none");
    expect(test, 102, "none");
    struct cp_image_base older = {test->cluster_id, 100, 0};
    struct cp_delta *delta = cp_image_delta(test, &older, ALL_KINDS);
    assert_int_equal(delta->base_revision, 0);
    cp_delta_unref(delta);
    put(whole, 103, "policies/p", "{\"policy\": {\"name\": \"policies/p\"}}");
    expect(test, 101, "101>103 +policies/p");
    cp_image_free(whole);
}

static void a_scope_may_come_before_the_store_was_read(void **state)
{
    (void)state;
    struct cp_image *whole = cp_image_new(10);
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    expect(test, 0, "none");
    const struct cp_edit one =
        edit("groups/a/apis/one@TEST", route("groups/a/apis/one@TEST", "groups/a", ""));
    commit(whole, 100, &one, 1, true);
    expect(test, 0, "0>100 +groups/a/apis/one@TEST"); /* its group is refused: it may come yet */
    put(whole, 101, "groups/a", "{\"group\": {\"name\": \"groups/a\"}}");
    expect(test, 100, "100>101 +groups/a");
    cp_image_free(whole);
}

#define KEYS                                                                                       \
    "{\"ticketKeys\": {\"name\": \"ticketKeys\", \"keys\": [{\"name\": "                           \
    "\"bmFtZW5hbWVuYW1lbmFtZQ==\", \"aesKey\": "                                                   \
    "\"YWVzYWVzYWVzYWVzYWVzYWVzYWVzYWVzYWVzYWVzYWU=\", \"hmacKey\": "                              \
    "\"aG1hY2htYWNobWFjaG1hY2htYWNobWFjaG1hY2htYWM=\"}]}}"

static const cp_agent_ticket_key *ticket_key(const struct cp_image *image)
{
    ProtobufCMessage *message;
    struct gw_error err;
    const struct cp_item *item = gw_map_get(&image->items, GW_STR("ticketKeys"));
    assert_int_equal(gw_message_unpack(&arena, &penstock__agent__v1__resource__descriptor,
                                       item->packed, &message, &err),
                     0);
    return ((cp_agent_resource *)(void *)message)->ticket_keys->keys[0];
}

static void no_scope_opens_tickets_of_another(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    put(whole, 101, "ticketKeys", KEYS);
    const cp_agent_ticket_key *keys[] = {ticket_key(whole),
                                         ticket_key(cp_scope_join(whole, GW_STR("TEST"))),
                                         ticket_key(cp_scope_join(whole, GW_STR("LIVE")))};
    for (size_t i = 0; i < 3; i++) {
        const cp_agent_ticket_key *a = keys[i], *b = keys[(i + 1) % 3];
        assert_int_equal(a->name.len, 16);
        assert_int_equal(a->aes_key.len, 32);
        assert_int_equal(a->hmac_key.len, 32);
        assert_memory_not_equal(a->name.data, b->name.data, 16);
        assert_memory_not_equal(a->aes_key.data, b->aes_key.data, 32);
        assert_memory_not_equal(a->hmac_key.data, b->hmac_key.data, 32);
    }
    cp_image_free(whole);
}

static void agents_of_a_scope_share_its_deltas(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *test = cp_scope_join(whole, GW_STR("TEST"));
    struct cp_image_base nothing = {"", 0, 0};
    struct cp_delta *first = cp_image_delta(test, &nothing, ALL_KINDS);
    put(whole, 101, "channels/x", NULL);
    struct cp_delta *second = cp_image_delta(test, &nothing, ALL_KINDS);
    assert_ptr_equal(first, second); /* a foreign change does not have it packed again */
    cp_delta_unref(first);
    cp_delta_unref(second);
    cp_image_free(whole);
}

static void there_are_only_so_many_scopes(void **state)
{
    (void)state;
    struct cp_image *whole = filled();
    struct cp_image *first = cp_scope_join(whole, GW_STR("E0"));
    for (int i = 1; i < CP_SCOPES_MAX; i++)
        assert_non_null(cp_scope_join(whole, gw_arena_printf(&arena, "E%d", i)));
    assert_null(cp_scope_join(whole, GW_STR("TEST")));
    cp_scope_leave(whole, first);
    assert_non_null(cp_scope_join(whole, GW_STR("TEST")));
    cp_scope_leave(whole, whole);
    cp_scope_leave(whole, NULL);
    cp_image_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_texts_in_order),
        cmocka_unit_test(a_scope_has_what_its_routes_need),
        cmocka_unit_test(an_app_is_cut_to_the_routes_of_the_scope),
        cmocka_unit_test(what_lies_outside_is_not_sent_and_is_covered),
        cmocka_unit_test(what_a_route_begins_or_ceases_to_need_comes_and_goes),
        cmocka_unit_test(what_is_still_needed_is_not_sent_again),
        cmocka_unit_test(the_cluster_id_tells_scopes_apart),
        cmocka_unit_test(a_scope_follows_lists_and_histories),
        cmocka_unit_test(a_new_scope_goes_on_where_nothing_of_it_changed),
        cmocka_unit_test(a_scope_may_come_before_the_store_was_read),
        cmocka_unit_test(no_scope_opens_tickets_of_another),
        cmocka_unit_test(agents_of_a_scope_share_its_deltas),
        cmocka_unit_test(there_are_only_so_many_scopes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
