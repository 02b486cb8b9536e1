/* SPDX-License-Identifier: Apache-2.0 */
/* What an Apply answers: for each resource what becomes of it, or why it is refused. */
#include "controlplane/service/bundle.h"

#include "common/message.h"
#include "controlplane/model/diff.h"
#include "controlplane/service/fields.h"

#include <stdio.h>

typedef Penstock__Admin__V1__ApplyResponse apply_reply;
typedef Penstock__Admin__V1__AppliedResource applied;
typedef Penstock__Admin__V1__ResourceRefusal refusal;
typedef Penstock__Admin__V1__ResourceViolation violation;

static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

/* ---- differences */

/* What is made for a new resource differs with each plan. */
static bool is_told(const char *path, const struct cp_bundle_item *item)
{
    if (strcmp(path, "key") == 0 && !item->put.before && !*gw_message_text(item->put.sent, path))
        return false;
    return strcmp(path, "name") != 0 &&
           !cp_is_output_only(path, item->put.before ? NULL : item->kind->rules->output_only);
}

/* False: there is no room for them. */
static bool add_changes(struct gw_arena *arena, const struct cp_bundle_item *item,
                        size_t *bytes_left, applied *to)
{
    const struct cp_put *put = &item->put;
    struct cp_difference *all;
    const ProtobufCMessage *before =
        put->before ? put->before : gw_message_new(arena, put->after->descriptor);
    size_t count = cp_diff(arena, before, put->after, &all);
    to->changes = GW_ARENA_ARRAY(arena, cp_field_change *, count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(all[i].path) + all[i].before.len + all[i].after.len;
        if (!is_told(all[i].path, item))
            continue;
        if (bytes > *bytes_left) {
            to->n_changes = 0;
            return false;
        }
        *bytes_left -= bytes;
        cp_field_change *change = (cp_field_change *)gw_message_new(arena, CP_TYPE(field_change));
        change->path = text(all[i].path);
        change->old_value = text(gw_arena_dup(arena, all[i].before).ptr);
        change->new_value = text(gw_arena_dup(arena, all[i].after).ptr);
        to->changes[to->n_changes++] = change;
    }
    return true;
}

/* ---- refusals */

static refusal *new_refusal(struct gw_arena *arena, const struct gw_error *why)
{
    refusal *said = (refusal *)gw_message_new(arena, CP_TYPE(resource_refusal));
    said->code = text(gw_code_name(why->code));
    said->message = gw_arena_strdup(arena, why->message);
    said->reason = gw_arena_strdup(arena, why->reason);
    said->apig_code = gw_arena_strdup(arena, why->apig);
    said->violations = GW_ARENA_ARRAY(arena, violation *, why->violation_count + 1);
    for (unsigned i = 0; i < why->violation_count; i++) {
        violation *one = (violation *)gw_message_new(arena, CP_TYPE(resource_violation));
        one->field = gw_arena_strdup(arena, why->violations[i].field);
        one->description = gw_arena_strdup(arena, why->violations[i].rule);
        said->violations[said->n_violations++] = one;
    }
    return said;
}

/* "resources[3].api.frontend.path"; of what is pruned there is only the name. */
static void add_violations(const struct cp_bundle *bundle, const struct cp_bundle_item *item,
                           struct gw_error *err)
{
    char field[GW_ERROR_FIELD_MAX];
    const struct gw_error *why = item->why;
    if (item->index >= bundle->sent_count) {
        (void)gw_fail_field(err, "prune", "%s: %s", item->name, why->message);
        return;
    }
    (void)snprintf(field, sizeof field, "resources[%zu]", item->index);
    if (why->violation_count == 0)
        (void)gw_fail_field(err, field, "%s", why->message);
    for (unsigned i = 0; i < why->violation_count; i++) {
        (void)snprintf(field, sizeof field, "resources[%zu].%s.%s", item->index,
                       cp_bundle_field(item->kind)->name, why->violations[i].field);
        (void)gw_fail_field(err, field, "%s", why->violations[i].rule);
    }
}

int cp_bundle_refuse(struct cp_bundle *bundle, struct gw_error *err)
{
    const struct cp_bundle_item *first = NULL;
    struct gw_error all = GW_ERROR_NONE;
    size_t count = 0;
    for (size_t i = 0; i < bundle->count; i++) {
        const struct cp_bundle_item *item = bundle->items[i];
        if (item->is_done)
            continue;
        if (!first || item->kind < first->kind) /* the others may only lack it */
            first = item;
        count++;
        add_violations(bundle, item, &all);
    }
    if (!first)
        return 0;
    bundle->refused = first->name;
    *err = all;
    err->code = first->why->code;
    (void)gw_error_reason(err, first->why->reason);
    (void)gw_error_apig(err, first->why->apig);
    const char *more = count > 1 ? ", and others are refused" : "";
    (void)snprintf(err->message, sizeof err->message, "nothing was applied: %.150s: %.280s%s",
                   first->name, first->why->message, more);
    return -1;
}

/* ---- the answer */

static void show_item(const struct cp_call *call, const struct cp_bundle_item *item,
                      int64_t revision, size_t *bytes_left, apply_reply *reply)
{
    applied *to = (applied *)gw_message_new(call->arena, CP_TYPE(applied_resource));
    reply->resources[reply->n_resources++] = to;
    to->name = text(item->name);
    if (!item->is_done) {
        to->action = CP_ENUM(APPLY_ACTION, REFUSED);
        to->refusal = new_refusal(call->arena, item->why);
        reply->refused++;
        return;
    }
    if (item->is_delete) {
        to->action = CP_ENUM(APPLY_ACTION, DELETED);
        reply->deleted++;
        return;
    }
    if (item->put.is_same) {
        to->action = CP_ENUM(APPLY_ACTION, UNCHANGED);
        to->etag = cp_etag(call->arena, item->put.mod_revision);
        reply->unchanged++;
        return;
    }
    to->action = item->put.before ? CP_ENUM(APPLY_ACTION, UPDATED) : CP_ENUM(APPLY_ACTION, CREATED);
    *(item->put.before ? &reply->updated : &reply->created) += 1;
    if (!add_changes(call->arena, item, bytes_left, to))
        reply->changes_left_out = true;
    if (revision == 0)
        return;
    to->etag = cp_etag(call->arena, revision);
    if (item->clear)
        to->code = item->clear;
}

ProtobufCMessage *cp_bundle_reply(const struct cp_call *call, const struct cp_bundle *bundle,
                                  int64_t revision)
{
    size_t bytes_left = CP_BUNDLE_CHANGES_BYTES_MAX;
    apply_reply *reply = (apply_reply *)gw_message_new(call->arena, CP_TYPE(apply_response));
    reply->resources = GW_ARENA_ARRAY(call->arena, applied *, bundle->count + 1);
    for (size_t i = 0; i < bundle->count; i++)
        show_item(call, bundle->items[i], revision, &bytes_left, reply);
    reply->revision = revision;
    return &reply->base;
}
