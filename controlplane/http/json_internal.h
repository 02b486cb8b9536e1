/* SPDX-License-Identifier: Apache-2.0 */
/* What json_server.c, json_exchange.c and json_head.c share; nobody else includes it. */
#ifndef CP_HTTP_JSON_INTERNAL_H
#define CP_HTTP_JSON_INTERNAL_H

#include "common/buf.h"
#include "common/list.h"
#include "common/rpc/pool.h"
#include "controlplane/http/json_request.h"
#include "controlplane/http/json_server.h"
#include "controlplane/http/json_tls.h"
#include "controlplane/rpc/stream.h"

#include <libwebsockets.h>
#include <stdatomic.h>

struct cp_json_server {
    struct cp_json_options options;
    const struct cp_json_routes *routes; /* borrowed */
    struct cp_json_tls *tls;             /* owned; NULL: plaintext */
    struct lws_context *context;
    unsigned port;
    struct gw_rpc_pool pool;
    pthread_t thread;
    atomic_bool is_stopping, is_draining;
    _Atomic int64_t connections, requests, bytes_held, answer_bytes, refused[CP_JSON_REFUSAL_COUNT];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct gw_list answered; /* exchanges that the loop has not seen yet */
    unsigned open;           /* exchanges that are */
};

enum cp_json_stage {
    CP_JSON_BODY,    /* the request's body is coming */
    CP_JSON_RUNNING, /* a pool thread has it */
    CP_JSON_ANSWER,  /* is there, or is on its way */
    CP_JSON_STREAM,  /* of messages, each when it comes */
};

/* One request and its answer. The loop's thread has it, but for RUNNING. */
struct cp_json_exchange {
    struct cp_json_server *server;
    struct lws *wsi; /* NULL: the connection is gone */
    enum cp_json_stage stage;
    struct gw_rpc_job job;
    struct gw_list link; /* in server->answered */
    struct gw_arena arena;

    struct gw_rpc_caller caller;
    const struct cp_json_route *route;
    struct cp_json_input input;
    enum cp_json_verb verb;
    gw_str path, origin, host, content_type;
    bool is_head; /* GET without the body of its answer */
    bool closes;  /* the connection, behind the answer */
    bool lingers; /* a body may follow that is not read: it is dropped behind the answer */
    bool expects_continue;
    size_t body_bytes; /* as announced */
    gw_msec due_ms;    /* when patience ends; INT64_MAX: not at all */
    struct gw_buf body;

    /* Of an answer that is given without a handler; 0: none. */
    unsigned refusal_status;
    unsigned allowed; /* bits of enum cp_json_verb, for 405 */
    struct gw_error err;
    struct gw_buf answer;
    int64_t answer_bytes; /* of it that count for all; of a stream under the server's lock */

    /* Of a stream. */
    void *stream;             /* NULL: not open */
    bool is_begun, is_ending; /* its head is sent; nothing comes any more */
    struct gw_buf pending;    /* under the server's lock: what the loop has not taken */
    bool is_ended;            /* likewise, and then err */
};

/* ---- json_head.c: what libwebsockets has read ---- */

/* Reads the head into the exchange; 0, or -1 with the refusal set in it. */
GW_MUST_CHECK int cp_json_head_read(struct cp_json_exchange *exchange, struct lws *wsi,
                                    gw_str path);

/* ---- json_stream.c: on the loop's thread ---- */

/* 0, or -1 with err. */
GW_MUST_CHECK int cp_json_stream_start(struct cp_json_exchange *exchange);
/* Puts what is new behind the answer. False: it was refused before anything was sent; err. */
bool cp_json_stream_take(struct cp_json_exchange *exchange);
/* All of the answer is sent. 1: and that was the end. */
int cp_json_stream_sent(struct cp_json_exchange *exchange);
/* So much of the answer is on its way. */
void cp_json_stream_release(struct cp_json_exchange *exchange, size_t bytes);
void cp_json_stream_close(struct cp_json_exchange *exchange);

/* ---- json_exchange.c ---- */

/* From now on; 0: until it is said again. */
void cp_json_exchange_patience(struct cp_json_exchange *exchange, unsigned seconds);
/* The buffer has no limit. */
void cp_json_put(struct gw_buf *buf, const char *format, ...) GW_PRINTF(2, 3);

struct cp_json_exchange *cp_json_exchange_new(struct cp_json_server *server, struct lws *wsi);
/* The exchange is answered with this and no handler; err says why. */
int cp_json_refuse(struct cp_json_exchange *exchange, unsigned status,
                   enum cp_json_refusal refusal);
/* The head is there. 0, or -1: the connection ends. */
int cp_json_exchange_begin(struct cp_json_exchange *exchange, gw_str path);
int cp_json_exchange_body(struct cp_json_exchange *exchange, gw_str bytes);
int cp_json_exchange_body_end(struct cp_json_exchange *exchange);
/* The socket takes more. 1: all of it is sent. */
int cp_json_exchange_write(struct cp_json_exchange *exchange);
int cp_json_exchange_expire(struct cp_json_exchange *exchange);
/* A pool thread is done with it. */
void cp_json_exchange_answered(struct cp_json_exchange *exchange);
/* The connection is gone. */
void cp_json_exchange_leave(struct cp_json_exchange *exchange);

#endif
