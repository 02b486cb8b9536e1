/* SPDX-License-Identifier: Apache-2.0 */
/* Backends over TLS: OpenSSL's server on the backend's thread. */
#include "dataplane/upstream/tls_testing.h"

#include "common/log.h"
#include "dataplane/net/tls.h"

static struct authority authority, stranger;

static int set_up(void **state)
{
    (void)state;
    gw_log_set_level(GW_LOG_ERROR);
    authority_init(&authority);
    authority_init(&stranger);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    authority_done(&authority);
    authority_done(&stranger);
    return 0;
}

static void run_tls(struct bench *bench, struct backend *b, void (*script)(struct backend *),
                    SSL_CTX *server)
{
    bench_init(bench, (struct dp_upstreams_options){.ca_file = authority.file});
    backend_start_tls(b, script, server);
    bench_member(bench, "127.0.0.1", b->port);
}

static void caller_init_tls(struct caller *c, struct bench *bench, const char *name)
{
    caller_init(c, bench, DP_METHOD_GET);
    c->request.tls = true;
    c->request.tls_name = gw_str_from(name);
    c->request.retry_count = 0;
}

static void tls_get_ok(struct bench *bench, const char *name, const char *body)
{
    struct caller c;
    caller_init_tls(&c, bench, name);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 200);
    assert_str(gw_buf_view(&c.body), body);
    caller_done(&c);
}

static void tls_get_fails(struct bench *bench, const char *name, enum dp_upstream_failure failure)
{
    struct caller c;
    caller_init_tls(&c, bench, name);
    caller_run(&c);
    assert_int_equal(c.failure, failure);
    caller_done(&c);
}

static void answer_three(struct backend *b)
{
    backend_accept(b);
    for (int i = 0; i < 3; i++) {
        backend_read_head(b);
        backend_say(b, OK_HELLO);
    }
    backend_read_end(b);
}

static void a_connection_over_tls_is_used_again(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < GW_ARRAY_LEN(versions); i++) {
        struct bench bench;
        struct backend b;
        SSL_CTX *server = new_server(&authority, "IP:127.0.0.1", 1);
        SSL_CTX_set_min_proto_version(server, versions[i]);
        SSL_CTX_set_max_proto_version(server, versions[i]);
        run_tls(&bench, &b, answer_three, server);
        for (int k = 0; k < 3; k++)
            tls_get_ok(&bench, "", "hello");
        assert_int_equal(stats_of(&bench)->connects, 1);
        assert_int_equal(stats_of(&bench)->idle, 1);
        bench_end(&bench, &b);
        SSL_CTX_free(server);
    }
}

static void answer_with_names(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    char text[256], answer[400];
    const char *sni = SSL_get_servername(b->ssl, TLSEXT_NAMETYPE_host_name);
    SSL_get0_alpn_selected(b->ssl, &alpn, &alpn_len);
    int len = snprintf(text, sizeof(text), "%s %.*s", sni ? sni : "-", (int)alpn_len, alpn);
    snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len, text);
    backend_say(b, answer);
    backend_read_end(b);
}

static void the_name_asked_for_is_sent_and_verified(void **state)
{
    (void)state;
    static const struct {
        const char *names, *asked, *said;
    } cases[] = {
        {"DNS:shop.test", "shop.test", "shop.test http/1.1"},
        {"DNS:shop.test", "shop.test:8443", "shop.test http/1.1"},
        {"DNS:*.shop.test", "a.shop.test", "a.shop.test http/1.1"},
        {"IP:127.0.0.1", "", "- http/1.1"},
        {"IP:::1", "[::1]:443", "- http/1.1"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct bench bench;
        struct backend b;
        SSL_CTX *server = new_server(&authority, cases[i].names, 1);
        run_tls(&bench, &b, answer_with_names, server);
        tls_get_ok(&bench, cases[i].asked, cases[i].said);
        bench_end(&bench, &b);
        SSL_CTX_free(server);
    }
}

static void accept_in_vain(struct backend *b)
{
    backend_accept(b);
    backend_read_end(b);
}

static void a_certificate_that_proves_nothing_is_refused(void **state)
{
    (void)state;
    static const struct {
        const struct authority *by;
        const char *names;
        int days;
    } cases[] = {
        {&authority, "DNS:other.test,IP:127.0.0.1", 1}, /* another's */
        {&authority, "DNS:*hop.test,DNS:*.shop.test", 1},
        {&stranger, "DNS:shop.test", 1},   /* signed by somebody */
        {&authority, "DNS:shop.test", -1}, /* expired */
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct bench bench;
        struct backend b;
        SSL_CTX *server = new_server(cases[i].by, cases[i].names, cases[i].days);
        run_tls(&bench, &b, accept_in_vain, server);
        tls_get_fails(&bench, "shop.test", DP_FAILURE_CONNECT);
        assert_int_equal(stats_of(&bench)->tls_failures, 1);
        assert_int_equal(stats_of(&bench)->open, 0);
        bench_end(&bench, &b);
        assert_int_equal(gw_buf_len(&b.seen), 0); /* not a byte of the request */
        SSL_CTX_free(server);
    }
}

static void answer_plain(struct backend *b)
{
    backend_accept(b);
    backend_say(b, "HTTP/1.1 400 Bad Request\r\n\r\n");
    backend_read_end(b);
}

static void a_backend_without_tls_is_no_backend(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_tls(&bench, &b, answer_plain, NULL);
    tls_get_fails(&bench, "shop.test", DP_FAILURE_CONNECT);
    bench_end(&bench, &b);
}

static void a_handshake_without_an_answer_times_out(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    bench_init(&bench,
               (struct dp_upstreams_options){.ca_file = authority.file, .connect_timeout_ms = 100});
    backend_start(&b, accept_in_vain);
    bench_member(&bench, "127.0.0.1", b.port);
    tls_get_fails(&bench, "shop.test", DP_FAILURE_CONNECT_TIMEOUT);
    bench_end(&bench, &b);
}

static void answer_and_close_three(struct backend *b)
{
    for (int i = 0; i < 3; i++) {
        backend_accept(b);
        backend_read_head(b);
        char answer[100];
        snprintf(answer, sizeof(answer),
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n%d",
                 SSL_session_reused(b->ssl));
        backend_say(b, answer);
        backend_read_end(b);
    }
}

static void a_session_is_resumed_by_the_same_name_alone(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < GW_ARRAY_LEN(versions); i++) {
        struct bench bench;
        struct backend b;
        SSL_CTX *server = new_server(&authority, "DNS:shop.test,DNS:other.test", 1);
        SSL_CTX_set_max_proto_version(server, versions[i]);
        run_tls(&bench, &b, answer_and_close_three, server);
        tls_get_ok(&bench, "shop.test", "0");
        tls_get_ok(&bench, "shop.test", "1");
        tls_get_ok(&bench, "other.test", "0");
        bench_end(&bench, &b);
        SSL_CTX_free(server);
    }
}

static void answer_on_two(struct backend *b)
{
    for (int i = 0; i < 2; i++) {
        b->fd = -1;
        b->ssl = NULL;
        backend_accept(b);
        backend_read_head(b);
        backend_say(b, OK_HELLO);
        backend_wait(b, 1 + (unsigned)i);
        if (i == 0)
            backend_close(b);
    }
    backend_read_end(b);
}

static void names_do_not_share_a_connection(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    SSL_CTX *server = new_server(&authority, "DNS:shop.test,DNS:other.test", 1);
    run_tls(&bench, &b, answer_on_two, server);
    tls_get_ok(&bench, "shop.test", "hello");
    assert_int_equal(stats_of(&bench)->idle, 1);
    atomic_store(&b.step, 1);
    tls_get_ok(&bench, "other.test", "hello");
    assert_int_equal(stats_of(&bench)->reuses, 0);
    assert_int_equal(stats_of(&bench)->connects, 2);
    atomic_store(&b.step, 2);
    bench_end(&bench, &b);
    SSL_CTX_free(server);
}

static void end_with_and_without_notice(struct backend *b)
{
    for (int i = 0; i < 2; i++) {
        backend_accept(b);
        backend_read_head(b);
        backend_say(b, "HTTP/1.1 200 OK\r\n\r\nhello");
        if (i == 0)
            backend_shutdown(b);
        else
            backend_close(b);
    }
}

static void an_end_without_notice_is_a_cut(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    SSL_CTX *server = new_server(&authority, "IP:127.0.0.1", 1);
    run_tls(&bench, &b, end_with_and_without_notice, server);
    tls_get_ok(&bench, "", "hello");
    tls_get_fails(&bench, "", DP_FAILURE_RESET);
    bench_end(&bench, &b);
    SSL_CTX_free(server);
}

static void send_ticket_then_close(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_wait(b, 1);
    if (SSL_new_session_ticket(b->ssl) != 1 || SSL_do_handshake(b->ssl) != 1)
        give_up(b, "ticket");
    atomic_store(&b->step, 2);
    backend_read_head(b);
    backend_say(b, OK_HELLO);
    backend_wait(b, 3);
    backend_shutdown(b);
}

static bool ticket_is_sent(void *arg)
{
    return atomic_load(&((struct backend *)arg)->step) >= 2;
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void an_idle_connection_hears_tickets_and_ends(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    SSL_CTX *server = new_server(&authority, "IP:127.0.0.1", 1);
    run_tls(&bench, &b, send_ticket_then_close, server);
    tls_get_ok(&bench, "", "hello");
    atomic_store(&b.step, 1);
    bench_until(&bench, ticket_is_sent, &b);
    for (int i = 0; i < 20; i++)
        bench_until(&bench, always, NULL);
    assert_int_equal(stats_of(&bench)->idle, 1);
    tls_get_ok(&bench, "", "hello");
    assert_int_equal(stats_of(&bench)->reuses, 1);
    atomic_store(&b.step, 3);
    bench_until(&bench, nothing_is_idle, &bench);
    bench_end(&bench, &b);
    SSL_CTX_free(server);
}

#define BIG (8 * 1024 * 1024)

static void echo_big(struct backend *b)
{
    backend_accept(b);
    backend_read_head(b);
    backend_wait(b, 1);
    backend_read_bytes(b, BIG);
    char head[80];
    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG);
    backend_say(b, head);
    gw_str seen = gw_buf_view(&b->seen);
    backend_write(b, gw_str_n(seen.ptr + seen.len - BIG, BIG));
    atomic_store(&b->step, 2);
    backend_read_end(b);
}

static bool is_held_back(void *arg)
{
    struct caller *c = arg;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->sent > 0 && !c->wants;
}

static void both_sides_hold_the_other_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    SSL_CTX *server = new_server(&authority, "IP:127.0.0.1", 1);
    run_tls(&bench, &b, echo_big, server);
    caller_init_tls(&c, &bench, "");
    c.request.method = DP_METHOD_POST;
    caller_body(&c, BIG, DP_BODY_LENGTH);
    c.manual = true;
    caller_start(&c);
    bench_until(&bench, is_held_back, &c);
    assert_true(c.sent < BIG);
    /* What is encrypted and waits is one batch. */
    assert_true(dp_h1_link_of(c.call.link)->conn.tls->out->capacity <= DP_BLOCK_BODY);
    atomic_store(&b.step, 1);
    bench_until(&bench, caller_has_head, &c);
    for (int i = 0; i < 20; i++)
        bench_until(&bench, always, NULL);
    assert_int_equal(atomic_load(&b.step), 1); /* the backend is still at it */
    assert_true(dp_h1_link_of(c.call.link)->conn.input.block->capacity <= DP_BLOCK_BODY);
    dp_upstream_read_body(&c.call, true);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(gw_buf_len(&c.body), BIG);
    gw_str body = gw_buf_view(&c.body);
    for (size_t i = 0; i < body.len; i++) {
        if (body.ptr[i] != 'x')
            fail_msg("byte %zu differs", i);
    }
    assert_true(c.most < DP_CONN_HIGH_WATER + PUSH_BYTES);
    caller_done(&c);
    assert_int_equal(stats_of(&bench)->idle, 1);
    bench_end(&bench, &b);
    SSL_CTX_free(server);
}

static void a_missing_file_is_said_at_the_start(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_upstreams *upstreams = NULL;
    struct dp_upstreams_options options = {.ca_file = "/nowhere/ca.pem"};
    assert_int_equal(dp_upstreams_new(&options, &upstreams, &err), -1);
    assert_null(upstreams);
    assert_non_null(strstr(err.message, "/nowhere/ca.pem"));
}

static void a_name_is_cut_out_of_its_authority(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a.test", "a.test"},
        {"a.test:80", "a.test"},
        {"[::1]", "::1"},
        {"[::1]:80", "::1"},
        {"::1", "::1"},
        {"", ""},
        {":80", ""},
        {"10.0.0.1:1", "10.0.0.1"},
        {"[broken", "[broken"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_str(dp_upstream_tls_name(gw_str_from(cases[i][0])), cases[i][1]);
    assert_null(dp_upstream_tls_peer(NULL, GW_STR_NONE, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_over_tls_is_used_again),
        cmocka_unit_test(the_name_asked_for_is_sent_and_verified),
        cmocka_unit_test(a_certificate_that_proves_nothing_is_refused),
        cmocka_unit_test(a_backend_without_tls_is_no_backend),
        cmocka_unit_test(a_handshake_without_an_answer_times_out),
        cmocka_unit_test(a_session_is_resumed_by_the_same_name_alone),
        cmocka_unit_test(names_do_not_share_a_connection),
        cmocka_unit_test(an_end_without_notice_is_a_cut),
        cmocka_unit_test(an_idle_connection_hears_tickets_and_ends),
        cmocka_unit_test(both_sides_hold_the_other_back),
        cmocka_unit_test(a_missing_file_is_said_at_the_start),
        cmocka_unit_test(a_name_is_cut_out_of_its_authority),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
