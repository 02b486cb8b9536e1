/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/metrics.h"

#include "common/metrics.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/feed.h"
#include "controlplane/service/leader.h"

#include <inttypes.h>

#define PREFIX "penstock_controlplane_"

/* What is true now, in the units of those who count. */
struct figures {
    struct cp_watcher_stats watcher;
    struct cp_image_status image;
    struct cp_registry_stats registry;
    struct cp_json_stats json;
    struct cp_feed_stats feed;
    /* of other types where they come from */
    int64_t leader, leader_terms, resealed, connections_refused;
    int64_t enrolled, certificate_expiry_ms;
    int64_t audit_lost, fetches_failed, store_reachable, resources, refusals, connected, lagging,
        agent_refusals;
};

struct row {
    const char *name;
    enum gw_metric_type type;
    size_t offset; /* in struct figures, of an int64_t */
    double scale;  /* to the unit of the name */
    const char *help;
};

#define ROW(name, type, field, scale, help)                                                        \
    {                                                                                              \
        PREFIX name, type, offsetof(struct figures, field), scale, help                            \
    }
static const struct row rows[] = {
    ROW("store_reachable", GW_GAUGE, store_reachable, 1,
        "1 while the store answers; agents are served without it too."),
    ROW("store_lists_total", GW_COUNTER, watcher.lists, 1,
        "Times the whole store was read: at the start, after a compaction or a restored backup."),
    ROW("image_seen_revision", GW_GAUGE, image.seen_revision, 1,
        "Revision of the store up to which everything is built."),
    ROW("image_revision", GW_GAUGE, image.content_revision, 1,
        "Last revision that changed something for agents; what they acknowledge."),
    ROW("image_resources", GW_GAUGE, resources, 1, "Resources that agents get."),
    ROW("image_refusals", GW_GAUGE, refusals, 1,
        "Resources that cannot be built; their last good form stays."),
    ROW("image_withheld", GW_GAUGE, watcher.withheld, 1,
        "Certificates in use whose key for secrets is not here: while there are any at the start, "
        "agents get nothing from here and keep what they have."),
    ROW("leader", GW_GAUGE, leader, 1,
        "1 while this replica does what is to be done once: one of all replicas."),
    ROW("leader_terms_total", GW_COUNTER, leader_terms, 1, "Times that it has come to lead."),
    ROW("secrets_resealed", GW_GAUGE, resealed, 1,
        "1 at the replica that leads once all secrets are sealed under the first of its keys: the "
        "others may go."),
    ROW("changes_total", GW_COUNTER, watcher.changes, 1,
        "Changes of the store that concerned agents."),
    ROW("builds_total", GW_COUNTER, watcher.builds, 1, "Resources built for agents."),
    ROW("build_seconds_total", GW_COUNTER, watcher.build_ns, 1e-9, "Time spent building them."),
    ROW("agents_connected", GW_GAUGE, connected, 1, "Agents whose stream is open."),
    ROW("agents_lagging", GW_GAUGE, lagging, 1,
        "Connected agents that have not acknowledged image_revision."),
    ROW("agents_lag_revisions", GW_GAUGE, registry.max_lag, 1,
        "Revisions that the agent furthest behind has to go."),
    ROW("agents_lag_seconds", GW_GAUGE, registry.max_lag_ms, 1e-3,
        "Time for which the agent that is behind for the longest has been so."),
    ROW("agents_refused_total", GW_COUNTER, registry.refused, 1,
        "Resources that agents have refused, each counted once for each form and agent."),
    ROW("builds_refused_total", GW_COUNTER, watcher.refused, 1,
        "Builds that failed: the resource keeps its last good form."),
    ROW("agents_refusals", GW_GAUGE, agent_refusals, 1,
        "Resources that connected agents refuse, summed over agents."),
    ROW("agents_replaced_total", GW_COUNTER, registry.replaced, 1,
        "Streams that ended because the same agent id connected again."),
    ROW("agents_stalled_total", GW_COUNTER, registry.dropped[CP_DROP_STALLED], 1,
        "Streams that ended because an update was not taken, or not acknowledged, in time."),
    ROW("agents_outrun_total", GW_COUNTER, registry.dropped[CP_DROP_OUTRUN], 1,
        "Streams that ended because too much had changed since the update that was being sent."),
    ROW("agents_unloaded_total", GW_COUNTER, registry.dropped[CP_DROP_MEMORY], 1,
        "Streams that ended because their agent did not take its update while others waited for "
        "the memory."),
    ROW("updates_sent_total", GW_COUNTER, registry.updates, 1,
        "Updates sent to agents, counted when the last chunk went out."),
    ROW("snapshots_sent_total", GW_COUNTER, registry.snapshots, 1,
        "Of those, full snapshots: to agents that had nothing, or something too old."),
    ROW("updates_sent_bytes_total", GW_COUNTER, registry.update_bytes, 1, "Bytes of them."),
    ROW("updates_under_way", GW_GAUGE, registry.updates_under_way, 1,
        "Agents that are being sent a large update in their turn (--snapshots-at-once)."),
    ROW("updates_waiting", GW_GAUGE, registry.updates_waiting, 1,
        "Agents that wait for their turn."),
    ROW("updates_held_bytes", GW_GAUGE, registry.update_bytes_held, 1,
        "Bytes of packed updates in memory, each once, however many agents it goes to "
        "(--update-bytes-max)."),
    ROW("agents_violations_total", GW_COUNTER, registry.violations, 1,
        "Streams that ended because the agent broke the protocol."),
    ROW("agents_statistics_total", GW_COUNTER, registry.statistics, 1,
        "Statistics messages of agents."),
    ROW("audit_lost_total", GW_COUNTER, audit_lost, 1,
        "Refused writes whose audit event could not be stored: the log alone has them."),
    ROW("jwks_fetch_failures_total", GW_COUNTER, fetches_failed, 1,
        "Fetches of an issuer's keys (jwksUri) that failed: what was fetched before stays in "
        "force."),
    ROW("acks_total", GW_COUNTER, registry.acks, 1,
        "Acknowledgements of revisions that were sent."),
    ROW("agents_enrolled", GW_GAUGE, enrolled, 1, "Agents that have been enrolled."),
    ROW("agents_certificate_expiry_timestamp_seconds", GW_GAUGE, certificate_expiry_ms, 1e-3,
        "When the first certificate of an enrolled agent expires; 0: there is none."),
    ROW("ack_latency_seconds_total", GW_COUNTER, registry.ack_latency_ms_sum, 1e-3,
        "Time from the change's arrival here to the acknowledgement, summed over them."),
    ROW("connections_refused_total", GW_COUNTER, connections_refused, 1,
        "Connections of agents and gRPC callers that were closed at once for lack of file "
        "descriptors."),
    ROW("http_connections_total", GW_COUNTER, json.connections, 1,
        "Connections of the JSON form of the API."),
    ROW("http_requests_total", GW_COUNTER, json.requests, 1, "Requests of it."),
    ROW("http_bodies_bytes", GW_GAUGE, json.bytes_held, 1,
        "Bytes of their bodies that are held now."),
    ROW("http_answers_bytes", GW_GAUGE, json.answer_bytes, 1,
        "Bytes of their answers that wait to be read."),
    ROW("watches_open", GW_GAUGE, feed.readers, 1, "Watches of people and programs."),
    ROW("watches_bytes", GW_GAUGE, feed.bytes, 1, "Bytes of changes that are kept for them."),
    ROW("watches_sent_total", GW_COUNTER, feed.sent, 1, "Answers to them."),
    ROW("watches_slow_total", GW_COUNTER, feed.slow, 1,
        "Watches that ended because their next change was forgotten."),
};

#define INFO PREFIX "info"
#define CALLS PREFIX "rpc_calls_total"
#define REFUSED PREFIX "http_refused_total"
#define CALL_SECONDS PREFIX "rpc_call_seconds_total"

/* figures are zero. */
static void gather(const struct cp_metrics_sources *sources, struct figures *figures)
{
    cp_watcher_stats(sources->watcher, &figures->watcher);
    cp_image_status(sources->image, &figures->image);
    cp_registry_stats(sources->registry, &figures->registry);
    figures->json = (struct cp_json_stats){0};
    figures->feed = (struct cp_feed_stats){0};
    if (sources->feed)
        cp_feed_stats(sources->feed, &figures->feed);
    figures->leader = cp_leader_leads(sources->leader);
    figures->leader_terms = cp_leader_terms(sources->leader);
    figures->resealed = sources->upkeep && cp_upkeep_has_resealed(sources->upkeep);
    if (sources->json)
        cp_json_server_stats(sources->json, &figures->json);
    figures->connections_refused = (int64_t)gw_rpc_connections_refused();
    figures->audit_lost = cp_audit_lost();
    figures->fetches_failed = sources->auth ? cp_auth_fetches_failed(sources->auth) : 0;
    figures->enrolled = figures->certificate_expiry_ms = 0;
    if (sources->enrolled) {
        size_t count;
        cp_enrolled_stats(sources->enrolled, &count, &figures->certificate_expiry_ms);
        figures->enrolled = (int64_t)count;
    }
    figures->store_reachable = figures->watcher.is_reachable;
    figures->resources = (int64_t)figures->image.resources;
    figures->refusals = (int64_t)figures->image.refusals;
    figures->connected = (int64_t)figures->registry.connected;
    figures->lagging = (int64_t)figures->registry.lagging;
    figures->agent_refusals = (int64_t)figures->registry.refusals;
}

static void write_row(struct gw_buf *out, const struct row *row, const struct figures *figures)
{
    int64_t value;
    memcpy(&value, (const char *)figures + row->offset, sizeof(value));
    gw_metrics_write_head(out, row->name, row->type, row->help);
    int rc = row->scale == 1
                 ? gw_buf_printf(out, "%s %" PRId64 "\n", row->name, value)
                 : gw_buf_printf(out, "%s %.15g\n", row->name, (double)value * row->scale);
    assert(rc == 0); /* no limit */
    (void)rc;
}

static void write_refused(struct gw_buf *out, const struct cp_json_stats *json)
{
    gw_metrics_write_head(out, REFUSED, GW_COUNTER, "Of those, refused before any method ran.");
    for (unsigned i = 0; i < CP_JSON_REFUSAL_COUNT; i++) {
        int rc = gw_buf_printf(out, REFUSED "{reason=\"%s\"} %" PRId64 "\n",
                               cp_json_refusal_name(i), json->refused[i]);
        assert(rc == 0); /* no limit */
        (void)rc;
    }
}

/* OK of every method, and the other codes that have happened. */
static void write_calls_of(struct gw_buf *out, const struct cp_method_stats *stats)
{
    for (unsigned code = 0; code < CP_METHOD_CODES; code++) {
        if (code != GW_OK && stats->calls[code] == 0)
            continue;
        int rc = gw_buf_printf(out, CALLS "{method=\"%s\",code=\"%s\"} %" PRId64 "\n", stats->name,
                               gw_code_name((enum gw_code)code), stats->calls[code]);
        assert(rc == 0);
        (void)rc;
    }
}

static void write_seconds_of(struct gw_buf *out, const struct cp_method_stats *stats)
{
    int rc = gw_buf_printf(out, CALL_SECONDS "{method=\"%s\"} %.15g\n", stats->name,
                           (double)stats->spent_ns * 1e-9);
    assert(rc == 0);
    (void)rc;
}

static void write_methods(struct gw_buf *out, const struct cp_methods *methods)
{
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(methods, &count);
    struct cp_method_stats stats;
    gw_metrics_write_head(out, CALLS, GW_COUNTER, "Calls of the management API.");
    for (size_t i = 0; i < count; i++)
        if (cp_methods_stats(&list[i], &stats))
            write_calls_of(out, &stats);
    gw_metrics_write_head(out, CALL_SECONDS, GW_COUNTER, "Time spent in their handlers.");
    for (size_t i = 0; i < count; i++)
        if (cp_methods_stats(&list[i], &stats))
            write_seconds_of(out, &stats);
}

void cp_metrics_write(const struct cp_metrics_sources *sources, struct gw_buf *out)
{
    struct figures figures = {0};
    gather(sources, &figures);
    gw_metrics_write_head(out, INFO, GW_GAUGE, "Always 1; its label names the version.");
    int rc = gw_buf_printf(out, INFO "{version=\"" PENSTOCK_VERSION "\"} 1\n");
    assert(rc == 0);
    (void)rc;
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++)
        write_row(out, &rows[i], &figures);
    cp_steps_write(cp_image_steps(sources->image), out);
    write_refused(out, &figures.json);
    write_methods(out, sources->methods);
    gw_metrics_write_process(out);
}

const char *cp_metrics_name(unsigned index)
{
    static const char *const others[] = {INFO, REFUSED, CALLS, CALL_SECONDS};
    if (index < GW_ARRAY_LEN(rows))
        return rows[index].name;
    size_t other = index - GW_ARRAY_LEN(rows);
    if (other < GW_ARRAY_LEN(others))
        return others[other];
    size_t step = other - GW_ARRAY_LEN(others);
    return step < CP_STEP_COUNT ? cp_steps_metric((enum cp_step)step) : NULL;
}
