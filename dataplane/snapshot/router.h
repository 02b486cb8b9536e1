/* SPDX-License-Identifier: Apache-2.0 */
/* host -> group -> environment -> path and method. Built by one thread, then immutable and read by
 * any number. Knows no gateway types: values are borrowed pointers. Which route wins:
 * snapshot/route_tree.c. */
#ifndef DP_SNAPSHOT_ROUTER_H
#define DP_SNAPSHOT_ROUTER_H

#include "dataplane/http/message.h"

/* The routes of one group in one environment. Shared between routers by reference; adding is only
 * allowed while the maker holds the only reference. */
struct dp_route_tree;

#define DP_ROUTE_PATTERN_MAX 512 /* bytes */
#define DP_ROUTE_PARAMS_MAX 50
#define DP_ROUTE_VISITS_MAX 1024 /* nodes that one match may touch: bounds backtracking */
#define DP_METHOD_ANY DP_METHOD_COUNT

struct dp_route_def {
    unsigned method; /* enum dp_method, or DP_METHOD_ANY */
    bool is_prefix;  /* SWA: matches by segments from the start; else NORMAL: the whole path */
    gw_str pattern;  /* "/a/{x}/{rest+}"; copied. Matched against normalised paths, byte by byte */
    const void *value; /* borrowed, not NULL */
};

struct dp_route_tree *dp_route_tree_new(void);
struct dp_route_tree *dp_route_tree_ref(struct dp_route_tree *tree); /* any thread */
void dp_route_tree_unref(struct dp_route_tree *tree);                /* any thread; takes NULL */
/* 0; -EEXIST: same path (whatever the parameters are called), match mode and method; -EINVAL: not a
 * pattern; -E2BIG: overlaps with so many routes that a match would pass DP_ROUTE_VISITS_MAX. In
 * each failure the tree is as it was. */
GW_MUST_CHECK int dp_route_tree_add(struct dp_route_tree *tree, const struct dp_route_def *def);
size_t dp_route_tree_count(const struct dp_route_tree *tree);
size_t dp_route_tree_bytes(const struct dp_route_tree *tree);

enum dp_route_result {
    DP_ROUTE_FOUND,
    DP_ROUTE_NO_PATH,  /* nothing is defined at that path */
    DP_ROUTE_NO_METHOD /* the path is, but not for that method */
};

struct dp_route_param {
    gw_str name;  /* borrowed from the tree */
    gw_str value; /* borrowed from the path */
};

struct dp_route_match {
    const void *value;
    gw_str rest; /* prefix routes: what follows the prefix, "" or "/..."; else empty */
    unsigned param_count;
    struct dp_route_param params[DP_ROUTE_PARAMS_MAX];
};

/* path: from dp_uri_normalise. *ret_match is only set when FOUND. */
enum dp_route_result dp_route_tree_match(const struct dp_route_tree *tree, enum dp_method method,
                                         gw_str path, struct dp_route_match *ret_match);

/* Which group a host belongs to, and the trees of a group by environment. */
struct dp_router;
struct dp_router_group;

struct dp_router *dp_router_new(void);
void dp_router_free(struct dp_router *router); /* drops its references to trees; takes NULL */
/* The group of that name, made when it is not there. value: borrowed, may be NULL. */
struct dp_router_group *dp_router_add_group(struct dp_router *router, gw_str name,
                                            const void *value);
/* host: "api.example.com", "*.example.com" (any depth below), an address, or "*" (all the rest); no
 * port. 0, -EEXIST, or -EINVAL. value: borrowed, the domain's settings, may be NULL. */
GW_MUST_CHECK int dp_router_add_host(struct dp_router *router, gw_str host,
                                     struct dp_router_group *group, const void *value);
/* Takes a reference of its own. -EEXIST when the environment has one. */
GW_MUST_CHECK int dp_router_add_tree(struct dp_router_group *group, gw_str environment,
                                     struct dp_route_tree *tree);

/* Exact, then the longest wildcard; any case; a trailing dot is ignored. NULL: unknown host. */
const struct dp_router_group *dp_router_find(const struct dp_router *router, gw_str host,
                                             const void **ret_host_value);
/* Every host as it was added ("*.example.com"), in no order; text and value are borrowed. */
typedef void dp_router_visit_host(void *arg, gw_str host, const void *value);
void dp_router_each_host(const struct dp_router *router, dp_router_visit_host *visit, void *arg);
const void *dp_router_group_value(const struct dp_router_group *group);
/* Environment names are case-sensitive. NULL: nothing is published there. */
const struct dp_route_tree *dp_router_group_tree(const struct dp_router_group *group,
                                                 gw_str environment);

#endif
