/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_write.h"

#include <errno.h>

#define BIT(id) DP_HEADER_BIT(id)

/* Said by the framing, or of no meaning beyond the connection that it came over. */
static const uint64_t framing_fields = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                       BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

#define FRAMING_BYTES_MAX 160 /* all lines of the framing, and what put_line writes too far */

/* Texts are mostly short: two pieces, of which the second may begin within the first, take less
 * than a call of memcpy. */
static char *put(char *at, gw_str text)
{
    char *end = at + text.len;
    if (text.len > 32) {
        memcpy(at, text.ptr, text.len);
    } else if (text.len >= 16) {
        memcpy(at, text.ptr, 16);
        memcpy(end - 16, text.ptr + text.len - 16, 16);
    } else if (text.len >= 8) {
        memcpy(at, text.ptr, 8);
        memcpy(end - 8, text.ptr + text.len - 8, 8);
    } else {
        while (at < end)
            *at++ = *text.ptr++;
    }
    return end;
}

#define PUT(at, literal)                                                                           \
    ((char *)memcpy((at), (literal), sizeof(literal) - 1) + sizeof(literal) - 1)

static bool is_skipped(const struct dp_header *header, uint64_t skip)
{
    return (skip >> header->id) & 1;
}

/* At most. */
static size_t fields_bytes(const struct dp_headers *headers)
{
    return headers->bytes + headers->count * sizeof(": \r\n");
}

/* True when name and value still stand in their buffer as "name: value". */
static bool is_one_piece(const struct dp_header *header)
{
    const char *colon = header->name.ptr + header->name.len;
    return header->value.ptr == colon + 2 && colon[0] == ':' && colon[1] == ' ';
}

static char *put_line(char *at, const struct dp_header *header)
{
    if (header->id != DP_HEADER_OTHER &&
        header->name.ptr == dp_header_name((enum dp_header_id)header->id).ptr) {
        memcpy(at, header->name.ptr, DP_HEADER_ROOM); /* the name and ": " */
        at += header->name.len + 2;
    } else {
        at = PUT(put(at, header->name), ": ");
    }
    return PUT(put(at, header->value), "\r\n");
}

/* Most fields pass as they came: neighbours that still stand in one buffer are copied in one go. */
static char *put_fields(char *at, const struct dp_headers *headers, uint64_t skip)
{
    gw_str run = GW_STR_NONE; /* lines not yet written, without the last CR LF */
    for (unsigned i = 0; i < headers->count; i++) {
        const struct dp_header *header = &headers->items[i];
        if (is_skipped(header, skip))
            continue;
        const char *end = header->value.ptr + header->value.len;
        bool is_whole = is_one_piece(header);
        if (run.ptr && is_whole && header->name.ptr == run.ptr + run.len + 2 &&
            memcmp(run.ptr + run.len, "\r\n", 2) == 0) {
            run.len = (size_t)(end - run.ptr);
            continue;
        }
        if (run.ptr)
            at = PUT(put(at, run), "\r\n");
        run = is_whole ? gw_str_n(header->name.ptr, (size_t)(end - header->name.ptr)) : GW_STR_NONE;
        if (!is_whole)
            at = put_line(at, header);
    }
    return run.ptr ? PUT(put(at, run), "\r\n") : at;
}

static char *put_framing(char *at, const struct dp_h1_framing *framing)
{
    if (framing->kind == DP_BODY_CHUNKED)
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    if (framing->kind == DP_BODY_LENGTH)
        at = PUT(gw_str_put_u64(PUT(at, "Content-Length: "), framing->length), "\r\n");
    if (framing->upgrade)
        return PUT(at, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    if (!framing->keep_alive)
        return PUT(at, "Connection: close\r\n");
    return framing->minor == 0 ? PUT(at, "Connection: keep-alive\r\n") : at;
}

int dp_h1_write_request(struct gw_buf *out, const struct dp_h1_request_line *line,
                        const struct dp_headers *headers, const struct dp_h1_framing *framing)
{
    uint64_t skip = framing_fields | BIT(HOST) | BIT(EXPECT) | BIT(HTTP2_SETTINGS);
    size_t most = line->method.len + line->target.len + line->host.len + fields_bytes(headers) +
                  sizeof("  HTTP/1.1\r\nHost: \r\n\r\n") + sizeof("Expect: 100-continue\r\n") +
                  FRAMING_BYTES_MAX;
    int result = gw_buf_reserve(out, most);
    if (result < 0)
        return result;
    char *start = out->data + out->end;
    char *at = PUT(put(PUT(put(start, line->method), " "), line->target), " HTTP/1.1\r\n");
    if (line->host.len > 0)
        at = PUT(put(PUT(at, "Host: "), line->host), "\r\n");
    at = put_fields(at, headers, skip);
    at = put_framing(at, framing);
    if (framing->expect_continue)
        at = PUT(at, "Expect: 100-continue\r\n");
    at = PUT(at, "\r\n");
    gw_buf_commit(out, (size_t)(at - start));
    return 0;
}

int dp_h1_write_response(struct gw_buf *out, unsigned status, gw_str reason,
                         const struct dp_headers *headers, const struct dp_h1_framing *framing)
{
    assert(status >= 100 && status <= 599);
    uint64_t skip = framing_fields;
    if (framing->kind == DP_BODY_NONE && status >= 200 && status != 204)
        skip &= ~BIT(CONTENT_LENGTH);
    if (reason.len == 0)
        reason = dp_status_reason(status);
    size_t most =
        sizeof("HTTP/1.1 200 \r\n\r\n") + reason.len + fields_bytes(headers) + FRAMING_BYTES_MAX;
    int result = gw_buf_reserve(out, most);
    if (result < 0)
        return result;
    char *start = out->data + out->end;
    char *at = PUT(start, "HTTP/1.1 200 ");
    at[-4] = (char)('0' + status / 100);
    at[-3] = (char)('0' + status / 10 % 10);
    at[-2] = (char)('0' + status % 10);
    at = put_fields(PUT(put(at, reason), "\r\n"), headers, skip);
    if (status >= 200 || framing->upgrade)
        at = put_framing(at, framing);
    at = PUT(at, "\r\n");
    gw_buf_commit(out, (size_t)(at - start));
    return 0;
}

void dp_h1_framing_for_reader(struct dp_h1_framing *framing, uint8_t minor)
{
    framing->minor = minor;
    if (minor == 0 && framing->kind == DP_BODY_CHUNKED)
        framing->kind = DP_BODY_UNTIL_CLOSE;
    if (framing->kind == DP_BODY_UNTIL_CLOSE)
        framing->keep_alive = false;
}

size_t dp_h1_chunk_head(char ret_text[DP_H1_CHUNK_HEAD_MAX], uint64_t bytes)
{
    assert(bytes > 0);
    char *at = ret_text;
    for (int shift = (63 - __builtin_clzll(bytes)) / 4 * 4; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[(bytes >> shift) & 15];
    at = PUT(at, "\r\n");
    return (size_t)(at - ret_text);
}

int dp_h1_write_trailers(struct gw_buf *out, const struct dp_headers *trailers)
{
    size_t most = sizeof("0\r\n\r\n") + DP_HEADER_ROOM + fields_bytes(trailers);
    int result = gw_buf_reserve(out, most);
    if (result < 0)
        return result;
    char *start = out->data + out->end;
    char *at = PUT(put_fields(PUT(start, "0\r\n"), trailers, framing_fields), "\r\n");
    gw_buf_commit(out, (size_t)(at - start));
    return 0;
}
