/* SPDX-License-Identifier: Apache-2.0 */
/* Reading kinds of a store that makes its pages up. */
#include "controlplane/snapshot/listing.h"

#include "common/test.h"
#include "controlplane/store/store_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REVISION 7
#define PAGES 9 /* of each kind, a key each */

/* ---- the store */

struct endless {
    struct cp_store base;
    atomic_int asked, taken, most_ahead;
    atomic_int strays; /* calls for another revision */
    int fails_at;      /* the call that fails; 0: none */
};

static int ping(struct cp_store *store, struct cp_position *ret_at, struct gw_error *err)
{
    (void)store, (void)err;
    *ret_at = (struct cp_position){.cluster_id = 1, .revision = REVISION};
    return 0;
}

static int list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
                struct cp_page *ret_page, struct gw_error *err)
{
    struct endless *endless = (struct endless *)(void *)store;
    int asked = 1 + atomic_fetch_add(&endless->asked, 1);
    int ahead = asked - atomic_load(&endless->taken);
    if (ahead > atomic_load(&endless->most_ahead))
        atomic_store(&endless->most_ahead, ahead);
    atomic_fetch_add(&endless->strays, range->at_revision != REVISION);
    if (asked == endless->fails_at)
        return gw_fail(err, GW_OUT_OF_RANGE, "call %d", asked);
    char last = range->after_key.len ? range->after_key.ptr[range->after_key.len - 1] : '0';
    struct cp_kv *kv = GW_ARENA_NEW(arena, struct cp_kv);
    kv->key = gw_arena_printf(arena, "%.*s%c", GW_STR_ARG(range->prefix), last + 1);
    *ret_page = (struct cp_page){
        .kvs = kv, .count = 1, .more = last + 1 < '0' + PAGES, .at = {1, REVISION}};
    return 0;
}

static const struct cp_store_ops ops = {.ping = ping, .list = list};

/* ---- who takes */

struct taken {
    struct endless *endless;
    char last[CP_KIND_COUNT][CP_STORE_KEY_MAX]; /* of each kind that has come, in no order */
    size_t pages;
    bool is_slow;
};

static void take(void *arg, const struct cp_kv *kvs, size_t count)
{
    struct taken *taken = arg;
    assert_int_equal(count, 1);
    size_t prefix = kvs[0].key.len - 1, i = 0;
    while (taken->last[i][0] && strncmp(taken->last[i], kvs[0].key.ptr, prefix) != 0)
        i++;
    char expected = taken->last[i][0] ? (char)(taken->last[i][prefix] + 1) : '1';
    assert_int_equal(kvs[0].key.ptr[prefix], expected);
    (void)snprintf(taken->last[i], sizeof(taken->last[i]), "%.*s", GW_STR_ARG(kvs[0].key));
    taken->pages++;
    if (taken->is_slow)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    atomic_fetch_add(&taken->endless->taken, 1);
}

static const enum cp_kind_id kinds[] = {CP_KIND_GROUP, CP_KIND_APP, CP_KIND_RELEASE};

static int read_all(struct endless *endless, struct taken *taken, struct gw_error *err)
{
    struct cp_position at;
    endless->base.ops = &ops;
    taken->endless = endless;
    return cp_listing_read(&endless->base, kinds, GW_ARRAY_LEN(kinds), take, taken, &at, err);
}

/* ---- tests */

static void each_kind_comes_whole_and_in_order(void **state)
{
    (void)state;
    struct endless endless = {.fails_at = 0};
    struct taken taken = {.pages = 0};
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(read_all(&endless, &taken, &err), 0);
    assert_int_equal(taken.pages, PAGES * GW_ARRAY_LEN(kinds));
    assert_int_equal(endless.strays, 0);
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++)
        assert_int_equal(taken.last[i][strlen(taken.last[i]) - 1], '0' + PAGES);
}

static void who_takes_slowly_is_not_flooded(void **state)
{
    (void)state;
    struct endless endless = {.fails_at = 0};
    struct taken taken = {.is_slow = true};
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(read_all(&endless, &taken, &err), 0);
    /* Those that wait, one that each reader has in its hand, and the one that is being taken. */
    assert_in_range(atomic_load(&endless.most_ahead), 2, CP_LISTING_AHEAD + CP_LISTING_READERS + 1);
}

static void the_first_failure_ends_it(void **state)
{
    (void)state;
    for (int call = 1; call <= (int)(PAGES * GW_ARRAY_LEN(kinds)); call++) {
        struct endless endless = {.fails_at = call};
        struct taken taken = {.pages = 0};
        struct gw_error err = GW_ERROR_NONE;
        char message[32];
        (void)snprintf(message, sizeof(message), "call %d", call);
        assert_int_equal(read_all(&endless, &taken, &err), -1);
        assert_int_equal(err.code, GW_OUT_OF_RANGE);
        assert_string_equal(err.message, message);
        assert_in_range(taken.pages, 0, PAGES * GW_ARRAY_LEN(kinds) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_whole_and_in_order),
        cmocka_unit_test(who_takes_slowly_is_not_flooded),
        cmocka_unit_test(the_first_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
