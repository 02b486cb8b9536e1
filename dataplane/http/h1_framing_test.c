/* SPDX-License-Identifier: Apache-2.0 */
/* What two servers could read differently, as raw bytes, and where bodies end. */
#include "dataplane/http/h1_testing.h"

#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define POST_10 "POST / HTTP/1.0\r\n"
#define OK_LINE "HTTP/1.1 200 OK\r\n"

static const struct refusal_case ambiguous_requests[] = {
    REFUSED(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", AMBIGUOUS_LENGTH),
    REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", AMBIGUOUS_LENGTH),
    REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", AMBIGUOUS_LENGTH),
    REFUSED(POST "transfer-encoding: xchunked\r\ncontent-length: 5\r\n\r\n", AMBIGUOUS_LENGTH),
    REFUSED(POST_10 "Transfer-Encoding: chunked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST_10 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
            BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked, chunked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked, gzip\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked,\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: ,chunked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: \"chunked\"\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chunked;q=1\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: chun ked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: x chunked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding:\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: identity\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: gzip\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: xchunked\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: gzip, chunked\r\n\r\n", UNKNOWN_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding: identity, Chunked\r\n\r\n", UNKNOWN_TRANSFER_ENCODING),
    REFUSED(POST "Transfer-Encoding : chunked\r\n\r\n", BAD_HEADER_NAME),
    REFUSED(POST "Transfer-Encoding:\x0b"
                 "chunked\r\n\r\n",
            BAD_HEADER_VALUE),
    REFUSED(POST "Transfer-Encoding:\r\n chunked\r\n\r\n", FOLDED_HEADER),
    REFUSED(POST "Transfer_Encoding: chunked\r\nContent-Length: x\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5, 5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5,6\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: +5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: -5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 0x5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5 5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 5.0\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: \"5\"\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length:\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 9223372036854775808\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length: 18446744073709551621\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(POST "Content-Length : 5\r\n\r\n", BAD_HEADER_NAME),
    REFUSED(POST "Content-Length\r\n : 5\r\n\r\n", BAD_HEADER_NAME),
    REFUSED(POST "Content-Length: 5\nX: y\r\n\r\n", BAD_LINE_END),
    REFUSED(POST "X: y\rContent-Length: 5\r\n\r\n", BAD_LINE_END),
    REFUSED(POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", BAD_EXPECT),
    REFUSED(POST "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n\r\n", BAD_EXPECT),
};

static void ambiguous_requests_are_refused(void **state)
{
    (void)state;
    check_refusals(ambiguous_requests, GW_ARRAY_LEN(ambiguous_requests), false);
}

static const struct refusal_case ambiguous_responses[] = {
    REFUSED(OK_LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", AMBIGUOUS_LENGTH),
    REFUSED(OK_LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(OK_LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(OK_LINE "Content-Length: x\r\n\r\n", BAD_CONTENT_LENGTH),
    REFUSED(OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", UNKNOWN_TRANSFER_ENCODING),
    REFUSED(OK_LINE "Transfer-Encoding: gzip\r\n\r\n", BAD_TRANSFER_ENCODING),
    REFUSED(OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            BAD_TRANSFER_ENCODING),
    REFUSED("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BAD_TRANSFER_ENCODING),
};

static void ambiguous_responses_are_refused(void **state)
{
    (void)state;
    check_refusals(ambiguous_responses, GW_ARRAY_LEN(ambiguous_responses), true);
}

struct framing_case {
    const char *bytes;
    enum dp_method method; /* of the request, for responses */
    struct dp_h1_framing want;
};

static void check_framings(const struct framing_case *cases, size_t count, bool is_response)
{
    for (size_t i = 0; i < count; i++) {
        struct parsed p = {.is_response = is_response, .method = cases[i].method};
        gw_str text = gw_str_from(cases[i].bytes);
        if (parse_every_way(&p, text) != (ptrdiff_t)text.len)
            fail_msg("'%s' gave %td", cases[i].bytes, p.result);
        const struct dp_h1_framing *want = &cases[i].want, *got = &p.framing;
        if (got->kind != want->kind || got->length != want->length || got->minor != want->minor ||
            got->keep_alive != want->keep_alive || got->upgrade != want->upgrade ||
            got->expect_continue != want->expect_continue)
            fail_msg("'%s' is framed otherwise", cases[i].bytes);
        parsed_done(&p);
    }
}

#define KEEP .minor = 1, .keep_alive = true
#define CLOSE .minor = 1

static void requests_say_where_they_end(void **state)
{
    (void)state;
    static const struct framing_case cases[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, {.kind = DP_BODY_NONE, KEEP}},
        {POST "\r\n", 0, {.kind = DP_BODY_NONE, KEEP}},
        {POST "Content-Length: 0\r\n\r\n", 0, {.kind = DP_BODY_LENGTH, KEEP}},
        {POST "CONTENT-LENGTH:\t05 \r\n\r\n", 0, {.kind = DP_BODY_LENGTH, .length = 5, KEEP}},
        {POST "Content-Length: 9223372036854775807\r\n\r\n",
         0,
         {.kind = DP_BODY_LENGTH, .length = INT64_MAX, KEEP}},
        {POST "Transfer-Encoding: Chunked\r\n\r\n", 0, {.kind = DP_BODY_CHUNKED, KEEP}},
        {POST "Connection: close\r\n\r\n", 0, {.kind = DP_BODY_NONE, CLOSE}},
        {POST "Connection: x, CLOSE\r\n\r\n", 0, {.kind = DP_BODY_NONE, CLOSE}},
        {POST "Connection: keep-alive\r\nConnection: close\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, CLOSE}},
        {POST "Connection: closed\r\n\r\n", 0, {.kind = DP_BODY_NONE, KEEP}},
        {POST_10 "\r\n", 0, {.kind = DP_BODY_NONE}},
        {POST_10 "Connection: Keep-Alive\r\n\r\n", 0, {.kind = DP_BODY_NONE, .keep_alive = true}},
        {POST_10 "Connection: keep-alive, close\r\n\r\n", 0, {.kind = DP_BODY_NONE}},
        {POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
         0,
         {.kind = DP_BODY_LENGTH, .length = 1, .expect_continue = true, KEEP}},
        {POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
         0,
         {.kind = DP_BODY_CHUNKED, .expect_continue = true, KEEP}},
        {POST "Expect: 100-continue\r\n\r\n", 0, {.kind = DP_BODY_NONE, KEEP}},
        {POST_10 "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n",
         0,
         {.kind = DP_BODY_LENGTH, .length = 1}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, .upgrade = true, KEEP}},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, KEEP}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, KEEP}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
         "Content-Length: 1\r\n\r\n",
         0,
         {.kind = DP_BODY_LENGTH, .length = 1, KEEP}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
         "Content-Length: 0\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, .upgrade = true, KEEP}},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, .upgrade = true, KEEP}},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
         0,
         {.kind = DP_BODY_NONE, KEEP}},
        {POST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 0, {.kind = DP_BODY_NONE, KEEP}},
    };
    check_framings(cases, GW_ARRAY_LEN(cases), false);
}

static void responses_say_where_they_end(void **state)
{
    (void)state;
    static const struct framing_case cases[] = {
        {OK_LINE "Content-Length: 7\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_LENGTH, .length = 7, KEEP}},
        {OK_LINE "Transfer-Encoding: chunked\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_CHUNKED, KEEP}},
        {OK_LINE "\r\n", DP_METHOD_GET, {.kind = DP_BODY_UNTIL_CLOSE, CLOSE}},
        {OK_LINE "Connection: keep-alive\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_UNTIL_CLOSE, CLOSE}},
        {OK_LINE "Connection: close\r\nContent-Length: 7\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_LENGTH, .length = 7, CLOSE}},
        {"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_LENGTH, .length = 7}},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_LENGTH, .length = 7, .keep_alive = true}},
        {OK_LINE "Content-Length: 7\r\n\r\n", DP_METHOD_HEAD, {.kind = DP_BODY_NONE, KEEP}},
        {OK_LINE "Transfer-Encoding: chunked\r\n\r\n",
         DP_METHOD_HEAD,
         {.kind = DP_BODY_NONE, KEEP}},
        {OK_LINE "\r\n", DP_METHOD_HEAD, {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 204 No Content\r\n\r\n", DP_METHOD_GET, {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, CLOSE}},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, CLOSE}},
        {"HTTP/1.1 100 Continue\r\n\r\n", DP_METHOD_POST, {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n",
         DP_METHOD_POST,
         {.kind = DP_BODY_NONE, CLOSE}},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, .upgrade = true, KEEP}},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
         DP_METHOD_GET,
         {.kind = DP_BODY_NONE, KEEP}},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", DP_METHOD_GET, {.kind = DP_BODY_NONE, KEEP}},
    };
    check_framings(cases, GW_ARRAY_LEN(cases), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(ambiguous_responses_are_refused),
        cmocka_unit_test(requests_say_where_they_end),
        cmocka_unit_test(responses_say_where_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
