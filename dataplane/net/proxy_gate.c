/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/proxy_gate.h"

#include "common/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

struct waiting {
    struct dp_proxy_gate *gate;
    struct gw_list node;
    ev_io reader;
    struct dp_timer timer;
    struct sockaddr_storage peer;
    void *tag;
    size_t len;
    char bytes[DP_PROXY_BYTES_MAX]; /* taken from the socket so far */
};

/* Leaves the gate; the socket is the caller's now. */
static int let_go(struct waiting *waiting)
{
    struct dp_proxy_gate *gate = waiting->gate;
    int fd = waiting->reader.fd;
    ev_io_stop(gate->loop->ev, &waiting->reader);
    dp_timer_stop(&waiting->timer);
    gw_list_remove(&waiting->node);
    gate->count--;
    free(waiting);
    return fd;
}

static void tell_if_empty(struct dp_proxy_gate *gate)
{
    if (gate->count == 0 && gate->emptied)
        gate->emptied(gate);
}

static void refuse(struct waiting *waiting, const char *why)
{
    static struct gw_log_limit limit;
    struct dp_proxy_gate *gate = waiting->gate;
    struct dp_address peer = dp_address_from((struct sockaddr *)&waiting->peer);
    char text[DP_ADDRESS_TEXT_MAX];
    unsigned dropped;
    if (gw_log_allow(&limit, 1, &dropped))
        gw_log(GW_LOG_WARN, "net", "closing a connection without a PROXY header",
               gw_kv_str("peer", gw_str_n(text, dp_address_print(&peer, text))),
               gw_kv_text("error", why), gw_kv_int("dropped", dropped));
    gate->refused++;
    close(let_go(waiting));
    tell_if_empty(gate);
}

/* A connection that never said anything is a probe of a load balancer. */
static void leave(struct waiting *waiting)
{
    struct dp_proxy_gate *gate = waiting->gate;
    if (waiting->len > 0)
        gate->refused++;
    close(let_go(waiting));
    tell_if_empty(gate);
}

static void pass(struct waiting *waiting, const struct dp_proxy_header *header)
{
    struct dp_proxy_gate *gate = waiting->gate;
    struct sockaddr_storage peer = waiting->peer;
    void *tag = waiting->tag;
    int fd = let_go(waiting);
    gate->passed(gate, fd, (struct sockaddr *)&peer, header, tag);
    tell_if_empty(gate);
}

/* Takes from the socket what belongs to the header. False: the peer has left. */
static bool take(struct waiting *waiting, size_t len)
{
    ssize_t n = recv(waiting->reader.fd, waiting->bytes + waiting->len, len, 0);
    waiting->len += n > 0 ? (size_t)n : 0;
    return n == (ssize_t)len;
}

/* Looks first and takes then: all that was looked at, or what ends the header. */
static void on_readable(struct ev_loop *ev, ev_io *reader, int events)
{
    (void)ev, (void)events;
    struct waiting *waiting = gw_container_of(reader, struct waiting, reader);
    struct dp_loop *loop = waiting->gate->loop;
    struct dp_proxy_header header;
    ssize_t n = recv(reader->fd, waiting->bytes + waiting->len,
                     sizeof(waiting->bytes) - waiting->len, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(waiting);
    } else {
        size_t seen = waiting->len + (size_t)n;
        ptrdiff_t end = dp_proxy_parse(gw_str_n(waiting->bytes, seen), &header);
        if (end < 0)
            refuse(waiting, "no header");
        else if (!take(waiting, (end > 0 ? (size_t)end : seen) - waiting->len))
            leave(waiting);
        else if (end > 0)
            pass(waiting, &header);
    }
    dp_loop_settle(loop);
}

static void on_timeout(struct dp_timer *timer)
{
    refuse(gw_container_of(timer, struct waiting, timer), "too late");
}

void dp_proxy_gate_init(struct dp_proxy_gate *gate, struct dp_loop *loop, gw_msec timeout_ms)
{
    *gate = (struct dp_proxy_gate){.loop = loop, .timeout_ms = timeout_ms};
    gw_list_init(&gate->waiting);
}

void dp_proxy_gate_take(struct dp_proxy_gate *gate, int fd, const struct sockaddr *peer, void *tag)
{
    struct waiting *waiting = gw_calloc(1, sizeof(*waiting));
    socklen_t len = peer->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                    : peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                  : sizeof(struct sockaddr);
    waiting->gate = gate;
    waiting->tag = tag;
    memcpy(&waiting->peer, peer, len);
    gw_list_push(&gate->waiting, &waiting->node);
    gate->count++;
    ev_io_init(&waiting->reader, on_readable, fd, EV_READ);
    ev_io_start(gate->loop->ev, &waiting->reader);
    dp_timer_init(&waiting->timer, on_timeout);
    dp_loop_arm(gate->loop, &waiting->timer, gate->timeout_ms);
}

void dp_proxy_gate_close(struct dp_proxy_gate *gate)
{
    gw_list_each(&gate->waiting, it) close(let_go(gw_container_of(it, struct waiting, node)));
    tell_if_empty(gate);
}
