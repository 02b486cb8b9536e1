/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *ptr, size_t size)
{
    if (gw_unlikely(!ptr))
        gw_panic("out of memory: %zu bytes", size);
    return ptr;
}

/* malloc(0) may answer NULL; callers are promised that they never see it. */
void *gw_malloc(size_t size)
{
    return check(malloc(size ? size : 1), size);
}

void *gw_calloc(size_t count, size_t size)
{
    bool empty = count == 0 || size == 0;
    return check(empty ? calloc(1, 1) : calloc(count, size), size);
}

void *gw_realloc(void *ptr, size_t size)
{
    return check(realloc(ptr, size ? size : 1), size);
}

char *gw_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(gw_malloc(size), text, size);
}

void gw_freep(void *ptr_to_ptr)
{
    free(*(void **)ptr_to_ptr);
}

void gw_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("panic: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
