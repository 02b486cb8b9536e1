/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_testing.h"

#define H "Host: h\r\n"

static const struct refusal_case request_refusals[] = {
    /* request line */
    REFUSED("\n", BAD_METHOD),
    REFUSED(" GET / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("\r\rGET", BAD_LINE_END),
    REFUSED("\r\n\r\nGET / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("G@T / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("get / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("GET! / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDD / HTTP/1.1\r\n", METHOD_TOO_LONG),
    REFUSED("G\0T / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("GET\t/ HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("GET\r\n", BAD_METHOD),
    REFUSED("G\xc3\xa4T / HTTP/1.1\r\n", BAD_METHOD),
    REFUSED("GET  / HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\tb HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\x01 HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\0b HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a\x7f HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /\xc3\xa4 HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /a#b HTTP/1.1\r\n", BAD_TARGET),
    REFUSED("GET /\n", BAD_TARGET),
    REFUSED("GET /\r\n", BAD_VERSION), /* HTTP/0.9 */
    REFUSED("GET / HTTP/1.1 \r\n", BAD_LINE_END),
    REFUSED("GET /  HTTP/1.1\r\n", BAD_VERSION),
    REFUSED("GET /a b HTTP/1.1\r\n", BAD_VERSION),
    REFUSED("GET / http/1.1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/11\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.x\r\n", BAD_VERSION),
    REFUSED("GET / HTTP/1.10\r\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\rX", BAD_LINE_END),
    REFUSED("GET / HTTP/0.9\r\n", VERSION_UNSUPPORTED),
    REFUSED("GET / HTTP/2.0\r\n", VERSION_UNSUPPORTED),
    REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION_UNSUPPORTED),
    /* field lines */
    REFUSED("GET / HTTP/1.1\r\n Host: h\r\n\r\n", FOLDED_HEADER),
    REFUSED("GET / HTTP/1.1\r\n" H " folded\r\n\r\n", FOLDED_HEADER),
    REFUSED("GET / HTTP/1.1\r\n" H "\tfolded\r\n\r\n", FOLDED_HEADER),
    REFUSED("GET / HTTP/1.1\r\n" H "a : b\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a\t: b\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a b: c\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H ": b\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a\0b: c\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a\x80: c\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a(b): c\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "Content\rLength: 5\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "Content\rType: a/b; c=d\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "HTTP\x12-Settings: abcdefgh\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "X-Apig\rAppCode: abcdefgh\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\0c\r\n\r\n", BAD_HEADER_VALUE),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\x01\r\n\r\n", BAD_HEADER_VALUE),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\x7f\r\n\r\n", BAD_HEADER_VALUE),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\x0b\r\n\r\n", BAD_HEADER_VALUE),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\n\r\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\rc\r\n\r\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\r\n" H "a: b\r\r\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\r\n" H "\n", BAD_LINE_END),
    REFUSED("GET / HTTP/1.1\r\n" H "\rx", BAD_LINE_END),
};

static void malformed_requests_are_refused_by_name(void **state)
{
    (void)state;
    check_refusals(request_refusals, GW_ARRAY_LEN(request_refusals), false);
}

static void a_usual_request_is_cut_into_views(void **state)
{
    (void)state;
    struct parsed p = {0};
    gw_str text = GW_STR("POST /orders/7?x=1&y HTTP/1.1\r\n"
                         "Host: Api.example.com:8443\r\n"
                         "User-Agent:  curl/7.88.1 \t\r\n"
                         "X-Stage:RELEASE\r\n"
                         "X-Long-Name-Of-More-Than-Sixteen_Bytes.~!#$%&'*+^`|: "
                         "with \xe4 obs-text and\ttabs inside\r\n"
                         "Empty:\r\n"
                         "Content-Length: 5\r\n"
                         "\r\n"
                         "hello");
    ptrdiff_t result = parse_every_way(&p, text);
    assert_int_equal(result, (ptrdiff_t)text.len - 5);
    struct dp_request_head *head = &p.request;
    assert_int_equal(head->method, DP_METHOD_POST);
    assert_int_equal(head->major, 1);
    assert_int_equal(head->minor, 1);
    assert_view(head->target, GW_STR("/orders/7?x=1&y"), text);
    assert_view(head->path, GW_STR("/orders/7"), text);
    assert_view(head->query, GW_STR("x=1&y"), text);
    assert_view(head->authority, GW_STR("Api.example.com:8443"), text);
    assert_view(head->host, GW_STR("Api.example.com"), text);
    assert_int_equal(head->port, 8443);
    assert_int_equal(head->headers.count, 6);
    assert_view(dp_headers_value(&head->headers, DP_HEADER_USER_AGENT), GW_STR("curl/7.88.1"),
                text);
    assert_view(dp_headers_value(&head->headers, DP_HEADER_X_STAGE), GW_STR("RELEASE"), text);
    assert_view(head->headers.items[3].value, GW_STR("with \xe4 obs-text and\ttabs inside"), text);
    assert_view(head->headers.items[4].value, GW_STR(""), text);
    assert_int_equal(p.framing.kind, DP_BODY_LENGTH);
    assert_int_equal(p.framing.length, 5);
    /* zero copies */
    assert_ptr_equal(head->path.ptr, p.bytes + 1 + 5);
    parsed_done(&p);
}

static void one_line_break_may_stand_in_front(void **state)
{
    (void)state;
    struct parsed p = {0};
    assert_int_equal(parse_every_way(&p, GW_STR("\r\nGET / HTTP/1.1\r\n" H "\r\n")), 29);
    parsed_done(&p);
    assert_int_equal(parse_every_way(&p, GW_STR("\r\n")), 0);
    parsed_done(&p);
    assert_int_equal(parse_every_way(&p, GW_STR("")), 0);
    parsed_done(&p);
}

static void pipelined_requests_follow_each_other(void **state)
{
    (void)state;
    gw_str text = GW_STR("GET /1 HTTP/1.1\r\n" H "\r\nPUT /2 HTTP/1.1\r\n" H "\r\nGET /3");
    struct parsed p = {0};
    ptrdiff_t first = parse_whole(&p, text);
    assert_view(p.request.path, GW_STR("/1"), text);
    parsed_done(&p);
    gw_str rest = {text.ptr + first, text.len - (size_t)first};
    ptrdiff_t second = parse_whole(&p, rest);
    assert_view(p.request.path, GW_STR("/2"), text);
    assert_int_equal(p.request.method, DP_METHOD_PUT);
    parsed_done(&p);
    assert_int_equal(parse_whole(&p, gw_str_n(rest.ptr + second, rest.len - (size_t)second)), 0);
    parsed_done(&p);
}

/* Prefix, then `count` bytes of `filler`, then suffix. */
static gw_str padded(struct gw_arena *arena, const char *prefix, char filler, size_t count,
                     const char *suffix)
{
    size_t before = strlen(prefix), after = strlen(suffix);
    char *text = gw_arena_bytes(arena, before + count + after);
    memcpy(text, prefix, before);
    memset(text + before, filler, count);
    memcpy(text + before + count, suffix, after);
    return gw_str_n(text, before + count + after);
}

static void check_limit(gw_str text, ptrdiff_t want)
{
    struct parsed p = {0};
    assert_int_equal(parse_whole(&p, text), want);
    for (size_t cut = 0; cut < text.len; cut += 4093)
        parse_in_two(&p, text, cut);
    for (size_t back = 1; back < 8 && back < text.len; back++)
        parse_in_two(&p, text, text.len - back);
    parsed_done(&p);
}

static void lines_have_limits(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    const struct dp_h1_limits *limits = &dp_h1_limits_default;
    const char *end = "\r\n\r\n", *start = "GET / HTTP/1.1\r\n" H "a:";
    size_t room = limits->line_bytes - strlen("GET / HTTP/1.1\r\n");
    gw_str text = padded(&arena, "GET /", 'a', room, " HTTP/1.1\r\n" H "\r\n");
    check_limit(text, (ptrdiff_t)text.len);
    text = padded(&arena, "GET /", 'a', room + 1, " HTTP/1.1\r\n" H "\r\n");
    check_limit(text, -DP_H1_URI_TOO_LONG);
    check_limit(padded(&arena, "GET /", 'a', limits->line_bytes, ""), -DP_H1_URI_TOO_LONG);
    check_limit(padded(&arena, "", 'A', 33, ""), -DP_H1_METHOD_TOO_LONG);
    text = padded(&arena, start, 'v', limits->header_bytes - 3, end);
    check_limit(text, (ptrdiff_t)text.len);
    text = padded(&arena, start, 'v', limits->header_bytes - 2, end);
    check_limit(text, -DP_H1_HEADER_TOO_LARGE);
    text = padded(&arena, "GET / HTTP/1.1\r\n", 'n', limits->header_bytes, ":\r\n\r\n");
    check_limit(text, -DP_H1_HEADER_TOO_LARGE);
    text = padded(&arena, "GET / HTTP/1.1\r\n", 'n', limits->header_bytes - 1, "");
    check_limit(text, 0);
    gw_arena_done(&arena);
}

static void heads_have_limits(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    const struct dp_h1_limits *limits = &dp_h1_limits_default;
    gw_str line = padded(&arena, "a:", 'v', limits->header_bytes - 4, "\r\n");
    char *many = gw_arena_bytes(&arena, line.len * 5 + 64);
    size_t start = strlen("GET / HTTP/1.1\r\n" H), len = start;
    memcpy(many, "GET / HTTP/1.1\r\n" H, start);
    for (int i = 0; i < 5; i++, len += line.len)
        memcpy(many + len, line.ptr, line.len);
    check_limit(gw_str_n(many, len), -DP_H1_HEADER_TOO_LARGE);
    assert_true(len > limits->head_bytes);

    for (unsigned count = DP_HEADERS_MAX - 1; count <= DP_HEADERS_MAX; count++) {
        gw_str text = GW_STR("GET / HTTP/1.1\r\n" H);
        for (unsigned i = 0; i < count; i++)
            text = gw_arena_printf(&arena, "%.*sa:\r\n", GW_STR_ARG(text));
        text = gw_arena_printf(&arena, "%.*s\r\n", GW_STR_ARG(text));
        check_limit(text, count < DP_HEADERS_MAX ? (ptrdiff_t)text.len : -DP_H1_TOO_MANY_HEADERS);
    }
    gw_arena_done(&arena);
}

/* A megabyte of it in steps of one byte would take minutes if each call began at the front. */
static void slow_bytes_are_looked_at_once(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    gw_str text = padded(&arena, "GET / HTTP/1.1\r\n" H "a:", 'v', 30000, "\r\n\r\n");
    struct parsed p = {0};
    parsed_begin(&p);
    uint32_t last = 0;
    for (size_t len = 1; len <= text.len && p.result == 0; len++) {
        p.result = dp_h1_parse_request(&p.parser, gw_str_n(text.ptr, len), &p.request, &p.framing);
        assert_true(p.parser.scan >= last && len - p.parser.scan <= 10);
        last = p.parser.scan;
    }
    assert_int_equal(p.result, (ptrdiff_t)text.len);
    parsed_done(&p);
    gw_arena_done(&arena);
}

static const struct refusal_case response_refusals[] = {
    REFUSED("\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1", OK),
    REFUSED("http/1.1 200 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/2.0 200 OK\r\n\r\n", VERSION_UNSUPPORTED),
    REFUSED("HTTP/1.1  200 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 20 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 2000 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 099 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 600 OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200OK\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200 O\x01K\r\n\r\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200 OK\n\r\n", BAD_LINE_END),
    REFUSED("HTTP/1.1 200 OK\r\r\n", BAD_LINE_END),
    REFUSED("HTTP/1.1 200\n", BAD_STATUS),
    REFUSED("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", FOLDED_HEADER),
    REFUSED("HTTP/1.1 200 OK\r\na : b\r\n\r\n", BAD_HEADER_NAME),
    REFUSED("HTTP/1.1 200 OK\r\na: b\0\r\n\r\n", BAD_HEADER_VALUE),
    REFUSED("HTTP/1.1 200 OK\r\na: b\n\r\n", BAD_LINE_END),
};

static void malformed_responses_are_refused_by_name(void **state)
{
    (void)state;
    check_refusals(response_refusals, GW_ARRAY_LEN(response_refusals), true);
}

static void status_lines_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
        unsigned status, minor;
    } cases[] = {
        {"HTTP/1.1 200 OK", "OK", 200, 1},
        {"HTTP/1.0 404 Not Found", "Not Found", 404, 0},
        {"HTTP/1.1 599 ", "", 599, 1},
        {"HTTP/1.1 204", "", 204, 1},
        {"HTTP/1.1 200 \xc3\xa4 b", "\xc3\xa4 b", 200, 1},
    };
    struct gw_arena arena = {0};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        gw_str text =
            gw_arena_printf(&arena, "%s\r\nServer: s\r\nContent-Length: 0\r\n\r\n", cases[i].line);
        struct parsed p = {.is_response = true};
        assert_int_equal(parse_every_way(&p, text), (ptrdiff_t)text.len);
        assert_int_equal(p.response.status, cases[i].status);
        assert_int_equal(p.response.minor, cases[i].minor);
        assert_view(p.response.reason, gw_str_from(cases[i].reason), text);
        assert_view(dp_headers_value(&p.response.headers, DP_HEADER_SERVER), GW_STR("s"), text);
        parsed_done(&p);
    }
    struct parsed p = {.is_response = true};
    gw_str text = padded(&arena, "HTTP/1.1 200 ", 'r', dp_h1_limits_default.line_bytes, "\r\n\r\n");
    assert_int_equal(parse_whole(&p, text), -DP_H1_BAD_STATUS);
    parsed_done(&p);
    gw_arena_done(&arena);
}

static void every_error_has_a_status_a_reason_and_a_text(void **state)
{
    (void)state;
    for (ptrdiff_t error = 1; error < DP_H1_ERROR_COUNT; error++) {
        unsigned status = dp_h1_error_status(-error);
        assert_true(status == 400 || status == 414 || status == 417 || status == 431 ||
                    status == 501 || status == 505);
        assert_memory_equal(dp_h1_error_reason(error), "http.", 5);
        assert_true(strlen(dp_h1_error_text(-error)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_are_refused_by_name),
        cmocka_unit_test(a_usual_request_is_cut_into_views),
        cmocka_unit_test(one_line_break_may_stand_in_front),
        cmocka_unit_test(pipelined_requests_follow_each_other),
        cmocka_unit_test(lines_have_limits),
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(slow_bytes_are_looked_at_once),
        cmocka_unit_test(malformed_responses_are_refused_by_name),
        cmocka_unit_test(status_lines_are_read),
        cmocka_unit_test(every_error_has_a_status_a_reason_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
