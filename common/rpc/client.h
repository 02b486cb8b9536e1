/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC client over the gRPC C core and protobuf-c: blocking calls, for the CLI and for tests. */
#ifndef GW_RPC_CLIENT_H
#define GW_RPC_CLIENT_H

#include "common/clock.h"
#include "common/message.h"

struct gw_rpc_client;
struct gw_rpc_reader;

struct gw_rpc_client_options {
    const char *target;    /* "127.0.0.1:9443", "unix:/path" */
    const char *ca_file;   /* PEM: use TLS and verify against it; NULL: plaintext */
    const char *cert_file; /* client certificate; NULL: none */
    const char *key_file;
    const char *server_name; /* name to verify instead of the target's host; NULL: the target's */
    const char *bearer; /* token; refused by this layer on plaintext to a non-loopback target */
};

GW_MUST_CHECK int gw_rpc_client_open(const struct gw_rpc_client_options *options,
                                     struct gw_rpc_client **ret_client, struct gw_error *err);
void gw_rpc_client_close(struct gw_rpc_client *client);

/* One call; the reply lives in the arena. timeout_ms covers all of it. Errors carry the server's
 * code, message, reason and field violations (grpc-status-details-bin). */
GW_MUST_CHECK int gw_rpc_client_call(struct gw_rpc_client *client, struct gw_arena *arena,
                                     const char *path, const ProtobufCMessage *request,
                                     const ProtobufCMessageDescriptor *reply_type,
                                     gw_msec timeout_ms, ProtobufCMessage **ret_reply,
                                     struct gw_error *err);

/* A server stream: open with the request, then read until it ends. request NULL: a client or
 * bidirectional stream, on which messages are sent and that is half-closed by hand. */
GW_MUST_CHECK int gw_rpc_client_stream(struct gw_rpc_client *client, const char *path,
                                       const ProtobufCMessage *request,
                                       const ProtobufCMessageDescriptor *reply_type,
                                       struct gw_rpc_reader **ret_reader, struct gw_error *err);
/* 1: a message, in the arena; 0: the stream ended well; -1: err. timeout_ms: DEADLINE_EXCEEDED and
 * the stream stays usable. */
GW_MUST_CHECK int gw_rpc_reader_next(struct gw_rpc_reader *reader, struct gw_arena *arena,
                                     gw_msec timeout_ms, ProtobufCMessage **ret_message,
                                     struct gw_error *err);
/* Sends one message and waits until flow control has taken it. DEADLINE_EXCEEDED: not yet, it may
 * still arrive; other codes: the stream is over. */
GW_MUST_CHECK int gw_rpc_reader_send(struct gw_rpc_reader *reader, const ProtobufCMessage *message,
                                     gw_msec timeout_ms, struct gw_error *err);
/* No more messages from this side; reading goes on. At most once. */
void gw_rpc_reader_half_close(struct gw_rpc_reader *reader);
/* Cancels what is left and frees. Takes NULL. */
void gw_rpc_reader_close(struct gw_rpc_reader *reader);

#endif
