/* SPDX-License-Identifier: Apache-2.0 */
/* house: the one place where the files of this folder meet.
 *
 * What the files of common/rpc share; nobody else includes it. */
#ifndef GW_RPC_INTERNAL_H
#define GW_RPC_INTERNAL_H

#include "common/map.h"
#include "common/rpc/pool.h"
#include "common/rpc/server.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

/* --- core.c: the gRPC C core itself --- */

/* Counted; init also sends the core's own log through gw_log. */
void gw_rpc_core_init(void);
void gw_rpc_core_done(void);
/* Packed in one copy; use the buffer in one batch, then destroy it (the core moves the bytes out).
 */
grpc_byte_buffer *gw_rpc_buffer_from(const ProtobufCMessage *message);
grpc_byte_buffer *gw_rpc_buffer_from_packed(gw_str bytes);
/* Not copied: release(keep) follows. */
grpc_byte_buffer *gw_rpc_buffer_from_shared(gw_str bytes, void (*release)(void *keep), void *keep);
/* Unpacks into the arena and destroys the buffer. */
GW_MUST_CHECK int gw_rpc_buffer_unpack(grpc_byte_buffer *buffer, struct gw_arena *arena,
                                       const ProtobufCMessageDescriptor *type,
                                       ProtobufCMessage **ret_message, struct gw_error *err);
gw_str gw_rpc_slice_view(const grpc_slice *slice);
grpc_arg gw_rpc_arg_int(const char *key, int value);
grpc_arg gw_rpc_arg_text(const char *key, const char *value);
/* A whole file of at most 1 MiB with a NUL behind it, to be freed; NULL with err. */
char *gw_rpc_read_file(const char *path, struct gw_error *err);

/* What comes back from the completion queue: on_event runs on the event thread. */
struct gw_rpc_tag {
    void (*on_event)(struct gw_rpc_tag *tag, bool ok);
};
/* Starts a batch that must be valid (it is ours: anything else is a bug, and panics). */
void gw_rpc_batch(grpc_call *call, const grpc_op *ops, size_t count, struct gw_rpc_tag *tag);

/* --- status.c: gw_error <-> grpc-status, grpc-message, grpc-status-details-bin --- */

/* Details beyond this are cut, whole violations at a time: clients take 8 KiB of metadata. */
#define GW_RPC_DETAILS_MAX_BYTES 4096
#define GW_RPC_DETAILS_KEY "grpc-status-details-bin"

struct gw_rpc_status {
    grpc_status_code code;
    grpc_slice message;    /* owned */
    grpc_metadata details; /* its value owned */
    size_t details_count;  /* 0 or 1 */
};
/* err NULL: OK. To be undone with gw_rpc_status_done once its batch is complete. */
void gw_rpc_status_init(struct gw_rpc_status *status, const struct gw_error *err);
void gw_rpc_status_done(struct gw_rpc_status *status);
grpc_op gw_rpc_status_op(struct gw_rpc_status *status);
/* The other way; always sets a code other than OK. */
void gw_rpc_status_decode(grpc_status_code code, gw_str message,
                          const grpc_metadata_array *trailers, struct gw_error *err);

/* --- credentials.c --- */

struct gw_rpc_certificates; /* the server's files, read again when they change */
GW_MUST_CHECK int gw_rpc_certificates_new(const struct gw_rpc_server_options *options,
                                          struct gw_rpc_certificates **ret_certificates,
                                          struct gw_error *err);
void gw_rpc_certificates_free(struct gw_rpc_certificates *certificates);
/* Plaintext credentials for NULL. */
grpc_server_credentials *gw_rpc_certificates_to_server(struct gw_rpc_certificates *certificates);

/* --- caller.c --- */

/* Texts go into the arena. `metadata` is the request's. */
void gw_rpc_caller_init(struct gw_rpc_caller *caller, struct gw_arena *arena, grpc_call *call,
                        gpr_timespec deadline, const grpc_metadata_array *metadata);
/* "ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "unix:". */
bool gw_rpc_peer_is_loopback(gw_str peer);

/* --- server.c, server_call.c, server_stream.c --- */

struct gw_rpc_server {
    grpc_server *core;
    grpc_completion_queue *queue;
    struct gw_rpc_certificates *certificates; /* owned; NULL: plaintext */
    struct gw_map methods;                    /* path -> const struct gw_rpc_method, borrowed */
    struct gw_rpc_pool pool;
    pthread_t event_thread;
    unsigned port;
    unsigned call_limit;
    struct gw_rpc_tag shut;

    pthread_mutex_t lock; /* taken before a stream's lock, never after */
    pthread_cond_t changed;
    struct gw_list streams; /* open ones */
    unsigned armed, open;   /* calls waited for; calls that came and are not freed */
    bool stopping, is_shut;

    struct gw_list resting; /* streams, the longest rest first; event thread */
};

/* A call from the moment it is waited for; the unary or the stream owns it later. */
struct gw_rpc_call {
    struct gw_rpc_server *server;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct gw_rpc_tag requested, refused;
    int cancelled;         /* written by the core with RECV_CLOSE_ON_SERVER */
    struct gw_arena arena; /* of the caller's texts */
    struct gw_rpc_caller caller;
    const struct gw_rpc_method *method;
    struct gw_rpc_status status;
};

/* Waits for one more call. Event thread, or before it runs. */
void gw_rpc_call_arm(struct gw_rpc_server *server);
/* Gives the core's call back; the caller's texts stay until gw_rpc_call_free. */
void gw_rpc_call_release(struct gw_rpc_call *call);
void gw_rpc_call_free(struct gw_rpc_call *call);
/* Take over the call. Event thread. */
void gw_rpc_unary_start(struct gw_rpc_call *call);
void gw_rpc_stream_start(struct gw_rpc_call *call);
/* Ends every open stream with UNAVAILABLE; with server->lock held. */
void gw_rpc_streams_drain(struct gw_rpc_server *server);
/* Streams that have rested are read again, a few at a time. When the next one is due; INT64_MAX:
 * none rests. Event thread. */
gw_msec gw_rpc_streams_wake(struct gw_rpc_server *server);

#endif
