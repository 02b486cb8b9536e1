/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's session of HTTP/2 over a real socket: whatever comes, each request that began ends
 * once, nothing is told of it afterwards, and nothing of the connection is left. Input: flags (1:
 * nothing is read of what the session says, 2: without our preface, 4: the caller leaves before the
 * loop turns), cut (two bytes), then frames. The last letter of a path says how its request is
 * answered. */
#include "dataplane/downstream/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_BYTES (200 * 1024)
#define TURNS_MAX 200
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"

struct request {
    struct dp_downstream *downstream;
    struct dp_request_head own_head;
    struct gw_arena arena;
    uint64_t left; /* of a long answer */
    bool has_head, answered;
};

static struct dp_loop loop;
static struct dp_server server;
static int alive;
static char filler[16 * 1024];

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void end(struct request *request)
{
    gw_arena_done(&request->arena);
    free(request);
    alive--;
}

static void *on_begin(struct dp_downstream *downstream, struct dp_request_head **ret_head,
                      struct gw_arena **ret_arena)
{
    struct request *request = gw_calloc(1, sizeof(*request));
    request->downstream = downstream;
    gw_arena_init(&request->arena, 0);
    *ret_head = &request->own_head;
    *ret_arena = &request->arena;
    alive++;
    return request;
}

static void send_head(struct request *request, unsigned status, enum dp_body_kind kind,
                      uint64_t length)
{
    struct dp_response_head head = {.status = status};
    struct dp_downstream_answer answer = {.head = &head, .kind = kind, .length = length};
    expect(!request->answered, "one answer a request");
    request->answered = true;
    dp_headers_init(&head.headers, &request->arena);
    dp_headers_add(&head.headers, GW_STR("X-Own"), GW_STR("1"));
    dp_downstream_send_head(request->downstream, &answer);
}

static void send_more(struct request *request)
{
    while (request->left > 0 && dp_downstream_pending(request->downstream) < DP_CONN_HIGH_WATER) {
        size_t len = GW_MIN(request->left, sizeof(filler));
        request->left -= len;
        dp_downstream_send_body(request->downstream, gw_str_n(filler, len));
        if (request->left == 0)
            dp_downstream_send_end(request->downstream, NULL);
    }
}

static void send_trailers(struct request *request)
{
    struct dp_headers trailers;
    dp_headers_init(&trailers, &request->arena);
    dp_headers_add(&trailers, GW_STR("X-Sum"), GW_STR("1"));
    send_head(request, 200, DP_BODY_CHUNKED, 0);
    dp_downstream_send_body(request->downstream, GW_STR("body"));
    dp_downstream_send_end(request->downstream, &trailers);
}

static void on_head(void *arg)
{
    struct request *request = arg;
    gw_str path = request->own_head.path;
    expect(!request->has_head && path.len > 0 &&
               (request->own_head.host.len > 0 || request->own_head.major == 1),
           "a whole head");
    request->has_head = true;
    switch (path.ptr[path.len - 1]) {
    case 'e': /* echo */
        send_head(request, 200, DP_BODY_CHUNKED, 0);
        dp_downstream_read_body(request->downstream, true);
        return;
    case 'l': /* long */
        request->left = LONG_BYTES;
        send_head(request, 200, DP_BODY_LENGTH, LONG_BYTES);
        send_more(request);
        return;
    case 't':
        send_trailers(request);
        return;
    case 'a': /* cut */
        send_head(request, 200, DP_BODY_LENGTH, 10);
        dp_downstream_send_body(request->downstream, GW_STR("cut"));
        dp_downstream_abort(request->downstream);
        end(request);
        return;
    case 'n': /* never */
        dp_downstream_read_body(request->downstream, true);
        dp_downstream_read_body(request->downstream, false);
        return;
    default:
        send_head(request, 204, DP_BODY_NONE, 0);
        dp_downstream_send_end(request->downstream, NULL);
        return;
    }
}

static void on_body(void *arg, gw_str data, bool last)
{
    struct request *request = arg;
    expect(request->has_head, "a head before its body");
    dp_downstream_send_body(request->downstream, data);
    if (last)
        dp_downstream_send_end(request->downstream, dp_downstream_trailers(request->downstream));
}

static void on_fault(void *arg, enum dp_downstream_fault fault, ptrdiff_t error)
{
    struct request *request = arg;
    (void)error;
    if (fault == DP_FAULT_GONE) {
        end(request);
    } else if (request->answered) {
        dp_downstream_abort(request->downstream);
        end(request);
    } else {
        send_head(request, 400, DP_BODY_LENGTH, 0);
        dp_downstream_send_end(request->downstream, NULL);
    }
}

static void on_drained(void *arg)
{
    send_more(arg);
}

static void on_sent(void *arg)
{
    struct request *request = arg;
    expect(request->answered, "an answer that was sent");
    dp_downstream_finish(request->downstream);
    end(request);
}

static const struct dp_handler handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .fault = on_fault,
    .drained = on_drained,
    .sent = on_sent,
};

static void set_up(void)
{
    static bool done;
    if (done)
        return;
    done = true;
    signal(SIGPIPE, SIG_IGN);
    expect(dp_loop_init(&loop) == 0, "a loop");
    dp_server_init(&server, &loop, &handler, NULL);
}

static void turn(int fd, bool reads)
{
    static char sink[64 * 1024];
    for (int i = 0; i < 4; i++) {
        ev_run(loop.ev, EVRUN_NOWAIT);
        while (reads && recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0) {
        }
    }
}

static void say(int fd, const char *bytes, size_t len, bool reads)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        turn(fd, reads);
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const struct dp_caller caller; /* from nowhere */
    int fds[2];
    if (size < 3)
        return 0;
    set_up();
    expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0, "two sockets");
    bool reads = !(input[0] & 1);
    const char *bytes = (const char *)input + 3;
    size_t len = size - 3, cut = (size_t)(input[1] << 8 | input[2]) % (len + 1);
    dp_server_accept(&server, fds[0], &caller, NULL);
    if (!(input[0] & 2))
        say(fds[1], PREFACE, sizeof(PREFACE) - 1, reads);
    if (input[0] & 4) {
        ssize_t n = send(fds[1], bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)n; /* as much as it takes */
    } else {
        say(fds[1], bytes, cut, reads);
        say(fds[1], bytes + cut, len - cut, reads);
        turn(fds[1], reads);
    }
    close(fds[1]);
    for (int i = 0; i < TURNS_MAX && server.count > 0; i++)
        ev_run(loop.ev, EVRUN_NOWAIT);
    dp_server_close(&server); /* who waits for a timeout */
    dp_loop_settle(&loop);
    expect(server.count == 0, "no connection is left");
    expect(alive == 0, "each request ended");
    return 0;
}
