/* SPDX-License-Identifier: Apache-2.0 */
/* Start and stop of a server, and its one event thread. */
#include "common/rpc/internal.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define ARMED_CALLS 16
#define HANDLER_THREADS 16
#define MESSAGE_LIMIT_BYTES (4 * 1024 * 1024)
#define METADATA_LIMIT_BYTES (16 * 1024)
#define UNARY_LIMIT 1024
#define CALL_LIMIT 16384
#define STREAMS_PER_CONNECTION 1000
#define KEEPALIVE_MS 30000
#define WINDOW_BYTES (256 * 1024) /* of a request's body that may be under way */
#define KEEPALIVE_TIMEOUT_MS 10000
/* Clients may ping this often on idle connections without being sent away. */
#define PING_INTERVAL_MIN_MS 100
#define HANDSHAKE_TIMEOUT_MS 10000
#define CONNECTION_IDLE_MS 300000 /* without a call; a client connects again with its next one */
/* Connections without calls may hang up by themselves for so long after GOAWAY; some clients only
 * look at their sockets while they call. */
#define GOODBYE_MS 200

/* Wakes the streams that have rested. */
static gpr_timespec next_due(struct gw_rpc_server *server)
{
    gw_msec due_ms = gw_rpc_streams_wake(server);
    if (due_ms == INT64_MAX)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    gw_msec wait_ms = GW_MAX(due_ms - gw_clock_monotonic_ms(), 0);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
}

static void *run_events(void *arg)
{
    struct gw_rpc_server *server = arg;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(server->queue, next_due(server), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_QUEUE_TIMEOUT)
            continue;
        struct gw_rpc_tag *tag = event.tag;
        gw_tsan_acquire(tag);
        tag->on_event(tag, event.success);
    }
}

static void on_shut(struct gw_rpc_tag *tag, bool ok)
{
    (void)ok;
    struct gw_rpc_server *server = gw_container_of(tag, struct gw_rpc_server, shut);
    pthread_mutex_lock(&server->lock);
    server->is_shut = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static int message_limit(const struct gw_rpc_server_options *options)
{
    size_t limit =
        options->message_limit_bytes ? options->message_limit_bytes : (size_t)MESSAGE_LIMIT_BYTES;
    return (int)GW_MIN(limit, (size_t)INT_MAX);
}

static grpc_server *new_core(const struct gw_rpc_server_options *options)
{
    gw_msec keepalive = options->keepalive_ms ? options->keepalive_ms : KEEPALIVE_MS;
    gw_msec idle = options->idle_ms ? options->idle_ms : CONNECTION_IDLE_MS;
    grpc_arg args[] = {
        /* By default two servers share one port without a word. */
        gw_rpc_arg_int(GRPC_ARG_ALLOW_REUSEPORT, 0),
        gw_rpc_arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_limit(options)),
        gw_rpc_arg_int(GRPC_ARG_MAX_METADATA_SIZE, METADATA_LIMIT_BYTES),
        gw_rpc_arg_int(GRPC_ARG_MAX_CONCURRENT_STREAMS, STREAMS_PER_CONNECTION),
        gw_rpc_arg_int(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS),
        gw_rpc_arg_int(GRPC_ARG_MAX_CONNECTION_IDLE_MS, (int)idle),
        gw_rpc_arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, (int)keepalive),
        gw_rpc_arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
        gw_rpc_arg_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        gw_rpc_arg_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        /* It measures paths by a ping behind what comes in: a write and a read more for each
         * acknowledgement of each agent. */
        gw_rpc_arg_int(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        gw_rpc_arg_int(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, WINDOW_BYTES),
        gw_rpc_arg_int(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MIN_MS),
    };
    grpc_channel_args list = {.num_args = GW_ARRAY_LEN(args), .args = args};
    return grpc_server_create(&list, NULL);
}

static void index_methods(struct gw_rpc_server *server, const struct gw_rpc_method *methods,
                          size_t count)
{
    gw_map_init(&server->methods);
    for (size_t i = 0; i < count; i++) {
        assert(!methods[i].unary != !methods[i].stream);
        void *before =
            gw_map_put(&server->methods, gw_str_from(methods[i].path), (void *)&methods[i]);
        assert(!before);
        (void)before;
    }
}

static int bind_port(struct gw_rpc_server *server, const char *listen, struct gw_error *err)
{
    grpc_server_credentials *credentials = gw_rpc_certificates_to_server(server->certificates);
    int port = grpc_server_add_http2_port(server->core, listen, credentials);
    grpc_server_credentials_release(credentials);
    if (port <= 0)
        return gw_fail(err, GW_UNAVAILABLE, "cannot listen on %s: %s", listen,
                       server->certificates ? "it is in use or not an address of this host, or "
                                              "certificate and key do not fit"
                                            : "it is in use or not an address of this host");
    server->port = (unsigned)port;
    /* The core's mode follows the umask; the socket is for this user and its group. */
    gw_str path = gw_str_from(listen);
    if (gw_str_has_prefix(path, GW_STR("unix:")) && chmod(listen + 5, 0660))
        return gw_fail(err, GW_UNAVAILABLE, "cannot set the mode of %s", listen);
    return 0;
}

static void free_server(struct gw_rpc_server *server)
{
    grpc_server_destroy(server->core);
    grpc_completion_queue_destroy(server->queue);
    gw_rpc_certificates_free(server->certificates);
    gw_map_done(&server->methods);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
    gw_rpc_core_done();
}

static struct gw_rpc_server *new_server(const struct gw_rpc_server_options *options,
                                        struct gw_rpc_certificates *certificates)
{
    struct gw_rpc_server *server = gw_calloc(1, sizeof(*server));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&server->lock, NULL);
    gw_list_init(&server->streams);
    gw_list_init(&server->resting);
    server->shut.on_event = on_shut;
    server->certificates = certificates;
    server->call_limit = options->call_limit ? options->call_limit : CALL_LIMIT;
    gw_rpc_core_init();
    server->core = new_core(options);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->core, server->queue, NULL);
    return server;
}

static void shut_core(struct gw_rpc_server *server)
{
    gw_tsan_release(&server->shut);
    grpc_server_shutdown_and_notify(server->core, server->queue, &server->shut);
}

/* For a server that has not started, or whose calls are all gone. */
static void close_queue(struct gw_rpc_server *server)
{
    grpc_completion_queue_shutdown(server->queue);
    if (server->event_thread)
        pthread_join(server->event_thread, NULL);
    else
        (void)run_events(server);
    free_server(server);
}

static int start(struct gw_rpc_server *server, const struct gw_rpc_server_options *options,
                 struct gw_error *err)
{
    unsigned threads = options->handler_threads ? options->handler_threads : HANDLER_THREADS;
    unsigned limit = options->unary_limit ? options->unary_limit : UNARY_LIMIT;
    if (bind_port(server, options->listen, err))
        return -1;
    if (pthread_create(&server->event_thread, NULL, run_events, server)) {
        server->event_thread = 0;
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "cannot start the event thread");
    }
    if (gw_rpc_pool_init(&server->pool, threads, limit))
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "cannot start %u handler threads", threads);
    grpc_server_start(server->core);
    for (int i = 0; i < ARMED_CALLS; i++)
        gw_rpc_call_arm(server);
    return 0;
}

int gw_rpc_server_start(const struct gw_rpc_server_options *options,
                        const struct gw_rpc_method *methods, size_t count,
                        struct gw_rpc_server **ret_server, struct gw_error *err)
{
    struct gw_rpc_certificates *certificates;
    if (gw_rpc_certificates_new(options, &certificates, err))
        return -1;
    /* Signals are the main thread's: all threads from here on, the core's too, inherit this. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct gw_rpc_server *server = new_server(options, certificates);
    index_methods(server, methods, count);
    int failed = start(server, options, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) { /* nothing has been served yet */
        shut_core(server);
        close_queue(server);
        return -1;
    }
    *ret_server = server;
    return 0;
}

unsigned gw_rpc_server_port(const struct gw_rpc_server *server)
{
    return server->port;
}

static struct timespec after(gw_msec ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Every call has been answered and freed, so that nothing is started on the queue any more. */
static bool is_quiet(const struct gw_rpc_server *server)
{
    return server->is_shut && server->open == 0 && server->armed == 0;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* With the lock held: until it is quiet, or the calls have had their time. */
static void wait_for_calls(struct gw_rpc_server *server, gw_msec grace_ms)
{
    struct timespec deadline = after(grace_ms);
    bool is_idle = false;
    for (int expired = 0; !is_quiet(server) && !expired;) {
        if (!is_idle && server->open == 0 && server->armed == 0) {
            struct timespec goodbye = after(GOODBYE_MS);
            is_idle = true;
            if (is_before(&goodbye, &deadline))
                deadline = goodbye;
        }
        expired = pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
    }
}

void gw_rpc_server_stop(struct gw_rpc_server *server, gw_msec grace_ms)
{
    if (!server)
        return;
    shut_core(server);
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    gw_rpc_streams_drain(server);
    wait_for_calls(server, grace_ms);
    if (!is_quiet(server)) {
        pthread_mutex_unlock(&server->lock);
        grpc_server_cancel_all_calls(server->core);
        pthread_mutex_lock(&server->lock);
    }
    while (!is_quiet(server))
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
    gw_rpc_pool_done(&server->pool);
    close_queue(server);
}
