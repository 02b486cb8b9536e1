/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CAPACITY_FIRST 256

void gw_buf_init(struct gw_buf *buf, size_t limit_bytes)
{
    *buf = (struct gw_buf){.limit_bytes = limit_bytes};
}

void gw_buf_done(struct gw_buf *buf)
{
    free(buf->data);
    gw_buf_init(buf, buf->limit_bytes);
}

static void compact(struct gw_buf *buf)
{
    size_t len = gw_buf_len(buf);
    memmove(buf->data, buf->data + buf->start, len);
    buf->start = 0;
    buf->end = len;
}

/* Doubles, but never beyond the limit. */
static void grow(struct gw_buf *buf, size_t need)
{
    size_t capacity = GW_MAX(GW_MAX(buf->capacity * 2, (size_t)CAPACITY_FIRST), need);
    if (buf->limit_bytes && capacity > buf->limit_bytes)
        capacity = buf->limit_bytes;
    if (buf->start > 0)
        compact(buf);
    buf->data = gw_realloc(buf->data, capacity);
    buf->capacity = capacity;
}

int gw_buf_reserve(struct gw_buf *buf, size_t bytes)
{
    size_t len = gw_buf_len(buf);
    size_t most = buf->limit_bytes ? buf->limit_bytes : SIZE_MAX / 4;
    if (len > most || bytes > most - len)
        return -ENOBUFS;
    if (gw_likely(buf->capacity - buf->end >= bytes) && buf->data)
        return 0;
    /* Moving pays when it frees at least what it copies; else, below the limit, growing does. */
    bool fits = buf->data && len + bytes <= buf->capacity;
    if (fits && (buf->start >= len || buf->capacity == buf->limit_bytes))
        compact(buf);
    else
        grow(buf, len + bytes);
    return 0;
}

void gw_buf_commit(struct gw_buf *buf, size_t bytes)
{
    assert(bytes <= buf->capacity - buf->end);
    buf->end += bytes;
}

int gw_buf_append(struct gw_buf *buf, gw_str bytes)
{
    int rc = gw_buf_reserve(buf, bytes.len);
    if (rc < 0)
        return rc;
    if (bytes.len)
        memcpy(buf->data + buf->end, bytes.ptr, bytes.len);
    buf->end += bytes.len;
    return 0;
}

/* vsnprintf also writes a NUL, which is not content: it needs no room under the limit when the text
 * is made in a scratch block. */
static int append_long(struct gw_buf *buf, size_t len, const char *format, va_list args)
{
    gw_auto(gw_freep) char *text = gw_malloc(len + 1);
    vsnprintf(text, len + 1, format, args);
    return gw_buf_append(buf, gw_str_n(text, len));
}

int gw_buf_printf(struct gw_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int written = vsnprintf(small, sizeof(small), format, args);
    int rc = -EINVAL;
    if (written >= 0 && (size_t)written < sizeof(small))
        rc = gw_buf_append(buf, gw_str_n(small, (size_t)written));
    else if (written >= 0)
        rc = append_long(buf, (size_t)written, format, again);
    va_end(again);
    va_end(args);
    return rc;
}

void gw_buf_consume(struct gw_buf *buf, size_t bytes)
{
    assert(bytes <= gw_buf_len(buf));
    buf->start += bytes;
    if (buf->start == buf->end)
        gw_buf_clear(buf);
}

void gw_buf_clear(struct gw_buf *buf)
{
    buf->start = buf->end = 0;
}
