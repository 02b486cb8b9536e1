/* SPDX-License-Identifier: Apache-2.0 */
/* A non-blocking TCP connection, with TLS when a CA is given; what the sync thread speaks HTTP/2
 * over. One thread; the owner watches the descriptor. */
#ifndef DP_SYNC_TRANSPORT_H
#define DP_SYNC_TRANSPORT_H

#include "common/error.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

enum dp_transport_state { DP_TRANSPORT_CONNECTING, DP_TRANSPORT_HANDSHAKE, DP_TRANSPORT_OPEN };

struct dp_transport {
    int fd; /* owned; -1: closed */
    enum dp_transport_state state;
    SSL_CTX *context; /* owned; NULL: plaintext */
    SSL *ssl;         /* owned */
    bool wants_write; /* watch for writing as well */
};

struct dp_transport_tls {
    const char *ca_file, *cert_file,
        *key_file;           /* "" or NULL: none; the files are read on each open */
    const char *server_name; /* name or address that the certificate must have */
};

/* Starts to connect. -1 with err: nothing is open. */
GW_MUST_CHECK int dp_transport_open(struct dp_transport *transport, const struct sockaddr *address,
                                    socklen_t address_len, const struct dp_transport_tls *tls,
                                    struct gw_error *err);
void dp_transport_close(struct dp_transport *transport);

/* Goes on with connect and handshake after an event; look at state afterwards. */
GW_MUST_CHECK int dp_transport_advance(struct dp_transport *transport, struct gw_error *err);
/* Bytes read, 0: none now; -1 with err: ended. */
GW_MUST_CHECK ssize_t dp_transport_read(struct dp_transport *transport, char *out, size_t room,
                                        struct gw_error *err);
/* Bytes written, 0: none now (wants_write is set). */
GW_MUST_CHECK ssize_t dp_transport_write(struct dp_transport *transport, gw_str bytes,
                                         struct gw_error *err);

#endif
