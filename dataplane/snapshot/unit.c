/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/unit.h"

#include "common/slab.h"

void *dp_unit_new(size_t size, size_t arena_block_bytes)
{
    size_t arena_at = (size + _Alignof(struct gw_arena) - 1) & ~(_Alignof(struct gw_arena) - 1);
    bool has_arena = arena_block_bytes > 0;
    struct dp_unit *unit = gw_slab_zalloc(has_arena ? arena_at + sizeof(struct gw_arena) : size);
    atomic_init(&unit->refs, 1);
    if (has_arena) {
        unit->arena = (struct gw_arena *)(void *)((char *)unit + arena_at);
        gw_arena_init(unit->arena, arena_block_bytes);
        unit->arena->is_of_slabs = true;
    }
    return unit;
}

struct dp_unit *dp_unit_ref(struct dp_unit *unit)
{
    atomic_fetch_add_explicit(&unit->refs, 1, memory_order_relaxed);
    return unit;
}

void dp_unit_unref(struct dp_unit *unit)
{
    if (!unit || atomic_fetch_sub_explicit(&unit->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (unit->arena)
        gw_arena_done(unit->arena);
    gw_slab_free(unit);
}

static void unref(void *unit)
{
    dp_unit_unref(unit);
}

void dp_unit_keep(struct dp_unit *unit, struct dp_unit *other)
{
    gw_arena_defer(unit->arena, unref, dp_unit_ref(other));
}
