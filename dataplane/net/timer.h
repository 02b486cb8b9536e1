/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts by the ten thousand: a wheel of two levels. Arming and stopping are list operations; to
 * arm later what is armed already, or rests, is one store. No clock, no I/O. One thread. */
#ifndef DP_NET_TIMER_H
#define DP_NET_TIMER_H

#include "common/clock.h"
#include "common/list.h"

/* Timeouts fire up to one tick late, never early. */
#define DP_WHEEL_TICK_MS 16
#define DP_WHEEL_SLOTS 256

#define DP_TIMER_NEVER INT64_MAX

struct dp_timer {
    struct gw_list node;                /* in a slot, or by itself */
    gw_msec deadline;                   /* when to fire; DP_TIMER_NEVER: it rests */
    gw_msec placed;                     /* the deadline its slot was chosen for; <= deadline */
    void (*expired)(struct dp_timer *); /* the timer is no longer armed then */
};

struct dp_wheel {
    struct gw_list near[DP_WHEEL_SLOTS]; /* one tick each: the next 4 s */
    struct gw_list far[DP_WHEEL_SLOTS];  /* one turn of `near` each: the next 17 minutes */
    int64_t tick;                        /* all ticks before it have been handled */
    gw_msec next_ms;                     /* nothing is due earlier; INT64_MAX: nothing armed */
};

void dp_timer_init(struct dp_timer *timer, void (*expired)(struct dp_timer *));
void dp_timer_arm(struct dp_wheel *wheel, struct dp_timer *timer, gw_msec deadline);
void dp_timer_stop(struct dp_timer *timer);
/* It does not fire, and keeps its slot for the next time: for what is armed for each request. To be
 * stopped before its memory goes. */
static inline void dp_timer_rest(struct dp_timer *timer)
{
    timer->deadline = DP_TIMER_NEVER;
}
static inline bool dp_timer_is_armed(const struct dp_timer *timer)
{
    return !gw_list_is_empty(&timer->node) && timer->deadline != DP_TIMER_NEVER;
}

void dp_wheel_init(struct dp_wheel *wheel, gw_msec now);
/* Fires what is due. The callbacks may arm and stop any timer. */
void dp_wheel_advance(struct dp_wheel *wheel, gw_msec now);

#endif
