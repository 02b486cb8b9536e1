/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/apps.h"

#include "common/message.h"
#include "dataplane/snapshot/catalog.h"

#include <stdlib.h>

/* An app whose newest form is not in force. */
struct dp_refused_app {
    gw_str name;       /* owned */
    char *reason;      /* owned */
    gw_str form;       /* owned: packed */
    int64_t revision;  /* that brought it */
    uint32_t seen;     /* as of units */
    bool has_conflict; /* another app has its code: tried with each update */
};

/* ---- by name */

static struct dp_app_unit *unit_of(const struct dp_trie_item *item)
{
    return gw_container_of((struct dp_trie_item *)(uintptr_t)item, struct dp_app_unit, by_name);
}

static void let_unit_go(struct dp_trie_item *item)
{
    dp_unit_unref(&unit_of(item)->unit);
}

static const struct dp_trie_kind by_name_kind = {let_unit_go, NULL};

static bool has_name(const struct dp_trie_item *item, const void *key)
{
    return gw_str_eq(dp_app_unit_name(unit_of(item)), *(const gw_str *)key);
}

static uint32_t hash_of(gw_str name)
{
    return (uint32_t)gw_str_hash(name);
}

static struct dp_app_unit *find(const struct dp_apps *apps, gw_str name)
{
    const struct dp_trie_item *item = dp_trie_find(apps->by_name, hash_of(name), has_name, &name);
    return item ? unit_of(item) : NULL;
}

/* ---- refused ones */

static gw_str copy(gw_str text)
{
    char *bytes = gw_malloc(text.len + 1);
    memcpy(bytes, text.ptr, text.len);
    bytes[text.len] = '\0';
    return gw_str_n(bytes, text.len);
}

static void free_refused(struct dp_refused_app *refused)
{
    if (!refused)
        return;
    free((char *)(uintptr_t)refused->name.ptr);
    free((char *)(uintptr_t)refused->form.ptr);
    free(refused->reason);
    free(refused);
}

static void drop_refused(struct dp_apps *apps, gw_str name)
{
    free_refused(gw_map_get(&apps->refused, name) ? gw_map_take(&apps->refused, name) : NULL);
}

static void set_reason(struct dp_catalog *catalog, struct dp_refused_app *refused,
                       const struct gw_error *err)
{
    free(refused->reason);
    refused->reason = gw_strdup(dp_entry_reason(&catalog->scratch, err).ptr);
}

static void refuse(struct dp_catalog *catalog, const struct dp_app_change *change, int64_t revision,
                   const struct gw_error *err)
{
    struct dp_apps *apps = &catalog->apps;
    struct dp_refused_app *refused = gw_map_get(&apps->refused, change->name);
    if (change->message) {
        drop_refused(apps, change->name);
        refused = gw_calloc(1, sizeof *refused);
        refused->name = copy(change->name);
        refused->form = copy(gw_message_pack(&catalog->scratch, &change->message->base));
        refused->revision = revision;
        refused->seen = catalog->serial;
        (void)gw_map_put(&apps->refused, refused->name, refused); /* there is none */
    }
    refused->has_conflict = false;
    set_reason(catalog, refused, err);
}

/* ---- AppCodes */

static void release_codes(struct dp_apps *apps, const struct dp_app_unit *unit)
{
    for (unsigned i = 0; i < unit->app.code_count; i++)
        if (dp_code_map_get(apps->codes, unit->codes[i].digest) == unit)
            apps->codes = dp_code_map_remove(apps->codes, unit->codes[i].digest);
}

static int check_codes(const struct dp_apps *apps, const struct dp_app_unit *unit,
                       struct gw_error *err)
{
    for (unsigned i = 0; i < unit->app.code_count; i++) {
        const struct dp_app_unit *owner = dp_code_map_get(apps->codes, unit->codes[i].digest);
        if (owner)
            return gw_fail_field(err, "app_code_digests", "[%u] belongs to %.*s", i,
                                 GW_STR_ARG(dp_app_unit_name(owner)));
    }
    return 0;
}

/* What nobody has. */
static void take_codes(struct dp_apps *apps, struct dp_app_unit *unit)
{
    for (unsigned i = 0; i < unit->app.code_count; i++)
        if (!dp_code_map_get(apps->codes, unit->codes[i].digest))
            apps->codes = dp_code_map_put(apps->codes, &unit->codes[i]);
}

/* ---- taking in */

static struct dp_app_change *add_change(struct dp_apps *apps)
{
    if (apps->change_count == apps->change_room) {
        apps->change_room = GW_MAX(16, 2 * apps->change_room);
        apps->changes = gw_realloc(apps->changes, apps->change_room * sizeof apps->changes[0]);
    }
    struct dp_app_change *change = &apps->changes[apps->change_count++];
    *change = (struct dp_app_change){0};
    return change;
}

void dp_apps_take(struct dp_catalog *catalog, const Penstock__Agent__V1__Resource *message)
{
    struct dp_apps *apps = &catalog->apps;
    gw_str name = dp_entry_key(message->app->name);
    if (apps->leaving.count > 0 && gw_map_get(&apps->leaving, name))
        return;
    gw_arena_reset(&catalog->scratch);
    gw_str form = gw_message_pack(&catalog->scratch, &message->base);
    struct dp_app_unit *unit = find(apps, name);
    struct dp_refused_app *refused = gw_map_get(&apps->refused, name);
    if (unit)
        unit->seen = catalog->serial;
    if (refused) {
        refused->seen = catalog->serial;
        if (gw_str_eq(refused->form, form))
            return;
        drop_refused(apps, name);
    }
    if (unit && gw_content_digest_eq(unit->digest, dp_entry_digest(form)))
        return;
    struct dp_app_change *change = add_change(apps);
    change->name = name;
    change->message = message;
}

static void remove_unit(struct dp_catalog *catalog, struct dp_app_unit *unit)
{
    struct dp_apps *apps = &catalog->apps;
    gw_str name = dp_app_unit_name(unit);
    release_codes(apps, unit);
    dp_app_forget(catalog, unit);
    apps->by_name =
        dp_trie_remove(apps->by_name, &by_name_kind, unit->by_name.hash, has_name, &name);
    apps->count--;
}

static void leave(struct dp_catalog *catalog, gw_str name)
{
    struct dp_app_unit *unit = find(&catalog->apps, name);
    drop_refused(&catalog->apps, name);
    if (unit)
        remove_unit(catalog, unit);
}

void dp_apps_remove(struct dp_catalog *catalog, gw_str name)
{
    (void)gw_map_put(&catalog->apps.leaving, name, catalog); /* any value, the same each time */
    leave(catalog, name);
}

/* ---- what a full update did not bring */

struct sweeping {
    struct dp_catalog *catalog;
    gw_str *gone;
    size_t count;
};

static void sweep_unit(const struct dp_trie_item *item, void *arg)
{
    struct sweeping *sweeping = arg;
    const struct dp_app_unit *unit = unit_of(item);
    if (unit->seen != sweeping->catalog->serial)
        sweeping->gone[sweeping->count++] = dp_app_unit_name(unit);
}

void dp_apps_sweep(struct dp_catalog *catalog)
{
    struct dp_apps *apps = &catalog->apps;
    struct sweeping sweeping = {.catalog = catalog};
    sweeping.gone = gw_calloc(apps->count + apps->refused.count + 1, sizeof(gw_str));
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&apps->refused, e));) {
        const struct dp_refused_app *refused = e->value;
        if (refused->seen != catalog->serial)
            sweeping.gone[sweeping.count++] = refused->name;
    }
    for (size_t i = 0; i < sweeping.count; i++)
        drop_refused(apps, sweeping.gone[i]); /* a unit of that name was not seen either */
    sweeping.count = 0;
    dp_trie_each(apps->by_name, sweep_unit, &sweeping);
    for (size_t i = 0; i < sweeping.count; i++)
        remove_unit(catalog, find(apps, sweeping.gone[i]));
    free(sweeping.gone);
}

/* ---- what has changed */

static struct dp_app_unit *compile(struct dp_catalog *catalog,
                                   const Penstock__Agent__V1__Resource *message,
                                   struct gw_error *err)
{
    gw_arena_reset(&catalog->scratch);
    if (dp_compile_refuse_newer(&message->base, err) < 0)
        return NULL;
    struct dp_app_unit *unit = dp_compile_app(catalog, message->app, err);
    if (!unit)
        return NULL;
    unit->seen = catalog->serial;
    unit->digest = dp_entry_digest(gw_message_pack(&catalog->scratch, &message->base));
    return unit;
}

/* Those that another had the code of: perhaps no more. */
static void try_again(struct dp_catalog *catalog)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&catalog->apps.refused, e));) {
        const struct dp_refused_app *refused = e->value;
        struct gw_error err = GW_ERROR_NONE;
        if (!refused->has_conflict)
            continue;
        const Penstock__Agent__V1__Resource *message =
            dp_compile_unpack(catalog, refused->form, &err);
        struct dp_app_change *change = add_change(&catalog->apps);
        change->name = refused->name;
        change->candidate = message ? dp_compile_app(catalog, message->app, &err) : NULL;
        assert(change->candidate); /* it could be, before */
        change->candidate->seen = refused->seen;
        change->candidate->digest = dp_entry_digest(refused->form);
    }
}

static void prepare(struct dp_catalog *catalog, struct dp_app_change *change, int64_t revision)
{
    struct gw_error err = GW_ERROR_NONE;
    if (change->message)
        change->candidate = compile(catalog, change->message, &err);
    const struct dp_app_unit *before = find(&catalog->apps, change->name);
    if (!change->candidate)
        refuse(catalog, change, revision, &err);
    else if (before)
        release_codes(&catalog->apps, before);
}

static void accept(struct dp_catalog *catalog, struct dp_app_unit *candidate,
                   struct dp_app_unit *before)
{
    struct dp_apps *apps = &catalog->apps;
    gw_str name = dp_app_unit_name(candidate);
    drop_refused(apps, name); /* `name` is the unit's */
    if (before)
        dp_app_forget(catalog, before);
    apps->count += !before;
    candidate->by_name.hash = hash_of(name);
    atomic_init(&candidate->by_name.refs, 1);
    apps->by_name = dp_trie_put(apps->by_name, &by_name_kind, has_name, &name, &candidate->by_name);
    take_codes(apps, candidate);
}

static void decide(struct dp_catalog *catalog, const struct dp_app_change *change, int64_t revision)
{
    struct dp_apps *apps = &catalog->apps;
    struct gw_error err = GW_ERROR_NONE;
    struct dp_app_unit *before = find(apps, change->name);
    if (before) /* it may have come twice */
        release_codes(apps, before);
    if (check_codes(apps, change->candidate, &err) == 0) {
        accept(catalog, change->candidate, before);
        return;
    }
    refuse(catalog, change, revision, &err);
    ((struct dp_refused_app *)gw_map_get(&apps->refused, change->name))->has_conflict = true;
    dp_app_forget(catalog, change->candidate);
    dp_unit_unref(&change->candidate->unit);
    if (before)
        take_codes(apps, before);
}

/* All that changes gives up its codes before anyone takes some: they may be swapped. */
void dp_apps_compile(struct dp_catalog *catalog, int64_t revision)
{
    struct dp_apps *apps = &catalog->apps;
    try_again(catalog);
    for (size_t i = 0; i < apps->change_count; i++)
        prepare(catalog, &apps->changes[i], revision);
    for (size_t i = 0; i < apps->change_count; i++)
        if (apps->changes[i].candidate)
            decide(catalog, &apps->changes[i], revision);
    free(apps->changes);
    apps->changes = NULL;
    apps->change_count = apps->change_room = 0;
    gw_map_done(&apps->leaving);
    gw_map_init(&apps->leaving);
}

/* ---- what is there */

size_t dp_apps_refused_count(const struct dp_apps *apps)
{
    return apps->refused.count;
}

void dp_apps_report(const struct dp_apps *apps, struct gw_arena *arena, struct dp_refused *items)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&apps->refused, e));) {
        const struct dp_refused_app *refused = e->value;
        *items++ = (struct dp_refused){PENSTOCK__AGENT__V1__KIND__KIND_APP, refused->name.ptr,
                                       gw_arena_strdup(arena, refused->reason), refused->revision};
    }
}

static void add_digest(const struct dp_trie_item *item, void *arg)
{
    gw_content_digest_add(arg, unit_of(item)->digest);
}

void dp_apps_digest(const struct dp_apps *apps, struct gw_content_digest *sum)
{
    dp_trie_each(apps->by_name, add_digest, sum);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&apps->refused, e));) {
        const struct dp_refused_app *refused = e->value;
        const struct dp_app_unit *older = find(apps, refused->name);
        gw_content_digest_add(sum, dp_entry_digest(refused->form));
        if (older)
            gw_content_digest_subtract(sum, older->digest);
    }
}

struct each_app {
    struct gw_arena arena;
    dp_catalog_fn *fn;
    void *arg;
    bool has_stopped;
};

static void visit(const struct dp_trie_item *item, void *arg)
{
    struct each_app *each = arg;
    if (each->has_stopped)
        return;
    gw_arena_reset(&each->arena);
    each->has_stopped = !each->fn(each->arg, dp_app_form(unit_of(item), &each->arena));
}

bool dp_apps_each(const struct dp_catalog *catalog, dp_catalog_fn *fn, void *arg)
{
    struct each_app each = {.fn = fn, .arg = arg};
    gw_arena_init(&each.arena, 4096);
    dp_trie_each(catalog->apps.by_name, visit, &each);
    gw_arena_done(&each.arena);
    return !each.has_stopped;
}

bool dp_apps_each_refused(const struct dp_apps *apps, dp_catalog_fn *fn, void *arg)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&apps->refused, e));)
        if (!fn(arg, ((const struct dp_refused_app *)e->value)->form))
            return false;
    return true;
}

/* ---- life */

void dp_apps_init(struct dp_apps *apps)
{
    *apps = (struct dp_apps){.count = 0};
    gw_map_init(&apps->refused);
    gw_map_init(&apps->leaving);
}

void dp_apps_done(struct dp_apps *apps)
{
    dp_code_map_unref(apps->codes);
    dp_trie_unref(apps->by_name, &by_name_kind);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&apps->refused, e));)
        free_refused(e->value);
    gw_map_done(&apps->refused);
    gw_map_done(&apps->leaving);
    free(apps->changes);
}
