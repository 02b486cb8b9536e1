/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_head.h"

#include "dataplane/http/h1_framing.h"
#include "dataplane/http/scan.h"

#define LINE_REST_BYTES 4 /* ": " and CR LF */

void dp_h2_head_init(struct dp_h2_head *h2, struct dp_request_head *head, struct gw_arena *arena,
                     const struct dp_h1_limits *limits)
{
    *h2 = (struct dp_h2_head){.head = head, .arena = arena, .limits = limits};
    *head = (struct dp_request_head){.major = 2};
    dp_headers_init(&head->headers, arena);
}

static void fail(struct dp_h2_head *h2, enum dp_h1_error error)
{
    if (h2->error == 0)
        h2->error = -(int)error;
}

static void add_pseudo(struct dp_h2_head *h2, gw_str name, gw_str value)
{
    if (value.len > h2->limits->line_bytes)
        fail(h2, gw_str_eq(name, GW_STR(":path")) ? DP_H1_URI_TOO_LONG : DP_H1_HEADER_TOO_LARGE);
    else if (gw_str_eq(name, GW_STR(":path")))
        h2->path = gw_arena_dup(h2->arena, value);
    else if (gw_str_eq(name, GW_STR(":authority")))
        h2->authority = gw_arena_dup(h2->arena, value);
    else if (gw_str_eq(name, GW_STR(":method")))
        h2->head->method_name = gw_arena_dup(h2->arena, value);
    else if (gw_str_eq(name, GW_STR(":protocol")))
        h2->protocol = gw_arena_dup(h2->arena, value);
    /* :scheme says what the caller means, not how it came here: nothing is built on it. */
}

/* Known names as we write them: for backends that speak HTTP/1 nothing looks unusual. */
static void append(struct dp_h2_head *h2, gw_str name, gw_str value)
{
    struct gw_arena *arena = h2->arena;
    enum dp_header_id id = dp_header_id_from(name);
    gw_str kept = id == DP_HEADER_OTHER ? gw_arena_dup(arena, name) : dp_header_name(id);
    h2->cookies += id == DP_HEADER_COOKIE;
    dp_headers_append(&h2->head->headers, kept, gw_arena_dup(arena, value));
}

void dp_h2_head_add(struct dp_h2_head *h2, gw_str name, gw_str value)
{
    size_t bytes = name.len + value.len + LINE_REST_BYTES;
    bool is_pseudo = name.len > 0 && *name.ptr == ':';
    h2->bytes += bytes;
    if (h2->error)
        return;
    if (is_pseudo)
        add_pseudo(h2, name, value);
    else if (bytes > h2->limits->header_bytes || h2->bytes > h2->limits->head_bytes)
        fail(h2, DP_H1_HEADER_TOO_LARGE);
    else if (h2->head->headers.count >= h2->limits->header_count)
        fail(h2, DP_H1_TOO_MANY_HEADERS);
    else
        append(h2, name, value);
}

/* RFC 9113 8.3.1: Host may be there beside :authority, and then says the same. */
static int settle_host(struct dp_h2_head *h2)
{
    struct dp_headers *headers = &h2->head->headers;
    const struct dp_header *host = dp_headers_get(headers, DP_HEADER_HOST);
    if (h2->authority.len == 0)
        return host ? 0 : -DP_H1_BAD_HOST;
    if (!host)
        dp_headers_add_id(headers, DP_HEADER_HOST, h2->authority);
    else if (!gw_str_eq_nocase(host->value, h2->authority))
        return -DP_H1_BAD_HOST;
    return 0;
}

/* RFC 9113 8.2.3: what was cut for compression is one field to everybody else. */
static void join_cookies(struct dp_h2_head *h2)
{
    struct dp_headers *headers = &h2->head->headers;
    char *text = gw_arena_bytes(h2->arena, h2->bytes + 2 * h2->cookies), *at = text;
    for (unsigned i = 0; i < headers->count; i++) {
        gw_str value = headers->items[i].value;
        if (headers->items[i].id != DP_HEADER_COOKIE)
            continue;
        if (at > text)
            at = (char *)memcpy(at, "; ", 2) + 2;
        memcpy(at, value.ptr, value.len);
        at += value.len;
    }
    dp_headers_set(headers, dp_header_name(DP_HEADER_COOKIE), gw_str_n(text, (size_t)(at - text)));
}

static int read_framing(const struct dp_h2_head *h2, bool is_last, struct dp_h1_framing *framing)
{
    const struct dp_headers *headers = &h2->head->headers;
    const struct dp_header *length = dp_headers_get(headers, DP_HEADER_CONTENT_LENGTH);
    const struct dp_header *expect = dp_headers_get(headers, DP_HEADER_EXPECT);
    *framing = (struct dp_h1_framing){.kind = is_last ? DP_BODY_NONE : DP_BODY_CHUNKED,
                                      .keep_alive = true};
    if (length) {
        framing->kind = DP_BODY_LENGTH;
        if (gw_str_to_u64(length->value, INT64_MAX, &framing->length) != 0)
            return -DP_H1_BAD_CONTENT_LENGTH;
    }
    if (expect && !gw_str_eq_nocase(expect->value, GW_STR("100-continue")))
        return -DP_H1_BAD_EXPECT;
    framing->expect_continue = expect && !is_last;
    return 0;
}

/* RFC 8441 4: nothing of it is a body before it is answered. */
static int read_connect(struct dp_h2_head *h2, bool is_last, struct dp_h1_framing *framing)
{
    if (h2->protocol.len == 0 || is_last)
        return -DP_H1_CONNECT_REFUSED;
    if (!gw_str_eq_nocase(h2->protocol, GW_STR("websocket")))
        return -DP_H1_UNKNOWN_PROTOCOL;
    h2->head->method = DP_METHOD_GET;
    h2->head->method_name = dp_method_name(DP_METHOD_GET);
    *framing = (struct dp_h1_framing){.kind = DP_BODY_NONE, .keep_alive = true, .upgrade = true};
    return 0;
}

/* For a form that HTTP/1 has and HTTP/2 has not: http://host/path in :path. */
static bool is_path(gw_str path)
{
    const char *end = path.ptr + path.len;
    return path.len > 0 && (*path.ptr == '/' || gw_str_eq(path, GW_STR("*"))) &&
           dp_scan_target(path.ptr, end) == end;
}

int dp_h2_head_end(struct dp_h2_head *h2, bool is_last, struct dp_h1_framing *framing)
{
    struct dp_request_head *head = h2->head;
    *framing = (struct dp_h1_framing){.keep_alive = true};
    if (h2->error)
        return h2->error;
    const char *name_end = head->method_name.ptr + head->method_name.len;
    if (head->method_name.len == 0 || dp_scan_token(head->method_name.ptr, name_end) != name_end)
        return -DP_H1_BAD_METHOD;
    head->method = dp_method_from(head->method_name);
    bool is_connect = head->method == DP_METHOD_CONNECT;
    int result = is_connect ? read_connect(h2, is_last, framing) : 0;
    if (result < 0)
        return result;
    if (!is_path(h2->path))
        return -DP_H1_BAD_TARGET;
    head->target = h2->path;
    result = settle_host(h2);
    if (result == 0)
        result = dp_h1_target_split(head);
    if (result == 0 && !is_connect)
        result = read_framing(h2, is_last, framing);
    if (result == 0 && h2->cookies > 1)
        join_cookies(h2);
    return result;
}

bool dp_h2_error_is_answered(int error)
{
    switch (-error) {
    case DP_H1_URI_TOO_LONG:
    case DP_H1_HEADER_TOO_LARGE:
    case DP_H1_TOO_MANY_HEADERS:
    case DP_H1_TRAILER_TOO_LARGE:
    case DP_H1_BAD_EXPECT:
    case DP_H1_CONNECT_REFUSED:
    case DP_H1_UNKNOWN_PROTOCOL:
        return true;
    default:
        return false;
    }
}
