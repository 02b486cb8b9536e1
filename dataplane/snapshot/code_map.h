/* SPDX-License-Identifier: Apache-2.0 */
/* From an AppCode's SHA-256 to its app: a trie that shares what does not change. Digests are evenly
 * spread, which keeps it flat: four levels for a million. */
#ifndef DP_SNAPSHOT_CODE_MAP_H
#define DP_SNAPSHOT_CODE_MAP_H

#include "dataplane/snapshot/trie.h"
#include "dataplane/snapshot/unit.h"

void dp_code_map_unref(struct dp_trie map); /* any thread */

/* The app of that digest, NULL: none. Where it looks depends on the leading bits of the digest;
 * that tells nobody anything, because what is compared is not the code but its hash. Any thread. */
struct dp_app_unit *dp_code_map_get(struct dp_trie map,
                                    const uint8_t digest[DP_APP_CODE_DIGEST_BYTES]);

/* Both take over the caller's reference and return one; other references see no change. put
 * replaces the code that is there, and keeps the app of this one. */
GW_MUST_CHECK struct dp_trie dp_code_map_put(struct dp_trie map, struct dp_code *code);
GW_MUST_CHECK struct dp_trie dp_code_map_remove(struct dp_trie map,
                                                const uint8_t digest[DP_APP_CODE_DIGEST_BYTES]);

#endif
