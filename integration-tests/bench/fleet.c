/* SPDX-License-Identifier: Apache-2.0 */
/* fleet --server HOST:PORT --agents N ...: N agents in one process and one thread, as the control
 * plane sees them: Hello, updates in chunks, acknowledgements, statistics, pings, reconnects with
 * what they have. They keep nothing of what they are sent but its revision; what it comes to
 * (Hello.content_digest) is known of the first one's, and all are sent the same.
 *
 * Prints a line for each thing that happens, with the agent's number and CLOCK_MONOTONIC in
 * nanoseconds; whoever started it computes. `--help` names the options. */
#include "common/arena.h"
#include "common/clock.h"
#include "common/message.h"
#include "dataplane/sync/grpc_stream.h"
#include "dataplane/sync/transport.h"
#include "integration-tests/bench/fleet_contents.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <ev.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define STREAM_PATH "/penstock.agent.v1.AgentService/Stream"
#define READ_BYTES (64 * 1024)
#define SLOW_TICK_MS 100
#define PING_MS 10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define CLUSTER_BYTES 64
#define AGENTS_MAX 15000
/* Connections under way. With TLS few: a thousand machines make their handshakes side by side, this
 * one makes them one after the other, and those that wait would only run into timeouts. */
#define CONNECTING_MAX 4096
#define HANDSHAKES_MAX 32

/* The slow ones are the last of the fleet, in this order. */
enum manner { PROMPT, SLOW_READ, NEVER_ACK, NEVER_READ };

struct options {
    char host[256], port[8], authority[272];
    unsigned agents;
    unsigned manners[NEVER_READ + 1]; /* how many of each; PROMPT: the rest */
    gw_msec stagger_ms;               /* from the first connection to the last */
    gw_msec statistics_ms;            /* 0: none are sent */
    unsigned slow_bytes;              /* read by a slow one in SLOW_TICK_MS */
    const char *prefix;               /* of the agents' ids */
    const char *cluster_id;           /* what they say they have; "": nothing */
    int64_t revision;
    struct dp_transport_tls tls;
    struct addrinfo *address;
};

struct peer {
    unsigned number;
    enum manner manner;
    struct dp_transport transport;
    struct dp_grpc_stream *stream; /* NULL until the transport is open */
    gw_str output;                 /* the stream's bytes that the socket has not taken */
    ev_io io;
    ev_timer retry, tick; /* tick: what is slow reads; pings and statistics otherwise */
    gw_msec pinged_ms;
    gw_msec backoff_ms;
    char cluster_id[CLUSTER_BYTES];
    int64_t revision;
    size_t update_bytes; /* of the update that is coming in */
    bool is_connecting;  /* one of connecting */
    bool has_ended;
    struct gw_error ended;
};

/* The head of an Update. */
struct head {
    gw_str cluster_id;
    uint64_t revision, base_revision, final;
    uint64_t records;
};

static struct options options = {
    .agents = 1000, .slow_bytes = 4096, .prefix = "fleet", .cluster_id = ""};
static struct ev_loop *loop;
static unsigned connecting;

static void tell(const struct peer *peer, const char *what, const char *more)
{
    printf("%s %u %" PRId64 "%s\n", what, peer->number, (int64_t)gw_clock_monotonic_ns(), more);
}

static void set_timer(ev_timer *timer, gw_msec after_ms, gw_msec repeat_ms)
{
    ev_timer_stop(loop, timer);
    ev_timer_set(timer, (double)after_ms / 1000, (double)repeat_ms / 1000);
    ev_timer_start(loop, timer);
}

/* ---- the protocol ---- */

/* Without unpacking the resources: a thousand agents here are to cost less than one there. */
static int read_update(gw_str update, struct head *head)
{
    uint64_t tag, number;
    gw_str bytes;
    *head = (struct head){0};
    while (update.len > 0) {
        if (fleet_take_field(&update, &tag, &number, &bytes) < 0)
            return -1;
        switch (tag >> 3) {
        case 1:
            head->cluster_id = bytes;
            break;
        case 2:
            head->revision = number;
            break;
        case 3:
            head->base_revision = number;
            break;
        case 6:
            head->final = number;
            break;
        default:
            head->records++;
        }
    }
    return head->cluster_id.len < CLUSTER_BYTES ? 0 : -1;
}

static int say(struct peer *peer, Penstock__Agent__V1__AgentMessage *message, struct gw_error *err)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 512);
    int result = dp_grpc_stream_send(peer->stream, gw_message_pack(&arena, &message->base));
    gw_arena_done(&arena);
    return result < 0 ? gw_fail(err, GW_RESOURCE_EXHAUSTED, "the control plane does not read") : 0;
}

static int say_hello(struct peer *peer, struct gw_error *err)
{
    static char *kinds[] = {"group", "route",       "channel",     "policy",
                            "app",   "certificate", "ticket_keys", "settings"};
    Penstock__Agent__V1__Hello hello = PENSTOCK__AGENT__V1__HELLO__INIT;
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    char id[128];
    snprintf(id, sizeof(id), "%s-%u", options.prefix, peer->number);
    hello.agent_id = id;
    hello.version = PENSTOCK_VERSION;
    hello.cluster_id = peer->cluster_id;
    hello.revision = peer->revision;
    hello.n_kinds = GW_ARRAY_LEN(kinds);
    hello.kinds = kinds;
    hello.refuses_unknown = true;
    const struct gw_content_digest *digest = fleet_contents_at(peer->revision);
    if (digest)
        hello.content_digest =
            (ProtobufCBinaryData){sizeof digest->words, (uint8_t *)(uintptr_t)digest->words};
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    return say(peer, &message, err);
}

static int say_ack(struct peer *peer, struct gw_error *err)
{
    Penstock__Agent__V1__Ack ack = PENSTOCK__AGENT__V1__ACK__INIT;
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    ack.cluster_id = peer->cluster_id;
    ack.revision = peer->revision;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK;
    message.ack = &ack;
    return say(peer, &message, err);
}

static int say_statistics(struct peer *peer, struct gw_error *err)
{
    Penstock__Agent__V1__RouteStatistics route = PENSTOCK__AGENT__V1__ROUTE_STATISTICS__INIT;
    Penstock__Agent__V1__RouteStatistics *routes[] = {&route};
    Penstock__Agent__V1__Statistics statistics = PENSTOCK__AGENT__V1__STATISTICS__INIT;
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    char name[] = "groups/fleet/apis/none@RELEASE";
    route.route = name;
    route.requests = 1;
    statistics.n_routes = 1;
    statistics.routes = routes;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_STATISTICS;
    message.statistics = &statistics;
    return say(peer, &message, err);
}

static int finish_update(struct peer *peer, const struct head *head, struct gw_error *err)
{
    char more[128];
    bool acks = peer->manner != NEVER_ACK;
    if (head->base_revision != 0 && (int64_t)head->base_revision != peer->revision)
        return gw_fail(err, GW_INTERNAL, "a delta on %" PRIu64 ", not on %" PRId64,
                       head->base_revision, peer->revision);
    memcpy(peer->cluster_id, head->cluster_id.ptr, head->cluster_id.len);
    peer->cluster_id[head->cluster_id.len] = '\0';
    peer->revision = (int64_t)head->revision;
    snprintf(more, sizeof(more), " %" PRIu64 " %" PRIu64 " %zu", head->revision,
             head->base_revision, peer->update_bytes);
    tell(peer, acks ? "acked" : "kept", more);
    peer->update_bytes = 0;
    peer->backoff_ms = BACKOFF_MIN_MS;
    return acks ? say_ack(peer, err) : 0;
}

static int on_message(void *user, gw_str bytes, struct gw_error *err)
{
    struct peer *peer = user;
    uint64_t tag, number;
    gw_str update;
    struct head head;
    if (fleet_take_field(&bytes, &tag, &number, &update) < 0)
        return gw_fail(err, GW_INTERNAL, "a message that is none");
    if (tag >> 3 != 1)
        return 0; /* no Update */
    if (read_update(update, &head) < 0)
        return gw_fail(err, GW_INTERNAL, "an update that is none");
    if (peer->number == 0 && fleet_contents_keep(update, peer->update_bytes == 0) < 0)
        return gw_fail(err, GW_INTERNAL, "resources that are none");
    peer->update_bytes += update.len;
    return head.final ? finish_update(peer, &head, err) : 0;
}

static void on_end(void *user, const struct gw_error *status)
{
    struct peer *peer = user;
    peer->ended = *status;
    peer->has_ended = true;
}

static const struct dp_grpc_events stream_events = {.on_message = on_message, .on_end = on_end};

/* ---- the connection ---- */

static void set_connecting(struct peer *peer, bool is_connecting)
{
    connecting += (unsigned)is_connecting - (unsigned)peer->is_connecting;
    peer->is_connecting = is_connecting;
}

static void disconnect(struct peer *peer, const struct gw_error *why)
{
    char more[GW_ERROR_MESSAGE_MAX + 64];
    snprintf(more, sizeof(more), " %s %s", gw_code_name(why->code), why->message);
    tell(peer, "ended", more);
    set_connecting(peer, false);
    ev_io_stop(loop, &peer->io);
    ev_timer_stop(loop, &peer->tick);
    dp_grpc_stream_free(peer->stream);
    peer->stream = NULL;
    peer->output = GW_STR_NONE;
    peer->update_bytes = 0;
    peer->has_ended = false;
    dp_transport_close(&peer->transport);
    set_timer(&peer->retry, peer->backoff_ms / 2 + rand() % (peer->backoff_ms / 2 + 1), 0);
    peer->backoff_ms = GW_MIN(peer->backoff_ms * 2, (gw_msec)BACKOFF_MAX_MS);
}

static int tell_end(const struct peer *peer, struct gw_error *err)
{
    *err = peer->ended;
    return -1;
}

static int receive(struct peer *peer, size_t most, struct gw_error *err)
{
    static char bytes[READ_BYTES];
    for (;;) {
        ssize_t n = dp_transport_read(&peer->transport, bytes, GW_MIN(sizeof(bytes), most), err);
        if (n <= 0)
            return (int)n;
        if (dp_grpc_stream_receive(peer->stream, gw_str_n(bytes, (size_t)n), err) < 0)
            return -1;
        if (peer->has_ended)
            return tell_end(peer, err);
        if (most < sizeof(bytes))
            return 0;
    }
}

static int flush(struct peer *peer, struct gw_error *err)
{
    for (;;) {
        if (peer->output.len == 0 && dp_grpc_stream_output(peer->stream, &peer->output, err) < 0)
            return -1;
        if (peer->has_ended)
            return tell_end(peer, err);
        if (peer->output.len == 0)
            return 0;
        ssize_t n = dp_transport_write(&peer->transport, peer->output, err);
        if (n <= 0)
            return (int)n;
        peer->output.ptr += n;
        peer->output.len -= (size_t)n;
    }
}

static int open_stream(struct peer *peer, struct gw_error *err)
{
    peer->stream = dp_grpc_stream_new(options.authority, STREAM_PATH, peer->transport.ssl != NULL,
                                      &stream_events, peer);
    peer->pinged_ms = gw_clock_monotonic_ms();
    set_connecting(peer, false);
    tell(peer, "connected", "");
    gw_msec turn_ms = options.statistics_ms ? options.statistics_ms : PING_MS;
    if (peer->manner == SLOW_READ)
        set_timer(&peer->tick, SLOW_TICK_MS, SLOW_TICK_MS);
    else if (peer->manner != NEVER_READ)
        set_timer(&peer->tick, turn_ms, turn_ms);
    return say_hello(peer, err);
}

static bool reads(const struct peer *peer)
{
    return !peer->stream || peer->manner == PROMPT || peer->manner == NEVER_ACK;
}

static int step(struct peer *peer, struct gw_error *err)
{
    if (dp_transport_advance(&peer->transport, err) < 0)
        return -1;
    if (peer->transport.state != DP_TRANSPORT_OPEN)
        return 0;
    if (!peer->stream && open_stream(peer, err) < 0)
        return -1;
    if (reads(peer) && receive(peer, READ_BYTES, err) < 0)
        return -1;
    return flush(peer, err);
}

static void run(struct peer *peer)
{
    struct gw_error err = GW_ERROR_NONE;
    if (step(peer, &err) < 0) {
        disconnect(peer, &err);
        return;
    }
    int events = (reads(peer) ? EV_READ : 0) | (peer->transport.wants_write ? EV_WRITE : 0);
    if (events == peer->io.events && ev_is_active(&peer->io))
        return;
    ev_io_stop(loop, &peer->io);
    ev_io_set(&peer->io, peer->transport.fd, events);
    if (events)
        ev_io_start(loop, &peer->io);
}

static void on_io(struct ev_loop *l, ev_io *io, int events)
{
    (void)l, (void)events;
    run(io->data);
}

static void on_tick(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)l, (void)events;
    struct peer *peer = timer->data;
    struct gw_error err = GW_ERROR_NONE;
    gw_msec now_ms = gw_clock_monotonic_ms();
    int result = 0;
    if (peer->manner == SLOW_READ)
        result = receive(peer, options.slow_bytes, &err);
    else if (options.statistics_ms)
        result = say_statistics(peer, &err);
    if (result == 0 && now_ms - peer->pinged_ms >= PING_MS) {
        peer->pinged_ms = now_ms;
        if (!dp_grpc_stream_ping(peer->stream) && peer->manner != SLOW_READ)
            result = gw_fail(&err, GW_UNAVAILABLE, "no answer to a ping");
    }
    if (result < 0)
        disconnect(peer, &err);
    else
        run(peer);
}

static void on_retry(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)l, (void)events;
    struct peer *peer = timer->data;
    struct gw_error err = GW_ERROR_NONE;
    if (connecting >= (options.tls.ca_file ? HANDSHAKES_MAX : CONNECTING_MAX)) {
        set_timer(&peer->retry, 5, 0);
        return;
    }
    set_connecting(peer, true);
    if (dp_transport_open(&peer->transport, options.address->ai_addr, options.address->ai_addrlen,
                          &options.tls, &err) < 0) {
        disconnect(peer, &err);
        return;
    }
    ev_io_set(&peer->io, peer->transport.fd, EV_WRITE);
    ev_io_start(loop, &peer->io);
}

/* ---- the program ---- */

static const struct option names[] = {{"server", required_argument, NULL, 's'},
                                      {"agents", required_argument, NULL, 'n'},
                                      {"stagger-ms", required_argument, NULL, 'g'},
                                      {"statistics-ms", required_argument, NULL, 't'},
                                      {"slow-read", required_argument, NULL, '1'},
                                      {"never-ack", required_argument, NULL, '2'},
                                      {"never-read", required_argument, NULL, '3'},
                                      {"slow-bytes", required_argument, NULL, 'b'},
                                      {"prefix", required_argument, NULL, 'p'},
                                      {"cluster", required_argument, NULL, 'c'},
                                      {"revision", required_argument, NULL, 'r'},
                                      {"ca", required_argument, NULL, 'a'},
                                      {"cert", required_argument, NULL, 'e'},
                                      {"key", required_argument, NULL, 'k'},
                                      {"help", no_argument, NULL, 'h'},
                                      {NULL, 0, NULL, 0}};

static _Noreturn void usage(int status)
{
    fputs(
        "fleet --server HOST:PORT [--agents N] [--prefix ID] [--stagger-ms MS: all connect within\n"
        "  that time; 0: at once] [--statistics-ms MS] [--cluster ID --revision R: what they "
        "have]\n"
        "  [--ca FILE [--cert FILE --key FILE]] and of the agents, the last ones:\n"
        "  [--slow-read K [--slow-bytes B in 100 ms]] [--never-ack K] [--never-read K]\n"
        "Lines: connected|ended|acked|kept AGENT NANOSECONDS [REVISION BASE BYTES | CODE WHY]\n",
        status ? stderr : stdout);
    exit(status);
}

static long number(const char *text)
{
    uint64_t value;
    if (gw_str_to_u64(gw_str_from(text), INT64_MAX, &value) < 0)
        usage(2);
    return (long)value;
}

static void set_server(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        usage(2);
    snprintf(options.host, sizeof(options.host), "%.*s", (int)(colon - text), text);
    snprintf(options.port, sizeof(options.port), "%s", colon + 1);
    snprintf(options.authority, sizeof(options.authority), "%s", text);
}

static void set_option(int name, const char *value)
{
    switch (name) {
    case 's':
        set_server(value);
        break;
    case 'n':
        options.agents = (unsigned)GW_MIN(number(value), (long)AGENTS_MAX);
        break;
    case 'g':
        options.stagger_ms = number(value);
        break;
    case 't':
        options.statistics_ms = number(value);
        break;
    case '1':
    case '2':
    case '3':
        options.manners[name - '0'] = (unsigned)number(value);
        break;
    case 'b':
        options.slow_bytes = (unsigned)GW_MAX(number(value), 1L);
        break;
    case 'p':
        options.prefix = value;
        break;
    case 'c':
        options.cluster_id = value;
        break;
    case 'r':
        options.revision = number(value);
        break;
    case 'a':
        options.tls.ca_file = value;
        break;
    case 'e':
        options.tls.cert_file = value;
        break;
    case 'k':
        options.tls.key_file = value;
        break;
    default:
        usage(name == 'h' ? 0 : 2);
    }
}

static enum manner manner_of(unsigned i)
{
    unsigned from_end = options.agents - i;
    for (enum manner manner = NEVER_READ; manner > PROMPT; manner--) {
        if (from_end <= options.manners[manner])
            return manner;
        from_end -= options.manners[manner];
    }
    return PROMPT;
}

static void start(struct peer *peer, unsigned i)
{
    *peer = (struct peer){
        .number = i, .manner = manner_of(i), .transport.fd = -1, .backoff_ms = BACKOFF_MIN_MS};
    snprintf(peer->cluster_id, sizeof(peer->cluster_id), "%s", options.cluster_id);
    peer->revision = options.revision;
    ev_init(&peer->io, on_io);
    ev_init(&peer->retry, on_retry);
    ev_init(&peer->tick, on_tick);
    peer->io.data = peer->retry.data = peer->tick.data = peer;
    set_timer(&peer->retry, options.stagger_ms * i / options.agents, 0);
}

/* Nothing is left to do for now. */
static void on_idle(struct ev_loop *l, ev_prepare *prepare, int events)
{
    (void)l, (void)prepare, (void)events;
    fflush(stdout);
}

static void on_term(struct ev_loop *l, ev_signal *signal, int events)
{
    (void)signal, (void)events;
    ev_break(l, EVBREAK_ALL);
}

int main(int argc, char **argv)
{
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;)
        set_option(name, optarg);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(options.host, options.port, &hints, &options.address) != 0)
        usage(2);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* then the lower one stays */
    }
    options.tls.server_name = options.host;
    setvbuf(stdout, NULL, _IOFBF, 1 << 20);
    signal(SIGPIPE, SIG_IGN);
    loop = ev_default_loop(0);
    static ev_prepare idle;
    static ev_signal term;
    ev_prepare_init(&idle, on_idle);
    ev_prepare_start(loop, &idle);
    ev_signal_init(&term, on_term, SIGTERM);
    ev_signal_start(loop, &term);
    struct peer *peers = gw_calloc(options.agents + 1, sizeof(struct peer));
    for (unsigned i = 0; i < options.agents; i++)
        start(&peers[i], i);
    ev_run(loop, 0);
    fflush(stdout);
    return 0; /* the kernel closes what is open */
}
