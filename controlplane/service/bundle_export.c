/* SPDX-License-Identifier: Apache-2.0 */
/* Export: what an Apply elsewhere takes. Of groups: with what they refer to and what refers to
 * them, so that the bundle stands on its own. */
#include "controlplane/service/bundle.h"

#include "common/map.h"
#include "common/message.h"
#include "controlplane/service/fields.h"

#include <stdlib.h>

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

static int add(struct export *export, const struct cp_bundle_kind *kind, const char *name,
               const struct cp_stored *stored, struct gw_error *err)
{
    struct gw_arena *arena = export->call->arena;
    struct gw_error unseen = GW_ERROR_NONE;
    if (gw_map_get(&export->seen, gw_str_from(name)) || strcmp(name, RELEASE_ENVIRONMENT) == 0)
        return 0;
    gw_map_put(&export->seen, gw_str_from(name), export);
    if (cp_bundle_check(export->call, kind, "Get", name, &unseen) < 0)
        return 0;
    if (kind->rules->kind == CP_KIND_CODE) {
        omit(export, name, "", "secret: only its digest is kept");
        return 0;
    }
    if (clean(export, kind, name, stored->message, err) < 0)
        return -1;
    export->bytes += protobuf_c_message_get_packed_size(stored->message);
    if (export->bytes > CP_EXPORT_BYTES_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED,
                       "the export has more than %d bytes: export groups, fewer at a time",
                       CP_EXPORT_BYTES_MAX);
    export->entries =
        make_room(arena, export->entries, export->count, &export->room, sizeof(struct entry));
    export->entries[export->count++] =
        (struct entry){kind, gw_arena_strdup(arena, name), stored->message};
    return 0;
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
    if (gw_map_get(&export->seen, gw_str_from(name)))
        return 0;
    if (cp_find(export->call, id, name, &stored, err) < 0)
        return -1;
    return stored.message ? add(export, kind_of(id), name, &stored, err) : 0;
}

/* ---- what belongs together */

static int visit_binding(void *arg, const char *name, struct gw_error *err)
{
    return add_named(arg, CP_KIND_BINDING, name, err);
}

static int visit_authorization(void *arg, const char *name, struct gw_error *err)
{
    return add_named(arg, CP_KIND_AUTHORIZATION, name, err);
}

static int add_referrers(struct export *export, const char *api, struct gw_error *err)
{
    const struct cp_call *call = export->call;
    return cp_each_referrer(call, CP_KIND_BINDING, CP_KIND_API, api, visit_binding, export, err) <
                       0 ||
                   cp_each_referrer(call, CP_KIND_AUTHORIZATION, CP_KIND_API, api,
                                    visit_authorization, export, err) < 0
               ? -1
               : 0;
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
        if (entry.kind->rules->kind == CP_KIND_API && add_referrers(export, entry.name, err) < 0)
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
    return 0;
}

static bool is_of_people(enum cp_kind_id kind)
{
    return kind == CP_KIND_ACCOUNT || kind == CP_KIND_USER;
}

static int gather(struct export *export, const export_request *request, struct gw_error *err)
{
    for (size_t i = 0; i < cp_bundle_kind_count && request->n_groups == 0; i++)
        if ((request->accounts || !is_of_people(cp_bundle_kinds[i].rules->kind)) &&
            add_children(export, &cp_bundle_kinds[i], "", err) < 0)
            return -1;
    for (size_t i = 0; i < request->n_groups; i++)
        if (add_group(export, request->groups[i], err) < 0)
            return -1;
    return request->n_groups > 0 ? add_all_references(export, err) : 0;
}

/* ---- the method */

static int check_request(const export_request *request, struct gw_error *err)
{
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

static ProtobufCMessage *make_reply(const struct export *export, int64_t revision)
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
    reply->revision = revision;
    return &reply->base;
}

int cp_export_bundle(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const export_request *asked = (const export_request *)request;
    struct export export = {.call = call};
    struct cp_position at;
    if (check_request(asked, err) < 0 || cp_store_ping(call->services->store, &at, err) < 0)
        return -1;
    gw_map_init(&export.seen);
    int result = gather(&export, asked, err);
    gw_map_done(&export.seen);
    if (result < 0)
        return -1;
    if (export.count > 0)
        qsort(export.entries, export.count, sizeof export.entries[0], by_kind);
    *ret_reply = make_reply(&export, at.revision);
    return 0;
}
