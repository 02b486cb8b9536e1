/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 tells of a session: frames to streams, and the limits of what a peer may send. None
 * of these closes the session: it may be in the middle of the bytes that tell of it. */
#include "dataplane/upstream/h2_link.h"

#define FRAME_HEAD_BYTES 9
#define FRAMES_WINDOW_MS 1000

static struct dp_uh2_stream *stream_of(nghttp2_session *h2, int32_t id)
{
    struct dp_uh2_stream *stream = id > 0 ? nghttp2_session_get_stream_user_data(h2, id) : NULL;
    return stream && stream->base.call ? stream : NULL;
}

/* ---- limits */

static int count_control_frame(struct dp_uh2_session *session)
{
    gw_msec now_ms = session->conn.loop->now_ms;
    if (now_ms - session->frames_since_ms >= FRAMES_WINDOW_MS) {
        session->frames_since_ms = now_ms;
        session->control_frames = 0;
    }
    return ++session->control_frames > DP_UH2_CONTROL_FRAMES_MAX ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *user)
{
    (void)h2;
    struct dp_uh2_session *session = user;
    /* What belongs to a request of ours: there is not more of it than we ask for. */
    bool is_answer = (hd->type == NGHTTP2_DATA && hd->length > 0) || hd->type == NGHTTP2_HEADERS ||
                     hd->type == NGHTTP2_RST_STREAM;
    if (hd->type == NGHTTP2_CONTINUATION)
        return ++session->continuations > DP_UH2_CONTINUATIONS_MAX ? NGHTTP2_ERR_CALLBACK_FAILURE
                                                                   : 0;
    session->continuations = 0;
    return is_answer ? 0 : count_control_frame(session);
}

/* ---- heads */

/* The field is none, or one too many: the answer is not. */
static int refuse_field(struct dp_uh2_stream *stream)
{
    stream->failure = DP_FAILURE_PROTOCOL;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    (void)user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    if (!stream)
        return 0;
    stream->in_trailers = stream->head_told;
    if (!stream->in_trailers)
        dp_h2_answer_init(&stream->answer, &stream->base.call->head, stream->base.call->arena,
                          &dp_h1_limits_default);
    return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)flags, (void)user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    gw_str key = gw_str_n((const char *)name, name_len);
    gw_str text = gw_str_n((const char *)value, value_len);
    if (!stream)
        return 0;
    int result = stream->in_trailers
                     ? dp_h2_answer_add_trailer(&stream->trailers, &dp_h1_limits_default,
                                                &stream->trailer_bytes, key, text)
                     : dp_h2_answer_add(&stream->answer, key, text);
    return result < 0 ? refuse_field(stream) : 0;
}

/* What nghttp2 would leave out of the answer as if it had not been there. */
static int on_invalid_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                             void *user)
{
    (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    return stream ? refuse_field(stream) : 0;
}

/* ---- frames */

static void take_settings(nghttp2_session *h2, struct dp_uh2_session *session)
{
    uint32_t most =
        nghttp2_session_get_remote_settings(h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    session->stream_limit = GW_MIN(most, (uint32_t)DP_UH2_STREAMS_MAX);
    session->has_settings = true;
}

/* Of a frame that belongs to the session. */
static void take_control(nghttp2_session *h2, struct dp_uh2_session *session,
                         const nghttp2_frame *frame)
{
    bool is_ack = frame->hd.flags & NGHTTP2_FLAG_ACK;
    if (frame->hd.type == NGHTTP2_SETTINGS && !is_ack)
        take_settings(h2, session);
    if (frame->hd.type == NGHTTP2_PING && is_ack) {
        session->ping_unanswered = false;
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
        session->pool->upstreams->stats.h2_goaways += !session->draining;
        session->draining = true;
    }
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct dp_uh2_session *session = user;
    bool is_answer = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    if (is_answer)
        session->heard_since_ping = true;
    if (frame->hd.stream_id == 0)
        take_control(h2, session, frame);
    if (!stream)
        return 0;
    stream->base.call->bytes_in += frame->hd.length + FRAME_HEAD_BYTES;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        stream->reset = true;
    if (frame->hd.type == NGHTTP2_HEADERS)
        dp_uh2_stream_take_head(stream, is_last);
    if (is_answer && is_last && stream->base.call && stream->head_told)
        dp_uh2_stream_take_end(stream);
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                   void *user)
{
    (void)flags, (void)user;
    struct dp_uh2_stream *stream = stream_of(h2, id);
    /* The session's window is for all of them: who reads slowly has only a stream's. */
    if (nghttp2_session_consume_connection(h2, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (stream)
        dp_uh2_stream_take_data(stream, gw_str_n((const char *)data, len));
    return 0;
}

/* ---- the end of a stream */

static enum dp_upstream_failure failure_of(const struct dp_uh2_stream *stream, uint32_t error_code)
{
    if (stream->failure != DP_FAILURE_COUNT)
        return (enum dp_upstream_failure)stream->failure;
    switch (error_code) {
    case NGHTTP2_REFUSED_STREAM: /* also those above the last one of a GOAWAY */
        return DP_FAILURE_REFUSED;
    case NGHTTP2_HTTP_1_1_REQUIRED:
        return stream->base.call->request->framing.upgrade ? DP_FAILURE_NO_TUNNEL
                                                           : DP_FAILURE_PROTOCOL;
    case NGHTTP2_PROTOCOL_ERROR: /* ours to the peer, or the other way round */
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_COMPRESSION_ERROR:
        return DP_FAILURE_PROTOCOL;
    default:
        return stream->reset ? DP_FAILURE_RESET : DP_FAILURE_PROTOCOL;
    }
}

/* REFUSED_STREAM says that there are too many: those that come next go elsewhere. */
static void lower_limit(struct dp_uh2_session *session)
{
    session->stream_limit = GW_MAX(GW_MIN(session->stream_limit, session->stream_count - 1), 1U);
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error_code, void *user)
{
    struct dp_uh2_session *session = user;
    struct dp_uh2_stream *stream = stream_of(h2, id);
    if (!stream)
        return 0;
    enum dp_upstream_failure failure = failure_of(stream, error_code);
    if (failure == DP_FAILURE_REFUSED) {
        session->pool->upstreams->stats.h2_refused++;
        if (stream->reset)
            lower_limit(session);
    }
    dp_uh2_stream_lost(stream, failure);
    return 0;
}

/* ---- sending */

static int on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct dp_uh2_session *session = user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    if (!stream)
        return 0;
    stream->base.call->bytes_out += frame->hd.length + FRAME_HEAD_BYTES;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        stream->end_sent = true;
    if (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
        session->control_frames -= GW_MIN(session->control_frames, 2U);
    return 0;
}

/* A request that came too late for the session: behind a GOAWAY. */
static int on_frame_not_sent(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user)
{
    (void)error, (void)user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    if (stream && frame->hd.type == NGHTTP2_HEADERS && !stream->in_trailers)
        stream->failure = DP_FAILURE_REFUSED;
    return 0;
}

/* The frame's head, and the data straight from where it waits. */
static int send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t len,
                     nghttp2_data_source *source, void *user)
{
    (void)source;
    struct dp_uh2_session *session = user;
    struct dp_uh2_stream *stream = stream_of(h2, frame->hd.stream_id);
    if (dp_conn_pending(&session->conn) >= DP_CONN_HIGH_WATER)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (!stream) /* between being asked for the data and sending it nobody leaves */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    dp_conn_send(&session->conn, gw_str_n((const char *)head, FRAME_HEAD_BYTES));
    dp_uh2_stream_send(stream, len);
    return 0;
}

nghttp2_session *dp_uh2_events_new_session(struct dp_uh2_session *session)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *h2;
    if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0)
        gw_panic("out of memory");
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1); /* h2_answer.c */
    nghttp2_option_set_max_continuations(option, DP_UH2_CONTINUATIONS_MAX);
    if (nghttp2_session_client_new2(&h2, callbacks, session, option) != 0)
        gw_panic("out of memory");
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return h2;
}
