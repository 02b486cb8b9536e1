/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/read.h"

#include "common/message.h"
#include "controlplane/service/audit.h"

int cp_unpack(const struct cp_call *call, enum cp_kind_id kind_id, const struct cp_kv *kv,
              struct cp_stored *ret, struct gw_error *err)
{
    struct gw_error why = GW_ERROR_NONE;
    const struct cp_kind *kind = cp_kind_get(kind_id);
    if (gw_message_unpack(call->arena, kind->type, kv->value, &ret->message, &why) < 0)
        return gw_fail(err, GW_INTERNAL, "the %s stored as %.*s cannot be read: %s", kind->noun,
                       (int)kv->key.len, kv->key.ptr, why.message);
    ret->mod_revision = kv->mod_revision;
    cp_audit_note(call, kv);
    return 0;
}

int cp_read(const struct cp_call *call, gw_str key, struct cp_found *ret, struct gw_error *err)
{
    const struct cp_found *known = call->ahead ? gw_map_get(&call->ahead->found, key) : NULL;
    if (!known)
        return cp_store_get(call->services->store, key, call->arena, ret, err);
    *ret = *known;
    return 0;
}

int cp_find(const struct cp_call *call, enum cp_kind_id kind, const char *name,
            struct cp_stored *ret, struct gw_error *err)
{
    struct cp_found found;
    *ret = (struct cp_stored){0};
    gw_str key = cp_key_of(call->arena, kind, name);
    if (cp_read(call, key, &found, err) < 0)
        return -1;
    return found.found ? cp_unpack(call, kind, &found.kv, ret, err) : 0;
}

int cp_get(const struct cp_call *call, enum cp_kind_id kind, const char *name,
           struct cp_stored *ret, struct gw_error *err)
{
    if (cp_find(call, kind, name, ret, err) < 0)
        return -1;
    if (!ret->message)
        return gw_fail(err, GW_NOT_FOUND, "%s does not exist", name);
    return 0;
}

static int visit_kv(const struct cp_call *call, enum cp_kind_id kind, const struct cp_kv *kv,
                    cp_visit *visit, void *arg, struct gw_error *err)
{
    gw_str name;
    struct cp_stored stored;
    if (!cp_key_parse(call->arena, kv->key, &name))
        return 0; /* not ours */
    if (cp_unpack(call, kind, kv, &stored, err) < 0)
        return -1;
    return visit(arg, gw_arena_dup(call->arena, name).ptr, &stored, err);
}

int cp_each(const struct cp_call *call, enum cp_kind_id kind, const char *parent, cp_visit *visit,
            void *arg, struct gw_error *err)
{
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, kind, gw_str_from(parent)),
        .limit = 500,
    };
    struct cp_page page;
    do {
        if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
            return -1;
        for (size_t i = 0; i < page.count; i++)
            if (visit_kv(call, kind, &page.kvs[i], visit, arg, err) < 0)
                return -1;
        range.at_revision = page.at.revision;
        if (page.count > 0)
            range.after_key = page.kvs[page.count - 1].key;
    } while (page.more);
    return 0;
}

/* ---- reading ahead */

void cp_keys_add(const struct cp_call *call, struct cp_keys *keys, gw_str key)
{
    if (call->ahead && gw_map_get(&call->ahead->found, key))
        return;
    if (keys->count == keys->room) {
        keys->room = GW_MAX(2 * keys->room, (size_t)8);
        gw_str *items = GW_ARENA_ARRAY(call->arena, gw_str, keys->room);
        if (keys->count > 0)
            memcpy(items, keys->items, keys->count * sizeof *items);
        keys->items = items;
    }
    keys->items[keys->count++] = key;
}

void cp_keys_add_name(const struct cp_call *call, struct cp_keys *keys, enum cp_kind_id kind,
                      const char *name)
{
    cp_keys_add(call, keys, cp_key_of(call->arena, kind, name));
}

int cp_read_ahead(const struct cp_call *call, const struct cp_keys *keys, struct gw_error *err)
{
    struct cp_found *found = GW_ARENA_ARRAY(call->arena, struct cp_found, keys->count + 1);
    if (cp_store_get_all(call->services->store, keys->items, keys->count, call->arena, found, err) <
        0)
        return -1;
    for (size_t i = 0; call->ahead && i < keys->count; i++)
        gw_map_put(&call->ahead->found, keys->items[i], &found[i]);
    return 0;
}
