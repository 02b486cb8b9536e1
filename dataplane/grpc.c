/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/grpc.h"

#define CONTENT_TYPE GW_STR("application/grpc")
#define TIMEOUT_DIGITS_MAX 8

bool dp_grpc_is_call(const struct dp_headers *headers)
{
    gw_str type = dp_headers_value(headers, DP_HEADER_CONTENT_TYPE);
    if (type.len < CONTENT_TYPE.len ||
        !gw_str_eq_nocase(gw_str_n(type.ptr, CONTENT_TYPE.len), CONTENT_TYPE))
        return false;
    return type.len == CONTENT_TYPE.len || type.ptr[CONTENT_TYPE.len] == '+' ||
           type.ptr[CONTENT_TYPE.len] == ';';
}

/* ---- deadlines */

/* Nanoseconds of a unit; 0: there is no such unit. */
static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return UINT64_C(1000000);
    case 'u':
        return UINT64_C(1000);
    case 'n':
        return 1;
    default:
        return 0;
    }
}

int dp_grpc_timeout_from(gw_str text, gw_msec *ret_ms)
{
    uint64_t number;
    if (text.len < 2 || text.len > TIMEOUT_DIGITS_MAX + 1)
        return -1;
    uint64_t unit = unit_ns(text.ptr[text.len - 1]);
    text.len--;
    if (unit == 0 || gw_str_to_u64(text, UINT32_MAX, &number) != 0)
        return -1;
    /* 8 digits of hours are more nanoseconds than there are. */
    if (number > (uint64_t)DP_GRPC_TIMEOUT_MAX_MS * 1000000 / unit)
        *ret_ms = DP_GRPC_TIMEOUT_MAX_MS;
    else
        *ret_ms = (gw_msec)((number * unit + 999999) / 1000000);
    return 0;
}

gw_str dp_grpc_timeout_to(struct gw_arena *arena, gw_msec ms)
{
    if (ms < 100000000)
        return gw_arena_printf(arena, "%lldm", (long long)ms);
    return gw_arena_printf(arena, "%lldS", (long long)(ms / 1000));
}

/* ---- statuses */

enum dp_grpc_status dp_grpc_status_of(unsigned http_status)
{
    static const struct {
        unsigned http_status;
        enum dp_grpc_status status;
    } rows[] = {
        {400, DP_GRPC_INVALID_ARGUMENT},
        {401, DP_GRPC_UNAUTHENTICATED},
        {403, DP_GRPC_PERMISSION_DENIED},
        {404, DP_GRPC_UNIMPLEMENTED}, /* no such service or method */
        {405, DP_GRPC_UNIMPLEMENTED},
        {408, DP_GRPC_DEADLINE_EXCEEDED},
        {413, DP_GRPC_RESOURCE_EXHAUSTED},
        {414, DP_GRPC_RESOURCE_EXHAUSTED},
        {415, DP_GRPC_INVALID_ARGUMENT},
        {417, DP_GRPC_INVALID_ARGUMENT},
        {421, DP_GRPC_INVALID_ARGUMENT},
        /* Not UNAVAILABLE, which clients repeat at once. */
        {429, DP_GRPC_RESOURCE_EXHAUSTED},
        {431, DP_GRPC_RESOURCE_EXHAUSTED},
        {500, DP_GRPC_INTERNAL},
        {501, DP_GRPC_UNIMPLEMENTED},
        {502, DP_GRPC_UNAVAILABLE},
        {503, DP_GRPC_UNAVAILABLE},
        {504, DP_GRPC_DEADLINE_EXCEEDED},
        {505, DP_GRPC_UNIMPLEMENTED},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(rows); i++) {
        if (rows[i].http_status == http_status)
            return rows[i].status;
    }
    return DP_GRPC_UNKNOWN;
}

int dp_grpc_status_from(gw_str text)
{
    uint64_t status;
    return gw_str_to_u64(text, INT32_MAX, &status) == 0 ? (int)status : -1;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c <= 0x7e && c != '%';
}

/* Percent encoding of what is not printable ASCII. */
static gw_str escape(struct gw_arena *arena, gw_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = gw_arena_bytes(arena, text.len * 3), *at = out;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_plain(text.ptr[i])) {
            *at++ = text.ptr[i];
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return gw_str_n(out, (size_t)(at - out));
}

void dp_grpc_put_status(struct dp_headers *headers, enum dp_grpc_status status, gw_str message)
{
    struct gw_arena *arena = headers->arena;
    dp_headers_set(headers, dp_header_name(DP_HEADER_GRPC_STATUS),
                   gw_arena_printf(arena, "%d", (int)status));
    dp_headers_set(headers, dp_header_name(DP_HEADER_GRPC_MESSAGE), escape(arena, message));
}

gw_str dp_grpc_message(struct gw_arena *arena, enum dp_refusal refusal, gw_str request_id)
{
    const struct dp_refusal_row *row = dp_refusal_row(refusal);
    ptrdiff_t hole = gw_str_find(row->message, '%'); /* what would fill it is for people */
    int len = (int)(hole >= 0 ? (size_t)hole : row->message.len);
    return gw_arena_printf(arena, "%.*s: %.*s (request %.*s)", GW_STR_ARG(row->code), len,
                           row->message.ptr, GW_STR_ARG(request_id));
}

void dp_grpc_refuse(struct dp_response_head *head, struct gw_arena *arena, enum dp_refusal refusal,
                    gw_str request_id)
{
    enum dp_grpc_status status = dp_grpc_status_of(head->status);
    head->status = 200;
    head->reason = dp_status_reason(200);
    (void)dp_headers_remove(&head->headers, DP_HEADER_CONTENT_LENGTH); /* may not be there */
    dp_headers_set(&head->headers, dp_header_name(DP_HEADER_CONTENT_TYPE), CONTENT_TYPE);
    dp_grpc_put_status(&head->headers, status, dp_grpc_message(arena, refusal, request_id));
}
