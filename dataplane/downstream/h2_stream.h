/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of HTTP/2: one request and its answer; private to downstream/. */
#ifndef DP_DOWNSTREAM_H2_STREAM_H
#define DP_DOWNSTREAM_H2_STREAM_H

#include "dataplane/downstream/h2_session.h"
#include "dataplane/http/h2_fields.h"

/* Bytes of a request's body that may wait for a handler that does not read: per stream. Those of a
 * stream never keep others from receiving: the connection's window is given back at once. */
#define DP_H2_STREAM_WINDOW (64 * 1024)
/* Unsent bytes of all answers of a connection from which on each of them pauses its source. */
#define DP_H2_UNSENT_MAX (512 * 1024)

struct dp_h2_stream {
    struct dp_downstream downstream;
    struct dp_h2_session *session; /* borrowed */
    struct gw_list node;           /* of session->streams */
    struct gw_list ready;          /* of session->ready, or by itself */
    struct dp_timer timer;         /* body timeout, or write timeout while bytes wait to be sent */
    void *request;                 /* the handler's; NULL: it is done with it */
    struct gw_arena *arena;        /* the request's */
    struct dp_h2_head head;
    struct dp_headers trailers;
    size_t trailer_bytes;
    struct dp_block *in;  /* owned; body that came and was not asked for yet. NULL: none */
    struct dp_block *out; /* owned; body to be sent. NULL: none */
    gw_str lent;          /* more of it, behind `out`, for the time of one call */
    struct dp_h2_fields out_trailers; /* text in the arena */
    gw_msec began_ms;
    int32_t id;
    int error;       /* -enum dp_h1_error: why it is reset; 0: the caller did it */
    bool has_head;   /* the handler has it */
    bool in_done;    /* the last of the request has come */
    bool in_told;    /* and the handler knows */
    bool reading;    /* the handler wants the body */
    bool continued;  /* 100 was sent, or there is no need */
    bool head_sent;  /* the answer's head is on its way */
    bool no_body;    /* it said that nothing follows */
    bool ended;      /* the handler has said all */
    bool tunnel;     /* the answer opened one */
    bool end_told;   /* the handler knows that its answer is sent */
    bool deferred;   /* nghttp2 waits for more of `out` */
    bool sent;       /* nghttp2 has written the last frame of the answer */
    bool full;       /* its source has been told to pause */
    bool is_drained; /* and may go on */
    bool taken_back; /* the caller has reset it */
    bool closed;     /* nghttp2 has forgotten it */
};

/* A tunnel that each side has ended, the caller perhaps before its bytes were asked for: closed,
 * and still to be handed on. */
static inline bool dp_h2_is_whole_tunnel(const struct dp_h2_stream *stream)
{
    return stream->tunnel && stream->in_done && stream->sent && !stream->taken_back;
}

/* The stream has news for its handler: before the event ends. */
void dp_h2_tell_later(struct dp_h2_stream *stream);

/* h2_request.c */
void dp_h2_set_request_callbacks(nghttp2_session_callbacks *callbacks);
void dp_h2_stream_tell(struct dp_h2_stream *stream);
void dp_h2_stream_free(struct dp_h2_stream *stream);
void dp_h2_stream_arm(struct dp_h2_stream *stream);

/* h2_answer.c */
extern const struct dp_downstream_ops dp_h2_downstream_ops;
void dp_h2_set_answer_callbacks(nghttp2_session_callbacks *callbacks);
void dp_h2_drop_unsent(struct dp_h2_stream *stream);

static inline struct dp_h2_stream *dp_h2_stream_of(const struct dp_downstream *downstream)
{
    return gw_container_of(downstream, struct dp_h2_stream, downstream);
}

#endif
