/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange on a stream of a session that others share. */
#include "dataplane/http/h2_fields.h"
#include "dataplane/upstream/h2_link.h"

#include <stdlib.h>

static struct dp_uh2_stream *stream_of(struct dp_upstream_link *base)
{
    return gw_container_of(base, struct dp_uh2_stream, base);
}

static struct dp_blocks *blocks_of(struct dp_upstream_link *base)
{
    return &base->call->upstreams->options.loop->blocks;
}

static size_t bytes_in(const struct dp_block *block)
{
    return block ? block->end - block->start : 0;
}

/* To hear, once the session has written, what has left. */
static void await_progress(struct dp_uh2_stream *stream)
{
    if (gw_list_is_empty(&stream->progress))
        gw_list_push(&stream->session->progressed, &stream->progress);
    dp_uh2_session_touch(stream->session);
}

/* ---- life */

static void leave_session(struct dp_uh2_stream *stream)
{
    struct dp_uh2_session *session = stream->session;
    if (!session)
        return;
    gw_list_remove(&stream->node);
    gw_list_remove(&stream->progress);
    session->stream_count--;
    session->pool->upstreams->stats.h2_streams--;
    if (stream->id > 0)
        nghttp2_session_set_stream_user_data(session->h2, stream->id, NULL); /* gone: no matter */
    stream->session = NULL;
    stream->base.pool = NULL;
    dp_uh2_session_touch(session);
}

static void bury(struct dp_task *task)
{
    free(gw_container_of(task, struct dp_uh2_stream, grave));
}

/* A session that gave no sign of life since the request left may be dead: it gets no more of them
 * before it shows that it is not. */
static void suspect_session(struct dp_uh2_session *session, const struct dp_uh2_stream *stream)
{
    gw_msec waited_ms = session->conn.loop->now_ms - stream->begun_ms;
    if (!stream->head_told && session->heard_ms <= stream->begun_ms && waited_ms > 1000)
        session->suspect = true;
}

/* Stands for a stream that has left, and of which END_STREAM is still to be sent. */
static struct dp_uh2_stream ending;

/* The call has been let go. */
static void end_stream(struct dp_uh2_stream *stream, struct dp_upstreams *upstreams)
{
    struct dp_uh2_session *session = stream->session;
    bool is_complete = stream->answer_ended && stream->end_sent;
    stream->base.call = NULL;
    leave_session(stream);
    if (session && stream->id > 0 && stream->answer_ended && stream->refused_tunnel) {
        /* Not reset: backends count that, and who is refused comes again and again. */
        (void)nghttp2_session_set_stream_user_data(session->h2, stream->id, &ending);
        (void)nghttp2_session_resume_data(session->h2, stream->id);
    } else if (session && stream->id > 0 && !is_complete) {
        suspect_session(session, stream);
        /* It fails for want of memory alone, and then the session does. */
        (void)nghttp2_submit_rst_stream(session->h2, 0, stream->id, NGHTTP2_CANCEL);
    }
    dp_block_give(&upstreams->options.loop->blocks, stream->out);
    dp_block_give(&upstreams->options.loop->blocks, stream->in);
    stream->out = stream->in = NULL;
    dp_loop_bury(upstreams->options.loop, &stream->grave);
}

static void close_stream(struct dp_upstream_link *base)
{
    if (base->call)
        end_stream(stream_of(base), base->call->upstreams);
}

/* ---- the request */

static bool has_no_body(const struct dp_h1_framing *framing)
{
    return framing->kind == DP_BODY_NONE ||
           (framing->kind == DP_BODY_LENGTH && framing->length == 0);
}

/* Key and proof of a handshake are HTTP/1's alone (RFC 8441 5). */
static void add_connect_headers(struct dp_h2_fields *fields, const struct dp_headers *headers)
{
    struct dp_headers rest;
    dp_headers_copy(&rest, headers, fields->arena);
    (void)dp_headers_remove(&rest, DP_HEADER_SEC_WEBSOCKET_KEY);
    (void)dp_headers_remove(&rest, DP_HEADER_SEC_WEBSOCKET_ACCEPT);
    dp_h2_fields_add_headers(fields, &rest);
}

static void make_fields(const struct dp_uh2_stream *stream, struct dp_h2_fields *fields)
{
    const struct dp_upstream_call *call = stream->base.call;
    const struct dp_upstream_request *request = call->request;
    bool is_connect = request->framing.upgrade;
    gw_str host = request->line.host;
    if (host.len == 0)
        host = dp_endpoint_name(call->member->endpoint);
    dp_h2_fields_init(fields, call->arena, request->headers->count + 6);
    dp_h2_fields_add(fields, GW_STR(":method"),
                     is_connect ? GW_STR("CONNECT") : request->line.method);
    if (is_connect)
        dp_h2_fields_add(fields, GW_STR(":protocol"), GW_STR("websocket"));
    dp_h2_fields_add(fields, GW_STR(":scheme"), request->tls ? GW_STR("https") : GW_STR("http"));
    dp_h2_fields_add(fields, GW_STR(":authority"), host);
    dp_h2_fields_add(fields, GW_STR(":path"), request->line.target);
    if (is_connect)
        add_connect_headers(fields, request->headers);
    else
        dp_h2_fields_add_headers(fields, request->headers);
    dp_h2_fields_add_length(fields, &request->framing);
}

static ssize_t read_out(nghttp2_session *h2, int32_t id, uint8_t *out, size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    (void)out, (void)source, (void)user;
    return dp_uh2_stream_read(h2, id, room, flags);
}

/* Said once, with the first SETTINGS, for all of a session (RFC 8441 3). */
static bool takes_tunnels(const struct dp_uh2_session *session)
{
    return nghttp2_session_get_remote_settings(session->h2,
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static void begin(struct dp_upstream_link *base)
{
    struct dp_uh2_stream *stream = stream_of(base);
    struct dp_uh2_session *session = stream->session;
    struct dp_h2_fields fields;
    nghttp2_data_provider body = {.read_callback = read_out};
    const struct dp_h1_framing *framing = &base->call->request->framing;
    bool is_whole = has_no_body(framing) && !framing->upgrade;
    if (framing->upgrade && !takes_tunnels(session)) {
        stream->id = -1;
        stream->failure = DP_FAILURE_NO_TUNNEL;
        await_progress(stream);
        return;
    }
    make_fields(stream, &fields);
    stream->out_ended = is_whole;
    stream->begun_ms = session->conn.loop->now_ms;
    int32_t id = nghttp2_submit_request(session->h2, NULL, fields.items, fields.count,
                                        is_whole ? NULL : &body, stream);
    stream->id = id > 0 ? id : -1;
    session->pool->upstreams->stats.h2_requests++;
    await_progress(stream);
}

static void go_on_reading(struct dp_uh2_stream *stream)
{
    if (stream->deferred && stream->session)
        stream->deferred = nghttp2_session_resume_data(stream->session->h2, stream->id) != 0;
    if (stream->session)
        await_progress(stream);
}

static void send_data(struct dp_upstream_link *base, gw_str data)
{
    struct dp_uh2_stream *stream = stream_of(base);
    if (data.len == 0 || stream->out_ended || !stream->session)
        return;
    dp_block_reserve(blocks_of(base), &stream->out, data.len);
    memcpy(stream->out->data + stream->out->end, data.ptr, data.len);
    stream->out->end += (uint32_t)data.len;
    go_on_reading(stream);
}

static void send_end(struct dp_upstream_link *base)
{
    struct dp_uh2_stream *stream = stream_of(base);
    if (stream->out_ended)
        return;
    stream->out_ended = true;
    go_on_reading(stream);
}

static size_t pending(const struct dp_upstream_link *base)
{
    return bytes_in(gw_container_of(base, struct dp_uh2_stream, base)->out);
}

/* The last of the body, and the trailers instead of its end when there are some. */
static void end_data(nghttp2_session *h2, const struct dp_uh2_stream *stream, uint32_t *flags)
{
    const struct dp_upstream_call *call = stream->base.call;
    const struct dp_headers *trailers = call->tunnel ? NULL : call->request_trailers;
    struct dp_h2_fields fields;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (!trailers || trailers->count == 0)
        return;
    dp_h2_fields_init(&fields, call->arena, trailers->count);
    dp_h2_fields_add_headers(&fields, trailers);
    if (fields.count > 0 && nghttp2_submit_trailer(h2, stream->id, fields.items, fields.count) == 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

ssize_t dp_uh2_stream_read(nghttp2_session *h2, int32_t id, size_t room, uint32_t *flags)
{
    struct dp_uh2_stream *stream = nghttp2_session_get_stream_user_data(h2, id);
    if (stream == &ending) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return 0;
    }
    if (!stream || !stream->base.call)
        return NGHTTP2_ERR_DEFERRED; /* its RST_STREAM is on the way */
    size_t waiting = bytes_in(stream->out);
    if (waiting == 0 && !stream->out_ended) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (waiting <= room && stream->out_ended)
        end_data(h2, stream, flags);
    return (ssize_t)GW_MIN(waiting, room);
}

void dp_uh2_stream_send(struct dp_uh2_stream *stream, size_t bytes)
{
    struct dp_block *out = stream->out;
    if (bytes > 0) {
        dp_conn_send(&stream->session->conn, gw_str_n(out->data + out->start, bytes));
        out->start += (uint32_t)bytes;
    }
    if (out && out->start == out->end) {
        dp_block_give(blocks_of(&stream->base), out);
        stream->out = NULL;
    }
    await_progress(stream);
}

void dp_uh2_stream_tell(struct dp_uh2_stream *stream)
{
    struct dp_upstream_call *call = stream->base.call;
    if (stream->id < 0) {
        bool has_reason = stream->failure != DP_FAILURE_COUNT;
        dp_uh2_stream_lost(stream, has_reason ? (enum dp_upstream_failure)stream->failure
                                              : DP_FAILURE_REFUSED);
        return;
    }
    stream->base.blocked = stream->out != NULL;
    if (stream->base.blocked)
        dp_call_stalled(call);
    else
        dp_call_drained(call);
}

/* ---- the answer */

static void finish(struct dp_uh2_stream *stream)
{
    struct dp_upstream_call *call = stream->base.call;
    if (call->tunnel && stream->session && !stream->end_sent) {
        dp_call_half_ended(call);
        return;
    }
    if (!call->tunnel)
        call->trailers = stream->trailers;
    call->link = NULL;
    end_stream(stream, call->upstreams);
    dp_call_end(call);
    call->events->body(call, GW_STR_NONE, true);
}

/* Both ways of a tunnel have ended, the caller's last. */
static void close_tunnel(struct dp_uh2_stream *stream)
{
    struct dp_upstream_call *call = stream->base.call;
    call->link = NULL;
    end_stream(stream, call->upstreams);
    dp_call_end(call);
    call->events->closed(call); /* the call may be gone now */
}

/* The peer may send as much again. */
static void give_window(struct dp_uh2_stream *stream, size_t bytes)
{
    if (!stream->session)
        return;
    /* It fails when the stream is closed, and then nobody waits for it. */
    (void)nghttp2_session_consume_stream(stream->session->h2, stream->id, bytes);
    dp_uh2_session_touch(stream->session);
}

static void give_in(struct dp_uh2_stream *stream)
{
    struct dp_upstream_call *call = stream->base.call;
    struct dp_blocks *blocks = blocks_of(&stream->base);
    struct dp_block *in = stream->in;
    stream->in = NULL;
    call->events->body(call, gw_str_n(in->data + in->start, bytes_in(in)), false);
    give_window(stream, bytes_in(in));
    dp_block_give(blocks, in);
}

static void pump(struct dp_upstream_link *base)
{
    struct dp_uh2_stream *stream = stream_of(base);
    while (base->call && base->call->wants_answer) {
        if (stream->in) {
            give_in(stream);
            continue;
        }
        if (stream->answer_ended)
            finish(stream);
        else if (stream->broken)
            dp_call_cut(base->call, (enum dp_upstream_failure)stream->failure);
        else
            dp_call_starved(base->call);
        return;
    }
}

/* The head is in the call's arena, and no input is held for it. */
static void open_tunnel(struct dp_upstream_link *base)
{
    (void)base;
}

/* The call's own task pumps, and that gives the window back. */
static void resume(struct dp_upstream_link *base)
{
    (void)base;
}

static void keep_data(struct dp_uh2_stream *stream, gw_str data)
{
    dp_block_reserve(blocks_of(&stream->base), &stream->in, data.len);
    memcpy(stream->in->data + stream->in->end, data.ptr, data.len);
    stream->in->end += (uint32_t)data.len;
}

void dp_uh2_stream_take_data(struct dp_uh2_stream *stream, gw_str data)
{
    struct dp_upstream_call *call = stream->base.call;
    if (!call->wants_answer || stream->in) {
        keep_data(stream, data);
        return;
    }
    call->events->body(call, data, false);
    give_window(stream, data.len);
    if (stream->base.call)
        dp_call_starved(call);
}

static void refuse_answer(struct dp_uh2_stream *stream)
{
    /* It fails for want of memory alone, and then the session does. */
    (void)nghttp2_submit_rst_stream(stream->session->h2, 0, stream->id, NGHTTP2_PROTOCOL_ERROR);
    dp_uh2_stream_lost(stream, DP_FAILURE_PROTOCOL);
}

static void take_interim(struct dp_uh2_stream *stream)
{
    struct dp_upstream_call *call = stream->base.call;
    if (++stream->interims > DP_LINK_INTERIMS_MAX) {
        refuse_answer(stream);
    } else if (call->head.status != 100 && call->events->interim) {
        call->events->interim(call);
    }
}

/* RFC 9110 9.3.6: any 2xx to CONNECT opens a tunnel, whatever it says of a length. */
static int read_framing(struct dp_uh2_stream *stream, bool is_last)
{
    struct dp_upstream_call *call = stream->base.call;
    const struct dp_upstream_request *request = call->request;
    if (request->framing.upgrade && call->head.status / 100 == 2) {
        call->framing = (struct dp_h1_framing){.kind = DP_BODY_TUNNEL, .minor = 1};
        return 0;
    }
    stream->refused_tunnel = request->framing.upgrade;
    return dp_h2_answer_framing(&call->head, request->method, is_last, &call->framing);
}

void dp_uh2_stream_take_head(struct dp_uh2_stream *stream, bool is_last)
{
    struct dp_upstream_call *call = stream->base.call;
    if (stream->in_trailers)
        return;
    if (call->head.status < 200) {
        take_interim(stream);
        return;
    }
    if (read_framing(stream, is_last) < 0) {
        refuse_answer(stream);
        return;
    }
    stream->head_told = true;
    dp_call_answered(call);
}

void dp_uh2_stream_take_end(struct dp_uh2_stream *stream)
{
    stream->answer_ended = true;
    pump(&stream->base);
}

void dp_uh2_stream_lost(struct dp_uh2_stream *stream, enum dp_upstream_failure failure)
{
    struct dp_upstream_call *call = stream->base.call;
    bool has_begun = stream->interims > 0;
    leave_session(stream);
    if (stream->answer_ended) { /* all of it is here */
        if (call->answer_complete)
            close_tunnel(stream);
        return;
    }
    stream->broken = true;
    stream->failure = (uint8_t)failure;
    if (stream->head_told)
        pump(&stream->base);
    else if (stream->id == 0)
        dp_call_connect_failed(call, failure);
    else
        dp_call_attempt_failed(call, has_begun ? DP_FAILURE_PROTOCOL : failure);
}

static const struct dp_link_ops ops = {
    .begin = begin,
    .send_data = send_data,
    .send_end = send_end,
    .pending = pending,
    .open_tunnel = open_tunnel,
    .resume = resume,
    .pump = pump,
    .close = close_stream,
};

void dp_uh2_stream_join(struct dp_upstream_call *call, struct dp_uh2_session *session)
{
    struct dp_uh2_stream *stream = gw_calloc(1, sizeof(*stream));
    stream->base = (struct dp_upstream_link){.ops = &ops, .pool = session->pool, .call = call};
    stream->session = session;
    stream->failure = DP_FAILURE_COUNT;
    dp_headers_init(&stream->trailers, call->arena);
    gw_list_init(&stream->progress);
    dp_task_init(&stream->grave, bury);
    gw_list_push(&session->streams, &stream->node);
    session->stream_count++;
    session->pool->upstreams->stats.h2_streams++;
    dp_uh2_session_touch(session);
    call->link = &stream->base;
}
