/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/message.h"

#include "dataplane/http/header_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define assert_str(got, want)                                                                      \
    do {                                                                                           \
        gw_str got_ = (got), want_ = gw_str_from(want);                                            \
        if (!gw_str_eq(got_, want_))                                                               \
            fail_msg("got '%.*s', want '%s'", GW_STR_ARG(got_), want_.ptr);                        \
    } while (0)

static int setup(void **state)
{
    static struct gw_arena arena;
    gw_arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    gw_arena_done(*state);
    return 0;
}

struct name_row {
    enum dp_header_id id;
    unsigned slot;
    const char *name;
};

static void every_known_name_is_recognised_in_any_case(void **state)
{
    (void)state;
#define ROW(id, slot, name) {DP_HEADER_##id, (slot), (name)},
    static const struct name_row rows[] = {DP_HEADER_NAMES(ROW)};
#undef ROW
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        gw_str name = gw_str_from(rows[i].name);
        if (dp_header_slot(dp_header_words(name)) != rows[i].slot)
            fail_msg("the slot of %s is %u", rows[i].name, dp_header_slot(dp_header_words(name)));
        assert_int_equal(dp_header_id_from(name), rows[i].id);
        assert_str(dp_header_name(rows[i].id), rows[i].name);
        char upper[64], lower[64];
        for (size_t k = 0; k < name.len; k++) {
            bool is_letter = (name.ptr[k] | 0x20) >= 'a' && (name.ptr[k] | 0x20) <= 'z';
            upper[k] = is_letter ? (char)(name.ptr[k] & ~0x20) : name.ptr[k];
            lower[k] = (char)(name.ptr[k] | 0x20);
        }
        assert_int_equal(dp_header_id_from(gw_str_n(upper, name.len)), rows[i].id);
        assert_int_equal(dp_header_id_from(gw_str_n(lower, name.len)), rows[i].id);
        /* one byte off is another name */
        upper[0] = upper[0] == 'Q' ? 'Z' : 'Q';
        assert_int_equal(dp_header_id_from(gw_str_n(upper, name.len)), DP_HEADER_OTHER);
        assert_int_not_equal(dp_header_id_from(gw_str_n(lower, name.len - 1)), rows[i].id);
    }
    assert_int_equal(dp_header_id_from(GW_STR("x")), DP_HEADER_OTHER);
    assert_int_equal(dp_header_id_from(GW_STR_NONE), DP_HEADER_OTHER);
    assert_str(dp_header_name(DP_HEADER_OTHER), "");
}

static void add(struct dp_headers *headers, const char *name, const char *value)
{
    dp_headers_add(headers, gw_str_from(name), gw_str_from(value));
}

/* "Name=value;Name=value;" */
static const char *list(struct gw_arena *arena, const struct dp_headers *headers)
{
    gw_str text = GW_STR("");
    for (unsigned i = 0; i < headers->count; i++)
        text = gw_arena_printf(arena, "%.*s%.*s=%.*s;", GW_STR_ARG(text),
                               GW_STR_ARG(headers->items[i].name),
                               GW_STR_ARG(headers->items[i].value));
    return gw_arena_strdup(arena, text.len ? gw_arena_dup(arena, text).ptr : "");
}

static void fields_are_found_by_number_and_by_name(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "HOST", "h");
    add(&headers, "x-one", "1");
    add(&headers, "X-One", "2");
    dp_headers_add_id(&headers, DP_HEADER_DATE, GW_STR("now"));
    assert_str(dp_headers_value(&headers, DP_HEADER_HOST), "h");
    assert_str(dp_headers_value(&headers, DP_HEADER_DATE), "now");
    assert_null(dp_headers_value(&headers, DP_HEADER_SERVER).ptr);
    assert_str(dp_headers_find(&headers, GW_STR("X-ONE"))->value, "1");
    assert_str(dp_headers_find(&headers, GW_STR("host"))->value, "h");
    assert_null(dp_headers_find(&headers, GW_STR("x-two")));
    assert_null(dp_headers_find(&headers, GW_STR("server")));
}

static void set_replaces_all_of_a_name_in_place(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "A", "1");
    add(&headers, "b", "2");
    add(&headers, "a", "3");
    dp_headers_set(&headers, GW_STR("a"), GW_STR("9"));
    dp_headers_set(&headers, GW_STR("Date"), GW_STR("d"));
    dp_headers_set(&headers, GW_STR("date"), GW_STR("e"));
    assert_string_equal(list(*state, &headers), "a=9;b=2;date=e;");
    assert_int_equal(dp_headers_remove(&headers, DP_HEADER_DATE), 1);
    assert_int_equal(dp_headers_remove(&headers, DP_HEADER_DATE), 0);
    assert_int_equal(dp_headers_remove_named(&headers, GW_STR("B")), 1);
    assert_int_equal(dp_headers_remove_named(&headers, GW_STR("zz")), 0);
    assert_string_equal(list(*state, &headers), "a=9;");
}

static void put_takes_what_is_known_of_a_field(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "x-a", "1");
    add(&headers, "via", "1.1 a");
    add(&headers, "Via", "1.1 b");
    dp_headers_put_id(&headers, DP_HEADER_VIA, GW_STR("1.1 c"));
    dp_headers_put_id(&headers, DP_HEADER_DATE, GW_STR_NONE);
    dp_headers_put(&headers, &(struct dp_header){GW_STR("X-A"), GW_STR("2"), DP_HEADER_OTHER});
    dp_headers_put(&headers, &(struct dp_header){GW_STR("X-B"), GW_STR("3"), DP_HEADER_OTHER});
    assert_string_equal(list(*state, &headers), "X-A=2;Via=1.1 c;Date=;X-B=3;");
}

/* Each byte counts, wherever it stands in a word. */
static void a_name_is_known_in_any_case_and_only_whole(void **state)
{
    (void)state;
    for (unsigned id = 1; id < DP_HEADER_COUNT; id++) {
        gw_str name = dp_header_name((enum dp_header_id)id);
        char text[64];
        memcpy(text, name.ptr, name.len);
        for (size_t i = 0; i < name.len; i++) {
            bool is_letter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
            text[i] = (char)(is_letter ? text[i] ^ 0x20 : text[i]);
            assert_int_equal(dp_header_id_from(gw_str_n(text, name.len)), id);
            text[i] ^= 1;
            assert_int_not_equal(dp_header_id_from(gw_str_n(text, name.len)), id);
            text[i] ^= 1;
        }
        assert_int_equal(dp_header_id_from(gw_str_n(text, name.len - 1)), DP_HEADER_OTHER);
    }
}

static void text_that_could_split_a_message_is_left_out(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "a", "x\r\nEvil: 1");
    add(&headers, "a", "x\ny");
    add(&headers, "a\r\nEvil", "1");
    add(&headers, "a b", "1");
    add(&headers, "", "1");
    dp_headers_add(&headers, GW_STR("a"), GW_STR("nul\0"));
    dp_headers_add_id(&headers, DP_HEADER_LOCATION, GW_STR("/\r\n"));
    assert_int_equal(headers.count, 0);
    add(&headers, "a", "fine\tand \xc3\xa4");
    assert_int_equal(headers.count, 1);
    dp_headers_set(&headers, GW_STR("A"), GW_STR("bad\n"));
    assert_int_equal(headers.count, 0);
}

static void many_fields_grow_in_the_arena_and_copies_are_apart(void **state)
{
    struct dp_headers headers, copy;
    dp_headers_init(&headers, *state);
    for (int i = 0; i < DP_HEADERS_MAX; i++)
        dp_headers_add(&headers, gw_arena_printf(*state, "n%d", i), GW_STR("v"));
    dp_headers_copy(&copy, &headers, *state);
    add(&copy, "Server", "s");
    assert_int_equal(headers.count, DP_HEADERS_MAX);
    assert_int_equal(copy.count, DP_HEADERS_MAX + 1);
    assert_null(dp_headers_get(&headers, DP_HEADER_SERVER));
    assert_str(copy.items[199].name, "n199");
    struct dp_headers none;
    dp_headers_init(&headers, *state);
    dp_headers_copy(&none, &headers, *state);
    assert_int_equal(none.count, 0);
}

struct strip_case {
    const char *fields[8][2];
    const char *want;
};

static void hop_by_hop_fields_and_those_named_are_removed(void **state)
{
    static const struct strip_case cases[] = {
        {{{"Host", "h"}, {"a", "1"}}, "Host=h;a=1;"},
        {{{"Connection", "close"}, {"a", "1"}}, "a=1;"},
        {{{"Connection", "a, keep-alive"}, {"A", "1"}, {"b", "2"}, {"a", "3"}}, "b=2;"},
        {{{"Connection", "a"}, {"Connection", " b ,, c"}, {"a", "1"}, {"b", "1"}, {"C", "1"}}, ""},
        {{{"Keep-Alive", "timeout=5"}, {"Proxy-Connection", "x"}, {"TE", "trailers"}}, ""},
        {{{"Transfer-Encoding", "chunked"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AA"}}, ""},
        {{{"Proxy-Authorization", "x"}, {"Proxy-Authenticate", "y"}, {"Trailer", "z"}},
         "Trailer=z;"},
        /* framing and identity cannot be taken out by naming them */
        {{{"Connection", "host, content-length, authorization, x-forwarded-for, x-stage, cookie"},
          {"Host", "h"},
          {"Content-Length", "1"},
          {"Authorization", "a"},
          {"X-Forwarded-For", "f"},
          {"X-Stage", "s"},
          {"Cookie", "c"}},
         "Host=h;Content-Length=1;Authorization=a;X-Forwarded-For=f;X-Stage=s;Cookie=c;"},
        {{{"Connection", "user-agent"}, {"User-Agent", "u"}, {"Accept", "a"}}, "Accept=a;"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        struct dp_headers headers;
        dp_headers_init(&headers, *state);
        for (size_t k = 0; k < 8 && cases[i].fields[k][0]; k++)
            add(&headers, cases[i].fields[k][0], cases[i].fields[k][1]);
        dp_headers_strip_hop_by_hop(&headers);
        assert_string_equal(list(*state, &headers), cases[i].want);
        assert_null(dp_headers_get(&headers, DP_HEADER_CONNECTION));
    }
}

static void only_the_first_32_names_of_connection_count(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    gw_str names = GW_STR("x0");
    for (int i = 1; i < 40; i++)
        names = gw_arena_printf(*state, "%.*s,x%d", GW_STR_ARG(names), i);
    dp_headers_add(&headers, GW_STR("Connection"), names);
    add(&headers, "x0", "");
    add(&headers, "x31", "");
    add(&headers, "x32", "");
    dp_headers_strip_hop_by_hop(&headers);
    assert_string_equal(list(*state, &headers), "x32=;");
}

static void known_names_spelled_with_an_underscore_go(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "X_Forwarded_For", "1");
    add(&headers, "x-forwarded_proto", "2");
    add(&headers, "CONTENT_LENGTH", "3");
    add(&headers, "X-Forwarded-For", "4");
    add(&headers, "my_own", "5");
    add(&headers, "_", "6");
    add(&headers, "access_control_request_headers_and_more", "7");
    dp_headers_strip_shadows(&headers);
    assert_string_equal(list(*state, &headers), "X-Forwarded-For=4;my_own=5;_=6;"
                                                "access_control_request_headers_and_more=7;");
}

static void a_trailer_does_not_steer(void **state)
{
    (void)state;
    static const char *const may[] = {"x-sum",
                                      "My_Own",
                                      "ETag",
                                      "grpc-status",
                                      "Content-Digest",
                                      "Content-MD5",
                                      "Server-Timing",
                                      "age-of-it",
                                      "if",
                                      "grpc-status-details-bin",
                                      "a-name-of-more-than-32-bytes-passes"};
    static const char *const may_not[] = {"Host",
                                          "host",
                                          "content-length",
                                          "Content_Length",
                                          "X_Forwarded_For",
                                          "x_forwarded-server",
                                          "Authorization",
                                          "authorization",
                                          "IF-MATCH",
                                          "if_range",
                                          "Content-Location",
                                          "Set_Cookie",
                                          "Max-Forwards",
                                          "Expires",
                                          "age",
                                          "Access_Control_Request_Headers",
                                          "X-Original-URL",
                                          "content-an-unknown-name-of-many-bytes",
                                          "grpc_status",
                                          "Accept-Charset"};
    for (size_t i = 0; i < GW_ARRAY_LEN(may); i++)
        assert_true(dp_header_is_for_trailers(gw_str_from(may[i])));
    for (size_t i = 0; i < GW_ARRAY_LEN(may_not); i++)
        assert_false(dp_header_is_for_trailers(gw_str_from(may_not[i])));
}

static void lists_are_searched_by_element(void **state)
{
    struct dp_headers headers;
    dp_headers_init(&headers, *state);
    add(&headers, "Connection", "keep-alive ,\tUpgrade");
    add(&headers, "Connection", "close");
    assert_true(dp_headers_list_has(&headers, DP_HEADER_CONNECTION, GW_STR("upgrade")));
    assert_true(dp_headers_list_has(&headers, DP_HEADER_CONNECTION, GW_STR("CLOSE")));
    assert_false(dp_headers_list_has(&headers, DP_HEADER_CONNECTION, GW_STR("keep")));
    assert_false(dp_headers_list_has(&headers, DP_HEADER_UPGRADE, GW_STR("upgrade")));
}

static void a_head_may_outlive_its_buffer(void **state)
{
    char buffer[] = "GET /p?q host x: v";
    struct dp_request_head head = {.method_name = gw_str_n(buffer, 3),
                                   .path = gw_str_n(buffer + 4, 2),
                                   .query = gw_str_n(buffer + 7, 1),
                                   .host = gw_str_n(buffer + 9, 4)};
    dp_headers_init(&head.headers, *state);
    dp_headers_append(&head.headers, gw_str_n(buffer + 14, 1), gw_str_n(buffer + 17, 1));
    dp_request_head_keep(&head);
    memset(buffer, 0, sizeof buffer);
    assert_true(gw_str_eq(head.method_name, GW_STR("GET")) && gw_str_eq(head.path, GW_STR("/p")));
    assert_true(gw_str_eq(head.query, GW_STR("q")) && gw_str_eq(head.host, GW_STR("host")));
    assert_int_equal(head.authority.len, 0);
    assert_string_equal(list(*state, &head.headers), "x=v;");
}

static void methods_are_case_sensitive_words(void **state)
{
    (void)state;
    for (enum dp_method m = DP_METHOD_GET; m < DP_METHOD_COUNT; m++)
        assert_int_equal(dp_method_from(dp_method_name(m)), m);
    static const char *const others[] = {"", "get", "Get", "GETT", "GE", "PATCHX", "PROPFIND", "P"};
    for (size_t i = 0; i < GW_ARRAY_LEN(others); i++)
        assert_int_equal(dp_method_from(gw_str_from(others[i])), DP_METHOD_OTHER);
    assert_true(dp_method_is_idempotent(DP_METHOD_PUT));
    assert_false(dp_method_is_idempotent(DP_METHOD_POST));
    assert_false(dp_method_is_idempotent(DP_METHOD_PATCH));
    assert_false(dp_method_is_idempotent(DP_METHOD_OTHER));
}

static void statuses_have_reasons(void **state)
{
    (void)state;
    assert_str(dp_status_reason(200), "OK");
    assert_str(dp_status_reason(431), "Request Header Fields Too Large");
    assert_str(dp_status_reason(599), "Unknown");
    assert_str(dp_status_reason(0), "Unknown");
    assert_str(dp_status_reason(600), "Unknown");
}

static void fields_of_a_name_are_one_list(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct dp_headers headers;
    dp_headers_init(&headers, &arena);
    assert_int_equal(dp_headers_list(&headers, DP_HEADER_VIA).len, 0);
    dp_headers_append(&headers, GW_STR("via"), GW_STR("1.1 a, 1.0 b"));
    assert_true(gw_str_eq(dp_headers_list(&headers, DP_HEADER_VIA), GW_STR("1.1 a, 1.0 b")));
    dp_headers_append(&headers, GW_STR("Date"), GW_STR("now"));
    dp_headers_append(&headers, GW_STR("Via"), GW_STR(""));
    dp_headers_append(&headers, GW_STR("VIA"), GW_STR("1.1 c"));
    assert_true(gw_str_eq(dp_headers_list(&headers, DP_HEADER_VIA), GW_STR("1.1 a, 1.0 b, 1.1 c")));
    gw_arena_done(&arena);
}

static void fields_that_there_may_be_one_of_are_noticed_twice(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct dp_headers headers;
    dp_headers_init(&headers, &arena);
    dp_headers_append(&headers, GW_STR("Authorization"), GW_STR("a"));
    dp_headers_append(&headers, GW_STR("Cookie"), GW_STR("a"));
    dp_headers_append(&headers, GW_STR("Cookie"), GW_STR("b"));
    dp_headers_append(&headers, GW_STR("Own"), GW_STR("a"));
    dp_headers_append(&headers, GW_STR("Own"), GW_STR("b"));
    assert_false(dp_headers_repeat_singleton(&headers));
    dp_headers_append(&headers, GW_STR("authorization"), GW_STR("a"));
    assert_true(dp_headers_repeat_singleton(&headers));
    (void)dp_headers_remove(&headers, DP_HEADER_AUTHORIZATION);
    assert_false(dp_headers_repeat_singleton(&headers));
    gw_arena_done(&arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_a_name_are_one_list),
        TEST(every_known_name_is_recognised_in_any_case),
        TEST(fields_are_found_by_number_and_by_name),
        TEST(set_replaces_all_of_a_name_in_place),
        TEST(put_takes_what_is_known_of_a_field),
        TEST(a_name_is_known_in_any_case_and_only_whole),
        TEST(text_that_could_split_a_message_is_left_out),
        TEST(many_fields_grow_in_the_arena_and_copies_are_apart),
        TEST(hop_by_hop_fields_and_those_named_are_removed),
        TEST(only_the_first_32_names_of_connection_count),
        TEST(known_names_spelled_with_an_underscore_go),
        TEST(a_trailer_does_not_steer),
        TEST(lists_are_searched_by_element),
        TEST(a_head_may_outlive_its_buffer),
        cmocka_unit_test(fields_that_there_may_be_one_of_are_noticed_twice),
        TEST(methods_are_case_sensitive_words),
        TEST(statuses_have_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
