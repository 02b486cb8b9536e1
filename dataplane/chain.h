/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a route's filters forward and back (style.md 3.7). The order of all filters is the one array
 * in chain.c. */
#ifndef DP_CHAIN_H
#define DP_CHAIN_H

#include "dataplane/filter.h"

struct dp_route;

/* Every filter there is, in the order in which they run; compile orders a route's links by it. */
extern const struct dp_filter *const dp_chain_filters[];
extern const unsigned dp_chain_filter_count;

/* Where one exchange stands in its chain; embedded in the exchange's flow. */
struct dp_chain {
    const struct dp_link *links; /* borrowed from the route, which the exchange pins */
    unsigned count;
    unsigned entered;  /* links [0, entered) had on_request called: owed on_done */
    unsigned returned; /* links [0, returned) are still to see the response */
    bool waiting;      /* a filter said DP_WAIT and owes a resume */
    char *scratch;     /* of all links one after another, each at a multiple of 16 */
};

/* Bytes of one filter's scratch in a route's scratch area. */
static inline size_t dp_chain_scratch_bytes(const struct dp_filter *filter)
{
    return (filter->scratch + 15) & ~(size_t)15;
}

/* An empty chain when route is NULL. The scratch area is taken from x's arena. */
void dp_chain_init(struct dp_chain *chain, struct dp_exchange *x, const struct dp_route *route);
/* Runs on_request from where the chain stands: NEXT: all done; REPLY: walk back now; WAIT: call
 * dp_chain_resumed, then this again unless it says REPLY. */
enum dp_verdict dp_chain_forward(struct dp_chain *chain, struct dp_exchange *x);
/* Runs on_response backward over the filters entered. NEXT: all done, or WAIT. */
enum dp_verdict dp_chain_backward(struct dp_chain *chain, struct dp_exchange *x);
/* A filter that waited has decided; false: nobody waited, or the exchange has ended meanwhile. */
GW_MUST_CHECK bool dp_chain_resumed(struct dp_chain *chain);
/* Calls on_done of every filter entered, in reverse, and forgets them: a second call does nothing.
 * A filter that still waits is cancelled by it. */
void dp_chain_end(struct dp_chain *chain, struct dp_exchange *x);

#endif
