/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/snapshot/steps.h"

#include "common/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Revisions whose times are remembered: between a write's answer and its event there are few. */
#define REMEMBERED 256
#define BUILT_REMEMBERED 4096
#define NS_PER_US 1000

/* Upper bounds in microseconds. */
static const int64_t bounds[] = {500,     1000,    2500,    5000,     10000,
                                 25000,   50000,   100000,  250000,   500000,
                                 1000000, 2500000, 5000000, 10000000, 30000000};

struct histogram {
    _Atomic int64_t counts[GW_ARRAY_LEN(bounds) + 1]; /* the last one: beyond all bounds */
    _Atomic int64_t sum_us;
};

struct moment {
    int64_t revision; /* 0: none */
    gw_nsec committed_ns, seen_ns;
};

struct cp_steps {
    struct histogram histograms[CP_STEP_COUNT];
    pthread_mutex_t lock;
    struct moment moments[REMEMBERED]; /* by revision modulo */
    struct built {
        int64_t revision;
        gw_msec wall_ms;
    } built[BUILT_REMEMBERED]; /* the last ones, round, revisions ascending */
    uint64_t built_count;      /* of all time */
};

#define PREFIX "penstock_controlplane_config_"
static const struct {
    const char *name, *help;
} rows[CP_STEP_COUNT] = {
    [CP_STEP_WATCH] = {PREFIX "watch_seconds",
                       "From the store's answer to a write of this replica to its event."},
    [CP_STEP_BUILD] = {PREFIX "build_seconds",
                       "From the event of a change to its being built for agents."},
    [CP_STEP_SEND] = {PREFIX "send_seconds",
                      "From there to its last chunk going out, for each agent."},
    [CP_STEP_APPLY] = {PREFIX "apply_seconds",
                       "At the agent, from the last chunk to serving it, as the agent says."},
    [CP_STEP_ACKNOWLEDGE] = {PREFIX "acknowledge_seconds",
                             "From the last chunk's going out to the acknowledgement."},
    [CP_STEP_SERVE] = {PREFIX "serve_seconds",
                       "From the store's answer (of another replica's write: its event) to the "
                       "acknowledgement, for each agent that was connected."},
};

struct cp_steps *cp_steps_new(void)
{
    struct cp_steps *steps = gw_calloc(1, sizeof(*steps));
    pthread_mutex_init(&steps->lock, NULL);
    return steps;
}

void cp_steps_free(struct cp_steps *steps)
{
    if (!steps)
        return;
    pthread_mutex_destroy(&steps->lock);
    free(steps);
}

/* With the lock held. */
static struct moment *moment_of(struct cp_steps *steps, int64_t revision)
{
    struct moment *moment = &steps->moments[(uint64_t)revision % REMEMBERED];
    if (moment->revision != revision)
        *moment = (struct moment){.revision = revision};
    return moment;
}

void cp_steps_committed(struct cp_steps *steps, int64_t revision)
{
    gw_nsec now_ns = gw_clock_monotonic_ns();
    pthread_mutex_lock(&steps->lock);
    struct moment *moment = moment_of(steps, revision);
    bool was_seen = moment->seen_ns != 0;
    moment->committed_ns = now_ns;
    pthread_mutex_unlock(&steps->lock);
    if (was_seen) /* the event was faster than the answer */
        cp_steps_observe(steps, CP_STEP_WATCH, 0);
}

gw_nsec cp_steps_seen(struct cp_steps *steps, int64_t revision, gw_nsec seen_ns)
{
    pthread_mutex_lock(&steps->lock);
    struct moment *moment = moment_of(steps, revision);
    gw_nsec committed_ns = moment->committed_ns;
    moment->seen_ns = seen_ns;
    pthread_mutex_unlock(&steps->lock);
    if (!committed_ns)
        return seen_ns;
    cp_steps_observe(steps, CP_STEP_WATCH, seen_ns - committed_ns);
    return GW_MIN(committed_ns, seen_ns);
}

/* With the lock held; the n-th of all time, which is remembered. */
static struct built *built_at(struct cp_steps *steps, uint64_t n)
{
    return &steps->built[n % BUILT_REMEMBERED];
}

void cp_steps_built(struct cp_steps *steps, int64_t revision, gw_nsec seen_ns)
{
    pthread_mutex_lock(&steps->lock);
    if (steps->built_count > 0 && built_at(steps, steps->built_count - 1)->revision >= revision)
        steps->built_count = 0; /* another history */
    *built_at(steps, steps->built_count++) = (struct built){revision, gw_clock_wall_ms()};
    pthread_mutex_unlock(&steps->lock);
    if (seen_ns)
        cp_steps_observe(steps, CP_STEP_BUILD, gw_clock_monotonic_ns() - seen_ns);
}

gw_msec cp_steps_passed_ms(struct cp_steps *steps, int64_t revision)
{
    pthread_mutex_lock(&steps->lock);
    uint64_t end = steps->built_count;
    uint64_t low = end > BUILT_REMEMBERED ? end - BUILT_REMEMBERED : 0, high = end;
    while (low < high) { /* the first one behind the revision */
        uint64_t middle = low + (high - low) / 2;
        if (built_at(steps, middle)->revision > revision)
            high = middle;
        else
            low = middle + 1;
    }
    gw_msec wall_ms = low < end ? built_at(steps, low)->wall_ms : 0;
    pthread_mutex_unlock(&steps->lock);
    return wall_ms;
}

void cp_steps_observe(struct cp_steps *steps, enum cp_step step, gw_nsec ns)
{
    struct histogram *histogram = &steps->histograms[step];
    int64_t us = GW_MAX(ns, (gw_nsec)0) / NS_PER_US;
    unsigned bucket = 0;
    while (bucket < GW_ARRAY_LEN(bounds) && us > bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->counts[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}

int64_t cp_steps_count(const struct cp_steps *steps, enum cp_step step)
{
    int64_t count = 0;
    for (unsigned i = 0; i <= GW_ARRAY_LEN(bounds); i++)
        count += atomic_load_explicit(&steps->histograms[step].counts[i], memory_order_relaxed);
    return count;
}

const char *cp_steps_metric(enum cp_step step)
{
    return rows[step].name;
}

static void must(int failed)
{
    assert(!failed); /* no limit */
    (void)failed;
}

static void write_one(const struct histogram *histogram, const char *name, struct gw_buf *out)
{
    int64_t count = 0;
    for (unsigned i = 0; i < GW_ARRAY_LEN(bounds); i++) {
        count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        must(gw_buf_printf(out, "%s_bucket{le=\"%.15g\"} %" PRId64 "\n", name,
                           (double)bounds[i] * 1e-6, count));
    }
    count += atomic_load_explicit(&histogram->counts[GW_ARRAY_LEN(bounds)], memory_order_relaxed);
    int64_t sum_us = atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
    must(gw_buf_printf(out,
                       "%s_bucket{le=\"+Inf\"} %" PRId64 "\n%s_sum %.15g\n%s_count %" PRId64 "\n",
                       name, count, name, (double)sum_us * 1e-6, name, count));
}

void cp_steps_write(const struct cp_steps *steps, struct gw_buf *out)
{
    for (unsigned i = 0; i < CP_STEP_COUNT; i++) {
        gw_metrics_write_head(out, rows[i].name, GW_HISTOGRAM, rows[i].help);
        write_one(&steps->histograms[i], rows[i].name, out);
    }
}
