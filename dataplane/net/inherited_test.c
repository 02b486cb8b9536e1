/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/inherited.h"

#include "common/test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static struct dp_address loopback;
static struct gw_error err;

static int set_up(void **state)
{
    (void)state;
    return dp_address_parse(GW_STR("127.0.0.1"), &loopback);
}

/* A socket that listens at *port; 0 there: at a free one, which is told. */
static int listen_at(uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void sockets_are_taken_by_address(void **state)
{
    (void)state;
    struct dp_inherited inherited;
    char text[64];
    uint16_t one = 0, other = 0;
    int a = listen_at(&one), b = listen_at(&one), c = listen_at(&other);
    snprintf(text, sizeof(text), "%d,%d,%d", a, c, b);
    assert_int_equal(dp_inherited_parse(&inherited, text, &err), 0);
    assert_int_equal(dp_inherited_count(&inherited, &loopback, one), 2);
    assert_int_equal(dp_inherited_take(&inherited, &loopback, one), a);
    assert_int_equal(dp_inherited_take(&inherited, &loopback, one), b);
    assert_int_equal(dp_inherited_take(&inherited, &loopback, one), -1);
    assert_int_equal(dp_inherited_count(&inherited, &loopback, one), 2);
    assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
    dp_inherited_done(&inherited);
    assert_int_equal(fcntl(c, F_GETFD), -1); /* nobody took it */
    close(a);
    close(b);
}

static void anything_else_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct dp_inherited inherited;
    char text[4][32];
    uint16_t port = 0;
    int good = listen_at(&port), plain = socket(AF_INET, SOCK_STREAM, 0);
    snprintf(text[0], sizeof(text[0]), "%d,%d", good, plain);
    snprintf(text[1], sizeof(text[1]), "%d,", good);
    snprintf(text[2], sizeof(text[2]), "%d,x", good);
    snprintf(text[3], sizeof(text[3]), "999999");
    for (unsigned i = 0; i < GW_ARRAY_LEN(text); i++) {
        assert_int_equal(dp_inherited_parse(&inherited, text[i], &err), -1);
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        assert_int_equal(inherited.count, 0);
    }
    assert_true(fcntl(good, F_GETFD) >= 0);
    close(good);
    close(plain);
}

static void nothing_inherited_is_nothing_to_take(void **state)
{
    (void)state;
    assert_int_equal(dp_inherited_count(NULL, &loopback, 80), 0);
    assert_int_equal(dp_inherited_take(NULL, &loopback, 80), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_taken_by_address),
        cmocka_unit_test(anything_else_is_refused_and_left_alone),
        cmocka_unit_test(nothing_inherited_is_nothing_to_take),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
