/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/request_id.h"

#include "common/base.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>

struct dp_request_ids dp_request_ids_seeded(void)
{
    struct dp_request_ids ids;
    if (getrandom(ids.state, sizeof ids.state, 0) != sizeof ids.state)
        gw_panic("getrandom gave no bytes");
    return ids;
}

/* Bijective, so that two counters that differ give words that differ. */
static uint64_t mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* Eight hex digits at once, the first one in the lowest byte. */
static uint64_t hex(uint32_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v = word;
    v = (v << 32 | v >> 16) & UINT64_C(0x0000ffff0000ffff); /* halves change places, and so on */
    v = (v << 16 | v >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v << 8 | v >> 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t is_letter = (v + ones * 6) >> 4 & ones;
    return htole64(v + ones * '0' + is_letter * ('a' - '0' - 10));
}

static void print_word(uint64_t word, char text[16])
{
    uint64_t halves[2] = {hex((uint32_t)(word >> 32)), hex((uint32_t)word)};
    memcpy(text, halves, sizeof halves);
}

/* The first word is a counter in disguise: it repeats after 2^64 requests of a thread. The second
 * tells threads and processes apart. */
void dp_request_id_next(struct dp_request_ids *ids, char ret_text[DP_REQUEST_ID_LEN])
{
    uint64_t count = ++ids->state[0];
    print_word(mix(count), ret_text);
    print_word(mix(count + ids->state[1]), ret_text + 16);
}
