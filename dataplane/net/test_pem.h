/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Certificates and keys as PEM, made on the spot. */
#ifndef DP_NET_TEST_PEM_H
#define DP_NET_TEST_PEM_H

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

struct test_pem {
    char certificate[4096], key[4096];
};

static inline void test_pem_take(BIO *bio, char *text, size_t size)
{
    int len = BIO_read(bio, text, (int)size - 1);
    text[len > 0 ? len : 0] = 0;
    BIO_free(bio);
}

/* Signed by itself. key: EVP_EC_gen("P-256"), EVP_RSA_gen(2048); freed here. */
static inline struct test_pem test_pem_make(const char *name, EVP_PKEY *key)
{
    struct test_pem pem;
    X509 *made = X509_new();
    X509_NAME *subject = X509_get_subject_name(made);
    BIO *certificate = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -86400L);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400L);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made, subject);
    X509_set_pubkey(made, key);
    X509_sign(made, key, EVP_sha256());
    PEM_write_bio_X509(certificate, made);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    test_pem_take(certificate, pem.certificate, sizeof(pem.certificate));
    test_pem_take(secret, pem.key, sizeof(pem.key));
    X509_free(made);
    EVP_PKEY_free(key);
    return pem;
}

#endif
