/* SPDX-License-Identifier: Apache-2.0 */
/* host -> group -> environment -> path and method. What a change does not touch is shared between
 * the router before and the one after: a copy costs nothing, and a change of the copy what it
 * touches. One thread changes; what has been handed out is immutable and read by any number. Knows
 * no gateway types: values are borrowed pointers, kept by their owners. Which route wins:
 * snapshot/route_tree.c. */
#ifndef DP_SNAPSHOT_ROUTER_H
#define DP_SNAPSHOT_ROUTER_H

#include "dataplane/http/message.h"

/* The routes of one group in one environment. Changing is only allowed while the maker holds the
 * only reference. */
struct dp_route_tree;
struct dp_unit; /* snapshot/unit.h */

#define DP_ROUTE_PATTERN_MAX 512 /* bytes */
#define DP_ROUTE_PARAMS_MAX 50
#define DP_ROUTE_VISITS_MAX 1024 /* nodes that one match may touch: bounds backtracking */
#define DP_METHOD_ANY DP_METHOD_COUNT

struct dp_route_def {
    unsigned method; /* enum dp_method, or DP_METHOD_ANY */
    bool is_prefix;  /* SWA: matches by segments from the start; else NORMAL: the whole path */
    gw_str pattern;  /* "/a/{x}/{rest+}"; copied. Matched against normalised paths, byte by byte */
    const void *value; /* borrowed, not NULL */
    struct dp_unit
        *owner; /* of the value, referred to as long as the route is in a tree; or NULL */
};

/* 0 or -EINVAL, as dp_route_tree_add says it. */
GW_MUST_CHECK int dp_route_def_check(const struct dp_route_def *def);

struct dp_route_tree *dp_route_tree_new(void);
struct dp_route_tree *dp_route_tree_ref(struct dp_route_tree *tree); /* any thread */
void dp_route_tree_unref(struct dp_route_tree *tree);                /* any thread; takes NULL */
/* One reference to a tree that has the same routes, and may be changed. */
struct dp_route_tree *dp_route_tree_copy(const struct dp_route_tree *tree);
/* 0; -EEXIST: same path (whatever the parameters are called), match mode and method; -EINVAL: not a
 * pattern; -E2BIG: overlaps with so many routes that a match would pass DP_ROUTE_VISITS_MAX. In
 * each failure the tree is as it was. */
GW_MUST_CHECK int dp_route_tree_add(struct dp_route_tree *tree, const struct dp_route_def *def);
/* The route with that pattern (its parameters may be called otherwise), mode and method. 0;
 * -ENOENT. */
GW_MUST_CHECK int dp_route_tree_remove(struct dp_route_tree *tree, const struct dp_route_def *def);
size_t dp_route_tree_count(const struct dp_route_tree *tree);
size_t dp_route_tree_bytes(const struct dp_route_tree *tree);
void dp_route_tree_each(const struct dp_route_tree *tree,
                        void (*visit)(void *arg, const void *value), void *arg); /* in no order */

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

/* Which group a host belongs to, and the trees of a group by environment. Hosts say their group by
 * a number that the maker chooses, so that a change of a group touches none of its hosts. */
struct dp_router;
struct dp_router_group;

struct dp_router *dp_router_new(void);
struct dp_router *dp_router_copy(const struct dp_router *router);
void dp_router_free(struct dp_router *router); /* takes NULL */
/* value: borrowed, may be NULL. Replaces that of a group that is there. */
void dp_router_put_group(struct dp_router *router, uint32_t group, const void *value);
/* Its trees stay until they are taken out. */
void dp_router_remove_group(struct dp_router *router, uint32_t group);
/* host: "api.example.com", "*.example.com" (any depth below), an address, or "*" (all the rest); no
 * port. 0, -EEXIST, or -EINVAL. value: the domain's settings, may be NULL; owner: as in a route. */
GW_MUST_CHECK int dp_router_add_host(struct dp_router *router, gw_str host, uint32_t group,
                                     const void *value, struct dp_unit *owner);
void dp_router_remove_host(struct dp_router *router, gw_str host);
/* In the place of the one that is there; NULL: none. Takes a reference of its own. */
void dp_router_put_tree(struct dp_router *router, uint32_t group, gw_str environment,
                        struct dp_route_tree *tree);

/* Exact, then the longest wildcard; any case; a trailing dot is ignored. NULL: unknown host, or its
 * group is not there. */
const struct dp_router_group *dp_router_find(const struct dp_router *router, gw_str host,
                                             const void **ret_host_value);
/* Every host as it was added ("*.example.com"), in no order; text and value are borrowed. */
typedef void dp_router_visit_host(void *arg, gw_str host, const void *value);
void dp_router_each_host(const struct dp_router *router, dp_router_visit_host *visit, void *arg);
void dp_router_each_tree(const struct dp_router *router,
                         void (*visit)(void *arg, const struct dp_route_tree *tree), void *arg);
const void *dp_router_group_value(const struct dp_router_group *group);
/* Environment names are case-sensitive. NULL: nothing is published there. */
const struct dp_route_tree *dp_router_group_tree(const struct dp_router_group *group,
                                                 gw_str environment);

#endif
