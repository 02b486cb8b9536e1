/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail, as it is read: one event, pages of them, CSV. Events never change, and come in
 * at the front, so that a page goes on behind the last one that was looked at, however many there
 * are. */
#include "common/buf.h"
#include "common/json.h"
#include "common/message.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#include <inttypes.h>

#define ROWS_MAX 5000      /* of a CSV answer */
#define LOOKED_AT_MAX 5000 /* by one call */
#define READ_KEYS 100      /* at once from the store: at most 7 MiB */
#define CSV_HEADER "time,method,resource,principal,source_address,code,message,revision,name\r\n"
#define NANOS_PER_MS 1000000
#define NANOS_PER_S (1000 * (gw_nsec)NANOS_PER_MS)

typedef Penstock__Admin__V1__ListAuditEventsRequest list_request;
typedef Penstock__Admin__V1__ListAuditEventsResponse list_reply;
typedef Penstock__Admin__V1__ExportAuditEventsRequest export_request;
typedef Penstock__Admin__V1__ExportAuditEventsResponse export_reply;

/* One reading from the newest to the oldest that is asked for. */
struct reading {
    const struct cp_call *call;
    const list_request *asked;
    gw_str after_key;
    gw_nsec begin_ns; /* older ones are not asked for */
    size_t limit;
    cp_audit_event **events; /* in the call's arena */
    struct gw_buf *csv;      /* not NULL: rows instead of events */
    size_t count, bytes, looked_at;
    char *next; /* page token; "": there are no more */
};

/* ---- an event of the store */

static int unpack(struct gw_arena *arena, const struct cp_kv *kv, cp_audit_event **ret_event,
                  struct gw_error *err)
{
    ProtobufCMessage *message;
    struct gw_error why = GW_ERROR_NONE;
    gw_str id = gw_str_n(kv->key.ptr + strlen(CP_AUDIT_ROOT), CP_AUDIT_ID_LEN);
    if (gw_message_unpack(arena, CP_TYPE(audit_event), kv->value, &message, &why) < 0)
        return gw_fail(err, GW_INTERNAL, "the event stored as %.*s cannot be read: %s",
                       GW_STR_ARG(kv->key), why.message);
    cp_audit_event *event = (cp_audit_event *)message;
    event->name =
        (char *)(uintptr_t)gw_arena_printf(arena, CP_AUDIT_COLLECTION "%.*s", GW_STR_ARG(id)).ptr;
    event->revision = event->code == GW_OK ? kv->mod_revision : 0;
    *ret_event = event;
    return 0;
}

int cp_audit_find(const struct cp_call *call, gw_str id, cp_audit_event **ret_event,
                  struct gw_error *err)
{
    struct cp_found found;
    gw_str key = gw_arena_printf(call->arena, CP_AUDIT_ROOT "%.*s", GW_STR_ARG(id));
    *ret_event = NULL;
    if (cp_store_get(call->services->store, key, call->arena, &found, err) < 0)
        return -1;
    return found.found ? unpack(call->arena, &found.kv, ret_event, err) : 0;
}

static int get_audit_event(const struct cp_call *call, const ProtobufCMessage *request,
                           ProtobufCMessage **ret_reply, struct gw_error *err)
{
    gw_nsec stamp_ns;
    cp_audit_event *event;
    const char *name = gw_message_text(request, "name");
    gw_str id = gw_str_from(name);
    bool is_name = gw_str_has_prefix(id, GW_STR(CP_AUDIT_COLLECTION));
    if (is_name)
        id = gw_str_n(id.ptr + strlen(CP_AUDIT_COLLECTION), id.len - strlen(CP_AUDIT_COLLECTION));
    if (!is_name || !cp_audit_id_parse(id, &stamp_ns))
        return gw_fail_field(err, "name",
                             "is not a name of the form \"auditEvents/{audit_event}\"");
    if (cp_audit_find(call, id, &event, err) < 0)
        return -1;
    if (!event)
        return gw_fail(err, GW_NOT_FOUND, "%s does not exist, or not any longer", name);
    *ret_reply = &event->base;
    return 0;
}

/* ---- what is asked for */

static bool is_below(const char *resource, const char *asked)
{
    size_t len = strlen(asked);
    return strncmp(resource, asked, len) == 0 && (resource[len] == '\0' || resource[len] == '/');
}

static bool concerns(const cp_audit_event *event, const char *asked)
{
    if (!*asked || is_below(event->resource, asked))
        return true;
    for (size_t i = 0; i < event->n_changes; i++)
        if (is_below(event->changes[i]->resource, asked))
            return true;
    return false;
}

static bool is_method(const char *method, const char *asked)
{
    const char *slash = strchr(method, '/');
    return !*asked || strcmp(method, asked) == 0 || (slash && strcmp(slash + 1, asked) == 0);
}

static bool matches(const list_request *asked, const cp_audit_event *event)
{
    bool is_refused = event->code != GW_OK;
    return concerns(event, asked->resource) && is_method(event->method, asked->method) &&
           (!*asked->principal || strcmp(event->principal, asked->principal) == 0) &&
           (asked->code == 0 || event->code == asked->code) &&
           (asked->result == PENSTOCK__ADMIN__V1__AUDIT_RESULT__AUDIT_RESULT_UNSPECIFIED ||
            is_refused ==
                (asked->result == PENSTOCK__ADMIN__V1__AUDIT_RESULT__AUDIT_RESULT_REFUSED));
}

static int read_time(const cp_timestamp *time, const char *field, gw_nsec *ret_ns,
                     struct gw_error *err)
{
    if (time->seconds < 0 || time->seconds >= INT64_MAX / NANOS_PER_S || time->nanos < 0 ||
        time->nanos >= NANOS_PER_S)
        return gw_fail_field(err, field, "must be a time from 1970 to 2262");
    *ret_ns = time->seconds * NANOS_PER_S + time->nanos;
    return 0;
}

/* Which list a page token is of. */
static uint64_t hash_of(const struct reading *reading)
{
    list_request asked = *reading->asked;
    asked.page_size = 0;
    asked.page_token = (char *)(uintptr_t) "";
    return gw_str_hash(gw_message_pack(reading->call->arena, &asked.base));
}

static int read_token(struct reading *reading, struct gw_error *err)
{
    gw_nsec stamp_ns;
    gw_str hash = gw_str_from(reading->asked->page_token);
    if (hash.len == 0)
        return 0;
    gw_str id = gw_str_split(&hash, '.');
    gw_str wanted = gw_arena_printf(reading->call->arena, "%016" PRIx64, hash_of(reading));
    if (!cp_audit_id_parse(id, &stamp_ns) || !gw_str_eq(hash, wanted))
        return gw_fail_field(err, "page_token", "is none of this list");
    reading->after_key =
        gw_arena_printf(reading->call->arena, CP_AUDIT_ROOT "%.*s", GW_STR_ARG(id));
    return 0;
}

/* The newest that are asked for lie behind this key. */
static gw_str key_before(struct gw_arena *arena, gw_nsec end_ns)
{
    char id[CP_AUDIT_ID_LEN + 1];
    cp_audit_id(end_ns, UINT32_MAX, id);
    return gw_arena_printf(arena, CP_AUDIT_ROOT "%s", id);
}

static int check_request(const list_request *asked, struct gw_error *err)
{
    const ProtobufCEnumDescriptor *results = &penstock__admin__v1__audit_result__descriptor;
    if (asked->page_size < 0)
        (void)gw_fail_field(err, "page_size", "must not be negative");
    if (asked->code < 0 || asked->code > GW_UNAUTHENTICATED)
        (void)gw_fail_field(err, "code", "must be a google.rpc.Code, 0 to 16");
    if (!protobuf_c_enum_descriptor_get_value(results, (int)asked->result))
        (void)gw_fail_field(err, "result", "is not known");
    if (strlen(asked->resource) > CP_NAME_MAX)
        (void)gw_fail_field(err, "resource", "must be at most %d bytes", CP_NAME_MAX);
    return err->violation_count > 0 ? -1 : 0;
}

static int begin_reading(struct reading *reading, size_t limit, struct gw_error *err)
{
    gw_nsec end_ns = 0;
    const list_request *asked = reading->asked;
    if (check_request(asked, err) < 0 ||
        (asked->start_time &&
         read_time(asked->start_time, "start_time", &reading->begin_ns, err)) ||
        (asked->end_time && read_time(asked->end_time, "end_time", &end_ns, err)))
        return -1;
    if (asked->end_time)
        reading->after_key = key_before(reading->call->arena, end_ns);
    reading->limit = limit;
    reading->next = (char *)(uintptr_t) "";
    reading->events = GW_ARENA_ARRAY(reading->call->arena, cp_audit_event *, limit + 1);
    return read_token(reading, err);
}

/* ---- CSV */

/* The buffers here have no limit, so nothing can fail. */
static void put(struct gw_buf *out, gw_str text)
{
    int rc = gw_buf_append(out, text);
    assert(rc == 0);
    (void)rc;
}

/* RFC 4180, quoted always. A ' keeps spreadsheets from reading a formula. */
static void put_cell(struct gw_buf *out, const char *text)
{
    put(out, GW_STR("\""));
    if (*text && strchr("=+-@\t\r", *text))
        put(out, GW_STR("'"));
    for (; *text; text++)
        put(out, *text == '"' ? GW_STR("\"\"") : gw_str_n(text, 1));
    put(out, GW_STR("\""));
}

static void put_row(struct gw_arena *arena, struct gw_buf *out, const cp_audit_event *event)
{
    const cp_timestamp *time = event->event_time;
    gw_str when = time ? gw_json_timestamp(arena, time->seconds, time->nanos) : GW_STR("");
    const char *const cells[] = {
        when.ptr,
        event->method,
        event->resource,
        event->principal,
        event->source_address,
        gw_code_name((enum gw_code)event->code),
        event->message,
        gw_arena_printf(arena, "%" PRId64, event->revision).ptr,
        event->name,
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(cells); i++) {
        if (i > 0)
            put(out, GW_STR(","));
        put_cell(out, cells[i]);
    }
    put(out, GW_STR("\r\n"));
}

/* ---- reading */

static void end_page(struct reading *reading, gw_str last_id)
{
    reading->next = (char *)(uintptr_t)gw_arena_printf(reading->call->arena, "%.*s.%016" PRIx64,
                                                       GW_STR_ARG(last_id), hash_of(reading))
                        .ptr;
}

/* What matches is kept in the call's arena, the rest goes with the page's. */
static int take(struct reading *reading, struct gw_arena *scratch, const struct cp_kv *kv,
                struct gw_error *err)
{
    cp_audit_event *event;
    if (unpack(scratch, kv, &event, err) < 0)
        return -1;
    reading->looked_at++;
    if (!matches(reading->asked, event))
        return 0;
    if (reading->csv) {
        put_row(scratch, reading->csv, event);
        reading->bytes = gw_buf_len(reading->csv);
    } else {
        reading->events[reading->count] =
            (cp_audit_event *)gw_message_copy(reading->call->arena, &event->base);
        reading->bytes += kv->value.len;
    }
    reading->count++;
    return 0;
}

static bool is_full(const struct reading *reading)
{
    return reading->count == reading->limit || reading->bytes >= CP_PAGE_BYTES_MAX ||
           reading->looked_at == LOOKED_AT_MAX;
}

/* 1: the reading is at its end; 0: there are more. */
static int read_some(struct reading *reading, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena scratch = {0};
    struct cp_page page;
    struct cp_range range = {
        .prefix = GW_STR(CP_AUDIT_ROOT), .after_key = reading->after_key, .limit = READ_KEYS};
    if (cp_store_list(reading->call->services->store, &range, &scratch, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        gw_nsec stamp_ns;
        gw_str key = page.kvs[i].key;
        gw_str id = gw_str_n(key.ptr + range.prefix.len, key.len - range.prefix.len);
        reading->after_key = key;
        if (!cp_audit_id_parse(id, &stamp_ns))
            continue; /* not ours */
        if (stamp_ns < reading->begin_ns)
            return 1;
        if (take(reading, &scratch, &page.kvs[i], err) < 0)
            return -1;
        bool is_last = !page.more && i + 1 == page.count;
        if (is_full(reading) && !is_last)
            end_page(reading, id);
        if (is_full(reading))
            return 1;
    }
    reading->after_key = gw_arena_dup(reading->call->arena, reading->after_key);
    return !page.more;
}

static int read_all(struct reading *reading, size_t limit, struct gw_error *err)
{
    int result = begin_reading(reading, limit, err);
    while (result == 0)
        result = read_some(reading, err);
    return result < 0 ? -1 : 0;
}

static int list_audit_events(const struct cp_call *call, const ProtobufCMessage *request,
                             ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const list_request *asked = (const list_request *)request;
    struct reading reading = {.call = call, .asked = asked};
    size_t size = asked->page_size > 0 ? (size_t)GW_MIN(asked->page_size, CP_PAGE_SIZE_MAX)
                                       : CP_PAGE_SIZE_DEFAULT;
    if (read_all(&reading, size, err) < 0)
        return -1;
    list_reply *reply =
        (list_reply *)gw_message_new(call->arena, CP_TYPE(list_audit_events_response));
    reply->audit_events = reading.events;
    reply->n_audit_events = reading.count;
    reply->next_page_token = reading.next;
    *ret_reply = &reply->base;
    return 0;
}

static int export_audit_events(const struct cp_call *call, const ProtobufCMessage *request,
                               ProtobufCMessage **ret_reply, struct gw_error *err)
{
    static const list_request all = CP_INIT(LIST_AUDIT_EVENTS_REQUEST);
    const list_request *asked = ((const export_request *)request)->list;
    struct reading reading = {.call = call, .asked = asked ? asked : &all};
    int32_t size = reading.asked->page_size;
    gw_auto(gw_buf_done) struct gw_buf csv;
    gw_buf_init(&csv, 0);
    put(&csv, GW_STR(CSV_HEADER));
    reading.csv = &csv;
    if (read_all(&reading, size > 0 ? (size_t)GW_MIN(size, ROWS_MAX) : ROWS_MAX, err) < 0)
        return -1;
    export_reply *reply =
        (export_reply *)gw_message_new(call->arena, CP_TYPE(export_audit_events_response));
    reply->csv = (char *)(uintptr_t)gw_arena_dup(call->arena, gw_buf_view(&csv)).ptr;
    reply->rows = (int32_t)reading.count;
    reply->next_page_token = reading.next;
    *ret_reply = &reply->base;
    return 0;
}

static const struct cp_method methods[] = {
    {"GetAuditEvent", CP_ROLE_ADMINISTRATOR, get_audit_event},
    {"ListAuditEvents", CP_ROLE_ADMINISTRATOR, list_audit_events},
    {"ExportAuditEvents", CP_ROLE_ADMINISTRATOR, export_audit_events},
};
const struct cp_service cp_audit_service = {&penstock__admin__v1__audit_event_service__descriptor,
                                            methods, GW_ARRAY_LEN(methods)};
