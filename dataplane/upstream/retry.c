/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/retry.h"

bool dp_retry_is_allowed(const struct dp_retry_case *c)
{
    if (!c->can_replay)
        return false;
    unsigned limit = c->retry_count >= 0 ? (unsigned)c->retry_count : c->is_idempotent ? 1 : 0;
    bool is_safe = c->is_idempotent || c->retry_count > 0;
    switch (c->failure) {
    case DP_FAILURE_STALE:
        /* The race of every keep-alive connection: not an attempt in the policy's sense. One more
         * round is enough, because it asks for a new connection. */
        return c->is_idempotent || !c->has_sent;
    case DP_FAILURE_REFUSED:
        /* Always safe, and the backend's way to say that it goes away: not an attempt either. */
        return c->refusals < DP_RETRY_REFUSED_MAX;
    case DP_FAILURE_CONNECT:
    case DP_FAILURE_CONNECT_TIMEOUT:
    case DP_FAILURE_UNRESOLVED:
        /* Nothing was sent, so it is always safe: to another member even when retries are off. */
        return c->retries < GW_MAX(limit, c->members > 1 ? 1U : 0U);
    case DP_FAILURE_NO_TUNNEL:
        /* It says so of itself, and another member may be newer. */
        return c->members > 1 && c->retries < GW_MAX(limit, 1U);
    case DP_FAILURE_RESET:
    case DP_FAILURE_TIMEOUT:
    case DP_FAILURE_STATUS:
        return is_safe && c->retries < limit;
    default:
        return false;
    }
}

static struct dp_retry_budget *find(struct dp_retry_budgets *budgets, const void *channel,
                                    gw_msec now_ms)
{
    uint64_t hash = (uint64_t)(uintptr_t)channel * UINT64_C(0x9e3779b97f4a7c15);
    struct dp_retry_budget *budget = &budgets->slots[hash >> 56];
    int64_t second = now_ms / 1000;
    if (budget->channel != channel)
        *budget = (struct dp_retry_budget){.channel = channel, .second = second};
    if (budget->second != second) {
        budget->before = budget->second == second - 1 ? budget->requests : 0;
        budget->requests = budget->used = 0;
        budget->second = second;
    }
    return budget;
}

void dp_retry_count_request(struct dp_retry_budgets *budgets, const void *channel, gw_msec now_ms)
{
    find(budgets, channel, now_ms)->requests++;
}

bool dp_retry_take(struct dp_retry_budgets *budgets, const void *channel, gw_msec now_ms)
{
    struct dp_retry_budget *budget = find(budgets, channel, now_ms);
    uint64_t basis = GW_MAX(budget->requests, budget->before);
    uint64_t most = GW_MAX(basis * DP_RETRY_BUDGET_PERCENT / 100, (uint64_t)DP_RETRY_BUDGET_MIN);
    if (budget->used >= most)
        return false;
    budget->used++;
    return true;
}
