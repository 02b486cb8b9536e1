/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/pool.h"

#include "dataplane/upstream/h1_link.h"
#include "dataplane/upstream/h2_link.h"

#include <stdlib.h>

struct dp_pool *dp_pool_find(struct dp_upstreams *upstreams, struct dp_endpoint *endpoint)
{
    return *dp_endpoint_pool(endpoint, upstreams->options.worker);
}

struct dp_pool *dp_pool_enter(struct dp_upstreams *upstreams, struct dp_endpoint *endpoint)
{
    struct dp_pool **slot = dp_endpoint_pool(endpoint, upstreams->options.worker);
    struct dp_pool *pool = *slot;
    if (!pool) {
        pool = *slot = gw_calloc(1, sizeof(*pool));
        pool->upstreams = upstreams;
        pool->endpoint = dp_endpoint_ref(endpoint);
        gw_list_init(&pool->idle);
        gw_list_init(&pool->sessions);
        pool->streams_assumed = DP_UH2_STREAMS_ASSUMED;
        gw_list_push(&upstreams->pools, &pool->node);
    }
    pool->count++;
    upstreams->stats.open++;
    return pool;
}

void dp_pool_leave(struct dp_pool *pool)
{
    pool->upstreams->stats.open--;
    if (--pool->count > 0)
        return;
    *dp_endpoint_pool(pool->endpoint, pool->upstreams->options.worker) = NULL;
    gw_list_remove(&pool->node);
    dp_endpoint_unref(pool->endpoint);
    free(pool);
}

void dp_pool_remove(struct dp_h1_link *link)
{
    gw_list_remove(&link->node);
    dp_timer_rest(&link->timer);
    link->base.pool->idle_count--;
    link->base.pool->upstreams->stats.idle--;
}

struct dp_h1_link *dp_pool_take(const struct dp_upstream_call *call)
{
    struct dp_pool *pool = dp_pool_find(call->upstreams, call->member->endpoint);
    if (!pool)
        return NULL;
    gw_list_each(&pool->idle, it)
    {
        struct dp_h1_link *link = gw_container_of(it, struct dp_h1_link, node);
        /* Pending: the loop has seen that it closed or said something, and tells it later in this
         * turn. */
        if (ev_is_pending(&link->conn.reader) || !dp_link_tls_fits(&link->tls, call))
            continue;
        /* A name that has moved takes its traffic along. */
        if (!dp_endpoint_has(pool->endpoint, &link->peer, &link->peer_seen)) {
            bool is_last = pool->count == 1; /* the pool goes with it */
            dp_h1_link_close(link);
            if (is_last)
                return NULL;
            continue;
        }
        dp_pool_remove(link);
        return link;
    }
    return NULL;
}

void dp_pool_put(struct dp_h1_link *link)
{
    struct dp_pool *pool = link->base.pool;
    struct dp_upstreams *upstreams = pool->upstreams;
    if (pool->idle_count >= upstreams->options.idle_max)
        dp_h1_link_close(gw_container_of(pool->idle.prev, struct dp_h1_link, node));
    link->phase = DP_LINK_IDLE;
    gw_list_push_front(&pool->idle, &link->node);
    pool->idle_count++;
    upstreams->stats.idle++;
    dp_loop_arm(upstreams->options.loop, &link->timer, upstreams->options.idle_timeout_ms);
}
