/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/code_map.h"

#include <stdlib.h>

#define FANOUT 16
#define DEPTH_MAX (2 * DP_APP_CODE_DIGEST_BYTES)

/* A node is a leaf (app and digest) or a branch (children by nibble, only those that are). Two
 * digests differ in some nibble, so a branch at DEPTH_MAX cannot be. */
struct dp_code_map {
    atomic_uint refs;
    uint16_t present;              /* branch: bit n: children has one for nibble n; leaf: 0 */
    struct dp_app_unit *app;       /* leaf: a reference; branch: NULL */
    struct dp_code_map **children; /* branch: owned, references */
    uint8_t digest[];              /* leaf */
};

static unsigned nibble(const uint8_t *digest, unsigned depth)
{
    assert(depth < DEPTH_MAX);
    return depth % 2 ? digest[depth / 2] & 15 : digest[depth / 2] >> 4;
}

static unsigned count_of(const struct dp_code_map *node)
{
    return (unsigned)__builtin_popcount(node->present);
}

/* Where the child for nibble n is, or would be. */
static unsigned index_of(const struct dp_code_map *node, unsigned n)
{
    return (unsigned)__builtin_popcount(node->present & ((1u << n) - 1));
}

static bool has(const struct dp_code_map *node, unsigned n)
{
    return node->present >> n & 1;
}

struct dp_code_map *dp_code_map_ref(struct dp_code_map *map)
{
    if (map)
        atomic_fetch_add_explicit(&map->refs, 1, memory_order_relaxed);
    return map;
}

void dp_code_map_unref(struct dp_code_map *map)
{
    if (!map || atomic_fetch_sub_explicit(&map->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (unsigned i = 0; i < count_of(map); i++)
        dp_code_map_unref(map->children[i]);
    if (map->app)
        dp_unit_unref(&map->app->unit);
    free(map->children);
    free(map);
}

static struct dp_code_map *new_leaf(const uint8_t *digest, struct dp_app_unit *app)
{
    struct dp_code_map *leaf = gw_calloc(1, sizeof *leaf + DP_APP_CODE_DIGEST_BYTES);
    atomic_init(&leaf->refs, 1);
    dp_unit_ref(&app->unit);
    leaf->app = app;
    memcpy(leaf->digest, digest, DP_APP_CODE_DIGEST_BYTES);
    return leaf;
}

static struct dp_code_map *new_branch(void)
{
    struct dp_code_map *branch = gw_calloc(1, sizeof *branch);
    atomic_init(&branch->refs, 1);
    return branch;
}

/* The branch itself when nobody else can see it, else a copy that shares the children: they then
 * have a second reference, and are copied in their turn when a change reaches them. */
static struct dp_code_map *own(struct dp_code_map *branch)
{
    if (atomic_load_explicit(&branch->refs, memory_order_acquire) == 1)
        return branch;
    struct dp_code_map *copy = new_branch();
    unsigned count = count_of(branch);
    copy->present = branch->present;
    copy->children = gw_malloc(count * sizeof(copy->children[0]));
    for (unsigned i = 0; i < count; i++)
        copy->children[i] = dp_code_map_ref(branch->children[i]);
    dp_code_map_unref(branch);
    return copy;
}

/* Takes over the reference to child. */
static void insert(struct dp_code_map *branch, unsigned n, struct dp_code_map *child)
{
    unsigned count = count_of(branch), at = index_of(branch, n);
    branch->children = gw_realloc(branch->children, (count + 1) * sizeof(branch->children[0]));
    memmove(branch->children + at + 1, branch->children + at,
            (count - at) * sizeof(branch->children[0]));
    branch->children[at] = child;
    branch->present = (uint16_t)(branch->present | 1u << n);
}

static void drop(struct dp_code_map *branch, unsigned n)
{
    unsigned count = count_of(branch), at = index_of(branch, n);
    dp_code_map_unref(branch->children[at]);
    memmove(branch->children + at, branch->children + at + 1,
            (count - at - 1) * sizeof(branch->children[0]));
    branch->present = (uint16_t)(branch->present & ~(1u << n));
}

static bool is_digest(const struct dp_code_map *leaf, const uint8_t *digest)
{
    return gw_str_eq_secret(gw_str_n((const char *)leaf->digest, DP_APP_CODE_DIGEST_BYTES),
                            gw_str_n((const char *)digest, DP_APP_CODE_DIGEST_BYTES));
}

struct dp_app_unit *dp_code_map_get(const struct dp_code_map *map,
                                    const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    for (unsigned depth = 0; map && !map->app; depth++) {
        unsigned n = nibble(digest, depth);
        map = has(map, n) ? map->children[index_of(map, n)] : NULL;
    }
    return map && is_digest(map, digest) ? map->app : NULL;
}

static struct dp_code_map *put(struct dp_code_map *node, const uint8_t *digest,
                               struct dp_app_unit *app, unsigned depth)
{
    if (!node || (node->app && is_digest(node, digest))) {
        dp_code_map_unref(node);
        return new_leaf(digest, app);
    }
    if (node->app) { /* another digest so far alike: one level more */
        struct dp_code_map *branch = new_branch();
        insert(branch, nibble(node->digest, depth), node);
        node = branch;
    }
    node = own(node);
    unsigned n = nibble(digest, depth);
    if (!has(node, n)) {
        insert(node, n, new_leaf(digest, app));
        return node;
    }
    struct dp_code_map **child = &node->children[index_of(node, n)];
    *child = put(*child, digest, app, depth + 1);
    return node;
}

struct dp_code_map *dp_code_map_put(struct dp_code_map *map,
                                    const uint8_t digest[DP_APP_CODE_DIGEST_BYTES],
                                    struct dp_app_unit *app)
{
    return put(map, digest, app, 0);
}

/* The digest is there. NULL: nothing is left. */
static struct dp_code_map *take(struct dp_code_map *node, const uint8_t *digest, unsigned depth)
{
    if (node->app) {
        dp_code_map_unref(node);
        return NULL;
    }
    node = own(node);
    unsigned n = nibble(digest, depth), at = index_of(node, n);
    struct dp_code_map *left = take(node->children[at], digest, depth + 1);
    node->children[at] = left;
    if (!left)
        drop(node, n);
    if (node->present)
        return node;
    dp_code_map_unref(node);
    return NULL;
}

struct dp_code_map *dp_code_map_remove(struct dp_code_map *map,
                                       const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    return dp_code_map_get(map, digest) ? take(map, digest, 0) : map;
}
