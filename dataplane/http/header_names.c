/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/header_names.h"

#include "dataplane/http/header_words.h"

#define ROW(id, slot, name) [DP_HEADER_##id] = name ": ",
static const char names[DP_HEADER_COUNT][DP_HEADER_ROOM] = {DP_HEADER_NAMES(ROW)};
#undef ROW

#define ROW(id, slot, name) [DP_HEADER_##id] = sizeof(name) - 1,
static const uint8_t lengths[DP_HEADER_COUNT] = {DP_HEADER_NAMES(ROW)};
#undef ROW

#define ROW(id, slot, name) [slot] = DP_HEADER_##id,
static const uint8_t slots[256] = {DP_HEADER_NAMES(ROW)};
#undef ROW

/* For tokens only: among the bytes of a token no two differ in bit 5 alone, unless they are letters
 * or one of ~ ^ | which no name of the table has. */
static bool is_same_name(gw_str known, gw_str token, struct dp_header_words words)
{
    if (known.len != token.len)
        return false;
    struct dp_header_words own = dp_header_words(known);
    uint64_t differ = (own.head ^ words.head) | (own.tail ^ words.tail);
    for (size_t i = 8; i + 8 < token.len; i += 8)
        differ |= dp_header_word_8(known.ptr + i) ^ dp_header_word_8(token.ptr + i);
    return differ == 0;
}

enum dp_header_id dp_header_id_from(gw_str name)
{
    if (name.len < 2)
        return DP_HEADER_OTHER;
    struct dp_header_words words = dp_header_words(name);
    enum dp_header_id id = slots[dp_header_slot(words)];
    return is_same_name(gw_str_n(names[id], lengths[id]), name, words) ? id : DP_HEADER_OTHER;
}

gw_str dp_header_name(enum dp_header_id id)
{
    assert(id < DP_HEADER_COUNT);
    return gw_str_n(names[id], lengths[id]);
}
