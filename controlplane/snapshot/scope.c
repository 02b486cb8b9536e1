/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/scope.h"

#include "common/message.h"
#include "controlplane/snapshot/build.h"
#include "controlplane/snapshot/image_internal.h"
#include "controlplane/snapshot/scope_forms.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

struct cp_scope {
    struct gw_list node;    /* of the whole image's scopes, the one used last at the end */
    char *text;             /* owned */
    struct cp_image *image; /* owned */
    unsigned users;
    struct gw_map needs; /* name -> how many routes and groups of the scope refer to it */
};

/* One commit's work on one scope. */
struct work {
    struct cp_image *whole;
    struct cp_scope *scope;
    struct gw_arena arena;
    struct gw_map touched; /* names; the values mean nothing */
};

gw_str cp_scope_text(struct gw_arena *arena, const char *const *environments, size_t count)
{
    gw_str text = GW_STR("");
    const char *last = "";
    for (size_t n = 0; n < count; n++) { /* the next one after `last`, each time */
        const char *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (strcmp(environments[i], last) > 0 && (!next || strcmp(environments[i], next) < 0))
                next = environments[i];
        if (!next)
            break;
        text = gw_arena_printf(arena, "%.*s%s%s", GW_STR_ARG(text), n ? "," : "", next);
        last = next;
    }
    return text;
}

bool cp_scope_same_cluster(const char *a, const char *b)
{
    size_t length = strcspn(a, "/");
    return length == strcspn(b, "/") && memcmp(a, b, length) == 0;
}

/* ---- what the scope needs ---- */

static struct cp_item *item_of(const struct cp_image *image, gw_str name)
{
    return gw_map_get(&image->items, name);
}

static gw_str form_of(const struct cp_image *image, gw_str name)
{
    const struct cp_item *item = item_of(image, name);
    return item ? item->packed : GW_STR_NONE;
}

static bool is_needed(const struct cp_scope *scope, gw_str name)
{
    switch (cp_build_kind(name)) {
    case CP_AGENT_KIND(ROUTE):
        return cp_scope_has_route(scope->text, name);
    case CP_AGENT_KIND(APP): /* decided by its form */
    case CP_AGENT_KIND(SETTINGS):
    case CP_AGENT_KIND(TICKET_KEYS):
        return true;
    default:
        return gw_map_get(&scope->needs, name) != NULL;
    }
}

static void touch(struct work *work, gw_str name)
{
    gw_map_put(&work->touched, name, work);
}

/* by: 1 or -1. */
static void count(struct work *work, gw_str name, gw_str form, int by)
{
    if (!form.ptr)
        return;
    struct cp_scope_refs refs = cp_scope_refs(&work->arena, name, form);
    for (size_t i = 0; i < refs.count; i++) {
        uintptr_t before = (uintptr_t)gw_map_get(&work->scope->needs, refs.names[i]);
        assert(by > 0 || before > 0);
        uintptr_t after = by > 0 ? before + 1 : before - 1;
        if (after)
            gw_map_put(&work->scope->needs, refs.names[i], (void *)after);
        else
            gw_map_take(&work->scope->needs, refs.names[i]);
        touch(work, refs.names[i]);
    }
}

/* A route or a group: what it referred to in the scope, and what it refers to now. */
static void recount(struct work *work, gw_str name)
{
    gw_str before = form_of(work->scope->image, name);
    gw_str after = is_needed(work->scope, name) ? form_of(work->whole, name) : GW_STR_NONE;
    if (before.ptr && after.ptr && gw_str_eq(before, after))
        return;
    count(work, name, after, 1); /* first: what both refer to stays needed */
    count(work, name, before, -1);
}

static bool is_of(gw_str name, cp_agent_kind kind)
{
    return cp_build_kind(name) == kind;
}

/* Groups refer to certificates, and are referred to by routes alone: they come second. */
static void recount_groups(struct work *work)
{
    size_t found = 0; /* collected first: counting touches more */
    gw_str *groups = GW_ARENA_ARRAY(&work->arena, gw_str, work->touched.count + 1);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&work->touched, e));)
        if (is_of(e->key, CP_AGENT_KIND(GROUP)))
            groups[found++] = gw_arena_dup(&work->arena, e->key);
    for (size_t i = 0; i < found; i++)
        recount(work, groups[i]);
}

/* Only names that are, or were, in the scope make an edit: a foreign one leaves nothing there. */
static size_t write_edits(struct work *work, struct cp_edit *edits)
{
    size_t count = 0;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&work->touched, e));) {
        gw_str form = is_needed(work->scope, e->key) ? form_of(work->whole, e->key) : GW_STR_NONE;
        if (form.ptr)
            form = cp_scope_form(&work->arena, work->scope->text, e->key, form);
        if (form.ptr || item_of(work->scope->image, e->key))
            edits[count++] = (struct cp_edit){.name = e->key, .packed = form};
    }
    return count;
}

static void touch_changed(struct work *work, bool is_complete)
{
    const struct cp_image *whole = work->whole;
    if (!is_complete) {
        for (size_t i = 0; i < whole->changed_count; i++)
            touch(work, whole->changed[i]->name);
        return;
    }
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&whole->items, e));)
        touch(work, e->key);
}

static void commit(struct work *work, bool is_complete)
{
    touch_changed(work, is_complete);
    size_t found = 0;
    gw_str *routes = GW_ARENA_ARRAY(&work->arena, gw_str, work->touched.count + 1);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&work->touched, e));)
        if (is_of(e->key, CP_AGENT_KIND(ROUTE)) && is_needed(work->scope, e->key))
            routes[found++] = gw_arena_dup(&work->arena, e->key);
    for (size_t i = 0; i < found; i++)
        recount(work, routes[i]);
    recount_groups(work);

    struct cp_edit *edits = GW_ARENA_ARRAY(&work->arena, struct cp_edit, work->touched.count + 1);
    struct cp_image_change change = {.cluster_id = work->whole->cluster,
                                     .revision = work->whole->seen_revision,
                                     .edits = edits,
                                     .count = write_edits(work, edits),
                                     .is_complete = is_complete,
                                     .seen_ns = work->whole->content_seen_ns,
                                     .commit_ns = work->whole->content_commit_ns};
    cp_image_commit(work->scope->image, &change);
}

static void update(struct cp_image *whole, struct cp_scope *scope, bool is_complete)
{
    struct work work = {.whole = whole, .scope = scope};
    gw_arena_init(&work.arena, 0);
    gw_map_init(&work.touched);
    commit(&work, is_complete);
    gw_map_done(&work.touched);
    gw_arena_done(&work.arena);
}

void cp_scopes_commit(struct cp_image *image, bool is_new_history)
{
    gw_list_each(&image->scopes, node)
        update(image, gw_container_of(node, struct cp_scope, node), is_new_history);
}

/* ---- scopes ---- */

/* The revision since which nothing of the scope has changed: agents that have it, from whichever
 * replica, need nothing. Removals and apps count wherever they are, for they may have been in it.
 */
static int64_t unchanged_since(const struct cp_image *whole, const struct cp_image *image)
{
    int64_t revision = whole->floor_revision;
    if (!gw_list_is_empty(&whole->removed))
        revision =
            GW_MAX(revision, gw_container_of(whole->removed.prev, struct cp_item, node)->revision);
    gw_list_each(&whole->live, node)
    {
        const struct cp_item *item = gw_container_of(node, struct cp_item, node);
        if (is_of(item->name, CP_AGENT_KIND(APP)) || item_of(image, item->name))
            revision = GW_MAX(revision, item->revision);
    }
    return revision;
}

static void load(struct cp_image *whole, struct cp_scope *scope)
{
    struct cp_image *image = scope->image;
    update(whole, scope, true);
    size_t length = strlen(whole->cluster_id), room = CP_CLUSTER_MAX - strlen(image->suffix);
    assert(length < room);
    memcpy(image->cluster_id, whole->cluster_id, GW_MIN(length, room));
    memcpy(image->cluster_id + length, image->suffix, strlen(image->suffix) + 1);
    image->floor_revision = image->content_revision = unchanged_since(whole, image);
    gw_list_each(&image->live, node) gw_container_of(node, struct cp_item, node)->revision =
        image->content_revision;
    cp_image_set_origin(image);
}

static struct cp_scope *scope_new(struct cp_image *whole, gw_str text)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct cp_scope *scope = gw_calloc(1, sizeof(*scope));
    gw_map_init(&scope->needs);
    scope->text = gw_calloc(1, text.len + 1);
    memcpy(scope->text, text.ptr, text.len);
    scope->image = cp_image_new(whole->tombstones_max);
    SHA256((const unsigned char *)text.ptr, text.len, digest);
    snprintf(scope->image->suffix, CP_CLUSTER_SUFFIX_MAX, "/%02x%02x%02x%02x%02x", digest[0],
             digest[1], digest[2], digest[3], digest[4]);
    gw_list_push(&whole->scopes, &scope->node);
    if (whole->is_loaded)
        load(whole, scope);
    return scope;
}

static void scope_free(struct cp_scope *scope)
{
    gw_list_remove(&scope->node);
    cp_image_free(scope->image);
    gw_map_done(&scope->needs);
    free(scope->text);
    free(scope);
}

void cp_scopes_free(struct cp_image *image)
{
    gw_list_each(&image->scopes, node) scope_free(gw_container_of(node, struct cp_scope, node));
}

/* Those that nobody uses stay, for agents that come back, as long as there is room. */
static bool make_room(struct cp_image *whole)
{
    size_t scopes = 0;
    struct cp_scope *unused = NULL;
    gw_list_each(&whole->scopes, node)
    {
        struct cp_scope *scope = gw_container_of(node, struct cp_scope, node);
        scopes++;
        if (!unused && scope->users == 0)
            unused = scope;
    }
    if (scopes < CP_SCOPES_MAX)
        return true;
    if (unused)
        scope_free(unused);
    return unused != NULL;
}

static struct cp_scope *find(struct cp_image *whole, gw_str text)
{
    gw_list_each(&whole->scopes, node)
    {
        struct cp_scope *scope = gw_container_of(node, struct cp_scope, node);
        if (gw_str_eq(gw_str_from(scope->text), text))
            return scope;
    }
    return NULL;
}

struct cp_image *cp_scope_join(struct cp_image *whole, gw_str text)
{
    if (text.len == 0)
        return whole;
    pthread_mutex_lock(&whole->lock);
    struct cp_scope *scope = find(whole, text);
    if (!scope && make_room(whole))
        scope = scope_new(whole, text);
    if (scope)
        scope->users++;
    pthread_mutex_unlock(&whole->lock);
    return scope ? scope->image : NULL;
}

void cp_scope_leave(struct cp_image *whole, struct cp_image *image)
{
    if (!image || image == whole)
        return;
    pthread_mutex_lock(&whole->lock);
    gw_list_each(&whole->scopes, node)
    {
        struct cp_scope *scope = gw_container_of(node, struct cp_scope, node);
        if (scope->image != image)
            continue;
        scope->users--;
        gw_list_remove(&scope->node);
        gw_list_push(&whole->scopes, &scope->node);
        break;
    }
    pthread_mutex_unlock(&whole->lock);
}

/* ---- agents that are ahead of this replica ---- */

bool cp_scopes_want_check(struct cp_image *image)
{
    bool wants = false;
    gw_list_each(&image->scopes, node) wants |=
        cp_image_wants_check(gw_container_of(node, struct cp_scope, node)->image);
    return wants;
}

void cp_scopes_checked(struct cp_image *image)
{
    gw_list_each(&image->scopes, node)
        cp_image_checked(gw_container_of(node, struct cp_scope, node)->image, image->asked_ms,
                         image->store_revision);
}
