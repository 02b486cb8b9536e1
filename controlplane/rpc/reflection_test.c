/* SPDX-License-Identifier: Apache-2.0 */
/* Reflection as foreign clients use it, over a real server. */
#include "controlplane/rpc/reflection.h"

#include "common/rpc/fixture.h"

#include "google/protobuf/descriptor.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

#define PATH_V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define PATH_V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;
typedef Google__Protobuf__FileDescriptorProto file_proto;

static struct cp_reflection *reflection;
static struct fixture fixture;
static struct gw_rpc_reader *reader;

static void open_stream(const char *path)
{
    struct gw_error err = GW_ERROR_NONE;
    gw_rpc_reader_close(reader);
    if (gw_rpc_client_stream(fixture.client, path, NULL,
                             &grpc__reflection__v1__server_reflection_response__descriptor, &reader,
                             &err))
        fail_msg("%s", err.message);
}

static int setup(void **state)
{
    (void)state;
    reflection = cp_reflection_new();
    size_t count;
    const struct gw_rpc_method *list = cp_reflection_methods(reflection, &count);
    fixture_start(&fixture, (struct gw_rpc_server_options){0}, list, count);
    reader = NULL;
    open_stream(PATH_V1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_rpc_reader_close(reader);
    fixture_stop(&fixture);
    cp_reflection_free(reflection);
    return 0;
}

/* kind: a text request's, which share one union. */
static void ask(int kind, const char *text)
{
    struct gw_error err = GW_ERROR_NONE;
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    char host[] = "localhost";
    request.host = host;
    request.message_request_case =
        (Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase)kind;
    request.list_services = (char *)text;
    (void)!gw_rpc_reader_send(reader, &request.base, TIMEOUT_MS, &err); /* the reader tells */
}

/* The next answer; NULL with err when the stream has ended. */
static const reflection_response *hear(struct gw_error *err)
{
    ProtobufCMessage *message;
    *err = GW_ERROR_NONE;
    if (gw_rpc_reader_next(reader, &fixture.arena, TIMEOUT_MS, &message, err) <= 0)
        return NULL;
    return (const reflection_response *)(void *)message;
}

static const reflection_response *get(int kind, const char *text)
{
    struct gw_error err;
    ask(kind, text);
    const reflection_response *response = hear(&err);
    if (!response)
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(response->valid_host, "localhost");
    assert_string_equal(response->original_request->list_services, text);
    return response;
}

static bool lists(const reflection_response *response, const char *service)
{
    assert_int_equal(response->message_response_case, RESPONSE(LIST_SERVICES_RESPONSE));
    for (size_t i = 0; i < response->list_services_response->n_service; i++)
        if (strcmp(response->list_services_response->service[i]->name, service) == 0)
            return true;
    return false;
}

/* The names of the files of an answer, in its order: "a.proto b.proto". */
static const char *files_of(const reflection_response *response)
{
    assert_int_equal(response->message_response_case, RESPONSE(FILE_DESCRIPTOR_RESPONSE));
    gw_str text = GW_STR("");
    for (size_t i = 0; i < response->file_descriptor_response->n_file_descriptor_proto; i++) {
        ProtobufCBinaryData data = response->file_descriptor_response->file_descriptor_proto[i];
        ProtobufCMessage *file;
        struct gw_error err;
        assert_int_equal(
            gw_message_unpack(&fixture.arena, &google__protobuf__file_descriptor_proto__descriptor,
                              gw_str_n((const char *)data.data, data.len), &file, &err),
            0);
        text = gw_arena_printf(&fixture.arena, "%.*s%s%s", GW_STR_ARG(text), i ? " " : "",
                               ((file_proto *)(void *)file)->name);
    }
    return text.ptr;
}

static void both_versions_list_our_services(void **state)
{
    (void)state;
    static const char *const paths[] = {PATH_V1, PATH_V1ALPHA};
    for (size_t i = 0; i < GW_ARRAY_LEN(paths); i++) {
        open_stream(paths[i]);
        const reflection_response *response = get(REQUEST(LIST_SERVICES), "");
        assert_true(lists(response, "penstock.admin.v1.ApiService"));
        assert_true(lists(response, "penstock.agent.v1.AgentService"));
        assert_true(lists(response, "grpc.health.v1.Health"));
        assert_true(lists(response, "grpc.reflection.v1.ServerReflection"));
        assert_false(lists(response, "penstock.admin.v1.Api"));
    }
}

static void files_come_with_what_they_import(void **state)
{
    (void)state;
    static const char expected[] =
        "penstock/admin/v1/agent.proto google/protobuf/duration.proto "
        "google/protobuf/timestamp.proto penstock/admin/v1/publication.proto";
    const char *files = files_of(get(REQUEST(FILE_BY_FILENAME), "penstock/admin/v1/agent.proto"));
    if (strncmp(files, expected, sizeof(expected) - 1) != 0)
        fail_msg("%s", files);
    /* Each once, however many import it. */
    const char *first = strstr(files, "google/protobuf/timestamp.proto");
    assert_null(strstr(first + 1, "google/protobuf/timestamp.proto"));
}

static void symbols_of_every_kind_are_found(void **state)
{
    (void)state;
    static const char *const symbols[] = {
        "penstock.admin.v1.AgentService",
        "penstock.admin.v1.AgentService.GetAgent",
        "penstock.admin.v1.Agent",
        "penstock.admin.v1.Agent.LabelsEntry",
        "penstock.admin.v1.Agent.applied_revision",
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(symbols); i++) {
        const char *files = files_of(get(REQUEST(FILE_CONTAINING_SYMBOL), symbols[i]));
        assert_int_equal(strncmp(files, "penstock/admin/v1/agent.proto ", 30), 0);
    }
    const char *files = files_of(get(REQUEST(FILE_CONTAINING_SYMBOL), "google.protobuf.Timestamp"));
    assert_string_equal(files, "google/protobuf/timestamp.proto");
}

static void what_is_not_there_is_an_answer(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *text;
    } cases[] = {
        {REQUEST(FILE_BY_FILENAME), "penstock/none.proto"},
        {REQUEST(FILE_BY_FILENAME), ""},
        {REQUEST(FILE_CONTAINING_SYMBOL), "penstock.admin.v1"},
        {REQUEST(FILE_CONTAINING_SYMBOL), "penstock.admin.v1.Agent.none"},
        {REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "penstock.None"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++) {
        const reflection_response *response = get(cases[i].kind, cases[i].text);
        assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
        assert_int_equal(response->error_response->error_code, GW_NOT_FOUND);
    }
}

static void there_are_no_extensions(void **state)
{
    (void)state;
    const reflection_response *response =
        get(REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE), "penstock.admin.v1.Agent");
    assert_int_equal(response->message_response_case, RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_int_equal(response->all_extension_numbers_response->n_extension_number, 0);

    Grpc__Reflection__V1__ExtensionRequest extension =
        GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    char type[] = "penstock.admin.v1.Agent";
    extension.containing_type = type;
    extension.extension_number = 1000;
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = REQUEST(FILE_CONTAINING_EXTENSION);
    request.file_containing_extension = &extension;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(gw_rpc_reader_send(reader, &request.base, TIMEOUT_MS, &err), 0);
    response = hear(&err);
    assert_non_null(response);
    assert_int_equal(response->error_response->error_code, GW_NOT_FOUND);
}

static void an_empty_request_is_told(void **state)
{
    (void)state;
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    struct gw_error err = GW_ERROR_NONE;
    assert_int_equal(gw_rpc_reader_send(reader, &request.base, TIMEOUT_MS, &err), 0);
    const reflection_response *response = hear(&err);
    assert_non_null(response);
    assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
    assert_int_equal(response->error_response->error_code, GW_INVALID_ARGUMENT);
}

/* Asked in one go, answered in order; the end comes after the last answer. */
static void requests_wait_for_their_turn(void **state)
{
    (void)state;
    enum { ASKED = 20 };
    struct gw_error err;
    char name[32];
    for (int i = 0; i < ASKED; i++) {
        snprintf(name, sizeof(name), "none.%d", i);
        ask(REQUEST(FILE_CONTAINING_SYMBOL), name);
    }
    gw_rpc_reader_half_close(reader);
    for (int i = 0; i < ASKED; i++) {
        snprintf(name, sizeof(name), "none.%d", i);
        const reflection_response *response = hear(&err);
        assert_non_null(response);
        assert_string_equal(response->original_request->file_containing_symbol, name);
    }
    assert_null(hear(&err));
    assert_int_equal(err.code, GW_OK);
}

/* A client that asks and does not listen: what waits for it is bounded. */
static void who_only_asks_is_sent_away(void **state)
{
    (void)state;
    struct gw_error err = GW_ERROR_NONE;
    reflection_request request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    char name[] = "penstock.admin.v1.ApiService"; /* a large answer: flow control holds it back */
    request.message_request_case = REQUEST(FILE_CONTAINING_SYMBOL);
    request.file_containing_symbol = name;
    /* Until nothing is taken any more. The end cannot be seen before what came ahead of it is read,
     * so a client that does not read runs into its time-out instead. */
    while (!gw_rpc_reader_send(reader, &request.base, 1000, &err))
        ;
    while (hear(&err))
        ;
    assert_int_equal(err.code, GW_RESOURCE_EXHAUSTED);
}

static void long_names_end_the_stream(void **state)
{
    (void)state;
    static const int kinds[] = {REQUEST(FILE_BY_FILENAME), REQUEST(FILE_CONTAINING_SYMBOL),
                                REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE)};
    char name[CP_REFLECTION_NAME_MAX + 2];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++) {
        struct gw_error err;
        ask(kinds[i], name);
        assert_null(hear(&err));
        assert_int_equal(err.code, GW_INVALID_ARGUMENT);
        open_stream(PATH_V1);
    }
    name[CP_REFLECTION_NAME_MAX] = '\0'; /* as long as it may be */
    const reflection_response *response = get(REQUEST(FILE_BY_FILENAME), name);
    assert_int_equal(response->message_response_case, RESPONSE(ERROR_RESPONSE));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(both_versions_list_our_services), TEST(files_come_with_what_they_import),
        TEST(symbols_of_every_kind_are_found), TEST(what_is_not_there_is_an_answer),
        TEST(there_are_no_extensions),         TEST(an_empty_request_is_told),
        TEST(requests_wait_for_their_turn),    TEST(who_only_asks_is_sent_away),
        TEST(long_names_end_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
