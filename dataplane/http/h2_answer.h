/* SPDX-License-Identifier: Apache-2.0 */
/* An answer's head from the fields of HTTP/2, held to the limits of HTTP/1 and to its idea of a
 * value. Whoever decodes the fields has checked what RFC 9113 8.2 and 8.3 say of names and pseudo
 * fields. Pure. */
#ifndef DP_HTTP_H2_ANSWER_H
#define DP_HTTP_H2_ANSWER_H

#include "dataplane/http/h1.h"

struct dp_h2_answer {
    struct dp_response_head *head;     /* borrowed; its headers' arena gets copies of all text */
    const struct dp_h1_limits *limits; /* borrowed */
    size_t bytes;                      /* of all fields so far, as HTTP/1 would write them */
};

void dp_h2_answer_init(struct dp_h2_answer *answer, struct dp_response_head *head,
                       struct gw_arena *arena, const struct dp_h1_limits *limits);
/* The next field. 0, or -enum dp_h1_error: the answer is none. */
GW_MUST_CHECK int dp_h2_answer_add(struct dp_h2_answer *answer, gw_str name, gw_str value);
/* All fields of a final head have come. is_last: no body follows. 0, or -enum dp_h1_error. */
GW_MUST_CHECK int dp_h2_answer_framing(const struct dp_response_head *head, enum dp_method method,
                                       bool is_last, struct dp_h1_framing *framing);
/* A field of the trailers, dropped when it may not be one; *bytes counts them all. 0, or -enum
 * dp_h1_error. */
GW_MUST_CHECK int dp_h2_answer_add_trailer(struct dp_headers *trailers,
                                           const struct dp_h1_limits *limits, size_t *bytes,
                                           gw_str name, gw_str value);

#endif
