/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/client.h"

#include "common/message.h"
#include "dataplane/sync/grpc_stream.h"
#include "dataplane/sync/hello.h"
#include "dataplane/sync/transport.h"

#include <ev.h>
#include <netdb.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define STREAM_PATH "/penstock.agent.v1.AgentService/Stream"
#define READ_BYTES (64 * 1024)
#define CONNECT_MS 10000
#define BACKOFF_MIN_MS 100
#define KEEPALIVE_DEFAULT_MS 10000
#define BACKOFF_MAX_DEFAULT_MS 10000

struct dp_client {
    struct ev_loop *loop; /* borrowed */
    const struct dp_sync_options *options;
    const struct dp_client_events *events;
    void *user;
    struct dp_hello hello; /* the parsed options */
    unsigned endpoint;     /* index of the one in use, or tried next */
    unsigned address;      /* of that endpoint's name: the one in use, or tried next */
    unsigned address_count;
    struct dp_transport transport;
    struct dp_grpc_stream *stream; /* owned; NULL until the transport is open */
    gw_str output;                 /* the stream's bytes that the socket has not taken yet */
    ev_io io;
    ev_timer retry; /* the next attempt */
    ev_timer alive; /* deadline of the connect, then pings */
    gw_msec backoff_ms;
    struct gw_error ended; /* why the stream ended; code OK and has_ended: by the server's will */
    bool has_ended;
    bool is_paused;
    bool is_receiving; /* in the stream's own code, which must not be entered again, or freed */
    struct gw_error unsent;  /* meanwhile: why a message could not be queued; code OK: all could */
    struct gw_arena pending; /* chunks of the update that is coming in */
    Penstock__Agent__V1__Update **chunks; /* owned array */
    size_t chunk_count, chunk_room, chunk_bytes;
};

static void attempt(struct dp_client *client);

static void forget_update(struct dp_client *client)
{
    client->chunk_count = client->chunk_bytes = 0;
    gw_arena_reset(&client->pending);
}

/* Half of the backoff is fixed, half is chance, so that a thousand agents do not come at once. */
static gw_msec jittered(gw_msec backoff_ms)
{
    uint32_t random = 0;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random)); /* 0 is no worse than any number */
    return backoff_ms / 2 + (gw_msec)(random % (uint32_t)(backoff_ms / 2 + 1));
}

static void set_timer(struct dp_client *client, ev_timer *timer, gw_msec after, gw_msec repeat)
{
    ev_timer_stop(client->loop, timer);
    ev_timer_set(timer, (double)after / 1000, (double)repeat / 1000);
    ev_timer_start(client->loop, timer);
}

static void close_connection(struct dp_client *client)
{
    ev_io_stop(client->loop, &client->io);
    ev_timer_stop(client->loop, &client->alive);
    dp_grpc_stream_free(client->stream);
    client->stream = NULL;
    client->output = GW_STR_NONE;
    client->unsent = GW_ERROR_NONE; /* it was about this connection */
    dp_transport_close(&client->transport);
    forget_update(client);
}

/* Ends what is left of the connection; the next endpoint is tried after a pause. */
static void disconnect(struct dp_client *client, const struct gw_error *why)
{
    const char *endpoint = client->hello.endpoints[client->endpoint].text;
    gw_msec limit =
        client->options->backoff_max_ms ? client->options->backoff_max_ms : BACKOFF_MAX_DEFAULT_MS;
    gw_msec pause = jittered(client->backoff_ms);
    bool was_open = client->stream != NULL;
    close_connection(client);
    client->address++; /* the next one of the name; once all have failed, the next endpoint */
    if (was_open || client->address >= client->address_count) {
        client->backoff_ms = GW_MIN(client->backoff_ms * 2, limit);
        client->endpoint = (client->endpoint + 1) % client->hello.endpoint_count;
        client->address = 0;
    } else {
        pause = 0;
    }
    if (!client->is_paused)
        set_timer(client, &client->retry, pause, 0);
    client->events->on_disconnected(client->user, endpoint, why, client->is_paused ? -1 : pause);
}

static int send_message(struct dp_client *client, gw_str bytes, struct gw_error *err)
{
    if (dp_grpc_stream_send(client->stream, bytes) < 0)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "the control plane does not read");
    return 0;
}

static int send_ack(struct dp_client *client, Penstock__Agent__V1__Ack *ack, struct gw_error *err)
{
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK;
    message.ack = ack;
    return send_message(client, gw_message_pack(&client->pending, &message.base), err);
}

static int apply_update(struct dp_client *client, struct gw_error *err)
{
    Penstock__Agent__V1__Ack ack = PENSTOCK__AGENT__V1__ACK__INIT;
    if (client->events->on_update(client->user, client->chunks, client->chunk_count,
                                  &client->pending, &ack, err) < 0)
        return -1;
    int result = send_ack(client, &ack, err);
    forget_update(client);
    client->backoff_ms = BACKOFF_MIN_MS; /* it works: a later failure starts from the beginning */
    return result;
}

static int take_chunk(struct dp_client *client, Penstock__Agent__V1__Update *update,
                      struct gw_error *err)
{
    if (client->chunk_count == client->chunk_room) {
        client->chunk_room = GW_MAX(16u, client->chunk_room * 2);
        client->chunks = gw_realloc(client->chunks, client->chunk_room * sizeof(client->chunks[0]));
    }
    client->chunks[client->chunk_count++] = update;
    return update->final ? apply_update(client, err) : 0;
}

static int on_message(void *user, gw_str bytes, struct gw_error *err)
{
    struct dp_client *client = user;
    ProtobufCMessage *any;
    client->chunk_bytes += bytes.len;
    if (client->chunk_bytes > DP_CLIENT_UPDATE_BYTES_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "the update is too large");
    if (gw_message_unpack(&client->pending, &penstock__agent__v1__control_message__descriptor,
                          bytes, &any, err) < 0)
        return -1;
    Penstock__Agent__V1__ControlMessage *message = (Penstock__Agent__V1__ControlMessage *)any;
    switch (message->kind_case) {
    case PENSTOCK__AGENT__V1__CONTROL_MESSAGE__KIND_UPDATE:
        return take_chunk(client, message->update, err);
    case PENSTOCK__AGENT__V1__CONTROL_MESSAGE__KIND_DEBUG_CALL:
        client->events->on_debug_call(client->user, message->debug_call);
        if (client->chunk_count == 0)
            forget_update(client);
        return 0;
    default:
        return 0; /* of a newer control plane: nothing that this agent must do */
    }
}

static void on_end(void *user, const struct gw_error *status)
{
    struct dp_client *client = user;
    client->ended = *status;
    client->has_ended = true;
}

static const struct dp_grpc_events stream_events = {.on_message = on_message, .on_end = on_end};

/* Hello; and, with something to serve, what is refused of it, for this may be another control plane
 * than the one that was told. */
static int greet(struct dp_client *client, struct gw_error *err)
{
    Penstock__Agent__V1__Ack ack = PENSTOCK__AGENT__V1__ACK__INIT;
    bool serves = client->events->on_hello(client->user, &client->pending, &ack);
    gw_str hello = dp_hello_pack(&client->hello, client->options, gw_str_from(ack.cluster_id),
                                 ack.revision, &client->pending);
    int result = send_message(client, hello, err);
    if (result == 0 && serves)
        result = send_ack(client, &ack, err);
    forget_update(client);
    return result;
}

static int open_stream(struct dp_client *client, struct gw_error *err)
{
    const struct dp_endpoint_name *endpoint = &client->hello.endpoints[client->endpoint];
    gw_msec keepalive =
        client->options->keepalive_ms ? client->options->keepalive_ms : KEEPALIVE_DEFAULT_MS;
    client->has_ended = false;
    client->stream = dp_grpc_stream_new(endpoint->text, STREAM_PATH, client->transport.ssl != NULL,
                                        &stream_events, client);
    int result = greet(client, err);
    set_timer(client, &client->alive, keepalive, keepalive);
    client->events->on_connected(client->user, endpoint->text);
    return result;
}

static int tell_end(const struct dp_client *client, struct gw_error *err)
{
    *err = client->ended;
    return -1;
}

static int take_unsent(struct dp_client *client, struct gw_error *err)
{
    if (client->unsent.code == GW_OK)
        return 0;
    *err = client->unsent;
    client->unsent = GW_ERROR_NONE;
    return -1;
}

static int receive(struct dp_client *client, struct gw_error *err)
{
    char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = dp_transport_read(&client->transport, bytes, sizeof(bytes), err);
        if (n <= 0)
            return (int)n;
        client->is_receiving = true;
        int result = dp_grpc_stream_receive(client->stream, gw_str_n(bytes, (size_t)n), err);
        client->is_receiving = false;
        if (result < 0 || take_unsent(client, err) < 0)
            return -1;
        if (client->has_ended)
            return tell_end(client, err);
    }
}

static int flush(struct dp_client *client, struct gw_error *err)
{
    for (;;) {
        if (client->output.len == 0 &&
            dp_grpc_stream_output(client->stream, &client->output, err) < 0)
            return -1;
        if (client->has_ended) /* sending may end it, too: nothing that was to go out matters */
            return tell_end(client, err);
        if (client->output.len == 0)
            return 0;
        ssize_t n = dp_transport_write(&client->transport, client->output, err);
        if (n <= 0)
            return (int)n;
        client->output.ptr += n;
        client->output.len -= (size_t)n;
    }
}

static int step(struct dp_client *client, struct gw_error *err)
{
    if (dp_transport_advance(&client->transport, err) < 0)
        return -1;
    if (client->transport.state != DP_TRANSPORT_OPEN)
        return 0;
    if (!client->stream && open_stream(client, err) < 0)
        return -1;
    return receive(client, err) < 0 || flush(client, err) < 0 ? -1 : 0;
}

static void run(struct dp_client *client)
{
    struct gw_error err = GW_ERROR_NONE;
    if (step(client, &err) < 0) {
        disconnect(client, &err);
        return;
    }
    int events = EV_READ | (client->transport.wants_write ? EV_WRITE : 0);
    if (events == client->io.events)
        return;
    ev_io_stop(client->loop, &client->io);
    ev_io_set(&client->io, client->transport.fd, events);
    ev_io_start(client->loop, &client->io);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    run(io->data);
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_client *client = timer->data;
    struct gw_error err = GW_ERROR_NONE;
    if (!client->stream)
        (void)gw_fail(&err, GW_UNAVAILABLE, "connect: no answer within %d ms", CONNECT_MS);
    else if (!dp_grpc_stream_ping(client->stream))
        (void)gw_fail(&err, GW_UNAVAILABLE, "no answer to a ping");
    if (err.code != GW_OK) {
        disconnect(client, &err);
        return;
    }
    client->backoff_ms = BACKOFF_MIN_MS; /* it has held for a while */
    run(client);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    attempt(timer->data);
}

static int open_transport(struct dp_client *client, struct gw_error *err)
{
    const struct dp_endpoint_name *endpoint = &client->hello.endpoints[client->endpoint];
    const struct dp_transport_tls tls = {.ca_file = client->options->ca_file,
                                         .cert_file = client->options->cert_file,
                                         .key_file = client->options->key_file,
                                         .server_name = endpoint->host};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    /* Blocks this thread only, which has nothing else to do while it is not connected. */
    int result = getaddrinfo(endpoint->host, endpoint->port, &hints, &found);
    client->address_count = 0;
    if (result != 0)
        return gw_fail(err, GW_UNAVAILABLE, "%s: %s", endpoint->host, gai_strerror(result));
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        client->address_count++;
    const struct addrinfo *at = found;
    for (unsigned i = client->address % client->address_count; i > 0; i--)
        at = at->ai_next;
    result = dp_transport_open(&client->transport, at->ai_addr, at->ai_addrlen, &tls, err);
    freeaddrinfo(found);
    return result;
}

static void attempt(struct dp_client *client)
{
    struct gw_error err = GW_ERROR_NONE;
    if (open_transport(client, &err) < 0) {
        disconnect(client, &err);
        return;
    }
    ev_io_set(&client->io, client->transport.fd, EV_WRITE);
    ev_io_start(client->loop, &client->io);
    set_timer(client, &client->alive, CONNECT_MS, 0);
}

int dp_client_new(struct ev_loop *loop, const struct dp_sync_options *options,
                  const struct dp_client_events *events, void *user, struct dp_client **ret_client,
                  struct gw_error *err)
{
    struct dp_client *client = gw_calloc(1, sizeof(*client));
    *client = (struct dp_client){.loop = loop,
                                 .options = options,
                                 .events = events,
                                 .user = user,
                                 .transport.fd = -1,
                                 .backoff_ms = BACKOFF_MIN_MS};
    gw_arena_init(&client->pending, 64 * 1024);
    ev_init(&client->io, on_io);
    ev_init(&client->retry, on_retry);
    ev_init(&client->alive, on_alive);
    client->io.data = client->retry.data = client->alive.data = client;
    if (dp_hello_parse(&client->hello, options, err) < 0) {
        dp_client_free(client);
        return -1;
    }
    set_timer(client, &client->retry, 0, 0);
    *ret_client = client;
    return 0;
}

void dp_client_pause(struct dp_client *client)
{
    client->is_paused = true;
    ev_timer_stop(client->loop, &client->retry);
    if (!client->stream)
        close_connection(client);
}

void dp_client_resume(struct dp_client *client)
{
    client->is_paused = false;
    client->backoff_ms = BACKOFF_MIN_MS;
    if (!client->stream)
        set_timer(client, &client->retry, 0, 0);
}

void dp_client_leave(struct dp_client *client)
{
    dp_client_pause(client);
    close_connection(client);
}

bool dp_client_is_open(const struct dp_client *client)
{
    return client->stream != NULL;
}

void dp_client_send(struct dp_client *client, gw_str message)
{
    struct gw_error err = GW_ERROR_NONE;
    assert(client->stream);
    int result = send_message(client, message, &err);
    if (client->is_receiving) /* whoever receives goes on to send */
        client->unsent = result < 0 ? err : client->unsent;
    else if (result < 0)
        disconnect(client, &err);
    else
        run(client);
}

void dp_client_free(struct dp_client *client)
{
    if (!client)
        return;
    ev_timer_stop(client->loop, &client->retry);
    close_connection(client);
    gw_arena_done(&client->pending);
    dp_hello_done(&client->hello);
    free(client->chunks);
    free(client);
}
