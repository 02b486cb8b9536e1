/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int setup(void **state)
{
    static struct gw_arena arena;
    gw_arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    gw_arena_done(*state);
    return 0;
}

static void expect(gw_str got, gw_str want, const char *what)
{
    if (!gw_str_eq(got, want))
        fail_msg("%s: got '%.*s', want '%.*s'", what, GW_STR_ARG(got), GW_STR_ARG(want));
}

struct path_case {
    const char *raw;
    int error;        /* positive; 0: path is what comes out */
    const char *path; /* NULL: raw itself, not copied */
    const char *wire; /* NULL: as path */
};

/* The same in both modes. */
static const struct path_case both_modes[] = {
    {"/", 0, NULL, NULL},
    {"/a", 0, NULL, NULL},
    {"/a/", 0, NULL, NULL},
    {"/orders/1234567890/items/abc", 0, NULL, NULL},
    {"/.well-known/acme", 0, NULL, NULL},
    {"/a/...", 0, NULL, NULL},
    {"/a/.b", 0, NULL, NULL},
    {"/a/..b", 0, NULL, NULL},
    {"/a/b..", 0, NULL, NULL},
    {"/a;v=1/b,c=d&e+f", 0, NULL, NULL},
    {"/a:b@c!$'()*~", 0, NULL, NULL},
    {"/a|b", 0, NULL, "/a%7Cb"},
    {"/a{b}", 0, NULL, "/a%7Bb%7D"},
    {"/%61%62", 0, "/ab", NULL},
    {"/a%20b", 0, "/a b", "/a%20b"},
    {"/%C3%A4", 0, "/\xc3\xa4", "/%C3%A4"},
    {"/%c3%a4", 0, "/\xc3\xa4", "/%C3%A4"},
    {"/a%3fb%23c", 0, "/a?b#c", "/a%3Fb%23c"},
    {"/a%5Cb", 0, "/a\\b", "/a%5Cb"},
    {"/a\\b", 0, NULL, "/a%5Cb"},
    {"//", 0, "/", NULL},
    {"//a//b///", 0, "/a/b/", NULL},
    {"/long/enough/for/lanes//x", 0, "/long/enough/for/lanes/x", NULL},
    {"", DP_URI_BAD_START, NULL, NULL},
    {"*", DP_URI_BAD_START, NULL, NULL},
    {"a/b", DP_URI_BAD_START, NULL, NULL},
    {"/%", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/%4", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/%4g", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/%g4", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/%%41", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/a%u0041", DP_URI_BAD_ESCAPE, NULL, NULL},
    {"/a%00", DP_URI_CONTROL, NULL, NULL},
    {"/a%0d%0aX", DP_URI_CONTROL, NULL, NULL},
    {"/a%7f", DP_URI_CONTROL, NULL, NULL},
    {"/a\x01", DP_URI_CONTROL, NULL, NULL},
    {"/.", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/..", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/./b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/../b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/aaaaaaaaaaaaaaa/../bbbbbbbbbbbbbbbbbbbb", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/aaaaaaaaaaaaaa/../bbbbbbbbbbbbbbbbbbbbb", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/..", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a//..", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/%2e%2E/b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/.%2e", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/..%2Fb", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a%2F..%2fb", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a\\..\\b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/..%5cb", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/..;x=1/b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/..%3Bx/b", DP_URI_DOT_SEGMENT, NULL, NULL},
    {"/a/.;/b", DP_URI_DOT_SEGMENT, NULL, NULL},
};

static const struct path_case decoding[] = {
    {"/aa%2Faa", 0, "/aa/aa", NULL},
    {"/a%2f%2Fb", 0, "/a/b", NULL},
    {"/%2Fa", 0, "/a", NULL},
    {"/a%25b", 0, "/a%b", "/a%25b"},
    {"/a%252Fb", 0, "/a%2Fb", "/a%252Fb"},
    {"/a%252e%252e", 0, "/a%2e%2e", "/a%252e%252e"},
};

static const struct path_case keeping[] = {
    {"/aa%2Faa", 0, NULL, NULL},           {"/aa%2faa", 0, "/aa%2Faa", NULL},
    {"/a%2F%2fb", 0, "/a%2F%2Fb", NULL},   {"/a%25b", 0, NULL, NULL},
    {"/a%252Fb", 0, NULL, NULL},           {"/a%25%32%46b", 0, "/a%252Fb", NULL},
    {"/a%2F%20", 0, "/a%2F ", "/a%2F%20"},
};

/* The raw path in memory of exactly its size, so that a read beyond it is seen. */
static gw_str exact_copy(const char *text, char **ret_owned)
{
    size_t len = strlen(text);
    *ret_owned = gw_malloc(len + 1);
    memcpy(*ret_owned + 1, text, len); /* unaligned on purpose */
    return gw_str_n(*ret_owned + 1, len);
}

static void check_path(struct gw_arena *arena, const struct path_case *c, enum dp_uri_slash slash)
{
    char *owned;
    gw_str raw = exact_copy(c->raw, &owned), path = GW_STR("untouched"), again;
    int result = dp_uri_normalise(arena, raw, slash, &path);
    if (result != -c->error)
        fail_msg("'%s' gave %s", c->raw, dp_uri_error_text(result));
    if (c->error) {
        expect(path, GW_STR("untouched"), c->raw);
        assert_true(strlen(dp_uri_error_text(result)) > 0);
    } else {
        expect(path, c->path ? gw_str_from(c->path) : raw, c->raw);
        assert_true(c->path ? path.ptr != raw.ptr : path.ptr == raw.ptr);
        gw_str wire = dp_uri_encode_path(arena, path, slash);
        expect(wire, c->wire ? gw_str_from(c->wire) : path, c->raw);
        assert_int_equal(dp_uri_normalise(arena, wire, slash, &again), 0);
        expect(again, path, "what was sent normalises to the same");
    }
    free(owned);
}

static void check_paths(struct gw_arena *arena, const struct path_case *cases, size_t count,
                        enum dp_uri_slash slash)
{
    for (size_t i = 0; i < count; i++)
        check_path(arena, &cases[i], slash);
}

static void paths_have_one_form_or_are_refused(void **state)
{
    check_paths(*state, both_modes, GW_ARRAY_LEN(both_modes), DP_URI_SLASH_DECODE);
    check_paths(*state, both_modes, GW_ARRAY_LEN(both_modes), DP_URI_SLASH_KEEP);
    assert_string_equal(dp_uri_error_text(0), "");
}

static void an_escaped_slash_separates_by_default(void **state)
{
    check_paths(*state, decoding, GW_ARRAY_LEN(decoding), DP_URI_SLASH_DECODE);
}

static void an_escaped_slash_can_be_kept(void **state)
{
    check_paths(*state, keeping, GW_ARRAY_LEN(keeping), DP_URI_SLASH_KEEP);
}

/* A dot segment is found wherever it stands relative to the sixteen lanes. */
static void every_offset_is_looked_at(void **state)
{
    static const char *const needles[] = {"/..", "%00", "//", "\\..", "/%2e"};
    for (size_t n = 0; n < GW_ARRAY_LEN(needles); n++) {
        for (size_t before = 0; before < 40; before++) {
            for (size_t after = 0; after < 20; after++) {
                gw_str raw = gw_arena_printf(*state, "/%.*s%s%.*s", (int)before,
                                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", needles[n],
                                             (int)after, "/bbbbbbbbbbbbbbbbbbbb");
                gw_str path;
                int result = dp_uri_normalise(*state, raw, DP_URI_SLASH_DECODE, &path);
                if (result == 0 && gw_str_eq(path, raw))
                    fail_msg("'%.*s' passed", GW_STR_ARG(raw));
            }
        }
    }
}

static void all_256_bytes_survive_the_way_to_the_backend(void **state)
{
    for (int byte = 1; byte < 256; byte++) {
        gw_str escaped = gw_arena_printf(*state, "/x%%%02xy", (unsigned)byte), path, again;
        int result = dp_uri_normalise(*state, escaped, DP_URI_SLASH_DECODE, &path);
        if (byte < 0x20 || byte == 0x7f) {
            assert_int_equal(result, -DP_URI_CONTROL);
            continue;
        }
        assert_int_equal(result, 0);
        assert_int_equal((unsigned char)path.ptr[2], byte);
        gw_str wire = dp_uri_encode_path(*state, path, DP_URI_SLASH_DECODE);
        for (size_t i = 0; i < wire.len; i++)
            assert_true(wire.ptr[i] > 0x20 && wire.ptr[i] < 0x7f && !strchr("?#", wire.ptr[i]));
        assert_int_equal(dp_uri_normalise(*state, wire, DP_URI_SLASH_DECODE, &again), 0);
        expect(again, path, "way back");
    }
}

static void values_are_escaped_for_their_place(void **state)
{
    gw_str value = GW_STR("[api] a/b?c=d&e+f%\"'<>#\\^`{|}\x7f\xff");
    expect(dp_uri_encode_segment(*state, value),
           GW_STR("%5Bapi%5D%20a%2Fb%3Fc=d&e+f%25%22'%3C%3E%23%5C%5E%60%7B%7C%7D%7F%FF"),
           "segment");
    expect(dp_uri_encode_query(*state, value),
           GW_STR("%5Bapi%5D%20a/b?c%3Dd%26e%2Bf%25%22'%3C%3E%23%5C%5E%60%7B%7C%7D%7F%FF"),
           "query");
    gw_str simple = GW_STR("abc-1.2_3~");
    assert_ptr_equal(dp_uri_encode_segment(*state, simple).ptr, simple.ptr);
}

static void texts_are_decoded_once(void **state)
{
    gw_str out;
    assert_int_equal(dp_uri_decode(*state, GW_STR("a%20b+c%2541"), &out), 0);
    expect(out, GW_STR("a b+c%41"), "decode");
    gw_str simple = GW_STR("abc");
    assert_int_equal(dp_uri_decode(*state, simple, &out), 0);
    assert_ptr_equal(out.ptr, simple.ptr);
    assert_int_equal(dp_uri_decode(*state, GW_STR("a%2"), &out), -DP_URI_BAD_ESCAPE);
    assert_int_equal(dp_uri_decode(*state, GW_STR("%"), &out), -DP_URI_BAD_ESCAPE);
}

static void queries_are_walked(void **state)
{
    gw_str rest = GW_STR("a=1&&b&c=&=d&e=f=g"), name, value, text = GW_STR("");
    while (dp_uri_next_param(&rest, &name, &value))
        text = gw_arena_printf(*state, "%.*s(%.*s:%.*s)", GW_STR_ARG(text), GW_STR_ARG(name),
                               GW_STR_ARG(value));
    expect(text, GW_STR("(a:1)(b:)(c:)(:d)(e:f=g)"), "params");
    rest = GW_STR("");
    assert_false(dp_uri_next_param(&rest, &name, &value));
    rest = GW_STR_NONE;
    assert_false(dp_uri_next_param(&rest, &name, &value));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(paths_have_one_form_or_are_refused),
        TEST(an_escaped_slash_separates_by_default),
        TEST(an_escaped_slash_can_be_kept),
        TEST(every_offset_is_looked_at),
        TEST(all_256_bytes_survive_the_way_to_the_backend),
        TEST(values_are_escaped_for_their_place),
        TEST(texts_are_decoded_once),
        TEST(queries_are_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
