/* SPDX-License-Identifier: Apache-2.0 */
/* penstock-controlplane: wires store, image, agents and management API together, runs until
 * SIGTERM, and drains. */
#include "common/descriptors.h"
#include "common/log.h"
#include "common/rpc/server.h"
#include "controlplane/agents/session.h"
#include "controlplane/fetch.h"
#include "controlplane/http/json_openapi.h"
#include "controlplane/http/json_server.h"
#include "controlplane/http/ops.h"
#include "controlplane/metrics.h"
#include "controlplane/model/check_app.h"
#include "controlplane/rpc/health.h"
#include "controlplane/rpc/reflection.h"
#include "controlplane/service/accounts.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/audit_clean.h"
#include "controlplane/service/context.h"
#include "controlplane/service/feed.h"
#include "controlplane/service/leader.h"
#include "controlplane/service/services.h"
#include "controlplane/service/ticket_keys.h"
#include "controlplane/settings.h"
#include "controlplane/trust.h"
#include "controlplane/upkeep.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#define COMPONENT "main"
#define STORE_PART "store" /* as the health service names it */
/* Of management calls and health watches beside the agents' streams. */
#define CALLS_BESIDE_AGENTS 4096
#define FILES_BESIDE_AGENTS 1024 /* callers, the store, etcd */

enum { STATUS_FAILED = 1, STATUS_USAGE = 2 };

/* In the order in which it is made; all owned, freed in reverse. */
struct program {
    struct cp_settings settings;
    struct cp_store *store;
    struct cp_seal *seal; /* NULL: no keys for secrets */
    struct cp_leader *leader;
    struct cp_image *image;
    struct cp_registry *registry;
    struct cp_auth *auth;
    struct cp_services services;
    struct cp_trust trust;
    struct cp_sessions sessions;
    struct cp_health *health;
    struct cp_reflection *reflection;
    struct cp_feed *feed;
    struct cp_methods *methods;
    struct gw_rpc_server *server;
    struct gw_comments *comments;
    struct cp_json_routes *routes;
    struct gw_buf openapi;
    struct cp_json_server *json; /* NULL: nowhere */
    struct cp_watcher *watcher;
    struct cp_audit_cleaner *cleaner;
    struct cp_metrics_sources metrics;
    struct cp_ops *ops;

    /* Any thread. */
    atomic_bool was_reached;               /* the store */
    atomic_bool is_listening, is_draining; /* set by main */
    atomic_bool is_withheld;               /* the image: agents are turned away */
    /* The watcher's thread. */
    bool is_reachable;
    struct cp_upkeep upkeep;
};

/* ---- readiness */

static bool is_loaded(const struct program *program)
{
    struct cp_image_status status;
    cp_image_status(program->image, &status);
    return status.is_loaded;
}

/* What agents and callers need: the store being away later takes nothing from agents. */
static bool is_ready(struct program *program)
{
    return is_loaded(program) && atomic_load(&program->was_reached) &&
           atomic_load(&program->is_listening) && !atomic_load(&program->is_draining);
}

static int fail_withheld(struct gw_error *err)
{
    return gw_fail(
        err, GW_UNAVAILABLE,
        "this control plane cannot open certificates in use: its log and its /readyz say "
        "which, and what to do");
}

/* While the image is withheld: another replica may have the keys that are missing here. */
static void turn_agents_away(struct program *program)
{
    struct gw_error why = GW_ERROR_NONE;
    bool is_withheld = program->is_reachable && !is_loaded(program);
    atomic_store(&program->is_withheld, is_withheld);
    if (!is_withheld)
        return;
    (void)fail_withheld(&why);
    cp_registry_turn_away(program->registry, &why); /* who came before this was known */
}

static void on_store(void *arg, bool is_reachable)
{
    struct program *program = arg;
    program->is_reachable = is_reachable;
    turn_agents_away(program);
    if (is_reachable) {
        cp_leader_step(program->leader); /* who comes first need not wait for its turn */
        cp_upkeep_run(&program->upkeep);
        atomic_store(&program->was_reached, true);
    }
    cp_health_set_part(program->health, STORE_PART, is_reachable);
    cp_health_set(program->health, is_ready(program));
}

static void on_commit(void *steps, int64_t revision)
{
    cp_steps_committed(steps, revision);
}

static void on_turn(void *arg)
{
    struct program *program = arg;
    cp_registry_tick(program->registry);
    cp_trust_turn(&program->trust, program->is_reachable);
    if (program->is_reachable)
        cp_upkeep_run(&program->upkeep);
    turn_agents_away(program);
    cp_health_set(program->health, is_ready(program));
}

static void on_listed(void *arg, struct cp_position at)
{
    struct program *program = arg;
    cp_trust_listed(&program->trust);
    cp_feed_listed(program->feed, at);
}

static void on_batch(void *arg, const struct cp_batch *batch)
{
    struct program *program = arg;
    cp_trust_batch(&program->trust, batch);
    cp_feed_add(program->feed, batch);
}

/* ---- the operations port */

static unsigned write_metrics(void *arg, struct gw_buf *body)
{
    const struct program *program = arg;
    cp_metrics_write(&program->metrics, body);
    return 200;
}

static unsigned write_livez(void *arg, struct gw_buf *body)
{
    (void)arg;
    cp_ops_print(body, "ok\n");
    return 200;
}

static const char *listener_words(struct program *program)
{
    if (atomic_load(&program->is_draining))
        return "draining";
    return atomic_load(&program->is_listening) ? "open" : "not open yet";
}

static unsigned write_readyz(void *arg, struct gw_buf *body)
{
    struct program *program = arg;
    struct cp_watcher_stats stats;
    struct cp_image_status status;
    cp_watcher_stats(program->watcher, &stats);
    cp_image_status(program->image, &status);
    bool ready = is_ready(program);
    cp_ops_print(body, "%s\n", ready ? "ready" : "not ready");
    cp_ops_print(body, "listener: %s\n", listener_words(program));
    if (status.is_loaded)
        cp_ops_print(body, "image: loaded, revision %lld\n", (long long)status.seen_revision);
    else if (stats.withheld)
        cp_ops_print(body,
                     "image: withheld, agents keep what they have; certificates in use that "
                     "cannot be opened: %lld, first %s\n",
                     (long long)stats.withheld, stats.why_withheld);
    else
        cp_ops_print(body, "image: not loaded yet\n");
    cp_ops_print(body, "store: %s\n",
                 stats.is_reachable ? "reachable"
                 : status.is_loaded ? "away, agents are served what is known"
                                    : "not reached yet");
    return ready ? 200 : 503;
}

static const struct cp_ops_page pages[] = {
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
    {"/livez", "text/plain; charset=utf-8", write_livez},
    {"/readyz", "text/plain; charset=utf-8", write_readyz},
};

/* ---- wiring */

static const char *given(const char *text)
{
    return *text ? text : NULL;
}

/* *ret_place: what is behind "sqlite:" or "etcd:". */
static bool is_sqlite(const struct cp_settings *settings, gw_str *ret_place)
{
    *ret_place = gw_str_from(settings->store);
    return gw_str_eq(gw_str_split(ret_place, ':'), GW_STR("sqlite"));
}

static int open_store(struct program *program, struct gw_error *err)
{
    const struct cp_settings *settings = &program->settings;
    gw_str rest;
    if (is_sqlite(settings, &rest))
        return cp_store_open_sqlite(rest.ptr, &program->store, err);
    struct cp_etcd_options options = {
        .endpoints = rest.ptr,
        .ca_file = given(settings->etcd_ca_file),
        .cert_file = given(settings->etcd_cert_file),
        .key_file = given(settings->etcd_key_file),
        .user = given(settings->etcd_user),
        .password_file = given(settings->etcd_password_file),
        .timeout_ms = settings->etcd_timeout_ms,
        .progress_ms = settings->etcd_progress_ms,
    };
    return cp_store_open_etcd(&options, &program->store, err);
}

/* After the store: of two processes on one SQLite file only the one that has it makes a key. */
static int open_seal(struct program *program, struct gw_error *err)
{
    const struct cp_settings *settings = &program->settings;
    gw_str path;
    bool is_file = is_sqlite(settings, &path);
    if (*settings->seal_key_file)
        return cp_seal_load(settings->seal_key_file, &program->seal, err);
    if (is_file && gw_str_eq(path, GW_STR(":memory:")))
        program->seal = cp_seal_new_random();
    if (!is_file || program->seal)
        return 0;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    const char *beside = gw_arena_printf(&arena, "%.*s.seal-key", GW_STR_ARG(path)).ptr;
    bool made = false;
    if (cp_seal_load_or_make(beside, &program->seal, &made, err))
        return -1;
    if (made)
        gw_log(GW_LOG_INFO, COMPONENT, "made a key for secrets: backups of the store need it too",
               gw_kv_text("file", beside));
    return 0;
}

static int admit_agent(void *arg, const struct gw_rpc_caller *caller, const char *agent_id,
                       struct gw_arena *arena, struct cp_agent_identity *ret, struct gw_error *err)
{
    struct program *program = arg;
    if (cp_trust_admit(&program->trust, caller, agent_id, arena, ret, err))
        return -1;
    return atomic_load(&program->is_withheld) && !is_loaded(program) ? fail_withheld(err) : 0;
}

/* The health of every service of ours can be asked for by its name. */
static void name_services(struct program *program)
{
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(program->methods, &count);
    for (size_t i = 0; i < count; i++) {
        gw_str path = gw_str_from(list[i].path + 1);
        gw_str service = gw_str_split(&path, '/');
        char name[256];
        snprintf(name, sizeof(name), "%.*s", GW_STR_ARG(service));
        cp_health_add_service(program->health, name);
    }
}

static void make_methods(struct program *program)
{
    size_t count;
    program->methods = cp_methods_new(program->auth, &program->services);
    cp_services_add(program->methods);
    cp_methods_record(program->methods, &cp_audit_recorder);
    const struct gw_rpc_method watch = cp_feed_method(program->feed);
    cp_methods_add(program->methods, &watch, 1);
    const struct gw_rpc_method agents = cp_session_method(&program->sessions);
    cp_methods_add(program->methods, &agents, 1);
    struct gw_rpc_method enrolling[CP_ENROL_METHODS];
    cp_enroller_methods(program->trust.enroller, enrolling);
    cp_methods_add(program->methods, enrolling, CP_ENROL_METHODS);
    const struct gw_rpc_method *reflection = cp_reflection_methods(program->reflection, &count);
    cp_methods_add(program->methods, reflection, count);
    const struct gw_rpc_method *health = cp_health_methods(program->health, &count);
    cp_methods_add(program->methods, health, count);
    name_services(program);
}

static int make(struct program *program, struct gw_error *err)
{
    const struct cp_settings *settings = &program->settings;
    if (open_store(program, err) || open_seal(program, err))
        return -1;
    program->image = cp_image_new(CP_IMAGE_TOMBSTONES_DEFAULT);
    program->registry = cp_registry_new(program->image, (unsigned)settings->agents_max);
    cp_store_listen(program->store, on_commit, cp_image_steps(program->image));
    cp_registry_pace(program->registry)->limits =
        (struct cp_pace_limits){.at_once = (unsigned)settings->snapshots_at_once,
                                .bytes_max = (size_t)settings->update_bytes_max,
                                .stall_ms = settings->agent_stall_ms};
    if (cp_auth_new(given(settings->credentials_file), &program->auth, err))
        return -1;
    cp_auth_fetch_keys(program->auth, cp_fetch);
    gw_str place;
    if (!is_sqlite(settings, &place)) /* that is one process's alone, by a lock of its own */
        program->leader = cp_leader_new(program->store, CP_LEADER_TTL_S);
    program->services = (struct cp_services){
        .store = program->store,
        .leader = program->leader,
        .registry = program->registry,
        .auth = program->auth,
        .seal = program->seal,
        .ticket_key_rotation_ms = settings->ticket_key_rotation_ms,
        .releases_kept = (unsigned)settings->releases_kept,
        .channel_members_max = (unsigned)settings->channel_members_max,
        .variables_max = (unsigned)settings->variables_max,
        .audit_retention_ms = settings->audit_retention_ms,
        .audit_events_max = settings->audit_events_max,
        .debug_domain_suffix = settings->debug_domain_suffix,
    };
    program->upkeep.services = &program->services;
    cp_trust_init(&program->trust, &program->services, settings->agent_certificate_life_ms,
                  *settings->tls_cert_file && cp_auth_is_configured(program->auth));
    struct cp_directory directory = cp_directory_of(&program->services);
    cp_auth_set_directory(program->auth, &directory);
    memcpy(program->services.quotas, settings->quotas, sizeof program->services.quotas);
    program->services.quotas[CP_QUOTA_APP_CODES] = CP_APP_CODES_MAX;
    program->sessions = (struct cp_sessions){.registry = program->registry,
                                             .image = program->image,
                                             .admit = admit_agent,
                                             .admit_arg = program};
    program->health = cp_health_new();
    cp_health_add_part(program->health, STORE_PART);
    program->reflection = cp_reflection_new();
    struct cp_feed_options feed = {.services = &program->services,
                                   .auth = program->auth,
                                   .bytes_max = (size_t)settings->watch_bytes_max};
    program->feed = cp_feed_start(&feed);
    make_methods(program);
    return 0;
}

static int listen_for_json(struct program *program, const struct gw_rpc_method *list, size_t count,
                           struct gw_error *err)
{
    const struct cp_settings *settings = &program->settings;
    struct cp_json_options options = {
        .listen = settings->http_listen,
        .cert_file = given(settings->tls_cert_file),
        .key_file = given(settings->tls_key_file),
        .client_ca_file = given(settings->tls_client_ca_file),
        .only_loopback_hosts = !cp_auth_is_configured(program->auth),
    };
    if (!*settings->http_listen)
        return 0;
    program->comments = gw_comments_new(
        gw_str_n((const char *)penstock_documented_set, penstock_documented_set_len));
    program->routes = cp_json_routes_new(list, count, program->comments);
    cp_json_openapi_write(&program->openapi, program->routes, program->comments, cp_method_works);
    options.openapi = gw_buf_view(&program->openapi);
    return cp_json_server_start(&options, program->routes, &program->json, err);
}

static int listen_for_calls(struct program *program, struct gw_error *err)
{
    const struct cp_settings *settings = &program->settings;
    bool enrols = *settings->tls_cert_file && cp_auth_is_configured(program->auth);
    struct gw_rpc_server_options options = {
        .listen = settings->listen,
        .cert_file = given(settings->tls_cert_file),
        .key_file = given(settings->tls_key_file),
        .client_ca_file = given(settings->tls_client_ca_file),
        .more_client_cas = enrols ? cp_enrolled_cas : NULL,
        .more_client_cas_arg = program->trust.enrolled,
        .call_limit = (unsigned)settings->agents_max + CALLS_BESIDE_AGENTS,
    };
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(program->methods, &count);
    if (gw_rpc_server_start(&options, list, count, &program->server, err) ||
        listen_for_json(program, list, count, err))
        return -1;
    atomic_store(&program->is_listening, true);
    return 0;
}

/* The watcher says when the program is ready, so the listener is open before it runs; the pages ask
 * both. */
static int start(struct program *program, struct gw_error *err)
{
    if (make(program, err) || listen_for_calls(program, err))
        return -1;
    struct cp_watcher_options options = {.store = program->store,
                                         .image = program->image,
                                         .seal = program->seal,
                                         .on_store = on_store,
                                         .on_turn = on_turn,
                                         .on_listed = on_listed,
                                         .on_batch = on_batch,
                                         .arg = program};
    program->watcher = cp_watcher_start(&options);
    cp_leader_start(program->leader);
    program->cleaner = cp_audit_cleaner_start(&program->services);
    program->metrics = (struct cp_metrics_sources){.watcher = program->watcher,
                                                   .image = program->image,
                                                   .registry = program->registry,
                                                   .methods = program->methods,
                                                   .json = program->json,
                                                   .feed = program->feed,
                                                   .leader = program->leader,
                                                   .upkeep = &program->upkeep,
                                                   .auth = program->auth,
                                                   .enrolled = program->trust.enrolled};
    return cp_ops_start(program->settings.ops_listen, pages, GW_ARRAY_LEN(pages), program,
                        &program->ops, err);
}

/* Also of what was started only in part. The operations port goes last: it says how the rest goes.
 */
static void stop(struct program *program)
{
    atomic_store(&program->is_draining, true);
    if (program->health)
        cp_health_drain(program->health);
    if (program->registry)
        cp_registry_stop(program->registry);
    gw_msec until_ms = gw_clock_monotonic_ms() + program->settings.drain_timeout_ms;
    if (program->json)
        cp_json_server_drain(program->json);
    if (program->feed)
        cp_feed_stop(program->feed);
    gw_rpc_server_stop(program->server, program->settings.drain_timeout_ms);
    cp_json_server_stop(program->json, GW_MAX(until_ms - gw_clock_monotonic_ms(), 0));
    cp_audit_cleaner_stop(program->cleaner);
    cp_watcher_stop(program->watcher);
    cp_ops_stop(program->ops);
    cp_feed_free(program->feed);
    gw_buf_done(&program->openapi);
    cp_json_routes_free(program->routes);
    gw_comments_free(program->comments);
    cp_methods_free(program->methods);
    cp_reflection_free(program->reflection);
    cp_health_free(program->health);
    cp_auth_free(program->auth);
    cp_trust_done(&program->trust);
    cp_registry_free(program->registry);
    cp_image_free(program->image);
    cp_leader_free(program->leader);
    cp_seal_free(program->seal);
    cp_store_close(program->store);
}

/* ---- the process */

static void log_start(const struct program *program)
{
    const struct cp_settings *settings = &program->settings;
    gw_str rest = gw_str_from(settings->store); /* an URL may hold a password: only the kind */
    bool has_tls = *settings->tls_cert_file;
    gw_log(GW_LOG_INFO, COMPONENT, "started", gw_kv_text("version", PENSTOCK_VERSION),
           gw_kv_text("listen", settings->listen), gw_kv_text("http_listen", settings->http_listen),
           gw_kv_text("ops_listen", settings->ops_listen),
           gw_kv_str("store", gw_str_split(&rest, ':')), gw_kv_bool("tls", has_tls),
           gw_kv_bool("seal", program->seal != NULL),
           gw_kv_bool("credentials", cp_auth_is_configured(program->auth)));
    const char *listens[] = {settings->listen, settings->http_listen};
    for (size_t i = 0; i < GW_ARRAY_LEN(listens); i++)
        if (!has_tls && *listens[i] && !cp_settings_is_loopback(listens[i]))
            gw_log(
                GW_LOG_WARN, COMPONENT,
                "the listener is not loopback and speaks plaintext: tokens can be read on the way",
                gw_kv_text("listen", listens[i]));
    if (program->seal && cp_seal_exposed_file(program->seal))
        gw_log(GW_LOG_WARN, COMPONENT,
               "the file of the keys for secrets can be read by others than its owner: chmod 600",
               gw_kv_text("file", cp_seal_exposed_file(program->seal)));
    if (settings->ticket_key_rotation_ms < CP_TICKET_KEY_ROTATION_FULL_MS)
        gw_log(GW_LOG_WARN, COMPONENT,
               "ticket keys go before the hour for which sessions can be resumed: with a "
               "--ticket-key-rotation of 5m or more they stay",
               gw_kv_int("ticket_key_rotation_ms", settings->ticket_key_rotation_ms));
}

/* The one that ends it. Whoever sends SIGHUP wants files to be read again: they are, when they
 * change. */
static int wait_for_end(const sigset_t *signals)
{
    int number = 0;
    for (;;) {
        sigwait(signals, &number);
        if (number != SIGHUP)
            return number;
        gw_log(
            GW_LOG_INFO, COMPONENT,
            "SIGHUP changes nothing: credentials and certificates are read again when they change");
    }
}

static int run(struct program *program)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* for all threads */
    signal(SIGPIPE, SIG_IGN);
    gw_raise_descriptors(COMPONENT, (uint64_t)program->settings.agents_max + FILES_BESIDE_AGENTS,
                         "--agents-max");
    gw_rpc_leave_descriptors(FILES_BESIDE_AGENTS);
    struct gw_error err = GW_ERROR_NONE;
    int status = STATUS_FAILED;
    if (start(program, &err)) {
        gw_log(GW_LOG_ERROR, COMPONENT, "cannot start", gw_kv_error(&err));
    } else {
        log_start(program);
        int number = wait_for_end(&signals);
        gw_log(GW_LOG_INFO, COMPONENT, "draining", gw_kv_text("signal", strsignal(number)));
        sigdelset(&signals, SIGHUP);
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* a second one ends it at once */
        status = 0;
    }
    stop(program);
    if (status == 0)
        gw_log(GW_LOG_INFO, COMPONENT, "stopped", gw_kv_int("status", status));
    return status;
}

static bool has_word(char **argv, const char *word)
{
    for (char **at = argv + 1; *at; at++)
        if (strcmp(*at, word) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (has_word(argv, "--help") || has_word(argv, "-h")) {
        cp_settings_print_help();
        return 0;
    }
    if (has_word(argv, "--version")) {
        puts("penstock-controlplane " PENSTOCK_VERSION);
        return 0;
    }
    static struct program program;
    struct gw_error err = GW_ERROR_NONE;
    if (cp_settings_load(&program.settings, argc, argv, &err)) {
        fprintf(stderr, "penstock-controlplane: %s\npenstock-controlplane --help says more.\n",
                err.message);
        return STATUS_USAGE;
    }
    gw_log_set_level(program.settings.log_level);
    return run(&program);
}
