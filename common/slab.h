/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for what there may be millions of, and lives long: pieces of one size stand together on
 * pages of 64 KiB, without a header each, and pages come 32 at a time from the kernel, as one huge
 * page (2 MiB) where it gives those. A hundred thousand routes are then some hundred page faults,
 * where malloc's arena of a thread grows by 4 KiB and has fifty thousand; and what reads them needs
 * few entries of the TLB. Everything else is malloc's.
 *
 * Any thread, under one lock that is held for some ten instructions, or while the kernel gives or
 * takes one region. Under AddressSanitizer all of it is malloc, which sees more. */
#ifndef GW_SLAB_H
#define GW_SLAB_H

#include "common/base.h"

/* As gw_malloc and gw_calloc: never NULL, aligned for any type; sizes that are multiples of
 * GW_SLAB_LINE_BYTES to a cache line. */
#define GW_SLAB_LINE_BYTES ((size_t)64)
void *gw_slab_alloc(size_t size);
void *gw_slab_zalloc(size_t size);
/* The piece, or one of that size with as much of its content, aligned for any type; ptr is not
 * NULL. */
GW_MUST_CHECK void *gw_slab_realloc(void *ptr, size_t size);
void gw_slab_free(void *ptr); /* takes NULL */

/* Gives back to the kernel what is free: a whole region goes by itself when it is the second one
 * that is empty. Takes 1 us a page. */
void gw_slab_trim(void);
size_t gw_slab_mapped_bytes(void); /* of address space, for the pieces of up to GW_SLAB_PIECE_MAX */

/* Above it each piece is an allocation of its own. */
#define GW_SLAB_PIECE_MAX ((size_t)32 * 1024 - 64)

#endif
