/* SPDX-License-Identifier: Apache-2.0 */
/* TLS toward callers, of one worker: a library context of its own (OpenSSL's global locks do not
 * scale), a context for each way to serve a domain, made when the first caller asks for it, and the
 * choice between them by the name that a caller asks for (SNI). One thread. See README.md. */
#ifndef DP_TLS_FRONT_H
#define DP_TLS_FRONT_H

#include "dataplane/net/tls.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tls/tickets.h"

struct dp_tls_front;

/* Why handshakes fail. */
enum dp_tls_failure {
    DP_TLS_NO_CERTIFICATE, /* no domain is served over TLS yet */
    DP_TLS_UNKNOWN_NAME,   /* the domain that was asked for is not */
    DP_TLS_VERSION,        /* the caller's are too old */
    DP_TLS_NOT_SHARED,     /* no cipher, group or signature that both know */
    DP_TLS_PROTOCOL,       /* ALPN: none that is spoken here */
    DP_TLS_REFUSED,        /* by the caller: it says so */
    DP_TLS_NOT_TLS,        /* something else was sent */
    DP_TLS_BROKEN,         /* TLS, but not as it must be */
    DP_TLS_ABANDONED,      /* the caller left, or took too long */
    DP_TLS_TOO_MANY,       /* it was not begun: dp_tls_front_options.handshakes_max */
    DP_TLS_FAILURE_COUNT
};
#define DP_TLS_VERSIONS 3 /* TLS 1.1, 1.2, 1.3 */

struct dp_tls_stats {
    uint64_t handshakes[DP_TLS_VERSIONS];
    uint64_t resumed; /* of those */
    uint64_t failures[DP_TLS_FAILURE_COUNT];
    uint64_t unverified; /* callers without the certificate that their domain asks for */
    uint64_t contexts;   /* now */
    uint64_t shaking;    /* handshakes that have begun and not ended, now */
    uint64_t floods[DP_TLS_FLOOD_COUNT]; /* connections that ended for one */
};

struct dp_tls_front_options {
    const struct dp_loop *loop;         /* borrowed: the time */
    const struct dp_ticket_chain *keys; /* borrowed for the call */
    unsigned handshakes_max;            /* at once; 0: any number */
};

GW_MUST_CHECK int dp_tls_front_new(const struct dp_tls_front_options *options,
                                   struct dp_tls_front **ret_front, struct gw_error *err);
void dp_tls_front_free(struct dp_tls_front *front); /* every session has ended; takes NULL */
const struct dp_tls_stats *dp_tls_front_stats(const struct dp_tls_front *front);

/* From now on callers are served as this snapshot says, which is borrowed until the next call has
 * returned. Contexts that it has no use for go; connections go on. */
void dp_tls_front_update(struct dp_tls_front *front, const struct dp_snapshot *snapshot);
/* Whether handshakes from now on offer HTTP/2; at first they do. */
void dp_tls_front_offer_h2(struct dp_tls_front *front, bool is_offered);
/* A session for a caller's connection, to be given to dp_server_accept. NULL: no memory, or too
 * many are in their handshake. */
SSL *dp_tls_front_accept(struct dp_tls_front *front);

enum dp_tls_verdict {
    DP_TLS_ADMITTED,
    DP_TLS_TOO_OLD,    /* the connection's version is below the domain's minimum */
    DP_TLS_UNVERIFIED, /* it has no certificate that the domain takes */
    DP_TLS_MISDIRECTED /* it was never asked for one: another connection may do */
};

/* Whether a request for that domain may come over this caller's connection, which was made for the
 * domain that SNI named, under what was in force then. */
enum dp_tls_verdict dp_tls_admits(const struct dp_tls *tls, const struct dp_domain_tls *domain);

/* For logs; borrowed from the connection, empty where there is none. */
struct dp_tls_facts {
    gw_str version; /* "TLSv1.3" */
    gw_str cipher, server_name;
    gw_str subject; /* of the caller's certificate, verified or not */
    bool resumed;
};
void dp_tls_describe(const struct dp_tls *tls, struct dp_tls_facts *ret_facts);

#endif
