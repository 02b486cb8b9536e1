/* SPDX-License-Identifier: Apache-2.0 */
/* Growable bytes with a hard limit, consumed from the front: sockets, files, messages. */
#ifndef GW_BUF_H
#define GW_BUF_H

#include "common/str.h"

struct gw_buf {
    char *data;         /* owned */
    size_t start, end;  /* data[start..end) is the content */
    size_t capacity;    /* bytes allocated */
    size_t limit_bytes; /* most content ever held; 0: no limit (only for bytes that we make) */
};

void gw_buf_init(struct gw_buf *buf, size_t limit_bytes);
/* Frees the memory; the buffer may be used again. */
void gw_buf_done(struct gw_buf *buf);

static inline size_t gw_buf_len(const struct gw_buf *buf)
{
    return buf->end - buf->start;
}

static inline gw_str gw_buf_view(const struct gw_buf *buf)
{
    return (gw_str){buf->data ? buf->data + buf->start : NULL, buf->end - buf->start};
}

/* Room for `bytes` more at data + end. 0, or -ENOBUFS beyond the limit. May move the content. */
GW_MUST_CHECK int gw_buf_reserve(struct gw_buf *buf, size_t bytes);
/* Bytes written by the caller behind data + end, after gw_buf_reserve. */
void gw_buf_commit(struct gw_buf *buf, size_t bytes);
GW_MUST_CHECK int gw_buf_append(struct gw_buf *buf, gw_str bytes);
GW_MUST_CHECK int gw_buf_printf(struct gw_buf *buf, const char *format, ...) GW_PRINTF(2, 3);
/* Drops from the front; an empty buffer starts again at 0. */
void gw_buf_consume(struct gw_buf *buf, size_t bytes);
void gw_buf_clear(struct gw_buf *buf);

#endif
