/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's own key and certificate, where it has been enrolled: one file (0600) with both, that
 * is replaced whole, so that they always fit together. The key never leaves the machine. */
#ifndef DP_SYNC_IDENTITY_FILE_H
#define DP_SYNC_IDENTITY_FILE_H

#include "common/arena.h"
#include "common/error.h"

#define DP_IDENTITY_FILE "identity.pem"
#define DP_TOKEN_BYTES_MAX 512

struct dp_key; /* a private key in the making of a certificate */

/* A new P-256 key, and its request for a certificate of that name (PEM, in the arena). */
GW_MUST_CHECK int dp_key_make(const char *agent_id, struct gw_arena *arena, struct dp_key **ret_key,
                              const char **ret_request_pem, struct gw_error *err);
void dp_key_free(struct dp_key *key); /* takes NULL */
/* Writes both. -1 also when the certificate is not of the key. */
GW_MUST_CHECK int dp_identity_write(const char *path, const struct dp_key *key,
                                    const char *certificate_pem, struct gw_error *err);

struct dp_identity_times {
    int64_t begin_s, end_s; /* since the epoch; begin: when the agent got it */
};
/* Of the certificate in the file. False: there is none that can be read. */
bool dp_identity_read(const char *path, struct dp_identity_times *ret_times);

/* The token in the file without blanks around it, in the arena; ptr NULL: there is none. */
gw_str dp_token_read(const char *path, struct gw_arena *arena);

#endif
