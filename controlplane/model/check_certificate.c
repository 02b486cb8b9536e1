/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/check_certificate.h"

#include "controlplane/model/certificate_pem.h"
#include "controlplane/model/check.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include <time.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX                                                                               \
    4096 /* each handshake signs with it: 16,384 bits would hold a worker for 0.1 s */
#define SECURITY_BITS_MIN 112 /* RSA of 2048 bits and SHA-224 have 112, SHA-1 has 63 */
#define CLOCKS_APART_S 300    /* an authority's may be ahead of ours */

/* ---- the key in a certificate */

/* The curve is spelt out instead of named, which no caller takes (RFC 8422 5.4). */
static bool is_explicit(const EVP_PKEY *key)
{
    int is = 0;
    return EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is) == 1 &&
           is != 0;
}

static Penstock__Admin__V1__KeyAlgorithm algorithm_of(const EVP_PKEY *key)
{
    char group[32];
    int bits = key ? EVP_PKEY_get_bits(key) : 0;
    switch (key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE) {
    case EVP_PKEY_RSA:
        return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX ? CP_ENUM(KEY_ALGORITHM, RSA)
                                                            : CP_ENUM(KEY_ALGORITHM, UNSPECIFIED);
    case EVP_PKEY_EC:
        if (!is_explicit(key) && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
            (strcmp(group, "prime256v1") == 0 || strcmp(group, "secp384r1") == 0 ||
             strcmp(group, "secp521r1") == 0))
            return CP_ENUM(KEY_ALGORITHM, ECDSA);
        return CP_ENUM(KEY_ALGORITHM, UNSPECIFIED);
    default:
        return CP_ENUM(KEY_ALGORITHM, UNSPECIFIED);
    }
}

/* This and the next: what agents' TLS library refuses to serve, and to trust. */
static bool is_weak(X509 *certificate)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);
    return !key || EVP_PKEY_get_security_bits(key) < SECURITY_BITS_MIN;
}

static bool is_signed_weakly(X509 *certificate)
{
    int bits;
    bool is_self_signed = X509_get_extension_flags(certificate) & EXFLAG_SS;
    return !is_self_signed && X509_get_signature_info(certificate, NULL, NULL, &bits, NULL) == 1 &&
           bits < SECURITY_BITS_MIN;
}

/* ---- the chain */

static void check_order(const struct cp_chain *chain, const char *field, struct gw_error *err)
{
    for (size_t i = 0; i + 1 < chain->count; i++) {
        X509 *issuer = chain->items[i + 1];
        if (X509_check_issued(issuer, chain->items[i]) == X509_V_OK &&
            X509_verify(chain->items[i], X509_get0_pubkey(issuer)) == 1)
            continue;
        ERR_clear_error();
        (void)gw_fail_field(err, field,
                            "certificate %zu is not the issuer of certificate %zu: the chain goes "
                            "from the server's own to the authority's",
                            i + 2, i + 1);
        return;
    }
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return time && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

/* Callers look at the whole chain. */
static void check_times(const struct cp_chain *chain, int64_t now_s, const char *field,
                        struct gw_error *err)
{
    for (size_t i = 0; i < chain->count; i++) {
        const char *wrong = NULL;
        if (seconds_of(X509_get0_notAfter(chain->items[i])) <= now_s)
            wrong = "has expired";
        else if (seconds_of(X509_get0_notBefore(chain->items[i])) > now_s + CLOCKS_APART_S)
            wrong = "is not valid yet";
        if (wrong) {
            (void)gw_fail_field(err, field, "certificate %zu %s", i + 1, wrong);
            return;
        }
    }
    if (seconds_of(X509_get0_notAfter(chain->items[0])) >= CP_CERTIFICATE_LAST_S)
        (void)gw_fail_field(err, field, "must expire before 2038-01-19T03:14:07Z");
}

static void check_strength(const struct cp_chain *chain, const char *field, struct gw_error *err)
{
    for (size_t i = 0; i < chain->count; i++) {
        const char *wrong = NULL;
        if (is_weak(chain->items[i]))
            wrong = "have a key as good as RSA of 2048 bits";
        else if (is_signed_weakly(chain->items[i]))
            wrong = "be signed with SHA-256 or better";
        if (wrong) {
            (void)gw_fail_field(err, field, "certificate %zu must %s", i + 1, wrong);
            return;
        }
    }
}

static bool has_usage(X509 *leaf)
{
    uint32_t usage = X509_get_key_usage(leaf), extended = X509_get_extended_key_usage(leaf);
    return (usage & KU_DIGITAL_SIGNATURE) && /* all bits without the extension */
           (extended & (XKU_SSL_SERVER | XKU_SSL_CLIENT | XKU_ANYEKU));
}

static void check_leaf(X509 *leaf, const char *field, struct gw_error *err)
{
    if (algorithm_of(X509_get0_pubkey(leaf)) == CP_ENUM(KEY_ALGORITHM, UNSPECIFIED))
        (void)gw_fail_field(err, field,
                            "must have an RSA key of %d to %d bits, or an ECDSA key on P-256, "
                            "P-384 or P-521 by its name",
                            RSA_BITS_MIN, RSA_BITS_MAX);
    else if (!cp_chain_has_names(leaf))
        (void)gw_fail_field(err, field, "must have a subject alternative name");
    else if (!has_usage(leaf))
        (void)gw_fail_field(err, field,
                            "its key usage must allow digital signatures, and its extended key "
                            "usage TLS servers or clients");
}

/* True: it can be read, whatever else is wrong. */
static bool check_chain(const cp_certificate *certificate, const cp_certificate *before,
                        int64_t now_s, struct cp_chain *ret_chain, struct gw_error *err)
{
    static const char field[] = "certificate_pem";
    unsigned found = err->violation_count;
    if (cp_chain_read(certificate->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, field, ret_chain,
                      err) < 0)
        return false;
    check_leaf(ret_chain->items[0], field, err);
    bool is_known = before && strcmp(certificate->certificate_pem, before->certificate_pem) == 0;
    if (err->violation_count == found && !is_known)
        check_times(ret_chain, now_s, field, err);
    if (err->violation_count == found)
        check_order(ret_chain, field, err);
    if (err->violation_count == found)
        check_strength(ret_chain, field, err);
    return true;
}

/* ---- the private key */

static bool is_same_key(const char *pem, const char *other_pem)
{
    struct gw_error ignored;
    gw_auto(cp_chain_done) struct cp_chain a = {0}, b = {0};
    return cp_chain_read(pem, CP_CERTIFICATE_CHAIN_MAX, "", &a, &ignored) == 0 &&
           cp_chain_read(other_pem, CP_CERTIFICATE_CHAIN_MAX, "", &b, &ignored) == 0 &&
           EVP_PKEY_eq(X509_get0_pubkey(a.items[0]), X509_get0_pubkey(b.items[0])) == 1;
}

static void check_kept_key(const cp_certificate *certificate, const cp_certificate *before,
                           struct gw_error *err)
{
    if (!before || before->sealed_private_key.len == 0)
        (void)gw_fail_field(err, "private_key_pem", "required with certificate_pem");
    else if (!is_same_key(certificate->certificate_pem, before->certificate_pem))
        (void)gw_fail_field(err, "private_key_pem",
                            "required: the certificate has another key than the one before");
}

static void check_new_key(const cp_certificate *certificate, const struct cp_chain *chain,
                          struct gw_error *err)
{
    EVP_PKEY *key;
    if (cp_key_read(certificate->private_key_pem, &key, err) < 0)
        return;
    if (chain && X509_check_private_key(chain->items[0], key) != 1)
        (void)gw_fail_field(err, "private_key_pem", "does not fit the certificate");
    ERR_clear_error();
    EVP_PKEY_free(key);
}

/* ---- authorities */

static void check_authorities(const cp_certificate *certificate, const cp_certificate *before,
                              int64_t now_s, struct gw_error *err)
{
    static const char field[] = "client_ca_pem";
    gw_auto(cp_chain_done) struct cp_chain list = {0};
    if (!*certificate->client_ca_pem ||
        cp_chain_read(certificate->client_ca_pem, CP_CERTIFICATE_AUTHORITIES_MAX, field, &list,
                      err) < 0)
        return;
    bool is_known = before && strcmp(certificate->client_ca_pem, before->client_ca_pem) == 0;
    for (size_t i = 0; i < list.count && !is_known; i++) {
        if (X509_check_ca(list.items[i]) == 0)
            (void)gw_fail_field(err, field, "certificate %zu is not an authority's", i + 1);
        else if (is_weak(list.items[i]))
            (void)gw_fail_field(
                err, field, "certificate %zu must have a key as good as RSA of 2048 bits", i + 1);
        else if (seconds_of(X509_get0_notAfter(list.items[i])) <= now_s)
            (void)gw_fail_field(err, field, "certificate %zu has expired", i + 1);
    }
    ERR_clear_error();
}

/* ---- all */

int cp_check_certificate(const cp_certificate *certificate, const cp_certificate *before,
                         int64_t now_s, struct gw_error *err)
{
    *err = GW_ERROR_NONE;
    gw_auto(cp_chain_done) struct cp_chain chain = {0};
    bool has_certificate = *certificate->certificate_pem, has_key = *certificate->private_key_pem;
    cp_check_characters(certificate->display_name, 1, 255, "display_name", err);
    cp_check_bytes(certificate->description, 255, "description", err);
    if (has_key && !has_certificate)
        (void)gw_fail_field(err, "private_key_pem", "only with certificate_pem");
    else if (!has_certificate && !*certificate->client_ca_pem)
        (void)gw_fail_field(err, "certificate_pem", "required, unless there is client_ca_pem");
    bool is_read = has_certificate && check_chain(certificate, before, now_s, &chain, err);
    if (has_key)
        check_new_key(certificate, is_read ? &chain : NULL, err);
    else if (is_read)
        check_kept_key(certificate, before, err);
    check_authorities(certificate, before, now_s, err);
    return err->code == GW_OK ? 0 : -1;
}

/* ---- what is shown of it */

static void set_time(struct gw_arena *arena, cp_timestamp **time, const ASN1_TIME *from)
{
    *time = GW_ARENA_NEW(arena, cp_timestamp);
    google__protobuf__timestamp__init(*time);
    (*time)->seconds = seconds_of(from);
}

static char *fingerprint(struct gw_arena *arena, X509 *leaf)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(leaf, EVP_sha256(), digest, &len) != 1)
        len = 0;
    char *text = gw_arena_bytes(arena, 2 * (size_t)len + 1);
    for (unsigned i = 0; i < len; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * (size_t)len] = '\0';
    return text;
}

static void clear_shown(struct gw_arena *arena, cp_certificate *certificate)
{
    certificate->common_name = gw_arena_strdup(arena, "");
    certificate->n_subject_alternative_names = 0;
    certificate->subject_alternative_names = NULL;
    certificate->not_before_time = certificate->not_after_time = NULL;
    certificate->fingerprint_sha256 = gw_arena_strdup(arena, "");
    certificate->key_algorithm = CP_ENUM(KEY_ALGORITHM, UNSPECIFIED);
}

void cp_fill_certificate(struct gw_arena *arena, cp_certificate *certificate)
{
    struct gw_error ignored;
    gw_auto(cp_chain_done) struct cp_chain chain = {0};
    clear_shown(arena, certificate);
    if (!*certificate->certificate_pem ||
        cp_chain_read(certificate->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, "", &chain,
                      &ignored) < 0)
        return;
    X509 *leaf = chain.items[0];
    struct cp_chain_names names = cp_chain_names(arena, leaf);
    certificate->common_name = cp_chain_common_name(arena, leaf);
    certificate->subject_alternative_names = names.items;
    certificate->n_subject_alternative_names =
        GW_MIN(names.count, (size_t)CP_CERTIFICATE_NAMES_SHOWN);
    set_time(arena, &certificate->not_before_time, X509_get0_notBefore(leaf));
    set_time(arena, &certificate->not_after_time, X509_get0_notAfter(leaf));
    certificate->fingerprint_sha256 = fingerprint(arena, leaf);
    certificate->key_algorithm = algorithm_of(X509_get0_pubkey(leaf));
}

int cp_certificate_key(struct gw_arena *arena, const char *private_key_pem, gw_str *ret_key,
                       struct gw_error *err)
{
    EVP_PKEY *key;
    if (cp_key_read(private_key_pem, &key, err) < 0)
        return -1;
    *ret_key = cp_key_write(arena, key);
    EVP_PKEY_free(key);
    return 0;
}

/* ---- what it is good for */

static bool name_covers(const char *name, const char *host)
{
    if (strcasecmp(name, host) == 0)
        return true;
    const char *rest = strchr(host, '.');
    return name[0] == '*' && host[0] != '*' && rest && strcasecmp(name + 1, rest) == 0;
}

static bool covers(X509 *leaf, const char *host)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_chain_names names = cp_chain_names(&arena, leaf);
    for (size_t i = 0; i < names.count; i++)
        if (name_covers(names.items[i], host))
            return true;
    return false;
}

bool cp_certificate_covers(const cp_certificate *certificate, const char *host)
{
    struct gw_error ignored;
    gw_auto(cp_chain_done) struct cp_chain chain = {0};
    return cp_chain_read(certificate->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, "", &chain,
                         &ignored) == 0 &&
           covers(chain.items[0], host);
}

static bool is_for_servers(X509 *leaf)
{
    return X509_get_extended_key_usage(leaf) & (XKU_SSL_SERVER | XKU_ANYEKU);
}

bool cp_certificate_is_for_servers(const cp_certificate *certificate)
{
    struct gw_error ignored;
    gw_auto(cp_chain_done) struct cp_chain chain = {0};
    return cp_chain_read(certificate->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, "", &chain,
                         &ignored) == 0 &&
           is_for_servers(chain.items[0]);
}

static bool has_names_of(X509 *leaf, X509 *before)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_chain_names names = cp_chain_names(&arena, before);
    for (size_t i = 0; i < names.count; i++)
        if (!covers(leaf, names.items[i]))
            return false;
    return true;
}

bool cp_certificate_is_as_good(const cp_certificate *before, const cp_certificate *after)
{
    struct gw_error ignored;
    gw_auto(cp_chain_done) struct cp_chain old = {0}, fresh = {0};
    if (*before->client_ca_pem && !*after->client_ca_pem)
        return false;
    if (!*before->certificate_pem || strcmp(before->certificate_pem, after->certificate_pem) == 0)
        return true;
    if (cp_chain_read(before->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, "", &old, &ignored) < 0 ||
        cp_chain_read(after->certificate_pem, CP_CERTIFICATE_CHAIN_MAX, "", &fresh, &ignored) < 0)
        return false;
    return before->key_algorithm == after->key_algorithm &&
           is_for_servers(old.items[0]) <= is_for_servers(fresh.items[0]) &&
           has_names_of(fresh.items[0], old.items[0]);
}
