/* SPDX-License-Identifier: Apache-2.0 */
/* penstock-agent: puts the parts together, and takes them apart in the reverse order. Workers serve
 * requests, the sync thread brings configuration; this thread has the signals, the operations port,
 * and the process that replaces this one or is replaced by it. */
#include "common/descriptors.h"
#include "common/log.h"
#include "dataplane/limiter.h"
#include "dataplane/net/tls_memory.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/observe/status.h"
#include "dataplane/settings.h"
#include "dataplane/successor.h"
#include "dataplane/supervisor.h"
#include "dataplane/sync/sync.h"
#include "dataplane/tls/tickets.h"
#include "dataplane/upgrade.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/worker.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

struct agent {
    struct dp_settings settings;
    struct dp_loop loop;
    struct gw_metrics *metrics;
    struct gw_metric_cells *cells;    /* of this thread */
    struct dp_access_log *access_log; /* NULL: off */
    struct dp_compile_env env;
    struct dp_ticket_chain ticket_keys; /* for the process that follows */
    struct dp_timer key_timer;
    struct dp_worker_shared shared;
    struct dp_worker *workers[DP_WORKERS_MAX];
    unsigned worker_count;
    struct dp_sync_options sync_options;
    struct dp_sync *sync;
    struct dp_status status;
    struct dp_ops *ops; /* NULL: off */
    ev_signal term, interrupt, hangup, replace;
    ev_async ended; /* all workers have */
    pthread_t joiner;
    bool has_joiner;
    atomic_bool is_serving; /* accepts; set by this thread, read by the sync thread too */
    int exit_status;

    struct dp_successor successor; /* of another process */
    ev_async arrived;              /* a snapshot, which that one waits for */
    char *const *argv;
    char path[PATH_MAX]; /* what replaces this process */
    struct dp_upgrade upgrade;
    ev_async yielded; /* the sync thread has */
    bool is_upgrading, is_replaced;
};

/* ---- configuration in */

static void on_snapshot(void *context, struct dp_snapshot *snapshot)
{
    struct agent *agent = context;
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_post_snapshot(agent->workers[i], snapshot);
    dp_status_publish(&agent->status, snapshot);
    if (!atomic_load(&agent->is_serving))
        ev_async_send(agent->loop.ev, &agent->arrived);
}

/* The sync thread's. */
static void on_role(void *context, enum dp_sync_role role)
{
    struct agent *agent = context;
    if (role == DP_SYNC_YIELDS)
        ev_async_send(agent->loop.ev, &agent->yielded);
}

/* Where the connections of callers are fewest does not matter: they are few. Of a drain the worker
 * may have seen the end. */
static void on_guest(void *context, int fd, bool https, struct dp_snapshot *snapshot)
{
    const struct agent *agent = context;
    if (agent->status.draining) {
        close(fd);
        return;
    }
    dp_worker_post_guest(agent->workers[0], &(struct dp_guest){fd, https, snapshot});
}

static const struct dp_sync_events sync_events = {
    .on_snapshot = on_snapshot, .on_role = on_role, .on_guest = on_guest};

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

/* ---- the end */

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
static void wait_for_workers(struct agent *agent)
{
    agent->status.draining = true;
    agent->has_joiner = pthread_create(&agent->joiner, NULL, join_workers, agent) == 0;
    if (!agent->has_joiner)
        (void)join_workers(agent); /* without a thread the port stands still; nothing else does */
}

/* ---- a new process in the place of this one */

static bool may_go(void *arg, gw_str cluster_id, int64_t revision)
{
    struct agent *agent = arg;
    struct dp_snapshot *own = dp_status_snapshot(&agent->status);
    bool is_newer = !own || !gw_str_eq(cluster_id, dp_snapshot_cluster_id(own)) ||
                    revision >= dp_snapshot_revision(own);
    dp_snapshot_unref(own);
    return is_newer;
}

/* No grace: there is nothing for load balancers to notice. */
static void on_successor_serving(void *arg, pid_t pid)
{
    struct agent *agent = arg;
    char lines[64];
    gw_log(GW_LOG_INFO, "upgrade", "the new process serves, draining",
           gw_kv_int("pid", (int64_t)pid),
           gw_kv_int("timeout_ms", agent->settings.drain_timeout_ms));
    snprintf(lines, sizeof(lines), "MAINPID=%ld", (long)pid);
    dp_notify(lines);
    agent->is_upgrading = false;
    agent->is_replaced = true;
    dp_sync_assume(agent->sync, DP_SYNC_REPLACED);
    if (agent->ops)
        dp_ops_hand_over(agent->ops);
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_hand_over(agent->workers[i], agent->settings.drain_timeout_ms);
    wait_for_workers(agent);
}

static void resume(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    agent->is_upgrading = false;
    dp_sync_assume(agent->sync, DP_SYNC_ALONE);
    if (dp_pid_file_write(agent->settings.pid_file, &err) < 0) /* it may tell the other one's */
        gw_log(GW_LOG_ERROR, "agent", "the pid file may be wrong", gw_kv_error(&err));
}

static void on_upgrade_failed(void *arg, const struct gw_error *why)
{
    struct agent *agent = arg;
    gw_log(GW_LOG_ERROR, "upgrade", "failed, this process goes on", gw_kv_text("path", agent->path),
           gw_kv_error(why));
    gw_metric_add(agent->cells, DP_METRIC_UPGRADES_FAILED, 0, 1);
    resume(agent);
}

static const struct dp_upgrade_events upgrade_events = {
    .may_go = may_go,
    .serving = on_successor_serving,
    .failed = on_upgrade_failed,
};

static void give_up_upgrade(struct agent *agent)
{
    if (!agent->is_upgrading)
        return;
    dp_upgrade_cancel(&agent->upgrade);
    gw_log(GW_LOG_WARN, "upgrade", "given up, this process ends");
    resume(agent);
}

static void start_upgrade(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    size_t count = 0, room = 1;
    for (unsigned i = 0; i < agent->worker_count; i++)
        room += dp_worker_listener_count(agent->workers[i]);
    int *fds = gw_calloc(room, sizeof(*fds));
    for (unsigned i = 0; i < agent->worker_count; i++)
        for (unsigned j = 0; j < dp_worker_listener_count(agent->workers[i]); j++)
            fds[count++] = dp_worker_listener_fd(agent->workers[i], j);
    if (agent->ops)
        fds[count++] = dp_ops_fd(agent->ops);
    struct dp_upgrade_plan plan = {
        .path = agent->path,
        .argv = agent->argv,
        .fds = fds,
        .fd_count = count,
        .timeout_ms = agent->settings.upgrade_timeout_ms,
        .keys = gw_str_n((const char *)&agent->ticket_keys, DP_TICKET_CHAIN_BYTES),
    };
    if (dp_upgrade_start(&agent->upgrade, &plan, &err) < 0)
        on_upgrade_failed(agent, &err);
    else
        gw_log(GW_LOG_INFO, "upgrade", "a new process starts", gw_kv_text("path", agent->path),
               gw_kv_int("pid", (int64_t)agent->upgrade.pid));
    free(fds);
}

static void on_yielded(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev, (void)events;
    struct agent *agent = gw_container_of(watcher, struct agent, yielded);
    if (agent->is_upgrading && agent->upgrade.pid == 0)
        start_upgrade(agent);
    dp_loop_settle(&agent->loop);
}

/* ---- in the place of another process */

static void on_arrived(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev, (void)events;
    struct agent *agent = gw_container_of(watcher, struct agent, arrived);
    struct dp_snapshot *snapshot = agent->is_serving ? NULL : dp_status_snapshot(&agent->status);
    if (!snapshot)
        return;
    dp_successor_ready(&agent->successor, dp_snapshot_cluster_id(snapshot),
                       dp_snapshot_revision(snapshot));
    dp_snapshot_unref(snapshot);
}

/* ---- signals */

static void on_term(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    struct agent *agent = watcher->data;
    if (agent->is_replaced) { /* whoever signals all agents has not meant this one twice */
        agent->is_replaced = false;
        gw_log(GW_LOG_INFO, "agent", "draining already, the new process has taken over");
        return;
    }
    if (agent->status.draining) {
        gw_log(GW_LOG_WARN, "agent", "a second signal: ending at once");
        _exit(STATUS_FAILED);
    }
    gw_log(GW_LOG_INFO, "agent", "draining", gw_kv_int("grace_ms", agent->settings.drain_grace_ms),
           gw_kv_int("timeout_ms", agent->settings.drain_timeout_ms));
    dp_notify("STOPPING=1");
    give_up_upgrade(agent);
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_drain(agent->workers[i], agent->settings.drain_grace_ms,
                        agent->settings.drain_timeout_ms);
    wait_for_workers(agent);
}

static void on_hangup(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    const struct agent *agent = watcher->data;
    if (agent->access_log)
        dp_access_log_reopen(agent->access_log);
}

/* Why not now; NULL: it may begin. */
static const char *upgrade_hindrance(const struct agent *agent)
{
    if (agent->status.draining)
        return "this process is draining";
    if (!agent->is_serving)
        return "this process does not serve yet";
    if (agent->is_upgrading)
        return "an upgrade is under way";
    if (getpid() == 1)
        return "process 1 takes its container along when it ends: replace the container";
    return NULL;
}

/* First the sync thread makes room for another process of the same id. */
static void on_replace(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev, (void)events;
    struct agent *agent = watcher->data;
    const char *hindrance = upgrade_hindrance(agent);
    if (hindrance) {
        gw_log(GW_LOG_WARN, "upgrade", "refused", gw_kv_text("reason", hindrance));
        return;
    }
    agent->is_upgrading = true;
    dp_sync_assume(agent->sync, DP_SYNC_YIELDS);
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
    watch(agent, &agent->replace, on_replace, SIGUSR2);
    ev_async_init(&agent->ended, on_ended);
    ev_async_start(agent->loop.ev, &agent->ended);
    ev_async_init(&agent->arrived, on_arrived);
    ev_async_start(agent->loop.ev, &agent->arrived);
    ev_async_init(&agent->yielded, on_yielded);
    ev_async_start(agent->loop.ev, &agent->yielded);
}

/* ---- parts */

static void make_status(struct agent *agent)
{
    struct dp_status_sources sources = {
        .agent_id = agent->settings.agent_id,
        .routes = agent->env.stats,
        .limiter = agent->env.limiter,
        .endpoints = agent->env.endpoints,
        .access_log = agent->access_log,
        .read_workers = read_workers,
        .read_sync = read_sync,
        .read_refusals = read_refusals,
        .arg = agent,
    };
    dp_status_init(&agent->status, &sources, agent->metrics);
}

/* The main loop looks up names: what is found is for all workers, and they are for requests. */
static int resolve_names(struct agent *agent, struct gw_error *err)
{
    struct dp_resolver_options options = {.loop = &agent->loop,
                                          .servers = agent->settings.dns_servers};
    return dp_endpoints_resolve(agent->env.endpoints, &options, err);
}

/* Here, too, what is over cannot be had back. */
static void on_key_timer(struct dp_timer *timer)
{
    struct agent *agent = gw_container_of(timer, struct agent, key_timer);
    dp_ticket_chain_advance(&agent->ticket_keys, agent->loop.now_ms);
    dp_loop_arm(&agent->loop, timer, agent->ticket_keys.next_ms - agent->loop.now_ms);
}

/* Sessions go on where another process has begun them. */
static void take_ticket_keys(struct agent *agent)
{
    struct dp_successor *successor = &agent->successor;
    gw_str given = gw_str_n(successor->keys, successor->keys_len);
    if (dp_ticket_chain_take(&agent->ticket_keys, given, agent->loop.now_ms) < 0)
        dp_ticket_chain_make(&agent->ticket_keys, agent->loop.now_ms);
    explicit_bzero(successor->keys, sizeof(successor->keys));
    on_key_timer(&agent->key_timer);
}

static int open_parts(struct agent *agent, struct gw_error *err)
{
    const struct dp_settings *settings = &agent->settings;
    unsigned worker_count = (unsigned)settings->workers;
    agent->metrics = gw_metrics_new(dp_agent_metrics, DP_METRIC_COUNT);
    agent->cells = gw_metrics_join(agent->metrics);
    gw_metric_set(agent->cells, DP_METRIC_BUILD_INFO, 0, 1);
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
    if (result < 0 || resolve_names(agent, err) < 0)
        return -1;
    agent->shared = (struct dp_worker_shared){
        .settings = settings,
        .metrics = agent->metrics,
        .access_log = agent->access_log,
        .inherited = &agent->successor.inherited,
        .ticket_keys = &agent->ticket_keys,
    };
    take_ticket_keys(agent);
    while (agent->worker_count < worker_count) {
        struct dp_worker *worker = dp_worker_new(&agent->shared, agent->worker_count, err);
        if (!worker)
            return -1;
        agent->workers[agent->worker_count++] = worker;
    }
    return 0;
}

static int start_sync(struct agent *agent, struct gw_error *err)
{
    const struct dp_settings *settings = &agent->settings;
    agent->sync_options = (struct dp_sync_options){
        .controlplane = settings->controlplane,
        .agent_id = settings->agent_id,
        .labels = settings->labels,
        .ca_file = settings->controlplane_ca_file,
        .cert_file = settings->controlplane_cert_file,
        .key_file = settings->controlplane_key_file,
        .enrolment_token_file = settings->enrolment_token_file,
        .cache_dir = settings->cache_dir,
        .return_ms = settings->controlplane_return_ms,
    };
    return dp_sync_start(&agent->sync_options, &agent->env, &sync_events, agent, &agent->sync, err);
}

static int open_ops(struct agent *agent, struct gw_error *err)
{
    struct dp_ops_options options = {
        .loop = &agent->loop,
        .listen = gw_str_from(agent->settings.ops_listen),
        .inherited = &agent->successor.inherited,
        .pages = dp_status_pages,
        .page_count = dp_status_page_count,
        .arg = &agent->status,
    };
    return options.listen.len > 0 ? dp_ops_open(&options, &agent->ops, err) : 0;
}

/* What is in the cache is served from the first request on: it is there before anything is
 * accepted. */
static int serve(struct agent *agent, struct gw_error *err)
{
    const struct dp_settings *settings = &agent->settings;
    if (open_ops(agent, err) < 0 || dp_pid_file_write(settings->pid_file, err) < 0)
        return -1;
    for (unsigned i = 0; i < agent->worker_count; i++)
        if (dp_worker_start(agent->workers[i], err) < 0)
            return -1;
    agent->is_serving = true;
    dp_successor_serving(&agent->successor);
    dp_notify("READY=1");
    gw_log(GW_LOG_INFO, "agent", "serving", gw_kv_text("version", PENSTOCK_VERSION),
           gw_kv_text("agent_id", settings->agent_id), gw_kv_text("listen", settings->listen),
           gw_kv_text("ops_listen", settings->ops_listen),
           gw_kv_int("workers", agent->worker_count), gw_kv_int("pid", (int64_t)getpid()));
    return 0;
}

static void close_parts(struct agent *agent)
{
    if (agent->has_joiner)
        pthread_join(agent->joiner, NULL);
    dp_timer_stop(&agent->key_timer);
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

/* Those workers that have started end at once. */
static void fail(struct agent *agent, const struct gw_error *err)
{
    gw_log(GW_LOG_ERROR, "agent", "cannot start", gw_kv_error(err));
    agent->exit_status = err->code == GW_INVALID_ARGUMENT ? STATUS_USAGE : STATUS_FAILED;
    for (unsigned i = 0; i < agent->worker_count; i++)
        dp_worker_hand_over(agent->workers[i], 0);
}

static void on_go(void *arg)
{
    struct agent *agent = arg;
    struct gw_error err = GW_ERROR_NONE;
    if (agent->status.draining || serve(agent, &err) == 0)
        return;
    fail(agent, &err);
    dp_loop_stop(&agent->loop);
}

static int begin(struct agent *agent, struct gw_error *err)
{
    if (open_parts(agent, err) < 0 || start_sync(agent, err) < 0)
        return -1;
    if (agent->successor.fd < 0)
        return serve(agent, err);
    dp_successor_watch(&agent->successor, &agent->loop, on_go, agent);
    return 0;
}

static int run(struct agent *agent)
{
    struct gw_error err = GW_ERROR_NONE;
    dp_timer_init(&agent->key_timer, on_key_timer); /* a start that fails stops it, too */
    watch_signals(agent);
    /* Each caller takes one, and a backend's connection another. */
    uint64_t needed = (uint64_t)agent->settings.connections_max * 2;
    dp_settings_fit(&agent->settings, gw_raise_descriptors("agent", needed, "--connections-max"));
    dp_upgrade_init(&agent->upgrade, &agent->loop, &upgrade_events, agent);
    if (begin(agent, &err) < 0) {
        fail(agent, &err);
    } else {
        dp_loop_run(&agent->loop);
        if (agent->exit_status == STATUS_OK)
            gw_log(GW_LOG_INFO, "agent", "drained");
    }
    dp_pid_file_remove(agent->settings.pid_file);
    dp_successor_done(&agent->successor);
    close_parts(agent);
    return agent->exit_status;
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
    dp_tls_memory_init();
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
    agent.argv = argv;
    if (dp_successor_init(&agent.successor, &err) < 0 ||
        dp_upgrade_path(argv[0], agent.path, sizeof(agent.path), &err) < 0)
        return usage(&err);
    int result = dp_loop_init(&agent.loop);
    if (result < 0) {
        gw_log(GW_LOG_ERROR, "agent", "no event loop", gw_kv_text("error", strerror(-result)));
        return STATUS_FAILED;
    }
    int status = run(&agent);
    dp_loop_done(&agent.loop);
    return status;
}
