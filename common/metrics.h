/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of a program: one declared table, a set of cells per thread, summed when read. Writing is
 * a relaxed store to the thread's own cell: no lock, no shared cache line. Names and units follow
 * the Prometheus practices (operations.md 5). */
#ifndef GW_METRICS_H
#define GW_METRICS_H

#include "common/buf.h"

enum gw_metric_type { GW_COUNTER, GW_GAUGE, GW_HISTOGRAM };

/* One row. A row with a label has one series per entry of `values`, all present from the start. */
struct gw_metric {
    const char *name; /* "penstock_agent_requests_total" */
    enum gw_metric_type type;
    const char *help;
    const char *label;         /* NULL: one series */
    const char *const *values; /* label values; series i is values[i] */
    unsigned value_count;      /* 0 without a label */
    double scale;              /* stored integer * scale = exposed number; 0 means 1 */
    const int64_t *buckets;    /* histogram: upper bounds in stored units, ascending */
    unsigned bucket_count;
};

struct gw_metrics;      /* the registry of a program; process lifetime */
struct gw_metric_cells; /* one thread's cells; only that thread writes */

/* rows are borrowed for the life of the registry. */
struct gw_metrics *gw_metrics_new(const struct gw_metric *rows, unsigned count);
void gw_metrics_free(struct gw_metrics *metrics);
/* Cells for the calling thread, owned by the registry and counted for ever. Any thread. */
struct gw_metric_cells *gw_metrics_join(struct gw_metrics *metrics);

/* row: index in the table; series: index of the label value, 0 without a label. */
void gw_metric_add(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t n);
/* Gauges: the sum over threads is what is exposed. */
void gw_metric_set(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t value);
void gw_metric_observe(struct gw_metric_cells *cells, unsigned row, unsigned series, int64_t value);
/* Sum over threads, for tests and statistics; of a histogram the number of observations. Any
 * thread. */
int64_t gw_metric_read(struct gw_metrics *metrics, unsigned row, unsigned series);

/* Adds text that the table cannot declare (series per API); called at each gw_metrics_write. */
typedef void gw_metrics_collector(struct gw_buf *out, void *arg);
void gw_metrics_collect(struct gw_metrics *metrics, gw_metrics_collector *collector, void *arg);
/* Prometheus text exposition 0.0.4, with process_* of this process; out has no limit. Any thread.
 */
void gw_metrics_write(struct gw_metrics *metrics, struct gw_buf *out);

/* For collectors: what they write in the same form. */
void gw_metrics_write_head(struct gw_buf *out, const char *name, enum gw_metric_type type,
                           const char *help);
/* The inside of a label value: backslash, quote and newline escaped. */
void gw_metrics_write_escaped(struct gw_buf *out, gw_str value);
/* The process_* part alone, from /proc; what cannot be read is left out. */
void gw_metrics_write_process(struct gw_buf *out);

#endif
