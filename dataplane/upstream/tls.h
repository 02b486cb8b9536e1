/* SPDX-License-Identifier: Apache-2.0 */
/* TLS to backends, of one worker: a library context of its own (OpenSSL's global locks do not
 * scale), a context without a certificate of the gateway's own and one for each that is shown, and
 * the sessions to resume. A backend's certificate is always verified; see README.md. Private to
 * upstream/. One thread. */
#ifndef DP_UPSTREAM_TLS_H
#define DP_UPSTREAM_TLS_H

#include "dataplane/snapshot/tls.h"

struct dp_endpoint;

#define DP_UPSTREAM_TLS_NAME_MAX 255
#define DP_UPSTREAM_TLS_SESSIONS 256 /* kept; a newcomer takes a slot over */

struct dp_upstream_session {
    char *peer;           /* owned: whose it is */
    SSL_SESSION *session; /* owned */
};

/* Kept, likewise; a changed certificate takes over the slot of its name. */
#define DP_UPSTREAM_TLS_CONTEXTS 256

struct dp_upstream_context {
    SSL_CTX *context; /* owned; NULL: none */
    uint8_t digest[DP_CREDENTIALS_DIGEST_BYTES];
};

struct dp_upstream_tls {
    OSSL_LIB_CTX *library;
    SSL_CTX *context; /* shows no certificate */
    struct dp_upstream_context contexts[DP_UPSTREAM_TLS_CONTEXTS];
    struct dp_upstream_session sessions[DP_UPSTREAM_TLS_SESSIONS];
};

/* ca_file NULL: the system's authorities. */
GW_MUST_CHECK int dp_upstream_tls_new(const char *ca_file, struct dp_upstream_tls **ret_tls,
                                      struct gw_error *err);
void dp_upstream_tls_free(struct dp_upstream_tls *tls); /* takes NULL */

/* "name@host:port" and, if a certificate is shown, its digest: whose certificate it is that was
 * checked, by what, and who was asking. Owned by the caller; NULL: the name is empty (it would
 * match any certificate) or too long. */
char *dp_upstream_tls_peer(const struct dp_endpoint *endpoint, gw_str name,
                           const struct dp_certificate *certificate);
/* A client's session that asks for `name` (SNI; an address is not sent) and takes no certificate
 * for another. peer is borrowed as long as it lives; certificate (NULL: none) is shown, and its
 * authorities count if it has some. NULL: OpenSSL does not take the name. */
SSL *dp_upstream_tls_connect(struct dp_upstream_tls *tls, const char *peer, gw_str name,
                             const struct dp_certificate *certificate);
/* The host in "host", "host:port", "[address]" or "[address]:port". */
gw_str dp_upstream_tls_name(gw_str authority);

#endif
