/* SPDX-License-Identifier: Apache-2.0 */
/* A backend's side of a session of HTTP/2 over a real socket: whatever it says, each call ends
 * once, is told nothing afterwards, and nothing of the connection is left. Input: flags (1: without
 * our SETTINGS, 2: the answers are not read, 4: the connection is reset at the end, 8: the first
 * call asks for a tunnel), cut (two bytes), then frames; requests are on streams 1 and 3. */
#include "dataplane/upstream/endpoint.h"
#include "dataplane/upstream/upstream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 50
#define CALLS 2
#define BODY_BYTES 1000
/* SETTINGS, with ENABLE_CONNECT_PROTOCOL, and the acknowledgement of its own. */
#define GREETING "\0\0\6\4\0\0\0\0\0\0\10\0\0\0\1\0\0\0\4\1\0\0\0\0"

struct caller {
    struct dp_upstream_call call;
    struct dp_upstream_request request;
    struct dp_headers headers;
    struct gw_arena arena;
    bool reads, has_head, ended, sent;
};

static struct dp_loop loop;
static struct dp_upstreams *upstreams;
static struct dp_member member;
static _Atomic uint64_t cursor;
static struct dp_channel channel = {
    .members = &member, .member_count = 1, .cursor = &cursor, .name = {"fuzz", 4}};
static struct caller callers[CALLS];
static int listener;

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static struct caller *caller_of(struct dp_upstream_call *call)
{
    struct caller *caller = gw_container_of(call, struct caller, call);
    expect(!caller->ended, "nothing is told after the end");
    return caller;
}

static void on_want(struct dp_upstream_call *call, bool on)
{
    static const char body[BODY_BYTES];
    struct caller *caller = caller_of(call);
    if (!on || caller->sent)
        return;
    caller->sent = true;
    dp_upstream_send_body(call, gw_str_n(body, BODY_BYTES), true, NULL);
}

static void on_head(struct dp_upstream_call *call)
{
    struct caller *caller = caller_of(call);
    expect(!caller->has_head, "one head");
    expect(call->head.status >= 200 && call->head.status <= 599, "a final status");
    for (unsigned i = 0; i < call->head.headers.count; i++)
        expect(
            dp_header_is_valid(call->head.headers.items[i].name, call->head.headers.items[i].value),
            "fields that can be written");
    caller->has_head = true;
    if (caller->reads)
        dp_upstream_read_body(call, true);
}

static void on_body(struct dp_upstream_call *call, gw_str data, bool last)
{
    struct caller *caller = caller_of(call);
    expect(caller->has_head && (last || data.len > 0), "a body behind its head");
    caller->ended = last && !dp_upstream_is_half_open(call);
}

static void on_failed(struct dp_upstream_call *call, enum dp_upstream_failure failure)
{
    (void)failure;
    caller_of(call)->ended = true;
}

static void on_closed(struct dp_upstream_call *call)
{
    struct caller *caller = caller_of(call);
    expect(caller->has_head && dp_upstream_is_half_open(call), "half a tunnel");
    caller->ended = true;
}

static const struct dp_upstream_events events = {.want_body = on_want,
                                                 .head = on_head,
                                                 .body = on_body,
                                                 .failed = on_failed,
                                                 .closed = on_closed};

static void set_up(void)
{
    static bool done;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    struct gw_error err = GW_ERROR_NONE;
    if (done)
        return;
    done = true;
    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    expect(bind(listener, (struct sockaddr *)&in, len) == 0 && listen(listener, 8) == 0 &&
               getsockname(listener, (struct sockaddr *)&in, &len) == 0,
           "a listener");
    expect(dp_loop_init(&loop) == 0, "a loop");
    struct dp_upstreams_options options = {.loop = &loop};
    expect(dp_upstreams_new(&options, &upstreams, &err) == 0, "upstreams");
    struct dp_endpoints *endpoints = dp_endpoints_new(1);
    member.endpoint = dp_endpoint_get(endpoints, GW_STR("127.0.0.1"), ntohs(in.sin_port));
    member.weight = 1;
}

static void start(struct caller *caller, unsigned index, unsigned flags)
{
    enum dp_method method = index == 0 ? DP_METHOD_GET : DP_METHOD_POST;
    memset(caller, 0, sizeof(*caller));
    gw_arena_init(&caller->arena, 0);
    dp_headers_init(&caller->headers, &caller->arena);
    caller->reads = !(flags & 2);
    caller->request = (struct dp_upstream_request){
        .channel = &channel,
        .http2 = true,
        .method = method,
        .line = {.method = dp_method_name(method), .target = GW_STR("/")},
        .headers = &caller->headers,
        .framing = {.kind = index == 0 ? DP_BODY_NONE : DP_BODY_CHUNKED,
                    .upgrade = index == 0 && (flags & 8)},
        .timeout_ms = 60000,
    };
    dp_upstream_start(upstreams, &caller->call, &caller->request, &events, &caller->arena);
}

static void turn(int fd)
{
    static char sink[64 * 1024];
    for (int i = 0; i < 4; i++) {
        ev_run(loop.ev, EVRUN_NOWAIT);
        while (fd >= 0 && recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0) {
        }
    }
}

static void say(int fd, const char *bytes, size_t len)
{
    ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)n; /* as much as it takes */
    turn(fd);
}

/* Reset rather than closed: a port that waits for nothing can be used again. */
static void hang_up(int fd, bool is_reset)
{
    struct linger linger = {.l_onoff = 1};
    if (!is_reset)
        shutdown(fd, SHUT_WR);
    turn(fd);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

static bool is_open(void)
{
    return dp_upstreams_stats(upstreams)->open > 0;
}

/* What goes on with a new connection gets none. */
static void refuse_more(void)
{
    struct linger linger = {.l_onoff = 1};
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
    }
}

static void end_all(void)
{
    for (int i = 0; i < TURNS_MAX && is_open(); i++) {
        ev_run(loop.ev, EVRUN_NOWAIT);
        refuse_more();
    }
    for (unsigned i = 0; i < CALLS; i++) {
        dp_upstream_cancel(&callers[i].call);
        gw_arena_done(&callers[i].arena);
    }
    dp_loop_settle(&loop);
    for (int i = 0; i < TURNS_MAX && is_open(); i++) {
        ev_run(loop.ev, EVRUN_NOWAIT);
        refuse_more();
    }
    expect(!is_open(), "no connection is left");
    expect(dp_upstreams_stats(upstreams)->h2_streams == 0, "no stream is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 3)
        return 0;
    set_up();
    const char *bytes = (const char *)input + 3;
    size_t len = size - 3, cut = (size_t)(input[1] << 8 | input[2]) % (len + 1);
    for (unsigned i = 0; i < CALLS; i++)
        start(&callers[i], i, input[0]);
    dp_loop_settle(&loop);
    int fd = accept(listener, NULL, NULL);
    expect(fd >= 0, "a connection");
    turn(fd);
    if (!(input[0] & 1))
        say(fd, GREETING, sizeof(GREETING) - 1);
    say(fd, bytes, cut);
    say(fd, bytes + cut, len - cut);
    hang_up(fd, input[0] & 4);
    end_all();
    return 0;
}
