/* SPDX-License-Identifier: Apache-2.0 */
/* What a bundle with prune deletes: what is managed by the same, and is not in it. */
#include "controlplane/service/bundle.h"

#include "common/map.h"
#include "common/message.h"

#define AT_ONCE 500

struct search {
    const struct cp_call *call;
    struct cp_bundle *bundle;
    struct gw_map sent;    /* names in the request */
    struct gw_map parents; /* names of what is managed by the same, in the store or in the bundle */
    size_t found;
};

/* What has no labels belongs to who has what it stands under. AppCodes are out there with callers:
 * they go with their app only. */
static bool is_managed(const struct search *search, const ProtobufCMessage *message,
                       const char *name, enum cp_kind_id kind)
{
    const char *value;
    if (kind == CP_KIND_CODE)
        return false;
    if (cp_managed_by(message, &value))
        return strcmp(value, search->bundle->request->managed_by) == 0;
    return gw_map_get(&search->parents, cp_name_parent(gw_str_from(name))) != NULL;
}

static void visit(struct search *search, const struct cp_bundle_kind *kind,
                  const ProtobufCMessage *message, const char *name)
{
    if (!is_managed(search, message, name, kind->rules->kind))
        return;
    gw_map_put(&search->parents, gw_str_from(name), search);
    struct gw_error unseen = GW_ERROR_NONE;
    if (gw_map_get(&search->sent, gw_str_from(name)) ||
        cp_bundle_check(search->call, kind, "Get", name, &unseen) < 0)
        return;
    struct cp_bundle_item *item = cp_bundle_add(search->call, search->bundle);
    item->kind = kind;
    item->name = gw_arena_strdup(search->call->arena, name);
    item->is_delete = true;
    search->found++;
}

/* A page at a time, in an arena of its own: the gateway may be large. */
static int visit_page(struct search *search, const struct cp_bundle_kind *kind,
                      struct cp_range *range, bool *ret_more, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call reading = *search->call;
    struct cp_page page;
    reading.arena = &arena;
    reading.audit = NULL; /* it would keep what goes with the arena */
    if (cp_bundle_in_time(search->call, err) < 0 ||
        cp_store_list(reading.services->store, range, &arena, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        gw_str name;
        struct cp_stored stored;
        if (!cp_key_parse(&arena, page.kvs[i].key, &name))
            continue; /* not ours */
        if (cp_unpack(&reading, kind->rules->kind, &page.kvs[i], &stored, err) < 0)
            return -1;
        visit(search, kind, stored.message, gw_arena_dup(&arena, name).ptr);
        if (search->found > CP_BUNDLE_RESOURCES_MAX)
            return gw_fail_field(err, "prune", "would delete more than %d resources",
                                 CP_BUNDLE_RESOURCES_MAX);
    }
    *ret_more = page.more;
    range->at_revision = page.at.revision;
    if (page.count > 0)
        range->after_key = gw_arena_dup(search->call->arena, page.kvs[page.count - 1].key);
    return 0;
}

static int visit_kind(struct search *search, const struct cp_bundle_kind *kind,
                      struct gw_error *err)
{
    size_t count;
    const gw_str *prefixes = cp_bundle_readable(search->call, kind, &count);
    for (size_t i = 0; i < count; i++) {
        bool more = true;
        struct cp_range range = {.prefix = prefixes[i], .limit = AT_ONCE};
        while (more)
            if (visit_page(search, kind, &range, &more, err) < 0)
                return -1;
    }
    return 0;
}

int cp_bundle_find_pruned(const struct cp_call *call, struct cp_bundle *bundle,
                          struct gw_error *err)
{
    int result = 0;
    struct search search = {.call = call, .bundle = bundle};
    gw_map_init(&search.sent);
    gw_map_init(&search.parents);
    for (size_t i = 0; i < bundle->sent_count; i++) {
        gw_map_put(&search.sent, gw_str_from(bundle->items[i]->name), bundle);
        gw_map_put(&search.parents, gw_str_from(bundle->items[i]->name), bundle);
    }
    for (size_t i = 0; i < cp_bundle_kind_count && result == 0; i++)
        result = visit_kind(&search, &cp_bundle_kinds[i], err);
    gw_map_done(&search.sent);
    gw_map_done(&search.parents);
    return result;
}
