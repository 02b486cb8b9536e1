/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets on their way into a store and out of it: AES-256-GCM under keys that the store never
 * sees. A sealed value carries the id of its key and is bound to its place, so that it opens
 * nowhere else. Never changed after loading: any thread. */
#ifndef CP_STORE_SEAL_H
#define CP_STORE_SEAL_H

#include "common/arena.h"
#include "common/error.h"

#define CP_SEAL_KEY_BYTES 32
#define CP_SEAL_KEYS_MAX 16            /* of one file */
#define CP_SEAL_FILE_MAX (16 * 1024)   /* bytes of it */
#define CP_SEAL_SECRET_MAX (64 * 1024) /* bytes of one secret */
#define CP_SEAL_NO_KEY "NO_SEAL_KEY"   /* the reason of errors: the key is not here */

struct cp_seal;

/* A file of exactly 32 bytes is one key. Any other is text: a key a line, base64 or hex, the rest
 * of a line from "#" on is a comment. The first key seals, all of them open. */
GW_MUST_CHECK int cp_seal_load(const char *path, struct cp_seal **ret_seal, struct gw_error *err);
/* The same, but a file that is not there is made (0600), with one new key; *ret_made tells. */
GW_MUST_CHECK int cp_seal_load_or_make(const char *path, struct cp_seal **ret_seal, bool *ret_made,
                                       struct gw_error *err);
/* Its path when others than its owner may read it, as it was when it was loaded; NULL: they may
 * not. */
const char *cp_seal_exposed_file(const struct cp_seal *seal);
/* A key for this process alone, for stores that do not outlive it. */
struct cp_seal *cp_seal_new_random(void);
void cp_seal_free(struct cp_seal *seal); /* takes NULL */

/* Where the secret lies: a resource's name, and one of its fields. */
struct cp_seal_place {
    const char *name, *field;
};
/* seal NULL: there are no keys, FAILED_PRECONDITION that says what to do. */
GW_MUST_CHECK int cp_seal_close(const struct cp_seal *seal, struct cp_seal_place place,
                                gw_str secret, struct gw_arena *arena, gw_str *ret_sealed,
                                struct gw_error *err);
/* FAILED_PRECONDITION with CP_SEAL_NO_KEY: its key is not here, and which one it is. INTERNAL: it
 * is damaged, or was sealed for another place. */
GW_MUST_CHECK int cp_seal_open(const struct cp_seal *seal, struct cp_seal_place place,
                               gw_str sealed, struct gw_arena *arena, gw_str *ret_secret,
                               struct gw_error *err);
/* Whether the first key sealed it: what another one sealed is to be sealed again. */
bool cp_seal_is_current(const struct cp_seal *seal, gw_str sealed);

#endif
