/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Sockets of tests: a backend that does what the path of a request says, a thread per connection,
 * and a caller that speaks in raw bytes. Both block, with a limit of ten seconds. */
#ifndef DP_TEST_BACKEND_H
#define DP_TEST_BACKEND_H

#include "common/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TEST_TIMEOUT_S 10
#define TEST_BIG_BYTES (4 * 1024 * 1024)

static inline void limit_waits(int fd)
{
    struct timeval limit = {.tv_sec = TEST_TIMEOUT_S};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static inline bool send_bytes(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* One message as it came: head, then body (by Content-Length only). */
struct received {
    char head[64 * 1024];
    char *body; /* owned */
    size_t body_len;
};

static inline size_t length_in(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* Reads to the end of a head, byte by byte: a test's messages are small. */
static inline bool receive_head(int fd, struct received *ret)
{
    size_t len = 0;
    while (len + 1 < sizeof ret->head) {
        if (recv(fd, ret->head + len, 1, 0) != 1)
            return false;
        ret->head[++len] = '\0';
        if (len >= 4 && memcmp(ret->head + len - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static inline bool receive_body(int fd, struct received *ret)
{
    size_t length = length_in(ret->head);
    ret->body = gw_calloc(1, length + 1);
    ret->body_len = 0;
    while (ret->body_len < length) {
        ssize_t n = recv(fd, ret->body + ret->body_len, length - ret->body_len, 0);
        if (n <= 0)
            return false;
        ret->body_len += (size_t)n;
    }
    return true;
}

static inline bool receive(int fd, struct received *ret)
{
    ret->body = NULL;
    return receive_head(fd, ret) && receive_body(fd, ret);
}

/* What comes of a body goes back at once, before the rest has come. */
static inline bool stream_back(int fd, const char *head)
{
    char bytes[64 * 1024];
    size_t left = length_in(head);
    int n = snprintf(bytes, sizeof bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", left);
    bool is_sent = send_bytes(fd, bytes, (size_t)n);
    while (is_sent && left > 0) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        is_sent = got > 0 && send_bytes(fd, bytes, (size_t)got);
        left -= is_sent ? (size_t)got : 0;
    }
    return is_sent;
}

/* Switches to WebSocket, and sends back what comes until its end. */
static inline bool tunnel_back(int fd)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\n\r\n";
    char bytes[16 * 1024];
    ssize_t got = 0;
    if (send_bytes(fd, head, sizeof head - 1))
        while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0 && send_bytes(fd, bytes, (size_t)got))
            ;
    return false;
}

struct backend {
    int listener;
    uint16_t port;
    pthread_t thread;
    atomic_int connections, requests, live; /* live: connection threads */
    atomic_bool release;                    /* lets "/wait" answer */
    atomic_int waiting;                     /* requests that wait there */
};

struct backend_connection {
    struct backend *backend;
    int fd;
};

static inline bool answer(struct backend *backend, int fd, const struct received *request)
{
    char head[256];
    if (strstr(request->head, "/cut "))
        return send_bytes(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44) && false;
    if (strstr(request->head, "/garbage "))
        return send_bytes(fd, "what?\r\n\r\n", 9) && false;
    if (strstr(request->head, "/chunked "))
        return send_bytes(fd,
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
                          73);
    if (strstr(request->head, "/wait ")) {
        atomic_fetch_add(&backend->waiting, 1);
        while (!atomic_load(&backend->release))
            usleep(1000);
    }
    bool is_big = strstr(request->head, "/big ");
    size_t len = is_big ? TEST_BIG_BYTES : request->body_len;
    char *body = is_big ? gw_calloc(1, TEST_BIG_BYTES) : request->body;
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    bool is_head = strncmp(request->head, "HEAD ", 5) == 0;
    bool is_sent = send_bytes(fd, head, (size_t)n) && (is_head || send_bytes(fd, body, len));
    if (is_big)
        free(body);
    return is_sent;
}

static inline void *serve_connection(void *arg)
{
    struct backend_connection *c = arg;
    struct received *request = gw_calloc(1, sizeof *request);
    bool goes_on = true;
    while (goes_on && receive_head(c->fd, request)) {
        atomic_fetch_add(&c->backend->requests, 1);
        if (strstr(request->head, "/tunnel "))
            goes_on = tunnel_back(c->fd);
        else if (strstr(request->head, "/stream "))
            goes_on = stream_back(c->fd, request->head);
        else
            goes_on = receive_body(c->fd, request) && answer(c->backend, c->fd, request);
        free(request->body);
        request->body = NULL;
    }
    free(request->body);
    free(request);
    close(c->fd);
    atomic_fetch_sub(&c->backend->live, 1);
    free(c);
    return NULL;
}

static inline void *serve(void *arg)
{
    struct backend *backend = arg;
    int fd;
    while ((fd = accept(backend->listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        struct backend_connection *c = gw_calloc(1, sizeof *c);
        *c = (struct backend_connection){backend, fd};
        limit_waits(fd);
        atomic_fetch_add(&backend->connections, 1);
        atomic_fetch_add(&backend->live, 1);
        if (pthread_create(&thread, NULL, serve_connection, c) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

static inline void backend_start(struct backend *backend)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    backend->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(backend->listener, (struct sockaddr *)&address, len) != 0 ||
        listen(backend->listener, 64) != 0 ||
        getsockname(backend->listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&backend->thread, NULL, serve, backend) != 0)
        abort();
    backend->port = ntohs(address.sin_port);
}

static inline void backend_stop(struct backend *backend)
{
    atomic_store(&backend->release, true);
    shutdown(backend->listener, SHUT_RDWR);
    pthread_join(backend->thread, NULL);
    close(backend->listener);
    while (atomic_load(&backend->live) > 0)
        usleep(1000);
}

static inline int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    limit_waits(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        abort();
    return fd;
}

#endif
