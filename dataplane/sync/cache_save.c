/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog holds, as the updates that make it again. */
#include "common/message.h"
#include "dataplane/sync/cache.h"

#include <stdlib.h>

#define CHUNK_BYTES (256 * 1024)

/* The chunk in the making; its resources live in the arena. */
struct save {
    struct dp_cache_writer *writer;
    Penstock__Agent__V1__Update update;
    struct gw_arena arena;
    size_t bytes, room, total;
};

static void end_chunk(struct save *save, bool is_final)
{
    save->update.final = is_final;
    dp_cache_add(save->writer, &save->update);
    save->update.n_upserts = save->bytes = 0;
    gw_arena_reset(&save->arena);
}

static bool add_resource(void *arg, gw_str packed)
{
    struct save *save = arg;
    struct gw_error err = GW_ERROR_NONE;
    ProtobufCMessage *resource;
    if (save->bytes + packed.len > CHUNK_BYTES && save->update.n_upserts > 0)
        end_chunk(save, false);
    if (save->update.n_upserts == save->room) {
        save->room = GW_MAX((size_t)64, save->room * 2);
        save->update.upserts =
            gw_realloc(save->update.upserts, save->room * sizeof(save->update.upserts[0]));
    }
    if (gw_message_unpack_whole(&save->arena, &penstock__agent__v1__resource__descriptor, packed,
                                &resource, &err) < 0)
        gw_panic("the catalog holds a resource that does not unpack: %s", err.message);
    save->update.upserts[save->update.n_upserts++] = (Penstock__Agent__V1__Resource *)resource;
    save->bytes += packed.len;
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
    gw_arena_init(&save.arena, CHUNK_BYTES);
    gw_str cluster_id = gw_arena_dup(&names, dp_catalog_cluster_id(catalog));
    save.update.cluster_id = (char *)(uintptr_t)cluster_id.ptr;
    write_updates(&save, catalog);
    free(save.update.upserts);
    gw_arena_done(&save.arena);
    gw_arena_done(&names);
    return dp_cache_finish(save.writer, ret_mark, err);
}
