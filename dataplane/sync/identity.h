/* SPDX-License-Identifier: Apache-2.0 */
/* An agent that is enrolled: gets its first certificate for a token, and the next one when two
 * thirds of its life are over, each by one call over a connection of its own. The stream goes on
 * meanwhile, and uses the new certificate from its next connection on. A token that is new in its
 * file enrols the agent again. Sync thread. */
#ifndef DP_SYNC_IDENTITY_H
#define DP_SYNC_IDENTITY_H

#include "dataplane/sync/sync.h"

struct ev_loop;
struct dp_identity;

/* options are borrowed; their cert_file is where it is kept. on_certificate: there is a new one,
 * good until then (since the epoch). */
GW_MUST_CHECK int dp_identity_new(struct ev_loop *loop, const struct dp_sync_options *options,
                                  void (*on_certificate)(void *user, int64_t expiry_s), void *user,
                                  struct dp_identity **ret_identity, struct gw_error *err);
void dp_identity_free(struct dp_identity *identity); /* takes NULL */
/* There is a certificate that has not expired. */
bool dp_identity_is_ready(const struct dp_identity *identity);
/* Of it; 0: there is none. */
int64_t dp_identity_expiry_s(const struct dp_identity *identity);
/* Beside another process of the same id the file is that one's: nothing is begun. */
void dp_identity_pause(struct dp_identity *identity, bool is_paused);

#endif
