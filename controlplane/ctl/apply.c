/* SPDX-License-Identifier: Apache-2.0 */
/* apply, and diff of files: the documents as one bundle, all or nothing. */
#include "common/json.h"
#include "controlplane/ctl/bundle.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/files.h"
#include "controlplane/ctl/print.h"
#include "controlplane/ctl/resources.h"

#include "google/protobuf/field_mask.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MANY 100 /* resources: so many take a while */

/* ---- the request */

const ProtobufCFieldDescriptor *cp_bundle_field(const struct cp_ctl_kind *kind)
{
    const ProtobufCMessageDescriptor *type = &penstock__admin__v1__bundle_resource__descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].descriptor == kind->message)
            return &type->fields[i];
    return NULL;
}

/* Only what the document says is written, also where that is nothing. */
static bundle_resource *to_resource(struct gw_arena *arena, const struct cp_document *document)
{
    const ProtobufCFieldDescriptor *field = cp_bundle_field(document->kind);
    bundle_resource *resource =
        (bundle_resource *)gw_message_new(arena, &penstock__admin__v1__bundle_resource__descriptor);
    *(uint32_t *)gw_message_quantifier(&resource->base, field) = field->id;
    *(ProtobufCMessage **)gw_message_at(&resource->base, field) = document->resource;
    resource->update_mask = GW_ARENA_NEW(arena, Google__Protobuf__FieldMask);
    google__protobuf__field_mask__init(resource->update_mask);
    resource->update_mask->paths = document->fields;
    resource->update_mask->n_paths = document->field_count;
    return resource;
}

static int check_flags(const struct cp_options *options, struct gw_error *err)
{
    if (!options->prune || options->managed_by)
        return 0;
    (void)gw_fail(err, GW_INVALID_ARGUMENT,
                  "--prune needs --managed-by NAME, which says whose resources may go");
    return cp_usage(err);
}

/* Those that bundles hold come first, the others are left for the caller. */
static int read_documents(struct cp_session *session, struct cp_bundle_files *files,
                          struct gw_error *err)
{
    struct cp_document *all;
    size_t count;
    if (check_flags(session->options, err) < 0 || cp_files_read(session, &all, &count, err) < 0)
        return -1;
    files->documents = GW_ARENA_ARRAY(&session->arena, struct cp_document, count + 1);
    files->others = GW_ARENA_ARRAY(&session->arena, struct cp_document, count + 1);
    for (size_t i = 0; i < count; i++) {
        if (cp_bundle_field(all[i].kind))
            files->documents[files->count++] = all[i];
        else
            files->others[files->other_count++] = all[i];
    }
    return 0;
}

/* On a terminal, where it may take a while. */
static void say_busy(const struct cp_session *session, size_t count)
{
    if (count > MANY && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s: %zu resources ...", session->options->command, count);
}

static void say_done(size_t count)
{
    if (count > MANY && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static int call_apply(struct cp_session *session, const struct cp_bundle_files *files, bool is_plan,
                      apply_reply **ret_reply, struct gw_error *err)
{
    apply_request request = PENSTOCK__ADMIN__V1__APPLY_REQUEST__INIT;
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__bundle_service__descriptor;
    request.n_resources = files->count;
    request.resources = GW_ARENA_ARRAY(&session->arena, bundle_resource *, files->count + 1);
    for (size_t i = 0; i < files->count; i++)
        request.resources[i] = to_resource(&session->arena, &files->documents[i]);
    request.managed_by = (char *)(uintptr_t)(session->options->managed_by);
    request.prune = session->options->prune;
    request.validate_only = is_plan;
    say_busy(session, files->count);
    int result = cp_call(session, service,
                         protobuf_c_service_descriptor_get_method_by_name(service, "Apply"),
                         &request.base, (ProtobufCMessage **)ret_reply, err);
    say_done(files->count);
    return result;
}

/* ---- refusals, in the words of the files */

/* "resources[3].api.frontend.path": 3, and "frontend.path" or "". */
static bool split_field(const char *field, size_t *ret_index, const char **ret_rest)
{
    char *end;
    if (strncmp(field, "resources[", strlen("resources[")) != 0)
        return false;
    *ret_index = strtoul(field + strlen("resources["), &end, 10);
    if (*end != ']')
        return false;
    const char *dot = end[1] == '.' ? strchr(end + 2, '.') : NULL;
    *ret_rest = dot ? dot + 1 : "";
    return true;
}

static void translate(struct gw_violation *violation, const struct cp_bundle_files *files)
{
    size_t index;
    const char *rest;
    if (!split_field(violation->field, &index, &rest) || index >= files->count)
        return;
    struct gw_violation said = *violation;
    const struct cp_document *document = &files->documents[index];
    (void)split_field(said.field, &index, &rest);
    snprintf(violation->field, sizeof violation->field, "%.*s", GW_STR_ARG(document->origin));
    snprintf(violation->rule, sizeof violation->rule, "%.150s: %.120s%s%.200s", document->name.ptr,
             rest, *rest ? ": " : "", said.rule);
}

static int refuse(const struct cp_bundle_files *files, struct gw_error *err)
{
    for (unsigned i = 0; i < err->violation_count; i++)
        translate(&err->violations[i], files);
    if (err->violation_count == 1)
        snprintf(err->message, sizeof err->message, "%.100s: %.380s; nothing was applied",
                 err->violations[0].field, err->violations[0].rule);
    else if (err->violation_count > 1)
        snprintf(err->message, sizeof err->message, "nothing was applied");
    return -1;
}

/* ---- apply */

static const char *word_of(const applied *resource)
{
    switch (resource->action) {
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_CREATED:
        return "created";
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_UPDATED:
        return "configured";
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_UNCHANGED:
        return "unchanged";
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_DELETED:
        return "pruned";
    default:
        return "refused";
    }
}

/* Of a variable that has another value now: which APIs have to be published again. */
static int print_stale(struct cp_session *session, const applied *resource, struct gw_error *err)
{
    ProtobufCMessage *variable;
    const struct cp_ctl_kind *kind = cp_kind_of_name(gw_str_from(resource->name));
    bool is_updated = resource->action == PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_UPDATED;
    if (!is_updated || session->options->dry_run || !kind || strcmp(kind->word, "Variable") != 0)
        return 0;
    if (cp_get(session, kind, gw_str_from(resource->name), &variable, err) < 0)
        return -1;
    cp_print_stale(variable);
    return 0;
}

static int print_applied(struct cp_session *session, const applied *resource, struct gw_error *err)
{
    if (session->options->output == CP_OUTPUT_NAME) {
        puts(resource->name);
        return 0;
    }
    printf("%s %s%s\n", resource->name, word_of(resource),
           session->options->dry_run ? " (dry run)" : "");
    if (*resource->code)
        printf("  code: %s\n  (shown only now: keep it)\n", resource->code);
    return print_stale(session, resource, err);
}

/* A plan has its refusals beside the rest. */
static void print_refusal(const struct cp_bundle_files *files, const apply_reply *reply, size_t at)
{
    const applied *resource = reply->resources[at];
    const refusal *why = resource->refusal;
    gw_str origin = at < files->count ? files->documents[at].origin : GW_STR("prune");
    fflush(stdout);
    if (why->n_violations == 0)
        fprintf(stderr, "%.*s: %s refused: %s (%s)\n", GW_STR_ARG(origin), resource->name,
                why->message, why->code);
    for (size_t i = 0; i < why->n_violations; i++)
        fprintf(stderr, "%.*s: %s refused: %s: %s (%s)\n", GW_STR_ARG(origin), resource->name,
                why->violations[i]->field, why->violations[i]->description, why->code);
}

static int print_reply(struct cp_session *session, const struct cp_bundle_files *files,
                       const apply_reply *reply, struct gw_error *err)
{
    enum cp_output output = session->options->output;
    if (output == CP_OUTPUT_JSON || output == CP_OUTPUT_YAML) {
        cp_print_message(&reply->base, output, &session->arena);
        return reply->refused > 0;
    }
    for (size_t i = 0; i < reply->n_resources; i++) {
        if (reply->resources[i]->refusal)
            print_refusal(files, reply, i);
        else if (print_applied(session, reply->resources[i], err) < 0)
            return -1;
    }
    return reply->refused > 0;
}

static int say_read(const struct cp_session *session, const struct cp_bundle_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        printf("%.*s read%s\n", GW_STR_ARG(files->documents[i].name),
               session->options->output == CP_OUTPUT_NAME ? "" : " (dry run, nothing was asked)");
    return 0;
}

int cp_command_apply(struct cp_session *session, struct gw_error *err)
{
    struct cp_bundle_files files = {0};
    apply_reply *reply;
    int status = 0;
    if (read_documents(session, &files, err) < 0)
        return -1;
    if (session->options->is_offline)
        return say_read(session, &files);
    if (files.count > 0 || session->options->prune) {
        if (call_apply(session, &files, session->options->dry_run, &reply, err) < 0)
            return refuse(&files, err);
        status = print_reply(session, &files, reply, err);
    }
    if (status < 0)
        return -1;
    for (size_t i = 0; i < files.other_count; i++)
        if (cp_apply_document(session, &files.others[i], err) < 0)
            return cp_say_where(&files.others[i], files.other_count - 1 - i);
    return status;
}

/* ---- diff */

static void print_differences(const struct cp_bundle_files *files, const apply_reply *reply,
                              size_t at, bool has_colour)
{
    const applied *resource = reply->resources[at];
    gw_str origin = at < files->count ? files->documents[at].origin : GW_STR("prune");
    switch (resource->action) {
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_CREATED:
        printf("+++ %s (%.*s)\n", resource->name, GW_STR_ARG(origin));
        break;
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_UPDATED:
        printf("--- %s\n+++ %s (%.*s)\n", resource->name, resource->name, GW_STR_ARG(origin));
        break;
    case PENSTOCK__ADMIN__V1__APPLY_ACTION__APPLY_ACTION_DELETED:
        printf("--- %s (%.*s)\n", resource->name, GW_STR_ARG(origin));
        break;
    default:
        return;
    }
    for (size_t i = 0; i < resource->n_changes; i++)
        cp_print_difference(resource->changes[i]->path, resource->changes[i]->old_value,
                            resource->changes[i]->new_value, has_colour);
}

int cp_diff_files(struct cp_session *session, struct gw_error *err)
{
    struct cp_bundle_files files = {0};
    apply_reply *reply;
    if (read_documents(session, &files, err) < 0)
        return -1;
    if (files.other_count > 0)
        return gw_fail(err, GW_INVALID_ARGUMENT, "%.*s: diff knows no %s",
                       GW_STR_ARG(files.others[0].origin), files.others[0].kind->command);
    if (call_apply(session, &files, true, &reply, err) < 0)
        return refuse(&files, err);
    if (session->options->output == CP_OUTPUT_JSON)
        cp_print_message(&reply->base, CP_OUTPUT_JSON, &session->arena);
    for (size_t i = 0; i < reply->n_resources && session->options->output != CP_OUTPUT_JSON; i++) {
        print_differences(&files, reply, i, cp_has_colour());
        if (reply->resources[i]->refusal)
            print_refusal(&files, reply, i);
    }
    if (reply->changes_left_out)
        fputs("There is more to it than one answer holds.\n", stderr);
    if (reply->refused > 0)
        return 2;
    return reply->created + reply->updated + reply->deleted > 0;
}
