/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_LINE_BYTES 64

/* A series holds one cell, or for a histogram one per bucket, the rest (+Inf) and the sum. */
struct row {
    const struct gw_metric *metric; /* borrowed */
    unsigned first_cell;
    unsigned series_count;
    unsigned series_cells;
};

struct gw_metric_cells {
    const struct gw_metrics *metrics;
    struct gw_metric_cells *_Atomic next;
    _Alignas(CACHE_LINE_BYTES) _Atomic int64_t values[];
};

struct collector {
    gw_metrics_collector *fn;
    void *arg;
    struct collector *_Atomic next;
};

/* Both lists only grow; the lock is for those who append, readers follow the links without it. */
struct gw_metrics {
    struct row *rows;
    unsigned row_count;
    unsigned cell_count;
    pthread_mutex_t lock;
    struct gw_metric_cells *_Atomic cells;
    struct collector *_Atomic collectors;
};

static struct row row_of(const struct gw_metric *metric, unsigned first_cell)
{
    assert((metric->label != NULL) == (metric->value_count > 0));
    assert((metric->type == GW_HISTOGRAM) == (metric->bucket_count > 0));
    for (unsigned i = 1; i < metric->bucket_count; i++)
        assert(metric->buckets[i - 1] < metric->buckets[i]);
    return (struct row){
        .metric = metric,
        .first_cell = first_cell,
        .series_count = GW_MAX(metric->value_count, 1),
        .series_cells = metric->type == GW_HISTOGRAM ? metric->bucket_count + 2 : 1,
    };
}

struct gw_metrics *gw_metrics_new(const struct gw_metric *rows, unsigned count)
{
    struct gw_metrics *metrics = gw_calloc(1, sizeof(*metrics));
    metrics->rows = gw_calloc(count, sizeof(*metrics->rows));
    metrics->row_count = count;
    for (unsigned i = 0; i < count; i++) {
        struct row *row = &metrics->rows[i];
        *row = row_of(&rows[i], metrics->cell_count);
        metrics->cell_count += row->series_count * row->series_cells;
    }
    pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void gw_metrics_free(struct gw_metrics *metrics)
{
    if (!metrics)
        return;
    struct gw_metric_cells *next_cells;
    for (struct gw_metric_cells *cells = metrics->cells; cells; cells = next_cells) {
        next_cells = cells->next;
        free(cells);
    }
    struct collector *next;
    for (struct collector *it = metrics->collectors; it; it = next) {
        next = it->next;
        free(it);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics->rows);
    free(metrics);
}

struct gw_metric_cells *gw_metrics_join(struct gw_metrics *metrics)
{
    size_t size = sizeof(struct gw_metric_cells) + metrics->cell_count * sizeof(int64_t);
    size = (size + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    struct gw_metric_cells *cells = aligned_alloc(CACHE_LINE_BYTES, size);
    if (!cells)
        gw_panic("out of memory: %zu bytes", size);
    memset(cells, 0, size);
    cells->metrics = metrics;
    pthread_mutex_lock(&metrics->lock);
    atomic_store_explicit(&cells->next, metrics->cells, memory_order_relaxed);
    atomic_store_explicit(&metrics->cells, cells, memory_order_release);
    pthread_mutex_unlock(&metrics->lock);
    return cells;
}

static unsigned cell_of(const struct gw_metrics *metrics, unsigned row, unsigned series)
{
    assert(row < metrics->row_count);
    const struct row *found = &metrics->rows[row];
    assert(series < found->series_count);
    return found->first_cell + series * found->series_cells;
}

/* One writer per cell: a load and a store do, without the bus lock of an atomic addition. */
static void add(struct gw_metric_cells *cells, unsigned cell, int64_t n)
{
    int64_t value = atomic_load_explicit(&cells->values[cell], memory_order_relaxed);
    atomic_store_explicit(&cells->values[cell], value + n, memory_order_relaxed);
}

void gw_metric_add(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t n)
{
    add(cells, cell_of(cells->metrics, row, series), n);
}

void gw_metric_set(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t value)
{
    unsigned cell = cell_of(cells->metrics, row, series);
    atomic_store_explicit(&cells->values[cell], value, memory_order_relaxed);
}

void gw_metric_observe(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t value)
{
    unsigned cell = cell_of(cells->metrics, row, series);
    const struct gw_metric *metric = cells->metrics->rows[row].metric;
    assert(metric->type == GW_HISTOGRAM);
    unsigned bucket = 0;
    while (bucket < metric->bucket_count && value > metric->buckets[bucket])
        bucket++;
    add(cells, cell + bucket, 1);
    add(cells, cell + metric->bucket_count + 1, value);
}

static int64_t sum_cell(struct gw_metrics *metrics, unsigned cell)
{
    int64_t sum = 0;
    struct gw_metric_cells *cells = atomic_load_explicit(&metrics->cells, memory_order_acquire);
    for (; cells; cells = atomic_load_explicit(&cells->next, memory_order_relaxed))
        sum += atomic_load_explicit(&cells->values[cell], memory_order_relaxed);
    return sum;
}

int64_t gw_metric_read(struct gw_metrics *metrics, unsigned row, unsigned series)
{
    unsigned cell = cell_of(metrics, row, series);
    unsigned count = metrics->rows[row].series_cells;
    unsigned counted = metrics->rows[row].metric->type == GW_HISTOGRAM ? count - 1 : 1;
    int64_t sum = 0;
    for (unsigned i = 0; i < counted; i++)
        sum += sum_cell(metrics, cell + i);
    return sum;
}

/* Collectors run, and are written, in the order in which they were added. */
void gw_metrics_collect(struct gw_metrics *metrics, gw_metrics_collector *collector, void *arg)
{
    struct collector *added = gw_calloc(1, sizeof(*added));
    added->fn = collector;
    added->arg = arg;
    pthread_mutex_lock(&metrics->lock);
    struct collector *_Atomic *end = &metrics->collectors;
    while (*end)
        end = &(*end)->next;
    atomic_store_explicit(end, added, memory_order_release);
    pthread_mutex_unlock(&metrics->lock);
}

/* The buffer has no limit, so nothing here can fail. */
static void put(struct gw_buf *out, gw_str text)
{
    int rc = gw_buf_append(out, text);
    assert(rc == 0);
    (void)rc;
}

static void put_text(struct gw_buf *out, const char *text)
{
    put(out, gw_str_from(text));
}

void gw_metrics_write_escaped(struct gw_buf *out, gw_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n')
            put(out, GW_STR("\\n"));
        else if (c == '\\' || c == '"')
            put(out, gw_str_n((char[]){'\\', c}, 2));
        else
            put(out, gw_str_n(&c, 1));
    }
}

/* In help texts quotes stand as they are. */
static void put_help(struct gw_buf *out, gw_str help)
{
    while (help.ptr) {
        gw_str line = gw_str_split(&help, '\n');
        while (line.ptr) {
            put(out, gw_str_split(&line, '\\'));
            put(out, line.ptr ? GW_STR("\\\\") : GW_STR_NONE);
        }
        put(out, help.ptr ? GW_STR("\\n") : GW_STR_NONE);
    }
}

void gw_metrics_write_head(struct gw_buf *out, const char *name, enum gw_metric_type type,
                           const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    put_text(out, "# HELP ");
    put_text(out, name);
    put_text(out, " ");
    put_help(out, gw_str_from(help));
    put_text(out, "\n# TYPE ");
    put_text(out, name);
    put_text(out, " ");
    put_text(out, types[type]);
    put_text(out, "\n");
}

static void put_number(struct gw_buf *out, int64_t stored, double scale)
{
    int rc = scale == 0 || scale == 1 ? gw_buf_printf(out, "%" PRId64, stored)
                                      : gw_buf_printf(out, "%.15g", (double)stored * scale);
    assert(rc == 0);
    (void)rc;
}

/* One sample: name, suffix, the row's label and perhaps `le`, the number. */
struct sample {
    const struct row *row;
    unsigned series;
    const char *suffix;
    int bucket; /* -1: no `le` */
};

static void put_le(struct gw_buf *out, const struct gw_metric *metric, unsigned bucket)
{
    put_text(out, "le=\"");
    if (bucket < metric->bucket_count)
        put_number(out, metric->buckets[bucket], metric->scale);
    else
        put_text(out, "+Inf");
    put_text(out, "\"");
}

static void put_sample(struct gw_buf *out, const struct sample *sample, int64_t value, double scale)
{
    const struct gw_metric *metric = sample->row->metric;
    put_text(out, metric->name);
    put_text(out, sample->suffix);
    bool labelled = metric->label || sample->bucket >= 0;
    put_text(out, labelled ? "{" : "");
    if (metric->label) {
        put_text(out, metric->label);
        put_text(out, "=\"");
        gw_metrics_write_escaped(out, gw_str_from(metric->values[sample->series]));
        put_text(out, sample->bucket >= 0 ? "\"," : "\"");
    }
    if (sample->bucket >= 0)
        put_le(out, metric, (unsigned)sample->bucket);
    put_text(out, labelled ? "} " : " ");
    put_number(out, value, scale);
    put_text(out, "\n");
}

/* The count is that of the last bucket as read here, so the text is consistent in itself. */
static void put_histogram(struct gw_metrics *metrics, struct gw_buf *out, const struct row *row,
                          unsigned series)
{
    const struct gw_metric *metric = row->metric;
    unsigned cell = row->first_cell + series * row->series_cells;
    int64_t count = 0;
    for (unsigned i = 0; i <= metric->bucket_count; i++) {
        count += sum_cell(metrics, cell + i);
        put_sample(out, &(struct sample){row, series, "_bucket", (int)i}, count, 1);
    }
    int64_t sum = sum_cell(metrics, cell + metric->bucket_count + 1);
    put_sample(out, &(struct sample){row, series, "_sum", -1}, sum, metric->scale);
    put_sample(out, &(struct sample){row, series, "_count", -1}, count, 1);
}

static void put_row(struct gw_metrics *metrics, struct gw_buf *out, const struct row *row)
{
    const struct gw_metric *metric = row->metric;
    gw_metrics_write_head(out, metric->name, metric->type, metric->help);
    for (unsigned series = 0; series < row->series_count; series++) {
        if (metric->type == GW_HISTOGRAM) {
            put_histogram(metrics, out, row, series);
            continue;
        }
        int64_t value = sum_cell(metrics, row->first_cell + series);
        put_sample(out, &(struct sample){row, series, "", -1}, value, metric->scale);
    }
}

void gw_metrics_write(struct gw_metrics *metrics, struct gw_buf *out)
{
    assert(out->limit_bytes == 0);
    for (unsigned i = 0; i < metrics->row_count; i++)
        put_row(metrics, out, &metrics->rows[i]);
    struct collector *it = atomic_load_explicit(&metrics->collectors, memory_order_acquire);
    for (; it; it = atomic_load_explicit(&it->next, memory_order_acquire))
        it->fn(out, it->arg);
    gw_metrics_write_process(out);
}
