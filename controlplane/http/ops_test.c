/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/http/ops.h"

#include "common/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG_BYTES (4 * 1024 * 1024) /* more than a socket takes at once */

static unsigned write_hello(void *arg, struct gw_buf *body)
{
    cp_ops_print(body, "hello %s\n", (const char *)arg);
    return 200;
}

static unsigned write_trouble(void *arg, struct gw_buf *body)
{
    (void)arg;
    cp_ops_print(body, "store: away\n");
    return 503;
}

static unsigned write_long(void *arg, struct gw_buf *body)
{
    (void)arg;
    for (size_t i = 0; i < LONG_BYTES / 16; i++)
        cp_ops_print(body, "0123456789abcde\n");
    return 200;
}

static const struct cp_ops_page pages[] = {
    {"/hello", "text/plain; version=0.0.4", write_hello},
    {"/trouble", "text/plain", write_trouble},
    {"/long", "text/plain", write_long},
};

static struct cp_ops *start(const char *listen)
{
    struct cp_ops *ops;
    struct gw_error err = GW_ERROR_NONE;
    static char world[] = "world";
    if (cp_ops_start(listen, pages, GW_ARRAY_LEN(pages), world, &ops, &err))
        fail_msg("%s", err.message);
    return ops;
}

static int connect_to(const struct cp_ops *ops)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)cp_ops_port(ops)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* All that comes until `end`, or until the connection ends when it is NULL. */
static void hear(int fd, const char *end, struct gw_buf *answer)
{
    gw_buf_init(answer, 0);
    for (;;) {
        assert_int_equal(gw_buf_reserve(answer, 65536), 0);
        ssize_t got = read(fd, answer->data + answer->end, 65535);
        assert_true(got >= 0);
        if (got == 0)
            break;
        gw_buf_commit(answer, (size_t)got);
        if (end && gw_str_has_suffix(gw_buf_view(answer), gw_str_from(end)))
            break;
    }
    answer->data[answer->end] = '\0'; /* there is room for it */
}

static void expect(const struct cp_ops *ops, const char *request, const char *status,
                   const char *body)
{
    struct gw_buf answer;
    int fd = connect_to(ops);
    say(fd, request);
    say(fd, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hear(fd, NULL, &answer);
    gw_str head = gw_buf_view(&answer);
    assert_int_equal(strncmp(head.ptr, status, strlen(status)), 0);
    const char *blank = strstr(head.ptr, "\r\n\r\n");
    assert_non_null(blank);
    assert_string_equal(blank + 4, body);
    gw_buf_done(&answer);
    close(fd);
}

static void test_pages(void **state)
{
    (void)state;
    struct cp_ops *ops = start("127.0.0.1:0");
    expect(ops, "GET /hello", "HTTP/1.1 200", "hello world\n");
    expect(ops, "GET /hello?verbose", "HTTP/1.1 200", "hello world\n");
    expect(ops, "HEAD /hello", "HTTP/1.1 200", "");
    expect(ops, "GET /trouble", "HTTP/1.1 503", "store: away\n");
    expect(ops, "GET /", "HTTP/1.1 404", "not found\n");
    expect(ops, "DELETE /hello", "HTTP/1.1 405", "only GET and HEAD\n");
    cp_ops_stop(ops);
}

static void test_one_connection_asks_again(void **state)
{
    (void)state;
    struct cp_ops *ops = start("127.0.0.1:0");
    int fd = connect_to(ops);
    for (int i = 0; i < 3; i++) {
        struct gw_buf answer;
        say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(fd, "hello world\n", &answer);
        assert_non_null(strstr(answer.data, "text/plain; version=0.0.4"));
        gw_buf_done(&answer);
    }
    close(fd);
    cp_ops_stop(ops);
}

static void test_a_long_page_comes_whole(void **state)
{
    (void)state;
    struct cp_ops *ops = start("127.0.0.1:0");
    struct gw_buf answer;
    int fd = connect_to(ops);
    say(fd, "GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    hear(fd, NULL, &answer);
    const char *blank = strstr(answer.data, "\r\n\r\n");
    assert_non_null(blank);
    assert_int_equal(answer.data + answer.end - (blank + 4), LONG_BYTES);
    gw_buf_done(&answer);
    close(fd);
    cp_ops_stop(ops);
}

/* It must not keep the program from ending. */
static void test_stops_with_connections_open(void **state)
{
    (void)state;
    struct cp_ops *ops = start("127.0.0.1:0");
    int idle = connect_to(ops), midway = connect_to(ops);
    say(midway, "GET /he");
    cp_ops_stop(ops);
    close(idle);
    close(midway);
}

static void test_more_connections_than_allowed_wait(void **state)
{
    (void)state;
    struct cp_ops *ops = start("127.0.0.1:0");
    int idle[CP_OPS_CONNECTIONS_MAX];
    for (unsigned i = 0; i < CP_OPS_CONNECTIONS_MAX; i++)
        idle[i] = connect_to(ops);
    int late = connect_to(ops);
    say(late, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (unsigned i = 0; i < CP_OPS_CONNECTIONS_MAX; i++)
        close(idle[i]);
    struct gw_buf answer;
    hear(late, NULL, &answer);
    assert_non_null(strstr(answer.data, "hello world"));
    gw_buf_done(&answer);
    close(late);
    cp_ops_stop(ops);
}

static void refuse(const char *listen, const char *why)
{
    struct cp_ops *ops;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_ops_start(listen, pages, GW_ARRAY_LEN(pages), NULL, &ops, &err), -1);
    if (!strstr(err.message, why))
        fail_msg("%s: \"%s\", want \"%s\"", listen, err.message, why);
}

static void test_addresses(void **state)
{
    (void)state;
    refuse("127.0.0.1", "not host:port");
    refuse("127.0.0.1:http", "not host:port");
    refuse("127.0.0.1:70000", "not host:port");
    refuse("192.0.2.1:0", "not an address of this host");
    struct cp_ops *ops = start(":0");
    expect(ops, "GET /hello", "HTTP/1.1 200", "hello world\n");
    char taken[32];
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", cp_ops_port(ops));
    refuse(taken, "in use");
    cp_ops_stop(ops);
    cp_ops_stop(start("localhost:0"));
    cp_ops_stop(start("0.0.0.0:0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_one_connection_asks_again),
        cmocka_unit_test(test_a_long_page_comes_whole),
        cmocka_unit_test(test_stops_with_connections_open),
        cmocka_unit_test(test_more_connections_than_allowed_wait),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
