/* SPDX-License-Identifier: Apache-2.0 */
/* Writes HTTP/1.1 heads, chunks and trailers. Connection, Content-Length, Transfer-Encoding and
 * Upgrade come from the framing and never from the list, so a message cannot contradict itself. */
#ifndef DP_HTTP_H1_WRITE_H
#define DP_HTTP_H1_WRITE_H

#include "common/buf.h"
#include "dataplane/http/h1.h"

/* "GET /path?query HTTP/1.1" and fields. target as it goes to the wire; Host, if any, is written
 * from host and first (a Host in the list is skipped). framing: kind, length, keep_alive, and
 * expect_continue (then Expect is written; one in the list is skipped). upgrade: Upgrade: websocket
 * is written, with Connection: Upgrade. 0, or -ENOBUFS and out is as it was. */
struct dp_h1_request_line {
    gw_str method, target, host;
};
GW_MUST_CHECK int dp_h1_write_request(struct gw_buf *out, const struct dp_h1_request_line *line,
                                      const struct dp_headers *headers,
                                      const struct dp_h1_framing *framing);
/* "HTTP/1.1 200 OK" and fields; an empty reason gets the usual one. framing->minor is the reader's
 * version: with 0 keep_alive is said aloud. kind NONE leaves a Content-Length of the list (answer
 * to HEAD, 304), except for 1xx and 204. */
GW_MUST_CHECK int dp_h1_write_response(struct gw_buf *out, unsigned status, gw_str reason,
                                       const struct dp_headers *headers,
                                       const struct dp_h1_framing *framing);

/* What a reader of HTTP/1.`minor` can take: chunked becomes until-close for 1.0, and until-close
 * ends keep-alive. Sets framing->minor. Call it before writing a response. */
void dp_h1_framing_for_reader(struct dp_h1_framing *framing, uint8_t minor);

/* The line in front of a chunk of `bytes` (> 0) data; its length. CR LF must follow the data. */
#define DP_H1_CHUNK_HEAD_MAX 18
size_t dp_h1_chunk_head(char ret_text[DP_H1_CHUNK_HEAD_MAX], uint64_t bytes);
#define DP_H1_CHUNK_TAIL GW_STR("\r\n")
#define DP_H1_LAST_CHUNK GW_STR("0\r\n\r\n") /* end of a body without trailers */
/* Last chunk with trailers. */
GW_MUST_CHECK int dp_h1_write_trailers(struct gw_buf *out, const struct dp_headers *trailers);

#endif
