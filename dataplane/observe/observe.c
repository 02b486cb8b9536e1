/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/observe.h"

#include "dataplane/downstream/server.h"
#include "dataplane/observe/access_line.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/tls/front.h"
#include "dataplane/upstream/upstream.h"

#include <stdlib.h>

struct dp_observer {
    struct gw_metric_cells *cells;    /* this worker's; owned by the registry */
    struct dp_access_log *access_log; /* borrowed; NULL: off */
    unsigned worker;
    struct dp_line_clock clock;
    char line[DP_ACCESS_LOG_LINE_MAX];
};

struct dp_observer *dp_observer_new(struct gw_metrics *metrics, struct dp_access_log *access_log,
                                    unsigned worker)
{
    struct dp_observer *observer = gw_calloc(1, sizeof(*observer));
    observer->cells = gw_metrics_join(metrics);
    observer->access_log = access_log;
    observer->worker = worker;
    return observer;
}

void dp_observer_free(struct dp_observer *observer)
{
    free(observer);
}

/* A backend may answer 499 too; then the answer is whole. */
static enum dp_metric_class class_of(const struct dp_outcome *outcome)
{
    if (outcome->status == 499 && outcome->cut)
        return DP_CLASS_GONE;
    assert(outcome->status >= 100 && outcome->status <= 599);
    return (enum dp_metric_class)(outcome->status / 100 - 1);
}

static enum dp_metric_protocol protocol_of(const struct dp_request_head *head)
{
    if (head->major == 2)
        return DP_PROTOCOL_HTTP2;
    return head->minor == 0 ? DP_PROTOCOL_HTTP1_0 : DP_PROTOCOL_HTTP1_1;
}

static void count_request(struct dp_observer *observer, const struct dp_exchange *x,
                          enum dp_metric_class class, gw_nsec duration_ns)
{
    struct gw_metric_cells *cells = observer->cells;
    gw_metric_add(cells, DP_METRIC_REQUESTS, class, 1);
    if (x->request.head.path.len > 0)
        gw_metric_add(cells, DP_METRIC_PROTOCOLS, protocol_of(&x->request.head), 1);
    gw_metric_observe(cells, DP_METRIC_REQUEST_DURATION, 0, duration_ns);
}

static void count(struct dp_observer *observer, const struct dp_exchange *x,
                  const struct dp_outcome *outcome)
{
    struct gw_metric_cells *cells = observer->cells;
    if (outcome->cut)
        gw_metric_add(cells, DP_METRIC_CUT, 0, 1);
    if (outcome->gzip_limited)
        gw_metric_add(cells, DP_METRIC_GZIP_LIMITED, 0, 1);
    if (outcome->gzip_out > 0) {
        gw_metric_add(cells, DP_METRIC_GZIP_ANSWERS, 0, 1);
        gw_metric_add(cells, DP_METRIC_GZIP_BYTES_IN, 0, (int64_t)outcome->gzip_in);
        gw_metric_add(cells, DP_METRIC_GZIP_BYTES_OUT, 0, (int64_t)outcome->gzip_out);
    }
    if (outcome->has_grpc_status)
        gw_metric_add(cells, DP_METRIC_GRPC_STATUSES,
                      GW_MIN((unsigned)outcome->grpc_status, DP_METRIC_GRPC_OTHER), 1);
    if (outcome->upstream_ns > 0)
        gw_metric_observe(cells, DP_METRIC_UPSTREAM_DURATION, 0, outcome->upstream_ns);
    gw_metric_add(cells, DP_METRIC_BYTES_IN, 0, (int64_t)outcome->bytes_in);
    gw_metric_add(cells, DP_METRIC_BYTES_OUT, 0, (int64_t)outcome->bytes_out);
    if (outcome->tunnel) {
        gw_metric_add(cells, DP_METRIC_TUNNELS, 0, -1);
        return;
    }
    if (x->response.refusal)
        gw_metric_add(cells, DP_METRIC_REFUSALS, (unsigned)x->response.refusal - 1, 1);
    count_request(observer, x, class_of(outcome), outcome->duration_ns);
}

static void count_for_route(const struct dp_observer *observer, const struct dp_exchange *x,
                            const struct dp_outcome *outcome)
{
    enum dp_metric_class class = class_of(outcome);
    struct dp_route_totals delta = {
        .requests = outcome->tunnel ? 0 : 1,
        .errors_4xx = class == DP_CLASS_4XX || class == DP_CLASS_GONE,
        .errors_5xx = class == DP_CLASS_5XX,
        .throttled = x->response.refusal == DP_REFUSE_THROTTLED,
        .latency_us = outcome->tunnel ? 0 : outcome->duration_ns / 1000,
        .request_bytes = (int64_t)outcome->bytes_in,
        .response_bytes = (int64_t)outcome->bytes_out,
    };
    dp_route_stats_add(x->route->stats, observer->worker, &delta);
}

void dp_observe_exchange(struct dp_observer *observer, const struct dp_exchange *x,
                         const struct dp_outcome *outcome)
{
    count(observer, x, outcome);
    if (x->route)
        count_for_route(observer, x, outcome);
    if (!observer->access_log)
        return;
    size_t len = dp_access_line_write(observer->line, &observer->clock, x, outcome);
    dp_access_log_put(observer->access_log, observer->worker, gw_str_n(observer->line, len));
}

void dp_observe_tunnel(struct dp_observer *observer, const struct dp_exchange *x,
                       gw_nsec duration_ns)
{
    struct dp_route_totals delta = {.requests = 1, .latency_us = duration_ns / 1000};
    gw_metric_add(observer->cells, DP_METRIC_TUNNELS, 0, 1);
    count_request(observer, x, (enum dp_metric_class)(x->response.head.status / 100 - 1),
                  duration_ns);
    dp_route_stats_add(x->route->stats, observer->worker, &delta);
}

void dp_observe_connections(struct dp_observer *observer, const struct dp_server *server,
                            const struct dp_upstreams_stats *upstreams)
{
    const struct {
        unsigned row, series;
        uint64_t value;
    } values[] = {
        {DP_METRIC_CONNECTIONS, 0, server->count},
        {DP_METRIC_CONNECTIONS_ACCEPTED, 0, server->stats.accepted},
        {DP_METRIC_CONNECTIONS_REFUSED, 0, server->stats.refused},
        {DP_METRIC_ACCEPT_FAILURES, 0, server->stats.accept_failures},
        {DP_METRIC_PROXY_REFUSED, 0, server->stats.proxy_refused},
        {DP_METRIC_TIMEOUTS, DP_TIMEOUT_IDLE, server->stats.idle_timeouts},
        {DP_METRIC_TIMEOUTS, DP_TIMEOUT_HEAD, server->stats.head_timeouts},
        {DP_METRIC_TIMEOUTS, DP_TIMEOUT_BODY, server->stats.body_timeouts},
        {DP_METRIC_TIMEOUTS, DP_TIMEOUT_WRITE, server->stats.write_timeouts},
        {DP_METRIC_H2_CONNECTIONS, 0, server->stats.h2_connections},
        {DP_METRIC_H2_STREAMS, 0, server->stats.h2_streams},
        {DP_METRIC_H2_RESETS, 0, server->stats.h2_resets},
        {DP_METRIC_H2_REFUSED, 0, server->stats.h2_refused},
        {DP_METRIC_H2_MALFORMED, 0, server->stats.h2_malformed},
        {DP_METRIC_TIMEOUTS, DP_TIMEOUT_HANDSHAKE, server->stats.handshake_timeouts},
        {DP_METRIC_UPSTREAM_CONNECTIONS, 0, upstreams->open},
        {DP_METRIC_UPSTREAM_IDLE, 0, upstreams->idle},
        {DP_METRIC_UPSTREAM_CONNECTS, 0, upstreams->connects},
        {DP_METRIC_UPSTREAM_CONNECT_FAILURES, 0, upstreams->connect_failures},
        {DP_METRIC_UPSTREAM_TLS_FAILURES, 0, upstreams->tls_failures},
        {DP_METRIC_UPSTREAM_REUSES, 0, upstreams->reuses},
        {DP_METRIC_UPSTREAM_STALE, 0, upstreams->stale},
        {DP_METRIC_UPSTREAM_RETRIES, 0, upstreams->retries},
        {DP_METRIC_UPSTREAM_RETRIES_REFUSED, 0, upstreams->budget_refusals},
        {DP_METRIC_UPSTREAM_TIMEOUTS, 0, upstreams->timeouts},
        {DP_METRIC_STREAM_TIMEOUTS, 0, upstreams->stream_timeouts},
        {DP_METRIC_SPLICED, 0, server->loop->spliced_bytes},
        {DP_METRIC_UPSTREAM_SESSIONS, 0, upstreams->h2_sessions},
        {DP_METRIC_UPSTREAM_STREAMS, 0, upstreams->h2_streams},
        {DP_METRIC_UPSTREAM_STREAMS_OPENED, 0, upstreams->h2_requests},
        {DP_METRIC_UPSTREAM_STREAMS_REFUSED, 0, upstreams->h2_refused},
        {DP_METRIC_UPSTREAM_GOAWAYS, 0, upstreams->h2_goaways},
        {DP_METRIC_UPSTREAM_HTTP2_FAILURES, 0, upstreams->h2_failures},
        {DP_METRIC_UPSTREAM_FLOODS, 0, upstreams->h2_floods},
        {DP_METRIC_UPSTREAM_DEAD, 0, upstreams->h2_dead},
    };
    for (unsigned i = 0; i < GW_ARRAY_LEN(values); i++)
        gw_metric_set(observer->cells, values[i].row, values[i].series, (int64_t)values[i].value);
    for (unsigned i = 0; i < DP_H2_FLOOD_COUNT; i++)
        gw_metric_set(observer->cells, DP_METRIC_H2_FLOODS, i, (int64_t)server->stats.h2_floods[i]);
}

void dp_observe_tls(struct dp_observer *observer, const struct dp_tls_stats *stats)
{
    struct gw_metric_cells *cells = observer->cells;
    for (unsigned i = 0; i < DP_TLS_VERSIONS; i++)
        gw_metric_set(cells, DP_METRIC_TLS_HANDSHAKES, i, (int64_t)stats->handshakes[i]);
    for (unsigned i = 0; i < DP_TLS_FAILURE_COUNT; i++)
        gw_metric_set(cells, DP_METRIC_TLS_FAILURES, i, (int64_t)stats->failures[i]);
    gw_metric_set(cells, DP_METRIC_TLS_RESUMED, 0, (int64_t)stats->resumed);
    gw_metric_set(cells, DP_METRIC_TLS_UNVERIFIED, 0, (int64_t)stats->unverified);
    gw_metric_set(cells, DP_METRIC_TLS_CONTEXTS, 0, (int64_t)stats->contexts);
    gw_metric_set(cells, DP_METRIC_TLS_SHAKING, 0, (int64_t)stats->shaking);
    for (unsigned i = 1; i < DP_TLS_FLOOD_COUNT; i++)
        gw_metric_set(cells, DP_METRIC_TLS_FLOODS, i - 1, (int64_t)stats->floods[i]);
}
