/* SPDX-License-Identifier: Apache-2.0 */
/* ImportOpenApi: one draft after the other, a transaction each, by what CreateApi and UpdateApi
 * check. An API is the one it was when it has the same method, path and match mode. */
#include "common/log.h"
#include "common/map.h"
#include "common/message.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/check_path.h"
#include "controlplane/openapi/openapi.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/openapi.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#include <stdio.h>

#define ID_TRIES_MAX 1000
#define TITLE_MAX 255        /* bytes of a group's display_name */
#define DESCRIPTION_MAX 1000 /* bytes of a group's description */

typedef cp_import_request import_request;
typedef cp_import_reply import_reply;
typedef Penstock__Admin__V1__CreateApiRequest create_request;
typedef Penstock__Admin__V1__UpdateApiRequest update_request;
typedef Penstock__Admin__V1__CreateApiGroupRequest group_request;
typedef struct cp_openapi_operation operation;

/* One import. The maps' values are APIs of the group, borrowed from the arena. */
struct job {
    const struct cp_call *call;
    const import_request *asked;
    bool has_group; /* else it is only to be looked at */
    struct gw_map by_id, by_route;
    struct gw_map seen; /* method and path in the document -> operation */
    import_reply *reply;
};

/* ---- what is there */

static gw_str route_of(struct gw_arena *arena, const cp_frontend *frontend)
{
    bool is_prefix = frontend->match_mode == CP_ENUM(MATCH_MODE, PREFIX);
    gw_str shape = cp_path_shape(arena, frontend->path, is_prefix);
    return gw_arena_printf(arena, "%d %.*s", (int)frontend->method, GW_STR_ARG(shape));
}

static int visit_api(void *arg, const char *name, const struct cp_stored *stored,
                     struct gw_error *err)
{
    struct job *job = arg;
    cp_api *api = (cp_api *)stored->message;
    (void)err;
    cp_set_etag(job->call->arena, stored->message, stored->mod_revision);
    gw_map_put(&job->by_id, gw_str_from(cp_name_last(name)), api);
    if (!api->frontend)
        return 0;
    gw_str route = route_of(job->call->arena, api->frontend);
    if (!gw_map_get(&job->by_route, route)) /* drafts may share one: the first by name */
        gw_map_put(&job->by_route, route, api);
    return 0;
}

/* At most so many bytes, of whole characters. */
static char *head_of(struct gw_arena *arena, const char *text, size_t max)
{
    size_t len = GW_MIN(strlen(text), max);
    while (text[len] && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return (char *)(uintptr_t)gw_arena_dup(arena, gw_str_n(text, len)).ptr;
}

/* The right to import is not the right to make groups. */
static int check_may_create(const struct job *job, struct gw_error *err)
{
    size_t i = 0;
    while (cp_bundle_kinds[i].rules != &cp_group_rules)
        i++;
    return cp_bundle_check(job->call, &cp_bundle_kinds[i], "Create", job->asked->parent, err);
}

static int create_group(struct job *job, const struct cp_openapi *document, struct gw_error *err)
{
    struct gw_arena *arena = job->call->arena;
    group_request request = CP_INIT(CREATE_API_GROUP_REQUEST);
    cp_api_group group = CP_INIT(API_GROUP);
    ProtobufCMessage *reply;
    if (check_may_create(job, err) < 0)
        return -1;
    request.group = &group;
    request.group_id = (char *)(uintptr_t)cp_name_last(job->asked->parent);
    request.validate_only = job->asked->validate_only;
    if (strlen(document->title) >= 3)
        group.display_name = head_of(arena, document->title, TITLE_MAX);
    group.description = head_of(arena, document->description, DESCRIPTION_MAX);
    if (cp_resource_create(job->call, &cp_group_rules, &request.base, &reply, err) < 0)
        return -1;
    job->has_group = !request.validate_only;
    return 0;
}

static int find_group(struct job *job, const struct cp_openapi *document, struct gw_error *err)
{
    struct cp_stored group, environment;
    if (*job->asked->environment &&
        cp_get(job->call, CP_KIND_ENVIRONMENT, job->asked->environment, &environment, err) < 0)
        return -1;
    if (cp_find(job->call, CP_KIND_GROUP, job->asked->parent, &group, err) < 0)
        return -1;
    job->has_group = group.message != NULL;
    if (!job->has_group && job->asked->create_group)
        return create_group(job, document, err);
    if (!job->has_group)
        return gw_fail(err, GW_NOT_FOUND, "%s does not exist", job->asked->parent);
    return cp_each(job->call, CP_KIND_API, job->asked->parent, visit_api, job, err);
}

/* ---- what an operation becomes */

/* The definition alone, as it is stored. */
static gw_str definition_of(struct gw_arena *arena, const cp_api *api)
{
    cp_api *copy = (cp_api *)gw_message_copy(arena, &api->base);
    static char nothing[] = "";
    copy->create_time = copy->update_time = NULL;
    copy->etag = nothing;
    copy->n_publications = 0;
    cp_fill_api(arena, copy);
    return gw_message_pack(arena, &copy->base);
}

/* What the document says nothing of stays. */
static void keep_rest(const operation *op, cp_api *api, const cp_api *before)
{
    if (!op->says_backend) {
        api->backend = before->backend;
        api->n_backend_parameters = before->n_backend_parameters;
        api->backend_parameters = before->backend_parameters;
    }
    if (!op->says_authentication)
        api->authentication = before->authentication;
    if (api->n_labels == 0) {
        api->n_labels = before->n_labels;
        api->labels = before->labels;
    }
    if (!*api->version)
        api->version = before->version;
    if (!*api->display_name)
        api->display_name = before->display_name;
}

/* The id that the document wants; of those that are made of paths or come twice, one that is free.
 */
static char *free_id(struct job *job, const char *wanted)
{
    struct gw_arena *arena = job->call->arena;
    char *id = gw_arena_strdup(arena, wanted);
    for (unsigned i = 2; gw_map_get(&job->by_id, gw_str_from(id)) && i < ID_TRIES_MAX; i++)
        id = (char *)(uintptr_t)gw_arena_printf(arena, "%.58s-%u", wanted, i).ptr;
    return id;
}

static int create(struct job *job, operation *op, char **ret_name, struct gw_error *err)
{
    create_request request = CP_INIT(CREATE_API_REQUEST);
    ProtobufCMessage *reply;
    cp_api *api = op->api;
    struct gw_arena *arena = job->call->arena;
    request.parent = job->asked->parent;
    request.api_id = free_id(job, op->id);
    request.api = api;
    request.validate_only = job->asked->validate_only;
    *ret_name =
        (char *)(uintptr_t)gw_arena_printf(arena, "%s/apis/%s", request.parent, request.api_id).ptr;
    if (job->has_group) {
        if (cp_resource_create(job->call, &cp_api_rules, &request.base, &reply, err) < 0)
            return -1;
    } else { /* nothing is there that it could be at odds with */
        api->name = *ret_name;
        if (cp_check_api(api, err) < 0)
            return -1;
    }
    gw_map_put(&job->by_id, gw_str_from(request.api_id), api);
    return 0;
}

/* Nobody's change of meanwhile is written over: ABORTED. */
static int update(struct job *job, cp_api *api, const cp_api *before, struct gw_error *err)
{
    static char all[] = "*";
    char *paths[] = {all};
    cp_field_mask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    update_request request = CP_INIT(UPDATE_API_REQUEST);
    ProtobufCMessage *reply;
    mask.paths = paths;
    mask.n_paths = 1;
    api->etag = before->etag;
    request.api = api;
    request.update_mask = &mask;
    request.validate_only = job->asked->validate_only;
    return cp_resource_update(job->call, &cp_api_rules, &request.base, &reply, err);
}

/* ---- one operation */

void cp_openapi_add_note(struct gw_arena *arena, operation *op, const char *note)
{
    if (!op->notes)
        op->notes = GW_ARENA_ARRAY(arena, char *, CP_OPENAPI_NOTES_MAX);
    if (op->note_count < CP_OPENAPI_NOTES_MAX)
        op->notes[op->note_count++] = gw_arena_strdup(arena, note);
}

static int refuse_twin(struct job *job, operation *op, struct gw_error *err)
{
    gw_str route = route_of(job->call->arena, op->api->frontend);
    const operation *twin = gw_map_put(&job->seen, route, op);
    if (!twin)
        return 0;
    gw_map_put(&job->seen, route, (void *)(uintptr_t)twin);
    (void)gw_fail(err, GW_ALREADY_EXISTS, "the document has this before: %s %.200s", twin->method,
                  twin->path);
    return gw_error_apig(err, "APIG.3301");
}

/* Of another path: the document may mean another API by the same name. */
static int refuse_namesake(struct job *job, const operation *op, struct gw_error *err)
{
    const cp_api *other = gw_map_get(&job->by_id, gw_str_from(op->id));
    bool is_of_document = other && !other->create_time;
    if (!other || is_of_document || !op->says_id)
        return 0;
    (void)gw_fail(err, GW_ALREADY_EXISTS, "%s exists, with another method or path (%.200s)",
                  other->name, other->frontend ? other->frontend->path : "");
    return gw_error_apig(err, "APIG.3202");
}

static int be_strict(const struct job *job, const operation *op, struct gw_error *err)
{
    if (!job->asked->strict || op->note_count == 0)
        return 0;
    (void)gw_fail(err, GW_FAILED_PRECONDITION, "strict: %s", op->notes[0]);
    return gw_error_reason(err, "STRICT");
}

static int change_existing(struct job *job, operation *op, cp_api *before,
                           cp_operation_outcome *outcome, struct gw_error *err)
{
    struct gw_arena *arena = job->call->arena;
    bool is_override = job->asked->mode == CP_ENUM(IMPORT_MODE, OVERRIDE);
    outcome->api = before->name;
    op->api->name = before->name;
    keep_rest(op, op->api, before);
    if (gw_str_eq(definition_of(arena, op->api), definition_of(arena, before)))
        outcome->result = CP_ENUM(OPERATION_RESULT, UNCHANGED);
    else if (!is_override)
        outcome->result = CP_ENUM(OPERATION_RESULT, KEPT);
    else if (be_strict(job, op, err) < 0 || update(job, op->api, before, err) < 0)
        return -1;
    else
        outcome->result = CP_ENUM(OPERATION_RESULT, UPDATED);
    return 0;
}

static int do_operation(struct job *job, operation *op, cp_operation_outcome *outcome,
                        struct gw_error *err)
{
    if (!op->api) {
        *err = *op->err;
        return -1;
    }
    if (refuse_twin(job, op, err) < 0)
        return -1;
    if (!*job->asked->environment) /* before strict looks at it */
        cp_openapi_bind(job->call, job->asked, NULL, op, NULL);
    cp_api *before = gw_map_get(&job->by_route, route_of(job->call->arena, op->api->frontend));
    if (before)
        return change_existing(job, op, before, outcome, err);
    if (op->has_no_backend)
        cp_openapi_add_note(job->call->arena, op, "no backend: answers 501 until it gets one");
    if (refuse_namesake(job, op, err) < 0 || be_strict(job, op, err) < 0 ||
        create(job, op, &outcome->api, err) < 0)
        return -1;
    outcome->result = CP_ENUM(OPERATION_RESULT, CREATED);
    return 0;
}

/* All of what is wrong in one text. */
static char *whole_message(struct gw_arena *arena, const struct gw_error *err)
{
    gw_str text = gw_str_from(err->message);
    for (unsigned i = 1; i < err->violation_count; i++)
        text = gw_arena_printf(arena, "%.*s; %s: %s", GW_STR_ARG(text), err->violations[i].field,
                               err->violations[i].rule);
    return gw_arena_strdup(arena, text.ptr);
}

cp_api_failure *cp_openapi_failure(struct gw_arena *arena, const struct gw_error *why)
{
    cp_api_failure *failure = (cp_api_failure *)gw_message_new(arena, CP_TYPE(api_failure));
    failure->code = gw_arena_strdup(arena, gw_code_name(why->code));
    failure->message = whole_message(arena, why);
    failure->reason = gw_arena_strdup(arena, why->reason);
    failure->apig_code = gw_arena_strdup(arena, why->apig);
    return failure;
}

static void set_failure(struct job *job, cp_operation_outcome *outcome, const struct gw_error *why)
{
    static char nothing[] = "";
    outcome->failure = cp_openapi_failure(job->call->arena, why);
    outcome->result = CP_ENUM(OPERATION_RESULT, REFUSED);
    outcome->api = nothing;
}

/* The line of the whole call names none of them. */
static void log_one(const struct job *job, const cp_operation_outcome *outcome,
                    const struct gw_error *err)
{
    if (outcome->result == CP_ENUM(OPERATION_RESULT, UNCHANGED) ||
        outcome->result == CP_ENUM(OPERATION_RESULT, KEPT))
        return;
    gw_log(GW_LOG_INFO, "admin", "write", gw_kv_text("method", "ImportOpenApi"),
           gw_kv_text("principal", job->call->principal->name),
           gw_kv_text("resource", *outcome->api ? outcome->api : job->asked->parent),
           gw_kv_text("path", outcome->path),
           gw_kv_bool("validate_only", job->asked->validate_only), gw_kv_error(err));
}

static void count(import_reply *reply, const cp_operation_outcome *outcome)
{
    int32_t *counts[] = {NULL,         &reply->created, &reply->updated, &reply->unchanged,
                         &reply->kept, &reply->refused};
    ++*counts[outcome->result];
}

/* ---- all of them */

/* Each of the rest would take the store's timeout, or has nobody who hears of it any longer. */
static bool ends_all(const struct cp_call *call, struct gw_error *err)
{
    if (err->code == GW_UNAVAILABLE)
        return true;
    if (gw_clock_monotonic_ms() < call->deadline_ms)
        return false;
    (void)gw_fail(err, GW_DEADLINE_EXCEEDED, "not tried: the call's deadline has passed");
    return true;
}

/* An API that is kept keeps its policies; of one that is only to be looked at nothing is known. */
static void bind_policies(struct job *job, const struct cp_openapi *document, operation *op,
                          const cp_operation_outcome *outcome)
{
    bool is_new = outcome->result == CP_ENUM(OPERATION_RESULT, CREATED);
    if (!*job->asked->environment || outcome->result == CP_ENUM(OPERATION_RESULT, KEPT) ||
        (is_new && job->asked->validate_only))
        return;
    cp_openapi_bind(job->call, job->asked, document, op, outcome->api);
}

static int do_all(struct job *job, struct cp_openapi *document, struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    bool has_ended = false;
    import_reply *reply = job->reply;
    reply->outcomes = GW_ARENA_ARRAY(job->call->arena, cp_operation_outcome *, document->count + 1);
    for (size_t i = 0; i < document->count; i++) {
        operation *op = &document->operations[i];
        cp_operation_outcome *outcome =
            (cp_operation_outcome *)gw_message_new(job->call->arena, CP_TYPE(operation_outcome));
        outcome->method = (char *)(uintptr_t)op->method;
        outcome->path = (char *)(uintptr_t)op->path;
        if (!has_ended)
            why = GW_ERROR_NONE;
        if (has_ended || do_operation(job, op, outcome, &why) < 0)
            set_failure(job, outcome, &why);
        else
            bind_policies(job, document, op, outcome);
        if (!has_ended)
            log_one(job, outcome, &why);
        has_ended = has_ended || ends_all(job->call, &why);
        if (i == 0 && why.code == GW_UNAVAILABLE) {
            *err = why;
            return -1;
        }
        outcome->notes = op->notes;
        outcome->n_notes = op->note_count;
        reply->outcomes[reply->n_outcomes++] = outcome;
        count(reply, outcome);
    }
    return 0;
}

static int check_request(const import_request *asked, struct gw_error *err)
{
    const cp_backend *backend = asked->backend;
    bool is_set = backend && backend->kind_case != CP_ONEOF(BACKEND, _NOT_SET);
    if ((unsigned)asked->mode > CP_ENUM(IMPORT_MODE, OVERRIDE))
        return gw_fail_field(err, "mode", "is not known");
    if (backend && (!is_set || backend->kind_case == CP_ONEOF(BACKEND, GRPC) ||
                    backend->kind_case == CP_ONEOF(BACKEND, FUNCTION)))
        return gw_fail_field(err, "backend", "must be http or mock");
    if (asked->replace_backends && !backend)
        return gw_fail_field(err, "replace_backends", "needs a backend");
    if (*asked->environment &&
        cp_name_check(CP_KIND_ENVIRONMENT, asked->environment, "environment", err) < 0)
        return -1;
    return cp_name_check(CP_KIND_GROUP, asked->parent, "parent", err);
}

static int run(struct job *job, struct gw_error *err)
{
    struct cp_openapi document;
    const import_request *asked = job->asked;
    struct cp_openapi_options options = {.backend = asked->backend,
                                         .replace_backends = asked->replace_backends,
                                         .skip_parameters = asked->skip_parameters,
                                         .group = asked->parent};
    if (check_request(asked, err) < 0 ||
        cp_openapi_read(job->call->arena, gw_str_from(asked->document), &options, &document, err) <
            0 ||
        find_group(job, &document, err) < 0)
        return -1;
    job->reply->group = asked->parent;
    cp_openapi_import_policies(job->call, asked, &document, job->reply);
    return do_all(job, &document, err);
}

int cp_import_openapi(const struct cp_call *call, const ProtobufCMessage *request,
                      ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct job job = {.call = call, .asked = (const import_request *)request};
    job.reply = (import_reply *)gw_message_new(call->arena, CP_TYPE(import_open_api_response));
    gw_map_init(&job.by_id);
    gw_map_init(&job.by_route);
    gw_map_init(&job.seen);
    int result = run(&job, err);
    gw_map_done(&job.by_id);
    gw_map_done(&job.by_route);
    gw_map_done(&job.seen);
    *ret_reply = &job.reply->base;
    return result;
}

static const struct cp_method methods[] = {
    {"ImportOpenApi", CP_ROLE_OPERATOR, cp_import_openapi},
    {"ExportOpenApi", CP_ROLE_VIEWER, cp_export_openapi},
};
const struct cp_service cp_openapi_service = {&penstock__admin__v1__open_api_service__descriptor,
                                              methods, GW_ARRAY_LEN(methods)};
