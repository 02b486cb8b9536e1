/* SPDX-License-Identifier: Apache-2.0 */
/* Any routes and any path: a route is found if and only if one fits, what is found fits, and the
 * parameters are parts of the path. Input: lines. "+" adds "METHOD pattern" (a "~" behind the
 * method: SWA), "-" removes the last one, anything else is "METHOD path" to look up. */
#include "dataplane/snapshot/router.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUTES_MAX 64

struct route {
    unsigned method;
    bool is_prefix;
    gw_str pattern;
};

struct table {
    struct dp_route_tree *tree;
    struct route routes[ROUTES_MAX];
    unsigned count;
};

static void expect(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void add_route(struct table *table, gw_str line)
{
    if (table->count == ROUTES_MAX)
        return;
    struct route *route = &table->routes[table->count];
    gw_str word = gw_str_split(&line, ' ');
    route->is_prefix = word.len > 0 && word.ptr[word.len - 1] == '~';
    word.len -= route->is_prefix;
    route->method = gw_str_eq(word, GW_STR("ANY")) ? DP_METHOD_ANY : dp_method_from(word);
    route->pattern = line;
    struct dp_route_def def = {
        .method = route->method, .is_prefix = route->is_prefix, .pattern = line, .value = route};
    table->count += dp_route_tree_add(table->tree, &def) == 0;
}

/* Out of a copy: whoever has the tree itself sees no change. */
static void remove_last(struct table *table)
{
    if (table->count == 0)
        return;
    struct route *route = &table->routes[--table->count];
    struct dp_route_def def = {
        .method = route->method, .is_prefix = route->is_prefix, .pattern = route->pattern};
    struct dp_route_tree *copy = dp_route_tree_copy(table->tree);
    expect(dp_route_tree_remove(copy, &def) == 0, "what was added can be removed");
    expect(dp_route_tree_remove(copy, &def) < 0, "once");
    expect(dp_route_tree_count(table->tree) == table->count + 1, "the one before is as it was");
    dp_route_tree_unref(table->tree);
    table->tree = copy;
}

/* The definition of a fit, segment by segment; patterns here were accepted by the tree. */
static bool fits_path(const struct route *route, gw_str path)
{
    gw_str pattern = route->pattern;
    if (route->is_prefix && pattern.ptr[pattern.len - 1] == '/')
        pattern.len--;
    gw_str want_rest = pattern.len ? gw_str_n(pattern.ptr + 1, pattern.len - 1) : GW_STR_NONE;
    gw_str got_rest = gw_str_n(path.ptr + 1, path.len - 1);
    while (want_rest.ptr) {
        if (!got_rest.ptr)
            return false;
        gw_str whole = got_rest;
        gw_str want = gw_str_split(&want_rest, '/'), got = gw_str_split(&got_rest, '/');
        bool is_param = want.len > 0 && *want.ptr == '{';
        if (is_param && want.ptr[want.len - 2] == '+')
            return whole.len > 0;
        if (is_param ? got.len == 0 : !gw_str_eq(want, got))
            return false;
    }
    return route->is_prefix || !got_rest.ptr;
}

static void check_found(const struct dp_route_match *match, enum dp_method method, gw_str path)
{
    const struct route *route = match->value;
    expect(fits_path(route, path), "what was found fits");
    expect(route->method == DP_METHOD_ANY || route->method == method, "method");
    expect(match->param_count <= DP_ROUTE_PARAMS_MAX, "number of parameters");
    for (unsigned i = 0; i < match->param_count; i++) {
        gw_str value = match->params[i].value;
        expect(value.len > 0 && value.ptr > path.ptr &&
                   value.ptr + value.len <= path.ptr + path.len,
               "parameter is a part of the path");
        expect(match->params[i].name.len > 0, "parameter has a name");
    }
    expect(match->rest.len == 0 || (route->is_prefix && *match->rest.ptr == '/'), "rest");
    expect(match->rest.len == 0 || match->rest.ptr + match->rest.len == path.ptr + path.len,
           "rest is the end of the path");
}

static void look_up(const struct table *table, gw_str line)
{
    enum dp_method method = dp_method_from(gw_str_split(&line, ' '));
    gw_str path = line;
    struct dp_route_match match;
    enum dp_route_result result = dp_route_tree_match(table->tree, method, path, &match);
    bool has_path = false, has_method = false;
    for (unsigned i = 0; i < table->count && path.len > 0 && *path.ptr == '/'; i++) {
        const struct route *route = &table->routes[i];
        bool fits = fits_path(route, path);
        has_path |= fits;
        has_method |= fits && (route->method == DP_METHOD_ANY || route->method == method);
    }
    expect((result == DP_ROUTE_FOUND) == has_method, "found when one fits");
    expect((result == DP_ROUTE_NO_PATH) == !has_path, "no path when none fits");
    if (result == DP_ROUTE_FOUND)
        check_found(&match, method, path);
}

/* The same line as a host, configured and looked up. */
static void check_host(struct dp_router *router, gw_str host)
{
    const void *value = NULL;
    uint32_t number = (uint32_t)gw_str_hash(host) % 64;
    dp_router_put_group(router, number, NULL);
    struct dp_router *copy = dp_router_copy(router);
    int result = dp_router_add_host(router, host, number, router, NULL);
    const struct dp_router_group *found = dp_router_find(router, host, &value);
    expect(result != 0 || gw_str_find(host, '*') >= 0 || (found && value == router),
           "host is found");
    expect(result != 0 || dp_router_add_host(copy, host, number, router, NULL) == 0,
           "what was there before knows nothing of it");
    if (result == 0 && gw_str_hash(host) % 3 == 0)
        dp_router_remove_host(router, host);
    dp_router_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const char empty[1];
    struct table table = {.tree = dp_route_tree_new()};
    struct dp_router *router = dp_router_new();
    gw_str rest = size ? gw_str_n((const char *)input, size) : gw_str_n(empty, 0);
    while (rest.ptr) {
        gw_str line = gw_str_split(&rest, '\n');
        check_host(router, line);
        if (line.len > 0 && *line.ptr == '+')
            add_route(&table, gw_str_n(line.ptr + 1, line.len - 1));
        else if (line.len > 0 && *line.ptr == '-')
            remove_last(&table);
        else
            look_up(&table, line);
    }
    expect(dp_route_tree_count(table.tree) == table.count, "count");
    dp_router_free(router);
    dp_route_tree_unref(table.tree);
    return 0;
}
