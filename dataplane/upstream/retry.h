/* SPDX-License-Identifier: Apache-2.0 */
/* When a request may be sent again, and how often per channel: a budget, so
 * that a backend in trouble does not get more requests than one in health. Pure. One thread. */
#ifndef DP_UPSTREAM_RETRY_H
#define DP_UPSTREAM_RETRY_H

#include "common/clock.h"

/* How an attempt ended without an answer for the caller. */
enum dp_upstream_failure {
    DP_FAILURE_NO_MEMBER,  /* the channel is empty */
    DP_FAILURE_UNRESOLVED, /* the name has no address */
    DP_FAILURE_CONNECT,    /* refused, unreachable, out of ports: nothing was sent */
    DP_FAILURE_CONNECT_TIMEOUT,
    DP_FAILURE_STALE,     /* a reused connection closed before a byte of the answer */
    DP_FAILURE_RESET,     /* a new one did */
    DP_FAILURE_TIMEOUT,   /* no head of an answer in time */
    DP_FAILURE_DEADLINE,  /* of the whole call */
    DP_FAILURE_PROTOCOL,  /* what came is no HTTP answer */
    DP_FAILURE_STATUS,    /* it is one: 502, 503 or 504 */
    DP_FAILURE_REFUSED,   /* HTTP/2: the backend says that it has not processed the request */
    DP_FAILURE_NO_TUNNEL, /* HTTP/2: it says that it takes no CONNECT to WebSocket */
    DP_FAILURE_COUNT
};

struct dp_retry_case {
    enum dp_upstream_failure failure;
    bool is_idempotent;  /* the method */
    bool has_sent;       /* bytes of the request may have reached the backend */
    bool can_replay;     /* all of the body seen so far is still there */
    int32_t retry_count; /* of the backend: -1: once for idempotent methods */
    unsigned retries;    /* so far */
    unsigned refusals;   /* DP_FAILURE_REFUSED so far */
    unsigned members;    /* of the channel */
};
#define DP_RETRY_REFUSED_MAX 3 /* of one request */
/* Whether the rules allow another attempt; the budget is asked apart. */
bool dp_retry_is_allowed(const struct dp_retry_case *c);

/* 20 % of the channel's requests, at least 3 a second. */
#define DP_RETRY_BUDGET_PERCENT 20
#define DP_RETRY_BUDGET_MIN 3
#define DP_RETRY_BUDGETS 256

struct dp_retry_budget {
    const void *channel;       /* whose it is; NULL: free */
    int64_t second;            /* of `used` and `requests` */
    uint32_t requests, before; /* in this second, in the one before */
    uint32_t used;
};
/* One worker's budgets, of the channels used last: a fixed table, a newcomer takes a slot over. */
struct dp_retry_budgets {
    struct dp_retry_budget slots[DP_RETRY_BUDGETS];
};
/* channel: what stays the same over snapshots (dp_channel.cursor). */
void dp_retry_count_request(struct dp_retry_budgets *budgets, const void *channel, gw_msec now_ms);
/* Takes one retry out of the budget; false: there is none left this second. */
GW_MUST_CHECK bool dp_retry_take(struct dp_retry_budgets *budgets, const void *channel,
                                 gw_msec now_ms);

#endif
