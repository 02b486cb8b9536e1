/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/resolver.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_CHECK_MS 1000 /* at most this often, and only when something is looked up */
/* Both servers of a usual resolv.conf are asked twice within the time that a request waits. */
#define TIMEOUT_MS 1000
#define TRIES 2

struct dp_resolver {
    struct dp_loop *loop; /* borrowed, as all of the next two lines */
    const char *servers;
    const char *resolv_conf;
    ares_channel channel;
    struct dp_timer timer;  /* c-ares's next one */
    struct gw_list sockets; /* of the channel */
    struct stat seen;       /* resolv.conf as the channel read it */
    gw_msec checked_ms;
};

/* A socket of c-ares. */
struct watched {
    struct dp_resolver *resolver;
    struct gw_list node;
    ev_io io;
};

struct question {
    void (*done)(void *arg, const struct dp_resolution *resolution);
    void *arg;
};

/* ---- c-ares on the loop */

static void arm(struct dp_resolver *resolver)
{
    struct timeval room;
    const struct timeval *next = ares_timeout(resolver->channel, NULL, &room);
    if (next)
        dp_loop_arm(resolver->loop, &resolver->timer, next->tv_sec * 1000 + next->tv_usec / 1000);
    else
        dp_timer_stop(&resolver->timer);
}

static void on_ready(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct dp_resolver *resolver = gw_container_of(io, struct watched, io)->resolver;
    int fd = io->fd; /* the watcher may end with what comes now */
    ares_process_fd(resolver->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    arm(resolver);
    dp_loop_settle(resolver->loop);
}

static void on_timer(struct dp_timer *timer)
{
    struct dp_resolver *resolver = gw_container_of(timer, struct dp_resolver, timer);
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(resolver);
}

static struct watched *find_watched(struct dp_resolver *resolver, int fd)
{
    gw_list_each(&resolver->sockets, it)
    {
        struct watched *watched = gw_container_of(it, struct watched, node);
        if (watched->io.fd == fd)
            return watched;
    }
    return NULL;
}

/* c-ares tells what it waits for; neither: the socket is about to be closed. */
static void on_socket(void *arg, int fd, int readable, int writable)
{
    struct dp_resolver *resolver = arg;
    struct watched *watched = find_watched(resolver, fd);
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    if (watched)
        ev_io_stop(resolver->loop->ev, &watched->io);
    if (!events) {
        if (watched)
            gw_list_remove(&watched->node);
        free(watched);
        return;
    }
    if (!watched) {
        watched = gw_calloc(1, sizeof(*watched));
        watched->resolver = resolver;
        gw_list_push(&resolver->sockets, &watched->node);
    }
    ev_io_init(&watched->io, on_ready, fd, events);
    ev_io_start(resolver->loop->ev, &watched->io);
}

/* ---- the channel, and the file it comes from */

static int open_channel(struct dp_resolver *resolver, ares_channel *ret_channel,
                        struct gw_error *err)
{
    char path[4096];
    struct ares_options options = {
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = resolver,
        .resolvconf_path = path, /* is not const, and is copied */
    };
    ares_channel channel;
    snprintf(path, sizeof(path), "%s", resolver->resolv_conf);
    int status = ares_init_options(&channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
                                       ARES_OPT_RESOLVCONF);
    if (status != ARES_SUCCESS)
        return gw_fail(err, GW_INTERNAL, "DNS: %s", ares_strerror(status));
    if (resolver->servers[0] &&
        ares_set_servers_ports_csv(channel, resolver->servers) != ARES_SUCCESS) {
        ares_destroy(channel);
        return gw_fail_field(err, "--dns-servers", "\"%s\" is no list of addresses",
                             resolver->servers);
    }
    *ret_channel = channel;
    return 0;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* While the file is away or cannot be used, what it said last holds. */
static void follow_resolv_conf(struct dp_resolver *resolver)
{
    struct stat now;
    ares_channel before = resolver->channel;
    struct gw_error err = GW_ERROR_NONE;
    if (resolver->loop->now_ms - resolver->checked_ms < RESOLV_CONF_CHECK_MS)
        return;
    resolver->checked_ms = resolver->loop->now_ms;
    if (stat(resolver->resolv_conf, &now) != 0 || is_same_file(&now, &resolver->seen))
        return;
    if (open_channel(resolver, &resolver->channel, &err) < 0)
        return;
    resolver->seen = now;
    ares_destroy(before); /* what it was asked is told as cancelled */
}

int dp_resolver_new(const struct dp_resolver_options *options, struct dp_resolver **ret_resolver,
                    struct gw_error *err)
{
    struct dp_resolver *resolver = gw_calloc(1, sizeof(*resolver));
    resolver->loop = options->loop;
    resolver->servers = options->servers ? options->servers : "";
    resolver->resolv_conf = options->resolv_conf ? options->resolv_conf : RESOLV_CONF;
    resolver->checked_ms = options->loop->now_ms;
    gw_list_init(&resolver->sockets);
    dp_timer_init(&resolver->timer, on_timer);
    if (stat(resolver->resolv_conf, &resolver->seen) != 0)
        resolver->seen = (struct stat){0};
    if (open_channel(resolver, &resolver->channel, err) < 0) {
        free(resolver);
        return -1;
    }
    *ret_resolver = resolver;
    return 0;
}

void dp_resolver_free(struct dp_resolver *resolver)
{
    if (!resolver)
        return;
    ares_destroy(resolver->channel);
    assert(gw_list_is_empty(&resolver->sockets));
    dp_timer_stop(&resolver->timer);
    free(resolver);
}

/* ---- look-ups */

static gw_msec least_ttl_ms(const struct ares_addrinfo *found)
{
    int least = found->nodes ? found->nodes->ai_ttl : 0;
    for (const struct ares_addrinfo_node *at = found->nodes; at; at = at->ai_next)
        least = GW_MIN(least, at->ai_ttl);
    for (const struct ares_addrinfo_cname *at = found->cnames; at; at = at->next)
        least = GW_MIN(least, at->ttl);
    return GW_MAX(least, 0) * (gw_msec)1000;
}

static void take_addresses(struct dp_resolution *resolution, const struct ares_addrinfo *found)
{
    for (const struct ares_addrinfo_node *at = found->nodes;
         at && resolution->count < DP_ENDPOINT_ADDRESSES_MAX; at = at->ai_next) {
        struct dp_address address = dp_address_from(at->ai_addr);
        if (dp_address_is_known(&address))
            resolution->addresses[resolution->count++] = address;
    }
    resolution->ttl_ms = least_ttl_ms(found);
    if (found->name && resolution->ttl_ms > 0)
        (void)snprintf(resolution->name, sizeof(resolution->name), "%s.", found->name);
}

static bool is_cancelled(int status)
{
    return status == ARES_EDESTRUCTION || status == ARES_ECANCELLED;
}

static void on_found(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct question *question = arg;
    struct dp_resolution resolution = {.cancelled = is_cancelled(status),
                                       .hesitated = timeouts > 0};
    if (status == ARES_SUCCESS)
        take_addresses(&resolution, found);
    if (resolution.count == 0)
        resolution.error = ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status);
    if (found)
        ares_freeaddrinfo(found);
    question->done(question->arg, &resolution);
    free(question);
}

void dp_resolver_look_up(struct dp_resolver *resolver, const char *host,
                         void (*done)(void *arg, const struct dp_resolution *resolution), void *arg)
{
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct question *question = gw_calloc(1, sizeof(*question));
    *question = (struct question){done, arg};
    follow_resolv_conf(resolver);
    ares_getaddrinfo(resolver->channel, host, NULL, &hints, on_found, question);
    arm(resolver);
}

struct asked {
    void (*done)(void *arg, enum dp_resolver_answer answer);
    void *arg;
    bool v4;
};

/* An answer may be an alias of nothing. */
static int count_addresses(const unsigned char *message, int len, bool v4, int *ret_count)
{
    struct ares_addrttl of_v4[DP_ENDPOINT_ADDRESSES_MAX];
    struct ares_addr6ttl of_v6[DP_ENDPOINT_ADDRESSES_MAX];
    *ret_count = DP_ENDPOINT_ADDRESSES_MAX;
    return v4 ? ares_parse_a_reply(message, len, NULL, of_v4, ret_count)
              : ares_parse_aaaa_reply(message, len, NULL, of_v6, ret_count);
}

static void on_asked(void *arg, int status, int timeouts, unsigned char *message, int len)
{
    (void)timeouts;
    struct asked *asked = arg;
    enum dp_resolver_answer answer = DP_RESOLVER_UNKNOWN;
    int count = 0;
    if (status == ARES_SUCCESS)
        status = count_addresses(message, len, asked->v4, &count);
    if (status == ARES_SUCCESS)
        answer = count > 0 ? DP_RESOLVER_SOME : DP_RESOLVER_NONE;
    else if (status == ARES_ENODATA || status == ARES_ENOTFOUND)
        answer = DP_RESOLVER_NONE;
    else if (is_cancelled(status))
        answer = DP_RESOLVER_CANCELLED;
    asked->done(asked->arg, answer);
    free(asked);
}

void dp_resolver_ask(struct dp_resolver *resolver, const char *name, bool v4,
                     void (*done)(void *arg, enum dp_resolver_answer answer), void *arg)
{
    struct asked *asked = gw_calloc(1, sizeof(*asked));
    *asked = (struct asked){done, arg, v4};
    ares_query(resolver->channel, name, ns_c_in, v4 ? ns_t_a : ns_t_aaaa, on_asked, asked);
    arm(resolver);
}
