/* SPDX-License-Identifier: Apache-2.0 */
/* The watcher over a store in memory that can be made to fail. */
#include "controlplane/snapshot/watcher.h"

#include "common/message.h"
#include "common/test.h"
#include "controlplane/model/check_certificate.h"
#include "controlplane/model/names.h"
#include "controlplane/model/types.h"
#include "controlplane/store/store_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PATIENCE_MS 20000
#define ALL_KINDS 0x3eu

/* Waits until the condition holds; it is evaluated again and again. */
#define until(condition)                                                                           \
    do {                                                                                           \
        gw_msec until_ms = gw_clock_monotonic_ms() + PATIENCE_MS;                                  \
        while (!(condition)) {                                                                     \
            if (gw_clock_monotonic_ms() > until_ms)                                                \
                fail_msg("waited for %s", #condition);                                             \
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                               \
        }                                                                                          \
    } while (0)

/* ---- a store that fails when it is told to */

struct frail {
    struct cp_store base;
    struct cp_store *real;
    atomic_bool is_away;
    atomic_bool is_compacting; /* the next later page of a list is gone */
    atomic_int ending;         /* enum cp_watch_state: what the next call of the watch answers */
    atomic_int lists, pings;
};
struct frail_watch {
    struct cp_watch base;
    struct cp_watch *real;
    struct frail *store;
    atomic_bool is_cancelled;
};

static int fail_away(struct gw_error *err)
{
    return gw_fail(err, GW_UNAVAILABLE, "away");
}

static int frail_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                      struct cp_page *ret_page, struct gw_error *err)
{
    struct frail *frail = (struct frail *)(void *)store;
    if (atomic_load(&frail->is_away))
        return fail_away(err);
    if (range->after_key.len && atomic_exchange(&frail->is_compacting, false))
        return gw_fail(err, GW_OUT_OF_RANGE, "compacted");
    gw_str channels = GW_STR(CP_KEY_ROOT "channels/"); /* each kind is a list of its own */
    atomic_fetch_add(&frail->lists,
                     range->after_key.len == 0 && gw_str_eq(range->prefix, channels));
    return cp_store_list(frail->real, range, arena, ret_page, err);
}

static int frail_ping(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err)
{
    struct frail *frail = (struct frail *)(void *)store;
    atomic_fetch_add(&frail->pings, 1);
    return atomic_load(&frail->is_away) ? fail_away(err) : cp_store_ping(frail->real, ret_at, err);
}

static enum cp_watch_state frail_next(struct cp_watch *watch, gw_msec timeout_ms,
                                      struct gw_arena *arena, struct cp_batch *ret_batch,
                                      struct gw_error *err)
{
    struct frail_watch *self = (struct frail_watch *)(void *)watch;
    int ending = atomic_exchange(&self->store->ending, CP_WATCH_LIVE);
    if (ending != CP_WATCH_LIVE) {
        (void)gw_fail(err, GW_OUT_OF_RANGE, "ended by the test");
        return (enum cp_watch_state)ending;
    }
    if (atomic_load(&self->store->is_away) && !atomic_load(&self->is_cancelled)) {
        (void)fail_away(err);
        return CP_WATCH_AWAY;
    }
    /* In short steps, so that what the test says meanwhile is heard. */
    return cp_watch_next(self->real, GW_MIN(timeout_ms, 10), arena, ret_batch, err);
}

static void frail_cancel(struct cp_watch *watch)
{
    struct frail_watch *self = (struct frail_watch *)(void *)watch;
    atomic_store(&self->is_cancelled, true);
    cp_watch_cancel(self->real);
}

static void frail_close(struct cp_watch *watch)
{
    cp_watch_close(((struct frail_watch *)(void *)watch)->real);
    free(watch);
}

static int frail_watch_open(struct cp_store *store, gw_str prefix, struct cp_position after,
                            struct cp_watch **ret_watch, struct gw_error *err)
{
    static const struct cp_watch_ops ops = {frail_next, frail_cancel, frail_close};
    struct frail *frail = (struct frail *)(void *)store;
    struct cp_watch *real;
    if (cp_watch_open(frail->real, prefix, after, &real, err))
        return -1;
    struct frail_watch *watch = gw_calloc(1, sizeof(*watch));
    watch->base.ops = &ops;
    watch->real = real;
    watch->store = frail;
    *ret_watch = &watch->base;
    return 0;
}

static const struct cp_store_ops frail_ops = {
    .list = frail_list, .ping = frail_ping, .watch_open = frail_watch_open};

/* ---- the watcher under test */

static struct {
    struct frail store;
    struct cp_image *image;
    struct cp_watcher *watcher;
    struct cp_seal *seal;
    struct gw_arena arena;
    atomic_int found, lost, turns;
    atomic_bool was_loaded; /* when the store was found first */
} own;

static void on_store(void *arg, bool is_reachable)
{
    assert_ptr_equal(arg, &own);
    struct cp_image_status status;
    cp_image_status(own.image, &status);
    if (is_reachable && atomic_load(&own.found) == 0)
        atomic_store(&own.was_loaded, status.is_loaded);
    atomic_fetch_add(is_reachable ? &own.found : &own.lost, 1);
}

static void on_turn(void *arg)
{
    (void)arg;
    atomic_fetch_add(&own.turns, 1);
}

static int setup(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    memset(&own, 0, sizeof(own));
    own.store.base.ops = &frail_ops;
    if (cp_store_open_sqlite(":memory:", &own.store.real, &err))
        fail_msg("%s", err.message);
    own.image = cp_image_new(1000);
    own.seal = cp_seal_new_random();
    gw_arena_init(&own.arena, 0);
    return 0;
}

static void start(void)
{
    struct cp_watcher_options options = {.store = &own.store.base,
                                         .image = own.image,
                                         .seal = own.seal,
                                         .on_store = on_store,
                                         .on_turn = on_turn,
                                         .arg = &own};
    own.watcher = cp_watcher_start(&options);
}

static int teardown(void **state)
{
    (void)state;
    cp_watcher_stop(own.watcher);
    cp_store_close(own.store.real);
    cp_image_free(own.image);
    cp_seal_free(own.seal);
    gw_arena_done(&own.arena);
    return 0;
}

static int64_t commit(const struct cp_op *ops, size_t count)
{
    struct gw_error err = GW_ERROR_NONE;
    struct cp_txn txn = {.ops = ops, .op_count = count};
    struct cp_commit result;
    if (cp_store_txn(own.store.real, &txn, &result, &err))
        fail_msg("%s", err.message);
    return result.at.revision;
}

static struct cp_op channel_op(const char *name, const char *host)
{
    cp_member member = CP_INIT(MEMBER), *members[] = {&member};
    cp_channel channel = CP_INIT(CHANNEL);
    member.host = (char *)host;
    member.port = 80;
    member.weight = 1;
    channel.name = (char *)name;
    channel.n_members = 1;
    channel.members = members;
    return (struct cp_op){.kind = CP_OP_PUT,
                          .key = cp_key_of(&own.arena, CP_KIND_CHANNEL, name),
                          .value = gw_message_pack(&own.arena, &channel.base)};
}

static int64_t put(const char *name, const char *host)
{
    struct cp_op op = channel_op(name, host);
    return commit(&op, 1);
}

static int64_t delete (const char *name)
{
    struct cp_op op = {.kind = CP_OP_DELETE, .key = cp_key_of(&own.arena, CP_KIND_CHANNEL, name)};
    return commit(&op, 1);
}

static struct cp_image_status status(void)
{
    struct cp_image_status now;
    cp_image_status(own.image, &now);
    return now;
}

static struct cp_watcher_stats stats(void)
{
    struct cp_watcher_stats now;
    cp_watcher_stats(own.watcher, &now);
    return now;
}

static bool has_seen(int64_t revision)
{
    return status().is_loaded && status().seen_revision >= revision;
}

/* The host of the channel's member in the image; NULL: it is not there. */
static const char *host_of(const char *name)
{
    struct cp_image_base nothing = {"", 0, 0};
    struct cp_delta *delta = cp_image_delta(own.image, &nothing, ALL_KINDS);
    const char *host = NULL;
    for (size_t i = 0; delta && i < delta->chunk_count; i++) {
        ProtobufCMessage *message;
        struct gw_error err;
        assert_int_equal(gw_message_unpack(&own.arena,
                                           &penstock__agent__v1__control_message__descriptor,
                                           delta->chunks[i], &message, &err),
                         0);
        const cp_update *update = ((cp_control_message *)(void *)message)->update;
        for (size_t k = 0; k < update->n_upserts; k++)
            if (strcmp(update->upserts[k]->channel->name, name) == 0)
                host = update->upserts[k]->channel->members[0]->host;
    }
    cp_delta_unref(delta);
    return host;
}

static bool has_host(const char *name, const char *host)
{
    const char *found = host_of(name);
    return found && strcmp(found, host) == 0;
}

/* ---- loading and following */

static void what_is_stored_is_loaded(void **state)
{
    (void)state;
    put("channels/one", "1");
    int64_t revision = put("channels/two", "2");
    start();
    until(atomic_load(&own.found) == 1);
    assert_true(own.was_loaded);
    assert_int_equal(status().seen_revision, revision);
    assert_int_equal(status().resources, 2);
    assert_true(has_host("channels/two", "2"));
    assert_true(stats().is_reachable);
    assert_int_equal(stats().lists, 1);
    assert_int_equal(stats().builds, 2);
    assert_int_equal(stats().changes, 0);
}

static void an_empty_store_is_loaded_too(void **state)
{
    (void)state;
    start();
    until(status().is_loaded);
    assert_int_equal(status().resources, 0);
}

static void more_than_one_page(void **state)
{
    (void)state;
    enum { TXNS = 21, CHANNELS = TXNS * 100 };
    for (int i = 0; i < TXNS; i++) {
        struct cp_op ops[100];
        for (int k = 0; k < 100; k++) {
            gw_str name = gw_arena_printf(&own.arena, "channels/many-%d", i * 100 + k);
            ops[k] = channel_op(name.ptr, "h");
        }
        commit(ops, GW_ARRAY_LEN(ops));
    }
    atomic_store(&own.store.is_compacting, true);
    start();
    until(status().is_loaded);
    assert_int_equal(status().resources, CHANNELS);
    /* The second page was gone at first: all over again, and the store was never "away". */
    assert_int_equal(own.store.lists, 2);
    assert_int_equal(own.lost, 0);
}

static void changes_are_followed(void **state)
{
    (void)state;
    put("channels/one", "1");
    start();
    until(status().is_loaded);
    put("channels/one", "2");
    until(has_host("channels/one", "2"));
    put("channels/two", "3");
    until(has_host("channels/two", "3"));
    int64_t revision = delete ("channels/one");
    until(has_seen(revision));
    assert_null(host_of("channels/one"));
    assert_int_equal(status().content_revision, revision);
    assert_int_equal(stats().lists, 1);
    assert_int_equal(stats().changes, 3);
}

static void what_agents_do_not_depend_on_is_only_seen(void **state)
{
    (void)state;
    int64_t first = put("channels/one", "1");
    start();
    until(status().is_loaded);
    cp_environment environment = CP_INIT(ENVIRONMENT);
    char name[] = "environments/TEST";
    environment.name = name;
    struct cp_op op = {.kind = CP_OP_PUT,
                       .key = cp_key_of(&own.arena, CP_KIND_ENVIRONMENT, name),
                       .value = gw_message_pack(&own.arena, &environment.base)};
    int64_t revision = commit(&op, 1);
    until(has_seen(revision));
    assert_int_equal(status().content_revision, first);
    assert_int_equal(stats().builds, 1);
}

static void a_value_that_cannot_be_read_harms_nobody_else(void **state)
{
    (void)state;
    put("channels/one", "1");
    start();
    until(status().is_loaded);
    struct cp_op op = {.kind = CP_OP_PUT,
                       .key = cp_key_of(&own.arena, CP_KIND_CHANNEL, "channels/one"),
                       .value = GW_STR("\xff\xff not a message")};
    commit(&op, 1);
    int64_t revision = put("channels/two", "2");
    until(has_seen(revision));
    assert_true(has_host("channels/one", "1")); /* its last good form */
    assert_true(has_host("channels/two", "2"));
    struct cp_image_refusal refusal;
    assert_true(cp_image_refusal(own.image, GW_STR("channels/one"), &refusal));
    put("channels/one", "3");
    until(has_host("channels/one", "3"));
    assert_false(cp_image_refusal(own.image, GW_STR("channels/one"), &refusal));
}

/* ---- certificates whose key for secrets is not here */

static int64_t put_certificate(const char *name, const struct cp_seal *seal)
{
    gw_str sealed;
    struct gw_error err = GW_ERROR_NONE;
    cp_certificate certificate = CP_INIT(CERTIFICATE);
    certificate.name = (char *)(uintptr_t)name;
    certificate.certificate_pem = (char *)(uintptr_t) "LEAF";
    struct cp_seal_place place = {name, CP_PRIVATE_KEY_FIELD};
    if (cp_seal_close(seal, place, GW_STR("KEY"), &own.arena, &sealed, &err))
        fail_msg("%s", err.message);
    certificate.sealed_private_key =
        (ProtobufCBinaryData){sealed.len, (uint8_t *)(uintptr_t)sealed.ptr};
    struct cp_op op = {.kind = CP_OP_PUT,
                       .key = cp_key_of(&own.arena, CP_KIND_CERTIFICATE, name),
                       .value = gw_message_pack(&own.arena, &certificate.base)};
    return commit(&op, 1);
}

static void put_domain(const char *certificate)
{
    char name[] = "groups/DEFAULT/domains/a.example.com";
    char *certificates[] = {(char *)(uintptr_t)certificate};
    cp_domain domain = CP_INIT(DOMAIN);
    domain.name = name;
    domain.n_certificates = 1;
    domain.certificates = certificates;
    struct cp_op op = {.kind = CP_OP_PUT,
                       .key = cp_key_of(&own.arena, CP_KIND_DOMAIN, name),
                       .value = gw_message_pack(&own.arena, &domain.base)};
    commit(&op, 1);
}

static void agents_get_nothing_while_certificates_lack_their_keys(void **state)
{
    (void)state;
    struct cp_seal *other = cp_seal_new_random();
    put_certificate("certificates/used", other);
    put_certificate("certificates/idle", other); /* costs nobody anything */
    put_domain("certificates/used");
    put("channels/one", "1");
    start();
    until(atomic_load(&own.found) == 1);
    assert_false(own.was_loaded);
    assert_int_equal(stats().withheld, 1);
    assert_non_null(strstr(stats().why_withheld, "certificates/used: the private key cannot"));
    assert_null(host_of("channels/one"));
    put("channels/one", "2");
    until(stats().lists == 2);
    assert_false(status().is_loaded);
    int64_t revision = put_certificate("certificates/used", own.seal); /* applied again */
    until(has_seen(revision));
    assert_true(has_host("channels/one", "2"));
    assert_int_equal(stats().withheld, 0);
    put("channels/one", "3");
    until(has_host("channels/one", "3"));
    assert_int_equal(stats().lists, 3);
    cp_seal_free(other);
}

/* Others write all the time: what is to be done each second is done, and not all of the store is
 * read for each change. */
static void a_busy_store_does_not_hold_up_who_withholds(void **state)
{
    (void)state;
    struct cp_seal *other = cp_seal_new_random();
    int changes = 0;
    put_certificate("certificates/used", other);
    put_domain("certificates/used");
    start();
    until(atomic_load(&own.found) == 1);
    int before = atomic_load(&own.turns);
    until((changes++, put("channels/one", "1"), atomic_load(&own.turns) >= before + 2));
    assert_true(stats().lists <= 2 + changes / 2);
    cp_seal_free(other);
}

static void once_loaded_they_keep_their_last_good_form(void **state)
{
    (void)state;
    struct cp_seal *other = cp_seal_new_random();
    put_certificate("certificates/used", own.seal);
    put_domain("certificates/used");
    put("channels/one", "1");
    start();
    until(status().is_loaded);
    put_certificate("certificates/used", other);
    put("channels/one", "2");
    until(has_host("channels/one", "2"));
    atomic_store(&own.store.ending, CP_WATCH_COMPACTED);
    until(stats().lists == 2);
    int64_t revision = put("channels/one", "3");
    until(has_seen(revision));
    assert_int_equal(stats().withheld, 0);
    assert_int_equal(status().resources, 2);
    assert_int_equal(status().refusals, 1);
    cp_seal_free(other);
}

/* ---- the store fails */

static void a_store_that_comes_late(void **state)
{
    (void)state;
    put("channels/one", "1");
    atomic_store(&own.store.is_away, true);
    start();
    until(atomic_load(&own.lost) == 1);
    assert_false(status().is_loaded);
    assert_false(stats().is_reachable);
    atomic_store(&own.store.is_away, false);
    until(atomic_load(&own.found) == 1);
    assert_true(own.was_loaded);
    assert_true(has_host("channels/one", "1"));
    assert_int_equal(own.lost, 1); /* told once, however often it was tried */
}

static void a_store_that_goes_and_returns(void **state)
{
    (void)state;
    put("channels/one", "1");
    start();
    until(atomic_load(&own.found) == 1);
    atomic_store(&own.store.is_away, true);
    until(atomic_load(&own.lost) == 1);
    assert_false(stats().is_reachable);
    assert_true(has_host("channels/one", "1")); /* what is known is served */
    put("channels/one", "2");                   /* by another replica, say */
    atomic_store(&own.store.is_away, false);
    until(atomic_load(&own.found) == 2);
    until(has_host("channels/one", "2"));
    assert_int_equal(stats().lists, 1); /* the watch went on where it was */
}

static void lists_again(enum cp_watch_state ending)
{
    put("channels/one", "1");
    put("channels/two", "2");
    start();
    until(atomic_load(&own.found) == 1);
    atomic_store(&own.store.is_away, true);
    until(atomic_load(&own.lost) == 1);
    delete ("channels/one");
    put("channels/three", "3");
    atomic_store(&own.store.ending, (int)ending);
    atomic_store(&own.store.is_away, false);
    until(host_of("channels/three"));
    until(stats().lists == 2);            /* counted a moment after */
    assert_null(host_of("channels/one")); /* nobody told of its deletion */
    assert_true(has_host("channels/two", "2"));
    put("channels/two", "4");
    until(has_host("channels/two", "4"));
}

static void after_a_compaction(void **state)
{
    (void)state;
    lists_again(CP_WATCH_COMPACTED);
}

static void after_a_reset(void **state)
{
    (void)state;
    lists_again(CP_WATCH_RESET);
}

/* An agent says that it has more than has come here: the store itself decides. */
static void an_agent_that_is_ahead_makes_it_ask(void **state)
{
    (void)state;
    put("channels/one", "1");
    start();
    until(status().is_loaded);
    struct cp_image_status now = status();
    struct cp_image_base ahead = {now.cluster_id, now.seen_revision + 100, gw_clock_monotonic_ms()};
    assert_null(cp_image_delta(own.image, &ahead, ALL_KINDS));
    struct cp_delta *delta = NULL;
    until((delta = cp_image_delta(own.image, &ahead, ALL_KINDS)));
    assert_int_equal(delta->base_revision, 0);
    assert_true(own.store.pings > 0);
    cp_delta_unref(delta);
}

static void turns_come_with_and_without_a_store(void **state)
{
    (void)state;
    start();
    until(atomic_load(&own.turns) >= 1);
    atomic_store(&own.store.is_away, true);
    until(atomic_load(&own.lost) == 1);
    int before = atomic_load(&own.turns);
    until(atomic_load(&own.turns) > before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_stored_is_loaded),
        TEST(an_empty_store_is_loaded_too),
        TEST(more_than_one_page),
        TEST(changes_are_followed),
        TEST(what_agents_do_not_depend_on_is_only_seen),
        TEST(a_value_that_cannot_be_read_harms_nobody_else),
        TEST(agents_get_nothing_while_certificates_lack_their_keys),
        TEST(a_busy_store_does_not_hold_up_who_withholds),
        TEST(once_loaded_they_keep_their_last_good_form),
        TEST(a_store_that_comes_late),
        TEST(a_store_that_goes_and_returns),
        TEST(after_a_compaction),
        TEST(after_a_reset),
        TEST(an_agent_that_is_ahead_makes_it_ask),
        TEST(turns_come_with_and_without_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
