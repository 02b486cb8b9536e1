/* SPDX-License-Identifier: Apache-2.0 */
/* One caller's connection; private to downstream/. */
#ifndef DP_DOWNSTREAM_CONNECTION_H
#define DP_DOWNSTREAM_CONNECTION_H

#include "dataplane/downstream/downstream.h"

/* What the connection is doing; what its timer means. */
enum dp_phase {
    DP_PHASE_IDLE,    /* no byte of a request yet: idle timeout */
    DP_PHASE_HEAD,    /* a head is incomplete: head timeout */
    DP_PHASE_REQUEST, /* the handler has it: body timeout, or write timeout while blocked */
    DP_PHASE_DISCARD, /* answered; the rest of a short body is read and dropped: body timeout */
    DP_PHASE_LINGER,  /* FIN is sent; what still comes is dropped so that no reset overtakes the
                         answer */
};

struct dp_downstream {
    struct dp_conn conn;
    struct dp_server *server; /* borrowed */
    struct gw_list node;      /* of server->downstreams */
    struct dp_timer timer;
    struct dp_task task; /* go on with buffered bytes */
    void *request;       /* the handler's; NULL: none */
    struct dp_request_head *head;
    struct gw_arena *arena;
    struct dp_h1_parser parser;
    struct dp_h1_framing framing;
    struct dp_h1_body body;
    uint64_t bytes_in, bytes_out;
    enum dp_phase phase;
    enum dp_body_kind out_kind;
    bool reading;   /* the handler wants the body */
    bool continued; /* 100 was sent, or there is no need */
    bool head_sent, answer_done;
    bool keep_alive;  /* after this answer; decided with its head */
    bool broken;      /* where the next request starts is not known */
    bool half_closed; /* FIN came behind the request */
    uint16_t local_port;
    uint8_t peer_text_len;
    gw_msec linger_until_ms;
    struct dp_address peer;
    char peer_text[DP_ADDRESS_TEXT_MAX];
};

struct dp_downstream *dp_downstream_new(struct dp_server *server, int fd,
                                        const struct sockaddr *peer);
/* Closes if it waits for a request and none has come. */
void dp_downstream_close_idle(struct dp_downstream *downstream);
/* Closes; a handler hears GONE. */
void dp_downstream_leave(struct dp_downstream *downstream);

#endif
