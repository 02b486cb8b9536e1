/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/method.h"

#include "common/log.h"
#include "controlplane/rpc/targets.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What stands around one method; in the table's arena, pointed at by its row's context. */
struct guard {
    struct cp_methods *table;
    const char *name;
    const char *path;
    const struct cp_method *method; /* NULL: not available in this version */
    _Atomic int64_t calls[CP_METHOD_CODES], spent_ns;
};

struct cp_methods {
    struct cp_auth *auth;               /* borrowed */
    struct cp_services *services;       /* borrowed */
    const struct cp_recorder *recorder; /* borrowed; NULL: none */
    struct gw_arena arena;
    struct gw_rpc_method *rows; /* owned */
    size_t count, capacity;
};

struct cp_methods *cp_methods_new(struct cp_auth *auth, struct cp_services *services)
{
    struct cp_methods *methods = gw_calloc(1, sizeof(*methods));
    methods->auth = auth;
    methods->services = services;
    gw_arena_init(&methods->arena, 0);
    return methods;
}

void cp_methods_record(struct cp_methods *methods, const struct cp_recorder *recorder)
{
    methods->recorder = recorder;
}

void cp_methods_free(struct cp_methods *methods)
{
    if (!methods)
        return;
    gw_arena_done(&methods->arena);
    free(methods->rows);
    free(methods);
}

void cp_methods_add(struct cp_methods *methods, const struct gw_rpc_method *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (methods->count == methods->capacity) {
            methods->capacity = methods->capacity ? 2 * methods->capacity : 64;
            methods->rows = gw_realloc(methods->rows, methods->capacity * sizeof(*methods->rows));
        }
        methods->rows[methods->count++] = rows[i];
    }
}

const struct gw_rpc_method *cp_methods_list(const struct cp_methods *methods, size_t *ret_count)
{
    *ret_count = methods->count;
    return methods->rows;
}

static const char *text_field(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    if (!field || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED)
        return NULL;
    const char *text = *(char *const *)((const char *)message + field->offset);
    return text && *text ? text : NULL;
}

/* The name of the resource that a request brings with it ("UpdateApiRequest.api.name"). */
static const char *name_inside(const ProtobufCMessage *request)
{
    const ProtobufCMessageDescriptor *type = request->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
            continue;
        const ProtobufCMessage *child =
            *(ProtobufCMessage *const *)((const char *)request + field->offset);
        const char *name = child ? text_field(child, "name") : NULL;
        if (name)
            return name;
    }
    return NULL;
}

/* The id that a Create request asks for ("api_id"). */
static const char *new_id(const ProtobufCMessage *request)
{
    const ProtobufCMessageDescriptor *type = request->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (gw_str_has_suffix(gw_str_from(type->fields[i].name), GW_STR("_id")))
            return text_field(request, type->fields[i].name);
    return NULL;
}

/* What a request is about, for the log. */
static const char *resource_of(const ProtobufCMessage *request)
{
    static const char *const fields[] = {"name", "release", "parent"};
    for (size_t i = 0; i < GW_ARRAY_LEN(fields); i++) {
        const char *text = text_field(request, fields[i]);
        if (text)
            return text;
    }
    const char *inside = name_inside(request);
    return inside ? inside : "";
}

static bool is_trial(const ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "validate_only");
    return field && field->type == PROTOBUF_C_TYPE_BOOL &&
           *(const protobuf_c_boolean *)((const char *)request + field->offset);
}

static void log_write(const struct guard *guard, const struct cp_principal *principal,
                      const ProtobufCMessage *request, const struct gw_error *err)
{
    const char *id = new_id(request);
    gw_log(GW_LOG_INFO, "admin", "write", gw_kv_text("method", guard->name),
           gw_kv_text("principal", principal->name), gw_kv_text("resource", resource_of(request)),
           gw_kv_text("id", id ? id : ""), gw_kv_bool("validate_only", is_trial(request)),
           gw_kv_error(err));
}

/* Anybody can cause these, so they are limited. */
static void log_stranger(const struct guard *guard, const struct gw_rpc_caller *caller,
                         const struct gw_error *err)
{
    static struct gw_log_limit limit;
    unsigned dropped = 0;
    if (gw_log_allow(&limit, 5, &dropped))
        gw_log(GW_LOG_WARN, "admin", "caller refused", gw_kv_text("method", guard->name),
               gw_kv_text("peer", caller->peer), gw_kv_error(err), gw_kv_int("dropped", dropped));
}

static bool is_read(const char *name)
{
    static const char *const verbs[] = {"Get", "List", "Diff", "Export", "WhoAmI"};
    for (size_t i = 0; i < GW_ARRAY_LEN(verbs); i++)
        if (gw_str_has_prefix(gw_str_from(name), gw_str_from(verbs[i])))
            return true;
    return false;
}

bool cp_view_shows(const struct cp_view *view, const char *name)
{
    return cp_may_at(view->principal, &view->action, name);
}

/* "ApiService/GetApi" */
static const char *action_name(const struct guard *guard)
{
    const char *dot = strrchr(guard->path, '.');
    return dot ? dot + 1 : guard->path;
}

/* *ret_view: what of a list may be seen; without limits NULL. */
static int check_rights(const struct guard *guard, const struct cp_principal *principal,
                        struct gw_arena *arena, const ProtobufCMessage *request,
                        struct cp_view **ret_view, struct gw_error *err)
{
    struct cp_targets targets;
    struct cp_action action = {action_name(guard), guard->method->role};
    *ret_view = NULL;
    if (cp_may_everywhere(principal, &action))
        return 0;
    cp_targets_of(arena, guard->name, request, &targets);
    if (!targets.unknown && targets.is_list_of_all && cp_may_somewhere(principal, &action)) {
        *ret_view = GW_ARENA_NEW(arena, struct cp_view);
        **ret_view = (struct cp_view){.principal = principal, .action = action};
        return 0;
    }
    return cp_check_rights(principal, &action, targets.names, targets.count, err);
}

static int run_method(const struct guard *guard, struct cp_call *call,
                      const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                      struct gw_error *err)
{
    if (!guard->method)
        return gw_fail(err, GW_UNIMPLEMENTED, "%s is not available in this version", guard->name);
    if (check_rights(guard, call->principal, call->arena, request, &call->view, err))
        return -1;
    int failed = guard->method->run(call, request, ret_reply, err);
    if (!call->view || call->view->is_kept)
        return failed;
    *ret_reply = NULL; /* more than may be seen, or an error that tells of it */
    return cp_check_rights(call->principal, &call->view->action, NULL, 0, err);
}

static int run_known(const struct guard *guard, const struct gw_rpc_caller *caller,
                     struct gw_arena *arena, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct cp_principal principal;
    if (cp_auth_identify(guard->table->auth, caller, arena, &principal, err)) {
        log_stranger(guard, caller, err);
        return -1;
    }
    struct cp_call call = {.services = guard->table->services,
                           .arena = arena,
                           .principal = &principal,
                           .deadline_ms = caller->deadline_ms};
    const struct cp_recorder *recorder = guard->table->recorder;
    if (recorder && !is_read(guard->name) && !is_trial(request))
        call.audit = recorder->begin(&call, guard->path + 1, caller->peer, request);
    int failed = run_method(guard, &call, request, ret_reply, err);
    if (call.audit)
        recorder->end(&call, failed ? err : NULL);
    if (guard->method && !is_read(guard->name))
        log_write(guard, &principal, request, err);
    return failed;
}

static void count(struct guard *guard, enum gw_code code, gw_nsec spent_ns)
{
    unsigned series = (unsigned)code < CP_METHOD_CODES ? code : GW_UNKNOWN;
    atomic_fetch_add_explicit(&guard->calls[series], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&guard->spent_ns, spent_ns, memory_order_relaxed);
}

/* gw_rpc_unary around every method of the management API. */
static int run_guarded(void *context, const struct gw_rpc_caller *caller, struct gw_arena *arena,
                       const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                       struct gw_error *err)
{
    struct guard *guard = context;
    gw_nsec begin_ns = gw_clock_monotonic_ns();
    int failed = run_known(guard, caller, arena, request, ret_reply, err);
    count(guard, failed ? err->code : GW_OK, gw_clock_monotonic_ns() - begin_ns);
    return failed;
}

bool cp_method_works(const struct gw_rpc_method *row)
{
    return row->unary != run_guarded || ((const struct guard *)row->context)->method;
}

bool cp_methods_stats(const struct gw_rpc_method *row, struct cp_method_stats *ret_stats)
{
    if (row->unary != run_guarded)
        return false;
    struct guard *guard = row->context;
    gw_str name = gw_str_from(guard->path);
    const char *dot = memrchr(name.ptr, '.', name.len);
    ret_stats->name = dot ? dot + 1 : name.ptr;
    for (unsigned i = 0; i < CP_METHOD_CODES; i++)
        ret_stats->calls[i] = atomic_load_explicit(&guard->calls[i], memory_order_relaxed);
    ret_stats->spent_ns = atomic_load_explicit(&guard->spent_ns, memory_order_relaxed);
    return true;
}

static const struct cp_method *find_method(const struct cp_service *service, const char *name)
{
    for (size_t i = 0; i < service->count; i++)
        if (strcmp(service->methods[i].name, name) == 0)
            return &service->methods[i];
    return NULL;
}

/* A row that names no method of the proto would never be called. */
static void check_rows(const struct cp_service *service)
{
    for (size_t i = 0; i < service->count; i++) {
        const struct cp_method *row = &service->methods[i];
        if (!protobuf_c_service_descriptor_get_method_by_name(service->descriptor, row->name))
            gw_panic("%s has no method %s", service->descriptor->name, row->name);
        if (row->role == CP_ROLE_NONE || !row->run)
            gw_panic("%s.%s has no role or no handler", service->descriptor->name, row->name);
    }
}

void cp_methods_add_service(struct cp_methods *methods, const struct cp_service *service)
{
    check_rows(service);
    for (unsigned i = 0; i < service->descriptor->n_methods; i++) {
        const ProtobufCMethodDescriptor *method = &service->descriptor->methods[i];
        struct guard *guard = GW_ARENA_NEW(&methods->arena, struct guard);
        guard->table = methods;
        guard->name = method->name;
        guard->method = find_method(service, method->name);
        guard->path =
            gw_arena_printf(&methods->arena, "/%s/%s", service->descriptor->name, method->name).ptr;
        struct gw_rpc_method row = {
            .path = guard->path,
            .request = method->input,
            .reply = method->output,
            .unary = run_guarded,
            .context = guard,
        };
        cp_methods_add(methods, &row, 1);
    }
}
