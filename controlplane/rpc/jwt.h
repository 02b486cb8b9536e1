/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Tokens of configured issuers: signature by cjose, then who issued it, for whom, for how
 * long. What a token says is believed after all of that only. Pure but for the reading of a JWKS.
 */
#ifndef CP_RPC_JWT_H
#define CP_RPC_JWT_H

#include "controlplane/rpc/rights.h"

#include <jansson.h>

#define CP_JWT_MAX 8192 /* bytes of a token */
#define CP_JWKS_MAX_BYTES (256 * 1024)
#define CP_JWKS_KEYS_MAX 50
#define CP_JWT_TRIES_MAX 4 /* keys tried of a token that names none */
#define CP_JWT_RSA_BITS_MIN 2048
#define CP_JWT_RSA_BITS_MAX 8192
#define CP_JWT_LEEWAY_DEFAULT 30
#define CP_JWT_LEEWAY_MAX 300
#define CP_ISSUER_TEXTS_MAX 10  /* audiences, algorithms */
#define CP_ISSUER_GRANTS_MAX 50 /* of which a caller gets those that fit */
#define CP_ISSUER_ACCOUNTS_MAX 5
#define CP_ISSUER_CLAIMS_MAX 3 /* that can stand for a user */

/* A public key of an issuer. */
struct cp_jwk {
    const char *kid; /* "": it has none */
    const char *alg; /* "": any that the kind of key can do */
    const char *kty; /* "RSA", "EC" */
    const char *crv; /* "P-256"; "": RSA */
    gw_str json;     /* what cjose reads */
};

struct cp_jwks {
    const struct cp_jwk *keys;
    size_t count;
};

/* What a token gives when it has the claim. */
struct cp_claim_grant {
    const char *name, *value; /* name NULL: to every token of the issuer */
    struct cp_grant grant;
};

struct cp_issuer {
    const char *issuer;
    struct cp_texts audiences; /* one of them must be in aud */
    struct cp_texts algorithms;
    const char *principal_claim;
    struct cp_texts users_of;    /* ids of accounts that it speaks for */
    struct cp_texts user_claims; /* that can stand for one of their users */
    int64_t leeway_s;
    const struct cp_claim_grant *grants;
    size_t grant_count;
    const char *jwks_file;          /* NULL: at a URL */
    const char *jwks_uri, *ca_file; /* NULL: in a file; the system's authorities */
    struct cp_jwks jwks;
};

/* Three parts with dots between: it is meant to be one. */
bool cp_jwt_is(const char *bearer);
bool cp_jwt_algorithm_is(const char *name);

/* Keys for signatures of the kinds that we take; others are left out. INVALID_ARGUMENT: it is no
 * JWKS, holds secrets (private or symmetric keys), or no key is of use. */
GW_MUST_CHECK int cp_jwks_parse(gw_str json, struct gw_arena *arena, struct cp_jwks *ret_jwks,
                                struct gw_error *err);

#define CP_JWT_UNKNOWN_KEY "UNKNOWN_KEY" /* reason: the token names a key that is not there */

/* UNAUTHENTICATED, and which rule it breaks; UNAVAILABLE: the issuer's keys are not here yet.
 * *ret_issuer is set on failure as well; NULL: it is not known. *ret_claims: the payload, to be
 * released with json_decref. */
GW_MUST_CHECK int cp_jwt_verify(const struct cp_issuer *issuers, size_t issuer_count,
                                const char *token, int64_t now_s,
                                const struct cp_issuer **ret_issuer, json_t **ret_claims,
                                struct gw_error *err);

/* Whether the claim is that text, or a list with it. "realm.roles": a member of a member, unless
 * there is one of that very name. */
bool cp_claim_has(const json_t *claims, const char *name, const char *value);
/* The text of a claim; NULL: it is none. */
const char *cp_claim_text(const json_t *claims, const char *name);
int64_t cp_jwt_expiry(const json_t *claims);

#endif
