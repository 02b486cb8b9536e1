/* SPDX-License-Identifier: Apache-2.0 */
/* String-keyed hash table; keys are copied in, values are the caller's. One thread at a time. */
#ifndef GW_MAP_H
#define GW_MAP_H

#include "common/str.h"

struct gw_map_entry {
    gw_str key; /* owned by the map; ptr NULL: free, see gw_map_next */
    uint64_t hash;
    void *value; /* borrowed */
};

struct gw_map {
    struct gw_map_entry *entries; /* owned; capacity is a power of two */
    size_t capacity, count;
};

void gw_map_init(struct gw_map *map);
void gw_map_done(struct gw_map *map);
/* NULL when absent. */
void *gw_map_get(const struct gw_map *map, gw_str key);
/* Adds or replaces; returns the value that was there before, or NULL. value is not NULL. */
void *gw_map_put(struct gw_map *map, gw_str key, void *value);
/* Removes; returns the value that was there, or NULL. */
void *gw_map_take(struct gw_map *map, gw_str key);
/* Walks in no order: for (struct gw_map_entry *e = NULL; (e = gw_map_next(map, e));). The map may
 * not change meanwhile. */
struct gw_map_entry *gw_map_next(const struct gw_map *map, struct gw_map_entry *after);

#endif
