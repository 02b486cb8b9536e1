/* SPDX-License-Identifier: Apache-2.0 */
/* All callers of one thread, and who handles their requests. Knows no gateway: the spine and the
 * operations port use it alike. One thread. */
#ifndef DP_DOWNSTREAM_SERVER_H
#define DP_DOWNSTREAM_SERVER_H

#include "dataplane/downstream/downstream.h"

/* What became of a request that cannot be served. */
enum dp_downstream_fault {
    DP_FAULT_BAD_HEAD, /* error: a negative enum dp_h1_error */
    DP_FAULT_BAD_BODY, /* the same */
    DP_FAULT_HEAD_TIMEOUT,
    DP_FAULT_BODY_TIMEOUT,
    DP_FAULT_GONE, /* the caller left or takes no bytes (error 0), or broke the protocol so that it
                      cannot be answered: forget the request's way to it, which ends now */
};

/* The handler of requests. `request` is what begin returned. After dp_downstream_finish or _abort,
 * or a fault GONE, none is called for it any more. */
struct dp_handler {
    /* The first bytes of a head are there. The head will be parsed into *ret_head, whose headers
     * live in *ret_arena; both are the request's. */
    void *(*begin)(struct dp_downstream *downstream, struct dp_request_head **ret_head,
                   struct gw_arena **ret_arena);
    /* The head is complete. Its views stay good until finish or abort, or the head of a TUNNEL. */
    void (*head)(void *request);
    /* Data of the body, and whether it was the last; only between read_body(true) and (false). */
    void (*body)(void *request, gw_str data, bool last);
    /* Answer it if there is still a way to (all but GONE), and the connection closes. */
    void (*fault)(void *request, enum dp_downstream_fault fault, ptrdiff_t error);
    void (*drained)(void *request); /* everything sent has left; more may be sent */
    void (*sent)(void *request);    /* the whole answer has left: call dp_downstream_finish */
};

#define DP_H2_STREAMS_MAX 100 /* the default */

struct ssl_st; /* OpenSSL's SSL */

/* Who is at the other end of a connection, and which port it came to. */
struct dp_caller {
    struct dp_address address;
    uint16_t local_port; /* 0: the socket's own, asked for when it is wanted */
    void *context;       /* the owner's, of this connection: dp_downstream_context; NULL: none */
};

struct dp_server_limits {
    gw_msec head_timeout_ms;  /* from the first byte to the end of a head; 408. And for a TLS
                                 handshake, from the start */
    gw_msec body_timeout_ms;  /* between two reads of a body; 408 */
    gw_msec idle_timeout_ms;  /* between two requests */
    gw_msec write_timeout_ms; /* without the caller taking a byte */
    unsigned connections_max; /* those beyond get 503 and are closed; as many streams of HTTP/2 at
                                 once on all connections, beyond REFUSED_STREAM */
    bool h2;                  /* new connections may speak HTTP/2 in the clear */
    unsigned h2_streams_max;  /* requests at once on a connection of it */
};

/* What callers can do to an HTTP/2 connection that costs them next to nothing; h2_flood.c has the
 * limits. Such a connection ends with ENHANCE_YOUR_CALM. */
enum dp_h2_flood {
    DP_H2_FLOOD_RESETS,        /* requests opened and reset, or not allowed */
    DP_H2_FLOOD_FRAMES,        /* frames that bring nothing: PING, SETTINGS, empty DATA, ... */
    DP_H2_FLOOD_CONTINUATIONS, /* a head in too many frames */
    DP_H2_FLOOD_FIELDS,        /* a head that is small on the wire and huge when unpacked */
    DP_H2_FLOOD_COUNT
};

struct dp_server_stats {
    uint64_t accepted, refused; /* refused: beyond connections_max */
    uint64_t accept_failures;   /* told by who has the listeners, as the next one */
    uint64_t proxy_refused;     /* no PROXY header where one was due */
    uint64_t idle_timeouts, head_timeouts, body_timeouts, write_timeouts;
    uint64_t h2_connections, h2_streams; /* since the start */
    uint64_t h2_resets;                  /* requests that callers took back */
    uint64_t h2_refused;                 /* streams beyond connections_max */
    uint64_t h2_malformed;               /* requests that the agent reset */
    uint64_t h2_floods[DP_H2_FLOOD_COUNT];
    uint64_t handshake_timeouts;
};

struct dp_server {
    struct dp_loop *loop; /* borrowed */
    const struct dp_handler *handler;
    void *owner; /* for the handler: see dp_downstream_owner */
    struct dp_server_limits limits;
    struct dp_server_stats stats;
    struct gw_list connections;          /* of dp_connection.node */
    unsigned count;                      /* of connections, however many requests are on them */
    unsigned h2_open;                    /* streams of HTTP/2 on all connections */
    bool draining;                       /* answers say that they are the last */
    void (*emptied)(struct dp_server *); /* may be NULL: the last connection has closed */
    void (*left)(void *context);         /* a connection with a context has, or was not taken */
};

void dp_server_init(struct dp_server *server, struct dp_loop *loop,
                    const struct dp_handler *handler, void *owner);
/* Takes over the socket, and the TLS session that the caller is to be met with: NULL: none, it
 * comes in the clear. */
void dp_server_accept(struct dp_server *server, int fd, const struct dp_caller *caller,
                      struct ssl_st *tls);
/* From now on every answer is the last of its connection. */
void dp_server_drain(struct dp_server *server);
/* Closes connections that wait for a request and have none coming in: some time after
 * dp_server_drain, because a caller who just sent one would lose it; and again and again, because a
 * TLS handshake is let be, and who has begun since then is until the next time. */
void dp_server_close_idle(struct dp_server *server);
/* Closes all at once; the handler hears GONE. */
void dp_server_close(struct dp_server *server);

#endif
