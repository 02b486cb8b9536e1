/* SPDX-License-Identifier: Apache-2.0 */
/* Apply: one change for all resources of a bundle. Each is prepared over a store that shows what
 * those before it have added to the change (store/overlay.h), so that references within the bundle
 * resolve as any others; in which order, bundle_turns.c says. */
#include "controlplane/service/bundle.h"

#include "common/log.h"
#include "common/map.h"
#include "common/message.h"
#include "controlplane/service/apps.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/fields.h"
#include "controlplane/service/services.h"
#include "controlplane/store/overlay.h"

#include <stdio.h>
#include <stdlib.h>

typedef Penstock__Admin__V1__ApplyRequest apply_request;

struct cp_bundle_item *cp_bundle_add(const struct cp_call *call, struct cp_bundle *bundle)
{
    struct cp_bundle_item *item = GW_ARENA_NEW(call->arena, struct cp_bundle_item);
    if (bundle->count == bundle->room) {
        size_t room = GW_MAX((size_t)64, 2 * bundle->room);
        struct cp_bundle_item **items = GW_ARENA_ARRAY(call->arena, struct cp_bundle_item *, room);
        if (bundle->count > 0)
            memcpy(items, bundle->items, bundle->count * sizeof *items);
        bundle->items = items;
        bundle->room = room;
    }
    item->index = bundle->count;
    bundle->items[bundle->count++] = item;
    return item;
}

/* ---- the request */

static int check_request(const apply_request *request, struct gw_error *err)
{
    if (request->n_resources == 0 && !request->prune)
        return gw_fail_field(err, "resources", "required: 1 to %d", CP_BUNDLE_RESOURCES_MAX);
    if (request->n_resources > CP_BUNDLE_RESOURCES_MAX)
        return gw_fail_field(err, "resources",
                             "must be at most %d, and has %zu: apply groups in bundles of their "
                             "own, after what they refer to",
                             CP_BUNDLE_RESOURCES_MAX, request->n_resources);
    if (strlen(request->managed_by) > CP_MANAGED_BY_MAX)
        return gw_fail_field(err, "managed_by", "must be at most %d bytes", CP_MANAGED_BY_MAX);
    if (request->prune && !*request->managed_by)
        return gw_fail_field(err, "managed_by", "required with prune: whose resources may go");
    return 0;
}

static void read_resource(const struct cp_call *call, struct cp_bundle *bundle, size_t index,
                          struct gw_map *seen, struct gw_error *err)
{
    char field[64];
    const struct cp_bundle_kind *kind;
    const cp_bundle_resource *resource = bundle->request->resources[index];
    ProtobufCMessage *content = cp_bundle_content(resource, &kind);
    (void)snprintf(field, sizeof field, "resources[%zu]", index);
    if (!content) {
        (void)gw_fail_field(err, field, "must be a resource of one of the kinds");
        return;
    }
    struct cp_bundle_item *item = cp_bundle_add(call, bundle);
    item->kind = kind;
    item->name = gw_message_text(content, "name");
    item->put = (struct cp_put){
        .sent = content, .mask = resource->update_mask, .managed_by = bundle->request->managed_by};
    if (*item->name && gw_map_get(seen, gw_str_from(item->name)))
        (void)gw_fail_field(err, field, "%.200s is there twice", item->name);
    else
        gw_map_put(seen, gw_str_from(item->name), item);
}

static int read_request(const struct cp_call *call, struct cp_bundle *bundle, struct gw_error *err)
{
    struct gw_map seen;
    if (check_request(bundle->request, err) < 0)
        return -1;
    gw_map_init(&seen);
    for (size_t i = 0; i < bundle->request->n_resources; i++)
        read_resource(call, bundle, i, &seen, err);
    gw_map_done(&seen);
    bundle->sent_count = bundle->count;
    return err->violation_count > 0 ? -1 : 0;
}

/* ---- one resource */

/* Its code becomes what is stored of it; one that is there already stays when none is sent. */
static int enter_code(const struct cp_call *call, struct cp_bundle_item *item, struct gw_error *err)
{
    struct cp_stored there;
    cp_app_code *code = (cp_app_code *)item->put.sent;
    item->put.mask = NULL;
    if (item->clear)
        return 0; /* in an earlier try */
    if (!cp_name_is(CP_KIND_CODE, item->name))
        return 0; /* said with the rest */
    if (cp_find(call, CP_KIND_CODE, item->name, &there, err) < 0)
        return -1;
    code->digest = code->hint = (char *)(uintptr_t) "";
    if (there.message && !*code->code)
        return 0;
    return cp_enter_app_code(call->arena, code, &item->clear, err);
}

static int put(const struct cp_call *call, struct cp_change *change, struct cp_bundle_item *item,
               struct gw_error *err)
{
    const struct cp_bundle_kind *kind = item->kind;
    struct gw_error denied = GW_ERROR_NONE;
    item->put.before = NULL;
    if (cp_bundle_check(call, kind, "Get", item->name, err) < 0 ||
        (kind->rules->kind == CP_KIND_CODE && enter_code(call, item, err) < 0))
        return -1;
    int result = cp_resource_put(call, change, kind->rules, &item->put, err);
    if (result == 0 && item->put.is_same)
        return 0;
    /* Who may not is not told what else is wrong. */
    if (cp_bundle_check(call, kind, item->put.before ? "Update" : "Create", item->name, &denied) <
        0) {
        *err = denied;
        return -1;
    }
    return result;
}

/* What has gone with what it was part of needs no more. */
static int drop(const struct cp_call *call, struct cp_change *change, struct cp_bundle_item *item,
                struct gw_error *err)
{
    struct cp_stored there;
    if (cp_find(call, item->kind->rules->kind, item->name, &there, err) < 0)
        return -1;
    if (!there.message)
        return 0;
    if (cp_bundle_check(call, item->kind, "Delete", item->name, err) < 0)
        return -1;
    if (cp_resource_remove(call, change, item->kind->rules, item->name, "", err) == 0)
        return 0;
    if (strcmp(err->reason, "CHILDREN_LEFT") == 0)
        err->code = GW_FAILED_PRECONDITION; /* and not that somebody was faster */
    return -1;
}

/* ---- all of them */

void cp_bundle_refuse_one(const struct cp_call *call, struct cp_bundle_item *item,
                          const struct gw_error *why)
{
    if (!item->why)
        item->why = GW_ARENA_NEW(call->arena, struct gw_error);
    *item->why = *why;
    item->is_done = false;
}

/* What something that is pruned takes along must not be what the bundle asks for. */
static void find_taken_along(const struct cp_call *call, const struct cp_change *change,
                             struct cp_bundle *bundle)
{
    for (size_t i = 0; i < bundle->sent_count && bundle->request->prune; i++) {
        struct gw_error why = GW_ERROR_NONE;
        struct cp_bundle_item *item = bundle->items[i];
        if (!item->is_done)
            continue;
        gw_str key = cp_key_of(call->arena, item->kind->rules->kind, item->name);
        for (size_t j = 0; j < change->op_count; j++) {
            if (change->ops[j].kind != CP_OP_DELETE || !gw_str_eq(change->ops[j].key, key))
                continue;
            (void)gw_fail(&why, GW_FAILED_PRECONDITION, "%s would go with something that is pruned",
                          item->name);
            cp_bundle_refuse_one(call, item, &why);
        }
    }
}

/* Who only lacks another one of the bundle should not look for it. */
static void explain_missing(const struct cp_call *call, const struct cp_bundle *bundle)
{
    struct gw_map refused;
    gw_map_init(&refused);
    for (size_t i = 0; i < bundle->sent_count; i++)
        if (!bundle->items[i]->is_done)
            gw_map_put(&refused,
                       gw_arena_printf(call->arena, "%s does not exist", bundle->items[i]->name),
                       bundle->items[i]);
    for (size_t i = 0; i < bundle->sent_count; i++) {
        const struct cp_bundle_item *item = bundle->items[i], *missing;
        if (item->is_done || item->why->code != GW_NOT_FOUND)
            continue;
        missing = gw_map_get(&refused, gw_str_from(item->why->message));
        if (missing)
            (void)gw_fail(item->why, GW_FAILED_PRECONDITION, "it needs %s, which is refused itself",
                          missing->name);
    }
    gw_map_done(&refused);
}

static int do_one(const struct cp_call *call, struct cp_change *change, struct cp_bundle_item *item,
                  struct gw_error *err)
{
    return (item->is_delete ? drop : put)(call, change, item, err);
}

/* Whether each is there is the first that is asked of it. */
static int read_sent(const struct cp_call *over, const struct cp_bundle *bundle,
                     struct gw_error *err)
{
    struct cp_keys keys = {0};
    for (size_t i = 0; i < bundle->sent_count; i++) {
        const struct cp_bundle_item *item = bundle->items[i];
        enum cp_kind_id kind = item->kind->rules->kind;
        if (cp_name_is(kind, item->name))
            cp_keys_add_name(over, &keys, kind, item->name);
    }
    return cp_read_ahead(over, &keys, err);
}

static int attempt(const struct cp_call *call, struct cp_change *change, void *arg,
                   struct gw_error *err)
{
    struct cp_bundle *bundle = arg;
    bundle->count = bundle->sent_count;
    if (bundle->request->prune && cp_bundle_find_pruned(call, bundle, err) < 0)
        return -1;
    struct cp_services services = *call->services;
    struct cp_call over = *call;
    over.services = &services;
    over.ahead = NULL; /* the overlay knows what has been read, and what has been written since */
    services.store = cp_store_overlay(call->services->store,
                                      (const struct cp_op *const *)(const void *)&change->ops,
                                      &change->op_count, call->arena);
    if (read_sent(&over, bundle, err) < 0 || cp_bundle_run(&over, change, bundle, do_one, err) < 0)
        return -1;
    find_taken_along(call, change, bundle);
    explain_missing(call, bundle);
    return bundle->request->validate_only ? 0 : cp_bundle_refuse(bundle, err);
}

/* ---- the method */

static void log_item(const struct cp_call *call, const struct cp_bundle_item *item)
{
    if (!item->is_delete && item->put.is_same)
        return;
    const char *action = item->is_delete ? "deleted" : item->put.before ? "updated" : "created";
    gw_log(GW_LOG_INFO, "admin", "applied", gw_kv_text("principal", call->principal->name),
           gw_kv_text("resource", item->name), gw_kv_text("action", action));
}

static int split_advice(struct gw_error *err)
{
    char said[GW_ERROR_MESSAGE_MAX];
    memcpy(said, err->message, sizeof said);
    (void)gw_fail(err, GW_INVALID_ARGUMENT,
                  "the bundle is too large, %.300s. Split it: first environments, certificates, "
                  "channels and groups, then the APIs of some groups, then bindings",
                  said);
    return gw_error_reason(err, CP_TOO_LARGE);
}

static int apply(const struct cp_call *call, const ProtobufCMessage *request,
                 ProtobufCMessage **ret_reply, struct gw_error *err)
{
    struct cp_position at;
    struct cp_bundle bundle = {.request =
                                   (const apply_request *)gw_message_copy(call->arena, request)};
    bool is_trial = bundle.request->validate_only;
    if (read_request(call, &bundle, err) < 0)
        return -1;
    if (bundle.sent_count == 1)
        cp_audit_about(call, bundle.items[0]->name);
    int result = cp_write(call, is_trial, attempt, &bundle, &at, err);
    if (result < 0 && bundle.refused)
        cp_audit_about(call, bundle.refused);
    if (result < 0)
        return strcmp(err->reason, CP_TOO_LARGE) == 0 ? split_advice(err) : -1;
    for (size_t i = 0; i < bundle.count && !is_trial; i++)
        log_item(call, bundle.items[i]);
    *ret_reply = cp_bundle_reply(call, &bundle, at.revision);
    return 0;
}

static const struct cp_method methods[] = {
    {"Apply", CP_ROLE_ANYBODY, apply}, /* each resource takes the right to its own method */
    {"Export", CP_ROLE_ANYBODY, cp_export_bundle},
};
const struct cp_service cp_bundle_service = {&penstock__admin__v1__bundle_service__descriptor,
                                             methods, GW_ARRAY_LEN(methods)};
