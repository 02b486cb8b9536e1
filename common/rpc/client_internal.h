/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c and client_stream.c share; nobody else includes it. */
#ifndef GW_RPC_CLIENT_INTERNAL_H
#define GW_RPC_CLIENT_INTERNAL_H

#include "common/rpc/client.h"
#include "common/rpc/internal.h"

/* One call from the client's side, with a queue of its own: one thread, no callbacks. */
struct gw_rpc_exchange {
    grpc_call *call;
    grpc_completion_queue *queue;
    grpc_metadata request[1]; /* authorization, when there is a token */
    size_t request_count;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *message; /* received, owned until unpacked */
    grpc_status_code code;
    grpc_slice details;
};

gpr_timespec gw_rpc_deadline_after(gw_msec timeout_ms);
void gw_rpc_exchange_init(struct gw_rpc_exchange *exchange, const struct gw_rpc_client *client,
                          const char *path, gpr_timespec deadline);
/* Cancels what is left. */
void gw_rpc_exchange_done(struct gw_rpc_exchange *exchange);
grpc_op gw_rpc_exchange_op_headers(struct gw_rpc_exchange *exchange);
grpc_op gw_rpc_exchange_op_receive(struct gw_rpc_exchange *exchange);
grpc_op gw_rpc_exchange_op_status(struct gw_rpc_exchange *exchange);
/* After the status came. */
GW_MUST_CHECK int gw_rpc_exchange_result(const struct gw_rpc_exchange *exchange,
                                         struct gw_error *err);
void gw_rpc_exchange_start(struct gw_rpc_exchange *exchange, const grpc_op *ops, size_t count,
                           void *tag);

#endif
