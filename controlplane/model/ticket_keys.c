/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/model/ticket_keys.h"

const char *cp_ticket_key_field(struct gw_arena *arena, const cp_ticket_key *key)
{
    static const char digits[] = "0123456789abcdef";
    char *text = gw_arena_bytes(arena, 2 * key->id.len + 1);
    for (size_t i = 0; i < key->id.len; i++) {
        text[2 * i] = digits[key->id.data[i] >> 4];
        text[2 * i + 1] = digits[key->id.data[i] & 15];
    }
    text[2 * key->id.len] = '\0';
    return gw_arena_printf(arena, "keys.%s", text).ptr;
}
