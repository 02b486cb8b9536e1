/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/code_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define CODES 5000

static struct dp_code codes[CODES];
static struct dp_app_unit *apps[CODES];

static int setup(void **state)
{
    (void)state;
    struct dp_siphash_key key = {{1, 2}};
    for (unsigned i = 0; i < CODES; i++) {
        uint64_t words[4];
        dp_siphash(&key, gw_str_n((const char *)&i, sizeof i), words);
        memcpy(words + 2, words, 16);
        memcpy(codes[i].digest, words, sizeof words);
        codes[i].app = apps[i] = dp_unit_new(sizeof(struct dp_app_unit), 0);
        memcpy(codes[i].digest, words, sizeof words);
    }
    /* The worst that can come: alike but for the last byte. */
    memset(codes[0].digest, 0xab, sizeof codes[0].digest);
    memset(codes[1].digest, 0xab, sizeof codes[1].digest);
    codes[1].digest[31] = 0xaa;
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

static struct dp_trie fill(struct dp_trie map, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        map = dp_code_map_put(map, &codes[i]);
    return map;
}

static void assert_has(struct dp_trie map, unsigned from, unsigned to, bool there)
{
    for (unsigned i = from; i < to; i++)
        assert_ptr_equal(dp_code_map_get(map, codes[i].digest), there ? apps[i] : NULL);
}

static void finds_what_was_put(void **state)
{
    (void)state;
    struct dp_trie map = fill(DP_TRIE_EMPTY, 0, CODES);
    assert_has(map, 0, CODES, true);
    for (unsigned i = 0; i < CODES; i += 2)
        map = dp_code_map_remove(map, codes[i].digest);
    for (unsigned i = 0; i < CODES; i++)
        assert_has(map, i, i + 1, i % 2);
    map = dp_code_map_remove(map, codes[0].digest); /* gone already */
    for (unsigned i = 1; i < CODES; i += 2)
        map = dp_code_map_remove(map, codes[i].digest);
    assert_int_equal(map.bits, 0);
    assert_null(dp_code_map_get(map, codes[0].digest));
}

static void put_replaces(void **state)
{
    (void)state;
    struct dp_trie map = fill(DP_TRIE_EMPTY, 0, 3);
    struct dp_code other = {.app = apps[9]};
    memcpy(other.digest, codes[1].digest, sizeof other.digest);
    map = dp_code_map_put(map, &other);
    assert_ptr_equal(dp_code_map_get(map, codes[1].digest), apps[9]);
    assert_ptr_equal(dp_code_map_get(map, codes[0].digest), apps[0]);
    assert_int_equal(atomic_load(&apps[1]->unit.refs), 1);
    dp_code_map_unref(map);
}

/* A snapshot's map stays as it was, whatever is done to the one that follows. */
static void other_references_see_no_change(void **state)
{
    (void)state;
    struct dp_trie map = fill(DP_TRIE_EMPTY, 0, 1000);
    struct dp_trie before = dp_trie_ref(map);
    map = fill(map, 1000, 2000);
    for (unsigned i = 0; i < 500; i++)
        map = dp_code_map_remove(map, codes[i].digest);
    struct dp_code other = {.app = apps[4000]};
    memcpy(other.digest, codes[600].digest, sizeof other.digest);
    map = dp_code_map_put(map, &other);
    map =
        fill(dp_code_map_remove(map, codes[650].digest), 650, 651); /* which the other still has */
    assert_has(before, 0, 1000, true);
    assert_has(before, 1000, 2000, false);
    assert_has(map, 0, 500, false);
    assert_has(map, 700, 2000, true);
    assert_ptr_equal(dp_code_map_get(map, codes[600].digest), apps[4000]);
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
