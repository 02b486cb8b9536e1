/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/proxy_gate.h"

#include "common/test.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADER "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"

struct fixture {
    struct dp_loop loop;
    struct dp_proxy_gate gate;
    int ours, fd; /* the other end; the one that passed, or -1 */
    struct dp_proxy_header header;
    bool emptied;
    int tag;
};

static void on_passed(struct dp_proxy_gate *gate, int fd, const struct sockaddr *peer,
                      const struct dp_proxy_header *header, void *tag)
{
    struct fixture *f = gw_container_of(gate, struct fixture, gate);
    assert_int_equal(peer->sa_family, AF_INET);
    assert_ptr_equal(tag, &f->tag);
    f->fd = fd;
    f->header = *header;
}

static void on_emptied(struct dp_proxy_gate *gate)
{
    gw_container_of(gate, struct fixture, gate)->emptied = true;
}

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    struct sockaddr_in peer = {.sin_family = AF_INET};
    int pair[2];
    assert_int_equal(dp_loop_init(&f->loop), 0);
    dp_proxy_gate_init(&f->gate, &f->loop, 50);
    f->gate.passed = on_passed;
    f->gate.emptied = on_emptied;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    f->ours = pair[0];
    f->fd = -1;
    dp_proxy_gate_take(&f->gate, pair[1], (struct sockaddr *)&peer, &f->tag);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_proxy_gate_close(&f->gate);
    assert_int_equal(f->gate.count, 0);
    dp_loop_done(&f->loop);
    close(f->ours);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    assert_int_equal(write(f->ours, text, strlen(text)), strlen(text));
}

/* Until nothing happens any more without the peer or time. */
static void turn(struct fixture *f)
{
    for (int i = 0; i < 3; i++)
        ev_run(f->loop.ev, EVRUN_NOWAIT);
}

static bool is_closed(const struct fixture *f)
{
    char byte;
    return read(f->ours, &byte, 1) == 0;
}

static void what_is_behind_the_header_stays(void **state)
{
    struct fixture *f = *state;
    char rest[16];
    say(f, HEADER "GET /");
    turn(f);
    assert_true(f->fd >= 0 && f->header.has_addresses && f->emptied);
    assert_int_equal(f->header.source_port, 4711);
    assert_int_equal(read(f->fd, rest, sizeof(rest)), 5);
    assert_memory_equal(rest, "GET /", 5);
}

static void pieces_are_put_together(void **state)
{
    struct fixture *f = *state;
    for (const char *at = HEADER; *at; at++) {
        char byte[2] = {*at, 0};
        assert_int_equal(f->fd, -1);
        say(f, byte);
        turn(f);
    }
    assert_true(f->fd >= 0);
    assert_int_equal(f->gate.refused, 0);
}

static void what_is_none_is_closed(void **state)
{
    struct fixture *f = *state;
    say(f, "GET / HTTP/1.1\r\n");
    turn(f);
    assert_true(is_closed(f) || f->gate.count == 0);
    assert_int_equal(f->gate.refused, 1);
    assert_int_equal(f->fd, -1);
    assert_true(f->emptied);
}

static void who_leaves_in_silence_is_not_counted(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(shutdown(f->ours, SHUT_WR), 0);
    turn(f);
    assert_int_equal(f->gate.count, 0);
    assert_int_equal(f->gate.refused, 0);
}

static void who_leaves_within_the_header_is_counted(void **state)
{
    struct fixture *f = *state;
    say(f, "PROXY TC");
    assert_int_equal(shutdown(f->ours, SHUT_WR), 0);
    turn(f);
    assert_int_equal(f->gate.count, 0);
    assert_int_equal(f->gate.refused, 1);
}

static void a_header_that_is_late_is_none(void **state)
{
    struct fixture *f = *state;
    say(f, "PROXY TC");
    while (f->gate.count > 0)
        ev_run(f->loop.ev, EVRUN_ONCE);
    assert_true(is_closed(f));
    assert_int_equal(f->gate.refused, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_behind_the_header_stays),
        TEST(pieces_are_put_together),
        TEST(what_is_none_is_closed),
        TEST(who_leaves_in_silence_is_not_counted),
        TEST(who_leaves_within_the_header_is_counted),
        TEST(a_header_that_is_late_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
