/* SPDX-License-Identifier: Apache-2.0 */
/* Calls as they come in, and unary calls: message in, handler on the pool, answer out. */
#include "common/rpc/internal.h"

#include <stdatomic.h>
#include <stdlib.h>

struct unary {
    struct gw_rpc_call *call; /* owned */
    struct gw_rpc_job job;
    struct gw_rpc_tag received, closed, answered;
    grpc_byte_buffer *request; /* owned until unpacked */
    atomic_int refs;           /* one for `closed`, one for the way from message to answer */
    atomic_bool is_gone;       /* the client does not wait any more */
};

void gw_rpc_call_release(struct gw_rpc_call *call)
{
    struct gw_rpc_server *server = call->server;
    grpc_call_unref(call->call);
    gw_rpc_status_done(&call->status);
    pthread_mutex_lock(&server->lock);
    server->open--;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

void gw_rpc_call_free(struct gw_rpc_call *call)
{
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    gw_arena_done(&call->arena);
    free(call);
}

static void on_refused(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    struct gw_rpc_call *call = gw_container_of(tag, struct gw_rpc_call, refused);
    gw_rpc_call_release(call);
    gw_rpc_call_free(call);
}

/* Answers a call that nobody has taken over. */
static void refuse(struct gw_rpc_call *call, const struct gw_error *err)
{
    gw_rpc_status_init(&call->status, err);
    call->refused.on_event = on_refused;
    grpc_op ops[] = {{.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                      .data.recv_close_on_server.cancelled = &call->cancelled},
                     {.op = GRPC_OP_SEND_INITIAL_METADATA},
                     gw_rpc_status_op(&call->status)};
    gw_rpc_batch(call->call, ops, GW_ARRAY_LEN(ops), &call->refused);
}

static int admit(struct gw_rpc_call *call, struct gw_error *err)
{
    struct gw_rpc_server *server = call->server;
    pthread_mutex_lock(&server->lock);
    bool stopping = server->stopping, full = server->open > server->call_limit;
    pthread_mutex_unlock(&server->lock);
    if (stopping)
        return gw_fail(err, GW_UNAVAILABLE, "draining");
    if (full)
        return gw_fail(err, GW_UNAVAILABLE, "more than %u calls are open", server->call_limit);
    gw_str path = gw_rpc_slice_view(&call->details.method);
    call->method = gw_map_get(&server->methods, path);
    if (!call->method)
        return gw_fail(err, GW_UNIMPLEMENTED, "no such method: %.*s", GW_STR_ARG(path));
    return 0;
}

static void on_requested(struct gw_rpc_tag *tag, bool ok)
{
    struct gw_rpc_call *call = gw_container_of(tag, struct gw_rpc_call, requested);
    struct gw_rpc_server *server = call->server;
    pthread_mutex_lock(&server->lock);
    server->armed--;
    server->open += ok;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    if (!ok) { /* the server is shut */
        gw_rpc_call_free(call);
        return;
    }
    gw_rpc_call_arm(server);
    struct gw_error err = GW_ERROR_NONE;
    if (admit(call, &err)) {
        refuse(call, &err);
        return;
    }
    gw_rpc_caller_init(&call->caller, &call->arena, call->call, call->details.deadline,
                       &call->metadata);
    if (call->method->unary)
        gw_rpc_unary_start(call);
    else
        gw_rpc_stream_start(call);
}

void gw_rpc_call_arm(struct gw_rpc_server *server)
{
    struct gw_rpc_call *call = gw_calloc(1, sizeof(*call));
    call->server = server;
    call->requested.on_event = on_requested;
    call->status.message = grpc_empty_slice();
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    gw_arena_init(&call->arena, 0);
    pthread_mutex_lock(&server->lock);
    server->armed++;
    pthread_mutex_unlock(&server->lock);
    /* On a server that is shut the tag comes back at once, not ok. */
    gw_tsan_release(&call->requested);
    grpc_call_error failed =
        grpc_server_request_call(server->core, &call->call, &call->details, &call->metadata,
                                 server->queue, server->queue, &call->requested);
    if (failed != GRPC_CALL_OK)
        gw_panic("grpc_server_request_call: %s", grpc_call_error_to_string(failed));
}

static void unary_unref(struct unary *unary)
{
    if (atomic_fetch_sub(&unary->refs, 1) > 1)
        return;
    gw_rpc_call_release(unary->call);
    gw_rpc_call_free(unary->call);
    free(unary);
}

static void on_answered(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok; /* not ok: the client is gone, and that is its affair */
    unary_unref(gw_container_of(tag, struct unary, answered));
}

/* With a reply, or with err. */
static void answer(struct unary *unary, const ProtobufCMessage *reply, const struct gw_error *err)
{
    grpc_byte_buffer *buffer = reply ? gw_rpc_buffer_from(reply) : NULL;
    struct gw_rpc_call *call = unary->call;
    gw_rpc_status_init(&call->status, err);
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, gw_rpc_status_op(&call->status)};
    size_t count = 2;
    if (buffer)
        ops[count++] =
            (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};
    unary->answered.on_event = on_answered;
    gw_rpc_batch(call->call, ops, count, &unary->answered);
    if (buffer)
        grpc_byte_buffer_destroy(buffer);
}

static int handle(struct unary *unary, struct gw_arena *arena, ProtobufCMessage **ret_reply,
                  struct gw_error *err)
{
    const struct gw_rpc_method *method = unary->call->method;
    const struct gw_rpc_caller *caller = &unary->call->caller;
    ProtobufCMessage *request;
    grpc_byte_buffer *buffer = unary->request;
    unary->request = NULL;
    if (gw_rpc_buffer_unpack(buffer, arena, method->request, &request, err))
        return -1;
    if (atomic_load(&unary->is_gone))
        return gw_fail(err, GW_CANCELLED, "the client is gone");
    if (caller->deadline_ms <= gw_clock_monotonic_ms())
        return gw_fail(err, GW_DEADLINE_EXCEEDED, "the deadline passed before the call was run");
    return method->unary(method->context, caller, arena, request, ret_reply, err);
}

/* On a pool thread. */
static void run_unary(struct gw_rpc_job *job)
{
    struct unary *unary = gw_container_of(job, struct unary, job);
    gw_auto(gw_arena_done) struct gw_arena arena;
    gw_arena_init(&arena, 0);
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *reply = NULL;
    if (handle(unary, &arena, &reply, &err)) {
        answer(unary, NULL, &err);
        return;
    }
    assert(reply && reply->descriptor == unary->call->method->reply);
    answer(unary, reply, NULL);
}

static void on_received(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok; /* no message then, either */
    struct unary *unary = gw_container_of(tag, struct unary, received);
    struct gw_error err = GW_ERROR_NONE;
    if (!unary->request) {
        (void)gw_fail(&err, GW_INVALID_ARGUMENT, "the call brought no message");
        answer(unary, NULL, &err);
    } else if (!gw_rpc_pool_submit(&unary->call->server->pool, &unary->job)) {
        grpc_byte_buffer_destroy(unary->request);
        (void)gw_fail(&err, GW_UNAVAILABLE, "too many calls at once");
        answer(unary, NULL, &err);
    }
}

static void on_closed(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    struct unary *unary = gw_container_of(tag, struct unary, closed);
    if (unary->call->cancelled)
        atomic_store(&unary->is_gone, true);
    unary_unref(unary);
}

void gw_rpc_unary_start(struct gw_rpc_call *call)
{
    struct unary *unary = gw_calloc(1, sizeof(*unary));
    unary->call = call;
    unary->job.run = run_unary;
    unary->received.on_event = on_received;
    unary->closed.on_event = on_closed;
    atomic_init(&unary->refs, 2);
    grpc_op closed = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                      .data.recv_close_on_server.cancelled = &call->cancelled};
    gw_rpc_batch(call->call, &closed, 1, &unary->closed);
    grpc_op message = {.op = GRPC_OP_RECV_MESSAGE,
                       .data.recv_message.recv_message = &unary->request};
    gw_rpc_batch(call->call, &message, 1, &unary->received);
}
