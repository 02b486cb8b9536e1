/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/front.h"

#include "common/map.h"
#include "dataplane/tls/caller.h"
#include "dataplane/tls/context.h"

#include <openssl/err.h>
#include <stdlib.h>

/* A context, and the name of a domain that it was made for. */
struct context {
    SSL_CTX *ssl; /* a reference */
    uint8_t id[DP_TLS_ID_BYTES];
    gw_str host; /* owned */
};

struct dp_tls_front {
    struct dp_tls_front_options options;
    OSSL_LIB_CTX *library;
    SSL_CTX *base;                      /* of each session until its hello is there */
    struct gw_map contexts;             /* by id -> struct context; owned */
    const struct dp_snapshot *snapshot; /* borrowed; NULL: none yet */
    struct dp_tickets tickets;
    struct dp_tls_stats stats;
    bool offers_h2;
};

/* ---- contexts */

static void free_context(struct context *context)
{
    SSL_CTX_free(context->ssl);
    free((char *)(uintptr_t)context->host.ptr);
    free(context);
}

static gw_str key_of(const uint8_t id[DP_TLS_ID_BYTES])
{
    return gw_str_n((const char *)id, DP_TLS_ID_BYTES);
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned int in_len, void *arg)
{
    static const unsigned char ours[] = {2,   'h', '2', 8,   'h', 't', 't', 'p', '/', '1', '.',
                                         '1', 8,   'h', 't', 't', 'p', '/', '1', '.', '0'};
    const struct dp_tls_front *front = arg;
    unsigned skip = front->offers_h2 ? 0 : 3;
    (void)ssl;
    int result = SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours + skip,
                                       sizeof(ours) - skip, in, in_len);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *context_for(struct dp_tls_front *front, const struct dp_domain_tls *domain)
{
    struct context *context = gw_map_get(&front->contexts, key_of(domain->context_id));
    if (gw_likely(context != NULL))
        return context->ssl;
    SSL_CTX *ssl = dp_tls_context_for(front->library, domain);
    if (!ssl)
        return NULL;
    SSL_CTX_set_app_data(ssl, front);
    SSL_CTX_set_alpn_select_cb(ssl, on_alpn, front);
    context = gw_calloc(1, sizeof(*context));
    context->ssl = ssl;
    memcpy(context->id, domain->context_id, sizeof(context->id));
    char *host = gw_malloc(domain->host.len);
    memcpy(host, domain->host.ptr, domain->host.len);
    context->host = gw_str_n(host, domain->host.len);
    (void)gw_map_put(&front->contexts, key_of(context->id), context); /* there was none */
    front->stats.contexts = front->contexts.count;
    return ssl;
}

/* The domain that it was made for is served as before. If that is another's now, the next caller of
 * such a domain makes it again. */
static bool is_current(const struct dp_tls_front *front, const struct context *context)
{
    const struct dp_domain_tls *domain = dp_snapshot_find_tls(front->snapshot, context->host);
    return domain && memcmp(domain->context_id, context->id, sizeof(context->id)) == 0;
}

static void drop_old_contexts(struct dp_tls_front *front)
{
    struct context **gone = gw_calloc(front->contexts.count + 1, sizeof(struct context *));
    size_t count = 0;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&front->contexts, e)) != NULL;)
        if (!is_current(front, e->value))
            gone[count++] = e->value;
    for (size_t i = 0; i < count; i++) {
        (void)gw_map_take(&front->contexts, key_of(gone[i]->id)); /* it is gone[i] */
        free_context(gone[i]);
    }
    free(gone);
    front->stats.contexts = front->contexts.count;
}

void dp_tls_front_update(struct dp_tls_front *front, const struct dp_snapshot *snapshot)
{
    /* Callers wait meanwhile: most changes are no domain's, and there may be thousands of them. */
    bool is_same = front->snapshot && dp_snapshot_has_same_tls(front->snapshot, snapshot);
    front->snapshot = snapshot;
    front->tickets.given = dp_snapshot_ticket_keys(snapshot);
    if (!is_same)
        drop_old_contexts(front);
}

void dp_tls_front_offer_h2(struct dp_tls_front *front, bool is_offered)
{
    front->offers_h2 = is_offered;
}

/* ---- handshakes */

/* The name of the extension server_name: one entry, of type 0. 0; -1: malformed. */
static int read_name(const unsigned char *bytes, size_t len, gw_str *ret_name)
{
    if (len < 5 || (size_t)(bytes[0] << 8 | bytes[1]) != len - 2 || bytes[2] != 0)
        return -1;
    size_t name_len = (size_t)(bytes[3] << 8 | bytes[4]);
    if (name_len != len - 5 || name_len == 0 || name_len > DP_TLS_SERVER_NAME_MAX ||
        memchr(bytes + 5, 0, name_len))
        return -1;
    *ret_name = gw_str_n((const char *)bytes + 5, name_len);
    return 0;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    struct dp_tls_front *front = arg;
    struct dp_tls_caller *caller = dp_tls_caller_of(ssl);
    const unsigned char *extension;
    size_t len;
    gw_str name = GW_STR_NONE;
    caller->said_hello = true;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &len) == 1 &&
        read_name(extension, len, &name) < 0) {
        *alert = SSL_AD_DECODE_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    const struct dp_domain_tls *domain =
        front->snapshot ? dp_snapshot_find_tls(front->snapshot, name) : NULL;
    SSL_CTX *context = domain ? context_for(front, domain) : NULL;
    if (!context) {
        caller->failure = domain || name.len == 0 ? DP_TLS_NO_CERTIFICATE : DP_TLS_UNKNOWN_NAME;
        *alert = domain ? SSL_AD_INTERNAL_ERROR : SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    dp_tls_caller_name(caller, name);
    caller->asked = domain->authorities != NULL;
    if (caller->asked)
        memcpy(caller->authorities, domain->authorities->credentials.authorities_digest,
               sizeof(caller->authorities));
    (void)SSL_set_SSL_CTX(ssl, context);
    dp_tls_apply_terms(ssl, domain, dp_tls_caller_on_verify);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* That a name was asked for counts as acknowledged. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int sealing)
{
    struct dp_tls_front *front = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    return dp_tickets_choose(&front->tickets, name, iv, cipher, mac, sealing);
}

static void on_info(const SSL *ssl, int where, int value)
{
    if (where & SSL_CB_HANDSHAKE_DONE)
        dp_tls_caller_done((SSL *)(uintptr_t)ssl);
    else if (where & SSL_CB_ALERT)
        dp_tls_caller_alert((SSL *)(uintptr_t)ssl, (where & SSL_CB_WRITE) != 0, value);
}

SSL *dp_tls_front_accept(struct dp_tls_front *front)
{
    if (front->options.handshakes_max && front->stats.shaking >= front->options.handshakes_max) {
        front->stats.failures[DP_TLS_TOO_MANY]++;
        return NULL;
    }
    dp_ticket_chain_advance(&front->tickets.own, front->options.loop->now_ms);
    SSL *ssl = SSL_new(front->base);
    if (!ssl || dp_tls_caller_attach(ssl, &front->stats) < 0) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_info_callback(ssl, on_info); /* one of the context would go with it */
    SSL_set_accept_state(ssl);
    return ssl;
}

/* ---- life */

static int set_up(struct dp_tls_front *front, struct gw_error *err)
{
    front->library = OSSL_LIB_CTX_new();
    front->base = front->library ? dp_tls_context_new(front->library) : NULL;
    if (!front->base)
        return gw_fail(err, GW_INTERNAL, "TLS to callers: OpenSSL makes no context");
    SSL_CTX_set_app_data(front->base, front);
    SSL_CTX_set_timeout(front->base, DP_TICKET_LIFE_MS / 1000);
    SSL_CTX_set_client_hello_cb(front->base, on_client_hello, front);
    SSL_CTX_set_tlsext_servername_callback(front->base, on_server_name);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(front->base, on_ticket);
    return dp_tickets_init(&front->tickets, front->library, front->options.keys, err);
}

int dp_tls_front_new(const struct dp_tls_front_options *options, struct dp_tls_front **ret_front,
                     struct gw_error *err)
{
    struct dp_tls_front *front = gw_calloc(1, sizeof(*front));
    front->options = *options;
    front->offers_h2 = true;
    gw_map_init(&front->contexts);
    if (set_up(front, err) < 0) {
        dp_tls_front_free(front);
        return -1;
    }
    *ret_front = front;
    return 0;
}

void dp_tls_front_free(struct dp_tls_front *front)
{
    if (!front)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&front->contexts, e)) != NULL;)
        free_context(e->value);
    gw_map_done(&front->contexts);
    dp_tickets_done(&front->tickets);
    SSL_CTX_free(front->base);
    OSSL_LIB_CTX_free(front->library);
    free(front);
}

const struct dp_tls_stats *dp_tls_front_stats(const struct dp_tls_front *front)
{
    return &front->stats;
}

/* ---- requests */

/* As the handshake does it. */
static bool set_terms(X509_STORE_CTX *check, const SSL *ssl)
{
    if (X509_STORE_CTX_set_default(check, "ssl_client") != 1)
        return false;
    X509_VERIFY_PARAM *terms = X509_STORE_CTX_get0_param(check);
    X509_VERIFY_PARAM_set_auth_level(terms, SSL_get_security_level(ssl));
    X509_VERIFY_PARAM_set_depth(terms, SSL_get_verify_depth(ssl));
    return true;
}

/* Against authorities that are not those of the handshake. */
static bool verify_again(SSL *ssl, const struct dp_domain_tls *domain)
{
    struct dp_tls_front *front = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_CTX *context = context_for(front, domain);
    X509_STORE_CTX *check = X509_STORE_CTX_new_ex(front->library, NULL);
    X509 *shown = SSL_get0_peer_certificate(ssl);
    bool is_good = context && check && shown &&
                   X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context), shown,
                                       SSL_get_peer_cert_chain(ssl)) == 1 &&
                   set_terms(check, ssl) && X509_verify_cert(check) == 1;
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return is_good;
}

enum dp_tls_verdict dp_tls_admits(const struct dp_tls *tls, const struct dp_domain_tls *domain)
{
    SSL *ssl = tls->ssl;
    struct dp_tls_caller *caller = dp_tls_caller_of(ssl);
    if (SSL_version(ssl) < TLS1_VERSION + domain->min_version)
        return DP_TLS_TOO_OLD;
    if (!domain->verifies)
        return DP_TLS_ADMITTED;
    if (!caller->asked || !domain->authorities)
        return DP_TLS_MISDIRECTED;
    const uint8_t *wanted = domain->authorities->credentials.authorities_digest;
    if (memcmp(caller->authorities, wanted, sizeof(caller->authorities)) != 0) {
        caller->verified = verify_again(ssl, domain);
        memcpy(caller->authorities, wanted, sizeof(caller->authorities));
    }
    return caller->verified ? DP_TLS_ADMITTED : DP_TLS_UNVERIFIED;
}
