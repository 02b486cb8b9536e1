/* SPDX-License-Identifier: Apache-2.0 */
/* Export: what an Apply elsewhere takes. All of it: kind by kind and page by page, as it was at one
 * revision. Of groups: with what they refer to and what refers to them, so that the bundle stands
 * on its own. What the caller may not read is not read. */
#include "controlplane/service/bundle.h"

#include "common/map.h"
#include "common/message.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/pages.h"

#include <stdlib.h>

#define AT_ONCE 200                                /* of the store */
#define OMISSION_BYTES 100                         /* and its name: of a page */
#define RELEASE_ENVIRONMENT "environments/RELEASE" /* is everywhere, and cannot be changed */

typedef Penstock__Admin__V1__ExportRequest export_request;
typedef Penstock__Admin__V1__ExportResponse export_reply;
typedef Penstock__Admin__V1__ExportOmission omission;

struct entry {
    const struct cp_bundle_kind *kind;
    const char *name;
    ProtobufCMessage *message;
};

struct export
{
    const struct cp_call *call;
    struct gw_map seen; /* names */
    struct entry *entries;
    size_t count, room, bytes;
    omission **omissions;
    size_t omission_count, omission_room;
    /* Of a page of everything: */
    struct cp_range range;
    int64_t revision;
    gw_str behind; /* the last key that was looked at, or the prefix of the kind */
    bool is_full;  /* there is more */
};

static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

/* Doubles the room of a full array. */
static void *make_room(struct gw_arena *arena, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = GW_MAX((size_t)32, 2 * *room);
    void *more = gw_arena_zalloc(arena, *room * size);
    if (count > 0)
        memcpy(more, items, count * size);
    return more;
}

static void omit(struct export *export, const char *name, const char *field, const char *reason)
{
    struct gw_arena *arena = export->call->arena;
    omission *said = (omission *)gw_message_new(arena, CP_TYPE(export_omission));
    said->name = gw_arena_strdup(arena, name);
    said->field = text(field);
    said->reason = text(reason);
    export->omissions = make_room(arena, export->omissions, export->omission_count,
                                  &export->omission_room, sizeof said);
    export->omissions[export->omission_count++] = said;
    export->bytes += strlen(name) + OMISSION_BYTES;
}

/* ---- one resource */

/* Without what is secret, and what is this gateway's alone. */
static int clean(struct export *export, const struct cp_bundle_kind *kind, const char *name,
                 ProtobufCMessage *message, struct gw_error *err)
{
    const struct cp_resource_rules *rules = kind->rules;
    if (rules->kind == CP_KIND_CERTIFICATE &&
        ((const cp_certificate *)message)->sealed_private_key.len > 0)
        omit(export, name, "private_key_pem", "secret: bring it along");
    if (rules->kind == CP_KIND_APP && ((const cp_app *)message)->sealed_secret.len > 0)
        omit(export, name, "secret", "secret: ResetAppSecret makes one there");
    if (rules->present && rules->present(export->call, message, err) < 0)
        return -1;
    cp_clear_output_only(message, rules->output_only);
    return 0;
}

/* 0: it is not for this export. */
static bool is_wanted(struct export *export, const struct cp_bundle_kind *kind, const char *name)
{
    struct gw_error unseen = GW_ERROR_NONE;
    return strcmp(name, RELEASE_ENVIRONMENT) != 0 &&
           cp_bundle_check(export->call, kind, "Get", name, &unseen) == 0;
}

static int take(struct export *export, const struct cp_bundle_kind *kind, const char *name,
                ProtobufCMessage *message, struct gw_error *err)
{
    struct gw_arena *arena = export->call->arena;
    if (kind->rules->kind == CP_KIND_CODE) {
        omit(export, name, "", "secret: only its digest is kept");
        return 0;
    }
    if (clean(export, kind, name, message, err) < 0)
        return -1;
    export->bytes += protobuf_c_message_get_packed_size(message);
    export->entries =
        make_room(arena, export->entries, export->count, &export->room, sizeof(struct entry));
    export->entries[export->count++] = (struct entry){kind, gw_arena_strdup(arena, name), message};
    return 0;
}

static int add(struct export *export, const struct cp_bundle_kind *kind, const char *name,
               const struct cp_stored *stored, struct gw_error *err)
{
    if (gw_map_get(&export->seen, gw_str_from(name)) || !is_wanted(export, kind, name))
        return 0;
    gw_map_put(&export->seen, gw_str_from(name), export);
    if (take(export, kind, name, stored->message, err) < 0)
        return -1;
    if (export->bytes > CP_EXPORT_BYTES_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED,
                       "the export has more than %d bytes: export groups, fewer at a time",
                       CP_EXPORT_BYTES_MAX);
    return cp_bundle_in_time(export->call, err);
}

struct visit {
    struct export *export;
    const struct cp_bundle_kind *kind;
};

static int visit(void *arg, const char *name, const struct cp_stored *stored, struct gw_error *err)
{
    const struct visit *visit = arg;
    return add(visit->export, visit->kind, name, stored, err);
}

static int add_children(struct export *export, const struct cp_bundle_kind *kind,
                        const char *parent, struct gw_error *err)
{
    struct visit all = {export, kind};
    return cp_each(export->call, kind->rules->kind, parent, visit, &all, err);
}

static const struct cp_bundle_kind *kind_of(enum cp_kind_id id)
{
    for (size_t i = 0; i < cp_bundle_kind_count; i++)
        if (cp_bundle_kinds[i].rules->kind == id)
            return &cp_bundle_kinds[i];
    gw_panic("bundles hold no %s", cp_kind_get(id)->noun);
}

/* What is not there is left out: a text may only look like a name. */
static int add_named(struct export *export, enum cp_kind_id id, const char *name,
                     struct gw_error *err)
{
    struct cp_stored stored;
    if (gw_map_get(&export->seen, gw_str_from(name)) || !is_wanted(export, kind_of(id), name))
        return 0;
    if (cp_find(export->call, id, name, &stored, err) < 0)
        return -1;
    return stored.message ? add(export, kind_of(id), name, &stored, err) : 0;
}

/* ---- what belongs together */

static int visit_referrer(void *arg, const char *name, struct gw_error *err)
{
    static const enum cp_kind_id kinds[] = {CP_KIND_BINDING, CP_KIND_AUTHORIZATION};
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++)
        if (cp_name_is(kinds[i], name))
            return add_named(arg, kinds[i], name, err);
    return 0;
}

/* Of what stands in no group, by the form of its name. */
static int add_if_name(struct export *export, const char *value, struct gw_error *err)
{
    static const enum cp_kind_id kinds[] = {CP_KIND_ENVIRONMENT, CP_KIND_CERTIFICATE,
                                            CP_KIND_CHANNEL, CP_KIND_APP, CP_KIND_POLICY};
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++)
        if (cp_name_is(kinds[i], value))
            return add_named(export, kinds[i], value, err);
    return 0;
}

static int add_references(struct export *export, const ProtobufCMessage *message,
                          struct gw_error *err)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        bool is_text = field->type == PROTOBUF_C_TYPE_STRING;
        if (!gw_message_has(message, field) || (!is_text && field->type != PROTOBUF_C_TYPE_MESSAGE))
            continue;
        size_t count = is_list ? *(const size_t *)gw_message_quantifier(message, field) : 1;
        void *const *items = gw_message_at(message, field);
        items = is_list ? *(void *const *const *)(const void *)items : items;
        for (size_t j = 0; j < count; j++)
            if ((is_text ? add_if_name(export, items[j], err)
                         : add_references(export, items[j], err)) < 0)
                return -1;
    }
    return 0;
}

/* Also of what is found on the way, and of what that stands under. */
static int add_all_references(struct export *export, struct gw_error *err)
{
    for (size_t i = 0; i < export->count; i++) {
        struct entry entry = export->entries[i];
        const char *parent =
            gw_arena_dup(export->call->arena, cp_name_parent(gw_str_from(entry.name))).ptr;
        if (add_if_name(export, parent, err) < 0 || add_references(export, entry.message, err) < 0)
            return -1;
    }
    return 0;
}

static int add_group(struct export *export, const char *name, struct gw_error *err)
{
    static const enum cp_kind_id kinds[] = {CP_KIND_DOMAIN, CP_KIND_VARIABLE, CP_KIND_API};
    struct cp_stored group;
    if (cp_bundle_check(export->call, kind_of(CP_KIND_GROUP), "Get", name, err) < 0 ||
        cp_get(export->call, CP_KIND_GROUP, name, &group, err) < 0 ||
        add(export, kind_of(CP_KIND_GROUP), name, &group, err) < 0)
        return -1;
    for (size_t i = 0; i < GW_ARRAY_LEN(kinds); i++)
        if (add_children(export, kind_of(kinds[i]), name, err) < 0)
            return -1;
    return cp_each_referrer_below(export->call, CP_KIND_API, name, visit_referrer, export, err);
}

static bool is_of_people(enum cp_kind_id kind)
{
    return kind == CP_KIND_ACCOUNT || kind == CP_KIND_USER;
}

static int gather_groups(struct export *export, const export_request *request, struct gw_error *err)
{
    struct cp_position at;
    if (cp_store_ping(export->call->services->store, &at, err) < 0)
        return -1;
    export->revision = at.revision;
    for (size_t i = 0; i < request->n_groups; i++)
        if (add_group(export, request->groups[i], err) < 0)
            return -1;
    return add_all_references(export, err);
}

/* ---- everything */

/* One of a page of the store, which lies in an arena that goes with it. */
static int take_kv(struct export *export, const struct cp_bundle_kind *kind, const struct cp_kv *kv,
                   struct gw_error *err)
{
    gw_str name;
    struct cp_stored stored;
    struct cp_call reading = *export->call;
    reading.audit = NULL; /* it would keep what goes with the arena */
    if (!cp_key_parse(reading.arena, kv->key, &name))
        return 0; /* not ours */
    const char *text = gw_arena_dup(reading.arena, name).ptr;
    if (!is_wanted(export, kind, text))
        return 0;
    export->is_full = export->bytes > 0 && export->bytes + kv->value.len > CP_EXPORT_BYTES_MAX;
    if (export->is_full)
        return 0;
    if (cp_unpack(&reading, kind->rules->kind, kv, &stored, err) < 0)
        return -1;
    return take(export, kind, text, stored.message, err);
}

static int take_page(struct export *export, const struct cp_bundle_kind *kind, bool *ret_more,
                     struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_page page;
    gw_str last = GW_STR_NONE;
    struct cp_store *store = export->call->services->store;
    if (cp_bundle_in_time(export->call, err) < 0)
        return -1;
    export->range.at_revision = export->revision;
    if (cp_store_list(store, &export->range, &arena, &page, err) < 0)
        return err->code == GW_OUT_OF_RANGE ? cp_fail_page_expired(err) : -1;
    export->revision = page.at.revision;
    for (size_t i = 0; i < page.count && !export->is_full; i++) {
        if (take_kv(export, kind, &page.kvs[i], err) < 0)
            return -1;
        last = export->is_full ? last : page.kvs[i].key;
    }
    if (last.len > 0)
        export->range.after_key = export->behind = gw_arena_dup(export->call->arena, last);
    *ret_more = page.more && !export->is_full;
    return 0;
}

static int take_kind(struct export *export, const struct cp_bundle_kind *kind, struct gw_error *err)
{
    size_t count;
    const gw_str *prefixes = cp_bundle_readable(export->call, kind, &count);
    for (size_t i = 0; i < count && !export->is_full; i++) {
        bool more = true, is_begun = gw_str_has_prefix(export->behind, prefixes[i]);
        if (!is_begun && gw_str_cmp(prefixes[i], export->behind) < 0)
            continue;
        export->range.prefix = prefixes[i];
        export->range.after_key = is_begun ? export->behind : GW_STR_NONE;
        while (more)
            if (take_page(export, kind, &more, err) < 0)
                return -1;
    }
    return 0;
}

static unsigned long long hash_of(const export_request *request)
{
    return gw_str_hash(request->accounts ? GW_STR("export with accounts") : GW_STR("export"));
}

/* Where the page begins: *ret_kind and what is in export. */
static int read_token(struct export *export, const export_request *request, size_t *ret_kind,
                      struct gw_error *err)
{
    struct cp_page_token token;
    struct gw_arena *arena = export->call->arena;
    *ret_kind = 0;
    if (!*request->page_token)
        return 0;
    bool is_ours = cp_page_token_read(arena, gw_str_from(request->page_token), &token) &&
                   token.list_hash == hash_of(request);
    for (size_t i = 0; i < cp_bundle_kind_count && is_ours; i++) {
        gw_str prefix = cp_key_prefix(arena, cp_bundle_kinds[i].rules->kind);
        if (!gw_str_has_prefix(token.after_key, prefix))
            continue;
        *ret_kind = i;
        export->behind = token.after_key;
        export->revision = token.revision;
        return 0;
    }
    return gw_fail_field(err, "page_token", "is none of this export");
}

static int gather_page(struct export *export, const export_request *request, char **ret_next,
                       struct gw_error *err)
{
    size_t at;
    struct cp_position now;
    if (read_token(export, request, &at, err) < 0)
        return -1;
    export->range.limit = AT_ONCE;
    for (; at < cp_bundle_kind_count && !export->is_full; at++) {
        const struct cp_bundle_kind *kind = &cp_bundle_kinds[at];
        gw_str prefix = cp_key_prefix(export->call->arena, kind->rules->kind);
        if (!gw_str_has_prefix(export->behind, prefix))
            export->behind = prefix;
        if ((request->accounts || !is_of_people(kind->rules->kind)) &&
            take_kind(export, kind, err) < 0)
            return -1;
    }
    if (export->revision == 0 && cp_store_ping(export->call->services->store, &now, err) < 0)
        return -1;
    export->revision = export->revision ? export->revision : now.revision;
    struct cp_page_token token = {hash_of(request), export->revision, export->behind};
    *ret_next = export->is_full ? cp_page_token_write(export->call->arena, &token) : NULL;
    return 0;
}

/* ---- the method */

static int check_request(const export_request *request, struct gw_error *err)
{
    if (request->n_groups > 0 && *request->page_token)
        return gw_fail_field(err, "page_token", "groups are exported in one answer");
    if (request->n_groups > CP_EXPORT_GROUPS_MAX)
        return gw_fail_field(err, "groups", "must be at most %d", CP_EXPORT_GROUPS_MAX);
    for (size_t i = 0; i < request->n_groups; i++)
        if (cp_name_check(CP_KIND_GROUP, request->groups[i], "groups", err) < 0)
            return -1;
    return 0;
}

static int by_kind(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = (a->kind > b->kind) - (a->kind < b->kind);
    return order ? order : strcmp(a->name, b->name);
}

static ProtobufCMessage *make_reply(const struct export *export, char *next)
{
    struct gw_arena *arena = export->call->arena;
    export_reply *reply = (export_reply *)gw_message_new(arena, CP_TYPE(export_response));
    reply->resources = GW_ARENA_ARRAY(arena, cp_bundle_resource *, export->count + 1);
    for (size_t i = 0; i < export->count; i++) {
        const struct entry *entry = &export->entries[i];
        cp_bundle_resource *resource =
            (cp_bundle_resource *)gw_message_new(arena, CP_TYPE(bundle_resource));
        const ProtobufCFieldDescriptor *field = cp_bundle_field(entry->kind);
        *(uint32_t *)gw_message_quantifier(&resource->base, field) = field->id;
        *(ProtobufCMessage **)gw_message_at(&resource->base, field) = entry->message;
        reply->resources[reply->n_resources++] = resource;
    }
    reply->omissions = export->omissions;
    reply->n_omissions = export->omission_count;
    reply->revision = export->revision;
    if (next)
        reply->next_page_token = next;
    return &reply->base;
}

int cp_export_bundle(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const export_request *asked = (const export_request *)request;
    struct export export = {.call = call};
    char *next = NULL;
    if (check_request(asked, err) < 0)
        return -1;
    gw_map_init(&export.seen);
    int result = asked->n_groups > 0 ? gather_groups(&export, asked, err)
                                     : gather_page(&export, asked, &next, err);
    gw_map_done(&export.seen);
    if (result < 0)
        return -1;
    if (export.count > 0)
        qsort(export.entries, export.count, sizeof export.entries[0], by_kind);
    *ret_reply = make_reply(&export, next);
    return 0;
}
