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

/* Sixteen hex digits at once. */
static void print_word(uint64_t word, char text[16])
{
    uint64_t bytes[2] = {htobe64(word), 0};
    gw_lanes v;
    memcpy(&v, bytes, sizeof v);
    v = __builtin_shufflevector(v >> 4, v & 15, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7,
                                23);
    v += '0' + ((gw_lanes)(v > 9) & ('a' - '0' - 10));
    memcpy(text, &v, sizeof v);
}

/* The first word is a counter in disguise: it repeats after 2^64 requests of a thread. The second
 * tells threads and processes apart. */
void dp_request_id_next(struct dp_request_ids *ids, char ret_text[DP_REQUEST_ID_LEN])
{
    uint64_t count = ++ids->state[0];
    print_word(mix(count), ret_text);
    print_word(mix(count + ids->state[1]), ret_text + 16);
}
