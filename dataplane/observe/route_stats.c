/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/route_stats.h"

#include "common/list.h"
#include "common/slab.h"
#include "dataplane/snapshot/trie.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_LINE_BYTES GW_SLAB_LINE_BYTES

/* dp_route_totals is a row of int64_t, so that cells can be added up by index. */
#define FIELDS (sizeof(struct dp_route_totals) / sizeof(int64_t))
/* One worker's counts of one route; only that worker writes. */
struct cell {
    _Alignas(CACHE_LINE_BYTES) _Atomic int64_t values[FIELDS];
};
_Static_assert(sizeof(struct cell) == CACHE_LINE_BYTES, "no two workers write to one line");

/* The lock of the table guards everything but the cells, and what is atomic. */
struct dp_route_stats {
    struct dp_trie_item item; /* the table's alone: who uses it counts in refs */
    struct dp_route_stats_table *table;
    struct gw_list node;
    gw_str name; /* behind the cells, ends with NUL */
    atomic_uint refs;
    atomic_bool is_touched; /* among the touched, or among the warm as long as that one is busy */
    bool is_quiet;          /* among the warm: nothing was added between the last two looks */
    struct dp_route_stats *next_touched, *next_warm;
    struct dp_route_totals told; /* by dp_route_stats_take_deltas */
    struct cell cells[];
};

/* Looking at all routes each second would cost more than their requests. So whoever adds to one
 * that nobody has touched lately puts it among the touched, and from there it comes among the warm,
 * which are looked at: until one look finds nothing new, and then once more, for an addition may
 * still have been on its way when its worker saw that there is nothing to do. */
struct dp_route_stats_table {
    unsigned worker_count;
    pthread_mutex_t lock;
    struct dp_trie by_name;
    struct gw_list all; /* in the order of their first use, so that a bound keeps the same ones */
    bool has_taker;     /* somebody takes deltas: those of a route that is gone wait for it */
    _Atomic(struct dp_route_stats *) touched;
    struct dp_route_stats *warm;
};

struct dp_route_stats_table *dp_route_stats_table_new(unsigned worker_count)
{
    struct dp_route_stats_table *table = gw_calloc(1, sizeof(*table));
    table->worker_count = worker_count;
    pthread_mutex_init(&table->lock, NULL);
    gw_list_init(&table->all);
    return table;
}

static void free_stats(struct dp_trie_item *item)
{
    struct dp_route_stats *stats = (struct dp_route_stats *)item;
    gw_list_remove(&stats->node);
    gw_slab_free(stats);
}

static const struct dp_trie_kind stats_kind = {free_stats, NULL};

static bool is_stats(const struct dp_trie_item *item, const void *key)
{
    return gw_str_eq(((const struct dp_route_stats *)item)->name, *(const gw_str *)key);
}

static struct dp_route_stats *find(const struct dp_route_stats_table *table, gw_str name)
{
    const struct dp_trie_item *item =
        dp_trie_find(table->by_name, (uint32_t)gw_str_hash(name), is_stats, &name);
    return (struct dp_route_stats *)(uintptr_t)item; /* the table's own */
}

static void forget(struct dp_route_stats *stats)
{
    struct dp_trie *by_name = &stats->table->by_name;
    *by_name = dp_trie_remove(*by_name, &stats_kind, stats->item.hash, is_stats, &stats->name);
}

void dp_route_stats_table_free(struct dp_route_stats_table *table)
{
    if (!table)
        return;
    gw_list_each(&table->all, it)
    {
        struct dp_route_stats *stats = gw_container_of(it, struct dp_route_stats, node);
        assert(atomic_load(&stats->refs) == 0);
        forget(stats);
    }
    assert(!table->by_name.bits);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static struct dp_route_stats *make(struct dp_route_stats_table *table, gw_str name)
{
    size_t size = sizeof(struct dp_route_stats) + table->worker_count * sizeof(struct cell);
    size_t lines = (size + name.len + 1 + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES;
    struct dp_route_stats *stats = gw_slab_zalloc(lines * CACHE_LINE_BYTES);
    char *copy = (char *)stats + size;
    memcpy(copy, name.ptr, name.len);
    stats->table = table;
    stats->name = gw_str_n(copy, name.len);
    atomic_init(&stats->item.refs, 1);
    stats->item.hash = (uint32_t)gw_str_hash(name);
    gw_list_push(&table->all, &stats->node);
    table->by_name = dp_trie_put(table->by_name, &stats_kind, is_stats, &stats->name, &stats->item);
    return stats;
}

static void touch(struct dp_route_stats *stats)
{
    if (atomic_load_explicit(&stats->is_touched, memory_order_relaxed) ||
        atomic_exchange(&stats->is_touched, true))
        return;
    _Atomic(struct dp_route_stats *) *touched = &stats->table->touched;
    stats->next_touched = atomic_load_explicit(touched, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(touched, &stats->next_touched, stats,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

/* One writer per cell: a load and a store do, without the bus lock of an atomic addition. */
void dp_route_stats_add(struct dp_route_stats *stats, unsigned worker,
                        const struct dp_route_totals *delta)
{
    assert(worker < stats->table->worker_count);
    const int64_t *from = (const int64_t *)delta;
    for (unsigned i = 0; i < FIELDS; i++) {
        _Atomic int64_t *value = &stats->cells[worker].values[i];
        int64_t before = atomic_load_explicit(value, memory_order_relaxed);
        atomic_store_explicit(value, before + from[i], memory_order_relaxed);
    }
    touch(stats);
}

void dp_route_stats_read(const struct dp_route_stats *stats, struct dp_route_totals *ret_totals)
{
    int64_t *sum = (int64_t *)ret_totals;
    memset(ret_totals, 0, sizeof(*ret_totals));
    for (unsigned worker = 0; worker < stats->table->worker_count; worker++)
        for (unsigned i = 0; i < FIELDS; i++)
            sum[i] += atomic_load_explicit(&stats->cells[worker].values[i], memory_order_relaxed);
}

/* What was added since it was last told; false: nothing. */
static bool read_delta(const struct dp_route_stats *stats, struct dp_route_totals *ret_totals,
                       struct dp_route_totals *ret_delta)
{
    dp_route_stats_read(stats, ret_totals);
    const int64_t *now = (const int64_t *)ret_totals, *told = (const int64_t *)&stats->told;
    int64_t *delta = (int64_t *)ret_delta;
    bool has_any = false;
    for (unsigned i = 0; i < FIELDS; i++) {
        delta[i] = now[i] - told[i];
        has_any |= delta[i] != 0;
    }
    return has_any;
}

/* What lets go may be a worker, which waits for no lock: the next look finds that nobody is left.
 * The reference is the last that is touched of it, for then it may be freed. */
void dp_route_stats_unref(struct dp_route_stats *stats)
{
    if (!stats)
        return;
    touch(stats);
    unsigned before = atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    (void)before;
}

static void tell(struct dp_route_stats *stats, dp_route_stats_visit *visit, void *arg)
{
    struct dp_route_totals totals, delta;
    stats->is_quiet = !read_delta(stats, &totals, &delta);
    if (stats->is_quiet)
        return;
    stats->told = totals;
    visit(stats->name, &delta, arg);
}

static void keep_warm(struct dp_route_stats *stats)
{
    stats->next_warm = stats->table->warm;
    stats->table->warm = stats;
}

/* One that is neither touched nor warm any more. */
static void look_at_touched(struct dp_route_stats *stats, dp_route_stats_visit *visit, void *arg)
{
    if (visit)
        tell(stats, visit, arg);
    if (atomic_load_explicit(&stats->refs, memory_order_acquire) == 0) {
        forget(stats);
        return;
    }
    stats->is_quiet = false;
    keep_warm(stats);
}

static void look_at_warm(struct dp_route_stats *stats, dp_route_stats_visit *visit, void *arg)
{
    bool was_quiet = stats->is_quiet;
    bool is_held = atomic_load_explicit(&stats->refs, memory_order_acquire) > 0;
    if (visit)
        tell(stats, visit, arg);
    if (was_quiet && atomic_load(&stats->is_touched)) /* it comes again */
        return;
    if (!is_held) {
        forget(stats);
        return;
    }
    if (was_quiet)
        return;
    if (stats->is_quiet)
        atomic_store(&stats->is_touched, false);
    keep_warm(stats);
}

/* Under the lock. visit NULL: only to forget what nobody holds; what was added stays to be told. */
static void look(struct dp_route_stats_table *table, dp_route_stats_visit *visit, void *arg)
{
    struct dp_route_stats *next, *warm = table->warm;
    table->warm = NULL;
    for (; warm; warm = next) {
        next = warm->next_warm;
        look_at_warm(warm, visit, arg);
    }
    struct dp_route_stats *touched = atomic_exchange(&table->touched, NULL);
    for (; touched; touched = next) {
        next = touched->next_touched;
        look_at_touched(touched, visit, arg);
    }
}

struct dp_route_stats *dp_route_stats_get(struct dp_route_stats_table *table, gw_str name)
{
    pthread_mutex_lock(&table->lock);
    struct dp_route_stats *stats = find(table, name);
    if (stats && !table->has_taker && atomic_load(&stats->refs) == 0) {
        look(table, NULL, NULL);
        stats = NULL; /* it was gone */
    }
    if (!stats)
        stats = make(table, name);
    atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&table->lock);
    return stats;
}

void dp_route_stats_each(struct dp_route_stats_table *table, dp_route_stats_visit *visit, void *arg)
{
    pthread_mutex_lock(&table->lock);
    if (!table->has_taker)
        look(table, NULL, NULL);
    gw_list_each(&table->all, it)
    {
        struct dp_route_totals totals;
        const struct dp_route_stats *stats = gw_container_of(it, struct dp_route_stats, node);
        dp_route_stats_read(stats, &totals);
        visit(stats->name, &totals, arg);
    }
    pthread_mutex_unlock(&table->lock);
}

void dp_route_stats_take_deltas(struct dp_route_stats_table *table, dp_route_stats_visit *visit,
                                void *arg)
{
    pthread_mutex_lock(&table->lock);
    table->has_taker = true;
    look(table, visit, arg);
    pthread_mutex_unlock(&table->lock);
}
