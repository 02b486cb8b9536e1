/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a control plane that misbehaves. */
#include "dataplane/sync/test_client.h"

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
        TEST(what_has_ended_while_paused_is_tried_after_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
