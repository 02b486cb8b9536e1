/* SPDX-License-Identifier: Apache-2.0 */
#include "common/slab.h"

#include "common/list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES ((size_t)64 * 1024)
#define REGION_PAGES 32
#define REGION_BYTES (REGION_PAGES * PAGE_BYTES) /* a huge page of x86-64, and of most arm64 */
/* The first regions are made of small pages, so that a process with little in them stays little. */
#define SMALL_REGIONS 4

/* Pieces of up to 512 bytes come in steps of 16, up to 2 KiB in four steps to the double, and above
 * as large as fit on a page together: 31 of them, 30, ... 2. Those above 512 are whole cache lines,
 * as is what stands before them. */
#define LINE_BYTES GW_SLAB_LINE_BYTES
#define STEP_BYTES ((size_t)16)
#define STEPS_MAX_BYTES ((size_t)512)
#define QUARTERS_MAX_BYTES ((size_t)2048)
#define STEP_SIZES (STEPS_MAX_BYTES / STEP_BYTES)
#define QUARTER_SIZES ((size_t)8)
#define TOGETHER_MAX 31
#define SIZES (STEP_SIZES + QUARTER_SIZES + TOGETHER_MAX - 1)

/* Of one mapping. */
struct region {
    struct gw_list in_regions;
    char *base;
    uint32_t free;  /* bit n: page n is */
    uint32_t stale; /* of those: the kernel may have memory there */
    bool is_large;  /* asks for huge pages: they fill it at the first touch */
};

struct piece {
    struct piece *next;
};

/* At the start of its 64 KiB; the pieces come behind. */
struct page {
    _Alignas(LINE_BYTES) struct gw_list in_size; /* of those that have room */
    struct region *region;                       /* NULL: one large piece, malloc's */
    struct piece *free;                          /* that were used before */
    size_t piece_bytes;
    uint32_t used; /* pieces */
    uint32_t made; /* bytes, header and all, that pieces were cut from */
};

#define PIECES_BYTES (PAGE_BYTES - sizeof(struct page))
_Static_assert(PIECES_BYTES / 2 >= GW_SLAB_PIECE_MAX && PIECES_BYTES % LINE_BYTES == 0, "");

static struct {
    pthread_mutex_t lock;
    struct gw_list sizes[SIZES]; /* struct page with room, by the size of its pieces */
    struct gw_list regions;      /* those with a free page come first */
    size_t region_count, empty_count;
} slabs = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- sizes */

static size_t size_index(size_t size)
{
    size = (size + STEP_BYTES - 1) & ~(STEP_BYTES - 1);
    if (size <= STEPS_MAX_BYTES)
        return size / STEP_BYTES - 1;
    if (size > QUARTERS_MAX_BYTES)
        return STEP_SIZES + QUARTER_SIZES + TOGETHER_MAX -
               PIECES_BYTES / ((size + LINE_BYTES - 1) & ~(LINE_BYTES - 1));
    size_t octave = 63 - (size_t)__builtin_clzll(size - 1); /* 2^octave < size */
    return STEP_SIZES + (octave - 9) * 4 + ((size - 1) >> (octave - 2) & 3);
}

static size_t size_at(size_t index)
{
    if (index < STEP_SIZES)
        return (index + 1) * STEP_BYTES;
    index -= STEP_SIZES;
    if (index >= QUARTER_SIZES)
        return PIECES_BYTES / (TOGETHER_MAX - (index - QUARTER_SIZES)) & ~(LINE_BYTES - 1);
    return (4 + index % 4 + 1) << (index / 4 + 9 - 2);
}

static struct page *page_of(void *ptr)
{
    return (struct page *)((uintptr_t)ptr & ~(uintptr_t)(PAGE_BYTES - 1));
}

/* ---- regions */

/* Aligned to its own size: the kernel is asked for twice as much, and has the rest back. */
static char *map_region(void)
{
    char *start = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        gw_panic("out of memory: no %zu bytes of address space", 2 * REGION_BYTES);
    size_t before = -(uintptr_t)start & (REGION_BYTES - 1);
    if (before > 0)
        (void)munmap(start, before); /* costs address space alone */
    (void)munmap(start + before + REGION_BYTES, REGION_BYTES - before);
    return start + before;
}

/* Not all kernels have them: small ones do. */
static void enlarge(struct region *region)
{
    region->is_large = true;
    region->stale = region->free;
    (void)madvise(region->base, REGION_BYTES, MADV_HUGEPAGE);
}

static struct region *new_region(void)
{
    struct region *region = gw_calloc(1, sizeof *region);
    region->base = map_region();
    region->free = UINT32_MAX;
    if (slabs.region_count >= SMALL_REGIONS)
        enlarge(region);
    else /* where the kernel gives them unasked */
        (void)madvise(region->base, REGION_BYTES, MADV_NOHUGEPAGE);
    gw_list_push_front(&slabs.regions, &region->in_regions);
    slabs.region_count++;
    slabs.empty_count++;
    return region;
}

static struct region *take_out(struct region *region)
{
    gw_list_remove(&region->in_regions);
    slabs.region_count--;
    slabs.empty_count--;
    return region;
}

/* Without the lock: it takes the kernel a while. */
static void unmap(struct region *region)
{
    if (!region)
        return;
    (void)munmap(region->base, REGION_BYTES); /* what fails is lost until the process ends */
    free(region);
}

static struct page *take_page(void)
{
    struct region *region = gw_list_is_empty(&slabs.regions)
                                ? NULL
                                : gw_container_of(slabs.regions.next, struct region, in_regions);
    if (!region || region->free == 0)
        region = new_region();
    if (region->free == UINT32_MAX)
        slabs.empty_count--;
    unsigned at = (unsigned)__builtin_ctz(region->free);
    region->free &= ~(1u << at);
    region->stale &= region->free;
    if (region->free == 0) {
        gw_list_remove(&region->in_regions);
        gw_list_push(&slabs.regions, &region->in_regions);
        if (slabs.region_count > SMALL_REGIONS && !region->is_large)
            enlarge(region);
    }
    struct page *page = (struct page *)(void *)(region->base + at * PAGE_BYTES);
    page->region = region;
    return page;
}

/* Returns a region that is of no use any more, NULL: none. */
static struct region *give_page(struct page *page)
{
    struct region *region = page->region;
    uint32_t bit = 1u << (((uintptr_t)page - (uintptr_t)region->base) / PAGE_BYTES);
    if (region->free == 0) {
        gw_list_remove(&region->in_regions);
        gw_list_push_front(&slabs.regions, &region->in_regions);
    }
    region->free |= bit;
    region->stale |= bit;
    bool is_empty = region->free == UINT32_MAX;
    return is_empty && ++slabs.empty_count > 1 ? take_out(region) : NULL;
}

/* ---- pieces */

static bool has_room(const struct page *page)
{
    return page->free || page->made + page->piece_bytes <= PAGE_BYTES;
}

static struct page *new_page(size_t index)
{
    struct page *page = take_page();
    page->free = NULL;
    page->piece_bytes = size_at(index);
    page->used = 0;
    page->made = sizeof *page;
    gw_list_push(&slabs.sizes[index], &page->in_size);
    return page;
}

static void *take_piece(size_t index)
{
    struct gw_list *list = &slabs.sizes[index];
    if (!list->next) /* the first of all */
        gw_list_init(list);
    struct page *page = gw_list_is_empty(list) ? new_page(index)
                                               : gw_container_of(list->next, struct page, in_size);
    void *piece = page->free;
    if (piece) {
        page->free = page->free->next;
    } else {
        piece = (char *)page + page->made;
        page->made += (uint32_t)page->piece_bytes;
    }
    page->used++;
    if (!has_room(page))
        gw_list_remove(&page->in_size);
    return piece;
}

/* As give_page. */
static struct region *give_piece(struct page *page, struct piece *piece)
{
    bool had_room = has_room(page);
    piece->next = page->free;
    page->free = piece;
    if (--page->used == 0) {
        if (had_room)
            gw_list_remove(&page->in_size);
        return give_page(page);
    }
    if (!had_room)
        gw_list_push(&slabs.sizes[size_index(page->piece_bytes)], &page->in_size);
    return NULL;
}

static void *alloc_large(size_t size)
{
    if (size > SIZE_MAX / 2)
        gw_panic("out of memory: no %zu bytes", size);
    size_t bytes = (sizeof(struct page) + size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    struct page *page = aligned_alloc(PAGE_BYTES, bytes);
    if (!page)
        gw_panic("out of memory: no %zu bytes", bytes);
    page->region = NULL;
    page->piece_bytes = bytes - sizeof *page;
    return page + 1;
}

static void *alloc_watched(size_t size)
{
    if (size == 0 || size % LINE_BYTES != 0)
        return gw_malloc(size);
    void *piece = aligned_alloc(LINE_BYTES, size);
    if (!piece)
        gw_panic("out of memory: no %zu bytes", size);
    return piece;
}

/* ---- the calls */

void *gw_slab_alloc(size_t size)
{
    if (GW_HAS_ASAN)
        return alloc_watched(size);
    if (size > GW_SLAB_PIECE_MAX)
        return alloc_large(size);
    size_t index = size_index(size ? size : 1);
    pthread_mutex_lock(&slabs.lock);
    if (!slabs.regions.next)
        gw_list_init(&slabs.regions);
    void *piece = take_piece(index);
    pthread_mutex_unlock(&slabs.lock);
    return piece;
}

void *gw_slab_zalloc(size_t size)
{
    return memset(gw_slab_alloc(size), 0, size);
}

void gw_slab_free(void *ptr)
{
    if (GW_HAS_ASAN || !ptr) {
        free(ptr);
        return;
    }
    struct page *page = page_of(ptr);
    if (!page->region) {
        free(page);
        return;
    }
    pthread_mutex_lock(&slabs.lock);
    struct region *useless = give_piece(page, ptr);
    pthread_mutex_unlock(&slabs.lock);
    unmap(useless);
}

void *gw_slab_realloc(void *ptr, size_t size)
{
    if (GW_HAS_ASAN)
        return gw_realloc(ptr, size);
    size_t before = page_of(ptr)->piece_bytes;
    bool fits = page_of(ptr)->region
                    ? size <= GW_SLAB_PIECE_MAX && size_at(size_index(size ? size : 1)) == before
                    : size <= before && size > before / 2;
    if (fits)
        return ptr;
    void *other = gw_slab_alloc(size);
    memcpy(other, ptr, GW_MIN(before, size));
    gw_slab_free(ptr);
    return other;
}

/* Runs of pages in one call each. The kernel would fill the holes again, for one huge page. */
static void forget_stale(struct region *region)
{
    if (region->is_large && region->stale)
        (void)madvise(region->base, REGION_BYTES, MADV_NOHUGEPAGE); /* fails where there are none */
    region->is_large = region->is_large && !region->stale;
    while (region->stale) {
        unsigned from = (unsigned)__builtin_ctz(region->stale), to = from;
        for (; to < REGION_PAGES && region->stale >> to & 1; to++)
            region->stale &= ~(1u << to);
        (void)madvise(region->base + from * PAGE_BYTES, (to - from) * PAGE_BYTES,
                      MADV_DONTNEED); /* what fails stays in memory */
    }
}

/* Of those that have a free page. */
static struct region *find_trimmable(void)
{
    gw_list_each(&slabs.regions, node)
    {
        struct region *region = gw_container_of(node, struct region, in_regions);
        if (region->free == 0)
            return NULL;
        if (region->stale || region->free == UINT32_MAX)
            return region;
    }
    return NULL;
}

/* One region at a time: who waits for the lock gets it between them. */
void gw_slab_trim(void)
{
    struct region *region, *useless;
    do {
        pthread_mutex_lock(&slabs.lock);
        region = slabs.regions.next ? find_trimmable() : NULL;
        useless = region && region->free == UINT32_MAX ? take_out(region) : NULL;
        if (region && !useless)
            forget_stale(region);
        pthread_mutex_unlock(&slabs.lock);
        unmap(useless);
    } while (region);
}

size_t gw_slab_mapped_bytes(void)
{
    pthread_mutex_lock(&slabs.lock);
    size_t bytes = slabs.region_count * REGION_BYTES;
    pthread_mutex_unlock(&slabs.lock);
    return bytes;
}
