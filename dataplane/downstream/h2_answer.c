/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2, writing: answers to frames. Bodies wait in their streams until nghttp2 asks for them: it
 * knows the windows of the caller, and whose turn it is. */
#include "dataplane/downstream/h2_stream.h"

#define STATUS_DIGITS 3
/* From here on the body is framed straight from where it lies, without a copy in the stream. */
#define LEND_BYTES_MIN 4096
#define RESET_GRACE_MS 200
#define WRITE_BYTES (32 * 1024) /* of output that is worth a write before the turn ends */

static struct dp_loop *loop_of(const struct dp_h2_stream *stream)
{
    return stream->session->connection->server->loop;
}

/* It fails for want of memory only. */
static void reset(struct dp_h2_stream *stream, uint32_t code)
{
    if (stream->closed)
        return;
    (void)nghttp2_submit_rst_stream(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id, code);
    dp_h2_send_later(stream->session);
}

/* ---- heads */

static gw_str status_text(struct gw_arena *arena, unsigned status)
{
    char *text = gw_arena_bytes(arena, STATUS_DIGITS);
    text[0] = (char)('0' + status / 100);
    text[1] = (char)('0' + status / 10 % 10);
    text[2] = (char)('0' + status % 10);
    return gw_str_n(text, STATUS_DIGITS);
}

static void fields_of(struct dp_h2_fields *fields, struct gw_arena *arena,
                      const struct dp_response_head *head)
{
    dp_h2_fields_init(fields, arena, head->headers.count + 2);
    dp_h2_fields_add(fields, GW_STR(":status"), status_text(arena, head->status));
    dp_h2_fields_add_headers(fields, &head->headers);
}

static void send_interim(struct dp_downstream *downstream, const struct dp_response_head *head)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    struct dp_h2_fields fields;
    if (stream->closed || stream->head_sent)
        return;
    fields_of(&fields, stream->arena, head);
    (void)nghttp2_submit_headers(stream->session->h2, NGHTTP2_FLAG_NONE, stream->id, NULL,
                                 fields.items, fields.count,
                                 NULL); /* a stream that is going has no use for it */
    dp_h2_send_later(stream->session);
}

static void send_continue(struct dp_h2_stream *stream)
{
    struct dp_response_head head = {.status = 100};
    if (stream->downstream.framing.expect_continue && !stream->continued && !stream->in &&
        !stream->in_done)
        send_interim(&stream->downstream, &head);
    stream->continued = true;
}

/* ---- bodies */

static size_t unsent(const struct dp_h2_stream *stream)
{
    return (stream->out ? stream->out->end - stream->out->start : 0) + stream->lent.len;
}

void dp_h2_drop_unsent(struct dp_h2_stream *stream)
{
    if (stream->out)
        stream->session->unsent -= stream->out->end - stream->out->start;
    dp_block_give(&loop_of(stream)->blocks, stream->out);
    stream->out = NULL;
}

static void keep_unsent(struct dp_h2_stream *stream, gw_str data)
{
    if (data.len == 0)
        return;
    bool is_first = !stream->out;
    dp_block_reserve(&loop_of(stream)->blocks, &stream->out, data.len);
    memcpy(stream->out->data + stream->out->end, data.ptr, data.len);
    stream->out->end += (uint32_t)data.len;
    stream->session->unsent += data.len;
    if (is_first)
        dp_h2_stream_arm(stream);
}

/* nghttp2 may send: how much of what there is, and whether that is the last. */
static ssize_t on_read(nghttp2_session *h2, int32_t id, uint8_t *buffer, size_t room,
                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct dp_h2_stream *stream = source->ptr;
    size_t len = GW_MIN(unsent(stream), room);
    (void)buffer, (void)user;
    if (!stream->request || (len == 0 && !stream->ended)) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len == 0 && stream->downstream.is_reset) {
        reset(stream, NGHTTP2_CANCEL);
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (!stream->ended || len < unsent(stream) || stream->downstream.is_reset)
        return (ssize_t)len;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->out_trailers.count > 0) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (nghttp2_submit_trailer(h2, id, stream->out_trailers.items,
                                   stream->out_trailers.count) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)len;
}

static size_t frame_out(struct dp_h2_stream *stream, size_t len)
{
    struct dp_conn *conn = &stream->session->connection->conn;
    struct dp_block *out = stream->out;
    if (!out)
        return 0;
    len = GW_MIN(len, (size_t)(out->end - out->start));
    dp_conn_queue(conn, gw_str_n(out->data + out->start, len));
    out->start += (uint32_t)len;
    stream->session->unsent -= len;
    if (out->start == out->end)
        dp_h2_drop_unsent(stream);
    return len;
}

/* The frame that on_read gave the length of. */
static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t len,
                        nghttp2_data_source *source, void *user)
{
    struct dp_h2_stream *stream = source->ptr;
    struct dp_conn *conn = &stream->session->connection->conn;
    (void)h2, (void)frame, (void)user;
    if (dp_conn_pending(conn) >= DP_CONN_HIGH_WATER)
        return NGHTTP2_ERR_WOULDBLOCK;
    dp_conn_queue(conn, gw_str_n((const char *)head, DP_H2_FRAME_HEAD));
    size_t taken = frame_out(stream, len);
    if (taken < len) {
        dp_conn_queue(conn, gw_str_n(stream->lent.ptr, len - taken));
        stream->lent.ptr += len - taken;
        stream->lent.len -= len - taken;
    }
    dp_h2_stream_arm(stream);
    if (stream->full && unsent(stream) == 0) {
        stream->full = false;
        stream->is_drained = true;
        dp_h2_tell_later(stream);
    }
    return 0;
}

static int on_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
    struct dp_h2_session *session = user;
    bool is_reset = frame->hd.type == NGHTTP2_RST_STREAM;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA && !is_reset)
        return 0;
    struct dp_h2_stream *stream = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
    if (!stream || (is_reset && !stream->downstream.is_reset))
        return 0;
    stream->downstream.bytes_out += DP_H2_FRAME_HEAD + frame->hd.length;
    dp_h2_flood_credit(session, 2);
    if (is_reset || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
        stream->sent = true;
        dp_h2_stream_arm(stream);
        dp_h2_tell_later(stream);
    }
    return 0;
}

/* ---- operations */

static void read_body(struct dp_downstream *downstream, bool on)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    bool is_gone = stream->closed && !dp_h2_is_whole_tunnel(stream);
    if (is_gone || stream->in_told || stream->reading == on)
        return;
    stream->reading = on;
    dp_h2_stream_arm(stream);
    if (!on)
        return;
    send_continue(stream);
    if (stream->in || stream->in_done)
        dp_h2_tell_later(stream);
}

/* Of the body that comes, or that there would be. */
static void add_length(struct dp_h2_fields *fields, const struct dp_downstream_answer *answer)
{
    const struct dp_h1_framing framing = {.kind = answer->kind, .length = answer->length};
    gw_str length = dp_headers_value(&answer->head->headers, DP_HEADER_CONTENT_LENGTH);
    if (answer->kind != DP_BODY_NONE)
        dp_h2_fields_add_length(fields, &framing);
    else if (length.len > 0 && answer->head->status != 204)
        dp_h2_fields_add(fields, GW_STR("content-length"), length);
}

static void send_head(struct dp_downstream *downstream, const struct dp_downstream_answer *answer)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = on_read};
    struct dp_h2_fields fields;
    stream->head_sent = true;
    stream->tunnel = answer->kind == DP_BODY_TUNNEL;
    stream->no_body =
        answer->kind == DP_BODY_NONE || (answer->kind == DP_BODY_LENGTH && answer->length == 0);
    if (stream->closed)
        return;
    fields_of(&fields, stream->arena, answer->head);
    add_length(&fields, answer);
    /* It fails for a stream that is going, and then its close is told. */
    (void)nghttp2_submit_response(stream->session->h2, stream->id, fields.items, fields.count,
                                  stream->no_body ? NULL : &provider);
    dp_h2_send_later(stream->session);
}

static void wake(struct dp_h2_stream *stream)
{
    if (stream->deferred) {
        stream->deferred = false;
        /* It fails for a stream that is going. */
        (void)nghttp2_session_resume_data(stream->session->h2, stream->id);
    }
    dp_h2_send_later(stream->session);
}

/* What goes out at once needs no copy; the rest waits in the stream. */
static void lend(struct dp_h2_stream *stream, gw_str data)
{
    struct dp_conn *conn = &stream->session->connection->conn;
    stream->lent = data;
    size_t left;
    do {
        left = stream->lent.len;
        dp_h2_pump(stream->session);
        if (dp_conn_pending(conn) >= WRITE_BYTES)
            dp_conn_push(conn);
    } while (stream->lent.len > 0 && stream->lent.len < left);
    keep_unsent(stream, stream->lent);
    stream->lent = GW_STR_NONE;
}

static void send_body(struct dp_downstream *downstream, gw_str data)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    struct dp_h2_session *session = stream->session;
    if (stream->closed || stream->no_body || data.len == 0)
        return;
    wake(stream);
    if (data.len >= LEND_BYTES_MIN && !stream->out && !session->inside)
        lend(stream, data);
    else
        keep_unsent(stream, data);
    stream->full = unsent(stream) >= DP_CONN_HIGH_WATER ||
                   (stream->out && session->unsent >= DP_H2_UNSENT_MAX);
}

static void keep_trailers(struct dp_h2_stream *stream, const struct dp_headers *trailers)
{
    struct dp_h2_fields *fields = &stream->out_trailers;
    dp_h2_fields_init(fields, stream->arena, trailers->count);
    dp_h2_fields_add_headers(fields, trailers);
    for (size_t i = 0; i < fields->count; i++) {
        nghttp2_nv *field = &fields->items[i];
        gw_str name = gw_str_n((const char *)field->name, field->namelen);
        gw_str value = gw_str_n((const char *)field->value, field->valuelen);
        field->name = (uint8_t *)(uintptr_t)gw_arena_dup(stream->arena, name).ptr;
        field->value = (uint8_t *)(uintptr_t)gw_arena_dup(stream->arena, value).ptr;
        field->flags = NGHTTP2_NV_FLAG_NONE;
    }
}

static void send_end(struct dp_downstream *downstream, const struct dp_headers *trailers)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    stream->ended = true;
    if (stream->closed)
        return;
    if (trailers && trailers->count > 0 && !stream->no_body)
        keep_trailers(stream, trailers);
    wake(stream);
    if (!stream->no_body)
        dp_h2_stream_arm(stream);
    if (stream->sent)
        dp_h2_tell_later(stream);
}

static size_t pending(const struct dp_downstream *downstream)
{
    const struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    return stream->full ? DP_CONN_HIGH_WATER : 0;
}

/* The handler is done with it, nghttp2 may not be yet. */
static void let_go(struct dp_h2_stream *stream)
{
    stream->request = NULL;
    stream->reading = false;
    dp_timer_stop(&stream->timer);
    dp_h2_tell_later(stream);
}

/* RFC 9113 8.1: who has answered may ask the caller to stop sending what it does not need; a little
 * later, because some forget the answer that they have not looked at yet. */
static void finish(struct dp_downstream *downstream)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    let_go(stream);
    if (!stream->in_done && !stream->closed)
        dp_loop_arm(loop_of(stream), &stream->timer, RESET_GRACE_MS);
}

static void abort_answer(struct dp_downstream *downstream)
{
    struct dp_h2_stream *stream = dp_h2_stream_of(downstream);
    if (!stream->session->inside)
        dp_h2_pump(stream->session); /* half an answer says more than none */
    let_go(stream);
    reset(stream, NGHTTP2_INTERNAL_ERROR);
}

void dp_h2_set_answer_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
}

const struct dp_downstream_ops dp_h2_downstream_ops = {
    .read_body = read_body,
    .send_interim = send_interim,
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .pending = pending,
    .finish = finish,
    .abort = abort_answer,
};
