/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/audit_clean.h"

#include "common/log.h"
#include "controlplane/service/audit.h"
#include "controlplane/service/leader.h"

#include <pthread.h>
#include <stdlib.h>

#define MARK "/penstock/audit/cleaned"
#define NANOS_PER_MS 1000000
#define ROUND_MS_MAX 60000
#define ROUND_MS_MIN 500
#define AT_ONCE_MAX 2000 /* events that a transaction deletes */

/* ---- one round */

/* What the round's transactions expect: that this replica still leads. */
struct fence {
    struct cp_store *store;
    struct cp_compare compare;
    size_t count; /* 0: there is one replica alone */
};

static int lost(struct gw_error *err)
{
    return gw_fail(err, GW_ABORTED, "another replica leads by now");
}

static int delete_keys(const struct fence *fence, const struct cp_page *page, struct gw_error *err)
{
    struct cp_op ops[AT_ONCE_MAX];
    for (size_t at = 0; at < page->count;) {
        struct cp_commit commit;
        struct cp_txn txn = {
            .compares = &fence->compare, .compare_count = fence->count, .ops = ops};
        for (; at < page->count && txn.op_count < AT_ONCE_MAX; at++)
            ops[txn.op_count++] = (struct cp_op){.kind = CP_OP_DELETE, .key = page->kvs[at].key};
        if (cp_store_txn(fence->store, &txn, &commit, err) < 0)
            return -1;
        if (!commit.committed)
            return lost(err);
    }
    return 0;
}

/* All that lie behind the key, the older ones. */
static int delete_behind(const struct fence *fence, gw_str after_key, int64_t *count,
                         struct gw_error *err)
{
    struct cp_page page = {.more = true};
    while (page.more) {
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        struct cp_range range = {
            .prefix = GW_STR(CP_AUDIT_ROOT), .after_key = after_key, .keys_only = true};
        if (cp_store_list(fence->store, &range, &arena, &page, err) < 0 ||
            delete_keys(fence, &page, err) < 0)
            return -1;
        *count += (int64_t)page.count;
    }
    return 0;
}

static int delete_older(const struct fence *fence, gw_msec before_ms, int64_t *count,
                        struct gw_error *err)
{
    char id[CP_AUDIT_ID_LEN + 1];
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    cp_audit_id(GW_MAX(before_ms, 0) * NANOS_PER_MS, UINT32_MAX, id);
    return delete_behind(fence, gw_arena_printf(&arena, CP_AUDIT_ROOT "%s", id), count, err);
}

/* ---- more than there may be: refusals have a share of their own, a quarter. Neither who is
 * refused in masses nor who writes in masses takes the trail from the others. */

#define REFUSALS_SHARE 4

static bool is_refusal(gw_str key)
{
    size_t root = strlen(CP_AUDIT_ROOT);
    return cp_audit_id_is_refusal(gw_str_n(key.ptr + root, key.len - root));
}

/* How many there are, or how many more stay: the newest. */
struct tally {
    int64_t refusals, writes;
};

/* From the newest on. stay NULL: only counts them in *seen; else deletes what is more. */
static int walk(const struct fence *fence, struct tally *seen, const struct tally *stay,
                struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena last = {0};
    struct cp_page page = {.more = true};
    struct cp_range range = {.prefix = GW_STR(CP_AUDIT_ROOT), .keys_only = true};
    while (page.more) {
        gw_auto(gw_arena_done) struct gw_arena arena = {0};
        if (cp_store_list(fence->store, &range, &arena, &page, err) < 0)
            return -1;
        if (page.count == 0)
            return 0;
        gw_arena_reset(&last);
        range.after_key = gw_arena_dup(&last, page.kvs[page.count - 1].key);
        struct cp_page surplus = {.kvs = page.kvs, .count = 0};
        for (size_t i = 0; i < page.count; i++) {
            bool is_one = is_refusal(page.kvs[i].key);
            int64_t number = is_one ? ++seen->refusals : ++seen->writes;
            if (stay && number > (is_one ? stay->refusals : stay->writes))
                surplus.kvs[surplus.count++] = page.kvs[i];
        }
        if (delete_keys(fence, &surplus, err) < 0)
            return -1;
    }
    return 0;
}

static int delete_surplus(const struct fence *fence, int64_t max, int64_t *count,
                          struct gw_error *err)
{
    int64_t all;
    struct tally there = {0}, seen = {0}, stay;
    if (cp_store_count(fence->store, GW_STR(CP_AUDIT_ROOT), &all, err) < 0)
        return -1;
    if (all <= max)
        return 0;
    if (walk(fence, &there, NULL, err) < 0)
        return -1;
    int64_t surplus = there.refusals + there.writes - max;
    int64_t above = GW_MAX(there.refusals - max / REFUSALS_SHARE, 0);
    stay.refusals = there.refusals - GW_MIN(surplus, above);
    stay.writes = max - stay.refusals;
    if (walk(fence, &seen, &stay, err) < 0)
        return -1;
    *count += surplus;
    gw_log(GW_LOG_WARN, "audit", "more audit events than --audit-events-max: the oldest went",
           gw_kv_int("refusals", there.refusals - stay.refusals), gw_kv_int("deleted", surplus),
           gw_kv_int("kept", max));
    return 0;
}

/* 1: this round is ours; 0: somebody else has done one since this replica looked. */
static int take_round(const struct fence *fence, struct cp_audit_rounds *rounds,
                      struct gw_error *err)
{
    struct cp_found found;
    struct cp_commit commit;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    if (cp_store_get(fence->store, GW_STR(MARK), &arena, &found, err) < 0)
        return -1;
    if (found.kv.mod_revision != rounds->mark_revision) {
        rounds->mark_revision = found.kv.mod_revision;
        return 0;
    }
    struct cp_compare compares[2] = {
        {.key = GW_STR(MARK), .kind = CP_COMPARE_MOD, .mod_revision = found.kv.mod_revision},
        fence->compare};
    struct cp_op op = {.kind = CP_OP_PUT, .key = GW_STR(MARK), .value = GW_STR("")};
    struct cp_txn txn = {
        .compares = compares, .compare_count = 1 + fence->count, .ops = &op, .op_count = 1};
    if (cp_store_txn(fence->store, &txn, &commit, err) < 0)
        return -1;
    if (commit.committed)
        rounds->mark_revision = commit.at.revision;
    return commit.committed;
}

int cp_audit_clean(struct cp_services *services, gw_msec now_ms, struct cp_audit_rounds *rounds,
                   int64_t *ret_count, struct gw_error *err)
{
    *ret_count = 0;
    struct fence fence = {.store = services->store, .count = services->leader != NULL};
    if (!cp_leader_leads(services->leader))
        return 0;
    if (services->leader && cp_leader_fence(services->leader, &fence.compare, err) < 0)
        return -1;
    int is_ours = take_round(&fence, rounds, err);
    if (is_ours <= 0)
        return is_ours;
    if (delete_older(&fence, now_ms - services->audit_retention_ms, ret_count, err) < 0 ||
        delete_surplus(&fence, services->audit_events_max, ret_count, err) < 0)
        return -1;
    return *ret_count > 0 ? cp_store_compact(services->store, CP_AUDIT_REVISIONS_KEPT, err) : 0;
}

/* ---- the thread */

struct cp_audit_cleaner {
    struct cp_services *services; /* borrowed */
    struct cp_audit_rounds rounds;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool is_stopping; /* under lock */
};

/* False: it is stopped. */
static bool rest(struct cp_audit_cleaner *cleaner)
{
    gw_msec pause_ms =
        GW_MAX(ROUND_MS_MIN, GW_MIN(ROUND_MS_MAX, cleaner->services->audit_retention_ms / 4));
    gw_msec until_ms = gw_clock_monotonic_ms() + pause_ms;
    struct timespec until = {.tv_sec = until_ms / 1000,
                             .tv_nsec = (until_ms % 1000) * NANOS_PER_MS};
    pthread_mutex_lock(&cleaner->lock);
    while (!cleaner->is_stopping &&
           !pthread_cond_timedwait(&cleaner->stopped, &cleaner->lock, &until))
        ;
    bool goes_on = !cleaner->is_stopping;
    pthread_mutex_unlock(&cleaner->lock);
    return goes_on;
}

static void *run(void *arg)
{
    struct cp_audit_cleaner *cleaner = arg;
    while (rest(cleaner)) {
        int64_t count;
        unsigned dropped;
        static struct gw_log_limit limit;
        struct gw_error err = GW_ERROR_NONE;
        if (cp_audit_clean(cleaner->services, gw_clock_wall_ms(), &cleaner->rounds, &count, &err) <
                0 &&
            gw_log_allow(&limit, 1, &dropped))
            gw_log(GW_LOG_WARN, "audit", "old audit events cannot be deleted, trying again",
                   gw_kv_error(&err));
    }
    return NULL;
}

struct cp_audit_cleaner *cp_audit_cleaner_start(struct cp_services *services)
{
    struct cp_audit_cleaner *cleaner = gw_calloc(1, sizeof(*cleaner));
    cleaner->services = services;
    pthread_mutex_init(&cleaner->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cleaner->stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    int failed = pthread_create(&cleaner->thread, NULL, run, cleaner);
    if (failed)
        gw_panic("cannot start the audit cleaner's thread: %s", strerror(failed));
    return cleaner;
}

void cp_audit_cleaner_stop(struct cp_audit_cleaner *cleaner)
{
    if (!cleaner)
        return;
    pthread_mutex_lock(&cleaner->lock);
    cleaner->is_stopping = true;
    pthread_cond_broadcast(&cleaner->stopped);
    pthread_mutex_unlock(&cleaner->lock);
    pthread_join(cleaner->thread, NULL);
    pthread_cond_destroy(&cleaner->stopped);
    pthread_mutex_destroy(&cleaner->lock);
    free(cleaner);
}
