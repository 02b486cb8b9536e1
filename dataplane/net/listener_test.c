/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/listener.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct dp_listener_spec parse(const char *text)
{
    struct dp_listener_spec spec;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(dp_listener_parse(gw_str_from(text), &spec, &err), 0);
    return spec;
}

static void an_address_stands_alone_or_before_words(void **state)
{
    (void)state;
    struct dp_listener_spec spec = parse("127.0.0.1:8080");
    assert_int_equal(spec.port, 8080);
    assert_false(spec.tls);
    spec = parse("  [::1]:8443  tls ");
    assert_int_equal(spec.port, 8443);
    assert_true(spec.tls);
    assert_true(parse("*:8443 tls").tls);
    spec = parse("10.0.0.1:9000 tls proxy");
    assert_true(spec.tls && spec.proxy);
    spec = parse("10.0.0.1:9000 proxy");
    assert_true(!spec.tls && spec.proxy);
}

static void other_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "tls",
                                      "8080",
                                      "127.0.0.1",
                                      "127.0.0.1:65536",
                                      "::1:80",
                                      "a.example:80",
                                      "127.0.0.1: 80",
                                      "127.0.0.1:80 TLS",
                                      "127.0.0.1:80 ssl",
                                      "tls 1.1.1.1:1",
                                      "1.1.1.1:1 tls tls",
                                      "1.1.1.1:1 proxy tls proxy",
                                      "1.1.1.1:1tls",
                                      "1.1.1.1:1 1.1.1.1:2"};
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        struct dp_listener_spec spec;
        struct gw_error err = GW_ERROR_NONE;
        assert_int_equal(dp_listener_parse(gw_str_from(bad[i]), &spec, &err), -1);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_stands_alone_or_before_words),
        cmocka_unit_test(other_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
