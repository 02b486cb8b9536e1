/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics that are asked for rather than counted: sync, snapshot, limiter, log, and the series
 * of each route. */
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/observe/status.h"

#include "common/arena.h"
#include "dataplane/limiter.h"
#include "dataplane/upstream/endpoint.h"

#include <inttypes.h>
#include <stdlib.h>

/* out has no limit, so that this cannot fail. */
#define PRINT(out, ...)                                                                            \
    do {                                                                                           \
        int result_ = gw_buf_printf((out), __VA_ARGS__);                                           \
        assert(result_ == 0);                                                                      \
        (void)result_;                                                                             \
    } while (0)

static void put(struct gw_buf *out, const char *name, enum gw_metric_type type, const char *help,
                int64_t value)
{
    gw_metrics_write_head(out, name, type, help);
    PRINT(out, "%s %" PRId64 "\n", name, value);
}

static void put_sync(struct gw_buf *out, const struct dp_status_sources *sources)
{
    struct dp_sync_status sync = {0};
    sources->read_sync(sources->arg, &sync);
    put(out, "penstock_agent_controlplane_connected", GW_GAUGE,
        "1 while the stream to a control plane is there.", sync.connected);
    put(out, "penstock_agent_controlplane_connects_total", GW_COUNTER,
        "Streams to a control plane that came about.", sync.connects);
    put(out, "penstock_agent_controlplane_failures_total", GW_COUNTER,
        "Streams to a control plane that ended or did not come about.", sync.failures);
    put(out, "penstock_agent_updates_total", GW_COUNTER, "Updates applied since the start.",
        sync.updates);
    put(out, "penstock_agent_revision", GW_GAUGE,
        "Revision of the store that was applied last; 0: none.", sync.revision);
    put(out, "penstock_agent_cached_revision", GW_GAUGE,
        "Revision on disk, which a start without a control plane begins with; 0: none.",
        sync.cached_revision);
    put(out, "penstock_agent_refused_resources", GW_GAUGE,
        "Resources whose newest form could not be used; /config says which.",
        sync.refused_resources);
    gw_metrics_write_head(out, "penstock_agent_last_update_timestamp_seconds", GW_GAUGE,
                          "When the last update was applied; 0: none since the start.");
    PRINT(out, "penstock_agent_last_update_timestamp_seconds %.3f\n",
          (double)sync.last_update_wall_ms / 1000);
    put(out, "penstock_agent_controlplane_certificate_expiry_timestamp_seconds", GW_GAUGE,
        "When the agent's own certificate expires, where it was enrolled; 0: it was not.",
        sync.certificate_expiry_wall_ms / 1000);
}

static void put_workers(struct gw_buf *out, const struct dp_status *status)
{
    struct dp_workers_status workers = {0};
    status->sources.read_workers(status->sources.arg, &workers);
    put(out, "penstock_agent_workers", GW_GAUGE, "Threads that serve requests.", workers.count);
    put(out, "penstock_agent_served_revision", GW_GAUGE,
        "The oldest revision that a worker answers new requests with; 0: one has none.",
        GW_MAX(workers.revision, 0));
    put(out, "penstock_agent_draining", GW_GAUGE, "1 while the agent is about to end.",
        status->draining);
}

static void put_snapshot(struct gw_buf *out, struct dp_status *status)
{
    struct dp_snapshot *snapshot = dp_status_snapshot(status);
    size_t routes = snapshot ? dp_snapshot_route_count(snapshot) : 0;
    size_t apps = snapshot ? dp_snapshot_app_count(snapshot) : 0;
    dp_snapshot_unref(snapshot);
    put(out, "penstock_agent_routes", GW_GAUGE, "Routes that are served.", (int64_t)routes);
    put(out, "penstock_agent_apps", GW_GAUGE, "Apps that are known.", (int64_t)apps);
}

static void put_names(struct gw_buf *out, struct dp_endpoints *endpoints)
{
    struct dp_endpoints_stats stats;
    dp_endpoints_read_stats(endpoints, &stats);
    put(out, "penstock_agent_dns_names", GW_GAUGE, "Names of backends that are resolved.",
        stats.names);
    put(out, "penstock_agent_dns_failing_names", GW_GAUGE,
        "Names whose last look-up failed; those that had addresses keep them. /config says which.",
        stats.failing);
    put(out, "penstock_agent_dns_lookups_total", GW_COUNTER, "Look-ups of names of backends.",
        (int64_t)stats.lookups);
    put(out, "penstock_agent_dns_failures_total", GW_COUNTER,
        "Look-ups that found no address: no such name, no answer, or no sense in it.",
        (int64_t)stats.failures);
}

static void put_log(struct gw_buf *out, const struct dp_access_log *log)
{
    struct dp_access_log_stats stats = {0};
    if (log)
        dp_access_log_read_stats(log, &stats);
    put(out, "penstock_agent_access_log_lines_total", GW_COUNTER, "Lines of the access log.",
        stats.lines);
    put(out, "penstock_agent_access_log_dropped_total", GW_COUNTER,
        "Lines that the access log's file was too slow for, or refused.", stats.dropped);
}

/* ---- routes */

struct series {
    gw_str name; /* in the arena */
    struct dp_route_totals totals;
};

struct collected {
    struct gw_arena arena;
    struct series *series; /* owned: those with a name of their own, then the rest as one */
    size_t count;
};

static void add_totals(struct dp_route_totals *sum, const struct dp_route_totals *totals)
{
    sum->requests += totals->requests;
    sum->errors_4xx += totals->errors_4xx;
    sum->errors_5xx += totals->errors_5xx;
    sum->throttled += totals->throttled;
    sum->latency_us += totals->latency_us;
    sum->request_bytes += totals->request_bytes;
    sum->response_bytes += totals->response_bytes;
}

static void collect(gw_str name, const struct dp_route_totals *totals, void *arg)
{
    struct collected *collected = arg;
    bool has_own = collected->count < DP_STATUS_ROUTES_MAX;
    struct series *series =
        &collected->series[GW_MIN(collected->count, (size_t)DP_STATUS_ROUTES_MAX)];
    if (has_own || collected->count == DP_STATUS_ROUTES_MAX) {
        series->name = has_own ? gw_arena_dup(&collected->arena, name) : GW_STR("other");
        series->totals = (struct dp_route_totals){0};
        collected->count++;
    }
    add_totals(&series->totals, totals);
}

/* One metric of all routes. */
struct family {
    const char *name, *help;
    size_t offset; /* of the number in dp_route_totals */
    double scale;
};

static void put_family(struct gw_buf *out, const struct collected *collected,
                       const struct family *family)
{
    gw_metrics_write_head(out, family->name, GW_COUNTER, family->help);
    for (size_t i = 0; i < collected->count; i++) {
        const struct series *series = &collected->series[i];
        const char *field = (const char *)&series->totals + family->offset;
        PRINT(out, "%s{route=\"", family->name);
        gw_metrics_write_escaped(out, series->name);
        PRINT(out, "\"} %.15g\n", (double)*(const int64_t *)(const void *)field * family->scale);
    }
}

static void put_routes(struct gw_buf *out, struct dp_route_stats_table *table)
{
#define FIELD(field) offsetof(struct dp_route_totals, field)
    static const struct family families[] = {
        {"penstock_agent_route_requests_total", "Requests by route.", FIELD(requests), 1},
        {"penstock_agent_route_client_errors_total", "Answers 4xx by route.", FIELD(errors_4xx), 1},
        {"penstock_agent_route_server_errors_total", "Answers 5xx by route.", FIELD(errors_5xx), 1},
        {"penstock_agent_route_throttled_total", "Requests beyond a limit, by route.",
         FIELD(throttled), 1},
        {"penstock_agent_route_duration_seconds_total",
         "Time that requests took, by route; over the requests it is their average.",
         FIELD(latency_us), 1e-6},
        {"penstock_agent_route_request_bytes_total", "Bytes of requests by route.",
         FIELD(request_bytes), 1},
        {"penstock_agent_route_response_bytes_total", "Bytes of answers by route.",
         FIELD(response_bytes), 1},
    };
    struct collected collected = {
        .series = gw_calloc(DP_STATUS_ROUTES_MAX + 1, sizeof(*collected.series))};
    dp_route_stats_each(table, collect, &collected);
    for (size_t i = 0; i < GW_ARRAY_LEN(families); i++)
        put_family(out, &collected, &families[i]);
    gw_arena_done(&collected.arena);
    free(collected.series);
}

void dp_status_write_metrics(struct gw_buf *out, void *arg)
{
    struct dp_status *status = arg;
    put_sync(out, &status->sources);
    put_workers(out, status);
    put_snapshot(out, status);
    put(out, "penstock_agent_limiter_overflows_total", GW_COUNTER,
        "Limits that did not bind a request because --limiter-size counters were in use.",
        (int64_t)dp_limiter_overflows(status->sources.limiter));
    put_names(out, status->sources.endpoints);
    put_log(out, status->sources.access_log);
    put_routes(out, status->sources.routes);
}
