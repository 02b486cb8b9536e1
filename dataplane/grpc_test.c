/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/grpc.h"

#include "common/test.h"

static struct gw_arena arena;

static int setup(void **state)
{
    (void)state;
    gw_arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_arena_done(&arena);
    return 0;
}

static void calls_are_known_by_their_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool is_call;
    } rows[] = {
        {"application/grpc", true},
        {"application/grpc+proto", true},
        {"Application/gRPC; charset=x", true},
        {"application/grpc-web", false},
        {"application/grpcx", false},
        {"application/json", false},
        {"application/grp", false},
        {"", false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        struct dp_headers headers;
        dp_headers_init(&headers, &arena);
        dp_headers_add(&headers, GW_STR("content-type"), gw_str_from(rows[i].type));
        assert_int_equal(dp_grpc_is_call(&headers), rows[i].is_call);
    }
}

static void timeouts_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gw_msec ms;
    } rows[] = {
        {"1H", 3600000}, {"2M", 120000},      {"3S", 3000},
        {"250m", 250},   {"1500u", 2},        {"1n", 1},
        {"0n", 0},       {"00000001S", 1000}, {"99999999H", DP_GRPC_TIMEOUT_MAX_MS},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        gw_msec ms;
        assert_int_equal(dp_grpc_timeout_from(gw_str_from(rows[i].text), &ms), 0);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void what_is_no_timeout_is_told(void **state)
{
    (void)state;
    static const char *const rows[] = {"",    "1",    "S",    "1s",  "1 S",        "-1S",
                                       "+1S", "1.5S", "0x1S", "1SS", "123456789S", " 1S"};
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        gw_msec ms;
        assert_int_equal(dp_grpc_timeout_from(gw_str_from(rows[i]), &ms), -1);
    }
}

static void what_is_left_is_written_so_that_it_can_be_read(void **state)
{
    (void)state;
    assert_str(dp_grpc_timeout_to(&arena, 1), "1m");
    assert_str(dp_grpc_timeout_to(&arena, 99999999), "99999999m");
    assert_str(dp_grpc_timeout_to(&arena, 100000000), "100000S");
    assert_str(dp_grpc_timeout_to(&arena, DP_GRPC_TIMEOUT_MAX_MS), "8640000S");
}

static void every_refusal_has_a_status(void **state)
{
    (void)state;
    for (unsigned i = DP_REFUSAL_NONE + 1; i < DP_REFUSAL_COUNT; i++)
        assert_int_not_equal(dp_grpc_status_of(dp_refusal_row((enum dp_refusal)i)->status),
                             DP_GRPC_UNKNOWN);
    assert_int_equal(dp_grpc_status_of(401), 16);
    assert_int_equal(dp_grpc_status_of(404), 12);
    assert_int_equal(dp_grpc_status_of(429), 8);
    assert_int_equal(dp_grpc_status_of(502), 14);
    assert_int_equal(dp_grpc_status_of(504), 4);
    assert_int_equal(dp_grpc_status_of(299), 2);
}

static void a_status_is_a_number(void **state)
{
    (void)state;
    assert_int_equal(dp_grpc_status_from(GW_STR("0")), 0);
    assert_int_equal(dp_grpc_status_from(GW_STR("16")), 16);
    assert_int_equal(dp_grpc_status_from(GW_STR("2147483647")), INT32_MAX);
    static const char *const bad[] = {"", "-1", "2147483648", "1 ", "OK"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_int_equal(dp_grpc_status_from(gw_str_from(bad[i])), -1);
}

static void a_refusal_is_a_head_alone(void **state)
{
    (void)state;
    struct dp_response_head head = {.status = 429};
    dp_headers_init(&head.headers, &arena);
    dp_headers_add(&head.headers, GW_STR("Content-Type"), GW_STR("application/json"));
    dp_headers_add(&head.headers, GW_STR("Retry-After"), GW_STR("3"));
    dp_grpc_refuse(&head, &arena, DP_REFUSE_THROTTLED, GW_STR("abc"));
    assert_int_equal(head.status, 200);
    assert_str(dp_headers_value(&head.headers, DP_HEADER_CONTENT_TYPE), "application/grpc");
    assert_str(dp_headers_value(&head.headers, DP_HEADER_RETRY_AFTER), "3");
    assert_str(dp_headers_value(&head.headers, DP_HEADER_GRPC_STATUS), "8");
    assert_str(dp_headers_value(&head.headers, DP_HEADER_GRPC_MESSAGE),
               "APIG.0308: The throttling threshold has been reached. (request abc)");
}

static void messages_are_escaped(void **state)
{
    (void)state;
    struct dp_headers headers;
    dp_headers_init(&headers, &arena);
    dp_grpc_put_status(&headers, DP_GRPC_INTERNAL, GW_STR("50% \xc3\xa9\n"));
    assert_str(dp_headers_value(&headers, DP_HEADER_GRPC_MESSAGE), "50%25 %C3%A9%0A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_are_known_by_their_type, setup, teardown),
        cmocka_unit_test_setup_teardown(timeouts_have_units, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_timeout_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_is_written_so_that_it_can_be_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_refusal_has_a_status, setup, teardown),
        cmocka_unit_test(a_status_is_a_number),
        cmocka_unit_test_setup_teardown(a_refusal_is_a_head_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_are_escaped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
