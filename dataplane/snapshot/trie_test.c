/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/trie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct number {
    struct dp_trie_item item;
    uint32_t value, version;
};

static unsigned alive;

static void free_number(struct dp_trie_item *item)
{
    alive--;
    free(item);
}

static bool is_larger(const struct dp_trie_item *a, const struct dp_trie_item *b)
{
    return ((const struct number *)a)->value > ((const struct number *)b)->value;
}

static bool is_number(const struct dp_trie_item *item, const void *key)
{
    return ((const struct number *)item)->value == *(const uint32_t *)key;
}

static const struct dp_trie_kind numbers = {free_number, is_larger};

/* Some values have all of the hash in common, others its front or its end. */
static uint32_t hash_of(uint32_t value)
{
    switch (value % 4) {
    case 0:
        return 0xdeadbeef;
    case 1:
        return value << 20;
    case 2:
        return value;
    default:
        return value * 2654435761u;
    }
}

static struct dp_trie put(struct dp_trie trie, uint32_t value, uint32_t version)
{
    struct number *number = gw_calloc(1, sizeof *number);
    atomic_init(&number->item.refs, 1);
    number->item.hash = hash_of(value);
    number->value = value;
    number->version = version;
    alive++;
    return dp_trie_put(trie, &numbers, is_number, &value, &number->item);
}

static struct dp_trie take_out(struct dp_trie trie, uint32_t value)
{
    return dp_trie_remove(trie, &numbers, hash_of(value), is_number, &value);
}

/* Version of that value; 0: it is not there. */
static uint32_t get(struct dp_trie trie, uint32_t value)
{
    const struct dp_trie_item *item = dp_trie_find(trie, hash_of(value), is_number, &value);
    return item ? ((const struct number *)item)->version : 0;
}

#define VALUES 512

/* A trie and what must be in it. */
struct model {
    struct dp_trie trie;
    uint32_t versions[VALUES];
};

static void count_item(const struct dp_trie_item *item, void *arg)
{
    (void)item;
    ++*(unsigned *)arg;
}

static void check(const struct model *model)
{
    unsigned want = 0, got = 0;
    uint32_t largest = UINT32_MAX;
    for (uint32_t value = 0; value < VALUES; value++) {
        assert_int_equal(get(model->trie, value), model->versions[value]);
        if (model->versions[value] == 0)
            continue;
        want++;
        largest = value;
    }
    dp_trie_each(model->trie, count_item, &got);
    assert_int_equal(got, want);
    const struct dp_trie_item *first = dp_trie_first(model->trie);
    assert_int_equal(first ? ((const struct number *)first)->value : UINT32_MAX, largest);
}

/* The same items make the same branches, however they came there. */
static void check_shape(const struct model *model)
{
    struct dp_trie built = DP_TRIE_EMPTY;
    for (uint32_t value = VALUES; value-- > 0;) {
        if (model->versions[value] > 0)
            built = put(built, value, 1);
    }
    assert_int_equal(dp_trie_bytes(built), dp_trie_bytes(model->trie));
    dp_trie_unref(built, &numbers);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void change(struct model *model, uint32_t version, uint32_t *seed, uint32_t range)
{
    uint32_t value = next_random(seed) % range;
    bool is_put = next_random(seed) % 2;
    model->trie = is_put ? put(model->trie, value, version) : take_out(model->trie, value);
    model->versions[value] = is_put ? version : 0;
}

static void any_changes_leave_what_they_say_and_copies_alone(void **state)
{
    (void)state;
    enum { COPIES = 8 };
    struct model now = {0}, copies[COPIES] = {0};
    uint32_t seed = 3;
    for (uint32_t version = 1; version < 20000; version++) {
        struct model *copy = &copies[next_random(&seed) % COPIES];
        if (next_random(&seed) % 64 == 0) {
            check(copy);
            dp_trie_unref(copy->trie, &numbers);
            *copy = now;
            (void)dp_trie_ref(now.trie); /* that is this one */
        }
        change(&now, version, &seed, version % 2000 < 1000 ? 24 : VALUES);
        if (version % 100 == 0) {
            check(&now);
            check_shape(&now);
        }
    }
    for (unsigned i = 0; i < COPIES; i++) {
        check(&copies[i]);
        dp_trie_unref(copies[i].trie, &numbers);
    }
    for (uint32_t value = 0; value < VALUES; value++)
        now.trie = take_out(now.trie, value);
    assert_int_equal(now.trie.bits, 0);
    assert_int_equal(alive, 0);
}

/* One change of many takes as much memory as its path, and gives it back. */
static void a_change_costs_its_path(void **state)
{
    (void)state;
    struct dp_trie trie = DP_TRIE_EMPTY;
    for (uint32_t value = 0; value < 40000; value++)
        trie = put(trie, value * 4 + 3, 1);
    size_t bytes = dp_trie_bytes(trie);
    assert_true(bytes / 40000 <= 32);
    struct dp_trie before = dp_trie_ref(trie);
    trie = put(trie, 7, 2);
    assert_int_equal(get(before, 7), 1);
    assert_int_equal(get(trie, 7), 2);
    assert_int_equal(alive, 40001);
    unsigned shared = 0;
    const struct dp_trie_branch *a = dp_trie_as_branch(before), *b = dp_trie_as_branch(trie);
    for (uint32_t i = 0; i < a->count; i++)
        shared += a->children[i].bits == b->children[i].bits;
    assert_int_equal(shared, a->count - 1);
    dp_trie_unref(before, &numbers);
    assert_int_equal(alive, 40000);
    assert_int_equal(dp_trie_bytes(trie), bytes);
    dp_trie_unref(trie, &numbers);
    assert_int_equal(alive, 0);
}

static struct dp_trie_item *keep(struct dp_trie_item *item, void *arg)
{
    *(bool *)arg = item != NULL;
    return item;
}

static void a_change_of_what_is_not_there_may_leave_it_so(void **state)
{
    (void)state;
    struct dp_trie trie = DP_TRIE_EMPTY;
    bool was_there = true;
    for (uint32_t value = 0; value < 64; value++) {
        const struct dp_trie_change change = {&numbers, is_number, &value, keep, &was_there};
        trie = dp_trie_update(trie, hash_of(value), &change);
        assert_false(was_there);
        trie = put(trie, value, 1);
        trie = dp_trie_update(trie, hash_of(value), &change);
        assert_true(was_there);
    }
    trie = take_out(trie, 64);
    dp_trie_unref(trie, &numbers);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_changes_leave_what_they_say_and_copies_alone),
        cmocka_unit_test(a_change_costs_its_path),
        cmocka_unit_test(a_change_of_what_is_not_there_may_leave_it_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
