/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_answer.h"

#include "common/test.h"

static const struct dp_h1_limits small = {
    .header_bytes = 32, .head_bytes = 64, .header_count = 3, .trailer_bytes = 24};

struct taken {
    struct gw_arena arena;
    struct dp_response_head head;
    struct dp_h2_answer answer;
};

static void begin(struct taken *taken, const struct dp_h1_limits *limits)
{
    gw_arena_init(&taken->arena, 0);
    dp_h2_answer_init(&taken->answer, &taken->head, &taken->arena, limits);
}

static int add(struct taken *taken, const char *name, const char *value)
{
    return dp_h2_answer_add(&taken->answer, gw_str_from(name), gw_str_from(value));
}

static void a_head_is_taken(void **state)
{
    (void)state;
    struct taken t;
    begin(&t, &dp_h1_limits_default);
    assert_int_equal(add(&t, ":status", "204"), 0);
    assert_int_equal(add(&t, "content-type", "a/b"), 0);
    assert_int_equal(add(&t, "x-own", ""), 0);
    assert_int_equal(add(&t, "x-blank", " b\t"), 0);
    assert_int_equal(t.head.status, 204);
    assert_int_equal(t.head.major, 2);
    assert_str(t.head.headers.items[0].name, "Content-Type");
    assert_str(t.head.headers.items[1].name, "x-own");
    assert_str(t.head.headers.items[2].value, "b");
    gw_arena_done(&t.arena);
}

static void what_is_no_field_is_refused(void **state)
{
    (void)state;
    struct taken t;
    begin(&t, &dp_h1_limits_default);
    assert_int_equal(add(&t, ":status", "2000"), -DP_H1_BAD_STATUS);
    assert_int_equal(add(&t, ":status", "099"), -DP_H1_BAD_STATUS);
    assert_int_equal(add(&t, ":path", "/"), -DP_H1_BAD_HEADER_NAME);
    assert_int_equal(add(&t, "a b", "c"), -DP_H1_BAD_HEADER_NAME);
    assert_int_equal(add(&t, "a", "b\r\nc: d"), -DP_H1_BAD_HEADER_VALUE);
    assert_int_equal(t.head.headers.count, 0);
    gw_arena_done(&t.arena);
}

static void heads_have_limits(void **state)
{
    (void)state;
    struct taken t;
    begin(&t, &small);
    assert_int_equal(add(&t, "a", "twenty-eight-bytes-of-it---"), 0);
    assert_int_equal(add(&t, "a", "twenty-nine-bytes-of-it-----"), -DP_H1_HEADER_TOO_LARGE);
    assert_int_equal(add(&t, "b", ""), -DP_H1_HEADER_TOO_LARGE); /* all together */
    gw_arena_done(&t.arena);
    begin(&t, &small);
    for (int i = 0; i < 3; i++)
        assert_int_equal(add(&t, "a", ""), 0);
    assert_int_equal(add(&t, "a", ""), -DP_H1_TOO_MANY_HEADERS);
    gw_arena_done(&t.arena);
}

static enum dp_body_kind kind(const char *length, unsigned status, enum dp_method method,
                              bool is_last)
{
    struct taken t;
    struct dp_h1_framing framing;
    begin(&t, &dp_h1_limits_default);
    t.head.status = status;
    if (length)
        assert_int_equal(add(&t, "content-length", length), 0);
    int result = dp_h2_answer_framing(&t.head, method, is_last, &framing);
    gw_arena_done(&t.arena);
    return result == 0 ? framing.kind : DP_BODY_UNTIL_CLOSE;
}

static void the_body_is_framed_as_in_http1(void **state)
{
    (void)state;
    assert_int_equal(kind(NULL, 200, DP_METHOD_GET, false), DP_BODY_CHUNKED);
    assert_int_equal(kind(NULL, 200, DP_METHOD_GET, true), DP_BODY_LENGTH);
    assert_int_equal(kind("5", 200, DP_METHOD_GET, false), DP_BODY_LENGTH);
    assert_int_equal(kind("5", 200, DP_METHOD_HEAD, true), DP_BODY_NONE);
    assert_int_equal(kind(NULL, 204, DP_METHOD_GET, true), DP_BODY_NONE);
    assert_int_equal(kind("x", 200, DP_METHOD_GET, false), DP_BODY_UNTIL_CLOSE);
}

static int add_trailer(struct dp_headers *trailers, size_t *bytes, const char *name,
                       const char *value)
{
    return dp_h2_answer_add_trailer(trailers, &small, bytes, gw_str_from(name), gw_str_from(value));
}

static void trailers_say_nothing_of_the_head(void **state)
{
    (void)state;
    struct gw_arena arena;
    struct dp_headers trailers;
    size_t bytes = 0;
    gw_arena_init(&arena, 0);
    dp_headers_init(&trailers, &arena);
    assert_int_equal(add_trailer(&trailers, &bytes, "date", ""), 0);
    bytes = 0;
    assert_int_equal(add_trailer(&trailers, &bytes, "content_length", ""), 0);
    assert_int_equal(trailers.count, 0);
    bytes = 8;
    assert_int_equal(add_trailer(&trailers, &bytes, "x-sum", "1"), 0);
    assert_int_equal(add_trailer(&trailers, &bytes, ":status", ""), -DP_H1_TRAILER_TOO_LARGE);
    bytes = 0;
    assert_int_equal(add_trailer(&trailers, &bytes, ":status", ""), -DP_H1_BAD_TRAILER);
    assert_str(trailers.items[0].name, "x-sum");
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_taken),
        cmocka_unit_test(what_is_no_field_is_refused),
        cmocka_unit_test(heads_have_limits),
        cmocka_unit_test(the_body_is_framed_as_in_http1),
        cmocka_unit_test(trailers_say_nothing_of_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
