/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a backend: picks a member, takes an idle connection or makes one, sends, reads the
 * answer, and tries again where retry.h allows it. Knows no gateway: the mirror image of
 * downstream.h. One worker thread. */
#ifndef DP_UPSTREAM_H
#define DP_UPSTREAM_H

#include "dataplane/http/h1_body.h"
#include "dataplane/http/h1_write.h"
#include "dataplane/net/loop.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/upstream/balance.h"
#include "dataplane/upstream/retry.h"
#include "dataplane/upstream/upstreams.h"

struct dp_upstream_link; /* a connection with a call on it; private to upstream/ */

/* A request's body up to here is kept so that it can be sent again. */
#define DP_UPSTREAM_REPLAY_BYTES (16 * 1024)

/* What to send; all of it is borrowed until the call ends. */
struct dp_upstream_request {
    const struct dp_channel *channel;
    bool http2;                               /* with prior knowledge, or over TLS by ALPN */
    bool tls;                                 /* the backend's certificate is verified, always */
    const struct dp_certificate *certificate; /* with tls: see dp_backend. NULL: none is shown */
    gw_str tls_name;       /* whom it must name, "host" or "host:port"; empty: the member's host */
    enum dp_method method; /* as sent: decides framing of the answer and retries */
    struct dp_h1_request_line line; /* host empty: the member's host:port */
    const struct dp_headers *headers;
    struct dp_h1_framing framing; /* of the body: kind NONE, LENGTH or CHUNKED, and length; upgrade:
                                     ask for WebSocket. The rest is not looked at */
    gw_msec timeout_ms;           /* from the end of the request to the answer's head, and between
                                     two reads of its body */
    gw_msec stream_idle_ms;       /* the same for a tunnel, in which both ways count, and for an
                                     event stream; where timeout_ms is longer, that */
    gw_msec deadline_ms;          /* when the call ends, whatever it does; 0: never */
    int32_t retry_count;          /* -1: once for idempotent methods */
};

struct dp_upstream_call;
/* None is called from within dp_upstream_start, _send_body or _read_body; none after the call has
 * ended: that is after body(last), failed, or dp_upstream_cancel. */
struct dp_upstream_events {
    /* Starts or stops the flow of the request's body into _send_body or _sink, perhaps beside the
     * answer's; it is over with the call, and that is not told. */
    void (*want_body)(struct dp_upstream_call *call, bool on);
    void (*interim)(struct dp_upstream_call *call); /* head is a 1xx to hand on; may be NULL */
    /* call->head and call->framing are there; their views stay good until the call ends. */
    void (*head)(struct dp_upstream_call *call);
    /* Only between read_body(true) and (false). Data is good during the callback only; it is
     * empty when some went to the sink, and at the `last` of an answer without a body. */
    void (*body)(struct dp_upstream_call *call, gw_str data, bool last);
    /* Before head: answer in its place. After: the answer is cut. */
    void (*failed)(struct dp_upstream_call *call, enum dp_upstream_failure failure);
    /* Of a tunnel (see dp_upstream_read_body) that the caller was the last to end: the call has
     * ended. May be NULL for who never asks to upgrade. */
    void (*closed)(struct dp_upstream_call *call);
};

/* One request with all its attempts; embedded in its owner, set up by dp_upstream_start. */
struct dp_upstream_call {
    const struct dp_upstream_events *events;
    struct dp_response_head head;
    struct dp_h1_framing framing;
    /* for the log */
    const struct dp_endpoint *endpoint; /* of the last attempt; NULL: none picked */
    unsigned attempts;
    bool reused;                          /* the last attempt's connection was there before */
    gw_nsec started_ns, sent_ns, head_ns; /* monotonic; 0: not yet */
    uint64_t bytes_in, bytes_out;         /* of the last attempt */
    struct dp_sink *sink; /* set by the owner at `head`: takes the body as it is. NULL: none */

    /* private to upstream/ */
    struct dp_upstreams *upstreams;
    const struct dp_upstream_request *request;
    const struct dp_member *member; /* borrowed from the channel */
    struct dp_upstream_link *link;
    struct gw_arena *arena;
    struct dp_block *replay; /* owned; what was seen of the body. NULL: nothing, or too much */
    const struct dp_headers *request_trailers;
    struct dp_headers trailers;
    struct dp_timer timer, deadline;
    struct dp_task task;
    gw_msec resolve_until_ms;
    dp_tried tried;
    uint8_t state, failure; /* enum dp_call_state, enum dp_upstream_failure */
    uint8_t retries, refusals, address, addresses_left;
    bool wants_answer, wants_body, body_complete, can_replay, fresh_only, http1_only;
    bool is_stream;       /* a tunnel or an event stream: may be silent for longer */
    bool tunnel;          /* both ways are open */
    bool answer_complete; /* of a tunnel: the backend's end was told */
};

/* request and arena are borrowed until the call ends. */
void dp_upstream_start(struct dp_upstreams *upstreams, struct dp_upstream_call *call,
                       const struct dp_upstream_request *request,
                       const struct dp_upstream_events *events, struct gw_arena *arena);
/* More of the request's body, in order; trailers only with last, may be NULL, and are borrowed
 * until the call ends. Ignored after that. A body of LENGTH 0 is complete without it. */
void dp_upstream_send_body(struct dp_upstream_call *call, gw_str data, bool last,
                           const struct dp_headers *trailers);
/* Where a body with a length may go instead; send_body(GW_STR_NONE) follows. NULL: nowhere. */
struct dp_sink *dp_upstream_sink(const struct dp_upstream_call *call);
/* Starts or stops the flow of the answer's body; off at first. When framing.kind is TUNNEL (status
 * 101, or 2xx of HTTP/2) the first start opens it: call->head is gone, the request has a body again
 * (want_body, send_body), and each `last` is that side's end. body(last) leaves the other way open
 * until the caller ends it, which `closed` tells; when the caller was first, it ends the call. */
void dp_upstream_read_body(struct dp_upstream_call *call, bool on);
/* Of a tunnel whose backend has ended: the other way is still open. */
static inline bool dp_upstream_is_half_open(const struct dp_upstream_call *call)
{
    return call->answer_complete;
}
/* Of the answer, once its body has ended. */
const struct dp_headers *dp_upstream_trailers(const struct dp_upstream_call *call);
/* Ends the call early: the connection closes. Nothing happens when it has ended already. */
void dp_upstream_cancel(struct dp_upstream_call *call);

#endif
