/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * The server's end of one gRPC stream, of libnghttp2's server half: what it is told to say it says,
 * right or wrong. Sans I/O; client_test.c puts it on a socket. */
#ifndef DP_SYNC_FAKE_CONTROLPLANE_H
#define DP_SYNC_FAKE_CONTROLPLANE_H

#include "common/buf.h"
#include "common/error.h"

#include <nghttp2/nghttp2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct fake {
    nghttp2_session *session; /* owned */
    int32_t id;               /* of the stream; 0: none yet */
    char path[128], content_type[64], te[32], authority[64];
    struct gw_buf got;     /* DATA from the client, with prefixes */
    struct gw_buf to_send; /* DATA for the client */
    bool is_deferred, sends_trailers;
    char status[16], message[128]; /* of the trailers */
};

#define FAKE_NV(n, v)                                                                              \
    (nghttp2_nv)                                                                                   \
    {                                                                                              \
        .name = (uint8_t *)(uintptr_t)(n), .value = (uint8_t *)(uintptr_t)(v),                     \
        .namelen = strlen(n), .valuelen = strlen(v)                                                \
    }

static inline void fake_keep(char *out, size_t room, const uint8_t *value, size_t len)
{
    snprintf(out, room, "%.*s", (int)len, (const char *)value);
}

static inline int fake_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                 const uint8_t *name, size_t name_len, const uint8_t *value,
                                 size_t value_len, uint8_t flags, void *user)
{
    (void)session, (void)flags;
    struct fake *fake = user;
    gw_str key = gw_str_n((const char *)name, name_len);
    fake->id = frame->hd.stream_id;
    if (gw_str_eq(key, GW_STR(":path")))
        fake_keep(fake->path, sizeof(fake->path), value, value_len);
    if (gw_str_eq(key, GW_STR(":authority")))
        fake_keep(fake->authority, sizeof(fake->authority), value, value_len);
    if (gw_str_eq(key, GW_STR("content-type")))
        fake_keep(fake->content_type, sizeof(fake->content_type), value, value_len);
    if (gw_str_eq(key, GW_STR("te")))
        fake_keep(fake->te, sizeof(fake->te), value, value_len);
    return 0;
}

static inline int fake_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                               const uint8_t *data, size_t len, void *user)
{
    (void)session, (void)flags, (void)id;
    struct fake *fake = user;
    assert_int_equal(gw_buf_append(&fake->got, gw_str_n((const char *)data, len)), 0);
    return 0;
}

static inline ssize_t fake_read(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                                uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    struct fake *fake = user;
    size_t n = GW_MIN(room, gw_buf_len(&fake->to_send));
    if (n > 0)
        memcpy(out, fake->to_send.data + fake->to_send.start, n);
    gw_buf_consume(&fake->to_send, n);
    if (n == 0 && !fake->sends_trailers) {
        fake->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (fake->sends_trailers && gw_buf_len(&fake->to_send) == 0) {
        nghttp2_nv trailers[] = {FAKE_NV("grpc-status", fake->status),
                                 FAKE_NV("grpc-message", fake->message)};
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        assert_int_equal(nghttp2_submit_trailer(session, id, trailers, 2), 0);
    }
    return (ssize_t)n;
}

static inline void fake_init(struct fake *fake)
{
    nghttp2_session_callbacks *callbacks;
    const nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 10};
    *fake = (struct fake){0};
    gw_buf_init(&fake->got, 64 * 1024 * 1024);
    gw_buf_init(&fake->to_send, 64 * 1024 * 1024);
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, fake_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, fake_on_data);
    assert_int_equal(nghttp2_session_server_new(&fake->session, callbacks, fake), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(fake->session, 0, &settings, 1), 0);
}

static inline void fake_done(struct fake *fake)
{
    nghttp2_session_del(fake->session);
    gw_buf_done(&fake->got);
    gw_buf_done(&fake->to_send);
}

/* The response's head; the body follows from to_send. */
static inline void fake_answer(struct fake *fake, const char *http_status)
{
    nghttp2_nv headers[] = {FAKE_NV(":status", http_status),
                            FAKE_NV("content-type", "application/grpc")};
    nghttp2_data_provider body = {.read_callback = fake_read};
    assert_int_equal(nghttp2_submit_response(fake->session, fake->id, headers, 2, &body), 0);
}

static inline void fake_say_raw(struct fake *fake, gw_str bytes)
{
    assert_int_equal(gw_buf_append(&fake->to_send, bytes), 0);
    if (!fake->is_deferred)
        return;
    fake->is_deferred = false;
    assert_int_equal(nghttp2_session_resume_data(fake->session, fake->id), 0);
}

/* One message of that length in its prefix: the rest is the caller's. */
static inline void fake_say_prefix(struct fake *fake, char compressed, size_t len)
{
    const char prefix[5] = {compressed, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8),
                            (char)len};
    fake_say_raw(fake, gw_str_n(prefix, sizeof(prefix)));
}

static inline void fake_say(struct fake *fake, gw_str message)
{
    fake_say_prefix(fake, 0, message.len);
    fake_say_raw(fake, message);
}

static inline void fake_end(struct fake *fake, const char *status, const char *message)
{
    snprintf(fake->status, sizeof(fake->status), "%s", status);
    snprintf(fake->message, sizeof(fake->message), "%s", message);
    fake->sends_trailers = true;
    fake_say_raw(fake, GW_STR_NONE);
}

/* The next whole message of the client, borrowed; false: not here yet. */
static inline bool fake_next(struct fake *fake, gw_str *ret_message)
{
    gw_str got = gw_buf_view(&fake->got);
    if (got.len < 5)
        return false;
    const unsigned char *p = (const unsigned char *)got.ptr;
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (got.len < 5 + len)
        return false;
    *ret_message = gw_str_n(got.ptr + 5, len);
    gw_buf_consume(&fake->got, 5 + len);
    return true;
}

#endif
