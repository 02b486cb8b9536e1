/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else writes at the worst moment: between what a write has read and its transaction. */
#include "controlplane/service/change.h"
#include "controlplane/service/test_services.h"
#include "controlplane/store/store_internal.h"

#include <pthread.h>

/* A store in front of another one that lets `meddle` run before a transaction. */
struct meddler {
    struct cp_store store;
    struct cp_store *inner;
    struct fixture *other; /* who meddles, on the inner store */
    void (*meddle)(struct fixture *other);
    int times;          /* how often; then never more */
    enum gw_code fails; /* not OK: transactions fail with it */
};

static struct cp_store *inner(struct cp_store *store)
{
    return ((struct meddler *)store)->inner;
}

static int meddled_get(struct cp_store *store, gw_str key, struct gw_arena *arena,
                       struct cp_found *ret, struct gw_error *err)
{
    return cp_store_get(inner(store), key, arena, ret, err);
}

static int meddled_list(struct cp_store *store, const struct cp_range *range,
                        struct gw_arena *arena, struct cp_page *ret, struct gw_error *err)
{
    return cp_store_list(inner(store), range, arena, ret, err);
}

static int meddled_count(struct cp_store *store, gw_str prefix, int64_t *ret, struct gw_error *err)
{
    return cp_store_count(inner(store), prefix, ret, err);
}

static int meddled_txn(struct cp_store *store, const struct cp_txn *txn, struct cp_commit *ret,
                       struct gw_error *err)
{
    struct meddler *meddler = (struct meddler *)store;
    if (meddler->fails)
        return gw_fail(err, meddler->fails, "the store is away");
    if (meddler->times > 0) {
        meddler->times--;
        meddler->meddle(meddler->other);
    }
    return cp_store_txn(meddler->inner, txn, ret, err);
}

static const struct cp_store_ops meddled_ops = {
    .get = meddled_get, .list = meddled_list, .count = meddled_count, .txn = meddled_txn};

/* f writes through the meddler, which the other fixture's owner commands. */
static void put_between(struct fixture *f, struct meddler *meddler, struct fixture *other,
                        void (*meddle)(struct fixture *), int times)
{
    *meddler = (struct meddler){.store = {&meddled_ops},
                                .inner = f->services.store,
                                .other = other,
                                .meddle = meddle,
                                .times = times};
    *other = (struct fixture){.services = f->services, .principal = f->principal};
    f->services.store = &meddler->store;
}

static void take_away(struct fixture *f, struct meddler *meddler)
{
    f->services.store = meddler->inner;
    gw_arena_done(&meddler->other->arena);
}

static void create_domain(struct fixture *f)
{
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\":\"groups/one\",\"domainId\":\"a.example.com\"}");
}

static void delete_group(struct fixture *f)
{
    (void)ok(f, &cp_group_service, "DeleteApiGroup", "{\"name\":\"groups/one\"}");
}

static void change_channel(struct fixture *f)
{
    static int port = 1000;
    char request[128];
    (void)snprintf(request, sizeof request,
                   "{\"channel\":{\"name\":\"channels/orders\",\"port\":%d}}", ++port);
    (void)ok(f, &cp_channel_service, "UpdateChannel", request);
}

static void a_child_that_comes_while_its_parent_goes_goes_too(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    put_between(f, &meddler, &other, create_domain, 1);
    delete_group(f);
    take_away(f, &meddler);
    refused(f, GW_NOT_FOUND, &cp_domain_service, "GetDomain",
            "{\"name\":\"groups/one/domains/a.example.com\"}");
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    create_domain(f); /* the host is free again */
}

static void a_child_of_a_parent_that_has_just_gone_is_refused(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    put_between(f, &meddler, &other, delete_group, 1);
    refused(f, GW_NOT_FOUND, &cp_domain_service, "CreateDomain",
            "{\"parent\":\"groups/one\",\"domainId\":\"a.example.com\"}");
    take_away(f, &meddler);
    (void)ok(f, &cp_domain_service, "CreateDomain",
             "{\"parent\":\"groups/DEFAULT\",\"domainId\":\"a.example.com\"}");
}

/* ---- bundles */

/* More new APIs than etcd compares in a transaction without others in it. */
static const char *many_new(void)
{
    static char text[64 * 1024];
    size_t len = (size_t)snprintf(text, sizeof text, "{\"resources\":[");
    for (int i = 0; i < 200; i++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "%s{\"api\":{\"name\":\"groups/one/apis/a%d\",\"frontend\":{"
                                "\"method\":\"HTTP_METHOD_GET\",\"path\":\"/a%d\"},"
                                "\"backend\":{\"mock\":{}}}}",
                                i ? "," : "", i, i);
    (void)snprintf(text + len, sizeof text - len, "]}");
    return text;
}

static void create_one_of_many(struct fixture *f)
{
    (void)ok(f, &cp_api_service, "CreateApi",
             "{\"parent\":\"groups/one\",\"apiId\":\"a7\",\"api\":{\"description\":\"theirs\","
             "\"frontend\":{\"method\":\"HTTP_METHOD_GET\",\"path\":\"/theirs\"},"
             "\"backend\":{\"mock\":{}}}}");
}

static void a_bundle_sees_who_was_faster(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    put_between(f, &meddler, &other, create_one_of_many, 1);
    ASSERT_HAS(ok(f, &cp_bundle_service, "Apply", many_new()), "\"created\":199,\"updated\":1");
    take_away(f, &meddler);
    ASSERT_HAS(ok(f, &cp_api_service, "GetApi", "{\"name\":\"groups/one/apis/a7\"}"), "theirs");
}

static void describe_group(struct fixture *f)
{
    (void)ok(f, &cp_group_service, "UpdateApiGroup",
             "{\"group\":{\"name\":\"groups/one\",\"description\":\"theirs\"}}");
}

/* All of a bundle is so at one moment, also what was so already. */
static void a_bundle_sees_who_changes_what_it_leaves_alone(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_group_service, "CreateApiGroup",
             "{\"groupId\":\"one\",\"group\":{\"description\":\"ours\"}}");
    put_between(f, &meddler, &other, describe_group, 1);
    ASSERT_HAS(ok(f, &cp_bundle_service, "Apply",
                  "{\"resources\":[{\"group\":{\"name\":\"groups/one\",\"description\":\"ours\"}},"
                  "{\"app\":{\"name\":\"apps/new\"}}]}"),
               "\"created\":1,\"updated\":1");
    take_away(f, &meddler);
    ASSERT_HAS(ok(f, &cp_group_service, "GetApiGroup", "{\"name\":\"groups/one\"}"), "ours");
}

static void a_bundle_does_not_outlive_what_it_stands_under(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    put_between(f, &meddler, &other, delete_group, 1);
    refused(f, GW_NOT_FOUND, &cp_bundle_service, "Apply", many_new());
    take_away(f, &meddler);
    (void)ok(f, &cp_group_service, "CreateApiGroup", "{\"groupId\":\"one\"}");
    ASSERT_HAS_NOT(ok(f, &cp_api_service, "ListApis", "{\"parent\":\"groups/one\"}"), "/a1");
}

/* ---- APIs and the channel that they use */

static enum gw_code create_api(struct fixture *f, const char *id)
{
    char request[512];
    gw_str answer;
    (void)snprintf(request, sizeof request,
                   "{\"parent\":\"groups/DEFAULT\",\"apiId\":\"%s\",\"api\":{\"frontend\":"
                   "{\"method\":\"HTTP_METHOD_GET\",\"path\":\"/%s\"},\"backend\":{\"http\":"
                   "{\"channel\":\"channels/orders\",\"path\":\"/\"}}}}",
                   id, id);
    return call(f, &cp_api_service, "CreateApi", request, &answer);
}

static void use_channel(struct fixture *f)
{
    if (create_api(f, "late") != GW_OK)
        fail_msg("%s", f->err.message);
}

static void create_channel(struct fixture *f)
{
    (void)ok(f, &cp_channel_service, "CreateChannel",
             "{\"channelId\":\"orders\",\"channel\":{\"port\":80}}");
}

static void delete_channel(struct fixture *f)
{
    (void)ok(f, &cp_channel_service, "DeleteChannel", "{\"name\":\"channels/orders\"}");
}

static void refuse_channel(struct fixture *f)
{
    refused(f, GW_FAILED_PRECONDITION, &cp_channel_service, "DeleteChannel",
            "{\"name\":\"channels/orders\"}");
    assert_string_equal(f->err.apig, "APIG.3414");
}

static void delete_api(struct fixture *f, const char *id)
{
    char request[128];
    (void)snprintf(request, sizeof request, "{\"name\":\"groups/DEFAULT/apis/%s\"}", id);
    (void)ok(f, &cp_api_service, "DeleteApi", request);
}

static void what_is_used_is_not_deleted(void **state)
{
    struct fixture *f = *state;
    static const char *const ids[] = {"a", "b", "c", "d"};
    create_channel(f);
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++)
        assert_int_equal(create_api(f, ids[i]), GW_OK);
    refuse_channel(f);
    ASSERT_HAS(f->err.message, "groups/DEFAULT/apis/a, groups/DEFAULT/apis/b, "
                               "groups/DEFAULT/apis/c and others");
    for (size_t i = 0; i < GW_ARRAY_LEN(ids); i++) {
        refuse_channel(f);
        delete_api(f, ids[i]);
    }
    delete_channel(f);
}

static void what_only_a_release_uses_is_not_deleted(void **state)
{
    struct fixture *f = *state;
    create_channel(f);
    assert_int_equal(create_api(f, "a"), GW_OK);
    (void)ok(f, &cp_api_service, "PublishApi", "{\"name\":\"groups/DEFAULT/apis/a\"}");
    (void)ok(f, &cp_api_service, "UpdateApi",
             "{\"api\":{\"name\":\"groups/DEFAULT/apis/a\",\"backend\":{\"mock\":{}}},"
             "\"updateMask\":\"backend\"}");
    refuse_channel(f);
    ASSERT_HAS(f->err.message, "groups/DEFAULT/apis/a/releases/RELEASE-1");
    ASSERT_HAS_NOT(f->err.message, "others");
}

static void who_comes_to_use_it_while_it_goes_keeps_it(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    create_channel(f);
    put_between(f, &meddler, &other, use_channel, 1);
    refuse_channel(f); /* nobody used it when the delete looked */
    take_away(f, &meddler);
    (void)ok(f, &cp_channel_service, "GetChannel", "{\"name\":\"channels/orders\"}");
    delete_api(f, "late");
    delete_channel(f);
}

static void who_wants_to_use_what_has_just_gone_is_refused(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    create_channel(f);
    put_between(f, &meddler, &other, delete_channel, 1);
    assert_int_equal(create_api(f, "a"), GW_NOT_FOUND);
    ASSERT_HAS(f->err.message, "channels/orders");
    take_away(f, &meddler);
    refused(f, GW_NOT_FOUND, &cp_api_service, "GetApi", "{\"name\":\"groups/DEFAULT/apis/a\"}");
}

/* A reference to what was there before does not count for what has its name now. */
static void what_came_and_went_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    create_channel(f);
    assert_int_equal(create_api(f, "a"), GW_OK);
    delete_api(f, "a");
    delete_channel(f);
    create_channel(f);
    put_between(f, &meddler, &other, use_channel, 1);
    refuse_channel(f); /* also when its guard is as new as it is */
    take_away(f, &meddler);
}

/* ---- the change itself */

static void describe_channel(struct fixture *f)
{
    (void)ok(f, &cp_channel_service, "UpdateChannel",
             "{\"channel\":{\"name\":\"channels/orders\",\"description\":\"new\"}}");
}

/* Reads a key twice, and somebody changes it in between. */
static int read_twice(const struct cp_call *call, struct cp_change *change, void *arg,
                      struct gw_error *err)
{
    int *tries = arg;
    struct cp_stored stored;
    gw_str key = cp_key_of(call->arena, CP_KIND_CHANNEL, "channels/orders");
    for (int i = 0; i < 2; i++) {
        if (cp_get(call, CP_KIND_CHANNEL, "channels/orders", &stored, err) < 0)
            return -1;
        cp_change_expect(change, key, stored.mod_revision);
        struct fixture other = {.services = *call->services, .principal = *call->principal};
        if (*tries == 0 && i == 0)
            describe_channel(&other);
        gw_arena_done(&other.arena);
    }
    cp_change_put(change, GW_STR("/penstock/v1/index/test/x"), GW_STR("y"));
    ++*tries;
    return 0;
}

static void two_readings_that_differ_are_a_lost_race(void **state)
{
    struct fixture *f = *state;
    int tries = 0;
    struct cp_position at;
    struct cp_call call = {.services = &f->services,
                           .arena = &f->arena,
                           .principal = &f->principal,
                           .deadline_ms = INT64_MAX};
    create_channel(f);
    assert_int_equal(cp_write(&call, false, read_twice, &tries, &at, &f->err), 0);
    assert_int_equal(tries, 2);
    assert_true(at.revision > 0);
}

static int put_too_much(const struct cp_call *call, struct cp_change *change, void *arg,
                        struct gw_error *err)
{
    (void)arg;
    (void)err;
    for (int i = 0; i <= CP_CHANGE_OPS_MAX; i++)
        cp_change_put(change, gw_arena_printf(call->arena, "/penstock/v1/index/test/%d", i),
                      GW_STR_NONE);
    return 0;
}

static void what_is_too_much_for_one_transaction_is_not_written_in_part(void **state)
{
    struct fixture *f = *state;
    int64_t count;
    struct cp_call call = {.services = &f->services,
                           .arena = &f->arena,
                           .principal = &f->principal,
                           .deadline_ms = INT64_MAX};
    assert_int_equal(cp_write(&call, false, put_too_much, NULL, NULL, &f->err), -1);
    assert_int_equal(f->err.code, GW_FAILED_PRECONDITION);
    assert_int_equal(
        cp_store_count(f->services.store, GW_STR("/penstock/v1/index/test/"), &count, &f->err), 0);
    assert_int_equal(count, 0);
}

static void who_loses_every_race_is_told(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    (void)ok(f, &cp_channel_service, "CreateChannel",
             "{\"channelId\":\"orders\",\"channel\":{\"port\":80}}");
    put_between(f, &meddler, &other, change_channel, 1);
    ASSERT_HAS(ok(f, &cp_channel_service, "UpdateChannel",
                  "{\"channel\":{\"name\":\"channels/orders\",\"description\":\"x\"}}"),
               "\"port\":1001"); /* nobody's change is lost */
    meddler.times = CP_WRITE_TRIES;
    refused(f, GW_ABORTED, &cp_channel_service, "UpdateChannel",
            "{\"channel\":{\"name\":\"channels/orders\",\"description\":\"y\"}}");
    assert_string_equal(f->err.reason, "CONFLICT");
    take_away(f, &meddler);
}

static void a_store_that_is_away_is_unavailable(void **state)
{
    struct fixture *f = *state, other;
    struct meddler meddler;
    put_between(f, &meddler, &other, change_channel, 0);
    meddler.fails = GW_UNAVAILABLE;
    refused(f, GW_UNAVAILABLE, &cp_channel_service, "CreateChannel",
            "{\"channelId\":\"orders\",\"channel\":{\"port\":80}}");
    take_away(f, &meddler);
}

#define THREADS 4

struct racer {
    struct fixture f;
    pthread_t thread;
    int index, created;
};

static void *create_domains(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < cp_quota_get(CP_QUOTA_DOMAINS)->fallback; i++) {
        char request[128];
        gw_str answer;
        (void)snprintf(request, sizeof request,
                       "{\"parent\":\"groups/DEFAULT\",\"domainId\":\"h%d-%d.example.com\"}",
                       racer->index, i);
        racer->created +=
            call(&racer->f, &cp_domain_service, "CreateDomain", request, &answer) == GW_OK;
    }
    return NULL;
}

static void a_limit_holds_against_many_at_once(void **state)
{
    struct fixture *f = *state;
    struct racer racers[THREADS] = {0};
    int created = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i].f = (struct fixture){.services = f->services, .principal = f->principal};
        racers[i].index = i;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, create_domains, &racers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        created += racers[i].created;
        gw_arena_done(&racers[i].f.arena);
    }
    assert_int_equal(created, cp_quota_get(CP_QUOTA_DOMAINS)->fallback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_comes_while_its_parent_goes_goes_too),
        TEST(a_child_of_a_parent_that_has_just_gone_is_refused),
        TEST(a_bundle_sees_who_was_faster),
        TEST(a_bundle_sees_who_changes_what_it_leaves_alone),
        TEST(a_bundle_does_not_outlive_what_it_stands_under),
        TEST(what_is_used_is_not_deleted),
        TEST(what_only_a_release_uses_is_not_deleted),
        TEST(who_comes_to_use_it_while_it_goes_keeps_it),
        TEST(who_wants_to_use_what_has_just_gone_is_refused),
        TEST(what_came_and_went_leaves_nothing_behind),
        TEST(two_readings_that_differ_are_a_lost_race),
        TEST(what_is_too_much_for_one_transaction_is_not_written_in_part),
        TEST(who_loses_every_race_is_told),
        TEST(a_store_that_is_away_is_unavailable),
        TEST(a_limit_holds_against_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
