/* SPDX-License-Identifier: Apache-2.0 */
/* The operations port with its pages, over loopback. The loop runs on this thread while a thread of
 * its own is the client; between two calls nothing runs. */
#include "dataplane/observe/ops.h"

#include "common/json.h"
#include "common/test.h"
#include "dataplane/limiter.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/observe/status.h"
#include "dataplane/upstream/endpoint.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct dp_loop loop;
static struct ev_async stop;
static struct gw_metrics *metrics;
static struct dp_limiter *limiter;
static struct dp_endpoints *endpoints;
static struct dp_route_stats_table *table;
static struct dp_status status;
static struct dp_ops *ops;
static struct gw_error err;

/* What the sources say. */
static struct dp_workers_status workers;
static struct dp_sync_status sync_status;
static struct dp_refused refused;

static void read_workers(void *arg, struct dp_workers_status *ret_status)
{
    assert_ptr_equal(arg, &workers);
    *ret_status = workers;
}

static void read_sync(void *arg, struct dp_sync_status *ret_status)
{
    assert_ptr_equal(arg, &workers);
    *ret_status = sync_status;
}

static void read_refusals(void *arg, dp_sync_visit_refused *visit, void *visit_arg)
{
    assert_ptr_equal(arg, &workers);
    if (refused.name)
        visit(visit_arg, &refused);
}

static void on_stop(struct ev_loop *ev, ev_async *watcher, int events)
{
    (void)ev, (void)watcher, (void)events;
    dp_loop_stop(&loop);
}

static int open_at(const char *listen, struct dp_ops **ret_ops)
{
    struct dp_ops_options options = {
        .loop = &loop,
        .listen = gw_str_from(listen),
        .pages = dp_status_pages,
        .page_count = dp_status_page_count,
        .arg = &status,
    };
    return dp_ops_open(&options, ret_ops, &err);
}

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(dp_loop_init(&loop), 0);
    ev_async_init(&stop, on_stop);
    ev_async_start(loop.ev, &stop);
    metrics = gw_metrics_new(dp_agent_metrics, DP_METRIC_COUNT);
    limiter = dp_limiter_new(64);
    endpoints = dp_endpoints_new(1);
    table = dp_route_stats_table_new(1);
    workers = (struct dp_workers_status){.count = 2, .stalled_ms = 20, .revision = 7};
    sync_status = (struct dp_sync_status){0};
    refused = (struct dp_refused){0};
    struct dp_status_sources sources = {
        .agent_id = "agent-1",
        .routes = table,
        .limiter = limiter,
        .endpoints = endpoints,
        .read_workers = read_workers,
        .read_sync = read_sync,
        .read_refusals = read_refusals,
        .arg = &workers,
    };
    dp_status_init(&status, &sources, metrics);
    assert_int_equal(open_at("127.0.0.1:0", &ops), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dp_ops_close(ops);
    dp_status_done(&status);
    dp_route_stats_table_free(table);
    dp_limiter_free(limiter);
    dp_endpoints_free(endpoints);
    gw_metrics_free(metrics);
    ev_async_stop(loop.ev, &stop);
    dp_loop_done(&loop);
    return 0;
}

/* ---- the client */

static char *received; /* freed by the next call */

static void *be_client(void *arg)
{
    const char *bytes = arg;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(dp_ops_port(ops))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct gw_buf in;
    gw_buf_init(&in, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_open = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   write(fd, bytes, strlen(bytes)) == (ssize_t)strlen(bytes);
    ssize_t n = is_open ? 1 : 0;
    while (n > 0 && gw_buf_reserve(&in, 4096) == 0) {
        n = read(fd, in.data + in.end, 4096);
        gw_buf_commit(&in, n > 0 ? (size_t)n : 0);
    }
    close(fd);
    received = gw_calloc(1, gw_buf_len(&in) + 1);
    memcpy(received, gw_buf_view(&in).ptr ? gw_buf_view(&in).ptr : "", gw_buf_len(&in));
    gw_buf_done(&in);
    ev_async_send(loop.ev, &stop);
    return NULL;
}

/* Sends the bytes and gives all that came until the connection closed. */
static const char *talk(const char *bytes)
{
    pthread_t client;
    free(received);
    received = NULL;
    assert_int_equal(pthread_create(&client, NULL, be_client, (void *)(uintptr_t)bytes), 0);
    dp_loop_run(&loop);
    assert_int_equal(pthread_join(client, NULL), 0);
    return received;
}

static const char *get(const char *path)
{
    char bytes[256];
    snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
    return talk(bytes);
}

static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

#define assert_status(answer, line) assert_int_equal(strncmp((answer), "HTTP/1.1 " line, 12), 0)

/* ---- the port */

static void what_is_not_there_is_404_and_names_what_is(void **state)
{
    (void)state;
    const char *answer = get("/nothing");
    assert_status(answer, "404");
    assert_has(answer, "Content-Type: text/plain; charset=utf-8\r\n");
    assert_string_equal(body_of(answer),
                        "there is no such page; there are:\n/livez\n/readyz\n/metrics\n/config\n");
    assert_status(get("/livez/"), "404");
    assert_status(get("/livez?verbose"), "200");
}

static void pages_can_only_be_read(void **state)
{
    (void)state;
    const char *answer = talk("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                              "Connection: close\r\n\r\nabc");
    assert_status(answer, "405");
    assert_has(answer, "Allow: GET, HEAD\r\n");
    answer = talk("HEAD /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_status(answer, "200");
    assert_has(answer, "Content-Length: 6\r\n");
    assert_string_equal(body_of(answer), "");
}

static void a_connection_serves_one_request_after_another(void **state)
{
    (void)state;
    const char *answer = talk("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
                              "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_has(answer, "\r\n\r\nalive\nHTTP/1.1 200");
    assert_has(answer, "\r\n\r\nready, revision 7\n");
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    assert_status(talk("\x16\x03\x01 hello\r\n\r\n"), "400");
    assert_status(talk("GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n"),
                  "400");
}

static void an_address_in_use_or_wrong_is_named(void **state)
{
    (void)state;
    struct dp_ops *other = NULL;
    assert_int_equal(open_at("nowhere", &other), -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_int_equal(open_at("203.0.113.1:1", &other), -1);
    assert_has(err.message, "203.0.113.1:1");
    assert_null(other);
}

static void *connect_only(void *arg)
{
    int *fd = arg;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(dp_ops_port(ops))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(*fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        write(*fd, "GET /liv", 8) == 8)
        be_client("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return NULL;
}

/* The teardown closes the port over it; nothing may be left behind (ASan looks). */
static void half_a_request_does_not_keep_the_port_open(void **state)
{
    (void)state;
    pthread_t client;
    int fd = -1;
    free(received);
    received = NULL;
    assert_int_equal(pthread_create(&client, NULL, connect_only, &fd), 0);
    dp_loop_run(&loop);
    assert_int_equal(pthread_join(client, NULL), 0);
    assert_status(received, "200");
    close(fd);
}

/* ---- the pages */

static void liveness_is_that_workers_turn(void **state)
{
    (void)state;
    assert_string_equal(body_of(get("/livez")), "alive\n");
    workers.stalled_ms = DP_STATUS_STALLED_MS;
    assert_status(get("/livez"), "200");
    workers.stalled_ms = DP_STATUS_STALLED_MS + 1;
    assert_status(get("/livez"), "503");
    assert_has(received, "10001\n");
    status.draining = true;
    assert_status(get("/livez"), "200");
}

static void readiness_is_a_snapshot_at_every_worker(void **state)
{
    (void)state;
    assert_status(get("/readyz"), "200");
    status.draining = true;
    assert_status(get("/readyz"), "503");
    assert_string_equal(body_of(received), "draining\n");
    status.draining = false;
    workers.revision = -1;
    assert_status(get("/readyz"), "503");
    assert_string_equal(body_of(received), "no configuration yet\n");
}

static void metrics_tell_of_sync_and_process(void **state)
{
    (void)state;
    sync_status = (struct dp_sync_status){.connected = true,
                                          .revision = 8,
                                          .connects = 2,
                                          .failures = 1,
                                          .updates = 5,
                                          .refused_resources = 3,
                                          .last_update_wall_ms = 1767268800500};
    const char *answer = get("/metrics");
    assert_status(answer, "200");
    assert_has(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    assert_has(answer, "\n# TYPE penstock_agent_controlplane_connected gauge\n"
                       "penstock_agent_controlplane_connected 1\n");
    assert_has(answer, "\npenstock_agent_revision 8\n");
    assert_has(answer, "\npenstock_agent_served_revision 7\n");
    assert_has(answer, "\npenstock_agent_controlplane_connects_total 2\n");
    assert_has(answer, "\npenstock_agent_controlplane_failures_total 1\n");
    assert_has(answer, "\npenstock_agent_updates_total 5\n");
    assert_has(answer, "\npenstock_agent_refused_resources 3\n");
    assert_has(answer, "\npenstock_agent_last_update_timestamp_seconds 1767268800.500\n");
    assert_has(answer, "\npenstock_agent_workers 2\n");
    assert_has(answer, "\npenstock_agent_limiter_overflows_total 0\n");
    assert_has(answer, "\npenstock_agent_access_log_dropped_total 0\n");
    assert_has(answer, "\npenstock_agent_routes 0\n");
    assert_has(answer, "\nprocess_resident_memory_bytes ");
    sync_status.connected = false;
    assert_has(get("/metrics"), "\npenstock_agent_controlplane_connected 0\n");
}

static void metrics_have_series_for_each_route(void **state)
{
    (void)state;
    struct dp_route_stats *route = dp_route_stats_get(table, GW_STR("groups/g/apis/\"a\\"));
    dp_route_stats_add(route, 0, &(struct dp_route_totals){10, 2, 3, 1, 2500000, 600, 7000});
    const char *answer = get("/metrics");
#define SERIES "{route=\"groups/g/apis/\\\"a\\\\\"} "
    assert_has(answer, "\npenstock_agent_route_requests_total" SERIES "10\n");
    assert_has(answer, "\npenstock_agent_route_client_errors_total" SERIES "2\n");
    assert_has(answer, "\npenstock_agent_route_server_errors_total" SERIES "3\n");
    assert_has(answer, "\npenstock_agent_route_throttled_total" SERIES "1\n");
    assert_has(answer, "\npenstock_agent_route_duration_seconds_total" SERIES "2.5\n");
    assert_has(answer, "\npenstock_agent_route_request_bytes_total" SERIES "600\n");
    assert_has(answer, "\npenstock_agent_route_response_bytes_total" SERIES "7000\n");
    dp_route_stats_unref(route);
}

static void routes_beyond_the_bound_are_one_series(void **state)
{
    (void)state;
    enum { COUNT = DP_STATUS_ROUTES_MAX + 3 };
    struct dp_route_stats *routes[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        char name[32];
        routes[i] = dp_route_stats_get(
            table, gw_str_n(name, (size_t)snprintf(name, sizeof(name), "r%u", i)));
        dp_route_stats_add(routes[i], 0, &(struct dp_route_totals){.requests = i});
    }
    const char *answer = get("/metrics");
    assert_has(answer, "\npenstock_agent_route_requests_total{route=\"r0\"} 0\n");
    assert_has(answer, "\npenstock_agent_route_requests_total{route=\"r999\"} 999\n");
    assert_has(answer, "\npenstock_agent_route_requests_total{route=\"other\"} 3003\n");
    assert_null(strstr(answer, "\"r1000\""));
    for (unsigned i = 0; i < COUNT; i++)
        dp_route_stats_unref(routes[i]);
}

/* ---- /config */

static const char configuration[] =
    "{\"clusterId\":\"c1\",\"revision\":\"7\",\"final\":true,\"upserts\":["
    "{\"group\":{\"name\":\"groups/g\",\"domains\":[\"api.example.com\"]}},"
    "{\"channel\":{\"name\":\"channels/orders\",\"members\":["
    "{\"host\":\"127.0.0.1\",\"port\":81,\"weight\":5}]}},"
    "{\"policy\":{\"name\":\"policies/"
    "p\",\"throttle\":{\"windowSeconds\":\"60\",\"apiLimit\":\"3\","
    "\"windowText\":\"1 minute\"}}},"
    "{\"route\":{\"name\":\"groups/g/apis/a@RELEASE\",\"group\":\"groups/g\","
    "\"environment\":\"RELEASE\",\"api\":\"groups/g/apis/a\",\"apiName\":\"Or\\\"ders\","
    "\"method\":\"GET\",\"path\":\"/orders/{id}\",\"http\":true,"
    "\"auth\":{\"app\":true,\"appCode\":true,\"appCodeOverHttp\":true},"
    "\"backend\":{\"http\":{\"channel\":\"channels/orders\",\"timeoutMs\":5000}},"
    "\"policies\":[\"policies/p\"]}},"
    "{\"app\":{\"name\":\"apps/shop\","
    "\"appCodeDigests\":[\"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=\"],"
    "\"routes\":[\"groups/g/apis/a@RELEASE\"]}}]}";

static void apply(struct dp_catalog *catalog)
{
    struct gw_arena arena;
    struct dp_snapshot *snapshot;
    struct dp_refusals refusals;
    ProtobufCMessage *message;
    gw_arena_init(&arena, 0);
    if (gw_json_parse(&arena, &penstock__agent__v1__update__descriptor, gw_str_from(configuration),
                      &message, &err) < 0)
        fail_msg("%s", err.message);
    const Penstock__Agent__V1__Update *update = (Penstock__Agent__V1__Update *)message;
    struct dp_update change = {.cluster_id = gw_str_from(update->cluster_id),
                               .revision = update->revision,
                               .upserts = update->upserts,
                               .upsert_count = update->n_upserts};
    assert_int_equal(dp_catalog_apply(catalog, &change, &snapshot, &refusals, &err), 0);
    if (refusals.count > 0)
        fail_msg("%s: %s", refusals.items[0].name, refusals.items[0].reason);
    dp_status_publish(&status, snapshot);
    dp_snapshot_unref(snapshot);
    gw_arena_done(&arena);
}

static void the_configuration_is_told_without_credentials(void **state)
{
    (void)state;
    struct dp_compile_env env = {.limiter = limiter, .endpoints = endpoints, .stats = table};
    struct dp_catalog *catalog = dp_catalog_new(&env);
    refused = (struct dp_refused){.name = "policies/bad", .reason = "no \"kind\"", .revision = 6};
    apply(catalog);
    assert_status(get("/config"), "200");
    assert_has(received, "Content-Type: application/json\r\n");
    assert_string_equal(
        body_of(received),
        "{\"agent_id\":\"agent-1\",\"version\":\"" PENSTOCK_VERSION "\",\"connected\":false,"
        "\"last_error\":\"\",\"refused\":["
        "{\"name\":\"policies/bad\",\"reason\":\"no \\\"kind\\\"\",\"revision\":6}],"
        "\"cluster_id\":\"c1\",\"revision\":7,\"apps\":1,"
        "\"hosts\":[{\"host\":\"api.example.com\",\"group\":\"groups/g\",\"is_debug\":false}],"
        "\"routes\":[{\"name\":\"groups/g/apis/a@RELEASE\",\"api_name\":\"Or\\\"ders\","
        "\"path\":\"/orders/{id}\",\"is_prefix\":false,\"http\":true,\"https\":false,"
        "\"filters\":[\"debug_domain\",\"auth_key\",\"app_access\",\"throttle\"],"
        "\"backend\":{\"channel\":\"channels/orders\",\"tls\":false,\"timeout_ms\":5000,"
        "\"members\":[{\"endpoint\":\"127.0.0.1:81\",\"weight\":5,\"backup\":false,"
        "\"addresses\":[\"127.0.0.1\"]}]}}]}\n");
    assert_null(strstr(received, "secret"));
    assert_has(get("/metrics"), "\npenstock_agent_routes 1\n");
    assert_has(received, "\npenstock_agent_apps 1\n");
    dp_status_publish(&status, NULL);
    dp_catalog_free(catalog);
}

static void without_a_configuration_the_page_says_so(void **state)
{
    (void)state;
    strcpy(sync_status.last_error, "cannot connect");
    assert_string_equal(body_of(get("/config")),
                        "{\"agent_id\":\"agent-1\",\"version\":\"" PENSTOCK_VERSION
                        "\",\"connected\":false,\"last_error\":\"cannot connect\","
                        "\"refused\":[]}\n");
}

static int free_received(void **state)
{
    (void)state;
    free(received);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_is_not_there_is_404_and_names_what_is),
        CASE(pages_can_only_be_read),
        CASE(a_connection_serves_one_request_after_another),
        CASE(what_is_no_request_is_refused),
        CASE(an_address_in_use_or_wrong_is_named),
        CASE(half_a_request_does_not_keep_the_port_open),
        CASE(liveness_is_that_workers_turn),
        CASE(readiness_is_a_snapshot_at_every_worker),
        CASE(metrics_tell_of_sync_and_process),
        CASE(metrics_have_series_for_each_route),
        CASE(routes_beyond_the_bound_are_one_series),
        CASE(the_configuration_is_told_without_credentials),
        CASE(without_a_configuration_the_page_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, free_received);
}
