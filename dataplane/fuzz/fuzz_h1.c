/* SPDX-License-Identifier: Apache-2.0 */
/* A head and the body behind it: whole, cut in two, and byte by byte must give the same. What is
 * understood is written again and must be understood the same.
 * Input: flags (1: response, 2: to HEAD, 4: small limits), cut (two bytes), then the bytes. */
#include "dataplane/http/h1_body.h"
#include "dataplane/http/h1_write.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTE_BY_BYTE_MAX 512

static const struct dp_h1_limits small_limits = {.line_bytes = 64,
                                                 .header_bytes = 32,
                                                 .head_bytes = 128,
                                                 .header_count = 5,
                                                 .extension_bytes = 4,
                                                 .trailer_bytes = 24};

struct run {
    struct gw_arena arena;
    const struct dp_h1_limits *limits;
    bool is_response;
    enum dp_method method;
    struct dp_h1_parser parser;
    struct dp_request_head request;
    struct dp_response_head response;
    struct dp_h1_framing framing;
    struct dp_h1_body body;
    char *bytes;    /* owned: what had arrived when the head was last looked at */
    ptrdiff_t head; /* result of the head */
    ptrdiff_t end;  /* last result of the body */
    size_t used;    /* of the body */
    uint64_t data_hash, data_len;
};

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void begin(struct run *run, uint8_t flags)
{
    *run = (struct run){.limits = flags & 4 ? &small_limits : &dp_h1_limits_default,
                        .is_response = flags & 1,
                        .method = flags & 2 ? DP_METHOD_HEAD : DP_METHOD_GET,
                        .data_hash = 1};
    gw_arena_init(&run->arena, 0);
    dp_h1_parser_init(&run->parser, run->limits, &run->arena);
}

static void end(struct run *run)
{
    gw_arena_done(&run->arena);
    free(run->bytes);
}

static void feed_body(struct run *run, gw_str bytes)
{
    gw_str data;
    while ((run->end = dp_h1_body_next(&run->body, bytes, &data)) > 0) {
        expect((size_t)run->end <= bytes.len && data.len <= (size_t)run->end, "body lengths");
        for (size_t i = 0; i < data.len; i++)
            run->data_hash = run->data_hash * 31 + (unsigned char)data.ptr[i];
        run->data_len += data.len;
        run->used += (size_t)run->end;
        bytes = gw_str_n(bytes.ptr + run->end, bytes.len - (size_t)run->end);
    }
}

/* The first `len` bytes have arrived, at a new place. */
static void feed(struct run *run, gw_str text, size_t len)
{
    char *bytes = gw_malloc(len ? len : 1);
    memcpy(bytes, text.ptr, len);
    gw_str view = {bytes, len};
    bool in_head = run->head == 0;
    if (in_head) {
        run->head = run->is_response
                        ? dp_h1_parse_response(&run->parser, view, run->method, &run->response,
                                               &run->framing)
                        : dp_h1_parse_request(&run->parser, view, &run->request, &run->framing);
        if (run->head > 0)
            dp_h1_body_init(&run->body, &run->framing, run->limits, &run->arena);
    }
    if (run->head > 0 && run->end == 0) {
        size_t at = (size_t)run->head + run->used;
        feed_body(run, gw_str_n(bytes + at, len - at));
    }
    free(in_head ? run->bytes : bytes);
    if (in_head)
        run->bytes = bytes;
}

static struct dp_headers *headers_of(struct run *run)
{
    return run->is_response ? &run->response.headers : &run->request.headers;
}

static void compare_headers(const struct dp_headers *a, const struct dp_headers *b)
{
    expect(a->count == b->count, "number of fields");
    for (unsigned i = 0; i < a->count; i++) {
        expect(gw_str_eq(a->items[i].name, b->items[i].name), "name");
        expect(gw_str_eq(a->items[i].value, b->items[i].value), "value");
        expect(a->items[i].id == b->items[i].id, "id");
        expect(dp_header_is_valid(a->items[i].name, a->items[i].value), "valid field");
    }
}

static void compare_requests(const struct dp_request_head *a, const struct dp_request_head *b)
{
    expect(a->method == b->method && gw_str_eq(a->method_name, b->method_name), "method");
    expect(gw_str_eq(a->target, b->target), "target");
    expect(gw_str_eq(a->path, b->path), "path");
    expect(gw_str_eq(a->query, b->query), "query");
    expect(gw_str_eq(a->authority, b->authority), "authority");
    expect(gw_str_eq(a->host, b->host) && a->port == b->port, "host");
}

static void compare(struct run *a, struct run *b)
{
    expect(a->head == b->head, "result of the head");
    if (a->head <= 0)
        return;
    compare_headers(headers_of(a), headers_of(b));
    if (!a->is_response)
        compare_requests(&a->request, &b->request);
    expect(a->framing.kind == b->framing.kind && a->framing.length == b->framing.length, "framing");
    expect(a->end == b->end && a->body.done == b->body.done, "end of the body");
    if (a->end < 0)
        return;
    expect(a->data_len == b->data_len && a->data_hash == b->data_hash, "data");
    expect(a->body.total == a->data_len, "count of data");
    compare_headers(&a->body.trailers, &b->body.trailers);
}

static void parse_split(struct run *whole, uint8_t flags, gw_str text, size_t cut)
{
    struct run run;
    begin(&run, flags);
    feed(&run, text, cut);
    if (run.head >= 0 && run.end >= 0)
        feed(&run, text, text.len);
    compare(whole, &run);
    end(&run);
}

static void parse_slowly(struct run *whole, uint8_t flags, gw_str text)
{
    struct run run;
    begin(&run, flags);
    for (size_t len = 0; len <= text.len && run.head >= 0 && run.end >= 0; len++)
        feed(&run, text, len);
    compare(whole, &run);
    end(&run);
}

static int write_again(struct run *run, struct gw_buf *out)
{
    if (run->is_response)
        return dp_h1_write_response(out, run->response.status, run->response.reason,
                                    &run->response.headers, &run->framing);
    struct dp_h1_request_line line = {run->request.method_name, run->request.target,
                                      run->request.authority};
    return dp_h1_write_request(out, &line, &run->request.headers, &run->framing);
}

static void write_and_parse(struct run *run)
{
    struct gw_buf out;
    struct run again;
    dp_headers_strip_hop_by_hop(headers_of(run));
    gw_buf_init(&out, 0);
    expect(write_again(run, &out) == 0, "written");
    /* HTTP/1.0 without Host cannot be said in 1.1, and an answer to HEAD keeps its length */
    if (run->is_response || run->request.authority.len > 0) {
        begin(&again,
              (uint8_t)((run->is_response ? 1 : 0) | (run->method == DP_METHOD_HEAD ? 2 : 0)));
        gw_str text = gw_buf_view(&out);
        feed(&again, text, text.len);
        expect(again.head == (ptrdiff_t)text.len, "written text is one head");
        expect(again.framing.kind == run->framing.kind, "kind after writing");
        expect(again.framing.length == run->framing.length, "length after writing");
        end(&again);
    }
    gw_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 3)
        return 0;
    uint8_t flags = input[0];
    gw_str text = {(const char *)input + 3, size - 3};
    struct run whole;
    begin(&whole, flags);
    feed(&whole, text, text.len);
    parse_split(&whole, flags, text, (size_t)(input[1] << 8 | input[2]) % (text.len + 1));
    if (text.len <= BYTE_BY_BYTE_MAX)
        parse_slowly(&whole, flags, text);
    if (whole.head > 0)
        write_and_parse(&whole);
    end(&whole);
    return 0;
}
