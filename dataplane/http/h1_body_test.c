/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct decoded {
    struct gw_arena arena;
    struct dp_h1_body body;
    char data[1024];
    size_t data_len;
    size_t used;   /* bytes of the input consumed */
    ptrdiff_t end; /* last result: 0, or an error */
};

static void begin(struct decoded *d, struct dp_h1_framing framing)
{
    gw_arena_init(&d->arena, 0);
    dp_h1_body_init(&d->body, &framing, &dp_h1_limits_default, &d->arena);
    d->data_len = d->used = 0;
    d->end = 0;
}

/* `len` bytes of text have arrived: hands over those not yet consumed, in memory of their size. */
static void feed(struct decoded *d, gw_str text, size_t len)
{
    size_t rest = len - d->used;
    char *copy = gw_malloc(rest + 1), *at = copy;
    memcpy(copy, text.ptr + d->used, rest);
    gw_str data;
    while ((d->end = dp_h1_body_next(&d->body, gw_str_n(at, rest), &data)) > 0) {
        assert_true(d->data_len + data.len <= sizeof(d->data));
        if (data.len > 0) {
            assert_true(data.ptr >= at && data.ptr + data.len <= at + d->end); /* a view */
            memcpy(d->data + d->data_len, data.ptr, data.len);
        }
        d->data_len += data.len;
        d->used += (size_t)d->end;
        at += d->end;
        rest -= (size_t)d->end;
    }
    free(copy);
}

static void decode_whole(struct decoded *d, struct dp_h1_framing framing, gw_str text)
{
    begin(d, framing);
    feed(d, text, text.len);
}

static void assert_same(const struct decoded *a, const struct decoded *b, gw_str text, size_t cut)
{
    if (a->end != b->end || a->body.done != b->body.done)
        fail_msg("'%.*s' cut at %zu: %td, whole: %td", GW_STR_ARG(text), cut, b->end, a->end);
    if (a->end < 0)
        return;
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->data_len, b->data_len);
    assert_memory_equal(a->data, b->data, a->data_len);
    assert_int_equal(a->body.total, b->body.total);
    assert_int_equal(a->body.trailers.count, b->body.trailers.count);
}

/* Whole, cut at each byte, and byte by byte. */
static void decode(struct decoded *whole, struct dp_h1_framing framing, gw_str text)
{
    struct decoded d;
    decode_whole(whole, framing, text);
    for (size_t cut = 0; cut < text.len; cut++) {
        begin(&d, framing);
        feed(&d, text, cut);
        if (d.end == 0 && !d.body.done)
            feed(&d, text, text.len);
        assert_same(whole, &d, text, cut);
        gw_arena_done(&d.arena);
    }
    begin(&d, framing);
    for (size_t len = 0; len <= text.len && d.end == 0 && !d.body.done; len++)
        feed(&d, text, len);
    assert_same(whole, &d, text, text.len);
    gw_arena_done(&d.arena);
}

static const struct dp_h1_framing chunked = {.kind = DP_BODY_CHUNKED};

struct body_case {
    const char *bytes;
    const char *data;
    size_t left_over; /* bytes of the next message */
};

static void chunks_are_joined(void **state)
{
    (void)state;
    static const struct body_case cases[] = {
        {"0\r\n\r\n", "", 0},
        {"5\r\nhello\r\n0\r\n\r\n", "hello", 0},
        {"5\r\nhello\r\n0\r\n\r\nGET /", "hello", 5},
        {"1\r\na\r\n2\r\nbc\r\n0A\r\n0123456789\r\n00\r\n\r\n", "abc0123456789", 0},
        {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", 0},
        {"0000000000000003\r\nabc\r\n0\r\n\r\n", "abc", 0},
        {"3;name=value;x=\"y z\"\r\nabc\r\n0;last\r\n\r\n", "abc", 0},
        {"3; a = \"\\\";\" ;\tb\r\nabc\r\n0\r\n\r\n", "abc", 0},
        {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct decoded d;
        gw_str text = gw_str_from(cases[i].bytes), data = gw_str_from(cases[i].data);
        decode(&d, chunked, text);
        assert_int_equal(d.end, 0);
        assert_true(d.body.done);
        assert_int_equal(d.used, text.len - cases[i].left_over);
        assert_int_equal(d.data_len, data.len);
        assert_memory_equal(d.data, data.ptr, data.len);
        assert_int_equal(d.body.total, data.len);
        gw_arena_done(&d.arena);
    }
}

struct error_case {
    const char *bytes;
    size_t len;
    enum dp_h1_error error;
};
#define BAD(text, error)                                                                           \
    {                                                                                              \
        (text), sizeof(text) - 1, DP_H1_##error                                                    \
    }

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const struct error_case cases[] = {
        BAD("\r\n", BAD_CHUNK),
        BAD("g\r\n", BAD_CHUNK),
        BAD("-1\r\n", BAD_CHUNK),
        BAD("+1\r\n", BAD_CHUNK),
        BAD(" 1\r\n", BAD_CHUNK),
        BAD("1 \r\n", BAD_CHUNK),
        BAD("1\t;x\r\n", BAD_CHUNK),
        BAD("0x1\r\n", BAD_CHUNK),
        BAD("1_0\r\n", BAD_CHUNK),
        BAD("1\n", BAD_CHUNK),
        BAD("1\r\r\n", BAD_CHUNK),
        BAD(";x\r\n", BAD_CHUNK),
        BAD("1;a\nb\r\n", BAD_CHUNK),
        BAD("1;\r\n", BAD_CHUNK),
        BAD("1;a;\r\n", BAD_CHUNK),
        BAD("1;a;;b\r\n", BAD_CHUNK),
        BAD("1;=a\r\n", BAD_CHUNK),
        BAD("1;a=(\r\n", BAD_CHUNK),
        BAD("1;a=\"b\r\n", BAD_CHUNK),
        BAD("1;a=\"\\\r\n", BAD_CHUNK),
        BAD("1;a\0b\r\n", BAD_CHUNK),
        BAD("1;a\rb\r\n", BAD_CHUNK),
        BAD("00000000000000001\r\n", BAD_CHUNK),
        BAD("8000000000000000\r\n", BAD_CHUNK),
        BAD("ffffffffffffffff\r\n", BAD_CHUNK),
        BAD("10000000000000000\r\n", BAD_CHUNK),
        BAD("3\r\nabcd\r\n", BAD_CHUNK),
        BAD("3\r\nabc\n0\r\n\r\n", BAD_CHUNK),
        BAD("3\r\nabc0\r\n\r\n", BAD_CHUNK),
        BAD("3\r\nabc\rX", BAD_CHUNK),
        BAD("3\r\nabc\r\n\r\n", BAD_CHUNK),
        BAD("0\n\r\n", BAD_CHUNK),
        BAD("0\r\n\n", BAD_TRAILER),
        BAD("0\r\n\rX", BAD_TRAILER),
        BAD("0\r\nA\r\n\r\n", BAD_TRAILER),
        BAD("0\r\n: a\r\n\r\n", BAD_TRAILER),
        BAD("0\r\nA : a\r\n\r\n", BAD_TRAILER),
        BAD("0\r\n A: a\r\n\r\n", BAD_TRAILER),
        BAD("0\r\nA: a\r\n b\r\n\r\n", BAD_TRAILER),
        BAD("0\r\nA: a\n\r\n", BAD_TRAILER),
        BAD("0\r\nA: a\rb\r\n\r\n", BAD_TRAILER),
        BAD("0\r\nA: a\0\r\n\r\n", BAD_TRAILER),
        BAD("0\r\nGET / HTTP/1.1\r\n\r\n", BAD_TRAILER),
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct decoded d;
        decode(&d, chunked, gw_str_n(cases[i].bytes, cases[i].len));
        if (d.end != -(ptrdiff_t)cases[i].error)
            fail_msg("'%s' gave %td", cases[i].bytes, d.end);
        gw_arena_done(&d.arena);
    }
}

static void the_largest_chunk_is_counted_down(void **state)
{
    (void)state;
    struct decoded d;
    decode_whole(&d, chunked, GW_STR("7fffffffffffffff\r\nab"));
    assert_int_equal(d.body.left, INT64_MAX - 2);
    assert_false(d.body.done);
    gw_arena_done(&d.arena);
}

static void trailers_are_kept_but_not_those_that_steer(void **state)
{
    (void)state;
    struct decoded d;
    gw_str text = GW_STR("1\r\na\r\n0\r\n"
                         "X-Checksum:  abc \r\n"
                         "Content-Length: 7\r\nTransfer-Encoding: x\r\nHost: evil\r\n"
                         "Authorization: x\r\nX-Forwarded-For: 1.2.3.4\r\nCookie: a\r\n"
                         "X-Stage: T\r\nX-Apig-AppCode: a\r\nConnection: close\r\n"
                         "X_Forwarded_For: 1.2.3.4\r\ncontent_length: 1\r\nMax-Forwards: 1\r\n"
                         "grpc-status: 0\r\nETag: \"e\"\r\nEmpty:\r\n"
                         "\r\n");
    decode(&d, chunked, text);
    assert_true(d.body.done);
    assert_int_equal(d.body.trailers.count, 4);
    assert_true(
        gw_str_eq(dp_headers_find(&d.body.trailers, GW_STR("x-checksum"))->value, GW_STR("abc")));
    assert_true(gw_str_eq(dp_headers_value(&d.body.trailers, DP_HEADER_GRPC_STATUS), GW_STR("0")));
    assert_non_null(dp_headers_get(&d.body.trailers, DP_HEADER_ETAG));
    assert_null(dp_headers_get(&d.body.trailers, DP_HEADER_CONTENT_LENGTH));
    gw_arena_done(&d.arena);
}

static void trailers_of_a_request_do_not_even_try_to_steer(void **state)
{
    (void)state;
    static const char *const names[] = {"Content-Length", "transfer-encoding", "Host"};
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++) {
        struct decoded d;
        char text[64];
        snprintf(text, sizeof(text), "0\r\n%s: 1\r\n\r\n", names[i]);
        begin(&d, chunked);
        d.body.is_strict = true;
        feed(&d, gw_str_from(text), strlen(text));
        assert_int_equal(d.end, -DP_H1_BAD_TRAILER);
        gw_arena_done(&d.arena);
    }
}

/* "prefix", then `count` bytes of filler, then the suffix. */
static gw_str padded(struct gw_arena *arena, const char *prefix, char filler, size_t count,
                     const char *suffix)
{
    char *middle = gw_arena_bytes(arena, count);
    memset(middle, filler, count);
    return gw_arena_printf(arena, "%s%.*s%s", prefix, (int)count, middle, suffix);
}

static void extensions_and_trailers_have_limits(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct decoded d;
    size_t most = dp_h1_limits_default.extension_bytes;
    decode_whole(&d, chunked, padded(&arena, "1;", 'e', most, "\r\na\r\n0\r\n\r\n"));
    assert_true(d.body.done);
    gw_arena_done(&d.arena);
    decode_whole(&d, chunked, padded(&arena, "1;", 'e', most + 1, "\r\na\r\n0\r\n\r\n"));
    assert_int_equal(d.end, -DP_H1_BAD_CHUNK);
    gw_arena_done(&d.arena);
    /* the limit is of the body, not of the chunk */
    gw_str half = padded(&arena, "1;", 'e', most / 2 + 1, "\r\na\r\n");
    decode_whole(&d, chunked,
                 gw_arena_printf(&arena, "%.*s%.*s", GW_STR_ARG(half), GW_STR_ARG(half)));
    assert_int_equal(d.end, -DP_H1_BAD_CHUNK);
    gw_arena_done(&d.arena);

    most = dp_h1_limits_default.trailer_bytes - strlen("a:\r\n\r\n");
    decode_whole(&d, chunked, padded(&arena, "0\r\na:", 't', most, "\r\n\r\n"));
    assert_true(d.body.done);
    gw_arena_done(&d.arena);
    decode_whole(&d, chunked, padded(&arena, "0\r\na:", 't', most + 1, "\r\n\r\n"));
    assert_int_equal(d.end, -DP_H1_TRAILER_TOO_LARGE);
    gw_arena_done(&d.arena);
    decode_whole(&d, chunked, padded(&arena, "0\r\na:", 't', most + 100, ""));
    assert_int_equal(d.end, -DP_H1_TRAILER_TOO_LARGE);
    gw_arena_done(&d.arena);
    gw_str many = GW_STR("0\r\n");
    for (int i = 0; i <= DP_HEADERS_MAX; i++)
        many = gw_arena_printf(&arena, "%.*sa:\r\n", GW_STR_ARG(many));
    decode_whole(&d, chunked, many);
    assert_int_equal(d.end, -DP_H1_TRAILER_TOO_LARGE);
    gw_arena_done(&d.arena);
    gw_arena_done(&arena);
}

static void a_length_is_counted_down(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 5}, GW_STR("helloGET /"));
    assert_true(d.body.done);
    assert_int_equal(d.used, 5);
    assert_memory_equal(d.data, "hello", 5);
    gw_arena_done(&d.arena);
    decode_whole(&d, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 5}, GW_STR("hel"));
    assert_false(d.body.done);
    assert_int_equal(d.body.left, 2);
    assert_false(dp_h1_body_close(&d.body)); /* cut off */
    gw_arena_done(&d.arena);
}

static void nothing_is_done_at_once(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, (struct dp_h1_framing){.kind = DP_BODY_NONE}, GW_STR("GET /"));
    assert_true(d.body.done);
    assert_int_equal(d.used, 0);
    gw_arena_done(&d.arena);
    decode(&d, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 0}, GW_STR("GET /"));
    assert_true(d.body.done && dp_h1_body_close(&d.body));
    gw_arena_done(&d.arena);
}

static void until_close_ends_with_the_connection(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, (struct dp_h1_framing){.kind = DP_BODY_UNTIL_CLOSE}, GW_STR("any bytes"));
    assert_false(d.body.done);
    assert_int_equal(d.data_len, 9);
    assert_true(dp_h1_body_close(&d.body));
    assert_true(d.body.done);
    gw_arena_done(&d.arena);
    decode_whole(&d, chunked, GW_STR("5\r\nhello\r\n0\r\n"));
    assert_false(dp_h1_body_close(&d.body));
    gw_arena_done(&d.arena);
}

static void a_tunnel_ends_with_the_connection(void **state)
{
    (void)state;
    struct decoded d;
    decode(&d, (struct dp_h1_framing){.kind = DP_BODY_TUNNEL}, GW_STR("GET / HTTP/1.1\r\n\r\n"));
    assert_false(d.body.done);
    assert_int_equal(d.data_len, 18);
    dp_h1_body_skip(&d.body, 100);
    assert_int_equal(d.body.total, 118);
    assert_true(dp_h1_body_close(&d.body));
    gw_arena_done(&d.arena);
}

static void data_may_pass_by_another_way(void **state)
{
    (void)state;
    struct decoded d;
    begin(&d, (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = 10});
    dp_h1_body_skip(&d.body, 4);
    assert_false(d.body.done);
    dp_h1_body_skip(&d.body, 6);
    assert_true(d.body.done);
    assert_int_equal(d.body.total, 10);
    gw_arena_done(&d.arena);
    begin(&d, (struct dp_h1_framing){.kind = DP_BODY_UNTIL_CLOSE});
    dp_h1_body_skip(&d.body, 100);
    assert_int_equal(d.body.total, 100);
    gw_arena_done(&d.arena);
    begin(&d, chunked);
    gw_str text = GW_STR("5\r\nh\r\n0\r\n\r\n");
    feed(&d, text, 4);
    assert_int_equal(d.body.left, 4);
    dp_h1_body_skip(&d.body, 4);
    feed(&d, text, text.len);
    assert_true(d.body.done);
    gw_arena_done(&d.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(the_largest_chunk_is_counted_down),
        cmocka_unit_test(trailers_are_kept_but_not_those_that_steer),
        cmocka_unit_test(trailers_of_a_request_do_not_even_try_to_steer),
        cmocka_unit_test(extensions_and_trailers_have_limits),
        cmocka_unit_test(a_length_is_counted_down),
        cmocka_unit_test(nothing_is_done_at_once),
        cmocka_unit_test(until_close_ends_with_the_connection),
        cmocka_unit_test(a_tunnel_ends_with_the_connection),
        cmocka_unit_test(data_may_pass_by_another_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
