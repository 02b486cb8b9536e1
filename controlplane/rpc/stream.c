/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/stream.h"

#include <stdlib.h>

/* One call; its events do not overlap. */
struct session {
    const struct cp_stream_method *method;
    void *stream; /* NULL: not opened */
};

static bool send_message(void *arg, const ProtobufCMessage *message)
{
    return gw_rpc_stream_send(arg, message);
}

static void end(void *arg, const struct gw_error *err)
{
    gw_rpc_stream_finish(arg, err);
}

static int on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)err;
    struct session *session = gw_calloc(1, sizeof(*session));
    session->method = context;
    gw_rpc_stream_set_user(stream, session);
    return 0;
}

static void fail(struct gw_rpc_stream *stream, const char *message)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(&err, GW_INVALID_ARGUMENT, "%s", message);
    gw_rpc_stream_finish(stream, &err);
}

static void on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct session *session = gw_rpc_stream_user(stream);
    struct gw_error err = GW_ERROR_NONE;
    struct cp_sink sink = {.send = send_message, .end = end, .arg = stream};
    if (session->stream) {
        fail(stream, "one request only");
        return;
    }
    if (session->method->type->open(session->method->context, gw_rpc_stream_caller(stream), message,
                                    &sink, &session->stream, &err))
        gw_rpc_stream_finish(stream, &err);
}

static void on_half_close(struct gw_rpc_stream *stream)
{
    const struct session *session = gw_rpc_stream_user(stream);
    if (!session->stream)
        fail(stream, "the call brought no message");
}

static void on_writable(struct gw_rpc_stream *stream)
{
    const struct session *session = gw_rpc_stream_user(stream);
    if (session->stream)
        session->method->type->on_writable(session->stream);
}

static void on_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    if (session->stream)
        session->method->type->on_close(session->stream);
    free(session);
}

static const struct gw_rpc_stream_events events = {on_open, on_message, on_half_close, on_writable,
                                                   on_close};

struct gw_rpc_method cp_stream_row(const char *path, const ProtobufCMessageDescriptor *request,
                                   const ProtobufCMessageDescriptor *reply,
                                   struct cp_stream_method *method)
{
    return (struct gw_rpc_method){
        .path = path, .request = request, .reply = reply, .stream = &events, .context = method};
}

const struct cp_stream_method *cp_stream_of(const struct gw_rpc_method *row)
{
    return row->stream == &events ? row->context : NULL;
}
