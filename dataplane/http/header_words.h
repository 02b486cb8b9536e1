/* SPDX-License-Identifier: Apache-2.0 */
/* The perfect hash of header_names.h. */
#ifndef DP_HTTP_HEADER_WORDS_H
#define DP_HTTP_HEADER_WORDS_H

#include "common/str.h"

#include <endian.h>

/* First and last bytes of a name of at least two as little-endian words, in lower case: a name of
 * up to 16 bytes is these and its length. */
struct dp_header_words {
    uint64_t head, tail;
};

static inline uint64_t dp_header_word_8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word) | UINT64_C(0x2020202020202020);
}

static inline uint64_t dp_header_word_4(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return le32toh(word) | UINT64_C(0x2020202020202020);
}

static inline struct dp_header_words dp_header_words(gw_str name)
{
    const char *end = name.ptr + name.len;
    if (gw_likely(name.len >= 8))
        return (struct dp_header_words){dp_header_word_8(name.ptr), dp_header_word_8(end - 8)};
    if (name.len >= 4)
        return (struct dp_header_words){dp_header_word_4(name.ptr), dp_header_word_4(end - 4)};
    uint64_t head = (unsigned char)name.ptr[0] | (uint64_t)(unsigned char)name.ptr[1] << 8;
    uint64_t blanks = UINT64_C(0x2020202020202020);
    return (struct dp_header_words){head | blanks, (unsigned char)end[-1] | blanks};
}

/* In a table of 256. */
static inline unsigned dp_header_slot(struct dp_header_words words)
{
    return (unsigned)((words.head * UINT64_C(0x16ad95c8f7a93fdb) +
                       words.tail * UINT64_C(0x9e7bf78839445629)) >>
                      56);
}

#endif
