/* SPDX-License-Identifier: Apache-2.0 */
/* null-relay PORT BACKEND_PORT [splice | CERTIFICATE KEY]: a one-thread epoll program that copies
 * bytes between a kept-alive caller and a kept-alive backend connection, or splices them; with a
 * certificate (PEM files) callers speak TLS. The benchmarks quote ratios to the copying one: no
 * user-space proxy beats it without splicing, and none that splices beats the other. On loopback
 * only; ends on SIGTERM. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (64 * 1024)
#define PIPE_BYTES (256 * 1024)
#define EVENTS 256
#define DESCRIPTORS 20000

static int peer_of[DESCRIPTORS];    /* descriptor of the other side; -1: none */
static SSL *tls_of[DESCRIPTORS];    /* of callers; NULL: in the clear */
static SSL_CTX *context;            /* NULL: no TLS */
static int pipe_ends[2] = {-1, -1}; /* -1: bytes are copied */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int make_socket(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return fd;
}

static struct sockaddr_in loopback(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(port)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
}

static void close_pair(int fd)
{
    int peer = peer_of[fd];
    if (peer < 0)
        return;
    peer_of[fd] = peer_of[peer] = -1;
    SSL_free(tls_of[fd]);
    SSL_free(tls_of[peer]);
    tls_of[fd] = tls_of[peer] = NULL;
    close(fd);
    close(peer);
}

static void accept_all(int epoll, int listener, const struct sockaddr_in *backend)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        const int on = 1;
        int peer = make_socket();
        if (fd >= DESCRIPTORS || peer >= DESCRIPTORS ||
            (connect(peer, (const struct sockaddr *)backend, sizeof(*backend)) < 0 &&
             errno != EINPROGRESS)) {
            close(fd);
            close(peer);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        peer_of[fd] = peer;
        peer_of[peer] = fd;
        if (context) {
            tls_of[fd] = SSL_new(context);
            SSL_set_fd(tls_of[fd], fd);
            SSL_set_accept_state(tls_of[fd]);
        }
        watch(epoll, fd);
        watch(epoll, peer);
    }
}

/* As read(2) and write(2); -1 with EAGAIN: later. */
static ssize_t receive(int fd, void *buffer, size_t size)
{
    if (!tls_of[fd])
        return read(fd, buffer, size);
    ERR_clear_error();
    int n = SSL_read(tls_of[fd], buffer, (int)size);
    if (n > 0)
        return n;
    errno = SSL_get_error(tls_of[fd], n) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t give(int fd, const void *bytes, size_t len)
{
    if (!tls_of[fd])
        return send(fd, bytes, len, MSG_NOSIGNAL);
    ERR_clear_error();
    int n = SSL_write(tls_of[fd], bytes, (int)len);
    if (n > 0)
        return n;
    errno = SSL_get_error(tls_of[fd], n) == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
    return -1;
}

/* What does not fit the socket at once is waited for, as a relay without queues may; false: the
 * pair is gone. bytes NULL: they are in the pipe. */
static int give_all(int from, int to, const char *bytes, size_t len)
{
    for (size_t sent = 0; sent < len;) {
        ssize_t n = bytes ? give(to, bytes + sent, len - sent)
                          : splice(pipe_ends[0], NULL, to, NULL, len - sent, SPLICE_F_NONBLOCK);
        if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
            close_pair(from);
            return 0;
        }
        if (n > 0) {
            sent += (size_t)n;
        } else {
            struct pollfd room = {.fd = to, .events = POLLOUT};
            poll(&room, 1, -1);
        }
    }
    return 1;
}

static void make_pipe(void)
{
    if (pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) < 0 ||
        fcntl(pipe_ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
        die("pipe");
}

/* What a pair that is gone has left in the pipe goes with it. */
static void empty_pipe(void)
{
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    make_pipe();
}

static void pass(int from, int to)
{
    ssize_t n = splice(from, NULL, pipe_ends[1], NULL, PIPE_BYTES, SPLICE_F_NONBLOCK);
    if (n > 0 && !give_all(from, to, NULL, (size_t)n))
        empty_pipe();
    else if (n == 0 || (n < 0 && errno != EAGAIN))
        close_pair(from);
}

static void copy(int from)
{
    static char buffer[BUFFER_BYTES];
    int to = peer_of[from];
    if (to < 0)
        return;
    if (pipe_ends[0] >= 0) {
        pass(from, to);
        return;
    }
    do {
        ssize_t n = receive(from, buffer, sizeof(buffer));
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                close_pair(from);
            return;
        }
        if (!give_all(from, to, buffer, (size_t)n))
            return;
    } while (tls_of[from] && SSL_has_pending(tls_of[from]));
}

static SSL_CTX *load(const char *certificate, const char *key)
{
    SSL_CTX *made = SSL_CTX_new(TLS_server_method());
    if (!made || SSL_CTX_use_certificate_chain_file(made, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(made, key, SSL_FILETYPE_PEM) != 1) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(made, (const unsigned char *)"relay", 5);
    return made;
}

int main(int argc, char **argv)
{
    int splices = argc == 4 && strcmp(argv[3], "splice") == 0;
    if (argc != 3 && argc != 5 && !splices) {
        fprintf(stderr, "usage: null-relay PORT BACKEND_PORT [splice | CERTIFICATE KEY]\n");
        return 2;
    }
    struct sockaddr_in address = loopback(argv[1]), backend = loopback(argv[2]);
    struct epoll_event events[EVENTS];
    signal(SIGPIPE, SIG_IGN);
    context = argc == 5 ? load(argv[3], argv[4]) : NULL;
    if (splices)
        make_pipe();
    int listener = make_socket(), epoll = epoll_create1(EPOLL_CLOEXEC);
    memset(peer_of, 0xff, sizeof(peer_of));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 1024) < 0)
        die("listen");
    watch(epoll, listener);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener, &backend);
            else
                copy(events[i].data.fd);
        }
    }
}
