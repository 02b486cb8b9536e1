/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/request_id.h"

#include "common/test.h"

#include <stdio.h>

static uint64_t mixed(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static void ids_are_hex_digits_of_the_mixed_counter(void **state)
{
    (void)state;
    struct dp_request_ids ids = {{0, 77}};
    for (uint64_t count = 1; count <= 2000; count++) {
        char id[DP_REQUEST_ID_LEN + 1] = "", want[DP_REQUEST_ID_LEN + 1];
        dp_request_id_next(&ids, id);
        snprintf(want, sizeof(want), "%016llx%016llx", (unsigned long long)mixed(count),
                 (unsigned long long)mixed(count + 77));
        assert_string_equal(id, want);
    }
}

static void threads_differ(void **state)
{
    (void)state;
    struct dp_request_ids one = dp_request_ids_seeded(), other = dp_request_ids_seeded();
    assert_memory_not_equal(&one, &other, sizeof(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_hex_digits_of_the_mixed_counter),
        cmocka_unit_test(threads_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
