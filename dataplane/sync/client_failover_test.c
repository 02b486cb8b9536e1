/* SPDX-License-Identifier: Apache-2.0 */
/* From one control plane to another, and back. */
#include "dataplane/sync/test_client.h"

#include "common/clock.h"

#include <stdatomic.h>

#define FAILOVER_MAX_MS 2000
/* The machine that tests run on may stall for as long. */
#define STALL_MS 1000

static atomic_bool is_called; /* the server that says nothing */

static void endpoint_of(const struct server *server, char *text, size_t size)
{
    snprintf(text, size, "127.0.0.1:%u", server->port);
}

static void greet_and_update(struct server *server)
{
    (void)server_greet(server);
    server_update(server, 0, 5, true);
    server_wait_end(server);
    server_close(server);
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

static void a_silent_control_plane_is_left_in_two_seconds(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[0], fall_silent);
    server_start(&f->servers[1], greet_and_update);
    gw_msec began_ms = gw_clock_monotonic_ms();
    run(f, 1, 0);
    assert_string_equal(f->why, "no answer to a ping");
    assert_true(gw_clock_monotonic_ms() - began_ms < FAILOVER_MAX_MS + STALL_MS);
}

/* Its kernel takes the connection, and it is stopped. */
static void who_does_not_even_begin_is_left_in_two_seconds(void **state)
{
    struct fixture *f = *state;
    server_start(&f->servers[1], greet_and_update);
    gw_msec began_ms = gw_clock_monotonic_ms();
    run(f, 1, 0);
    assert_string_equal(f->why, "no answer to the connect in time");
    assert_int_equal(f->connects, 1); /* the silent one never counted as connected */
    assert_true(gw_clock_monotonic_ms() - began_ms < FAILOVER_MAX_MS + STALL_MS);
}

static void say_something_at_times(struct server *server)
{
    (void)server_greet(server);
    for (int64_t revision = 5; revision < 35; revision++) {
        const struct timespec pause = {.tv_nsec = 10 * 1000000};
        server_update(server, revision == 5 ? 0 : revision - 1, revision, true);
        nanosleep(&pause, NULL);
    }
    server_wait_end(server);
    server_close(server);
}

/* Pings are unanswered as nobody reads here, and yet it is not silent. */
static void who_speaks_is_not_silent(void **state)
{
    struct fixture *f = *state;
    f->options.keepalive_ms = 150;
    server_start(&f->servers[0], say_something_at_times);
    run(f, 30, 0);
    assert_int_equal(f->disconnects, 0);
}

static void attempts_are_further_and_further_apart(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < GW_ARRAY_LEN(f->servers); i++)
        assert_int_equal(shutdown(f->servers[i].listener, SHUT_RDWR), 0);
    f->options.backoff_max_ms = 400;
    run(f, 0, 8);
    for (gw_msec i = 0, limit = 100; i < 8; i += 2, limit = GW_MIN(2 * limit, 400)) {
        assert_in_range(f->retry_ms[i], 0, 150); /* to the other one */
        assert_in_range(f->retry_ms[i + 1], limit / 2, limit);
    }
    assert_int_equal(f->connects, 0);
}

static void a_name_is_resolved_to_all_its_addresses(void **state)
{
    struct fixture *f = *state;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    unsigned count = 0;
    if (getaddrinfo("localhost", NULL, &hints, &found) == 0)
        for (const struct addrinfo *at = found; at; at = at->ai_next)
            count++;
    freeaddrinfo(found);
    assert_true(count > 0);
    /* Of ::1 and 127.0.0.1 one refuses; the server is on the other. */
    snprintf(f->endpoints, sizeof(f->endpoints), "localhost:%u", f->servers[0].port);
    server_start(&f->servers[0], greet_and_update);
    run(f, 1, 0);
    assert_true(f->disconnects < count);
}

static void a_name_that_is_none_is_passed_over(void **state)
{
    struct fixture *f = *state;
    snprintf(f->endpoints, sizeof(f->endpoints), "nowhere.invalid:9440,127.0.0.1:%u",
             f->servers[1].port);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    assert_int_equal(f->disconnects, 0);
}

static void a_name_that_is_none_is_told(void **state)
{
    struct fixture *f = *state;
    snprintf(f->endpoints, sizeof(f->endpoints), "nowhere.invalid:9440");
    run(f, 0, 2);
    assert_non_null(strstr(f->why, "nowhere.invalid"));
}

static void hear_what_it_has(struct server *server)
{
    const Penstock__Agent__V1__Hello *hello = server_greet(server);
    assert_int_equal(hello->revision, 5);
    server_wants_ack(server, 5);
    server_update(server, 5, 6, true);
    server_wait_end(server);
    server_close(server);
}

static void the_preferred_one_is_returned_to_by_delta(void **state)
{
    struct fixture *f = *state;
    char first[64];
    endpoint_of(&f->servers[0], first, sizeof(first));
    f->options.return_ms = 200;
    shutdown(f->servers[0].listener, SHUT_RDWR);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    unsigned failures = f->disconnects;
    server_listen_again(&f->servers[0]);
    server_start(&f->servers[0], hear_what_it_has);
    run(f, 2, 0);
    assert_string_equal(f->endpoint, first);
    assert_int_equal(f->connects, 2);
    assert_int_equal(f->disconnects, failures); /* it is no failure, and was not without a moment */
}

static void say_nothing(struct server *server)
{
    server->fd = accept(server->listener, NULL, NULL);
    atomic_store(&is_called, true);
    char byte;
    while (read(server->fd, &byte, 1) > 0)
        ;
    close(server->fd);
}

static void speak_later(struct server *server)
{
    (void)server_greet(server);
    server_update(server, 0, 5, true);
    server_wants_ack(server, 5);
    /* Whoever is asked meanwhile whether it is back has closed when this one is left. */
    server_wait_end(server);
    server_close(server);
}

static void say_http1_and_leave(struct server *server)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    server->fd = accept(server->listener, NULL, NULL);
    assert_int_equal(send(server->fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
    char byte;
    while (read(server->fd, &byte, 1) > 0)
        ;
    close(server->fd);
    /* ... and by now it is what it should be. */
    hear_what_it_has(server);
}

static void who_is_not_back_yet_costs_nothing(void **state)
{
    struct fixture *f = *state;
    f->options.return_ms = 200;
    shutdown(f->servers[0].listener, SHUT_RDWR);
    server_start(&f->servers[1], speak_later);
    run(f, 1, 0);
    unsigned failures = f->disconnects;
    server_listen_again(&f->servers[0]);
    server_start(&f->servers[0], say_http1_and_leave);
    run(f, 2, 0);
    assert_int_equal(f->disconnects, failures);
    assert_int_equal(f->connects, 2);
}

static void a_probe_under_way_is_ended_by_leaving(void **state)
{
    struct fixture *f = *state;
    f->options.return_ms = 100;
    shutdown(f->servers[0].listener, SHUT_RDWR);
    server_start(&f->servers[1], greet_and_update);
    run(f, 1, 0);
    server_listen_again(&f->servers[0]);
    server_start(&f->servers[0], say_nothing);
    while (!atomic_load(&is_called))
        ev_run(f->loop, EVRUN_ONCE);
    dp_client_leave(f->client); /* its thread is joined, so it has been left as well */
    assert_false(dp_client_is_open(f->client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_silent_control_plane_is_left_in_two_seconds),
        TEST(who_does_not_even_begin_is_left_in_two_seconds),
        TEST(who_speaks_is_not_silent),
        TEST(attempts_are_further_and_further_apart),
        TEST(a_name_is_resolved_to_all_its_addresses),
        TEST(a_name_that_is_none_is_passed_over),
        TEST(a_name_that_is_none_is_told),
        TEST(the_preferred_one_is_returned_to_by_delta),
        TEST(who_is_not_back_yet_costs_nothing),
        TEST(a_probe_under_way_is_ended_by_leaving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
