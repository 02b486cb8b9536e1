/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend may do to a session and its streams, and what becomes of it. */
#include "dataplane/upstream/h2_testing.h"

/* ---- how attempts fail */

static uint32_t reset_code;

static void reset_with_code(struct backend *b)
{
    h2_accept(b);
    h2_reset(b, h2_request(b), reset_code);
    h2_read_end(b);
}

static void a_reset_is_a_failure(void **state)
{
    (void)state;
    static const struct {
        uint32_t code;
        enum dp_upstream_failure failure;
    } rows[] = {
        {NGHTTP2_NO_ERROR, DP_FAILURE_RESET},
        {NGHTTP2_INTERNAL_ERROR, DP_FAILURE_RESET},
        {NGHTTP2_CANCEL, DP_FAILURE_RESET},
        {NGHTTP2_ENHANCE_YOUR_CALM, DP_FAILURE_RESET},
        {NGHTTP2_PROTOCOL_ERROR, DP_FAILURE_PROTOCOL},
        {NGHTTP2_HTTP_1_1_REQUIRED, DP_FAILURE_PROTOCOL},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        struct bench bench;
        struct backend b;
        reset_code = rows[i].code;
        run_with(&bench, &b, reset_with_code);
        h2_get_fails(&bench, rows[i].failure, 0);
        bench_end(&bench, &b);
    }
}

static void cut_answer(struct backend *b)
{
    h2_accept(b);
    uint32_t id = h2_request(b);
    h2_head(b, 0, id, ":status", "200");
    h2_data(b, 0, id, "hel");
    h2_reset(b, id, NGHTTP2_INTERNAL_ERROR);
    id = h2_request(b);
    h2_head(b, 0, id, ":status", "200");
    h2_data(b, 0, id, "hel");
    backend_close(b);
}

static void a_cut_answer_is_never_whole(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    struct caller c;
    run_with(&bench, &b, cut_answer);
    for (int i = 0; i < 2; i++) {
        h2_caller_init(&c, &bench, DP_METHOD_GET);
        caller_run(&c);
        assert_int_equal(c.failure, DP_FAILURE_RESET);
        assert_str(gw_buf_view(&c.body), "hel"); /* its beginning arrives */
        caller_done(&c);
    }
    bench_end(&bench, &b);
}

static void (*break_rules)(struct backend *, uint32_t id);

static void answer_badly(struct backend *b)
{
    h2_accept(b);
    break_rules(b, h2_request(b));
    h2_read_end(b);
}

static void without_status(struct backend *b, uint32_t id)
{
    h2_head(b, END_STREAM, id, "a", "b");
}

static void with_capitals(struct backend *b, uint32_t id)
{
    h2_head(b, END_STREAM, id, ":status", "200", "A", "b");
}

static void with_connection(struct backend *b, uint32_t id)
{
    h2_head(b, END_STREAM, id, ":status", "200", "connection", "close");
}

static void with_101(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "101");
}

static void with_two_lengths(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "200", "content-length", "5", "content-length", "6");
}

static void with_data_alone(struct backend *b, uint32_t id)
{
    h2_data(b, END_STREAM, id, "hello");
}

static void with_too_many_fields(struct backend *b, uint32_t id)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    put_field(&out, ":status", "200");
    for (int i = 0; i <= DP_HEADERS_MAX; i++)
        put_field(&out, "a", "b");
    h2_send(b, NGHTTP2_HEADERS, END_HEADERS | END_STREAM, id, gw_buf_view(&out));
    gw_buf_done(&out);
}

static void with_too_many_interims(struct backend *b, uint32_t id)
{
    for (int i = 0; i <= DP_LINK_INTERIMS_MAX; i++)
        h2_head(b, 0, id, ":status", "103");
}

static void with_a_bad_block(struct backend *b, uint32_t id)
{
    h2_send(b, NGHTTP2_HEADERS, END_HEADERS, id, GW_STR("\xff\xff\xff\xff\xff\xff\xff"));
}

static void with_a_push(struct backend *b, uint32_t id)
{
    h2_send(b, NGHTTP2_PUSH_PROMISE, END_HEADERS, id, gw_str_n("\0\0\0\2", 4));
}

static void without_end_of_head(struct backend *b, uint32_t id)
{
    h2_send(b, NGHTTP2_HEADERS, 0, id, GW_STR_NONE);
    for (int i = 0; i <= DP_UH2_CONTINUATIONS_MAX; i++)
        h2_send(b, NGHTTP2_CONTINUATION, 0, id, GW_STR_NONE);
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static void (*const rows[])(struct backend *, uint32_t) = {
        without_status,   with_capitals,   with_connection,      with_101,
        with_two_lengths, with_data_alone, with_too_many_fields, with_too_many_interims,
        with_a_bad_block, with_a_push,     without_end_of_head,
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        struct bench bench;
        struct backend b;
        break_rules = rows[i];
        run_with(&bench, &b, answer_badly);
        h2_get_fails(&bench, DP_FAILURE_PROTOCOL, 0);
        bench_end(&bench, &b);
    }
}

static void less_than_announced(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "200", "content-length", "9");
    h2_data(b, END_STREAM, id, "hello");
}

static void a_wrong_length_is_a_cut(void **state)
{
    (void)state;
    struct bench bench;
    struct backend b;
    break_rules = less_than_announced;
    run_with(&bench, &b, answer_badly);
    h2_get_fails(&bench, DP_FAILURE_PROTOCOL, 1);
    bench_end(&bench, &b);
}

/* ---- floods */

static void flood_with(struct backend *b, unsigned type, unsigned flags, gw_str payload)
{
    for (int i = 0; i <= DP_UH2_CONTROL_FRAMES_MAX; i++) {
        if (send(b->fd, "", 0, MSG_NOSIGNAL) < 0)
            return;
        h2_send(b, type, flags, 0, payload);
    }
}

static void flood_with_pings(struct backend *b, uint32_t id)
{
    (void)id;
    flood_with(b, NGHTTP2_PING, 0, GW_STR("12345678"));
}

static void flood_with_settings(struct backend *b, uint32_t id)
{
    (void)id;
    flood_with(b, NGHTTP2_SETTINGS, 0, GW_STR_NONE);
}

static void flood_with_empty_data(struct backend *b, uint32_t id)
{
    h2_head(b, 0, id, ":status", "200");
    for (int i = 0; i <= DP_UH2_CONTROL_FRAMES_MAX; i++)
        h2_send(b, NGHTTP2_DATA, 0, id, GW_STR_NONE);
}

static void floods_end_the_session(void **state)
{
    (void)state;
    static void (*const rows[])(struct backend *, uint32_t) = {
        flood_with_pings, flood_with_settings, flood_with_empty_data, without_end_of_head};
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        struct bench bench;
        struct backend b;
        break_rules = rows[i];
        run_with(&bench, &b, answer_badly);
        h2_get_fails(&bench, DP_FAILURE_PROTOCOL, rows[i] == flood_with_empty_data);
        assert_int_equal(stats_of(&bench)->h2_floods, 1);
        bench_end(&bench, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_is_a_failure),
        cmocka_unit_test(a_cut_answer_is_never_whole),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(a_wrong_length_is_a_cut),
        cmocka_unit_test(floods_end_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
