/* SPDX-License-Identifier: Apache-2.0 */
#include "common/test.h"
#include "controlplane/store/etcd.h"

static void expect_range(gw_str prefix, gw_str after_key, const char *want)
{
    struct gw_buf buf = {0};
    etcd_write_range(&buf, prefix, after_key);
    assert_str(gw_buf_view(&buf), want);
    gw_buf_done(&buf);
}

static void ranges_cover_their_prefix(void **state)
{
    (void)state;
    expect_range(GW_STR("a/"), GW_STR_NONE, "\"key\":\"YS8=\",\"range_end\":\"YTA=\"");
    expect_range(GW_STR("a/"), GW_STR("a/b"), "\"key\":\"YS9iAA==\",\"range_end\":\"YTA=\"");
    expect_range(GW_STR("a/"), GW_STR("Z"), "\"key\":\"YS8=\",\"range_end\":\"YTA=\"");
    expect_range(GW_STR_NONE, GW_STR_NONE, "\"key\":\"AA==\",\"range_end\":\"AA==\"");
    expect_range(GW_STR_NONE, GW_STR("a"), "\"key\":\"YQA=\",\"range_end\":\"AA==\"");
    expect_range(GW_STR("a\xff\xff"), GW_STR_NONE, "\"key\":\"Yf//\",\"range_end\":\"Yg==\"");
}

static void texts_are_escaped(void **state)
{
    (void)state;
    struct gw_buf buf = {0};
    etcd_write_text(&buf, "password", GW_STR("a\"\\\n\x01z"));
    assert_str(gw_buf_view(&buf), "\"password\":\"a\\\"\\\\\\n\\u0001z\"");
    gw_buf_done(&buf);
}

static const char range_text[] =
    "{\"header\":{\"cluster_id\":\"18446744073709551615\",\"member_id\":\"7\",\"revision\":\"12\","
    "\"raft_term\":\"3\"},\"new\":[{\"kvs\":[{\"key\":\"eA==\"}]},[1,null,true]],"
    "\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":\"2\",\"mod_revision\":\"9\",\"version\":\"4\","
    "\"value\":\"b25l\"},{\"key\":\"Yg==\",\"create_revision\":3,\"mod_revision\":3,"
    "\"lease\":\"5\"}],\"more\":true,\"count\":\"40\"}\n";

static void check_range(const struct etcd_answer *answer)
{
    assert_true(answer->at.cluster_id == UINT64_MAX);
    assert_int_equal(answer->at.revision, 12);
    assert_int_equal(answer->raft_term, 3);
    assert_int_equal(answer->kv_count, 2);
    assert_str(answer->kvs[0].key, "a");
    assert_str(answer->kvs[0].value, "one");
    assert_int_equal(answer->kvs[0].create_revision, 2);
    assert_int_equal(answer->kvs[0].mod_revision, 9);
    assert_str(answer->kvs[1].key, "b");
    assert_str(answer->kvs[1].value, "");
    assert_int_equal(answer->kvs[1].mod_revision, 3);
    assert_true(answer->more);
    assert_int_equal(answer->counts[0], 40);
    assert_false(answer->error.is_set);
}

static void answers_parse_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof(range_text); piece += piece < 8 ? 1 : 50) {
        struct gw_arena arena = {0};
        struct etcd_answer answer;
        struct etcd_parser *parser = etcd_parser_new(&arena, &answer);
        gw_str rest = GW_STR(range_text);
        while (rest.len) {
            size_t len = GW_MIN(piece, rest.len);
            assert_int_equal(etcd_parser_feed(parser, gw_str_n(rest.ptr, len)), 0);
            rest = gw_str_n(rest.ptr + len, rest.len - len);
        }
        assert_int_equal(etcd_parser_finish(parser), 0);
        check_range(&answer);
        etcd_parser_free(parser);
        gw_arena_done(&arena);
    }
}

static struct etcd_answer parse(struct gw_arena *arena, const char *text)
{
    struct etcd_answer answer;
    if (etcd_parse(gw_str_from(text), arena, &answer))
        fail_msg("%s", text);
    return answer;
}

static void transactions_and_streams(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct etcd_answer answer =
        parse(&arena, "{\"header\":{\"cluster_id\":\"5\",\"revision\":\"8\"},\"succeeded\":true,"
                      "\"responses\":[{\"response_range\":{\"header\":{\"revision\":\"1\"},"
                      "\"count\":\"3\"}},{\"response_range\":{\"kvs\":[{\"key\":\"YQ==\"}],"
                      "\"count\":\"4\"}},{\"response_range\":{\"count\":\"9\"}}]}");
    assert_true(answer.succeeded);
    assert_int_equal(answer.at.revision, 8);
    assert_int_equal(answer.counts[0], 3);
    assert_int_equal(answer.kv_count, 1);

    answer = parse(&arena, "{\"result\":{\"header\":{\"cluster_id\":\"5\",\"revision\":\"8\"},"
                           "\"events\":[{\"kv\":{\"key\":\"YQ==\",\"mod_revision\":\"7\"}},"
                           "{\"type\":\"DELETE\",\"kv\":{\"key\":\"Yg==\",\"mod_revision\":\"8\"},"
                           "\"prev_kv\":{\"key\":\"eA==\"}}]}}");
    assert_int_equal(answer.event_count, 2);
    assert_false(answer.events[0].is_delete);
    assert_str(answer.events[0].kv.key, "a");
    assert_true(answer.events[1].is_delete);
    assert_str(answer.events[1].kv.key, "b");
    assert_int_equal(answer.events[1].kv.mod_revision, 8);

    answer = parse(&arena, "{\"result\":{\"created\":true,\"canceled\":true,"
                           "\"compact_revision\":\"4\",\"cancel_reason\":\"gone\"}}");
    assert_true(answer.created && answer.cancelled);
    assert_int_equal(answer.compact_revision, 4);
    assert_string_equal(answer.error.text, "gone");
    gw_arena_done(&arena);
}

static void errors_have_two_shapes(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct etcd_answer answer =
        parse(&arena, "{\"error\":\"etcdserver: no\",\"message\":\"etcdserver: no\",\"code\":14}");
    assert_true(answer.error.is_set);
    assert_int_equal(answer.error.grpc_code, 14);
    assert_string_equal(answer.error.text, "etcdserver: no");
    answer = parse(&arena, "{\"error\":{\"grpc_code\":7,\"http_code\":403,\"message\":\"denied\","
                           "\"http_status\":\"Forbidden\"}}");
    assert_true(answer.error.is_set);
    assert_int_equal(answer.error.grpc_code, 7);
    assert_string_equal(answer.error.text, "denied");
    gw_arena_done(&arena);

    struct etcd_error error;
    etcd_error_from_http(503, GW_STR("<html>"), &error);
    assert_string_equal(error.text, "HTTP status 503: <html>");
    assert_false(etcd_error_is_final(&error));
    etcd_error_from_http(403, GW_STR(""), &error);
    assert_true(etcd_error_is_final(&error));
    etcd_error_from_http(500, GW_STR("{\"error\":\"context deadline exceeded\",\"code\":2}"),
                         &error);
    assert_false(etcd_error_is_final(&error));
}

static void refusals_become_our_codes(void **state)
{
    (void)state;
    static const struct {
        int code;
        const char *text;
        enum gw_code want;
        const char *reason;
    } cases[] = {
        {5, "etcdserver: requested lease not found", GW_NOT_FOUND, ""},
        {11, "etcdserver: mvcc: required revision has been compacted", GW_OUT_OF_RANGE, ""},
        {8, "etcdserver: mvcc: database space exceeded", GW_RESOURCE_EXHAUSTED, "STORE_FULL"},
        {8, "etcdserver: too many requests", GW_UNAVAILABLE, ""},
        {3, "etcdserver: request is too large", GW_INVALID_ARGUMENT, ""},
        {3, "etcdserver: user name is empty", GW_UNAVAILABLE, "STORE_REFUSED"},
        {7, "etcdserver: permission denied", GW_UNAVAILABLE, "STORE_REFUSED"},
        {16, "etcdserver: invalid auth token", GW_UNAVAILABLE, "STORE_REFUSED"},
        {14, "etcdserver: leader changed", GW_UNAVAILABLE, ""},
        {-1, "what", GW_UNAVAILABLE, ""},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct gw_error err;
        struct etcd_error error = {.is_set = true, .grpc_code = cases[i].code};
        strcpy(error.text, cases[i].text);
        assert_int_equal(etcd_fail_answer(&err, &error), -1);
        assert_int_equal(err.code, cases[i].want);
        assert_string_equal(err.reason, cases[i].reason);
    }
}

static void what_is_not_etcds_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "{\"kvs\":[{\"key\":\"*\"}]}",
        "{\"kvs\":[{\"key\":\"A\"}]}",
        "{\"kvs\":[{\"mod_revision\":\"x\"}]}",
        "{\"kvs\":[{\"mod_revision\":\"9223372036854775808\"}]}",
        "{\"header\":{\"cluster_id\":\"-1\"}}",
        "{\"code\":17}",
        "{}{}",
        "<html>",
        "{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct gw_arena arena = {0};
        struct etcd_answer answer;
        if (etcd_parse(gw_str_from(bad[i]), &arena, &answer) == 0)
            fail_msg("%s", bad[i]);
        gw_arena_done(&arena);
    }
}

static void long_error_texts_are_cut(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    gw_str text = gw_arena_printf(&arena, "{\"error\":\"%0*d\"}", 1000, 7);
    struct etcd_answer answer = parse(&arena, text.ptr);
    assert_int_equal(strlen(answer.error.text), ETCD_ERROR_MAX - 1);
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_cover_their_prefix),    cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(answers_parse_in_any_pieces),  cmocka_unit_test(transactions_and_streams),
        cmocka_unit_test(errors_have_two_shapes),       cmocka_unit_test(refusals_become_our_codes),
        cmocka_unit_test(what_is_not_etcds_is_refused), cmocka_unit_test(long_error_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
