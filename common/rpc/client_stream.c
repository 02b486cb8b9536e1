/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/client_internal.h"

#include <stdlib.h>

/* Batches, as bits and as the queue's tags. */
enum { OPENED = 1, RECEIVED = 2, SENT = 4, HALF_CLOSED = 8, STATUS = 16 };

struct gw_rpc_reader {
    struct gw_rpc_exchange exchange;
    const ProtobufCMessageDescriptor *reply_type;
    uintptr_t pending; /* started and not come back */
    uintptr_t failed;  /* came back not ok: the stream is over */
    bool has_received; /* what RECEIVED brought waits to be taken: it may come during a send */
};

static void start(struct gw_rpc_reader *reader, const grpc_op *ops, size_t count, uintptr_t batch)
{
    reader->pending |= batch;
    gw_rpc_exchange_start(&reader->exchange, ops, count, (void *)batch);
}

/* Until the batch has come back; false: the time is up. */
static bool wait_for(struct gw_rpc_reader *reader, uintptr_t batch, gpr_timespec deadline)
{
    while (reader->pending & batch) {
        grpc_event event = grpc_completion_queue_next(reader->exchange.queue, deadline, NULL);
        if (event.type == GRPC_QUEUE_TIMEOUT)
            return false;
        uintptr_t done = (uintptr_t)event.tag;
        reader->pending &= ~done;
        if (!event.success)
            reader->failed |= done;
        reader->has_received |= done == RECEIVED;
    }
    return true;
}

static void open_stream(struct gw_rpc_reader *reader, const ProtobufCMessage *request)
{
    struct gw_rpc_exchange *exchange = &reader->exchange;
    grpc_op status = gw_rpc_exchange_op_status(exchange);
    start(reader, &status, 1, STATUS);
    grpc_byte_buffer *buffer = request ? gw_rpc_buffer_from(request) : NULL;
    grpc_op ops[] = {
        gw_rpc_exchange_op_headers(exchange),
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &exchange->initial},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
    };
    start(reader, ops, request ? 4 : 2, OPENED);
    if (buffer)
        grpc_byte_buffer_destroy(buffer);
}

int gw_rpc_client_stream(struct gw_rpc_client *client, const char *path,
                         const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *reply_type,
                         struct gw_rpc_reader **ret_reader, struct gw_error *err)
{
    (void)err; /* whatever fails is told by the first read */
    struct gw_rpc_reader *reader = gw_calloc(1, sizeof(*reader));
    reader->reply_type = reply_type;
    gw_rpc_exchange_init(&reader->exchange, client, path, gpr_inf_future(GPR_CLOCK_MONOTONIC));
    open_stream(reader, request);
    *ret_reader = reader;
    return 0;
}

static int fail_by_time(struct gw_error *err)
{
    return gw_fail(err, GW_DEADLINE_EXCEEDED, "nothing came in time");
}

int gw_rpc_reader_next(struct gw_rpc_reader *reader, struct gw_arena *arena, gw_msec timeout_ms,
                       ProtobufCMessage **ret_message, struct gw_error *err)
{
    struct gw_rpc_exchange *exchange = &reader->exchange;
    gpr_timespec deadline = gw_rpc_deadline_after(timeout_ms);
    if (!(reader->pending & RECEIVED) && !reader->has_received) {
        grpc_op message = gw_rpc_exchange_op_receive(exchange);
        start(reader, &message, 1, RECEIVED);
    }
    if (!wait_for(reader, RECEIVED, deadline))
        return fail_by_time(err);
    reader->has_received = false;
    if (exchange->message) {
        grpc_byte_buffer *buffer = exchange->message;
        exchange->message = NULL;
        return gw_rpc_buffer_unpack(buffer, arena, reader->reply_type, ret_message, err) ? -1 : 1;
    }
    if (!wait_for(reader, STATUS, deadline))
        return fail_by_time(err);
    return gw_rpc_exchange_result(exchange, err);
}

/* The stream is over, and the status says why; OK is too early an end for who still sends. */
static int fail_by_status(struct gw_rpc_reader *reader, gpr_timespec deadline, struct gw_error *err)
{
    if (!wait_for(reader, STATUS, deadline))
        return fail_by_time(err);
    if (gw_rpc_exchange_result(&reader->exchange, err))
        return -1;
    return gw_fail(err, GW_ABORTED, "the server has ended the stream");
}

int gw_rpc_reader_send(struct gw_rpc_reader *reader, const ProtobufCMessage *message,
                       gw_msec timeout_ms, struct gw_error *err)
{
    gpr_timespec deadline = gw_rpc_deadline_after(timeout_ms);
    if (!wait_for(reader, SENT, deadline))
        return fail_by_time(err);
    if (reader->failed & SENT)
        return fail_by_status(reader, deadline, err);
    grpc_byte_buffer *buffer = gw_rpc_buffer_from(message);
    grpc_op send = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};
    start(reader, &send, 1, SENT);
    grpc_byte_buffer_destroy(buffer);
    if (!wait_for(reader, SENT, deadline))
        return fail_by_time(err);
    return reader->failed & SENT ? fail_by_status(reader, deadline, err) : 0;
}

void gw_rpc_reader_half_close(struct gw_rpc_reader *reader)
{
    grpc_op close = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    start(reader, &close, 1, HALF_CLOSED);
}

void gw_rpc_reader_close(struct gw_rpc_reader *reader)
{
    if (!reader)
        return;
    gw_rpc_exchange_done(&reader->exchange);
    free(reader);
}
