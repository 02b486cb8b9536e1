/* SPDX-License-Identifier: Apache-2.0 */
/* What the client refuses by itself, and a server that is not there. */
#include "common/rpc/fixture.h"

static enum gw_code open_fails(struct gw_rpc_client_options options)
{
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_client *client = NULL;
    if (gw_rpc_client_open(&options, &client, &err) == 0) {
        gw_rpc_client_close(client);
        return GW_OK;
    }
    assert_null(strstr(err.message, "s3cret"));
    return err.code;
}

static void test_token_stays_off_the_open_network(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        enum gw_code code;
    } cases[] = {
        {"127.0.0.1:9443", GW_OK},
        {"127.9.9.9", GW_OK},
        {"[::1]:9443", GW_OK},
        {"localhost:9443", GW_OK},
        {"unix:/run/penstock.sock", GW_OK},
        {"10.0.0.1:9443", GW_INVALID_ARGUMENT},
        {"[2001:db8::1]:9443", GW_INVALID_ARGUMENT},
        {"127.evil.example:9443", GW_INVALID_ARGUMENT},
        {"localhost.evil.example:9443", GW_INVALID_ARGUMENT},
        {"dns:///10.0.0.1:9443", GW_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_int_equal(open_fails((struct gw_rpc_client_options){.target = cases[i].target,
                                                                   .bearer = "s3cret"}),
                         cases[i].code);
}

static void test_options_that_cannot_work(void **state)
{
    (void)state;
    const char *target = "127.0.0.1:1";
#define CODE(...) open_fails((struct gw_rpc_client_options){.target = target, __VA_ARGS__})
    assert_int_equal(CODE(.ca_file = "/nowhere/ca.pem"), GW_INVALID_ARGUMENT);
    assert_int_equal(CODE(.ca_file = "/dev/null", .cert_file = "x"), GW_INVALID_ARGUMENT);
    assert_int_equal(CODE(.cert_file = "x", .key_file = "y"), GW_INVALID_ARGUMENT);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct gw_error err;
    struct gw_arena arena = {0};
    struct gw_rpc_client *client =
        new_client((struct gw_rpc_client_options){.target = "127.0.0.1:1"});
    assert_null(call_text(client, &arena, "/test.Text/Echo", "x", TIMEOUT_MS, &err));
    assert_int_equal(err.code, GW_UNAVAILABLE);
    gw_rpc_client_close(client);
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_stays_off_the_open_network),
        cmocka_unit_test(test_options_that_cannot_work),
        cmocka_unit_test(test_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
