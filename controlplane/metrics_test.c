/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/metrics.h"

#include "common/clock.h"
#include "common/rpc/fixture.h"
#include "controlplane/model/types.h"
#include "controlplane/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GET "/penstock.admin.v1.EnvironmentService/GetEnvironment"

static struct cp_store *store;
static struct cp_metrics_sources sources;
static struct cp_auth *auth;
static struct cp_methods *methods;
static struct gw_buf text;

static int get(const struct cp_call *call, const ProtobufCMessage *request,
               ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)request;
    (void)err;
    *ret_reply = gw_message_new(call->arena, CP_TYPE(environment));
    return 0;
}

static const struct cp_method rows[] = {{"GetEnvironment", CP_ROLE_VIEWER, get}};
static const struct cp_service service = {&penstock__admin__v1__environment_service__descriptor,
                                          rows, GW_ARRAY_LEN(rows)};

static int setup(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(cp_store_open_sqlite(":memory:", &store, &err), 0);
    assert_int_equal(cp_auth_new(NULL, &auth, &err), 0);
    sources.image = cp_image_new(10);
    sources.registry = cp_registry_new(sources.image, 10);
    methods = cp_methods_new(auth, NULL);
    cp_methods_add_service(methods, &service);
    sources.methods = methods;
    struct cp_watcher_options options = {.store = store, .image = sources.image};
    sources.watcher = cp_watcher_start(&options);
    gw_buf_init(&text, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_buf_done(&text);
    cp_watcher_stop(sources.watcher);
    cp_methods_free(methods);
    cp_registry_free(sources.registry);
    cp_image_free(sources.image);
    cp_auth_free(auth);
    cp_store_close(store);
    return 0;
}

/* Whether the metrics have that line now. */
static bool has_line(const char *line)
{
    gw_buf_clear(&text);
    cp_metrics_write(&sources, &text);
    assert_int_equal(gw_buf_reserve(&text, 1), 0);
    text.data[text.end] = '\0';
    gw_str rest = gw_buf_view(&text);
    while (rest.ptr)
        if (gw_str_eq(gw_str_split(&rest, '\n'), gw_str_from(line)))
            return true;
    return false;
}

static void expect_line(const char *line)
{
    gw_msec until_ms = gw_clock_monotonic_ms() + TIMEOUT_MS;
    while (!has_line(line)) {
        if (gw_clock_monotonic_ms() > until_ms)
            fail_msg("%s is not in\n%.*s", line, GW_STR_ARG(gw_buf_view(&text)));
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void what_is_true_is_written(void **state)
{
    (void)state;
    expect_line("penstock_controlplane_store_reachable 1");
    expect_line("penstock_controlplane_store_lists_total 1");
    expect_line("penstock_controlplane_image_resources 0");
    expect_line("penstock_controlplane_agents_connected 0");
    expect_line("penstock_controlplane_info{version=\"" PENSTOCK_VERSION "\"} 1");
    expect_line("# TYPE penstock_controlplane_build_seconds_total counter");
    expect_line("# TYPE penstock_controlplane_agents_lagging gauge");
    struct cp_edit edit = {GW_STR("groups/a"), GW_STR_NONE, "no release"};
    struct cp_image_status status;
    cp_image_status(sources.image, &status);
    struct cp_image_change change = {strtoull(status.cluster_id, NULL, 16),
                                     status.seen_revision + 7, &edit, 1, false};
    cp_image_commit(sources.image, &change);
    expect_line("penstock_controlplane_image_refusals 1");
    char line[128];
    snprintf(line, sizeof(line), "penstock_controlplane_image_seen_revision %lld",
             (long long)change.revision);
    expect_line(line);
}

static void calls_are_series_by_method_and_code(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(methods, &count);
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, list, count);
    expect_line(
        "penstock_controlplane_rpc_calls_total{method=\"EnvironmentService/GetEnvironment\","
        "code=\"OK\"} 0");
    struct gw_error err;
    for (int i = 0; i < 2; i++) {
        err = GW_ERROR_NONE;
        Penstock__Admin__V1__GetEnvironmentRequest request = CP_INIT(GET_ENVIRONMENT_REQUEST);
        ProtobufCMessage *reply;
        assert_int_equal(gw_rpc_client_call(fixture.client, &fixture.arena, GET, &request.base,
                                            CP_TYPE(environment), TIMEOUT_MS, &reply, &err),
                         0);
    }
    assert_null(call_text(fixture.client, &fixture.arena,
                          "/penstock.admin.v1.EnvironmentService/DeleteEnvironment", "x",
                          TIMEOUT_MS, &err));
    expect_line(
        "penstock_controlplane_rpc_calls_total{method=\"EnvironmentService/GetEnvironment\","
        "code=\"OK\"} 2");
    expect_line("penstock_controlplane_rpc_calls_total{method="
                "\"EnvironmentService/DeleteEnvironment\",code=\"UNIMPLEMENTED\"} 1");
    fixture_stop(&fixture);
}

/* Every line is a comment, or a name (with labels) and a number; HELP and TYPE once each. */
static void the_form_is_prometheus(void **state)
{
    (void)state;
    expect_line("penstock_controlplane_store_reachable 1");
    gw_str rest = gw_buf_view(&text);
    while (rest.ptr && rest.len) {
        gw_str line = gw_str_split(&rest, '\n');
        if (gw_str_has_prefix(line, GW_STR("# HELP ")) ||
            gw_str_has_prefix(line, GW_STR("# TYPE ")))
            continue;
        char name[200], *end;
        assert_true(line.len < sizeof(name));
        memcpy(name, line.ptr, line.len);
        name[line.len] = '\0';
        char *blank = strrchr(name, ' ');
        assert_non_null(blank);
        (void)strtod(blank + 1, &end);
        if (end == blank + 1 || *end)
            fail_msg("%s", name);
    }
    for (unsigned i = 0; cp_metrics_name(i); i++) {
        char head[128];
        snprintf(head, sizeof(head), "# TYPE %s ", cp_metrics_name(i));
        char *first = strstr(text.data + text.start, head);
        assert_non_null(first);
        assert_null(strstr(first + 1, head));
    }
}

static void the_readme_has_them_all(void **state)
{
    (void)state;
    FILE *file = fopen(TEST_SOURCE_DIR "/controlplane/README.md", "re");
    assert_non_null(file);
    assert_int_equal(gw_buf_reserve(&text, 1024 * 1024), 0);
    size_t got = fread(text.data + text.end, 1, 1024 * 1024 - 1, file);
    fclose(file);
    text.data[text.end + got] = '\0';
    unsigned count = 0;
    for (; cp_metrics_name(count); count++) {
        char word[128];
        snprintf(word, sizeof(word), "`%s`", cp_metrics_name(count));
        if (!strstr(text.data, word))
            fail_msg("README.md does not explain %s", word);
    }
    unsigned named = 0;
    for (const char *at = text.data; (at = strstr(at, "`penstock_controlplane_")); at++)
        named++;
    assert_in_range(named, count, count + 1); /* store_reachable stands in the text as well */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_true_is_written),
        TEST(calls_are_series_by_method_and_code),
        TEST(the_form_is_prometheus),
        TEST(the_readme_has_them_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
