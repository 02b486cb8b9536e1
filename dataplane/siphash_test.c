/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/siphash.h"

#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint8_t key_bytes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void openssl_siphash(const uint8_t *input, size_t len, uint64_t ret_hash[2])
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    unsigned size = 16;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size),
                           OSSL_PARAM_construct_end()};
    size_t written = 0;
    assert_int_equal(EVP_MAC_init(ctx, key_bytes, sizeof key_bytes, params), 1);
    assert_int_equal(EVP_MAC_update(ctx, input, len), 1);
    assert_int_equal(EVP_MAC_final(ctx, (uint8_t *)ret_hash, &written, 16), 1);
    assert_int_equal(written, 16);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

/* Every length of the tail, and some blocks. */
static void agrees_with_openssl(void **state)
{
    (void)state;
    uint8_t input[80];
    for (unsigned i = 0; i < sizeof input; i++)
        input[i] = (uint8_t)(i * 37 + 5);
    struct dp_siphash_key key;
    memcpy(&key, key_bytes, sizeof key);
    key.words[0] = le64toh(key.words[0]);
    key.words[1] = le64toh(key.words[1]);
    for (size_t len = 0; len <= sizeof input; len++) {
        uint64_t ours[2], theirs[2];
        dp_siphash(&key, gw_str_n((const char *)input, len), ours);
        ours[0] = htole64(ours[0]);
        ours[1] = htole64(ours[1]);
        openssl_siphash(input, len, theirs);
        assert_memory_equal(ours, theirs, sizeof ours);
    }
}

static void keys_differ(void **state)
{
    (void)state;
    struct dp_siphash_key a = dp_siphash_key_random(), b = dp_siphash_key_random();
    assert_memory_not_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_openssl),
        cmocka_unit_test(keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
