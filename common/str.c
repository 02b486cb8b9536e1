/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

int gw_str_cmp(gw_str a, gw_str b)
{
    size_t common = GW_MIN(a.len, b.len);
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool gw_str_eq_nocase(gw_str a, gw_str b)
{
    if (a.len != b.len)
        return false;
    if (a.len == 0)
        return true;
    if (lower(*a.ptr) != lower(*b.ptr))
        return false; /* most differ here */
    if (memcmp(a.ptr, b.ptr, a.len) == 0)
        return true;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool gw_str_has_prefix(gw_str s, gw_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool gw_str_has_suffix(gw_str s, gw_str suffix)
{
    if (s.len < suffix.len)
        return false;
    return suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

gw_str gw_str_trim(gw_str s)
{
    while (s.len && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t gw_str_find(gw_str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return at ? at - s.ptr : -1;
}

gw_str gw_str_split(gw_str *rest, char sep)
{
    gw_str head = *rest;
    ptrdiff_t at = gw_str_find(head, sep);
    if (at < 0) {
        *rest = GW_STR_NONE;
        return head;
    }
    head.len = (size_t)at;
    *rest = gw_str_n(rest->ptr + at + 1, rest->len - head.len - 1);
    return head;
}

int gw_str_to_u64(gw_str s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.len == 0)
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return -1;
    }
    if (value > max)
        return -1;
    *ret_value = value;
    return 0;
}

static unsigned count_digits(uint64_t value)
{
    unsigned count = 1;
    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

/* Two digits for one division. */
char *gw_str_put_u64(char *at, uint64_t value)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char *end = at + count_digits(value);
    for (at = end; value >= 10; value /= 100)
        memcpy(at -= 2, pairs + value % 100 * 2, 2);
    if (value > 0 || at == end)
        *--at = (char)('0' + value);
    return end;
}

/* Bytes of the sequence that a lead byte announces, and the range of the byte after it, which is
 * where overlong forms, surrogates and values above U+10FFFF show (Unicode, table 3-7). */
static size_t lead(unsigned char c, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *ret_high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    return c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

size_t gw_str_utf8_step(gw_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned char low, high;
    size_t n = s.len ? lead(p[0], &low, &high) : 0;
    if (n == 0 || n > s.len)
        return 0;
    if (n > 1 && (p[1] < low || p[1] > high))
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

bool gw_str_is_utf8(gw_str s)
{
    size_t i = 0;
    while (i < s.len) {
        size_t n = gw_str_utf8_step(gw_str_n(s.ptr + i, s.len - i));
        if (n == 0 || s.ptr[i] == 0)
            return false;
        i += n;
    }
    return true;
}

static bool is_json_plain(unsigned char c)
{
    return c >= 0x20 && c != 0x7f && c != '"' && c != '\\';
}

static gw_str json_escape(unsigned char c, char scratch[8])
{
    static const char special[] = "\"\\\n\t\r";
    static const char hex[] = "0123456789abcdef";
    const char *at = memchr(special, c, sizeof(special) - 1);
    scratch[0] = '\\';
    if (at) {
        scratch[1] = "\"\\ntr"[at - special];
        return gw_str_n(scratch, 2);
    }
    memcpy(scratch + 1, "u00", 3);
    scratch[4] = hex[c >> 4];
    scratch[5] = hex[c & 15];
    return gw_str_n(scratch, 6);
}

gw_str gw_str_json_step(gw_str *rest, char scratch[8])
{
    gw_str from = *rest;
    size_t run = 0, n = 0;
    while (run < from.len && is_json_plain((unsigned char)from.ptr[run])) {
        n = gw_str_utf8_step(gw_str_n(from.ptr + run, from.len - run));
        if (n == 0)
            break;
        run += n;
    }
    size_t taken = run ? run : 1;
    *rest = gw_str_n(from.ptr + taken, from.len - taken);
    if (run)
        return gw_str_n(from.ptr, run);
    bool broken = (unsigned char)from.ptr[0] >= 0x80;
    return broken ? GW_STR("\\ufffd") : json_escape((unsigned char)from.ptr[0], scratch);
}

uint64_t gw_str_hash(gw_str s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001b3u;
    /* FNV leaves the low bits of short keys alike; tables index by the low bits. */
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
}

bool gw_str_eq_secret(gw_str a, gw_str b)
{
    if (a.len != b.len)
        return false;
    volatile uint64_t differ = 0; /* volatile: the loop may not end early */
    size_t i = 0;
    for (uint64_t x, y; i + sizeof(x) <= a.len; i += sizeof(x)) {
        memcpy(&x, a.ptr + i, sizeof(x));
        memcpy(&y, b.ptr + i, sizeof(y));
        differ = differ | (x ^ y);
    }
    for (; i < a.len; i++)
        differ = differ | (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return differ == 0;
}
