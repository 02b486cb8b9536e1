/* SPDX-License-Identifier: Apache-2.0 */
/* Of the credentials file: issuers of JWTs, with their keys, which lie in files of their own. */
#include "controlplane/model/check_account.h"
#include "controlplane/model/names.h"
#include "controlplane/rpc/credentials_internal.h"

#include <errno.h>
#include <stdio.h>

#define CLAIM_RULE "must be \"name=value\", the name of letters, digits or \"-_.:/\""

static const char *const default_algorithms[] = {"RS256", "ES256"};
static const char *const default_user_claims[] = {"sub"};

/* ---- the keys */

static int read_file(FILE *file, struct gw_arena *arena, struct cp_jwks *ret, struct gw_error *err)
{
    gw_auto(gw_freep) char *text = gw_malloc(CP_JWKS_MAX_BYTES + 1);
    size_t len = fread(text, 1, CP_JWKS_MAX_BYTES + 1, file);
    if (ferror(file))
        return gw_fail(err, GW_INVALID_ARGUMENT, "cannot be read");
    if (len > CP_JWKS_MAX_BYTES)
        return gw_fail(err, GW_INVALID_ARGUMENT, "larger than %d bytes", CP_JWKS_MAX_BYTES);
    return cp_jwks_parse(gw_str_n(text, len), arena, ret, err);
}

/* "https://", or "http://" to this machine; nobody's password in it. */
static bool is_uri(const char *text)
{
    static const char *const local[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == '@' || (unsigned char)*at >= 0x7f)
            return false;
    for (size_t i = 0; i < GW_ARRAY_LEN(local); i++) {
        size_t len = strlen(local[i]);
        if (strncmp(text, local[i], len) == 0 && (text[len] == ':' || text[len] == '/'))
            return true;
    }
    return strncmp(text, "https://", 8) == 0 && text[8] && text[8] != '/';
}

static const char *beside(struct cp_credentials *credentials, const char *name)
{
    struct gw_arena *arena = &credentials->arena;
    return *name == '/' ? gw_arena_strdup(arena, name)
                        : gw_arena_printf(arena, "%s%s", credentials->folder, name).ptr;
}

/* Where the keys are published; issuer_keys.h fetches them. */
static int read_uri(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                    struct cp_issuer *issuer, struct gw_error *err)
{
    const char *uri, *ca_file;
    if (json_object_get(entry, "jwksFile"))
        return cp_fail_at(err, place, "jwksUri", "not with jwksFile");
    if (cp_read_text(entry, place, "jwksUri", &uri, err))
        return -1;
    if (!is_uri(uri))
        return cp_fail_at(err, place, "jwksUri",
                          "must be an https:// URL without user or password (http:// to loopback)");
    issuer->jwks_uri = gw_arena_strdup(&credentials->arena, uri);
    if (!json_object_get(entry, "jwksCaFile"))
        return 0;
    if (cp_read_text(entry, place, "jwksCaFile", &ca_file, err))
        return -1;
    issuer->ca_file = beside(credentials, ca_file);
    return 0;
}

/* The file's stamp is taken before the reading, so a change meanwhile is seen. */
static int read_jwks(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                     struct cp_issuer *issuer, struct gw_error *err)
{
    const char *name;
    struct gw_error why = GW_ERROR_NONE;
    if (json_object_get(entry, "jwksUri"))
        return read_uri(credentials, entry, place, issuer, err);
    if (json_object_get(entry, "jwksCaFile"))
        return cp_fail_at(err, place, "jwksCaFile", "not without jwksUri");
    if (cp_read_text(entry, place, "jwksFile", &name, err))
        return -1;
    issuer->jwks_file = beside(credentials, name);
    credentials->issuer_stamps[place.index] = cp_stamp_of(issuer->jwks_file);
    FILE *file = fopen(issuer->jwks_file, "re");
    if (!file)
        return cp_fail_at(err, place, "jwksFile", strerror(errno));
    int failed = read_file(file, &credentials->arena, &issuer->jwks, &why);
    (void)fclose(file); /* only read: nothing can be lost */
    return failed ? cp_fail_at(err, place, "jwksFile", why.message) : 0;
}

/* ---- what its tokens give */

static int read_claim_grant(struct cp_credentials *credentials, const json_t *entry,
                            struct cp_place place, struct cp_claim_grant *ret, struct gw_error *err)
{
    static const char *const keys[] = {"claim", "role", "limits", NULL};
    const char *claim;
    gw_str name, value;
    if (cp_check_keys(entry, place, keys, err) ||
        cp_read_grant(credentials, entry, place, &ret->grant, err))
        return -1;
    if (!json_object_get(entry, "claim"))
        return 0;
    if (cp_read_text(entry, place, "claim", &claim, err))
        return -1;
    if (!cp_claim_parse(gw_str_from(claim), &name, &value))
        return cp_fail_at(err, place, "claim", CLAIM_RULE);
    ret->name = gw_arena_dup(&credentials->arena, name).ptr;
    ret->value = gw_arena_dup(&credentials->arena, value).ptr;
    return 0;
}

static int read_grants(struct cp_credentials *credentials, const json_t *entry,
                       struct cp_place place, struct cp_issuer *issuer, struct gw_error *err)
{
    const json_t *list = json_object_get(entry, "grants");
    size_t count = json_array_size(list);
    if (!list)
        return 0;
    if (!json_is_array(list) || count > CP_ISSUER_GRANTS_MAX)
        return cp_fail_at(err, place, "grants", "must be a list of at most 50 objects");
    struct cp_claim_grant *grants =
        GW_ARENA_ARRAY(&credentials->arena, struct cp_claim_grant, count);
    for (size_t i = 0; i < count; i++)
        if (read_claim_grant(credentials, json_array_get(list, i),
                             (struct cp_place){place.list, place.index, "grants", i}, &grants[i],
                             err))
            return -1;
    issuer->grants = grants;
    issuer->grant_count = count;
    return 0;
}

/* ---- one issuer */

static bool is_any_text(const struct cp_credentials *credentials, const char *text)
{
    (void)credentials;
    return *text && strlen(text) <= CP_CREDENTIALS_TEXT_MAX;
}

static bool is_algorithm(const struct cp_credentials *credentials, const char *text)
{
    (void)credentials;
    return cp_jwt_algorithm_is(text);
}

static bool is_account(const struct cp_credentials *credentials, const char *text)
{
    struct gw_error ignored;
    (void)credentials;
    return cp_id_check(CP_KIND_ACCOUNT, text, "", &ignored) == 0;
}

static bool is_claim_name(const struct cp_credentials *credentials, const char *text)
{
    (void)credentials;
    return cp_claim_name_is(gw_str_from(text));
}

static int read_lists(struct cp_credentials *credentials, const json_t *entry,
                      struct cp_place place, struct cp_issuer *issuer, struct gw_error *err)
{
    if (!json_object_get(entry, "audiences"))
        return cp_fail_at(err, place, "audiences",
                          "required: of a token meant for us, aud has one");
    if (cp_read_texts(credentials, entry, place, "audiences", CP_ISSUER_TEXTS_MAX, is_any_text,
                      "must be texts of 1 to 127 bytes", &issuer->audiences, err) ||
        cp_read_texts(credentials, entry, place, "algorithms", CP_ISSUER_TEXTS_MAX, is_algorithm,
                      "must be of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512",
                      &issuer->algorithms, err) ||
        cp_read_texts(credentials, entry, place, "usersOf", CP_ISSUER_ACCOUNTS_MAX, is_account,
                      "must be ids of accounts: \"acme\"", &issuer->users_of, err) ||
        cp_read_texts(credentials, entry, place, "userClaims", CP_ISSUER_CLAIMS_MAX, is_claim_name,
                      "must be names of claims", &issuer->user_claims, err))
        return -1;
    if (issuer->user_claims.count > 0 && issuer->users_of.count == 0)
        return cp_fail_at(err, place, "userClaims", "not without usersOf");
    if (issuer->algorithms.count == 0)
        issuer->algorithms =
            (struct cp_texts){default_algorithms, GW_ARRAY_LEN(default_algorithms)};
    if (issuer->user_claims.count == 0)
        issuer->user_claims =
            (struct cp_texts){default_user_claims, GW_ARRAY_LEN(default_user_claims)};
    return 0;
}

static int read_simple(struct cp_credentials *credentials, const json_t *entry,
                       struct cp_place place, struct cp_issuer *issuer, struct gw_error *err)
{
    const char *text = "sub";
    const json_t *leeway = json_object_get(entry, "leewaySeconds");
    if (json_object_get(entry, "principalClaim") &&
        cp_read_text(entry, place, "principalClaim", &text, err))
        return -1;
    if (!cp_claim_name_is(gw_str_from(text)))
        return cp_fail_at(err, place, "principalClaim", "must be the name of a claim");
    issuer->principal_claim = gw_arena_strdup(&credentials->arena, text);
    issuer->leeway_s = leeway ? json_integer_value(leeway) : CP_JWT_LEEWAY_DEFAULT;
    if ((leeway && !json_is_integer(leeway)) || issuer->leeway_s < 0 ||
        issuer->leeway_s > CP_JWT_LEEWAY_MAX)
        return cp_fail_at(err, place, "leewaySeconds", "must be 0 to 300");
    return 0;
}

int cp_read_issuer(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                   struct gw_error *err)
{
    static const char *const keys[] = {
        "issuer",         "audiences",     "jwksFile", "jwksUri",    "jwksCaFile", "algorithms",
        "principalClaim", "leewaySeconds", "usersOf",  "userClaims", "grants",     NULL};
    const char *name;
    struct cp_issuer *issuer = &credentials->issuers[credentials->issuer_count];
    if (cp_check_keys(entry, place, keys, err) || cp_read_text(entry, place, "issuer", &name, err))
        return -1;
    for (size_t i = 0; i < credentials->issuer_count; i++)
        if (strcmp(credentials->issuers[i].issuer, name) == 0)
            return cp_fail_at(err, place, "issuer", "stands here twice");
    issuer->issuer = gw_arena_strdup(&credentials->arena, name);
    if (read_lists(credentials, entry, place, issuer, err) ||
        read_simple(credentials, entry, place, issuer, err) ||
        read_grants(credentials, entry, place, issuer, err) ||
        read_jwks(credentials, entry, place, issuer, err))
        return -1;
    credentials->issuer_count++;
    return 0;
}
