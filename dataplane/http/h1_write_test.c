/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_write.h"

#include "dataplane/http/h1_testing.h"

#include <errno.h>

struct fixture {
    struct gw_arena arena;
    struct gw_buf out;
    struct dp_headers headers;
};

static int setup(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof(*f));
    gw_arena_init(&f->arena, 0);
    gw_buf_init(&f->out, 0);
    dp_headers_init(&f->headers, &f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gw_buf_done(&f->out);
    gw_arena_done(&f->arena);
    free(f);
    return 0;
}

static void add(struct fixture *f, const char *name, const char *value)
{
    dp_headers_add(&f->headers, gw_str_from(name), gw_str_from(value));
}

static void assert_written(struct fixture *f, const char *want)
{
    assert_view(gw_buf_view(&f->out), gw_str_from(want), GW_STR("written"));
    gw_buf_clear(&f->out);
}

static const struct dp_h1_request_line get = {{"GET", 3}, {"/a?b", 4}, {"h:1", 3}};

static void write_request(struct fixture *f, struct dp_h1_framing framing)
{
    assert_int_equal(dp_h1_write_request(&f->out, &get, &f->headers, &framing), 0);
}

static void write_response(struct fixture *f, unsigned status, struct dp_h1_framing framing)
{
    assert_int_equal(dp_h1_write_response(&f->out, status, GW_STR(""), &f->headers, &framing), 0);
}

#define KEEP .minor = 1, .keep_alive = true

static void requests_are_framed_by_the_framing_alone(void **state)
{
    struct fixture *f = *state;
    add(f, "host", "other");
    add(f, "Content-Length", "99");
    add(f, "Transfer-Encoding", "gzip");
    add(f, "Connection", "close");
    add(f, "Keep-Alive", "9");
    add(f, "Expect", "x");
    add(f, "Upgrade", "h2c");
    add(f, "x", "y");
    write_request(f, (struct dp_h1_framing){.kind = DP_BODY_NONE, KEEP});
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nx: y\r\n\r\n");
    write_request(f, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 0, KEEP});
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nx: y\r\nContent-Length: 0\r\n\r\n");
    write_request(f,
                  (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = UINT64_MAX, .minor = 1});
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nx: y\r\n"
                      "Content-Length: 18446744073709551615\r\nConnection: close\r\n\r\n");
    write_request(f,
                  (struct dp_h1_framing){.kind = DP_BODY_CHUNKED, .expect_continue = true, KEEP});
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nx: y\r\nTransfer-Encoding: chunked\r\n"
                      "Expect: 100-continue\r\n\r\n");
    write_request(f, (struct dp_h1_framing){.kind = DP_BODY_NONE, .upgrade = true, KEEP});
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nx: y\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n");
}

static void responses_are_framed_by_the_framing_alone(void **state)
{
    struct fixture *f = *state;
    add(f, "Content-Length", "99");
    add(f, "Connection", "x");
    add(f, "Server", "s");
    write_response(f, 200, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 5, KEEP});
    assert_written(f, "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\n\r\n");
    write_response(f, 200, (struct dp_h1_framing){.kind = DP_BODY_CHUNKED, KEEP});
    assert_written(f, "HTTP/1.1 200 OK\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n");
    write_response(f, 200, (struct dp_h1_framing){.kind = DP_BODY_UNTIL_CLOSE, .minor = 1});
    assert_written(f, "HTTP/1.1 200 OK\r\nServer: s\r\nConnection: close\r\n\r\n");
    /* an answer to HEAD, or 304, says what the body would be */
    write_response(f, 304, (struct dp_h1_framing){.kind = DP_BODY_NONE, KEEP});
    assert_written(f, "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nServer: s\r\n\r\n");
    write_response(f, 204, (struct dp_h1_framing){.kind = DP_BODY_NONE, KEEP});
    assert_written(f, "HTTP/1.1 204 No Content\r\nServer: s\r\n\r\n");
    write_response(f, 103, (struct dp_h1_framing){.kind = DP_BODY_NONE, .minor = 1});
    assert_written(f, "HTTP/1.1 103 Early Hints\r\nServer: s\r\n\r\n");
    write_response(f, 101, (struct dp_h1_framing){.kind = DP_BODY_TUNNEL, .upgrade = true, KEEP});
    assert_written(f, "HTTP/1.1 101 Switching Protocols\r\nServer: s\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n");
    struct dp_h1_framing keep = {.kind = DP_BODY_LENGTH, KEEP};
    assert_int_equal(dp_h1_write_response(&f->out, 299, GW_STR("Fine"), &f->headers, &keep), 0);
    assert_written(f, "HTTP/1.1 299 Fine\r\nServer: s\r\nContent-Length: 0\r\n\r\n");
}

static void a_reader_of_1_0_gets_what_it_can_read(void **state)
{
    struct fixture *f = *state;
    struct dp_h1_framing framing = {.kind = DP_BODY_CHUNKED, KEEP};
    dp_h1_framing_for_reader(&framing, 0);
    assert_int_equal(framing.kind, DP_BODY_UNTIL_CLOSE);
    write_response(f, 200, framing);
    assert_written(f, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    framing = (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 1, KEEP};
    dp_h1_framing_for_reader(&framing, 0);
    write_response(f, 200, framing);
    assert_written(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
    framing = (struct dp_h1_framing){.kind = DP_BODY_CHUNKED, KEEP};
    dp_h1_framing_for_reader(&framing, 1);
    assert_int_equal(framing.kind, DP_BODY_CHUNKED);
    assert_true(framing.keep_alive);
    framing = (struct dp_h1_framing){.kind = DP_BODY_UNTIL_CLOSE, KEEP};
    dp_h1_framing_for_reader(&framing, 1);
    assert_false(framing.keep_alive);
}

/* Fields that stand side by side in their buffer are copied in one go; the rest one by one. */
static void passing_fields_keep_their_text(void **state)
{
    struct fixture *f = *state;
    struct parsed p = {0};
    gw_str text = GW_STR("GET /a?b HTTP/1.1\r\nHost: h:1\r\nA: 1\r\nbb: 22\r\nTight:x\r\n"
                         "Wide:   y\r\nTrail: z  \r\nC: 3\r\nConnection: close\r\nD: 4\r\nE: \r\n"
                         "F: 5\r\n\r\n");
    assert_int_equal(parse_whole(&p, text), (ptrdiff_t)text.len);
    dp_headers_set(&p.request.headers, GW_STR("bb"), GW_STR("changed"));
    dp_headers_add(&p.request.headers, GW_STR("G"), GW_STR("6"));
    struct dp_h1_framing framing = {.kind = DP_BODY_NONE, KEEP};
    assert_int_equal(dp_h1_write_request(&f->out, &get, &p.request.headers, &framing), 0);
    assert_written(f, "GET /a?b HTTP/1.1\r\nHost: h:1\r\nA: 1\r\nbb: changed\r\nTight: x\r\n"
                      "Wide: y\r\nTrail: z\r\nC: 3\r\nD: 4\r\nE: \r\nF: 5\r\nG: 6\r\n\r\n");
    parsed_done(&p);
}

static void what_is_written_is_read_the_same(void **state)
{
    struct fixture *f = *state;
    struct parsed p = {0};
    gw_str text = GW_STR("GET /a?b HTTP/1.1\r\nHost: h:1\r\nA: 1\r\nB:2 \r\n"
                         "Content-Length: 5\r\n\r\n");
    assert_int_equal(parse_whole(&p, text), (ptrdiff_t)text.len);
    assert_int_equal(dp_h1_write_request(&f->out, &get, &p.request.headers, &p.framing), 0);
    struct parsed again = {0};
    gw_str view = gw_buf_view(&f->out);
    assert_int_equal(parse_every_way(&again, view), (ptrdiff_t)view.len);
    assert_view(again.request.target, p.request.target, view);
    assert_int_equal(again.request.headers.count, p.request.headers.count);
    assert_int_equal(again.framing.length, 5);
    parsed_done(&p);
    parsed_done(&again);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct gw_buf small;
    gw_buf_init(&small, 256);
    assert_int_equal(gw_buf_append(&small, GW_STR("before")), 0);
    char value[300];
    memset(value, 'v', sizeof(value));
    dp_headers_add(&f->headers, GW_STR("x"), gw_str_n(value, sizeof(value)));
    struct dp_h1_framing framing = {.kind = DP_BODY_NONE, KEEP};
    assert_int_equal(dp_h1_write_request(&small, &get, &f->headers, &framing), -ENOBUFS);
    assert_int_equal(dp_h1_write_response(&small, 200, GW_STR(""), &f->headers, &framing),
                     -ENOBUFS);
    assert_int_equal(dp_h1_write_trailers(&small, &f->headers), -ENOBUFS);
    assert_view(gw_buf_view(&small), GW_STR("before"), GW_STR("buffer"));
    gw_buf_done(&small);
}

static void chunks_are_announced_in_hexadecimal(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t bytes;
        const char *want;
    } cases[] = {{1, "1\r\n"},
                 {9, "9\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {255, "ff\r\n"},
                 {4096, "1000\r\n"},
                 {65535, "ffff\r\n"},
                 {0x123456789abcdef0, "123456789abcdef0\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        char text[DP_H1_CHUNK_HEAD_MAX];
        size_t len = dp_h1_chunk_head(text, cases[i].bytes);
        assert_view(gw_str_n(text, len), gw_str_from(cases[i].want), GW_STR("chunk"));
    }
    add(f, "X-Sum", "1");
    add(f, "Content-Length", "1");
    assert_int_equal(dp_h1_write_trailers(&f->out, &f->headers), 0);
    assert_written(f, "0\r\nX-Sum: 1\r\n\r\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_framed_by_the_framing_alone),
        TEST(responses_are_framed_by_the_framing_alone),
        TEST(a_reader_of_1_0_gets_what_it_can_read),
        TEST(passing_fields_keep_their_text),
        TEST(what_is_written_is_read_the_same),
        TEST(a_full_buffer_is_left_as_it_was),
        TEST(chunks_are_announced_in_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
