/* SPDX-License-Identifier: Apache-2.0 */
/* Decoder of one HTTP/1 body: finds the data between the framing, without copying it. */
#ifndef DP_HTTP_H1_BODY_H
#define DP_HTTP_H1_BODY_H

#include "dataplane/http/h1.h"

struct dp_h1_body {
    enum dp_body_kind kind;
    bool done;             /* the last byte of the message has been consumed */
    bool is_strict;        /* of a request: trailers that name framing or host are an error. To be
                              set after init */
    uint8_t stage;         /* of the chunked form */
    uint8_t digits;        /* of the chunk size so far */
    uint32_t aside_bytes;  /* chunk extensions so far; then trailers so far */
    uint32_t trailer_scan; /* bytes of the unfinished trailer line already looked at */
    uint64_t left;         /* bytes of the body (LENGTH) or the chunk (CHUNKED) to come */
    uint64_t total;        /* bytes of data seen */
    const struct dp_h1_limits *limits; /* borrowed */
    struct dp_headers trailers;        /* copies in the arena */
};

/* done at once when there is no body. */
void dp_h1_body_init(struct dp_h1_body *body, const struct dp_h1_framing *framing,
                     const struct dp_h1_limits *limits, struct gw_arena *arena);

/* Consumes from the front of input: returns how many bytes (data and framing), and the data among
 * them in *ret_data (a view into input; may be empty). 0: more input is needed, or done. <0:
 * -enum dp_h1_error. Call it until it returns 0 or body->done. What is not consumed must be
 * there again, with more behind it, at the next call. Trailers that could change what the head
 * said are dropped (dp_header_is_for_trailers). */
GW_MUST_CHECK ptrdiff_t dp_h1_body_next(struct dp_h1_body *body, gw_str input, gw_str *ret_data);

/* `bytes` of data (at most body->left for LENGTH; any number for UNTIL_CLOSE and TUNNEL) passed by
 * another way, such as splice. Not for CHUNKED outside a chunk. */
void dp_h1_body_skip(struct dp_h1_body *body, uint64_t bytes);

/* The peer closed. True when that is a proper end (done, UNTIL_CLOSE or TUNNEL); then
 * body->done. */
GW_MUST_CHECK bool dp_h1_body_close(struct dp_h1_body *body);

#endif
