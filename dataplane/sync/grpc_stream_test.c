/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/grpc_stream.h"

#include "dataplane/sync/fake_controlplane.h"

#include <errno.h>

struct fixture {
    struct fake fake;
    struct dp_grpc_stream *stream;
    size_t step; /* bytes per receive; 0: all there are */
    unsigned messages;
    size_t bytes;  /* of the messages */
    char last[64]; /* the last message's beginning */
    bool refuses;  /* on_message answers -1 */
    unsigned ends;
    struct gw_error ended;
};

static int on_message(void *user, gw_str bytes, struct gw_error *err)
{
    struct fixture *f = user;
    f->messages++;
    f->bytes += bytes.len;
    snprintf(f->last, sizeof(f->last), "%.*s", (int)GW_MIN(bytes.len, (size_t)60), bytes.ptr);
    return f->refuses ? gw_fail(err, GW_FAILED_PRECONDITION, "not this one") : 0;
}

static void on_end(void *user, const struct gw_error *status)
{
    struct fixture *f = user;
    f->ends++;
    f->ended = *status;
}

static const struct dp_grpc_events events = {.on_message = on_message, .on_end = on_end};

static bool client_to_server(struct fixture *f)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_str bytes;
    assert_int_equal(dp_grpc_stream_output(f->stream, &bytes, &err), 0);
    if (bytes.len > 0)
        assert_int_equal(
            nghttp2_session_mem_recv(f->fake.session, (const uint8_t *)bytes.ptr, bytes.len),
            (ssize_t)bytes.len);
    return bytes.len > 0;
}

static bool server_to_client(struct fixture *f)
{
    struct gw_error err = GW_ERROR_NONE;
    const uint8_t *data;
    ssize_t len = nghttp2_session_mem_send(f->fake.session, &data);
    assert_true(len >= 0);
    size_t step = f->step ? f->step : (size_t)len;
    for (size_t at = 0; at < (size_t)len; at += step) {
        size_t n = GW_MIN(step, (size_t)len - at);
        assert_int_equal(
            dp_grpc_stream_receive(f->stream, gw_str_n((const char *)data + at, n), &err), 0);
    }
    return len > 0;
}

/* Until neither has anything to say. */
static void pump(struct fixture *f)
{
    for (bool busy = true; busy;) {
        busy = client_to_server(f);
        busy |= server_to_client(f);
    }
}

static int set_up(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    fake_init(&f->fake);
    f->stream = dp_grpc_stream_new("cp:9440", "/a.B/Stream", false, &events, f);
    pump(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    dp_grpc_stream_free(f->stream);
    fake_done(&f->fake);
    free(f);
    return 0;
}

static void the_request_is_a_grpc_call(void **state)
{
    struct fixture *f = *state;
    gw_str message;
    assert_string_equal(f->fake.path, "/a.B/Stream");
    assert_string_equal(f->fake.authority, "cp:9440");
    assert_string_equal(f->fake.content_type, "application/grpc");
    assert_string_equal(f->fake.te, "trailers");
    assert_int_equal(dp_grpc_stream_send(f->stream, GW_STR("hello")), 0);
    pump(f);
    assert_true(fake_next(&f->fake, &message));
    assert_int_equal(message.len, 5);
    assert_memory_equal(message.ptr, "hello", 5);
}

static void messages_come_whole_however_they_are_cut(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    for (f->step = 1; f->step < 40; f->step++) {
        fake_say(&f->fake, GW_STR("first"));
        fake_say(&f->fake, GW_STR(""));
        fake_say(&f->fake, GW_STR("third"));
        pump(f);
        assert_int_equal(f->messages, f->step * 3);
        assert_string_equal(f->last, "third");
    }
    assert_int_equal(f->ends, 0);
}

static void a_message_beyond_the_limit_ends_the_stream_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    fake_say_prefix(&f->fake, 0, DP_GRPC_MESSAGE_BYTES_MAX + 1);
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_RESOURCE_EXHAUSTED);
    assert_int_equal(f->messages, 0);
}

static void what_is_no_message_ends_the_stream(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    fake_say_prefix(&f->fake, 1, 4);
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_INTERNAL);
}

static void a_refused_message_ends_the_stream_once(void **state)
{
    struct fixture *f = *state;
    f->refuses = true;
    fake_answer(&f->fake, "200");
    fake_say(&f->fake, GW_STR("one"));
    fake_say(&f->fake, GW_STR("two"));
    fake_end(&f->fake, "0", "");
    pump(f);
    assert_int_equal(f->messages, 1);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_FAILED_PRECONDITION);
}

static void the_servers_status_is_told(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    fake_end(&f->fake, "7", "no, 100%25 caf%C3%A9 %zz");
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_PERMISSION_DENIED);
    assert_string_equal(f->ended.message, "no, 100% caf\xc3\xa9 %zz");
}

static void an_end_without_a_status_is_unavailable(void **state)
{
    struct fixture *f = *state;
    nghttp2_nv headers[] = {FAKE_NV(":status", "503")};
    assert_int_equal(nghttp2_submit_response(f->fake.session, f->fake.id, headers, 1, NULL), 0);
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_UNAVAILABLE);
    assert_non_null(strstr(f->ended.message, "503"));
}

static void a_body_that_is_no_grpc_is_not_read_as_messages(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "502");
    fake_say(&f->fake, GW_STR("looks like one"));
    pump(f);
    assert_int_equal(f->messages, 0);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_UNAVAILABLE);
    assert_non_null(strstr(f->ended.message, "502"));
}

static void a_reset_is_told(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    assert_int_equal(
        nghttp2_submit_rst_stream(f->fake.session, 0, f->fake.id, NGHTTP2_ENHANCE_YOUR_CALM), 0);
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_non_null(strstr(f->ended.message, "ENHANCE_YOUR_CALM"));
}

static void goaway_ends_only_a_stream_that_was_not_taken(void **state)
{
    struct fixture *f = *state;
    fake_answer(&f->fake, "200");
    assert_int_equal(nghttp2_submit_goaway(f->fake.session, 0, f->fake.id, 0, NULL, 0), 0);
    fake_say(&f->fake, GW_STR("still here"));
    pump(f);
    assert_int_equal(f->messages, 1);
    assert_int_equal(f->ends, 0);
    assert_int_equal(nghttp2_submit_goaway(f->fake.session, 0, 0, 0, NULL, 0), 0);
    pump(f);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->ended.code, GW_UNAVAILABLE);
}

static void garbage_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct gw_error err = GW_ERROR_NONE;
    static const char http1[] =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html></html>";
    struct dp_grpc_stream *stream = dp_grpc_stream_new("cp:1", "/", false, &events, f);
    gw_str bytes = GW_STR(http1);
    assert_int_equal(dp_grpc_stream_output(stream, &bytes, &err), 0);
    assert_int_equal(dp_grpc_stream_receive(stream, GW_STR(http1), &err), 0);
    while (bytes.len > 0 && dp_grpc_stream_output(stream, &bytes, &err) == 0)
        ;
    assert_true(err.code == GW_UNAVAILABLE || f->ends == 1);
    dp_grpc_stream_free(stream);
}

static void a_missing_pong_is_noticed(void **state)
{
    struct fixture *f = *state;
    assert_true(dp_grpc_stream_ping(f->stream));
    pump(f);
    assert_true(dp_grpc_stream_ping(f->stream));
    assert_false(dp_grpc_stream_ping(f->stream));
    pump(f);
    assert_true(dp_grpc_stream_ping(f->stream));
}

static void large_messages_pass_both_ways_through_flow_control(void **state)
{
    struct fixture *f = *state;
    size_t len = 3 * 1024 * 1024;
    char *text = gw_malloc(len);
    memset(text, 'x', len);
    fake_answer(&f->fake, "200");
    for (unsigned i = 0; i < 5; i++)
        fake_say(&f->fake, gw_str_n(text, len));
    for (size_t queued = 0; queued + len + 1024 < DP_GRPC_OUTPUT_BYTES_MAX; queued += len)
        assert_int_equal(dp_grpc_stream_send(f->stream, gw_str_n(text, len)), 0);
    assert_int_equal(dp_grpc_stream_send(f->stream, gw_str_n(text, len)), -ENOBUFS);
    pump(f);
    assert_int_equal(f->messages, 5);
    assert_int_equal(f->bytes, 5 * len);
    gw_str got;
    assert_true(fake_next(&f->fake, &got));
    assert_int_equal(got.len, len);
    assert_int_equal(f->ends, 0);
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_request_is_a_grpc_call),
        TEST(messages_come_whole_however_they_are_cut),
        TEST(a_message_beyond_the_limit_ends_the_stream_before_it_is_read),
        TEST(what_is_no_message_ends_the_stream),
        TEST(a_refused_message_ends_the_stream_once),
        TEST(the_servers_status_is_told),
        TEST(an_end_without_a_status_is_unavailable),
        TEST(a_body_that_is_no_grpc_is_not_read_as_messages),
        TEST(a_reset_is_told),
        TEST(goaway_ends_only_a_stream_that_was_not_taken),
        TEST(garbage_is_an_error),
        TEST(a_missing_pong_is_noticed),
        TEST(large_messages_pass_both_ways_through_flow_control),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
