/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>

static void assert_round_trip(const char *in, const char *out)
{
    struct dp_address address;
    char text[DP_ADDRESS_TEXT_MAX];
    assert_int_equal(dp_address_parse(gw_str_from(in), &address), 0);
    size_t len = dp_address_print(&address, text);
    assert_string_equal(text, out);
    assert_int_equal(len, strlen(out));
    struct sockaddr_storage storage;
    dp_address_to_sockaddr(&address, 80, &storage);
    struct dp_address back = dp_address_from((struct sockaddr *)&storage);
    assert_int_equal(dp_address_cmp(&address, &back), 0);
    assert_true(dp_address_is_known(&address) || strcmp(out, "::") == 0);
}

static void literals_are_read_and_written(void **state)
{
    (void)state;
    assert_round_trip("192.0.2.1", "192.0.2.1");
    assert_round_trip("10.200.99.0", "10.200.99.0");
    assert_round_trip("255.255.255.255", "255.255.255.255");
    assert_round_trip("::ffff:192.0.2.1", "192.0.2.1");
    assert_round_trip("2001:DB8::1", "2001:db8::1");
    assert_round_trip("[::1]", "::1");
}

static void other_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "a.example",
        "1.2.3",     "1.2.3.4.5",
        "256.1.1.1", "[::1",
        "[1.2.3.4]", "1.2.3.4 ",
        "::g",       "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct dp_address address;
        assert_int_equal(dp_address_parse(gw_str_from(bad[i]), &address), -EINVAL);
    }
    struct dp_address address;
    assert_int_equal(dp_address_parse(gw_str_n("1.2.3.4\0x", 9), &address), -EINVAL);
}

static void other_families_are_unknown(void **state)
{
    (void)state;
    struct sockaddr unix_address = {.sa_family = AF_UNIX};
    struct dp_address address = dp_address_from(&unix_address);
    assert_false(dp_address_is_known(&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_and_written),
        cmocka_unit_test(other_text_is_refused),
        cmocka_unit_test(other_families_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
