/* SPDX-License-Identifier: Apache-2.0 */
/* After a CONNECT to WebSocket (RFC 8441): bytes both ways, each side's end by itself. */
#include "dataplane/upstream/h2_testing.h"
#include "dataplane/upstream/tls_testing.h"

#define CONNECT_PROTOCOL NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL

static void ask(struct caller *c, struct bench *bench)
{
    h2_caller_init(c, bench, DP_METHOD_GET);
    c->request.framing.upgrade = true;
    c->request.stream_idle_ms = PATIENCE_S * 1000;
}

/* A connection that takes tunnels, and the first one asked for on it. */
static uint32_t accept_tunnel(struct backend *b)
{
    h2_accept_saying(b, CONNECT_PROTOCOL, 1);
    return h2_request(b);
}

static void open_tunnel(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "200");
}

static bool has_answer_end(void *arg)
{
    struct caller *c = arg;
    return c->call.answer_complete;
}

static size_t data_bytes;

/* DATA up to END_STREAM, or so many bytes; gives windows back. */
static void read_data(struct backend *b, uint32_t id, size_t most)
{
    data_bytes = 0;
    do {
        if (!h2_read_type(b, NGHTTP2_DATA))
            return;
        data_bytes += seen_frame.len;
        if (seen_frame.len > 0) {
            h2_window(b, 0, seen_frame.len);
            h2_window(b, id, seen_frame.len);
        }
    } while (!(seen_frame.flags & END_STREAM) && data_bytes < most);
}

static char head_of_connect[sizeof(seen_head.text)];

static void echo_and_end(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    memcpy(head_of_connect, seen_head.text, sizeof(head_of_connect));
    if (seen_frame.flags & END_STREAM)
        give_up(b, "a tunnel that is open");
    h2_head(b, 0, id, ":status", "200", "content-length", "7");
    h2_data(b, 0, id, "early");
    read_data(b, id, SIZE_MAX);
    h2_data(b, 0, id, "la");
    h2_data(b, END_STREAM, id, "te");
    h2_hello(b, h2_request(b)); /* the session goes on */
    h2_read_end(b);
}

static void bytes_flow_both_ways_and_the_caller_ends_first(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    char want[256];
    run_with(&bench, &b, echo_and_end);
    ask(&c, &bench);
    c.request.line.target = GW_STR("/chat?a=b");
    dp_headers_add(&c.headers, GW_STR("Sec-WebSocket-Key"), GW_STR("dGhlIHNhbXBsZSBub25jZQ=="));
    dp_headers_add(&c.headers, GW_STR("Sec-WebSocket-Accept"), GW_STR("none"));
    dp_headers_add(&c.headers, GW_STR("Connection"), GW_STR("Upgrade"));
    dp_headers_add(&c.headers, GW_STR("Upgrade"), GW_STR("websocket"));
    dp_headers_add(&c.headers, GW_STR("Sec-WebSocket-Version"), GW_STR("13"));
    dp_headers_add(&c.headers, GW_STR("Sec-WebSocket-Protocol"), GW_STR("chat"));
    c.to_send = 300000;
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.call.framing.kind, DP_BODY_TUNNEL);
    assert_str(gw_buf_view(&c.body), "earlylate");
    assert_int_equal(c.headers.count, 6); /* the caller's own stay as they were */
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->connects, 1);
    bench_end(&bench, &b);
    assert_int_equal(data_bytes, 300000);
    snprintf(want, sizeof(want),
             ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: 127.0.0.1:%u\n"
             ":path: /chat?a=b\nsec-websocket-version: 13\nsec-websocket-protocol: chat\n",
             b.port);
    assert_string_equal(head_of_connect, want);
}

static void end_first(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    open_tunnel(b, id);
    h2_data(b, END_STREAM, id, "bye");
    read_data(b, id, SIZE_MAX); /* it still listens */
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void the_backend_may_end_first_and_still_listen(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, end_first);
    ask(&c, &bench);
    caller_start(&c);
    bench_until(&bench, has_answer_end, &c);
    assert_int_equal(c.ends, 0);
    assert_str(gw_buf_view(&c.body), "bye");
    c.to_send = 200000; /* more than its windows hold */
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(stats_of(&bench)->h2_streams, 0);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
    assert_int_equal(data_bytes, 200000);
}

static void end_with_the_head(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    h2_head(b, END_STREAM, id, ":status", "299");
    read_data(b, id, SIZE_MAX);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void a_head_may_open_a_tunnel_and_end_a_way_of_it(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, end_with_the_head);
    ask(&c, &bench);
    c.to_send = 1000;
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(gw_buf_len(&c.body), 0);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
    assert_int_equal(data_bytes, 1000);
}

static void reset_behind_data(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    open_tunnel(b, id);
    read_data(b, id, 1);
    h2_data(b, 0, id, "x");
    h2_reset(b, id, NGHTTP2_CANCEL);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void a_reset_fails_the_call_and_not_the_session(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, reset_behind_data);
    ask(&c, &bench);
    c.to_send = 1000000000; /* never done */
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_RESET);
    assert_str(gw_buf_view(&c.body), "x");
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->connects, 1);
    bench_end(&bench, &b);
}

static void end_and_reset(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    open_tunnel(b, id);
    h2_data(b, END_STREAM, id, "bye");
    backend_wait(b, 1);
    h2_reset(b, id, NGHTTP2_NO_ERROR);
    h2_read_end(b);
}

static void a_reset_behind_the_end_closes_the_other_way(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, end_and_reset);
    ask(&c, &bench);
    caller_start(&c);
    bench_until(&bench, has_answer_end, &c);
    atomic_store(&b.step, 1);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_str(gw_buf_view(&c.body), "bye");
    caller_done(&c);
    bench_end(&bench, &b);
}

static uint32_t code_of_reset;

static void hear_the_reset(struct backend *b)
{
    open_tunnel(b, accept_tunnel(b));
    if (h2_read_type(b, NGHTTP2_RST_STREAM))
        code_of_reset = seen_frame.payload[3];
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void who_cancels_resets(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    code_of_reset = 0;
    run_with(&bench, &b, hear_the_reset);
    ask(&c, &bench);
    caller_start(&c);
    bench_until(&bench, caller_has_head, &c);
    dp_upstream_cancel(&c.call);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
    assert_int_equal(code_of_reset, NGHTTP2_CANCEL);
}

static void read_nothing(struct backend *b)
{
    open_tunnel(b, accept_tunnel(b));
    backend_wait(b, 1);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static bool nothing_fits(void *arg)
{
    struct caller *c = arg;
    size_t before = c->sent;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->sent == before && c->call.link && c->call.link->blocked && !c->wants;
}

static void a_backend_that_does_not_read_holds_the_caller_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, read_nothing);
    ask(&c, &bench);
    c.to_send = 1000000000;
    caller_start(&c);
    bench_until(&bench, nothing_fits, &c);
    assert_in_range(c.most, 1, DP_CONN_HIGH_WATER + PUSH_BYTES);
    dp_upstream_cancel(&c.call);
    atomic_store(&b.step, 1);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
}

#define BLOCK_BYTES 16384

/* As much as the stream's window takes, and then no more until there is one. */
static void fill_the_window(struct backend *b)
{
    static char block[BLOCK_BYTES + 1];
    uint32_t id = accept_tunnel(b);
    memset(block, 'z', BLOCK_BYTES);
    open_tunnel(b, id);
    for (int i = 0; i < DP_UH2_STREAM_WINDOW / BLOCK_BYTES; i++)
        h2_data(b, 0, id, block);
    h2_send(b, NGHTTP2_PING, 0, 0, GW_STR("12345678"));
    while (h2_read(b) && seen_frame.type != NGHTTP2_PING) {
        if (seen_frame.type == NGHTTP2_WINDOW_UPDATE && seen_frame.id == id)
            give_up(b, "no window");
    }
    atomic_store(&b->step, 1);
    if (h2_read_type(b, NGHTTP2_WINDOW_UPDATE))
        h2_data(b, END_STREAM, id, "end");
    h2_read_end(b);
}

static bool is_filled(void *arg)
{
    struct caller *c = arg;
    dp_loop_settle(&c->bench->loop);
    return c->heads > 0;
}

static void a_caller_that_does_not_read_holds_the_backend_back(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, fill_the_window);
    ask(&c, &bench);
    c.manual = true;
    caller_start(&c);
    bench_until(&bench, is_filled, &c);
    while (atomic_load(&b.step) == 0 && !atomic_load(&b.gave_up))
        ev_run(bench.loop.ev, EVRUN_NOWAIT);
    dp_upstream_read_body(&c.call, true);
    c.to_send = 1;
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(gw_buf_len(&c.body), DP_UH2_STREAM_WINDOW + 3);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void refuse_and_hear_the_end(struct backend *b)
{
    uint32_t id = accept_tunnel(b);
    h2_head(b, 0, id, ":status", "403");
    h2_data(b, END_STREAM, id, "no");
    do {
        if (!h2_read(b))
            give_up(b, "the end");
        else if (seen_frame.type == NGHTTP2_RST_STREAM)
            give_up(b, "no reset");
        else
            continue;
        return;
    } while (seen_frame.type != NGHTTP2_DATA || !(seen_frame.flags & END_STREAM));
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void another_answer_is_an_ordinary_one_and_no_reset_follows(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, refuse_and_hear_the_end);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.status, 403);
    assert_str(gw_buf_view(&c.body), "no");
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
}

static void take_no_tunnels(struct backend *b)
{
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void who_takes_no_tunnels_is_not_asked(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, take_no_tunnels);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_NO_TUNNEL);
    assert_int_equal(c.call.bytes_out, 0);
    assert_int_equal(c.call.attempts, 1);
    caller_done(&c);
    ask(&c, &bench); /* the same on a session that is there */
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_NO_TUNNEL);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
    assert_int_equal(atomic_load(&b.requests), 1);
}

static void ask_for_http1(struct backend *b)
{
    h2_reset(b, accept_tunnel(b), NGHTTP2_HTTP_1_1_REQUIRED);
    h2_read_end(b);
}

static void who_asks_for_http1_takes_no_tunnels(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, ask_for_http1);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_NO_TUNNEL);
    assert_int_equal(c.heads, 0);
    caller_done(&c);
    bench_done(&bench);
    backend_join(&b);
    backend_done(&b);
}

static void answer_no_ping(struct backend *b)
{
    open_tunnel(b, accept_tunnel(b));
    while (h2_read(b)) {
    }
}

static void a_dead_session_is_no_silence_of_the_tunnel(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    bench_init(&bench, (struct dp_upstreams_options){.ping_after_ms = 50, .ping_timeout_ms = 50});
    backend_start(&b, answer_no_ping);
    bench_member(&bench, "127.0.0.1", b.port);
    ask(&c, &bench);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_RESET);
    assert_int_equal(stats_of(&bench)->h2_dead, 1);
    assert_int_equal(stats_of(&bench)->stream_timeouts, 0);
    caller_done(&c);
    bench_end(&bench, &b);
}

/* ---- over TLS there is another protocol to agree on */

static bool speaks_http1;

/* HTTP/2 to whom offers it, HTTP/1.1 to nobody or to whom offers that. */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                  const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char wanted[] = "\x02h2\x08http/1.1";
    (void)ssl, (void)arg;
    unsigned len = speaks_http1 ? sizeof(wanted) - 1 : 3;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, wanted, len, in,
                                 in_len) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool has_agreed_on_http1(struct backend *b)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(b->ssl, &name, &len);
    return len == 8 && memcmp(name, "http/1.1", 8) == 0;
}

static void switch_by_http1(struct backend *b)
{
    backend_accept(b);
    if (has_agreed_on_http1(b) != speaks_http1)
        give_up(b, "the protocol");
    if (!speaks_http1)
        return;
    backend_read_head(b);
    if (!seen_has(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        give_up(b, "no request to upgrade");
    backend_say(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\n\r\nhi");
    backend_shutdown(b);
}

/* Its session stays open meanwhile. */
static void switch_over_tls(struct backend *b)
{
    h2_accept(b);
    int fd = b->fd;
    SSL *ssl = b->ssl;
    b->fd = -1;
    b->ssl = NULL;
    switch_by_http1(b);
    SSL_free(ssl);
    close(fd);
}

static void ask_over_tls(bool http1, int failure)
{
    struct bench bench;
    struct backend b;
    struct caller c;
    struct authority ca;
    speaks_http1 = http1;
    authority_init(&ca);
    SSL_CTX *server = new_server(&ca, "IP:127.0.0.1", 1);
    SSL_CTX_set_alpn_select_cb(server, choose, NULL);
    bench_init(&bench, (struct dp_upstreams_options){.ca_file = ca.file});
    backend_start_tls(&b, switch_over_tls, server);
    bench_member(&bench, "127.0.0.1", b.port);
    ask(&c, &bench);
    c.request.tls = true;
    c.request.retry_count = 0;
    c.to_send = 1;
    caller_run(&c);
    assert_int_equal(c.failure, failure);
    assert_int_equal(c.call.attempts, 2);
    if (failure < 0)
        assert_int_equal(c.status, 101);
    caller_done(&c);
    bench_done(&bench);
    backend_join(&b);
    backend_done(&b);
    SSL_CTX_free(server);
    authority_done(&ca);
}

static void over_tls_http1_is_tried_instead(void **state)
{
    (void)state;
    ask_over_tls(true, -1);
}

static void and_may_be_refused(void **state)
{
    (void)state;
    ask_over_tls(false, DP_FAILURE_NO_TUNNEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_flow_both_ways_and_the_caller_ends_first),
        cmocka_unit_test(the_backend_may_end_first_and_still_listen),
        cmocka_unit_test(a_head_may_open_a_tunnel_and_end_a_way_of_it),
        cmocka_unit_test(a_reset_fails_the_call_and_not_the_session),
        cmocka_unit_test(a_reset_behind_the_end_closes_the_other_way),
        cmocka_unit_test(who_cancels_resets),
        cmocka_unit_test(a_backend_that_does_not_read_holds_the_caller_back),
        cmocka_unit_test(a_caller_that_does_not_read_holds_the_backend_back),
        cmocka_unit_test(another_answer_is_an_ordinary_one_and_no_reset_follows),
        cmocka_unit_test(who_takes_no_tunnels_is_not_asked),
        cmocka_unit_test(who_asks_for_http1_takes_no_tunnels),
        cmocka_unit_test(a_dead_session_is_no_silence_of_the_tunnel),
        cmocka_unit_test(over_tls_http1_is_tried_instead),
        cmocka_unit_test(and_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
