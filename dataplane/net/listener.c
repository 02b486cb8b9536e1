/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_PER_EVENT 64 /* then those that are connected get their turn */
#define PAUSE_MS 100         /* without descriptors; level triggering would spin */

/* The words that may stand behind an address. */
static const struct word {
    const char *text;
    size_t flag; /* offset of a bool in struct dp_listener_spec */
} words[] = {
    {"tls", offsetof(struct dp_listener_spec, tls)},
    {"proxy", offsetof(struct dp_listener_spec, proxy)},
};

static int take_word(gw_str text, struct dp_listener_spec *spec, struct gw_error *err)
{
    for (size_t i = 0; i < GW_ARRAY_LEN(words); i++) {
        bool *flag = (bool *)((char *)spec + words[i].flag);
        if (!gw_str_eq(text, gw_str_from(words[i].text)))
            continue;
        if (*flag)
            return gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" twice", words[i].text);
        *flag = true;
        return 0;
    }
    return gw_fail(err, GW_INVALID_ARGUMENT, "\"%.*s\" says nothing about a listener",
                   GW_STR_ARG(text));
}

static int parse_address(gw_str text, struct dp_listener_spec *spec, struct gw_error *err)
{
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || gw_str_to_u64(gw_str_n(text.ptr + colon, text.len - colon), 65535, &port))
        return gw_fail(err, GW_INVALID_ARGUMENT, "\"%.*s\" is not address:port", GW_STR_ARG(text));
    gw_str host = gw_str_n(text.ptr, colon - 1);
    if (gw_str_eq(host, GW_STR("*")))
        host = GW_STR("[::]");
    bool is_bare_v6 = gw_str_find(host, ':') >= 0 && host.ptr[0] != '[';
    if (is_bare_v6 || dp_address_parse(host, &spec->address) != 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "\"%.*s\" is not an IP address", GW_STR_ARG(host));
    spec->port = (uint16_t)port;
    return 0;
}

int dp_listener_parse(gw_str text, struct dp_listener_spec *ret_spec, struct gw_error *err)
{
    struct dp_listener_spec spec = {0};
    gw_str rest = gw_str_trim(text);
    if (parse_address(gw_str_split(&rest, ' '), &spec, err) != 0)
        return -1;
    while (rest.ptr) {
        gw_str word = gw_str_trim(gw_str_split(&rest, ' '));
        if (word.len > 0 && take_word(word, &spec, err) != 0)
            return -1;
    }
    *ret_spec = spec;
    return 0;
}

/* -1: out of descriptors or memory, and the listener rests. 0: nothing there. */
static int accept_one(struct dp_listener *listener)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        listener->accepted(listener, fd, (struct sockaddr *)&peer);
        return 1;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return -1;
    /* Others are about the one connection that was to be accepted. */
    return errno == EAGAIN ? 0 : 1;
}

static void on_acceptable(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)events;
    struct dp_listener *listener = gw_container_of(watcher, struct dp_listener, watcher);
    struct dp_loop *loop = listener->loop;
    for (int i = 0; i < ACCEPTS_PER_EVENT && listener->fd >= 0; i++) {
        int result = accept_one(listener);
        if (result < 0) {
            listener->refused++;
            ev_io_stop(ev, &listener->watcher);
            dp_loop_arm(loop, &listener->pause, PAUSE_MS);
        }
        if (result <= 0)
            break;
    }
    dp_loop_settle(loop);
}

static void on_pause_over(struct dp_timer *timer)
{
    struct dp_listener *listener = gw_container_of(timer, struct dp_listener, pause);
    ev_io_start(listener->loop->ev, &listener->watcher);
}

static int bind_socket(int fd, const struct dp_address *address, uint16_t port)
{
    int on = 1, off = 0;
    struct sockaddr_storage storage;
    socklen_t len = dp_address_to_sockaddr(address, port, &storage);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return -1;
    /* "[::]" serves both families, and so do "*:8080" and two agents side by side. */
    if (storage.ss_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, dp_address_is_known(address) ? &on : &off,
                   sizeof(on)) != 0)
        return -1;
    return bind(fd, (struct sockaddr *)&storage, len) != 0 || listen(fd, BACKLOG) != 0 ? -1 : 0;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0)
        return 0;
    if (storage.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return ntohs(((struct sockaddr_in *)&storage)->sin_port);
}

void dp_listener_adopt(struct dp_listener *listener, struct dp_loop *loop,
                       const struct dp_listener_spec *spec, int fd)
{
    listener->loop = loop;
    listener->spec = *spec;
    listener->fd = fd;
    listener->port = bound_port(fd);
    listener->refused = 0;
    ev_io_init(&listener->watcher, on_acceptable, fd, EV_READ);
    dp_timer_init(&listener->pause, on_pause_over);
}

int dp_listener_open(struct dp_listener *listener, struct dp_loop *loop, gw_str text,
                     struct gw_error *err)
{
    struct dp_listener_spec spec;
    if (dp_listener_parse(text, &spec, err) != 0)
        return -1;
    int family = dp_address_is_v4(&spec.address) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind_socket(fd, &spec.address, spec.port) != 0) {
        (void)gw_fail(err, GW_UNAVAILABLE, "cannot listen on %.*s: %s", GW_STR_ARG(text),
                      strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    dp_listener_adopt(listener, loop, &spec, fd);
    return 0;
}

void dp_listener_start(struct dp_listener *listener)
{
    ev_io_start(listener->loop->ev, &listener->watcher);
}

void dp_listener_close(struct dp_listener *listener)
{
    if (listener->fd < 0)
        return;
    while (accept_one(listener) > 0) {
    }
    dp_listener_leave(listener);
}

/* Of a socket that lives on elsewhere epoll may tell once more; libev then drops it. */
void dp_listener_leave(struct dp_listener *listener)
{
    if (listener->fd < 0)
        return;
    ev_io_stop(listener->loop->ev, &listener->watcher);
    dp_timer_stop(&listener->pause);
    close(listener->fd);
    listener->fd = -1;
}
