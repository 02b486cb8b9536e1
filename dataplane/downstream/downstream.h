/* SPDX-License-Identifier: Apache-2.0 */
/* One request's way to its caller: HTTP/1 has one in each connection, HTTP/2 in each stream. Who
 * handles requests (server.h) calls the functions below. One thread. */
#ifndef DP_DOWNSTREAM_H
#define DP_DOWNSTREAM_H

#include "dataplane/http/h1.h"
#include "dataplane/net/conn.h"

struct dp_connection; /* connection.h, private */
struct dp_downstream;

/* The head of the answer; kind and length say what follows: LENGTH, CHUNKED (length not known),
 * NONE (there cannot be a body) or TUNNEL: then the request, which asked to upgrade, has a body
 * again, which ends with the caller's end as the answer does with ours; neither waits for the
 * other, and no timeout applies until send_end. close: the last answer on this connection. */
struct dp_downstream_answer {
    const struct dp_response_head *head;
    enum dp_body_kind kind;
    uint64_t length;
    bool close;
};

/* What a protocol brings; see the functions of the same names. */
struct dp_downstream_ops {
    void (*read_body)(struct dp_downstream *, bool on);
    void (*send_interim)(struct dp_downstream *, const struct dp_response_head *);
    void (*send_head)(struct dp_downstream *, const struct dp_downstream_answer *);
    void (*send_body)(struct dp_downstream *, gw_str data);
    void (*send_end)(struct dp_downstream *, const struct dp_headers *trailers);
    size_t (*pending)(const struct dp_downstream *);
    void (*finish)(struct dp_downstream *);
    void (*abort)(struct dp_downstream *);
};

/* Embedded in what speaks the protocol, which sets it; others go by the functions. */
struct dp_downstream {
    const struct dp_downstream_ops *ops;
    struct dp_connection *connection;  /* borrowed: whose peer, port and TLS these are */
    const struct dp_headers *trailers; /* of the request; complete after the last of its body */
    struct dp_h1_framing framing;      /* of the request */
    bool may_rest; /* set by the handler: its body has no timeout between two reads (HTTP/2) */
    bool is_reset; /* set by the handler before send_end: that of a tunnel is a reset (HTTP/2) */
    uint64_t bytes_in, bytes_out;
    struct dp_sink sink;       /* takes the answer's body past send_body, once the head was sent */
    struct dp_sink *body_sink; /* the handler's: takes the body, and `body` hears GW_STR_NONE */
};

void *dp_downstream_owner(const struct dp_downstream *downstream);
void *dp_downstream_context(const struct dp_downstream *downstream); /* of struct dp_caller */
const struct dp_address *dp_downstream_peer(const struct dp_downstream *downstream);
gw_str dp_downstream_peer_text(const struct dp_downstream *downstream);
/* The port that the caller connected to; asks the kernel once. */
gw_str dp_downstream_local_port(const struct dp_downstream *downstream);
/* The caller's TLS session; NULL: the connection is in the clear. */
const struct dp_tls *dp_downstream_tls(const struct dp_downstream *downstream);

static inline const struct dp_h1_framing *dp_downstream_framing(const struct dp_downstream *d)
{
    return &d->framing;
}

/* Bytes of the request so far, head and framing included; of the answer likewise. */
static inline uint64_t dp_downstream_bytes_in(const struct dp_downstream *d)
{
    return d->bytes_in;
}
static inline uint64_t dp_downstream_bytes_out(const struct dp_downstream *d)
{
    return d->bytes_out + d->sink.bytes;
}
static inline const struct dp_headers *dp_downstream_trailers(const struct dp_downstream *d)
{
    return d->trailers;
}

/* Starts or stops the flow of the body. The first start tells a caller who waits for it to
 * continue (100). Data comes later, never from within this call. */
static inline void dp_downstream_read_body(struct dp_downstream *d, bool on)
{
    d->ops->read_body(d, on);
}
/* An interim answer, as 103; dropped for HTTP/1.0. */
static inline void dp_downstream_send_interim(struct dp_downstream *d,
                                              const struct dp_response_head *head)
{
    d->ops->send_interim(d, head);
}
static inline void dp_downstream_send_head(struct dp_downstream *d,
                                           const struct dp_downstream_answer *answer)
{
    d->ops->send_head(d, answer);
}
static inline void dp_downstream_send_body(struct dp_downstream *d, gw_str data)
{
    d->ops->send_body(d, data);
}
/* The answer is complete; `sent` follows. trailers may be NULL. */
static inline void dp_downstream_send_end(struct dp_downstream *d,
                                          const struct dp_headers *trailers)
{
    d->ops->send_end(d, trailers);
}
/* Unwritten bytes: pause what makes them from DP_CONN_HIGH_WATER on, until `drained`. */
static inline size_t dp_downstream_pending(const struct dp_downstream *d)
{
    return d->ops->pending(d);
}
/* The request is over and its answer sent: what comes next on the connection is not its. */
static inline void dp_downstream_finish(struct dp_downstream *d)
{
    d->ops->finish(d);
}
/* Ends it now, so that a cut answer is seen as cut. */
static inline void dp_downstream_abort(struct dp_downstream *d)
{
    d->ops->abort(d);
}

#endif
