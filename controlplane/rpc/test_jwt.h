/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * An issuer: keys, their JWKS, and tokens of any sort. */
#ifndef CP_RPC_TEST_JWT_H
#define CP_RPC_TEST_JWT_H

#include "common/test.h"
#include "controlplane/rpc/jwt.h"

#include <cjose/cjose.h>
#include <stdlib.h>

static inline cjose_jwk_t *test_rsa(const char *kid, size_t bits)
{
    cjose_err err;
    cjose_jwk_t *key = cjose_jwk_create_RSA_random(bits, (const uint8_t *)"\x01\x00\x01", 3, &err);
    assert_non_null(key);
    assert_true(cjose_jwk_set_kid(key, kid, strlen(kid), &err));
    return key;
}

static inline cjose_jwk_t *test_ec(const char *kid, cjose_jwk_ec_curve curve)
{
    cjose_err err;
    cjose_jwk_t *key = cjose_jwk_create_EC_random(curve, &err);
    assert_non_null(key);
    assert_true(cjose_jwk_set_kid(key, kid, strlen(kid), &err));
    return key;
}

/* The public half as JSON. */
static inline const char *test_jwk(struct gw_arena *arena, const cjose_jwk_t *key)
{
    cjose_err err;
    char *json = cjose_jwk_to_json(key, false, &err);
    assert_non_null(json);
    const char *copy = gw_arena_strdup(arena, json);
    free(json);
    return copy;
}

/* header: what it has beside alg, "{}"; NULL kid of the key. */
static inline const char *test_sign(struct gw_arena *arena, const cjose_jwk_t *key, const char *alg,
                                    const char *more, const char *payload)
{
    cjose_err err;
    json_error_t at;
    json_t *header = json_loads(more, 0, &at);
    assert_non_null(header);
    assert_true(cjose_header_set(header, CJOSE_HDR_ALG, alg, &err));
    cjose_jws_t *jws = cjose_jws_sign(key, header, (const uint8_t *)payload, strlen(payload), &err);
    if (!jws)
        fail_msg("%s: %s", alg, err.message);
    const char *compact;
    assert_true(cjose_jws_export(jws, &compact, &err));
    const char *copy = gw_arena_strdup(arena, compact);
    cjose_jws_release(jws);
    json_decref(header);
    return copy;
}

static inline const char *test_base64url(struct gw_arena *arena, const char *text)
{
    cjose_err err;
    char *out;
    size_t len;
    assert_true(cjose_base64url_encode((const uint8_t *)text, strlen(text), &out, &len, &err));
    const char *copy = gw_arena_dup(arena, gw_str_n(out, len)).ptr;
    free(out);
    return copy;
}

#endif
