/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate with its chain, its key, and the authorities that the other side must be of: read
 * once from PEM into bytes that any OpenSSL library context can take up. Immutable, any thread. */
#ifndef DP_NET_CREDENTIALS_H
#define DP_NET_CREDENTIALS_H

#include "common/arena.h"
#include "common/error.h"

#include <openssl/ssl.h>

#define DP_CREDENTIALS_CHAIN_MAX 10         /* certificates, the leaf included */
#define DP_CREDENTIALS_AUTHORITIES_MAX 200  /* certificates */
#define DP_CREDENTIALS_PEM_MAX (512 * 1024) /* bytes of each text */
#define DP_CREDENTIALS_DIGEST_BYTES 32

struct dp_credentials {
    const gw_str *chain; /* DER, the leaf first; none: there are only authorities */
    unsigned chain_count;
    gw_str key;                /* DER, in the clear */
    const gw_str *authorities; /* DER */
    unsigned authority_count;
    uint8_t digest[DP_CREDENTIALS_DIGEST_BYTES];             /* of all of it */
    uint8_t authorities_digest[DP_CREDENTIALS_DIGEST_BYTES]; /* zero: there are none */
};

/* The three texts of a certificate, "" where there is none. */
struct dp_pem {
    const char *certificate, *private_key, *ca;
};

/* Into the arena, which overwrites the key when it ends. -1 with err naming the field: no PEM, a
 * key that is encrypted or another's, one that OpenSSL takes for too weak, or nothing at all. */
GW_MUST_CHECK int dp_credentials_read(struct gw_arena *arena, const struct dp_pem *pem,
                                      struct dp_credentials *ret, struct gw_error *err);

/* Adds certificate, chain and key to the context. -1: OpenSSL does not take them. */
GW_MUST_CHECK int dp_credentials_use(SSL_CTX *context, OSSL_LIB_CTX *library,
                                     const struct dp_credentials *credentials);
/* The other side must be of these authorities and no others; a server names them to callers. */
GW_MUST_CHECK int dp_credentials_trust(SSL_CTX *context, OSSL_LIB_CTX *library,
                                       const struct dp_credentials *credentials);

#endif
