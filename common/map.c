/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing, at most 3/4 full; removal shifts back what follows, so there are no tombstones.
 */
#include "common/map.h"

#include <stdlib.h>

#define CAPACITY_FIRST 16

void gw_map_init(struct gw_map *map)
{
    *map = (struct gw_map){0};
}

void gw_map_done(struct gw_map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free((void *)map->entries[i].key.ptr);
    free(map->entries);
    gw_map_init(map);
}

/* The entry of the key, or the free one where it belongs. There is always a free one. */
static struct gw_map_entry *find(const struct gw_map *map, gw_str key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct gw_map_entry *entry = &map->entries[i];
        if (!entry->key.ptr || (entry->hash == hash && gw_str_eq(entry->key, key)))
            return entry;
    }
}

static void grow(struct gw_map *map)
{
    struct gw_map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : CAPACITY_FIRST;
    map->entries = gw_calloc(map->capacity, sizeof(*map->entries));
    for (size_t i = 0; i < old.capacity; i++)
        if (old.entries[i].key.ptr)
            *find(map, old.entries[i].key, old.entries[i].hash) = old.entries[i];
    free(old.entries);
}

static gw_str own(gw_str key)
{
    char *copy = gw_malloc(key.len + 1);
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    copy[key.len] = 0;
    return gw_str_n(copy, key.len);
}

void *gw_map_get(const struct gw_map *map, gw_str key)
{
    return map->count ? find(map, key, gw_str_hash(key))->value : NULL;
}

void *gw_map_put(struct gw_map *map, gw_str key, void *value)
{
    assert(value);
    if ((map->count + 1) * 4 > map->capacity * 3)
        grow(map);
    uint64_t hash = gw_str_hash(key);
    struct gw_map_entry *entry = find(map, key, hash);
    void *before = entry->value;
    if (!before) {
        entry->key = own(key);
        entry->hash = hash;
        map->count++;
    }
    entry->value = value;
    return before;
}

/* Moves back every entry behind the hole that a probe from its home would no longer reach. */
static void close_hole(struct gw_map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->entries[i].key.ptr; i = (i + 1) & mask) {
        size_t home = map->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        map->entries[hole] = map->entries[i];
        hole = i;
    }
    map->entries[hole] = (struct gw_map_entry){0};
}

void *gw_map_take(struct gw_map *map, gw_str key)
{
    if (map->count == 0)
        return NULL;
    struct gw_map_entry *entry = find(map, key, gw_str_hash(key));
    void *value = entry->value;
    if (!value)
        return NULL;
    free((void *)entry->key.ptr);
    close_hole(map, (size_t)(entry - map->entries));
    map->count--;
    return value;
}

struct gw_map_entry *gw_map_next(const struct gw_map *map, struct gw_map_entry *after)
{
    size_t i = after ? (size_t)(after - map->entries) + 1 : 0;
    for (; i < map->capacity; i++)
        if (map->entries[i].key.ptr)
            return &map->entries[i];
    return NULL;
}
