/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/agent_certificates.h"

#include "common/test.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define NOW_S ((int64_t)1800000000)
#define LIFE_S 3600

static struct gw_arena arena;
static struct cp_pem_pair authority;

static int begin(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    gw_arena_init(&arena, 0);
    if (cp_agent_authority_make(NOW_S, &arena, &authority, &err))
        fail_msg("%s", err.message);
    return 0;
}

static int end(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static X509 *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

/* A request with these common names, signed with `signer` (NULL: with the key); frees the key. */
static const char *request_of(EVP_PKEY *key, const char *name, const char *second,
                              const char *extension, EVP_PKEY *signer)
{
    char *bytes;
    X509_REQ *request = X509_REQ_new();
    const char *const names[] = {name, second};
    for (size_t i = 0; i < 2; i++)
        if (names[i])
            X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_UTF8,
                                       (const unsigned char *)names[i], -1, -1, 0);
    X509_REQ_set_pubkey(request, key);
    if (extension) {
        STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
        sk_X509_EXTENSION_push(extensions, X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
                                                               (char *)(uintptr_t)extension));
        X509_REQ_add_extensions(request, extensions);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    }
    assert_true(X509_REQ_sign(request, signer ? signer : key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, request);
    long length = BIO_get_mem_data(bio, &bytes);
    const char *text = gw_arena_dup(&arena, gw_str_n(bytes, (size_t)length)).ptr;
    BIO_free(bio);
    X509_REQ_free(request);
    EVP_PKEY_free(key);
    return text;
}

static const char *ask(const char *request, struct cp_agent_certificate *ret)
{
    static struct gw_error err;
    err = GW_ERROR_NONE;
    if (cp_agent_certificate_sign(&authority, request, "edge-1", NOW_S, LIFE_S, &arena, ret,
                                  &err) == 0)
        return "given";
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_null(ret->pem);
    return err.message;
}

static void refused(const char *request, const char *words)
{
    struct cp_agent_certificate made;
    const char *said = ask(request, &made);
    if (!strstr(said, words))
        fail_msg("said \"%s\", not \"%s\"", said, words);
}

static void an_agent_gets_a_certificate_of_its_name(void **state)
{
    (void)state;
    struct cp_agent_certificate made;
    char fingerprint[CP_FINGERPRINT_CHARS + 1];
    assert_string_equal(ask(request_of(EVP_EC_gen("P-256"), "edge-1", NULL, NULL, NULL), &made),
                        "given");
    X509 *certificate = read_pem(made.pem), *issuer = read_pem(authority.certificate);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, issuer);
    X509_STORE_CTX_init(context, store, certificate, NULL);
    X509_STORE_CTX_set_time(context, 0, NOW_S + 1);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT);
    assert_int_equal(X509_verify_cert(context), 1);
    X509_STORE_CTX_cleanup(context);
    X509_STORE_CTX_init(context, store, certificate, NULL);
    X509_STORE_CTX_set_time(context, 0, NOW_S + 1);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    assert_int_not_equal(X509_verify_cert(context), 1); /* it is nobody's server */
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(name->type, GEN_URI);
    assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                        "penstock://agents/edge-1");
    assert_int_equal(made.expiry_s, NOW_S + LIFE_S);
    assert_int_equal(
        X509_cmp_time(X509_get0_notAfter(certificate), &(time_t){(time_t)(NOW_S + LIFE_S + 1)}),
        -1);
    assert_true(cp_certificate_fingerprint(gw_str_from(made.pem), fingerprint));
    assert_string_equal(fingerprint, made.fingerprint);
    assert_false(cp_certificate_fingerprint(GW_STR("no certificate"), fingerprint));
    GENERAL_NAMES_free(names);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(certificate);
    X509_free(issuer);
}

static void keys_of_some_sorts_are_taken(void **state)
{
    (void)state;
    struct cp_agent_certificate made;
    assert_string_equal(ask(request_of(EVP_EC_gen("P-384"), NULL, NULL, NULL, NULL), &made),
                        "given");
    assert_string_equal(ask(request_of(EVP_RSA_gen(2048), "edge-1", NULL, NULL, NULL), &made),
                        "given");
    refused(request_of(EVP_RSA_gen(1024), "edge-1", NULL, NULL, NULL), "its key must be");
    refused(request_of(EVP_EC_gen("P-521"), "edge-1", NULL, NULL, NULL), "its key must be");
    refused(request_of(EVP_EC_gen("secp256k1"), "edge-1", NULL, NULL, NULL), "its key must be");
}

static void hostile_requests_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *other = EVP_EC_gen("P-256");
    refused(request_of(EVP_EC_gen("P-256"), "edge-2", NULL, NULL, NULL), "its name must be");
    refused(request_of(EVP_EC_gen("P-256"), "edge-1", "admin", NULL, NULL), "its name must be");
    refused(request_of(EVP_EC_gen("P-256"), "edge-1", NULL, "DNS:admin.example.com", NULL),
            "no extensions");
    refused(request_of(EVP_EC_gen("P-256"), "edge-1", NULL, NULL, other), "signed with its key");
    EVP_PKEY_free(other);
    refused("", "must be a PKCS#10 request");
    refused("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            "must be a PKCS#10 request");
    char *large = gw_arena_bytes(&arena, CP_CSR_BYTES_MAX + 2);
    memset(large, 'A', CP_CSR_BYTES_MAX + 1);
    large[CP_CSR_BYTES_MAX + 1] = '\0';
    refused(large, "at most 16 KiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_gets_a_certificate_of_its_name),
        cmocka_unit_test(keys_of_some_sorts_are_taken),
        cmocka_unit_test(hostile_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
