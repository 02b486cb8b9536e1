/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC server over the gRPC C core and protobuf-c. Unary handlers are blocking, straight-line code
 * on a pool of threads. Streams are events, so that thousands of idle ones cost no thread. */
#ifndef GW_RPC_SERVER_H
#define GW_RPC_SERVER_H

#include "common/clock.h"
#include "common/message.h"

struct gw_rpc_server;
struct gw_rpc_stream;

/* What a handler may know of its caller; borrowed for the call (stream: for the stream's life). */
struct gw_rpc_caller {
    const char *peer;      /* "ipv4:127.0.0.1:50000" */
    const char *bearer;    /* token of "authorization: Bearer", or NULL */
    const char *cert_name; /* verified client certificate: URI or DNS SAN, else CN; NULL: none */
    gw_str cert_pem;       /* the same certificate, whole */
    bool is_loopback;      /* peer address is loopback or a unix socket */
    gw_msec deadline_ms;   /* monotonic; INT64_MAX when the client set none */
};

/* Unary: request and reply live in the call's arena. 0 with *ret_reply, or -1 with err. Runs on a
 * pool thread. */
typedef int gw_rpc_unary(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                         const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                         struct gw_error *err);

/* Stream events: never two at once for one stream, on the server's event threads; do not block.
 * on_open may refuse: -1 with err ends the stream with that status, and no other event follows.
 * on_message: a whole request message; borrowed until it returns. on_half_close: the client sends
 * no more (one that is gone looks so too; on_close follows). on_writable: the last
 * gw_rpc_stream_send has been taken by flow control. on_close: the last event, always, after a
 * successful on_open. */
struct gw_rpc_stream_events {
    int (*on_open)(void *context, struct gw_rpc_stream *stream, struct gw_error *err);
    void (*on_message)(struct gw_rpc_stream *stream, const ProtobufCMessage *message);
    void (*on_half_close)(struct gw_rpc_stream *stream);
    void (*on_writable)(struct gw_rpc_stream *stream);
    void (*on_close)(struct gw_rpc_stream *stream);
};

struct gw_rpc_method {
    const char *path; /* "/penstock.admin.v1.ApiService/GetApi" */
    const ProtobufCMessageDescriptor *request, *reply;
    gw_rpc_unary *unary;                       /* exactly one of the two */
    const struct gw_rpc_stream_events *stream; /* server, client or bidirectional streaming */
    void *context;
};

struct gw_rpc_server_options {
    const char *listen;    /* "127.0.0.1:0", "[::]:9443", "unix:/path" */
    const char *cert_file; /* PEM; NULL: plaintext. Files are read again when they change */
    const char *key_file;
    const char *client_ca_file; /* NULL: client certificates are not asked for */
    /* More of them, PEM, to be freed; NULL: none now. Asked for at every handshake; they count as
     * changed when the generation is another one. May be NULL. */
    char *(*more_client_cas)(void *arg, uint64_t *ret_generation);
    void *more_client_cas_arg;
    bool client_cert_required;  /* false: asked for, verified when presented */
    unsigned handler_threads;   /* 0: 16 */
    size_t message_limit_bytes; /* request, after inflation; 0: 4 MiB. RESOURCE_EXHAUSTED beyond */
    unsigned unary_limit;       /* calls queued or running; 0: 1024. UNAVAILABLE beyond */
    unsigned call_limit;        /* calls of any kind open; 0: 16384. UNAVAILABLE beyond */
    gw_msec keepalive_ms;       /* server's ping on idle connections; 0: 30 s */
    gw_msec idle_ms;            /* of a connection without a call: it is closed; 0: 5 min */
};

/* Binds and starts. Methods (borrowed, as is options' text) are all there are; others answer
 * UNIMPLEMENTED. */
GW_MUST_CHECK int gw_rpc_server_start(const struct gw_rpc_server_options *options,
                                      const struct gw_rpc_method *methods, size_t count,
                                      struct gw_rpc_server **ret_server, struct gw_error *err);
unsigned gw_rpc_server_port(const struct gw_rpc_server *server);
/* GOAWAY, streams end with UNAVAILABLE "draining", unary calls finish; cut at grace_ms. A call that
 * comes in at that moment sees UNAVAILABLE, or CANCELLED when the core kills it first. Joins all
 * threads (so a handler that blocks is waited for) and frees. Takes NULL. */
void gw_rpc_server_stop(struct gw_rpc_server *server, gw_msec grace_ms);

/* Connections to servers leave so many of the file descriptors that the process may have to others,
 * half of them at most; beyond they are closed at once, and counted. Before: none. Any thread. */
void gw_rpc_leave_descriptors(unsigned count);
uint64_t gw_rpc_connections_refused(void);

/* Any thread may call these while it holds a reference; on_open's caller holds one until on_close
 * returns. */
void gw_rpc_stream_ref(struct gw_rpc_stream *stream);
void gw_rpc_stream_unref(struct gw_rpc_stream *stream);
/* Sends one message; at most one is outstanding: call again only after on_writable (the first call
 * may come at once). Packs before it returns. False: the stream is ending, nothing was sent. */
bool gw_rpc_stream_send(struct gw_rpc_stream *stream, const ProtobufCMessage *message);
/* The same with bytes that are already packed: fan-out of one payload to many streams. */
bool gw_rpc_stream_send_packed(struct gw_rpc_stream *stream, gw_str bytes);
/* The same without a copy: release(keep), once and on any thread, when the bytes are needed no
 * more, also when nothing was sent. */
bool gw_rpc_stream_send_shared(struct gw_rpc_stream *stream, gw_str bytes,
                               void (*release)(void *keep), void *keep);
/* Within on_message: nothing more is expected of the client now. Its next message is read with the
 * next send to it, or after GW_RPC_REST_MS: to go on reading, the core writes a WINDOW_UPDATE at
 * once, which costs as much as a message, and leaves with the next one else. */
#define GW_RPC_REST_MS 100
void gw_rpc_stream_rest(struct gw_rpc_stream *stream);
/* Ends with OK (err NULL) or an error, after an outstanding send. Once is enough. */
void gw_rpc_stream_finish(struct gw_rpc_stream *stream, const struct gw_error *err);
/* The same, but waits for no send: what is on its way to a client that does not read is given up.
 */
void gw_rpc_stream_abort(struct gw_rpc_stream *stream, const struct gw_error *err);
const struct gw_rpc_caller *gw_rpc_stream_caller(const struct gw_rpc_stream *stream);
/* The handler's own state: set in on_open, freed in on_close. */
void gw_rpc_stream_set_user(struct gw_rpc_stream *stream, void *user);
void *gw_rpc_stream_user(const struct gw_rpc_stream *stream);

#endif
