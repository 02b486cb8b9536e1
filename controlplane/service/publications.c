/* SPDX-License-Identifier: Apache-2.0 */
/* Where APIs are published, as Api.publications shows it. */
#include "common/map.h"
#include "common/message.h"
#include "controlplane/agents/registry.h"
#include "controlplane/service/apis.h"
#include "controlplane/service/history.h"
#include "controlplane/service/variables.h"

#include <stdlib.h>

#define PAGE 500

/* The APIs that are shown, and where their publications lie. */
struct view {
    const struct cp_call *call;
    struct gw_map apis; /* by name -> cp_api, borrowed */
    gw_str *prefixes;   /* in order */
    size_t count, at;   /* those before it have been read */
    struct cp_values values;
};

static void add_api(struct view *view, cp_api *api)
{
    view->prefixes[view->count++] =
        cp_key_children(view->call->arena, CP_KIND_PUBLICATION, gw_str_from(api->name));
    gw_map_put(&view->apis, gw_str_from(api->name), api);
}

static int by_bytes(const void *a, const void *b)
{
    return gw_str_cmp(*(const gw_str *)a, *(const gw_str *)b);
}

/* Where it goes on behind the key: what lies between it and the next one that is shown may be most
 * of the store. False: all has been read. */
static bool go_on(struct view *view, gw_str *key)
{
    while (view->at < view->count && !gw_str_has_prefix(*key, view->prefixes[view->at]) &&
           gw_str_cmp(view->prefixes[view->at], *key) < 0)
        view->at++;
    if (view->at == view->count)
        return false;
    if (gw_str_cmp(view->prefixes[view->at], *key) > 0)
        *key = view->prefixes[view->at];
    return true;
}

static void add_refusals(const struct cp_call *call, const cp_api *api, cp_publication *publication)
{
    if (!call->services->registry)
        return;
    gw_str route = cp_route_name(call->arena, api->name, cp_name_last(publication->name));
    publication->n_refusals =
        cp_registry_refusals(call->services->registry, call->arena, route, &publication->refusals);
}

static int show(struct view *view, const struct cp_kv *kv, struct gw_error *err)
{
    gw_str name;
    struct cp_stored stored;
    struct gw_arena *arena = view->call->arena;
    if (!cp_key_parse(arena, kv->key, &name))
        return 0;
    cp_api *api = gw_map_get(&view->apis, cp_name_parent(name));
    if (!api)
        return 0;
    struct gw_error why = GW_ERROR_NONE;
    bool is_whole = cp_unpack(view->call, CP_KIND_PUBLICATION, kv, &stored, &why) == 0;
    if (!is_whole) /* is shown by name, with the refusal that says so */
        stored.message = gw_message_new(arena, CP_TYPE(publication));
    cp_publication *publication = (cp_publication *)stored.message;
    if (is_whole && !*publication->release)
        return 0; /* taken offline */
    if (!is_whole)
        publication->name = (char *)(uintptr_t)gw_arena_dup(arena, name).ptr;
    publication->revision = kv->mod_revision;
    add_refusals(view->call, api, publication);
    cp_publication **all = GW_ARENA_ARRAY(arena, cp_publication *, api->n_publications + 1);
    if (api->n_publications > 0)
        memcpy(all, api->publications, api->n_publications * sizeof *all);
    all[api->n_publications++] = publication;
    api->publications = all;
    return cp_show_stale(&view->values, publication, err);
}

int cp_show_publications(const struct cp_call *call, const char *parent, cp_api **apis,
                         size_t count, struct gw_error *err)
{
    struct view view = {.call = call};
    struct cp_page page = {.more = true};
    struct cp_range range = {.limit = GW_MIN(PAGE, count + count / 2 + 8)};
    int result = 0;
    gw_map_init(&view.apis);
    cp_values_init(&view.values, call);
    view.prefixes = GW_ARENA_ARRAY(call->arena, gw_str, count + 1);
    for (size_t i = 0; i < count; i++)
        add_api(&view, apis[i]);
    qsort(view.prefixes, count, sizeof *view.prefixes, by_bytes);
    range.prefix = cp_key_children(call->arena, CP_KIND_PUBLICATION, gw_str_from(parent));
    while (page.more && result == 0 && go_on(&view, &range.after_key)) {
        result = cp_store_list(call->services->store, &range, call->arena, &page, err);
        for (size_t i = 0; result == 0 && i < page.count; i++)
            result = show(&view, &page.kvs[i], err);
        if (result < 0 || page.count == 0)
            break;
        range.at_revision = page.at.revision;
        range.after_key = page.kvs[page.count - 1].key;
    }
    gw_map_done(&view.apis);
    cp_values_done(&view.values);
    return result;
}
