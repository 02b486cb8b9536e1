/* SPDX-License-Identifier: Apache-2.0 */
/* Every failing call leaves OpenSSL's error queue empty, so that SSL_get_error can be believed. */
#include "dataplane/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BUFFER_BYTES (64 * 1024) /* several records a read */
/* Answers of TLS itself (to changes of keys, say) that a peer lets lie, beyond what was sent. */
#define UNREAD_ANSWERS_MAX (64 * 1024)

/* ---- the socket, as OpenSSL sees it */

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct dp_tls *tls = BIO_get_data(bio);
    dp_block_reserve(&tls->conn->loop->blocks, &tls->out, len);
    memcpy(tls->out->data + tls->out->end, data, len);
    tls->out->end += (uint32_t)len;
    *written = len;
    return 1;
}

static int bio_read(BIO *bio, char *data, size_t len, size_t *got)
{
    struct dp_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    if (tls->ended)
        return 0;
    ssize_t n = -1;
    errno = EAGAIN;
    if (!tls->drained && tls->allowance > 0)
        n = read(tls->conn->fd, data, len);
    if (n > 0) {
        tls->allowance -= GW_MIN(tls->allowance, (size_t)n);
        tls->drained = (size_t)n < len;
        if (gw_unlikely(!tls->heard)) {
            tls->heard = true;
            tls->is_text = *data >= 'A' && *data <= 'Z'; /* a record starts with a small number */
        }
        *got = (size_t)n;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        tls->drained |= tls->allowance > 0;
        BIO_set_retry_read(bio);
        return 0;
    }
    tls->ended = true;
    tls->error = n < 0 ? -errno : 0;
    return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct dp_tls *tls = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH)
        return 1;
    return command == BIO_CTRL_EOF ? tls->ended : 0;
}

static BIO_METHOD *method; /* set once */

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
    if (!method || BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_ctrl(method, bio_ctrl) != 1)
        gw_panic("OpenSSL takes no BIO");
}

static BIO *new_bio(struct dp_tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_method);
    BIO *bio = BIO_new(method);
    if (!bio)
        gw_panic("out of memory");
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- life */

void dp_tls_context_init(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER_BYTES);
}

static void on_again(struct dp_task *task)
{
    struct dp_tls *tls = gw_container_of(task, struct dp_tls, again);
    if (ev_is_active(&tls->conn->reader))
        tls->conn->events->readable(tls->conn);
}

/* OpenSSL leaves its state machine once for each message, with 1 when it had all of it. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct dp_tls *tls = BIO_get_data(SSL_get_rbio(ssl));
    bool is_message = (where & SSL_CB_EXIT) && value == 1;
    if (tls->established && (is_message || (where & SSL_CB_ALERT)) &&
        ++tls->messages > DP_TLS_MESSAGES_MAX)
        tls->flood = DP_TLS_FLOOD_MESSAGES;
    if (tls->info)
        tls->info(ssl, where, value);
}

void dp_conn_start_tls(struct dp_conn *conn, SSL *ssl)
{
    struct dp_tls *tls = gw_calloc(1, sizeof(*tls));
    tls->conn = conn;
    tls->ssl = ssl;
    tls->drained = true; /* until the loop says otherwise */
    dp_task_init(&tls->again, on_again);
    BIO *bio = new_bio(tls);
    SSL_set_bio(ssl, bio, bio);
    tls->info = SSL_get_info_callback(ssl);
    SSL_set_info_callback(ssl, on_info);
    conn->tls = tls;
}

const struct dp_tls *dp_tls_of(const SSL *ssl)
{
    BIO *bio = SSL_get_rbio(ssl);
    return bio ? BIO_get_data(bio) : NULL;
}

bool dp_conn_is_shaking_hands(const struct dp_conn *conn)
{
    return conn->tls && !conn->tls->established;
}

bool dp_conn_tls_got_text(const struct dp_conn *conn)
{
    return dp_conn_is_shaking_hands(conn) && conn->tls->is_text;
}

const char *dp_conn_tls_error(const struct dp_conn *conn)
{
    return conn->tls && conn->tls->why ? conn->tls->why : "";
}

gw_str dp_conn_tls_protocol(const struct dp_conn *conn)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    if (conn->tls)
        SSL_get0_alpn_selected(conn->tls->ssl, &name, &len);
    return gw_str_n((const char *)name, len);
}

void dp_tls_free(struct dp_tls *tls)
{
    if (!tls)
        return;
    dp_task_cancel(&tls->again);
    /* Otherwise OpenSSL takes its session for broken, and nobody can resume it. */
    if (tls->established)
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    dp_block_give(&tls->conn->loop->blocks, tls->out);
    free(tls);
}

/* ---- bytes */

/* What a call that gave `result` means, with the error queue emptied: as dp_tls_read. */
static int judge(struct dp_tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    if (error == SSL_ERROR_WANT_READ)
        return -EAGAIN;
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (tls->ended) {
        /* An end that the peer did not announce may be anybody's. */
        ERR_clear_error();
        return tls->error ? tls->error : -ECONNRESET;
    }
    if (!tls->established) {
        long verdict = SSL_get_verify_result(tls->ssl);
        tls->why = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                                        : ERR_reason_error_string(ERR_peek_last_error());
    }
    ERR_clear_error();
    return -EPROTO;
}

int dp_tls_handshake(struct dp_tls *tls)
{
    tls->allowance = READ_BUFFER_BYTES;
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->established = true;
        return 1;
    }
    int error = judge(tls, result);
    if (error == -EAGAIN)
        return 0;
    if (!tls->why)
        tls->why = "the peer closed the connection";
    return error ? error : -ECONNRESET;
}

ptrdiff_t dp_tls_read(struct dp_tls *tls, char *at, size_t room)
{
    size_t total = 0;
    if (tls->out && tls->out->end - tls->out->start > DP_TLS_BATCH_BYTES + UNREAD_ANSWERS_MAX)
        tls->flood = DP_TLS_FLOOD_UNREAD;
    if (tls->flood)
        return -EPROTO;
    tls->allowance = room + READ_BUFFER_BYTES;
    while (total < room) {
        size_t n;
        int result = SSL_read_ex(tls->ssl, at + total, room - total, &n);
        if (result != 1) {
            if (total > 0 && SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
                dp_loop_later(tls->conn->loop, &tls->again); /* the end is told by itself */
            if (total > 0)
                ERR_clear_error();
            int error = total > 0 ? 0 : judge(tls, result);
            return tls->flood ? -EPROTO : total > 0 ? (ptrdiff_t)total : error;
        }
        total += n;
        tls->messages = 0;
    }
    if (dp_tls_has_more(tls))
        dp_loop_later(tls->conn->loop, &tls->again);
    return (ptrdiff_t)total;
}

bool dp_tls_has_more(const struct dp_tls *tls)
{
    return tls->ended || SSL_has_pending(tls->ssl) == 1 ||
           (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN);
}

int dp_tls_encrypt(struct dp_tls *tls, gw_str bytes)
{
    size_t written;
    if (SSL_write_ex(tls->ssl, bytes.ptr, bytes.len, &written) == 1) {
        assert(written == bytes.len); /* tls->out takes all */
        return 0;
    }
    ERR_clear_error();
    return -EPROTO;
}

int dp_tls_flush(struct dp_tls *tls)
{
    struct dp_block *out = tls->out;
    if (!out)
        return 0;
    ssize_t n = write(tls->conn->fd, out->data + out->start, out->end - out->start);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    out->start += (uint32_t)n;
    if (out->start == out->end) {
        dp_block_give(&tls->conn->loop->blocks, out);
        tls->out = NULL;
    }
    return 0;
}

void dp_tls_finish(struct dp_tls *tls)
{
    if (!tls->established || tls->out)
        return;
    (void)SSL_shutdown(tls->ssl); /* the peer's own end is not waited for */
    ERR_clear_error();
    (void)dp_tls_flush(tls); /* what follows is FIN: a peer that is gone needs neither */
}
