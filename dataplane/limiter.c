/* SPDX-License-Identifier: Apache-2.0 */
/* A cell's state is one word: when its window ends (seconds, upper half) and how many were granted
 * (lower half). Counting is a compare-and-swap of that word, so a count cannot slip into another
 * window. A cell may be taken for another key only when its window is over, and its state then gets
 * a later end: whoever still holds the old word fails to swap it. That is what makes keys (two
 * words, written while the state says CLAIMED) safe to compare without a lock. */
#include "dataplane/limiter.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SET_CELLS 16
#define SPINS 200                    /* before the processor is given to whoever holds the set */
#define CLOCK_SKEW_SECONDS 10        /* a clock so far behind counts into the newer window */
#define CLAIMED UINT64_MAX           /* no count is ever that high */
#define END_MAX (int64_t) UINT32_MAX /* year 2106; windows beyond never end */

struct cell {
    _Atomic uint64_t key[2];
    _Atomic uint64_t state;
};

/* 16 cells and a lock for placing keys: 7 cache lines. */
struct set {
    _Alignas(64) struct cell cells[SET_CELLS];
    atomic_bool placing;
};

struct dp_limiter {
    struct dp_siphash_key secret;
    size_t mask; /* sets - 1 */
    struct set *sets;
    _Atomic uint64_t overflows;
};

/* One limit at one moment. */
struct subject {
    uint64_t key[2];
    uint32_t now, end; /* seconds; end of the window that now is in */
    uint32_t length;
    struct cell *cell; /* where it was found last; NULL: nowhere */
    uint64_t state;    /* as it was seen there */
};

static uint64_t state_of(uint32_t end, uint32_t count)
{
    return (uint64_t)end << 32 | count;
}

static uint32_t end_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static uint32_t count_of(uint64_t state)
{
    return (uint32_t)state;
}

struct dp_limiter *dp_limiter_new(size_t capacity)
{
    size_t sets = 1;
    while (sets * SET_CELLS < capacity * 2) /* half full: a set with none free is one in 250 */
        sets *= 2;
    struct dp_limiter *limiter = gw_calloc(1, sizeof *limiter);
    limiter->secret = dp_siphash_key_random();
    limiter->mask = sets - 1;
    /* From the kernel: zero, and no memory before it is touched. */
    limiter->sets = mmap(NULL, sets * sizeof(struct set), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (limiter->sets == MAP_FAILED)
        gw_panic("limiter: out of memory");
    return limiter;
}

void dp_limiter_free(struct dp_limiter *limiter)
{
    if (!limiter)
        return;
    munmap((void *)limiter->sets, (limiter->mask + 1) * sizeof(struct set));
    free(limiter);
}

struct dp_siphash_key dp_limiter_stem(const struct dp_limiter *limiter, gw_str policy)
{
    struct dp_siphash_key stem;
    dp_siphash(&limiter->secret, policy, stem.words);
    return stem;
}

void dp_limit_key(const struct dp_siphash_key *stem, unsigned dimension, gw_str subject,
                  uint64_t ret_key[2])
{
    struct dp_siphash_key key = {{stem->words[0] ^ dimension, stem->words[1]}};
    dp_siphash(&key, subject, ret_key);
}

void dp_limit_key_of(const struct dp_siphash_key *stem, unsigned dimension,
                     const struct dp_name_hash *subject, uint64_t ret_key[2])
{
    ret_key[0] = stem->words[0] ^ dimension ^ (subject ? subject->words[0] : 0);
    ret_key[1] = stem->words[1] ^ (subject ? subject->words[1] : 0);
}

uint64_t dp_limiter_overflows(const struct dp_limiter *limiter)
{
    return atomic_load_explicit(&limiter->overflows, memory_order_relaxed);
}

static struct subject subject_of(const struct dp_limit *limit, gw_msec wall_ms)
{
    assert(limit->window_seconds > 0 && limit->limit > 0 && limit->limit <= DP_LIMIT_MAX);
    uint32_t now = (uint32_t)GW_MIN(GW_MAX(wall_ms / 1000, 0), END_MAX - 1);
    uint32_t length = (uint32_t)GW_MIN(limit->window_seconds, END_MAX);
    uint32_t left = length - now % length; /* 32 bits: dividing is much cheaper than in 64 */
    /* The window is part of the key: policies that change it start afresh. */
    return (struct subject){
        .key = {limit->key[0], limit->key[1] ^ (uint64_t)length * 0x9e3779b97f4a7c15},
        .now = now,
        .end = (uint32_t)GW_MIN((int64_t)now + left, END_MAX),
        .length = length,
    };
}

/* What the cell counts for this moment: its own window, or ours with nothing granted yet. */
static uint64_t state_now(const struct subject *s, uint64_t state)
{
    uint32_t end = end_of(state);
    bool is_ours = end == s->end;
    bool is_ahead = end > s->end && end - s->end <= GW_MAX(s->length, CLOCK_SKEW_SECONDS);
    return is_ours || is_ahead ? state : state_of(s->end, 0);
}

static bool holds(const struct cell *cell, const struct subject *s)
{
    return atomic_load_explicit(&cell->key[0], memory_order_relaxed) == s->key[0] &&
           atomic_load_explicit(&cell->key[1], memory_order_relaxed) == s->key[1];
}

static struct set *set_of(const struct dp_limiter *limiter, const struct subject *s)
{
    return &limiter->sets[s->key[0] & limiter->mask];
}

/* The cell of that key and its state; NULL: it has none, or is just getting it. */
static struct cell *find(struct set *set, const struct subject *s, uint64_t *ret_state)
{
    for (unsigned i = 0; i < SET_CELLS; i++) {
        struct cell *cell = &set->cells[(i + s->key[1]) % SET_CELLS];
        uint64_t state = atomic_load_explicit(&cell->state, memory_order_acquire);
        if (state != CLAIMED && holds(cell, s)) {
            *ret_state = state;
            return cell;
        }
    }
    return NULL;
}

static void lock(struct set *set)
{
    for (unsigned spins = 0; atomic_exchange_explicit(&set->placing, true, memory_order_acquire);) {
        if (++spins % SPINS == 0)
            sched_yield();
    }
}

/* A cell whose window is over becomes the key's; false: there is none, or it woke up meanwhile. */
static bool claim(struct cell *cell, const struct subject *s)
{
    uint64_t state = atomic_load_explicit(&cell->state, memory_order_acquire);
    if (end_of(state) > s->now ||
        !atomic_compare_exchange_strong_explicit(&cell->state, &state, CLAIMED,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    atomic_store_explicit(&cell->key[0], s->key[0], memory_order_relaxed);
    atomic_store_explicit(&cell->key[1], s->key[1], memory_order_relaxed);
    atomic_store_explicit(&cell->state, state_of(s->end, 0), memory_order_release);
    return true;
}

/* Two threads with the same new key must not both place it: hence the lock. */
static struct cell *place(struct set *set, const struct subject *s, uint64_t *ret_state)
{
    lock(set);
    struct cell *cell = find(set, s, ret_state);
    for (unsigned i = 0; !cell && i < SET_CELLS; i++) {
        struct cell *candidate = &set->cells[(i + s->key[1]) % SET_CELLS];
        if (claim(candidate, s)) {
            cell = candidate;
            *ret_state = state_of(s->end, 0);
        }
    }
    atomic_store_explicit(&set->placing, false, memory_order_release);
    return cell;
}

static struct cell *find_or_place(struct dp_limiter *limiter, const struct subject *s,
                                  uint64_t *ret_state)
{
    struct set *set = set_of(limiter, s);
    struct cell *cell = find(set, s, ret_state);
    return cell ? cell : place(set, s, ret_state);
}

static void report(struct dp_limit *limit, uint64_t state, gw_msec wall_ms)
{
    limit->remaining = GW_MAX(limit->limit - count_of(state), 0);
    limit->reset_ms = GW_MAX((gw_msec)end_of(state) * 1000 - wall_ms, 1);
}

/* Fills what is reported; true when there is room. */
static bool look(struct dp_limiter *limiter, struct dp_limit *limit, struct subject *s,
                 gw_msec wall_ms)
{
    *s = subject_of(limit, wall_ms);
    s->cell = find_or_place(limiter, s, &s->state);
    report(limit, s->cell ? state_now(s, s->state) : state_of(s->end, 0), wall_ms);
    return limit->remaining > 0;
}

/* Behind look: mostly the cell is as it was. *ret_end: the window that it counts in, 0 when it is
 * not counted anywhere. */
static bool grant(struct dp_limiter *limiter, struct dp_limit *limit, const struct subject *s,
                  gw_msec wall_ms, uint32_t *ret_end)
{
    uint64_t seen = s->state, next = 0;
    struct cell *cell = s->cell;
    while (cell) {
        next = state_now(s, seen);
        report(limit, next, wall_ms);
        if (limit->remaining == 0)
            return false;
        if (atomic_compare_exchange_weak_explicit(&cell->state, &seen, next + 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            break;
        cell = find_or_place(limiter, s, &seen);
    }
    if (!cell)
        atomic_fetch_add_explicit(&limiter->overflows, 1, memory_order_relaxed);
    report(limit, cell ? next + 1 : state_of(s->end, 1), wall_ms);
    *ret_end = cell ? end_of(next) : 0;
    return true;
}

/* Unless that window has gone meanwhile. */
static void give_back(struct dp_limiter *limiter, const struct subject *s, uint32_t end)
{
    uint64_t seen = 0;
    struct cell *cell = NULL;
    do {
        cell = find(set_of(limiter, s), s, &seen);
        if (!cell || end_of(seen) != end || count_of(seen) == 0)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&cell->state, &seen, seen - 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
}

int dp_limiter_take(struct dp_limiter *limiter, struct dp_limit *limits, unsigned count,
                    gw_msec wall_ms)
{
    assert(count <= DP_LIMITS_MAX);
    struct subject subjects[DP_LIMITS_MAX];
    int full = -1;
    for (unsigned i = 0; i < count; i++) {
        if (!look(limiter, &limits[i], &subjects[i], wall_ms) && full < 0)
            full = (int)i;
    }
    if (full >= 0)
        return full;
    uint32_t ends[DP_LIMITS_MAX];
    for (unsigned i = 0; i < count; i++) {
        if (grant(limiter, &limits[i], &subjects[i], wall_ms, &ends[i]))
            continue;
        for (unsigned k = 0; k < i; k++) { /* another thread was faster */
            give_back(limiter, &subjects[k], ends[k]);
            limits[k].remaining++;
        }
        return (int)i;
    }
    return -1;
}
