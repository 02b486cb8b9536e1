/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/debug_call.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/message.h"
#include "dataplane/http/h1_body.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is read of an answer: the body, its chunk heads at the worst that is likely, the head. */
#define RAW_BYTES_MAX (DP_DEBUG_BODY_BYTES_MAX + 512 * 1024)
#define READ_BYTES (64 * 1024)

typedef Penstock__Agent__V1__DebugCall debug_call;
typedef Penstock__Agent__V1__DebugReply debug_reply;

/* One at a time of: writing, reading, over. */
struct call {
    struct dp_debug_calls *calls;
    struct gw_list node;
    uint64_t id;
    int fd; /* our end */
    ev_io io;
    ev_timer timer;
    struct gw_buf request; /* what has not been written yet */
    struct gw_buf answer;
    gw_nsec begin_ns, head_ns; /* head: 0 until its first bytes have come */
    bool is_head;              /* the answer has no body, whatever its head says */
    bool truncated;
};

struct dp_debug_calls {
    struct ev_loop *loop;
    const struct dp_compile_env *env;
    const struct dp_debug_events *events;
    void *user;
    struct gw_list calls; /* of call.node */
    unsigned count;
};

static void reply(const struct dp_debug_calls *calls, struct gw_arena *arena, debug_reply *body)
{
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_DEBUG_REPLY;
    message.debug_reply = body;
    calls->events->reply(calls->user, gw_message_pack(arena, &message.base));
}

#define FAILURE(name) PENSTOCK__AGENT__V1__DEBUG_FAILURE__DEBUG_FAILURE_##name

static void reply_failure(const struct dp_debug_calls *calls, uint64_t id,
                          Penstock__Agent__V1__DebugFailure kind, const char *why)
{
    struct gw_arena arena = {0};
    debug_reply body = PENSTOCK__AGENT__V1__DEBUG_REPLY__INIT;
    body.id = id;
    body.failure_kind = kind;
    body.failure = (char *)(uintptr_t)why;
    reply(calls, &arena, &body);
    gw_arena_done(&arena);
}

static void end(struct call *call)
{
    ev_io_stop(call->calls->loop, &call->io);
    ev_timer_stop(call->calls->loop, &call->timer);
    close(call->fd);
    gw_buf_done(&call->request);
    gw_buf_done(&call->answer);
    gw_list_remove(&call->node);
    call->calls->count--;
    free(call);
}

/* ---- the answer */

/* Behind interim answers, which say nothing of it; how many bytes, or an error of the parser. */
static ptrdiff_t parse_head(const struct call *call, struct gw_arena *arena,
                            struct dp_response_head *head, struct dp_h1_framing *framing)
{
    gw_str bytes = gw_buf_view(&call->answer);
    ptrdiff_t begin = 0, n;
    do {
        struct dp_h1_parser parser;
        dp_h1_parser_init(&parser, &dp_h1_limits_default, arena);
        n = dp_h1_parse_response(&parser, gw_str_n(bytes.ptr + begin, bytes.len - (size_t)begin),
                                 call->is_head ? DP_METHOD_HEAD : DP_METHOD_OTHER, head, framing);
        begin += GW_MAX(n, 0);
    } while (n > 0 && head->status < 200);
    return n > 0 ? begin : n;
}

static char *put(char *at, gw_str text)
{
    if (text.len > 0)
        memcpy(at, text.ptr, text.len);
    return at + text.len;
}

static ProtobufCBinaryData pack_fields(const struct dp_headers *headers, struct gw_arena *arena)
{
    size_t most = 1;
    for (unsigned i = 0; i < headers->count; i++)
        most += headers->items[i].name.len + headers->items[i].value.len + sizeof(": \r\n") - 1;
    char *text = gw_arena_bytes(arena, most), *at = text;
    for (unsigned i = 0; i < headers->count; i++) {
        const struct dp_header *field = &headers->items[i];
        if (field->id == DP_HEADER_CONNECTION || field->id == DP_HEADER_TRANSFER_ENCODING)
            continue;
        at = put(put(at, field->name), GW_STR(": "));
        at = put(put(at, field->value), GW_STR("\r\n"));
    }
    return (ProtobufCBinaryData){(size_t)(at - text), (uint8_t *)text};
}

/* What there is of it, without its framing; *cut: it has not come whole. */
static ProtobufCBinaryData read_body(gw_str bytes, const struct dp_h1_framing *framing,
                                     struct gw_arena *arena, bool *ret_cut)
{
    struct dp_h1_body body;
    size_t len = 0;
    char *data = gw_arena_bytes(arena, GW_MAX(bytes.len, (size_t)1));
    dp_h1_body_init(&body, framing, &dp_h1_limits_default, arena);
    while (!body.done) {
        gw_str piece;
        ptrdiff_t n = dp_h1_body_next(&body, bytes, &piece);
        if (n <= 0)
            break;
        len = (size_t)(put(data + len, piece) - data);
        bytes = gw_str_n(bytes.ptr + n, bytes.len - (size_t)n);
    }
    *ret_cut = !body.done && !dp_h1_body_close(&body);
    return (ProtobufCBinaryData){len, (uint8_t *)data};
}

static uint64_t since_us(const struct call *call, gw_nsec moment_ns)
{
    return (uint64_t)((moment_ns - call->begin_ns) / 1000);
}

/* The other end has closed, or enough has come. */
static void finish(struct call *call)
{
    struct gw_arena arena = {0};
    struct dp_response_head head;
    struct dp_h1_framing framing;
    debug_reply body = PENSTOCK__AGENT__V1__DEBUG_REPLY__INIT;
    gw_str raw = gw_buf_view(&call->answer);
    ptrdiff_t n = raw.len > 0 ? parse_head(call, &arena, &head, &framing) : 0;
    body.id = call->id;
    if (n <= 0) {
        body.failure_kind = FAILURE(NO_ANSWER);
        body.failure = "the agent ended the connection without an answer";
    } else {
        bool is_cut;
        body.status = head.status;
        body.fields = pack_fields(&head.headers, &arena);
        body.body =
            read_body(gw_str_n(raw.ptr + n, raw.len - (size_t)n), &framing, &arena, &is_cut);
        body.truncated = call->truncated || body.body.len > DP_DEBUG_BODY_BYTES_MAX;
        body.body.len = GW_MIN(body.body.len, (size_t)DP_DEBUG_BODY_BYTES_MAX);
        body.head_us = since_us(call, call->head_ns);
        body.latency_us = since_us(call, gw_clock_monotonic_ns());
        if (is_cut && !body.truncated) {
            body.failure_kind = FAILURE(CUT);
            body.failure = "the answer was cut off: the backend closed or stalled in the middle";
        }
    }
    reply(call->calls, &arena, &body);
    gw_arena_done(&arena);
    end(call);
}

/* ---- the connection */

/* False: the call has ended. */
static bool read_some(struct call *call)
{
    if (gw_buf_reserve(&call->answer, READ_BYTES) < 0) {
        call->truncated = true;
        finish(call);
        return false;
    }
    ssize_t n = recv(call->fd, call->answer.data + call->answer.end, READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n > 0) {
        if (call->head_ns == 0)
            call->head_ns = gw_clock_monotonic_ns();
        gw_buf_commit(&call->answer, (size_t)n);
        return true;
    }
    finish(call);
    return false;
}

static void watch(struct call *call)
{
    int events = EV_READ | (gw_buf_len(&call->request) > 0 ? EV_WRITE : 0);
    if (ev_is_active(&call->io) && call->io.events == events)
        return;
    ev_io_stop(call->calls->loop, &call->io);
    ev_io_set(&call->io, call->fd, events);
    ev_io_start(call->calls->loop, &call->io);
}

/* An answer may come before all of the request has been read: then the rest matters to nobody. */
static void write_some(struct call *call)
{
    gw_str rest = gw_buf_view(&call->request);
    ssize_t n = rest.len ? send(call->fd, rest.ptr, rest.len, MSG_NOSIGNAL) : 0;
    if (n >= 0)
        gw_buf_consume(&call->request, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        gw_buf_clear(&call->request);
    watch(call);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    struct call *call = io->data;
    if ((events & EV_READ) && !read_some(call))
        return;
    write_some(call);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct call *call = timer->data;
    reply_failure(call->calls, call->id, FAILURE(TIMEOUT),
                  "no whole answer within the time that the call was given");
    end(call);
}

/* The pair's other end becomes a worker's. */
static int connect_to_worker(struct call *call, const debug_call *asked,
                             struct dp_snapshot *snapshot)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    call->fd = pair[0];
    call->calls->events->guest(call->calls->user, pair[1], asked->https, snapshot);
    return 0;
}

static void begin(struct dp_debug_calls *calls, const debug_call *asked,
                  struct dp_snapshot *snapshot)
{
    struct call *call = gw_calloc(1, sizeof(*call));
    call->calls = calls;
    call->id = asked->id;
    call->begin_ns = gw_clock_monotonic_ns();
    if (connect_to_worker(call, asked, snapshot) < 0) {
        free(call);
        reply_failure(calls, asked->id, FAILURE(BUSY), "the agent has no descriptors left");
        return;
    }
    gw_str request = gw_str_n((const char *)asked->request.data, asked->request.len);
    gw_buf_init(&call->request, request.len);
    gw_buf_init(&call->answer, RAW_BYTES_MAX);
    int result = gw_buf_append(&call->request, request);
    assert(result == 0); /* it has just been made for that */
    (void)result;
    call->is_head = gw_str_has_prefix(request, GW_STR("HEAD "));
    ev_init(&call->io, on_io);
    double timeout_s = GW_MIN(GW_MAX(asked->timeout_ms, 1u), DP_DEBUG_TIMEOUT_MAX_MS) / 1000.;
    ev_timer_init(&call->timer, on_timeout, timeout_s, 0.);
    call->io.data = call->timer.data = call;
    ev_now_update(calls->loop);
    ev_timer_start(calls->loop, &call->timer);
    gw_list_push(&calls->calls, &call->node);
    calls->count++;
    write_some(call);
}

/* ---- what it is answered by */

/* A snapshot of nothing but what came along; -1 with the reason. */
static int compile(const struct dp_debug_calls *calls, const debug_call *asked,
                   struct dp_snapshot **ret_snapshot, struct gw_error *err)
{
    struct dp_catalog *catalog = dp_catalog_new(calls->env);
    struct dp_update update = {.cluster_id = GW_STR("debug"),
                               .revision = 1,
                               .upserts = asked->resources,
                               .upsert_count = asked->n_resources};
    struct dp_refusals refusals;
    int result = dp_catalog_apply(catalog, &update, ret_snapshot, &refusals, err);
    if (result == 0 && refusals.count > 0) {
        result = gw_fail(err, GW_FAILED_PRECONDITION, "%s: %s", refusals.items[0].name,
                         refusals.items[0].reason);
        dp_snapshot_unref(*ret_snapshot);
    }
    dp_catalog_free(catalog);
    return result;
}

void dp_debug_calls_take(struct dp_debug_calls *calls, const debug_call *asked)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_snapshot *snapshot = NULL;
    if (calls->count >= DP_DEBUG_CALLS_MAX) {
        reply_failure(calls, asked->id, FAILURE(BUSY),
                      "the agent has 4 debug calls under way: try again");
        return;
    }
    if (asked->n_resources > 0 && compile(calls, asked, &snapshot, &err) < 0) {
        reply_failure(calls, asked->id, FAILURE(REFUSED), err.message);
        return;
    }
    begin(calls, asked, snapshot);
    dp_snapshot_unref(snapshot);
}

struct dp_debug_calls *dp_debug_calls_new(struct ev_loop *loop, const struct dp_compile_env *env,
                                          const struct dp_debug_events *events, void *user)
{
    struct dp_debug_calls *calls = gw_calloc(1, sizeof(*calls));
    *calls = (struct dp_debug_calls){.loop = loop, .env = env, .events = events, .user = user};
    gw_list_init(&calls->calls);
    return calls;
}

void dp_debug_calls_free(struct dp_debug_calls *calls)
{
    if (!calls)
        return;
    while (!gw_list_is_empty(&calls->calls))
        end(gw_container_of(calls->calls.next, struct call, node));
    free(calls);
}
