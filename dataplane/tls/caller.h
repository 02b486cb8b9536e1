/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of one caller's session besides what OpenSSL knows; lives and ends with its SSL.
 * Private to tls/. */
#ifndef DP_TLS_CALLER_H
#define DP_TLS_CALLER_H

#include "dataplane/tls/front.h"

#define DP_TLS_SERVER_NAME_MAX 255

struct dp_tls_caller {
    struct dp_tls_stats *stats; /* borrowed: the front's */
    char *server_name;          /* owned; NULL: none was asked for */
    char *subject;              /* owned; NULL: not looked at yet, or no certificate */
    uint8_t authorities[DP_CREDENTIALS_DIGEST_BYTES]; /* that `verified` is about */
    enum dp_tls_failure failure;                      /* if the handshake does not end well */
    bool said_hello;
    bool asked;    /* for a certificate */
    bool verified; /* it has one of these authorities */
    int error;     /* X509_V_ERR_...; 0: none */
    bool done;     /* the handshake is over */
};

/* -1: no memory. */
GW_MUST_CHECK int dp_tls_caller_attach(SSL *ssl, struct dp_tls_stats *stats);
struct dp_tls_caller *dp_tls_caller_of(const SSL *ssl);
void dp_tls_caller_name(struct dp_tls_caller *caller, gw_str name);
/* For SSL_set_verify: the handshake goes on whatever is shown, so that requests can be told why
 * they are refused. */
int dp_tls_caller_on_verify(int is_good, X509_STORE_CTX *check);
void dp_tls_caller_alert(SSL *ssl, bool is_ours, int value);
void dp_tls_caller_done(SSL *ssl);

#endif
