/* SPDX-License-Identifier: Apache-2.0 */
/* What a set of forms comes to, whatever their order: the sum of what SHA-256 begins with for each.
 * Agents and control planes know by it that they have the same without sending it. */
#ifndef GW_CONTENT_DIGEST_H
#define GW_CONTENT_DIGEST_H

#include "common/base.h"

#include <string.h>

struct gw_content_digest {
    uint64_t words[2]; /* of an empty set 0 */
};

static inline struct gw_content_digest gw_content_digest_of(const uint8_t *sha256)
{
    struct gw_content_digest digest;
    memcpy(digest.words, sha256, sizeof digest.words);
    return digest;
}

static inline void gw_content_digest_add(struct gw_content_digest *sum,
                                         struct gw_content_digest digest)
{
    sum->words[0] += digest.words[0];
    sum->words[1] += digest.words[1];
}

static inline void gw_content_digest_subtract(struct gw_content_digest *sum,
                                              struct gw_content_digest digest)
{
    sum->words[0] -= digest.words[0];
    sum->words[1] -= digest.words[1];
}

static inline bool gw_content_digest_eq(struct gw_content_digest a, struct gw_content_digest b)
{
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

#endif
