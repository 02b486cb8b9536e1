/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/fixture.h"
#include "common/rpc/internal.h"

static void test_loopback_peers(void **state)
{
    (void)state;
    static const struct {
        const char *peer;
        bool is_loopback;
    } cases[] = {
        {"ipv4:127.0.0.1:50000", true},
        {"ipv4:127.8.8.8:1", true},
        {"ipv6:%5B::1%5D:50000", true},
        {"ipv6:[::1]:50000", true},
        {"unix:", true},
        {"unix:/run/penstock.sock", true},
        {"ipv4:10.0.0.1:50000", false},
        {"ipv4:12.7.0.0:1", false},
        {"ipv6:%5B::1:2%5D:50000", false},
        {"ipv6:%5B2001:db8::1%5D:1", false},
        {"unknown", false},
        {"", false},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        assert_true(gw_rpc_peer_is_loopback(gw_str_from(cases[i].peer)) == cases[i].is_loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_loopback_peers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
