/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of one bidirectional gRPC stream over libnghttp2, sans I/O: bytes of the
 * connection in and out, messages out and in. One thread. */
#ifndef DP_SYNC_GRPC_STREAM_H
#define DP_SYNC_GRPC_STREAM_H

#include "common/buf.h"
#include "common/error.h"

#define DP_GRPC_MESSAGE_BYTES_MAX (8 * 1024 * 1024) /* one message received */
#define DP_GRPC_OUTPUT_BYTES_MAX (16 * 1024 * 1024) /* messages waiting to be sent */

struct dp_grpc_stream;

struct dp_grpc_events {
    /* A whole message; bytes are borrowed. -1 with err ends the stream for that reason. */
    int (*on_message)(void *user, gw_str bytes, struct gw_error *err);
    /* The stream has ended: status is the server's, or our reading of what happened. Once. */
    void (*on_end)(void *user, const struct gw_error *status);
};

/* authority and path are copied. user is given to the events. */
struct dp_grpc_stream *dp_grpc_stream_new(const char *authority, const char *path, bool tls,
                                          const struct dp_grpc_events *events, void *user);
void dp_grpc_stream_free(struct dp_grpc_stream *stream); /* no event follows; takes NULL */

/* -1 with err: the connection is of no use any more. */
GW_MUST_CHECK int dp_grpc_stream_receive(struct dp_grpc_stream *stream, gw_str bytes,
                                         struct gw_error *err);
/* Next bytes for the wire, borrowed until the next call; empty: nothing to send now. */
GW_MUST_CHECK int dp_grpc_stream_output(struct dp_grpc_stream *stream, gw_str *ret_bytes,
                                        struct gw_error *err);
/* Queues one message (copied). -ENOBUFS beyond DP_GRPC_OUTPUT_BYTES_MAX. */
GW_MUST_CHECK int dp_grpc_stream_send(struct dp_grpc_stream *stream, gw_str message);

/* Sends a PING unless one is unanswered: then false, the peer is gone. */
bool dp_grpc_stream_ping(struct dp_grpc_stream *stream);

#endif
