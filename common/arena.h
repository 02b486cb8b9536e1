/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocator: everything of one lifetime, freed at once. One thread at a time. */
#ifndef GW_ARENA_H
#define GW_ARENA_H

#include "common/str.h"

struct gw_arena_block;
struct gw_arena_defer;

struct gw_arena {
    char *at, *end;               /* free part of the current block */
    struct gw_arena_block *block; /* owned, newest first */
    struct gw_arena_defer *defers;
    size_t total_bytes;   /* held now */
    uint32_t block_bytes; /* size of the next ordinary block */
    bool is_of_slabs;     /* blocks are slab.h's, else malloc's; set before the first one */
};

/* No allocation yet; the first block is made at the first use. block_bytes 0: 4 KiB. */
void gw_arena_init(struct gw_arena *arena, size_t block_bytes);
/* Runs the defers, newest first, and frees everything. Also good for a zeroed arena. */
void gw_arena_done(struct gw_arena *arena);
/* Runs the defers and keeps one ordinary block for reuse. */
void gw_arena_reset(struct gw_arena *arena);

/* Aligned for any type, never NULL; not zeroed. size 0 gives a unique pointer. */
void *gw_arena_alloc(struct gw_arena *arena, size_t size);
void *gw_arena_zalloc(struct gw_arena *arena, size_t size);
/* Byte-aligned: for text. */
char *gw_arena_bytes(struct gw_arena *arena, size_t size);
/* Copies; the copy is followed by a NUL that its length does not count. */
gw_str gw_arena_dup(struct gw_arena *arena, gw_str s);
char *gw_arena_strdup(struct gw_arena *arena, const char *text);
gw_str gw_arena_printf(struct gw_arena *arena, const char *format, ...) GW_PRINTF(2, 3);

/* fn(ptr) runs at reset or done: the only way for something that is not memory into an arena. */
void gw_arena_defer(struct gw_arena *arena, void (*fn)(void *), void *ptr);

#define GW_ARENA_NEW(arena, type) ((type *)gw_arena_zalloc((arena), sizeof(type)))
#define GW_ARENA_ARRAY(arena, type, n) ((type *)gw_arena_zalloc((arena), sizeof(type) * (n)))

#endif
