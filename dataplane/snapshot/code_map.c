/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/snapshot/code_map.h"

/* Codes stand in their app, which lives as long as one of them is in a map. */
static void let_app_go(struct dp_trie_item *item)
{
    dp_unit_unref(&((struct dp_code *)item)->app->unit);
}

static const struct dp_trie_kind codes_kind = {let_app_go, NULL};

static bool is_digest(const struct dp_trie_item *item, const void *key)
{
    const struct dp_code *code = (const struct dp_code *)item;
    return gw_str_eq_secret(gw_str_n((const char *)code->digest, DP_APP_CODE_DIGEST_BYTES),
                            gw_str_n(key, DP_APP_CODE_DIGEST_BYTES));
}

static uint32_t hash_of(const uint8_t *digest)
{
    uint32_t hash;
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

void dp_code_map_unref(struct dp_trie map)
{
    dp_trie_unref(map, &codes_kind);
}

struct dp_app_unit *dp_code_map_get(struct dp_trie map,
                                    const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    const struct dp_trie_item *item = dp_trie_find(map, hash_of(digest), is_digest, digest);
    return item ? ((const struct dp_code *)item)->app : NULL;
}

struct dp_trie dp_code_map_put(struct dp_trie map, struct dp_code *code)
{
    /* It may be in maps that others hold: all references to it together are one to the app. The
     * app's comes first, for the last one of the others may go at any moment. */
    (void)dp_unit_ref(&code->app->unit); /* that is this one */
    code->item.hash = hash_of(code->digest);
    if (atomic_fetch_add(&code->item.refs, 1) > 0)
        dp_unit_unref(&code->app->unit);
    return dp_trie_put(map, &codes_kind, is_digest, code->digest, &code->item);
}

struct dp_trie dp_code_map_remove(struct dp_trie map,
                                  const uint8_t digest[DP_APP_CODE_DIGEST_BYTES])
{
    return dp_trie_remove(map, &codes_kind, hash_of(digest), is_digest, digest);
}
