/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling: bearer tokens and client certificate names, mapped to a principal and its role by
 * the credentials file. Any thread. */
#ifndef CP_RPC_AUTH_H
#define CP_RPC_AUTH_H

#include "common/rpc/server.h"
#include "controlplane/rpc/rights.h"

#include <stdatomic.h>

#define CP_AUTH_FILE_MAX_BYTES (1024 * 1024)
#define CP_AUTH_ENTRIES_MAX 10000 /* of each kind */

/* A user of an account, as the store knows it. */
struct cp_known_user {
    const char *name;              /* "accounts/acme/users/ann"; NULL: there is none */
    bool is_disabled;              /* or its account, or the key */
    const struct cp_grant *grants; /* role_name and limits */
    size_t grant_count;
};

/* Where users are looked up; both block, and fail when the store is away. */
struct cp_directory {
    int (*by_key)(void *arg, gw_str id, gw_str secret, struct gw_arena *arena,
                  struct cp_known_user *ret, struct gw_error *err);
    /* Of the account: "acme", "sub=alice". */
    int (*by_claim)(void *arg, gw_str account, gw_str claim, struct gw_arena *arena,
                    struct cp_known_user *ret, struct gw_error *err);
    void *arg;
};

struct cp_auth;

/* A document from a URL. Blocks. *ret_max_age_s: how long it may be kept, -1: it does not say.
 * *stop becomes true when nobody waits any more. */
typedef int cp_issuer_keys_fetch(const char *uri, const char *ca_file, const atomic_bool *stop,
                                 struct gw_arena *arena, gw_str *ret_text, int64_t *ret_max_age_s,
                                 struct gw_error *err);

/* credentials_file NULL: no credentials are configured; everybody on loopback is administrator and
 * an agent, nobody else is anybody (main then lets the listener be loopback only). A file that
 * cannot be read or is wrong fails here; a wrong edit later is logged and the last good form stays
 * in force. */
GW_MUST_CHECK int cp_auth_new(const char *credentials_file, struct cp_auth **ret_auth,
                              struct gw_error *err);
/* Takes NULL. */
void cp_auth_free(struct cp_auth *auth);
/* Where keys of issuers are published is asked from now on (issuer_keys.h); once, before the first
 * call. How often that failed: any thread. */
void cp_auth_fetch_keys(struct cp_auth *auth, cp_issuer_keys_fetch *fetch);
int64_t cp_auth_fetches_failed(const struct cp_auth *auth);
bool cp_auth_is_configured(const struct cp_auth *auth);
/* Before the first call; without one no user of an account is known. */
void cp_auth_set_directory(struct cp_auth *auth, const struct cp_directory *directory);
/* A built-in role, or one of the credentials file. auth NULL: built-in ones only. */
bool cp_auth_has_role(struct cp_auth *auth, const char *name);

/* A bearer token decides when there is one (one of the file, "{AK}:{SK}" of a user, or a JWT of one
 * of the file's issuers), else the client certificate. UNAUTHENTICATED when neither is known. What
 * the principal points at lies in the arena. */
GW_MUST_CHECK int cp_auth_identify(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                                   struct gw_arena *arena, struct cp_principal *ret_principal,
                                   struct gw_error *err);
/* Whether the caller is a data-plane agent, of that id where it has said one: a certificate named
 * under "agents". The id is the certificate's name, or one of "ids" of the entry. PERMISSION_DENIED
 * otherwise. *ret_environments: ids of those that it may get anything of, in the arena; none: of
 * all. */
GW_MUST_CHECK int cp_auth_identify_agent(struct cp_auth *auth, const struct gw_rpc_caller *caller,
                                         const char *agent_id, struct gw_arena *arena,
                                         struct cp_texts *ret_environments, struct gw_error *err);
/* Reads what has changed; true once after that, for who has to ask again. */
bool cp_auth_refresh(struct cp_auth *auth);

#endif
