/* SPDX-License-Identifier: Apache-2.0 */
/* At most one wire to a control plane, and beside it, now and then, one that tries whether a
 * preferred one is back. */
#include "dataplane/sync/client.h"

#include "common/message.h"
#include "common/slab.h"
#include "dataplane/sync/hello.h"
#include "dataplane/sync/places.h"
#include "dataplane/sync/wire.h"

#include <ev.h>
#include <malloc.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define TRIM_BYTES ((size_t)4 * 1024 * 1024) /* of an update, above which pages are given back */
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_DEFAULT_MS 10000
/* To somewhere else, after a failure: enough that a thousand agents do not come as one. */
#define FAILOVER_MS 150
/* With somewhere else to go, so that all of a failover is done in two seconds; where there is one
 * address alone nothing is won by haste. */
#define CONNECT_MS 1000
#define QUIET_MS 600 /* older control planes take a ping every 500 ms at most */
#define SILENT_MS 800
#define CONNECT_ALONE_MS 10000
#define QUIET_ALONE_MS 10000
#define RESOLVE_MS 1000 /* at the start: for names, before only addresses are tried */
#define HELD_MS 5000    /* who has held that long has worked: failures start from the beginning */
#define RETURN_DEFAULT_MS 30000
#define RETURN_MAX_MS 600000

/* What the timer of the wire is for. */
enum alive { CONNECTING, QUIET, PINGED };

struct dp_client {
    struct ev_loop *loop; /* borrowed */
    const struct dp_sync_options *options;
    const struct dp_client_events *events;
    void *user;
    struct dp_hello hello;    /* the parsed options */
    struct dp_places *places; /* owned */
    struct dp_wire *wire;     /* owned; NULL: between attempts */
    struct dp_wire *probe;    /* owned; to a place that is preferred to the wire's; NULL: none */
    bool is_up;               /* the wire's peer has been heard */
    gw_msec up_ms, started_ms;
    uint64_t pinged_at; /* reads of the wire before the ping */
    ev_timer retry;     /* the next attempt */
    ev_timer alive;     /* deadline of the connect, then pings */
    ev_timer home;      /* when to look for a preferred one; then the deadline of the probe */
    enum alive alive_state;
    gw_msec backoff_ms, connect_ms, return_ms;
    bool is_waiting; /* for the address of a name, with the retry timer as its end */
    bool is_paused;
    bool is_receiving; /* in the stream's own code, which must not be entered again, or freed */
    struct gw_error unsent;  /* meanwhile: why a message could not be queued; code OK: all could */
    struct gw_arena pending; /* chunks of the update that is coming in */
    Penstock__Agent__V1__Update **chunks; /* owned array */
    size_t chunk_count, chunk_room, chunk_bytes;
};

/* The messages of a large update lie below what was compiled of them: the heap would keep their
 * pages. */
static void forget_update(struct dp_client *client)
{
    bool was_large = client->chunk_bytes > TRIM_BYTES;
    client->chunk_count = client->chunk_bytes = 0;
    gw_arena_reset(&client->pending);
    if (was_large) {
        gw_slab_trim();
        (void)malloc_trim(0); /* there may be nothing to give back */
    }
}

/* ---- time */

static gw_msec random_up_to(gw_msec limit)
{
    uint32_t random = 0;
    (void)RAND_bytes((unsigned char *)&random, sizeof(random)); /* 0 is no worse than any number */
    return (gw_msec)(random % (uint32_t)(limit + 1));
}

/* Half of it is fixed, half is chance, so that a thousand agents do not come at once. */
static gw_msec jittered(gw_msec pause_ms)
{
    return pause_ms / 2 + random_up_to(pause_ms / 2);
}

static gw_msec either(gw_msec given, gw_msec fallback)
{
    return given ? given : fallback;
}

static void set_timer(struct dp_client *client, ev_timer *timer, gw_msec after)
{
    ev_timer_stop(client->loop, timer);
    ev_timer_set(timer, (double)after / 1000, 0);
    ev_timer_start(client->loop, timer);
}

/* How long the peer may say nothing in that state. */
static gw_msec patience(const struct dp_client *client, enum alive state)
{
    bool is_alone = dp_places_count(client->places) <= 1;
    if (state == CONNECTING)
        return is_alone ? CONNECT_ALONE_MS : client->connect_ms;
    if (client->options->keepalive_ms)
        return client->options->keepalive_ms;
    return is_alone ? QUIET_ALONE_MS : state == QUIET ? QUIET_MS : SILENT_MS;
}

static void set_alive(struct dp_client *client, enum alive state, gw_msec after)
{
    client->alive_state = state;
    set_timer(client, &client->alive, after);
}

static void set_home(struct dp_client *client)
{
    bool is_away = client->is_up && dp_wire_place(client->wire)->rank > 0;
    if (is_away && !client->is_paused)
        set_timer(client, &client->home, jittered(client->return_ms));
}

static void start_over(struct dp_client *client)
{
    client->backoff_ms = BACKOFF_MIN_MS;
    client->connect_ms = CONNECT_MS;
    client->return_ms = either(client->options->return_ms, RETURN_DEFAULT_MS);
    dp_places_new_round(client->places);
}

/* ---- the end of a connection */

static void close_probe(struct dp_client *client)
{
    ev_timer_stop(client->loop, &client->home);
    dp_wire_free(client->probe);
    client->probe = NULL;
}

static void close_connection(struct dp_client *client)
{
    ev_timer_stop(client->loop, &client->alive);
    close_probe(client);
    dp_wire_free(client->wire);
    client->wire = NULL;
    client->is_up = false;
    client->unsent = GW_ERROR_NONE; /* it was about this connection */
    forget_update(client);
}

/* Another place soon; once all have failed, all of them again, after more and more time. */
static gw_msec next_pause(struct dp_client *client)
{
    struct dp_place next;
    gw_msec limit = either(client->options->backoff_max_ms, BACKOFF_MAX_DEFAULT_MS);
    dp_places_refresh(client->places);
    if (dp_places_next(client->places, &next))
        return random_up_to(GW_MIN(limit, FAILOVER_MS));
    gw_msec pause = jittered(client->backoff_ms);
    client->backoff_ms = GW_MIN(client->backoff_ms * 2, limit);
    client->connect_ms = GW_MIN(client->connect_ms * 2, CONNECT_ALONE_MS);
    dp_places_new_round(client->places);
    return pause;
}

static void retry(struct dp_client *client, const char *endpoint, const struct gw_error *why)
{
    gw_msec pause = next_pause(client);
    if (!client->is_paused)
        set_timer(client, &client->retry, pause);
    client->events->on_disconnected(client->user, endpoint, why, client->is_paused ? -1 : pause);
}

/* Ends what is left of the connection. */
static void disconnect(struct dp_client *client, const struct gw_error *why)
{
    const struct dp_place place = *dp_wire_place(client->wire);
    if (client->is_up && gw_clock_monotonic_ms() - client->up_ms >= HELD_MS)
        start_over(client);
    else if (client->is_up) /* it has been found alive, and was not: less often */
        client->return_ms = GW_MIN(client->return_ms * 2, RETURN_MAX_MS);
    close_connection(client);
    dp_places_failed(client->places, &place);
    retry(client, place.endpoint->text, why);
}

/* ---- messages */

static int send_ack(struct dp_client *client, Penstock__Agent__V1__Ack *ack, struct gw_error *err)
{
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK;
    message.ack = ack;
    return dp_wire_send(client->wire, gw_message_pack(&client->pending, &message.base), err);
}

static int apply_update(struct dp_client *client, struct gw_error *err)
{
    Penstock__Agent__V1__Ack ack = PENSTOCK__AGENT__V1__ACK__INIT;
    gw_nsec begin_ns = gw_clock_monotonic_ns();
    if (client->events->on_update(client->user, client->chunks, client->chunk_count,
                                  &client->pending, &ack, err) < 0)
        return -1;
    ack.apply_us = GW_MAX((gw_clock_monotonic_ns() - begin_ns) / 1000, (gw_nsec)1);
    int result = send_ack(client, &ack, err);
    forget_update(client);
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

static int take_message(struct dp_client *client, gw_str bytes, struct gw_error *err)
{
    ProtobufCMessage *any;
    client->chunk_bytes += bytes.len;
    if (client->chunk_bytes > DP_CLIENT_UPDATE_BYTES_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "the update is too large");
    if (gw_message_unpack_whole(&client->pending, &penstock__agent__v1__control_message__descriptor,
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

/* Hello; and, with something to serve, what is refused of it, for this may be another control plane
 * than the one that was told. */
static int greet(struct dp_client *client, struct gw_error *err)
{
    Penstock__Agent__V1__Ack ack = PENSTOCK__AGENT__V1__ACK__INIT;
    struct gw_content_digest digest = {{0, 0}};
    bool serves = client->events->on_hello(client->user, &client->pending, &ack, &digest);
    gw_str hello = dp_hello_pack(&client->hello, client->options, gw_str_from(ack.cluster_id),
                                 ack.revision, digest, &client->pending);
    int result = dp_wire_send(client->wire, hello, err);
    if (result == 0 && serves)
        result = send_ack(client, &ack, err);
    forget_update(client);
    return result;
}

/* ---- events of wires */

static int on_open(void *user, struct dp_wire *wire, struct gw_error *err)
{
    struct dp_client *client = user;
    return wire == client->probe ? 0 : greet(client, err);
}

static int take_unsent(struct dp_client *client, struct gw_error *err)
{
    if (client->unsent.code == GW_OK)
        return 0;
    *err = client->unsent;
    client->unsent = GW_ERROR_NONE;
    return -1;
}

static void come_up(struct dp_client *client)
{
    client->is_up = true;
    client->up_ms = gw_clock_monotonic_ms();
    set_alive(client, QUIET, patience(client, QUIET));
    set_home(client);
    client->events->on_connected(client->user, dp_wire_place(client->wire)->endpoint->text);
}

static int on_message(void *user, struct dp_wire *wire, gw_str bytes, struct gw_error *err)
{
    struct dp_client *client = user;
    if (wire == client->probe)
        return gw_fail(err, GW_INVALID_ARGUMENT, "it speaks before the Hello");
    if (!client->is_up)
        come_up(client);
    client->is_receiving = true;
    int result = take_message(client, bytes, err);
    client->is_receiving = false;
    return result < 0 ? -1 : take_unsent(client, err);
}

/* Of the probe: a preferred one is there. What came whole over the other wire is kept, what did not
 * comes anew. */
static int on_heard(void *user, struct dp_wire *wire, struct gw_error *err)
{
    struct dp_client *client = user;
    bool is_home = wire == client->probe;
    if (is_home) {
        client->probe = NULL;
        close_connection(client);
        client->wire = wire;
    }
    if (!client->is_up)
        come_up(client);
    return is_home ? greet(client, err) : 0;
}

static void on_lost(void *user, struct dp_wire *wire, const struct gw_error *why)
{
    struct dp_client *client = user;
    if (wire != client->probe) {
        disconnect(client, why);
        return;
    }
    close_probe(client);
    set_home(client);
}

static const struct dp_wire_events wire_events = {
    .on_open = on_open, .on_heard = on_heard, .on_message = on_message, .on_lost = on_lost};

/* ---- timers */

static void lose(struct dp_client *client, const char *why)
{
    struct gw_error err = GW_ERROR_NONE;
    (void)gw_fail(&err, GW_UNAVAILABLE, "%s", why);
    disconnect(client, &err);
}

/* Silent for a whole state. What has come while this thread was busy counts: it is read before
 * anybody is called silent. */
static void on_silence(struct dp_client *client)
{
    if (client->alive_state == PINGED) {
        lose(client, "no answer to a ping");
        return;
    }
    set_alive(client, PINGED, patience(client, PINGED));
    client->pinged_at = dp_wire_reads(client->wire);
    dp_wire_ping(client->wire);
    dp_wire_run(client->wire);
}

static void on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_client *client = timer->data;
    struct dp_wire *wire = client->wire;
    if (client->alive_state != CONNECTING)
        dp_wire_run(wire);
    if (client->wire != wire)
        return; /* it has ended */
    if (client->alive_state == CONNECTING) {
        lose(client, "no answer to the connect in time");
        return;
    }
    bool is_answered = client->alive_state == PINGED && dp_wire_reads(wire) != client->pinged_at;
    gw_msec silent_ms = gw_clock_monotonic_ms() - dp_wire_heard_ms(wire);
    gw_msec left_ms = patience(client, QUIET) - silent_ms;
    if (is_answered || (client->alive_state == QUIET && left_ms > 0))
        set_alive(client, QUIET, GW_MAX(left_ms, 1));
    else
        on_silence(client);
}

static void on_home(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct dp_client *client = timer->data;
    struct dp_place place;
    struct gw_error ignored; /* the next time, then */
    bool is_late = client->probe != NULL;
    close_probe(client);
    dp_places_refresh(client->places);
    if (!is_late && dp_places_better(client->places, dp_wire_place(client->wire)->rank, &place) &&
        dp_wire_open(client->loop, &place, client->options, &wire_events, client, &client->probe,
                     &ignored) == 0)
        set_timer(client, &client->home, CONNECT_ALONE_MS);
    else
        set_home(client);
}

static void attempt(struct dp_client *client)
{
    struct dp_place place;
    struct gw_error err = GW_ERROR_NONE;
    client->is_waiting = false;
    gw_msec left_ms = client->started_ms + RESOLVE_MS - gw_clock_monotonic_ms();
    if (dp_places_are_pending(client->places) && left_ms > 0) {
        client->is_waiting = true; /* on_resolved comes first, as a rule */
        set_timer(client, &client->retry, left_ms);
        return;
    }
    if (!dp_places_next(client->places, &place)) {
        const char *why = dp_places_why(client->places);
        (void)gw_fail(&err, GW_UNAVAILABLE, "%s", *why ? why : "its name is not resolved yet");
        client->is_waiting = true;
        retry(client, client->hello.endpoints[0].text, &err);
        return;
    }
    if (dp_wire_open(client->loop, &place, client->options, &wire_events, client, &client->wire,
                     &err) < 0) {
        dp_places_failed(client->places, &place);
        retry(client, place.endpoint->text, &err);
        return;
    }
    set_alive(client, CONNECTING, patience(client, CONNECTING));
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    attempt(timer->data);
}

/* Who waits for a name waits no longer. */
static void on_resolved(void *user)
{
    struct dp_client *client = user;
    struct dp_place place;
    if (ev_is_active(&client->retry) && !dp_places_are_pending(client->places) &&
        client->is_waiting && dp_places_next(client->places, &place))
        set_timer(client, &client->retry, 0);
}

/* ---- life */

int dp_client_new(struct ev_loop *loop, const struct dp_sync_options *options,
                  const struct dp_client_events *events, void *user, struct dp_client **ret_client,
                  struct gw_error *err)
{
    struct dp_client *client = gw_calloc(1, sizeof(*client));
    *client = (struct dp_client){.loop = loop,
                                 .options = options,
                                 .events = events,
                                 .user = user,
                                 .started_ms = gw_clock_monotonic_ms()};
    gw_arena_init(&client->pending, GW_SLAB_PIECE_MAX / 2 - 64);
    client->pending.is_of_slabs = true; /* of a hundred thousand routes: 60 MB, for a second */
    ev_init(&client->retry, on_retry);
    ev_init(&client->alive, on_alive);
    ev_init(&client->home, on_home);
    client->retry.data = client->alive.data = client->home.data = client;
    if (dp_hello_parse(&client->hello, options, err) < 0) {
        dp_client_free(client);
        return -1;
    }
    client->places = dp_places_new(loop, &client->hello, options->agent_id, on_resolved, client);
    start_over(client);
    set_timer(client, &client->retry, 0);
    *ret_client = client;
    return 0;
}

void dp_client_pause(struct dp_client *client)
{
    client->is_paused = true;
    ev_timer_stop(client->loop, &client->retry);
    close_probe(client);
    if (!client->is_up)
        close_connection(client);
}

void dp_client_resume(struct dp_client *client)
{
    client->is_paused = false;
    start_over(client);
    if (client->wire)
        set_home(client);
    else
        set_timer(client, &client->retry, 0);
}

void dp_client_leave(struct dp_client *client)
{
    dp_client_pause(client);
    close_connection(client);
}

bool dp_client_is_open(const struct dp_client *client)
{
    return client->is_up;
}

void dp_client_send(struct dp_client *client, gw_str message)
{
    struct gw_error err = GW_ERROR_NONE;
    assert(client->is_up);
    int result = dp_wire_send(client->wire, message, &err);
    if (client->is_receiving) /* whoever receives goes on to send */
        client->unsent = result < 0 ? err : client->unsent;
    else if (result < 0)
        disconnect(client, &err);
    else
        dp_wire_run(client->wire);
}

void dp_client_free(struct dp_client *client)
{
    if (!client)
        return;
    ev_timer_stop(client->loop, &client->retry);
    close_connection(client);
    dp_places_free(client->places);
    gw_arena_done(&client->pending);
    dp_hello_done(&client->hello);
    free(client->chunks);
    free(client);
}
