/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/context.h"

#include "dataplane/net/tls.h"

#include <openssl/err.h>

/* Server's choice, the cheapest first; who has no AES in hardware gets ChaCha20. */
#define CIPHERS_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
/* TLS 1.1 knows no AEAD. */
#define CIPHERS_11                                                                                 \
    CIPHERS ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-"       \
            "AES256-SHA"
#define GROUPS "X25519:P-256:P-384"
#define CALLERS_CHAIN_MAX 8 /* authorities between a caller's certificate and ours */
#define CALLERS_CERTIFICATES_BYTES (32 * 1024) /* that it may send */

SSL_CTX *dp_tls_context_new(OSSL_LIB_CTX *library)
{
    SSL_CTX *context = SSL_CTX_new_ex(library, NULL, TLS_server_method());
    if (!context)
        return NULL;
    dp_tls_context_init(context);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets hold the sessions */
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_max_cert_list(context, CALLERS_CERTIFICATES_BYTES);
    if (SSL_CTX_set_ciphersuites(context, CIPHERS_13) != 1 ||
        SSL_CTX_set_cipher_list(context, CIPHERS) != 1 ||
        SSL_CTX_set1_groups_list(context, GROUPS) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static const char *ciphers_of(const struct dp_domain_tls *domain)
{
    if (domain->ciphers.len > 0)
        return domain->ciphers.ptr;
    return domain->min_version < 2 ? CIPHERS_11 : CIPHERS;
}

SSL_CTX *dp_tls_context_for(OSSL_LIB_CTX *library, const struct dp_domain_tls *domain)
{
    SSL_CTX *context = dp_tls_context_new(library);
    bool is_good = context && SSL_CTX_set_cipher_list(context, ciphers_of(domain)) == 1;
    for (unsigned i = 0; is_good && i < domain->certificate_count; i++)
        is_good = dp_credentials_use(context, library, &domain->certificates[i]->credentials) == 0;
    if (is_good && domain->authorities)
        is_good = dp_credentials_trust(context, library, &domain->authorities->credentials) == 0;
    if (is_good)
        return context;
    ERR_clear_error();
    SSL_CTX_free(context);
    return NULL;
}

/* Its newest version is below 1.2: then there is no supported_versions either. */
static bool is_old(SSL *ssl)
{
    const unsigned char *extension;
    size_t len;
    return SSL_client_hello_get0_legacy_version(ssl) < TLS1_2_VERSION &&
           SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &extension, &len) != 1;
}

void dp_tls_apply_terms(SSL *ssl, const struct dp_domain_tls *domain, SSL_verify_cb on_verify)
{
    SSL_set_verify(ssl, domain->authorities ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, on_verify);
    SSL_set_verify_depth(ssl, CALLERS_CHAIN_MAX);
    (void)SSL_set_session_id_context(ssl, domain->session_id, sizeof(domain->session_id));
    (void)SSL_set_min_proto_version(ssl, TLS1_VERSION + domain->min_version);
    /* What signs a handshake of TLS 1.1 is no longer taken for safe; so only where nothing newer is
     * to be had, and the domain asks for it. */
    if (domain->min_version < 2 && is_old(ssl))
        SSL_set_security_level(ssl, 0);
}
