/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/watch.h"

#include "common/json.h"
#include "controlplane/ctl/print.h"

#include "penstock/admin/v1/watch.pb-c.h"

#include <stdio.h>

#define PATH "/penstock.admin.v1.WatchService/Watch"
#define PATIENCE_MS 3600000 /* between two answers; the server sends one every few seconds */

typedef Penstock__Admin__V1__WatchRequest watch_request;
typedef Penstock__Admin__V1__WatchResponse watch_response;
typedef Penstock__Admin__V1__ResourceEvent resource_event;

/* "apis" */
static gw_str collection_of(const struct cp_ctl_kind *kind)
{
    gw_str pattern = gw_str_from(kind->pattern), word = GW_STR_NONE;
    while (pattern.ptr) {
        gw_str part = gw_str_split(&pattern, '/');
        if (part.len && part.ptr[0] != '{')
            word = part;
    }
    return word;
}

static const char *word_of(const resource_event *event)
{
    switch ((int)event->type) {
    case PENSTOCK__ADMIN__V1__RESOURCE_EVENT_TYPE__RESOURCE_EVENT_TYPE_CREATED:
        return "created";
    case PENSTOCK__ADMIN__V1__RESOURCE_EVENT_TYPE__RESOURCE_EVENT_TYPE_UPDATED:
        return "updated";
    case PENSTOCK__ADMIN__V1__RESOURCE_EVENT_TYPE__RESOURCE_EVENT_TYPE_DELETED:
        return "deleted";
    default:
        return "changed";
    }
}

/* NULL: it is deleted, or of another kind. */
static const ProtobufCMessage *content_of(const resource_event *event,
                                          const struct cp_ctl_kind *kind)
{
    for (unsigned i = 0; i < event->base.descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &event->base.descriptor->fields[i];
        if (field->descriptor == kind->message && gw_message_has(&event->base, field))
            return *(ProtobufCMessage **)gw_message_at(&event->base, field);
    }
    return NULL;
}

/* In the table's columns, but not in its widths: the rows to come are not known. */
static void print_row(const resource_event *event, const struct cp_ctl_kind *kind,
                      struct gw_arena *arena)
{
    const ProtobufCMessage *content = content_of(event, kind);
    printf("%s  %s", word_of(event), event->name);
    for (unsigned i = 1; content && i < CP_COLUMNS_MAX && kind->columns[i].header; i++) {
        gw_str cell = cp_print_field(content, kind->columns[i].field, arena);
        printf("  %.*s", GW_STR_ARG(cell));
    }
    putchar('\n');
}

static void print_event(const struct cp_session *session, const resource_event *event,
                        const struct cp_ctl_kind *kind, struct gw_arena *arena)
{
    gw_auto(gw_buf_done) struct gw_buf json = {0};
    switch (session->options->output) {
    case CP_OUTPUT_JSON:
        gw_json_write(&json, &event->base, GW_JSON_COMPACT);
        printf("%.*s\n", GW_STR_ARG(gw_buf_view(&json)));
        break;
    case CP_OUTPUT_YAML:
        puts("---");
        cp_print_message(&event->base, CP_OUTPUT_YAML, arena);
        break;
    case CP_OUTPUT_NAME:
        puts(event->name);
        break;
    default:
        print_row(event, kind, arena);
        break;
    }
}

static int open_watch(struct cp_session *session, const struct cp_scope *scope,
                      struct gw_rpc_reader **ret_reader, struct gw_error *err)
{
    watch_request request = PENSTOCK__ADMIN__V1__WATCH_REQUEST__INIT;
    char *kinds[] = {
        (char *)(uintptr_t)gw_arena_dup(&session->arena, collection_of(scope->kind)).ptr};
    request.kinds = kinds;
    request.n_kinds = 1;
    bool is_all = !scope->is_name && gw_str_has_suffix(scope->name, GW_STR("-"));
    if (!is_all)
        request.parent = (char *)(uintptr_t)gw_arena_dup(&session->arena, scope->name).ptr;
    return gw_rpc_client_stream(session->client, PATH, &request.base,
                                &penstock__admin__v1__watch_response__descriptor, ret_reader, err);
}

/* Until it ends; -1 with err. */
static int follow(struct cp_session *session, const struct cp_ctl_kind *kind,
                  struct gw_rpc_reader *reader, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    for (;;) {
        ProtobufCMessage *message;
        gw_arena_reset(&arena);
        int got = gw_rpc_reader_next(reader, &arena, PATIENCE_MS, &message, err);
        if (got == 0)
            return gw_fail(err, GW_UNAVAILABLE, "the control plane has ended the watch");
        if (got < 0)
            return -1;
        const watch_response *response = (const watch_response *)message;
        for (size_t i = 0; i < response->n_events; i++)
            print_event(session, response->events[i], kind, &arena);
        fflush(stdout);
    }
}

/* First the watch, then the list: what changes in between is told by both, and missed by none. */
static int watch_once(struct cp_session *session, const struct cp_scope *scope, cp_show_fn *show,
                      struct gw_error *err)
{
    struct gw_rpc_reader *reader = NULL;
    ProtobufCMessage *begin;
    int failed = open_watch(session, scope, &reader, err);
    if (!failed &&
        gw_rpc_reader_next(reader, &session->arena, session->options->timeout_ms, &begin, err) <= 0)
        failed = -1;
    if (!failed)
        failed = show(session, scope, err);
    fflush(stdout);
    if (!failed)
        failed = follow(session, scope->kind, reader, err);
    gw_rpc_reader_close(reader);
    return failed;
}

int cp_watch_scope(struct cp_session *session, const struct cp_scope *scope, cp_show_fn *show,
                   struct gw_error *err)
{
    int result;
    do {
        *err = GW_ERROR_NONE;
        result = watch_once(session, scope, show, err);
    } while (result < 0 &&
             (strcmp(err->reason, "RELIST") == 0 || strcmp(err->reason, "WATCH_TOO_SLOW") == 0));
    return result;
}
