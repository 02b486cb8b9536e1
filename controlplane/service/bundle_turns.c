/* SPDX-License-Identifier: Apache-2.0 */
/* In which order the resources of a bundle are done. What was read last before one is refused is
 * what refused it: a reference that is not there, a value that another one has, what still refers
 * to it. It waits until another resource of the bundle writes that, and is tried again then: the
 * order in the request does not matter, and what it costs follows the number of resources, also
 * where each waits for the next one. */
#include "controlplane/service/bundle.h"

#include "common/clock.h"
#include "common/map.h"
#include "controlplane/store/overlay.h"

#include <stdlib.h>

#define PASSES_MAX 4 /* over what is refused, should the last reading not tell all */

struct turns {
    const struct cp_call *call; /* over an overlay */
    struct cp_change *change, saved;
    struct cp_bundle_item *first, *last; /* to be tried, in order */
    struct gw_map by_key;                /* key -> the first item that waits for it */
    struct cp_bundle_item *by_prefix;    /* those that wait for any key with a prefix */
    bool progress;                       /* something was done since the pass began */
};

static void push(struct turns *turns, struct cp_bundle_item *item)
{
    item->next = NULL;
    if (turns->first)
        turns->last->next = item;
    else
        turns->first = item;
    turns->last = item;
}

/* ---- waiting */

static void wait_for(struct turns *turns, struct cp_bundle_item *item)
{
    bool is_prefix;
    gw_str what = cp_store_overlay_last(turns->call->services->store, &is_prefix);
    item->waits_for = gw_arena_dup(turns->call->arena, what);
    if (is_prefix) {
        item->next = turns->by_prefix;
        turns->by_prefix = item;
    } else {
        item->next = gw_map_put(&turns->by_key, item->waits_for, item);
    }
}

static void wake(struct turns *turns, gw_str key)
{
    struct cp_bundle_item *next, **at = &turns->by_prefix;
    for (struct cp_bundle_item *item = gw_map_take(&turns->by_key, key); item; item = next) {
        next = item->next;
        push(turns, item);
    }
    while (*at) {
        struct cp_bundle_item *item = *at;
        if (!gw_str_has_prefix(key, item->waits_for)) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        push(turns, item);
    }
}

/* Who waits for what the change writes now, and did not before. */
static void wake_waiting(struct turns *turns)
{
    const struct cp_change *now = turns->change, *saved = &turns->saved;
    if (turns->by_key.count == 0 && !turns->by_prefix)
        return;
    for (size_t i = 0; i < now->op_count; i++) {
        const struct cp_op *op = &now->ops[i], *before = &saved->ops[i];
        if (i >= saved->op_count || before->kind != op->kind || before->value.ptr != op->value.ptr)
            wake(turns, op->key);
    }
}

/* ---- trying */

static int by_kind(const struct cp_bundle_item *a, const struct cp_bundle_item *b)
{
    return (a->kind > b->kind) - (a->kind < b->kind);
}

/* What is referred to comes first and goes last. */
static int by_turn(const void *left, const void *right)
{
    const struct cp_bundle_item *a = *(struct cp_bundle_item *const *)left;
    const struct cp_bundle_item *b = *(struct cp_bundle_item *const *)right;
    if (a->is_delete != b->is_delete)
        return a->is_delete - b->is_delete;
    int order = a->is_delete ? by_kind(b, a) : by_kind(a, b);
    return order ? order : (a->index > b->index) - (a->index < b->index);
}

/* That the store is away is no refusal of a resource. */
static bool ends_it(const struct gw_error *err)
{
    return err->code == GW_UNAVAILABLE || err->code == GW_INTERNAL ||
           err->code == GW_DEADLINE_EXCEEDED;
}

int cp_bundle_in_time(const struct cp_call *call, struct gw_error *err)
{
    if (gw_clock_monotonic_ms() < call->deadline_ms)
        return 0;
    return gw_fail(err, GW_DEADLINE_EXCEEDED, "the call's deadline came first");
}

static int try_one(struct turns *turns, struct cp_bundle_item *item, cp_bundle_do *one,
                   struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    if (cp_bundle_in_time(turns->call, err) < 0)
        return -1;
    cp_change_copy(&turns->saved, turns->change);
    if (one(turns->call, turns->change, item, &why) == 0) {
        item->is_done = turns->progress = true;
        wake_waiting(turns);
        return 0;
    }
    if (ends_it(&why)) {
        *err = why;
        return -1;
    }
    cp_bundle_refuse_one(turns->call, item, &why);
    cp_change_copy(turns->change, &turns->saved);
    wait_for(turns, item);
    return 0;
}

static int run_pass(struct turns *turns, struct cp_bundle_item **order, size_t count,
                    cp_bundle_do *one, struct gw_error *err)
{
    int result = 0;
    turns->progress = false;
    turns->by_prefix = NULL;
    gw_map_init(&turns->by_key);
    for (size_t i = 0; i < count; i++)
        if (!order[i]->is_done)
            push(turns, order[i]);
    while (turns->first && result == 0) {
        struct cp_bundle_item *item = turns->first;
        turns->first = item->next;
        result = try_one(turns, item, one, err);
    }
    gw_map_done(&turns->by_key);
    return result;
}

int cp_bundle_run(const struct cp_call *call, struct cp_change *change,
                  const struct cp_bundle *bundle, cp_bundle_do *one, struct gw_error *err)
{
    struct turns turns = {
        .call = call, .change = change, .saved = {.arena = call->arena}, .progress = true};
    struct cp_bundle_item **order =
        GW_ARENA_ARRAY(call->arena, struct cp_bundle_item *, bundle->count + 1);
    for (size_t i = 0; i < bundle->count; i++) {
        order[i] = bundle->items[i];
        order[i]->is_done = false;
    }
    qsort(order, bundle->count, sizeof *order, by_turn);
    for (unsigned i = 0; i < PASSES_MAX && turns.progress; i++)
        if (run_pass(&turns, order, bundle->count, one, err) < 0)
            return -1;
    return 0;
}
