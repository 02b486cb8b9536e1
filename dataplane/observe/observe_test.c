/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/observe.h"

#include "common/test.h"
#include "dataplane/downstream/server.h"
#include "dataplane/observe/access_line.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/observe/agent_metrics.h"
#include "dataplane/observe/route_stats.h"
#include "dataplane/upstream/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct gw_metrics *metrics;
static struct dp_observer *observer;
static struct dp_route_stats_table *table;
static struct dp_route route;
static struct dp_app app;
static gw_str app_id;
static struct dp_exchange x;
static struct dp_outcome outcome;
static char line[DP_ACCESS_LOG_LINE_MAX + 1];
static struct dp_line_clock line_clock;

static void add_header(enum dp_header_id id, const char *value)
{
    dp_headers_add_id(&x.request.head.headers, id, gw_str_from(value));
}

gw_str dp_app_id(const struct dp_app *asked)
{
    assert_ptr_equal(asked, &app);
    return app_id;
}

/* A call that went well. */
static int set_up(void **state)
{
    (void)state;
    metrics = gw_metrics_new(dp_agent_metrics, DP_METRIC_COUNT);
    observer = dp_observer_new(metrics, NULL, 1);
    table = dp_route_stats_table_new(2);
    line_clock = (struct dp_line_clock){0};
    app_id = GW_STR("shop");
    route = (struct dp_route){
        .name = GW_STR("groups/g/apis/a@RELEASE"),
        .group = GW_STR("groups/g"),
        .api_id = GW_STR("a"),
        .api_name = GW_STR("Orders"),
        .environment = GW_STR("RELEASE"),
        .stats = dp_route_stats_get(table, GW_STR("groups/g/apis/a@RELEASE")),
    };
    memset(&x, 0, sizeof(x));
    gw_arena_init(&x.arena, 0);
    x.route = &route;
    x.app = &app;
    x.auth_type = GW_STR("app_code");
    x.request = (struct dp_request){
        .path = GW_STR("/orders/7"),
        .environment = GW_STR("RELEASE"),
        .source_text = GW_STR("192.0.2.1"),
        .request_id = GW_STR("0123456789abcdef0123456789abcdef"),
        .received_wall_ms = 1767268800123, /* 2026-01-01T12:00:00.123Z */
    };
    x.request.head = (struct dp_request_head){
        .method = DP_METHOD_GET,
        .method_name = GW_STR("GET"),
        .major = 1,
        .minor = 1,
        .path = GW_STR("/orders/./7"),
        .host = GW_STR("api.example.com"),
    };
    dp_headers_init(&x.request.head.headers, &x.arena);
    add_header(DP_HEADER_USER_AGENT, "curl/8");
    x.response.origin = DP_ORIGIN_UPSTREAM;
    outcome = (struct dp_outcome){
        .status = 200,
        .upstream = GW_STR("127.0.0.1:81"),
        .attempts = 1,
        .bytes_in = 100,
        .bytes_out = 2000,
        .duration_ns = 12345678,
        .upstream_ns = 2000999,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gw_arena_done(&x.arena);
    dp_route_stats_unref(route.stats);
    dp_route_stats_table_free(table);
    dp_observer_free(observer);
    gw_metrics_free(metrics);
    return 0;
}

static const char *written(void)
{
    size_t len = dp_access_line_write(line, &line_clock, &x, &outcome);
    assert_true(len < sizeof(line));
    line[len] = 0;
    assert_int_equal(line[len - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    return line;
}

#define assert_has(text) assert_non_null(strstr(written(), (text)))
#define assert_lacks(text) assert_null(strstr(written(), (text)))

static void a_line_tells_the_whole_story(void **state)
{
    (void)state;
    assert_string_equal(
        written(),
        "{\"time\":\"2026-01-01T12:00:00.123Z\",\"request_id\":"
        "\"0123456789abcdef0123456789abcdef\","
        "\"source\":\"192.0.2.1\",\"method\":\"GET\",\"scheme\":\"http\",\"host\":\"api.example."
        "com\","
        "\"path\":\"/orders/7\",\"protocol\":\"HTTP/1.1\",\"user_agent\":\"curl/8\","
        "\"group\":\"groups/g\",\"api\":\"a\",\"api_name\":\"Orders\",\"environment\":\"RELEASE\","
        "\"app\":\"shop\",\"auth_type\":\"app_code\",\"status\":200,\"answered_by\":\"upstream\","
        "\"bytes_in\":100,\"bytes_out\":2000,\"duration_ms\":12.345,\"upstream\":\"127.0.0.1:81\","
        "\"upstream_ms\":2.000,\"attempts\":1}\n");
}

static void the_next_second_is_printed_anew(void **state)
{
    (void)state;
    assert_has("12:00:00.123Z");
    x.request.received_wall_ms += 76;
    assert_has("12:00:00.199Z");
    x.request.received_wall_ms += 60801;
    assert_has("12:01:01.000Z");
}

static void a_refusal_has_its_code_and_reason(void **state)
{
    (void)state;
    x.response.origin = DP_ORIGIN_LOCAL;
    x.response.refusal = DP_REFUSE_THROTTLED;
    outcome.status = 429;
    outcome.reason = dp_refusal_row(DP_REFUSE_THROTTLED)->reason;
    outcome.attempts = 0;
    assert_has("\"status\":429,\"answered_by\":\"local\",\"error_code\":\"APIG.0308\","
               "\"reason\":\"throttle.exceeded\",");
    assert_lacks("upstream");
    assert_lacks("attempts");
}

static void a_request_without_a_head_has_a_line_too(void **state)
{
    (void)state;
    struct dp_request request = {
        .request_id = x.request.request_id,
        .source_text = x.request.source_text,
        .received_wall_ms = x.request.received_wall_ms,
        .head = {.method_name = GW_STR("\x16\x03")}, /* what it made of a TLS hello */
    };
    x.request = request;
    x.response = (struct dp_response){0};
    x.route = NULL;
    x.app = NULL;
    x.auth_type = GW_STR("none");
    outcome = (struct dp_outcome){.status = 499, .reason = GW_STR("caller.gone"), .cut = true};
    assert_has("\"source\":\"192.0.2.1\",\"auth_type\":\"none\",\"status\":499,"
               "\"reason\":\"caller.gone\",\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,"
               "\"cut\":true}");
}

static void credentials_are_never_told(void **state)
{
    (void)state;
    x.request.head.query = GW_STR("X-Apig-AppCode=hunter2&token=hunter2");
    add_header(DP_HEADER_AUTHORIZATION, "Basic hunter2");
    add_header(DP_HEADER_COOKIE, "session=hunter2");
    add_header(DP_HEADER_X_APIG_APPCODE, "hunter2");
    add_header(DP_HEADER_REFERER, "http://a/?code=hunter2");
    assert_lacks("hunter2");
    assert_has("\"query_bytes\":36,");
}

static void hostile_bytes_stay_inside_their_string(void **state)
{
    (void)state;
    x.request.path = GW_STR("/a\"b\\c\nd\x01\x7f\xff\xc0\xaf\xed\xa0\x80"
                            "\xc3\xa9/0123456789abcdef\"");
    assert_has("\"path\":\"/a\\\"b\\\\c\\nd\\u0001\\u007f\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"
               "\xc3\xa9/0123456789abcdef\\\"\",");
}

static void an_escape_is_found_at_every_place_of_a_block(void **state)
{
    (void)state;
    static const char bad[] = {'"', '\\', '\n', 0x7f, (char)0x80, (char)0xff, 0x1f};
    for (unsigned place = 0; place < 40; place++) {
        char path[40];
        memset(path, 'x', sizeof(path));
        path[0] = '/';
        path[place] = bad[place % sizeof(bad)];
        x.request.path = gw_str_n(path, sizeof(path));
        assert_has("\\");
        for (const char *at = written(); *at != '\n'; at++)
            assert_true((unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7f);
    }
}

static void long_texts_are_cut_and_the_worst_line_fits(void **state)
{
    (void)state;
    char *worst = gw_malloc(70000);
    memset(worst, 0xff, 70000);
    gw_str text = gw_str_n(worst, 70000);
    x.request.path = x.request.source_text = x.request.head.host = text;
    x.request.request_id = x.request.head.method_name = text;
    route.group = route.api_id = route.api_name = route.environment = app_id = text;
    x.auth_type = outcome.reason = outcome.upstream = text;
    x.response.refusal = DP_REFUSE_RECURSION;
    outcome.bytes_in = outcome.bytes_out = UINT64_MAX;
    outcome.duration_ns = outcome.upstream_ns = INT64_MAX;
    outcome.attempts = UINT32_MAX;
    outcome.has_grpc_status = true;
    outcome.grpc_status = INT32_MAX;
    outcome.cut = outcome.reused = true;
    x.request.head.headers.count = 0;
    dp_headers_append(&x.request.head.headers, GW_STR("User-Agent"), text);
    written();
    memset(worst, 'a', 70000);
    char expected[DP_LINE_TEXT_MAX + 32];
    snprintf(expected, sizeof(expected), "\"host\":\"%.*s...\",", DP_LINE_TEXT_MAX, worst);
    assert_has(expected);
    free(worst);
}

/* ---- metrics */

#define METRIC(row, series) gw_metric_read(metrics, DP_METRIC_##row, series)

static void an_exchange_is_counted_once_everywhere(void **state)
{
    (void)state;
    struct dp_route_totals totals;
    dp_observe_exchange(observer, &x, &outcome);
    assert_int_equal(METRIC(REQUESTS, DP_CLASS_2XX), 1);
    assert_int_equal(METRIC(REQUEST_DURATION, 0), 1);
    assert_int_equal(METRIC(UPSTREAM_DURATION, 0), 1);
    assert_int_equal(METRIC(BYTES_IN, 0), 100);
    assert_int_equal(METRIC(BYTES_OUT, 0), 2000);
    assert_int_equal(METRIC(CUT, 0), 0);
    dp_route_stats_read(route.stats, &totals);
    assert_int_equal(totals.requests, 1);
    assert_int_equal(totals.latency_us, 12345);
    assert_int_equal(totals.request_bytes, 100);
    assert_int_equal(totals.response_bytes, 2000);
    assert_int_equal(totals.errors_4xx + totals.errors_5xx + totals.throttled, 0);
}

static void refusals_are_counted_by_reason(void **state)
{
    (void)state;
    struct dp_route_totals totals;
    struct gw_buf text;
    gw_buf_init(&text, 0);
    outcome.upstream_ns = 0;
    for (int refusal = DP_REFUSAL_NONE + 1; refusal < DP_REFUSAL_COUNT; refusal++) {
        x.response.refusal = (enum dp_refusal)refusal;
        outcome.status = dp_refusal_row(x.response.refusal)->status;
        dp_observe_exchange(observer, &x, &outcome);
    }
    gw_metrics_write(metrics, &text);
    assert_int_equal(gw_buf_append(&text, gw_str_n("", 1)), 0);
    for (int refusal = DP_REFUSAL_NONE + 1; refusal < DP_REFUSAL_COUNT; refusal++) {
        char expected[128];
        snprintf(expected, sizeof(expected), "\npenstock_agent_refusals_total{reason=\"%.*s\"} 1\n",
                 GW_STR_ARG(dp_refusal_row((enum dp_refusal)refusal)->reason));
        assert_non_null(strstr(text.data, expected));
    }
    dp_route_stats_read(route.stats, &totals);
    assert_int_equal(totals.throttled, 1);
    assert_int_equal(totals.errors_4xx + totals.errors_5xx, DP_REFUSAL_COUNT - 1);
    assert_int_equal(METRIC(UPSTREAM_DURATION, 0), 0);
    gw_buf_done(&text);
}

static void calls_of_grpc_have_a_status(void **state)
{
    (void)state;
    static const int statuses[] = {0, 5, 16, 17, INT32_MAX, -1};
    written();
    assert_null(strstr(line, "grpc_status"));
    dp_observe_exchange(observer, &x, &outcome);
    outcome.has_grpc_status = true;
    for (size_t i = 0; i < GW_ARRAY_LEN(statuses); i++) {
        outcome.grpc_status = statuses[i];
        dp_observe_exchange(observer, &x, &outcome);
    }
    assert_int_equal(METRIC(GRPC_STATUSES, 0), 1);
    assert_int_equal(METRIC(GRPC_STATUSES, 5), 1);
    assert_int_equal(METRIC(GRPC_STATUSES, 16), 1);
    assert_int_equal(METRIC(GRPC_STATUSES, DP_METRIC_GRPC_OTHER), 3);
    written();
    assert_null(strstr(line, "grpc_status")); /* -1 */
    outcome.grpc_status = 5;
    written();
    assert_has("\"status\":200,\"grpc_status\":5,");
}

static void callers_that_left_are_apart_from_a_backends_499(void **state)
{
    (void)state;
    outcome.status = 499;
    dp_observe_exchange(observer, &x, &outcome);
    outcome.cut = true;
    dp_observe_exchange(observer, &x, &outcome);
    x.route = NULL;
    dp_observe_exchange(observer, &x, &outcome);
    assert_int_equal(METRIC(REQUESTS, DP_CLASS_4XX), 1);
    assert_int_equal(METRIC(REQUESTS, DP_CLASS_GONE), 2);
    assert_int_equal(METRIC(CUT, 0), 2);
}

static void every_row_has_a_name_and_a_help_text(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DP_METRIC_COUNT; i++) {
        const struct gw_metric *row = &dp_agent_metrics[i];
        assert_non_null(row->name);
        assert_true(row->help && row->help[strlen(row->help) - 1] == '.');
        assert_int_equal(strncmp(row->name, "penstock_agent_", 15), 0);
        bool is_total = gw_str_has_suffix(gw_str_from(row->name), GW_STR("_total"));
        assert_int_equal(is_total, row->type == GW_COUNTER);
    }
}

static void connections_are_taken_as_they_stand(void **state)
{
    (void)state;
    struct dp_loop loop = {.spliced_bytes = 12};
    struct dp_server server = {.loop = &loop,
                               .count = 3,
                               .stats = {.accepted = 10,
                                         .refused = 1,
                                         .accept_failures = 6,
                                         .proxy_refused = 11,
                                         .idle_timeouts = 2,
                                         .head_timeouts = 3,
                                         .body_timeouts = 4,
                                         .write_timeouts = 5}};
    struct dp_upstreams_stats upstreams = {
        .open = 7, .idle = 6, .connects = 20, .tls_failures = 9, .retries = 8};
    dp_observe_connections(observer, &server, &upstreams);
    server.count = 2;
    dp_observe_connections(observer, &server, &upstreams);
    assert_int_equal(METRIC(CONNECTIONS, 0), 2);
    assert_int_equal(METRIC(CONNECTIONS_ACCEPTED, 0), 10);
    assert_int_equal(METRIC(CONNECTIONS_REFUSED, 0), 1);
    assert_int_equal(METRIC(TIMEOUTS, DP_TIMEOUT_IDLE), 2);
    assert_int_equal(METRIC(TIMEOUTS, DP_TIMEOUT_HEAD), 3);
    assert_int_equal(METRIC(TIMEOUTS, DP_TIMEOUT_BODY), 4);
    assert_int_equal(METRIC(TIMEOUTS, DP_TIMEOUT_WRITE), 5);
    assert_int_equal(METRIC(UPSTREAM_CONNECTIONS, 0), 7);
    assert_int_equal(METRIC(UPSTREAM_IDLE, 0), 6);
    assert_int_equal(METRIC(UPSTREAM_CONNECTS, 0), 20);
    assert_int_equal(METRIC(ACCEPT_FAILURES, 0), 6);
    assert_int_equal(METRIC(PROXY_REFUSED, 0), 11);
    assert_int_equal(METRIC(UPSTREAM_TLS_FAILURES, 0), 9);
    assert_int_equal(METRIC(UPSTREAM_RETRIES, 0), 8);
    assert_int_equal(METRIC(SPLICED, 0), 12);
}

static void lines_go_to_the_log(void **state)
{
    (void)state;
    char path[] = "/tmp/penstock-observe-XXXXXX", read_back[4096];
    struct gw_error err;
    struct dp_access_log *log;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(dp_access_log_open(path, 2, &log, &err), 0);
    struct dp_observer *logging = dp_observer_new(metrics, log, 1);
    dp_observe_exchange(logging, &x, &outcome);
    dp_access_log_close(log);
    dp_observer_free(logging);
    ssize_t n = read(fd, read_back, sizeof(read_back));
    assert_true(n > 0);
    assert_str(gw_str_n(read_back, (size_t)n), written());
    close(fd);
    unlink(path);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_line_tells_the_whole_story),
        CASE(the_next_second_is_printed_anew),
        CASE(a_refusal_has_its_code_and_reason),
        CASE(a_request_without_a_head_has_a_line_too),
        CASE(credentials_are_never_told),
        CASE(hostile_bytes_stay_inside_their_string),
        CASE(an_escape_is_found_at_every_place_of_a_block),
        CASE(long_texts_are_cut_and_the_worst_line_fits),
        CASE(an_exchange_is_counted_once_everywhere),
        CASE(refusals_are_counted_by_reason),
        CASE(calls_of_grpc_have_a_status),
        CASE(callers_that_left_are_apart_from_a_backends_499),
        CASE(every_row_has_a_name_and_a_help_text),
        CASE(connections_are_taken_as_they_stand),
        CASE(lines_go_to_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
