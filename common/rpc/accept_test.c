/* SPDX-License-Identifier: Apache-2.0 */
/* What the gRPC core hears when it accepts, and what is turned away. */
#include "common/rpc/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLERS 3

static int listener, callers[CALLERS];
static struct sockaddr_in place;
static struct rlimit before;

static int set_up(void **state)
{
    (void)state;
    socklen_t len = sizeof(place);
    place = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&place, len), 0);
    assert_int_equal(listen(listener, CALLERS), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&place, &len), 0);
    for (unsigned i = 0; i < CALLERS; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(callers[i], (struct sockaddr *)&place, sizeof(place)), 0);
    }
    return getrlimit(RLIMIT_NOFILE, &before);
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    gw_rpc_leave_descriptors(0);
    for (unsigned i = 0; i < CALLERS; i++)
        close(callers[i]);
    return close(listener);
}

/* The descriptor that the next file gets. */
static int next_descriptor(void)
{
    int fd = dup(listener);
    close(fd);
    return fd;
}

static void allow(int descriptors)
{
    struct rlimit limit = {(rlim_t)descriptors, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int take(void)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof(peer);
    int fd = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
    if (fd >= 0)
        assert_true(len == sizeof(peer) && peer.sin_family == AF_INET);
    return fd;
}

static bool is_closed(int caller)
{
    char byte;
    return recv(caller, &byte, 1, 0) == 0;
}

static void what_comes_is_accepted(void **state)
{
    (void)state;
    uint64_t refused = gw_rpc_connections_refused();
    for (unsigned i = 0; i < CALLERS; i++) {
        int fd = take();
        assert_true(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
        close(fd);
    }
    assert_true(take() < 0 && errno == EAGAIN);
    assert_true(gw_rpc_connections_refused() == refused);
}

/* Two are left to others: who asks gets the third from the end, and all that come later are closed.
 */
static void others_keep_descriptors(void **state)
{
    (void)state;
    uint64_t refused = gw_rpc_connections_refused();
    allow(next_descriptor() + 3);
    gw_rpc_leave_descriptors(2);
    int first = take();
    assert_true(first >= 0);
    assert_true(take() < 0 && errno == EAGAIN);
    assert_true(gw_rpc_connections_refused() == refused + CALLERS - 1);
    for (unsigned i = 1; i < CALLERS; i++)
        assert_true(is_closed(callers[i]));
    close(first);
}

static void half_of_them_are_for_connections(void **state)
{
    (void)state;
    allow(4 * next_descriptor());
    gw_rpc_leave_descriptors(1000000);
    int fd = take();
    assert_true(fd >= 0);
    close(fd);
}

static void without_a_descriptor_it_is_as_if_nobody_came(void **state)
{
    (void)state;
    allow(next_descriptor());
    assert_true(take() < 0 && errno == EAGAIN);
    allow((int)before.rlim_cur);
    for (unsigned i = 0; i < CALLERS; i++) {
        int fd = take();
        assert_true(fd >= 0);
        close(fd);
    }
}

static void mistakes_are_told(void **state)
{
    (void)state;
    assert_true(accept4(callers[0], NULL, NULL, 0) < 0 && errno == EINVAL);
    assert_true(accept4(-1, NULL, NULL, 0) < 0 && errno == EBADF);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_comes_is_accepted),
        CASE(others_keep_descriptors),
        CASE(half_of_them_are_for_connections),
        CASE(without_a_descriptor_it_is_as_if_nobody_came),
        CASE(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
