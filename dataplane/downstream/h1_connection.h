/* SPDX-License-Identifier: Apache-2.0 */
/* A caller's connection that speaks HTTP/1: requests one after another, each handed to its handler;
 * private to downstream/. */
#ifndef DP_DOWNSTREAM_H1_CONNECTION_H
#define DP_DOWNSTREAM_H1_CONNECTION_H

#include "dataplane/downstream/connection.h"
#include "dataplane/http/h1_body.h"

/* What the connection is doing; what its timer means. */
enum dp_phase {
    DP_PHASE_IDLE,    /* no byte of a request yet: idle timeout */
    DP_PHASE_HEAD,    /* a head is incomplete: head timeout */
    DP_PHASE_REQUEST, /* the handler has it: body timeout, or write timeout while blocked */
    DP_PHASE_DISCARD, /* answered; the rest of a short body is read and dropped: body timeout */
    DP_PHASE_LINGER,  /* FIN is sent; what still comes is dropped so that no reset overtakes the
                         answer */
};

struct dp_h1_connection {
    struct dp_connection base;
    struct dp_downstream downstream; /* of the one request that it has at a time */
    struct dp_task task;             /* go on with buffered bytes */
    void *request;                   /* the handler's; NULL: none */
    struct dp_request_head *head;
    struct gw_arena *arena;
    struct dp_h1_parser parser;
    struct dp_h1_body body;
    enum dp_phase phase;
    enum dp_body_kind out_kind;
    bool is_new;    /* no request has come yet: it may turn out to speak HTTP/2 */
    bool reading;   /* the handler wants the body */
    bool continued; /* 100 was sent, or there is no need */
    bool head_sent, answer_done;
    bool keep_alive;  /* after this answer; decided with its head */
    bool broken;      /* where the next request starts is not known */
    bool half_closed; /* FIN came behind the request */
    uint8_t probes;   /* steps of asking since then whether anybody is still there */
    gw_msec linger_until_ms;
};

/* Takes over the socket and the session; see dp_server_accept. */
void dp_h1_connection_new(struct dp_server *server, int fd, const struct dp_caller *caller,
                          struct ssl_st *tls);
void dp_h1_read_body(struct dp_downstream *downstream, bool on);
/* What comes next on the connection is another request's. */
void dp_h1_go_idle(struct dp_h1_connection *c);
/* In a tunnel silence is watched by who hands its bytes on: nothing is armed then. */
void dp_h1_arm(struct dp_h1_connection *c, gw_msec after);

/* h1_end.c. Closes now; or nothing was cut, and TLS says so; or with the request, whose handler
 * hears GONE. */
void dp_h1_close(struct dp_h1_connection *c);
void dp_h1_end(struct dp_h1_connection *c);
void dp_h1_leave(struct dp_h1_connection *c);
/* A FIN came behind a whole request: when to look whether somebody still reads, and to look. */
void dp_h1_watch_half(struct dp_h1_connection *c);
void dp_h1_on_watch(struct dp_h1_connection *c);
/* Bytes in the phase LINGER. */
void dp_h1_on_linger(struct dp_h1_connection *c);
void dp_h1_finish(struct dp_downstream *downstream);
void dp_h1_abort(struct dp_downstream *downstream);
/* A few bytes that mean nothing to who still reads. False: none may be sent now. */
bool dp_h1_probe(struct dp_h1_connection *c);
extern const struct dp_downstream_ops dp_h1_downstream_ops; /* in h1_answer.c */

static inline struct dp_h1_connection *dp_h1_connection_of(const struct dp_downstream *downstream)
{
    return gw_container_of(downstream, struct dp_h1_connection, downstream);
}

#endif
