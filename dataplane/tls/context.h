/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts for callers; private to tls/. */
#ifndef DP_TLS_CONTEXT_H
#define DP_TLS_CONTEXT_H

#include "dataplane/snapshot/tls.h"

/* What all of a worker's have in common. NULL: OpenSSL has none. */
SSL_CTX *dp_tls_context_new(OSSL_LIB_CTX *library);
/* Serves the domain, and every other with its context_id. NULL: OpenSSL does not take what the
 * snapshot let through. */
SSL_CTX *dp_tls_context_for(OSSL_LIB_CTX *library, const struct dp_domain_tls *domain);
/* What of a domain's terms is a session's and not its context's. The hello says how old the caller
 * is: see SSL_CTX_set_client_hello_cb. */
void dp_tls_apply_terms(SSL *ssl, const struct dp_domain_tls *domain, SSL_verify_cb on_verify);

#endif
