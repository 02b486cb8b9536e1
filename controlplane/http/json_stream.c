/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that answer with a stream, as server-sent events: each message is the data of one, its
 * field `revision` the id, by which whoever comes back goes on (Last-Event-ID). */
#include "controlplane/http/json_internal.h"

#include "common/json.h"
#include "controlplane/http/json_error.h"

#include <inttypes.h>

#define LAST_EVENT_ID "last-event-id:"
#define ID_DIGITS_MAX 24

static const ProtobufCFieldDescriptor *number_field(const ProtobufCMessageDescriptor *type,
                                                    const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, name);
    return field && field->type == PROTOBUF_C_TYPE_INT64 ? field : NULL;
}

/* The exchange goes to the loop, which looks what is new. With the server's lock held. */
static void hand_over(struct cp_json_exchange *exchange)
{
    if (gw_list_is_empty(&exchange->link))
        gw_list_push(&exchange->server->answered, &exchange->link);
}

/* What waits to be read counts as other answers do. With the server's lock held. */
static bool hold(struct cp_json_exchange *exchange, gw_str text)
{
    struct cp_json_server *server = exchange->server;
    int64_t bytes = (int64_t)text.len;
    if (atomic_fetch_add(&server->answer_bytes, bytes) + bytes > CP_JSON_ANSWERS_MAX_BYTES) {
        atomic_fetch_sub(&server->answer_bytes, bytes);
        return false;
    }
    exchange->answer_bytes += bytes;
    int rc = gw_buf_append(&exchange->pending, text);
    assert(rc == 0); /* no limit of its own: there is one message at a time */
    (void)rc;
    return true;
}

void cp_json_stream_release(struct cp_json_exchange *exchange, size_t bytes)
{
    pthread_mutex_lock(&exchange->server->lock);
    int64_t held = GW_MIN((int64_t)bytes, exchange->answer_bytes); /* the head was not counted */
    exchange->answer_bytes -= held;
    pthread_mutex_unlock(&exchange->server->lock);
    atomic_fetch_sub(&exchange->server->answer_bytes, held);
}

static bool on_send(void *arg, const ProtobufCMessage *message)
{
    struct cp_json_exchange *exchange = arg;
    struct cp_json_server *server = exchange->server;
    gw_auto(gw_buf_done) struct gw_buf text = {0};
    const ProtobufCFieldDescriptor *id = number_field(message->descriptor, "revision");
    if (id)
        cp_json_put(&text, "id: %" PRId64 "\n", *(int64_t *)gw_message_at(message, id));
    cp_json_put(&text, "data: ");
    gw_json_write(&text, message, GW_JSON_COMPACT);
    cp_json_put(&text, "\n\n");
    pthread_mutex_lock(&server->lock);
    bool is_held = hold(exchange, gw_buf_view(&text));
    if (!is_held && !exchange->is_ended) {
        (void)gw_fail(&exchange->err, GW_RESOURCE_EXHAUSTED,
                      "too many bytes of answers wait to be read");
        exchange->is_ended = true;
    }
    hand_over(exchange);
    pthread_mutex_unlock(&server->lock);
    lws_cancel_service(server->context);
    return is_held;
}

static void on_end(void *arg, const struct gw_error *err)
{
    struct cp_json_exchange *exchange = arg;
    struct cp_json_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    if (!exchange->is_ended && err)
        exchange->err = *err;
    exchange->is_ended = true;
    hand_over(exchange);
    pthread_mutex_unlock(&server->lock);
    lws_cancel_service(server->context);
}

/* A browser that comes back asks for the URL of before: what it has seen says the header. */
static int read_last_id(struct cp_json_exchange *exchange, ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *after = number_field(request->descriptor, "after_revision");
    char text[ID_DIGITS_MAX];
    int len = lws_hdr_custom_copy(exchange->wsi, text, sizeof(text), LAST_EVENT_ID,
                                  sizeof(LAST_EVENT_ID) - 1);
    bool is_there =
        lws_hdr_custom_length(exchange->wsi, LAST_EVENT_ID, sizeof(LAST_EVENT_ID) - 1) > 0;
    uint64_t id;
    if (!is_there || !after)
        return 0;
    if (len < 0 || gw_str_to_u64(gw_str_n(text, (size_t)len), INT64_MAX, &id))
        return gw_fail_field(&exchange->err, "Last-Event-ID", "is no id of an event");
    *(int64_t *)gw_message_at(request, after) = (int64_t)id;
    return 0;
}

int cp_json_stream_start(struct cp_json_exchange *exchange)
{
    const struct cp_stream_method *method = cp_stream_of(exchange->route->method);
    struct cp_sink sink = {.send = on_send, .end = on_end, .arg = exchange};
    ProtobufCMessage *request;
    exchange->input.body = gw_buf_view(&exchange->body);
    exchange->caller.deadline_ms = INT64_MAX;
    exchange->stage = CP_JSON_STREAM;
    exchange->closes = true; /* its end is that of the connection */
    if (!method) {
        (void)gw_fail(&exchange->err, GW_UNIMPLEMENTED, "%.*s is served by gRPC alone",
                      GW_STR_ARG(exchange->route->name));
        return -1;
    }
    if (cp_json_request_make(&exchange->arena, exchange->route, &exchange->input, &request,
                             &exchange->err) ||
        read_last_id(exchange, request))
        return -1;
    void *stream;
    if (method->type->open(method->context, &exchange->caller, request, &sink, &stream,
                           &exchange->err))
        return -1;
    exchange->stream = stream;
    return 0;
}

static void begin(struct cp_json_exchange *exchange)
{
    exchange->is_begun = true;
    cp_json_put(&exchange->answer, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                                   "Connection: close\r\n\r\n");
}

bool cp_json_stream_take(struct cp_json_exchange *exchange)
{
    struct cp_json_server *server = exchange->server;
    struct gw_buf pending;
    pthread_mutex_lock(&server->lock);
    pending = exchange->pending;
    gw_buf_init(&exchange->pending, 0);
    bool is_ended = exchange->is_ended;
    pthread_mutex_unlock(&server->lock);
    bool is_refused = is_ended && !exchange->is_begun && gw_buf_len(&pending) == 0;
    if (!exchange->is_begun && !is_refused)
        begin(exchange);
    int rc = gw_buf_append(&exchange->answer, gw_buf_view(&pending));
    assert(rc == 0); /* no limit */
    (void)rc;
    gw_buf_done(&pending);
    if (is_ended && exchange->is_begun && exchange->err.code != GW_OK) {
        cp_json_put(&exchange->answer, "event: error\ndata: ");
        cp_json_error_write(&exchange->answer, &exchange->err,
                            (unsigned)gw_code_to_http(exchange->err.code));
        cp_json_put(&exchange->answer, "\n");
    }
    exchange->is_ending = is_ended;
    return !is_refused;
}

int cp_json_stream_sent(struct cp_json_exchange *exchange)
{
    if (exchange->is_ending)
        return 1;
    cp_json_exchange_patience(exchange, 0);
    const struct cp_stream_method *method = cp_stream_of(exchange->route->method);
    method->type->on_writable(exchange->stream);
    return 0;
}

void cp_json_stream_close(struct cp_json_exchange *exchange)
{
    const struct cp_stream_method *method = cp_stream_of(exchange->route->method);
    if (exchange->stream)
        method->type->on_close(exchange->stream);
    pthread_mutex_lock(&exchange->server->lock);
    gw_list_remove(&exchange->link);
    pthread_mutex_unlock(&exchange->server->lock);
}
