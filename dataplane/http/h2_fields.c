/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_fields.h"

#include <pthread.h>

#define BIT(id) (UINT64_C(1) << DP_HEADER_##id)
#define NAME_BYTES_MAX 32 /* of the well-known ones */

/* RFC 9113 8.2.2, and what the framing says instead. */
static const uint64_t left_out = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                 BIT(TRANSFER_ENCODING) | BIT(UPGRADE) | BIT(HTTP2_SETTINGS) |
                                 BIT(HOST) | BIT(EXPECT) | BIT(CONTENT_LENGTH);

/* Different in each message: to keep them in the table of the compression only costs. */
static const uint64_t not_indexed =
    BIT(CONTENT_LENGTH) | BIT(X_REQUEST_ID) | BIT(ETAG) | BIT(SET_COOKIE) | BIT(LAST_MODIFIED);

static char lower_names[DP_HEADER_COUNT][NAME_BYTES_MAX]; /* made once */

static void lower(char *out, gw_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
}

static void make_lower_names(void)
{
    for (unsigned id = DP_HEADER_OTHER + 1; id < DP_HEADER_COUNT; id++) {
        gw_str name = dp_header_name((enum dp_header_id)id);
        assert(name.len < NAME_BYTES_MAX);
        lower(lower_names[id], name);
    }
}

void dp_h2_fields_init(struct dp_h2_fields *fields, struct gw_arena *arena, size_t room)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_lower_names);
    *fields = (struct dp_h2_fields){.arena = arena, .capacity = room};
    fields->items = gw_arena_alloc(arena, GW_MAX(room, (size_t)1) * sizeof(*fields->items));
}

static void grow(struct dp_h2_fields *fields)
{
    size_t capacity = fields->capacity * 2 + 8;
    nghttp2_nv *items = gw_arena_alloc(fields->arena, capacity * sizeof(*items));
    memcpy(items, fields->items, fields->count * sizeof(*items));
    fields->items = items;
    fields->capacity = capacity;
}

void dp_h2_fields_add(struct dp_h2_fields *fields, gw_str name, gw_str value)
{
    if (fields->count == fields->capacity)
        grow(fields);
    fields->items[fields->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.ptr,
        .namelen = name.len,
        .value = (uint8_t *)(uintptr_t)value.ptr,
        .valuelen = value.len,
    };
}

static bool has_capital(gw_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            return true;
    }
    return false;
}

static gw_str lower_name(struct gw_arena *arena, const struct dp_header *header)
{
    if (header->id != DP_HEADER_OTHER)
        return gw_str_n(lower_names[header->id], header->name.len);
    if (!has_capital(header->name))
        return header->name;
    char *text = gw_arena_bytes(arena, header->name.len);
    lower(text, header->name);
    return gw_str_n(text, header->name.len);
}

static uint8_t flags_of(uint16_t id)
{
    return (uint8_t)((id != DP_HEADER_OTHER ? NGHTTP2_NV_FLAG_NO_COPY_NAME : 0) |
                     ((not_indexed >> id) & 1 ? NGHTTP2_NV_FLAG_NO_INDEX : 0));
}

void dp_h2_fields_add_headers(struct dp_h2_fields *fields, const struct dp_headers *headers)
{
    for (unsigned i = 0; i < headers->count; i++) {
        const struct dp_header *header = &headers->items[i];
        bool is_te = header->id == DP_HEADER_TE;
        if ((left_out >> header->id) & 1)
            continue;
        if (is_te && !gw_str_eq_nocase(header->value, GW_STR("trailers")))
            continue;
        dp_h2_fields_add(fields, lower_name(fields->arena, header), header->value);
        fields->items[fields->count - 1].flags = flags_of(header->id);
    }
}

void dp_h2_fields_add_length(struct dp_h2_fields *fields, const struct dp_h1_framing *framing)
{
    if (framing->kind != DP_BODY_LENGTH)
        return;
    dp_h2_fields_add(fields, GW_STR("content-length"),
                     gw_arena_printf(fields->arena, "%llu", (unsigned long long)framing->length));
    fields->items[fields->count - 1].flags = flags_of(DP_HEADER_CONTENT_LENGTH);
}
