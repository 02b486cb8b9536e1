/* SPDX-License-Identifier: Apache-2.0 */
/* One worker, real sockets on both sides: what a caller gets for what it sends. */
#include "dataplane/flow.h"
#include "dataplane/limiter.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/settings.h"
#include "dataplane/snapshot/compile.h"
#include "dataplane/test_backend.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/worker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HOST "Host: a.example.com\r\n"

typedef Penstock__Agent__V1__Resource resource;
#define RESOURCE(name) PENSTOCK__AGENT__V1__RESOURCE__KIND_##name

struct fixture {
    struct dp_settings settings;
    struct dp_worker_shared shared;
    struct dp_compile_env env;
    struct dp_catalog *catalog;
    struct dp_worker *worker;
    struct backend backend;
    struct received answer;
    int fd; /* of the caller; -1: none */
};

/* ---- what the agent serves: everything under "/" goes to the backend, "/mock" answers itself, and
 * under "/as-get" and "/as-head" the backend sees another method than the caller's */

typedef Penstock__Agent__V1__HttpBackend http_backend;

struct named_route {
    Penstock__Agent__V1__Route route;
    char name[64], api[64];
};

static void set_route(resource *ret, struct named_route *named,
                      Penstock__Agent__V1__Backend *backend, const char *name, const char *path)
{
    Penstock__Agent__V1__Route *route = &named->route;
    (void)snprintf(named->api, sizeof named->api, "groups/g/apis/%s", name);
    (void)snprintf(named->name, sizeof named->name, "groups/g/apis/%s@RELEASE", name);
    *route = (Penstock__Agent__V1__Route)PENSTOCK__AGENT__V1__ROUTE__INIT;
    route->name = named->name;
    route->api = named->api;
    route->group = (char *)"groups/g";
    route->environment = (char *)"RELEASE";
    route->method = (char *)"ANY";
    route->path = (char *)(uintptr_t)path;
    route->prefix = route->http = true;
    route->backend = backend;
    *ret = (resource)PENSTOCK__AGENT__V1__RESOURCE__INIT;
    ret->kind_case = RESOURCE(ROUTE);
    ret->route = route;
}

static void apply(struct fixture *f, resource *upserts, size_t count)
{
    resource *list[8];
    for (size_t i = 0; i < count; i++)
        list[i] = &upserts[i];
    struct dp_update update = {.cluster_id = GW_STR("c"),
                               .revision = dp_catalog_revision(f->catalog) + 1,
                               .upserts = list,
                               .upsert_count = count};
    struct dp_snapshot *snapshot;
    struct dp_refusals refusals;
    struct gw_error err = GW_ERROR_NONE;
    if (dp_catalog_apply(f->catalog, &update, &snapshot, &refusals, &err) < 0 || refusals.count)
        fail_msg("%s%s", err.message, refusals.count ? refusals.items[0].reason : "");
    dp_worker_post_snapshot(f->worker, snapshot);
    dp_snapshot_unref(snapshot);
    while (dp_worker_revision(f->worker) < update.revision)
        usleep(1000);
}

static void publish(struct fixture *f, const char *mock_body)
{
    Penstock__Agent__V1__Group group = PENSTOCK__AGENT__V1__GROUP__INIT;
    struct named_route routes[4];
    Penstock__Agent__V1__Backend backends[4];
    http_backend https[3];
    Penstock__Agent__V1__MockBackend mock = PENSTOCK__AGENT__V1__MOCK_BACKEND__INIT;
    resource upserts[5] = {PENSTOCK__AGENT__V1__RESOURCE__INIT};
    static const char *const methods[] = {"", "GET", "HEAD"};
    char host[] = "a.example.com", *hosts[] = {host};
    group.name = (char *)"groups/g";
    group.n_domains = 1;
    group.domains = hosts;
    upserts[0].kind_case = RESOURCE(GROUP);
    upserts[0].group = &group;
    for (unsigned i = 0; i < 3; i++) {
        https[i] = (http_backend)PENSTOCK__AGENT__V1__HTTP_BACKEND__INIT;
        https[i].host = (char *)"127.0.0.1";
        https[i].port = f->backend.port;
        https[i].method = (char *)(uintptr_t)methods[i];
        https[i].timeout_ms = 5000;
        backends[i] = (Penstock__Agent__V1__Backend)PENSTOCK__AGENT__V1__BACKEND__INIT;
        backends[i].kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_HTTP;
        backends[i].http = &https[i];
    }
    mock.status = 200;
    mock.body.data = (uint8_t *)(uintptr_t)mock_body;
    mock.body.len = strlen(mock_body);
    backends[3] = (Penstock__Agent__V1__Backend)PENSTOCK__AGENT__V1__BACKEND__INIT;
    backends[3].kind_case = PENSTOCK__AGENT__V1__BACKEND__KIND_MOCK;
    backends[3].mock = &mock;
    set_route(&upserts[1], &routes[0], &backends[0], "all", "/");
    set_route(&upserts[2], &routes[1], &backends[1], "get", "/as-get");
    set_route(&upserts[3], &routes[2], &backends[2], "head", "/as-head");
    set_route(&upserts[4], &routes[3], &backends[3], "mock", "/mock");
    apply(f, upserts, 5);
}

static int set_up_empty(void **state)
{
    struct fixture *f = gw_calloc(1, sizeof *f);
    struct gw_error err = GW_ERROR_NONE;
    struct dp_access_log *access_log;
    if (dp_access_log_open("/dev/null", 1, &access_log, &err) < 0)
        fail_msg("%s", err.message);
    backend_start(&f->backend);
    f->settings = (struct dp_settings){
        .listen = "127.0.0.1:0",
        .workers = 1,
        .connections_max = 100,
        .head_timeout_ms = 300,
        .body_timeout_ms = 300,
        .idle_timeout_ms = 5000,
        .write_timeout_ms = 5000,
        .stream_idle_timeout_ms = 5000,
        .request_body_max = 1024 * 1024,
        .upstream_connect_timeout_ms = 2000,
        .upstream_idle_timeout_ms = 5000,
        .upstream_idle_max = 8,
        .upstream_ca_file = "",
    };
    f->env = (struct dp_compile_env){dp_limiter_new(64), dp_endpoints_new(1),
                                     dp_route_stats_table_new(1)};
    f->catalog = dp_catalog_new(&f->env);
    f->shared = (struct dp_worker_shared){
        .settings = &f->settings,
        .metrics = gw_metrics_new(dp_agent_metrics, DP_METRIC_COUNT),
        .access_log = access_log, /* reads all of an exchange when it ends */
    };
    f->worker = dp_worker_new(&f->shared, 0, &err);
    if (!f->worker || dp_worker_start(f->worker, &err) < 0)
        fail_msg("%s", err.message);
    f->fd = connect_to(dp_worker_port(f->worker, 0));
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    (void)set_up_empty(state); /* it fails by itself */
    publish(*state, "mocked");
    return 0;
}

static void hang_up(struct fixture *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hang_up(f);
    free(f->answer.body);
    atomic_store(&f->backend.release, true);
    dp_worker_drain(f->worker, 0, 2000);
    dp_worker_free(f->worker);
    dp_catalog_free(f->catalog);
    dp_endpoints_free(f->env.endpoints);
    dp_route_stats_table_free(f->env.stats);
    dp_limiter_free(f->env.limiter);
    dp_access_log_close(f->shared.access_log);
    gw_metrics_free(f->shared.metrics);
    backend_stop(&f->backend);
    free(f);
    return 0;
}

/* ---- the caller */

static void say(struct fixture *f, const char *text)
{
    assert_true(send_bytes(f->fd, text, strlen(text)));
}

static void hear(struct fixture *f, const char *status)
{
    free(f->answer.body);
    if (!receive(f->fd, &f->answer))
        fail_msg("no answer: %s", f->answer.head);
    if (strncmp(f->answer.head + strlen("HTTP/1.1 "), status, strlen(status)) != 0)
        fail_msg("%s instead of %s: %s", f->answer.head, status, f->answer.body);
}

static bool has_header(const struct fixture *f, const char *line)
{
    return strcasestr(f->answer.head, line);
}

static bool is_closed(struct fixture *f)
{
    char byte;
    return recv(f->fd, &byte, 1, 0) <= 0;
}

static void wait_for(atomic_int *counter, int value)
{
    for (int i = 0; i < TEST_TIMEOUT_S * 1000 && atomic_load(counter) < value; i++)
        usleep(1000);
    assert_int_equal(atomic_load(counter), value);
}

static void a_request_goes_to_the_backend_and_back(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        say(f, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        hear(f, "200");
        assert_string_equal(f->answer.body, "hello");
        assert_true(has_header(f, "\r\nX-Request-Id: "));
    }
    assert_int_equal(atomic_load(&f->backend.connections), 1); /* kept alive on both sides */
}

static void without_a_snapshot_it_is_not_ready(void **state)
{
    struct fixture *f = *state;
    say(f, "GET / HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "503");
    assert_non_null(strstr(f->answer.body, "APIG.0606"));
}

static void refusals_are_json_with_a_request_id(void **state)
{
    struct fixture *f = *state;
    say(f, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    hear(f, "404");
    assert_non_null(strstr(f->answer.body, "\"error_code\":\"APIG.0101\""));
    const char *id = strcasestr(f->answer.head, "X-Request-Id: ") + strlen("X-Request-Id: ");
    char quoted[40];
    (void)snprintf(quoted, sizeof quoted, "\"%.32s\"", id);
    assert_non_null(strstr(f->answer.body, quoted));
    say(f, "HEAD / HTTP/1.1\r\nHost: nobody\r\n\r\n");
    assert_true(receive_head(f->fd, &f->answer));
    assert_true(length_in(f->answer.head) > 0); /* and no body: the next answer follows */
    say(f, "GET /mock HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_string_equal(f->answer.body, "mocked");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    say(f, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
           "GET /mock HTTP/1.1\r\n" HOST "\r\n"
           "POST /b HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n2");
    hear(f, "200");
    assert_string_equal(f->answer.body, "1");
    hear(f, "200");
    assert_string_equal(f->answer.body, "mocked");
    hear(f, "200");
    assert_string_equal(f->answer.body, "2");
}

/* A caller may say with a FIN that these were all its requests. */
static void a_caller_that_half_closes_gets_its_answers(void **state)
{
    struct fixture *f = *state;
    say(f, "POST /wait HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
           "GET /mock HTTP/1.1\r\n" HOST "\r\n"
           "POST /last HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n2");
    shutdown(f->fd, SHUT_WR);
    wait_for(&f->backend.waiting, 1);
    usleep(50 * 1000); /* the agent sees the FIN while the first request is under way */
    atomic_store(&f->backend.release, true);
    hear(f, "200");
    assert_string_equal(f->answer.body, "1");
    hear(f, "200");
    assert_string_equal(f->answer.body, "mocked");
    hear(f, "200");
    assert_string_equal(f->answer.body, "2");
    assert_true(is_closed(f));
}

/* A backend that streams what it gets answers before it has all of the request. */
static void both_bodies_flow_at_once(void **state)
{
    enum { BYTES = 1024 * 1024, STEP = 64 * 1024 };
    struct fixture *f = *state;
    char *step = gw_calloc(1, STEP), *got = gw_calloc(1, STEP);
    say(f, "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    for (size_t at = 0; at < BYTES; at += STEP) {
        memset(step, (int)('a' + at / STEP), STEP);
        assert_true(send_bytes(f->fd, step, STEP));
        if (at == 0)
            assert_true(receive_head(f->fd, &f->answer));
        assert_int_equal(recv(f->fd, got, STEP, MSG_WAITALL), STEP);
        assert_memory_equal(got, step, STEP);
    }
    free(step);
    free(got);
}

/* What the caller's method says about a body holds, whatever the backend was asked. */
static void a_backend_may_see_another_method(void **state)
{
    struct fixture *f = *state;
    say(f, "HEAD /as-get/big HTTP/1.1\r\n" HOST "\r\n");
    assert_true(receive_head(f->fd, &f->answer));
    assert_int_equal(length_in(f->answer.head), TEST_BIG_BYTES);
    say(f, "GET /as-head/big HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_int_equal(f->answer.body_len, 0);
    say(f, "GET /mock HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_string_equal(f->answer.body, "mocked");
}

static void large_answers_stream(void **state)
{
    struct fixture *f = *state;
    say(f, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    usleep(50 * 1000); /* the caller is slow: the agent has to wait, not to buffer */
    hear(f, "200");
    assert_int_equal(f->answer.body_len, TEST_BIG_BYTES);
}

static void chunks_and_trailers_pass(void **state)
{
    struct fixture *f = *state;
    static const char body[] = "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    char got[sizeof body] = {0};
    say(f, "GET /chunked HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_true(has_header(f, "Transfer-Encoding: chunked"));
    assert_int_equal(recv(f->fd, got, sizeof body - 1, MSG_WAITALL), sizeof body - 1);
    assert_string_equal(got, body);
}

static void a_cut_answer_is_seen_as_cut(void **state)
{
    struct fixture *f = *state;
    say(f, "GET /cut HTTP/1.1\r\n" HOST "\r\n");
    assert_true(receive_head(f->fd, &f->answer));
    char rest[16];
    assert_int_equal(recv(f->fd, rest, sizeof rest, MSG_WAITALL), 4);
}

static void garbage_is_a_bad_gateway(void **state)
{
    struct fixture *f = *state;
    say(f, "GET /garbage HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "502");
    assert_non_null(strstr(f->answer.body, "APIG.0202"));
    say(f, "GET /mock HTTP/1.1\r\n" HOST "\r\n"); /* the caller's connection is fine */
    hear(f, "200");
}

static void each_failure_of_a_backend_has_its_code(void **state)
{
    (void)state;
    static const char *const codes[DP_FAILURE_COUNT] = {
        [DP_FAILURE_NO_MEMBER] = "APIG.0610",
        [DP_FAILURE_UNRESOLVED] = "APIG.0605",
        [DP_FAILURE_CONNECT] = "APIG.0202",
        [DP_FAILURE_STALE] = "APIG.0202",
        [DP_FAILURE_RESET] = "APIG.0202",
        [DP_FAILURE_PROTOCOL] = "APIG.0202",
        [DP_FAILURE_CONNECT_TIMEOUT] = "APIG.0203",
        [DP_FAILURE_TIMEOUT] = "APIG.0203",
        [DP_FAILURE_REFUSED] = "APIG.0202",
        [DP_FAILURE_DEADLINE] = "APIG.0203",
        [DP_FAILURE_NO_TUNNEL] = "APIG.0202",
        [DP_FAILURE_STATUS] = "APIG.0202", /* cannot be: that answer goes to the caller */
    };
    for (unsigned i = 0; i < DP_FAILURE_COUNT; i++) {
        enum dp_refusal refusal = dp_answer_of_failure((enum dp_upstream_failure)i);
        assert_string_equal(dp_refusal_row(refusal)->code.ptr, codes[i]);
    }
}

static void what_cannot_be_read_is_answered_and_closed(void **state)
{
    struct fixture *f = *state;
    say(f, "GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    hear(f, "400");
    assert_non_null(strstr(f->answer.body, "APIG.0602"));
    assert_true(is_closed(f));
}

static void bodies_have_a_limit(void **state)
{
    struct fixture *f = *state;
    say(f, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n");
    hear(f, "413");
    assert_true(is_closed(f));
    hang_up(f);
    f->fd = connect_to(dp_worker_port(f->worker, 0));
    say(f, "POST /wait HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100001\r\n");
    char *body = gw_calloc(1, 0x100001);
    (void)send_bytes(f->fd, body, 0x100001); /* the agent may close before all of it is sent */
    free(body);
    hear(f, "413");
}

static void slow_callers_are_told(void **state)
{
    struct fixture *f = *state;
    say(f, "GET / HTTP/1.1\r\nHos");
    hear(f, "408");
    assert_true(is_closed(f));
    hang_up(f);
    f->fd = connect_to(dp_worker_port(f->worker, 0));
    say(f, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe");
    hear(f, "408");
    assert_true(is_closed(f));
}

static void a_caller_that_leaves_frees_the_backend(void **state)
{
    struct fixture *f = *state;
    say(f, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&f->backend.waiting, 1);
    hang_up(f);
    atomic_store(&f->backend.release, true);
    for (int i = 0; i < TEST_TIMEOUT_S * 1000 && atomic_load(&f->backend.live) > 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&f->backend.live), 0);
}

static void an_exchange_ends_on_the_snapshot_it_began_with(void **state)
{
    struct fixture *f = *state;
    say(f, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&f->backend.waiting, 1);
    publish(f, "changed");
    atomic_store(&f->backend.release, true);
    hear(f, "200");
    say(f, "GET /mock HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_string_equal(f->answer.body, "changed");
}

static void wait_for_tunnels(struct fixture *f, int64_t count)
{
    for (int i = 0; i < TEST_TIMEOUT_S * 1000; i++) {
        if (gw_metric_read(f->shared.metrics, DP_METRIC_TUNNELS, 0) == count)
            return;
        usleep(1000);
    }
    fail_msg("there are not %lld tunnels", (long long)count);
}

/* Everything that it began with is replaced meanwhile; the log reads it at the end. */
static void a_tunnel_outlives_the_snapshot_it_began_with(void **state)
{
    struct fixture *f = *state;
    char bytes[4];
    say(f, "GET /tunnel HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    hear(f, "101");
    wait_for_tunnels(f, 1);
    publish(f, "changed");
    publish(f, "changed again");
    say(f, "ping");
    assert_int_equal(recv(f->fd, bytes, sizeof bytes, MSG_WAITALL), 4);
    assert_memory_equal(bytes, "ping", 4);
    shutdown(f->fd, SHUT_WR);
    assert_true(is_closed(f));
    wait_for_tunnels(f, 0);
    assert_int_equal(gw_metric_read(f->shared.metrics, DP_METRIC_REQUESTS, DP_CLASS_1XX), 1);
}

static void a_drain_loses_no_request(void **state)
{
    struct fixture *f = *state;
    int idle = connect_to(dp_worker_port(f->worker, 0));
    say(f, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&f->backend.waiting, 1);
    dp_worker_drain(f->worker, 0, 5000);
    usleep(50 * 1000); /* the drain has begun; a request on an idle connection is still served */
    atomic_store(&f->backend.release, true);
    hear(f, "200");
    assert_true(has_header(f, "Connection: close"));
    assert_true(is_closed(f));
    hang_up(f);
    f->fd = idle;
    say(f, "GET /mock HTTP/1.1\r\n" HOST "\r\n");
    hear(f, "200");
    assert_true(has_header(f, "Connection: close"));
    hang_up(f);
    dp_worker_join(f->worker); /* it ends by itself */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_goes_to_the_backend_and_back),
        cmocka_unit_test_setup_teardown(without_a_snapshot_it_is_not_ready, set_up_empty,
                                        tear_down),
        TEST(refusals_are_json_with_a_request_id),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_caller_that_half_closes_gets_its_answers),
        TEST(both_bodies_flow_at_once),
        TEST(a_backend_may_see_another_method),
        TEST(large_answers_stream),
        TEST(chunks_and_trailers_pass),
        TEST(a_cut_answer_is_seen_as_cut),
        TEST(garbage_is_a_bad_gateway),
        cmocka_unit_test(each_failure_of_a_backend_has_its_code),
        TEST(what_cannot_be_read_is_answered_and_closed),
        TEST(bodies_have_a_limit),
        TEST(slow_callers_are_told),
        TEST(a_caller_that_leaves_frees_the_backend),
        TEST(an_exchange_ends_on_the_snapshot_it_began_with),
        TEST(a_tunnel_outlives_the_snapshot_it_began_with),
        TEST(a_drain_loses_no_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
