/* SPDX-License-Identifier: Apache-2.0 */
/* PEM to OpenSSL's structures and back, for check_certificate.c. Pure. */
#ifndef CP_MODEL_CERTIFICATE_PEM_H
#define CP_MODEL_CERTIFICATE_PEM_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/check_certificate.h"

#include <openssl/x509.h>

struct cp_chain {
    X509 *items[CP_CERTIFICATE_AUTHORITIES_MAX]; /* owned */
    size_t count;                                /* at least one after cp_chain_read */
};

/* Certificates and no other PEM, at most `max` and CP_CERTIFICATE_PEM_MAX bytes; else a violation
 * of `field`. ret_chain is to be done with in either case. */
GW_MUST_CHECK int cp_chain_read(const char *pem, size_t max, const char *field,
                                struct cp_chain *ret_chain, struct gw_error *err);
void cp_chain_done(struct cp_chain *chain);

/* Host names and addresses of the subject alternative name; others are passed over. */
struct cp_chain_names {
    char **items; /* in the arena */
    size_t count;
};
struct cp_chain_names cp_chain_names(struct gw_arena *arena, X509 *leaf);
bool cp_chain_has_names(X509 *leaf);
/* "": none, or none that is text. */
char *cp_chain_common_name(struct gw_arena *arena, X509 *leaf);

/* One key that is not encrypted, the caller's; else a violation of private_key_pem. */
GW_MUST_CHECK int cp_key_read(const char *pem, EVP_PKEY **ret_key, struct gw_error *err);
/* PKCS #8 in PEM. */
gw_str cp_key_write(struct gw_arena *arena, EVP_PKEY *key);

#endif
