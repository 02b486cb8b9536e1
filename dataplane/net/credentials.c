/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/credentials.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

/* ---- from PEM */

/* Nobody is there to be asked. */
static int no_password(char *text, int size, int writing, void *arg)
{
    (void)text, (void)size, (void)writing, (void)arg;
    return -1;
}

static int fail(struct gw_error *err, const char *field, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    (void)gw_fail_field(err, field, reason ? "%s (%s)" : "%s", what, reason);
    ERR_clear_error();
    return -1;
}

static gw_str keep_der(struct gw_arena *arena, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    gw_str kept = len > 0 ? gw_arena_dup(arena, gw_str_n((char *)der, (size_t)len)) : GW_STR_NONE;
    OPENSSL_free(der);
    return kept;
}

/* Every certificate of the text; *ret_leaf: the first one, the caller's to free. */
static int read_certificates(struct gw_arena *arena, const char *text, unsigned max,
                             const char *field, const gw_str **ret_items, unsigned *ret_count,
                             X509 **ret_leaf, struct gw_error *err)
{
    gw_str *items = GW_ARENA_ARRAY(arena, gw_str, max);
    unsigned count = 0;
    int result = 0;
    size_t len = strlen(text);
    if (len > DP_CREDENTIALS_PEM_MAX)
        return gw_fail_field(err, field, "must be at most %d bytes", DP_CREDENTIALS_PEM_MAX);
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    for (X509 *one; bio && (one = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL;) {
        if (count == max)
            result = gw_fail_field(err, field, "must have at most %u certificates", max);
        else
            items[count++] = keep_der(arena, one);
        if (ret_leaf && count == 1 && !*ret_leaf)
            *ret_leaf = one;
        else
            X509_free(one);
        if (result < 0)
            break;
    }
    unsigned long code = ERR_peek_last_error();
    bool is_end = code == 0 || ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (result == 0 && (!is_end || count == 0))
        result = fail(err, field, "is no certificate in PEM");
    ERR_clear_error();
    BIO_free(bio);
    *ret_items = items;
    *ret_count = count;
    return result;
}

struct secret {
    unsigned char *bytes;
    size_t len;
};

static void forget(void *arg)
{
    struct secret *secret = arg;
    OPENSSL_cleanse(secret->bytes, secret->len);
}

static EVP_PKEY *read_key(const char *text, struct gw_error *err)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (!key)
        (void)fail(err, "private_key_pem", "is no key in PEM, or an encrypted one");
    return key;
}

static int keep_key(struct gw_arena *arena, EVP_PKEY *key, gw_str *ret_der, struct gw_error *err)
{
    unsigned char *der = NULL;
    int len = i2d_PrivateKey(key, &der);
    if (len <= 0)
        return fail(err, "private_key_pem", "is of no kind that can be used");
    struct secret *secret = GW_ARENA_NEW(arena, struct secret);
    secret->len = (size_t)len;
    secret->bytes = gw_arena_alloc(arena, secret->len);
    memcpy(secret->bytes, der, secret->len);
    gw_arena_defer(arena, forget, secret);
    OPENSSL_clear_free(der, (size_t)len);
    *ret_der = gw_str_n((char *)secret->bytes, secret->len);
    return 0;
}

static int read_pair(struct gw_arena *arena, const struct dp_pem *pem, struct dp_credentials *ret,
                     struct gw_error *err)
{
    X509 *leaf = NULL;
    EVP_PKEY *key = NULL;
    int result = -1;
    if (read_certificates(arena, pem->certificate, DP_CREDENTIALS_CHAIN_MAX, "certificate_pem",
                          &ret->chain, &ret->chain_count, &leaf, err) < 0)
        goto out;
    key = read_key(pem->private_key, err);
    if (!key)
        goto out;
    if (X509_check_private_key(leaf, key) != 1)
        (void)fail(err, "private_key_pem", "is not the certificate's");
    else
        result = keep_key(arena, key, &ret->key, err);
out:
    X509_free(leaf);
    EVP_PKEY_free(key);
    return result;
}

/* What workers will do is done here once, so that they cannot fail. */
static int try_out(const struct dp_credentials *credentials, struct gw_error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    int result = 0;
    if (!context)
        return fail(err, "certificate_pem", "no context to try it in");
    if (credentials->chain_count > 0 && dp_credentials_use(context, NULL, credentials) < 0)
        result = fail(err, "certificate_pem", "is not taken");
    else if (credentials->authority_count > 0 &&
             dp_credentials_trust(context, NULL, credentials) < 0)
        result = fail(err, "ca_pem", "is not taken");
    SSL_CTX_free(context);
    return result;
}

static void add_to_digest(EVP_MD_CTX *digest, gw_str part)
{
    uint64_t len = part.len;
    if (EVP_DigestUpdate(digest, &len, sizeof(len)) != 1 ||
        EVP_DigestUpdate(digest, part.ptr, part.len) != 1)
        gw_panic("OpenSSL has no SHA-256");
}

static void make_digest(uint8_t *ret, const gw_str *items, unsigned count, gw_str last)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        gw_panic("OpenSSL has no SHA-256");
    for (unsigned i = 0; i < count; i++)
        add_to_digest(digest, items[i]);
    add_to_digest(digest, last);
    if (EVP_DigestFinal_ex(digest, ret, NULL) != 1)
        gw_panic("OpenSSL has no SHA-256");
    EVP_MD_CTX_free(digest);
}

int dp_credentials_read(struct gw_arena *arena, const struct dp_pem *pem,
                        struct dp_credentials *ret, struct gw_error *err)
{
    struct dp_credentials made = {0};
    if (!*pem->certificate && !*pem->ca)
        return gw_fail_field(err, "certificate_pem", "or ca_pem must be there");
    if (*pem->private_key && !*pem->certificate)
        return gw_fail_field(err, "certificate_pem", "must be there, as its key is");
    if (*pem->certificate && read_pair(arena, pem, &made, err) < 0)
        return -1;
    if (*pem->ca && read_certificates(arena, pem->ca, DP_CREDENTIALS_AUTHORITIES_MAX, "ca_pem",
                                      &made.authorities, &made.authority_count, NULL, err) < 0)
        return -1;
    if (try_out(&made, err) < 0)
        return -1;
    if (made.authority_count > 0)
        make_digest(made.authorities_digest, made.authorities, made.authority_count, GW_STR_NONE);
    make_digest(made.digest, made.chain, made.chain_count,
                gw_str_n((char *)made.authorities_digest, sizeof(made.authorities_digest)));
    *ret = made;
    return 0;
}

/* ---- into a context */

static X509 *take_up(OSSL_LIB_CTX *library, gw_str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *certificate = X509_new_ex(library, NULL);
    if (certificate && !d2i_X509(&certificate, &at, (long)der.len))
        certificate = NULL; /* it has freed it */
    return certificate;
}

int dp_credentials_use(SSL_CTX *context, OSSL_LIB_CTX *library,
                       const struct dp_credentials *credentials)
{
    const unsigned char *at = (const unsigned char *)credentials->key.ptr;
    EVP_PKEY *key = d2i_AutoPrivateKey_ex(NULL, &at, (long)credentials->key.len, library, NULL);
    X509 *leaf = take_up(library, credentials->chain[0]);
    STACK_OF(X509) *rest = sk_X509_new_null();
    bool is_good = key && leaf && rest;
    for (unsigned i = 1; is_good && i < credentials->chain_count; i++) {
        X509 *next = take_up(library, credentials->chain[i]);
        is_good = next && sk_X509_push(rest, next) > 0;
    }
    is_good = is_good && SSL_CTX_use_cert_and_key(context, leaf, key, rest, 1) == 1;
    sk_X509_pop_free(rest, X509_free);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return is_good ? 0 : -1;
}

int dp_credentials_trust(SSL_CTX *context, OSSL_LIB_CTX *library,
                         const struct dp_credentials *credentials)
{
    X509_STORE *store = X509_STORE_new();
    bool is_good = store != NULL;
    for (unsigned i = 0; is_good && i < credentials->authority_count; i++) {
        X509 *authority = take_up(library, credentials->authorities[i]);
        is_good = authority && X509_STORE_add_cert(store, authority) == 1 &&
                  SSL_CTX_add_client_CA(context, authority) == 1;
        X509_free(authority);
    }
    if (is_good)
        SSL_CTX_set_cert_store(context, store);
    else
        X509_STORE_free(store);
    return is_good ? 0 : -1;
}
