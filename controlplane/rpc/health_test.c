/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/health.h"

#include "common/rpc/fixture.h"

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name
#define OURS "penstock.admin.v1.ApiService"

typedef Grpc__Health__V1__HealthCheckResponse check_response;
#define REPLY_TYPE (&grpc__health__v1__health_check_response__descriptor)

static struct cp_health *health;
static struct fixture fixture;

static int setup(void **state)
{
    (void)state;
    health = cp_health_new();
    cp_health_add_service(health, OURS);
    cp_health_add_service(health, OURS);
    cp_health_add_part(health, "store");
    size_t count;
    const struct gw_rpc_method *list = cp_health_methods(health, &count);
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, list, count);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    cp_health_free(health);
    return 0;
}

/* The status, or minus the error's code. */
static int check(const char *service)
{
    struct gw_error err = GW_ERROR_NONE;
    text_message request = text_of(service);
    ProtobufCMessage *reply;
    if (gw_rpc_client_call(fixture.client, &fixture.arena, "/grpc.health.v1.Health/Check",
                           &request.base, REPLY_TYPE, TIMEOUT_MS, &reply, &err))
        return -(int)err.code;
    return (int)((check_response *)(void *)reply)->status;
}

static struct gw_rpc_reader *watch(const char *service)
{
    struct gw_error err = GW_ERROR_NONE;
    text_message request = text_of(service);
    struct gw_rpc_reader *reader;
    if (gw_rpc_client_stream(fixture.client, "/grpc.health.v1.Health/Watch", &request.base,
                             REPLY_TYPE, &reader, &err))
        fail_msg("%s", err.message);
    return reader;
}

static int next(struct gw_rpc_reader *reader)
{
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    int got = gw_rpc_reader_next(reader, &fixture.arena, TIMEOUT_MS, &message, &err);
    if (got < 0)
        return -(int)err.code;
    assert_int_equal(got, 1);
    return (int)((check_response *)(void *)message)->status;
}

static void server_and_services_go_together(void **state)
{
    (void)state;
    assert_int_equal(check(""), STATUS(NOT_SERVING));
    assert_int_equal(check(OURS), STATUS(NOT_SERVING));
    assert_false(cp_health_is_serving(health));
    cp_health_set(health, true);
    assert_int_equal(check(""), STATUS(SERVING));
    assert_int_equal(check(OURS), STATUS(SERVING));
    assert_true(cp_health_is_serving(health));
    cp_health_set(health, false);
    assert_int_equal(check(""), STATUS(NOT_SERVING));
}

static void a_part_has_its_own_state(void **state)
{
    (void)state;
    cp_health_set(health, true);
    assert_int_equal(check("store"), STATUS(NOT_SERVING));
    cp_health_set_part(health, "store", true);
    assert_int_equal(check("store"), STATUS(SERVING));
    cp_health_set_part(health, "store", false);
    assert_int_equal(check("store"), STATUS(NOT_SERVING));
    assert_int_equal(check(""), STATUS(SERVING));
}

static void unknown_services(void **state)
{
    (void)state;
    assert_int_equal(check("penstock.admin.v1.Nothing"), -(int)GW_NOT_FOUND);
    struct gw_rpc_reader *reader = watch("penstock.admin.v1.Nothing");
    assert_int_equal(next(reader), STATUS(SERVICE_UNKNOWN)); /* and the stream stays open */
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *message;
    assert_int_equal(gw_rpc_reader_next(reader, &fixture.arena, 30, &message, &err), -1);
    assert_int_equal(err.code, GW_DEADLINE_EXCEEDED);
    gw_rpc_reader_close(reader);
}

static void watchers_are_told_of_changes(void **state)
{
    (void)state;
    struct gw_rpc_reader *all = watch(""), *store = watch("store");
    assert_int_equal(next(all), STATUS(NOT_SERVING));
    assert_int_equal(next(store), STATUS(NOT_SERVING));
    cp_health_set(health, true);
    assert_int_equal(next(all), STATUS(SERVING));
    cp_health_set(health, true); /* no news */
    cp_health_set_part(health, "store", true);
    assert_int_equal(next(store), STATUS(SERVING));
    cp_health_set_part(health, "store", false);
    assert_int_equal(next(store), STATUS(NOT_SERVING));
    cp_health_set(health, false);
    assert_int_equal(next(all), STATUS(NOT_SERVING));
    gw_rpc_reader_close(all);
    gw_rpc_reader_close(store);
}

static void a_drain_is_final(void **state)
{
    (void)state;
    cp_health_set(health, true);
    cp_health_set_part(health, "store", true);
    struct gw_rpc_reader *reader = watch(OURS);
    assert_int_equal(next(reader), STATUS(SERVING));
    cp_health_drain(health);
    assert_int_equal(next(reader), STATUS(NOT_SERVING));
    cp_health_set(health, true);
    cp_health_set_part(health, "store", true);
    assert_int_equal(check(""), STATUS(NOT_SERVING));
    assert_int_equal(check("store"), STATUS(NOT_SERVING));
    assert_false(cp_health_is_serving(health));
    gw_rpc_reader_close(reader);
}

static void a_watch_takes_one_request(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    struct gw_rpc_reader *reader;
    if (gw_rpc_client_stream(fixture.client, "/grpc.health.v1.Health/Watch", NULL, REPLY_TYPE,
                             &reader, &err))
        fail_msg("%s", err.message);
    text_message request = text_of("");
    assert_int_equal(gw_rpc_reader_send(reader, &request.base, TIMEOUT_MS, &err), 0);
    assert_int_equal(next(reader), STATUS(NOT_SERVING));
    assert_int_equal(gw_rpc_reader_send(reader, &request.base, TIMEOUT_MS, &err), 0);
    assert_int_equal(next(reader), -(int)GW_INVALID_ARGUMENT);
    gw_rpc_reader_close(reader);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(server_and_services_go_together),
        TEST(a_part_has_its_own_state),
        TEST(unknown_services),
        TEST(watchers_are_told_of_changes),
        TEST(a_drain_is_final),
        TEST(a_watch_takes_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
