/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/timer.h"

#define TURN_TICKS DP_WHEEL_SLOTS
#define REACH_TICKS ((int64_t)TURN_TICKS * (DP_WHEEL_SLOTS - 1))

void dp_timer_init(struct dp_timer *timer, void (*expired)(struct dp_timer *))
{
    gw_list_init(&timer->node);
    timer->deadline = 0;
    timer->placed = 0;
    timer->expired = expired;
}

/* Into the slot of the first tick that is not before the deadline. */
static void place(struct dp_wheel *wheel, struct dp_timer *timer)
{
    int64_t tick = (timer->deadline + DP_WHEEL_TICK_MS - 1) / DP_WHEEL_TICK_MS;
    tick = GW_MAX(tick, wheel->tick);
    tick = GW_MIN(tick, wheel->tick + REACH_TICKS);
    struct gw_list *slot;
    gw_msec wake;
    if (tick - wheel->tick < TURN_TICKS) {
        slot = &wheel->near[tick % DP_WHEEL_SLOTS];
        wake = tick * DP_WHEEL_TICK_MS;
    } else {
        slot = &wheel->far[tick / TURN_TICKS % DP_WHEEL_SLOTS];
        wake = tick / TURN_TICKS * TURN_TICKS * DP_WHEEL_TICK_MS;
    }
    timer->placed = timer->deadline;
    gw_list_push(slot, &timer->node);
    wheel->next_ms = GW_MIN(wheel->next_ms, wake);
}

void dp_timer_arm(struct dp_wheel *wheel, struct dp_timer *timer, gw_msec deadline)
{
    timer->deadline = deadline;
    if (!gw_list_is_empty(&timer->node)) {
        if (deadline >= timer->placed)
            return; /* its slot comes earlier and places it again */
        gw_list_remove(&timer->node);
    }
    place(wheel, timer);
}

void dp_timer_stop(struct dp_timer *timer)
{
    gw_list_remove(&timer->node);
}

void dp_wheel_init(struct dp_wheel *wheel, gw_msec now)
{
    for (unsigned i = 0; i < DP_WHEEL_SLOTS; i++) {
        gw_list_init(&wheel->near[i]);
        gw_list_init(&wheel->far[i]);
    }
    wheel->tick = now / DP_WHEEL_TICK_MS + 1;
    wheel->next_ms = INT64_MAX;
}

/* Empties a slot: what is due fires, the rest finds its new place. Works on a list of its own
 * because a callback may arm into the same slot. */
static void handle_slot(struct dp_wheel *wheel, struct gw_list *slot, gw_msec due)
{
    if (gw_list_is_empty(slot))
        return;
    struct gw_list batch;
    gw_list_insert(slot, &batch);
    gw_list_remove(slot);
    while (!gw_list_is_empty(&batch)) {
        struct dp_timer *timer = gw_container_of(batch.next, struct dp_timer, node);
        gw_list_remove(&timer->node);
        if (timer->deadline <= due)
            timer->expired(timer);
        else if (timer->deadline != DP_TIMER_NEVER)
            place(wheel, timer);
    }
}

/* The earliest moment at which a slot has something. */
static gw_msec find_next(const struct dp_wheel *wheel)
{
    gw_msec next = INT64_MAX;
    for (int64_t tick = wheel->tick; tick < wheel->tick + TURN_TICKS; tick++) {
        if (!gw_list_is_empty(&wheel->near[tick % DP_WHEEL_SLOTS])) {
            next = tick * DP_WHEEL_TICK_MS;
            break;
        }
    }
    int64_t turn = wheel->tick / TURN_TICKS + (wheel->tick % TURN_TICKS != 0);
    for (int64_t i = turn; i < turn + DP_WHEEL_SLOTS; i++) {
        if (!gw_list_is_empty(&wheel->far[i % DP_WHEEL_SLOTS]))
            return GW_MIN(next, i * TURN_TICKS * DP_WHEEL_TICK_MS);
    }
    return next;
}

void dp_wheel_advance(struct dp_wheel *wheel, gw_msec now)
{
    int64_t last = now / DP_WHEEL_TICK_MS;
    if (now < wheel->next_ms) {
        if (wheel->next_ms == INT64_MAX)
            wheel->tick = last + 1;
        return;
    }
    /* After a stop of the whole process: once around is every slot there is. */
    wheel->tick = GW_MAX(wheel->tick, last - (int64_t)TURN_TICKS * DP_WHEEL_SLOTS);
    while (wheel->tick <= last) {
        int64_t tick = wheel->tick;
        if (tick % TURN_TICKS == 0)
            handle_slot(wheel, &wheel->far[tick / TURN_TICKS % DP_WHEEL_SLOTS], -1);
        wheel->tick++; /* a callback that arms "now" gets the next tick */
        handle_slot(wheel, &wheel->near[tick % DP_WHEEL_SLOTS], tick * DP_WHEEL_TICK_MS);
    }
    wheel->next_ms = find_next(wheel);
}
