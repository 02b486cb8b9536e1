/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tls/caller.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

static int slot = -1; /* set once */

/* OpenSSL does not always say by an alert what it minds. */
static enum dp_tls_failure failure_at_end(const struct dp_tls_caller *caller, const SSL *ssl)
{
    const struct dp_tls *tls = dp_tls_of(ssl);
    if (caller->failure != DP_TLS_ABANDONED || !tls || !tls->why || tls->ended)
        return caller->failure;
    return caller->said_hello ? DP_TLS_BROKEN : DP_TLS_NOT_TLS;
}

/* The session ends; a handshake that never did, and a flood, are counted here. */
static void on_free(void *ssl, void *arg, CRYPTO_EX_DATA *data, int index, long number,
                    void *pointer)
{
    (void)data, (void)index, (void)number, (void)pointer;
    struct dp_tls_caller *caller = arg;
    if (!caller)
        return;
    const struct dp_tls *tls = dp_tls_of(ssl);
    if (!caller->done) {
        caller->stats->shaking--;
        caller->stats->failures[failure_at_end(caller, ssl)]++;
    } else if (tls && tls->flood) {
        caller->stats->floods[tls->flood]++;
    }
    free(caller->server_name);
    free(caller->subject);
    free(caller);
}

static void make_slot(void)
{
    slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    if (slot < 0)
        gw_panic("OpenSSL has no place for data");
}

int dp_tls_caller_attach(SSL *ssl, struct dp_tls_stats *stats)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_slot);
    struct dp_tls_caller *caller = gw_calloc(1, sizeof(*caller));
    caller->stats = stats;
    caller->failure = DP_TLS_ABANDONED;
    if (SSL_set_ex_data(ssl, slot, caller) == 1) {
        stats->shaking++;
        return 0;
    }
    free(caller);
    return -1;
}

struct dp_tls_caller *dp_tls_caller_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, slot);
}

void dp_tls_caller_name(struct dp_tls_caller *caller, gw_str name)
{
    if (name.len == 0 || caller->server_name)
        return; /* after a retry the hello comes again */
    caller->server_name = gw_calloc(1, name.len + 1);
    memcpy(caller->server_name, name.ptr, name.len);
}

int dp_tls_caller_on_verify(int is_good, X509_STORE_CTX *check)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct dp_tls_caller *caller = dp_tls_caller_of(ssl);
    if (!is_good)
        caller->error = X509_STORE_CTX_get_error(check);
    else if (caller->error)
        X509_STORE_CTX_set_error(check, caller->error); /* it goes into the session */
    return 1;
}

static enum dp_tls_failure failure_of(const struct dp_tls_caller *caller, int alert)
{
    if (!caller->said_hello)
        return DP_TLS_NOT_TLS;
    switch (alert) {
    case SSL_AD_PROTOCOL_VERSION:
        return DP_TLS_VERSION;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_INSUFFICIENT_SECURITY:
        return DP_TLS_NOT_SHARED;
    case SSL_AD_NO_APPLICATION_PROTOCOL:
        return DP_TLS_PROTOCOL;
    default:
        return DP_TLS_BROKEN;
    }
}

void dp_tls_caller_alert(SSL *ssl, bool is_ours, int value)
{
    struct dp_tls_caller *caller = dp_tls_caller_of(ssl);
    bool is_fatal = value >> 8 == SSL3_AL_FATAL;
    if (!caller || caller->done || !is_fatal || caller->failure != DP_TLS_ABANDONED)
        return;
    caller->failure = is_ours ? failure_of(caller, value & 0xff) : DP_TLS_REFUSED;
}

void dp_tls_caller_done(SSL *ssl)
{
    struct dp_tls_caller *caller = dp_tls_caller_of(ssl);
    if (!caller || caller->done) /* tickets of TLS 1.3 follow a handshake and end as one */
        return;
    int version = SSL_version(ssl) - TLS1_1_VERSION;
    caller->done = true;
    caller->stats->shaking--;
    caller->stats->handshakes[GW_MIN(GW_MAX(version, 0), DP_TLS_VERSIONS - 1)]++;
    caller->stats->resumed += SSL_session_reused(ssl) == 1;
    caller->verified =
        SSL_get0_peer_certificate(ssl) && !caller->error && SSL_get_verify_result(ssl) == X509_V_OK;
    caller->stats->unverified += caller->asked && !caller->verified;
}

static gw_str subject_of(struct dp_tls_caller *caller, const SSL *ssl)
{
    const X509 *shown = SSL_get0_peer_certificate(ssl);
    if (!caller->subject && shown) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *text = NULL;
        if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(shown), 0, XN_FLAG_RFC2253) >= 0) {
            long len = BIO_get_mem_data(bio, &text);
            caller->subject = gw_calloc(1, (size_t)len + 1);
            memcpy(caller->subject, text, (size_t)len);
        }
        BIO_free(bio);
        ERR_clear_error();
    }
    return gw_str_from(caller->subject);
}

void dp_tls_describe(const struct dp_tls *tls, struct dp_tls_facts *ret_facts)
{
    struct dp_tls_caller *caller = dp_tls_caller_of(tls->ssl);
    *ret_facts = (struct dp_tls_facts){
        .version = gw_str_from(SSL_get_version(tls->ssl)),
        .cipher = gw_str_from(SSL_get_cipher_name(tls->ssl)),
        .server_name = gw_str_from(caller->server_name),
        .subject = caller->asked ? subject_of(caller, tls->ssl) : GW_STR_NONE,
        .resumed = SSL_session_reused(tls->ssl) == 1,
    };
}
