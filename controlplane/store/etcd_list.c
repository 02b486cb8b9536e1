/* SPDX-License-Identifier: Apache-2.0 */
/* Lists. etcd says how many keys a range has, and walks over all of them for that, whatever the
 * limit: a page out of 100,000 keys would cost as much as all of them. So the pages of a prefix
 * that is known to be large are read in pieces: at first to the end of what the page begins in,
 * "apis/g1/" of "apis/g1/read", and where that does not fill it ever farther, "apis/g2", "apis/h"
 * ... */
#include "controlplane/store/etcd.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- which prefixes are large */

#define LARGE_PREFIXES_MAX 256 /* that are remembered */
#define EMPTY_PIECES 12        /* after each other, until it goes on in longer steps */

/* The first key that a large prefix had when it was looked at; len 0: not known. */
struct first {
    size_t len;
    char key[];
};

void etcd_large_init(struct etcd *etcd)
{
    etcd->large_keys = ETCD_LARGE_KEYS;
    gw_map_init(&etcd->large);
}

void etcd_large_done(struct etcd *etcd)
{
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&etcd->large, e));)
        free(e->value);
    gw_map_done(&etcd->large);
}

static void remember(struct etcd *etcd, const struct cp_range *range, gw_str first_key)
{
    bool is_first = range->after_key.len <= range->prefix.len;
    struct first *first = gw_calloc(1, sizeof(*first) + (is_first ? first_key.len : 0));
    if (is_first)
        memcpy(first->key, first_key.ptr, first->len = first_key.len);
    pthread_mutex_lock(&etcd->lock);
    struct first *before = gw_map_get(&etcd->large, range->prefix);
    if (before ? !is_first : etcd->large.count == LARGE_PREFIXES_MAX)
        free(first);
    else
        free(gw_map_put(&etcd->large, range->prefix, first));
    pthread_mutex_unlock(&etcd->lock);
}

/* A key near which the page begins; empty: the whole range has to be asked for. */
static gw_str begin_of(struct etcd *etcd, const struct cp_range *range, struct gw_arena *arena)
{
    gw_str begin = GW_STR_NONE;
    bool is_inside = gw_str_has_prefix(range->after_key, range->prefix);
    pthread_mutex_lock(&etcd->lock);
    const struct first *first = gw_map_get(&etcd->large, range->prefix);
    if (first && is_inside && range->after_key.len > range->prefix.len)
        begin = range->after_key;
    else if (first && (is_inside || range->after_key.len == 0))
        begin = gw_arena_dup(arena, gw_str_n(first->key, first->len));
    pthread_mutex_unlock(&etcd->lock);
    return begin.len > range->prefix.len ? begin : GW_STR_NONE;
}

/* ---- asking */

static int list_once(struct etcd *etcd, const struct cp_range *range, gw_str end,
                     struct gw_arena *arena, struct etcd_answer *ret_answer, struct gw_error *err)
{
    struct gw_buf body;
    gw_buf_init(&body, 0);
    etcd_write(&body, "{");
    etcd_write_range_to(&body, range->prefix, range->after_key, end);
    etcd_write(&body, ",\"limit\":\"%zu\",\"revision\":\"%" PRId64 "\",\"keys_only\":%s}",
               range->limit, range->at_revision, range->keys_only ? "true" : "false");
    return etcd_ask(etcd, "/v3/kv/range", &body, arena, ret_answer, err);
}

/* One page in the making. */
struct listing {
    struct etcd *etcd;
    struct gw_arena *arena;
    struct cp_range rest; /* of what has not been read yet */
    size_t limit;         /* of the page */
    size_t at_once;       /* of one answer */
    struct cp_kv *kvs;    /* one more than the limit at most: it tells of more */
    size_t count, room;
    struct cp_position at;
};

static void take(struct listing *listing, const struct etcd_answer *answer)
{
    for (size_t i = 0; i < answer->kv_count; i++) {
        if (etcd_is_mark(answer->kvs[i].key))
            continue;
        if (listing->count == listing->room) {
            size_t room = GW_MAX(2 * listing->room, answer->kv_count);
            struct cp_kv *kvs = GW_ARENA_ARRAY(listing->arena, struct cp_kv, room);
            if (listing->count > 0)
                memcpy(kvs, listing->kvs, listing->count * sizeof(*kvs));
            listing->kvs = kvs;
            listing->room = room;
        }
        listing->kvs[listing->count++] = answer->kvs[i];
    }
    if (answer->kv_count > 0)
        listing->rest.after_key = answer->kvs[answer->kv_count - 1].key;
    if (listing->at.cluster_id == 0)
        listing->at = answer->at;
    if (listing->rest.at_revision)
        listing->at.revision = listing->rest.at_revision;
    listing->rest.at_revision = listing->at.revision;
}

/* Reads up to `end` (empty: to the end of the prefix). 1: there may be more behind it; 0: the page
 * is done, *ret_more says whether there is more. */
static int read_to(struct listing *listing, gw_str end, bool *ret_more, struct gw_error *err)
{
    for (;;) {
        struct etcd_answer answer;
        listing->rest.limit = GW_MIN(listing->limit + 1 - listing->count, listing->at_once);
        if (list_once(listing->etcd, &listing->rest, end, listing->arena, &answer, err)) {
            if (strcmp(err->reason, ETCD_TOO_BIG) != 0 || listing->rest.limit == 1)
                return -1;
            listing->at_once = (listing->rest.limit + 7) / 8; /* the caller pages anyway */
            continue;
        }
        if (end.len == 0 && answer.counts[0] > listing->etcd->large_keys)
            remember(listing->etcd, &listing->rest, answer.kv_count ? answer.kvs[0].key : end);
        take(listing, &answer);
        *err = GW_ERROR_NONE;
        bool is_cut = listing->at_once <= listing->limit && answer.more;
        *ret_more = listing->count > listing->limit || (is_cut && listing->count > 0);
        if (*ret_more)
            return 0;
        if (!answer.more)
            return end.len > 0;
    }
}

/* The key's first bytes up to and with the last '/' among them, behind the prefix; 0: there is
 * none.
 */
static size_t last_slash(gw_str key, size_t len, gw_str prefix)
{
    for (; len > prefix.len; len--)
        if (key.ptr[len - 1] == '/')
            return len;
    return 0;
}

/* What follows all keys that begin with the first `len` bytes of `key`. */
static gw_str end_behind(gw_str key, size_t len, char *bytes)
{
    memcpy(bytes, key.ptr, len);
    bytes[len - 1]++; /* keys are UTF-8: it is not 0xff */
    return gw_str_n(bytes, len);
}

/* To the end of what the key stands under, and of what that stands under; then byte by byte: each
 * is some ten times as many keys. Two at once only where there are none for long. */
static int read_pieces(struct listing *listing, gw_str begin, bool *ret_more, struct gw_error *err)
{
    char bytes[CP_STORE_KEY_MAX];
    gw_str prefix = listing->rest.prefix;
    size_t step = 1, empty = 0, slash = last_slash(begin, begin.len, prefix);
    size_t cut = slash ? slash : begin.len;
    while (cut > prefix.len) {
        size_t before = listing->count;
        int goes_on = read_to(listing, end_behind(begin, cut, bytes), ret_more, err);
        if (goes_on <= 0)
            return goes_on;
        *ret_more = listing->count == listing->limit; /* whether there is one may be far to see */
        if (*ret_more)
            return 0;
        empty = listing->count > before ? 0 : empty + 1;
        step = empty < EMPTY_PIECES ? 1 : 2 * step;
        slash = last_slash(begin, cut - 1, prefix);
        cut = slash ? slash : cut - GW_MIN(step, cut);
    }
    return read_to(listing, GW_STR_NONE, ret_more, err);
}

int etcd_list(struct cp_store *store, const struct cp_range *range, struct gw_arena *arena,
              struct cp_page *ret_page, struct gw_error *err)
{
    struct listing listing = {.etcd = etcd_of(store),
                              .arena = arena,
                              .rest = *range,
                              .limit = range->limit,
                              .at_once = range->limit + 1};
    bool more = false;
    gw_str begin = begin_of(listing.etcd, range, arena);
    int result = begin.len > 0 ? read_pieces(&listing, begin, &more, err)
                               : read_to(&listing, GW_STR_NONE, &more, err);
    if (result < 0)
        return -1;
    *ret_page = (struct cp_page){.kvs = listing.kvs,
                                 .count = GW_MIN(listing.count, range->limit),
                                 .more = more,
                                 .at = listing.at};
    return 0;
}
