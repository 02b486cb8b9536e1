/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/uri.h"

#include "dataplane/http/scan.h"

/* Bytes that need no escape: in a path, in one segment of it, in a name or value of a query. */
enum { PATH = 1, SEGMENT = 2, QUERY = 4 };

#define ALL (PATH | SEGMENT | QUERY)
static const uint8_t plain[256] = {
    ['0' ... '9'] = ALL,
    ['A' ... 'Z'] = ALL,
    ['a' ... 'z'] = ALL,
    ['-'] = ALL,
    ['.'] = ALL,
    ['_'] = ALL,
    ['~'] = ALL,
    ['!'] = ALL,
    ['$'] = ALL,
    ['\''] = ALL,
    ['('] = ALL,
    [')'] = ALL,
    ['*'] = ALL,
    [','] = ALL,
    [';'] = ALL,
    [':'] = ALL,
    ['@'] = ALL,
    ['&'] = PATH | SEGMENT,
    ['+'] = PATH | SEGMENT,
    ['='] = PATH | SEGMENT,
    ['/'] = PATH | QUERY,
    ['?'] = QUERY,
};

const char *dp_uri_error_text(int error)
{
    switch (error < 0 ? -error : error) {
    case DP_URI_OK:
        return "";
    case DP_URI_BAD_START:
        return "The path does not start with a slash.";
    case DP_URI_BAD_ESCAPE:
        return "The path has a percent sign without two hexadecimal digits.";
    case DP_URI_CONTROL:
        return "The path has a control character.";
    default:
        return "The path has a dot segment.";
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that the escape at `at` stands for, or -1. */
static int unescape(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = hex_value(at[1]), low = hex_value(at[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_control(int byte)
{
    return byte < 0x20 || byte == 0x7f;
}

/* True when the byte and the one behind it can matter to normalisation. */
static bool is_special(char c, char next)
{
    return c == '%' || c == '\\' || is_control((unsigned char)c) ||
           (c == '/' && (next == '/' || next == '.'));
}

/* Most paths have no escape, no empty segment and no segment that starts with a dot. */
static bool is_simple(gw_str path)
{
    const char *at = path.ptr, *end = path.ptr + path.len;
    for (; end - at > 16; at += 16) {
        gw_lanes v = dp_scan_load(at), next = dp_scan_load(at + 1);
        gw_lanes bad = (gw_lanes)(v == '%') | (gw_lanes)(v == '\\') | (gw_lanes)(v < 0x20) |
                       (gw_lanes)(v == 0x7f) |
                       (gw_lanes)((v == '/') & ((next == '/') | (next == '.')));
        if (gw_lanes_mask(bad))
            return false;
    }
    for (; at < end; at++) {
        if (is_special(*at, at + 1 < end ? at[1] : '\0'))
            return false;
    }
    return true;
}

/* Appends one decoded byte; a slash behind a slash is dropped. */
static size_t put_byte(char *out, size_t len, char byte)
{
    if (byte != '/' || len == 0 || out[len - 1] != '/')
        out[len++] = byte;
    return len;
}

/* Decodes raw into out, which has raw.len bytes. */
static int decode_path(gw_str raw, enum dp_uri_slash slash, char *out, size_t *ret_len)
{
    size_t len = 0;
    const char *end = raw.ptr + raw.len;
    for (const char *at = raw.ptr; at < end; at++) {
        bool is_escape = *at == '%';
        int byte = is_escape ? unescape(at, end) : (unsigned char)*at;
        if (byte < 0)
            return -DP_URI_BAD_ESCAPE;
        if (is_control(byte))
            return -DP_URI_CONTROL;
        if (is_escape && slash == DP_URI_SLASH_KEEP && (byte == '/' || byte == '%')) {
            memcpy(out + len, byte == '/' ? "%2F" : "%25", 3);
            len += 3;
        } else {
            len = put_byte(out, len, (char)byte);
        }
        at += is_escape ? 2 : 0;
    }
    *ret_len = len;
    return 0;
}

/* Up to ";", because some servers cut parameters off before they resolve dots. */
static bool is_dots(const char *at, const char *end)
{
    const char *mark = memchr(at, ';', (size_t)(end - at));
    size_t len = (size_t)((mark ? mark : end) - at);
    return (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.');
}

/* Splits at whatever somebody behind us may take for a separator: "/", "\", a kept "%2F". */
static bool has_dot_segment(gw_str path, enum dp_uri_slash slash)
{
    const char *end = path.ptr + path.len, *start = path.ptr;
    for (const char *at = path.ptr; at < end; at++) {
        bool is_kept = slash == DP_URI_SLASH_KEEP && *at == '%' && at[2] == 'F';
        if (*at != '/' && *at != '\\' && !is_kept)
            continue;
        if (is_dots(start, at))
            return true;
        start = at + (is_kept ? 3 : 1);
    }
    return is_dots(start, end);
}

int dp_uri_normalise(struct gw_arena *arena, gw_str raw, enum dp_uri_slash slash, gw_str *ret_path)
{
    if (raw.len == 0 || *raw.ptr != '/')
        return -DP_URI_BAD_START;
    if (gw_likely(is_simple(raw))) {
        *ret_path = raw;
        return 0;
    }
    char *out = gw_arena_bytes(arena, raw.len);
    size_t len;
    int result = decode_path(raw, slash, out, &len);
    if (result < 0)
        return result;
    gw_str path = {out, len};
    if (has_dot_segment(path, slash))
        return -DP_URI_DOT_SEGMENT;
    *ret_path = gw_str_eq(path, raw) ? raw : path;
    return 0;
}

/* Escapes all bytes that do not have `set` in the table, but for an optional "%". */
static gw_str encode(struct gw_arena *arena, gw_str text, uint8_t set, bool keep_percent)
{
    size_t escapes = 0;
    for (size_t i = 0; i < text.len; i++)
        escapes +=
            !(plain[(unsigned char)text.ptr[i]] & set) && !(keep_percent && text.ptr[i] == '%');
    if (escapes == 0)
        return text;
    char *out = gw_arena_bytes(arena, text.len + 2 * escapes), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if ((plain[byte] & set) || (keep_percent && byte == '%')) {
            *at++ = (char)byte;
            continue;
        }
        *at++ = '%';
        *at++ = "0123456789ABCDEF"[byte >> 4];
        *at++ = "0123456789ABCDEF"[byte & 15];
    }
    return gw_str_n(out, (size_t)(at - out));
}

gw_str dp_uri_encode_path(struct gw_arena *arena, gw_str path, enum dp_uri_slash slash)
{
    return encode(arena, path, PATH, slash == DP_URI_SLASH_KEEP);
}

gw_str dp_uri_encode_segment(struct gw_arena *arena, gw_str value)
{
    return encode(arena, value, SEGMENT, false);
}

gw_str dp_uri_encode_query(struct gw_arena *arena, gw_str value)
{
    return encode(arena, value, QUERY, false);
}

int dp_uri_decode(struct gw_arena *arena, gw_str text, gw_str *ret_text)
{
    if (gw_str_find(text, '%') < 0) {
        *ret_text = text;
        return 0;
    }
    char *out = gw_arena_bytes(arena, text.len);
    size_t len = 0;
    const char *end = text.ptr + text.len;
    for (const char *at = text.ptr; at < end; at++) {
        int byte = *at == '%' ? unescape(at, end) : (unsigned char)*at;
        if (byte < 0)
            return -DP_URI_BAD_ESCAPE;
        out[len++] = (char)byte;
        at += *at == '%' ? 2 : 0;
    }
    *ret_text = gw_str_n(out, len);
    return 0;
}

bool dp_uri_next_param(gw_str *rest, gw_str *ret_name, gw_str *ret_value)
{
    while (rest->ptr) {
        gw_str value = gw_str_split(rest, '&');
        if (value.len == 0)
            continue;
        *ret_name = gw_str_split(&value, '=');
        *ret_value = value;
        return true;
    }
    return false;
}
