/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.0 and 1.1 heads and framing, sans I/O: bytes in, structures out, strict (README.md). The
 * result never depends on how the bytes were cut, and no byte is looked at more than twice. */
#ifndef DP_HTTP_H1_H
#define DP_HTTP_H1_H

#include "dataplane/http/message.h"

/* X(name, status, reason word, text). A parser returns -DP_H1_<name>. The reason word goes to the
 * access log. For a bad response the status is 502 (dp_h1_error_status says
 * what to tell a caller about a bad request). After any of them the connection must close. */
#define DP_H1_ERRORS(X)                                                                            \
    X(BAD_METHOD, 400, "http.method", "The method is malformed.")                                  \
    X(METHOD_TOO_LONG, 501, "http.method_too_long", "No method is that long.")                     \
    X(BAD_TARGET, 400, "http.target", "The request target is malformed.")                          \
    X(URI_TOO_LONG, 414, "http.uri_too_long", "Request URI too large.")                            \
    X(BAD_VERSION, 400, "http.version", "The protocol version is malformed.")                      \
    X(VERSION_UNSUPPORTED, 505, "http.version_unsupported", "Only HTTP/1.0 and 1.1 are spoken.")   \
    X(BAD_LINE_END, 400, "http.line_end", "A line does not end with CR LF.")                       \
    X(BAD_STATUS, 400, "http.status", "The status line is malformed.")                             \
    X(BAD_HEADER_NAME, 400, "http.header_name", "A header name is not a token.")                   \
    X(BAD_HEADER_VALUE, 400, "http.header_value", "A header value has a control character.")       \
    X(FOLDED_HEADER, 400, "http.header_folded", "A header is folded over lines.")                  \
    X(HEADER_TOO_LARGE, 431, "http.header_too_large", "Request headers too large.")                \
    X(TOO_MANY_HEADERS, 431, "http.header_count", "Too many request headers.")                     \
    X(BAD_HOST, 400, "http.host", "The Host header is missing, repeated or malformed.")            \
    X(BAD_CONTENT_LENGTH, 400, "http.content_length", "Content-Length is malformed or repeated.")  \
    X(BAD_TRANSFER_ENCODING, 400, "http.transfer_encoding",                                        \
      "Transfer-Encoding is not allowed so.")                                                      \
    X(UNKNOWN_TRANSFER_ENCODING, 501, "http.transfer_coding", "Only chunked is implemented.")      \
    X(AMBIGUOUS_LENGTH, 400, "http.ambiguous_length",                                              \
      "Both Content-Length and Transfer-Encoding.")                                                \
    X(BAD_EXPECT, 417, "http.expect", "Only 100-continue may be expected.")                        \
    X(CONNECT_REFUSED, 400, "http.connect", "CONNECT is not served.")                              \
    X(UNKNOWN_PROTOCOL, 501, "http.protocol", "CONNECT is served for websocket only.")             \
    X(BAD_CHUNK, 400, "http.chunk", "The chunked body is malformed.")                              \
    X(BAD_TRAILER, 400, "http.trailer", "The trailer section is malformed.")                       \
    X(TRAILER_TOO_LARGE, 431, "http.trailer_too_large", "Trailers too large.")                     \
    X(MALFORMED, 400, "http.malformed", "The message breaks the rules of HTTP/2.")

enum dp_h1_error {
    DP_H1_OK,
#define DP_H1_ROW(name, status, reason, text) DP_H1_##name,
    DP_H1_ERRORS(DP_H1_ROW)
#undef DP_H1_ROW
        DP_H1_ERROR_COUNT
};
/* These three take the negative result of a parser or the positive enum. */
unsigned dp_h1_error_status(ptrdiff_t error);
const char *dp_h1_error_reason(ptrdiff_t error);
const char *dp_h1_error_text(ptrdiff_t error);

struct dp_h1_limits {
    uint32_t line_bytes;      /* request line or status line; beyond: 414 */
    uint32_t header_bytes;    /* one field line; beyond: 431 */
    uint32_t head_bytes;      /* all field lines; beyond: 431 */
    uint32_t header_count;    /* at most DP_HEADERS_MAX; beyond: 431 */
    uint32_t extension_bytes; /* all chunk extensions of one body; beyond: 400 */
    uint32_t
        trailer_bytes; /* whole trailer section; beyond: 431. A caller's buffer holds as much */
};
/* 32 KiB, 32 KiB, 128 KiB, 200, 4 KiB, 16 KiB. */
extern const struct dp_h1_limits dp_h1_limits_default;
/* The most a head can take: what a connection's input buffer must be able to hold. */
#define DP_H1_HEAD_BYTES_MAX (160 * 1024 + 4)

enum dp_body_kind {
    DP_BODY_NONE,        /* there cannot be one (GET without length; HEAD, 1xx, 204, 304 answers) */
    DP_BODY_LENGTH,      /* exactly `length` bytes, 0 included */
    DP_BODY_CHUNKED,     /* chunks, then trailers */
    DP_BODY_UNTIL_CLOSE, /* response only: all until the peer closes; cut off is not seen */
    DP_BODY_TUNNEL /* behind a 101, both ways: all until each side's FIN. No head says it: whoever
                      asked to switch sets it */
};

/* Where this message ends and what becomes of the connection. */
struct dp_h1_framing {
    enum dp_body_kind kind;
    uint64_t length;      /* of DP_BODY_LENGTH */
    uint8_t minor;        /* read: of the message. Written: of the peer that will read it */
    bool keep_alive;      /* another message may follow on this connection */
    bool expect_continue; /* request: the body is withheld until "100 Continue" */
    bool upgrade; /* request: a GET that asks to switch to WebSocket, or the CONNECT of HTTP/2
                     that does; answer: a 101 that does. Other protocols are not switched to, and
                     not passed on */
};

/* State of one head in the making. dp_h1_parser_init before each head. */
struct dp_h1_parser {
    const struct dp_h1_limits *limits; /* borrowed */
    struct gw_arena *arena;            /* borrowed; gets the array of headers */
    const char *base;                  /* the caller's bytes at the last call */
    uint32_t scan;                     /* everything before it has been judged */
    uint32_t mark;                     /* start of the element at scan */
    uint32_t line;                     /* start of the line at scan */
    uint32_t name_end;                 /* of the field at scan; 0: not seen yet */
    uint32_t fields;                   /* where the field lines begin */
    uint8_t stage;
    uint8_t skipped; /* leading CR LF bytes */
};

void dp_h1_parser_init(struct dp_h1_parser *parser, const struct dp_h1_limits *limits,
                       struct gw_arena *arena);

/* `bytes` starts at the first byte of the head, and on each call holds at least what it held at the
 * last; it may have moved in memory meanwhile. >0: length of the whole head, *head and *framing
 * are set and head's views point into bytes. 0: incomplete. <0: -enum dp_h1_error. */
GW_MUST_CHECK ptrdiff_t dp_h1_parse_request(struct dp_h1_parser *parser, gw_str bytes,
                                            struct dp_request_head *head,
                                            struct dp_h1_framing *framing);
/* The same for an answer to a request with `method`. 1xx answers are heads of their own: parse the
 * next one behind it. A bad answer is 502 to the caller, whatever dp_h1_error_status says. */
GW_MUST_CHECK ptrdiff_t dp_h1_parse_response(struct dp_h1_parser *parser, gw_str bytes,
                                             enum dp_method method, struct dp_response_head *head,
                                             struct dp_h1_framing *framing);

#endif
