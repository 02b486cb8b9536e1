/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on a dp_conn, either side of it. OpenSSL sees no socket: what it writes collects in a block
 * that leaves in one write, and a read that the kernel answered short is not tried again before the
 * next event. One thread. */
#ifndef DP_NET_TLS_H
#define DP_NET_TLS_H

#include "dataplane/net/conn.h"

#include <openssl/ssl.h>

/* Bytes that are encrypted before they are written: the records of a batch leave in one system
 * call, and fit one block. */
#define DP_TLS_BATCH_BYTES (48 * 1024)

/* Messages of TLS itself behind the handshake (changes of keys, tickets, alerts), with no data
 * between them; more are a flood, and reading fails. */
#define DP_TLS_MESSAGES_MAX 32

/* What a peer did too much of. */
enum dp_tls_flood {
    DP_TLS_FLOOD_NONE,
    DP_TLS_FLOOD_MESSAGES, /* DP_TLS_MESSAGES_MAX */
    DP_TLS_FLOOD_UNREAD,   /* it lets answers of TLS itself lie */
    DP_TLS_FLOOD_COUNT
};

struct dp_tls {
    struct dp_conn *conn; /* borrowed: it owns this */
    SSL *ssl;             /* owned */
    struct dp_block *out; /* owned; encrypted and not written yet. NULL: nothing */
    struct dp_task again; /* tells of bytes that were read from the socket already */
    const char *why;      /* static; of a handshake that failed. NULL: none did */
    /* Bytes that one step still reads of the socket: what is no data (changes of keys, say) OpenSSL
     * takes in for as long as there is more of it, and the others of the loop wait. */
    size_t allowance;
    /* Who else hears what OpenSSL tells of the session; NULL: nobody. */
    void (*info)(const SSL *ssl, int where, int value);
    unsigned messages; /* of TLS itself since the last data */
    enum dp_tls_flood flood;
    bool established; /* the handshake is over */
    bool heard;       /* something has come */
    bool is_text;     /* and it began as text does, not TLS */
    bool drained;     /* the socket had less than asked for */
    bool ended;       /* the socket had FIN */
    int error;        /* -errno of the last read of the socket */
};

/* What every context of this program starts from: TLS 1.2 and 1.3, no renegotiation, no
 * compression, buffers only while they are in use. */
void dp_tls_context_init(SSL_CTX *context);

/* From now on all of the connection goes through `ssl`, which it takes; the state (connect or
 * accept) is set already. Right after dp_conn_connect or dp_conn_init. `connected` comes after the
 * handshake; a handshake that fails is `failed` with -EPROTO. */
void dp_conn_start_tls(struct dp_conn *conn, SSL *ssl);
/* The handshake is not over yet. */
bool dp_conn_is_shaking_hands(const struct dp_conn *conn);
/* The handshake failed because the peer sends text: plain HTTP, most likely. */
bool dp_conn_tls_got_text(const struct dp_conn *conn);
/* Why the handshake failed, for a log; "" when it did not. */
const char *dp_conn_tls_error(const struct dp_conn *conn);

/* What both sides agreed to speak (ALPN), as "h2"; empty: nothing was agreed on. */
gw_str dp_conn_tls_protocol(const struct dp_conn *conn);
/* The connection that goes through the session; NULL: none yet. */
const struct dp_tls *dp_tls_of(const SSL *ssl);

/* The rest is conn.c's. */

/* One step: 1 it is over, 0 it waits for the peer, -errno. May leave bytes in tls->out. */
GW_MUST_CHECK int dp_tls_handshake(struct dp_tls *tls);
/* As read(2): >0, 0 the peer said that it ends, -EAGAIN, other -errno (also when it did not say).
 */
GW_MUST_CHECK ptrdiff_t dp_tls_read(struct dp_tls *tls, char *at, size_t room);
/* There are bytes, or an end, that only dp_tls_read knows of. */
bool dp_tls_has_more(const struct dp_tls *tls);
/* Adds to tls->out. -EPROTO when the session is broken. */
GW_MUST_CHECK int dp_tls_encrypt(struct dp_tls *tls, gw_str bytes);
/* Writes tls->out as far as the kernel takes it. 0 or -errno. */
int dp_tls_flush(struct dp_tls *tls);
/* Says that nothing more is sent. */
void dp_tls_finish(struct dp_tls *tls);
void dp_tls_free(struct dp_tls *tls); /* takes NULL */

#endif
