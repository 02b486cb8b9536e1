/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/reflection.h"

#include "common/list.h"
#include "controlplane/rpc/descriptors.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

#include <stdlib.h>

#define REQUEST(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define RESPONSE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;
typedef Grpc__Reflection__V1__ListServiceResponse list_response;
typedef Grpc__Reflection__V1__ServiceResponse service_response;
typedef Grpc__Reflection__V1__FileDescriptorResponse file_response;
typedef Grpc__Reflection__V1__ExtensionNumberResponse extension_response;
typedef Grpc__Reflection__V1__ErrorResponse error_response;

struct cp_reflection {
    struct gw_rpc_method methods[2];
    struct cp_descriptors *descriptors; /* owned */
};

/* A request that waits. */
struct waiting {
    struct gw_list link;
    struct gw_arena arena;
    const reflection_request *request; /* in the arena */
};

/* One stream; event thread only. */
struct session {
    const struct cp_descriptors *descriptors;
    struct gw_list waiting;
    unsigned waiting_count;
    bool is_sending, is_half_closed;
};

static void set_error(struct gw_arena *arena, reflection_response *response, enum gw_code code,
                      const char *what, const char *name)
{
    error_response *error = GW_ARENA_NEW(arena, error_response);
    grpc__reflection__v1__error_response__init(error);
    error->error_code = (int32_t)code;
    error->error_message = (char *)gw_arena_printf(arena, "%s: %s", what, name).ptr;
    response->message_response_case = RESPONSE(ERROR_RESPONSE);
    response->error_response = error;
}

static void list_services(const struct cp_descriptors *descriptors, struct gw_arena *arena,
                          reflection_response *response)
{
    list_response *list = GW_ARENA_NEW(arena, list_response);
    grpc__reflection__v1__list_service_response__init(list);
    list->service = GW_ARENA_ARRAY(arena, service_response *, descriptors->service_count);
    for (size_t i = 0; i < descriptors->service_count; i++) {
        service_response *service = GW_ARENA_NEW(arena, service_response);
        grpc__reflection__v1__service_response__init(service);
        service->name = (char *)descriptors->services[i];
        list->service[list->n_service++] = service;
    }
    response->message_response_case = RESPONSE(LIST_SERVICES_RESPONSE);
    response->list_services_response = list;
}

static bool has_file(const file_response *files, const struct cp_proto_file *file)
{
    for (size_t i = 0; i < files->n_file_descriptor_proto; i++)
        if (files->file_descriptor_proto[i].data == (const uint8_t *)file->bytes.ptr)
            return true;
    return false;
}

/* The file first, then what it imports, each once; as deep as our imports go. */
static void add_files(file_response *files, const struct cp_proto_file *file)
{
    if (has_file(files, file))
        return;
    files->file_descriptor_proto[files->n_file_descriptor_proto++] =
        (ProtobufCBinaryData){file->bytes.len, (uint8_t *)file->bytes.ptr};
    for (size_t i = 0; i < file->import_count; i++)
        add_files(files, file->imports[i]);
}

static void set_files(const struct cp_descriptors *descriptors, const struct cp_proto_file *file,
                      struct gw_arena *arena, reflection_response *response)
{
    file_response *files = GW_ARENA_NEW(arena, file_response);
    grpc__reflection__v1__file_descriptor_response__init(files);
    files->file_descriptor_proto =
        GW_ARENA_ARRAY(arena, ProtobufCBinaryData, descriptors->file_count);
    add_files(files, file);
    response->message_response_case = RESPONSE(FILE_DESCRIPTOR_RESPONSE);
    response->file_descriptor_response = files;
}

static void find_file(const struct cp_descriptors *descriptors, const struct gw_map *in,
                      const char *name, struct gw_arena *arena, reflection_response *response)
{
    const struct cp_proto_file *file = gw_map_get(in, gw_str_from(name));
    if (file)
        set_files(descriptors, file, arena, response);
    else
        set_error(arena, response, GW_NOT_FOUND, "not found", name);
}

/* Our protos have no extensions. */
static void list_extensions(const struct cp_descriptors *descriptors, const char *type,
                            struct gw_arena *arena, reflection_response *response)
{
    if (!gw_map_get(&descriptors->symbols, gw_str_from(type))) {
        set_error(arena, response, GW_NOT_FOUND, "not found", type);
        return;
    }
    extension_response *numbers = GW_ARENA_NEW(arena, extension_response);
    grpc__reflection__v1__extension_number_response__init(numbers);
    numbers->base_type_name = (char *)type;
    response->message_response_case = RESPONSE(ALL_EXTENSION_NUMBERS_RESPONSE);
    response->all_extension_numbers_response = numbers;
}

static void fill_response(const struct cp_descriptors *descriptors,
                          const reflection_request *request, struct gw_arena *arena,
                          reflection_response *response)
{
    switch ((int)request->message_request_case) {
    case REQUEST(LIST_SERVICES):
        list_services(descriptors, arena, response);
        return;
    case REQUEST(FILE_BY_FILENAME):
        find_file(descriptors, &descriptors->files, request->file_by_filename, arena, response);
        return;
    case REQUEST(FILE_CONTAINING_SYMBOL):
        find_file(descriptors, &descriptors->symbols, request->file_containing_symbol, arena,
                  response);
        return;
    case REQUEST(FILE_CONTAINING_EXTENSION):
        set_error(arena, response, GW_NOT_FOUND, "no extensions of",
                  request->file_containing_extension->containing_type);
        return;
    case REQUEST(ALL_EXTENSION_NUMBERS_OF_TYPE):
        list_extensions(descriptors, request->all_extension_numbers_of_type, arena, response);
        return;
    default:
        set_error(arena, response, GW_INVALID_ARGUMENT, "message_request", "not set");
    }
}

static void answer(struct gw_rpc_stream *stream, const reflection_request *request)
{
    struct session *session = gw_rpc_stream_user(stream);
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = (reflection_request *)request;
    fill_response(session->descriptors, request, &arena, &response);
    session->is_sending = gw_rpc_stream_send(stream, &response.base);
}

static bool is_too_long(const char *text)
{
    return strnlen(text, CP_REFLECTION_NAME_MAX + 1) > CP_REFLECTION_NAME_MAX;
}

static bool has_long_name(const reflection_request *request)
{
    if (is_too_long(request->host))
        return true;
    switch ((int)request->message_request_case) {
    case REQUEST(FILE_CONTAINING_EXTENSION):
        return is_too_long(request->file_containing_extension->containing_type);
    case 0:
        return false;
    default: /* the others are a text each, in one union */
        return is_too_long(request->list_services);
    }
}

static void fail_stream(struct gw_rpc_stream *stream, enum gw_code code, const char *message)
{
    struct gw_error err;
    (void)gw_fail(&err, code, "%s", message);
    gw_rpc_stream_finish(stream, &err);
}

static void wait_turn(struct gw_rpc_stream *stream, const ProtobufCMessage *request)
{
    struct session *session = gw_rpc_stream_user(stream);
    if (session->waiting_count == CP_REFLECTION_WAITING_MAX) {
        fail_stream(stream, GW_RESOURCE_EXHAUSTED, "too many requests wait for their answers");
        return;
    }
    struct waiting *waiting = gw_calloc(1, sizeof(*waiting));
    gw_arena_init(&waiting->arena, 0);
    waiting->request = (const reflection_request *)gw_message_copy(&waiting->arena, request);
    gw_list_push(&session->waiting, &waiting->link);
    session->waiting_count++;
}

static void drop(struct session *session, struct waiting *waiting)
{
    gw_list_remove(&waiting->link);
    session->waiting_count--;
    gw_arena_done(&waiting->arena);
    free(waiting);
}

static void on_message(struct gw_rpc_stream *stream, const ProtobufCMessage *message)
{
    struct session *session = gw_rpc_stream_user(stream);
    const reflection_request *request = (const reflection_request *)message;
    if (has_long_name(request))
        fail_stream(stream, GW_INVALID_ARGUMENT, "a name of more than 1024 bytes");
    else if (session->is_sending)
        wait_turn(stream, message);
    else
        answer(stream, request);
}

static void go_on(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    if (session->is_sending)
        return;
    if (session->waiting_count) {
        struct waiting *first = gw_container_of(session->waiting.next, struct waiting, link);
        answer(stream, first->request);
        drop(session, first);
    } else if (session->is_half_closed) {
        gw_rpc_stream_finish(stream, NULL);
    }
}

static void on_half_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->is_half_closed = true;
    go_on(stream);
}

static void on_writable(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    session->is_sending = false;
    go_on(stream);
}

static int on_open(void *context, struct gw_rpc_stream *stream, struct gw_error *err)
{
    (void)err;
    const struct cp_reflection *reflection = context;
    struct session *session = gw_calloc(1, sizeof(*session));
    session->descriptors = reflection->descriptors;
    gw_list_init(&session->waiting);
    gw_rpc_stream_set_user(stream, session);
    return 0;
}

static void on_close(struct gw_rpc_stream *stream)
{
    struct session *session = gw_rpc_stream_user(stream);
    gw_list_each(&session->waiting, it) drop(session, gw_container_of(it, struct waiting, link));
    free(session);
}

static const struct gw_rpc_stream_events events = {on_open, on_message, on_half_close, on_writable,
                                                   on_close};

struct cp_reflection *cp_reflection_new(void)
{
    struct cp_reflection *reflection = gw_calloc(1, sizeof(*reflection));
    reflection->descriptors = cp_descriptors_new_own();
    struct gw_rpc_method row = {
        .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        .request = &grpc__reflection__v1__server_reflection_request__descriptor,
        .reply = &grpc__reflection__v1__server_reflection_response__descriptor,
        .stream = &events,
        .context = reflection};
    reflection->methods[0] = reflection->methods[1] = row;
    reflection->methods[1].path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    return reflection;
}

void cp_reflection_free(struct cp_reflection *reflection)
{
    if (!reflection)
        return;
    cp_descriptors_free(reflection->descriptors);
    free(reflection);
}

const struct gw_rpc_method *cp_reflection_methods(const struct cp_reflection *reflection,
                                                  size_t *ret_count)
{
    *ret_count = GW_ARRAY_LEN(reflection->methods);
    return reflection->methods;
}
