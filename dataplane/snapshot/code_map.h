/* SPDX-License-Identifier: Apache-2.0 */
/* From an AppCode's SHA-256 to its app: a trie over the digest's nibbles that shares what does not
 * change, so that one changed app costs a handful of nodes however many there are. Digests are
 * evenly spread, which keeps it flat: five levels for a million. NULL is the empty map. A map is
 * immutable as soon as a second reference to it is taken. */
#ifndef DP_SNAPSHOT_CODE_MAP_H
#define DP_SNAPSHOT_CODE_MAP_H

#include "dataplane/snapshot/unit.h"

struct dp_code_map;

struct dp_code_map *dp_code_map_ref(struct dp_code_map *map); /* any thread */
void dp_code_map_unref(struct dp_code_map *map);              /* any thread */

/* The app of that digest, NULL: none. Where it looks depends on the leading bits of the digest;
 * that tells nobody anything, because what is compared is not the code but its hash. Any thread. */
struct dp_app_unit *dp_code_map_get(const struct dp_code_map *map,
                                    const uint8_t digest[DP_APP_CODE_DIGEST_BYTES]);

/* Both take over the caller's reference and return one; other references see no change. put
 * replaces the app that is there and takes a reference to `app`. */
GW_MUST_CHECK struct dp_code_map *dp_code_map_put(struct dp_code_map *map,
                                                  const uint8_t digest[DP_APP_CODE_DIGEST_BYTES],
                                                  struct dp_app_unit *app);
GW_MUST_CHECK struct dp_code_map *
dp_code_map_remove(struct dp_code_map *map, const uint8_t digest[DP_APP_CODE_DIGEST_BYTES]);

#endif
