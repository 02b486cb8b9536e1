/* SPDX-License-Identifier: Apache-2.0 */
/* Unary calls, from a client's eyes. */
#include "common/rpc/fixture.h"

#include <unistd.h>

#define ECHO "/test.Text/Echo"
#define REFUSE "/test.Text/Refuse"
#define BLOCK "/test.Text/Block"
#define CALLER "/test.Text/Caller"

static struct counter blocked = COUNTER_INIT, gate = COUNTER_INIT;

static int echo(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                const ProtobufCMessage *request, ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)context, (void)caller, (void)err;
    *ret_reply = new_text(arena, text_in(request));
    return 0;
}

static int refuse(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                  const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                  struct gw_error *err)
{
    (void)context, (void)caller, (void)arena, (void)ret_reply;
    (void)gw_fail_field(err, "service", "\"%s\" is 100%% not ours: ä", text_in(request));
    (void)gw_error_reason(err, "UNKNOWN_SERVICE");
    return gw_error_apig(err, "APIG.3303");
}

static int block(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                 const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                 struct gw_error *err)
{
    counter_add(&blocked, 1);
    counter_wait(&gate, 1);
    return echo(context, caller, arena, request, ret_reply, err);
}

static int tell_caller(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err)
{
    (void)context, (void)request, (void)err;
    /* gRPC rounds a timeout of this length up, to 100 ms. */
    gw_msec left = caller->deadline_ms - gw_clock_monotonic_ms();
    gw_str text = gw_arena_printf(
        arena, "%.9s %s %s %s %s", caller->peer, caller->bearer ? caller->bearer : "-",
        caller->cert_name ? caller->cert_name : "-", caller->is_loopback ? "loopback" : "far",
        left > 0 && left <= TIMEOUT_MS + 100 ? "timed" : "untimed");
    *ret_reply = new_text(arena, text.ptr);
    return 0;
}

static const struct gw_rpc_method methods[] = {
    {.path = ECHO, .request = TEXT_TYPE, .reply = TEXT_TYPE, .unary = echo},
    {.path = REFUSE, .request = TEXT_TYPE, .reply = TEXT_TYPE, .unary = refuse},
    {.path = BLOCK, .request = TEXT_TYPE, .reply = TEXT_TYPE, .unary = block},
    {.path = CALLER, .request = TEXT_TYPE, .reply = TEXT_TYPE, .unary = tell_caller},
};

static struct fixture fixture;

static void start(struct gw_rpc_server_options options)
{
    blocked.value = gate.value = 0;
    fixture_start(&fixture, options, methods, GW_ARRAY_LEN(methods));
}

static const char *call(const char *path, const char *text, struct gw_error *err)
{
    return call_text(fixture.client, &fixture.arena, path, text, TIMEOUT_MS, err);
}

static void test_answers(void **state)
{
    (void)state;
    struct gw_error err;
    start((struct gw_rpc_server_options){0});
    assert_string_equal(call(ECHO, "hello", &err), "hello");
    assert_string_equal(call(ECHO, "", &err), "");
    fixture_stop(&fixture);
}

static void test_errors_arrive_whole(void **state)
{
    (void)state;
    struct gw_error err;
    start((struct gw_rpc_server_options){0});
    assert_null(call(REFUSE, "x", &err));
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_string_equal(err.reason, "UNKNOWN_SERVICE");
    assert_string_equal(err.apig, "APIG.3303");
    assert_int_equal(err.violation_count, 1);
    assert_string_equal(err.violations[0].field, "service");
    assert_string_equal(err.violations[0].rule, "\"x\" is 100% not ours: ä");
    assert_non_null(strstr(err.message, "\"x\" is 100% not ours: ä"));
    fixture_stop(&fixture);
}

static void test_unknown_method_is_answered(void **state)
{
    (void)state;
    struct gw_error err;
    start((struct gw_rpc_server_options){0});
    assert_null(call("/test.Text/Nothing", "x", &err));
    assert_int_equal(err.code, GW_UNIMPLEMENTED);
    assert_null(call("/", "x", &err));
    assert_int_equal(err.code, GW_UNIMPLEMENTED);
    fixture_stop(&fixture);
}

static void test_bytes_that_are_no_message(void **state)
{
    (void)state;
    struct gw_error err;
    Grpc__Health__V1__HealthCheckResponse wrong = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    ProtobufCMessage *reply;
    start((struct gw_rpc_server_options){0});
    wrong.status = 1; /* field 1 as a number, where a text belongs */
    assert_int_equal(gw_rpc_client_call(fixture.client, &fixture.arena, ECHO, &wrong.base,
                                        TEXT_TYPE, TIMEOUT_MS, &reply, &err),
                     -1);
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_null(call(ECHO, "\xff", &err));
    assert_int_equal(err.code, GW_INVALID_ARGUMENT);
    assert_non_null(call(ECHO, "still there", &err));
    fixture_stop(&fixture);
}

static void test_message_limit(void **state)
{
    (void)state;
    struct gw_error err;
    char text[2000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    start((struct gw_rpc_server_options){.message_limit_bytes = 1024});
    assert_null(call(ECHO, text, &err));
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
    text[1000] = '\0';
    assert_non_null(call(ECHO, text, &err));
    fixture_stop(&fixture);
}

struct caller_thread {
    pthread_t thread;
    struct gw_rpc_client *client;
    const char *path;
    gw_msec timeout_ms;
    int number;
    bool is_ok; /* answered with what was sent */
    struct gw_error err;
};

static void *run_call(void *arg)
{
    struct caller_thread *caller = arg;
    char text[32];
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    snprintf(text, sizeof(text), "call %d", caller->number);
    const char *reply =
        call_text(caller->client, &arena, caller->path, text, caller->timeout_ms, &caller->err);
    caller->is_ok = reply && strcmp(reply, text) == 0;
    gw_arena_done(&arena);
    return NULL;
}

static void begin_call(struct caller_thread *caller, const char *path, gw_msec timeout_ms)
{
    caller->client = fixture.client;
    caller->path = path;
    caller->timeout_ms = timeout_ms;
    assert_int_equal(pthread_create(&caller->thread, NULL, run_call, caller), 0);
}

static void test_hundred_at_once(void **state)
{
    (void)state;
    static struct caller_thread callers[100];
    start((struct gw_rpc_server_options){0});
    for (int i = 0; i < 100; i++) {
        callers[i].number = i;
        begin_call(&callers[i], ECHO, TIMEOUT_MS);
    }
    for (int i = 0; i < 100; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_true(callers[i].is_ok);
    }
    fixture_stop(&fixture);
}

static void test_deadline_ends_a_slow_call(void **state)
{
    (void)state;
    struct gw_error err;
    start((struct gw_rpc_server_options){0});
    assert_null(call_text(fixture.client, &fixture.arena, BLOCK, "x", 30, &err));
    assert_int_equal(err.code, GW_DEADLINE_EXCEEDED);
    counter_add(&gate, 1);
    fixture_stop(&fixture);
}

/* What this client has sent before, the end of a call included, has reached the server: two calls
 * that need no pool thread, as the first may overtake what the server does about the end. */
static void flush_to_server(void)
{
    struct gw_error err;
    for (int i = 0; i < 2; i++) {
        assert_null(call("/test.Text/None", "x", &err));
        assert_int_equal(err.code, GW_UNIMPLEMENTED);
    }
}

static void test_call_too_late_is_not_run(void **state)
{
    (void)state;
    struct gw_error err;
    struct caller_thread first = {0};
    start((struct gw_rpc_server_options){.handler_threads = 1});
    begin_call(&first, BLOCK, TIMEOUT_MS);
    counter_wait(&blocked, 1);
    assert_null(call_text(fixture.client, &fixture.arena, BLOCK, "late", 30, &err));
    assert_int_equal(err.code, GW_DEADLINE_EXCEEDED);
    flush_to_server();
    /* The server has had the call by now, so that by its own clock, too, the call is over then. */
    gw_msec over_ms = gw_clock_monotonic_ms() + 100;
    while (gw_clock_monotonic_ms() < over_ms)
        usleep(1000);
    counter_add(&gate, 1);
    pthread_join(first.thread, NULL);
    assert_true(first.is_ok);
    fixture_stop(&fixture);
    assert_int_equal(blocked.value, 1);
}

static void test_too_many_calls_are_refused(void **state)
{
    (void)state;
    struct gw_error err;
    struct caller_thread first = {0};
    start((struct gw_rpc_server_options){.unary_limit = 1});
    begin_call(&first, BLOCK, TIMEOUT_MS);
    counter_wait(&blocked, 1);
    assert_null(call(ECHO, "x", &err));
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_non_null(strstr(err.message, "too many calls"));
    counter_add(&gate, 1);
    pthread_join(first.thread, NULL);
    assert_true(first.is_ok);
    fixture_stop(&fixture);
}

static void test_limit_of_open_calls(void **state)
{
    (void)state;
    struct gw_error err;
    struct caller_thread first = {0};
    start((struct gw_rpc_server_options){.call_limit = 1});
    begin_call(&first, BLOCK, TIMEOUT_MS);
    counter_wait(&blocked, 1);
    assert_null(call(ECHO, "x", &err));
    assert_int_equal(err.code, GW_UNAVAILABLE);
    assert_non_null(strstr(err.message, "calls are open"));
    counter_add(&gate, 1);
    pthread_join(first.thread, NULL);
    fixture_stop(&fixture);
}

static void *run_stop(void *arg)
{
    gw_rpc_server_stop(arg, TIMEOUT_MS);
    return NULL;
}

static void test_stop_lets_calls_finish(void **state)
{
    (void)state;
    struct gw_error err;
    struct caller_thread running = {0};
    pthread_t stopper;
    start((struct gw_rpc_server_options){0});
    begin_call(&running, BLOCK, TIMEOUT_MS);
    counter_wait(&blocked, 1);
    assert_int_equal(pthread_create(&stopper, NULL, run_stop, fixture.server), 0);
    while (call(ECHO, "probe", &err)) /* until the drain has begun */
        ;
    assert_true(err.code == GW_UNAVAILABLE || err.code == GW_CANCELLED);
    counter_add(&gate, 1);
    pthread_join(running.thread, NULL);
    assert_true(running.is_ok);
    pthread_join(stopper, NULL);
    gw_rpc_client_close(fixture.client);
    gw_arena_done(&fixture.arena);
}

static void test_what_is_known_of_the_caller(void **state)
{
    (void)state;
    struct gw_error err;
    start((struct gw_rpc_server_options){0});
    struct gw_rpc_client *client =
        new_client((struct gw_rpc_client_options){.target = fixture.target, .bearer = "s3cret"});
    assert_string_equal(call_text(client, &fixture.arena, CALLER, "", TIMEOUT_MS, &err),
                        "ipv4:127. s3cret - loopback timed");
    gw_rpc_client_close(client);
    assert_string_equal(call(CALLER, "", &err), "ipv4:127. - - loopback timed");
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_errors_arrive_whole),
        cmocka_unit_test(test_unknown_method_is_answered),
        cmocka_unit_test(test_bytes_that_are_no_message),
        cmocka_unit_test(test_message_limit),
        cmocka_unit_test(test_hundred_at_once),
        cmocka_unit_test(test_deadline_ends_a_slow_call),
        cmocka_unit_test(test_call_too_late_is_not_run),
        cmocka_unit_test(test_too_many_calls_are_refused),
        cmocka_unit_test(test_limit_of_open_calls),
        cmocka_unit_test(test_stop_lets_calls_finish),
        cmocka_unit_test(test_what_is_known_of_the_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
