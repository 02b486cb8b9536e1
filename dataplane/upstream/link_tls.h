/* SPDX-License-Identifier: Apache-2.0 */
/* TLS of one connection to a backend, whatever is spoken on it; private to upstream/. */
#ifndef DP_UPSTREAM_LINK_TLS_H
#define DP_UPSTREAM_LINK_TLS_H

#include "dataplane/net/conn.h"
#include "dataplane/upstream/pool.h"

struct dp_link_tls {
    char *peer;                                  /* owned; NULL: a plain connection */
    gw_str name;                                 /* the front of peer: whom the certificate names */
    bool has_certificate;                        /* one was shown */
    uint8_t digest[DP_CREDENTIALS_DIGEST_BYTES]; /* of that */
};

/* When the call asks for TLS: right after dp_conn_connect. http2: offered by ALPN, alone. 0 or
 * -EINVAL; the connection is the caller's to close. */
GW_MUST_CHECK int dp_link_tls_start(struct dp_link_tls *tls, struct dp_conn *conn,
                                    const struct dp_upstream_call *call, bool http2);
/* The connection is what the call asks for: plain, or TLS with the same name in the certificate and
 * the same one shown. */
bool dp_link_tls_fits(const struct dp_link_tls *tls, const struct dp_upstream_call *call);
/* After the handshake: the backend has agreed to speak HTTP/2. */
bool dp_link_tls_has_http2(const struct dp_conn *conn);
/* Counts and logs a handshake that failed; nothing when none did. */
void dp_link_tls_report(const struct dp_link_tls *tls, const struct dp_conn *conn,
                        const struct dp_pool *pool);
void dp_link_tls_done(struct dp_link_tls *tls);

#endif
