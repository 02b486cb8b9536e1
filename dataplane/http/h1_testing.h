/* SPDX-License-Identifier: Apache-2.0 */
/* house: shared code of tests, not an interface.
 *
 * Parses a head whole, cut at each byte, and byte by byte, each time in memory of
 * exactly the size of what has arrived and at another address, and wants the same result. */
#ifndef DP_HTTP_H1_TESTING_H
#define DP_HTTP_H1_TESTING_H

#include "dataplane/http/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct parsed {
    struct gw_arena arena;
    struct dp_h1_parser parser;
    bool is_response;
    enum dp_method method; /* of the request that a response answers */
    const struct dp_h1_limits *limits;
    char *bytes; /* owned: what has arrived */
    ptrdiff_t result;
    struct dp_request_head request;
    struct dp_response_head response;
    struct dp_h1_framing framing;
};

static inline void parsed_begin(struct parsed *p)
{
    gw_arena_init(&p->arena, 0);
    dp_h1_parser_init(&p->parser, p->limits ? p->limits : &dp_h1_limits_default, &p->arena);
    p->bytes = NULL;
    p->result = 0;
}

static inline void parsed_done(struct parsed *p)
{
    gw_arena_done(&p->arena);
    free(p->bytes);
}

/* The first `len` bytes of text have arrived. */
static inline void parsed_feed(struct parsed *p, gw_str text, size_t len)
{
    char *moved = gw_malloc(len + 1); /* the byte in front keeps it unaligned */
    memcpy(moved + 1, text.ptr, len);
    gw_str bytes = {moved + 1, len};
    p->result = p->is_response
                    ? dp_h1_parse_response(&p->parser, bytes, p->method, &p->response, &p->framing)
                    : dp_h1_parse_request(&p->parser, bytes, &p->request, &p->framing);
    free(p->bytes);
    p->bytes = moved;
}

static inline struct dp_headers *parsed_headers(struct parsed *p)
{
    return p->is_response ? &p->response.headers : &p->request.headers;
}

static inline void assert_view(gw_str got, gw_str want, gw_str text)
{
    if (!gw_str_eq(got, want))
        fail_msg("'%.*s': got '%.*s', want '%.*s'", GW_STR_ARG(text), GW_STR_ARG(got),
                 GW_STR_ARG(want));
}

static inline void assert_same(struct parsed *a, struct parsed *b, gw_str text, size_t cut)
{
    if (a->result != b->result)
        fail_msg("'%.*s' cut at %zu: %td, whole: %td", GW_STR_ARG(text), cut, b->result, a->result);
    if (a->result <= 0)
        return;
    assert_int_equal(a->framing.kind, b->framing.kind);
    assert_int_equal(a->framing.length, b->framing.length);
    assert_int_equal(a->framing.keep_alive, b->framing.keep_alive);
    assert_int_equal(a->framing.upgrade, b->framing.upgrade);
    assert_int_equal(a->framing.expect_continue, b->framing.expect_continue);
    assert_view(b->request.method_name, a->request.method_name, text);
    assert_view(b->request.target, a->request.target, text);
    assert_view(b->request.path, a->request.path, text);
    assert_view(b->request.query, a->request.query, text);
    assert_view(b->request.authority, a->request.authority, text);
    assert_view(b->request.host, a->request.host, text);
    assert_view(b->response.reason, a->response.reason, text);
    assert_int_equal(a->response.status, b->response.status);
    struct dp_headers *x = parsed_headers(a), *y = parsed_headers(b);
    assert_int_equal(x->count, y->count);
    for (unsigned i = 0; i < x->count; i++) {
        assert_view(y->items[i].name, x->items[i].name, text);
        assert_view(y->items[i].value, x->items[i].value, text);
        assert_int_equal(x->items[i].id, y->items[i].id);
    }
}

/* The whole in one call; *p carries is_response, method and limits and gets the rest. */
static inline ptrdiff_t parse_whole(struct parsed *p, gw_str text)
{
    parsed_begin(p);
    parsed_feed(p, text, text.len);
    return p->result;
}

static inline void parse_in_two(struct parsed *whole, gw_str text, size_t cut)
{
    struct parsed p = {
        .is_response = whole->is_response, .method = whole->method, .limits = whole->limits};
    parsed_begin(&p);
    parsed_feed(&p, text, cut);
    if (p.result == 0)
        parsed_feed(&p, text, text.len);
    assert_same(whole, &p, text, cut);
    parsed_done(&p);
}

static inline void parse_byte_by_byte(struct parsed *whole, gw_str text)
{
    struct parsed p = {
        .is_response = whole->is_response, .method = whole->method, .limits = whole->limits};
    parsed_begin(&p);
    for (size_t len = 0; len <= text.len && p.result == 0; len++)
        parsed_feed(&p, text, len);
    assert_same(whole, &p, text, text.len);
    parsed_done(&p);
}

/* The same in all the ways that bytes can arrive. parsed_done afterwards. */
static inline ptrdiff_t parse_every_way(struct parsed *p, gw_str text)
{
    parse_whole(p, text);
    for (size_t cut = 0; cut < text.len; cut++)
        parse_in_two(p, text, cut);
    parse_byte_by_byte(p, text);
    return p->result;
}

struct refusal_case {
    const char *bytes;
    size_t len; /* bytes may hold NUL */
    enum dp_h1_error error;
};
#define REFUSED(text, error)                                                                       \
    {                                                                                              \
        (text), sizeof(text) - 1, DP_H1_##error                                                    \
    }

static inline void check_refusals(const struct refusal_case *cases, size_t count, bool is_response)
{
    for (size_t i = 0; i < count; i++) {
        struct parsed p = {.is_response = is_response};
        gw_str text = {cases[i].bytes, cases[i].len};
        ptrdiff_t result = parse_every_way(&p, text);
        if (result != -(ptrdiff_t)cases[i].error)
            fail_msg("'%.*s' gave %td (%s), want %s", GW_STR_ARG(text), result,
                     result < 0 ? dp_h1_error_reason(result) : "accepted",
                     dp_h1_error_reason((ptrdiff_t)cases[i].error));
        parsed_done(&p);
    }
}

#endif
