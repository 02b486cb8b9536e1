/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/header_names.h"

#define ROW(id, slot, name) [DP_HEADER_##id] = {(name), sizeof(name) - 1},
static const gw_str names[DP_HEADER_COUNT] = {DP_HEADER_NAMES(ROW)};
#undef ROW

#define ROW(id, slot, name) [slot] = DP_HEADER_##id,
static const uint8_t slots[256] = {DP_HEADER_NAMES(ROW)};
#undef ROW

/* For tokens only: among the bytes of a token no two differ in bit 5 alone, unless they are letters
 * or one of ~ ^ | which no name of the table has. */
static bool is_same_name(gw_str known, gw_str token)
{
    if (known.len != token.len)
        return false;
    unsigned differ = 0;
    for (size_t i = 0; i < known.len; i++)
        differ |= ((unsigned)known.ptr[i] ^ (unsigned)token.ptr[i]) & 0xdf;
    return differ == 0;
}

enum dp_header_id dp_header_id_from(gw_str name)
{
    if (name.len < 2)
        return DP_HEADER_OTHER;
    enum dp_header_id id = slots[dp_header_slot(name)];
    return is_same_name(names[id], name) ? id : DP_HEADER_OTHER;
}

gw_str dp_header_name(enum dp_header_id id)
{
    assert(id < DP_HEADER_COUNT);
    return names[id];
}
