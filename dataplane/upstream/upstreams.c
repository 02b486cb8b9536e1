/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/upstream/h1_link.h"
#include "dataplane/upstream/h2_link.h"

#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000
#define IDLE_TIMEOUT_MS 60000
#define IDLE_MAX 1024

int dp_upstreams_new(const struct dp_upstreams_options *options,
                     struct dp_upstreams **ret_upstreams, struct gw_error *err)
{
    struct dp_upstream_tls *tls = NULL;
    /* A file that was named is wanted, and read now, so that what is wrong with it is said. The
     * system's authorities take memory, so they wait for the first backend over TLS. */
    if (options->ca_file && dp_upstream_tls_new(options->ca_file, &tls, err) < 0)
        return -1;
    struct dp_upstreams *upstreams = gw_calloc(1, sizeof(*upstreams));
    upstreams->options = *options;
    struct dp_upstreams_options *own = &upstreams->options;
    own->connect_timeout_ms =
        own->connect_timeout_ms ? own->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    own->idle_timeout_ms = own->idle_timeout_ms ? own->idle_timeout_ms : IDLE_TIMEOUT_MS;
    own->idle_max = own->idle_max ? own->idle_max : IDLE_MAX;
    own->ping_after_ms = own->ping_after_ms ? own->ping_after_ms : DP_UH2_PING_AFTER_MS;
    own->ping_timeout_ms = own->ping_timeout_ms ? own->ping_timeout_ms : DP_UH2_PING_TIMEOUT_MS;
    gw_list_init(&upstreams->pools);
    upstreams->tls = tls;
    *ret_upstreams = upstreams;
    return 0;
}

void dp_upstreams_free(struct dp_upstreams *upstreams)
{
    if (!upstreams)
        return;
    gw_list_each(&upstreams->pools, it)
    {
        struct dp_pool *pool = gw_container_of(it, struct dp_pool, node);
        pool->count++; /* it stays while its list is walked */
        gw_list_each(&pool->idle, idle)
            dp_h1_link_close(gw_container_of(idle, struct dp_h1_link, node));
        gw_list_each(&pool->sessions, session) dp_uh2_session_close(
            gw_container_of(session, struct dp_uh2_session, node), DP_FAILURE_RESET);
        upstreams->stats.open++;
        dp_pool_leave(pool);
    }
    assert(gw_list_is_empty(&upstreams->pools));
    dp_upstream_tls_free(upstreams->tls);
    free(upstreams);
}

const struct dp_upstreams_stats *dp_upstreams_stats(const struct dp_upstreams *upstreams)
{
    return &upstreams->stats;
}
