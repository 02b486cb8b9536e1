/* SPDX-License-Identifier: Apache-2.0 */
#include "common/arena.h"

#include "common/slab.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES_DEFAULT 4096
#define ALIGNMENT _Alignof(max_align_t)
/* A request above this part of a block gets a block of its own, so the rest is not wasted. */
#define LARGE_PART 4

struct gw_arena_block {
    struct gw_arena_block *next; /* older */
    size_t bytes;                /* of data */
    _Alignas(max_align_t) char data[];
};

struct gw_arena_defer {
    struct gw_arena_defer *next; /* older */
    void (*fn)(void *);
    void *ptr;
};

void gw_arena_init(struct gw_arena *arena, size_t block_bytes)
{
    assert(block_bytes <= UINT32_MAX);
    *arena = (struct gw_arena){.block_bytes = (uint32_t)block_bytes};
}

static struct gw_arena_block *block_new(struct gw_arena *arena, size_t bytes)
{
    size_t size = sizeof(struct gw_arena_block) + bytes;
    struct gw_arena_block *block = arena->is_of_slabs ? gw_slab_alloc(size) : gw_malloc(size);
    block->bytes = bytes;
    arena->total_bytes += size;
    gw_poison(block->data, bytes);
    return block;
}

static void block_free(struct gw_arena *arena, struct gw_arena_block *block)
{
    arena->total_bytes -= sizeof(*block) + block->bytes;
    gw_unpoison(block->data, block->bytes);
    if (arena->is_of_slabs)
        gw_slab_free(block);
    else
        free(block);
}

/* A defer may add another one, which then runs next. */
static void run_defers(struct gw_arena *arena)
{
    while (arena->defers) {
        struct gw_arena_defer *defer = arena->defers;
        arena->defers = defer->next;
        defer->fn(defer->ptr);
    }
}

/* Frees all blocks but `keep`. */
static void drop_blocks(struct gw_arena *arena, struct gw_arena_block *keep)
{
    struct gw_arena_block *next;
    for (struct gw_arena_block *block = arena->block; block; block = next) {
        next = block->next;
        if (block != keep)
            block_free(arena, block);
    }
    arena->block = keep;
    arena->at = arena->end = NULL;
}

void gw_arena_done(struct gw_arena *arena)
{
    run_defers(arena);
    drop_blocks(arena, NULL);
}

void gw_arena_reset(struct gw_arena *arena)
{
    run_defers(arena);
    struct gw_arena_block *keep = arena->block;
    while (keep && keep->bytes != arena->block_bytes)
        keep = keep->next;
    drop_blocks(arena, keep);
    if (!keep)
        return;
    keep->next = NULL;
    arena->at = keep->data;
    arena->end = keep->data + keep->bytes;
    gw_poison(keep->data, keep->bytes);
}

/* Behind the current block, whose free part stays in use. */
static char *alloc_large(struct gw_arena *arena, size_t size)
{
    struct gw_arena_block *block = block_new(arena, size);
    if (arena->block) {
        block->next = arena->block->next;
        arena->block->next = block;
    } else {
        block->next = NULL;
        arena->block = block;
    }
    return block->data;
}

static char *alloc_slow(struct gw_arena *arena, size_t size)
{
    if (arena->block_bytes == 0)
        arena->block_bytes = BLOCK_BYTES_DEFAULT;
    if (size > arena->block_bytes / LARGE_PART)
        return alloc_large(arena, size);
    struct gw_arena_block *block = block_new(arena, arena->block_bytes);
    block->next = arena->block;
    arena->block = block;
    arena->at = block->data + size;
    arena->end = block->data + block->bytes;
    return block->data;
}

static char *alloc_aligned(struct gw_arena *arena, size_t size, size_t alignment)
{
    assert(size < SIZE_MAX / 2);
    size_t room = size + GW_REDZONE_BYTES;
    size_t pad = -(uintptr_t)arena->at & (alignment - 1);
    char *ptr;
    if (gw_likely((size_t)(arena->end - arena->at) >= pad + room)) {
        ptr = arena->at + pad;
        arena->at = ptr + room;
    } else {
        ptr = alloc_slow(arena, room);
    }
    gw_unpoison(ptr, size);
    return ptr;
}

void *gw_arena_alloc(struct gw_arena *arena, size_t size)
{
    return alloc_aligned(arena, size ? size : 1, ALIGNMENT);
}

void *gw_arena_zalloc(struct gw_arena *arena, size_t size)
{
    return memset(gw_arena_alloc(arena, size), 0, size);
}

char *gw_arena_bytes(struct gw_arena *arena, size_t size)
{
    return alloc_aligned(arena, size ? size : 1, 1);
}

gw_str gw_arena_dup(struct gw_arena *arena, gw_str s)
{
    char *copy = gw_arena_bytes(arena, s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = 0;
    return gw_str_n(copy, s.len);
}

char *gw_arena_strdup(struct gw_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(gw_arena_bytes(arena, size), text, size);
}

gw_str gw_arena_printf(struct gw_arena *arena, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int written = vsnprintf(small, sizeof(small), format, args);
    if (written < 0)
        gw_panic("gw_arena_printf: bad format \"%s\"", format);
    size_t len = (size_t)written;
    char *text = gw_arena_bytes(arena, len + 1);
    if (len < sizeof(small))
        memcpy(text, small, len + 1);
    else
        vsnprintf(text, len + 1, format, again);
    va_end(again);
    va_end(args);
    return gw_str_n(text, len);
}

void gw_arena_defer(struct gw_arena *arena, void (*fn)(void *), void *ptr)
{
    struct gw_arena_defer *defer = gw_arena_alloc(arena, sizeof(*defer));
    *defer = (struct gw_arena_defer){arena->defers, fn, ptr};
    arena->defers = defer;
}
