/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/header_names.h"

#define ROW(id, slot, name) [DP_HEADER_##id] = name ": ",
static const char names[DP_HEADER_COUNT][DP_HEADER_ROOM] = {DP_HEADER_NAMES(ROW)};
#undef ROW

#define ROW(id, slot, name) [DP_HEADER_##id] = sizeof(name) - 1,
static const uint8_t lengths[DP_HEADER_COUNT] = {DP_HEADER_NAMES(ROW)};
#undef ROW

#define ROW(id, slot, name) [slot] = DP_HEADER_##id,
static const uint8_t slots[256] = {DP_HEADER_NAMES(ROW)};
#undef ROW

/* Bits that differ between words of two texts. */
static inline uint64_t differ_8(const char *a, const char *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x ^ y;
}

static inline uint64_t differ_4(const char *a, const char *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x ^ y;
}

/* The same of whole texts of one length, whichever byte of a word it is. The last word may overlap
 * the one before. */
static uint64_t differ(const char *a, const char *b, size_t len)
{
    uint64_t bits = 0;
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            bits |= (unsigned char)(a[i] ^ b[i]);
        return bits;
    }
    if (len < 8)
        return differ_4(a, b) | differ_4(a + len - 4, b + len - 4);
    for (size_t i = 8; i + 8 < len; i += 8)
        bits |= differ_8(a + i, b + i);
    return bits | differ_8(a, b) | differ_8(a + len - 8, b + len - 8);
}

/* For tokens only: among the bytes of a token no two differ in bit 5 alone, unless they are letters
 * or one of ~ ^ | which no name of the table has. */
static bool is_same_name(gw_str known, gw_str token)
{
    return known.len == token.len &&
           (differ(known.ptr, token.ptr, known.len) & UINT64_C(0xdfdfdfdfdfdfdfdf)) == 0;
}

enum dp_header_id dp_header_id_from(gw_str name)
{
    if (name.len < 2)
        return DP_HEADER_OTHER;
    enum dp_header_id id = slots[dp_header_slot(name)];
    return is_same_name(gw_str_n(names[id], lengths[id]), name) ? id : DP_HEADER_OTHER;
}

gw_str dp_header_name(enum dp_header_id id)
{
    assert(id < DP_HEADER_COUNT);
    return gw_str_n(names[id], lengths[id]);
}
