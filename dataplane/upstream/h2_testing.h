/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * A backend (testing.h) that speaks HTTP/2 frame by frame, so that it can break any rule. */
#ifndef DP_UPSTREAM_H2_TESTING_H
#define DP_UPSTREAM_H2_TESTING_H

#include "dataplane/upstream/h2_link.h"
#include "dataplane/upstream/testing.h"

#define PREFACE_BYTES 24
#define FRAME_BYTES 9
#define END_STREAM NGHTTP2_FLAG_END_STREAM
#define END_HEADERS NGHTTP2_FLAG_END_HEADERS

struct frame {
    uint8_t type, flags;
    uint32_t id, len;
    uint8_t payload[65536];
};

/* What the script looks at last; one script runs at a time. */
static struct frame seen_frame;
static struct {
    char text[8192]; /* "name: value\n" of the last head */
} seen_head;
static nghttp2_hd_inflater *inflater;

static inline void h2_send(struct backend *b, unsigned type, unsigned flags, uint32_t id,
                           gw_str payload)
{
    size_t len = payload.len;
    char head[FRAME_BYTES] = {(char)(len >> 16), (char)(len >> 8), (char)len,
                              (char)type,        (char)flags,      (char)(id >> 24),
                              (char)(id >> 16),  (char)(id >> 8),  (char)id};
    struct gw_buf out;
    gw_buf_init(&out, 0);
    if (gw_buf_append(&out, gw_str_n(head, sizeof(head))) < 0 || gw_buf_append(&out, payload) < 0)
        abort();
    backend_write(b, gw_buf_view(&out));
    gw_buf_done(&out);
}

static inline void h2_send_u32(struct backend *b, unsigned type, uint32_t id, uint32_t value)
{
    char text[4] = {(char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
    h2_send(b, type, 0, id, gw_str_n(text, 4));
}

static inline void h2_reset(struct backend *b, uint32_t id, uint32_t code)
{
    h2_send_u32(b, NGHTTP2_RST_STREAM, id, code);
}

static inline void h2_window(struct backend *b, uint32_t id, uint32_t bytes)
{
    h2_send_u32(b, NGHTTP2_WINDOW_UPDATE, id, bytes);
}

static inline void h2_goaway(struct backend *b, uint32_t last_id)
{
    char text[8] = {(char)(last_id >> 24), (char)(last_id >> 16), (char)(last_id >> 8),
                    (char)last_id};
    h2_send(b, NGHTTP2_GOAWAY, 0, 0, gw_str_n(text, 8));
}

static inline void h2_settings(struct backend *b, unsigned key, uint32_t value)
{
    char text[6] = {
        0, (char)key, (char)(value >> 24), (char)(value >> 16), (char)(value >> 8), (char)value};
    h2_send(b, NGHTTP2_SETTINGS, 0, 0, key ? gw_str_n(text, 6) : GW_STR_NONE);
}

/* A field as HPACK has it at its plainest; at most 126 bytes each. */
static inline void put_field(struct gw_buf *out, const char *name, const char *value)
{
    const char *texts[] = {name, value};
    if (gw_buf_append(out, gw_str_n("\0", 1)) < 0)
        abort();
    for (int i = 0; i < 2; i++) {
        char len = (char)strlen(texts[i]);
        if (gw_buf_append(out, gw_str_n(&len, 1)) < 0 ||
            gw_buf_append(out, gw_str_from(texts[i])) < 0)
            abort();
    }
}

/* fields: "name", "value", ..., NULL */
static inline void h2_fields(struct backend *b, unsigned flags, uint32_t id, const char **fields)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    for (; *fields; fields += 2)
        put_field(&out, fields[0], fields[1]);
    h2_send(b, NGHTTP2_HEADERS, flags | END_HEADERS, id, gw_buf_view(&out));
    gw_buf_done(&out);
}

#define h2_head(b, flags, id, ...) h2_fields(b, flags, id, (const char *[]){__VA_ARGS__, NULL})

static inline void h2_data(struct backend *b, unsigned flags, uint32_t id, const char *text)
{
    h2_send(b, NGHTTP2_DATA, flags, id, gw_str_from(text));
}

static inline void h2_hello(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "200");
    h2_data(b, END_STREAM, id, "hello");
}

/* False: the connection has ended. */
static inline bool h2_take(struct backend *b, size_t bytes, void *out)
{
    while (gw_buf_len(&b->seen) < bytes) {
        if (!backend_more(b))
            return false;
    }
    memcpy(out, gw_buf_view(&b->seen).ptr, bytes);
    gw_buf_consume(&b->seen, bytes);
    return true;
}

static inline void inflate_head(void)
{
    const uint8_t *at = seen_frame.payload;
    size_t left = seen_frame.len, len = 0;
    int flags = 0;
    nghttp2_nv nv;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, at, left, 1);
        if (n < 0)
            abort();
        at += n;
        left -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            len +=
                (size_t)snprintf(seen_head.text + len, sizeof(seen_head.text) - len, "%.*s: %.*s\n",
                                 (int)nv.namelen, nv.name, (int)nv.valuelen, nv.value);
    }
    nghttp2_hd_inflate_end_headers(inflater);
}

static inline bool h2_read(struct backend *b)
{
    uint8_t head[FRAME_BYTES];
    if (!h2_take(b, FRAME_BYTES, head))
        return false;
    seen_frame.len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    seen_frame.type = head[3];
    seen_frame.flags = head[4];
    seen_frame.id =
        (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    if (seen_frame.len > sizeof(seen_frame.payload) ||
        !h2_take(b, seen_frame.len, seen_frame.payload))
        return false;
    if (seen_frame.type == NGHTTP2_HEADERS)
        inflate_head();
    return true;
}

/* The next frame of that type; those before it are passed over. */
static inline bool h2_read_type(struct backend *b, unsigned type)
{
    while (h2_read(b)) {
        if (seen_frame.type == type)
            return true;
    }
    give_up(b, "frame");
    return false;
}

/* The next request's head. */
static inline uint32_t h2_request(struct backend *b)
{
    if (!h2_read_type(b, NGHTTP2_HEADERS))
        return 0;
    atomic_fetch_add(&b->requests, 1);
    return seen_frame.id;
}

static inline void h2_read_end(struct backend *b)
{
    while (h2_read(b)) {
    }
}

/* A connection up to its preface; nothing is said yet. */
static inline void h2_accept_silently(struct backend *b)
{
    char preface[PREFACE_BYTES];
    backend_accept(b);
    gw_buf_clear(&b->seen);
    if (inflater)
        nghttp2_hd_inflate_del(inflater);
    if (nghttp2_hd_inflate_new(&inflater) != 0)
        abort();
    if (!h2_take(b, PREFACE_BYTES, preface) || memcmp(preface, NGHTTP2_CLIENT_MAGIC, PREFACE_BYTES))
        give_up(b, "preface");
}

static inline void h2_accept_saying(struct backend *b, unsigned setting, uint32_t value)
{
    h2_accept_silently(b);
    h2_settings(b, setting, value);
    h2_send(b, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, GW_STR_NONE);
}

static inline void h2_accept(struct backend *b)
{
    h2_accept_saying(b, 0, 0);
}

static inline void h2_caller_init(struct caller *c, struct bench *bench, enum dp_method method)
{
    caller_init(c, bench, method);
    c->request.http2 = true;
}

static inline void h2_get_ok(struct bench *bench, const char *body)
{
    struct caller c;
    h2_caller_init(&c, bench, DP_METHOD_GET);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 200);
    assert_str(gw_buf_view(&c.body), body);
    caller_done(&c);
}

static inline void h2_get_fails(struct bench *bench, enum dp_upstream_failure failure,
                                unsigned heads)
{
    struct caller c;
    h2_caller_init(&c, bench, DP_METHOD_GET);
    c.request.retry_count = 0;
    caller_run(&c);
    assert_int_equal(c.failure, failure);
    assert_int_equal(c.heads, heads);
    caller_done(&c);
}

#endif
