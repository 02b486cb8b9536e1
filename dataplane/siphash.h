/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 with 128 bits (Aumasson, Bernstein, 2012): a keyed hash for tables whose keys come
 * from peers. Nobody without the key can make two inputs meet. */
#ifndef DP_SIPHASH_H
#define DP_SIPHASH_H

#include "common/str.h"

struct dp_siphash_key {
    uint64_t words[2];
};

/* Of a name, made once: stands for it, and nobody without the key knows it. */
struct dp_name_hash {
    uint64_t words[2];
};

/* From the kernel's generator. */
struct dp_siphash_key dp_siphash_key_random(void);
void dp_siphash(const struct dp_siphash_key *key, gw_str input, uint64_t ret_hash[2]);

#endif
