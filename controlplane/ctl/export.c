/* SPDX-License-Identifier: Apache-2.0 */
/* export: documents that apply takes elsewhere. */
#include "controlplane/ctl/bundle.h"
#include "controlplane/ctl/command.h"
#include "controlplane/ctl/print.h"

#include <stdio.h>

typedef Penstock__Admin__V1__ExportRequest export_request;
typedef Penstock__Admin__V1__ExportResponse export_reply;
typedef Penstock__Admin__V1__ExportOmission omission;

static int read_groups(struct cp_session *session, export_request *request, struct gw_error *err)
{
    const struct cp_options *options = session->options;
    request->groups = GW_ARENA_ARRAY(&session->arena, char *, (size_t)options->arg_count + 1);
    for (int i = 0; i < options->arg_count; i++) {
        gw_str name;
        if (cp_kind_name(cp_kind_find(GW_STR("group")), gw_str_from(options->args[i]),
                         &session->arena, &name, err) < 0)
            return cp_usage(err);
        request->groups[request->n_groups++] = (char *)(uintptr_t)name.ptr;
    }
    return 0;
}

static const struct cp_ctl_kind *kind_of(const bundle_resource *resource,
                                         ProtobufCMessage **ret_content)
{
    for (unsigned i = 0; i < cp_ctl_kind_count; i++) {
        const ProtobufCFieldDescriptor *field = cp_bundle_field(&cp_ctl_kinds[i]);
        if (!field || !gw_message_has(&resource->base, field))
            continue;
        *ret_content = *(ProtobufCMessage **)gw_message_at(&resource->base, field);
        return &cp_ctl_kinds[i];
    }
    return NULL;
}

/* An app does without its secret until it is reset; a certificate is none without its key. */
static bool is_needed(const omission *left_out)
{
    return *left_out->field && strcmp(left_out->field, "secret") != 0;
}

/* A field that must be brought along reads "{file: shop.private_key_pem}". */
static const char *omitted_field(const export_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->n_omissions; i++)
        if (is_needed(reply->omissions[i]) && strcmp(reply->omissions[i]->name, name) == 0)
            return reply->omissions[i]->field;
    return "";
}

static const char *secret_file(struct gw_arena *arena, const char *name, const char *field)
{
    return gw_arena_printf(arena, "%s.%s", strrchr(name, '/') + 1, field).ptr;
}

static void print_document(struct cp_session *session, const export_reply *reply, size_t at,
                           bool is_first)
{
    ProtobufCMessage *content;
    const struct cp_ctl_kind *kind = kind_of(reply->resources[at], &content);
    struct gw_arena *arena = &session->arena;
    bool is_json = session->options->output == CP_OUTPUT_JSON;
    if (!kind) {
        fputs("A resource of a kind that this penstockctl does not know is left out.\n", stderr);
        return;
    }
    const char *name = gw_message_text(content, "name");
    const char *field = omitted_field(reply, name);
    const char *file = secret_file(arena, name, field);
    if (session->options->output == CP_OUTPUT_NAME) {
        puts(name);
    } else if (is_json) {
        gw_str text = cp_document_json(kind, content, arena);
        printf("%s%.*s", is_first ? "\n" : ",\n", (int)text.len - 1, text.ptr);
        if (*field)
            printf(",\"%s\":{\"file\":\"%s\"}", field, file);
        putchar('}');
    } else {
        printf("%s%.*s", is_first ? "" : "---\n",
               GW_STR_ARG(cp_document_yaml(kind, content, arena)));
        if (*field)
            printf("%s:\n  file: %s\n", field, file);
    }
}

/* On stderr, so that they do not come into the file. */
static void print_omission(struct cp_session *session, const omission *left_out)
{
    if (is_needed(left_out))
        fprintf(stderr, "%s: %s is %s, in a file %s beside this one\n", left_out->name,
                left_out->field, left_out->reason,
                secret_file(&session->arena, left_out->name, left_out->field));
    else if (*left_out->field)
        fprintf(stderr, "%s: %s is left out: %s\n", left_out->name, left_out->field,
                left_out->reason);
    else
        fprintf(stderr, "%s is not exported: %s\n", left_out->name, left_out->reason);
}

/* One answer: a gateway may have more than fits into one, and its documents more than fit here. */
static int export_page(struct cp_session *session, export_request *request, bool is_first,
                       export_reply **ret_reply, struct gw_error *err)
{
    const ProtobufCServiceDescriptor *service = &penstock__admin__v1__bundle_service__descriptor;
    if (cp_call(session, service,
                protobuf_c_service_descriptor_get_method_by_name(service, "Export"), &request->base,
                (ProtobufCMessage **)ret_reply, err) < 0)
        return -1;
    if (is_first && session->options->output == CP_OUTPUT_JSON)
        putchar('[');
    for (size_t i = 0; i < (*ret_reply)->n_resources; i++)
        print_document(session, *ret_reply, i, is_first && i == 0);
    fflush(stdout);
    for (size_t i = 0; i < (*ret_reply)->n_omissions; i++)
        print_omission(session, (*ret_reply)->omissions[i]);
    return 0;
}

int cp_command_export(struct cp_session *session, struct gw_error *err)
{
    export_request request = PENSTOCK__ADMIN__V1__EXPORT_REQUEST__INIT;
    struct gw_arena tokens = {0};
    bool more = read_groups(session, &request, err) == 0;
    int result = more ? 0 : -1;
    for (bool is_first = true; more && result == 0; is_first = false) {
        export_reply *reply;
        struct cp_session page = *session;
        gw_arena_init(&page.arena, 0);
        result = export_page(&page, &request, is_first, &reply, err);
        more = result == 0 && *reply->next_page_token;
        gw_arena_reset(&tokens);
        if (more)
            request.page_token = gw_arena_strdup(&tokens, reply->next_page_token);
        gw_arena_done(&page.arena);
    }
    gw_arena_done(&tokens);
    if (result == 0 && session->options->output == CP_OUTPUT_JSON)
        puts("\n]");
    return result;
}
