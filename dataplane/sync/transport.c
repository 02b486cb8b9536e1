/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static int tls_fail(struct gw_error *err, const char *what)
{
    char text[256] = "no reason given";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return gw_fail(err, GW_UNAVAILABLE, "%s: %s", what, text);
}

static bool is_set(const char *text)
{
    return text && *text;
}

/* Made for each connection, so that replaced certificates are used from the next one on. */
static int make_context(struct dp_transport *transport, const struct dp_transport_tls *tls,
                        struct gw_error *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return tls_fail(err, "TLS");
    transport->context = context;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(context, tls->ca_file, NULL) != 1)
        return tls_fail(err, tls->ca_file);
    if (is_set(tls->cert_file) && SSL_CTX_use_certificate_chain_file(context, tls->cert_file) != 1)
        return tls_fail(err, tls->cert_file);
    if (is_set(tls->cert_file) &&
        SSL_CTX_use_PrivateKey_file(context, tls->key_file, SSL_FILETYPE_PEM) != 1)
        return tls_fail(err, tls->key_file);
    return 0;
}

static int make_ssl(struct dp_transport *transport, const struct dp_transport_tls *tls,
                    struct gw_error *err)
{
    static const unsigned char alpn[] = {2, 'h', '2'};
    if (make_context(transport, tls, err) < 0)
        return -1;
    transport->ssl = SSL_new(transport->context);
    if (!transport->ssl || SSL_set_fd(transport->ssl, transport->fd) != 1 ||
        SSL_set_alpn_protos(transport->ssl, alpn, sizeof(alpn)) != 0)
        return tls_fail(err, "TLS");
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(transport->ssl), tls->server_name) != 1) {
        ERR_clear_error();
        if (SSL_set1_host(transport->ssl, tls->server_name) != 1 ||
            SSL_set_tlsext_host_name(transport->ssl, tls->server_name) != 1)
            return tls_fail(err, "TLS server name");
    }
    SSL_set_connect_state(transport->ssl);
    return 0;
}

int dp_transport_open(struct dp_transport *transport, const struct sockaddr *address,
                      socklen_t address_len, const struct dp_transport_tls *tls,
                      struct gw_error *err)
{
    const int on = 1;
    *transport = (struct dp_transport){.fd = -1, .wants_write = true};
    transport->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (transport->fd < 0)
        return gw_fail(err, GW_UNAVAILABLE, "socket: %s", strerror(errno));
    (void)setsockopt(transport->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* best effort */
    if (is_set(tls->ca_file) && make_ssl(transport, tls, err) < 0)
        goto out;
    if (connect(transport->fd, address, address_len) == 0 || errno == EINPROGRESS)
        return 0;
    (void)gw_fail(err, GW_UNAVAILABLE, "connect: %s", strerror(errno));
out:
    dp_transport_close(transport);
    return -1;
}

void dp_transport_close(struct dp_transport *transport)
{
    SSL_free(transport->ssl);
    SSL_CTX_free(transport->context);
    if (transport->fd >= 0)
        close(transport->fd);
    *transport = (struct dp_transport){.fd = -1};
}

/* What an SSL call's failure means: 0, try again on the next event; -1, the end. */
static int judge(struct dp_transport *transport, int result, const char *what, struct gw_error *err)
{
    long verify = SSL_get_verify_result(transport->ssl);
    switch (SSL_get_error(transport->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        transport->wants_write = true;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return gw_fail(err, GW_UNAVAILABLE, "%s: the peer closed the connection", what);
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        return gw_fail(err, GW_UNAVAILABLE, "%s: %s", what,
                       errno ? strerror(errno) : "connection cut");
    default:
        if (verify != X509_V_OK) {
            ERR_clear_error();
            return gw_fail(err, GW_UNAVAILABLE, "%s: %s", what,
                           X509_verify_cert_error_string(verify));
        }
        return tls_fail(err, what);
    }
}

static int handshake(struct dp_transport *transport, struct gw_error *err)
{
    const unsigned char *alpn;
    unsigned alpn_len;
    int result = SSL_do_handshake(transport->ssl);
    if (result != 1)
        return judge(transport, result, "TLS handshake", err);
    SSL_get0_alpn_selected(transport->ssl, &alpn, &alpn_len);
    if (alpn_len != 2 || memcmp(alpn, "h2", 2) != 0)
        return gw_fail(err, GW_UNAVAILABLE, "TLS: the peer does not speak HTTP/2");
    transport->state = DP_TRANSPORT_OPEN;
    return 0;
}

int dp_transport_advance(struct dp_transport *transport, struct gw_error *err)
{
    transport->wants_write = false;
    if (transport->state == DP_TRANSPORT_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof(error);
        if (getsockopt(transport->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0)
            return gw_fail(err, GW_UNAVAILABLE, "connect: %s", strerror(error));
        transport->state = transport->ssl ? DP_TRANSPORT_HANDSHAKE : DP_TRANSPORT_OPEN;
    }
    return transport->state == DP_TRANSPORT_HANDSHAKE ? handshake(transport, err) : 0;
}

ssize_t dp_transport_read(struct dp_transport *transport, char *out, size_t room,
                          struct gw_error *err)
{
    if (transport->ssl) {
        int n = SSL_read(transport->ssl, out, (int)GW_MIN(room, (size_t)INT32_MAX));
        return n > 0 ? n : judge(transport, n, "read", err);
    }
    ssize_t n = read(transport->fd, out, room);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return gw_fail(err, GW_UNAVAILABLE, "read: %s",
                   n == 0 ? "the peer closed the connection" : strerror(errno));
}

ssize_t dp_transport_write(struct dp_transport *transport, gw_str bytes, struct gw_error *err)
{
    if (transport->ssl) {
        int n = SSL_write(transport->ssl, bytes.ptr, (int)GW_MIN(bytes.len, (size_t)INT32_MAX));
        return n > 0 ? n : judge(transport, n, "write", err);
    }
    ssize_t n = send(transport->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    if (errno != EAGAIN && errno != EINTR)
        return gw_fail(err, GW_UNAVAILABLE, "write: %s", strerror(errno));
    transport->wants_write = true;
    return 0;
}
