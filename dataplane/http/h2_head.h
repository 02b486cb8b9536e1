/* SPDX-License-Identifier: Apache-2.0 */
/* A request's head from the fields of HTTP/2, held to the rules and limits of HTTP/1 where the two
 * share them. Whoever decodes the fields has checked the syntax of RFC 9113 8.2 and 8.3 (names,
 * values, which pseudo fields there are, one Content-Length); here is what they mean. */
#ifndef DP_HTTP_H2_HEAD_H
#define DP_HTTP_H2_HEAD_H

#include "dataplane/http/h1.h"

struct dp_h2_head {
    struct dp_request_head *head;      /* borrowed */
    struct gw_arena *arena;            /* borrowed; gets copies of all text */
    const struct dp_h1_limits *limits; /* borrowed */
    gw_str authority, path, protocol;
    size_t bytes;     /* of all fields so far, as HTTP/1 would write them */
    unsigned cookies; /* fields of that name */
    int error;        /* the first: -enum dp_h1_error */
};

void dp_h2_head_init(struct dp_h2_head *h2, struct dp_request_head *head, struct gw_arena *arena,
                     const struct dp_h1_limits *limits);
/* The next field, pseudo fields first. Once there is an error, what follows is only counted. */
void dp_h2_head_add(struct dp_h2_head *h2, gw_str name, gw_str value);
/* All fields have come. is_last: no body follows. 0, or -enum dp_h1_error. The CONNECT of RFC 8441
 * to WebSocket becomes what HTTP/1 says for it, a GET whose framing asks to upgrade. */
GW_MUST_CHECK int dp_h2_head_end(struct dp_h2_head *h2, bool is_last,
                                 struct dp_h1_framing *framing);
/* True when the request may be answered with the error's status; else its stream is reset, as RFC
 * 9113 8.1.1 says for what is malformed. */
bool dp_h2_error_is_answered(int error);

#endif
