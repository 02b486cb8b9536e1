/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a control plane that misbehaves: a thread with libnghttp2's server half on a
 * blocking socket, which follows a script. The client runs on the test's own loop. */
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

static void server_listen(struct server *server)
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

static void flush_server(struct server *server)
{
    const uint8_t *data;
    for (ssize_t len; (len = nghttp2_session_mem_send(server->fake.session, &data)) > 0;)
        for (ssize_t at = 0, n; at < len; at += n)
            if ((n = send(server->fd, data + at, (size_t)(len - at), MSG_NOSIGNAL)) <= 0)
                return; /* the client is gone, as some scripts want it */
}

/* False: the client is gone. */
static bool read_server(struct server *server)
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

static void server_accept(struct server *server)
{
    server->fd = accept(server->listener, NULL, NULL);
    assert_true(server->fd >= 0);
    fake_init(&server->fake);
    gw_arena_init(&server->arena, 0);
    flush_server(server);
}

/* The client's next message; NULL: it is gone. */
static Penstock__Agent__V1__AgentMessage *server_next(struct server *server)
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

static void server_update(struct server *server, int64_t base, int64_t revision, bool final)
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

static void server_wants_ack(struct server *server, int64_t revision)
{
    Penstock__Agent__V1__AgentMessage *message = server_next(server);
    assert_non_null(message);
    assert_int_equal(message->kind_case, PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_ACK);
    assert_int_equal(message->ack->revision, revision);
}

static void server_wait_end(struct server *server)
{
    while (read_server(server))
        ;
}

static void server_close(struct server *server)
{
    close(server->fd);
    server->fd = -1;
    fake_done(&server->fake);
    gw_arena_done(&server->arena);
}

static void *server_run(void *arg)
{
    struct server *server = arg;
    server->script(server);
    return NULL;
}

static void server_start(struct server *server, void (*script)(struct server *))
{
    server->script = script;
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

/* ---- the client's side */

static bool on_hello(void *user, struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack)
{
    const struct fixture *f = user;
    if (f->revision == 0)
        return false;
    ret_ack->cluster_id = gw_arena_strdup(arena, "c1");
    ret_ack->revision = f->revision;
    return true;
}

static int on_update(void *user, Penstock__Agent__V1__Update **chunks, size_t count,
                     struct gw_arena *arena, Penstock__Agent__V1__Ack *ret_ack,
                     struct gw_error *err)
{
    struct fixture *f = user;
    if (chunks[0]->base_revision != 0 && chunks[0]->base_revision != f->revision)
        return gw_fail(err, GW_FAILED_PRECONDITION, "does not fit");
    f->revision = chunks[0]->revision;
    f->chunks = count;
    f->updates++;
    (void)on_hello(user, arena, ret_ack);
    if (f->updates == f->stop_after_updates)
        ev_break(f->loop, EVBREAK_ALL);
    return 0;
}

static void on_connected(void *user, const char *endpoint)
{
    struct fixture *f = user;
    f->connects++;
    snprintf(f->endpoint, sizeof(f->endpoint), "%s", endpoint);
}

static void on_disconnected(void *user, const char *endpoint, const struct gw_error *why,
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
static void on_debug_call(void *user, const Penstock__Agent__V1__DebugCall *call)
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

static int set_up(void **state)
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

static int tear_down(void **state)
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
static void run(struct fixture *f, unsigned updates, unsigned disconnects)
{
    struct gw_error err = GW_ERROR_NONE;
    f->stop_after_updates = updates;
    f->stop_after_disconnects = disconnects;
    if (!f->client)
        assert_int_equal(dp_client_new(f->loop, &f->options, &events, f, &f->client, &err), 0);
    ev_run(f->loop, 0);
}

/* ---- scripts and tests */

static void greet_and_update(struct server *server)
{
    (void)server_greet(server);
    server_update(server, 0, 5, true);
    server_wait_end(server);
    server_close(server);
}

static void three_chunks(struct server *server)
{
    const Penstock__Agent__V1__Hello *hello = server_greet(server);
    assert_string_equal(hello->agent_id, "a1");
    assert_int_equal(hello->revision, 0);
    server_update(server, 0, 5, false);
    server_update(server, 0, 5, false);
    server_update(server, 0, 5, true);
    server_wants_ack(server, 5);
    server_update(server, 5, 6, true);
    server_wait_end(server);
    server_close(server);
}

static void chunks_are_one_update_which_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], three_chunks);
    run(f, 1, 0);
    assert_int_equal(f->chunks, 3);
    run(f, 2, 0);
    assert_int_equal(f->revision, 6);
    assert_int_equal(f->disconnects, 0);
}

static void cut_within_an_update(struct server *server)
{
    (void)server_greet(server);
    server_update(server, 0, 5, false);
    server_close(server);
}

static void chunks_of_a_cut_update_are_forgotten(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], cut_within_an_update);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_int_equal(f->chunks, 1);
    assert_int_equal(f->disconnects, 1);
    char second[64];
    snprintf(second, sizeof(second), "127.0.0.1:%u", f->servers[1].port);
    assert_string_equal(f->endpoint, second);
}

static void say_what_does_not_fit(struct server *server)
{
    (void)server_greet(server);
    server_update(server, 0, 5, true);
    server_wants_ack(server, 5);
    server_update(server, 3, 7, true);
    server_wait_end(server);
    server_close(server);
}

static void hear_what_it_has(struct server *server)
{
    const Penstock__Agent__V1__Hello *hello = server_greet(server);
    assert_int_equal(hello->revision, 5);
    assert_string_equal(hello->cluster_id, "c1");
    server_wants_ack(server, 5);
    server_update(server, 5, 8, true);
    server_wait_end(server);
    server_close(server);
}

static void an_update_that_does_not_fit_leads_to_a_new_hello(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_what_does_not_fit);
    server_start(&f->servers[1], hear_what_it_has);
    run(f, 2, 0);
    assert_int_equal(f->revision, 8);
    assert_string_equal(f->why, "does not fit");
}

static void say_unknown_kinds(struct server *server)
{
    (void)server_greet(server);
    fake_say(&server->fake, GW_STR_NONE);
    fake_say(&server->fake, GW_STR("\xfa\x06\x03new")); /* field 111 */
    server_update(server, 0, 5, true);
    server_wants_ack(server, 5);
    server_wait_end(server);
    server_close(server);
}

static void what_a_newer_control_plane_says_is_passed_over(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_unknown_kinds);
    run(f, 1, 0);
    assert_int_equal(f->disconnects, 0);
    assert_int_equal(f->chunks, 1);
}

#define DEBUG_CALLS 5
#define DEBUG_CALL_BYTES 60000 /* several reads of the client's hold all of them */

static void say_debug_call(struct server *server, uint64_t id)
{
    Penstock__Agent__V1__ControlMessage message = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__INIT;
    Penstock__Agent__V1__DebugCall call = PENSTOCK__AGENT__V1__DEBUG_CALL__INIT;
    call.id = id;
    call.request =
        (ProtobufCBinaryData){DEBUG_CALL_BYTES, gw_arena_zalloc(&server->arena, DEBUG_CALL_BYTES)};
    message.kind_case = PENSTOCK__AGENT__V1__CONTROL_MESSAGE__KIND_DEBUG_CALL;
    message.debug_call = &call;
    fake_say(&server->fake, gw_message_pack(&server->arena, &message.base));
}

static void say_debug_calls(struct server *server)
{
    (void)server_greet(server);
    for (uint64_t id = 1; id <= DEBUG_CALLS; id++)
        say_debug_call(server, id);
    flush_server(server); /* as far as the client's window goes; reading its updates sends on */
    for (uint64_t id = 1; id <= DEBUG_CALLS; id++) {
        Penstock__Agent__V1__AgentMessage *message = server_next(server);
        assert_non_null(message);
        assert_int_equal(message->kind_case, PENSTOCK__AGENT__V1__AGENT_MESSAGE__KIND_DEBUG_REPLY);
        assert_int_equal(message->debug_reply->id, id);
    }
    server_update(server, 0, 5, true);
    server_wait_end(server);
    server_close(server);
}

static void what_is_answered_at_once_is_answered_once(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_debug_calls);
    run(f, 1, 0);
    assert_int_equal(f->debug_calls, DEBUG_CALLS);
    assert_int_equal(f->disconnects, 0);
}

static void say_debug_calls_and_leave(struct server *server)
{
    (void)server_greet(server);
    for (uint64_t id = 1; id <= DEBUG_CALLS; id++)
        say_debug_call(server, id);
    flush_server(server);
    server_close(server);
}

static void who_leaves_behind_a_call_is_left(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_debug_calls_and_leave);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_int_equal(f->disconnects, 1);
    assert_true(f->debug_calls <= DEBUG_CALLS);
}

static void say_garbage(struct server *server)
{
    (void)server_greet(server);
    fake_say(&server->fake, GW_STR("\xff\xff\xff garbage"));
    flush_server(server);
    server_wait_end(server);
    server_close(server);
}

static void garbage_ends_the_connection_and_another_is_tried(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_garbage);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_int_equal(f->disconnects, 1);
    assert_int_equal(f->revision, 5);
}

static void say_http1(struct server *server)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    server->fd = accept(server->listener, NULL, NULL);
    assert_int_equal(send(server->fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
    char byte;
    while (read(server->fd, &byte, 1) > 0)
        ;
    close(server->fd);
}

static void a_server_of_something_else_is_left(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], say_http1);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_non_null(strstr(f->why, "HTTP/2"));
}

static void go_away(struct server *server)
{
    (void)server_greet(server);
    fake_end(&server->fake, "14", "draining");
    assert_int_equal(nghttp2_submit_goaway(server->fake.session, 0, server->fake.id, 0, NULL, 0),
                     0);
    flush_server(server);
    server_wait_end(server);
    server_close(server);
}

static void a_draining_control_plane_is_left_for_the_next(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], go_away);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_string_equal(f->why, "draining");
}

static void fall_silent(struct server *server)
{
    server_accept(server);
    while (server->fake.id == 0 && read_server(server))
        ;
    char bytes[256];
    while (read(server->fd, bytes, sizeof(bytes)) > 0)
        ; /* takes what comes and answers nothing */
    server_close(server);
}

static void a_silent_control_plane_is_left(void **state)
{
    struct fixture *f = *state;
    f->options.keepalive_ms = 50;
    server_start(&f->servers[0], fall_silent);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_string_equal(f->why, "no answer to a ping");
}

static void attempts_are_further_and_further_apart(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < GW_ARRAY_LEN(f->servers); i++)
        assert_int_equal(shutdown(f->servers[i].listener, SHUT_RDWR), 0);
    run(f, 0, 8);
    for (gw_msec i = 0, limit = 100; i < 8; i++, limit = GW_MIN(2 * limit, 200)) {
        assert_true(f->retry_ms[i] >= limit / 2);
        assert_true(f->retry_ms[i] <= limit);
    }
    assert_int_equal(f->connects, 0);
}

static void the_next_address_of_a_name_is_tried_at_once(void **state)
{
    struct fixture *f = *state;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    unsigned count = 0;
    if (getaddrinfo("localhost", NULL, &hints, &found) == 0)
        for (const struct addrinfo *at = found; at; at = at->ai_next)
            count++;
    freeaddrinfo(found);
    if (count < 2)
        skip(); /* localhost is not also ::1 here */
    /* Of ::1 and 127.0.0.1 one refuses; the server is on the other. */
    snprintf(f->endpoints, sizeof(f->endpoints), "localhost:%u", f->servers[0].port);
    server_start(&f->servers[0], greet_and_update);
    run(f, 1, 0);
    assert_true(f->disconnects < count);
    for (unsigned i = 0; i < f->disconnects; i++)
        assert_int_equal(f->retry_ms[i], 0);
}

static void what_has_ended_while_paused_is_tried_after_it(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(dp_client_new(f->loop, &f->options, &events, f, &f->client, &err), 0);
    dp_client_pause(f->client);
    ev_run(f->loop, EVRUN_NOWAIT); /* nothing was open, and nothing is tried */
    assert_int_equal(f->connects, 0);
    dp_client_resume(f->client);
    server_start(&f->servers[0], greet_and_update);
    run(f, 1, 0);
    dp_client_leave(f->client);
    assert_false(dp_client_is_open(f->client));
    assert_int_equal(f->disconnects, 0); /* leaving is no failure */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(chunks_are_one_update_which_is_acknowledged),
        TEST(chunks_of_a_cut_update_are_forgotten),
        TEST(an_update_that_does_not_fit_leads_to_a_new_hello),
        TEST(what_a_newer_control_plane_says_is_passed_over),
        TEST(what_is_answered_at_once_is_answered_once),
        TEST(who_leaves_behind_a_call_is_left),
        TEST(garbage_ends_the_connection_and_another_is_tried),
        TEST(a_server_of_something_else_is_left),
        TEST(a_draining_control_plane_is_left_for_the_next),
        TEST(a_silent_control_plane_is_left),
        TEST(attempts_are_further_and_further_apart),
        TEST(the_next_address_of_a_name_is_tried_at_once),
        TEST(what_has_ended_while_paused_is_tried_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
