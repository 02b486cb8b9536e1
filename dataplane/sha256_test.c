/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sha256.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* FIPS 180-2, B.1: "abc". */
static const uint8_t abc[DP_SHA256_BYTES] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};

static void known_digest(void **state)
{
    (void)state;
    uint8_t digest[DP_SHA256_BYTES];
    dp_sha256(GW_STR("something before"), digest);
    assert_memory_not_equal(digest, abc, sizeof abc);
    dp_sha256(GW_STR("abc"), digest);
    assert_memory_equal(digest, abc, sizeof abc);
}

/* NULL, or arg when a digest was wrong. */
static void *digest_often(void *arg)
{
    uint8_t digest[DP_SHA256_BYTES];
    for (unsigned i = 0; i < 1000; i++) {
        dp_sha256(GW_STR("abc"), digest);
        if (memcmp(digest, abc, sizeof abc) != 0)
            return arg;
    }
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (unsigned i = 0; i < GW_ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, digest_often, threads), 0);
    for (unsigned i = 0; i < GW_ARRAY_LEN(threads); i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void digests_of_what_comes_again_are_the_same(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            char text[16];
            uint8_t want[DP_SHA256_BYTES], got[DP_SHA256_BYTES];
            gw_str input = {text, (size_t)snprintf(text, sizeof(text), "code%u", i / 2)};
            dp_sha256(input, want);
            dp_sha256_recent(input, got);
            assert_memory_equal(got, want, sizeof(want));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digest),
        cmocka_unit_test(threads_do_not_meet),
        cmocka_unit_test(digests_of_what_comes_again_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
