/* SPDX-License-Identifier: Apache-2.0 */
/* The management API as JSON over HTTP/1.1, by libwebsockets on a thread of its own; handlers run
 * on a pool. Every method goes through its row of the method table, as calls by gRPC do: who may
 * call, what is logged and what is counted is decided there. */
#ifndef CP_HTTP_JSON_SERVER_H
#define CP_HTTP_JSON_SERVER_H

#include "controlplane/http/json_routes.h"

#define CP_JSON_CONNECTIONS_MAX 1000 /* open at once; more wait in the kernel */
#define CP_JSON_HEAD_MAX_BYTES (16 * 1024)
#define CP_JSON_BODY_MAX_BYTES (4 * 1024 * 1024)      /* of a request: 413 */
#define CP_JSON_DROPPED_MAX_BYTES (64 * 1024 * 1024)  /* read behind the answer to such a one */
#define CP_JSON_BODIES_MAX_BYTES (64 * 1024 * 1024)   /* of all that are held: 503 */
#define CP_JSON_ANSWERS_MAX_BYTES (128 * 1024 * 1024) /* of all that wait to be read: 503 */
#define CP_JSON_CALLS_MAX 256                         /* queued or running: 503 */
#define CP_JSON_THREADS 16
#define CP_JSON_IDLE_S 30      /* a connection without a request */
#define CP_JSON_BODY_S 30      /* for a whole body: 408 */
#define CP_JSON_SEND_S 30      /* in which a caller reads nothing of its answer */
#define CP_JSON_CALL_MS 120000 /* the deadline of a call */

/* Answers that no handler gave; what /metrics calls them. */
#define CP_JSON_REFUSALS(X)                                                                        \
    X(NOT_FOUND, "not_found")                                                                      \
    X(METHOD, "method")                                                                            \
    X(ORIGIN, "origin")                                                                            \
    X(HEAD, "head")                                                                                \
    X(MEDIA_TYPE, "media_type")                                                                    \
    X(TOO_LARGE, "too_large")                                                                      \
    X(BUSY, "busy")                                                                                \
    X(SLOW, "slow")
enum cp_json_refusal {
#define CP_JSON_ENUM(name, word) CP_JSON_REFUSED_##name,
    CP_JSON_REFUSALS(CP_JSON_ENUM)
#undef CP_JSON_ENUM
        CP_JSON_REFUSAL_COUNT
};
/* "too_large" */
const char *cp_json_refusal_name(enum cp_json_refusal refusal);

struct cp_json_options {
    const char *listen;         /* "127.0.0.1:9442", "[::1]:0", ":9442" */
    const char *cert_file;      /* PEM; NULL: plaintext. Read again when they change */
    const char *key_file;       /* */
    const char *client_ca_file; /* NULL: client certificates are not asked for */
    /* Nobody has to say who they are: then only what calls itself loopback is answered, so that no
     * page of a browser gets here by a name of its own. */
    bool only_loopback_hosts;
    unsigned idle_s, body_s, send_s; /* 0: as above */
    gw_str openapi;                  /* what /openapi.json answers, to everybody; borrowed */
};

struct cp_json_server;

/* Options' text, routes and their methods are borrowed. */
GW_MUST_CHECK int cp_json_server_start(const struct cp_json_options *options,
                                       const struct cp_json_routes *routes,
                                       struct cp_json_server **ret_server, struct gw_error *err);
unsigned cp_json_server_port(const struct cp_json_server *server);
/* From now on new requests are answered 503 and connections close behind their answers. */
void cp_json_server_drain(struct cp_json_server *server);
/* Drains; calls under way get grace_ms to be answered. A handler that blocks is waited for. Takes
 * NULL. */
void cp_json_server_stop(struct cp_json_server *server, gw_msec grace_ms);

struct cp_json_stats {
    int64_t connections, requests, bytes_held, answer_bytes;
    int64_t refused[CP_JSON_REFUSAL_COUNT];
};
/* Any thread. */
void cp_json_server_stats(struct cp_json_server *server, struct cp_json_stats *ret_stats);

#endif
