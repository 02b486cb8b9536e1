/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/audit.h"

#include "common/json.h"
#include "common/log.h"
#include "common/message.h"
#include "controlplane/model/secrets.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/resource.h"

#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>

#define NANOS_PER_MS 1000000
#define SLOTS 1024 /* of callers that are refused */

/* What is noted of one call; texts live as long as the call. */
struct cp_audit {
    const char *method, *source, *resource;
    const char *parent;  /* of a Create without an id: its resource is what is written */
    gw_str request;      /* JSON; empty: too long */
    gw_str item_request; /* without the names of a bulk call */
    bool is_open;        /* between cp_audit_start and cp_audit_stop */
    struct cp_kv *reads; /* of the try that is open */
    size_t read_count, read_room;
};

/* An event in the making. */
struct draft {
    struct gw_arena *arena;
    cp_audit_event event;
    size_t text_bytes;
};

/* ---- ids */

void cp_audit_id(gw_nsec stamp_ns, uint32_t random, char ret_id[CP_AUDIT_ID_LEN + 1])
{
    (void)snprintf(ret_id, CP_AUDIT_ID_LEN + 1, "%016llx-%08x",
                   (unsigned long long)(INT64_MAX - stamp_ns), random);
}

bool cp_audit_id_parse(gw_str id, gw_nsec *ret_stamp_ns)
{
    uint64_t inverted = 0;
    if (id.len != CP_AUDIT_ID_LEN || id.ptr[16] != '-')
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_digit = c >= '0' && c <= '9';
        if (i == 16)
            continue;
        if (!is_digit && !(c >= 'a' && c <= 'f'))
            return false;
        if (i < 16)
            inverted = inverted << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret_stamp_ns = (gw_nsec)((uint64_t)INT64_MAX - inverted);
    return inverted <= INT64_MAX;
}

bool cp_audit_id_is_refusal(gw_str id)
{
    return id.len == CP_AUDIT_ID_LEN && id.ptr[17] >= '8';
}

/* The clock has milliseconds; events of one process keep their order within one. */
static int make_id(bool is_refusal, char ret_id[CP_AUDIT_ID_LEN + 1], struct gw_error *err)
{
    static _Atomic unsigned turn;
    uint32_t random;
    if (RAND_bytes((unsigned char *)&random, sizeof random) != 1)
        return gw_fail(err, GW_INTERNAL, "there are no random numbers");
    unsigned next = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
    random = is_refusal ? random | CP_AUDIT_REFUSAL : random & ~CP_AUDIT_REFUSAL;
    cp_audit_id(gw_clock_wall_ms() * NANOS_PER_MS + next % NANOS_PER_MS, random, ret_id);
    return 0;
}

/* ---- the request */

/* "10.0.0.1" of "ipv4:10.0.0.1:50000", "::1" of "ipv6:%5B::1%5D:50000", "unix". */
static const char *source_of(struct gw_arena *arena, const char *peer)
{
    gw_str rest = gw_str_from(peer);
    gw_str kind = gw_str_split(&rest, ':');
    if (!rest.ptr || gw_str_eq(kind, GW_STR("unix")))
        return gw_arena_dup(arena, kind).ptr;
    while (rest.len > 0 && rest.ptr[rest.len - 1] != ':')
        rest.len--;
    rest.len -= rest.len > 0;
    static const char *const marks[] = {"%5B", "["}, *const ends[] = {"%5D", "]"};
    for (size_t i = 0; i < GW_ARRAY_LEN(marks); i++) {
        gw_str mark = gw_str_from(marks[i]), end = gw_str_from(ends[i]);
        if (gw_str_has_prefix(rest, mark) && gw_str_has_suffix(rest, end))
            rest = gw_str_n(rest.ptr + mark.len, rest.len - mark.len - end.len);
    }
    return gw_arena_dup(arena, rest).ptr;
}

static const struct cp_kind *kind_of_type(const ProtobufCMessageDescriptor *type)
{
    for (int i = 0; i < CP_KIND_COUNT; i++)
        if (cp_kind_get((enum cp_kind_id)i)->type == type)
            return cp_kind_get((enum cp_kind_id)i);
    return NULL;
}

/* The id that a Create asks for; "": none. */
static const char *new_id(const ProtobufCMessage *request)
{
    const ProtobufCMessageDescriptor *type = request->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (gw_str_has_suffix(gw_str_from(type->fields[i].name), GW_STR("_id")))
            return cp_text_field(request, type->fields[i].name);
    return "";
}

/* Of Create and Update, by the resource that they bring. */
static void find_resource_inside(struct gw_arena *arena, struct cp_audit *audit,
                                 const ProtobufCMessage *request)
{
    const ProtobufCMessageDescriptor *type = request->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool is_one =
            field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED;
        const struct cp_kind *kind = is_one ? kind_of_type(field->descriptor) : NULL;
        const ProtobufCMessage *inside = kind ? cp_message_field(request, field->name) : NULL;
        const char *parent = cp_text_field(request, "parent"), *id = new_id(request);
        if (inside && *cp_text_field(inside, "name"))
            audit->resource = cp_text_field(inside, "name");
        else if (kind && *id)
            audit->resource =
                gw_arena_printf(arena, "%s%s%s/%s", parent, *parent ? "/" : "", kind->word, id).ptr;
        if (kind && *audit->resource)
            return;
    }
}

static void find_resource(struct gw_arena *arena, struct cp_audit *audit,
                          const ProtobufCMessage *request)
{
    static const char *const fields[] = {"name", "release"};
    audit->resource = "";
    audit->parent = cp_text_field(request, "parent");
    for (size_t i = 0; i < GW_ARRAY_LEN(fields) && !*audit->resource; i++)
        audit->resource = cp_text_field(request, fields[i]);
    if (!*audit->resource)
        find_resource_inside(arena, audit, request);
}

/* Empty: too long. */
static gw_str json_of(struct gw_arena *arena, const ProtobufCMessage *message)
{
    struct gw_buf text;
    gw_buf_init(&text, 0);
    gw_json_write(&text, cp_redact(arena, message), GW_JSON_COMPACT);
    gw_str result = gw_buf_len(&text) <= CP_AUDIT_TEXT_MAX ? gw_arena_dup(arena, gw_buf_view(&text))
                                                           : GW_STR_NONE;
    gw_buf_done(&text);
    return result;
}

/* A thousand items do not each hold the names of all. */
static gw_str without_names(struct gw_arena *arena, const ProtobufCMessage *request)
{
    ProtobufCMessage *copy = gw_message_copy(arena, request);
    *(size_t *)gw_message_quantifier(copy, cp_field(copy, "names")) = 0;
    return json_of(arena, copy);
}

struct cp_audit *cp_audit_begin(const struct cp_call *call, const char *method, const char *peer,
                                const ProtobufCMessage *request)
{
    const ProtobufCFieldDescriptor *names = cp_field(request, "names");
    struct cp_audit *audit = GW_ARENA_NEW(call->arena, struct cp_audit);
    *audit = (struct cp_audit){.method = method};
    audit->source = source_of(call->arena, peer);
    audit->request = json_of(call->arena, request);
    audit->item_request = names && names->label == PROTOBUF_C_LABEL_REPEATED
                              ? without_names(call->arena, request)
                              : audit->request;
    find_resource(call->arena, audit, request);
    return audit;
}

struct cp_audit *cp_audit_item(const struct cp_call *call, struct gw_arena *arena,
                               const char *resource)
{
    if (!call->audit)
        return NULL;
    struct cp_audit *item = GW_ARENA_NEW(arena, struct cp_audit);
    *item = (struct cp_audit){.method = call->audit->method,
                              .source = call->audit->source,
                              .resource = resource,
                              .parent = "",
                              .request = call->audit->item_request};
    return item;
}

void cp_audit_about(const struct cp_call *call, const char *resource)
{
    if (call->audit && !*call->audit->resource)
        call->audit->resource = resource;
}

/* ---- what was read */

void cp_audit_start(const struct cp_call *call)
{
    struct cp_audit *audit = call->audit;
    if (!audit)
        return;
    audit->is_open = true;
    audit->read_count = audit->read_room = 0;
}

void cp_audit_stop(const struct cp_call *call)
{
    if (call->audit)
        call->audit->is_open = false;
}

void cp_audit_note(const struct cp_call *call, const struct cp_kv *kv)
{
    struct cp_audit *audit = call->audit;
    /* Of revision 0 is what the change itself has added so far (store/overlay.h). */
    if (!audit || !audit->is_open || kv->mod_revision == 0 ||
        audit->read_count == CP_AUDIT_READS_MAX)
        return;
    if (audit->read_count == audit->read_room) {
        size_t room = GW_MAX((size_t)16, 2 * audit->read_room);
        struct cp_kv *reads = GW_ARENA_ARRAY(call->arena, struct cp_kv, room);
        if (audit->read_count > 0)
            memcpy(reads, audit->reads, audit->read_count * sizeof *reads);
        audit->reads = reads;
        audit->read_room = room;
    }
    audit->reads[audit->read_count++] = *kv;
}

static const struct cp_kv *find_read(const struct cp_audit *audit, gw_str key)
{
    for (size_t i = 0; i < audit->read_count; i++)
        if (gw_str_eq(audit->reads[i].key, key))
            return &audit->reads[i];
    return NULL;
}

/* ---- the event */

/* Whether there is room for it still; else the event says that it is not whole. */
static char *take_text(struct draft *draft, gw_str text, bool is_there)
{
    bool fits = text.len > 0 && draft->text_bytes + text.len <= CP_AUDIT_EVENT_MAX;
    if (is_there && !fits)
        draft->event.truncated = true;
    if (!fits)
        return (char *)(uintptr_t) "";
    draft->text_bytes += text.len;
    return (char *)(uintptr_t)text.ptr;
}

/* No resource has a longer name; what is refused may bring one of megabytes. */
static char *take_name(struct draft *draft, const char *name)
{
    size_t len = strlen(name);
    if (len <= CP_NAME_MAX)
        return (char *)(uintptr_t)name;
    draft->event.truncated = true;
    for (len = CP_NAME_MAX; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80;)
        len--; /* within a character */
    return (char *)(uintptr_t)gw_arena_dup(draft->arena, gw_str_n(name, len)).ptr;
}

/* The JSON of a stored value. What is packed in more bytes than the text may have is not tried. */
static char *value_text(struct draft *draft, const struct cp_kind *kind, gw_str value)
{
    ProtobufCMessage *message;
    struct gw_error ignored;
    if (value.len > CP_AUDIT_TEXT_MAX ||
        gw_message_unpack(draft->arena, kind->type, value, &message, &ignored) < 0)
        return take_text(draft, GW_STR_NONE, true);
    return take_text(draft, json_of(draft->arena, message), true);
}

static void add_change(const struct cp_audit *audit, struct draft *draft, const struct cp_op *op)
{
    gw_str name;
    const struct cp_kind *kind = cp_key_parse(draft->arena, op->key, &name);
    if (!kind)
        return; /* an index, a guard */
    cp_audit_change *change = GW_ARENA_NEW(draft->arena, cp_audit_change);
    penstock__admin__v1__audit_change__init(change);
    const struct cp_kv *before = find_read(audit, op->key);
    change->resource = (char *)(uintptr_t)gw_arena_dup(draft->arena, name).ptr;
    if (before)
        change->before = value_text(draft, kind, before->value);
    if (op->kind == CP_OP_PUT)
        change->after = value_text(draft, kind, op->value);
    draft->event.changes[draft->event.n_changes++] = change;
}

static void begin_draft(const struct cp_call *call, struct draft *draft)
{
    const struct cp_audit *audit = call->audit;
    *draft = (struct draft){.arena = call->arena};
    penstock__admin__v1__audit_event__init(&draft->event);
    draft->event.event_time = cp_now(call->arena);
    draft->event.method = (char *)(uintptr_t)audit->method;
    draft->event.resource = take_name(draft, *audit->resource ? audit->resource : audit->parent);
    draft->event.principal = (char *)(uintptr_t)call->principal->name;
    draft->event.source_address = (char *)(uintptr_t)audit->source;
    draft->event.request = take_text(draft, audit->request, true);
}

/* Names of what was written stay, texts go. */
static void drop_texts(cp_audit_event *event)
{
    event->truncated = true;
    event->request = (char *)(uintptr_t) "";
    for (size_t i = 0; i < event->n_changes; i++)
        event->changes[i]->before = event->changes[i]->after = (char *)(uintptr_t) "";
}

static int put_event(struct gw_arena *arena, const cp_audit_event *event, struct cp_op *ret_op,
                     struct gw_error *err)
{
    char id[CP_AUDIT_ID_LEN + 1];
    if (make_id(event->code != GW_OK, id, err) < 0)
        return -1;
    *ret_op = (struct cp_op){.kind = CP_OP_PUT,
                             .key = gw_arena_printf(arena, CP_AUDIT_ROOT "%s", id),
                             .value = gw_message_pack(arena, &event->base)};
    return 0;
}

/* Keys that are compared count at the store, too. */
static size_t bytes_of(const struct cp_change *change)
{
    size_t bytes = 0;
    for (size_t i = 0; i < change->op_count; i++)
        bytes += change->ops[i].key.len + change->ops[i].value.len;
    for (size_t i = 0; i < change->compare_count; i++)
        bytes += change->compares[i].key.len;
    return bytes;
}

int cp_audit_event_of(const struct cp_call *call, const struct cp_change *change,
                      struct cp_op *ret_op, struct gw_error *err)
{
    struct draft draft;
    begin_draft(call, &draft);
    draft.event.changes = GW_ARENA_ARRAY(call->arena, cp_audit_change *, change->op_count + 1);
    for (size_t i = 0; i < change->op_count; i++)
        add_change(call->audit, &draft, &change->ops[i]);
    if (!*call->audit->resource && draft.event.n_changes == 1) /* its id was made here */
        draft.event.resource = draft.event.changes[0]->resource;
    if (put_event(call->arena, &draft.event, ret_op, err) < 0)
        return -1;
    if (bytes_of(change) + ret_op->key.len + ret_op->value.len <= CP_STORE_TXN_BYTES_MAX)
        return 0;
    drop_texts(&draft.event);
    ret_op->value = gw_message_pack(call->arena, &draft.event.base);
    return 0;
}

/* ---- what was refused, or wrote nothing */

static _Atomic int64_t lost_count;

int64_t cp_audit_lost(void)
{
    return atomic_load_explicit(&lost_count, memory_order_relaxed);
}

/* An event that goes with no write. */
static int store_event(const struct cp_call *call, const struct gw_error *why, struct gw_error *err)
{
    struct draft draft;
    struct cp_op op;
    struct cp_commit commit;
    begin_draft(call, &draft);
    draft.event.code = (int32_t)why->code;
    draft.event.message = (char *)(uintptr_t)why->message;
    if (put_event(call->arena, &draft.event, &op, err) < 0)
        return -1;
    struct cp_txn txn = {.ops = &op, .op_count = 1};
    return cp_store_txn(call->services->store, &txn, &commit, err);
}

int cp_audit_act(const struct cp_call *call, struct gw_error *err)
{
    static const struct gw_error none = {.code = GW_OK};
    return call->audit ? store_event(call, &none, err) : 0;
}

/* One caller's refusals neither crowd out those of others nor wash out the trail. A slot is of all
 * whose names have its number: the table has an end, however many names there are. */
static bool may_store(const struct cp_call *call, struct gw_error *why)
{
    static struct gw_log_limit all, each[SLOTS];
    unsigned dropped;
    uint64_t slot = gw_str_hash(gw_str_from(call->principal->name)) % SLOTS;
    if (!gw_log_allow(&each[slot], CP_AUDIT_REFUSALS_EACH_MAX, &dropped))
        (void)gw_fail(why, GW_RESOURCE_EXHAUSTED, "more than %u refusals in a second for %s",
                      CP_AUDIT_REFUSALS_EACH_MAX, call->principal->name);
    else if (!gw_log_allow(&all, CP_AUDIT_REFUSALS_MAX, &dropped))
        (void)gw_fail(why, GW_RESOURCE_EXHAUSTED, "more than %u refusals in a second",
                      CP_AUDIT_REFUSALS_MAX);
    return why->code == GW_OK;
}

static bool is_store_away(const struct gw_error *err)
{
    return strcmp(err->reason, CP_STORE_AWAY) == 0 ||
           strcmp(err->reason, CP_STORE_OUTCOME_UNKNOWN) == 0;
}

/* The log has the refusal; with the store away it would only take longer to say so. */
void cp_audit_end(const struct cp_call *call, const struct gw_error *err)
{
    static struct gw_log_limit told;
    struct gw_error why = GW_ERROR_NONE;
    unsigned dropped;
    if (!err || !call->audit)
        return;
    if (is_store_away(err))
        why = *err;
    else if (may_store(call, &why) && store_event(call, err, &why) == 0)
        return;
    atomic_fetch_add_explicit(&lost_count, 1, memory_order_relaxed);
    if (gw_log_allow(&told, 1, &dropped))
        gw_log(GW_LOG_WARN, "audit", "a refusal is in the log alone",
               gw_kv_text("method", call->audit->method), gw_kv_error(&why),
               gw_kv_int("dropped", dropped));
}

const struct cp_recorder cp_audit_recorder = {.begin = cp_audit_begin, .end = cp_audit_end};
