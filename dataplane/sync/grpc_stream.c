/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/grpc_stream.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#define PREFIX_BYTES 5                         /* compressed flag, length of 4 bytes */
#define WINDOW_STREAM_BYTES (4 * 1024 * 1024)  /* the default of 64 KiB throttles snapshots */
#define WINDOW_SESSION_BYTES (8 * 1024 * 1024) /* stack.md 2 */

struct dp_grpc_stream {
    nghttp2_session *session; /* owned */
    const struct dp_grpc_events *events;
    void *user;
    char *authority, *path; /* owned */
    bool tls;
    int32_t id;
    struct gw_buf input;   /* of the message that is being received */
    struct gw_buf pending; /* messages with their prefix, not yet taken by nghttp2 */
    bool is_deferred;      /* nghttp2 asked for data when there was none */
    bool is_ended;
    bool ping_unanswered;
    int http_status;
    struct gw_error status; /* from the trailers */
    bool has_status;
};

static void end(struct dp_grpc_stream *stream, const struct gw_error *status)
{
    if (stream->is_ended)
        return;
    stream->is_ended = true;
    stream->events->on_end(stream->user, status);
}

/* "%E2%9C%93" -> bytes, as grpc-message is written; bad escapes stay as they are. */
static void decode_message(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        unsigned byte;
        if (*in == '%' && in[1] && in[2] && sscanf(in + 1, "%2x", &byte) == 1) {
            *out++ = (char)byte;
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)session, (void)flags;
    struct dp_grpc_stream *stream = user;
    gw_str key = gw_str_n((const char *)name, name_len);
    gw_str text = gw_str_n((const char *)value, value_len);
    uint64_t number;
    if (frame->hd.stream_id != stream->id)
        return 0;
    if (gw_str_eq(key, GW_STR(":status"))) {
        if (gw_str_to_u64(text, 999, &number) == 0)
            stream->http_status = (int)number;
    } else if (gw_str_eq(key, GW_STR("grpc-status"))) {
        stream->has_status = gw_str_to_u64(text, 16, &number) == 0;
        if (stream->has_status)
            stream->status.code = (enum gw_code)number;
    } else if (gw_str_eq(key, GW_STR("grpc-message"))) {
        snprintf(stream->status.message, sizeof(stream->status.message), "%.*s", GW_STR_ARG(text));
        decode_message(stream->status.message);
    }
    return 0;
}

/* Takes whole messages off the front of the input. 0, or -1: the stream is of no use. */
static int deliver(struct dp_grpc_stream *stream, struct gw_error *err)
{
    while (!stream->is_ended && gw_buf_len(&stream->input) >= PREFIX_BYTES) {
        const uint8_t *p = (const uint8_t *)stream->input.data + stream->input.start;
        size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (p[0] != 0)
            return gw_fail(err, GW_INTERNAL, "compressed message without agreement");
        if (len > DP_GRPC_MESSAGE_BYTES_MAX)
            return gw_fail(err, GW_RESOURCE_EXHAUSTED, "message of %zu bytes is beyond %d", len,
                           DP_GRPC_MESSAGE_BYTES_MAX);
        if (gw_buf_len(&stream->input) < PREFIX_BYTES + len)
            return 0;
        if (stream->events->on_message(stream->user, gw_str_n((const char *)p + PREFIX_BYTES, len),
                                       err) < 0)
            return -1;
        gw_buf_consume(&stream->input, PREFIX_BYTES + len);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    (void)session, (void)flags;
    struct dp_grpc_stream *stream = user;
    struct gw_error err = GW_ERROR_NONE;
    if (id != stream->id || stream->is_ended)
        return 0;
    if (stream->http_status != 200) /* what a proxy says, not a control plane */
        (void)gw_fail(&err, GW_UNAVAILABLE, "HTTP status %d", stream->http_status);
    else if (gw_buf_append(&stream->input, gw_str_n((const char *)data, len)) < 0)
        (void)gw_fail(&err, GW_RESOURCE_EXHAUSTED, "message is too large"); /* told by end() */
    else if (deliver(stream, &err) == 0)
        return 0;
    end(stream, &err);
    return 0;
}

/* The server's status, or what its absence means. */
static void end_with_status(struct dp_grpc_stream *stream, uint32_t error_code)
{
    struct gw_error err = stream->status;
    if (!stream->has_status && stream->http_status != 0 && stream->http_status != 200)
        (void)gw_fail(&err, GW_UNAVAILABLE, "HTTP status %d", stream->http_status);
    else if (!stream->has_status)
        (void)gw_fail(&err, GW_UNAVAILABLE, "HTTP/2 stream ended: %s",
                      nghttp2_http2_strerror(error_code));
    end(stream, &err);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
    (void)session;
    struct dp_grpc_stream *stream = user;
    if (id == stream->id)
        end_with_status(stream, error_code);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct dp_grpc_stream *stream = user;
    struct gw_error err = GW_ERROR_NONE;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        stream->ping_unanswered = false;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.last_stream_id < stream->id) {
        (void)gw_fail(&err, GW_UNAVAILABLE, "the control plane goes away");
        end(stream, &err);
    }
    /* The server is done; that our half is open keeps nghttp2 from calling the stream closed. */
    bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (may_end && frame->hd.stream_id == stream->id && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        end_with_status(stream, NGHTTP2_NO_ERROR);
    return 0;
}

static ssize_t read_pending(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session, (void)id, (void)flags, (void)source;
    struct dp_grpc_stream *stream = user;
    size_t n = GW_MIN(room, gw_buf_len(&stream->pending));
    if (n == 0) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    memcpy(out, stream->pending.data + stream->pending.start, n);
    gw_buf_consume(&stream->pending, n);
    return (ssize_t)n;
}

#define NV(n, v)                                                                                   \
    (nghttp2_nv)                                                                                   \
    {                                                                                              \
        .name = (uint8_t *)(uintptr_t)(n), .value = (uint8_t *)(uintptr_t)(v),                     \
        .namelen = strlen(n), .valuelen = strlen(v)                                                \
    }

static void submit(struct dp_grpc_stream *stream)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_STREAM_BYTES},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    nghttp2_nv headers[] = {
        NV(":method", "POST"),
        NV(":scheme", stream->tls ? "https" : "http"),
        NV(":path", stream->path),
        NV(":authority", stream->authority),
        NV("te", "trailers"),
        NV("content-type", "application/grpc"),
        NV("user-agent", "penstock-agent/" PENSTOCK_VERSION),
    };
    nghttp2_data_provider body = {.read_callback = read_pending};
    if (nghttp2_submit_settings(stream->session, 0, settings, GW_ARRAY_LEN(settings)) != 0 ||
        nghttp2_session_set_local_window_size(stream->session, 0, 0, WINDOW_SESSION_BYTES) != 0)
        gw_panic("nghttp2: settings refused");
    stream->id =
        nghttp2_submit_request(stream->session, NULL, headers, GW_ARRAY_LEN(headers), &body, NULL);
    if (stream->id < 0)
        gw_panic("nghttp2: request refused: %s", nghttp2_strerror(stream->id));
}

struct dp_grpc_stream *dp_grpc_stream_new(const char *authority, const char *path, bool tls,
                                          const struct dp_grpc_events *events, void *user)
{
    struct dp_grpc_stream *stream = gw_calloc(1, sizeof(*stream));
    nghttp2_session_callbacks *callbacks;
    *stream = (struct dp_grpc_stream){.events = events,
                                      .user = user,
                                      .authority = gw_strdup(authority),
                                      .path = gw_strdup(path),
                                      .tls = tls};
    gw_buf_init(&stream->input, DP_GRPC_MESSAGE_BYTES_MAX + WINDOW_STREAM_BYTES);
    gw_buf_init(&stream->pending, DP_GRPC_OUTPUT_BYTES_MAX);
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        gw_panic("out of memory");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    if (nghttp2_session_client_new(&stream->session, callbacks, stream) != 0)
        gw_panic("out of memory");
    nghttp2_session_callbacks_del(callbacks);
    submit(stream);
    return stream;
}

void dp_grpc_stream_free(struct dp_grpc_stream *stream)
{
    if (!stream)
        return;
    stream->is_ended = true;
    nghttp2_session_del(stream->session);
    gw_buf_done(&stream->input);
    gw_buf_done(&stream->pending);
    free(stream->authority);
    free(stream->path);
    free(stream);
}

int dp_grpc_stream_receive(struct dp_grpc_stream *stream, gw_str bytes, struct gw_error *err)
{
    ssize_t taken =
        nghttp2_session_mem_recv(stream->session, (const uint8_t *)bytes.ptr, bytes.len);
    if (taken < 0)
        return gw_fail(err, GW_UNAVAILABLE, "HTTP/2: %s", nghttp2_strerror((int)taken));
    return 0;
}

int dp_grpc_stream_output(struct dp_grpc_stream *stream, gw_str *ret_bytes, struct gw_error *err)
{
    const uint8_t *data;
    ssize_t len = nghttp2_session_mem_send(stream->session, &data);
    if (len < 0)
        return gw_fail(err, GW_UNAVAILABLE, "HTTP/2: %s", nghttp2_strerror((int)len));
    /* nghttp2 has told the peer off, and reads no more. */
    if (len == 0 && !stream->is_ended && !nghttp2_session_want_read(stream->session))
        return gw_fail(err, GW_UNAVAILABLE, "HTTP/2: the peer breaks the protocol");
    *ret_bytes = gw_str_n((const char *)data, (size_t)len);
    return 0;
}

int dp_grpc_stream_send(struct dp_grpc_stream *stream, gw_str message)
{
    uint32_t len = (uint32_t)message.len;
    const char prefix[PREFIX_BYTES] = {0, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8),
                                       (char)len};
    if (message.len > DP_GRPC_OUTPUT_BYTES_MAX ||
        gw_buf_reserve(&stream->pending, PREFIX_BYTES + message.len) < 0)
        return -ENOBUFS;
    if (gw_buf_append(&stream->pending, gw_str_n(prefix, PREFIX_BYTES)) < 0 ||
        gw_buf_append(&stream->pending, message) < 0)
        gw_panic("room was reserved");
    if (stream->is_deferred && nghttp2_session_resume_data(stream->session, stream->id) == 0)
        stream->is_deferred = false;
    return 0;
}

bool dp_grpc_stream_ping(struct dp_grpc_stream *stream)
{
    if (stream->ping_unanswered)
        return false;
    stream->ping_unanswered = true;
    return nghttp2_submit_ping(stream->session, 0, NULL) == 0;
}
