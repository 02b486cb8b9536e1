/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Tests only: a TCP proxy in front of an etcd member that can lose requests and answers. */
#ifndef CP_ETCD_PROXY_H
#define CP_ETCD_PROXY_H

#include "controlplane/store/etcd_fixture.h"

#define PROXY_PAIRS 32

struct proxy {
    int listener, port, to_port;
    char url[64];
    pthread_t thread;
    int wake[2];
    atomic_int cut_requests; /* so many of the next ones do not arrive */
    atomic_int cut_answers;  /* so many of the next ones get lost */
    atomic_int accepted;     /* connections so far */
    atomic_bool is_mute;     /* nothing passes, nothing is closed */
    struct pollfd fds[2 + 2 * PROXY_PAIRS];
};

static inline int proxy_dial(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline void proxy_accept(struct proxy *proxy)
{
    int from = accept(proxy->listener, NULL, NULL);
    int to = proxy_dial(proxy->to_port);
    atomic_fetch_add(&proxy->accepted, 1);
    for (unsigned i = 2; to >= 0 && i < GW_ARRAY_LEN(proxy->fds); i += 2)
        if (proxy->fds[i].fd < 0) {
            proxy->fds[i] = (struct pollfd){from, POLLIN, 0};
            proxy->fds[i + 1] = (struct pollfd){to, POLLIN, 0};
            return;
        }
    close(from);
    if (to >= 0)
        close(to);
}

static inline bool proxy_take(atomic_int *count)
{
    return atomic_load(count) > 0 && atomic_fetch_sub(count, 1) > 0;
}

static inline void proxy_pass(struct proxy *proxy, unsigned i)
{
    char bytes[65536];
    unsigned pair = i & ~1u;
    bool is_request = i == pair;
    ssize_t len = read(proxy->fds[i].fd, bytes, sizeof(bytes));
    if (len > 0 && !proxy_take(is_request ? &proxy->cut_requests : &proxy->cut_answers) &&
        send(proxy->fds[i ^ 1].fd, bytes, (size_t)len, MSG_NOSIGNAL) == len)
        return;
    close(proxy->fds[pair].fd);
    close(proxy->fds[pair + 1].fd);
    proxy->fds[pair].fd = proxy->fds[pair + 1].fd = -1;
}

static inline void *proxy_run(void *arg)
{
    struct proxy *proxy = arg;
    for (;;) {
        nfds_t count = atomic_load(&proxy->is_mute) ? 1 : GW_ARRAY_LEN(proxy->fds);
        if (poll(proxy->fds, count, -1) < 0)
            continue;
        char command = 0;
        if (proxy->fds[0].revents && read(proxy->wake[0], &command, 1) == 1 && command == 'q')
            return NULL;
        if (count == 1)
            continue;
        if (proxy->fds[1].revents)
            proxy_accept(proxy);
        for (unsigned i = 2; i < GW_ARRAY_LEN(proxy->fds); i++)
            if (proxy->fds[i].fd >= 0 && proxy->fds[i].revents)
                proxy_pass(proxy, i);
    }
}

static inline void proxy_start(struct proxy *proxy, int to_port)
{
    memset(proxy, 0, sizeof(*proxy));
    proxy->to_port = to_port;
    proxy->listener = port_listen(&proxy->port);
    snprintf(proxy->url, sizeof(proxy->url), "http://127.0.0.1:%d", proxy->port);
    assert_int_equal(pipe2(proxy->wake, O_CLOEXEC), 0);
    for (unsigned i = 0; i < GW_ARRAY_LEN(proxy->fds); i++)
        proxy->fds[i].fd = -1;
    proxy->fds[0] = (struct pollfd){proxy->wake[0], POLLIN, 0};
    proxy->fds[1] = (struct pollfd){proxy->listener, POLLIN, 0};
    assert_int_equal(pthread_create(&proxy->thread, NULL, proxy_run, proxy), 0);
}

static inline void proxy_mute(struct proxy *proxy, bool is_mute)
{
    atomic_store(&proxy->is_mute, is_mute);
    assert_int_equal(write(proxy->wake[1], "m", 1), 1);
}

static inline void proxy_stop(struct proxy *proxy)
{
    assert_int_equal(write(proxy->wake[1], "q", 1), 1);
    pthread_join(proxy->thread, NULL);
    close(proxy->wake[0]);
    close(proxy->wake[1]);
    for (unsigned i = 1; i < GW_ARRAY_LEN(proxy->fds); i++)
        if (proxy->fds[i].fd >= 0)
            close(proxy->fds[i].fd);
}

#endif
