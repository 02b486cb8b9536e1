/* SPDX-License-Identifier: Apache-2.0 */
#include "common/map.h"
#include "common/test.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 500

static int values[KEYS];

static gw_str key_of(unsigned i)
{
    static char text[16];
    return gw_str_n(text, (size_t)snprintf(text, sizeof(text), "k%u", i));
}

static void put_get_replace_take(void **state)
{
    (void)state;
    struct gw_map map;
    gw_map_init(&map);
    assert_null(gw_map_get(&map, GW_STR("a")));
    assert_null(gw_map_take(&map, GW_STR("a")));
    char key[] = "a";
    assert_null(gw_map_put(&map, gw_str_from(key), &values[1]));
    key[0] = 'z'; /* the map has its own copy */
    assert_ptr_equal(gw_map_get(&map, GW_STR("a")), &values[1]);
    assert_ptr_equal(gw_map_put(&map, GW_STR("a"), &values[2]), &values[1]);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(gw_map_take(&map, GW_STR("a")), &values[2]);
    assert_null(gw_map_take(&map, GW_STR("a")));
    assert_int_equal(map.count, 0);
    gw_map_done(&map);
}

static void the_empty_key_is_a_key(void **state)
{
    (void)state;
    struct gw_map map;
    gw_map_init(&map);
    assert_null(gw_map_put(&map, GW_STR_NONE, &values[3]));
    assert_ptr_equal(gw_map_get(&map, GW_STR("")), &values[3]);
    assert_ptr_equal(gw_map_take(&map, GW_STR("")), &values[3]);
    gw_map_done(&map);
}

/* A random walk beside a plain array; every removal may shift a run of neighbours. */
static void behaves_like_an_array_of_slots(void **state)
{
    (void)state;
    struct gw_map map;
    bool in[KEYS] = {false};
    size_t count = 0;
    gw_map_init(&map);
    srand(7);
    for (int step = 0; step < 20000; step++) {
        unsigned i = (unsigned)rand() % KEYS;
        void *want = in[i] ? &values[i] : NULL;
        bool add = rand() % 2;
        void *before = add ? gw_map_put(&map, key_of(i), &values[i]) : gw_map_take(&map, key_of(i));
        assert_ptr_equal(before, want);
        count += (size_t)add - (size_t)in[i];
        in[i] = add;
        assert_int_equal(map.count, count);
    }
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(gw_map_get(&map, key_of(i)), in[i] ? &values[i] : NULL);
    gw_map_done(&map);
}

static void the_walk_visits_each_once(void **state)
{
    (void)state;
    struct gw_map map;
    unsigned seen[KEYS] = {0};
    gw_map_init(&map);
    assert_null(gw_map_next(&map, NULL));
    for (unsigned i = 0; i < KEYS; i++)
        gw_map_put(&map, key_of(i), &values[i]);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&map, e));) {
        unsigned i = (unsigned)((int *)e->value - values);
        assert_true(gw_str_eq(e->key, key_of(i)));
        seen[i]++;
    }
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], 1);
    gw_map_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_replace_take),
        cmocka_unit_test(the_empty_key_is_a_key),
        cmocka_unit_test(behaves_like_an_array_of_slots),
        cmocka_unit_test(the_walk_visits_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
