/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed view of bytes: pointer and length, never owned, not NUL-terminated. */
#ifndef GW_STR_H
#define GW_STR_H

#include "common/base.h"

#include <string.h>

typedef struct {
    const char *ptr; /* borrowed; may be NULL only when len is 0 */
    size_t len;
} gw_str;

#define GW_STR(literal) ((gw_str){(literal), sizeof(literal) - 1})
#define GW_STR_NONE ((gw_str){NULL, 0})
/* For printf("%.*s", GW_STR_ARG(s)). */
#define GW_STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline gw_str gw_str_from(const char *text)
{
    return (gw_str){text, text ? strlen(text) : 0};
}

static inline gw_str gw_str_n(const char *ptr, size_t len)
{
    return (gw_str){ptr, len};
}

static inline bool gw_str_eq(gw_str a, gw_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Byte order, shorter first when one is a prefix of the other: <0, 0, >0. */
int gw_str_cmp(gw_str a, gw_str b);
/* Equal without regard to the case of ASCII letters. */
bool gw_str_eq_nocase(gw_str a, gw_str b);
bool gw_str_has_prefix(gw_str s, gw_str prefix);
bool gw_str_has_suffix(gw_str s, gw_str suffix);
/* Without leading and trailing SP and HTAB. */
gw_str gw_str_trim(gw_str s);
/* Index of the first c, or -1. */
ptrdiff_t gw_str_find(gw_str s, char c);
/* Cuts *rest at the first `sep`: returns what stands before it and leaves what stands after it.
 * Without a `sep` returns all and leaves an empty view with ptr NULL: loop while rest.ptr. */
gw_str gw_str_split(gw_str *rest, char sep);
/* Decimal digits only, no sign, no blank. 0, or -1 when empty, not digits, or above max. */
GW_MUST_CHECK int gw_str_to_u64(gw_str s, uint64_t max, uint64_t *ret_value);
#define GW_U64_DIGITS 20
/* Writes the decimal digits, at most GW_U64_DIGITS of them; the end. */
char *gw_str_put_u64(char *at, uint64_t value);
/* Bytes of the well-formed UTF-8 sequence at the start of s; 0 when there is none. */
size_t gw_str_utf8_step(gw_str s);
/* Well-formed UTF-8 without NUL (protobuf-c checks neither, stack.md 5.4). */
bool gw_str_is_utf8(gw_str s);
/* Takes the next piece off *rest as it stands inside a JSON string: a run that needs no escape, or
 * one escape, made in scratch. Bytes that are not UTF-8 become U+FFFD. Loop while rest->len. */
gw_str gw_str_json_step(gw_str *rest, char scratch[8]);
/* FNV-1a folded by a final mix: for hash tables, not for secrets. */
uint64_t gw_str_hash(gw_str s);
/* Equal, in a time that does not depend on the content: for every comparison of secrets. */
bool gw_str_eq_secret(gw_str a, gw_str b);

#endif
