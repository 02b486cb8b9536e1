/* SPDX-License-Identifier: Apache-2.0 */
/* A session over a pair of sockets, whose requests the test answers when it likes. */
#include "dataplane/downstream/h2_stream.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define REQUESTS_MAX 8
#define PREFACE DP_H2_PREFACE "\0\0\0\4\0\0\0\0\0"
/* :method GET, :scheme http, :path /, :authority a */
#define FIELDS "\x82\x86\x84\x41\x01\x61"
#define GET(id) "\0\0\6\1\5\0\0\0" id FIELDS
#define POST(id) "\0\0\6\1\4\0\0\0" id "\x83\x86\x84\x41\x01\x61"
#define RESET(id) "\0\0\4\3\0\0\0\0" id "\0\0\0\x08"
#define DATA(id) "\0\0\2\0\0\0\0\0" id "hi"

struct request {
    struct dp_downstream *downstream;
    struct dp_request_head head;
    struct gw_arena arena;
    bool begun, has_head, gone, sent;
    ptrdiff_t error;
    size_t body_bytes;
};

static struct fixture {
    struct dp_loop loop;
    struct dp_server server;
    int fd;
    struct request requests[REQUESTS_MAX];
    unsigned count;
    char got[64 * 1024];
    size_t got_len;
} f;

static void *on_begin(struct dp_downstream *downstream, struct dp_request_head **ret_head,
                      struct gw_arena **ret_arena)
{
    struct request *request = &f.requests[f.count++];
    assert_true(f.count <= REQUESTS_MAX);
    request->downstream = downstream;
    request->begun = true;
    gw_arena_init(&request->arena, 0);
    *ret_head = &request->head;
    *ret_arena = &request->arena;
    return request;
}

static void on_head(void *arg)
{
    struct request *request = arg;
    request->has_head = true;
}

static void on_body(void *arg, gw_str data, bool last)
{
    struct request *request = arg;
    (void)last;
    request->body_bytes += data.len;
}

static void on_fault(void *arg, enum dp_downstream_fault fault, ptrdiff_t error)
{
    struct request *request = arg;
    request->gone = fault == DP_FAULT_GONE;
    request->error = error;
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_sent(void *arg)
{
    struct request *request = arg;
    request->sent = true;
    dp_downstream_finish(request->downstream);
}

static const struct dp_handler handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .fault = on_fault,
    .drained = on_drained,
    .sent = on_sent,
};

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        ev_run(f.loop.ev, EVRUN_NOWAIT);
}

static void say_bytes(const char *bytes, size_t len)
{
    assert_int_equal(send(f.fd, bytes, len, 0), len);
    turn();
}
#define SAY(literal) say_bytes((literal), sizeof(literal) - 1)

/* What one read gives; f.got_len is 0 when there is nothing. */
static void hear(void)
{
    ssize_t n = recv(f.fd, f.got, sizeof(f.got), MSG_DONTWAIT);
    f.got_len = n > 0 ? (size_t)n : 0;
}

static unsigned frames_of(uint8_t type)
{
    unsigned count = 0;
    for (size_t at = 0; at + DP_H2_FRAME_HEAD <= f.got_len;) {
        const uint8_t *head = (const uint8_t *)f.got + at;
        count += head[3] == type;
        at += DP_H2_FRAME_HEAD + ((size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2]);
    }
    return count;
}

static int set_up(void **state)
{
    static const struct dp_caller caller; /* from nowhere */
    int fds[2];
    (void)state;
    f = (struct fixture){0};
    assert_int_equal(dp_loop_init(&f.loop), 0);
    dp_server_init(&f.server, &f.loop, &handler, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    f.fd = fds[1];
    dp_server_accept(&f.server, fds[0], &caller, NULL);
    SAY(PREFACE);
    hear();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(f.fd);
    dp_server_close(&f.server);
    dp_loop_done(&f.loop);
    for (unsigned i = 0; i < f.count; i++)
        gw_arena_done(&f.requests[i].arena);
    return 0;
}

static struct dp_h2_session *session(void)
{
    return gw_container_of(f.server.connections.next, struct dp_connection, node)->h2;
}

static void answer(struct request *request, gw_str body)
{
    struct dp_response_head head = {.status = 200};
    struct dp_downstream_answer answer = {
        .head = &head, .kind = DP_BODY_LENGTH, .length = body.len};
    dp_headers_init(&head.headers, &request->arena);
    dp_downstream_send_head(request->downstream, &answer);
    dp_downstream_send_body(request->downstream, body);
    dp_downstream_send_end(request->downstream, NULL);
}

static void answers_of_one_turn_leave_in_one_write(void **state)
{
    (void)state;
    SAY(GET("\1") GET("\3") GET("\5"));
    assert_int_equal(f.count, 3);
    for (unsigned i = 0; i < f.count; i++) {
        answer(&f.requests[i], GW_STR("body"));
        hear(); /* nothing yet */
        assert_int_equal(f.got_len, 0);
    }
    turn();
    hear();
    assert_int_equal(frames_of(NGHTTP2_HEADERS), 3);
    assert_int_equal(frames_of(NGHTTP2_DATA), 3);
    assert_true(f.requests[0].sent && f.requests[2].sent);
    assert_int_equal(session()->stream_count, 0);
}

static void an_idle_session_holds_no_buffers(void **state)
{
    (void)state;
    SAY(GET("\1"));
    answer(&f.requests[0], GW_STR("body"));
    turn();
    assert_null(session()->connection->conn.input.block);
    assert_null(session()->connection->conn.output);
    assert_int_equal(f.server.h2_open, 0);
}

static void a_body_waits_until_it_is_asked_for(void **state)
{
    (void)state;
    SAY(POST("\1") DATA("\1"));
    assert_int_equal(f.requests[0].body_bytes, 0);
    dp_downstream_read_body(f.requests[0].downstream, true);
    assert_int_equal(f.requests[0].body_bytes, 0); /* never from within the call */
    dp_loop_settle(&f.loop);
    assert_int_equal(f.requests[0].body_bytes, 2);
    SAY(DATA("\1"));
    assert_int_equal(f.requests[0].body_bytes, 4);
}

static void what_is_taken_back_is_told(void **state)
{
    (void)state;
    SAY(GET("\1") GET("\3"));
    SAY(RESET("\1"));
    assert_true(f.requests[0].gone && !f.requests[1].gone);
    assert_int_equal(f.requests[0].error, 0);
    assert_int_equal(f.server.stats.h2_resets, 1);
    assert_int_equal(session()->stream_count, 1);
}

static void who_gave_up_after_a_while_is_no_flood(void **state)
{
    (void)state;
    struct dp_h2_session *s = session();
    SAY(GET("\1") GET("\3"));
    int32_t before = s->guard.resets.left;
    gw_container_of(s->streams.next, struct dp_h2_stream, node)->began_ms -= 1000;
    SAY(RESET("\1"));
    assert_int_equal(s->guard.resets.left, before);
    SAY(RESET("\3"));
    assert_int_equal(s->guard.resets.left, before - 1);
    assert_int_equal(f.server.stats.h2_resets, 2);
}

/* nghttp2 says nothing of requests that come too late. */
static void what_comes_after_the_last_goaway_harms_nobody(void **state)
{
    (void)state;
    SAY(GET("\1"));
    dp_server_close_idle(&f.server);
    turn();
    SAY(POST("\3"));
    SAY(DATA("\3"));
    assert_int_equal(f.count, 1);
    assert_int_equal(session()->phase, DP_H2_LEAVING);
    hear();
    answer(&f.requests[0], GW_STR("body"));
    turn();
    assert_true(f.requests[0].sent);
}

/* The caller takes no bytes, so that it cannot know of the refusal. */
static void what_is_sent_to_a_refused_stream_harms_nobody(void **state)
{
    (void)state;
    static char body[512 * 1024];
    SAY("\0\0\6\4\0\0\0\0\0\0\4\x7f\xff\xff\xff"     /* INITIAL_WINDOW_SIZE */
        "\0\0\4\x08\0\0\0\0\0\x7f\0\0\0" GET("\1")); /* WINDOW_UPDATE */
    answer(&f.requests[0], gw_str_n(body, sizeof(body)));
    turn();
    assert_true(session()->connection->conn.blocked);
    f.server.limits.connections_max = 1;
    SAY(POST("\3"));
    SAY(DATA("\3") DATA("\3"));
    assert_int_equal(f.server.stats.h2_refused, 1);
    assert_int_equal(session()->guard.code, NGHTTP2_NO_ERROR);
    assert_int_equal(session()->phase, DP_H2_OPEN);
    while (hear(), f.got_len > 0)
        turn();
    assert_true(f.requests[0].sent);
}

/* An empty last frame waits for a window as others do. */
static void an_end_that_may_not_be_sent_has_a_timeout(void **state)
{
    (void)state;
    struct dp_response_head head = {.status = 200};
    struct dp_downstream_answer streamed = {.head = &head, .kind = DP_BODY_CHUNKED};
    SAY("\0\0\6\4\0\0\0\0\0\0\4\0\0\0\4" GET("\1")); /* INITIAL_WINDOW_SIZE */
    struct dp_h2_stream *stream = dp_h2_stream_of(f.requests[0].downstream);
    dp_headers_init(&head.headers, &f.requests[0].arena);
    dp_downstream_send_head(&stream->downstream, &streamed);
    dp_downstream_send_body(&stream->downstream, GW_STR("body"));
    turn();
    assert_false(dp_timer_is_armed(&stream->timer)); /* more of it is the backend's turn */
    dp_downstream_send_end(&stream->downstream, NULL);
    turn();
    assert_false(f.requests[0].sent);
    assert_true(dp_timer_is_armed(&stream->timer));
    f.loop.now_ms += f.server.limits.write_timeout_ms;
    stream->timer.expired(&stream->timer);
    turn();
    assert_true(f.requests[0].gone);
    assert_int_equal(f.server.stats.write_timeouts, 1);
}

/* As an exchange would, the test might go on writing until it hears of the end. */
static void an_answer_to_nobody_is_dropped(void **state)
{
    (void)state;
    SAY(GET("\1"));
    assert_int_equal(send(f.fd, RESET("\1"), 13, 0), 13);
    answer(&f.requests[0], GW_STR("body"));
    turn();
    assert_true(f.requests[0].gone || f.requests[0].sent);
    assert_int_equal(session()->unsent, 0);
    assert_int_equal(session()->stream_count, 0);
}

static void closed_streams_are_remembered(void **state)
{
    (void)state;
    struct dp_h2_session *s = session();
    s->guard.last_id = 1001;
    dp_h2_closed_add(s, 999, true);
    dp_h2_closed_add(s, 997, false);
    assert_true(dp_h2_closed_check(s, 1003));
    assert_true(dp_h2_closed_check(s, 997));
    assert_false(dp_h2_closed_check(s, 999));
    assert_int_equal(s->guard.code, NGHTTP2_STREAM_CLOSED);
    assert_false(dp_h2_closed_check(s, 995));
    assert_int_equal(s->guard.code, NGHTTP2_PROTOCOL_ERROR);
    for (int32_t id = 1; id <= 2 * DP_H2_CLOSED_KEPT; id += 2)
        dp_h2_closed_add(s, id, true);
    assert_true(dp_h2_closed_check(s, 995)); /* it may have been one of the forgotten */
    s->guard.code = NGHTTP2_NO_ERROR;
}

static void allowances_come_back_with_time(void **state)
{
    (void)state;
    struct dp_h2_session *s = session();
    unsigned taken = 0;
    while (dp_h2_flood_reset(s))
        taken++;
    assert_int_equal(taken, 500);
    assert_int_equal(f.server.stats.h2_floods[DP_H2_FLOOD_RESETS], 1);
    f.loop.now_ms += 1000;
    for (unsigned i = 0; i < 50; i++)
        assert_true(dp_h2_flood_reset(s));
    assert_false(dp_h2_flood_reset(s));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_of_one_turn_leave_in_one_write),
        TEST(an_idle_session_holds_no_buffers),
        TEST(a_body_waits_until_it_is_asked_for),
        TEST(what_is_taken_back_is_told),
        TEST(who_gave_up_after_a_while_is_no_flood),
        TEST(an_answer_to_nobody_is_dropped),
        TEST(closed_streams_are_remembered),
        TEST(allowances_come_back_with_time),
        TEST(what_comes_after_the_last_goaway_harms_nobody),
        TEST(what_is_sent_to_a_refused_stream_harms_nobody),
        TEST(an_end_that_may_not_be_sent_has_a_timeout),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
