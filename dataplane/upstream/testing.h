/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * A backend on a thread of its own that does with raw sockets what its script says, and a caller on
 * a loop. Every blocking call of a script gives up after PATIENCE_S, and the case fails. */
#ifndef DP_UPSTREAM_TESTING_H
#define DP_UPSTREAM_TESTING_H

#include "common/test.h"
#include "dataplane/upstream/h1_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 20

/* ---- backend */

struct backend {
    void (*script)(struct backend *);
    void *arg;
    int listener, fd; /* fd: the connection that was accepted last; -1: none */
    uint16_t port;
    pthread_t thread;
    struct gw_buf seen;   /* of the request that was read last */
    atomic_uint requests; /* heads read */
    atomic_uint step;     /* for the test to wait for the script, and the other way round */
    atomic_bool gave_up;
    const char *why;
    SSL_CTX *tls; /* borrowed; NULL: plain */
    SSL *ssl;     /* of fd */
};

static inline void give_up(struct backend *b, const char *why)
{
    b->why = why;
    atomic_store(&b->gave_up, true);
}

static inline void set_patience(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static inline int listen_anywhere(uint16_t *ret_port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) != 0)
        abort();
    set_patience(fd);
    *ret_port = ntohs(in.sin_port);
    return fd;
}

/* A port where nobody listens. */
static inline uint16_t refusing_port(void)
{
    uint16_t port;
    close(listen_anywhere(&port));
    return port;
}

/* Without the end that TLS announces: see backend_shutdown. */
static inline void backend_close(struct backend *b)
{
    SSL_free(b->ssl);
    b->ssl = NULL;
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

static inline void backend_reset(struct backend *b)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(b->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    backend_close(b);
}

static inline void backend_accept(struct backend *b)
{
    backend_close(b);
    b->fd = accept(b->listener, NULL, NULL);
    if (b->fd < 0)
        give_up(b, "accept");
    else
        set_patience(b->fd);
    if (b->fd < 0 || !b->tls)
        return;
    b->ssl = SSL_new(b->tls);
    SSL_set_fd(b->ssl, b->fd);
    (void)SSL_accept(b->ssl); /* a case may want it to fail: reading fails then */
    ERR_clear_error();
}

static inline void backend_shutdown(struct backend *b)
{
    (void)SSL_shutdown(b->ssl); /* the other side's is not waited for */
    backend_close(b);
}

/* One read more; false at the end. */
static inline bool backend_more(struct backend *b)
{
    if (gw_buf_reserve(&b->seen, 65536) < 0)
        abort();
    ssize_t n = b->ssl ? SSL_read(b->ssl, b->seen.data + b->seen.end, 65536)
                       : read(b->fd, b->seen.data + b->seen.end, 65536);
    ERR_clear_error();
    if (n > 0)
        gw_buf_commit(&b->seen, (size_t)n);
    return n > 0;
}

static inline bool seen_has(const struct backend *b, const char *text)
{
    gw_str view = gw_buf_view(&b->seen);
    return view.len > 0 && memmem(view.ptr, view.len, text, strlen(text)) != NULL;
}

static inline void backend_read_until(struct backend *b, const char *text)
{
    while (!seen_has(b, text)) {
        if (!backend_more(b)) {
            give_up(b, text);
            return;
        }
    }
}

/* The next request's head on the connection. */
static inline void backend_read_head(struct backend *b)
{
    gw_buf_clear(&b->seen);
    backend_read_until(b, "\r\n\r\n");
    atomic_fetch_add(&b->requests, 1);
}

static inline void backend_read_bytes(struct backend *b, size_t total)
{
    while (gw_buf_len(&b->seen) < total) {
        if (!backend_more(b)) {
            give_up(b, "body");
            return;
        }
    }
}

/* Waits for the caller to close. */
static inline void backend_read_end(struct backend *b)
{
    while (backend_more(b)) {
    }
}

static inline void backend_write(struct backend *b, gw_str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = b->ssl ? SSL_write(b->ssl, bytes.ptr, (int)bytes.len)
                           : send(b->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0) {
            give_up(b, "write");
            return;
        }
        bytes = gw_str_n(bytes.ptr + n, bytes.len - (size_t)n);
    }
}

static inline void backend_say(struct backend *b, const char *text)
{
    backend_write(b, gw_str_from(text));
}

static inline void backend_wait(struct backend *b, unsigned step)
{
    for (int i = 0; i < PATIENCE_S * 1000 && atomic_load(&b->step) < step; i++)
        usleep(1000);
    if (atomic_load(&b->step) < step)
        give_up(b, "step");
}

static inline void *backend_run(void *arg)
{
    struct backend *b = arg;
    b->script(b);
    backend_close(b);
    return NULL;
}

static inline void backend_start_tls(struct backend *b, void (*script)(struct backend *),
                                     SSL_CTX *tls)
{
    *b = (struct backend){.script = script, .fd = -1, .tls = tls};
    b->listener = listen_anywhere(&b->port);
    gw_buf_init(&b->seen, 0);
    pthread_create(&b->thread, NULL, backend_run, b);
}

static inline void backend_start(struct backend *b, void (*script)(struct backend *))
{
    backend_start_tls(b, script, NULL);
}

/* What it has seen stays readable until backend_done. */
static inline void backend_join(struct backend *b)
{
    pthread_join(b->thread, NULL);
    close(b->listener);
    if (atomic_load(&b->gave_up))
        fail_msg("the backend waited in vain: %s", b->why);
}

static inline void backend_done(struct backend *b)
{
    gw_buf_done(&b->seen);
}

/* ---- caller */

#define MEMBERS_MAX 4

struct bench {
    struct dp_loop loop;
    struct dp_endpoints *endpoints;
    struct dp_upstreams *upstreams;
    struct dp_member members[MEMBERS_MAX];
    _Atomic uint64_t cursor;
    struct dp_channel channel;
    ev_timer watchdog, tick;
    bool (*until)(void *);
    void *until_arg;
};

struct caller {
    struct dp_upstream_call call;
    struct dp_upstream_request request;
    struct dp_headers headers;
    struct gw_arena arena;
    struct gw_buf body;
    struct bench *bench;
    unsigned status, heads, ends;
    int failure;       /* -1: none */
    bool wants;        /* the backend's side wants the request's body */
    size_t to_send;    /* of a body of 'x', from want_body */
    size_t sent, most; /* most: ever waiting in the link's output */
    bool manual;       /* the test reads the answer's body itself */
    bool cancel_in_head, cancel_in_body, cancel_in_want;
};

static inline void on_watchdog(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    print_error("nothing happened for %d s\n", PATIENCE_S);
    ev_break(ev, EVBREAK_ALL);
}

static inline void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)events;
    struct bench *bench = gw_container_of(timer, struct bench, tick);
    if (bench->until && bench->until(bench->until_arg))
        ev_break(ev, EVBREAK_ALL);
}

static inline void bench_init(struct bench *bench, struct dp_upstreams_options options)
{
    struct gw_error err = GW_ERROR_NONE;
    memset(bench, 0, sizeof(*bench));
    signal(SIGPIPE, SIG_IGN); /* as in the agent */
    assert_int_equal(dp_loop_init(&bench->loop), 0);
    options.loop = &bench->loop;
    bench->endpoints = dp_endpoints_new(1);
    /* Nobody listens there: what is not in /etc/hosts is not found. */
    struct dp_resolver_options names = {.loop = &bench->loop, .servers = "127.0.0.1:1"};
    if (dp_endpoints_resolve(bench->endpoints, &names, &err) != 0)
        fail_msg("%s", err.message);
    if (dp_upstreams_new(&options, &bench->upstreams, &err) != 0)
        fail_msg("%s", err.message);
    bench->channel = (struct dp_channel){
        .name = GW_STR("test"), .members = bench->members, .cursor = &bench->cursor};
    ev_timer_init(&bench->tick, on_tick, 0.001, 0.001);
}

static inline void bench_member(struct bench *bench, const char *host, uint16_t port)
{
    struct dp_endpoint *endpoint = dp_endpoint_get(bench->endpoints, gw_str_from(host), port);
    bench->members[bench->channel.member_count++] =
        (struct dp_member){.endpoint = endpoint, .weight = 1};
}

static inline void bench_done(struct bench *bench)
{
    dp_upstreams_free(bench->upstreams);
    for (unsigned i = 0; i < bench->channel.member_count; i++)
        dp_endpoint_unref(bench->members[i].endpoint);
    dp_endpoints_free(bench->endpoints); /* asserts that no reference is left */
    dp_loop_done(&bench->loop);
}

/* Runs the loop until it is so. */
static inline void bench_until(struct bench *bench, bool (*until)(void *), void *arg)
{
    bench->until = until;
    bench->until_arg = arg;
    ev_timer_init(&bench->watchdog, on_watchdog, PATIENCE_S, 0.);
    ev_now_update(bench->loop.ev);
    ev_timer_start(bench->loop.ev, &bench->watchdog);
    ev_timer_start(bench->loop.ev, &bench->tick);
    dp_loop_run(&bench->loop);
    ev_timer_stop(bench->loop.ev, &bench->watchdog);
    ev_timer_stop(bench->loop.ev, &bench->tick);
    bench->until = NULL;
    assert_true(until(arg));
}

static inline const struct dp_upstreams_stats *stats_of(struct bench *bench)
{
    return dp_upstreams_stats(bench->upstreams);
}

static inline struct caller *caller_of(struct dp_upstream_call *call)
{
    return gw_container_of(call, struct caller, call);
}

#define PUSH_BYTES (32 * 1024)

static inline void push_body(struct caller *c)
{
    static char block[PUSH_BYTES];
    memset(block, 'x', sizeof(block));
    if (c->wants && c->sent < c->to_send && c->ends == 0) {
        size_t n = GW_MIN(sizeof(block), c->to_send - c->sent);
        c->sent += n;
        dp_upstream_send_body(&c->call, gw_str_n(block, n), c->sent == c->to_send, NULL);
        if (c->call.link)
            c->most = GW_MAX(c->most, c->call.link->ops->pending(c->call.link));
    }
}

static inline void on_want(struct dp_upstream_call *call, bool on)
{
    struct caller *c = caller_of(call);
    assert_int_equal(c->ends, 0);
    assert_true(c->wants != on);
    c->wants = on;
    if (on && c->cancel_in_want) {
        dp_upstream_cancel(call);
        c->ends++;
    }
}

static inline void on_head(struct dp_upstream_call *call)
{
    struct caller *c = caller_of(call);
    assert_int_equal(c->ends, 0);
    c->heads++;
    c->status = call->head.status;
    if (c->cancel_in_head) {
        dp_upstream_cancel(call);
        c->ends++;
    } else if (!c->manual) {
        dp_upstream_read_body(call, true);
    }
}

static inline void on_body(struct dp_upstream_call *call, gw_str data, bool last)
{
    struct caller *c = caller_of(call);
    assert_int_equal(c->heads, 1);
    assert_int_equal(c->ends, 0);
    assert_true(last || data.len > 0);
    assert_int_equal(gw_buf_append(&c->body, data), 0);
    if (last && !call->answer_complete) { /* a tunnel's other way may be open yet */
        c->wants = false;
        c->ends++;
    }
    if (c->cancel_in_body) {
        dp_upstream_cancel(call);
        c->ends++;
    }
}

static inline void on_call_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    struct caller *c = caller_of(call);
    assert_int_equal(c->ends, 0);
    c->failure = (int)failure;
    c->wants = false;
    c->ends++;
}

/* Of a tunnel: its other way has ended before. */
static inline void on_closed(struct dp_upstream_call *call)
{
    struct caller *c = caller_of(call);
    assert_int_equal(c->ends, 0);
    c->wants = false;
    c->ends++;
}

static const struct dp_upstream_events caller_events = {
    .want_body = on_want,
    .head = on_head,
    .body = on_body,
    .failed = on_call_failed,
    .closed = on_closed,
};

static inline void caller_init(struct caller *c, struct bench *bench, enum dp_method method)
{
    memset(c, 0, sizeof(*c));
    gw_arena_init(&c->arena, 0);
    gw_buf_init(&c->body, 0);
    c->bench = bench;
    c->failure = -1;
    dp_headers_init(&c->headers, &c->arena);
    c->request = (struct dp_upstream_request){
        .channel = &bench->channel,
        .method = method,
        .line = {.method = dp_method_name(method), .target = GW_STR("/")},
        .headers = &c->headers,
        .framing = {.kind = DP_BODY_NONE},
        .timeout_ms = PATIENCE_S * 1000,
        .retry_count = -1,
    };
}

static inline void caller_body(struct caller *c, size_t bytes, enum dp_body_kind kind)
{
    c->to_send = bytes;
    c->request.framing = (struct dp_h1_framing){.kind = kind, .length = bytes};
}

static inline void caller_start(struct caller *c)
{
    dp_upstream_start(c->bench->upstreams, &c->call, &c->request, &caller_events, &c->arena);
    assert_int_equal(c->heads + c->ends, 0);
}

static inline bool caller_has_ended(void *arg)
{
    struct caller *c = arg;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->ends > 0;
}

static inline bool caller_has_head(void *arg)
{
    struct caller *c = arg;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->heads > 0;
}

static inline void caller_finish(struct caller *c)
{
    bench_until(c->bench, caller_has_ended, c);
    assert_int_equal(c->ends, 1);
}

static inline void caller_run(struct caller *c)
{
    caller_start(c);
    caller_finish(c);
}

static inline void caller_done(struct caller *c)
{
    gw_arena_done(&c->arena);
    gw_buf_done(&c->body);
}

/* A GET from start to end; the body must be as said. */
static inline void get_ok(struct bench *bench, const char *body)
{
    struct caller c;
    caller_init(&c, bench, DP_METHOD_GET);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 200);
    assert_str(gw_buf_view(&c.body), body);
    caller_done(&c);
}

/* A GET that must fail. */
static inline void get_fails(struct bench *bench, enum dp_upstream_failure failure, unsigned heads)
{
    struct caller c;
    caller_init(&c, bench, DP_METHOD_GET);
    caller_run(&c);
    assert_int_equal(c.failure, failure);
    assert_int_equal(c.heads, heads);
    caller_done(&c);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static inline void run_with(struct bench *bench, struct backend *b,
                            void (*script)(struct backend *))
{
    bench_init(bench, (struct dp_upstreams_options){0});
    backend_start(b, script);
    bench_member(bench, "127.0.0.1", b->port);
}

static inline void bench_end(struct bench *bench, struct backend *b)
{
    assert_int_equal(stats_of(bench)->open, stats_of(bench)->idle);
    bench_done(bench);
    backend_join(b);
    backend_done(b);
}

static inline bool nothing_is_idle(void *arg)
{
    return stats_of(arg)->idle == 0;
}

#endif
