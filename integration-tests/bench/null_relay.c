/* SPDX-License-Identifier: Apache-2.0 */
/* null-relay PORT BACKEND_PORT: a one-thread epoll program that copies bytes between a kept-alive
 * caller and a kept-alive backend connection. It is what a user-space proxy cannot beat without
 * splicing; the benchmarks quote ratios to it. On loopback only; ends on SIGTERM. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (64 * 1024)
#define EVENTS 256
#define DESCRIPTORS 20000

static int peer_of[DESCRIPTORS]; /* descriptor of the other side; -1: none */

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
        watch(epoll, fd);
        watch(epoll, peer);
    }
}

/* Small messages only: what does not fit the socket at once waits for it, as a relay without queues
 * may. */
static void copy(int from)
{
    static char buffer[BUFFER_BYTES];
    int to = peer_of[from];
    if (to < 0)
        return;
    ssize_t n = read(from, buffer, sizeof(buffer));
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close_pair(from);
        return;
    }
    for (ssize_t sent = 0; sent < n;) {
        ssize_t m = send(to, buffer + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (m < 0 && errno != EAGAIN && errno != ENOTCONN) {
            close_pair(from);
            return;
        }
        if (m > 0)
            sent += m;
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: null-relay PORT BACKEND_PORT\n");
        return 2;
    }
    struct sockaddr_in address = loopback(argv[1]), backend = loopback(argv[2]);
    struct epoll_event events[EVENTS];
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
