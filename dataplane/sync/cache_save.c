/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog holds, as the updates that make it again. */
#include "dataplane/sync/cache.h"

#include <stdlib.h>

#define CHUNK_BYTES (256 * 1024)
#define UPSERTS_TAG (4 << 3 | 2) /* of Update.upserts on the wire; one byte */
#define LENGTH_BYTES_MAX 10

/* The chunk in the making: the update without its resources, and those packed as they are kept.
 * Unpacking them would cost more than all the rest. */
struct save {
    struct dp_cache_writer *writer;
    Penstock__Agent__V1__Update update;
    char *upserts; /* owned */
    size_t bytes, room, total;
};

static void end_chunk(struct save *save, bool is_final)
{
    save->update.final = is_final;
    dp_cache_add(save->writer, &save->update, gw_str_n(save->upserts, save->bytes));
    save->bytes = 0;
}

static char *put_length(char *at, size_t len)
{
    for (; len >= 0x80; len >>= 7)
        *at++ = (char)(len | 0x80);
    *at++ = (char)len;
    return at;
}

static bool add_resource(void *arg, gw_str packed)
{
    struct save *save = arg;
    if (save->bytes + packed.len > CHUNK_BYTES && save->bytes > 0)
        end_chunk(save, false);
    size_t most = save->bytes + 1 + LENGTH_BYTES_MAX + packed.len;
    if (most > save->room) {
        save->room = GW_MAX(most, (size_t)CHUNK_BYTES + CHUNK_BYTES / 4);
        save->upserts = gw_realloc(save->upserts, save->room);
    }
    char *at = save->upserts + save->bytes;
    *at++ = UPSERTS_TAG;
    at = put_length(at, packed.len);
    memcpy(at, packed.ptr, packed.len);
    save->bytes = (size_t)(at - save->upserts) + packed.len;
    save->total++;
    return true;
}

/* A full update of the good forms; then, as a change of that same revision, the refused ones, so
 * that they are refused again, and taken once what they lack is there. */
static void write_updates(struct save *save, const struct dp_catalog *catalog)
{
    save->update.revision = dp_catalog_revision(catalog);
    dp_catalog_each(catalog, add_resource, save);
    end_chunk(save, true);
    save->update.base_revision = save->update.revision;
    save->total = 0;
    dp_catalog_each_refused(catalog, add_resource, save);
    if (save->total > 0)
        end_chunk(save, true);
}

int dp_cache_save(const char *dir, const struct dp_catalog *catalog, struct dp_cache_mark *ret_mark,
                  struct gw_error *err)
{
    struct save save = {.update = PENSTOCK__AGENT__V1__UPDATE__INIT};
    struct gw_arena names;
    if (dp_cache_begin(dir, &save.writer, err) < 0)
        return -1;
    gw_arena_init(&names, 256);
    gw_str cluster_id = gw_arena_dup(&names, dp_catalog_cluster_id(catalog));
    save.update.cluster_id = (char *)(uintptr_t)cluster_id.ptr;
    write_updates(&save, catalog);
    free(save.upserts);
    gw_arena_done(&names);
    return dp_cache_finish(save.writer, ret_mark, err);
}
