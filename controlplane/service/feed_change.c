/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/feed_internal.h"

#include "common/log.h"
#include "common/message.h"
#include "controlplane/service/accounts.h"
#include "controlplane/service/apis.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/enrolments.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/history.h"
#include "controlplane/service/services.h"

#include <stdlib.h>

#define TYPE(name) PENSTOCK__ADMIN__V1__RESOURCE_EVENT_TYPE__RESOURCE_EVENT_TYPE_##name

/* What bundles hold, and: */
static const struct cp_resource_rules settings_rules = {.kind = CP_KIND_SETTINGS};
static const struct cp_bundle_kind more_kinds[] = {
    {&settings_rules, &cp_settings_service},         {&cp_release_rules, &cp_release_service},
    {&cp_account_rules, &cp_account_service},        {&cp_user_rules, &cp_account_service},
    {&cp_access_key_rules, &cp_account_service},     {&cp_enrolment_rules, &cp_enrolment_service},
    {&cp_agent_record_rules, &cp_enrolment_service},
};

/* ---- kinds ---- */

const struct cp_bundle_kind cp_feed_audit_events = {.service = &cp_audit_service};

const struct cp_bundle_kind *cp_feed_kind_at(size_t index)
{
    static const struct cp_bundle_kind *const others[] = {&cp_feed_agents, &cp_feed_audit_events};
    if (index < cp_bundle_kind_count)
        return &cp_bundle_kinds[index];
    index -= cp_bundle_kind_count;
    if (index < GW_ARRAY_LEN(more_kinds))
        return &more_kinds[index];
    index -= GW_ARRAY_LEN(more_kinds);
    return index < GW_ARRAY_LEN(others) ? others[index] : NULL;
}

const struct cp_bundle_kind *cp_feed_kind(enum cp_kind_id id)
{
    const struct cp_bundle_kind *kind;
    for (size_t i = 0; (kind = cp_feed_kind_at(i)) != NULL; i++)
        if (kind->rules && kind->rules->kind == id)
            return kind;
    return NULL;
}

gw_str cp_feed_kind_word(const struct cp_bundle_kind *kind)
{
    if (kind == &cp_feed_agents)
        return GW_STR("agents");
    if (kind == &cp_feed_audit_events)
        return GW_STR("auditEvents");
    gw_str pattern = gw_str_from(cp_kind_get(kind->rules->kind)->pattern);
    gw_str word = GW_STR_NONE;
    while (pattern.ptr) {
        gw_str part = gw_str_split(&pattern, '/');
        if (part.len && part.ptr[0] != '{')
            word = part;
    }
    return word;
}

const struct cp_bundle_kind *cp_feed_kind_called(gw_str word)
{
    const struct cp_bundle_kind *kind;
    for (size_t i = 0; (kind = cp_feed_kind_at(i)) != NULL; i++)
        if (gw_str_eq(cp_feed_kind_word(kind), word))
            return kind;
    return NULL;
}

static const char *type_name(const struct cp_bundle_kind *kind)
{
    if (kind == &cp_feed_agents)
        return "Agent";
    return kind->rules ? cp_kind_get(kind->rules->kind)->type->short_name : "AuditEvent";
}

struct cp_action cp_feed_action(struct gw_arena *arena, const struct cp_bundle_kind *kind)
{
    const char *method = gw_arena_printf(arena, "Get%s", type_name(kind)).ptr;
    for (size_t i = 0; i < kind->service->count; i++)
        if (strcmp(kind->service->methods[i].name, method) == 0)
            return (struct cp_action){
                .name =
                    gw_arena_printf(arena, "%s/%s", kind->service->descriptor->short_name, method)
                        .ptr,
                .role = kind->service->methods[i].role};
    gw_panic("%s has no %s", kind->service->descriptor->name, method);
}

/* The member of ResourceEvent.resource that holds it. */
static const ProtobufCFieldDescriptor *member_of(const struct cp_bundle_kind *kind)
{
    const ProtobufCMessageDescriptor *event = &penstock__admin__v1__resource_event__descriptor;
    for (unsigned i = 0; i < event->n_fields; i++) {
        const ProtobufCMessageDescriptor *type = event->fields[i].descriptor;
        if (type && event->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
            strcmp(type->short_name, type_name(kind)) == 0)
            return &event->fields[i];
    }
    gw_panic("no event holds a %s", type_name(kind));
}

/* ---- changes ---- */

static bool has_item(const struct cp_feed_change *change, const char *name)
{
    for (size_t i = 0; i < change->count; i++)
        if (strcmp(change->items[i].name, name) == 0)
            return true;
    return false;
}

static void add_resource(struct cp_feed_change *change, const struct cp_event *event,
                         const struct cp_bundle_kind *kind, gw_str name)
{
    bool is_new = event->kv.create_revision == event->kv.mod_revision;
    change->items[change->count++] =
        (struct cp_feed_item){.kind = kind,
                              .name = gw_arena_dup(&change->arena, name).ptr,
                              .type = event->is_delete ? TYPE(DELETED)
                                      : is_new         ? TYPE(CREATED)
                                                       : TYPE(UPDATED),
                              .value = gw_arena_dup(&change->arena, event->kv.value),
                              .mod_revision = event->kv.mod_revision};
}

/* What is published where is shown on the API. */
static void add_publication(struct cp_feed_change *change, gw_str name)
{
    const char *api = gw_arena_dup(&change->arena, cp_name_parent(name)).ptr;
    if (!has_item(change, api))
        change->items[change->count++] = (struct cp_feed_item){
            .kind = cp_feed_kind(CP_KIND_API), .name = api, .type = TYPE(UPDATED)};
}

/* Told without its content, which is much and asked for by few: that is read when somebody does. */
static void add_audit_event(struct cp_feed_change *change, const struct cp_event *event)
{
    size_t root = strlen(CP_AUDIT_ROOT);
    gw_str id = gw_str_n(event->kv.key.ptr + root, event->kv.key.len - root);
    gw_nsec ignored;
    if (!event->is_delete && cp_audit_id_parse(id, &ignored))
        change->items[change->count++] = (struct cp_feed_item){
            .kind = &cp_feed_audit_events,
            .name = gw_arena_printf(&change->arena, CP_AUDIT_COLLECTION "%.*s", GW_STR_ARG(id)).ptr,
            .type = TYPE(CREATED)};
}

/* Resources first: an API that is deleted takes its publications along. */
static void add_items(struct cp_feed_change *change, const struct cp_event *events, size_t count,
                      bool publications)
{
    for (size_t i = 0; i < count; i++) {
        gw_str name;
        const struct cp_kind *kind = cp_key_parse(&change->arena, events[i].kv.key, &name);
        if (!kind || (kind->id == CP_KIND_PUBLICATION) != publications)
            continue;
        if (publications)
            add_publication(change, name);
        else if (cp_feed_kind(kind->id))
            add_resource(change, &events[i], cp_feed_kind(kind->id), name);
    }
}

struct cp_feed_change *cp_feed_change_new(const struct cp_event *events, size_t count)
{
    struct cp_feed_change *change = gw_calloc(1, sizeof(*change));
    gw_arena_init(&change->arena, 512);
    gw_arena_init(&change->shown, 512);
    change->refs = 1;
    change->revision = events[0].kv.mod_revision;
    change->items = GW_ARENA_ARRAY(&change->arena, struct cp_feed_item, count);
    add_items(change, events, count, false);
    add_items(change, events, count, true);
    for (size_t i = 0; i < count; i++)
        if (gw_str_has_prefix(events[i].kv.key, GW_STR(CP_AUDIT_ROOT)))
            add_audit_event(change, &events[i]);
    if (change->count == 0) {
        cp_feed_change_free(change);
        return NULL;
    }
    change->bytes = sizeof(*change) + change->arena.total_bytes;
    return change;
}

void cp_feed_change_free(struct cp_feed_change *change)
{
    gw_arena_done(&change->arena);
    gw_arena_done(&change->shown);
    free(change);
}

/* The message as Get would show it; NULL: it cannot be told. */
static ProtobufCMessage *content_of(const struct cp_call *call, struct cp_feed_item *item,
                                    struct gw_error *err)
{
    if (item->kind == &cp_feed_audit_events) {
        cp_audit_event *event;
        gw_str id = gw_str_from(item->name + strlen(CP_AUDIT_COLLECTION));
        return cp_audit_find(call, id, &event, err) == 0 && event ? &event->base : NULL;
    }
    enum cp_kind_id kind = item->kind->rules->kind;
    struct cp_stored stored = {.mod_revision = item->mod_revision};
    if (!item->value.ptr) {
        if (cp_find(call, kind, item->name, &stored, err) || !stored.message)
            return NULL;
    } else if (gw_message_unpack(call->arena, cp_kind_get(kind)->type, item->value, &stored.message,
                                 err)) {
        return NULL;
    }
    cp_set_etag(call->arena, stored.message, stored.mod_revision);
    /* What must not be seen is gone in any case; what is not stored may be missing then. */
    if (item->kind->rules->present)
        (void)item->kind->rules->present(call, stored.message, err);
    cp_api *api = (cp_api *)stored.message;
    if (kind == CP_KIND_API && cp_show_publications(call, api->name, &api, 1, err))
        api->n_publications = 0;
    return stored.message;
}

static void show_item(const struct cp_call *call, struct cp_feed_item *item)
{
    struct gw_error err = GW_ERROR_NONE;
    cp_resource_event *event = GW_ARENA_NEW(call->arena, cp_resource_event);
    penstock__admin__v1__resource_event__init(event);
    event->type = item->type;
    event->name = (char *)(uintptr_t)item->name;
    if (item->type != TYPE(DELETED)) {
        const ProtobufCFieldDescriptor *member = member_of(item->kind);
        ProtobufCMessage *content = content_of(call, item, &err);
        static struct gw_log_limit limit;
        unsigned dropped;
        if (err.code != GW_OK && gw_log_allow(&limit, 5, &dropped))
            gw_log(GW_LOG_WARN, "watch", "an event is told without all of its resource",
                   gw_kv_text("resource", item->name), gw_kv_error(&err),
                   gw_kv_int("dropped", dropped));
        if (content) {
            *(uint32_t *)gw_message_quantifier(&event->base, member) = member->id;
            *(ProtobufCMessage **)gw_message_at(&event->base, member) = content;
        }
    }
    item->event = event;
}

void cp_feed_change_show(struct cp_feed_change *change, struct cp_services *services)
{
    static const struct cp_principal self = {.name = "watch", .role = CP_ROLE_ADMINISTRATOR};
    struct cp_call call = {.services = services,
                           .arena = &change->shown,
                           .principal = &self,
                           .deadline_ms = INT64_MAX};
    for (size_t i = 0; i < change->count; i++)
        show_item(&call, &change->items[i]);
}

size_t cp_feed_change_unshow(struct cp_feed_change *change)
{
    size_t bytes = change->shown.total_bytes;
    for (size_t i = 0; i < change->count; i++)
        change->items[i].event = NULL;
    gw_arena_done(&change->shown);
    gw_arena_init(&change->shown, 512);
    change->is_shown = false;
    return bytes;
}
