/* SPDX-License-Identifier: Apache-2.0 */
/* get, create, delete: the commands over every kind. */
#include "controlplane/ctl/resources.h"
#include "controlplane/ctl/audit.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/files.h"
#include "controlplane/ctl/print.h"
#include "controlplane/ctl/watch.h"

#include <stdio.h>

static int find_kind(const char *word, const struct cp_ctl_kind **ret_kind, struct gw_error *err)
{
    *ret_kind = cp_kind_find(gw_str_from(word));
    if (*ret_kind)
        return 0;
    char list[256] = "";
    for (unsigned i = 0; i < cp_ctl_kind_count; i++)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
                 cp_ctl_kinds[i].command);
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is no kind: %s", word, list);
    return cp_usage(err);
}

/* "groups/orders" is the parent of APIs, though it has as many words as "group/api". */
static bool is_parent(const struct cp_ctl_kind *kind, const char *typed)
{
    const struct cp_ctl_kind *of_name = cp_kind_of_name(gw_str_from(typed));
    gw_str parent, id;
    cp_kind_split(gw_str_from(kind->pattern), &parent, &id);
    return of_name && gw_str_eq(parent, gw_str_from(of_name->pattern));
}

/* The parent to list under: what was typed ("orders" or "groups/orders"), or "-" for all. */
static int parent_of(const struct cp_ctl_kind *kind, const char *typed, struct gw_arena *arena,
                     gw_str *ret_parent, struct gw_error *err)
{
    gw_str parent_pattern, id;
    *ret_parent = GW_STR("");
    if (!cp_kind_has_parent(kind) && !typed)
        return 0;
    if (!cp_kind_has_parent(kind)) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "\"%s\" is no name of a %s: it looks like %s",
                      typed, kind->command, kind->pattern);
        return cp_usage(err);
    }
    cp_kind_split(gw_str_from(kind->pattern), &parent_pattern, &id);
    struct cp_ctl_kind parent = {.command = "parent",
                                 .pattern = gw_arena_dup(arena, parent_pattern).ptr};
    if (cp_kind_name(&parent, gw_str_from(typed ? typed : "-"), arena, ret_parent, err) == 0)
        return 0;
    if (!typed)
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s are listed under one parent: %s", kind->alias,
                      parent.pattern);
    return cp_usage(err);
}

/* Is the second word of get a name, or the parent of a list? As many ids as the pattern has make a
 * name. */
static bool is_name(const struct cp_ctl_kind *kind, const char *typed, struct gw_arena *arena,
                    gw_str *ret_name)
{
    struct gw_error none = GW_ERROR_NONE;
    return cp_kind_name(kind, gw_str_from(typed), arena, ret_name, &none) == 0;
}

/* What is typed behind the kind: a name, a parent, or nothing. */
static int read_scope(struct cp_session *session, const char *typed, struct cp_scope *scope,
                      struct gw_error *err)
{
    const struct cp_ctl_kind *kind = scope->kind;
    scope->is_name =
        typed && !is_parent(kind, typed) && is_name(kind, typed, &session->arena, &scope->name);
    return scope->is_name ? 0 : parent_of(kind, typed, &session->arena, &scope->name, err);
}

static int show_one(struct cp_session *session, const struct cp_scope *scope, struct gw_error *err)
{
    struct cp_printer printer;
    ProtobufCMessage *resource;
    if (cp_get(session, scope->kind, scope->name, &resource, err) < 0)
        return -1;
    cp_print_begin(&printer, scope->kind, session->options->output, false, &session->arena);
    cp_print_resource(&printer, resource);
    cp_print_end(&printer);
    return 0;
}

static int show(struct cp_session *session, const struct cp_scope *scope, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    struct cp_printer printer;
    if (scope->is_name)
        return show_one(session, scope, err);
    cp_print_begin(&printer, scope->kind, options->output, true, &session->arena);
    int result = cp_list(session, scope->kind, scope->name, options->environment, cp_print_resource,
                         &printer, err);
    if (result < 0)
        cp_print_abort(&printer);
    else
        cp_print_end(&printer);
    return result;
}

int cp_command_get(struct cp_session *session, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    const char *typed = options->arg_count > 1 ? options->args[1] : NULL;
    struct cp_scope scope = {0};
    if (find_kind(options->args[0], &scope.kind, err) < 0)
        return -1;
    if (!typed && !strchr(scope.kind->pattern, '{')) /* there is one */
        typed = scope.kind->pattern;
    bool is_watch = options->watch || options->wait_ms > 0; /* -w is both */
    if (is_watch && cp_check_watch(session, err) < 0)
        return -1;
    if (options->output == CP_OUTPUT_CSV)
        return cp_print_csv(session, scope.kind, typed, err);
    if (read_scope(session, typed, &scope, err) < 0)
        return -1;
    return is_watch ? cp_watch_scope(session, &scope, show, err) : show(session, &scope, err);
}

/* ---- files */

int cp_say_where(const struct cp_document *document, size_t left)
{
    fflush(stdout);
    fprintf(stderr, "%.*s: %.*s", GW_STR_ARG(document->origin), GW_STR_ARG(document->name));
    if (left)
        fprintf(stderr, " (%zu after it not tried)", left);
    fputc('\n', stderr);
    return -1;
}

static void report(const struct cp_session *session, const struct cp_document *document,
                   const char *what)
{
    const char *dry = session->options->is_offline ? " (dry run, nothing was asked)"
                      : session->options->dry_run  ? " (dry run)"
                                                   : "";
    if (session->options->output == CP_OUTPUT_NAME)
        printf("%.*s\n", GW_STR_ARG(document->name));
    else if (session->options->output == CP_OUTPUT_TABLE)
        printf("%.*s %s%s\n", GW_STR_ARG(document->name), what, dry);
}

/* The worst status of all, or -1 with err, which ends it. */
static int each_document(struct cp_session *session, bool is_reverse,
                         int (*fn)(struct cp_session *, const struct cp_document *,
                                   struct gw_error *),
                         struct gw_error *err)
{
    int worst = 0;
    struct cp_document *documents;
    size_t count;
    if (cp_files_read(session, &documents, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct cp_document *document = &documents[is_reverse ? count - 1 - i : i];
        int status = session->options->is_offline ? 0 : fn(session, document, err);
        if (session->options->is_offline)
            report(session, document, "read");
        if (status < 0)
            return cp_say_where(document, count - 1 - i);
        worst = GW_MAX(worst, status);
    }
    return worst;
}

void cp_print_stale(const ProtobufCMessage *resource)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(resource->descriptor, "stale_apis");
    size_t count = field ? *(const size_t *)gw_message_quantifier(resource, field) : 0;
    for (size_t i = 0; i < count; i++)
        printf("  to be published again: %s\n", (*(char ***)gw_message_at(resource, field))[i]);
}

/* What is shown only once; NULL: there is nothing of that sort. */
static const char *secret_field(const struct cp_document *document,
                                const ProtobufCMessage *resource)
{
    const char *field = strcmp(document->kind->word, "AppCode") == 0     ? "code"
                        : strcmp(document->kind->word, "AccessKey") == 0 ? "secret"
                        : strcmp(document->kind->word, "App") == 0       ? "secret"
                                                                         : NULL;
    return field && *gw_message_text(resource, field) ? field : NULL;
}

/* The only time that a secret is shown: it must not be lost among "created" lines. */
static void print_result(struct cp_session *session, const struct cp_document *document,
                         ProtobufCMessage *resource, const char *what)
{
    struct cp_printer printer;
    enum cp_output output = session->options->output;
    report(session, document, what);
    if (output == CP_OUTPUT_TABLE)
        cp_print_stale(resource);
    const char *secret = secret_field(document, resource);
    if (output == CP_OUTPUT_NAME || (output == CP_OUTPUT_TABLE && !secret))
        return;
    if (output == CP_OUTPUT_TABLE) {
        if (strcmp(document->kind->word, "App") == 0)
            printf("  key: %s\n", gw_message_text(resource, "key"));
        printf("  %s: %s\n  (shown only now: keep it)\n", secret,
               gw_message_text(resource, secret));
        return;
    }
    if (output == CP_OUTPUT_YAML && session->shown++)
        puts("---");
    cp_print_begin(&printer, document->kind, output, false, &session->arena);
    cp_print_resource(&printer, resource);
    cp_print_end(&printer);
}

/* A dry run cannot check what needs something that the same files would have created: the error
 * then names that. */
static bool is_pending(const struct cp_session *session, const struct gw_error *err)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&session->pending, e));) {
        const char *at = strstr(err->message, e->value);
        if (at && !strchr("/-_.", at[e->key.len]))
            return true;
    }
    return false;
}

static void mark_pending(struct cp_session *session, const struct cp_document *document)
{
    if (session->options->dry_run) {
        gw_str name = gw_arena_dup(&session->arena, document->name);
        (void)gw_map_put(&session->pending, name, (void *)(uintptr_t)name.ptr); /* once more */
    }
}

static int create_one(struct cp_session *session, const struct cp_document *document,
                      struct gw_error *err)
{
    ProtobufCMessage *created;
    int result = cp_create(session, document->kind, document->resource, &created, err);
    if (result < 0 && !is_pending(session, err))
        return -1;
    mark_pending(session, document);
    if (result == 0) {
        print_result(session, document, created, "created");
        return 0;
    }
    report(session, document, "not checked, it needs what this would create");
    *err = GW_ERROR_NONE;
    return 0;
}

/* KIND NAME, in two words. */
static int typed_document(struct cp_session *session, struct cp_document *document,
                          struct gw_error *err)
{
    const struct cp_options *options = session->options;
    if (options->arg_count != 2) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s needs KIND NAME, or -f FILE", options->command);
        return cp_usage(err);
    }
    if (find_kind(options->args[0], &document->kind, err) < 0)
        return -1;
    if (cp_kind_name(document->kind, gw_str_from(options->args[1]), &session->arena,
                     &document->name, err) < 0)
        return cp_usage(err);
    return 0;
}

int cp_command_create(struct cp_session *session, struct gw_error *err)
{
    struct cp_document document = {0};
    if (session->options->file_count > 0 && session->options->arg_count == 0)
        return each_document(session, false, create_one, err);
    if (typed_document(session, &document, err) < 0)
        return -1;
    document.resource = gw_message_new(&session->arena, document.kind->message);
    gw_message_set_text(document.resource, "name", (char *)(uintptr_t)document.name.ptr);
    return create_one(session, &document, err);
}

/* Does the resource have all that the document says? Fields that only the server sets do not count.
 */
static bool is_covered(const ProtobufCMessage *before, const ProtobufCMessage *after,
                       struct gw_arena *arena)
{
    ProtobufCMessage *a = gw_message_copy(arena, before), *b = gw_message_copy(arena, after);
    ProtobufCMessage *const both[] = {a, b};
    for (size_t i = 0; i < GW_ARRAY_LEN(both); i++) {
        gw_message_set_text(both[i], "etag", NULL);
        if (protobuf_c_message_descriptor_get_field_by_name(both[i]->descriptor, "update_time"))
            *gw_message_child(both[i], "update_time") = NULL;
    }
    return gw_str_eq(gw_message_pack(arena, a), gw_message_pack(arena, b));
}

static int update_one(struct cp_session *session, const struct cp_document *document,
                      ProtobufCMessage *before, struct gw_error *err)
{
    ProtobufCMessage *after;
    if (!cp_kind_method(document->kind, "Update") || document->field_count == 0) {
        /* Such kinds never change, or nothing is asked: there is what was asked. */
        print_result(session, document, before, "unchanged");
        return 0;
    }
    if (cp_update(session, document->kind, document->resource, document->fields,
                  document->field_count, &after, err) < 0)
        return -1;
    print_result(session, document, after,
                 is_covered(before, after, &session->arena) ? "unchanged" : "configured");
    return 0;
}

int cp_apply_document(struct cp_session *session, const struct cp_document *document,
                      struct gw_error *err)
{
    ProtobufCMessage *before;
    int result = cp_get(session, document->kind, document->name, &before, err);
    if (result == 0)
        return update_one(session, document, before, err);
    return err->code == GW_NOT_FOUND ? create_one(session, document, err) : -1;
}

static int delete_one(struct cp_session *session, const struct cp_document *document,
                      struct gw_error *err)
{
    if (cp_delete(session, document->kind, document->name, session->options->etag, err) < 0)
        return -1;
    report(session, document, "deleted");
    return 0;
}

/* Of files: what is gone already does not keep the rest. */
static int delete_document(struct cp_session *session, const struct cp_document *document,
                           struct gw_error *err)
{
    int result = delete_one(session, document, err);
    if (result == 0 || err->code != GW_NOT_FOUND)
        return result;
    int status = cp_exit_status(err);
    fflush(stdout);
    fprintf(stderr, "%.*s: ", GW_STR_ARG(document->origin));
    cp_print_error(err);
    *err = GW_ERROR_NONE;
    return status;
}

int cp_command_delete(struct cp_session *session, struct gw_error *err)
{
    struct cp_document document = {0};
    if (session->options->arg_count == 0)
        return each_document(session, true, delete_document, err);
    if (typed_document(session, &document, err) < 0)
        return -1;
    return delete_one(session, &document, err);
}

int cp_command_agents(struct cp_session *session, struct gw_error *err)
{
    const struct cp_ctl_kind *kind = cp_kind_find(GW_STR("agent"));
    struct cp_printer printer;
    cp_print_begin(&printer, kind, session->options->output, true, &session->arena);
    int result = cp_list(session, kind, GW_STR(""), NULL, cp_print_resource, &printer, err);
    if (result < 0)
        cp_print_abort(&printer);
    else
        cp_print_end(&printer);
    return result;
}
