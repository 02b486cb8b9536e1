/* SPDX-License-Identifier: Apache-2.0 */
/* openapi import and openapi export: documents to drafts and back. */
#include "common/json.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/documents.h"
#include "controlplane/ctl/lifecycle.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/openapi.pb-c.h"

#include <stdio.h>

typedef Penstock__Admin__V1__ImportOpenApiRequest import_request;
typedef Penstock__Admin__V1__ImportOpenApiResponse import_reply;
typedef Penstock__Admin__V1__ExportOpenApiRequest export_request;
typedef Penstock__Admin__V1__ExportOpenApiResponse export_reply;
typedef Penstock__Admin__V1__OperationOutcome outcome;
typedef Penstock__Admin__V1__Backend backend;

#define DOCUMENT_BYTES_MAX (3 * 1024 * 1024) /* as the control plane takes them */

static int usage(struct gw_error *err, const char *message)
{
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s", message);
    return cp_usage(err);
}

static char *copy(struct cp_session *session, gw_str text)
{
    return (char *)(uintptr_t)gw_arena_dup(&session->arena, text).ptr;
}

static int call(struct cp_session *session, const char *method, const ProtobufCMessage *request,
                ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__open_api_service__descriptor;
    return cp_call(session, service,
                   protobuf_c_service_descriptor_get_method_by_name(service, method), request,
                   ret_reply, err);
}

static int find_group(struct cp_session *session, char **ret_parent, struct gw_error *err)
{
    gw_str name;
    const char *typed = session->options->group;
    if (!typed)
        return usage(err, "openapi needs --group GROUP");
    if (cp_kind_name(cp_kind_find(GW_STR("group")), gw_str_from(typed), &session->arena, &name,
                     err) < 0)
        return cp_usage(err);
    *ret_parent = copy(session, name);
    return 0;
}

/* ---- import: what is asked for */

static backend *new_backend(struct cp_session *session)
{
    backend *made = GW_ARENA_NEW(&session->arena, backend);
    *made = (backend)PENSTOCK__ADMIN__V1__BACKEND__INIT;
    return made;
}

static backend *new_mock(struct cp_session *session)
{
    typedef Penstock__Admin__V1__MockBackend mock_backend;
    backend *made = new_backend(session);
    made->kind_case = PENSTOCK__ADMIN__V1__BACKEND__KIND_MOCK;
    made->mock = GW_ARENA_NEW(&session->arena, mock_backend);
    *made->mock = (mock_backend)PENSTOCK__ADMIN__V1__MOCK_BACKEND__INIT;
    return made;
}

static Penstock__Admin__V1__HttpBackend *new_http(struct cp_session *session, backend **ret)
{
    typedef Penstock__Admin__V1__HttpBackend http_backend;
    *ret = new_backend(session);
    (*ret)->kind_case = PENSTOCK__ADMIN__V1__BACKEND__KIND_HTTP;
    (*ret)->http = GW_ARENA_NEW(&session->arena, http_backend);
    *(*ret)->http = (http_backend)PENSTOCK__ADMIN__V1__HTTP_BACKEND__INIT;
    return (*ret)->http;
}

static gw_str after(gw_str text, size_t bytes)
{
    return gw_str_n(text.ptr + bytes, text.len - bytes);
}

/* "http://host:port/path", "https://...", "channels/name" or "mock"; NULL: none of them. */
static backend *read_backend(struct cp_session *session, gw_str typed)
{
    backend *made;
    bool is_https = gw_str_has_prefix(typed, GW_STR("https://"));
    if (gw_str_eq(typed, GW_STR("mock")))
        return new_mock(session);
    if (gw_str_has_prefix(typed, GW_STR("channels/"))) {
        new_http(session, &made)->channel = copy(session, typed);
        return made;
    }
    if (!is_https && !gw_str_has_prefix(typed, GW_STR("http://")))
        return NULL;
    gw_str rest = after(typed, is_https ? 8 : 7);
    ptrdiff_t slash = gw_str_find(rest, '/');
    size_t len = slash < 0 ? rest.len : (size_t)slash;
    Penstock__Admin__V1__HttpBackend *http = new_http(session, &made);
    http->address = copy(session, gw_str_n(rest.ptr, len));
    http->path = copy(session, after(rest, len));
    http->scheme = is_https ? PENSTOCK__ADMIN__V1__BACKEND_SCHEME__BACKEND_SCHEME_HTTPS
                            : PENSTOCK__ADMIN__V1__BACKEND_SCHEME__BACKEND_SCHEME_HTTP;
    return made;
}

static int read_mode(const char *typed, import_request *request, struct gw_error *err)
{
    if (!typed || strcmp(typed, "merge") == 0)
        request->mode = PENSTOCK__ADMIN__V1__IMPORT_MODE__IMPORT_MODE_MERGE;
    else if (strcmp(typed, "override") == 0)
        request->mode = PENSTOCK__ADMIN__V1__IMPORT_MODE__IMPORT_MODE_OVERRIDE;
    else
        return usage(err, "--mode is merge or override");
    return 0;
}

static int read_import(struct cp_session *session, import_request *request, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const struct cp_openapi_flags *flags = &options->openapi;
    gw_str text;
    if (options->file_count != 1 || options->arg_count != 1)
        return usage(err, "openapi import needs one document: -f FILE");
    if (find_group(session, &request->parent, err) < 0 ||
        read_mode(session->options->mode, request, err) < 0)
        return -1;
    request->backend = flags->backend ? read_backend(session, gw_str_from(flags->backend)) : NULL;
    if (flags->backend && !request->backend)
        return usage(err, "--backend is http://host:port/path, https://..., channels/NAME or mock");
    request->replace_backends = flags->replace_backends;
    request->skip_parameters = flags->skip_parameters;
    request->strict = flags->strict;
    request->create_group = flags->create_group;
    request->validate_only = options->dry_run;
    if (options->environment)
        request->environment = cp_environment_name(session, NULL);
    if (cp_document_text(options->files[0], &session->arena, &text, err) < 0)
        return -1;
    if (text.len > DOCUMENT_BYTES_MAX)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: larger than %d bytes", options->files[0],
                       DOCUMENT_BYTES_MAX);
    if (memchr(text.ptr, '\0', text.len)) /* the text would end there */
        return gw_fail(err, GW_INVALID_ARGUMENT, "%s: a zero byte in it: not an OpenAPI document",
                       options->files[0]);
    request->document = (char *)(uintptr_t)text.ptr;
    return 0;
}

/* ---- import: what is shown */

static const char *word_of(Penstock__Admin__V1__OperationResult result)
{
    static const char *const words[] = {"-", "created", "updated", "unchanged", "kept", "refused"};
    return (unsigned)result < GW_ARRAY_LEN(words) ? words[result] : "?";
}

static int width_of_paths(const import_reply *reply)
{
    size_t width = strlen("PATH");
    for (size_t i = 0; i < reply->n_outcomes; i++)
        width = GW_MAX(width, strlen(reply->outcomes[i]->path));
    return (int)GW_MIN(width, (size_t)60);
}

static void print_outcome(const outcome *row, int width)
{
    printf("%-7s  %-*s  %-9s  ", row->method, width, row->path, word_of(row->result));
    if (row->failure)
        printf("%s: %s%s%s%s\n", row->failure->code, row->failure->message,
               *row->failure->apig_code ? " (" : "", row->failure->apig_code,
               *row->failure->apig_code ? ")" : "");
    else
        puts(row->api);
    for (size_t i = 0; i < row->n_notes; i++)
        printf("%-7s  - %s\n", "", row->notes[i]);
}

static void print_policy(const Penstock__Admin__V1__PolicyOutcome *row)
{
    printf("policy   %s  %s  %s%s%s\n", row->name, word_of(row->result), row->policy,
           row->failure ? row->failure->code : "", row->failure ? ": " : "");
    if (row->failure)
        printf("%-7s  - %s\n", "", row->failure->message);
}

static bool has_refusals(const import_reply *reply)
{
    bool found = reply->refused > 0;
    for (size_t i = 0; i < reply->n_policies; i++)
        found |= reply->policies[i]->failure != NULL;
    return found;
}

static void print_import(struct cp_session *session, const import_reply *reply)
{
    const char *dry = session->options->dry_run ? " (dry run)" : "";
    int width = width_of_paths(reply);
    if (reply->n_outcomes > 0)
        printf("%-7s  %-*s  %-9s  API\n", "METHOD", width, "PATH", "RESULT");
    for (size_t i = 0; i < reply->n_outcomes; i++)
        print_outcome(reply->outcomes[i], width);
    for (size_t i = 0; i < reply->n_policies; i++)
        print_policy(reply->policies[i]);
    printf("%d created, %d updated, %d unchanged, %d kept, %d refused%s\n", reply->created,
           reply->updated, reply->unchanged, reply->kept, reply->refused, dry);
}

static void print_message(const ProtobufCMessage *message)
{
    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_json_write(&out, message, GW_JSON_PRETTY);
    printf("%.*s\n", GW_STR_ARG(gw_buf_view(&out)));
    gw_buf_done(&out);
}

static int run_import(struct cp_session *session, struct gw_error *err)
{
    import_request request = PENSTOCK__ADMIN__V1__IMPORT_OPEN_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    enum cp_output output = session->options->output;
    if (output == CP_OUTPUT_YAML)
        return usage(err, "the report of an import is shown as table, json or name");
    if (read_import(session, &request, err) < 0 ||
        call(session, "ImportOpenApi", &request.base, &reply, err) < 0)
        return -1;
    const import_reply *said = (const import_reply *)reply;
    if (output == CP_OUTPUT_JSON)
        print_message(reply);
    else if (output != CP_OUTPUT_NAME)
        print_import(session, said);
    for (size_t i = 0; i < said->n_outcomes && output == CP_OUTPUT_NAME; i++)
        if (*said->outcomes[i]->api)
            puts(said->outcomes[i]->api);
    return has_refusals(said);
}

/* ---- export */

static int read_export(struct cp_session *session, export_request *request, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const char *spec = options->openapi.spec ? options->openapi.spec : "3";
    gw_str name;
    if (find_group(session, &request->parent, err) < 0)
        return -1;
    if (strcmp(spec, "2") != 0 && strcmp(spec, "3") != 0)
        return usage(err, "--spec is 3 or 2");
    if (options->output == CP_OUTPUT_NAME)
        return usage(err, "a document is yaml or json");
    request->version = *spec == '2' ? PENSTOCK__ADMIN__V1__OPEN_API_VERSION__OPEN_API_VERSION_2_0
                                    : PENSTOCK__ADMIN__V1__OPEN_API_VERSION__OPEN_API_VERSION_3_0;
    request->format = options->output == CP_OUTPUT_JSON
                          ? PENSTOCK__ADMIN__V1__DOCUMENT_FORMAT__DOCUMENT_FORMAT_JSON
                          : PENSTOCK__ADMIN__V1__DOCUMENT_FORMAT__DOCUMENT_FORMAT_YAML;
    request->scope = PENSTOCK__ADMIN__V1__EXPORT_SCOPE__EXPORT_SCOPE_FULL;
    if (options->openapi.basic)
        request->scope = PENSTOCK__ADMIN__V1__EXPORT_SCOPE__EXPORT_SCOPE_BASIC;
    else if (options->openapi.extended)
        request->scope = PENSTOCK__ADMIN__V1__EXPORT_SCOPE__EXPORT_SCOPE_EXTENDED;
    if (options->environment)
        request->environment = cp_environment_name(session, NULL);
    request->names = GW_ARENA_ARRAY(&session->arena, char *, (size_t)options->arg_count);
    for (int i = 1; i < options->arg_count; i++) {
        if (cp_api_name(session, options->args[i], &name, err) < 0)
            return -1;
        request->names[request->n_names++] = copy(session, name);
    }
    return 0;
}

static int run_export(struct cp_session *session, struct gw_error *err)
{
    export_request request = PENSTOCK__ADMIN__V1__EXPORT_OPEN_API_REQUEST__INIT;
    ProtobufCMessage *reply;
    if (read_export(session, &request, err) < 0 ||
        call(session, "ExportOpenApi", &request.base, &reply, err) < 0)
        return -1;
    const export_reply *said = (const export_reply *)reply;
    fputs(said->document, stdout);
    for (size_t i = 0; i < said->n_skipped; i++)
        fprintf(stderr, "Skipped %s: %s\n", said->skipped[i]->name,
                said->skipped[i]->failure->message);
    return said->n_skipped > 0;
}

int cp_command_openapi(struct cp_session *session, struct gw_error *err)
{
    const char *what = session->options->args[0];
    if (strcmp(what, "import") == 0)
        return run_import(session, err);
    if (strcmp(what, "export") == 0)
        return run_export(session, err);
    return usage(err, "openapi takes import or export");
}
