/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/observe/access_line.h"

#include "dataplane/observe/access_log.h"

#define ESCAPE_MAX 6       /* bytes that one byte can become */
#define FIELD_FRAME_MAX 32 /* comma, key, quotes, the mark of a cut */
#define TEXTS 21           /* fields of DP_LINE_TEXT_MAX */
#define NUMBERS 13

_Static_assert(ESCAPE_MAX *(DP_LINE_PATH_MAX + TEXTS * DP_LINE_TEXT_MAX) +
                       (TEXTS + NUMBERS + 1) * FIELD_FRAME_MAX + NUMBERS * GW_U64_DIGITS <=
                   DP_ACCESS_LOG_LINE_MAX,
               "the longest line fits");

/* A key with what stands around it, and its length known to the compiler: a few stores. */
#define PUT(at, literal)                                                                           \
    ((char *)memcpy((at), (literal), sizeof(literal) - 1) + (sizeof(literal) - 1))
#define TEXT(at, key, text) ((text).len ? put_text(PUT(at, ",\"" key "\":\""), text) : (at))
#define WORD(at, key, word) put_word(PUT(at, ",\"" key "\":\""), word)
#define NUMBER(at, key, value) gw_str_put_u64(PUT(at, ",\"" key "\":"), value)
#define MS(at, key, ns) put_ms(PUT(at, ",\"" key "\":"), ns)

/* Controls, quote, backslash, DEL, and all that is not ASCII. */
static unsigned odd_bytes(gw_lanes v)
{
    return gw_lanes_mask((gw_lanes)((v < 0x20) | (v >= 0x7f) | (v == '"') | (v == '\\')));
}

#define BLANKS UINT64_C(0x2020202020202020)

/* As put_plain, for a text shorter than the lanes: in two pieces, of which the second may begin
 * within the first. False: a byte needs a look. */
static bool put_short(char *at, gw_str text)
{
    uint64_t words[2] = {BLANKS, BLANKS};
    uint32_t halves[2];
    gw_lanes lanes;
    if (text.len >= 8) {
        memcpy(&words[0], text.ptr, 8);
        memcpy(&words[1], text.ptr + text.len - 8, 8);
        memcpy(at, &words[0], 8);
        memcpy(at + text.len - 8, &words[1], 8);
    } else if (text.len >= 4) {
        memcpy(&halves[0], text.ptr, 4);
        memcpy(&halves[1], text.ptr + text.len - 4, 4);
        memcpy(at, &halves[0], 4);
        memcpy(at + text.len - 4, &halves[1], 4);
        words[0] = halves[0] | (uint64_t)halves[1] << 32;
    } else {
        for (size_t i = 0; i < text.len; i++) {
            at[i] = text.ptr[i];
            words[0] = words[0] << 8 | (unsigned char)text.ptr[i];
        }
    }
    memcpy(&lanes, words, sizeof(lanes));
    return gw_likely(!odd_bytes(lanes));
}

/* Copies as long as no byte needs a look; how many. */
static size_t put_plain(char *at, gw_str text)
{
    gw_lanes lanes;
    size_t i = 0;
    for (; text.len - i >= sizeof(lanes); i += sizeof(lanes)) {
        memcpy(&lanes, text.ptr + i, sizeof(lanes));
        if (gw_unlikely(odd_bytes(lanes)))
            return i;
        memcpy(at + i, &lanes, sizeof(lanes));
    }
    return put_short(at + i, gw_str_n(text.ptr + i, text.len - i)) ? text.len : i;
}

static char *put_escaped(char *at, gw_str text)
{
    char scratch[8];
    size_t plain = put_plain(at, text);
    at += plain;
    text = gw_str_n(text.ptr + plain, text.len - plain);
    while (gw_unlikely(text.len > 0)) {
        gw_str piece = gw_str_json_step(&text, scratch);
        memcpy(at, piece.ptr, piece.len);
        at += piece.len;
    }
    return at;
}

/* Behind the quote that opens it. */
static char *put_cut(char *at, gw_str text, size_t max)
{
    at = put_escaped(at, gw_str_n(text.ptr, GW_MIN(text.len, max)));
    if (text.len > max)
        at = PUT(at, "...");
    *at++ = '"';
    return at;
}

static char *put_text(char *at, gw_str text)
{
    return put_cut(at, text, DP_LINE_TEXT_MAX);
}

/* One of ours: short, and nothing in it needs an escape. */
static char *put_word(char *at, gw_str word)
{
    at = (char *)memcpy(at, word.ptr, word.len) + word.len;
    *at++ = '"';
    return at;
}

/* Milliseconds with three digits behind the point. */
static char *put_ms(char *at, gw_nsec ns)
{
    uint64_t us = (uint64_t)GW_MAX(ns, 0) / 1000;
    at = gw_str_put_u64(at, us / 1000);
    *at++ = '.';
    *at++ = (char)('0' + us / 100 % 10);
    *at++ = (char)('0' + us / 10 % 10);
    *at++ = (char)('0' + us % 10);
    return at;
}

static char *put_time(char *at, struct dp_line_clock *clock, gw_msec wall_ms)
{
    gw_msec second = wall_ms / 1000, ms = wall_ms % 1000;
    if (second != clock->second) {
        clock->second = second;
        gw_clock_to_rfc3339(second * 1000, clock->text);
    }
    at = PUT(at, "{\"time\":\"");
    at = (char *)memcpy(at, clock->text, GW_RFC3339_LEN) + GW_RFC3339_LEN;
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
    gw_str path = request->path.len ? request->path : head->path;
    gw_str user_agent = dp_headers_value(&head->headers, DP_HEADER_USER_AGENT);
    at = TEXT(at, "request_id", request->request_id);
    at = TEXT(at, "source", request->source_text);
    if (head->path.len == 0)
        return at; /* the head never was whole: what is there of it may have moved */
    at = TEXT(at, "method", head->method_name);
    at = WORD(at, "scheme", request->tls ? GW_STR("https") : GW_STR("http"));
    at = TEXT(at, "host", head->host);
    at = put_cut(PUT(at, ",\"path\":\""), path, DP_LINE_PATH_MAX);
    if (head->query.len > 0)
        at = NUMBER(at, "query_bytes", head->query.len);
    at = WORD(at, "protocol", protocols[head->major == 2 ? 2 : GW_MIN(head->minor, 1)]);
    return TEXT(at, "user_agent", user_agent);
}

static char *put_tls(char *at, const struct dp_outcome *outcome)
{
    at = TEXT(at, "tls_version", outcome->tls_version);
    at = TEXT(at, "tls_cipher", outcome->tls_cipher);
    at = TEXT(at, "server_name", outcome->server_name);
    return TEXT(at, "client_subject", outcome->client_subject);
}

static char *put_gateway(char *at, const struct dp_exchange *x)
{
    const struct dp_route *route = x->route;
    gw_str environment = route ? route->environment : x->request.environment;
    if (route) {
        at = TEXT(at, "group", route->group);
        at = TEXT(at, "api", route->api_id);
        at = TEXT(at, "api_name", route->api_name);
    }
    at = TEXT(at, "environment", environment);
    if (x->app)
        at = TEXT(at, "app", dp_app_id(x->app));
    return TEXT(at, "auth_type", x->auth_type);
}

/* How much smaller, in hundredths. */
static char *put_ratio(char *at, uint64_t in, uint64_t out)
{
    uint64_t hundredths = in * 100 / out;
    at = gw_str_put_u64(PUT(at, ",\"gzip_ratio\":"), hundredths / 100);
    *at++ = '.';
    *at++ = (char)('0' + hundredths / 10 % 10);
    *at++ = (char)('0' + hundredths % 10);
    return at;
}

static char *put_answer(char *at, const struct dp_exchange *x, const struct dp_outcome *outcome)
{
    static const gw_str origins[] = {
        [DP_ORIGIN_LOCAL] = {"local", 5}, [DP_ORIGIN_UPSTREAM] = {"upstream", 8}};
    at = NUMBER(at, "status", outcome->status);
    if (outcome->has_grpc_status && outcome->grpc_status >= 0)
        at = NUMBER(at, "grpc_status", (uint64_t)outcome->grpc_status);
    if (x->response.origin != DP_ORIGIN_NONE)
        at = WORD(at, "answered_by", origins[x->response.origin]);
    if (x->response.refusal)
        at = WORD(at, "error_code", dp_refusal_row(x->response.refusal)->code);
    at = TEXT(at, "reason", outcome->reason);
    at = NUMBER(at, "bytes_in", outcome->bytes_in);
    at = NUMBER(at, "bytes_out", outcome->bytes_out);
    at = MS(at, "duration_ms", outcome->duration_ns);
    if (outcome->gzip_out > 0)
        at = put_ratio(at, outcome->gzip_in, outcome->gzip_out);
    if (outcome->cut)
        at = PUT(at, ",\"cut\":true");
    if (outcome->attempts == 0)
        return at;
    at = TEXT(at, "upstream", outcome->upstream);
    if (outcome->upstream_ns > 0)
        at = MS(at, "upstream_ms", outcome->upstream_ns);
    at = NUMBER(at, "attempts", outcome->attempts);
    return outcome->reused ? PUT(at, ",\"reused\":true") : at;
}

size_t dp_access_line_write(char *text, struct dp_line_clock *clock, const struct dp_exchange *x,
                            const struct dp_outcome *outcome)
{
    char *at = put_time(text, clock, x->request.received_wall_ms);
    at = put_request(at, &x->request);
    if (x->request.tls)
        at = put_tls(at, outcome);
    at = put_gateway(at, x);
    at = put_answer(at, x, outcome);
    *at++ = '}';
    *at++ = '\n';
    assert(at <= text + DP_ACCESS_LOG_LINE_MAX);
    return (size_t)(at - text);
}
