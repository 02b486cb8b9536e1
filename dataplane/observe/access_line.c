/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/access_line.h"

#include "dataplane/observe/access_log.h"

#define ESCAPE_MAX 6       /* bytes that one byte can become */
#define FIELD_FRAME_MAX 32 /* comma, key, quotes, the mark of a cut */
#define NUMBER_MAX 24
#define TEXTS 17 /* fields of DP_LINE_TEXT_MAX */
#define NUMBERS 12

_Static_assert(ESCAPE_MAX *(DP_LINE_PATH_MAX + TEXTS * DP_LINE_TEXT_MAX) +
                       (TEXTS + NUMBERS + 1) * FIELD_FRAME_MAX + NUMBERS * NUMBER_MAX <=
                   DP_ACCESS_LOG_LINE_MAX,
               "the longest line fits");

static char *put_bytes(char *at, const char *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

/* How many bytes from the start need no escape and are ASCII; may stop early. */
static size_t plain_run(gw_str text)
{
    size_t i = 0;
    while (i + sizeof(gw_lanes) <= text.len) {
        gw_lanes lanes;
        memcpy(&lanes, text.ptr + i, sizeof(lanes));
        /* from 0x7f on unsigned lanes: DEL and all that is not ASCII */
        if (gw_lanes_mask(
                (gw_lanes)((lanes < 0x20) | (lanes >= 0x7f) | (lanes == '"') | (lanes == '\\'))))
            break;
        i += sizeof(lanes);
    }
    return i;
}

static char *put_escaped(char *at, gw_str text)
{
    char scratch[8];
    size_t plain = plain_run(text);
    at = put_bytes(at, text.ptr, plain);
    text = gw_str_n(text.ptr + plain, text.len - plain);
    while (text.len > 0) {
        gw_str piece = gw_str_json_step(&text, scratch);
        at = put_bytes(at, piece.ptr, piece.len);
    }
    return at;
}

static char *put_key(char *at, gw_str key)
{
    *at++ = ',';
    *at++ = '"';
    at = put_bytes(at, key.ptr, key.len);
    *at++ = '"';
    *at++ = ':';
    return at;
}

static char *put_cut(char *at, gw_str key, gw_str text, size_t max)
{
    if (text.len == 0)
        return at;
    at = put_key(at, key);
    *at++ = '"';
    at = put_escaped(at, gw_str_n(text.ptr, GW_MIN(text.len, max)));
    if (text.len > max)
        at = put_bytes(at, "...", 3);
    *at++ = '"';
    return at;
}

static char *put_text(char *at, gw_str key, gw_str text)
{
    return put_cut(at, key, text, DP_LINE_TEXT_MAX);
}

static char *put_digits(char *at, uint64_t value)
{
    char digits[NUMBER_MAX];
    size_t len = 0;
    do {
        digits[sizeof(digits) - ++len] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put_bytes(at, digits + sizeof(digits) - len, len);
}

static char *put_number(char *at, gw_str key, uint64_t value)
{
    return put_digits(put_key(at, key), value);
}

/* Milliseconds with three digits behind the point. */
static char *put_ms(char *at, gw_str key, gw_nsec ns)
{
    uint64_t us = (uint64_t)GW_MAX(ns, 0) / 1000;
    at = put_digits(put_key(at, key), us / 1000);
    *at++ = '.';
    *at++ = (char)('0' + us / 100 % 10);
    *at++ = (char)('0' + us / 10 % 10);
    *at++ = (char)('0' + us % 10);
    return at;
}

static char *put_true(char *at, gw_str key)
{
    return put_bytes(put_key(at, key), "true", 4);
}

static char *put_time(char *at, struct dp_line_clock *clock, gw_msec wall_ms)
{
    gw_msec second = wall_ms / 1000, ms = wall_ms % 1000;
    if (second != clock->second) {
        clock->second = second;
        gw_clock_to_rfc3339(second * 1000, clock->text);
    }
    at = put_bytes(at, "{\"time\":\"", 9);
    at = put_bytes(at, clock->text, GW_RFC3339_LEN);
    at[-4] = (char)('0' + ms / 100 % 10); /* "...:00.000Z" */
    at[-3] = (char)('0' + ms / 10 % 10);
    at[-2] = (char)('0' + ms % 10);
    *at++ = '"';
    return at;
}

static char *put_request(char *at, const struct dp_request *request)
{
    static const gw_str protocols[] = {{"HTTP/1.0", 8}, {"HTTP/1.1", 8}, {"HTTP/2", 6}};
    const struct dp_request_head *head = &request->head;
    at = put_text(at, GW_STR("request_id"), request->request_id);
    at = put_text(at, GW_STR("source"), request->source_text);
    if (head->path.len == 0)
        return at; /* the head never was whole: what is there of it may have moved */
    at = put_text(at, GW_STR("method"), head->method_name);
    at = put_text(at, GW_STR("scheme"), request->tls ? GW_STR("https") : GW_STR("http"));
    at = put_text(at, GW_STR("host"), head->host);
    at = put_cut(at, GW_STR("path"), request->path.len ? request->path : head->path,
                 DP_LINE_PATH_MAX);
    if (head->query.len > 0)
        at = put_number(at, GW_STR("query_bytes"), head->query.len);
    at = put_text(at, GW_STR("protocol"), protocols[head->major == 2 ? 2 : GW_MIN(head->minor, 1)]);
    return put_text(at, GW_STR("user_agent"),
                    dp_headers_value(&head->headers, DP_HEADER_USER_AGENT));
}

static char *put_gateway(char *at, const struct dp_exchange *x)
{
    const struct dp_route *route = x->route;
    if (route) {
        at = put_text(at, GW_STR("group"), route->group);
        at = put_text(at, GW_STR("api"), route->api_id);
        at = put_text(at, GW_STR("api_name"), route->api_name);
    }
    at = put_text(at, GW_STR("environment"), route ? route->environment : x->request.environment);
    if (x->app)
        at = put_text(at, GW_STR("app"), x->app->id);
    return put_text(at, GW_STR("auth_type"), x->auth_type);
}

static char *put_answer(char *at, const struct dp_exchange *x, const struct dp_outcome *outcome)
{
    static const gw_str origins[] = {
        [DP_ORIGIN_LOCAL] = {"local", 5}, [DP_ORIGIN_UPSTREAM] = {"upstream", 8}};
    at = put_number(at, GW_STR("status"), outcome->status);
    at = put_text(at, GW_STR("answered_by"), origins[x->response.origin]);
    if (x->response.refusal)
        at = put_text(at, GW_STR("error_code"), dp_refusal_row(x->response.refusal)->code);
    at = put_text(at, GW_STR("reason"), outcome->reason);
    at = put_number(at, GW_STR("bytes_in"), outcome->bytes_in);
    at = put_number(at, GW_STR("bytes_out"), outcome->bytes_out);
    at = put_ms(at, GW_STR("duration_ms"), outcome->duration_ns);
    if (outcome->cut)
        at = put_true(at, GW_STR("cut"));
    if (outcome->attempts == 0)
        return at;
    at = put_text(at, GW_STR("upstream"), outcome->upstream);
    if (outcome->upstream_ns > 0)
        at = put_ms(at, GW_STR("upstream_ms"), outcome->upstream_ns);
    at = put_number(at, GW_STR("attempts"), outcome->attempts);
    return outcome->reused ? put_true(at, GW_STR("reused")) : at;
}

size_t dp_access_line_write(char *text, struct dp_line_clock *clock, const struct dp_exchange *x,
                            const struct dp_outcome *outcome)
{
    char *at = put_time(text, clock, x->request.received_wall_ms);
    at = put_request(at, &x->request);
    at = put_gateway(at, x);
    at = put_answer(at, x, outcome);
    *at++ = '}';
    *at++ = '\n';
    assert(at <= text + DP_ACCESS_LOG_LINE_MAX);
    return (size_t)(at - text);
}
