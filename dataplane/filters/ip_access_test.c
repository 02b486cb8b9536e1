/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/filters/fake_exchange.h"

static Penstock__Agent__V1__IpAccess source = PENSTOCK__AGENT__V1__IP_ACCESS__INIT;
static Penstock__Agent__V1__Policy policy = PENSTOCK__AGENT__V1__POLICY__INIT;

static int compile(struct fixture *f, bool permit, char **addresses, size_t count)
{
    fixture_init(f, &dp_filter_ip_access);
    source.permit = permit;
    source.addresses = addresses;
    source.n_addresses = count;
    policy.kind_case = PENSTOCK__AGENT__V1__POLICY__KIND_IP_ACCESS;
    policy.ip_access = &source;
    return fixture_compile(f, &policy);
}

static enum dp_refusal call_from(struct fixture *f, const char *address)
{
    fixture_next(f);
    assert_int_equal(dp_address_parse(gw_str_from(address), &f->x.request.source), 0);
    return fixture_request(f);
}

#define COMPILE(f, permit, ...)                                                                    \
    compile((f), (permit), (char *[]){__VA_ARGS__}, GW_ARRAY_LEN(((char *[]){__VA_ARGS__})))
#define ASSERT_LISTED(f, address) assert_int_equal(call_from((f), (address)), DP_REFUSAL_NONE)
#define ASSERT_NOT_LISTED(f, address)                                                              \
    assert_int_equal(call_from((f), (address)), DP_REFUSE_IP_ACCESS)

static void permits_what_is_listed(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(COMPILE(&f, true, "192.0.2.1", "10.1.2.3/16", "172.16.0.5-172.16.0.9",
                             "2001:db8::/33", "fe80::1"),
                     0);
    ASSERT_LISTED(&f, "192.0.2.1");
    ASSERT_NOT_LISTED(&f, "192.0.2.0");
    ASSERT_NOT_LISTED(&f, "192.0.2.2");
    ASSERT_LISTED(&f, "10.1.0.0"); /* host bits are ignored */
    ASSERT_LISTED(&f, "10.1.255.255");
    ASSERT_NOT_LISTED(&f, "10.0.255.255");
    ASSERT_NOT_LISTED(&f, "10.2.0.0");
    ASSERT_NOT_LISTED(&f, "172.16.0.4");
    ASSERT_LISTED(&f, "172.16.0.5");
    ASSERT_LISTED(&f, "172.16.0.9");
    ASSERT_NOT_LISTED(&f, "172.16.0.10");
    ASSERT_LISTED(&f, "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff");
    ASSERT_NOT_LISTED(&f, "2001:db8:8000::");
    ASSERT_LISTED(&f, "fe80::1");
    ASSERT_LISTED(&f, "::ffff:192.0.2.1"); /* the same address */
    fixture_done(&f);
}

static void denies_what_is_listed(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(COMPILE(&f, false, "192.0.2.0/24"), 0);
    assert_int_equal(call_from(&f, "192.0.2.200"), DP_REFUSE_IP_ACCESS);
    assert_int_equal(call_from(&f, "192.0.3.0"), DP_REFUSAL_NONE);
    fixture_done(&f);
}

static void overlaps_are_merged(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(COMPILE(&f, true, "10.0.0.0/8", "10.1.0.0/16", "10.255.255.0-11.0.0.5",
                             "11.0.0.5", "11.0.0.7"),
                     0);
    ASSERT_LISTED(&f, "10.0.0.1"); /* the block around does not end at the one within */
    ASSERT_LISTED(&f, "10.200.0.1");
    ASSERT_LISTED(&f, "11.0.0.5");
    ASSERT_NOT_LISTED(&f, "11.0.0.6");
    ASSERT_LISTED(&f, "11.0.0.7");
    fixture_done(&f);
}

static void families_are_apart(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(COMPILE(&f, true, "::/0"), 0);
    ASSERT_LISTED(&f, "2001:db8::1");
    ASSERT_LISTED(&f, "::fffe:ffff:ffff");
    ASSERT_LISTED(&f, "::1:0:0:0");
    ASSERT_NOT_LISTED(&f, "0.0.0.0");
    ASSERT_NOT_LISTED(&f, "192.0.2.1");
    ASSERT_NOT_LISTED(&f, "255.255.255.255");
    fixture_done(&f);
    assert_int_equal(COMPILE(&f, true, "0.0.0.0/0"), 0);
    ASSERT_LISTED(&f, "0.0.0.0");
    ASSERT_LISTED(&f, "255.255.255.255");
    ASSERT_NOT_LISTED(&f, "::1");
    ASSERT_NOT_LISTED(&f, "::1:0:0:0");
    fixture_done(&f);
}

static void an_unknown_source_is_refused_by_either(void **state)
{
    (void)state;
    for (int permit = 0; permit <= 1; permit++) {
        struct fixture f;
        assert_int_equal(COMPILE(&f, permit, "0.0.0.0/0", "::/0"), 0);
        f.x.request.source = (struct dp_address){{0}};
        assert_int_equal(fixture_request(&f), DP_REFUSE_NO_SOURCE_ADDRESS);
        f.x.request.source.bytes[15] = 1;
        f.x.request.source_is_doubtful = true; /* the peer's, where another one was asked for */
        assert_int_equal(fixture_request(&f), DP_REFUSE_NO_SOURCE_ADDRESS);
        fixture_done(&f);
    }
}

static void bad_lists_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "localhost",
        "1.2.3",
        "1.2.3.4/33",
        "1.2.3.4/",
        "1.2.3.4/a",
        "::1/129",
        "1.2.3.4-",
        "1.2.3.9-1.2.3.1",
        "1.2.3.4-::1",
        "1.2.3.4/8/8",
        "1.2.3.4-1.2.3.5-1.2.3.6",
    };
    struct fixture f;
    for (unsigned i = 0; i < GW_ARRAY_LEN(bad); i++) {
        char *entry = (char *)(uintptr_t)bad[i];
        assert_int_equal(COMPILE(&f, true, "10.0.0.1", entry), -1);
        assert_string_equal(f.err.violations[0].field, "ip_access.addresses[1]");
        fixture_done(&f);
    }
}

static void lists_are_bounded(void **state)
{
    (void)state;
    static char *many[1001];
    static char text[1001][20];
    for (unsigned i = 0; i < GW_ARRAY_LEN(many); i++) {
        (void)snprintf(text[i], sizeof text[i], "10.0.%u.%u", i / 100, i % 100 * 2);
        many[i] = text[i];
    }
    struct fixture f;
    assert_int_equal(compile(&f, true, many, 1001), -1);
    fixture_done(&f);
    assert_int_equal(compile(&f, true, many, 0), -1);
    fixture_done(&f);
    assert_int_equal(compile(&f, true, many, 1000), 0);
    ASSERT_LISTED(&f, "10.0.9.198");
    ASSERT_NOT_LISTED(&f, "10.0.9.199");
    ASSERT_NOT_LISTED(&f, "10.0.10.0");
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permits_what_is_listed),
        cmocka_unit_test(denies_what_is_listed),
        cmocka_unit_test(overlaps_are_merged),
        cmocka_unit_test(families_are_apart),
        cmocka_unit_test(an_unknown_source_is_refused_by_either),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(lists_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
