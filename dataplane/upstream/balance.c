/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/balance.h"

#include <stdatomic.h>

static bool is_tried(dp_tried tried, unsigned index)
{
    return index < DP_BALANCE_TRIED_MAX && ((tried >> index) & 1);
}

static bool is_candidate(const struct dp_channel *channel, unsigned index, dp_tried tried,
                         bool backup)
{
    return channel->members[index].backup == backup && !is_tried(tried, index);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A cycle has `total` slots, each member owns as many neighbouring ones as it has weight. Going
 * through them in steps near the golden section visits each once a cycle and spreads a member's
 * visits over it. */
static uint64_t spread(uint64_t position, uint64_t total)
{
    uint64_t step = total * 618 / 1000 + 1;
    while (gcd(step, total) != 1)
        step++;
    return position % total * step % total;
}

static const struct dp_member *take(const struct dp_channel *channel, unsigned index,
                                    dp_tried *tried)
{
    if (index < DP_BALANCE_TRIED_MAX)
        *tried |= UINT64_C(1) << index;
    return &channel->members[index];
}

static const struct dp_member *pick_among(const struct dp_channel *channel, dp_tried *tried,
                                          bool backup)
{
    uint64_t total = 0, first_weight = 0;
    unsigned count = 0, last = 0;
    bool is_even = true;
    for (unsigned i = 0; i < channel->member_count; i++) {
        if (!is_candidate(channel, i, *tried, backup))
            continue;
        uint32_t weight = channel->members[i].weight;
        first_weight = count == 0 ? weight : first_weight;
        is_even &= weight == first_weight;
        total += weight;
        count++;
        last = i;
    }
    if (count <= 1)
        return count ? take(channel, last, tried) : NULL;
    uint64_t position = atomic_fetch_add_explicit(channel->cursor, 1, memory_order_relaxed);
    uint64_t slot = is_even ? position % count * first_weight : spread(position, total);
    for (unsigned i = 0; i < channel->member_count; i++) {
        if (!is_candidate(channel, i, *tried, backup))
            continue;
        if (slot < channel->members[i].weight)
            return take(channel, i, tried);
        slot -= channel->members[i].weight;
    }
    return NULL;
}

const struct dp_member *dp_balance_pick(const struct dp_channel *channel, dp_tried *tried)
{
    const struct dp_member *member = pick_among(channel, tried, false);
    return member ? member : pick_among(channel, tried, true);
}
