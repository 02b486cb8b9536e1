/* SPDX-License-Identifier: Apache-2.0 */
/* What accounts, users and access keys may say. Pure: all that is wrong goes into err as
 * violations; names, labels and what the server sets are not looked at. */
#ifndef CP_MODEL_CHECK_ACCOUNT_H
#define CP_MODEL_CHECK_ACCOUNT_H

#include "controlplane/model/types.h"

#include "common/arena.h"
#include "common/error.h"

#define CP_ACCOUNTS_MAX 1000
#define CP_USERS_MAX 10000   /* of an account */
#define CP_ACCESS_KEYS_MAX 2 /* of a user */
#define CP_USER_CLAIMS_MAX 10
#define CP_USER_GRANTS_MAX 20
#define CP_USER_LIMITS_MAX 100 /* of a grant */
#define CP_ROLE_ID_MAX 63
#define CP_ACCESS_KEY_SECRET_MIN 16
#define CP_ACCESS_KEY_SECRET_MAX 128
/* Of those that are made here. */
#define CP_ACCESS_KEY_ID_LEN 20
#define CP_ACCESS_KEY_SECRET_LEN 40

GW_MUST_CHECK int cp_check_account(const cp_account *account, struct gw_error *err);
/* Whether there is a role of that name is not looked at. */
GW_MUST_CHECK int cp_check_user(const cp_user *user, struct gw_error *err);
GW_MUST_CHECK int cp_check_access_key(const cp_access_key *key, struct gw_error *err);

/* "sub=alice": the name and what stands behind the first "="; false: its form is wrong. */
bool cp_claim_parse(gw_str claim, gw_str *ret_name, gw_str *ret_value);
/* The name of a claim alone. */
bool cp_claim_name_is(gw_str name);
/* Under which the claim of an account's user is unique: "acme/sub=alice". */
gw_str cp_claim_key(struct gw_arena *arena, gw_str account_id, gw_str claim);

/* `len` of a-z A-Z 0-9 out of as many random bytes, and a NUL. False: the bytes do not suffice;
 * one try in many. */
bool cp_letters_from_random(const unsigned char *bytes, size_t count, char *ret_text, size_t len);

#endif
