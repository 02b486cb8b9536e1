/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sha256.h"

#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key; /* EVP_MD_CTX of the thread, freed when the thread ends */

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void make_key(void)
{
    if (pthread_key_create(&context_key, free_context))
        gw_panic("sha256: no thread key");
}

static EVP_MD_CTX *new_context(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_MD *algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!context || !algorithm || !EVP_DigestInit_ex2(context, algorithm, NULL))
        gw_panic("sha256: OpenSSL has none");
    EVP_MD_free(algorithm); /* the context holds it */
    if (pthread_setspecific(context_key, context))
        gw_panic("sha256: no thread slot");
    return context;
}

void dp_sha256(gw_str input, uint8_t ret_digest[DP_SHA256_BYTES])
{
    pthread_once(&once, make_key);
    EVP_MD_CTX *context = pthread_getspecific(context_key);
    if (!context)
        context = new_context();
    if (!EVP_DigestInit_ex2(context, NULL, NULL) ||
        !EVP_DigestUpdate(context, input.ptr, input.len) ||
        !EVP_DigestFinal_ex(context, ret_digest, NULL))
        gw_panic("sha256: digest failed");
}
