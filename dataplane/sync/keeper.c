/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/keeper.h"

#include "common/log.h"

#include <stdlib.h>

struct dp_keeper {
    const char *dir;            /* borrowed */
    struct dp_journal *journal; /* owned; NULL: a snapshot is due */
    size_t base_bytes;          /* of the snapshot that it is behind */
    struct dp_journal_end end;  /* what was found; bytes 0: nothing, or it is open */
    bool has_failed; /* the last snapshot: only dp_keeper_settle makes the next attempt */
};

struct dp_keeper *dp_keeper_new(const char *dir)
{
    struct dp_keeper *keeper = gw_calloc(1, sizeof(*keeper));
    keeper->dir = dir;
    return keeper;
}

void dp_keeper_free(struct dp_keeper *keeper)
{
    if (!keeper)
        return;
    dp_journal_close(keeper->journal);
    free(keeper);
}

void dp_keeper_release(struct dp_keeper *keeper)
{
    dp_journal_close(keeper->journal);
    keeper->journal = NULL;
    keeper->end.bytes = 0;
}

void dp_keeper_begin(struct dp_keeper *keeper, const struct dp_cache_found *found)
{
    keeper->end = found->end;
    keeper->base_bytes = found->bytes;
}

static void complain(const struct gw_error *err)
{
    gw_log(GW_LOG_ERROR, "sync", "cannot keep the snapshot on disk, serving goes on",
           gw_kv_error(err));
}

static bool save(struct dp_keeper *keeper, const struct dp_catalog *catalog)
{
    struct gw_error err = GW_ERROR_NONE;
    struct dp_cache_mark mark;
    dp_keeper_release(keeper);
    keeper->has_failed = true;
    if (dp_cache_save(keeper->dir, catalog, &mark, &err) < 0) {
        complain(&err);
        return false;
    }
    keeper->has_failed = false;
    keeper->base_bytes = mark.bytes;
    if (dp_journal_begin(keeper->dir, mark.digest, &keeper->journal, &err) < 0)
        complain(&err); /* the next update makes a snapshot again */
    return true;
}

/* Made at the first update, when it is certain that no other process has the directory. */
static void open_journal(struct dp_keeper *keeper)
{
    struct gw_error err = GW_ERROR_NONE;
    if (keeper->end.bytes > 0 &&
        dp_journal_resume(keeper->dir, &keeper->end, &keeper->journal, &err) < 0)
        gw_log(GW_LOG_INFO, "sync", "a new snapshot is made in the place of a journal",
               gw_kv_error(&err));
    keeper->end.bytes = 0;
}

bool dp_keeper_add(struct dp_keeper *keeper, const struct dp_catalog *catalog,
                   Penstock__Agent__V1__Update **chunks, size_t count)
{
    struct gw_error err = GW_ERROR_NONE;
    if (!keeper->journal)
        open_journal(keeper);
    if (keeper->has_failed)
        return false;
    if (!keeper->journal)
        return save(keeper, catalog);
    if (dp_journal_add(keeper->journal, chunks, count, &err) == 0)
        return true;
    if (err.code == GW_RESOURCE_EXHAUSTED)
        return save(keeper, catalog);
    complain(&err);
    dp_keeper_release(keeper);
    keeper->has_failed = true;
    return false;
}

bool dp_keeper_settle(struct dp_keeper *keeper, const struct dp_catalog *catalog)
{
    struct gw_error err = GW_ERROR_NONE;
    if (!keeper->journal ||
        dp_journal_bytes(keeper->journal) > GW_MAX(keeper->base_bytes, DP_KEEPER_JOURNAL_MIN))
        return save(keeper, catalog);
    if (dp_journal_sync(keeper->journal, &err) < 0)
        complain(&err); /* it is in the kernel's hands */
    return true;
}
