/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/image.h"

#include "common/message.h"
#include "common/test.h"
#include "controlplane/snapshot/newer.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define CLUSTER 0xabcdULL
#define CLUSTER_TEXT "000000000000abcd"
#define ALL_KINDS 0x3eu

static const struct cp_image_base NOTHING = {"", 0, 0};

/* A packed Resource of a group of that name with one domain, so that its bytes can be told apart.
 */
static gw_str group(struct gw_arena *arena, const char *name, const char *domain)
{
    char *domains[] = {gw_arena_strdup(arena, domain)};
    cp_agent_group body = PENSTOCK__AGENT__V1__GROUP__INIT;
    body.name = gw_arena_strdup(arena, name);
    body.n_domains = 1;
    body.domains = domains;
    cp_agent_resource resource = PENSTOCK__AGENT__V1__RESOURCE__INIT;
    resource.kind_case = CP_AGENT_RESOURCE(GROUP);
    resource.group = &body;
    return gw_message_pack(arena, &resource.base);
}

static void commit(struct cp_image *image, int64_t revision, const struct cp_edit *edits,
                   size_t count, bool is_complete)
{
    struct cp_image_change change = {CLUSTER, revision, edits, count, is_complete};
    cp_image_commit(image, &change);
}

static void put_one(struct cp_image *image, int64_t revision, const char *name, const char *domain)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_edit edit = {gw_str_from(name), group(&arena, name, domain), NULL};
    commit(image, revision, &edit, 1, false);
    gw_arena_done(&arena);
}

static void remove_one(struct cp_image *image, int64_t revision, const char *name)
{
    struct cp_edit edit = {gw_str_from(name), GW_STR_NONE, NULL};
    commit(image, revision, &edit, 1, false);
}

/* What a delta says: "100>105 +groups/a=x -groups/b", all chunks together. */
static gw_str describe(struct gw_arena *arena, struct cp_delta *delta)
{
    if (!delta)
        return GW_STR("none");
    gw_str text = gw_arena_printf(arena, "%d>%d", (int)delta->base_revision, (int)delta->revision);
    for (size_t i = 0; i < delta->chunk_count; i++) {
        ProtobufCMessage *message;
        struct gw_error err;
        assert_int_equal(gw_message_unpack(arena, &penstock__agent__v1__control_message__descriptor,
                                           delta->chunks[i], &message, &err),
                         0);
        const cp_update *update = ((cp_control_message *)(void *)message)->update;
        assert_non_null(update);
        assert_string_equal(update->cluster_id, delta->cluster_id);
        assert_int_equal(update->base_revision, delta->base_revision);
        assert_int_equal(update->revision, delta->revision);
        assert_int_equal(update->final, i + 1 == delta->chunk_count);
        for (size_t k = 0; k < update->n_upserts; k++)
            text = gw_arena_printf(arena, "%.*s +%s=%s", GW_STR_ARG(text),
                                   update->upserts[k]->group->name,
                                   update->upserts[k]->group->domains[0]);
        for (size_t k = 0; k < update->n_removals; k++)
            text = gw_arena_printf(arena, "%.*s -%s", GW_STR_ARG(text), update->removals[k]->name);
    }
    return text;
}

static void expect_from(struct cp_image *image, const struct cp_image_base *base,
                        const char *expected)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_delta *delta = cp_image_delta(image, base, ALL_KINDS);
    assert_str(describe(&arena, delta), expected);
    cp_delta_unref(delta);
    gw_arena_done(&arena);
}

static void expect(struct cp_image *image, int64_t revision, const char *expected)
{
    struct cp_image_base base = {CLUSTER_TEXT, revision, 0};
    expect_from(image, &base, expected);
}

static struct cp_image *loaded(unsigned tombstones_max)
{
    struct cp_image *image = cp_image_new(tombstones_max);
    commit(image, 100, NULL, 0, true);
    return image;
}

/* ---- agents that come back to a control plane that has just started */

#define STRICT_KINDS (ALL_KINDS | CP_KINDS_STRICT)

static struct gw_content_digest digest_of(const char *name, const char *domain)
{
    struct gw_arena arena;
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    gw_arena_init(&arena, 0);
    gw_str packed = group(&arena, name, domain);
    SHA256((const unsigned char *)packed.ptr, packed.len, sha256);
    gw_arena_done(&arena);
    return gw_content_digest_of(sha256);
}

/* Has groups a=1 and b=1, at revision 40 of before the start. */
static void expect_back(struct cp_image *image, unsigned kinds, const char *expected)
{
    struct gw_arena arena;
    struct gw_content_digest sum = digest_of("groups/a", "1");
    gw_content_digest_add(&sum, digest_of("groups/b", "1"));
    struct cp_image_base base = {CLUSTER_TEXT, 40, 0, &sum};
    gw_arena_init(&arena, 0);
    struct cp_delta *delta = cp_image_delta(image, &base, kinds);
    assert_str(describe(&arena, delta), expected);
    cp_delta_unref(delta);
    gw_arena_done(&arena);
}

static struct cp_image *loaded_with(const char *a, const char *b, unsigned tombstones_max)
{
    struct gw_arena arena;
    struct cp_image *image = cp_image_new(tombstones_max);
    gw_arena_init(&arena, 0);
    struct cp_edit edits[] = {{GW_STR("groups/a"), group(&arena, "groups/a", a), NULL},
                              {GW_STR("groups/b"), group(&arena, "groups/b", b), NULL}};
    commit(image, 100, edits, 2, true);
    gw_arena_done(&arena);
    return image;
}

static void test_who_has_what_it_began_with_gets_what_came_since(void **state)
{
    (void)state;
    struct cp_image *image = loaded_with("1", "1", 10);
    expect_back(image, STRICT_KINDS, "40>100");
    put_one(image, 101, "groups/c", "1");
    put_one(image, 102, "groups/b", "2");
    remove_one(image, 103, "groups/a");
    expect_back(image, STRICT_KINDS, "40>103 +groups/b=2 +groups/c=1 -groups/a");
    /* Such an agent has passed over fields: what it has is not what it was sent. */
    expect_back(image, ALL_KINDS, "0>103 +groups/b=2 +groups/c=1");
    expect_back(image, STRICT_KINDS & ~(1u << CP_AGENT_KIND(GROUP)), "0>103");
    expect(image, 40, "0>103 +groups/b=2 +groups/c=1"); /* it has not said what it has */
    cp_image_free(image);
}

static void test_who_has_something_else_gets_everything(void **state)
{
    (void)state;
    struct cp_image *image = loaded_with("1", "2", 10);
    expect_back(image, STRICT_KINDS, "0>100 +groups/b=2 +groups/a=1");
    put_one(image, 101, "groups/b", "1"); /* as it has it, but it had not when all this began */
    expect_back(image, STRICT_KINDS, "0>101 +groups/b=1 +groups/a=1");
    cp_image_free(image);
}

static void test_what_was_removed_since_may_be_forgotten(void **state)
{
    (void)state;
    struct cp_image *image = loaded_with("1", "1", 1);
    remove_one(image, 101, "groups/a");
    expect_back(image, STRICT_KINDS, "40>101 -groups/a");
    remove_one(image, 102, "groups/b");
    expect_back(image, STRICT_KINDS, "0>102");
    cp_image_free(image);
}

static void test_nothing_before_the_store_was_read(void **state)
{
    (void)state;
    struct cp_image *image = cp_image_new(10);
    expect_from(image, &NOTHING, "none");
    commit(image, 100, NULL, 0, true);
    expect_from(image, &NOTHING, "0>100");
    cp_image_free(image);
}

static void test_delta_holds_what_changed(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    put_one(image, 102, "groups/b", "1");
    put_one(image, 103, "groups/a", "2");
    expect_from(image, &NOTHING, "0>103 +groups/a=2 +groups/b=1");
    expect(image, 100, "100>103 +groups/a=2 +groups/b=1");
    expect(image, 102, "102>103 +groups/a=2");
    expect(image, 103, "none");
    expect(image, 99, "0>103 +groups/a=2 +groups/b=1"); /* before our time: full */
    remove_one(image, 104, "groups/b");
    expect(image, 103, "103>104 -groups/b");
    expect(image, 101, "101>104 +groups/a=2 -groups/b");
    put_one(image, 105, "groups/b", "1");
    expect(image, 103, "103>105 +groups/b=1");
    cp_image_free(image);
}

static void test_unchanged_bytes_wake_nobody(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    put_one(image, 107, "groups/a", "1");
    struct cp_image_status status;
    cp_image_status(image, &status);
    assert_int_equal(status.content_revision, 101);
    assert_int_equal(status.seen_revision, 107);
    expect(image, 101, "none");
    assert_true(cp_image_covers(&status, CLUSTER_TEXT, 101, 107));
    assert_false(cp_image_covers(&status, CLUSTER_TEXT, 100, 107));
    assert_false(cp_image_covers(&status, CLUSTER_TEXT, 101, 108));
    assert_false(cp_image_covers(&status, "other", 101, 107));
    cp_image_free(image);
}

static void test_refused_keeps_last_good_form(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    struct cp_edit edits[] = {{GW_STR("groups/a"), GW_STR_NONE, "no release"},
                              {GW_STR("groups/b"), GW_STR_NONE, "never good"}};
    commit(image, 102, edits, 2, false);
    expect_from(image, &NOTHING, "0>101 +groups/a=1");
    expect(image, 101, "none");
    struct cp_image_refusal refusal;
    assert_true(cp_image_refusal(image, GW_STR("groups/a"), &refusal));
    assert_string_equal(refusal.reason, "no release");
    assert_int_equal(refusal.revision, 102);
    struct cp_image_status status;
    cp_image_status(image, &status);
    assert_int_equal(status.refusals, 2);
    assert_int_equal(status.resources, 1);

    put_one(image, 103, "groups/a", "1"); /* good again, the same bytes: agents have them */
    remove_one(image, 104, "groups/b");
    assert_false(cp_image_refusal(image, GW_STR("groups/a"), &refusal));
    assert_false(cp_image_refusal(image, GW_STR("groups/b"), &refusal));
    expect(image, 101, "none");
    cp_image_status(image, &status);
    assert_int_equal(status.refusals, 0);
    cp_image_free(image);
}

static void test_forgotten_removals_need_a_full_snapshot(void **state)
{
    (void)state;
    struct cp_image *image = loaded(2);
    const char *names[] = {"groups/a", "groups/b", "groups/c"};
    for (int i = 0; i < 3; i++)
        put_one(image, 101 + i, names[i], "1");
    for (int i = 0; i < 3; i++)
        remove_one(image, 111 + i, names[i]);
    expect(image, 111, "111>113 -groups/c -groups/b");
    expect(image, 110, "0>113");
    cp_image_free(image);
}

static void test_relist_keeps_revisions_of_what_is_the_same(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    put_one(image, 102, "groups/b", "1");
    put_one(image, 103, "groups/c", "1");
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_edit edits[] = {{GW_STR("groups/a"), group(&arena, "groups/a", "1"), NULL},
                              {GW_STR("groups/b"), group(&arena, "groups/b", "2"), NULL}};
    commit(image, 150, edits, 2, true);
    expect(image, 103, "103>150 +groups/b=2 -groups/c");
    gw_arena_done(&arena);
    cp_image_free(image);
}

static void test_another_history_is_sent_whole(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct cp_edit edit = {GW_STR("groups/a"), group(&arena, "groups/a", "1"), NULL};
    commit(image, 90, &edit, 1, true); /* the same store, set back */
    expect(image, 101, "0>90 +groups/a=1");
    expect(image, 90, "0>90 +groups/a=1");
    struct cp_image_base now = {CLUSTER_TEXT ".90", 90, 0};
    expect_from(image, &now, "none");

    struct cp_image_change other = {0xbeef, 95, &edit, 1, true};
    cp_image_commit(image, &other);
    expect_from(image, &now, "0>95 +groups/a=1");
    now.cluster_id = "000000000000beef";
    now.revision = 95;
    expect_from(image, &now, "none");
    gw_arena_done(&arena);
    cp_image_free(image);
}

static void test_agent_ahead_waits_for_the_store_to_tell(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    struct cp_image_base ahead = {CLUSTER_TEXT, 120, 1000};
    expect_from(image, &ahead, "none");
    assert_true(cp_image_wants_check(image));
    assert_false(cp_image_wants_check(image));
    cp_image_checked(image, 999, 110); /* asked before the agent came: proves nothing */
    expect_from(image, &ahead, "none");
    cp_image_checked(image, 1000, 120); /* another replica told it: the watch will catch up */
    expect_from(image, &ahead, "none");
    cp_image_checked(image, 1001, 110); /* the store itself was set back */
    expect_from(image, &ahead, "0>100");
    put_one(image, 121, "groups/a", "1");
    expect_from(image, &ahead, "120>121 +groups/a=1");
    cp_image_free(image);
}

static void test_kinds_are_filtered(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    put_one(image, 102, "channels/x", "1");
    remove_one(image, 103, "channels/x");
    struct cp_image_base base = {CLUSTER_TEXT, 102, 0};
    struct cp_delta *delta = cp_image_delta(image, &base, 1u << CP_AGENT_KIND(GROUP));
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    assert_str(describe(&arena, delta), "102>103");
    gw_arena_done(&arena);
    cp_delta_unref(delta);
    cp_image_free(image);
}

static void test_deltas_are_shared_and_outlive_changes(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    put_one(image, 101, "groups/a", "1");
    struct cp_delta *first = cp_image_delta(image, &NOTHING, ALL_KINDS);
    struct cp_delta *second = cp_image_delta(image, &NOTHING, ALL_KINDS);
    assert_ptr_equal(first, second);
    cp_delta_unref(second);
    put_one(image, 102, "groups/a", "2");
    cp_image_free(image);
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    assert_str(describe(&arena, first), "0>101 +groups/a=1");
    gw_arena_done(&arena);
    cp_delta_unref(first);
}

static void test_chunks_stay_in_their_size(void **state)
{
    (void)state;
    struct cp_image *image = loaded(10);
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    size_t count = 40;
    struct cp_edit *edits = GW_ARENA_ARRAY(&arena, struct cp_edit, count);
    char *domain = gw_arena_bytes(&arena, 300 * 1024 + 1);
    for (size_t i = 0; i < count; i++) {
        size_t length = i == 20 ? 300 * 1024 : 20 * 1024;
        memset(domain, 'x', length);
        domain[length] = '\0';
        gw_str name = gw_arena_printf(&arena, "groups/%02zu%c", i, '\0');
        name.len--;
        edits[i] = (struct cp_edit){name, group(&arena, name.ptr, domain), NULL};
    }
    commit(image, 101, edits, count, false);
    struct cp_delta *delta = cp_image_delta(image, &NOTHING, ALL_KINDS);
    size_t larger = 0;
    for (size_t i = 0; i < delta->chunk_count; i++) {
        larger += delta->chunks[i].len > CP_CHUNK_MAX_BYTES;
        if (i + 1 < delta->chunk_count)
            assert_true(delta->chunks[i].len >= 64 * 1024 || delta->chunks[i + 1].len > 300 * 1024);
    }
    assert_int_equal(larger, 1);
    assert_true(delta->chunk_count >= 7);
    gw_str text = describe(&arena, delta);
    size_t upserts = 0;
    for (size_t i = 0; i < text.len; i++)
        upserts += text.ptr[i] == '+';
    assert_int_equal(upserts, count);
    cp_delta_unref(delta);
    gw_arena_done(&arena);
    cp_image_free(image);
}

static int news, no_news;

static void count_news(void *arg, bool has_news)
{
    assert_null(arg);
    news += has_news;
    no_news += !has_news;
}

/* Sessions are woken for what agents get, and for nothing else. */
static void test_listener_hears_whether_agents_are_concerned(void **state)
{
    (void)state;
    struct cp_image *image = cp_image_new(10);
    commit(image, 100, NULL, 0, true);
    cp_image_listen(image, count_news, NULL);
    news = no_news = 0;
    put_one(image, 101, "groups/a", "x");
    assert_int_equal(news, 1);
    put_one(image, 102, "groups/a", "x"); /* the same bytes */
    commit(image, 103, NULL, 0, false);   /* somebody's draft */
    assert_int_equal(news, 1);
    assert_int_equal(no_news, 2);
    remove_one(image, 104, "groups/a");
    assert_int_equal(news, 2);
    cp_image_free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_before_the_store_was_read),
        cmocka_unit_test(test_who_has_what_it_began_with_gets_what_came_since),
        cmocka_unit_test(test_who_has_something_else_gets_everything),
        cmocka_unit_test(test_what_was_removed_since_may_be_forgotten),
        cmocka_unit_test(test_delta_holds_what_changed),
        cmocka_unit_test(test_unchanged_bytes_wake_nobody),
        cmocka_unit_test(test_refused_keeps_last_good_form),
        cmocka_unit_test(test_forgotten_removals_need_a_full_snapshot),
        cmocka_unit_test(test_relist_keeps_revisions_of_what_is_the_same),
        cmocka_unit_test(test_another_history_is_sent_whole),
        cmocka_unit_test(test_agent_ahead_waits_for_the_store_to_tell),
        cmocka_unit_test(test_kinds_are_filtered),
        cmocka_unit_test(test_deltas_are_shared_and_outlive_changes),
        cmocka_unit_test(test_chunks_stay_in_their_size),
        cmocka_unit_test(test_listener_hears_whether_agents_are_concerned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
