/* SPDX-License-Identifier: Apache-2.0 */
/* Where one exchange stands; private to exchange.c and its steps (match.c, forward.c, answer.c). */
#ifndef DP_FLOW_H
#define DP_FLOW_H

#include "dataplane/chain.h"
#include "dataplane/downstream/server.h"
#include "dataplane/encode.h"
#include "dataplane/exchange.h"
#include "dataplane/upstream/upstream.h"

/* In this order and never back; exchange.c says what each waits for. */
enum dp_state {
    DP_STATE_HEAD,
    DP_STATE_ROUTE,
    DP_STATE_FILTERS_IN,
    DP_STATE_UPSTREAM,
    DP_STATE_FILTERS_OUT,
    DP_STATE_SEND,
    DP_STATE_END,
};

struct dp_pinned;

struct dp_flow {
    struct dp_exchange x;
    enum dp_state state;
    struct dp_downstream *downstream;
    struct dp_pinned *pinned; /* holds x.snapshot; NULL: none */
    struct dp_chain chain;
    struct dp_upstream_request out;
    struct dp_upstream_call call;
    bool called;                /* call was started */
    bool calling;               /* and has not ended */
    bool answered;              /* the caller has been sent a head */
    bool cut;                   /* the caller does not get all of the answer */
    bool left;                  /* the caller has: downstream closes by itself */
    bool tunnel;                /* bytes flow both ways; route and app are held, but no snapshot */
    bool sent;                  /* of a tunnel: the backend's end has been passed on */
    struct dp_encoder *encoder; /* borrowed from the worker's; NULL: the answer leaves as it is */
    struct {
        bool flush;   /* each piece leaves when it is there */
        bool limited; /* there was no compressor left */
        uint64_t bytes_in, bytes_out;
    } encode;
    gw_nsec started_ns;
    uint64_t body_bytes; /* of the request so far */
    gw_str fault;        /* reason word when no refusal says it; empty: none */
    bool has_grpc_status;
    int grpc_status;     /* of a call of gRPC, as the caller hears it; -1: it is no number */
    struct gw_list node; /* of the worker's free flows */
};

static inline struct dp_flow *dp_flow_of(struct dp_exchange *x)
{
    return gw_container_of(x, struct dp_flow, x);
}

/* match.c: host, environment, method and path to a route. NEXT, or REPLY with the refusal set. */
enum dp_verdict dp_match_route(struct dp_exchange *x);

/* forward.c: fills flow->out from the request and the route. NEXT, or REPLY. */
enum dp_verdict dp_forward_prepare(struct dp_flow *flow);

/* answer.c: the backend's answer as it goes to the caller. */
void dp_answer_take(struct dp_flow *flow);
/* The connection is not fit for the requests that it brings. */
bool dp_answer_is_last(enum dp_refusal refusal);
/* Of an attempt that brought no answer. */
enum dp_refusal dp_answer_of_failure(enum dp_upstream_failure failure);
/* Of a request that could not be read; *ret_reason says more than the refusal. */
enum dp_refusal dp_answer_of_fault(enum dp_downstream_fault fault, ptrdiff_t error,
                                   gw_str *ret_reason);

/* encode.c: whether the answer is compressed, and what changes in its head then. */
void dp_encode_begin(struct dp_flow *flow, struct dp_downstream_answer *answer);
/* A piece of the answer's body, as it is or compressed. */
void dp_encode_send(struct dp_flow *flow, gw_str data, bool last);
/* At the end of the exchange. */
void dp_encode_end(struct dp_flow *flow);

/* tunnel.c: RFC 6455 of HTTP/1 and RFC 8441 of HTTP/2, on either side. The request to upgrade as it
 * goes on to the backend. NEXT, or REPLY. */
enum dp_verdict dp_tunnel_ask(struct dp_exchange *x);
/* The backend's answer as the caller's HTTP has it; false: it cannot be told so. */
GW_MUST_CHECK bool dp_tunnel_translate(struct dp_flow *flow);
/* An answer of our own would be taken for an open tunnel. */
bool dp_tunnel_misleads(const struct dp_flow *flow);
/* The answer's head is about to leave, and with it all that only a handshake needs. */
void dp_tunnel_open(struct dp_flow *flow);
/* At the end of the exchange. */
void dp_tunnel_close(struct dp_flow *flow);

#endif
