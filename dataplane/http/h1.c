/* SPDX-License-Identifier: Apache-2.0 */
/* The head as a walk over stages, each of which stops where the bytes do and goes on from there. A
 * verdict on a byte depends only on the bytes before it: so no cut can change the result. */
#include "dataplane/http/h1.h"

#include "dataplane/http/h1_framing.h"
#include "dataplane/http/scan.h"

#define VERSION_LEN (sizeof("HTTP/1.1\r\n") - 1)
#define STATUS_LEN (sizeof("HTTP/1.1 200") - 1)
#define METHOD_BYTES_MAX 32 /* RFC 9112 3: longer than any that is known is 501 */

const struct dp_h1_limits dp_h1_limits_default = {
    .line_bytes = 32 * 1024,
    .header_bytes = 32 * 1024,
    .head_bytes = 128 * 1024,
    .header_count = DP_HEADERS_MAX,
    .extension_bytes = 4 * 1024,
    .trailer_bytes = 16 * 1024,
};

/* What stands at parser->scan. */
enum stage {
    START,   /* first byte of all */
    METHOD,  /* inside it */
    TARGET,  /* inside it */
    VERSION, /* its first byte; scan waits there for the whole */
    STATUS,  /* first byte of a status line; scan waits there for the number */
    REASON,  /* inside it */
    FIELD,   /* first byte of a field line, or of the end */
    NAME,    /* inside it */
    VALUE,   /* inside it */
    END      /* behind the empty line */
};

/* Results of a step. Negative: an error. */
enum { INCOMPLETE = 0, GO_ON = 1 };

void dp_h1_parser_init(struct dp_h1_parser *parser, const struct dp_h1_limits *limits,
                       struct gw_arena *arena)
{
    assert(limits->header_count <= DP_HEADERS_MAX);
    *parser = (struct dp_h1_parser){.limits = limits, .arena = arena, .stage = START};
}

/* The caller's buffer may have moved since the last call. */
static void move_view(gw_str *view, uintptr_t from, uintptr_t to)
{
    if (view->ptr)
        view->ptr = (const char *)((uintptr_t)view->ptr - from + to);
}

static void move_headers(struct dp_headers *headers, uintptr_t from, uintptr_t to)
{
    for (unsigned i = 0; i < headers->count; i++) {
        move_view(&headers->items[i].name, from, to);
        move_view(&headers->items[i].value, from, to);
    }
}

static int next_stage(struct dp_h1_parser *parser, enum stage stage, size_t at)
{
    parser->stage = (uint8_t)stage;
    parser->scan = parser->mark = (uint32_t)at;
    return GO_ON;
}

/* Where a scan must stop: at the end of the bytes or at the limit, whichever is first. */
static const char *bound(gw_str bytes, size_t limit_at)
{
    return bytes.ptr + GW_MIN(bytes.len, limit_at);
}

static int stopped_at_bound(struct dp_h1_parser *parser, gw_str bytes, const char *at,
                            size_t limit_at, enum dp_h1_error error)
{
    parser->scan = (uint32_t)(at - bytes.ptr);
    return parser->scan >= limit_at ? -(int)error : INCOMPLETE;
}

/* A peer may leave one CR LF behind the last body (RFC 9112 2.2). */
static int parse_start(struct dp_h1_parser *parser, gw_str bytes)
{
    size_t at = parser->scan;
    if (at == bytes.len)
        return INCOMPLETE;
    if (bytes.ptr[at] == '\r' && !parser->skipped) {
        if (at + 1 == bytes.len)
            return INCOMPLETE;
        if (bytes.ptr[at + 1] != '\n')
            return -DP_H1_BAD_LINE_END;
        parser->skipped = 2;
        at += 2;
    }
    parser->line = (uint32_t)at;
    return next_stage(parser, METHOD, at);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Names are case-sensitive, and not everybody behind us knows; those that are registered have these
 * bytes only. */
static bool is_method(gw_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return name.len > 0;
}

static int parse_method(struct dp_h1_parser *parser, gw_str bytes, struct dp_request_head *head)
{
    size_t limit_at = (size_t)parser->line + METHOD_BYTES_MAX + 1; /* and the blank */
    const char *end = bound(bytes, limit_at);
    const char *at = dp_scan_token(bytes.ptr + parser->scan, end);
    if (at == end)
        return stopped_at_bound(parser, bytes, at, limit_at, DP_H1_METHOD_TOO_LONG);
    head->method_name = gw_str_n(bytes.ptr + parser->mark, (size_t)(at - bytes.ptr) - parser->mark);
    if (*at != ' ' || !is_method(head->method_name))
        return -DP_H1_BAD_METHOD;
    return next_stage(parser, TARGET, (size_t)(at - bytes.ptr) + 1);
}

static int parse_target(struct dp_h1_parser *parser, gw_str bytes, struct dp_request_head *head)
{
    size_t limit_at = (size_t)parser->line + parser->limits->line_bytes;
    const char *end = bound(bytes, limit_at);
    const char *at = dp_scan_target(bytes.ptr + parser->scan, end);
    if (at == end)
        return stopped_at_bound(parser, bytes, at, limit_at, DP_H1_URI_TOO_LONG);
    head->target = gw_str_n(bytes.ptr + parser->mark, (size_t)(at - bytes.ptr) - parser->mark);
    if (*at != ' ' || head->target.len == 0)
        return *at == '\r' ? -DP_H1_BAD_VERSION : -DP_H1_BAD_TARGET;
    return next_stage(parser, VERSION, (size_t)(at - bytes.ptr) + 1);
}

/* "0" in the pattern stands for any digit; *ret_bad is the index of the first byte that differs. */
static bool fits(gw_str bytes, const char *pattern, size_t pattern_len, size_t *ret_bad)
{
    size_t len = GW_MIN(bytes.len, pattern_len);
    for (size_t i = 0; i < len; i++) {
        bool good = pattern[i] == '0' ? is_digit(bytes.ptr[i]) : bytes.ptr[i] == pattern[i];
        if (!good) {
            *ret_bad = i;
            return false;
        }
    }
    return true;
}

/* RFC 9110 2.5: a minor version that is higher than ours is read as ours. */
static uint8_t minor_version(char digit)
{
    return digit != '0';
}

static int parse_version(struct dp_h1_parser *parser, gw_str bytes, struct dp_request_head *head)
{
    gw_str rest = {bytes.ptr + parser->scan, bytes.len - parser->scan};
    size_t bad;
    bool is_usual = rest.len >= VERSION_LEN && memcmp(rest.ptr, "HTTP/1.1\r\n", VERSION_LEN) == 0;
    if (!is_usual && !fits(rest, "HTTP/0.0\r\n", VERSION_LEN, &bad))
        return bad >= sizeof("HTTP/0.0") - 1 ? -DP_H1_BAD_LINE_END : -DP_H1_BAD_VERSION;
    if (rest.len < VERSION_LEN)
        return INCOMPLETE;
    if (rest.ptr[5] != '1')
        return -DP_H1_VERSION_UNSUPPORTED;
    size_t at = parser->scan + VERSION_LEN;
    if (at - parser->line > parser->limits->line_bytes)
        return -DP_H1_URI_TOO_LONG;
    head->major = 1;
    head->minor = minor_version(rest.ptr[7]);
    parser->fields = (uint32_t)at;
    return next_stage(parser, FIELD, at);
}

static int parse_status(struct dp_h1_parser *parser, gw_str bytes, struct dp_response_head *head)
{
    size_t bad;
    bool is_usual = bytes.len > STATUS_LEN && memcmp(bytes.ptr, "HTTP/1.1 200", STATUS_LEN) == 0;
    if (!is_usual && !fits(bytes, "HTTP/0.0 000", STATUS_LEN, &bad))
        return -DP_H1_BAD_STATUS;
    if (bytes.len <= STATUS_LEN)
        return INCOMPLETE;
    const char *at = bytes.ptr;
    if (at[5] != '1')
        return -DP_H1_VERSION_UNSUPPORTED;
    head->status =
        (unsigned)(at[9] - '0') * 100 + (unsigned)(at[10] - '0') * 10 + (unsigned)(at[11] - '0');
    if (head->status < 100 || head->status > 599)
        return -DP_H1_BAD_STATUS;
    head->major = 1;
    head->minor = minor_version(at[7]);
    /* The blank before an empty reason is missing from what some servers send. */
    if (at[STATUS_LEN] != ' ' && at[STATUS_LEN] != '\r')
        return -DP_H1_BAD_STATUS;
    return next_stage(parser, REASON, STATUS_LEN + (at[STATUS_LEN] == ' '));
}

/* At the byte that ended a value: GO_ON when it begins a CR LF. */
static int parse_line_end(gw_str bytes, const char *at, enum dp_h1_error other)
{
    if (*at == '\n')
        return -DP_H1_BAD_LINE_END;
    if (*at != '\r')
        return -(int)other;
    if (at + 1 == bytes.ptr + bytes.len)
        return INCOMPLETE;
    return at[1] == '\n' ? GO_ON : -DP_H1_BAD_LINE_END;
}

static int parse_reason(struct dp_h1_parser *parser, gw_str bytes, struct dp_response_head *head)
{
    size_t limit_at = parser->limits->line_bytes;
    const char *end = bound(bytes, limit_at);
    const char *at = dp_scan_value(bytes.ptr + parser->scan, end);
    if (at == end)
        return stopped_at_bound(parser, bytes, at, limit_at, DP_H1_BAD_STATUS);
    parser->scan = (uint32_t)(at - bytes.ptr);
    int result = parse_line_end(bytes, at, DP_H1_BAD_STATUS);
    if (result != GO_ON)
        return result;
    head->reason = gw_str_n(bytes.ptr + parser->mark, parser->scan - parser->mark);
    parser->fields = parser->scan + 2;
    return next_stage(parser, FIELD, parser->fields);
}

static int parse_field_start(struct dp_h1_parser *parser, gw_str bytes, unsigned count)
{
    size_t at = parser->scan;
    if (at == bytes.len)
        return INCOMPLETE;
    switch (bytes.ptr[at]) {
    case '\r':
    case '\n': {
        int result = parse_line_end(bytes, bytes.ptr + at, DP_H1_BAD_LINE_END);
        return result == GO_ON ? next_stage(parser, END, at + 2) : result;
    }
    case ' ':
    case '\t':
        return -DP_H1_FOLDED_HEADER;
    default:
        if (count >= parser->limits->header_count)
            return -DP_H1_TOO_MANY_HEADERS;
        return next_stage(parser, NAME, at);
    }
}

static size_t field_limit(const struct dp_h1_parser *parser)
{
    return GW_MIN((size_t)parser->mark + parser->limits->header_bytes,
                  (size_t)parser->fields + parser->limits->head_bytes);
}

static int parse_name(struct dp_h1_parser *parser, gw_str bytes)
{
    size_t limit_at = field_limit(parser);
    const char *end = bound(bytes, limit_at);
    const char *at = dp_scan_token(bytes.ptr + parser->scan, end);
    if (at == end)
        return stopped_at_bound(parser, bytes, at, limit_at, DP_H1_HEADER_TOO_LARGE);
    parser->scan = parser->name_end = (uint32_t)(at - bytes.ptr);
    if (*at != ':' || parser->name_end == parser->mark)
        return -DP_H1_BAD_HEADER_NAME;
    parser->scan++;
    parser->stage = VALUE;
    return GO_ON;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static gw_str trim(const char *start, const char *end)
{
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    return gw_str_n(start, (size_t)(end - start));
}

static int parse_value(struct dp_h1_parser *parser, gw_str bytes, struct dp_headers *headers)
{
    size_t limit_at = field_limit(parser);
    const char *end = bound(bytes, limit_at);
    const char *at = dp_scan_value(bytes.ptr + parser->scan, end);
    if (at == end)
        return stopped_at_bound(parser, bytes, at, limit_at, DP_H1_HEADER_TOO_LARGE);
    parser->scan = (uint32_t)(at - bytes.ptr);
    int result = parse_line_end(bytes, at, DP_H1_BAD_HEADER_VALUE);
    if (result != GO_ON)
        return result;
    const char *name = bytes.ptr + parser->mark, *name_end = bytes.ptr + parser->name_end;
    dp_headers_append(headers, gw_str_n(name, (size_t)(name_end - name)), trim(name_end + 1, at));
    return next_stage(parser, FIELD, parser->scan + 2u);
}

/* A name of the table that begins there, without looking for the bytes of tokens; OTHER: they must
 * be looked at. Controls would pass for what the table has: CR for "-". */
static enum dp_header_id known_name(const char *at, const char *end, const char **ret_colon)
{
    if (end - at < (ptrdiff_t)sizeof(gw_lanes))
        return DP_HEADER_OTHER;
    gw_lanes v = dp_scan_load(at);
    unsigned colons = gw_lanes_mask((gw_lanes)(v == ':'));
    unsigned before = (colons & -colons) - 1; /* the first of them */
    if (!colons || gw_lanes_mask((gw_lanes)(v < 0x20)) & before)
        return DP_HEADER_OTHER;
    *ret_colon = at + __builtin_ctz(colons);
    return dp_header_id_from(gw_str_n(at, (size_t)(*ret_colon - at)));
}

/* The usual lines, each whole and in one step. What is special about a line, or wrong with it, the
 * stages find out: to them it is as if nothing had been looked at. */
static void take_whole_lines(struct dp_h1_parser *parser, gw_str bytes, struct dp_headers *headers)
{
    const struct dp_h1_limits *limits = parser->limits;
    const char *at = bytes.ptr + parser->scan,
               *whole_end = bound(bytes, (size_t)parser->fields + limits->head_bytes);
    while (headers->count < limits->header_count && at < whole_end && *at != '\r') {
        const char *end = at + GW_MIN((size_t)(whole_end - at), (size_t)limits->header_bytes);
        const char *colon;
        enum dp_header_id id = known_name(at, end, &colon);
        if (id == DP_HEADER_OTHER) {
            colon = dp_scan_token(at, end);
            if (colon == at || colon == end || *colon != ':')
                break;
            id = dp_header_id_from(gw_str_n(at, (size_t)(colon - at))); /* one that is longer */
        }
        const char *stop = dp_scan_value(colon + 1, end);
        if (end - stop < 2 || memcmp(stop, "\r\n", 2) != 0)
            break;
        const char *value = colon + 1 + (colon[1] == ' ');
        bool is_bare = value < stop && !is_blank(*value) && !is_blank(stop[-1]);
        dp_headers_append_as(headers, id, gw_str_n(at, (size_t)(colon - at)),
                             is_bare ? gw_str_n(value, (size_t)(stop - value)) : trim(value, stop));
        at = stop + 2;
    }
    (void)next_stage(parser, FIELD, (size_t)(at - bytes.ptr)); /* it says GO_ON */
}

static int parse_fields(struct dp_h1_parser *parser, gw_str bytes, struct dp_headers *headers)
{
    int result = GO_ON;
    while (result == GO_ON && parser->stage != END) {
        if (parser->stage == FIELD)
            take_whole_lines(parser, bytes, headers);
        if (parser->stage == FIELD)
            result = parse_field_start(parser, bytes, headers->count);
        if (result == GO_ON && parser->stage == NAME)
            result = parse_name(parser, bytes);
        if (result == GO_ON && parser->stage == VALUE)
            result = parse_value(parser, bytes, headers);
    }
    return result;
}

static void enter_request(struct dp_h1_parser *parser, gw_str bytes, struct dp_request_head *head)
{
    if (!parser->base) {
        *head = (struct dp_request_head){0};
        dp_headers_init(&head->headers, parser->arena);
    } else if (parser->base != bytes.ptr) {
        uintptr_t from = (uintptr_t)parser->base, to = (uintptr_t)bytes.ptr;
        move_view(&head->method_name, from, to);
        move_view(&head->target, from, to);
        move_headers(&head->headers, from, to);
    }
    parser->base = bytes.ptr;
}

ptrdiff_t dp_h1_parse_request(struct dp_h1_parser *parser, gw_str bytes,
                              struct dp_request_head *head, struct dp_h1_framing *framing)
{
    enter_request(parser, bytes, head);
    int result = GO_ON;
    if (parser->stage == START)
        result = parse_start(parser, bytes);
    if (result == GO_ON && parser->stage == METHOD)
        result = parse_method(parser, bytes, head);
    if (result == GO_ON && parser->stage == TARGET)
        result = parse_target(parser, bytes, head);
    if (result == GO_ON && parser->stage == VERSION)
        result = parse_version(parser, bytes, head);
    if (result == GO_ON)
        result = parse_fields(parser, bytes, &head->headers);
    if (result != GO_ON)
        return result;
    head->method = dp_method_from(head->method_name);
    result = dp_h1_target_split(head);
    if (result == 0)
        result = dp_h1_request_framing(head, framing);
    return result < 0 ? result : (ptrdiff_t)parser->scan;
}

static void enter_response(struct dp_h1_parser *parser, gw_str bytes, struct dp_response_head *head)
{
    if (!parser->base) {
        *head = (struct dp_response_head){0};
        dp_headers_init(&head->headers, parser->arena);
        parser->stage = STATUS;
    } else if (parser->base != bytes.ptr) {
        uintptr_t from = (uintptr_t)parser->base, to = (uintptr_t)bytes.ptr;
        move_view(&head->reason, from, to);
        move_headers(&head->headers, from, to);
    }
    parser->base = bytes.ptr;
}

ptrdiff_t dp_h1_parse_response(struct dp_h1_parser *parser, gw_str bytes, enum dp_method method,
                               struct dp_response_head *head, struct dp_h1_framing *framing)
{
    enter_response(parser, bytes, head);
    int result = GO_ON;
    if (parser->stage == STATUS)
        result = parse_status(parser, bytes, head);
    if (result == GO_ON && parser->stage == REASON)
        result = parse_reason(parser, bytes, head);
    if (result == GO_ON)
        result = parse_fields(parser, bytes, &head->headers);
    if (result != GO_ON)
        return result;
    result = dp_h1_response_framing(head, method, framing);
    return result < 0 ? result : (ptrdiff_t)parser->scan;
}

struct error_row {
    unsigned status;
    const char *reason, *text;
};

static const struct error_row error_rows[DP_H1_ERROR_COUNT] = {[DP_H1_OK] = {200, "", ""},
#define ROW(name, status, reason, text) [DP_H1_##name] = {(status), (reason), (text)},
                                                               DP_H1_ERRORS(ROW)
#undef ROW
};

static const struct error_row *error_row(ptrdiff_t error)
{
    ptrdiff_t index = error < 0 ? -error : error;
    assert(index < DP_H1_ERROR_COUNT);
    return &error_rows[index];
}

unsigned dp_h1_error_status(ptrdiff_t error)
{
    return error_row(error)->status;
}

const char *dp_h1_error_reason(ptrdiff_t error)
{
    return error_row(error)->reason;
}

const char *dp_h1_error_text(ptrdiff_t error)
{
    return error_row(error)->text;
}
