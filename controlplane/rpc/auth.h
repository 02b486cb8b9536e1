/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling: bearer tokens and client certificate names, mapped to a principal and its role by
 * the credentials file. Any thread. */
#ifndef CP_RPC_AUTH_H
#define CP_RPC_AUTH_H

#include "common/rpc/server.h"
#include "controlplane/rpc/rights.h"

#define CP_AUTH_FILE_MAX_BYTES (1024 * 1024)
#define CP_AUTH_ENTRIES_MAX 10000 /* of each kind */

struct cp_auth;

/* credentials_file NULL: no credentials are configured; everybody on loopback is administrator and
 * an agent, nobody else is anybody (main then lets the listener be loopback only). A file that
 * cannot be read or is wrong fails here; a wrong edit later is logged and the last good form stays
 * in force. */
GW_MUST_CHECK int cp_auth_new(const char *credentials_file, struct cp_auth **ret_auth,
                              struct gw_error *err);
/* Takes NULL. */
void cp_auth_free(struct cp_auth *auth);
bool cp_auth_is_configured(const struct cp_auth *auth);

/* A bearer token decides when there is one, else the client certificate. UNAUTHENTICATED when
 * neither is known. What the principal points at lies in the arena. */
GW_MUST_CHECK int cp_auth_identify(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                                   struct gw_arena *arena, struct cp_principal *ret_principal,
                                   struct gw_error *err);
/* Whether the caller is a data-plane agent: a certificate named under "agents". PERMISSION_DENIED
 * otherwise. */
GW_MUST_CHECK int cp_auth_identify_agent(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                                         struct gw_error *err);

#endif
