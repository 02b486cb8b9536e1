/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/siphash.h"

#include <endian.h>
#include <sys/random.h>

struct lanes {
    uint64_t a, b, c, d;
};

struct dp_siphash_key dp_siphash_key_random(void)
{
    struct dp_siphash_key key;
    if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key)
        gw_panic("getrandom: no random bytes");
    return key;
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void mix(struct lanes *v, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        v->a += v->b;
        v->b = rotate(v->b, 13) ^ v->a;
        v->a = rotate(v->a, 32);
        v->c += v->d;
        v->d = rotate(v->d, 16) ^ v->c;
        v->a += v->d;
        v->d = rotate(v->d, 21) ^ v->a;
        v->c += v->b;
        v->b = rotate(v->b, 17) ^ v->c;
        v->c = rotate(v->c, 32);
    }
}

static inline void absorb(struct lanes *v, uint64_t word)
{
    v->d ^= word;
    mix(v, 2);
    v->a ^= word;
}

void dp_siphash(const struct dp_siphash_key *key, gw_str input, uint64_t ret_hash[2])
{
    uint64_t k0 = key->words[0], k1 = key->words[1];
    struct lanes v = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
                      k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    size_t at = 0;
    for (; input.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, input.ptr + at, sizeof word);
        absorb(&v, le64toh(word));
    }
    uint64_t last = (uint64_t)input.len << 56;
    for (unsigned shift = 0; at < input.len; at++, shift += 8)
        last |= (uint64_t)(uint8_t)input.ptr[at] << shift;
    absorb(&v, last);
    v.c ^= 0xee;
    mix(&v, 4);
    ret_hash[0] = v.a ^ v.b ^ v.c ^ v.d;
    v.b ^= 0xdd;
    mix(&v, 4);
    ret_hash[1] = v.a ^ v.b ^ v.c ^ v.d;
}
