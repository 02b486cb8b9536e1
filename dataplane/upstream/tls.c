/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/tls.h"

#include "dataplane/net/tls.h"
#include "dataplane/upstream/endpoint.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

static int fail(struct gw_error *err, const char *what)
{
    char text[256] = "no reason given";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return gw_fail(err, GW_INVALID_ARGUMENT, "TLS to backends: %s: %s", what, text);
}

/* ---- sessions */

static void print_hex(char *at, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
}

char *dp_upstream_tls_peer(const struct dp_endpoint *endpoint, gw_str name,
                           const struct dp_certificate *certificate)
{
    if (name.len == 0 || name.len > DP_UPSTREAM_TLS_NAME_MAX || memchr(name.ptr, 0, name.len))
        return NULL;
    gw_str place = dp_endpoint_name(endpoint);
    size_t mark_len = certificate ? 1 + 2 * DP_CREDENTIALS_DIGEST_BYTES : 0;
    char *peer = gw_calloc(1, name.len + 1 + place.len + mark_len + 1);
    memcpy(peer, name.ptr, name.len);
    peer[name.len] = '@';
    memcpy(peer + name.len + 1, place.ptr, place.len);
    char *mark = peer + name.len + 1 + place.len;
    if (certificate) {
        *mark = '#';
        print_hex(mark + 1, certificate->credentials.digest, DP_CREDENTIALS_DIGEST_BYTES);
    }
    return peer;
}

static struct dp_upstream_session *slot_of(struct dp_upstream_tls *tls, const char *peer)
{
    return &tls->sessions[gw_str_hash(gw_str_from(peer)) % DP_UPSTREAM_TLS_SESSIONS];
}

static void clear_slot(struct dp_upstream_session *slot)
{
    free(slot->peer);
    SSL_SESSION_free(slot->session);
    *slot = (struct dp_upstream_session){0};
}

/* TLS 1.3 sends tickets after the handshake, and several: the last one is kept. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct dp_upstream_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *peer = SSL_get_app_data(ssl);
    struct dp_upstream_session *slot = slot_of(tls, peer);
    if (!slot->peer || strcmp(slot->peer, peer) != 0) {
        clear_slot(slot);
        slot->peer = gw_strdup(peer);
    }
    SSL_SESSION_free(slot->session);
    slot->session = session;
    return 1; /* the reference is ours now */
}

/* Only of the same name at the same place: what was proved to one is no proof for another. */
static void resume(struct dp_upstream_tls *tls, SSL *ssl, const char *peer)
{
    struct dp_upstream_session *slot = slot_of(tls, peer);
    if (slot->session && strcmp(slot->peer, peer) == 0 && SSL_SESSION_is_resumable(slot->session))
        (void)SSL_set_session(ssl, slot->session); /* without it the handshake is a full one */
}

/* ---- context */

/* All but whom it trusts and what it shows. */
static SSL_CTX *new_context(struct dp_upstream_tls *tls)
{
    static const unsigned char http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    SSL_CTX *context = SSL_CTX_new_ex(tls->library, NULL, TLS_client_method());
    if (!context)
        return NULL;
    dp_tls_context_init(context);
    SSL_CTX_set_app_data(context, tls);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    if (SSL_CTX_set_alpn_protos(context, http1, sizeof(http1)) == 0)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static int make_context(struct dp_upstream_tls *tls, const char *ca_file, struct gw_error *err)
{
    tls->library = OSSL_LIB_CTX_new();
    tls->context = tls->library ? new_context(tls) : NULL;
    if (!tls->context)
        return fail(err, "no context");
    if (ca_file && SSL_CTX_load_verify_file(tls->context, ca_file) != 1)
        return fail(err, ca_file);
    if (!ca_file && SSL_CTX_set_default_verify_paths(tls->context) != 1)
        return fail(err, "the system's authorities");
    ERR_clear_error(); /* a missing default file is no failure */
    return 0;
}

static SSL_CTX *make_context_for(struct dp_upstream_tls *tls, const struct dp_credentials *mine)
{
    SSL_CTX *context = new_context(tls);
    bool is_good = context != NULL;
    if (is_good && mine->chain_count > 0)
        is_good = dp_credentials_use(context, tls->library, mine) == 0;
    if (is_good && mine->authority_count > 0)
        is_good = dp_credentials_trust(context, tls->library, mine) == 0;
    else if (is_good)
        SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(tls->context));
    if (is_good)
        return context;
    ERR_clear_error();
    SSL_CTX_free(context);
    return NULL;
}

static SSL_CTX *context_for(struct dp_upstream_tls *tls, const struct dp_certificate *certificate)
{
    if (!certificate)
        return tls->context;
    const struct dp_credentials *mine = &certificate->credentials;
    struct dp_upstream_context *slot =
        &tls->contexts[gw_str_hash(certificate->name) % DP_UPSTREAM_TLS_CONTEXTS];
    if (slot->context && memcmp(slot->digest, mine->digest, sizeof(slot->digest)) == 0)
        return slot->context;
    SSL_CTX_free(slot->context);
    slot->context = make_context_for(tls, mine);
    memcpy(slot->digest, mine->digest, sizeof(slot->digest));
    return slot->context;
}

int dp_upstream_tls_new(const char *ca_file, struct dp_upstream_tls **ret_tls, struct gw_error *err)
{
    struct dp_upstream_tls *tls = gw_calloc(1, sizeof(*tls));
    if (make_context(tls, ca_file, err) < 0) {
        dp_upstream_tls_free(tls);
        return -1;
    }
    *ret_tls = tls;
    return 0;
}

void dp_upstream_tls_free(struct dp_upstream_tls *tls)
{
    if (!tls)
        return;
    for (size_t i = 0; i < DP_UPSTREAM_TLS_SESSIONS; i++)
        clear_slot(&tls->sessions[i]);
    for (size_t i = 0; i < DP_UPSTREAM_TLS_CONTEXTS; i++)
        SSL_CTX_free(tls->contexts[i].context);
    SSL_CTX_free(tls->context);
    OSSL_LIB_CTX_free(tls->library);
    free(tls);
}

/* ---- connections */

gw_str dp_upstream_tls_name(gw_str authority)
{
    ptrdiff_t colon = gw_str_find(authority, ':');
    if (authority.len > 0 && authority.ptr[0] == '[') {
        ptrdiff_t end = gw_str_find(authority, ']');
        return end > 0 ? gw_str_n(authority.ptr + 1, (size_t)end - 1) : authority;
    }
    bool is_bare_v6 =
        colon >= 0 &&
        gw_str_find(gw_str_n(authority.ptr + colon + 1, authority.len - (size_t)colon - 1), ':') >=
            0;
    return colon >= 0 && !is_bare_v6 ? gw_str_n(authority.ptr, (size_t)colon) : authority;
}

static bool ask_for(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *dp_upstream_tls_connect(struct dp_upstream_tls *tls, const char *peer, gw_str name,
                             const struct dp_certificate *certificate)
{
    char text[DP_UPSTREAM_TLS_NAME_MAX + 1];
    assert(name.len > 0 && name.len < sizeof(text));
    memcpy(text, name.ptr, name.len);
    text[name.len] = 0;
    SSL_CTX *context = context_for(tls, certificate);
    SSL *ssl = context ? SSL_new(context) : NULL;
    if (!ssl || !ask_for(ssl, text)) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_app_data(ssl, (void *)(uintptr_t)peer);
    SSL_set_connect_state(ssl);
    resume(tls, ssl, peer);
    return ssl;
}
