/* SPDX-License-Identifier: Apache-2.0 */
/* The guard around methods, over a real server, with an imitation of a service. */
#include "controlplane/rpc/method.h"

#include "common/rpc/fixture.h"
#include "controlplane/model/types.h"

#include <unistd.h>

#define SERVICE "/penstock.admin.v1.EnvironmentService/"

/* What the handlers were called with; under the lock, which TSan sees and the core's it does not.
 */
struct seen {
    const struct cp_services *services;
    char principal[CP_PRINCIPAL_NAME_MAX];
    enum cp_role role;
    bool has_deadline;
    unsigned calls;
};
static struct seen seen_last;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

static struct seen seen(void)
{
    pthread_mutex_lock(&seen_lock);
    struct seen copy = seen_last;
    pthread_mutex_unlock(&seen_lock);
    return copy;
}

static void see(const struct cp_call *call)
{
    pthread_mutex_lock(&seen_lock);
    seen_last.services = call->services;
    seen_last.role = call->principal->role;
    memcpy(seen_last.principal, call->principal->name, sizeof(seen_last.principal));
    seen_last.has_deadline = call->deadline_ms < INT64_MAX;
    seen_last.calls++;
    pthread_mutex_unlock(&seen_lock);
}

static int get(const struct cp_call *call, const ProtobufCMessage *request,
               ProtobufCMessage **ret_reply, struct gw_error *err)
{
    see(call);
    const char *name = ((const Penstock__Admin__V1__GetEnvironmentRequest *)request)->name;
    if (strcmp(name, "environments/none") == 0)
        return gw_fail(err, GW_NOT_FOUND, "no %s", name);
    cp_environment *environment =
        (cp_environment *)(void *)gw_message_new(call->arena, CP_TYPE(environment));
    environment->name = gw_arena_strdup(call->arena, name);
    *ret_reply = &environment->base;
    return 0;
}

static int delete (const struct cp_call *call, const ProtobufCMessage *request,
                   ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)request;
    (void)err;
    see(call);
    *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
    return 0;
}

static int list(const struct cp_call *call, const ProtobufCMessage *request,
                ProtobufCMessage **ret_reply, struct gw_error *err)
{
    (void)request;
    (void)err;
    *ret_reply = gw_message_new(call->arena, CP_TYPE(list_environments_response));
    return 0;
}

static const struct cp_method rows[] = {{"GetEnvironment", CP_ROLE_VIEWER, get},
                                        {"ListEnvironments", CP_ROLE_VIEWER, list},
                                        {"DeleteEnvironment", CP_ROLE_ADMINISTRATOR, delete}};
static const struct cp_service service = {&penstock__admin__v1__environment_service__descriptor,
                                          rows, GW_ARRAY_LEN(rows)};

/* SHA-256 of "viewer", of "admin" and of "limited" */
static const char credentials[] =
    "{\"tokens\": ["
    "{\"sha256\": \"d35ca5051b82ffc326a3b0b6574a9a3161dee16b9478a199ee39cd803ce5b799\","
    " \"principal\": \"vic\", \"role\": \"viewer\"},"
    "{\"sha256\": \"8c6976e5b5410415bde908bd4dee15dfb167a9c873fc4bb8a81f6f2ab448a918\","
    " \"principal\": \"ada\", \"role\": \"administrator\"},"
    "{\"sha256\": \"7b508dace774f8adc1b121c1812b740904be6dfd37e3b5e3579bc81fbf6f5553\","
    " \"principal\": \"lim\", \"role\": \"administrator\","
    " \"limits\": [\"environments/TEST\"]}]}";

static char file[] = "/tmp/penstock-method-XXXXXX";
static struct cp_auth *auth;
static struct cp_methods *methods;
static struct fixture fixture;
static int services; /* something to point at */

static int setup(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    snprintf(file, sizeof(file), "/tmp/penstock-method-XXXXXX");
    int fd = mkstemp(file);
    assert_int_equal(write(fd, credentials, sizeof(credentials) - 1), sizeof(credentials) - 1);
    close(fd);
    if (cp_auth_new(file, &auth, &err))
        fail_msg("%s", err.message);
    methods = cp_methods_new(auth, (struct cp_services *)(void *)&services);
    cp_methods_add_service(methods, &service);
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(methods, &count);
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, list, count);
    memset(&seen_last, 0, sizeof(seen_last));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_stop(&fixture);
    cp_methods_free(methods);
    cp_auth_free(auth);
    return unlink(file);
}

/* token NULL: none. Returns the code; *ret_err says more. */
static enum gw_code call(const char *token, const char *method, const char *name,
                         struct gw_error *ret_err)
{
    struct gw_rpc_client *client =
        new_client((struct gw_rpc_client_options){.target = fixture.target, .bearer = token});
    char path[128];
    snprintf(path, sizeof(path), SERVICE "%s", method);
    Penstock__Admin__V1__GetEnvironmentRequest request = CP_INIT(GET_ENVIRONMENT_REQUEST);
    request.name = (char *)name; /* all requests here have it as their first field */
    Penstock__Admin__V1__ListEnvironmentsRequest all = CP_INIT(LIST_ENVIRONMENTS_REQUEST);
    const ProtobufCMessageDescriptor *reply_type = strcmp(method, "DeleteEnvironment") == 0
                                                       ? &google__protobuf__empty__descriptor
                                                       : CP_TYPE(environment);
    bool is_list = strcmp(method, "ListEnvironments") == 0;
    ProtobufCMessage *reply;
    *ret_err = GW_ERROR_NONE;
    int failed = gw_rpc_client_call(
        client, &fixture.arena, path, is_list ? &all.base : &request.base,
        is_list ? CP_TYPE(list_environments_response) : reply_type, TIMEOUT_MS, &reply, ret_err);
    gw_rpc_client_close(client);
    return failed ? ret_err->code : GW_OK;
}

static void a_handler_knows_its_caller(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("viewer", "GetEnvironment", "environments/a", &err), GW_OK);
    assert_ptr_equal(seen().services, &services);
    assert_string_equal(seen().principal, "vic");
    assert_int_equal(seen().role, CP_ROLE_VIEWER);
    assert_true(seen().has_deadline);
    assert_int_equal(call("admin", "DeleteEnvironment", "environments/a", &err), GW_OK);
    assert_string_equal(seen().principal, "ada");
}

static void strangers_reach_no_handler(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call(NULL, "GetEnvironment", "environments/a", &err), GW_UNAUTHENTICATED);
    assert_int_equal(call("guess", "GetEnvironment", "environments/a", &err), GW_UNAUTHENTICATED);
    /* They do not learn what is there, either. */
    assert_int_equal(call("guess", "CreateEnvironment", "", &err), GW_UNAUTHENTICATED);
    assert_int_equal(seen().calls, 0);
}

static void a_role_is_needed(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("viewer", "DeleteEnvironment", "environments/a", &err),
                     GW_PERMISSION_DENIED);
    assert_string_equal(err.message,
                        "DeleteEnvironment needs the role administrator, and vic is viewer");
    assert_int_equal(seen().calls, 0);
}

static void limits_hold_before_the_handler(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("limited", "GetEnvironment", "environments/TEST", &err), GW_OK);
    assert_int_equal(call("limited", "DeleteEnvironment", "environments/TEST", &err), GW_OK);
    unsigned calls = seen().calls;
    assert_int_equal(call("limited", "DeleteEnvironment", "environments/PROD", &err),
                     GW_PERMISSION_DENIED);
    assert_string_equal(err.message, "lim may EnvironmentService/DeleteEnvironment only in "
                                     "environments/TEST, not in environments/PROD");
    assert_string_equal(err.reason, "OUTSIDE_OF_LIMITS");
    assert_int_equal(call("limited", "DeleteEnvironment", "", &err), GW_PERMISSION_DENIED);
    assert_int_equal(seen().calls, calls);
}

/* A handler that shows everything is not believed. */
static void lists_that_keep_no_limits_are_refused(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("viewer", "ListEnvironments", "", &err), GW_OK);
    assert_int_equal(call("limited", "ListEnvironments", "", &err), GW_PERMISSION_DENIED);
    assert_string_equal(err.message, "lim may EnvironmentService/ListEnvironments only in "
                                     "environments/TEST, not everywhere");
}

static void methods_without_a_row_are_unimplemented(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("admin", "CreateEnvironment", "", &err), GW_UNIMPLEMENTED);
    assert_string_equal(err.message, "CreateEnvironment is not available in this version");
}

static void errors_of_handlers_come_through(void **state)
{
    (void)state;
    struct gw_error err;
    assert_int_equal(call("viewer", "GetEnvironment", "environments/none", &err), GW_NOT_FOUND);
    assert_string_equal(err.message, "no environments/none");
}

static struct cp_method_stats stats(const char *name)
{
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(methods, &count);
    struct cp_method_stats found;
    for (size_t i = 0; i < count; i++)
        if (cp_methods_stats(&list[i], &found) && strcmp(found.name, name) == 0)
            return found;
    fail_msg("%s is not in the list", name);
    return found;
}

static void calls_are_counted_by_code(void **state)
{
    (void)state;
    struct gw_error err;
    for (int i = 0; i < 3; i++)
        assert_int_equal(call("viewer", "GetEnvironment", "environments/a", &err), GW_OK);
    assert_int_equal(call("viewer", "GetEnvironment", "environments/none", &err), GW_NOT_FOUND);
    assert_int_equal(call(NULL, "GetEnvironment", "environments/a", &err), GW_UNAUTHENTICATED);
    assert_int_equal(call("admin", "CreateEnvironment", "", &err), GW_UNIMPLEMENTED);
    struct cp_method_stats got = stats("EnvironmentService/GetEnvironment");
    assert_int_equal(got.calls[GW_OK], 3);
    assert_int_equal(got.calls[GW_NOT_FOUND], 1);
    assert_int_equal(got.calls[GW_UNAUTHENTICATED], 1);
    assert_true(got.spent_ns > 0);
    assert_int_equal(stats("EnvironmentService/CreateEnvironment").calls[GW_UNIMPLEMENTED], 1);
    assert_int_equal(stats("EnvironmentService/ListEnvironments").calls[GW_OK], 0);
}

/* What the recorder was told; under the lock. */
static struct {
    unsigned begun;
    char method[128];
    bool has_peer;
    enum gw_code ended[8];
    unsigned ended_count;
} told;

static struct cp_audit *begin_record(const struct cp_call *call, const char *method,
                                     const char *peer, const ProtobufCMessage *request)
{
    (void)request;
    pthread_mutex_lock(&seen_lock);
    told.begun++;
    snprintf(told.method, sizeof(told.method), "%s", method);
    told.has_peer = strstr(peer, "127.0.0.1") != NULL;
    pthread_mutex_unlock(&seen_lock);
    return gw_arena_alloc(call->arena, 1);
}

static void end_record(const struct cp_call *call, const struct gw_error *err)
{
    pthread_mutex_lock(&seen_lock);
    if (call->audit)
        told.ended[told.ended_count++] = err ? err->code : GW_OK;
    pthread_mutex_unlock(&seen_lock);
}

static void writes_are_recorded_and_reads_are_not(void **state)
{
    (void)state;
    struct gw_error err;
    static const struct cp_recorder recorder = {begin_record, end_record};
    cp_methods_record(methods, &recorder);
    assert_int_equal(call("viewer", "GetEnvironment", "environments/a", &err), GW_OK);
    assert_int_equal(call(NULL, "DeleteEnvironment", "environments/a", &err), GW_UNAUTHENTICATED);
    assert_int_equal(call("viewer", "DeleteEnvironment", "environments/a", &err),
                     GW_PERMISSION_DENIED);
    assert_int_equal(call("admin", "DeleteEnvironment", "environments/a", &err), GW_OK);
    pthread_mutex_lock(&seen_lock);
    assert_int_equal(told.begun, 2);
    assert_string_equal(told.method, "penstock.admin.v1.EnvironmentService/DeleteEnvironment");
    assert_true(told.has_peer);
    assert_int_equal(told.ended_count, 2);
    assert_int_equal(told.ended[0], GW_PERMISSION_DENIED);
    assert_int_equal(told.ended[1], GW_OK);
    pthread_mutex_unlock(&seen_lock);
}

static void unguarded_methods_are_passed_on(void **state)
{
    (void)state;
    struct gw_rpc_method row = {.path = "/x.Y/Z"};
    struct cp_method_stats found;
    struct cp_methods *own = cp_methods_new(auth, NULL);
    cp_methods_add(own, &row, 1);
    size_t count;
    const struct gw_rpc_method *list = cp_methods_list(own, &count);
    assert_int_equal(count, 1);
    assert_string_equal(list[0].path, "/x.Y/Z");
    assert_false(cp_methods_stats(&list[0], &found));
    cp_methods_free(own);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_handler_knows_its_caller),
        TEST(strangers_reach_no_handler),
        TEST(a_role_is_needed),
        TEST(limits_hold_before_the_handler),
        TEST(lists_that_keep_no_limits_are_refused),
        TEST(methods_without_a_row_are_unimplemented),
        TEST(errors_of_handlers_come_through),
        TEST(calls_are_counted_by_code),
        TEST(writes_are_recorded_and_reads_are_not),
        TEST(unguarded_methods_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
