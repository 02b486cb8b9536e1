/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_fields.h"

#include "common/test.h"

static void assert_field(const nghttp2_nv *field, const char *name, const char *value)
{
    assert_str(gw_str_n((const char *)field->name, field->namelen), name);
    assert_str(gw_str_n((const char *)field->value, field->valuelen), value);
}

struct list {
    struct gw_arena arena;
    struct dp_headers headers;
    struct dp_h2_fields fields;
};

static void begin(struct list *list)
{
    gw_arena_init(&list->arena, 0);
    dp_headers_init(&list->headers, &list->arena);
    dp_h2_fields_init(&list->fields, &list->arena, 1);
}

static void names_are_in_lower_case(void **state)
{
    (void)state;
    struct list list;
    begin(&list);
    dp_headers_add(&list.headers, GW_STR("Content-Type"), GW_STR("text/Plain"));
    dp_headers_add(&list.headers, GW_STR("X-Own"), GW_STR("A"));
    dp_headers_add(&list.headers, GW_STR("x-low"), GW_STR(""));
    dp_h2_fields_add(&list.fields, GW_STR(":status"), GW_STR("200"));
    dp_h2_fields_add_headers(&list.fields, &list.headers);
    assert_int_equal(list.fields.count, 4);
    assert_field(&list.fields.items[0], ":status", "200");
    assert_field(&list.fields.items[1], "content-type", "text/Plain");
    assert_field(&list.fields.items[2], "x-own", "A");
    assert_field(&list.fields.items[3], "x-low", "");
    gw_arena_done(&list.arena);
}

static void what_belongs_to_http1_stays_there(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Connection",     "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade",
        "HTTP2-Settings", "Host",       "Expect",           "Content-Length"};
    struct list list;
    begin(&list);
    for (size_t i = 0; i < GW_ARRAY_LEN(names); i++)
        dp_headers_add(&list.headers, gw_str_from(names[i]), GW_STR("x"));
    dp_headers_add(&list.headers, GW_STR("TE"), GW_STR("gzip, trailers"));
    dp_h2_fields_add_headers(&list.fields, &list.headers);
    assert_int_equal(list.fields.count, 0);
    dp_headers_set(&list.headers, GW_STR("TE"), GW_STR("trailers"));
    dp_h2_fields_add_headers(&list.fields, &list.headers);
    assert_int_equal(list.fields.count, 1);
    assert_field(&list.fields.items[0], "te", "trailers");
    gw_arena_done(&list.arena);
}

static void the_length_comes_from_the_framing(void **state)
{
    (void)state;
    struct list list;
    struct dp_h1_framing framing = {.kind = DP_BODY_CHUNKED};
    begin(&list);
    dp_h2_fields_add_length(&list.fields, &framing);
    assert_int_equal(list.fields.count, 0);
    framing = (struct dp_h1_framing){.kind = DP_BODY_LENGTH, .length = UINT64_C(12345678901)};
    dp_h2_fields_add_length(&list.fields, &framing);
    assert_field(&list.fields.items[0], "content-length", "12345678901");
    gw_arena_done(&list.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_in_lower_case),
        cmocka_unit_test(what_belongs_to_http1_stays_there),
        cmocka_unit_test(the_length_comes_from_the_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
