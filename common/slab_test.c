/* SPDX-License-Identifier: Apache-2.0 */
#include "common/slab.h"

#include "common/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MANY 60000

/* Sizes that meet every kind: steps, quarters, few on a page, one alone. */
static size_t size_of(size_t i)
{
    static const size_t sizes[] = {0,
                                   1,
                                   16,
                                   17,
                                   100,
                                   511,
                                   512,
                                   513,
                                   640,
                                   1025,
                                   2048,
                                   2049,
                                   2180,
                                   4000,
                                   8185,
                                   16384,
                                   21824,
                                   21825,
                                   32000,
                                   GW_SLAB_PIECE_MAX,
                                   GW_SLAB_PIECE_MAX + 1,
                                   300000};
    return sizes[i % GW_ARRAY_LEN(sizes)];
}

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    unsigned char *pieces[500];
    for (size_t i = 0; i < GW_ARRAY_LEN(pieces); i++) {
        pieces[i] = gw_slab_alloc(size_of(i));
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, size_of(i));
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(pieces); i += 2) { /* others come where these were */
        gw_slab_free(pieces[i]);
        pieces[i] = gw_slab_alloc(size_of(i));
        memset(pieces[i], (int)i, size_of(i));
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(pieces); i++) {
        for (size_t k = 0; k < size_of(i); k++)
            assert_int_equal(pieces[i][k], (unsigned char)i);
        gw_slab_free(pieces[i]);
    }
    gw_slab_free(NULL);
}

/* Each size below, so that none is taken for a smaller one. */
static void a_piece_of_every_size_holds_its_bytes(void **state)
{
    (void)state;
    for (size_t size = 1; size < GW_SLAB_PIECE_MAX + 100; size += size < 5000 ? 1 : 7) {
        unsigned char *piece = gw_slab_alloc(size), *next = gw_slab_alloc(size);
        bool is_lines = size % GW_SLAB_LINE_BYTES == 0;
        assert_true(!is_lines || (uintptr_t)next % GW_SLAB_LINE_BYTES == 0);
        memset(next, 2, size);
        memset(piece, 1, size);
        assert_int_equal(next[0], 2);
        assert_int_equal(next[size - 1], 2);
        gw_slab_free(piece);
        gw_slab_free(next);
    }
}

static void zeroed_is_zero_where_something_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < 100; i++) {
        unsigned char *piece = gw_slab_alloc(size_of(i));
        memset(piece, 0xff, size_of(i));
        gw_slab_free(piece);
        piece = gw_slab_zalloc(size_of(i));
        for (size_t k = 0; k < size_of(i); k++)
            assert_int_equal(piece[k], 0);
        gw_slab_free(piece);
    }
}

static void what_grows_and_shrinks_keeps_its_content(void **state)
{
    (void)state;
    size_t size = 1;
    unsigned char *piece = gw_slab_zalloc(size);
    for (size_t i = 0; i < 200; i++) {
        size_t next = i % 3 ? size + size_of(i) / 2 + 1 : size / 2 + 1, kept = GW_MIN(size, next);
        piece = gw_slab_realloc(piece, next);
        for (size_t k = 0; k < kept; k++)
            assert_int_equal(piece[k], (unsigned char)(i % 251));
        memset(piece, (int)((i + 1) % 251), next);
        size = next;
    }
    gw_slab_free(piece);
}

static void what_is_free_goes_back_to_the_kernel(void **state)
{
    (void)state;
    void **pieces = gw_calloc(MANY, sizeof *pieces);
    gw_slab_trim();
    assert_int_equal(gw_slab_mapped_bytes(), 0);
    for (size_t i = 0; i < MANY; i++)
        pieces[i] = gw_slab_zalloc(100 + i % 400);
    size_t full = gw_slab_mapped_bytes();
    assert_true(GW_HAS_ASAN || full >= (size_t)MANY * 300);
    assert_true(full <= (size_t)MANY * 300 * 11 / 10 + ((size_t)4 << 20));
    for (size_t i = 0; i < MANY; i++) { /* in another order than they came */
        size_t at = i * 7919 % MANY;
        gw_slab_free(pieces[at]);
    }
    assert_true(gw_slab_mapped_bytes() <= (size_t)2 << 20);
    gw_slab_trim();
    assert_int_equal(gw_slab_mapped_bytes(), 0);
    free(pieces);
}

/* Pages that nothing stands on any more, beside others: they are empty when they are used again. */
static void a_region_in_use_is_trimmed_and_used_again(void **state)
{
    (void)state;
    unsigned char *pieces[64];
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < GW_ARRAY_LEN(pieces); i++)
            memset(pieces[i] = gw_slab_alloc(GW_SLAB_PIECE_MAX), (int)i, GW_SLAB_PIECE_MAX);
        for (size_t i = 2; i < GW_ARRAY_LEN(pieces); i++)
            gw_slab_free(pieces[i]);
        gw_slab_trim();
        assert_int_equal(pieces[0][GW_SLAB_PIECE_MAX - 1], 0);
        assert_int_equal(pieces[1][GW_SLAB_PIECE_MAX - 1], 1);
        gw_slab_free(pieces[0]);
        gw_slab_free(pieces[1]);
    }
}

struct peer {
    pthread_t thread;
    void *_Atomic handed; /* from the one that allocates to the one that frees */
};

static void *free_all(void *arg)
{
    struct peer *peer = arg;
    for (size_t i = 0; i < MANY; i++) {
        void *piece;
        while (!(piece = atomic_exchange(&peer->handed, NULL)))
            sched_yield();
        gw_slab_free(piece);
    }
    return NULL;
}

static void another_thread_may_free(void **state)
{
    (void)state;
    struct peer peers[2] = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(peers); i++)
        assert_int_equal(pthread_create(&peers[i].thread, NULL, free_all, &peers[i]), 0);
    for (size_t i = 0; i < MANY; i++) {
        for (size_t k = 0; k < GW_ARRAY_LEN(peers); k++) {
            unsigned char *piece = gw_slab_alloc(1 + i % 700);
            memset(piece, (int)i, 1 + i % 700);
            while (atomic_load(&peers[k].handed))
                sched_yield();
            atomic_store(&peers[k].handed, piece);
        }
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(peers); i++)
        assert_int_equal(pthread_join(peers[i].thread, NULL), 0);
    gw_slab_trim();
    assert_int_equal(gw_slab_mapped_bytes(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(a_piece_of_every_size_holds_its_bytes),
        cmocka_unit_test(zeroed_is_zero_where_something_was),
        cmocka_unit_test(what_grows_and_shrinks_keeps_its_content),
        cmocka_unit_test(what_is_free_goes_back_to_the_kernel),
        cmocka_unit_test(a_region_in_use_is_trimmed_and_used_again),
        cmocka_unit_test(another_thread_may_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
