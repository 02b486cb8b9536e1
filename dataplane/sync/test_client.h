/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * For tests of the client: control planes that misbehave, a thread each with libnghttp2's server
 * half on a blocking socket, which follows a script. The client runs on the test's own loop. */
#ifndef DP_SYNC_TEST_CLIENT_H
#define DP_SYNC_TEST_CLIENT_H

#include "dataplane/sync/client.h"

#include "common/message.h"
#include "dataplane/sync/fake_controlplane.h"

#include <arpa/inet.h>
#include <ev.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

struct server {
    struct fake fake;
    int listener, fd;
    unsigned port;
    pthread_t thread;
    void (*script)(struct server *);
    struct gw_arena arena;
};

struct fixture {
    struct server servers[2];
    struct ev_loop *loop;
    struct dp_client *client;
    struct dp_sync_options options;
    char endpoints[96];
    int64_t revision; /* what is served */
    unsigned updates, connects, disconnects, stop_after_updates, stop_after_disconnects;
    size_t chunks; /* of the last update */
    unsigned debug_calls;
    char why[GW_ERROR_MESSAGE_MAX];
    char endpoint[64]; /* of the last connect */
    gw_msec retry_ms[64];
};

/* ---- the server's thread */

static inline void server_listen(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    *server = (struct server){.fd = -1};
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(server->listener, 8), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &len), 0);
    server->port = ntohs(address.sin_port);
}

/* On the same port, after a shutdown of the listener. */
static inline void server_listen_again(struct server *server)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)server->port)};
    close(server->listener);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->listener, 8), 0);
}

static inline void flush_server(struct server *server)
{
    const uint8_t *data;
    for (ssize_t len; (len = nghttp2_session_mem_send(server->fake.session, &data)) > 0;)
        for (ssize_t at = 0, n; at < len; at += n)
            if ((n = send(server->fd, data + at, (size_t)(len - at), MSG_NOSIGNAL)) <= 0)
                return; /* the client is gone, as some scripts want it */
}

/* False: the client is gone. */
static inline bool read_server(struct server *server)
{
    char bytes[16 * 1024];
    ssize_t n = read(server->fd, bytes, sizeof(bytes));
    if (n <= 0)
        return false;
    assert_int_equal(nghttp2_session_mem_recv(server->fake.session, (uint8_t *)bytes, (size_t)n),
                     n);
    flush_server(server);
    return true;
}

static inline void server_accept(struct server *server)
{
    server->fd = accept(server->listener, NULL, NULL);
    assert_true(server->fd >= 0);
    fake_init(&server->fake);
    gw_arena_init(&server->arena, 0);
    flush_server(server);
}

/* The client's next message; NULL: it is gone. */
static inline Penstock__Agent__V1__AgentMessage *server_next(struct server *server)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    gw_str bytes;
    while (!fake_next(&server->fake, &bytes))
        if (!read_server(server))
            return NULL;
    assert_int_equal(gw_message_unpack(&server->arena,
                                       &penstock__agent__v1__agent_message__descriptor, bytes,
                                       &message, &err),
                     0);
    return (Penstock__Agent__V1__AgentMessage *)message;
}

/* Accepts, reads the Hello, answers with a head. */
static const Penstock__Agent__V1__Hello *server_greet(struct server *server)
{
    server_accept(server);
    Penstock__Agent__V1__AgentMessage *message = server_next(server);
    assert_non_null(message);
    assert_int_equal(message->kind_case, PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_HELLO);
    fake_answer(&server->fake, "200");
    flush_server(server);
    return message->hello;
}

static inline void server_update(struct server *server, int64_t base, int64_t revision, bool final)
{
    Penstock__Agent__V1__ControlMessage message = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__INIT;
    Penstock__Agent__V1__Update update = PENSTOCK__AGENT__V1__UPDATE__INIT;
    update.cluster_id = "c1";
    update.base_revision = base;
    update.revision = revision;
    update.final = final;
    message.kind_case = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__KIND_UPDATE;
    message.update = &update;
    fake_say(&server->fake, gw_message_pack(&server->arena, &message.base));
    flush_server(server);
}

static inline void server_wants_ack(struct server *server, int64_t revision)
{
    Penstock__Agent__V1__AgentMessage *message = server_next(server);
    assert_non_null(message);
    assert_int_equal(message->kind_case, PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK);
    assert_int_equal(message->ack->revision, revision);
}

static inline void server_wait_end(struct server *server)
{
    while (read_server(server))
        ;
}

static inline void server_close(struct server *server)
{
    close(server->fd);
    server->fd = -1;
    fake_done(&server->fake);
    gw_arena_done(&server->arena);
}

static inline void *server_run(void *arg)
{
    struct server *server = arg;
    server->script(server);
    return NULL;
}

static inline void server_start(struct server *server, void (*script)(struct server *))
{
    server->script = script;
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

/* ---- the client's side */

static inline bool on_hello(void *user, struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                            struct gw_content_digest *ret_digest)
{
    const struct fixture *f = user;
    if (f->revision == 0)
        return false;
    ret_ack->cluster_id = gw_arena_strdup(arena, "c1");
    ret_ack->revision = f->revision;
    *ret_digest = (struct gw_content_digest){{1, 2}};
    return true;
}

static inline int on_update(void *user, Penstock__Agent__V1__Update **chunks, size_t count,
                            struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                            struct gw_error *err)
{
    struct fixture *f = user;
    if (chunks[0]->base_revision != 0 && chunks[0]->base_revision != f->revision)
        return gw_fail(err, GW_FAILED_PRECONDITION, "does not fit");
    f->revision = chunks[0]->revision;
    f->chunks = count;
    f->updates++;
    struct gw_content_digest unused;
    (void)on_hello(user, arena, ret_ack, &unused);
    if (f->updates == f->stop_after_updates)
        ev_break(f->loop, EVBREAK_ALL);
    return 0;
}

static inline void on_connected(void *user, const char *endpoint)
{
    struct fixture *f = user;
    f->connects++;
    snprintf(f->endpoint, sizeof(f->endpoint), "%s", endpoint);
}

static inline void on_disconnected(void *user, const char *endpoint, const struct gw_error *why,
                                   gw_msec retry_ms)
{
    (void)endpoint;
    struct fixture *f = user;
    if (f->disconnects < GW_ARRAY_LEN(f->retry_ms))
        f->retry_ms[f->disconnects] = retry_ms;
    f->disconnects++;
    snprintf(f->why, sizeof(f->why), "%s", why->message);
    if (f->disconnects == f->stop_after_disconnects)
        ev_break(f->loop, EVBREAK_ALL);
}

/* Answered at once, from within what receives: as one that is refused. */
static inline void on_debug_call(void *user, const Penstock__Agent__V1__DebugCall *call)
{
    struct fixture *f = user;
    struct gw_arena arena = {0};
    Penstock__Agent__V1__AgentMessage message = PENSTOCK__AGENT__V1__AGENT_MESSAGE__INIT;
    Penstock__Agent__V1__DebugReply reply = PENSTOCK__AGENT__V1__DEBUG_REPLY__INIT;
    reply.id = call->id;
    message.kind_case = PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_DEBUG_REPLY;
    message.debug_reply = &reply;
    f->debug_calls++;
    dp_client_send(f->client, gw_message_pack(&arena, &message.base));
    gw_arena_done(&arena);
}

static const struct dp_client_events events = {.on_hello = on_hello,
                                               .on_update = on_update,
                                               .on_debug_call = on_debug_call,
                                               .on_connected = on_connected,
                                               .on_disconnected = on_disconnected};

static inline int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    for (unsigned i = 0; i < GW_ARRAY_LEN(f->servers); i++)
        server_listen(&f->servers[i]);
    f->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    snprintf(f->endpoints, sizeof(f->endpoints), "127.0.0.1:%u,127.0.0.1:%u", f->servers[0].port,
             f->servers[1].port);
    f->options = (struct dp_sync_options){
        .controlplane = f->endpoints, .agent_id = "a1", .labels = "", .backoff_max_ms = 200};
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_client_free(f->client);
    for (unsigned i = 0; i < GW_ARRAY_LEN(f->servers); i++) {
        if (f->servers[i].script)
            pthread_join(f->servers[i].thread, NULL);
        close(f->servers[i].listener);
    }
    ev_loop_destroy(f->loop);
    free(f);
    return 0;
}

/* Until that many of one of the two; 0 does not count. */
static inline void run(struct fixture *f, unsigned updates, unsigned disconnects)
{
    struct gw_error err = GW_ERROR_NONE;
    f->stop_after_updates = updates;
    f->stop_after_disconnects = disconnects;
    if (!f->client)
        assert_int_equal(dp_client_new(f->loop, &f->options, &events, f, &f->client, &err), 0);
    ev_run(f->loop, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
