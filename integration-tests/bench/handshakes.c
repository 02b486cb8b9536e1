/* SPDX-License-Identifier: Apache-2.0 */
/* handshakes PORT NAME SECONDS full|resumed: TLS handshakes with 127.0.0.1:PORT one after another,
 * for NAME; prints how many. "resumed" takes the session of one connection, that also asks for "/",
 * for all of them. On loopback only. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static SSL_SESSION *session; /* the last one that the server gave */

static void die(const char *what)
{
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static int on_session(SSL *ssl, SSL_SESSION *given)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = given;
    return 1;
}

static SSL *connect_to(SSL_CTX *context, int port, const char *name)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, name);
    return ssl;
}

static void leave(SSL *ssl)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0}; /* no port stays in TIME_WAIT */
    int fd = SSL_get_fd(ssl);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

/* Tickets of TLS 1.3 come behind the handshake. */
static void take_session(SSL_CTX *context, int port, const char *name)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", name);
    SSL *ssl = connect_to(context, port, name);
    if (SSL_connect(ssl) != 1 || SSL_write(ssl, text, len) != len ||
        SSL_read(ssl, text, sizeof(text)) <= 0 || !session)
        die("no session");
    leave(ssl);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: handshakes PORT NAME SECONDS full|resumed\n");
        return 2;
    }
    int port = atoi(argv[1]), is_resumed = strcmp(argv[4], "resumed") == 0;
    long count = 0, reused = 0;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(context, on_session);
    if (is_resumed)
        take_session(context, port, argv[2]);
    SSL_SESSION *kept = session ? SSL_SESSION_dup(session) : NULL;
    for (double end = now() + atof(argv[3]); now() < end; count++) {
        SSL *ssl = connect_to(context, port, argv[2]);
        if (kept) { /* a copy: OpenSSL uses each session of TLS 1.3 once */
            SSL_SESSION *copy = SSL_SESSION_dup(kept);
            SSL_set_session(ssl, copy);
            SSL_SESSION_free(copy);
        }
        if (SSL_connect(ssl) != 1)
            die("handshake");
        reused += SSL_session_reused(ssl);
        leave(ssl);
    }
    printf("%ld handshakes, %ld resumed\n", count, reused);
    return 0;
}
