/* SPDX-License-Identifier: Apache-2.0 */
/* How domains are served over TLS, and with what. Immutable, as all of a snapshot. */
#ifndef DP_SNAPSHOT_TLS_H
#define DP_SNAPSHOT_TLS_H

#include "dataplane/net/credentials.h"

#define DP_TLS_CERTIFICATES_MAX 2 /* of a domain: an RSA key and an ECDSA key */
#define DP_TLS_ID_BYTES 32
#define DP_TICKET_NAME_BYTES 16
#define DP_TICKET_KEY_BYTES 32

struct dp_certificate {
    gw_str name; /* "certificates/shop" */
    struct dp_credentials credentials;
};

struct dp_domain_tls {
    gw_str host; /* "*.example.com" */
    const struct dp_certificate *certificates[DP_TLS_CERTIFICATES_MAX];
    unsigned certificate_count; /* 0: what it names is not there, and nobody is served over TLS */
    bool verifies;              /* callers need a certificate */
    const struct dp_certificate *authorities; /* of these; NULL: it verifies none, or they are not
                                                 there and nobody is served */
    uint8_t min_version;                      /* of TLS 1.x: 1 to 3 */
    gw_str ciphers; /* OpenSSL's list, ends with NUL; empty: the agent's default */
    bool https_redirect;
    /* Domains with the same id are served by one context. */
    uint8_t context_id[DP_TLS_ID_BYTES];
    /* A session is resumed only by callers of the same domain under the same terms; the same on all
     * agents. */
    uint8_t session_id[DP_TLS_ID_BYTES];
};

/* One key of session tickets. */
struct dp_ticket_key {
    uint8_t name[DP_TICKET_NAME_BYTES]; /* in the clear in each ticket */
    uint8_t aes[DP_TICKET_KEY_BYTES], hmac[DP_TICKET_KEY_BYTES];
};

/* The first seals, all open. */
struct dp_ticket_keys {
    const struct dp_ticket_key *items;
    unsigned count;
};

struct dp_snapshot;
/* How callers that ask for `name` (SNI; as they sent it) are served. None, an address and
 * "localhost" are served as the domain that comes first in byte order. NULL: not over TLS. */
const struct dp_domain_tls *dp_snapshot_find_tls(const struct dp_snapshot *snapshot, gw_str name);
/* Every domain is served over TLS as it is in the other: seen at once, however many there are.
 * False: some may not be. Both are alive, and one was made out of the other. */
bool dp_snapshot_has_same_tls(const struct dp_snapshot *a, const struct dp_snapshot *b);
/* count 0: the control plane has sent none. */
struct dp_ticket_keys dp_snapshot_ticket_keys(const struct dp_snapshot *snapshot);

#endif
