/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that accepts over a pair of sockets, and OpenSSL's own client at the other end. */
#include "dataplane/net/tls.h"

#include "dataplane/net/credentials.h"
#include "dataplane/net/test_pem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FLOOD_BYTES (1536 * 1024)

static struct fixture {
    struct dp_loop loop;
    struct dp_conn conn;
    SSL_CTX *server, *client;
    SSL *ssl;
    int fd;
    unsigned reads, refills;
    size_t got;
    enum dp_tls_flood flood;
    bool failed;
} f;

static void refill(void)
{
    static const char more[DP_BLOCK_HEAD + 4096];
    f.refills--;
    assert_int_equal(SSL_write(f.ssl, more, sizeof(more)), sizeof(more));
}

static void on_readable(struct dp_conn *conn)
{
    ptrdiff_t n = dp_conn_read(conn, DP_BLOCK_HEAD);
    f.reads++;
    if (f.refills > 0)
        refill();
    if (n > 0) {
        f.got += (size_t)n;
        dp_input_consume(&conn->input, (size_t)n);
    } else if (n != -EAGAIN) {
        f.failed = true;
        f.flood = conn->tls->flood;
        dp_conn_close(conn);
    }
}

static void on_nothing(struct dp_conn *conn)
{
    (void)conn;
}

static void on_failed(struct dp_conn *conn, int error)
{
    (void)error;
    f.failed = true;
    dp_conn_close(conn);
}

static const struct dp_conn_events events = {
    .connected = on_nothing,
    .readable = on_readable,
    .drained = on_nothing,
    .stalled = on_nothing,
    .failed = on_failed,
    .freed = on_nothing,
};

static void make_contexts(void)
{
    struct gw_arena arena;
    struct dp_credentials credentials;
    struct gw_error err = GW_ERROR_NONE;
    struct test_pem pem = test_pem_make("a", EVP_EC_gen("P-256"));
    struct dp_pem texts = {pem.certificate, pem.key, ""};
    gw_arena_init(&arena, 0);
    f.server = SSL_CTX_new(TLS_server_method());
    f.client = SSL_CTX_new(TLS_client_method());
    dp_tls_context_init(f.server);
    assert_int_equal(dp_credentials_read(&arena, &texts, &credentials, &err), 0);
    assert_int_equal(dp_credentials_use(f.server, NULL, &credentials), 0);
    gw_arena_done(&arena);
}

static void turn(void)
{
    ev_run(f.loop.ev, EVRUN_NOWAIT);
}

static int set_up(void **state)
{
    int fds[2], done = 0;
    (void)state;
    f = (struct fixture){0};
    make_contexts();
    assert_int_equal(dp_loop_init(&f.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f.fd = fds[1];
    SSL *ssl = SSL_new(f.server);
    SSL_set_accept_state(ssl);
    dp_conn_init(&f.conn, &f.loop, &events, fds[0]);
    dp_conn_start_tls(&f.conn, ssl);
    f.ssl = SSL_new(f.client);
    SSL_set_fd(f.ssl, f.fd);
    for (int i = 0; i < 20 && !(done && f.conn.tls->established); i++) {
        done = SSL_connect(f.ssl) == 1;
        turn();
    }
    assert_true(done && f.conn.tls->established);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dp_conn_close(&f.conn);
    dp_loop_settle(&f.loop);
    dp_loop_done(&f.loop);
    SSL_free(f.ssl);
    SSL_CTX_free(f.server);
    SSL_CTX_free(f.client);
    close(f.fd);
    return 0;
}

/* Changes of the keys, each of which asks for one in return, and as good as no data. */
static char *make_flood(bool has_data)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *bytes = NULL, *copy = malloc(FLOOD_BYTES);
    SSL_set0_wbio(f.ssl, out);
    while (BIO_get_mem_data(out, &bytes) < FLOOD_BYTES) {
        SSL_key_update(f.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(f.ssl);
        if (has_data)
            SSL_write(f.ssl, "x", 1);
    }
    memcpy(copy, bytes, FLOOD_BYTES);
    return copy;
}

static size_t unread(void)
{
    int bytes = 0;
    assert_int_equal(ioctl(f.conn.fd, FIONREAD, &bytes), 0);
    return (size_t)bytes;
}

static void who_only_changes_keys_does_not_hold_the_loop(void **state)
{
    (void)state;
    char *flood = make_flood(true);
    ssize_t sent = send(f.fd, flood, FLOOD_BYTES, 0);
    assert_true(sent > 160 * 1024);
    turn();
    assert_true(unread() > 0); /* others have their turn */
    assert_false(f.failed);
    free(flood);
}

static void answers_that_nobody_reads_do_not_pile_up(void **state)
{
    (void)state;
    char *flood = make_flood(true);
    size_t at = 0;
    for (int i = 0; i < 1000 && at < FLOOD_BYTES && !f.failed; i++) {
        ssize_t sent = send(f.fd, flood + at, FLOOD_BYTES - at, MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        turn();
    }
    for (int i = 0; i < 100 && !f.failed; i++)
        turn();
    assert_true(f.failed);
    assert_int_equal(f.flood, DP_TLS_FLOOD_UNREAD);
    free(flood);
}

static void change_keys(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(f.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(f.ssl), 1);
    }
}

static void keys_may_change_between_data(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 4; i++) {
        change_keys(DP_TLS_MESSAGES_MAX);
        assert_int_equal(SSL_write(f.ssl, "x", 1), 1);
        for (unsigned turns = 0; turns < 10 && f.got < i; turns++)
            turn();
        assert_int_equal(f.got, i);
    }
    assert_false(f.failed);
}

static void answers_to_changes_of_keys_count_too(void **state)
{
    (void)state;
    char *flood = make_flood(false);
    assert_true(send(f.fd, flood, FLOOD_BYTES, 0) > 0);
    turn();
    assert_int_equal(f.flood, DP_TLS_FLOOD_MESSAGES);
    free(flood);
}

static void who_changes_keys_without_data_is_a_flood(void **state)
{
    (void)state;
    change_keys(DP_TLS_MESSAGES_MAX);
    turn();
    assert_false(f.failed);
    change_keys(1);
    assert_int_equal(SSL_write(f.ssl, "x", 1), 1); /* too late */
    for (unsigned turns = 0; turns < 10 && !f.failed; turns++)
        turn();
    assert_true(f.failed);
    assert_int_equal(f.flood, DP_TLS_FLOOD_MESSAGES);
    assert_int_equal(f.got, 0);
}

/* Who is about to close asks once more what has come. */
static void what_has_come_is_read_before_the_loop_says_so(void **state)
{
    (void)state;
    assert_int_equal(SSL_write(f.ssl, "x", 1), 1);
    turn();
    assert_int_equal(f.got, 1);
    assert_int_equal(SSL_write(f.ssl, "y", 1), 1);
    dp_conn_look_again(&f.conn);
    assert_int_equal(dp_conn_read(&f.conn, DP_BLOCK_HEAD), 1);
    assert_int_equal(dp_conn_read(&f.conn, DP_BLOCK_HEAD), -EAGAIN);
}

static void who_is_as_fast_as_we_does_not_hold_the_loop(void **state)
{
    (void)state;
    f.refills = 20;
    refill();
    turn();
    assert_int_equal(f.reads, 2); /* what the socket had; then others have their turn */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_only_changes_keys_does_not_hold_the_loop),
        TEST(answers_that_nobody_reads_do_not_pile_up),
        TEST(keys_may_change_between_data),
        TEST(who_changes_keys_without_data_is_a_flood),
        TEST(answers_to_changes_of_keys_count_too),
        TEST(what_has_come_is_read_before_the_loop_says_so),
        TEST(who_is_as_fast_as_we_does_not_hold_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
