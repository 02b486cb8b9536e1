/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/image.h"

#include "controlplane/snapshot/build.h"
#include "controlplane/snapshot/image_internal.h"
#include "controlplane/snapshot/scope.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

struct cp_image *cp_image_new(unsigned tombstones_max)
{
    struct cp_image *image = gw_calloc(1, sizeof(*image));
    pthread_mutex_init(&image->lock, NULL);
    image->tombstones_max = tombstones_max;
    image->steps = cp_steps_new();
    gw_map_init(&image->items);
    gw_list_init(&image->live);
    gw_list_init(&image->removed);
    gw_list_init(&image->scopes);
    return image;
}

static void drop_cache(struct cp_image *image)
{
    for (unsigned i = 0; i < CP_CACHED_DELTAS; i++) {
        cp_delta_unref(image->cache[i].delta);
        image->cache[i] = (struct cp_cached){0};
    }
}

static int64_t edits_since(const struct cp_image *image, const struct cp_delta *snapshot)
{
    return image->edits - snapshot->edits;
}

/* So many edits make a snapshot stale. */
static int64_t stale_after(const struct cp_image *image)
{
    return GW_MAX((int64_t)image->live_count / 4, (int64_t)CP_IMAGE_STALE_MIN);
}

/* Agents are being sent it, and can get a delta on top. */
static bool is_of_use(const struct cp_image *image, const struct cp_delta *snapshot)
{
    return snapshot->revision == image->content_revision ||
           (cp_delta_is_shared(snapshot) && snapshot->revision >= image->floor_revision &&
            edits_since(image, snapshot) <= stale_after(image));
}

static void drop_snapshots(struct cp_image *image, bool all)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < CP_CACHED_SNAPSHOTS && image->snapshots[i].delta; i++) {
        struct cp_cached found = image->snapshots[i];
        image->snapshots[i] = (struct cp_cached){0};
        if (!all && is_of_use(image, found.delta))
            image->snapshots[kept++] = found;
        else
            cp_delta_unref(found.delta);
    }
}

static void item_free(struct cp_item *item)
{
    free((void *)(uintptr_t)item->packed.ptr);
    free(item->refusal);
    free(item);
}

void cp_image_free(struct cp_image *image)
{
    if (!image)
        return;
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&image->items, e));)
        item_free(e->value);
    gw_map_done(&image->items);
    drop_cache(image);
    drop_snapshots(image, true);
    cp_scopes_free(image);
    free(image->changed);
    cp_steps_free(image->steps);
    pthread_mutex_destroy(&image->lock);
    free(image);
}

void cp_image_listen(struct cp_image *image, cp_image_listener *on_change, void *arg)
{
    image->on_change = on_change;
    image->on_change_arg = arg;
}

/* ---- changes ---- */

static struct cp_item *item_get(struct cp_image *image, gw_str name)
{
    struct cp_item *item = gw_map_get(&image->items, name);
    if (item)
        return item;
    item = gw_calloc(1, sizeof(*item) + name.len);
    gw_list_init(&item->node);
    item->name = gw_str_n(memcpy(item + 1, name.ptr, name.len), name.len);
    gw_map_put(&image->items, name, item);
    return item;
}

static void item_drop(struct cp_image *image, struct cp_item *item)
{
    gw_list_remove(&item->node);
    gw_map_take(&image->items, item->name);
    item_free(item);
}

static void clear_refusal(struct cp_image *image, struct cp_item *item)
{
    image->refusal_count -= item->refusal != NULL;
    free(item->refusal);
    item->refusal = NULL;
}

static void set_refusal(struct cp_image *image, struct cp_item *item, const char *reason)
{
    if (item->refusal && strncmp(item->refusal->reason, reason, CP_REASON_MAX - 1) == 0)
        return;
    clear_refusal(image, item);
    item->refusal = gw_calloc(1, sizeof(*item->refusal));
    memcpy(item->refusal->reason, reason, strnlen(reason, CP_REASON_MAX - 1));
    item->refusal->revision = image->seen_revision;
    item->refusal->wall_ms = gw_clock_wall_ms();
    image->refusal_count++;
}

static void set_packed(struct cp_image *image, struct cp_item *item, gw_str packed)
{
    unsigned kind = cp_build_kind(item->name);
    image->kind_counts[kind] += (size_t)(packed.ptr != NULL) - (size_t)(item->packed.ptr != NULL);
    image->newer_counts[kind] -= item->newer != NULL;
    item->newer = packed.ptr ? cp_newer_field(packed) : NULL;
    image->newer_counts[kind] += item->newer != NULL;
    if (item->packed.ptr)
        gw_content_digest_subtract(&image->digests[kind], item->digest);
    free((void *)(uintptr_t)item->packed.ptr);
    item->packed = GW_STR_NONE;
    if (!packed.ptr)
        return;
    item->packed = gw_str_n(memcpy(gw_malloc(packed.len + 1), packed.ptr, packed.len), packed.len);
    unsigned char sha256[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)packed.ptr, packed.len, sha256);
    item->digest = gw_content_digest_of(sha256);
    gw_content_digest_add(&image->digests[kind], item->digest);
}

/* What the scopes have to look at. */
static void note_change(struct cp_image *image, struct cp_item *item)
{
    if (image->changed_count == image->changed_room) {
        image->changed_room = GW_MAX((size_t)64, image->changed_room * 2);
        image->changed = gw_realloc(image->changed, image->changed_room * sizeof(item));
    }
    image->changed[image->changed_count++] = item;
}

/* The item changes now: last of its list. */
static void stamp(struct cp_image *image, struct cp_item *item, struct gw_list *list)
{
    if (!gw_list_is_empty(&image->scopes))
        note_change(image, item);
    gw_list_remove(&item->node);
    gw_list_push(list, &item->node);
    item->revision = image->seen_revision;
    image->edits++;
}

/* True: agents have to know. */
static bool put(struct cp_image *image, struct cp_item *item, gw_str packed)
{
    clear_refusal(image, item);
    if (item->packed.ptr && gw_str_eq(item->packed, packed))
        return false;
    if (!item->packed.ptr) {
        image->live_count++;
        image->removed_count -= !gw_list_is_empty(&item->node); /* it was a tombstone */
    }
    set_packed(image, item, packed);
    stamp(image, item, &image->live);
    return true;
}

static bool take(struct cp_image *image, struct cp_item *item)
{
    clear_refusal(image, item);
    if (!item->packed.ptr) {
        if (gw_list_is_empty(&item->node))
            item_drop(image, item); /* no agent has ever had it */
        return false;
    }
    set_packed(image, item, GW_STR_NONE);
    stamp(image, item, &image->removed);
    image->live_count--;
    image->removed_count++;
    return true;
}

static bool apply(struct cp_image *image, const struct cp_edit *edit)
{
    struct cp_item *item = item_get(image, edit->name);
    item->generation = image->generation;
    if (edit->refusal) {
        set_refusal(image, item, edit->refusal);
        return false;
    }
    return edit->packed.ptr ? put(image, item, edit->packed) : take(image, item);
}

static bool take_unlisted(struct cp_image *image)
{
    bool changed = false;
    size_t count = 0; /* collected first: the map may not change while it is walked */
    struct cp_item **unlisted = gw_calloc(image->items.count + 1, sizeof(struct cp_item *));
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&image->items, e));) {
        struct cp_item *item = e->value;
        if (item->generation != image->generation && (item->packed.ptr || item->refusal))
            unlisted[count++] = item;
    }
    for (size_t i = 0; i < count; i++)
        changed |= take(image, unlisted[i]);
    free(unlisted);
    return changed;
}

static void forget_tombstones(struct cp_image *image, size_t keep)
{
    while (image->removed_count > keep) {
        struct cp_item *oldest = gw_container_of(image->removed.next, struct cp_item, node);
        image->floor_revision = GW_MAX(image->floor_revision, oldest->revision);
        image->removed_count--;
        gw_list_remove(&oldest->node);
        if (!oldest->refusal)
            item_drop(image, oldest);
    }
}

/* Another history begins: no agent may be sent a delta on what it has. */
static void begin_history(struct cp_image *image, const struct cp_image_change *change)
{
    bool set_back = image->is_loaded && change->cluster_id == image->cluster;
    char since[24] = "";
    if (set_back)
        snprintf(since, sizeof(since), ".%" PRId64, change->revision);
    snprintf(image->cluster_id, CP_CLUSTER_MAX, "%016" PRIx64 "%s%s", change->cluster_id, since,
             image->suffix);
    image->cluster = change->cluster_id;
    image->is_loaded = true;
    drop_snapshots(image, true);
    image->floor_revision = change->revision;
    forget_tombstones(image, 0);
    image->floor_revision = change->revision; /* old tombstones have numbers of the old history */
    gw_list_each(&image->live, node) gw_container_of(node, struct cp_item, node)->revision =
        change->revision;
}

void cp_image_set_origin(struct cp_image *image)
{
    memcpy(image->origin, image->digests, sizeof image->origin);
    image->origin_revision = image->content_revision;
}

static void set_content_times(struct cp_image *image, const struct cp_image_change *change)
{
    image->content_ms = gw_clock_monotonic_ms();
    image->content_built_ns = gw_clock_monotonic_ns();
    image->content_seen_ns = change->seen_ns;
    if (change->commit_ns)
        image->content_commit_ns = change->commit_ns;
    else if (change->seen_ns)
        image->content_commit_ns = cp_steps_seen(image->steps, change->revision, change->seen_ns);
    else
        image->content_commit_ns = image->content_built_ns;
    cp_steps_built(image->steps, change->revision, change->seen_ns);
}

void cp_image_commit(struct cp_image *image, const struct cp_image_change *change)
{
    pthread_mutex_lock(&image->lock);
    bool changed = !image->is_loaded || change->cluster_id != image->cluster ||
                   (change->is_complete && change->revision < image->seen_revision);
    if (changed) {
        assert(change->is_complete);
        begin_history(image, change);
    }
    bool is_new_history = changed;
    image->seen_revision = change->revision;
    image->generation += change->is_complete;
    image->changed_count = 0;
    for (size_t i = 0; i < change->count; i++)
        changed |= apply(image, &change->edits[i]);
    if (change->is_complete)
        changed |= take_unlisted(image);
    if (changed)
        set_content_times(image, change);
    cp_scopes_commit(image, is_new_history); /* before what has changed may be forgotten */
    forget_tombstones(image, image->tombstones_max);
    if (changed) {
        image->content_revision = change->revision;
        if (is_new_history)
            cp_image_set_origin(image);
        drop_cache(image);
        drop_snapshots(image, false);
    }
    pthread_mutex_unlock(&image->lock);
    if (image->on_change)
        image->on_change(image->on_change_arg, changed);
}

/* ---- deltas ---- */

static struct cp_delta *write_delta(struct cp_image *image, int64_t base, unsigned kinds)
{
    struct cp_delta_writer *writer =
        cp_delta_begin(image->cluster_id, base, image->content_revision, image->content_ms);
    /* An older one is asked for only by agents that have what was here at first (has_origin). */
    int64_t since = base && base < image->floor_revision ? image->origin_revision : base;
    for (struct gw_list *node = image->live.prev; node != &image->live; node = node->prev) {
        const struct cp_item *item = gw_container_of(node, struct cp_item, node);
        if (base && item->revision <= since)
            break;
        if (cp_item_is_for(item, kinds))
            cp_delta_upsert(writer, item->packed);
    }
    for (struct gw_list *node = image->removed.prev; base && node != &image->removed;
         node = node->prev) {
        const struct cp_item *item = gw_container_of(node, struct cp_item, node);
        cp_agent_kind kind = cp_build_kind(item->name);
        if (item->revision <= since)
            break;
        if (kinds >> kind & 1)
            cp_delta_remove(writer, kind, item->name);
    }
    struct cp_delta *delta = cp_delta_finish(writer);
    delta->edits = image->edits;
    delta->commit_ns = image->content_commit_ns;
    delta->built_ns = image->content_built_ns;
    return delta;
}

/* Found in the cache, or written into it. */
static struct cp_delta *cached_delta(struct cp_image *image, struct cp_cached *cache, unsigned size,
                                     int64_t base, unsigned kinds)
{
    for (unsigned i = 0; i < size && cache[i].delta; i++)
        if (cache[i].delta->base_revision == base && cache[i].kinds == kinds)
            return cp_delta_ref(cache[i].delta);
    struct cp_delta *delta = write_delta(image, base, kinds);
    cp_delta_unref(cache[size - 1].delta);
    memmove(&cache[1], &cache[0], sizeof(cache[0]) * (size - 1));
    cache[0] = (struct cp_cached){cp_delta_ref(delta), kinds};
    return delta;
}

static struct cp_delta *shared_delta(struct cp_image *image, int64_t base, unsigned kinds)
{
    if (base)
        return cached_delta(image, image->cache, CP_CACHED_DELTAS, base, kinds);
    drop_snapshots(image, false); /* those that nobody is sent any more */
    return cached_delta(image, image->snapshots, CP_CACHED_SNAPSHOTS, 0, kinds);
}

/* Whatever revision it calls it. All that came since is still known. */
static bool has_origin(const struct cp_image *image, const struct cp_image_base *base,
                       unsigned kinds)
{
    struct gw_content_digest sum = {{0, 0}};
    for (unsigned kind = 1; kind < CP_IMAGE_KINDS; kind++)
        if (kinds >> kind & 1)
            gw_content_digest_add(&sum, image->origin[kind]);
    return base->digest && kinds & CP_KINDS_STRICT &&
           image->origin_revision >= image->floor_revision &&
           gw_content_digest_eq(sum, *base->digest);
}

static struct cp_delta *delta_on(struct cp_image *image, const struct cp_image_base *base,
                                 unsigned kinds)
{
    if (strcmp(base->cluster_id, image->cluster_id) != 0 || base->revision <= 0)
        return shared_delta(image, 0, kinds);
    if (base->revision > image->seen_revision) {
        bool store_is_behind =
            image->asked_ms >= base->since_ms && image->store_revision < base->revision;
        if (store_is_behind)
            return shared_delta(image, 0, kinds);
        image->wants_check |= image->asked_ms < base->since_ms;
        return NULL;
    }
    if (base->revision >= image->content_revision)
        return NULL;
    bool is_known = base->revision >= image->floor_revision || has_origin(image, base, kinds);
    return shared_delta(image, is_known ? base->revision : 0, kinds);
}

struct cp_delta *cp_image_delta(struct cp_image *image, const struct cp_image_base *base,
                                unsigned kinds)
{
    pthread_mutex_lock(&image->lock);
    struct cp_delta *delta = image->is_loaded ? delta_on(image, base, kinds) : NULL;
    pthread_mutex_unlock(&image->lock);
    return delta;
}

bool cp_image_is_outrun(struct cp_image *image, const struct cp_delta *delta)
{
    pthread_mutex_lock(&image->lock);
    bool is_outrun = strcmp(delta->cluster_id, image->cluster_id) == 0 &&
                     edits_since(image, delta) > 4 * stale_after(image);
    pthread_mutex_unlock(&image->lock);
    return is_outrun;
}

bool cp_image_wants_check(struct cp_image *image)
{
    pthread_mutex_lock(&image->lock);
    bool wants = image->wants_check;
    image->wants_check = false;
    wants |= cp_scopes_want_check(image);
    pthread_mutex_unlock(&image->lock);
    return wants;
}

void cp_image_checked(struct cp_image *image, gw_msec asked_ms, int64_t store_revision)
{
    pthread_mutex_lock(&image->lock);
    image->asked_ms = asked_ms;
    image->store_revision = store_revision;
    cp_scopes_checked(image);
    pthread_mutex_unlock(&image->lock);
    if (image->on_change)
        image->on_change(image->on_change_arg, true);
}

/* ---- reading ---- */

struct cp_steps *cp_image_steps(struct cp_image *image)
{
    return image->steps;
}

void cp_image_status(struct cp_image *image, struct cp_image_status *ret_status)
{
    pthread_mutex_lock(&image->lock);
    ret_status->is_loaded = image->is_loaded;
    memcpy(ret_status->cluster_id, image->cluster_id, CP_CLUSTER_MAX);
    ret_status->seen_revision = image->seen_revision;
    ret_status->content_revision = image->content_revision;
    ret_status->resources = image->live_count;
    ret_status->refusals = image->refusal_count;
    pthread_mutex_unlock(&image->lock);
}

bool cp_image_covers(const struct cp_image_status *status, const char *cluster_id, int64_t applied,
                     int64_t revision)
{
    if (!status->is_loaded || strcmp(cluster_id, status->cluster_id) != 0)
        return false;
    return applied >= revision ||
           (status->seen_revision >= revision && applied >= status->content_revision);
}

bool cp_image_refusal(struct cp_image *image, gw_str name, struct cp_image_refusal *ret_refusal)
{
    pthread_mutex_lock(&image->lock);
    const struct cp_item *item = gw_map_get(&image->items, name);
    bool found = item && item->refusal;
    if (found)
        *ret_refusal = *item->refusal;
    pthread_mutex_unlock(&image->lock);
    return found;
}
