/* SPDX-License-Identifier: Apache-2.0 */
#include "common/slab.h"
#include "dataplane/sha256.h"
#include "dataplane/snapshot/catalog.h"

#include <stdlib.h>

static bool is_entry(const struct dp_trie_item *item, const void *key)
{
    return gw_str_eq(((const struct dp_entry *)item)->name, *(const gw_str *)key);
}

static uint32_t hash_of(gw_str name)
{
    return (uint32_t)gw_str_hash(name);
}

gw_str dp_entry_key(const char *name)
{
    gw_str key = gw_str_from(name);
    key.len = GW_MIN(key.len, DP_COMPILE_NAME_MAX + 1);
    return key;
}

struct dp_entry *dp_entry_find(const struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind,
                               gw_str name)
{
    const struct dp_trie_item *item =
        dp_trie_find(catalog->entries[kind], hash_of(name), is_entry, &name);
    return (struct dp_entry *)(uintptr_t)item; /* the catalog's own */
}

struct dp_entry *dp_entry_get(struct dp_catalog *catalog, Penstock__Agent__V1__Kind kind,
                              gw_str name)
{
    struct dp_entry *entry = dp_entry_find(catalog, kind, name);
    if (entry)
        return entry;
    entry = gw_slab_zalloc(sizeof *entry + name.len + 1);
    if (name.len > 0)
        memcpy(entry->text, name.ptr, name.len);
    atomic_init(&entry->item.refs, 1);
    entry->item.hash = hash_of(name);
    entry->kind = kind;
    entry->name = gw_str_n(entry->text, name.len);
    gw_list_init(&entry->in_dirty);
    gw_list_init(&entry->in_refused);
    gw_list_init(&entry->in_branch);
    gw_list_init(&entry->users);
    if (kind == PENSTOCK__AGENT__V1__KIND__KIND_GROUP)
        entry->number = catalog->groups_made++;
    if (kind == PENSTOCK__AGENT__V1__KIND__KIND_ROUTE)
        entry->route_number = ++catalog->routes_named;
    struct dp_trie *entries = &catalog->entries[kind];
    *entries = dp_trie_put(*entries, &dp_entries, is_entry, &entry->name, &entry->item);
    return entry;
}

static void free_entry(struct dp_trie_item *item)
{
    struct dp_entry *entry = (struct dp_entry *)item;
    dp_entry_clear(entry);
    dp_unit_unref(entry->placed);
    gw_slab_free(entry->edges);
    gw_slab_free(entry);
}

const struct dp_trie_kind dp_entries = {free_entry, NULL};

void dp_entry_release(struct dp_catalog *catalog, struct dp_entry *entry)
{
    if (entry->good || entry->next || !gw_list_is_empty(&entry->users) || entry->branches > 0 ||
        entry->granted > 0)
        return;
    assert(entry->edge_count == 0 && !entry->branch && !entry->unit && !entry->placed);
    gw_list_remove(&entry->in_dirty);
    struct dp_trie *entries = &catalog->entries[entry->kind];
    *entries = dp_trie_remove(*entries, &dp_entries, entry->item.hash, is_entry, &entry->name);
}

/* ---- forms */

void dp_entry_set_next(struct dp_entry *entry, gw_str packed, int64_t revision)
{
    struct dp_form *form = gw_slab_alloc(sizeof *form + packed.len);
    form->revision = revision;
    form->len = packed.len;
    if (packed.len > 0)
        memcpy(form->bytes, packed.ptr, packed.len);
    gw_slab_free(entry->next);
    entry->next = form;
}

void dp_entry_drop_next(struct dp_entry *entry)
{
    gw_slab_free(entry->next);
    entry->next = NULL;
    entry->fresh = NULL;
}

gw_str dp_entry_newest(const struct dp_entry *entry)
{
    const struct dp_form *form = entry->next ? entry->next : entry->good;
    return form ? gw_str_n(form->bytes, form->len) : GW_STR_NONE;
}

struct gw_content_digest dp_entry_digest(gw_str form)
{
    uint8_t sha256[DP_SHA256_BYTES];
    dp_sha256(form, sha256);
    return gw_content_digest_of(sha256);
}

/* ---- what has to be looked at */

void dp_entry_mark(struct dp_catalog *catalog, struct dp_entry *entry)
{
    if (gw_list_is_empty(&entry->in_dirty))
        gw_list_push(&catalog->dirty[entry->kind], &entry->in_dirty);
}

void dp_entry_mark_users(struct dp_catalog *catalog, struct dp_entry *entry)
{
    gw_list_each(&entry->users, node)
        dp_entry_mark(catalog, gw_container_of(node, struct dp_edge, in_users)->user);
}

void dp_entry_set_names(struct dp_catalog *catalog, struct dp_entry *entry,
                        struct dp_entry *const *names, unsigned count)
{
    struct dp_edge *before = entry->edges;
    unsigned before_count = entry->edge_count;
    entry->edges = count > 0 ? gw_slab_zalloc(count * sizeof entry->edges[0]) : NULL;
    entry->edge_count = count;
    for (unsigned i = 0; i < count; i++) {
        entry->edges[i].user = entry;
        entry->edges[i].names = names[i];
        gw_list_push(&names[i]->users, &entry->edges[i].in_users);
    }
    for (unsigned i = 0; i < before_count; i++)
        gw_list_remove(&before[i].in_users);
    for (unsigned i = 0; i < before_count; i++) {
        bool is_seen = false; /* the same name twice: release it once */
        for (unsigned k = 0; k < i && !is_seen; k++)
            is_seen = before[k].names == before[i].names;
        if (!is_seen)
            dp_entry_release(catalog, before[i].names);
    }
    gw_slab_free(before);
}

/* ---- outcome */

gw_str dp_entry_reason(struct gw_arena *arena, const struct gw_error *err)
{
    if (err->violation_count > 0)
        return gw_arena_printf(arena, "%s: %s", err->violations[0].field, err->violations[0].rule);
    return gw_arena_dup(arena, gw_str_from(err->message));
}

void dp_entry_refuse(struct dp_catalog *catalog, struct dp_entry *entry, const struct gw_error *err)
{
    free(entry->reason);
    entry->reason = gw_strdup(dp_entry_reason(&catalog->scratch, err).ptr);
    if (gw_list_is_empty(&entry->in_refused))
        gw_list_push(&catalog->refused, &entry->in_refused);
}

static void clear_refusal(struct dp_entry *entry)
{
    free(entry->reason);
    entry->reason = NULL;
    entry->conflicts = false;
    gw_list_remove(&entry->in_refused);
}

void dp_entry_drop_candidate(struct dp_entry *entry)
{
    dp_unit_unref(entry->candidate);
    entry->candidate = NULL;
}

void dp_entry_accept(struct dp_entry *entry)
{
    if (entry->candidate_is_next) {
        gw_slab_free(entry->good);
        entry->good = entry->next;
        entry->next = NULL;
    }
    if (!entry->next)
        clear_refusal(entry);
    dp_unit_unref(entry->unit);
    entry->unit = entry->candidate;
    entry->candidate = NULL;
}

void dp_entry_clear(struct dp_entry *entry)
{
    clear_refusal(entry);
    dp_entry_drop_candidate(entry);
    dp_entry_drop_next(entry);
    dp_unit_unref(entry->unit);
    entry->unit = NULL;
    gw_slab_free(entry->good);
    entry->good = NULL;
}
