/* SPDX-License-Identifier: Apache-2.0 */
/* Where a body ends. Whatever two parsers could read differently is an error here (RFC 9112 6.3).
 */
#include "dataplane/http/h1_framing.h"

static const struct dp_header *next_field(const struct dp_headers *headers, enum dp_header_id id,
                                          unsigned *index)
{
    while (*index < headers->count) {
        const struct dp_header *header = &headers->items[(*index)++];
        if (header->id == id)
            return header;
    }
    return NULL;
}

/* One field of digits; several are refused even when they agree. */
static int read_length(const struct dp_headers *headers, uint64_t *ret_length)
{
    gw_str value = dp_headers_value(headers, DP_HEADER_CONTENT_LENGTH);
    bool is_repeated = headers->repeated & DP_HEADER_BIT(CONTENT_LENGTH);
    if (is_repeated || gw_str_to_u64(value, INT64_MAX, ret_length) != 0)
        return -DP_H1_BAD_CONTENT_LENGTH;
    return 0;
}

/* 0 for the one value that is implemented: a single "chunked". A well-formed list that ends with it
 * is 501; anything else may be framed differently by the next one who reads it. */
static int check_transfer_encoding(const struct dp_headers *headers)
{
    unsigned index = 0;
    gw_str rest = next_field(headers, DP_HEADER_TRANSFER_ENCODING, &index)->value;
    if (next_field(headers, DP_HEADER_TRANSFER_ENCODING, &index))
        return -DP_H1_BAD_TRANSFER_ENCODING;
    if (gw_str_eq_nocase(rest, GW_STR("chunked")))
        return 0;
    while (rest.ptr) {
        gw_str coding = gw_str_trim(gw_str_split(&rest, ','));
        bool is_chunked = gw_str_eq_nocase(coding, GW_STR("chunked"));
        bool is_last = !rest.ptr;
        if (is_chunked != is_last || !dp_header_is_valid(coding, GW_STR_NONE))
            return -DP_H1_BAD_TRANSFER_ENCODING;
    }
    return -DP_H1_UNKNOWN_TRANSFER_ENCODING;
}

/* Of a head that has just been parsed, in which nothing has been removed. */
static bool has(const struct dp_headers *headers, enum dp_header_id id)
{
    return (headers->present >> id) & 1;
}

/* Sets kind and length from Transfer-Encoding and Content-Length; leaves kind without them. */
static int read_body(const struct dp_headers *headers, struct dp_h1_framing *framing)
{
    if (has(headers, DP_HEADER_TRANSFER_ENCODING)) {
        if (framing->minor == 0)
            return -DP_H1_BAD_TRANSFER_ENCODING;
        if (has(headers, DP_HEADER_CONTENT_LENGTH))
            return -DP_H1_AMBIGUOUS_LENGTH;
        framing->kind = DP_BODY_CHUNKED;
        return check_transfer_encoding(headers);
    }
    if (has(headers, DP_HEADER_CONTENT_LENGTH)) {
        framing->kind = DP_BODY_LENGTH;
        return read_length(headers, &framing->length);
    }
    return 0;
}

static bool is_kept_alive(const struct dp_headers *headers, uint8_t minor)
{
    if (!has(headers, DP_HEADER_CONNECTION))
        return minor >= 1;
    if (dp_headers_only_keep_alive(headers))
        return true;
    return !dp_headers_list_has(headers, DP_HEADER_CONNECTION, GW_STR("close")) &&
           (minor >= 1 || dp_headers_list_has(headers, DP_HEADER_CONNECTION, GW_STR("keep-alive")));
}

static bool is_upgrade(const struct dp_headers *headers, uint8_t minor)
{
    return minor >= 1 && dp_headers_list_has(headers, DP_HEADER_UPGRADE, GW_STR("websocket")) &&
           dp_headers_list_has(headers, DP_HEADER_CONNECTION, GW_STR("upgrade"));
}

static int check_expect(const struct dp_headers *headers)
{
    unsigned index = 0;
    const struct dp_header *field;
    while ((field = next_field(headers, DP_HEADER_EXPECT, &index)) != NULL) {
        if (!gw_str_eq_nocase(field->value, GW_STR("100-continue")))
            return -DP_H1_BAD_EXPECT;
    }
    return 0;
}

int dp_h1_request_framing(const struct dp_request_head *head, struct dp_h1_framing *framing)
{
    const struct dp_headers *headers = &head->headers;
    *framing = (struct dp_h1_framing){.kind = DP_BODY_NONE, .minor = head->minor};
    int result = read_body(headers, framing);
    if (result < 0)
        return result;
    framing->keep_alive = is_kept_alive(headers, head->minor);
    bool is_empty = framing->kind != DP_BODY_CHUNKED && framing->length == 0;
    framing->upgrade =
        head->method == DP_METHOD_GET && is_empty && is_upgrade(headers, head->minor);
    if (framing->upgrade)
        framing->kind = DP_BODY_NONE; /* some say "Content-Length: 0" */
    if (!has(headers, DP_HEADER_EXPECT))
        return 0;
    bool has_body = framing->kind == DP_BODY_CHUNKED || framing->length > 0;
    framing->expect_continue = has_body && head->minor >= 1; /* RFC 9110 10.1.1 */
    return check_expect(headers);
}

int dp_h1_response_framing(const struct dp_response_head *head, enum dp_method method,
                           struct dp_h1_framing *framing)
{
    const struct dp_headers *headers = &head->headers;
    *framing = (struct dp_h1_framing){.kind = DP_BODY_UNTIL_CLOSE, .minor = head->minor};
    int result = read_body(headers, framing);
    if (result < 0)
        return result;
    framing->keep_alive =
        framing->kind != DP_BODY_UNTIL_CLOSE && is_kept_alive(headers, head->minor);
    bool is_interim = head->status < 200;
    if (is_interim || head->status == 204 || head->status == 304 || method == DP_METHOD_HEAD) {
        /* A 204 that announces a body may well send one: do not read on. */
        bool lies = (is_interim || head->status == 204) &&
                    (framing->kind == DP_BODY_CHUNKED || framing->length > 0);
        framing->keep_alive = !lies && is_kept_alive(headers, head->minor);
        framing->kind = DP_BODY_NONE;
        framing->length = 0;
    }
    framing->upgrade = head->status == 101 && is_upgrade(headers, head->minor);
    return 0;
}
