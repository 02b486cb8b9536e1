/* SPDX-License-Identifier: Apache-2.0 */
/* Streams. Events come from the one event thread, so they never overlap; sends and finishes come
 * from any thread, under the stream's lock. The stream closes when the call is over and every batch
 * that was started has come back. */
#include "common/rpc/internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#define WAKES_AT_ONCE 16 /* each may cost a write: other events are not held up by a thousand */

struct gw_rpc_stream {
    struct gw_rpc_call *call; /* owned */
    struct gw_list link;      /* in server->streams until it closes */
    const struct gw_rpc_stream_events *events;
    void *user;
    atomic_int refs; /* one is the server's, until it closed */
    struct gw_rpc_tag opened, closed, received, sent, ended;
    grpc_byte_buffer *request; /* of the message being received */
    struct gw_list resting;    /* in server->resting; event thread only, as the next one is */
    gw_msec rested_ms;         /* since when */

    pthread_mutex_t lock;
    unsigned batches;  /* started and not come back */
    bool is_accepted;  /* on_open said yes */
    bool is_sending;   /* one message is on its way */
    bool wants_rest;   /* once its message is handled */
    bool is_resting;   /* the next message is not asked for yet */
    bool is_finishing; /* finish was called: no more sends, no more events but on_close */
    bool is_ended;     /* the status is on its way */
    bool is_over;      /* the call has ended, one way or the other: nothing may be started */
    bool is_cancelled; /* ... by the client, or by its connection */
};

void gw_rpc_stream_ref(struct gw_rpc_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
}

void gw_rpc_stream_unref(struct gw_rpc_stream *stream)
{
    if (atomic_fetch_sub(&stream->refs, 1) > 1)
        return;
    gw_rpc_call_free(stream->call);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

const struct gw_rpc_caller *gw_rpc_stream_caller(const struct gw_rpc_stream *stream)
{
    return &stream->call->caller;
}

void gw_rpc_stream_set_user(struct gw_rpc_stream *stream, void *user)
{
    stream->user = user;
}

void *gw_rpc_stream_user(const struct gw_rpc_stream *stream)
{
    return stream->user;
}

/* With the lock held. */
static void start_batch(struct gw_rpc_stream *stream, const grpc_op *op, struct gw_rpc_tag *tag)
{
    stream->batches++;
    gw_rpc_batch(stream->call->call, op, 1, tag);
}

/* With the lock held: the status, once nothing is being sent. */
static void end_when_sent(struct gw_rpc_stream *stream)
{
    if (!stream->is_finishing || stream->is_sending || stream->is_ended || stream->is_over)
        return;
    stream->is_ended = true;
    grpc_op status = gw_rpc_status_op(&stream->call->status);
    start_batch(stream, &status, &stream->ended);
}

void gw_rpc_stream_finish(struct gw_rpc_stream *stream, const struct gw_error *err)
{
    pthread_mutex_lock(&stream->lock);
    if (!stream->is_finishing && !stream->is_over) {
        stream->is_finishing = true;
        gw_rpc_status_init(&stream->call->status, err);
        end_when_sent(stream);
    }
    pthread_mutex_unlock(&stream->lock);
}

void gw_rpc_stream_abort(struct gw_rpc_stream *stream, const struct gw_error *err)
{
    gw_rpc_stream_finish(stream, err);
    pthread_mutex_lock(&stream->lock);
    if (!stream->is_over && !stream->is_ended)
        (void)grpc_call_cancel_with_status(stream->call->call, (grpc_status_code)err->code,
                                           err->message, NULL); /* on_closed follows */
    pthread_mutex_unlock(&stream->lock);
}

/* With the lock held. */
static void receive_next(struct gw_rpc_stream *stream)
{
    stream->is_resting = false;
    if (stream->is_over || stream->is_finishing)
        return;
    stream->request = NULL;
    grpc_op message = {.op = GRPC_OP_RECV_MESSAGE,
                       .data.recv_message.recv_message = &stream->request};
    start_batch(stream, &message, &stream->received);
}

/* Takes the buffer. */
static bool send_buffer(struct gw_rpc_stream *stream, grpc_byte_buffer *buffer)
{
    pthread_mutex_lock(&stream->lock);
    bool can_send = !stream->is_finishing && !stream->is_over;
    if (can_send) {
        assert(!stream->is_sending);
        stream->is_sending = true;
        grpc_op message = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};
        start_batch(stream, &message, &stream->sent);
        stream->wants_rest = false; /* it may answer */
        if (stream->is_resting)
            receive_next(stream); /* the window's update leaves with the message */
    }
    pthread_mutex_unlock(&stream->lock);
    grpc_byte_buffer_destroy(buffer);
    return can_send;
}

bool gw_rpc_stream_send(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    assert(message->descriptor == stream->call->method->reply);
    return send_buffer(stream, gw_rpc_buffer_from(message));
}

bool gw_rpc_stream_send_packed(struct gw_rpc_stream *stream, gw_str bytes)
{
    return send_buffer(stream, gw_rpc_buffer_from_packed(bytes));
}

bool gw_rpc_stream_send_shared(struct gw_rpc_stream *stream, gw_str bytes,
                               void (*release)(void *keep), void *keep)
{
    return send_buffer(stream, gw_rpc_buffer_from_shared(bytes, release, keep));
}

void gw_rpc_streams_drain(struct gw_rpc_server *server)
{
    struct gw_error err;
    (void)gw_fail(&err, GW_UNAVAILABLE, "draining");
    gw_list_each(&server->streams, it)
        gw_rpc_stream_finish(gw_container_of(it, struct gw_rpc_stream, link), &err);
}

static void close_stream(struct gw_rpc_stream *stream)
{
    struct gw_rpc_server *server = stream->call->server;
    gw_list_remove(&stream->resting);
    pthread_mutex_lock(&server->lock);
    gw_list_remove(&stream->link);
    pthread_mutex_unlock(&server->lock);
    if (stream->is_accepted)
        stream->events->on_close(stream);
    gw_rpc_call_release(stream->call);
    gw_rpc_stream_unref(stream);
}

/* Every batch's last step. Closes the stream with the last one; the stream may be gone then. */
static void leave_batch(struct gw_rpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool is_last = --stream->batches == 0 && stream->is_over;
    pthread_mutex_unlock(&stream->lock);
    if (is_last)
        close_stream(stream);
}

static bool takes_events(struct gw_rpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool takes = stream->is_accepted && !stream->is_finishing && !stream->is_cancelled;
    pthread_mutex_unlock(&stream->lock);
    return takes;
}

static void deliver(struct gw_rpc_stream *stream, grpc_byte_buffer *buffer)
{
    gw_auto(gw_arena_done) struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    if (gw_rpc_buffer_unpack(buffer, &arena, stream->call->method->request, &message, &err))
        gw_rpc_stream_finish(stream, &err);
    else
        stream->events->on_message(stream, message);
}

void gw_rpc_stream_rest(struct gw_rpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->wants_rest = true;
    pthread_mutex_unlock(&stream->lock);
}

/* Behind a message. */
static void go_on(struct gw_rpc_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool rests = stream->is_resting = stream->wants_rest;
    stream->wants_rest = false;
    if (!rests)
        receive_next(stream);
    pthread_mutex_unlock(&stream->lock);
    gw_list_remove(&stream->resting);
    if (!rests)
        return;
    stream->rested_ms = gw_clock_monotonic_ms();
    gw_list_push(&stream->call->server->resting, &stream->resting);
}

gw_msec gw_rpc_streams_wake(struct gw_rpc_server *server)
{
    for (unsigned i = 0; !gw_list_is_empty(&server->resting); i++) {
        struct gw_rpc_stream *stream =
            gw_container_of(server->resting.next, struct gw_rpc_stream, resting);
        gw_msec due_ms = stream->rested_ms + GW_RPC_REST_MS;
        if (i == WAKES_AT_ONCE || due_ms > gw_clock_monotonic_ms())
            return due_ms;
        gw_list_remove(&stream->resting);
        pthread_mutex_lock(&stream->lock);
        if (stream->is_resting)
            receive_next(stream);
        pthread_mutex_unlock(&stream->lock);
    }
    return INT64_MAX;
}

static void on_received(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok; /* no message then, either */
    struct gw_rpc_stream *stream = gw_container_of(tag, struct gw_rpc_stream, received);
    grpc_byte_buffer *buffer = stream->request;
    bool takes = takes_events(stream);
    if (buffer && takes) {
        deliver(stream, buffer);
        go_on(stream);
    } else if (buffer) {
        grpc_byte_buffer_destroy(buffer);
    } else if (takes) {
        stream->events->on_half_close(stream);
    }
    leave_batch(stream);
}

static void on_sent(struct gw_rpc_tag *tag, bool ok)
{
    struct gw_rpc_stream *stream = gw_container_of(tag, struct gw_rpc_stream, sent);
    pthread_mutex_lock(&stream->lock);
    stream->is_sending = false;
    end_when_sent(stream);
    pthread_mutex_unlock(&stream->lock);
    if (ok && takes_events(stream))
        stream->events->on_writable(stream);
    leave_batch(stream);
}

static void on_ended(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    leave_batch(gw_container_of(tag, struct gw_rpc_stream, ended));
}

static void on_closed(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    struct gw_rpc_stream *stream = gw_container_of(tag, struct gw_rpc_stream, closed);
    pthread_mutex_lock(&stream->lock);
    stream->is_over = true;
    stream->is_cancelled = stream->call->cancelled;
    pthread_mutex_unlock(&stream->lock);
    leave_batch(stream);
}

/* The headers are on their way to the client: it can tell "connected" from "connecting". */
static void on_opened(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    leave_batch(gw_container_of(tag, struct gw_rpc_stream, opened));
}

/* In the list before on_open, so that a drain that begins meanwhile finds it. */
static void enlist(struct gw_rpc_stream *stream)
{
    struct gw_rpc_server *server = stream->call->server;
    pthread_mutex_lock(&server->lock);
    gw_list_push(&server->streams, &stream->link);
    bool stopping = server->stopping;
    pthread_mutex_unlock(&server->lock);
    if (!stopping)
        return;
    struct gw_error err;
    (void)gw_fail(&err, GW_UNAVAILABLE, "draining");
    gw_rpc_stream_finish(stream, &err);
}

static void open_stream(struct gw_rpc_stream *stream)
{
    struct gw_error err = GW_ERROR_NONE;
    if (stream->events->on_open(stream->call->method->context, stream, &err)) {
        gw_rpc_stream_finish(stream, &err);
        return;
    }
    pthread_mutex_lock(&stream->lock);
    stream->is_accepted = true;
    receive_next(stream);
    pthread_mutex_unlock(&stream->lock);
}

void gw_rpc_stream_start(struct gw_rpc_call *call)
{
    struct gw_rpc_stream *stream = gw_calloc(1, sizeof(*stream));
    stream->call = call;
    stream->events = call->method->stream;
    stream->opened.on_event = on_opened;
    stream->closed.on_event = on_closed;
    stream->received.on_event = on_received;
    stream->sent.on_event = on_sent;
    stream->ended.on_event = on_ended;
    pthread_mutex_init(&stream->lock, NULL);
    gw_list_init(&stream->link);
    gw_list_init(&stream->resting);
    atomic_init(&stream->refs, 1);
    grpc_op closed = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                      .data.recv_close_on_server.cancelled = &call->cancelled};
    grpc_op headers = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    pthread_mutex_lock(&stream->lock);
    start_batch(stream, &closed, &stream->closed);
    start_batch(stream, &headers, &stream->opened);
    pthread_mutex_unlock(&stream->lock);
    enlist(stream);
    open_stream(stream);
}
