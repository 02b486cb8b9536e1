/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sha256.h"

#include "dataplane/siphash.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#define RECENT 256

struct recent {
    uint64_t hash[2]; /* of the input; zero: none yet, which no input can be made to have */
    uint8_t digest[DP_SHA256_BYTES];
};

/* What a thread has for it, made at its first digest. */
struct digester {
    EVP_MD_CTX *context;
    struct dp_siphash_key secret; /* nobody can make inputs collide */
    struct recent recent[RECENT];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t digester_key; /* freed when the thread ends */

static void free_digester(void *arg)
{
    struct digester *digester = arg;
    EVP_MD_CTX_free(digester->context);
    free(digester);
}

static void make_key(void)
{
    if (pthread_key_create(&digester_key, free_digester))
        gw_panic("sha256: no thread key");
}

static struct digester *new_digester(void)
{
    struct digester *digester = gw_calloc(1, sizeof(*digester));
    EVP_MD *algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    digester->context = EVP_MD_CTX_new();
    digester->secret = dp_siphash_key_random();
    if (!digester->context || !algorithm || !EVP_DigestInit_ex2(digester->context, algorithm, NULL))
        gw_panic("sha256: OpenSSL has none");
    EVP_MD_free(algorithm); /* the context holds it */
    if (pthread_setspecific(digester_key, digester))
        gw_panic("sha256: no thread slot");
    return digester;
}

static struct digester *this_thread(void)
{
    pthread_once(&once, make_key);
    struct digester *digester = pthread_getspecific(digester_key);
    return gw_likely(digester != NULL) ? digester : new_digester();
}

static void digest(const struct digester *digester, gw_str input, uint8_t *ret_digest)
{
    if (!EVP_DigestInit_ex2(digester->context, NULL, NULL) ||
        !EVP_DigestUpdate(digester->context, input.ptr, input.len) ||
        !EVP_DigestFinal_ex(digester->context, ret_digest, NULL))
        gw_panic("sha256: digest failed");
}

void dp_sha256(gw_str input, uint8_t ret_digest[DP_SHA256_BYTES])
{
    digest(this_thread(), input, ret_digest);
}

void dp_sha256_recent(gw_str input, uint8_t ret_digest[DP_SHA256_BYTES])
{
    struct digester *digester = this_thread();
    uint64_t hash[2];
    dp_siphash(&digester->secret, input, hash);
    struct recent *recent = &digester->recent[hash[0] % RECENT];
    if (gw_unlikely(recent->hash[0] != hash[0] || recent->hash[1] != hash[1])) {
        digest(digester, input, recent->digest);
        memcpy(recent->hash, hash, sizeof(hash));
    }
    memcpy(ret_digest, recent->digest, DP_SHA256_BYTES);
}
