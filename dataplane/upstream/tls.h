/* SPDX-License-Identifier: Apache-2.0 */
/* TLS to backends, of one worker: a library context of its own (OpenSSL's global locks do not
 * scale), one SSL_CTX, and the sessions to resume. A backend's certificate is always verified; see
 * README.md. Private to upstream/. One thread. */
#ifndef DP_UPSTREAM_TLS_H
#define DP_UPSTREAM_TLS_H

#include "common/error.h"

#include <openssl/ssl.h>

struct dp_endpoint;

#define DP_UPSTREAM_TLS_NAME_MAX 255
#define DP_UPSTREAM_TLS_SESSIONS 256 /* kept; a newcomer takes a slot over */

struct dp_upstream_session {
    char *peer;           /* owned: whose it is */
    SSL_SESSION *session; /* owned */
};

struct dp_upstream_tls {
    OSSL_LIB_CTX *library;
    SSL_CTX *context;
    struct dp_upstream_session sessions[DP_UPSTREAM_TLS_SESSIONS];
};

/* ca_file NULL: the system's authorities. */
GW_MUST_CHECK int dp_upstream_tls_new(const char *ca_file, struct dp_upstream_tls **ret_tls,
                                      struct gw_error *err);
void dp_upstream_tls_free(struct dp_upstream_tls *tls); /* takes NULL */

/* "name@host:port": whose certificate it is that was checked. Owned by the caller; NULL: the name
 * is empty (it would match any certificate) or too long. */
char *dp_upstream_tls_peer(const struct dp_endpoint *endpoint, gw_str name);
/* A client's session that asks for `name` (SNI; an address is not sent) and takes no certificate
 * for another. peer is borrowed as long as it lives. NULL: OpenSSL does not take the name. */
SSL *dp_upstream_tls_connect(struct dp_upstream_tls *tls, const char *peer, gw_str name);
/* The host in "host", "host:port", "[address]" or "[address]:port". */
gw_str dp_upstream_tls_name(gw_str authority);

#endif
