/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/h2_answer.h"

#define LINE_REST_BYTES 4 /* ": " and CR LF */

void dp_h2_answer_init(struct dp_h2_answer *answer, struct dp_response_head *head,
                       struct gw_arena *arena, const struct dp_h1_limits *limits)
{
    *answer = (struct dp_h2_answer){.head = head, .limits = limits};
    *head = (struct dp_response_head){.major = 2};
    dp_headers_init(&head->headers, arena);
}

/* Blanks around a value are none of it, as in HTTP/1: RFC 9113 8.2.1 forbids them, and there are
 * servers that send them. */
static int check(gw_str name, gw_str *value)
{
    *value = gw_str_trim(*value);
    if (!dp_header_is_valid(name, GW_STR_NONE))
        return -DP_H1_BAD_HEADER_NAME;
    return dp_header_is_valid(name, *value) ? 0 : -DP_H1_BAD_HEADER_VALUE;
}

/* Known names as we write them: toward callers of HTTP/1 nothing looks unusual. */
static void append(struct dp_headers *headers, gw_str name, gw_str value)
{
    enum dp_header_id id = dp_header_id_from(name);
    gw_str kept = id == DP_HEADER_OTHER ? gw_arena_dup(headers->arena, name) : dp_header_name(id);
    dp_headers_append(headers, kept, gw_arena_dup(headers->arena, value));
}

static int take_status(struct dp_response_head *head, gw_str value)
{
    uint64_t status;
    if (value.len != 3 || gw_str_to_u64(value, 599, &status) != 0 || status < 100)
        return -DP_H1_BAD_STATUS;
    head->status = (unsigned)status;
    return 0;
}

int dp_h2_answer_add(struct dp_h2_answer *answer, gw_str name, gw_str value)
{
    const struct dp_h1_limits *limits = answer->limits;
    struct dp_headers *headers = &answer->head->headers;
    size_t bytes = name.len + value.len + LINE_REST_BYTES;
    answer->bytes += bytes;
    if (gw_str_eq(name, GW_STR(":status")))
        return take_status(answer->head, value);
    if (bytes > limits->header_bytes || answer->bytes > limits->head_bytes)
        return -DP_H1_HEADER_TOO_LARGE;
    if (headers->count >= limits->header_count)
        return -DP_H1_TOO_MANY_HEADERS;
    int result = check(name, &value);
    if (result == 0)
        append(headers, name, value);
    return result;
}

int dp_h2_answer_framing(const struct dp_response_head *head, enum dp_method method, bool is_last,
                         struct dp_h1_framing *framing)
{
    const struct dp_header *length = dp_headers_get(&head->headers, DP_HEADER_CONTENT_LENGTH);
    bool has_none = method == DP_METHOD_HEAD || head->status == 204 || head->status == 304;
    *framing = (struct dp_h1_framing){.kind = DP_BODY_CHUNKED, .minor = 1, .keep_alive = true};
    if (length && gw_str_to_u64(length->value, INT64_MAX, &framing->length) != 0)
        return -DP_H1_BAD_CONTENT_LENGTH;
    if (has_none)
        framing->kind = DP_BODY_NONE;
    else if (length || is_last)
        framing->kind = DP_BODY_LENGTH;
    return 0;
}

int dp_h2_answer_add_trailer(struct dp_headers *trailers, const struct dp_h1_limits *limits,
                             size_t *bytes, gw_str name, gw_str value)
{
    *bytes += name.len + value.len + LINE_REST_BYTES;
    if (*bytes > limits->trailer_bytes || trailers->count >= limits->header_count)
        return -DP_H1_TRAILER_TOO_LARGE;
    if (check(name, &value) != 0)
        return -DP_H1_BAD_TRAILER;
    if (dp_header_is_for_trailers(name))
        dp_headers_append(trailers, gw_arena_dup(trailers->arena, name),
                          gw_arena_dup(trailers->arena, value));
    return 0;
}
