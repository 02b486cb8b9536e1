/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: certificates made on the spot. What is made lives in the arena and is freed with it.
 */
#ifndef CP_MODEL_TEST_CERTIFICATES_H
#define CP_MODEL_TEST_CERTIFICATES_H

#include "common/arena.h"
#include "common/test.h"

#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define TEST_NOW_S 1800000000 /* 2027 */

struct test_certificate {
    X509 *x509;
    EVP_PKEY *key;
    char *pem, *key_pem;
};

/* All may be left out: a P-256 key, self-signed, for 2 days around TEST_NOW_S. */
struct test_wish {
    unsigned rsa_bits;
    const char *group; /* "secp384r1" */
    const char *curve; /* "explicit": not by its name */
    const char *names; /* "DNS:a.example.com,IP:127.0.0.1" */
    const char *usage, *extended_usage, *constraints;
    const struct test_certificate *issuer;
    int64_t begin_s, end_s;
    const EVP_MD *digest;
};

static inline char *test_text_of(struct gw_arena *arena, BIO *bio)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = (char *)(uintptr_t)gw_arena_dup(arena, gw_str_n(bytes, (size_t)len)).ptr;
    BIO_free(bio);
    return text;
}

static inline char *test_key_pem(struct gw_arena *arena, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char password[] = "secret";
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, password, 6, NULL, NULL), 1);
    return test_text_of(arena, bio);
}

static inline void test_extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = value ? X509V3_EXT_conf_nid(NULL, NULL, nid, value) : NULL;
    assert_true(!value || extension);
    if (extension)
        X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline void test_free_certificate(void *x509)
{
    X509_free(x509);
}

static inline void test_free_key(void *key)
{
    EVP_PKEY_free(key);
}

static inline struct test_certificate test_issue(struct gw_arena *arena, const char *common_name,
                                                 const struct test_wish *wish)
{
    static long serial = 1000;
    struct test_certificate made = {.x509 = X509_new()};
    made.key = wish->rsa_bits ? EVP_RSA_gen(wish->rsa_bits)
                              : EVP_EC_gen(wish->group ? wish->group : "P-256");
    assert_non_null(made.key);
    if (wish->curve)
        assert_int_equal(
            EVP_PKEY_set_utf8_string_param(made.key, OSSL_PKEY_PARAM_EC_ENCODING, wish->curve), 1);
    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial++);
    ASN1_TIME_set(X509_getm_notBefore(made.x509),
                  wish->begin_s ? wish->begin_s : TEST_NOW_S - 86400);
    ASN1_TIME_set(X509_getm_notAfter(made.x509), wish->end_s ? wish->end_s : TEST_NOW_S + 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.x509), "CN", MBSTRING_UTF8,
                               (const unsigned char *)common_name, -1, -1, 0);
    const struct test_certificate *issuer = wish->issuer ? wish->issuer : &made;
    X509_set_issuer_name(made.x509, X509_get_subject_name(issuer->x509));
    X509_set_pubkey(made.x509, made.key);
    test_extend(made.x509, NID_subject_alt_name, wish->names);
    test_extend(made.x509, NID_key_usage, wish->usage);
    test_extend(made.x509, NID_ext_key_usage, wish->extended_usage);
    test_extend(made.x509, NID_basic_constraints, wish->constraints);
    assert_true(X509_sign(made.x509, issuer->key, wish->digest ? wish->digest : EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, made.x509);
    made.pem = test_text_of(arena, bio);
    made.key_pem = test_key_pem(arena, made.key, NULL);
    gw_arena_defer(arena, test_free_certificate, made.x509);
    gw_arena_defer(arena, test_free_key, made.key);
    return made;
}

#endif
