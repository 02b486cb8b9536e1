/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/ctl/audit.h"

#include "common/json.h"

#include "penstock/admin/v1/audit_event.pb-c.h"

#include <stdio.h>

#define NANOS_PER_MS 1000000
#define TIME_BYTES_MAX 40

typedef Penstock__Admin__V1__ListAuditEventsRequest list_request;
typedef Penstock__Admin__V1__ExportAuditEventsRequest export_request;
typedef Penstock__Admin__V1__ExportAuditEventsResponse export_reply;

bool cp_is_audit(const struct cp_ctl_kind *kind)
{
    return kind->message == &penstock__admin__v1__audit_event__descriptor;
}

static char *text_of(struct cp_session *session, const char *text)
{
    return text ? gw_arena_strdup(&session->arena, text) : (char *)(uintptr_t) "";
}

/* "2026-11-27T00:00:00Z", or how long ago: "2h". */
static int set_time(struct cp_session *session, const char *flag, const char *typed,
                    Google__Protobuf__Timestamp **slot, struct gw_error *err)
{
    gw_msec ago_ms;
    ProtobufCMessage *request;
    struct gw_error why = GW_ERROR_NONE;
    if (!typed)
        return 0;
    if (cp_duration_parse(gw_str_from(typed), &ago_ms) == 0) {
        gw_msec then_ms = GW_MAX(gw_clock_wall_ms() - ago_ms, 0);
        *slot = GW_ARENA_NEW(&session->arena, Google__Protobuf__Timestamp);
        google__protobuf__timestamp__init(*slot);
        (*slot)->seconds = then_ms / 1000;
        (*slot)->nanos = (int32_t)(then_ms % 1000) * NANOS_PER_MS;
        return 0;
    }
    bool is_plain =
        strlen(typed) <= TIME_BYTES_MAX && strspn(typed, "0123456789TtZz:+-.") == strlen(typed);
    gw_str json = gw_arena_printf(&session->arena, "{\"startTime\":\"%s\"}", is_plain ? typed : "");
    if (!is_plain ||
        gw_json_parse(&session->arena, &penstock__admin__v1__list_audit_events_request__descriptor,
                      json, &request, &why) < 0) {
        (void)gw_fail_field(err, flag,
                            "\"%s\" is neither a time such as 2026-11-27T00:00:00Z nor how long "
                            "ago: 30m, 2h",
                            typed);
        return cp_usage(err);
    }
    *slot = ((list_request *)request)->start_time;
    return 0;
}

static int set_code(list_request *request, const char *typed, struct gw_error *err)
{
    for (int code = 1; typed && code <= GW_UNAUTHENTICATED; code++)
        if (gw_str_eq_nocase(gw_str_from(typed), gw_str_from(gw_code_name((enum gw_code)code))))
            request->code = code;
    if (!typed || request->code)
        return 0;
    (void)gw_fail_field(err, "--code", "\"%s\" is no code such as PERMISSION_DENIED", typed);
    return cp_usage(err);
}

static bool has_filters(const struct cp_filters *filters)
{
    return filters->resource || filters->principal || filters->method || filters->code ||
           filters->since || filters->until || filters->refused;
}

int cp_check_watch(const struct cp_session *session, struct gw_error *err)
{
    if (!has_filters(&session->options->filters) && session->options->output != CP_OUTPUT_CSV)
        return 0;
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "--watch has neither filters nor csv");
    return cp_usage(err);
}

int cp_set_filters(struct cp_session *session, const struct cp_ctl_kind *kind,
                   ProtobufCMessage *request, struct gw_error *err)
{
    const struct cp_filters *filters = &session->options->filters;
    list_request *asked = (list_request *)request;
    if (!cp_is_audit(kind)) {
        if (!has_filters(filters))
            return 0;
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "the kind %s has none of these filters",
                      kind->command);
        return cp_usage(err);
    }
    asked->resource = text_of(session, filters->resource);
    asked->principal = text_of(session, filters->principal);
    asked->method = text_of(session, filters->method);
    if (filters->refused)
        asked->result = PENSTOCK__ADMIN__V1__AUDIT_RESULT__AUDIT_RESULT_REFUSED;
    if (set_code(asked, filters->code, err) < 0 ||
        set_time(session, "--since", filters->since, &asked->start_time, err) < 0)
        return -1;
    return set_time(session, "--until", filters->until, &asked->end_time, err);
}

/* Later pages have the header once more. */
static void print_page(const export_reply *reply, bool is_first)
{
    const char *body = is_first ? reply->csv : strchr(reply->csv, '\n');
    if (body)
        fputs(is_first ? body : body + 1, stdout);
}

int cp_print_csv(struct cp_session *session, const struct cp_ctl_kind *kind, const char *typed,
                 struct gw_error *err)
{
    int64_t limit = session->options->limit, left = CP_CTL_CSV_ROWS_MAX;
    export_request request = PENSTOCK__ADMIN__V1__EXPORT_AUDIT_EVENTS_REQUEST__INIT;
    list_request list = PENSTOCK__ADMIN__V1__LIST_AUDIT_EVENTS_REQUEST__INIT;
    if (!cp_is_audit(kind) || typed) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "csv is for lists of audit-events");
        return cp_usage(err);
    }
    const ProtobufCMethodDescriptor *method =
        protobuf_c_service_descriptor_get_method_by_name(kind->service, "ExportAuditEvents");
    if (cp_set_filters(session, kind, &list.base, err) < 0)
        return -1;
    request.list = &list;
    if (limit > 0)
        left = GW_MIN(left, limit);
    for (bool is_first = true; left > 0; is_first = false) {
        ProtobufCMessage *reply;
        list.page_size = (int32_t)left;
        if (cp_call(session, kind->service, method, &request.base, &reply, err) < 0)
            return -1;
        const export_reply *page = (const export_reply *)reply;
        print_page(page, is_first);
        left -= page->rows;
        list.page_token = page->next_page_token;
        if (!*list.page_token)
            return 0;
    }
    fprintf(stderr, "There are more than these: --until the last one's time shows them.\n");
    return 0;
}
