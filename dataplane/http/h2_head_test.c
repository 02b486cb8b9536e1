/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct dp_h1_limits small = {.line_bytes = 64,
                                          .header_bytes = 64,
                                          .head_bytes = 160,
                                          .header_count = 5,
                                          .trailer_bytes = 24};

struct fixture {
    struct gw_arena arena;
    struct dp_request_head head;
    struct dp_h2_head h2;
    struct dp_h1_framing framing;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    gw_arena_init(&f->arena, 0);
    dp_h2_head_init(&f->h2, &f->head, &f->arena, &small);
}

static void add(struct fixture *f, const char *name, const char *value)
{
    dp_h2_head_add(&f->h2, gw_str_from(name), gw_str_from(value));
}

static void begin_get(struct fixture *f, const char *path)
{
    begin(f);
    add(f, ":method", "GET");
    add(f, ":scheme", "http");
    add(f, ":path", path);
    add(f, ":authority", "a.example:81");
}

static int end(struct fixture *f, bool is_last)
{
    return dp_h2_head_end(&f->h2, is_last, &f->framing);
}

#define assert_str(view, text) assert_true(gw_str_eq((view), GW_STR(text)))

static void a_head_is_as_http1_has_it(void **state)
{
    struct fixture f;
    (void)state;
    begin_get(&f, "/x?y=1");
    add(&f, "user-agent", "u");
    add(&f, "x-own", "1");
    assert_int_equal(end(&f, true), 0);
    assert_int_equal(f.head.method, DP_METHOD_GET);
    assert_int_equal(f.head.major, 2);
    assert_str(f.head.path, "/x");
    assert_str(f.head.query, "y=1");
    assert_str(f.head.host, "a.example");
    assert_int_equal(f.head.port, 81);
    assert_str(f.head.headers.items[0].name, "User-Agent");
    assert_str(f.head.headers.items[1].name, "x-own");
    assert_str(dp_headers_value(&f.head.headers, DP_HEADER_HOST), "a.example:81");
    assert_int_equal(f.framing.kind, DP_BODY_NONE);
    gw_arena_done(&f.arena);
}

static void what_follows_is_by_length_or_to_the_end(void **state)
{
    struct fixture f;
    (void)state;
    begin_get(&f, "/");
    assert_int_equal(end(&f, false), 0);
    assert_int_equal(f.framing.kind, DP_BODY_CHUNKED);
    gw_arena_done(&f.arena);
    begin_get(&f, "/");
    add(&f, "content-length", "12");
    add(&f, "expect", "100-continue");
    assert_int_equal(end(&f, false), 0);
    assert_int_equal(f.framing.kind, DP_BODY_LENGTH);
    assert_int_equal(f.framing.length, 12);
    assert_true(f.framing.expect_continue);
    gw_arena_done(&f.arena);
}

static void a_host_beside_the_authority_says_the_same(void **state)
{
    struct fixture f;
    (void)state;
    begin_get(&f, "/");
    add(&f, "host", "A.EXAMPLE:81");
    assert_int_equal(end(&f, true), 0);
    gw_arena_done(&f.arena);
    begin_get(&f, "/");
    add(&f, "host", "a.example");
    assert_int_equal(end(&f, true), -DP_H1_BAD_HOST);
    gw_arena_done(&f.arena);
    begin(&f);
    add(&f, ":method", "GET");
    add(&f, ":path", "/");
    assert_int_equal(end(&f, true), -DP_H1_BAD_HOST);
    gw_arena_done(&f.arena);
}

static void cookies_are_joined_in_order(void **state)
{
    struct fixture f;
    (void)state;
    begin_get(&f, "/");
    add(&f, "cookie", "a=1");
    add(&f, "x", "between");
    add(&f, "cookie", "b=2");
    assert_int_equal(end(&f, true), 0);
    assert_str(dp_headers_value(&f.head.headers, DP_HEADER_COOKIE), "a=1; b=2");
    assert_int_equal(f.head.headers.count, 3); /* and x, and Host */
    gw_arena_done(&f.arena);
}

static void paths_are_paths(void **state)
{
    static const char *const bad[] = {"", "*", "x", "http://a.example/", "/a b", "/a#b", "/\x80"};
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        begin_get(&f, bad[i]);
        assert_int_equal(end(&f, true), -DP_H1_BAD_TARGET);
        assert_false(dp_h2_error_is_answered(-DP_H1_BAD_TARGET));
        gw_arena_done(&f.arena);
    }
    begin(&f);
    add(&f, ":method", "OPTIONS");
    add(&f, ":path", "*");
    add(&f, ":authority", "a");
    assert_int_equal(end(&f, true), 0);
    gw_arena_done(&f.arena);
}

#define LONG_TEXT "0123456789012345678901234567890123456789012345678901234567890123456789"

static void limits_are_those_of_http1(void **state)
{
    static const struct {
        const char *name, *value;
        int error;
    } cases[] = {
        {":path", "/" LONG_TEXT, -DP_H1_URI_TOO_LONG},
        {"x", LONG_TEXT, -DP_H1_HEADER_TOO_LARGE},
    };
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        begin_get(&f, "/");
        add(&f, cases[i].name, cases[i].value);
        assert_int_equal(end(&f, true), cases[i].error);
        assert_true(dp_h2_error_is_answered(cases[i].error));
        gw_arena_done(&f.arena);
    }
    begin_get(&f, "/");
    for (unsigned i = 0; i <= small.header_count; i++)
        add(&f, "x", "");
    assert_int_equal(end(&f, true), -DP_H1_TOO_MANY_HEADERS);
    gw_arena_done(&f.arena);
    begin_get(&f, "/");
    add(&f, "x", "01234567890123456789012345678901234567890123456789");
    add(&f, "x", "01234567890123456789012345678901234567890123456789");
    assert_int_equal(end(&f, true), -DP_H1_HEADER_TOO_LARGE);
    gw_arena_done(&f.arena);
}

static int end_connect(struct fixture *f, const char *protocol, bool is_last)
{
    begin(f);
    add(f, ":method", "CONNECT");
    add(f, ":protocol", protocol);
    add(f, ":scheme", "http");
    add(f, ":path", "/chat");
    add(f, ":authority", "a");
    add(f, "content-length", "5");
    int result = end(f, is_last);
    gw_arena_done(&f->arena);
    return result;
}

static void connect_to_websocket_is_a_get_that_asks_to_upgrade(void **state)
{
    struct fixture f;
    (void)state;
    assert_int_equal(end_connect(&f, "websocket", false), 0);
    assert_int_equal(f.head.method, DP_METHOD_GET);
    assert_str(f.head.method_name, "GET");
    assert_int_equal(f.framing.kind, DP_BODY_NONE);
    assert_true(f.framing.upgrade);
    assert_int_equal(end_connect(&f, "websocket", true), -DP_H1_CONNECT_REFUSED);
    assert_int_equal(end_connect(&f, "connect-udp", false), -DP_H1_UNKNOWN_PROTOCOL);
    begin_get(&f, "/");
    assert_int_equal(end(&f, true), 0);
    assert_false(f.framing.upgrade);
    gw_arena_done(&f.arena);
}

static void some_errors_are_answered(void **state)
{
    struct fixture f;
    (void)state;
    begin_get(&f, "/");
    add(&f, "expect", "x");
    assert_int_equal(end(&f, false), -DP_H1_BAD_EXPECT);
    gw_arena_done(&f.arena);
    begin(&f);
    add(&f, ":method", "CONNECT");
    add(&f, ":authority", "a:1");
    assert_int_equal(end(&f, false), -DP_H1_CONNECT_REFUSED);
    gw_arena_done(&f.arena);
    begin(&f);
    add(&f, ":method", "G T");
    assert_int_equal(end(&f, false), -DP_H1_BAD_METHOD);
    gw_arena_done(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_as_http1_has_it),
        cmocka_unit_test(what_follows_is_by_length_or_to_the_end),
        cmocka_unit_test(a_host_beside_the_authority_says_the_same),
        cmocka_unit_test(cookies_are_joined_in_order),
        cmocka_unit_test(paths_are_paths),
        cmocka_unit_test(limits_are_those_of_http1),
        cmocka_unit_test(connect_to_websocket_is_a_get_that_asks_to_upgrade),
        cmocka_unit_test(some_errors_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
