/* SPDX-License-Identifier: Apache-2.0 */
/* The whole contract of a policy. One policy, one file, one `const struct dp_filter
 * dp_filter_<name>`; it is listed in filters/filters.h and takes its place in the one ordered array
 * of chain.c. */
#ifndef DP_FILTER_H
#define DP_FILTER_H

#include "common/arena.h"
#include "common/error.h"

#include <protobuf-c/protobuf-c.h>

struct dp_exchange;
struct dp_limiter;

enum dp_verdict {
    DP_NEXT,  /* on to the next filter */
    DP_REPLY, /* the reply is set (dp_exchange_refuse, dp_exchange_reply): walk back from here */
    DP_WAIT,  /* one dp_exchange_resume will follow, from another event; a caller that leaves
                 meanwhile cancels it */
};

/* What compile may use. Borrowed for the call, but conf may keep limiter: it outlives all
 * snapshots. */
struct dp_compile {
    struct gw_arena *arena;     /* of the resource: conf lives there */
    struct dp_limiter *limiter; /* the process's counters */
};

struct dp_filter {
    const char *name; /* = proto field = metric label = file name */
    size_t scratch;   /* zeroed bytes per exchange, from the exchange's arena */
    /* Which policy it compiles: the `kind` case of penstock.agent.v1.Policy. 0: it is made from the
     * route itself (penstock.agent.v1.Route), where applies() says that the route has it. */
    unsigned policy_kind;
    bool (*applies)(const ProtobufCMessage *route);

    /* On the sync thread, once per policy (or route). message: the Policy or the Route; it does not
     * outlive the call. -1 with err refuses that one resource; its last good form stays in force.
     * *ret_conf is immutable and read by all workers. NULL compile: conf is NULL. */
    int (*compile)(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err);

    /* On a worker. Each may be NULL. on_request: forward, before the backend. on_response: backward
     * over the filters entered, exactly once, whoever made the response; DP_REPLY there means that
     * it replaced the response, and the walk goes on. on_done: exactly once for each filter whose
     * on_request ran, when the exchange ends however it ends; the headers of a backend's answer may
     * be gone by then. */
    enum dp_verdict (*on_request)(struct dp_exchange *x, const void *conf, void *scratch);
    enum dp_verdict (*on_response)(struct dp_exchange *x, const void *conf, void *scratch);
    void (*on_done)(struct dp_exchange *x, const void *conf, void *scratch);
};

/* One filter of a route's chain, in order. */
struct dp_link {
    const struct dp_filter *filter;
    const void *conf;
    uint32_t scratch_at; /* its part of the route's scratch area */
};

#endif
