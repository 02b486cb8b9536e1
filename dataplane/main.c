/* SPDX-License-Identifier: Apache-2.0 */
/* penstock-agent: puts the parts together, and takes them apart in the reverse order. Workers serve
 * requests, the sync thread brings configuration; this thread has the signals and the operations
 * port. */
#include "common/log.h"
#include "dataplane/limiter.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/observe/status.h"
#include "dataplane/settings.h"
#include "dataplane/sync/sync.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/worker.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

struct agent {
    struct dp_settings settings;
    struct dp_loop loop;
    struct gw_metrics *metrics;
    struct dp_access_log *access_log; /* NULL: off */
    struct dp_compile_env env;
    struct dp_worker_shared shared;
    struct dp_worker *workers[DP_WORKERS_MAX];
    unsigned worker_count;
    struct dp_sync_options sync_options;
    struct dp_sync *sync;
    struct dp_status status;
    struct dp_ops *ops; /* NULL: off */
    ev_signal term, interrupt, hangup;
    ev_async ended; /* all workers have */
    pthread_t joiner;
    bool has_joiner;
};

/* ---- configuration in */

static void on_snapshot(void *context, struct dp_snapshot *snapshot)
{
    struct agent *agent = context;
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_post_snapshot(agent->workers[i], snapshot);
    dp_status_publish(&agent->status, snapshot);
}

/* ---- what the operations port asks for */

static void read_workers(void *arg, struct dp_workers_status *ret_status)
{
    const struct agent *agent = arg;
    *ret_status = (struct dp_workers_status){.count = agent->worker_count, .revision = INT64_MAX};
    for (unsigned i = 0; i < agent->worker_count; i++) {
        gw_msec stalled_ms = dp_worker_stalled_ms(agent->workers[i]);
        int64_t revision = dp_worker_revision(agent->workers[i]);
        ret_status->stalled_ms = GW_MAX(ret_status->stalled_ms, stalled_ms);
        ret_status->revision = GW_MIN(ret_status->revision, revision);
    }
}

static void read_sync(void *arg, struct dp_sync_status *ret_status)
{
    const struct agent *agent = arg;
    dp_sync_read_status(agent->sync, ret_status);
}

static void read_refusals(void *arg, dp_sync_visit_refused *visit, void *visit_arg)
{
    const struct agent *agent = arg;
    dp_sync_read_refusals(agent->sync, visit, visit_arg);
}

/* ---- signals */

static void *join_workers(void *arg)
{
    struct agent *agent = arg;
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_join(agent->workers[i]);
    ev_async_send(agent->loop.ev, &agent->ended);
    return NULL;
}

static void on_ended(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev, (void)events;
    dp_loop_stop(&gw_container_of(watcher, struct agent, ended)->loop);
}

/* The operations port goes on meanwhile, so the workers are waited for elsewhere. */
static void on_term(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    struct agent *agent = watcher->data;
    if (agent->status.draining) {
        gw_log(GW_LOG_WARN, "agent", "a second signal: ending at once");
        _exit(STATUS_FAILED);
    }
    agent->status.draining = true;
    gw_log(GW_LOG_INFO, "agent", "draining", gw_kv_int("grace_ms", agent->settings.drain_grace_ms),
           gw_kv_int("timeout_ms", agent->settings.drain_timeout_ms));
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_drain(agent->workers[i], agent->settings.drain_grace_ms,
                        agent->settings.drain_timeout_ms);
    agent->has_joiner = pthread_create(&agent->joiner, NULL, join_workers, agent) == 0;
    if (!agent->has_joiner)
        (void)join_workers(agent); /* without a thread the port stands still; nothing else does */
}

static void on_hangup(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    const struct agent *agent = watcher->data;
    if (agent->access_log)
        dp_access_log_reopen(agent->access_log);
}

static void watch(struct agent *agent, ev_signal *watcher,
                  void (*on_signal)(struct ev_loop *, ev_signal *, int), int number)
{
    ev_signal_init(watcher, on_signal, number);
    watcher->data = agent;
    ev_signal_start(agent->loop.ev, watcher);
}

static void watch_signals(struct agent *agent)
{
    (void)signal(SIGPIPE, SIG_IGN);
    watch(agent, &agent->term, on_term, SIGTERM);
    watch(agent, &agent->interrupt, on_term, SIGINT);
    watch(agent, &agent->hangup, on_hangup, SIGHUP);
    ev_async_init(&agent->ended, on_ended);
    ev_async_start(agent->loop.ev, &agent->ended);
}

/* Each caller takes a descriptor, and a backend's connection another. */
static void raise_descriptor_limit(const struct dp_settings *settings)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* then the lower one stays */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < (rlim_t)settings->connections_max * 2)
        gw_log(GW_LOG_WARN, "agent", "fewer file descriptors than --connections-max may need",
               gw_kv_int("descriptors", limit.rlim_cur),
               gw_kv_int("connections_max", settings->connections_max));
}

/* ---- parts */

static void make_status(struct agent *agent)
{
    struct dp_status_sources sources = {
        .agent_id = agent->settings.agent_id,
        .routes = agent->env.stats,
        .limiter = agent->env.limiter,
        .access_log = agent->access_log,
        .read_workers = read_workers,
        .read_sync = read_sync,
        .read_refusals = read_refusals,
        .arg = agent,
    };
    dp_status_init(&agent->status, &sources, agent->metrics);
}

static int open_parts(struct agent *agent, struct gw_error *err)
{
    const struct dp_settings *settings = &agent->settings;
    unsigned worker_count = (unsigned)settings->workers;
    agent->metrics = gw_metrics_new(dp_agent_metrics, DP_METRIC_COUNT);
    gw_metric_set(gw_metrics_join(agent->metrics), DP_METRIC_BUILD_INFO, 0, 1);
    agent->env = (struct dp_compile_env){
        .limiter = dp_limiter_new((size_t)settings->limiter_size),
        .endpoints = dp_endpoints_new(worker_count),
        .stats = dp_route_stats_table_new(worker_count),
    };
    bool has_log = strcmp(settings->access_log, "off") != 0;
    int result =
        has_log ? dp_access_log_open(settings->access_log, worker_count, &agent->access_log, err)
                : 0;
    make_status(agent);
    if (result < 0)
        return -1;
    agent->shared = (struct dp_worker_shared){
        .settings = settings, .metrics = agent->metrics, .access_log = agent->access_log};
    while (agent->worker_count < worker_count) {
        struct dp_worker *worker = dp_worker_new(&agent->shared, agent->worker_count, err);
        if (!worker)
            return -1;
        agent->workers[agent->worker_count++] = worker;
    }
    return 0;
}

/* What is in the cache is served from the first request on: the listeners wait until it is there.
 */
static int start(struct agent *agent, struct gw_error *err)
{
    const struct dp_settings *settings = &agent->settings;
    agent->sync_options = (struct dp_sync_options){
        .controlplane = settings->controlplane,
        .agent_id = settings->agent_id,
        .labels = settings->labels,
        .ca_file = settings->controlplane_ca_file,
        .cert_file = settings->controlplane_cert_file,
        .key_file = settings->controlplane_key_file,
        .cache_dir = settings->cache_dir,
    };
    if (dp_sync_start(&agent->sync_options, &agent->env, on_snapshot, agent, &agent->sync, err) < 0)
        return -1;
    for (unsigned i = 0; i < agent->worker_count; i++)
        if (dp_worker_start(agent->workers[i], err) < 0)
            return -1;
    if (settings->ops_listen[0] &&
        dp_ops_open(&agent->loop, gw_str_from(settings->ops_listen), dp_status_pages,
                    dp_status_page_count, &agent->status, &agent->ops, err) < 0)
        return -1;
    return 0;
}

static void close_parts(struct agent *agent)
{
    if (agent->has_joiner)
        pthread_join(agent->joiner, NULL);
    dp_ops_close(agent->ops);
    dp_sync_stop(agent->sync);
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_free(agent->workers[i]);
    dp_access_log_close(agent->access_log);
    dp_status_done(&agent->status);
    dp_endpoints_free(agent->env.endpoints);
    dp_route_stats_table_free(agent->env.stats);
    dp_limiter_free(agent->env.limiter);
    gw_metrics_free(agent->metrics);
}

static int run(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    int status = STATUS_OK;
    watch_signals(agent);
    raise_descriptor_limit(&agent->settings);
    if (open_parts(agent, &err) < 0 || start(agent, &err) < 0) {
        gw_log(GW_LOG_ERROR, "agent", "cannot start", gw_kv_error(&err));
        status = err.code == GW_INVALID_ARGUMENT ? STATUS_USAGE : STATUS_FAILED;
        for (unsigned i = 0; i < agent->worker_count; i++)
            dp_worker_drain(agent->workers[i], 0, 0); /* those that have started */
    } else {
        gw_log(GW_LOG_INFO, "agent", "serving", gw_kv_text("version", PENSTOCK_VERSION),
               gw_kv_text("agent_id", agent->settings.agent_id),
               gw_kv_text("listen", agent->settings.listen),
               gw_kv_text("ops_listen", agent->settings.ops_listen),
               gw_kv_int("workers", agent->worker_count));
        dp_loop_run(&agent->loop);
        gw_log(GW_LOG_INFO, "agent", "drained");
    }
    close_parts(agent);
    return status;
}

static int usage(const struct gw_error *err)
{
    fprintf(stderr, "penstock-agent: %s\npenstock-agent --help says more.\n", err->message);
    return err->code == GW_INVALID_ARGUMENT ? STATUS_USAGE : STATUS_FAILED;
}

int main(int argc, char **argv)
{
    static struct agent agent;
    struct gw_error err = GW_ERROR_NONE;
    if (dp_settings_load(&agent.settings, argc, argv, &err) < 0)
        return usage(&err);
    if (agent.settings.help) {
        dp_settings_print_help();
        return STATUS_OK;
    }
    if (agent.settings.version) {
        puts("penstock-agent " PENSTOCK_VERSION);
        return STATUS_OK;
    }
    gw_log_set_level(agent.settings.log_level);
    int result = dp_loop_init(&agent.loop);
    if (result < 0) {
        gw_log(GW_LOG_ERROR, "agent", "no event loop", gw_kv_text("error", strerror(-result)));
        return STATUS_FAILED;
    }
    int status = run(&agent);
    dp_loop_done(&agent.loop);
    return status;
}
