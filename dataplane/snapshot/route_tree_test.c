/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/route_tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Values of routes are their own definitions: "GET /a/{x}", SWA with a "~" behind the method. */
static int add(struct dp_route_tree *tree, const char *text)
{
    gw_str rest = gw_str_from(text);
    gw_str word = gw_str_split(&rest, ' ');
    bool is_prefix = word.ptr[word.len - 1] == '~';
    word.len -= is_prefix;
    struct dp_route_def def = {.method = gw_str_eq(word, GW_STR("ANY")) ? DP_METHOD_ANY
                                                                        : dp_method_from(word),
                               .is_prefix = is_prefix,
                               .pattern = rest,
                               .value = text};
    return dp_route_tree_add(tree, &def);
}

static struct dp_route_tree *tree_of(const char *const *routes, size_t count)
{
    struct dp_route_tree *tree = dp_route_tree_new();
    for (size_t i = 0; i < count && routes[i]; i++) {
        if (add(tree, routes[i]) != 0)
            fail_msg("'%s' was refused", routes[i]);
    }
    return tree;
}

struct match_case {
    const char *routes[6];
    const char *request; /* "GET /path" */
    const char *want;    /* the route; or "no path", "no method" */
    const char *params;  /* "x=1;y=2;" NULL: none */
    const char *rest;    /* NULL: empty */
};

/* The params and rest of a match as text. */
static void describe(const struct dp_route_match *match, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < match->param_count; i++)
        len +=
            (size_t)snprintf(text + len, size - len, "%.*s=%.*s;",
                             GW_STR_ARG(match->params[i].name), GW_STR_ARG(match->params[i].value));
}

static void check(const struct match_case *c)
{
    static const char *const misses[] = {"", "no path", "no method"};
    struct dp_route_tree *tree = tree_of(c->routes, GW_ARRAY_LEN(c->routes));
    gw_str path = gw_str_from(c->request);
    gw_str method = gw_str_split(&path, ' ');
    struct dp_route_match match = {0};
    char params[256];
    enum dp_route_result result = dp_route_tree_match(tree, dp_method_from(method), path, &match);
    const char *got = result == DP_ROUTE_FOUND ? match.value : misses[result];
    if (strcmp(got, c->want) != 0)
        fail_msg("%s: got '%s', want '%s'", c->request, got, c->want);
    describe(&match, params, sizeof(params));
    if (strcmp(params, c->params ? c->params : "") != 0)
        fail_msg("%s: got params '%s', want '%s'", c->request, params, c->params);
    if (!gw_str_eq(match.rest, gw_str_from(c->rest ? c->rest : "")))
        fail_msg("%s: got rest '%.*s'", c->request, GW_STR_ARG(match.rest));
    dp_route_tree_unref(tree);
}

static const struct match_case cases[] = {
    /* NORMAL: the whole path, case-sensitive, a slash at the end is another path */
    {{"GET /a"}, "GET /a", "GET /a", NULL, NULL},
    {{"GET /a"}, "GET /A", "no path", NULL, NULL},
    {{"GET /a"}, "GET /a/", "no path", NULL, NULL},
    {{"GET /a"}, "GET /a/b", "no path", NULL, NULL},
    {{"GET /a"}, "GET /", "no path", NULL, NULL},
    {{"GET /a/"}, "GET /a", "no path", NULL, NULL},
    {{"GET /a", "GET /a/"}, "GET /a/", "GET /a/", NULL, NULL},
    {{"GET /"}, "GET /", "GET /", NULL, NULL},
    {{"GET /"}, "GET /a", "no path", NULL, NULL},
    {{"GET /a/b/c/d/e"}, "GET /a/b/c/d/e", "GET /a/b/c/d/e", NULL, NULL},
    {{"GET /a/b/c/d/e"}, "GET /a/b/c/d", "no path", NULL, NULL},
    {{NULL}, "GET /a", "no path", NULL, NULL},
    /* methods */
    {{"GET /a"}, "POST /a", "no method", NULL, NULL},
    {{"GET /a"}, "HEAD /a", "no method", NULL, NULL},
    {{"GET /a"}, "POST /b", "no path", NULL, NULL},
    {{"ANY /a"}, "POST /a", "ANY /a", NULL, NULL},
    {{"ANY /a"}, "PROPFIND /a", "ANY /a", NULL, NULL},
    {{"ANY /a", "GET /a"}, "GET /a", "GET /a", NULL, NULL},
    {{"GET /a", "ANY /a"}, "GET /a", "GET /a", NULL, NULL},
    {{"GET /a", "ANY /a"}, "PUT /a", "ANY /a", NULL, NULL},
    {{"GET /a/{x}"}, "PUT /a/1", "no method", NULL, NULL},
    {{"GET~ /a"}, "PUT /a/1", "no method", NULL, NULL},
    {{"GET /{x+}"}, "PUT /a/1", "no method", NULL, NULL},
    /* a route of another method does not hide a less precise one */
    {{"GET /a", "POST /{x}"}, "POST /a", "POST /{x}", "x=a;", NULL},
    {{"GET /a", "ANY /{x+}"}, "POST /a", "ANY /{x+}", "x=a;", NULL},
    {{"GET /a", "POST~ /"}, "POST /a", "POST~ /", NULL, "/a"},
    /* path before method: literal with ANY before {x} with the method */
    {{"ANY /a", "GET /{x}"}, "GET /a", "ANY /a", NULL, NULL},
    /* SWA: by segments, the prefix itself included, longest first */
    {{"GET~ /test/AA"}, "GET /test/AA/BB", "GET~ /test/AA", NULL, "/BB"},
    {{"GET~ /test/AA"}, "GET /test/AACC", "no path", NULL, NULL},
    {{"GET~ /test/AA"}, "GET /test/AA", "GET~ /test/AA", NULL, ""},
    {{"GET~ /test/AA"}, "GET /test/AA/", "GET~ /test/AA", NULL, "/"},
    {{"GET~ /test/"}, "GET /test/AA/CC", "GET~ /test/", NULL, "/AA/CC"},
    {{"GET~ /test/"}, "GET /test", "GET~ /test/", NULL, ""},
    {{"GET~ /"}, "GET /", "GET~ /", NULL, "/"},
    {{"GET~ /"}, "GET /a/b", "GET~ /", NULL, "/a/b"},
    {{"GET~ /", "GET~ /a", "GET~ /a/b"}, "GET /a/b/c", "GET~ /a/b", NULL, "/c"},
    {{"GET~ /", "GET~ /a", "GET~ /a/b"}, "GET /a/c", "GET~ /a", NULL, "/c"},
    {{"GET~ /", "GET~ /a", "GET~ /a/b"}, "GET /x", "GET~ /", NULL, "/x"},
    {{"GET~ /a/{x}"}, "GET /a/1/2/3", "GET~ /a/{x}", "x=1;", "/2/3"},
    {{"GET~ /a/{x}"}, "GET /a", "no path", NULL, NULL},
    /* NORMAL wins over SWA on the same path */
    {{"GET~ /a", "GET /a"}, "GET /a", "GET /a", NULL, NULL},
    {{"GET~ /a", "GET /a"}, "GET /a/b", "GET~ /a", NULL, "/b"},
    {{"GET~ /a/{x}", "GET /a/{y}"}, "GET /a/1", "GET /a/{y}", "y=1;", NULL},
    {{"GET~ /{x+}", "GET /{y+}"}, "GET /a/b", "GET /{y+}", "y=a/b;", NULL},
    {{"GET~ /{x+}"}, "GET /a/b", "GET~ /{x+}", "x=a/b;", NULL},
    {{"GET~ /a", "ANY /a"}, "GET /a", "ANY /a", NULL, NULL},
    /* {x}: one segment, not empty */
    {{"GET /a/{x}/c"}, "GET /a/b/c", "GET /a/{x}/c", "x=b;", NULL},
    {{"GET /a/{x}"}, "GET /a/b/c", "no path", NULL, NULL},
    {{"GET /a/{x}"}, "GET /a/", "no path", NULL, NULL},
    {{"GET /{a}/{b}/{c}"}, "GET /1/2/3", "GET /{a}/{b}/{c}", "a=1;b=2;c=3;", NULL},
    {{"GET /{a}/"}, "GET /1/", "GET /{a}/", "a=1;", NULL},
    {{"GET /{a}/"}, "GET /1", "no path", NULL, NULL},
    /* {x+}: the tail, not empty */
    {{"GET /a/{x+}"}, "GET /a/b", "GET /a/{x+}", "x=b;", NULL},
    {{"GET /a/{x+}"}, "GET /a/b/c/", "GET /a/{x+}", "x=b/c/;", NULL},
    {{"GET /a/{x+}"}, "GET /a/", "no path", NULL, NULL},
    {{"GET /a/{x+}"}, "GET /a", "no path", NULL, NULL},
    {{"GET /{y}/{x+}"}, "GET /a/b/c", "GET /{y}/{x+}", "y=a;x=b/c;", NULL},
    {{"GET /{x+}"}, "GET /", "no path", NULL, NULL},
    /* literal, {x}, {x+}, prefix; from the left */
    {{"GET /a/{x}", "GET /a/b", "GET /a/{y+}", "GET~ /a"}, "GET /a/b", "GET /a/b", NULL, NULL},
    {{"GET /a/{x}", "GET /a/b", "GET /a/{y+}", "GET~ /a"}, "GET /a/c", "GET /a/{x}", "x=c;", NULL},
    {{"GET /a/{x}", "GET /a/b", "GET /a/{y+}", "GET~ /a"},
     "GET /a/c/d",
     "GET /a/{y+}",
     "y=c/d;",
     NULL},
    {{"GET /a/{x}", "GET /a/b", "GET /a/{y+}", "GET~ /a"}, "GET /a", "GET~ /a", NULL, ""},
    {{"GET /{x}/b", "GET /a/{y}"}, "GET /a/b", "GET /a/{y}", "y=b;", NULL},
    {{"GET /{x+}", "GET~ /a"}, "GET /a/b", "GET~ /a", NULL, "/b"},
    {{"GET~ /{x}", "GET /{y+}"}, "GET /a/b", "GET~ /{x}", "x=a;", "/b"},
    /* what leads nowhere is walked back */
    {{"GET /a/{x}/c", "GET /a/b/d"}, "GET /a/b/c", "GET /a/{x}/c", "x=b;", NULL},
    {{"GET /a/{x}/c", "GET /a/b/d"}, "GET /a/b/d", "GET /a/b/d", NULL, NULL},
    {{"GET /a/b/c/d", "GET /a/{x}/c/e", "GET /{y}/b/{z}/f"},
     "GET /a/b/c/f",
     "GET /{y}/b/{z}/f",
     "y=a;z=c;",
     NULL},
    {{"GET /a/b/{x}/1", "GET~ /a"}, "GET /a/b/c/2", "GET~ /a", NULL, "/b/c/2"},
    {{"GET /a/b/{x}/1", "GET /{t+}"}, "GET /a/b/c/2", "GET /{t+}", "t=a/b/c/2;", NULL},
    /* not a path at all */
    {{"GET~ /"}, "OPTIONS *", "no path", NULL, NULL},
};

static void routes_are_found_in_the_order_of_precedence(void **state)
{
    (void)state;
    for (size_t i = 0; i < GW_ARRAY_LEN(cases); i++)
        check(&cases[i]);
}

static void patterns_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET a",      "GET ",        "GET /a//b",  "GET~ /a//",    "GET~ //",    "GET /{}",
        "GET /{+}",   "GET /{x",     "GET /x}",    "GET /a{x}",    "GET /{x}a",  "GET /{x}{y}",
        "GET /{{x}}", "GET /{x+}/a", "GET /{x+}/", "GET~ /{x+}/a", "GET /{a{b}", "BREW /a",
    };
    struct dp_route_tree *tree = dp_route_tree_new();
    for (size_t i = 0; i < GW_ARRAY_LEN(bad); i++) {
        if (add(tree, bad[i]) != -EINVAL)
            fail_msg("'%s' was accepted", bad[i]);
    }
    assert_int_equal(dp_route_tree_count(tree), 0);
    struct dp_route_def def = {.method = DP_METHOD_OTHER, .pattern = GW_STR("/a"), .value = "v"};
    assert_int_equal(dp_route_tree_add(tree, &def), -EINVAL);
    def.method = DP_METHOD_ANY + 1;
    assert_int_equal(dp_route_tree_add(tree, &def), -EINVAL);
    dp_route_tree_unref(tree);
}

static void patterns_have_limits(void **state)
{
    (void)state;
    struct dp_route_tree *tree = dp_route_tree_new();
    char text[DP_ROUTE_PATTERN_MAX + 1];
    struct dp_route_match match;
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    struct dp_route_def def = {
        .method = DP_METHOD_GET, .pattern = {text, sizeof(text)}, .value = "v"};
    assert_int_equal(dp_route_tree_add(tree, &def), -EINVAL);
    def.pattern.len--;
    assert_int_equal(dp_route_tree_add(tree, &def), 0);
    assert_int_equal(dp_route_tree_match(tree, DP_METHOD_GET, def.pattern, &match), DP_ROUTE_FOUND);
    for (size_t i = 0; i < sizeof(text); i++) /* as many segments as fit */
        text[i] = i % 2 ? 'a' : '/';
    assert_int_equal(dp_route_tree_add(tree, &def), 0);
    assert_int_equal(dp_route_tree_match(tree, DP_METHOD_GET, def.pattern, &match), DP_ROUTE_FOUND);

    char params[DP_ROUTE_PATTERN_MAX] = "", path[DP_ROUTE_PATTERN_MAX] = "";
    for (int i = 0; i < DP_ROUTE_PARAMS_MAX; i++) {
        strcat(params, "/{p}");
        strcat(path, "/v");
    }
    def.pattern = gw_str_from(params);
    assert_int_equal(dp_route_tree_add(tree, &def), 0);
    assert_int_equal(dp_route_tree_match(tree, DP_METHOD_GET, gw_str_from(path), &match),
                     DP_ROUTE_FOUND);
    assert_int_equal(match.param_count, DP_ROUTE_PARAMS_MAX);
    strcat(params, "/{t+}");
    def.pattern = gw_str_from(params);
    assert_int_equal(dp_route_tree_add(tree, &def), -EINVAL);
    dp_route_tree_unref(tree);
}

static void the_same_route_twice_is_refused(void **state)
{
    (void)state;
    static const char *const twice[][2] = {
        {"GET /a", "GET /a"},           {"ANY /a", "ANY /a"},    {"GET /a/{x}", "GET /a/{y}"},
        {"GET /a/{x+}", "GET /a/{y+}"}, {"GET~ /a", "GET~ /a/"}, {"GET~ /a/{x}", "GET~ /a/{y}"},
        {"GET~ /", "GET~ /"},
    };
    static const char *const apart[][2] = {
        {"GET /a", "PUT /a"},  {"GET /a", "ANY /a"},      {"GET /a", "GET~ /a"},
        {"GET /a", "GET /a/"}, {"GET /{x}", "GET /{x+}"}, {"GET /{x+}", "GET~ /{x+}"},
    };
    for (size_t i = 0; i < GW_ARRAY_LEN(twice); i++) {
        struct dp_route_tree *tree = tree_of(twice[i], 1);
        size_t bytes = dp_route_tree_bytes(tree);
        assert_int_equal(add(tree, twice[i][1]), -EEXIST);
        assert_int_equal(dp_route_tree_count(tree), 1);
        assert_int_equal(dp_route_tree_bytes(tree), bytes);
        dp_route_tree_unref(tree);
    }
    for (size_t i = 0; i < GW_ARRAY_LEN(apart); i++)
        dp_route_tree_unref(tree_of(apart[i], 2));
}

/* Every mix of "a" and "{x}" over `depth` segments: what backtracking fears. */
static unsigned add_all_mixes(struct dp_route_tree *tree, unsigned depth, int *ret_error)
{
    unsigned added = 0;
    *ret_error = 0;
    for (unsigned mix = 0; mix < 1u << depth && *ret_error == 0; mix++) {
        char pattern[128] = "";
        for (unsigned i = 0; i < depth; i++)
            strcat(pattern, mix >> i & 1 ? "/a" : "/{x}");
        struct dp_route_def def = {
            .method = DP_METHOD_GET, .pattern = gw_str_from(pattern), .value = tree};
        *ret_error = dp_route_tree_add(tree, &def);
        added += *ret_error == 0;
    }
    return added;
}

static void backtracking_is_bounded_when_routes_are_added(void **state)
{
    (void)state;
    int error;
    struct dp_route_tree *tree = dp_route_tree_new();
    assert_int_equal(add_all_mixes(tree, 9, &error), 512); /* 1023 nodes */
    assert_int_equal(error, 0);
    assert_int_equal(tree->root->visits, 1023);
    dp_route_tree_unref(tree);

    tree = dp_route_tree_new();
    unsigned added = add_all_mixes(tree, 16, &error);
    assert_int_equal(error, -E2BIG);
    assert_true(added > 64 && added < 1024);
    assert_true(tree->root->visits <= DP_ROUTE_VISITS_MAX);
    assert_int_equal(dp_route_tree_count(tree), added);
    struct dp_route_match match;
    assert_int_equal(dp_route_tree_match(tree, DP_METHOD_GET, GW_STR("/a/a/a/a/a/a/a/a/b"), &match),
                     DP_ROUTE_NO_PATH);
    assert_int_equal(add(tree, "GET /other/{x}/y"), 0); /* what does not overlap still fits */
    dp_route_tree_unref(tree);
}

/* The rule of router.c said in another way: a key per route that fits, the smallest wins. */
static bool naive_key(const char *route, gw_str method, gw_str path, char key[64])
{
    gw_str pattern = gw_str_from(route);
    gw_str word = gw_str_split(&pattern, ' ');
    bool is_prefix = word.ptr[word.len - 1] == '~';
    word.len -= is_prefix;
    bool is_any = gw_str_eq(word, GW_STR("ANY"));
    if (!is_any && !gw_str_eq(word, method))
        return false;
    if (is_prefix && pattern.ptr[pattern.len - 1] == '/')
        pattern.len--;
    size_t n = 0;
    gw_str rest_path = gw_str_n(path.ptr + 1, path.len - 1), rest_pattern = GW_STR_NONE;
    if (pattern.len > 0)
        rest_pattern = gw_str_n(pattern.ptr + 1, pattern.len - 1);
    while (rest_pattern.ptr) {
        if (!rest_path.ptr)
            return false;
        gw_str want = gw_str_split(&rest_pattern, '/'), whole = rest_path;
        gw_str got = gw_str_split(&rest_path, '/');
        bool is_param = want.len > 0 && *want.ptr == '{';
        if (is_param && want.ptr[want.len - 2] == '+') {
            key[n++] = is_prefix ? 'd' : 'c';
            rest_path = GW_STR_NONE;
            is_prefix = false;
            if (whole.len == 0)
                return false;
        } else if (is_param) {
            key[n++] = 'b';
            if (got.len == 0)
                return false;
        } else {
            key[n++] = 'a';
            if (!gw_str_eq(want, got))
                return false;
        }
    }
    if (!is_prefix && rest_path.ptr)
        return false;
    key[n++] = is_prefix ? 'e' : 'a';
    key[n++] = is_any ? '~' : 'A';
    key[n] = '\0';
    return true;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void random_pattern(uint32_t *seed, char text[64])
{
    static const char *const methods[] = {"GET ", "PUT ", "ANY ", "GET~ ", "ANY~ "};
    static const char *const parts[] = {"/a", "/b", "/{x}", "/a", "/{x}"};
    strcpy(text, methods[next_random(seed) % 5]);
    unsigned depth = next_random(seed) % 5;
    for (unsigned i = 0; i < depth; i++)
        strcat(text, parts[next_random(seed) % 5]);
    unsigned end = next_random(seed) % 6;
    strcat(text, end == 0 || depth == 0 ? "/" : end == 1 ? "/{t+}" : "");
}

static void random_path(uint32_t *seed, char text[64])
{
    static const char *const parts[] = {"/a", "/b", "/c"};
    text[0] = '\0';
    unsigned depth = next_random(seed) % 6;
    for (unsigned i = 0; i < depth; i++)
        strcat(text, parts[next_random(seed) % 3]);
    if (depth == 0 || next_random(seed) % 4 == 0)
        strcat(text, "/");
}

static void check_against_naive(const struct dp_route_tree *tree, char routes[][64], unsigned count,
                                gw_str method, gw_str path)
{
    char best[64] = "\x7f", key[64];
    const char *want = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (naive_key(routes[i], method, path, key) && strcmp(key, best) < 0) {
            strcpy(best, key);
            want = routes[i];
        }
    }
    struct dp_route_match match;
    enum dp_route_result result = dp_route_tree_match(tree, dp_method_from(method), path, &match);
    const char *got = result == DP_ROUTE_FOUND ? match.value : NULL;
    if (got != want)
        fail_msg("%.*s %.*s: got %s, want %s", GW_STR_ARG(method), GW_STR_ARG(path), got, want);
}

static void any_set_of_routes_gives_what_the_rule_says(void **state)
{
    (void)state;
    static const gw_str methods[] = {{"GET", 3}, {"PUT", 3}, {"DELETE", 6}};
    uint32_t seed = 1;
    for (int round = 0; round < 400; round++) {
        struct dp_route_tree *tree = dp_route_tree_new();
        char routes[40][64], path[64];
        unsigned count = 0;
        for (int i = 0; i < 40; i++) {
            random_pattern(&seed, routes[count]);
            count += add(tree, routes[count]) == 0;
        }
        for (int i = 0; i < 60; i++) {
            random_path(&seed, path);
            check_against_naive(tree, routes, count, methods[i % 3], gw_str_from(path));
        }
        dp_route_tree_unref(tree);
    }
}

static int take_out(struct dp_route_tree *tree, const char *text)
{
    gw_str rest = gw_str_from(text);
    gw_str word = gw_str_split(&rest, ' ');
    bool is_prefix = word.ptr[word.len - 1] == '~';
    word.len -= is_prefix;
    struct dp_route_def def = {.method = gw_str_eq(word, GW_STR("ANY")) ? DP_METHOD_ANY
                                                                        : dp_method_from(word),
                               .is_prefix = is_prefix,
                               .pattern = rest};
    return dp_route_tree_remove(tree, &def);
}

/* What a tree has become is the same as one that is built of what it has. */
static void check_against_built(const struct dp_route_tree *tree, char routes[][64], unsigned count)
{
    struct dp_route_tree *built = dp_route_tree_new();
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(add(built, routes[i]), 0);
    assert_int_equal(dp_route_tree_count(tree), dp_route_tree_count(built));
    assert_int_equal(dp_route_tree_bytes(tree), dp_route_tree_bytes(built));
    assert_int_equal(tree->root->visits, built->root->visits);
    dp_route_tree_unref(built);
}

/* A tree and the routes that it was made of, while newer ones are made of it. */
struct version {
    struct dp_route_tree *tree;
    char routes[40][64];
    unsigned count;
};

static void change_at_random(struct version *version, uint32_t *seed)
{
    struct dp_route_tree *tree = dp_route_tree_copy(version->tree);
    dp_route_tree_unref(version->tree);
    version->tree = tree;
    if (version->count == 40 || (version->count > 0 && next_random(seed) % 5 < 2)) {
        unsigned at = next_random(seed) % version->count;
        assert_int_equal(take_out(tree, version->routes[at]), 0);
        assert_int_equal(take_out(tree, version->routes[at]), -ENOENT);
        /* values are the texts' addresses: the last one moves, and is added anew */
        version->count--;
        if (at < version->count) {
            assert_int_equal(take_out(tree, version->routes[version->count]), 0);
            memcpy(version->routes[at], version->routes[version->count], 64);
            assert_int_equal(add(tree, version->routes[at]), 0);
        }
    } else {
        random_pattern(seed, version->routes[version->count]);
        version->count += add(tree, version->routes[version->count]) == 0;
    }
}

static void changes_make_what_building_makes_and_leave_copies_alone(void **state)
{
    (void)state;
    static const gw_str methods[] = {{"GET", 3}, {"PUT", 3}, {"DELETE", 6}};
    uint32_t seed = 7;
    struct version version = {.tree = dp_route_tree_new()};
    for (int round = 0; round < 4000; round++) {
        struct dp_route_tree *kept = dp_route_tree_copy(version.tree);
        size_t count = version.count, bytes = dp_route_tree_bytes(kept);
        char path[64];
        change_at_random(&version, &seed);
        assert_int_equal(dp_route_tree_count(kept), count);
        assert_int_equal(dp_route_tree_bytes(kept), bytes);
        dp_route_tree_unref(kept);
        check_against_built(version.tree, version.routes, version.count);
        for (int i = 0; i < 6; i++) {
            random_path(&seed, path);
            check_against_naive(version.tree, version.routes, version.count, methods[i % 3],
                                gw_str_from(path));
        }
    }
    while (version.count > 0)
        assert_int_equal(take_out(version.tree, version.routes[--version.count]), 0);
    check_against_built(version.tree, version.routes, 0);
    dp_route_tree_unref(version.tree);
}

static void a_hundred_thousand_routes_are_small(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct dp_route_tree *tree = dp_route_tree_new();
    char text[64];
    for (unsigned i = 0; i < COUNT; i++) {
        const char *form = i % 2 ? "/svc%u/v1/orders/{id}" : "/svc%u/v1/orders";
        snprintf(text, sizeof(text), form, i / 2);
        struct dp_route_def def = {
            .method = DP_METHOD_GET, .pattern = gw_str_from(text), .value = tree};
        assert_int_equal(dp_route_tree_add(tree, &def), 0);
    }
    assert_int_equal(dp_route_tree_count(tree), COUNT);
    assert_true(dp_route_tree_bytes(tree) / COUNT <= 512);
    assert_true(tree->root->visits <= 8);
    struct dp_route_match match;
    assert_int_equal(
        dp_route_tree_match(tree, DP_METHOD_GET, GW_STR("/svc49999/v1/orders/7"), &match),
        DP_ROUTE_FOUND);
    assert_true(gw_str_eq(match.params[0].value, GW_STR("7")));
    dp_route_tree_unref(tree);
}

static void a_tree_lives_as_long_as_its_references(void **state)
{
    (void)state;
    static const char *const routes[] = {"GET /a"};
    struct dp_route_tree *tree = tree_of(routes, 1);
    assert_ptr_equal(dp_route_tree_ref(tree), tree);
    dp_route_tree_unref(tree);
    struct dp_route_match match;
    assert_int_equal(dp_route_tree_match(tree, DP_METHOD_GET, GW_STR("/a"), &match),
                     DP_ROUTE_FOUND);
    dp_route_tree_unref(tree);
    dp_route_tree_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_are_found_in_the_order_of_precedence),
        cmocka_unit_test(patterns_that_are_none_are_refused),
        cmocka_unit_test(patterns_have_limits),
        cmocka_unit_test(the_same_route_twice_is_refused),
        cmocka_unit_test(backtracking_is_bounded_when_routes_are_added),
        cmocka_unit_test(any_set_of_routes_gives_what_the_rule_says),
        cmocka_unit_test(changes_make_what_building_makes_and_leave_copies_alone),
        cmocka_unit_test(a_hundred_thousand_routes_are_small),
        cmocka_unit_test(a_tree_lives_as_long_as_its_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
