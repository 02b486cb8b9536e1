/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/chain.h"

#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"

/* On the way back the order is the reverse. So: what must touch every answer, refusals included,
 * stands first; then cheap refusals, identity before quota, and what answers in the backend's place
 * last. */
const struct dp_filter *const dp_chain_filters[] = {
    &dp_filter_response_headers, /* sees the answers of all the others, refusals too */
    &dp_filter_debug_domain,     /* before anything is spent on a caller over its day's quota */
    &dp_filter_ip_access,        /* needs only the address */
    &dp_filter_auth_key,         /* who is it; costs a hash */
    &dp_filter_app_access,       /* may that app call; needs the identity */
    &dp_filter_throttle,         /* counts only calls that would otherwise be served */
    &dp_filter_mock,             /* the backend of a mock API: behind every check */
};
const unsigned dp_chain_filter_count = GW_ARRAY_LEN(dp_chain_filters);

void dp_chain_init(struct dp_chain *chain, struct dp_exchange *x, const struct dp_route *route)
{
    *chain = (struct dp_chain){0};
    if (!route || route->link_count == 0)
        return;
    chain->links = route->links;
    chain->count = route->link_count;
    if (route->scratch_bytes > 0)
        chain->scratch = gw_arena_zalloc(&x->arena, route->scratch_bytes);
}

static void *scratch_of(const struct dp_chain *chain, const struct dp_link *link)
{
    return link->filter->scratch ? chain->scratch + link->scratch_at : NULL;
}

enum dp_verdict dp_chain_forward(struct dp_chain *chain, struct dp_exchange *x)
{
    while (chain->entered < chain->count) {
        unsigned index = chain->entered++;
        const struct dp_link *link = &chain->links[index];
        chain->returned = chain->entered;
        if (!link->filter->on_request)
            continue;
        enum dp_verdict verdict = link->filter->on_request(x, link->conf, scratch_of(chain, link));
        chain->waiting = verdict == DP_WAIT;
        if (verdict != DP_NEXT)
            return verdict;
    }
    return DP_NEXT;
}

enum dp_verdict dp_chain_backward(struct dp_chain *chain, struct dp_exchange *x)
{
    while (chain->returned > 0) {
        unsigned index = --chain->returned;
        const struct dp_link *link = &chain->links[index];
        if (!link->filter->on_response)
            continue;
        enum dp_verdict verdict = link->filter->on_response(x, link->conf, scratch_of(chain, link));
        chain->waiting = verdict == DP_WAIT;
        if (verdict == DP_WAIT)
            return DP_WAIT;
    }
    return DP_NEXT;
}

bool dp_chain_resumed(struct dp_chain *chain)
{
    bool was_waiting = chain->waiting;
    chain->waiting = false;
    return was_waiting;
}

void dp_chain_end(struct dp_chain *chain, struct dp_exchange *x)
{
    chain->waiting = false;
    while (chain->entered > 0) {
        unsigned index = --chain->entered;
        const struct dp_link *link = &chain->links[index];
        if (link->filter->on_request && link->filter->on_done)
            link->filter->on_done(x, link->conf, scratch_of(chain, link));
    }
}
