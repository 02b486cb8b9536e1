/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/json_server.h"

#include "controlplane/http/json_internal.h"
#include "controlplane/http/listen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#define LINGER "linger"

/* What libwebsockets keeps for a connection. */
struct session {
    struct cp_json_exchange *exchange; /* NULL: between two requests */
};

const char *cp_json_refusal_name(enum cp_json_refusal refusal)
{
    static const char *const names[] = {
#define NAME(name, word) [CP_JSON_REFUSED_##name] = (word),
        CP_JSON_REFUSALS(NAME)
#undef NAME
    };
    return names[refusal];
}

/* ---- events ---- */

static int on_request(struct cp_json_server *server, struct lws *wsi, struct session *session,
                      gw_str path)
{
    if (session->exchange) /* it has not been answered: nothing else may begin */
        return -1;
    session->exchange = cp_json_exchange_new(server, wsi);
    return cp_json_exchange_begin(session->exchange, path);
}

static void leave(struct session *session)
{
    if (session && session->exchange)
        cp_json_exchange_leave(session->exchange);
    if (session)
        session->exchange = NULL;
}

/* A connection that closes with bytes unread takes the answer along, wherever that is by then. A
 * descriptor of its own keeps it open behind the library's back, and what comes is dropped. */
static void linger(const struct cp_json_server *server, struct lws *wsi)
{
    lws_sock_file_fd_type fd = {.sockfd = fcntl(lws_get_socket_fd(wsi), F_DUPFD_CLOEXEC, 0)};
    if (fd.sockfd < 0)
        return;
    struct lws *rest = lws_adopt_descriptor_vhost(lws_get_vhost(wsi), LWS_ADOPT_SOCKET, fd, LINGER,
                                                  NULL); /* closes it when it fails */
    if (rest)
        lws_set_timeout(rest, PENDING_TIMEOUT_HTTP_CONTENT, (int)server->options.body_s);
}

static int on_linger(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t length)
{
    (void)wsi, (void)in;
    size_t *dropped = user;
    if (reason != LWS_CALLBACK_RAW_RX)
        return 0;
    *dropped += length;
    return *dropped > CP_JSON_DROPPED_MAX_BYTES ? -1 : 0;
}

static int on_writable(struct lws *wsi, struct session *session)
{
    struct cp_json_server *server = session->exchange->server;
    int done = cp_json_exchange_write(session->exchange);
    if (done <= 0)
        return done;
    bool closes = session->exchange->closes;
    if (session->exchange->lingers)
        linger(server, wsi);
    leave(session); /* first: the library tells that the request is over, too */
    return closes || lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* The pool's answers go to their connections. */
static void take_answers(struct cp_json_server *server)
{
    for (;;) {
        pthread_mutex_lock(&server->lock);
        struct gw_list *first = server->answered.next;
        bool is_empty = gw_list_is_empty(&server->answered);
        if (!is_empty)
            gw_list_remove(first);
        pthread_mutex_unlock(&server->lock);
        if (is_empty)
            return;
        cp_json_exchange_answered(gw_container_of(first, struct cp_json_exchange, link));
    }
}

static int on_exchange(struct lws *wsi, struct session *session, enum lws_callback_reasons reason,
                       gw_str bytes)
{
    if (!session || !session->exchange)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_BODY:
        return cp_json_exchange_body(session->exchange, bytes);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return cp_json_exchange_body_end(session->exchange);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi, session);
    case LWS_CALLBACK_TIMER:
        return cp_json_exchange_expire(session->exchange);
    default:
        return 0;
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length)
{
    struct cp_json_server *server = lws_context_user(lws_get_context(wsi));
    struct session *session = user;
    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        cp_json_tls_attach(server->tls, user);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        take_answers(server);
        return 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        atomic_fetch_add(&server->connections, 1);
        return 0;
    case LWS_CALLBACK_HTTP:
        return on_request(server, wsi, session, gw_str_n(in, length));
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return -1; /* neither WebSocket nor h2c */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        leave(session);
        return 0;
    default:
        return on_exchange(wsi, session, reason, gw_str_n(in, length));
    }
}

/* ---- life ---- */

static int bind_port(struct cp_json_server *server, const struct cp_http_address *address,
                     struct gw_error *err)
{
    static const struct lws_protocols protocols[] = {
        {.name = "http", .callback = on_event, .per_session_data_size = sizeof(struct session)},
        {.name = LINGER, .callback = on_linger, .per_session_data_size = sizeof(size_t)},
        {.name = NULL}};
    struct lws_context_creation_info info = {
        .protocols = protocols,
        .fd_limit_per_thread = CP_JSON_CONNECTIONS_MAX + 3, /* the listener, its wake-up pipe */
        .keepalive_timeout = (int)server->options.idle_s,
        .timeout_secs = server->options.idle_s,
        .max_http_header_data = CP_JSON_HEAD_MAX_BYTES,
        .user = server,
    };
    if (server->tls) {
        info.ssl_cert_filepath = server->options.cert_file;
        info.ssl_private_key_filepath = server->options.key_file;
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.alpn = "http/1.1";
    }
    return cp_http_bind(&info, address, &server->context, &server->port, err);
}

static void *run(void *arg)
{
    struct cp_json_server *server = arg;
    while (!atomic_load(&server->is_stopping) && lws_service(server->context, 0) >= 0)
        ;
    return NULL;
}

static struct cp_json_server *new_server(const struct cp_json_options *options,
                                         const struct cp_json_routes *routes)
{
    struct cp_json_server *server = gw_calloc(1, sizeof(*server));
    server->options = *options;
    if (!options->idle_s)
        server->options.idle_s = CP_JSON_IDLE_S;
    if (!options->body_s)
        server->options.body_s = CP_JSON_BODY_S;
    if (!options->send_s)
        server->options.send_s = CP_JSON_SEND_S;
    server->routes = routes;
    gw_list_init(&server->answered);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&server->lock, NULL);
    return server;
}

static void free_server(struct cp_json_server *server)
{
    cp_json_tls_free(server->tls);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static int start(struct cp_json_server *server, const struct cp_http_address *address,
                 struct gw_error *err)
{
    const struct cp_json_options *options = &server->options;
    if (options->cert_file && cp_json_tls_new(options->cert_file, options->key_file,
                                              options->client_ca_file, &server->tls, err))
        return -1;
    if (bind_port(server, address, err))
        return -1;
    if (gw_rpc_pool_init(&server->pool, CP_JSON_THREADS, CP_JSON_CALLS_MAX)) {
        lws_context_destroy(server->context);
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "cannot start %d handler threads",
                       CP_JSON_THREADS);
    }
    int failed = pthread_create(&server->thread, NULL, run, server);
    if (failed)
        gw_panic("cannot start the JSON listener's thread: %s", strerror(failed));
    return 0;
}

int cp_json_server_start(const struct cp_json_options *options, const struct cp_json_routes *routes,
                         struct cp_json_server **ret_server, struct gw_error *err)
{
    struct cp_http_address address;
    if (cp_http_address_parse(options->listen, "--http-listen", &address, err))
        return -1;
    struct cp_json_server *server = new_server(options, routes);
    if (start(server, &address, err)) {
        free_server(server);
        return -1;
    }
    *ret_server = server;
    return 0;
}

unsigned cp_json_server_port(const struct cp_json_server *server)
{
    return server->port;
}

void cp_json_server_drain(struct cp_json_server *server)
{
    atomic_store(&server->is_draining, true);
}

/* With the lock held, until every exchange has ended or the time is over. */
static void wait_for_calls(struct cp_json_server *server, gw_msec grace_ms)
{
    gw_msec until_ms = gw_clock_monotonic_ms() + grace_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
    int expired = 0;
    while (server->open > 0 && !expired)
        expired = pthread_cond_timedwait(&server->changed, &server->lock, &until);
}

void cp_json_server_stop(struct cp_json_server *server, gw_msec grace_ms)
{
    if (!server)
        return;
    cp_json_server_drain(server);
    pthread_mutex_lock(&server->lock);
    wait_for_calls(server, grace_ms);
    pthread_mutex_unlock(&server->lock);
    atomic_store(&server->is_stopping, true);
    lws_cancel_service(server->context);
    pthread_join(server->thread, NULL);
    gw_rpc_pool_done(&server->pool); /* what is running ends, and is pushed to answered */
    take_answers(server);
    lws_context_destroy(server->context);
    free_server(server);
}

void cp_json_server_stats(struct cp_json_server *server, struct cp_json_stats *ret_stats)
{
    ret_stats->connections = atomic_load(&server->connections);
    ret_stats->requests = atomic_load(&server->requests);
    ret_stats->bytes_held = atomic_load(&server->bytes_held);
    ret_stats->answer_bytes = atomic_load(&server->answer_bytes);
    for (size_t i = 0; i < CP_JSON_REFUSAL_COUNT; i++)
        ret_stats->refused[i] = atomic_load(&server->refused[i]);
}
