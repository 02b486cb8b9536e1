/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/settings.h"

#include "common/test.h"

#include <stdlib.h>

static struct cp_settings got;
static struct gw_error err;

#define LOAD(...) load((char *[]){"penstock-controlplane", ##__VA_ARGS__, NULL})

static int load(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    err = GW_ERROR_NONE;
    return cp_settings_load(&got, argc, argv, &err);
}

#define REFUSED(words, ...)                                                                        \
    do {                                                                                           \
        assert_int_equal(LOAD(__VA_ARGS__), -1);                                                   \
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);                                           \
        if (!strstr(err.message, words))                                                           \
            fail_msg("\"%s\", want \"%s\"", err.message, words);                                   \
    } while (0)

static void no_flags_are_a_program_for_one_machine(void **state)
{
    (void)state;
    assert_int_equal(LOAD(), 0);
    assert_string_equal(got.listen, "127.0.0.1:9440");
    assert_string_equal(got.store, "sqlite:penstock.db");
    assert_string_equal(got.credentials_file, "");
    assert_int_equal(got.releases_kept, 10);
    assert_int_equal(got.agents_max, 10000);
    assert_int_equal(got.log_level, GW_LOG_INFO);
}

static void every_kind_of_value(void **state)
{
    (void)state;
    assert_int_equal(LOAD("--store", "etcd:http://a:2379,http://b:2379", "--etcd-timeout=250ms",
                          "--agents-max", "7", "--log-level", "debug"),
                     0);
    assert_string_equal(got.store, "etcd:http://a:2379,http://b:2379");
    assert_int_equal(got.etcd_timeout_ms, 250);
    assert_int_equal(got.agents_max, 7);
    assert_int_equal(got.log_level, GW_LOG_DEBUG);
    setenv("PENSTOCK_RELEASES_KEPT", "3", 1);
    assert_int_equal(LOAD(), 0);
    unsetenv("PENSTOCK_RELEASES_KEPT");
    assert_int_equal(got.releases_kept, 3);
    assert_int_equal(LOAD("--releases-kept", "0"), 0);
    assert_int_equal(got.releases_kept, 0);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    REFUSED("unknown option --sotre", "--sotre", "x");
    REFUSED("unexpected \"serve\"", "serve");
    REFUSED("--store: \"mysql:x\" is neither", "--store", "mysql:x");
    REFUSED("--store: \"sqlite:\" is neither", "--store", "sqlite:");
    REFUSED("--store: \"etcd\" is neither", "--store", "etcd");
    REFUSED("--log-level: \"loud\"", "--log-level", "loud");
    REFUSED("--agents-max: must be 1 to", "--agents-max", "0");
}

static void pairs_go_together(void **state)
{
    (void)state;
    REFUSED("--tls-key-file: is missing", "--tls-cert-file", "c");
    REFUSED("--tls-cert-file: is missing", "--tls-key-file", "k");
    REFUSED("--tls-cert-file: is missing", "--tls-client-ca-file", "ca");
    REFUSED("--etcd-key-file: is missing", "--etcd-cert-file", "c");
    REFUSED("--etcd-cert-file: is missing", "--etcd-key-file", "k");
    REFUSED("--etcd-password-file: is missing", "--etcd-user", "u");
    REFUSED("--etcd-user: is missing", "--etcd-password-file", "p");
}

static void the_world_needs_credentials(void **state)
{
    (void)state;
    REFUSED("--credentials-file: is missing", "--listen", "0.0.0.0:9440");
    REFUSED("not [::]:9440", "--listen", "[::]:9440");
    assert_int_equal(LOAD("--listen", "0.0.0.0:9440", "--credentials-file", "c"), 0);
    assert_int_equal(LOAD("--listen", "unix:/run/penstock"), 0);
}

static void what_is_loopback(void **state)
{
    (void)state;
    static const char *const inside[] = {"127.0.0.1:1", "127.9.9.9:1", "localhost:1",
                                         "[::1]:1",     "unix:/x",     "unix:x:y"};
    static const char *const outside[] = {
        "0.0.0.0:1",
        "[::]:1",
        ":1",
        "10.0.0.1:1",
        "127.example.com:1",
        "localhost.:1",
        "1270.0.0.1:1",
        "example.com:1",
        "[::1%eth0]:1",
        "",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(inside); i++)
        if (!cp_settings_is_loopback(inside[i]))
            fail_msg("%s", inside[i]);
    for (size_t i = 0; i < GW_ARRAY_LEN(outside); i++)
        if (cp_settings_is_loopback(outside[i]))
            fail_msg("%s", outside[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flags_are_a_program_for_one_machine),
        cmocka_unit_test(every_kind_of_value),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(pairs_go_together),
        cmocka_unit_test(the_world_needs_credentials),
        cmocka_unit_test(what_is_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
