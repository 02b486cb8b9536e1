/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/worker_internal.h"

#include "dataplane/net/inherited.h"
#include "dataplane/settings.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_S 1.0
/* How long callers may go on using connections that are idle when the drain begins: who sends a
 * request in this time gets its answer, and with it "Connection: close". */
#define DRAIN_IDLE_MS 2000

/* ---- snapshots */

struct dp_pinned *dp_worker_pin(struct dp_worker *worker)
{
    if (worker->current)
        worker->current->users++;
    return worker->current;
}

void dp_worker_unpin(struct dp_pinned *pinned)
{
    if (!pinned || --pinned->users > 0)
        return;
    dp_snapshot_unref(pinned->snapshot);
    free(pinned);
}

gw_str dp_worker_date(struct dp_worker *worker)
{
    return dp_date_text(&worker->date, worker->loop.wall_ms / 1000);
}

void dp_worker_post_snapshot(struct dp_worker *worker, struct dp_snapshot *snapshot)
{
    struct dp_snapshot *missed = atomic_exchange(&worker->posted, dp_snapshot_ref(snapshot));
    dp_snapshot_unref(missed);
    ev_async_send(worker->loop.ev, &worker->wake);
}

/* The flags, and the gateway's settings on top. */
static void tune(struct dp_worker *worker, const struct dp_snapshot *snapshot)
{
    const struct dp_settings *settings = worker->shared->settings;
    struct dp_tunables *tunables = &worker->tunables;
    *tunables = (struct dp_tunables){
        .request_body_max = settings->request_body_max,
        .body_timeout_ms = settings->body_timeout_ms,
        .source_from_xff = settings->source_from_xff,
        .xff_strict = settings->xff_strict,
        .xff_index = settings->xff_index,
        .gzip_level = settings->gzip ? (int)settings->gzip_level : 0,
        .debug_audience = settings->debug_for_all ? DP_DEBUG_EVERYBODY : DP_DEBUG_APPS,
        .http2 = settings->http2,
    };
    if (snapshot)
        dp_snapshot_tune(snapshot, tunables);
    worker->server.limits.body_timeout_ms = tunables->body_timeout_ms;
    worker->server.limits.h2 = tunables->http2;
    if (worker->tls)
        dp_tls_front_offer_h2(worker->tls, tunables->http2);
    dp_encoders_set_level(&worker->encoders, tunables->gzip_level);
}

static void take_posted(struct dp_worker *worker)
{
    struct dp_snapshot *snapshot = atomic_exchange(&worker->posted, NULL);
    if (!snapshot)
        return;
    struct dp_pinned *pinned = gw_calloc(1, sizeof *pinned);
    *pinned = (struct dp_pinned){.snapshot = snapshot, .users = 1};
    if (worker->tls)
        dp_tls_front_update(worker->tls, snapshot);
    dp_worker_unpin(worker->current);
    worker->current = pinned;
    tune(worker, snapshot);
    atomic_store(&worker->revision, dp_snapshot_revision(snapshot));
}

/* ---- drain */

void dp_worker_drain(struct dp_worker *worker, gw_msec grace_ms, gw_msec timeout_ms)
{
    atomic_store(&worker->drain_grace_ms, grace_ms);
    atomic_store(&worker->drain_timeout_ms, timeout_ms);
    atomic_store(&worker->drain_asked, true);
    ev_async_send(worker->loop.ev, &worker->wake);
}

void dp_worker_hand_over(struct dp_worker *worker, gw_msec timeout_ms)
{
    atomic_store(&worker->has_heir, true);
    dp_worker_drain(worker, 0, timeout_ms);
}

static void stop_if_empty(struct dp_worker *worker)
{
    if (worker->drain_deadline_ms && worker->server.count == 0 && worker->gate.count == 0)
        dp_loop_stop(&worker->loop);
}

bool dp_worker_is_drained(const struct dp_worker *worker)
{
    return worker->drain_deadline_ms && worker->loop.now_ms >= worker->drain_deadline_ms;
}

static void on_server_emptied(struct dp_server *server)
{
    stop_if_empty(gw_container_of(server, struct dp_worker, server));
}

static void on_gate_emptied(struct dp_proxy_gate *gate)
{
    stop_if_empty(gw_container_of(gate, struct dp_worker, gate));
}

/* The grace is over. */
static void close_listeners(struct dp_worker *worker)
{
    gw_msec timeout_ms = atomic_load(&worker->drain_timeout_ms);
    worker->drain_deadline_ms = worker->loop.now_ms + timeout_ms;
    for (unsigned i = 0; i < worker->listener_count; i++)
        if (atomic_load(&worker->has_heir))
            dp_listener_leave(&worker->listeners[i]);
        else
            dp_listener_close(&worker->listeners[i]);
    dp_server_drain(&worker->server);
    stop_if_empty(worker);
    dp_loop_arm(&worker->loop, &worker->drain_timer, GW_MIN(DRAIN_IDLE_MS, timeout_ms));
}

static void on_drain_timer(struct dp_timer *timer)
{
    struct dp_worker *worker = gw_container_of(timer, struct dp_worker, drain_timer);
    if (!worker->drain_deadline_ms) {
        close_listeners(worker);
        return;
    }
    gw_msec left_ms = worker->drain_deadline_ms - worker->loop.now_ms;
    if (left_ms > 0) {
        dp_server_close_idle(&worker->server);
        dp_loop_arm(&worker->loop, timer, GW_MIN(DRAIN_IDLE_MS, left_ms));
        return;
    }
    dp_proxy_gate_close(&worker->gate);
    dp_server_close(&worker->server);
    dp_loop_stop(&worker->loop);
}

static void begin_drain(struct dp_worker *worker)
{
    if (worker->drain_deadline_ms || dp_timer_is_armed(&worker->drain_timer))
        return;
    gw_msec grace_ms = atomic_load(&worker->drain_grace_ms);
    if (grace_ms > 0)
        dp_loop_arm(&worker->loop, &worker->drain_timer, grace_ms);
    else
        close_listeners(worker);
}

/* ---- events */

static void on_wake(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev;
    (void)events;
    struct dp_worker *worker = gw_container_of(watcher, struct dp_worker, wake);
    take_posted(worker);
    dp_worker_take_guests(worker);
    if (atomic_load(&worker->drain_asked))
        begin_drain(worker);
    dp_loop_settle(&worker->loop);
}

static void on_tick(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)events;
    struct dp_worker *worker = gw_container_of(watcher, struct dp_worker, tick);
    atomic_store(&worker->turned_ms, worker->loop.now_ms);
    worker->server.stats.proxy_refused = worker->gate.refused;
    worker->server.stats.accept_failures = 0;
    for (unsigned i = 0; i < worker->listener_count; i++)
        worker->server.stats.accept_failures += worker->listeners[i].refused;
    dp_observe_connections(worker->observer, &worker->server,
                           dp_upstreams_stats(worker->upstreams));
    if (worker->tls)
        dp_observe_tls(worker->observer, dp_tls_front_stats(worker->tls));
    dp_loop_settle(&worker->loop);
}

/* Whose connection it is is known now. */
static void begin(struct dp_listener *listener, int fd, const struct dp_caller *caller)
{
    struct dp_worker *worker = listener->owner;
    SSL *tls = listener->spec.tls ? dp_tls_front_accept(worker->tls) : NULL;
    if (listener->spec.tls && !tls)
        close(fd);
    else
        dp_server_accept(&worker->server, fd, caller, tls);
}

static void on_proxied(struct dp_proxy_gate *gate, int fd, const struct sockaddr *peer,
                       const struct dp_proxy_header *header, void *listener)
{
    (void)gate;
    struct dp_caller caller = {.address = dp_address_from(peer)};
    if (header->has_addresses)
        caller = (struct dp_caller){header->source, header->destination_port};
    begin(listener, fd, &caller);
}

static void on_accepted(struct dp_listener *listener, int fd, const struct sockaddr *peer)
{
    struct dp_worker *worker = listener->owner;
    struct dp_server *server = &worker->server;
    if (!listener->spec.proxy) {
        begin(listener, fd, &(struct dp_caller){.address = dp_address_from(peer)});
    } else if (server->count + worker->gate.count < server->limits.connections_max) {
        dp_proxy_gate_take(&worker->gate, fd, peer, listener);
    } else {
        server->stats.refused++;
        close(fd);
    }
}

/* ---- life */

/* How many of the inherited sockets of an address are this worker's: the counts of workers may have
 * changed, and connections wait on each socket. */
static unsigned share(const struct dp_worker *worker, const struct dp_listener_spec *spec)
{
    unsigned workers = (unsigned)worker->shared->settings->workers;
    unsigned count = dp_inherited_count(worker->shared->inherited, &spec->address, spec->port);
    return count / workers + (worker->index < count % workers);
}

static struct dp_listener *add_listener(struct dp_worker *worker)
{
    struct dp_listener *listener = &worker->listeners[worker->listener_count++];
    listener->accepted = on_accepted;
    listener->owner = worker;
    return listener;
}

/* Of a limit of all workers together: the kernel deals connections out about evenly. */
static unsigned share_of(const struct dp_worker *worker, int64_t limit)
{
    int64_t workers = worker->shared->settings->workers;
    return (unsigned)((limit + workers - 1) / workers);
}

static int open_tls(struct dp_worker *worker, struct gw_error *err)
{
    struct dp_tls_front_options options = {
        .loop = &worker->loop,
        .keys = worker->shared->ticket_keys,
        .handshakes_max = share_of(worker, worker->shared->settings->tls_handshakes_max),
    };
    if (dp_tls_front_new(&options, &worker->tls, err) < 0)
        return -1;
    dp_tls_front_offer_h2(worker->tls, worker->tunables.http2);
    return 0;
}

static int open_listener(struct dp_worker *worker, gw_str text, struct gw_error *err)
{
    struct dp_listener_spec spec;
    if (dp_listener_parse(text, &spec, err) < 0)
        return -1;
    if (spec.tls && !worker->tls && open_tls(worker, err) < 0)
        return -1;
    bool has_one = false;
    for (unsigned left = share(worker, &spec); left > 0; left--) {
        int fd = dp_inherited_take(worker->shared->inherited, &spec.address, spec.port);
        if (fd < 0)
            break; /* an address that is listed twice */
        dp_listener_adopt(add_listener(worker), &worker->loop, &spec, fd);
        has_one = true;
    }
    if (has_one)
        return 0;
    struct dp_listener *listener = add_listener(worker);
    listener->fd = -1;
    return dp_listener_open(listener, &worker->loop, text, err);
}

static int open_listeners(struct dp_worker *worker, struct gw_error *err)
{
    const struct dp_inherited *inherited = worker->shared->inherited;
    unsigned addresses = 0, room = DP_LISTENERS_MAX + (inherited ? inherited->count : 0);
    worker->listeners = gw_calloc(room, sizeof(*worker->listeners));
    gw_str rest = gw_str_from(worker->shared->settings->listen);
    while (rest.ptr) {
        gw_str text = gw_str_trim(gw_str_split(&rest, ','));
        if (addresses++ == DP_LISTENERS_MAX)
            return gw_fail(err, GW_INVALID_ARGUMENT, "more than %d addresses to listen on",
                           DP_LISTENERS_MAX);
        if (open_listener(worker, text, err) < 0)
            return -1;
    }
    return 0;
}

static int open_upstreams(struct dp_worker *worker, struct gw_error *err)
{
    const struct dp_settings *settings = worker->shared->settings;
    struct dp_upstreams_options options = {
        .loop = &worker->loop,
        .worker = worker->index,
        .connect_timeout_ms = settings->upstream_connect_timeout_ms,
        .idle_timeout_ms = settings->upstream_idle_timeout_ms,
        .idle_max = (unsigned)settings->upstream_idle_max,
        .ca_file = settings->upstream_ca_file[0] ? settings->upstream_ca_file : NULL,
    };
    return dp_upstreams_new(&options, &worker->upstreams, err);
}

static void set_up_server(struct dp_worker *worker)
{
    const struct dp_settings *settings = worker->shared->settings;
    dp_server_init(&worker->server, &worker->loop, &dp_exchange_handler, worker);
    worker->server.emptied = on_server_emptied;
    worker->server.left = dp_worker_end_visit;
    worker->server.limits = (struct dp_server_limits){
        .head_timeout_ms = settings->head_timeout_ms,
        .idle_timeout_ms = settings->idle_timeout_ms,
        .write_timeout_ms = settings->write_timeout_ms,
        .connections_max = share_of(worker, settings->connections_max),
        .h2_streams_max = (unsigned)settings->http2_streams_max,
    };
    dp_proxy_gate_init(&worker->gate, &worker->loop, settings->head_timeout_ms);
    worker->gate.passed = on_proxied;
    worker->gate.emptied = on_gate_emptied;
}

struct dp_worker *dp_worker_new(const struct dp_worker_shared *shared, unsigned index,
                                struct gw_error *err)
{
    struct dp_worker *worker = gw_calloc(1, sizeof *worker);
    worker->shared = shared;
    worker->index = index;
    worker->ids = dp_request_ids_seeded();
    atomic_store(&worker->revision, -1);
    gw_list_init(&worker->free_flows);
    dp_encoders_init(&worker->encoders);
    int result = dp_loop_init(&worker->loop);
    if (result < 0) {
        (void)gw_fail(err, GW_RESOURCE_EXHAUSTED, "worker %u: no event loop: %s", index,
                      strerror(-result));
        free(worker);
        return NULL;
    }
    atomic_store(&worker->turned_ms, worker->loop.now_ms);
    dp_timer_init(&worker->drain_timer, on_drain_timer);
    ev_async_init(&worker->wake, on_wake);
    ev_async_start(worker->loop.ev, &worker->wake);
    ev_timer_init(&worker->tick, on_tick, TICK_S, TICK_S);
    ev_timer_start(worker->loop.ev, &worker->tick);
    set_up_server(worker);
    tune(worker, NULL);
    worker->observer = dp_observer_new(shared->metrics, shared->access_log, index);
    if (open_upstreams(worker, err) < 0 || open_listeners(worker, err) < 0) {
        dp_worker_free(worker);
        return NULL;
    }
    return worker;
}

static void *run(void *arg)
{
    struct dp_worker *worker = arg;
    take_posted(worker); /* before the first connection, not in the order of events */
    for (unsigned i = 0; i < worker->listener_count; i++)
        dp_listener_start(&worker->listeners[i]);
    dp_loop_run(&worker->loop);
    return NULL;
}

/* Signals are the main thread's. */
int dp_worker_start(struct dp_worker *worker, struct gw_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&worker->thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "worker %u: no thread: %s", worker->index,
                       strerror(error));
    worker->started = true;
    return 0;
}

void dp_worker_join(struct dp_worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    worker->started = false;
}

void dp_worker_free(struct dp_worker *worker)
{
    if (!worker)
        return;
    dp_worker_join(worker);
    /* Still open when it has not started: another process may have them, too. */
    for (unsigned i = 0; i < worker->listener_count; i++)
        dp_listener_leave(&worker->listeners[i]);
    dp_proxy_gate_close(&worker->gate);
    dp_worker_drop_guests(worker);
    dp_server_close(&worker->server);
    dp_upstreams_free(worker->upstreams);
    dp_loop_settle(&worker->loop);
    dp_tls_front_free(worker->tls);
    dp_exchange_free_flows(worker);
    dp_encoders_done(&worker->encoders);
    dp_worker_unpin(worker->current);
    dp_snapshot_unref(atomic_exchange(&worker->posted, NULL));
    dp_observer_free(worker->observer);
    ev_async_stop(worker->loop.ev, &worker->wake);
    ev_timer_stop(worker->loop.ev, &worker->tick);
    dp_loop_done(&worker->loop);
    free(worker->listeners);
    free(worker);
}

/* ---- any thread */

gw_msec dp_worker_stalled_ms(const struct dp_worker *worker)
{
    return GW_MAX(0, gw_clock_monotonic_ms() - atomic_load(&worker->turned_ms));
}

int64_t dp_worker_revision(const struct dp_worker *worker)
{
    return atomic_load(&worker->revision);
}

unsigned dp_worker_listener_count(const struct dp_worker *worker)
{
    return worker->listener_count;
}

int dp_worker_listener_fd(const struct dp_worker *worker, unsigned listener)
{
    assert(listener < worker->listener_count);
    return worker->listeners[listener].fd;
}

uint16_t dp_worker_port(const struct dp_worker *worker, unsigned listener)
{
    assert(listener < worker->listener_count);
    return worker->listeners[listener].port;
}
