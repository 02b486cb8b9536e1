/* SPDX-License-Identifier: Apache-2.0 */
/* A group's debugging domain answers 1000 calls a day, UTC. Every route has
 * it, because every group may have such a domain. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/limiter.h"

#define CALLS_PER_DAY 1000
#define DAY_SECONDS 86400

static bool applies(const ProtobufCMessage *route)
{
    (void)route;
    return true;
}

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    (void)message;
    (void)err;
    *ret_conf = compile->limiter;
    return 0;
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)scratch;
    if (gw_likely(!x->request.via_debug_domain))
        return DP_NEXT;
    struct dp_limiter *limiter = (struct dp_limiter *)(uintptr_t)conf; /* shared, not immutable */
    struct dp_limit limit = {.limit = CALLS_PER_DAY, .window_seconds = DAY_SECONDS};
    struct dp_siphash_key stem = dp_limiter_stem(limiter, GW_STR("debug_domain"));
    dp_limit_key(&stem, 0, x->route->group, limit.key);
    if (dp_limiter_take(limiter, &limit, 1, gw_clock_wall_ms()) < 0)
        return DP_NEXT;
    enum dp_verdict verdict = dp_exchange_refuse(x, DP_REFUSE_DEBUG_QUOTA);
    gw_str seconds = gw_arena_printf(&x->arena, "%lld", (long long)((limit.reset_ms + 999) / 1000));
    dp_headers_add_id(&x->response.head.headers, DP_HEADER_RETRY_AFTER, seconds);
    return verdict;
}

const struct dp_filter dp_filter_debug_domain = {
    .name = "debug_domain",
    .applies = applies,
    .compile = compile,
    .on_request = on_request,
};
