/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/audit.h"

#include "google/protobuf/field_mask.pb-c.h"

#define PAGE_SIZE 500

int cp_session_open(struct cp_session *session, const struct cp_options *options,
                    struct gw_error *err)
{
    const struct gw_rpc_client_options client = {
        .target = options->connection.server,
        .ca_file = options->connection.ca_file,
        .cert_file = options->connection.cert_file,
        .key_file = options->connection.key_file,
        .server_name = options->connection.server_name,
        .bearer = options->token,
    };
    *session = (struct cp_session){.options = options};
    gw_arena_init(&session->arena, 16 * 1024);
    gw_map_init(&session->pending);
    return gw_rpc_client_open(&client, &session->client, err);
}

void cp_session_close(struct cp_session *session)
{
    if (session->client)
        gw_rpc_client_close(session->client);
    gw_map_done(&session->pending);
    gw_arena_done(&session->arena);
}

int cp_call(struct cp_session *session, const ProtobufCServiceDescriptor *service,
            const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request,
            ProtobufCMessage **ret_reply, struct gw_error *err)
{
    return gw_rpc_client_call(
        session->client, &session->arena, cp_kind_path(service, method, &session->arena), request,
        method->output, session->options->timeout_ms + session->options->wait_ms, ret_reply, err);
}

static int method_of(const struct cp_ctl_kind *kind, const char *verb,
                     const ProtobufCMethodDescriptor **ret_method, struct gw_error *err)
{
    *ret_method = cp_kind_method(kind, verb);
    if (!*ret_method)
        return gw_fail(err, GW_UNIMPLEMENTED, "the kind %s has no %s", kind->command, verb);
    return 0;
}

static bool has_field(const ProtobufCMessage *message, const char *field)
{
    return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field) != NULL;
}

static char *text_of(struct cp_session *session, gw_str text)
{
    return (char *)(uintptr_t)gw_arena_dup(&session->arena, text).ptr;
}

static void set_bool(ProtobufCMessage *message, const char *field, bool value)
{
    const ProtobufCFieldDescriptor *found =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, field);
    if (found)
        *(protobuf_c_boolean *)((char *)message + found->offset) = value;
}

/* The one field of a request that holds a message of the resource's type. */
static ProtobufCMessage **resource_field(ProtobufCMessage *request, const struct cp_ctl_kind *kind)
{
    for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &request->descriptor->fields[i];
        if (field->type == PROTOBUF_C_TYPE_MESSAGE && field->descriptor == kind->message)
            return (ProtobufCMessage **)(void *)((char *)request + field->offset);
    }
    gw_panic("%s holds no %s", request->descriptor->name, kind->word);
}

int cp_get(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str name,
           ProtobufCMessage **ret_resource, struct gw_error *err)
{
    const ProtobufCMethodDescriptor *method;
    if (method_of(kind, "Get", &method, err) < 0)
        return -1;
    ProtobufCMessage *request = gw_message_new(&session->arena, method->input);
    gw_message_set_text(request, "name", text_of(session, name));
    return cp_call(session, kind->service, method, request, ret_resource, err);
}

/* Hands out the one repeated message field of a list's reply. */
static void each_item(const ProtobufCMessage *reply, int64_t *left, cp_list_fn *fn, void *arg)
{
    for (unsigned i = 0; i < reply->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &reply->descriptor->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REPEATED)
            continue;
        size_t count =
            *(const size_t *)(const void *)((const char *)reply + field->quantifier_offset);
        ProtobufCMessage **items =
            *(ProtobufCMessage ***)(void *)((uintptr_t)reply + field->offset);
        for (size_t j = 0; j<count && * left> 0; j++, (*left)--)
            fn(arg, items[j]);
    }
}

char *cp_environment_of(struct cp_session *session, const char *typed)
{
    gw_str collection = GW_STR("environments/");
    if (gw_str_has_prefix(gw_str_from(typed), collection))
        collection = GW_STR("");
    return (char *)(uintptr_t)gw_arena_printf(&session->arena, "%.*s%s", GW_STR_ARG(collection),
                                              typed)
        .ptr;
}

static int set_tags(struct cp_session *session, const struct cp_ctl_kind *kind,
                    ProtobufCMessage *request, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(request->descriptor, "tags");
    if (options->tag_count == 0)
        return 0;
    if (!field) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "the kind %s has no tags", kind->command);
        return cp_usage(err);
    }
    *(size_t *)gw_message_quantifier(request, field) = options->tag_count;
    *(char *const **)gw_message_at(request, field) = options->tags;
    return 0;
}

static int64_t limit_of(const struct cp_session *session, const struct cp_ctl_kind *kind)
{
    int64_t limit = session->options->limit;
    if (limit < 0)
        return cp_is_audit(kind) ? CP_CTL_EVENTS_DEFAULT : INT64_MAX;
    return limit == 0 ? INT64_MAX : limit;
}

int cp_list(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str parent,
            const char *environment, cp_list_fn *fn, void *arg, struct gw_error *err)
{
    const ProtobufCMethodDescriptor *method;
    if (method_of(kind, "List", &method, err) < 0)
        return -1;
    ProtobufCMessage *request = gw_message_new(&session->arena, method->input), *reply;
    if (has_field(request, "parent"))
        gw_message_set_text(request, "parent", text_of(session, parent));
    if (environment && has_field(request, "environment"))
        gw_message_set_text(request, "environment", cp_environment_of(session, environment));
    if (set_tags(session, kind, request, err) < 0 ||
        cp_set_filters(session, kind, request, err) < 0)
        return -1;
    const ProtobufCFieldDescriptor *size =
        protobuf_c_message_descriptor_get_field_by_name(method->input, "page_size");
    int64_t left = limit_of(session, kind);
    for (;;) {
        *(int32_t *)(void *)((char *)request + size->offset) = (int32_t)GW_MIN(left, PAGE_SIZE);
        if (cp_call(session, kind->service, method, request, &reply, err) < 0)
            return -1;
        each_item(reply, &left, fn, arg);
        const char *token = gw_message_text(reply, "next_page_token");
        if (!*token || left == 0)
            return 0;
        gw_message_set_text(request, "page_token", text_of(session, gw_str_from(token)));
    }
}

/* The request's "..._id" field, whatever the kind is called. */
static void set_id(ProtobufCMessage *request, char *id)
{
    for (unsigned i = 0; i < request->descriptor->n_fields; i++) {
        gw_str field = gw_str_from(request->descriptor->fields[i].name);
        if (gw_str_has_suffix(field, GW_STR("_id")))
            gw_message_set_text(request, field.ptr, id);
    }
}

int cp_create(struct cp_session *session, const struct cp_ctl_kind *kind,
              ProtobufCMessage *resource, ProtobufCMessage **ret_resource, struct gw_error *err)
{
    const ProtobufCMethodDescriptor *method;
    gw_str parent, id;
    if (method_of(kind, "Create", &method, err) < 0)
        return -1;
    ProtobufCMessage *request = gw_message_new(&session->arena, method->input);
    cp_kind_split(gw_str_from(gw_message_text(resource, "name")), &parent, &id);
    if (has_field(request, "parent"))
        gw_message_set_text(request, "parent", text_of(session, parent));
    set_id(request, text_of(session, id));
    set_bool(request, "validate_only", session->options->dry_run);
    *resource_field(request, kind) = resource;
    return cp_call(session, kind->service, method, request, ret_resource, err);
}

int cp_update(struct cp_session *session, const struct cp_ctl_kind *kind,
              ProtobufCMessage *resource, char **fields, size_t field_count,
              ProtobufCMessage **ret_resource, struct gw_error *err)
{
    const ProtobufCMethodDescriptor *method;
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    if (method_of(kind, "Update", &method, err) < 0)
        return -1;
    ProtobufCMessage *request = gw_message_new(&session->arena, method->input);
    set_bool(request, "validate_only", session->options->dry_run);
    *resource_field(request, kind) = resource;
    mask.paths = fields;
    mask.n_paths = field_count;
    *gw_message_child(request, "update_mask") = &mask.base;
    return cp_call(session, kind->service, method, request, ret_resource, err);
}

int cp_delete(struct cp_session *session, const struct cp_ctl_kind *kind, gw_str name,
              const char *etag, struct gw_error *err)
{
    const ProtobufCMethodDescriptor *method;
    ProtobufCMessage *reply;
    if (method_of(kind, "Delete", &method, err) < 0)
        return -1;
    ProtobufCMessage *request = gw_message_new(&session->arena, method->input);
    gw_message_set_text(request, "name", text_of(session, name));
    if (etag)
        gw_message_set_text(request, "etag", text_of(session, gw_str_from(etag)));
    set_bool(request, "validate_only", session->options->dry_run);
    return cp_call(session, kind->service, method, request, &reply, err);
}
