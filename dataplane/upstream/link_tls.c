/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/link_tls.h"

#include "common/log.h"
#include "dataplane/net/tls.h"
#include "dataplane/upstream/link.h"

#include <errno.h>
#include <stdlib.h>

/* The context is there from the first backend over TLS on. */
static struct dp_upstream_tls *tls_of(struct dp_upstreams *upstreams)
{
    struct gw_error err = GW_ERROR_NONE;
    if (!upstreams->tls && dp_upstream_tls_new(NULL, &upstreams->tls, &err) < 0)
        gw_log(GW_LOG_ERROR, "upstream", "no TLS to backends", gw_kv_error(&err));
    return upstreams->tls;
}

/* What an HTTP/1 connection is for goes without saying, unless the backend speaks HTTP/2 as well.
 */
static bool offer_protocol(SSL *ssl, bool http2, bool http1_only)
{
    static const unsigned char h2[] = "\x02h2", http1[] = "\x08http/1.1";
    if (!http2 && !http1_only)
        return true;
    return SSL_set_alpn_protos(ssl, http2 ? h2 : http1,
                               http2 ? sizeof(h2) - 1 : sizeof(http1) - 1) == 0;
}

int dp_link_tls_start(struct dp_link_tls *tls, struct dp_conn *conn,
                      const struct dp_upstream_call *call, bool http2)
{
    struct dp_upstream_tls *context = tls_of(call->upstreams);
    const struct dp_certificate *certificate = call->request->certificate;
    gw_str name = dp_call_tls_name(call);
    tls->peer = context ? dp_upstream_tls_peer(call->member->endpoint, name, certificate) : NULL;
    if (!tls->peer)
        return -EINVAL;
    tls->name = gw_str_n(tls->peer, name.len);
    tls->has_certificate = certificate != NULL;
    if (certificate)
        memcpy(tls->digest, certificate->credentials.digest, sizeof(tls->digest));
    SSL *ssl = dp_upstream_tls_connect(context, tls->peer, tls->name, certificate);
    if (!ssl)
        return -EINVAL;
    dp_conn_start_tls(conn, ssl);
    return offer_protocol(ssl, http2, call->http1_only) ? 0 : -EINVAL;
}

bool dp_link_tls_fits(const struct dp_link_tls *tls, const struct dp_upstream_call *call)
{
    if (!call->request->tls)
        return !tls->peer;
    const struct dp_certificate *certificate = call->request->certificate;
    bool is_asking_the_same = tls->has_certificate == (certificate != NULL) &&
                              (!certificate || memcmp(tls->digest, certificate->credentials.digest,
                                                      sizeof(tls->digest)) == 0);
    return tls->peer && is_asking_the_same && gw_str_eq(tls->name, dp_call_tls_name(call));
}

bool dp_link_tls_has_http2(const struct dp_conn *conn)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(conn->tls->ssl, &name, &len);
    return len == 2 && memcmp(name, "h2", 2) == 0;
}

/* A person has to do something about it, and the answer to the caller does not say it. */
void dp_link_tls_report(const struct dp_link_tls *tls, const struct dp_conn *conn,
                        const struct dp_pool *pool)
{
    static struct gw_log_limit limit;
    const char *why = dp_conn_tls_error(conn);
    unsigned dropped;
    if (!*why)
        return;
    pool->upstreams->stats.tls_failures++;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, "upstream", "no TLS connection to a backend",
               gw_kv_str("endpoint", dp_endpoint_name(pool->endpoint)),
               gw_kv_str("name", tls->name), gw_kv_text("error", why),
               gw_kv_int("dropped", dropped));
}

void dp_link_tls_done(struct dp_link_tls *tls)
{
    free(tls->peer);
    *tls = (struct dp_link_tls){0};
}
