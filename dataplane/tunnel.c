/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange that becomes a tunnel may last for days and there may be thousands of them: what only
 * its handshake needed is let go, and the handshake is counted while it is news. */
#include "dataplane/flow.h"
#include "dataplane/worker_internal.h"

/* The caller's input, which all of it are views into, goes with the answer's head. */
static void keep_request(struct dp_exchange *x)
{
    struct dp_request *request = &x->request;
    dp_request_head_keep(&request->head);
    request->path = gw_arena_dup(&x->arena, request->path);
    request->environment = gw_arena_dup(&x->arena, request->environment);
    request->source_text = gw_arena_dup(&x->arena, request->source_text);
    x->match = (struct dp_route_match){0};
}

/* One snapshot is held by all exchanges that began on it: after a thousand changes thousands of
 * tunnels would hold a thousand of them. */
static void let_snapshot_go(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    dp_route_ref(x->route);
    dp_app_ref(x->app);
    x->snapshot = NULL;
    dp_worker_unpin(flow->pinned);
    flow->pinned = NULL;
}

void dp_tunnel_open(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    flow->tunnel = true;
    keep_request(x);
    let_snapshot_go(flow);
    dp_observe_tunnel(x->worker->observer, x, x->worker->loop.now_ns - flow->started_ns);
}

void dp_tunnel_close(struct dp_flow *flow)
{
    if (!flow->tunnel)
        return;
    dp_route_unref(flow->x.route);
    dp_app_unref(flow->x.app);
}
