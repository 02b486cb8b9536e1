/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_testing.h"

#define END " HTTP/1.1\r\nHost: h\r\n\r\n"

static const struct refusal_case refusals[] = {
    REFUSED("CONNECT h:443" END, CONNECT_REFUSED),
    REFUSED("CONNECT /" END, CONNECT_REFUSED),
    REFUSED("GET *" END, BAD_TARGET),
    REFUSED("OPTIONS **" END, BAD_TARGET),
    REFUSED("GET a/b" END, BAD_TARGET),
    REFUSED("GET h:80" END, BAD_TARGET),
    REFUSED("GET ?x" END, BAD_TARGET),
    REFUSED("GET http:/h/" END, BAD_TARGET),
    REFUSED("GET http://" END, BAD_TARGET),
    REFUSED("GET http:///x" END, BAD_TARGET),
    REFUSED("GET ftp://h/" END, BAD_TARGET),
    REFUSED("GET http://user@h/" END, BAD_TARGET),
    REFUSED("GET http://h:x/" END, BAD_TARGET),
    REFUSED("GET http://h%41/" END, BAD_TARGET),
    REFUSED("GET http://other/" END, BAD_HOST),
    REFUSED("GET http://h:81/" END, BAD_HOST),
    REFUSED("GET https://h:80/" END, BAD_HOST),
    REFUSED("GET http://h/ HTTP/1.1\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a%00\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a:\x38 0\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: []\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: [::1%25lo]\r\n\r\n", BAD_HOST),
    REFUSED("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", BAD_HOST),
};

static void targets_and_hosts_that_lie_are_refused(void **state)
{
    (void)state;
    check_refusals(refusals, GW_ARRAY_LEN(refusals), false);
}

struct target_case {
    const char *bytes;
    const char *path, *query, *authority, *host;
    unsigned port;
    bool has_query, is_absolute;
};

static const struct target_case cases[] = {
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "/", "", "h", "h", 0, false, false},
    {"GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "/", "", "h", "h", 0, true, false},
    {"GET /a//b?c?d=/e HTTP/1.1\r\nHost: h:80\r\n\r\n", "/a//b", "c?d=/e", "h:80", "h", 80, true,
     false},
    {"GET //evil.example/x HTTP/1.1\r\nHost: h\r\n\r\n", "//evil.example/x", "", "h", "h", 0, false,
     false},
    {"GET /\"<>[]{}|^`\\ HTTP/1.1\r\nHost: h\r\n\r\n", "/\"<>[]{}|^`\\", "", "h", "h", 0, false,
     false},
    {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n", "/", "", "[2001:db8::1]:8080",
     "[2001:db8::1]", 8080, false, false},
    {"GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]\r\n\r\n", "/", "", "[::ffff:1.2.3.4]",
     "[::ffff:1.2.3.4]", 0, false, false},
    {"GET / HTTP/1.1\r\nHost: a_b.c-d.example.:\r\n\r\n", "/", "", "a_b.c-d.example.",
     "a_b.c-d.example.", 0, false, false},
    {"GET / HTTP/1.0\r\n\r\n", "/", "", "", "", 0, false, false},
    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "*", "", "h", "h", 0, false, false},
    {"OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "", "h", "h", 0, false, false},
    {"GET http://h/a?b HTTP/1.1\r\nHost: H\r\n\r\n", "/a", "b", "h", "h", 0, true, true},
    {"GET HTTP://H:80/a HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "", "H:80", "H", 80, false, true},
    {"GET http://h HTTP/1.1\r\nHost: h:80\r\n\r\n", "/", "", "h", "h", 0, false, true},
    {"GET http://h:/a HTTP/1.1\r\nHost: h\r\n\r\n", "/a", "", "h", "h", 0, false, true},
    {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "/", "", "h", "h", 0, false, false},
    {"GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n", "/", "q", "h", "h", 0, true, true},
    {"GET https://h/ HTTP/1.1\r\nHost: h:443\r\n\r\n", "/", "", "h", "h", 0, false, true},
    {"GET http://h/ HTTP/1.0\r\n\r\n", "/", "", "h", "h", 0, false, true},
};

static void the_four_forms_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        const struct target_case *c = &cases[i];
        struct parsed p = {0};
        gw_str text = gw_str_from(c->bytes);
        if (parse_every_way(&p, text) != (ptrdiff_t)text.len)
            fail_msg("'%s' gave %s", c->bytes, dp_h1_error_reason(p.result));
        assert_view(p.request.path, gw_str_from(c->path), text);
        assert_view(p.request.query, gw_str_from(c->query), text);
        assert_view(p.request.authority, gw_str_from(c->authority), text);
        assert_view(p.request.host, gw_str_from(c->host), text);
        assert_int_equal(p.request.port, c->port);
        assert_int_equal(p.request.has_query, c->has_query);
        assert_int_equal(p.request.is_absolute, c->is_absolute);
        parsed_done(&p);
    }
}

static void hosts_have_at_most_255_bytes(void **state)
{
    (void)state;
    for (int len = 255; len <= 256; len++) {
        struct gw_arena arena = {0};
        char host[256];
        memset(host, 'a', sizeof(host));
        gw_str text = gw_arena_printf(&arena, "GET / HTTP/1.1\r\nHost: %.*s\r\n\r\n", len, host);
        struct parsed p = {0};
        assert_int_equal(parse_whole(&p, text), len == 255 ? (ptrdiff_t)text.len : -DP_H1_BAD_HOST);
        parsed_done(&p);
        gw_arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_and_hosts_that_lie_are_refused),
        cmocka_unit_test(the_four_forms_are_understood),
        cmocka_unit_test(hosts_have_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
