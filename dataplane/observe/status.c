/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/status.h"

#include <inttypes.h>

#define TEXT "text/plain; charset=utf-8"

void dp_status_init(struct dp_status *status, const struct dp_status_sources *sources,
                    struct gw_metrics *metrics)
{
    *status = (struct dp_status){.sources = *sources, .metrics = metrics};
    pthread_mutex_init(&status->lock, NULL);
    gw_metrics_collect(metrics, dp_status_write_metrics, status);
}

void dp_status_done(struct dp_status *status)
{
    dp_snapshot_unref(status->snapshot);
    pthread_mutex_destroy(&status->lock);
}

void dp_status_publish(struct dp_status *status, struct dp_snapshot *snapshot)
{
    if (snapshot)
        (void)dp_snapshot_ref(snapshot); /* that is this one */
    pthread_mutex_lock(&status->lock);
    struct dp_snapshot *before = status->snapshot;
    status->snapshot = snapshot;
    pthread_mutex_unlock(&status->lock);
    dp_snapshot_unref(before);
}

struct dp_snapshot *dp_status_snapshot(struct dp_status *status)
{
    pthread_mutex_lock(&status->lock);
    struct dp_snapshot *snapshot = status->snapshot ? dp_snapshot_ref(status->snapshot) : NULL;
    pthread_mutex_unlock(&status->lock);
    return snapshot;
}

/* The body has no limit, so that this cannot fail. */
static unsigned say(struct gw_buf *body, unsigned status, const char *text, int64_t number)
{
    int result = number < 0 ? gw_buf_printf(body, "%s\n", text)
                            : gw_buf_printf(body, "%s %" PRId64 "\n", text, number);
    assert(result == 0);
    (void)result;
    return status;
}

static struct dp_workers_status read_workers(const struct dp_status *status)
{
    struct dp_workers_status workers = {0};
    status->sources.read_workers(status->sources.arg, &workers);
    return workers;
}

/* Workers end one by one while the agent drains; the drain has its own time limit. */
static unsigned write_livez(void *arg, struct gw_buf *body)
{
    const struct dp_status *status = arg;
    gw_msec stalled_ms = read_workers(status).stalled_ms;
    if (!status->draining && stalled_ms > DP_STATUS_STALLED_MS)
        return say(body, 503, "a worker stands still, for milliseconds:", stalled_ms);
    return say(body, 200, "alive", -1);
}

static unsigned write_readyz(void *arg, struct gw_buf *body)
{
    const struct dp_status *status = arg;
    struct dp_workers_status workers = read_workers(status);
    if (status->draining)
        return say(body, 503, "draining", -1);
    if (workers.revision < 0)
        return say(body, 503, "no configuration yet", -1);
    return say(body, 200, "ready, revision", workers.revision);
}

static unsigned write_metrics(void *arg, struct gw_buf *body)
{
    const struct dp_status *status = arg;
    gw_metrics_write(status->metrics, body);
    return 200;
}

const struct dp_ops_page dp_status_pages[] = {
    {"/livez", TEXT, write_livez},
    {"/readyz", TEXT, write_readyz},
    {"/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics},
    {"/config", "application/json", dp_status_write_config},
};
const size_t dp_status_page_count = GW_ARRAY_LEN(dp_status_pages);
