/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that answer one request with a stream of messages, whatever the transport: here by gRPC,
 * in http/ by server-sent events. */
#ifndef CP_RPC_STREAM_H
#define CP_RPC_STREAM_H

#include "common/rpc/server.h"

/* Where the messages go. Calls may come from any thread, and do not block. */
struct cp_sink {
    /* At most one message is outstanding: the next one only after on_writable. False: the receiver
     * is leaving, and on_close follows. */
    bool (*send)(void *arg, const ProtobufCMessage *message);
    /* The stream is over, well (NULL) or not. */
    void (*end)(void *arg, const struct gw_error *err);
    void *arg;
};

struct cp_stream_type {
    /* Any thread, does not block; caller and request are borrowed for the call. Neither of the
     * others is called when it fails; the sink may be called before it returns. */
    int (*open)(void *context, const struct gw_rpc_caller *caller, const ProtobufCMessage *request,
                const struct cp_sink *sink, void **ret_stream, struct gw_error *err);
    void (*on_writable)(void *stream);
    /* Always, and last; behind it the sink is not called. */
    void (*on_close)(void *stream);
};

struct cp_stream_method {
    const struct cp_stream_type *type;
    void *context;
};

/* The row of a method by gRPC; method is borrowed. */
struct gw_rpc_method cp_stream_row(const char *path, const ProtobufCMessageDescriptor *request,
                                   const ProtobufCMessageDescriptor *reply,
                                   struct cp_stream_method *method);
/* NULL: the row is none of these. */
const struct cp_stream_method *cp_stream_of(const struct gw_rpc_method *row);

#endif
