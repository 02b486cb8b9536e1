/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/source.h"

#include "common/arena.h"
#include "common/test.h"

static struct gw_arena arena;

/* What is found in up to two fields; "" for nothing. */
static void assert_source(const char *field, const char *second, int64_t index, const char *want)
{
    struct dp_headers headers;
    struct dp_address address;
    char text[DP_ADDRESS_TEXT_MAX] = "";
    dp_headers_init(&headers, &arena);
    if (field)
        dp_headers_add_id(&headers, DP_HEADER_X_FORWARDED_FOR, gw_str_from(field));
    if (second)
        dp_headers_add_id(&headers, DP_HEADER_X_FORWARDED_FOR, gw_str_from(second));
    if (dp_source_forwarded(&headers, index, &address))
        (void)dp_address_print(&address, text);
    if (strcmp(text, want) != 0)
        fail_msg("\"%s\" + \"%s\" [%d]: got \"%s\", want \"%s\"", field ? field : "-",
                 second ? second : "-", (int)index, text, want);
}

static void elements_are_counted_from_both_ends(void **state)
{
    (void)state;
    static const char list[] = "192.0.2.1, 192.0.2.2 ,192.0.2.3";
    static const struct {
        int64_t index;
        const char *want;
    } cases[] = {{0, "192.0.2.1"},  {1, "192.0.2.2"},  {2, "192.0.2.3"},  {3, ""},  {100, ""},
                 {-1, "192.0.2.3"}, {-2, "192.0.2.2"}, {-3, "192.0.2.1"}, {-4, ""}, {-100, ""}};
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_source(list, NULL, cases[i].index, cases[i].want);
}

static void fields_are_one_list(void **state)
{
    (void)state;
    assert_source("192.0.2.1", "192.0.2.2, 192.0.2.3", 0, "192.0.2.1");
    assert_source("192.0.2.1", "192.0.2.2, 192.0.2.3", 1, "192.0.2.2");
    assert_source("192.0.2.1", "192.0.2.2, 192.0.2.3", -1, "192.0.2.3");
    assert_source("192.0.2.1", "192.0.2.2, 192.0.2.3", -3, "192.0.2.1");
    assert_source(NULL, NULL, 0, "");
    assert_source("", NULL, 0, "");
}

static void an_index_means_a_place(void **state)
{
    (void)state;
    assert_source("192.0.2.1,,192.0.2.3", NULL, 1, "");
    assert_source("192.0.2.1,,192.0.2.3", NULL, 2, "192.0.2.3");
    assert_source("unknown, 192.0.2.3", NULL, 0, "");
    assert_source("192.0.2.1,", NULL, -1, "");
    assert_source("192.0.2.1,", NULL, -2, "192.0.2.1");
    assert_source(",,,", NULL, 0, "");
}

static void addresses_have_many_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"192.0.2.1:4711", "192.0.2.1"},
        {"2001:DB8::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:4711", "2001:db8::1"},
        {"2001:db8::1:4711", "2001:db8::1:4711"}, /* no brackets: no port */
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1"},
        {"\t192.0.2.1\t", "192.0.2.1"},
        {"192.0.2.1:65536", ""},
        {"192.0.2.1:", ""},
        {"192.0.2.1:x", ""},
        {"192.0.2", ""},
        {"\"192.0.2.1\"", ""},
        {"[192.0.2.1]", ""},
        {"[192.0.2.1]:80", ""},
        {"[2001:db8::1", ""},
        {"2001:db8::1]:80", ""},
        {"fe80::1%eth0", ""},
        {"localhost", ""},
        {"for=192.0.2.1", ""},
        {":80", ""},
        {":", ""},
        {"[]:80", ""},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_source(cases[i].text, NULL, 0, cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_counted_from_both_ends),
        cmocka_unit_test(fields_are_one_list),
        cmocka_unit_test(an_index_means_a_place),
        cmocka_unit_test(addresses_have_many_forms),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gw_arena_done(&arena);
    return failed;
}
