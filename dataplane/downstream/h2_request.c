/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2, reading: what nghttp2 found in the caller's bytes, as requests to their handlers. */
#include "dataplane/downstream/h2_stream.h"
#include "dataplane/http/h2_answer.h"

#include <stdlib.h>

#define WAITED_MS 1000 /* a reset after so long is not a rapid one */

/* ---- streams */

static struct dp_server *server_of(const struct dp_h2_session *session)
{
    return session->connection->server;
}

static struct dp_h2_stream *stream_of(struct dp_h2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->h2, id);
}

/* Says so in the log, if somebody is there to hear it, when the stream closes. */
static void reset(struct dp_h2_stream *stream, int error, uint32_t code)
{
    stream->error = error;
    /* It fails for want of memory only. */
    (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id, code);
    dp_h2_send_later(stream->session);
}

/* Also an end of nothing, which waits for the caller's window as well. */
static bool waits_to_be_sent(const struct dp_h2_stream *stream)
{
    return stream->out || (stream->ended && !stream->sent);
}

static void on_stream_timeout(struct dp_timer *timer)
{
    struct dp_h2_stream *stream = gw_container_of(timer, struct dp_h2_stream, timer);
    struct dp_server *server = server_of(stream->session);
    void *request = stream->request;
    if (stream->closed)
        return;
    if (!request) {
        reset(stream, 0, NGHTTP2_NO_ERROR); /* answered; the rest of the request is for nobody */
    } else if (waits_to_be_sent(stream)) {
        server->stats.write_timeouts++;
        stream->request = NULL;
        server->handler->fault(request, DP_FAULT_GONE, 0);
        reset(stream, 0, NGHTTP2_CANCEL);
    } else if (stream->reading && !stream->in_done) {
        server->stats.body_timeouts++;
        stream->reading = false;
        server->handler->fault(request, DP_FAULT_BODY_TIMEOUT, 0);
    }
}

/* Each piece that moves starts the wait for the next one. */
void dp_h2_stream_arm(struct dp_h2_stream *stream)
{
    struct dp_server *server = server_of(stream->session);
    if (stream->request && waits_to_be_sent(stream) && (!stream->tunnel || stream->ended))
        dp_loop_arm(server->loop, &stream->timer, server->limits.write_timeout_ms);
    else if (stream->request && stream->reading && !stream->in_done && !stream->tunnel &&
             !stream->downstream.may_rest)
        dp_loop_arm(server->loop, &stream->timer, server->limits.body_timeout_ms);
    else
        dp_timer_stop(&stream->timer);
}

static struct dp_h2_stream *new_stream(struct dp_h2_session *session, int32_t id)
{
    struct dp_server *server = server_of(session);
    struct dp_h2_stream *stream = gw_calloc(1, sizeof(*stream));
    struct dp_request_head *head;
    stream->session = session;
    stream->id = id;
    stream->began_ms = server->loop->now_ms;
    stream->downstream.ops = &dp_h2_downstream_ops;
    stream->downstream.connection = session->connection;
    stream->downstream.trailers = &stream->trailers;
    gw_list_init(&stream->ready);
    dp_timer_init(&stream->timer, on_stream_timeout);
    gw_list_push(&session->streams, &stream->node);
    session->stream_count++;
    server->h2_open++;
    server->stats.h2_streams++;
    stream->request = server->handler->begin(&stream->downstream, &head, &stream->arena);
    dp_h2_head_init(&stream->head, head, stream->arena, &dp_h1_limits_default);
    dp_headers_init(&stream->trailers, stream->arena);
    return stream;
}

void dp_h2_stream_free(struct dp_h2_stream *stream)
{
    struct dp_h2_session *session = stream->session;
    dp_h2_drop_unsent(stream);
    dp_block_give(&server_of(session)->loop->blocks, stream->in);
    dp_timer_stop(&stream->timer);
    gw_list_remove(&stream->ready);
    gw_list_remove(&stream->node);
    session->stream_count--;
    server_of(session)->h2_open--;
    if (session->heading == stream)
        session->heading = NULL;
    free(stream);
}

/* ---- news for the handler */

/* The caller may send as much more. */
static void give_window(struct dp_h2_stream *stream, size_t bytes)
{
    if (stream->closed || bytes == 0)
        return;
    /* It fails for a stream that has ended, which needs no window. */
    (void)nghttp2_session_consume_stream(stream->session->h2, stream->id, bytes);
    dp_h2_send_later(stream->session);
}

static void tell_body(struct dp_h2_stream *stream)
{
    const struct dp_handler *handler = server_of(stream->session)->handler;
    while (stream->request && stream->reading && !stream->in_told &&
           (stream->in || stream->in_done)) {
        struct dp_block *block = stream->in;
        gw_str data =
            block ? gw_str_n(block->data + block->start, block->end - block->start) : GW_STR_NONE;
        stream->in = NULL;
        stream->in_told = stream->in_done;
        give_window(stream, data.len);
        dp_h2_stream_arm(stream);
        handler->body(stream->request, data, stream->in_told);
        dp_block_give(&server_of(stream->session)->loop->blocks, block);
    }
}

static void tell_end(struct dp_h2_stream *stream)
{
    const struct dp_handler *handler = server_of(stream->session)->handler;
    void *request = stream->request;
    if (request && stream->sent && stream->ended && !stream->end_told) {
        stream->end_told = true;
        handler->sent(request);
    } else if (request && stream->closed && !dp_h2_is_whole_tunnel(stream)) {
        stream->request = NULL;
        stream->reading = false;
        handler->fault(request, DP_FAULT_GONE, stream->error);
    }
}

/* A closed stream that no handler has any more goes with it. */
void dp_h2_stream_tell(struct dp_h2_stream *stream)
{
    const struct dp_handler *handler = server_of(stream->session)->handler;
    if (!stream->closed || dp_h2_is_whole_tunnel(stream))
        tell_body(stream);
    if (stream->is_drained && stream->request && !stream->ended && !stream->closed) {
        stream->is_drained = false;
        handler->drained(stream->request);
    }
    tell_end(stream);
    if (stream->closed && !stream->request)
        dp_h2_stream_free(stream);
}

/* ---- heads */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct dp_h2_session *session = user;
    struct dp_server *server = server_of(session);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    if (server->h2_open >= server->limits.connections_max) {
        server->stats.h2_refused++;
        dp_h2_closed_add(session, frame->hd.stream_id, false);
        (void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                        NGHTTP2_REFUSED_STREAM); /* for want of memory only */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    struct dp_h2_stream *stream = new_stream(session, frame->hd.stream_id);
    session->heading = stream;
    dp_h2_flood_credit(session, 2);
    return nghttp2_session_set_stream_user_data(h2, stream->id, stream);
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct dp_h2_session *session = user;
    struct dp_h2_stream *stream = session->heading;
    gw_str field = gw_str_n((const char *)name, name_len);
    gw_str text = gw_str_n((const char *)value, value_len);
    (void)h2, (void)flags;
    if (!stream || stream->id != frame->hd.stream_id)
        stream = stream_of(session, frame->hd.stream_id);
    if (!stream || !stream->request)
        return 0;
    if (stream->has_head) {
        if (stream->error == 0)
            stream->error = dp_h2_answer_add_trailer(&stream->trailers, stream->head.limits,
                                                     &stream->trailer_bytes, field, text);
        stream->head.bytes += name_len + value_len;
    } else {
        dp_h2_head_add(&stream->head, field, text);
    }
    return dp_h2_flood_field(session, &stream->head) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* Without this nghttp2 would leave the field out; RFC 9113 8.2.1 says that the request is
 * malformed. */
static int on_invalid_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                             void *user)
{
    (void)h2, (void)frame, (void)name, (void)name_len;
    (void)value, (void)value_len, (void)flags, (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void take_head(struct dp_h2_stream *stream)
{
    struct dp_server *server = server_of(stream->session);
    int error = dp_h2_head_end(&stream->head, stream->in_done, &stream->downstream.framing);
    stream->has_head = true;
    if (error && !dp_h2_error_is_answered(error)) {
        server->stats.h2_malformed++;
        reset(stream, error, NGHTTP2_PROTOCOL_ERROR);
    } else if (error) {
        server->handler->fault(stream->request, DP_FAULT_BAD_HEAD, error);
    } else {
        server->handler->head(stream->request);
    }
}

/* ---- bodies */

static bool may_deliver(const struct dp_h2_stream *stream)
{
    return stream->request && stream->reading && !stream->in && !stream->in_told;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *user)
{
    struct dp_h2_session *session = user;
    struct dp_h2_stream *stream = stream_of(session, id);
    struct dp_blocks *blocks = &server_of(session)->loop->blocks;
    (void)flags;
    (void)nghttp2_session_consume_connection(h2, len); /* for want of memory only */
    if (!stream || !stream->request)
        return 0; /* nobody's, and no more of it is asked for */
    if (may_deliver(stream)) {
        give_window(stream, len);
        dp_h2_stream_arm(stream);
        server_of(session)->handler->body(stream->request, gw_str_n((const char *)bytes, len),
                                          false);
        return 0;
    }
    dp_block_reserve(blocks, &stream->in, len);
    memcpy(stream->in->data + stream->in->end, bytes, len);
    stream->in->end += (uint32_t)len;
    return 0;
}

static void take_end(struct dp_h2_stream *stream)
{
    stream->in_done = true;
    if (stream->request && stream->error) { /* of the trailers */
        int error = stream->error;
        stream->error = 0;
        stream->in_told = true;
        server_of(stream->session)->handler->fault(stream->request, DP_FAULT_BAD_BODY, error);
    } else if (may_deliver(stream)) {
        dp_h2_stream_arm(stream);
        stream->in_told = true;
        server_of(stream->session)->handler->body(stream->request, GW_STR_NONE, true);
    }
}

/* ---- frames */

/* Who gives up on an answer after a while is no flood: there are never more than may be open. */
static bool was_waited_for(struct dp_h2_session *session, int32_t id)
{
    const struct dp_h2_stream *stream = stream_of(session, id);
    return stream && server_of(session)->loop->now_ms - stream->began_ms >= WAITED_MS;
}

/* Also of those that nghttp2 drops without a word because their streams are no more. */
static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *user)
{
    struct dp_h2_session *session = user;
    bool is_fine = true;
    (void)h2;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        is_fine = dp_h2_closed_check(session, hd->stream_id);
        session->guard.last_id = GW_MAX(session->guard.last_id, hd->stream_id);
        break;
    case NGHTTP2_CONTINUATION:
        break;
    case NGHTTP2_DATA:
        if (hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
            is_fine = dp_h2_flood_frame(session);
        break;
    case NGHTTP2_RST_STREAM:
        server_of(session)->stats.h2_resets++;
        is_fine = was_waited_for(session, hd->stream_id) || dp_h2_flood_reset(session);
        break;
    default:
        is_fine = dp_h2_flood_frame(session);
        break;
    }
    return is_fine ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct dp_h2_session *session = user;
    bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    (void)h2;
    if (frame->hd.type > NGHTTP2_RST_STREAM || frame->hd.type == NGHTTP2_PRIORITY)
        return 0;
    struct dp_h2_stream *stream = stream_of(session, frame->hd.stream_id);
    if (stream && frame->hd.type == NGHTTP2_RST_STREAM)
        stream->taken_back = true;
    if (stream && !stream->request)
        stream->in_done |= is_end;
    if (!stream || !stream->request || stream->taken_back)
        return 0;
    stream->downstream.bytes_in += DP_H2_FRAME_HEAD + frame->hd.length;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        session->heading = NULL;
        stream->in_done = stream->in_told = is_end;
        take_head(stream);
    } else if (is_end) {
        take_end(stream);
    }
    return 0;
}

/* nghttp2 has found the frame to be against the rules, and resets the stream or ends the session.
 */
static int on_invalid_frame(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user)
{
    struct dp_h2_session *session = user;
    struct dp_h2_stream *stream = stream_of(session, frame->hd.stream_id);
    (void)h2;
    if (stream && session->heading == stream)
        session->heading = NULL;
    if (!stream && frame->hd.type == NGHTTP2_HEADERS) /* refused before it was one */
        dp_h2_closed_add(session, frame->hd.stream_id, false);
    if (stream && stream->error == 0)
        stream->error = -DP_H1_MALFORMED;
    if (error != NGHTTP2_ERR_REFUSED_STREAM)
        server_of(session)->stats.h2_malformed++;
    return dp_h2_flood_reset(session) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
    struct dp_h2_stream *stream = stream_of(user, id);
    (void)code;
    if (!stream) /* refused, and remembered then */
        return 0;
    (void)nghttp2_session_set_stream_user_data(h2, id, NULL); /* it is there */
    stream->closed = true;
    dp_h2_closed_add(user, id, stream->in_done || stream->taken_back);
    dp_h2_tell_later(stream);
    return 0;
}

void dp_h2_set_request_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
