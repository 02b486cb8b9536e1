/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/code_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CODES 5000

static uint8_t digests[CODES][DP_APP_CODE_DIGEST_BYTES];
static struct dp_app_unit *apps[CODES];

static int setup(void **state)
{
    (void)state;
    struct dp_siphash_key key = {{1, 2}};
    for (unsigned i = 0; i < CODES; i++) {
        uint64_t words[4];
        dp_siphash(&key, gw_str_n((const char *)&i, sizeof i), words);
        memcpy(words + 2, words, 16);
        memcpy(digests[i], words, sizeof words);
        apps[i] = dp_unit_new(sizeof(struct dp_app_unit), 64);
    }
    /* The worst that can come: alike but for the last nibble. */
    memset(digests[0], 0xab, sizeof digests[0]);
    memset(digests[1], 0xab, sizeof digests[1]);
    digests[1][31] = 0xaa;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CODES; i++) {
        assert_int_equal(atomic_load(&apps[i]->unit.refs), 1); /* no map holds one any more */
        dp_unit_unref(&apps[i]->unit);
    }
    return 0;
}

static struct dp_code_map *fill(struct dp_code_map *map, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        map = dp_code_map_put(map, digests[i], apps[i]);
    return map;
}

static void assert_has(const struct dp_code_map *map, unsigned from, unsigned to, bool there)
{
    for (unsigned i = from; i < to; i++)
        assert_ptr_equal(dp_code_map_get(map, digests[i]), there ? apps[i] : NULL);
}

static void finds_what_was_put(void **state)
{
    (void)state;
    struct dp_code_map *map = fill(NULL, 0, CODES);
    assert_has(map, 0, CODES, true);
    for (unsigned i = 0; i < CODES; i += 2)
        map = dp_code_map_remove(map, digests[i]);
    for (unsigned i = 0; i < CODES; i++)
        assert_has(map, i, i + 1, i % 2);
    map = dp_code_map_remove(map, digests[0]); /* gone already */
    for (unsigned i = 1; i < CODES; i += 2)
        map = dp_code_map_remove(map, digests[i]);
    assert_null(map);
    assert_null(dp_code_map_get(map, digests[0]));
}

static void put_replaces(void **state)
{
    (void)state;
    struct dp_code_map *map = fill(NULL, 0, 3);
    map = dp_code_map_put(map, digests[1], apps[9]);
    assert_ptr_equal(dp_code_map_get(map, digests[1]), apps[9]);
    assert_ptr_equal(dp_code_map_get(map, digests[0]), apps[0]);
    assert_int_equal(atomic_load(&apps[1]->unit.refs), 1);
    dp_code_map_unref(map);
}

/* A snapshot's map stays as it was, whatever is done to the one that follows. */
static void other_references_see_no_change(void **state)
{
    (void)state;
    struct dp_code_map *map = fill(NULL, 0, 1000);
    struct dp_code_map *before = dp_code_map_ref(map);
    map = fill(map, 1000, 2000);
    for (unsigned i = 0; i < 500; i++)
        map = dp_code_map_remove(map, digests[i]);
    map = dp_code_map_put(map, digests[600], apps[4000]);
    assert_has(before, 0, 1000, true);
    assert_has(before, 1000, 2000, false);
    assert_has(map, 0, 500, false);
    assert_has(map, 700, 2000, true);
    assert_ptr_equal(dp_code_map_get(map, digests[600]), apps[4000]);
    dp_code_map_unref(map);
    assert_has(before, 0, 1000, true);
    dp_code_map_unref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(put_replaces),
        cmocka_unit_test(other_references_see_no_change),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
