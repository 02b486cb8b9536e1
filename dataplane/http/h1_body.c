/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h1_body.h"

#include "dataplane/http/scan.h"

#define CHUNK_DIGITS_MAX 16

/* What the next byte of a chunked body is. */
enum stage {
    SIZE,        /* a digit of the size, or what ends it */
    EXT_NAME,    /* behind a ";": of a name, its first byte */
    EXTENSION,   /* of a name or value, or what ends it */
    EXT_QUOTED,  /* of a quoted value, or the quote that ends it */
    EXT_ESCAPED, /* behind a backslash in it */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER /* first byte of a trailer line, or of the end */
};

void dp_h1_body_init(struct dp_h1_body *body, const struct dp_h1_framing *framing,
                     const struct dp_h1_limits *limits, struct gw_arena *arena)
{
    *body = (struct dp_h1_body){.kind = framing->kind, .limits = limits, .stage = SIZE};
    dp_headers_init(&body->trailers, arena);
    if (framing->kind == DP_BODY_LENGTH)
        body->left = framing->length;
    body->done =
        framing->kind == DP_BODY_NONE || (framing->kind == DP_BODY_LENGTH && body->left == 0);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int size_byte(struct dp_h1_body *body, char c)
{
    int value = hex_value(c);
    if (value >= 0) {
        body->left = body->left << 4 | (unsigned)value;
        return ++body->digits > CHUNK_DIGITS_MAX ? -DP_H1_BAD_CHUNK : 0;
    }
    if (body->digits == 0 || body->left > INT64_MAX || (c != '\r' && c != ';'))
        return -DP_H1_BAD_CHUNK;
    body->stage = c == '\r' ? SIZE_LF : EXT_NAME;
    return 0;
}

/* Where the byte leads within the extensions of a chunk; -1: it may not stand there. */
static int extension_step(enum stage stage, char c)
{
    bool is_blank = c == ' ' || c == '\t';
    switch (stage) {
    case EXT_NAME:
        return is_blank ? EXT_NAME : dp_scan_is_tchar[(unsigned char)c] ? EXTENSION : -1;
    case EXT_QUOTED:
        return c == '"' ? EXTENSION : c == '\\' ? EXT_ESCAPED : EXT_QUOTED;
    case EXT_ESCAPED:
        return EXT_QUOTED;
    default:
        if (c == '"')
            return EXT_QUOTED;
        if (c == ';')
            return EXT_NAME;
        return is_blank || c == '=' || dp_scan_is_tchar[(unsigned char)c] ? EXTENSION : -1;
    }
}

/* RFC 9112 7.1.1: dropped, but what is none is no chunk either. */
static int extension_byte(struct dp_h1_body *body, char c)
{
    if (c == '\r' && body->stage == EXTENSION) {
        body->stage = SIZE_LF;
        return 0;
    }
    bool is_control = ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
    int next = extension_step(body->stage, c);
    if (is_control || next < 0 || ++body->aside_bytes > body->limits->extension_bytes)
        return -DP_H1_BAD_CHUNK;
    body->stage = (uint8_t)next;
    return 0;
}

static int size_end_byte(struct dp_h1_body *body, char c)
{
    if (c != '\n')
        return -DP_H1_BAD_CHUNK;
    body->stage = body->left > 0 ? DATA : TRAILER;
    if (body->stage == TRAILER)
        body->aside_bytes = 0;
    return 0;
}

/* Any byte but data and trailers. */
static int framing_byte(struct dp_h1_body *body, char c)
{
    switch (body->stage) {
    case SIZE:
        return size_byte(body, c);
    case EXT_NAME:
    case EXTENSION:
    case EXT_QUOTED:
    case EXT_ESCAPED:
        return extension_byte(body, c);
    case SIZE_LF:
        return size_end_byte(body, c);
    case DATA_CR:
        body->stage = DATA_LF;
        return c == '\r' ? 0 : -DP_H1_BAD_CHUNK;
    default:
        assert(body->stage == DATA_LF);
        body->stage = SIZE;
        body->digits = 0;
        return c == '\n' ? 0 : -DP_H1_BAD_CHUNK;
    }
}

static gw_str take_data(struct dp_h1_body *body, gw_str input)
{
    gw_str data = {input.ptr, (size_t)GW_MIN(body->left, input.len)};
    body->left -= data.len;
    body->total += data.len;
    return data;
}

/* line: without its CR LF, not empty, free of controls. */
static int add_trailer(struct dp_h1_body *body, gw_str line)
{
    const char *end = line.ptr + line.len;
    const char *name_end = dp_scan_token(line.ptr, end);
    if (name_end == line.ptr || name_end == end || *name_end != ':')
        return -DP_H1_BAD_TRAILER;
    if (body->trailers.count >= body->limits->header_count)
        return -DP_H1_TRAILER_TOO_LARGE;
    gw_str name = {line.ptr, (size_t)(name_end - line.ptr)};
    gw_str value = gw_str_trim(gw_str_n(name_end + 1, (size_t)(end - name_end) - 1));
    enum dp_header_id id = dp_header_id_from(name);
    if (body->is_strict && (id == DP_HEADER_CONTENT_LENGTH || id == DP_HEADER_TRANSFER_ENCODING ||
                            id == DP_HEADER_HOST))
        return -DP_H1_BAD_TRAILER;
    if (!dp_header_is_for_trailers(name))
        return 0;
    struct gw_arena *arena = body->trailers.arena;
    dp_headers_append(&body->trailers, gw_arena_dup(arena, name), gw_arena_dup(arena, value));
    return 0;
}

/* One trailer line with its CR LF: its length, 0 while it is incomplete, or an error. */
static ptrdiff_t trailer_line(struct dp_h1_body *body, gw_str input)
{
    size_t room = body->limits->trailer_bytes - body->aside_bytes;
    const char *end = input.ptr + GW_MIN(room, input.len);
    const char *at = dp_scan_value(input.ptr + body->trailer_scan, end);
    body->trailer_scan = (uint32_t)(at - input.ptr);
    if (at == end || (*at == '\r' && at + 1 == end))
        return input.len >= room ? -DP_H1_TRAILER_TOO_LARGE : 0;
    if (*at != '\r' || at[1] != '\n')
        return -DP_H1_BAD_TRAILER;
    gw_str line = {input.ptr, body->trailer_scan};
    body->trailer_scan = 0;
    body->aside_bytes += (uint32_t)line.len + 2;
    body->done = line.len == 0;
    int result = body->done ? 0 : add_trailer(body, line);
    return result < 0 ? result : (ptrdiff_t)line.len + 2;
}

/* As dp_h1_body_next: runs on over framing until there is data, and from it to the next data. */
static ptrdiff_t next_chunked(struct dp_h1_body *body, gw_str input, gw_str *ret_data)
{
    size_t used = 0;
    while (used < input.len && !body->done) {
        gw_str rest = {input.ptr + used, input.len - used};
        ptrdiff_t step = 1;
        if (body->stage == DATA) {
            if (ret_data->len > 0)
                break;
            *ret_data = take_data(body, rest);
            step = (ptrdiff_t)ret_data->len;
            if (body->left == 0)
                body->stage = DATA_CR;
        } else if (body->stage == TRAILER) {
            step = trailer_line(body, rest);
        } else {
            int result = framing_byte(body, *rest.ptr);
            step = result < 0 ? result : 1;
        }
        if (step < 0)
            return step;
        if (step == 0)
            break;
        used += (size_t)step;
    }
    return (ptrdiff_t)used;
}

ptrdiff_t dp_h1_body_next(struct dp_h1_body *body, gw_str input, gw_str *ret_data)
{
    *ret_data = GW_STR_NONE;
    if (body->done)
        return 0;
    switch (body->kind) {
    case DP_BODY_CHUNKED:
        return next_chunked(body, input, ret_data);
    case DP_BODY_LENGTH:
        *ret_data = take_data(body, input);
        body->done = body->left == 0;
        return (ptrdiff_t)ret_data->len;
    default:
        body->total += input.len;
        *ret_data = input;
        return (ptrdiff_t)input.len;
    }
}

void dp_h1_body_skip(struct dp_h1_body *body, uint64_t bytes)
{
    body->total += bytes;
    if (body->kind == DP_BODY_UNTIL_CLOSE || body->kind == DP_BODY_TUNNEL)
        return;
    assert(bytes <= body->left && (body->kind == DP_BODY_LENGTH || body->stage == DATA));
    body->left -= bytes;
    if (body->left > 0)
        return;
    if (body->kind == DP_BODY_LENGTH)
        body->done = true;
    else
        body->stage = DATA_CR;
}

bool dp_h1_body_close(struct dp_h1_body *body)
{
    if (body->kind == DP_BODY_UNTIL_CLOSE || body->kind == DP_BODY_TUNNEL)
        body->done = true;
    return body->done;
}
