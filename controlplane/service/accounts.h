/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of AccountService, and users as callers of the management API. */
#ifndef CP_SERVICE_ACCOUNTS_H
#define CP_SERVICE_ACCOUNTS_H

#include "controlplane/model/types.h"
#include "controlplane/service/resource.h"

#define CP_ACCESS_KEY_INDEX "accessKeys" /* its id -> its name */
#define CP_CLAIM_INDEX "claims"          /* cp_claim_key -> the user's name */

extern const struct cp_resource_rules cp_account_rules, cp_user_rules, cp_access_key_rules;

/* The answer holds the secret, the only time that it is seen. */
cp_handler cp_create_access_key;

/* Deletes one, unless it has changed since mod_revision. */
void cp_drop_access_key(struct cp_change *change, const char *name, int64_t mod_revision);
/* The secret under the first key for secrets. Nothing changes where there is nothing to do. -1: it
 * does not open. */
int cp_access_key_reseal(const struct cp_call *call, cp_access_key *key, struct gw_error *err);
/* FAILED_PRECONDITION, INTERNAL: it does not open here. */
GW_MUST_CHECK int cp_access_key_open(const struct cp_seal *seal, const cp_access_key *key,
                                     struct gw_arena *arena, gw_str *ret_secret,
                                     struct gw_error *err);

/* PERMISSION_DENIED unless the caller is administrator without limits: rights are given by those
 * alone who have them all. */
GW_MUST_CHECK int cp_require_administrator(const struct cp_call *call, const char *what,
                                           struct gw_error *err);

/* Of an account whose users are shut out only who can let them in writes users and their keys. */
GW_MUST_CHECK int cp_check_account_is_open(const struct cp_call *call, struct cp_change *change,
                                           const char *user, struct gw_error *err);

/* For cp_auth_set_directory; services are borrowed. */
struct cp_directory cp_directory_of(struct cp_services *services);

#endif
