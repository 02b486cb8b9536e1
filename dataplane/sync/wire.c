/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/wire.h"

#include "dataplane/sync/grpc_stream.h"
#include "dataplane/sync/transport.h"

#include <ev.h>
#include <stdlib.h>

#define STREAM_PATH "/penstock.agent.v1.AgentService/Stream"
#define READ_BYTES (64 * 1024)

struct dp_wire {
    struct ev_loop *loop; /* borrowed */
    const struct dp_wire_events *events;
    void *user;
    struct dp_place place;
    struct dp_transport transport;
    struct dp_grpc_stream *stream; /* owned; NULL until the transport is open */
    gw_str output;                 /* the stream's bytes that the socket has not taken yet */
    ev_io io;
    struct gw_error ended; /* why the stream ended; code OK and has_ended: by the server's will */
    bool has_ended;
    gw_msec heard_ms; /* when bytes came last; 0: none have */
    uint64_t reads;
    bool was_told_heard; /* on_heard was called */
};

static int on_message(void *user, gw_str bytes, struct gw_error *err)
{
    struct dp_wire *wire = user;
    return wire->events->on_message(wire->user, wire, bytes, err);
}

static void on_end(void *user, const struct gw_error *status)
{
    struct dp_wire *wire = user;
    wire->ended = *status;
    wire->has_ended = true;
}

static const struct dp_grpc_events stream_events = {.on_message = on_message, .on_end = on_end};

static int open_stream(struct dp_wire *wire, struct gw_error *err)
{
    wire->stream = dp_grpc_stream_new(wire->place.endpoint->text,
                                      wire->events->path ? wire->events->path : STREAM_PATH,
                                      wire->transport.ssl != NULL, &stream_events, wire);
    return wire->events->on_open(wire->user, wire, err);
}

static int tell_end(const struct dp_wire *wire, struct gw_error *err)
{
    *err = wire->ended;
    return -1;
}

static int receive(struct dp_wire *wire, struct gw_error *err)
{
    char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = dp_transport_read(&wire->transport, bytes, sizeof(bytes), err);
        if (n <= 0)
            return (int)n;
        wire->heard_ms = gw_clock_monotonic_ms();
        wire->reads++;
        if (dp_grpc_stream_receive(wire->stream, gw_str_n(bytes, (size_t)n), err) < 0)
            return -1;
        if (wire->has_ended)
            return tell_end(wire, err);
    }
}

static int flush(struct dp_wire *wire, struct gw_error *err)
{
    for (;;) {
        if (wire->output.len == 0 && dp_grpc_stream_output(wire->stream, &wire->output, err) < 0)
            return -1;
        if (wire->has_ended) /* sending may end it, too: nothing that was to go out matters */
            return tell_end(wire, err);
        if (wire->output.len == 0)
            return 0;
        ssize_t n = dp_transport_write(&wire->transport, wire->output, err);
        if (n <= 0)
            return (int)n;
        wire->output.ptr += n;
        wire->output.len -= (size_t)n;
    }
}

/* Not before all of it has been understood: nghttp2 says only then what it thinks of it. */
static int tell_heard(struct dp_wire *wire, struct gw_error *err)
{
    if (wire->heard_ms == 0 || wire->was_told_heard)
        return 0;
    wire->was_told_heard = true;
    return wire->events->on_heard(wire->user, wire, err) < 0 ? -1 : flush(wire, err);
}

static int step(struct dp_wire *wire, struct gw_error *err)
{
    if (dp_transport_advance(&wire->transport, err) < 0)
        return -1;
    if (wire->transport.state != DP_TRANSPORT_OPEN)
        return 0;
    if (!wire->stream && open_stream(wire, err) < 0)
        return -1;
    if (receive(wire, err) < 0 || flush(wire, err) < 0)
        return -1;
    return tell_heard(wire, err);
}

static void watch(struct dp_wire *wire)
{
    int events = EV_READ | (wire->transport.wants_write ? EV_WRITE : 0);
    if (events == wire->io.events)
        return;
    ev_io_stop(wire->loop, &wire->io);
    ev_io_set(&wire->io, wire->transport.fd, events);
    ev_io_start(wire->loop, &wire->io);
}

void dp_wire_run(struct dp_wire *wire)
{
    struct gw_error err = GW_ERROR_NONE;
    if (step(wire, &err) < 0) {
        ev_io_stop(wire->loop, &wire->io);
        wire->events->on_lost(wire->user, wire, &err);
        return;
    }
    watch(wire);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    dp_wire_run(io->data);
}

int dp_wire_open(struct ev_loop *loop, const struct dp_place *place,
                 const struct dp_sync_options *options, const struct dp_wire_events *events,
                 void *user, struct dp_wire **ret_wire, struct gw_error *err)
{
    struct dp_wire *wire = gw_calloc(1, sizeof(*wire));
    *wire = (struct dp_wire){.loop = loop, .events = events, .user = user, .place = *place};
    const struct dp_transport_tls tls = {.ca_file = options->ca_file,
                                         .cert_file = options->cert_file,
                                         .key_file = options->key_file,
                                         .server_name = place->endpoint->host};
    if (dp_transport_open(&wire->transport, (const struct sockaddr *)&place->address,
                          place->address_len, &tls, err) < 0) {
        free(wire);
        return -1;
    }
    ev_io_init(&wire->io, on_io, wire->transport.fd, EV_WRITE);
    wire->io.data = wire;
    ev_io_start(loop, &wire->io);
    *ret_wire = wire;
    return 0;
}

void dp_wire_free(struct dp_wire *wire)
{
    if (!wire)
        return;
    ev_io_stop(wire->loop, &wire->io);
    dp_grpc_stream_free(wire->stream);
    dp_transport_close(&wire->transport);
    free(wire);
}

const struct dp_place *dp_wire_place(const struct dp_wire *wire)
{
    return &wire->place;
}

gw_msec dp_wire_heard_ms(const struct dp_wire *wire)
{
    return wire->heard_ms;
}

uint64_t dp_wire_reads(const struct dp_wire *wire)
{
    return wire->reads;
}

void dp_wire_ping(struct dp_wire *wire)
{
    if (wire->stream)
        (void)dp_grpc_stream_ping(wire->stream); /* false: one is under way already */
}

int dp_wire_send(struct dp_wire *wire, gw_str bytes, struct gw_error *err)
{
    if (dp_grpc_stream_send(wire->stream, bytes) < 0)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "the control plane does not read");
    return 0;
}
