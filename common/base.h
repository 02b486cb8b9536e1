/* SPDX-License-Identifier: Apache-2.0 */
/* The few compiler facts that everything else may rely on; the only home of #if in the tree. */
#ifndef GW_BASE_H
#define GW_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type `type` whose field `member` is at `ptr`. */
#define gw_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A result that must be looked at. A deliberate discard is written (void)f() with a reason. */
#define GW_MUST_CHECK __attribute__((warn_unused_result))
#define GW_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define GW_NORETURN __attribute__((noreturn))
#define GW_UNUSED __attribute__((unused))
#define gw_likely(x) __builtin_expect(!!(x), 1)
#define gw_unlikely(x) __builtin_expect(!!(x), 0)

/* Runs fn(&variable) when the scope ends; for straight-line code (control plane, compile, tests).
 */
#define gw_auto(fn) __attribute__((cleanup(fn)))

#define GW_MIN(a, b) ((a) < (b) ? (a) : (b))
#define GW_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Tells ThreadSanitizer of a hand-over it cannot see (a tag that passes through the gRPC core,
 * whose locks are not instrumented). Nothing in other builds. */
#if defined(__SANITIZE_THREAD__)
#define GW_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GW_TSAN 1
#endif
#endif
#ifdef GW_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define gw_tsan_acquire(p) __tsan_acquire(p)
#define gw_tsan_release(p) __tsan_release(p)
#else
#define gw_tsan_acquire(p) ((void)(p))
#define gw_tsan_release(p) ((void)(p))
#endif

/* Marks bytes of our own allocators for AddressSanitizer. Nothing in other builds. */
#if defined(__SANITIZE_ADDRESS__)
#define GW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GW_ASAN 1
#endif
#endif
#ifdef GW_ASAN
#define GW_HAS_ASAN true
#define GW_REDZONE_BYTES 16
void __asan_poison_memory_region(const volatile void *addr, size_t size);
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
#define gw_poison(p, n) __asan_poison_memory_region((p), (n))
#define gw_unpoison(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define GW_HAS_ASAN false
#define GW_REDZONE_BYTES 0
#define gw_poison(p, n) ((void)(p), (void)(n))
#define gw_unpoison(p, n) ((void)(p), (void)(n))
#endif

/* For code that goes past libc, where a sanitizer does not see it. */
#if defined(GW_TSAN) || defined(GW_ASAN)
#define GW_IS_SANITIZED true
#else
#define GW_IS_SANITIZED false
#endif

/* Sixteen bytes at once, for scanners. A comparison gives lanes of 0x00 and 0xff; bit i of the mask
 * is lane i. */
typedef unsigned char gw_lanes __attribute__((vector_size(16)));
static inline unsigned gw_lanes_mask(gw_lanes lanes)
{
#if defined(__SSE2__)
    typedef char sse_lanes __attribute__((vector_size(16)));
    return (unsigned)__builtin_ia32_pmovmskb128((sse_lanes)lanes);
#else
    uint64_t half[2];
    __builtin_memcpy(half, &lanes, sizeof(half));
    for (unsigned i = 0; i < 2; i++)
        half[i] = ((half[i] & 0x8080808080808080u) * 0x0002040810204081u) >> 56;
    return (unsigned)(half[0] | half[1] << 8);
#endif
}

/* Allocation never fails: out of memory aborts, because everything a peer can grow is bounded. */
void *gw_malloc(size_t size);
void *gw_calloc(size_t count, size_t size);
void *gw_realloc(void *ptr, size_t size);
char *gw_strdup(const char *text);
/* free() for gw_auto: gw_auto(gw_freep) char *text = ...; */
void gw_freep(void *ptr_to_ptr);

/* Aborts after one line on stderr: for conditions that only a bug of ours can cause. */
GW_NORETURN void gw_panic(const char *format, ...) GW_PRINTF(1, 2);

#endif
