/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Certificates made on the spot. */
#ifndef DP_UPSTREAM_TLS_TESTING_H
#define DP_UPSTREAM_TLS_TESTING_H

#include "dataplane/upstream/testing.h"

#include <openssl/x509v3.h>

struct authority {
    X509 *cert;
    EVP_PKEY *key;
    char file[32]; /* the certificate as PEM */
};

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by `by`; NULL: by itself. Valid for `days`, from a day ago. */
static inline X509 *new_cert(const char *name, EVP_PKEY *key, const struct authority *by, int days)
{
    static long serial = 1;
    X509 *cert = X509_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400L * 2);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * days);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, by ? X509_get_subject_name(by->cert) : subject);
    X509_set_pubkey(cert, key);
    return cert;
}

static inline void authority_init(struct authority *a)
{
    a->key = EVP_EC_gen("P-256");
    a->cert = new_cert("test authority", a->key, NULL, 10);
    add_extension(a->cert, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(a->cert, a->key, EVP_sha256()) > 0);
    strcpy(a->file, "/tmp/penstock-ca-XXXXXX");
    int fd = mkstemp(a->file);
    assert_true(fd >= 0);
    FILE *out = fdopen(fd, "w");
    assert_int_equal(PEM_write_X509(out, a->cert), 1);
    fclose(out);
}

static inline void authority_done(struct authority *a)
{
    unlink(a->file);
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
}

static inline int choose_http1(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                               const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char wanted[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    (void)ssl;
    (void)arg;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, wanted, sizeof(wanted),
                                 in, in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A server whose certificate has these names: "DNS:a.test,IP:127.0.0.1". */
static inline SSL_CTX *new_server(const struct authority *by, const char *names, int days)
{
    static const unsigned char context_id[] = "test";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = new_cert("server", key, by, days);
    add_extension(cert, NID_subject_alt_name, names);
    assert_true(X509_sign(cert, by->key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(context, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    SSL_CTX_set_alpn_select_cb(context, choose_http1, NULL);
    SSL_CTX_set_session_id_context(context, context_id, sizeof(context_id));
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

#endif
