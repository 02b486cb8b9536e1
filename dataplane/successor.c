/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The first packet of an old process that knows of them; it is there already. */
static void take_keys(struct dp_successor *successor)
{
    const size_t skip = strlen(DP_UPGRADE_KEYS);
    ssize_t n = recv(successor->fd, successor->keys, sizeof(successor->keys), MSG_DONTWAIT);
    if (n < (ssize_t)skip || memcmp(successor->keys, DP_UPGRADE_KEYS, skip) != 0)
        return;
    successor->keys_len = (size_t)n - skip;
    memmove(successor->keys, successor->keys + skip, successor->keys_len);
}

int dp_successor_init(struct dp_successor *successor, struct gw_error *err)
{
    const char *socket = getenv(DP_UPGRADE_SOCKET_ENV), *list = getenv(DP_UPGRADE_LISTEN_ENV);
    uint64_t fd;
    *successor = (struct dp_successor){.fd = -1};
    if (!socket && !list)
        return 0;
    if (!socket || !list || gw_str_to_u64(gw_str_from(socket), INT_MAX, &fd) < 0 ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return gw_fail(err, GW_INVALID_ARGUMENT,
                       DP_UPGRADE_SOCKET_ENV " and " DP_UPGRADE_LISTEN_ENV
                                             " are for an agent to set, not for people");
    if (dp_inherited_parse(&successor->inherited, list, err) < 0)
        return -1;
    successor->fd = (int)fd;
    take_keys(successor);
    unsetenv(DP_UPGRADE_SOCKET_ENV);
    unsetenv(DP_UPGRADE_LISTEN_ENV);
    return 0;
}

static void stop_watching(struct dp_successor *successor)
{
    if (successor->loop)
        ev_io_stop(successor->loop->ev, &successor->io);
    successor->loop = NULL;
}

static void on_packet(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev, (void)events;
    struct dp_successor *successor = gw_container_of(io, struct dp_successor, io);
    struct dp_loop *loop = successor->loop;
    char text[DP_UPGRADE_PACKET_MAX];
    ssize_t n = recv(successor->fd, text, sizeof(text), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && !gw_str_eq(gw_str_n(text, (size_t)n), GW_STR("go")))
        return; /* of a version that says more */
    stop_watching(successor);
    successor->go(successor->arg);
    dp_loop_settle(loop);
}

void dp_successor_watch(struct dp_successor *successor, struct dp_loop *loop, void (*go)(void *arg),
                        void *arg)
{
    successor->loop = loop;
    successor->go = go;
    successor->arg = arg;
    ev_io_init(&successor->io, on_packet, successor->fd, EV_READ);
    ev_io_start(loop->ev, &successor->io);
}

/* An old process that has ended is seen by the watcher. */
static void say(const struct dp_successor *successor, const char *text, size_t len)
{
    if (successor->fd >= 0)
        (void)send(successor->fd, text, len, MSG_NOSIGNAL);
}

void dp_successor_ready(struct dp_successor *successor, gw_str cluster_id, int64_t revision)
{
    char text[DP_UPGRADE_PACKET_MAX];
    int len = snprintf(text, sizeof(text), "ready %.*s %lld", GW_STR_ARG(cluster_id),
                       (long long)revision);
    say(successor, text, (size_t)len);
}

void dp_successor_serving(struct dp_successor *successor)
{
    say(successor, "serving", strlen("serving"));
    dp_successor_done(successor);
}

void dp_successor_done(struct dp_successor *successor)
{
    stop_watching(successor);
    if (successor->fd >= 0)
        close(successor->fd);
    successor->fd = -1;
    dp_inherited_done(&successor->inherited);
}
