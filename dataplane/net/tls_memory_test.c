/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/tls_memory.h"

#include "common/test.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#define WRITE_BYTES (16 * 1024 + 400)
#define READ_BYTES (64 * 1024 + 300)

/* Written from end to end, so that too little room shows under valgrind. */
static void *filled(size_t bytes)
{
    char *block = OPENSSL_malloc(bytes);
    assert_non_null(block);
    memset(block, 'x', bytes);
    return block;
}

static void expect_reuse(size_t first, size_t second)
{
    void *before = filled(first);
    OPENSSL_free(before);
    void *after = filled(second);
    if (!GW_IS_SANITIZED)
        assert_ptr_equal(before, after);
    OPENSSL_free(after);
}

static void test_buffers_of_records_are_kept(void **state)
{
    (void)state;
    expect_reuse(WRITE_BYTES, WRITE_BYTES + 100);
    expect_reuse(READ_BYTES, READ_BYTES + 100);
    expect_reuse(20 * 1024, 16 * 1024);
    expect_reuse(64 * 1024, 68 * 1024);
}

static void test_many_at_once_are_all_there(void **state)
{
    (void)state;
    void *blocks[10];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 10; i++)
            blocks[i] = filled(i % 2 ? WRITE_BYTES : READ_BYTES);
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < i; j++)
                assert_ptr_not_equal(blocks[i], blocks[j]);
        for (int i = 0; i < 10; i++)
            OPENSSL_free(blocks[i]);
    }
}

static void test_a_kept_one_may_grow(void **state)
{
    (void)state;
    char *block = OPENSSL_realloc(filled(WRITE_BYTES), 200 * 1024);
    assert_non_null(block);
    assert_int_equal(block[WRITE_BYTES - 1], 'x');
    memset(block, 'y', 200 * 1024);
    OPENSSL_free(block);
}

static void *free_block(void *block)
{
    OPENSSL_free(block);
    OPENSSL_free(filled(READ_BYTES));
    return NULL;
}

/* Who frees it keeps it: the first thread takes another one. */
static void test_threads_share_nothing(void **state)
{
    (void)state;
    pthread_t thread;
    void *block = filled(READ_BYTES);
    assert_int_equal(pthread_create(&thread, NULL, free_block, block), 0);
    pthread_join(thread, NULL);
    void *other = filled(READ_BYTES);
    OPENSSL_free(other);
}

static void test_other_sizes_are_no_affair_of_it(void **state)
{
    (void)state;
    OPENSSL_free(NULL);
    for (size_t bytes = 1; bytes < 300 * 1024; bytes = bytes * 3 / 2 + 1)
        OPENSSL_free(filled(bytes));
}

int main(void)
{
    dp_tls_memory_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffers_of_records_are_kept),
        cmocka_unit_test(test_many_at_once_are_all_there),
        cmocka_unit_test(test_a_kept_one_may_grow),
        cmocka_unit_test(test_threads_share_nothing),
        cmocka_unit_test(test_other_sizes_are_no_affair_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
