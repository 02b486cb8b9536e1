/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/listing.h"

#include <pthread.h>
#include <stdlib.h>

#define ARENA_BYTES (256 * 1024)

/* A page on its way to the caller. */
struct sheet {
    struct sheet *next;
    struct gw_arena arena;
    struct cp_page page;
};

struct listing {
    struct cp_store *store;
    const enum cp_kind_id *kinds;
    size_t kind_count;
    int64_t revision; /* of all pages */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t moved; /* something of it has changed */
    size_t next_kind;
    unsigned reading; /* threads */
    unsigned waiting; /* sheets */
    struct sheet *first, **last;
    bool has_failed;
    struct gw_error failure;
};

static void free_sheet(struct sheet *sheet)
{
    gw_arena_done(&sheet->arena);
    free(sheet);
}

/* ---- reading */

static void fail(struct listing *listing, const struct gw_error *err)
{
    pthread_mutex_lock(&listing->lock);
    if (!listing->has_failed)
        listing->failure = *err;
    listing->has_failed = true;
    pthread_cond_broadcast(&listing->moved);
    pthread_mutex_unlock(&listing->lock);
}

/* False: the listing has failed, and nobody wants the sheet. */
static bool hand_over(struct listing *listing, struct sheet *sheet)
{
    pthread_mutex_lock(&listing->lock);
    while (listing->waiting >= CP_LISTING_AHEAD && !listing->has_failed)
        pthread_cond_wait(&listing->moved, &listing->lock);
    bool is_wanted = !listing->has_failed;
    if (is_wanted) {
        *listing->last = sheet;
        listing->last = &sheet->next;
        listing->waiting++;
        pthread_cond_broadcast(&listing->moved);
    }
    pthread_mutex_unlock(&listing->lock);
    return is_wanted;
}

/* Reads the page that range names, and moves it on to the next; false: there is none. */
static bool read_page(struct listing *listing, struct cp_range *range, char *after)
{
    struct gw_error err = GW_ERROR_NONE;
    struct sheet *sheet = gw_calloc(1, sizeof(*sheet));
    gw_arena_init(&sheet->arena, ARENA_BYTES);
    if (cp_store_list(listing->store, range, &sheet->arena, &sheet->page, &err)) {
        fail(listing, &err);
        free_sheet(sheet);
        return false;
    }
    bool more = sheet->page.more && sheet->page.count > 0;
    if (more) {
        gw_str key = sheet->page.kvs[sheet->page.count - 1].key;
        memcpy(after, key.ptr, key.len);
        range->after_key = gw_str_n(after, key.len);
    }
    if (!hand_over(listing, sheet)) {
        free_sheet(sheet);
        return false;
    }
    return more;
}

static bool take_kind(struct listing *listing, enum cp_kind_id *ret_kind)
{
    pthread_mutex_lock(&listing->lock);
    bool is_there = listing->next_kind < listing->kind_count && !listing->has_failed;
    if (is_there)
        *ret_kind = listing->kinds[listing->next_kind++];
    pthread_mutex_unlock(&listing->lock);
    return is_there;
}

static void *read_kinds(void *arg)
{
    struct listing *listing = arg;
    enum cp_kind_id kind;
    while (take_kind(listing, &kind)) {
        char after[CP_STORE_KEY_MAX];
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        struct cp_range range = {.prefix = cp_key_prefix(&arena, kind),
                                 .limit = CP_LISTING_PAGE,
                                 .at_revision = listing->revision};
        while (read_page(listing, &range, after))
            ;
    }
    pthread_mutex_lock(&listing->lock);
    listing->reading--;
    pthread_cond_broadcast(&listing->moved);
    pthread_mutex_unlock(&listing->lock);
    return NULL;
}

/* ---- taking */

/* The next sheet; NULL: there will be none. */
static struct sheet *next_sheet(struct listing *listing)
{
    pthread_mutex_lock(&listing->lock);
    while (!listing->first && listing->reading > 0)
        pthread_cond_wait(&listing->moved, &listing->lock);
    struct sheet *sheet = listing->first;
    if (sheet) {
        listing->first = sheet->next;
        listing->last = listing->first ? listing->last : &listing->first;
        listing->waiting--;
        pthread_cond_broadcast(&listing->moved);
    }
    pthread_mutex_unlock(&listing->lock);
    return sheet;
}

int cp_listing_read(struct cp_store *store, const enum cp_kind_id *kinds, size_t count,
                    cp_listing_take *take, void *arg, struct cp_position *ret_at,
                    struct gw_error *err)
{
    if (cp_store_ping(store, ret_at, err))
        return -1;
    struct listing listing = {
        .store = store, .kinds = kinds, .kind_count = count, .revision = ret_at->revision};
    listing.last = &listing.first;
    pthread_mutex_init(&listing.lock, NULL);
    pthread_cond_init(&listing.moved, NULL);
    pthread_t threads[CP_LISTING_READERS];
    listing.reading = CP_LISTING_READERS;
    for (unsigned i = 0; i < CP_LISTING_READERS; i++) {
        int failed = pthread_create(&threads[i], NULL, read_kinds, &listing);
        if (failed)
            gw_panic("cannot start a thread that reads the store: %s", strerror(failed));
    }
    for (struct sheet *sheet; (sheet = next_sheet(&listing));) {
        take(arg, sheet->page.kvs, sheet->page.count);
        free_sheet(sheet);
    }
    for (unsigned i = 0; i < CP_LISTING_READERS; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&listing.moved);
    pthread_mutex_destroy(&listing.lock);
    if (listing.has_failed)
        *err = listing.failure;
    return listing.has_failed ? -1 : 0;
}
