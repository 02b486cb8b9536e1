/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/retired.h"

#include "common/slab.h"

#include <ev.h>
#include <malloc.h>
#include <stdlib.h>

#define LOOK_S 0.1
#define LOOK_MAX_S 10. /* while none can go: a call may last for hours */

struct dp_retired {
    struct ev_loop *loop; /* borrowed */
    ev_timer look;        /* active: there are some */
    struct dp_snapshot **items;
    size_t count, room;
};

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct dp_retired *retired = timer->data;
    size_t kept = 0;
    for (size_t i = 0; i < retired->count; i++) {
        struct dp_snapshot *snapshot = retired->items[i];
        if (dp_snapshot_is_shared(snapshot))
            retired->items[kept++] = snapshot;
        else
            dp_snapshot_unref(snapshot);
    }
    bool has_gone = kept < retired->count;
    if (has_gone) {
        gw_slab_trim();
        (void)malloc_trim(0); /* there may be nothing to give back */
    }
    retired->count = kept;
    timer->repeat = has_gone ? LOOK_S : GW_MIN(timer->repeat * 2, LOOK_MAX_S);
    if (kept > 0)
        ev_timer_again(loop, timer);
    else
        ev_timer_stop(loop, timer);
}

struct dp_retired *dp_retired_new(struct ev_loop *loop)
{
    struct dp_retired *retired = gw_calloc(1, sizeof(*retired));
    retired->loop = loop;
    ev_timer_init(&retired->look, on_look, LOOK_S, LOOK_S);
    retired->look.data = retired;
    return retired;
}

void dp_retired_free(struct dp_retired *retired)
{
    if (!retired)
        return;
    ev_timer_stop(retired->loop, &retired->look);
    for (size_t i = 0; i < retired->count; i++)
        dp_snapshot_unref(retired->items[i]);
    free(retired->items);
    free(retired);
}

size_t dp_retired_count(const struct dp_retired *retired)
{
    return retired->count;
}

void dp_retired_add(struct dp_retired *retired, struct dp_snapshot *snapshot)
{
    if (retired->count == retired->room) {
        retired->room = GW_MAX((size_t)4, retired->room * 2);
        retired->items = gw_realloc(retired->items, retired->room * sizeof(struct dp_snapshot *));
    }
    retired->items[retired->count++] = snapshot;
    /* Not put off by each of many: else none would go before the last. */
    if (ev_is_active(&retired->look) && retired->look.repeat <= LOOK_S)
        return;
    retired->look.repeat = LOOK_S;
    ev_timer_again(retired->loop, &retired->look);
}
