/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/jwt.h"

#include <cjose/cjose.h>
#include <stdlib.h>

#define CLAIM_DEPTH_MAX 4
#define SECONDS_MAX 253402300799.0 /* the end of the year 9999 */

static int refuse(struct gw_error *err, const char *why)
{
    return gw_fail(err, GW_UNAUTHENTICATED, "the JWT %s", why);
}

static void release_json(json_t **json)
{
    json_decref(*json);
}

static bool is_one_of(const struct cp_texts *texts, const char *text)
{
    for (size_t i = 0; i < texts->count; i++)
        if (strcmp(texts->at[i], text) == 0)
            return true;
    return false;
}

/* ---- algorithms */

/* Signatures by public keys alone: with a secret that both sides have, whoever checks could sign.
 */
static const struct {
    const char *name, *kty, *crv;
} algorithms[] = {
    {"RS256", "RSA", ""},     {"RS384", "RSA", ""},     {"RS512", "RSA", ""},
    {"PS256", "RSA", ""},     {"PS384", "RSA", ""},     {"PS512", "RSA", ""},
    {"ES256", "EC", "P-256"}, {"ES384", "EC", "P-384"}, {"ES512", "EC", "P-521"},
};

bool cp_jwt_algorithm_is(const char *name)
{
    for (size_t i = 0; i < GW_ARRAY_LEN(algorithms); i++)
        if (strcmp(algorithms[i].name, name) == 0)
            return true;
    return false;
}

static bool can_do(const struct cp_jwk *key, const char *algorithm)
{
    if (*key->alg && strcmp(key->alg, algorithm) != 0)
        return false;
    for (size_t i = 0; i < GW_ARRAY_LEN(algorithms); i++)
        if (strcmp(algorithms[i].name, algorithm) == 0)
            return strcmp(algorithms[i].kty, key->kty) == 0 &&
                   strcmp(algorithms[i].crv, key->crv) == 0;
    return false;
}

/* ---- the key set */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static bool is_for_signatures(const json_t *key)
{
    const char *use = text_of(key, "use"), *crv = text_of(key, "crv"), *kty = text_of(key, "kty");
    bool is_known = strcmp(kty, "RSA") == 0 ||
                    (strcmp(kty, "EC") == 0 && strcmp(crv, "P-256") == 0) ||
                    (strcmp(kty, "EC") == 0 && strcmp(crv, "P-384") == 0) ||
                    (strcmp(kty, "EC") == 0 && strcmp(crv, "P-521") == 0);
    return is_known && (!*use || strcmp(use, "sig") == 0) &&
           (!*text_of(key, "alg") || cp_jwt_algorithm_is(text_of(key, "alg")));
}

static int check_key(size_t index, const struct cp_jwk *key, struct gw_error *err)
{
    cjose_err why;
    cjose_jwk_t *jwk = cjose_jwk_import(key->json.ptr, key->json.len, &why);
    if (!jwk)
        return gw_fail(err, GW_INVALID_ARGUMENT, "keys[%zu]: not a key that can be read", index);
    size_t bits = cjose_jwk_get_keysize(jwk, &why);
    (void)cjose_jwk_release(jwk);
    if (strcmp(key->kty, "RSA") == 0 && (bits < CP_JWT_RSA_BITS_MIN || bits > CP_JWT_RSA_BITS_MAX))
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "keys[%zu]: an RSA key of %zu bits; %d to %d are taken", index, bits,
                       CP_JWT_RSA_BITS_MIN, CP_JWT_RSA_BITS_MAX);
    return 0;
}

/* *ret_is_used false: it is left out. */
static int read_key(const json_t *entry, size_t index, struct gw_arena *arena, struct cp_jwk *ret,
                    bool *ret_is_used, struct gw_error *err)
{
    *ret_is_used = false;
    if (!json_is_object(entry))
        return gw_fail(err, GW_INVALID_ARGUMENT, "keys[%zu]: must be an object", index);
    if (strcmp(text_of(entry, "kty"), "oct") == 0 || json_object_get(entry, "d"))
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "keys[%zu]: a secret; only public keys belong into this file", index);
    if (!is_for_signatures(entry))
        return 0;
    char *json = json_dumps(entry, JSON_COMPACT);
    *ret = (struct cp_jwk){.kid = gw_arena_strdup(arena, text_of(entry, "kid")),
                           .alg = gw_arena_strdup(arena, text_of(entry, "alg")),
                           .kty = gw_arena_strdup(arena, text_of(entry, "kty")),
                           .crv = gw_arena_strdup(arena, text_of(entry, "crv")),
                           .json = gw_arena_dup(arena, gw_str_from(json))};
    free(json);
    *ret_is_used = true;
    return check_key(index, ret, err);
}

int cp_jwks_parse(gw_str json, struct gw_arena *arena, struct cp_jwks *ret, struct gw_error *err)
{
    json_error_t at;
    gw_auto(release_json) json_t *root =
        json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &at);
    const json_t *list = json_object_get(root, "keys");
    size_t count = json_array_size(list);
    if (!json_is_array(list))
        return gw_fail(err, GW_INVALID_ARGUMENT, "not a JWKS: an object with a list of \"keys\"");
    if (count > CP_JWKS_KEYS_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "more than %d keys", CP_JWKS_KEYS_MAX);
    struct cp_jwk *keys = GW_ARENA_ARRAY(arena, struct cp_jwk, count + 1);
    *ret = (struct cp_jwks){.keys = keys};
    for (size_t i = 0; i < count; i++) {
        bool is_used;
        if (read_key(json_array_get(list, i), i, arena, &keys[ret->count], &is_used, err) < 0)
            return -1;
        ret->count += is_used;
    }
    if (ret->count == 0)
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       "no key for signatures: RSA, or EC with P-256, P-384 or P-521");
    return 0;
}

/* ---- claims */

const char *cp_claim_text(const json_t *claims, const char *name)
{
    return json_string_value(json_object_get(claims, name));
}

static const json_t *find_claim(const json_t *claims, const char *name)
{
    const json_t *found = json_object_get(claims, name);
    for (unsigned depth = 0; !found && depth < CLAIM_DEPTH_MAX; depth++) {
        char part[128];
        const char *dot = strchr(name, '.');
        if (!dot || (size_t)(dot - name) >= sizeof(part))
            return NULL;
        memcpy(part, name, (size_t)(dot - name));
        part[dot - name] = '\0';
        claims = json_object_get(claims, part);
        name = dot + 1;
        found = json_object_get(claims, name);
    }
    return found;
}

static bool is_text(const json_t *json, const char *text)
{
    return json_is_string(json) && strcmp(json_string_value(json), text) == 0;
}

bool cp_claim_has(const json_t *claims, const char *name, const char *value)
{
    const json_t *claim = find_claim(claims, name);
    if (is_text(claim, value))
        return true;
    for (size_t i = 0; i < json_array_size(claim); i++)
        if (is_text(json_array_get(claim, i), value))
            return true;
    return false;
}

/* Seconds; false: not a number of this age. */
static bool read_seconds(const json_t *claims, const char *name, int64_t *ret)
{
    double seconds = json_number_value(json_object_get(claims, name));
    if (!json_is_number(json_object_get(claims, name)) || !(seconds >= 0) || seconds > SECONDS_MAX)
        return false;
    *ret = (int64_t)seconds;
    return true;
}

int64_t cp_jwt_expiry(const json_t *claims)
{
    int64_t seconds = 0;
    (void)read_seconds(claims, "exp", &seconds); /* it was checked */
    return seconds;
}

static bool is_for(const struct cp_issuer *issuer, const json_t *claims)
{
    const json_t *aud = json_object_get(claims, "aud");
    if (json_is_string(aud))
        return is_one_of(&issuer->audiences, json_string_value(aud));
    for (size_t i = 0; i < json_array_size(aud); i++)
        if (json_is_string(json_array_get(aud, i)) &&
            is_one_of(&issuer->audiences, json_string_value(json_array_get(aud, i))))
            return true;
    return false;
}

static int check_claims(const struct cp_issuer *issuer, const json_t *claims, int64_t now_s,
                        struct gw_error *err)
{
    int64_t exp = 0, nbf = 0;
    if (!read_seconds(claims, "exp", &exp))
        return refuse(err, "has no exp, which is needed");
    if (now_s >= exp + issuer->leeway_s)
        return refuse(err, "has expired");
    if (json_object_get(claims, "nbf") && !read_seconds(claims, "nbf", &nbf))
        return refuse(err, "has an nbf that is no time");
    if (now_s + issuer->leeway_s < nbf)
        return refuse(err, "is not valid yet (nbf)");
    if (!is_for(issuer, claims))
        return refuse(err, "is for somebody else (aud)");
    return 0;
}

/* ---- signatures */

/* The JSON object of a part; NULL: it is none. */
static json_t *decode(gw_str part)
{
    cjose_err why;
    uint8_t *bytes = NULL;
    size_t len = 0;
    json_error_t at;
    if (part.len == 0 || !cjose_base64url_decode(part.ptr, part.len, &bytes, &len, &why))
        return NULL;
    json_t *json = json_loadb((const char *)bytes, len, JSON_REJECT_DUPLICATES, &at);
    free(bytes);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static bool is_signed_by(const char *token, const struct cp_jwk *key)
{
    cjose_err why;
    cjose_jws_t *jws = cjose_jws_import(token, strlen(token), &why);
    cjose_jwk_t *jwk = cjose_jwk_import(key->json.ptr, key->json.len, &why);
    bool is = jws && jwk && cjose_jws_verify(jws, jwk, &why);
    if (jwk)
        (void)cjose_jwk_release(jwk);
    if (jws)
        cjose_jws_release(jws);
    return is;
}

static int check_signature(const struct cp_issuer *issuer, const json_t *header, const char *token,
                           struct gw_error *err)
{
    unsigned tries = 0;
    const char *kid = cp_claim_text(header, "kid"), *algorithm = cp_claim_text(header, "alg");
    for (size_t i = 0; i < issuer->jwks.count && tries < CP_JWT_TRIES_MAX; i++) {
        const struct cp_jwk *key = &issuer->jwks.keys[i];
        if ((kid && strcmp(kid, key->kid) != 0) || !can_do(key, algorithm))
            continue;
        tries++;
        if (is_signed_by(token, key))
            return 0;
    }
    if (tries > 0)
        return refuse(err, "has a wrong signature");
    (void)refuse(err, "is signed by a key that the issuer has not");
    return gw_error_reason(err, CP_JWT_UNKNOWN_KEY);
}

/* Of another type, such as a logout token, it is not meant to be shown here. */
static bool is_of_type(const json_t *header)
{
    static const char *const types[] = {"JWT", "at+jwt", "application/at+jwt"};
    const json_t *typ = json_object_get(header, "typ");
    for (size_t i = 0; json_is_string(typ) && i < GW_ARRAY_LEN(types); i++)
        if (gw_str_eq_nocase(gw_str_from(json_string_value(typ)), gw_str_from(types[i])))
            return true;
    return !typ;
}

static int check_header(const struct cp_issuer *issuer, const json_t *header, struct gw_error *err)
{
    const char *algorithm = cp_claim_text(header, "alg");
    if (!algorithm || !is_one_of(&issuer->algorithms, algorithm))
        return refuse(err, "has an algorithm that its issuer may not use");
    if (json_object_get(header, "crit"))
        return refuse(err, "has extensions that must be understood, and none is");
    if (!is_of_type(header))
        return refuse(err, "is of another type (typ)");
    return 0;
}

static const struct cp_issuer *find_issuer(const struct cp_issuer *issuers, size_t count,
                                           const json_t *claims)
{
    const char *name = cp_claim_text(claims, "iss");
    for (size_t i = 0; name && i < count; i++)
        if (strcmp(issuers[i].issuer, name) == 0)
            return &issuers[i];
    return NULL;
}

bool cp_jwt_is(const char *bearer)
{
    unsigned dots = 0;
    for (; *bearer; bearer++)
        dots += *bearer == '.';
    return dots == 2;
}

int cp_jwt_verify(const struct cp_issuer *issuers, size_t issuer_count, const char *token,
                  int64_t now_s, const struct cp_issuer **ret_issuer, json_t **ret_claims,
                  struct gw_error *err)
{
    gw_str rest = gw_str_from(token);
    *ret_issuer = NULL;
    if (rest.len > CP_JWT_MAX)
        return refuse(err, "is larger than 8192 bytes");
    gw_str first = gw_str_split(&rest, '.'), second = gw_str_split(&rest, '.');
    gw_auto(release_json) json_t *header = decode(first), *claims = decode(second);
    if (!header || !claims || rest.len == 0)
        return refuse(err, "is none: three parts of base64url, two of them JSON");
    const struct cp_issuer *issuer = find_issuer(issuers, issuer_count, claims);
    if (!issuer)
        return refuse(err, "is of an issuer that is not known here");
    *ret_issuer = issuer;
    if (issuer->jwks.count == 0)
        return gw_fail(err, GW_UNAVAILABLE, "the keys of the JWT's issuer are not here yet");
    if (check_header(issuer, header, err) || check_signature(issuer, header, token, err) ||
        check_claims(issuer, claims, now_s, err))
        return -1;
    *ret_claims = json_incref(claims);
    return 0;
}
