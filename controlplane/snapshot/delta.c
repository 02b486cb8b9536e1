/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks are written as bytes: fields of a protobuf message may be concatenated, so the packed
 * resources go in as they are, between a packed head and nothing else. */
#include "controlplane/snapshot/delta.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/message.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Tags of length-delimited fields: number << 3 | 2. */
#define TAG_CONTROL_MESSAGE_UPDATE 0x0a
#define TAG_UPDATE_UPSERTS 0x22
#define TAG_UPDATE_REMOVALS 0x2a
#define VARINT_MAX 10

static _Atomic size_t bytes_held;

struct cp_delta_writer {
    struct cp_delta *delta;
    struct gw_buf records; /* upserts and removals of the chunk being filled */
    size_t chunk_capacity;
};

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        out[length++] = (uint8_t)(value | 0x80);
    out[length++] = (uint8_t)value;
    return length;
}

static void append(struct gw_buf *buf, gw_str bytes)
{
    int failed = gw_buf_append(buf, bytes);
    assert(!failed); /* no limit: the bytes are ours */
    (void)failed;
}

/* tag, length: the start of a length-delimited field */
static void append_head(struct gw_buf *buf, uint8_t tag, size_t length)
{
    uint8_t head[1 + VARINT_MAX] = {tag};
    append(buf, gw_str_n((const char *)head, 1 + put_varint(head + 1, length)));
}

struct cp_delta_writer *cp_delta_begin(const char *cluster_id, int64_t base_revision,
                                       int64_t revision, gw_msec commit_ms)
{
    struct cp_delta *delta = gw_calloc(1, sizeof(*delta));
    delta->refs = 1;
    memcpy(delta->cluster_id, cluster_id, strnlen(cluster_id, sizeof(delta->cluster_id) - 1));
    delta->base_revision = base_revision;
    delta->revision = revision;
    delta->commit_ms = commit_ms;
    struct cp_delta_writer *writer = gw_calloc(1, sizeof(*writer));
    writer->delta = delta;
    gw_buf_init(&writer->records, 0);
    return writer;
}

static void flush(struct cp_delta_writer *writer, bool final)
{
    struct cp_delta *delta = writer->delta;
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    cp_update *update = CP_AGENT_NEW(&arena, cp_update, update);
    update->cluster_id = delta->cluster_id;
    update->revision = delta->revision;
    update->base_revision = delta->base_revision;
    update->final = final;
    gw_str head = gw_message_pack(&arena, &update->base);

    struct gw_buf out;
    gw_buf_init(&out, 0);
    gw_str records = gw_buf_view(&writer->records);
    append_head(&out, TAG_CONTROL_MESSAGE_UPDATE, head.len + records.len);
    append(&out, head);
    append(&out, records);
    gw_arena_done(&arena);
    gw_buf_clear(&writer->records);

    if (delta->chunk_count == writer->chunk_capacity) {
        writer->chunk_capacity = writer->chunk_capacity ? 2 * writer->chunk_capacity : 1;
        delta->chunks = gw_realloc(delta->chunks, writer->chunk_capacity * sizeof(gw_str));
    }
    gw_str chunk = gw_buf_view(&out);
    char *exact = gw_malloc(chunk.len);
    delta->chunks[delta->chunk_count++] = gw_str_n(memcpy(exact, chunk.ptr, chunk.len), chunk.len);
    gw_buf_done(&out);
}

static void add_record(struct cp_delta_writer *writer, uint8_t tag, gw_str bytes)
{
    size_t held = gw_buf_len(&writer->records);
    size_t after = held + bytes.len + 1 + VARINT_MAX;
    if (held >= CP_CHUNK_TARGET_BYTES || (held > 0 && after > CP_CHUNK_MAX_BYTES - 128))
        flush(writer, false);
    append_head(&writer->records, tag, bytes.len);
    append(&writer->records, bytes);
}

void cp_delta_upsert(struct cp_delta_writer *writer, gw_str packed)
{
    add_record(writer, TAG_UPDATE_UPSERTS, packed);
}

void cp_delta_remove(struct cp_delta_writer *writer, cp_agent_kind kind, gw_str name)
{
    struct gw_arena arena;
    gw_arena_init(&arena, 0);
    cp_agent_key *key = CP_AGENT_NEW(&arena, cp_agent_key, resource_key);
    char *text = gw_arena_bytes(&arena, name.len + 1);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    key->kind = kind;
    key->name = text;
    add_record(writer, TAG_UPDATE_REMOVALS, gw_message_pack(&arena, &key->base));
    gw_arena_done(&arena);
}

struct cp_delta *cp_delta_finish(struct cp_delta_writer *writer)
{
    flush(writer, true);
    struct cp_delta *delta = writer->delta;
    gw_buf_done(&writer->records);
    free(writer);
    for (size_t i = 0; i < delta->chunk_count; i++)
        delta->bytes += delta->chunks[i].len;
    atomic_fetch_add_explicit(&bytes_held, delta->bytes, memory_order_relaxed);
    return delta;
}

bool cp_delta_is_shared(const struct cp_delta *delta)
{
    return atomic_load_explicit(&delta->refs, memory_order_relaxed) > 1;
}

size_t cp_delta_bytes_held(void)
{
    return atomic_load_explicit(&bytes_held, memory_order_relaxed);
}

struct cp_delta *cp_delta_ref(struct cp_delta *delta)
{
    atomic_fetch_add_explicit(&delta->refs, 1, memory_order_relaxed);
    return delta;
}

void cp_delta_unref(struct cp_delta *delta)
{
    if (!delta || atomic_fetch_sub_explicit(&delta->refs, 1, memory_order_acq_rel) != 1)
        return;
    atomic_fetch_sub_explicit(&bytes_held, delta->bytes, memory_order_relaxed);
    for (size_t i = 0; i < delta->chunk_count; i++)
        free((void *)(uintptr_t)delta->chunks[i].ptr);
    free(delta->chunks);
    free(delta);
}
