/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/ticket_keys.h"

#include "common/test.h"

static void each_key_has_a_field_of_its_own(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    uint8_t id[] = {0x01, 0xab, 0xff};
    cp_ticket_key key;
    penstock__store__v1__stored_ticket_key__init(&key);
    assert_string_equal(cp_ticket_key_field(&arena, &key), "keys.");
    key.id = (ProtobufCBinaryData){sizeof id, id};
    assert_string_equal(cp_ticket_key_field(&arena, &key), "keys.01abff");
    gw_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_key_has_a_field_of_its_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
