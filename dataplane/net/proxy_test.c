/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/proxy.h"

#include "common/test.h"

#include <errno.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"
/* 192.0.2.7:4660 to 198.51.100.1:443 */
#define V4_PAIR "\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x34\x01\xbb"

/* A header in a literal, which may hold NUL. */
#define BYTES(literal) gw_str_n("" literal, sizeof(literal) - 1)

/* Whole, then with a byte behind it, and every beginning of it wants more. */
static void assert_header(gw_str bytes, const char *source, uint16_t source_port,
                          uint16_t destination_port)
{
    struct dp_proxy_header header;
    char text[DP_ADDRESS_TEXT_MAX], longer[DP_PROXY_BYTES_MAX + 1];
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(dp_proxy_parse(gw_str_n(bytes.ptr, len), &header), 0);
    memcpy(longer, bytes.ptr, bytes.len);
    longer[bytes.len] = 'G';
    assert_int_equal(dp_proxy_parse(gw_str_n(longer, bytes.len + 1), &header), bytes.len);
    assert_int_equal(dp_proxy_parse(bytes, &header), bytes.len);
    assert_int_equal(header.has_addresses, source != NULL);
    if (!source)
        return;
    (void)dp_address_print(&header.source, text);
    assert_string_equal(text, source);
    assert_int_equal(header.source_port, source_port);
    assert_int_equal(header.destination_port, destination_port);
}

static void assert_refused(gw_str bytes)
{
    struct dp_proxy_header header;
    if (dp_proxy_parse(bytes, &header) != -EPROTO)
        fail_msg("\"%.*s\" is not refused", GW_STR_ARG(bytes));
}

static void lines_of_version_1(void **state)
{
    (void)state;
    assert_header(BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n"), "192.0.2.7", 4711, 443);
    assert_header(BYTES("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0", 0, 65535);
    assert_header(BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"), "2001:db8::7", 4711,
                  443);
    assert_header(BYTES("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7", 1, 2);
    assert_header(BYTES("PROXY UNKNOWN\r\n"), NULL, 0, 0);
    assert_header(BYTES("PROXY UNKNOWN what  ever\r\n"), NULL, 0, 0);
    /* The longest that there may be. */
    char longest[] = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 .............."
                     ".................................\r\n";
    assert_int_equal(sizeof(longest) - 1, 107);
    assert_header(gw_str_from(longest), NULL, 0, 0);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n",
        "PROXZ",
        "proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP6 [2001:db8::7] 2001:db8::1 1 2\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY \r\n",
        "PROXY\r\n",
        "PROXY UNKNOWN ........................................................................"
        "..............................\r\n",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++)
        assert_refused(gw_str_from(bad[i]));
    assert_refused(BYTES("PROXY TCP4 \0"));
}

static void headers_of_version_2(void **state)
{
    (void)state;
    assert_header(BYTES(V2 "\x21\x11\0\x0c" V4_PAIR), "192.0.2.7", 4660, 443);
    assert_header(BYTES(V2 "\x21\x21\0\x24"
                           "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                           "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x34\x01\xbb"),
                  "2001:db8::7", 4660, 443);
    /* Whose addresses say nothing here: LOCAL, UNSPEC, datagrams, LOCAL with anything behind. */
    assert_header(BYTES(V2 "\x20\0\0\0"), NULL, 0, 0);
    assert_header(BYTES(V2 "\x20\x11\0\x0c" V4_PAIR), NULL, 0, 0);
    assert_header(BYTES(V2 "\x20\xff\0\3abc"), NULL, 0, 0);
    assert_header(BYTES(V2 "\x21\0\0\3abc"), NULL, 0, 0);
    assert_header(BYTES(V2 "\x21\x12\0\x0c" V4_PAIR), NULL, 0, 0);
    char unix_pair[16 + 216] = V2 "\x21\x31\0\xd8/a";
    assert_header(gw_str_n(unix_pair, sizeof(unix_pair)), NULL, 0, 0);
    char longest[DP_PROXY_BYTES_MAX] = V2 "\x20\0\x07\xf0";
    assert_header(gw_str_n(longest, sizeof(longest)), NULL, 0, 0);
}

static void headers_of_version_2_that_are_none(void **state)
{
    (void)state;
    assert_refused(BYTES("\r\n\r\nX"));
    assert_refused(BYTES(V2 "\x11\x11\0\x0c" V4_PAIR)); /* version 1 */
    assert_refused(BYTES(V2 "\x31"));
    assert_refused(BYTES(V2 "\x22\x11\0\x0c" V4_PAIR)); /* no such command */
    assert_refused(BYTES(V2 "\x21\x41\0\x0c" V4_PAIR)); /* family */
    assert_refused(BYTES(V2 "\x21\x13\0\x0c" V4_PAIR)); /* transport */
    assert_refused(BYTES(V2 "\x21\x11\0\x0b" V4_PAIR)); /* too short for its addresses */
    assert_refused(BYTES(V2 "\x21\x21\0\x0c" V4_PAIR));
    assert_refused(BYTES(V2 "\x21\x31\0\x0c" V4_PAIR));
    assert_refused(BYTES(V2 "\x21\x11\x07\xf1")); /* too long */
}

static void what_follows_the_addresses_stays_within_the_header(void **state)
{
    (void)state;
    assert_header(BYTES(V2 "\x21\x11\0\x14" V4_PAIR "\x02\0\1x\x04\0\1y"), "192.0.2.7", 4660, 443);
    assert_header(BYTES(V2 "\x21\x11\0\x0f" V4_PAIR "\x05\0\0"), "192.0.2.7", 4660, 443);
    assert_refused(BYTES(V2 "\x21\x11\0\x0d" V4_PAIR "\x02"));
    assert_refused(BYTES(V2 "\x21\x11\0\x0e" V4_PAIR "\x02\0"));
    assert_refused(BYTES(V2 "\x21\x11\0\x0f" V4_PAIR "\x02\0\1"));
    assert_refused(BYTES(V2 "\x21\x11\0\x10" V4_PAIR "\x02\xff\xffx"));
}

static void a_checksum_must_fit(void **state)
{
    (void)state;
#define SUMMED(sum) V2 "\x21\x11\0\x17" V4_PAIR "\x02\0\1x\x03\0\4" sum
    assert_header(BYTES(SUMMED("\xdb\xb8\x6b\x3f")), "192.0.2.7", 4660, 443);
    assert_refused(BYTES(SUMMED("\x00\x00\x00\x01")));
    assert_refused(BYTES(V2 "\x21\x11\0\x12" V4_PAIR "\x03\0\3abc"));
    /* Two that both fit: as many passes over the header as it has room for. */
    assert_refused(BYTES(V2 "\x21\x11\0\x1a" V4_PAIR "\x03\0\4"
                            "\x37\x0e\x6c\xae"
                            "\x03\0\4"
                            "\xa2\x4e\xab\xc0"));
}

/* A header as long as may be, full of what is skipped. */
static void all_that_follows_is_skipped_by_its_length(void **state)
{
    (void)state;
    char longest[DP_PROXY_BYTES_MAX] = V2 "\x21\x11\x07\xf0" V4_PAIR;
    size_t at = 16 + 12, left = sizeof(longest) - at;
    /* SSL: client, verify, and within it a version; then nothing but names without a value. */
    static const char ssl[] = "\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3";
    memcpy(longest + at, ssl, sizeof(ssl) - 1);
    for (size_t i = sizeof(ssl) - 1; i < left; i++)
        longest[at + i] = i % 3 == 0 ? '\x04' : 0;
    assert_int_equal((left - (sizeof(ssl) - 1)) % 3, 1);
    assert_refused(gw_str_n(longest, sizeof(longest))); /* a byte too many */
    longest[15] = '\xef';
    assert_header(gw_str_n(longest, sizeof(longest) - 1), "192.0.2.7", 4660, 443);
    /* What is within the value of SSL is not looked at, and not beyond it. */
    longest[at + 2] = '\xff';
    longest[at + 1] = '\x07';
    assert_refused(gw_str_n(longest, sizeof(longest) - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_version_1),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(headers_of_version_2),
        cmocka_unit_test(headers_of_version_2_that_are_none),
        cmocka_unit_test(what_follows_the_addresses_stays_within_the_header),
        cmocka_unit_test(a_checksum_must_fit),
        cmocka_unit_test(all_that_follows_is_skipped_by_its_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
