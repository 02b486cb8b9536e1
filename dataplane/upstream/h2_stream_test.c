/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange over HTTP/2: what goes over the wire, and what becomes of it. */
#include "dataplane/upstream/h2_testing.h"

static void answer_two(struct backend *b)
{
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void a_session_is_used_again(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    run_with(&bench, &b, answer_two);
    h2_get_ok(&bench, "hello");
    h2_get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->connects, 1);
    assert_int_equal(stats_of(&bench)->reuses, 1);
    assert_int_equal(stats_of(&bench)->h2_sessions, 1);
    assert_int_equal(stats_of(&bench)->h2_streams, 0);
    assert_int_equal(stats_of(&bench)->h2_requests, 2);
    bench_end(&bench, &b);
}

static void answer_hello(struct backend *b)
{
    h2_accept(b);
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void the_head_is_as_it_was_given(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    char want[256];
    run_with(&bench, &b, answer_hello);
    h2_caller_init(&c, &bench, DP_METHOD_PUT);
    c.request.line.target = GW_STR("/a/b?c=d");
    dp_headers_add(&c.headers, GW_STR("Host"), GW_STR("other"));
    dp_headers_add(&c.headers, GW_STR("Content-Type"), GW_STR("a/b"));
    dp_headers_add(&c.headers, GW_STR("Connection"), GW_STR("close"));
    dp_headers_add(&c.headers, GW_STR("TE"), GW_STR("trailers"));
    caller_body(&c, 0, DP_BODY_LENGTH);
    caller_run(&c);
    bench_done(&bench);
    backend_join(&b);
    snprintf(want, sizeof(want),
             ":method: PUT\n:scheme: http\n:authority: 127.0.0.1:%u\n:path: /a/b?c=d\n"
             "content-type: a/b\nte: trailers\ncontent-length: 0\n",
             b.port);
    assert_string_equal(seen_head.text, want);
    assert_true(c.call.sent_ns >= c.call.started_ns && c.call.head_ns >= c.call.sent_ns);
    assert_true(c.call.bytes_out > 20 && c.call.bytes_in > 20);
    caller_done(&c);
    backend_done(&b);
}

static void answer_with_all(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    h2_head(b, 0, id, ":status", "100");
    h2_head(b, 0, id, ":status", "103", "link", "</a>");
    h2_head(b, 0, id, ":status", "200", "content-type", "a/b", "x-own", "1");
    h2_data(b, 0, id, "hel");
    h2_data(b, 0, id, "");
    h2_data(b, 0, id, "lo");
    h2_head(b, END_STREAM, id, "grpc-status", "0", "x-sum", "5", "date", "never");
    h2_read_end(b);
}

static unsigned interims;

static void on_interim(struct dp_upstream_call *call)
{
    assert_int_equal(call->head.status, 103);
    interims++;
}

static void an_answer_has_interims_and_trailers(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    struct dp_upstream_events events = caller_events;
    events.interim = on_interim;
    interims = 0;
    run_with(&bench, &b, answer_with_all);
    h2_caller_init(&c, &bench, DP_METHOD_GET);
    dp_upstream_start(bench.upstreams, &c.call, &c.request, &events, &c.arena);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(interims, 1);
    assert_str(gw_buf_view(&c.body), "hello");
    assert_int_equal(c.call.framing.kind, DP_BODY_CHUNKED);
    assert_str(dp_headers_value(&c.call.head.headers, DP_HEADER_CONTENT_TYPE), "a/b");
    const struct dp_headers *trailers = dp_upstream_trailers(&c.call);
    assert_int_equal(trailers->count, 2);
    assert_str(trailers->items[1].name, "x-sum");
    caller_done(&c);
    bench_end(&bench, &b);
}

static void answer_with_a_head_alone(struct backend *b)
{
    h2_accept(b);
    h2_head(b, END_STREAM, h2_request(b), ":status", "200", "grpc-status", "12");
    h2_read_end(b);
}

static void an_answer_may_be_a_head_alone(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_with_a_head_alone);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_int_equal(c.call.framing.kind, DP_BODY_LENGTH);
    assert_int_equal(c.call.framing.length, 0);
    assert_str(dp_headers_value(&c.call.head.headers, DP_HEADER_GRPC_STATUS), "12");
    caller_done(&c);
    bench_end(&bench, &b);
}

static size_t body_bytes;

/* Reads a request's body to its end; gives windows back. */
static void read_body(struct backend *b, uint32_t id)
{
    body_bytes = 0;
    do {
        if (!h2_read(b))
            return;
        if (seen_frame.type == NGHTTP2_DATA && seen_frame.len > 0) {
            body_bytes += seen_frame.len;
            h2_window(b, 0, seen_frame.len);
            h2_window(b, id, seen_frame.len);
        }
    } while (seen_frame.id != id || !(seen_frame.flags & END_STREAM));
}

static void answer_an_upload(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    read_body(b, id);
    h2_hello(b, id);
    h2_read_end(b);
}

#define UPLOAD_BYTES (1024 * 1024)

static void a_body_goes_through_windows(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_an_upload);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, UPLOAD_BYTES, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_true(c.most < DP_CONN_HIGH_WATER + PUSH_BYTES);
    caller_done(&c);
    bench_end(&bench, &b);
    assert_int_equal(body_bytes, UPLOAD_BYTES);
}

static void read_until_window_is_used(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    for (body_bytes = 0; body_bytes < 65535 && h2_read(b);)
        body_bytes += seen_frame.type == NGHTTP2_DATA ? seen_frame.len : 0;
    backend_wait(b, 1);
    h2_window(b, 0, UPLOAD_BYTES);
    h2_window(b, id, UPLOAD_BYTES);
    read_body(b, id);
    h2_hello(b, id);
    h2_read_end(b);
}

static bool is_paused(void *arg)
{
    struct caller *c = arg;
    push_body(c);
    dp_loop_settle(&c->bench->loop);
    return c->sent > 65535 && !c->wants;
}

static void without_a_window_the_body_waits(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, read_until_window_is_used);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, UPLOAD_BYTES, DP_BODY_CHUNKED);
    caller_start(&c);
    bench_until(&bench, is_paused, &c);
    assert_true(c.sent < 65536 + DP_CONN_HIGH_WATER + PUSH_BYTES);
    atomic_store(&b.step, 1);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void take_nothing(struct backend *b)
{
    h2_accept(b);
    (void)h2_request(b);
    (void)h2_read_type(b, NGHTTP2_RST_STREAM);
    h2_read_end(b);
}

static void a_backend_that_takes_nothing_is_given_up(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, take_nothing);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    c.request.timeout_ms = 100;
    caller_body(&c, UPLOAD_BYTES, DP_BODY_CHUNKED);
    caller_run(&c);
    assert_int_equal(c.failure, DP_FAILURE_TIMEOUT);
    caller_done(&c);
    bench_end(&bench, &b);
}

static void check_trailers(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    read_body(b, id);
    h2_hello(b, id);
    h2_read_end(b);
}

static void a_request_has_trailers(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    struct dp_headers trailers;
    run_with(&bench, &b, check_trailers);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    dp_headers_init(&trailers, &c.arena);
    dp_headers_add(&trailers, GW_STR("X-Sum"), GW_STR("4"));
    caller_body(&c, 0, DP_BODY_CHUNKED);
    caller_start(&c);
    dp_upstream_send_body(&c.call, GW_STR("body"), true, &trailers);
    caller_finish(&c);
    assert_int_equal(c.failure, -1);
    caller_done(&c);
    bench_done(&bench);
    backend_join(&b);
    assert_string_equal(seen_head.text, "x-sum: 4\n");
    assert_int_equal(body_bytes, 4);
    backend_done(&b);
}

static void send_beyond_the_window(struct backend *b)
{
    static char much[16384];
    h2_accept(b);
    uint32_t slow = h2_request(b);
    h2_head(b, 0, slow, ":status", "200");
    memset(much, 'x', sizeof(much));
    for (unsigned sent = 0; sent < DP_UH2_STREAM_WINDOW; sent += sizeof(much))
        h2_send(b, NGHTTP2_DATA, 0, slow, gw_str_n(much, sizeof(much)));
    h2_hello(b, h2_request(b)); /* others go on */
    while (h2_read_type(b, NGHTTP2_WINDOW_UPDATE) && seen_frame.id != slow) {
    }
    h2_data(b, END_STREAM, slow, "end");
    h2_read_end(b);
}

static void who_does_not_read_holds_up_nobody(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller slow;
    run_with(&bench, &b, send_beyond_the_window);
    h2_caller_init(&slow, &bench, DP_METHOD_GET);
    slow.manual = true;
    caller_start(&slow);
    bench_until(&bench, caller_has_head, &slow);
    h2_get_ok(&bench, "hello");
    assert_int_equal(gw_buf_len(&slow.body), 0);
    dp_upstream_read_body(&slow.call, true);
    caller_finish(&slow);
    assert_int_equal(gw_buf_len(&slow.body), DP_UH2_STREAM_WINDOW + 3);
    assert_int_equal(stats_of(&bench)->connects, 1);
    caller_done(&slow);
    bench_end(&bench, &b);
}

static void expect_cancel(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    h2_head(b, 0, id, ":status", "200");
    if (h2_read_type(b, NGHTTP2_RST_STREAM) &&
        (seen_frame.id != id || seen_frame.payload[3] != NGHTTP2_CANCEL))
        give_up(b, "CANCEL");
    h2_data(b, END_STREAM, id, "late");
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void a_cancelled_call_leaves_the_session(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, expect_cancel);
    h2_caller_init(&c, &bench, DP_METHOD_GET);
    c.cancel_in_head = true;
    caller_run(&c);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    assert_int_equal(stats_of(&bench)->connects, 1);
    bench_end(&bench, &b);
}

static void answer_before_the_body(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    h2_hello(b, id);
    (void)h2_read_type(b, NGHTTP2_RST_STREAM); /* it gives up by itself */
    h2_hello(b, h2_request(b));
    h2_read_end(b);
}

static void an_answer_may_come_before_the_body(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, answer_before_the_body);
    h2_caller_init(&c, &bench, DP_METHOD_POST);
    caller_body(&c, UPLOAD_BYTES, DP_BODY_LENGTH);
    caller_run(&c);
    assert_int_equal(c.failure, -1);
    assert_str(gw_buf_view(&c.body), "hello");
    assert_true(c.sent < UPLOAD_BYTES);
    caller_done(&c);
    h2_get_ok(&bench, "hello");
    bench_end(&bench, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_used_again),
        cmocka_unit_test(the_head_is_as_it_was_given),
        cmocka_unit_test(an_answer_has_interims_and_trailers),
        cmocka_unit_test(an_answer_may_be_a_head_alone),
        cmocka_unit_test(a_body_goes_through_windows),
        cmocka_unit_test(without_a_window_the_body_waits),
        cmocka_unit_test(a_backend_that_takes_nothing_is_given_up),
        cmocka_unit_test(a_request_has_trailers),
        cmocka_unit_test(who_does_not_read_holds_up_nobody),
        cmocka_unit_test(a_cancelled_call_leaves_the_session),
        cmocka_unit_test(an_answer_may_come_before_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
