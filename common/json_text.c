/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json_text.h"

#include <stdio.h>
#include <time.h>

#define NANOS_PER_SECOND 1000000000
#define NANO_DIGITS 9
#define TIMESTAMP_MIN_SECONDS INT64_C(-62135596800)
#define TIMESTAMP_MAX_SECONDS INT64_C(253402300799)
#define DURATION_MAX_SECONDS INT64_C(315576000000)

enum gw_json_form gw_json_form(const ProtobufCMessageDescriptor *type)
{
    static const char *const names[] = {
        [GW_JSON_OBJECT] = "",
        [GW_JSON_TIMESTAMP] = "google.protobuf.Timestamp",
        [GW_JSON_DURATION] = "google.protobuf.Duration",
        [GW_JSON_MASK] = "google.protobuf.FieldMask",
        [GW_JSON_ANY] = "google.protobuf.Any",
    };
    for (unsigned i = 1; i < GW_ARRAY_LEN(names); i++)
        if (strcmp(type->name, names[i]) == 0)
            return (enum gw_json_form)i;
    return GW_JSON_OBJECT;
}

size_t gw_json_element_bytes(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

size_t gw_json_camel(gw_str snake, char *ret_camel)
{
    size_t len = 0;
    bool upper = false;
    for (size_t i = 0; i < snake.len; i++) {
        char c = snake.ptr[i];
        if (c == '_') {
            upper = true;
            continue;
        }
        ret_camel[len++] = upper && is_lower(c) ? (char)(c - 'a' + 'A') : c;
        upper = false;
    }
    return len;
}

gw_str gw_json_snake(struct gw_arena *arena, gw_str camel)
{
    char *snake = gw_arena_bytes(arena, camel.len * 2 + 1);
    size_t len = 0;
    for (size_t i = 0; i < camel.len; i++) {
        char c = camel.ptr[i];
        if (is_upper(c))
            snake[len++] = '_';
        snake[len++] = is_upper(c) ? (char)(c - 'A' + 'a') : c;
    }
    snake[len] = 0;
    return gw_str_n(snake, len);
}

/* ".5" is written as ".500": none, three, six or nine digits. Returns the length. */
static size_t print_nanos(int32_t nanos, char *text, size_t size)
{
    int n = 0;
    if (nanos % 1000 != 0)
        n = snprintf(text, size, ".%09d", nanos);
    else if (nanos % 1000000 != 0)
        n = snprintf(text, size, ".%06d", nanos / 1000);
    else if (nanos != 0)
        n = snprintf(text, size, ".%03d", nanos / 1000000);
    return (size_t)n;
}

size_t gw_json_print_timestamp(int64_t seconds, int32_t nanos, char ret_text[GW_JSON_TIME_MAX])
{
    time_t within = GW_MAX(TIMESTAMP_MIN_SECONDS, GW_MIN(TIMESTAMP_MAX_SECONDS, seconds));
    struct tm tm;
    gmtime_r(&within, &tm);
    size_t len = (size_t)snprintf(ret_text, GW_JSON_TIME_MAX, "%04d-", (tm.tm_year + 1900) % 10000);
    len += strftime(ret_text + len, GW_JSON_TIME_MAX - len, "%m-%dT%H:%M:%S", &tm);
    if (nanos > 0 && nanos < NANOS_PER_SECOND)
        len += print_nanos(nanos, ret_text + len, GW_JSON_TIME_MAX - len);
    ret_text[len++] = 'Z';
    return len;
}

size_t gw_json_print_duration(int64_t seconds, int32_t nanos, char ret_text[GW_JSON_TIME_MAX])
{
    int64_t within = GW_MAX(-DURATION_MAX_SECONDS, GW_MIN(DURATION_MAX_SECONDS, seconds));
    bool negative = within < 0 || nanos < 0;
    if (negative)
        ret_text[0] = '-';
    size_t len = negative;
    long long whole = within < 0 ? -within : within;
    int32_t part = nanos % NANOS_PER_SECOND;
    len += (size_t)snprintf(ret_text + len, GW_JSON_TIME_MAX - len, "%lld", whole);
    len += print_nanos(part < 0 ? -part : part, ret_text + len, GW_JSON_TIME_MAX - len);
    ret_text[len++] = 's';
    return len;
}

/* Exactly `count` digits off the front. */
static int take_digits(gw_str *text, size_t count, int *ret_value)
{
    uint64_t value;
    if (text->len < count || gw_str_to_u64(gw_str_n(text->ptr, count), 9999, &value) < 0)
        return -1;
    *text = gw_str_n(text->ptr + count, text->len - count);
    *ret_value = (int)value;
    return 0;
}

static int take_char(gw_str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return -1;
    *text = gw_str_n(text->ptr + 1, text->len - 1);
    return 0;
}

/* ".123" if there is one. */
static int take_nanos(gw_str *text, int32_t *ret_nanos)
{
    *ret_nanos = 0;
    if (take_char(text, '.') < 0)
        return 0;
    int digits = 0, digit;
    int32_t nanos = 0;
    while (digits < NANO_DIGITS && take_digits(text, 1, &digit) == 0) {
        nanos = nanos * 10 + digit;
        digits++;
    }
    if (digits == 0)
        return -1;
    for (; digits < NANO_DIGITS; digits++)
        nanos *= 10;
    *ret_nanos = nanos;
    return 0;
}

/* "Z" or "+hh:mm" to the end. */
static int take_offset(gw_str *text, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (take_char(text, 'Z') == 0)
        return text->len == 0 ? 0 : -1;
    int sign = take_char(text, '+') == 0 ? 1 : take_char(text, '-') == 0 ? -1 : 0;
    int hours, minutes;
    if (sign == 0 || take_digits(text, 2, &hours) < 0 || take_char(text, ':') < 0 ||
        take_digits(text, 2, &minutes) < 0 || text->len || hours > 23 || minutes > 59)
        return -1;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return 0;
}

static int take_date(gw_str *text, struct tm *ret_tm)
{
    struct tm tm = {0};
    if (take_digits(text, 4, &tm.tm_year) < 0 || take_char(text, '-') < 0 ||
        take_digits(text, 2, &tm.tm_mon) < 0 || take_char(text, '-') < 0 ||
        take_digits(text, 2, &tm.tm_mday) < 0)
        return -1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_tm = tm;
    return 0;
}

static int take_time(gw_str *text, struct tm *tm)
{
    bool ok = take_digits(text, 2, &tm->tm_hour) == 0 && take_char(text, ':') == 0 &&
              take_digits(text, 2, &tm->tm_min) == 0 && take_char(text, ':') == 0 &&
              take_digits(text, 2, &tm->tm_sec) == 0;
    return ok ? 0 : -1;
}

/* timegm carries over what is too large (30 February): then it is not what was written. */
static int to_seconds(const struct tm *tm, int64_t *ret_seconds)
{
    struct tm carried = *tm;
    *ret_seconds = timegm(&carried);
    bool same = carried.tm_mon == tm->tm_mon && carried.tm_mday == tm->tm_mday &&
                carried.tm_hour == tm->tm_hour && carried.tm_min == tm->tm_min &&
                carried.tm_sec == tm->tm_sec;
    return same ? 0 : -1;
}

int gw_json_parse_timestamp(gw_str text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct tm tm;
    int64_t seconds, offset;
    int32_t nanos;
    if (take_date(&text, &tm) < 0 || take_char(&text, 'T') < 0 || take_time(&text, &tm) < 0 ||
        take_nanos(&text, &nanos) < 0 || take_offset(&text, &offset) < 0 ||
        to_seconds(&tm, &seconds) < 0)
        return -1;
    seconds -= offset;
    if (seconds < TIMESTAMP_MIN_SECONDS || seconds > TIMESTAMP_MAX_SECONDS)
        return -1;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return 0;
}

int gw_json_parse_duration(gw_str text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    bool negative = take_char(&text, '-') == 0;
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    uint64_t seconds;
    int32_t nanos;
    if (gw_str_to_u64(gw_str_n(text.ptr, digits), DURATION_MAX_SECONDS, &seconds) < 0)
        return -1;
    text = gw_str_n(text.ptr + digits, text.len - digits);
    if (take_nanos(&text, &nanos) < 0 || take_char(&text, 's') < 0 || text.len)
        return -1;
    *ret_seconds = negative ? -(int64_t)seconds : (int64_t)seconds;
    *ret_nanos = negative ? -nanos : nanos;
    return 0;
}

void gw_json_base64(gw_str bytes, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)bytes.ptr;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = GW_MIN(bytes.len - i, (size_t)3);
        uint32_t group = (uint32_t)in[i] << 16;
        group |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= n > 2 ? in[i + 2] : 0;
        for (size_t k = 0; k < 4; k++)
            *ret_text++ = k <= n ? digits[group >> (18 - 6 * k) & 63] : '=';
    }
}

static int base64_digit(char c)
{
    if (is_upper(c))
        return c - 'A';
    if (is_lower(c))
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int gw_json_unbase64(gw_str text, char *ret_bytes, size_t *ret_len)
{
    bool padded = text.len % 4 == 0;
    for (int i = 0; i < 2 && padded && text.len && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return -1;
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        ret_bytes[len++] = (char)(bits >> held);
    }
    /* one digit left over says nothing; left-over bits that are set were never written by anyone */
    if (held == 6 || (bits & ((1u << held) - 1)))
        return -1;
    *ret_len = len;
    return 0;
}
