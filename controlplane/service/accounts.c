/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, users, and AccountService. */
#include "controlplane/service/accounts.h"

#include "common/message.h"
#include "controlplane/model/check_account.h"
#include "controlplane/service/services.h"

int cp_require_administrator(const struct cp_call *call, const char *what, struct gw_error *err)
{
    if (cp_is_administrator(call->principal))
        return 0;
    return gw_fail(err, GW_PERMISSION_DENIED,
                   "%s takes an administrator without limits, and %s is none", what,
                   call->principal->name);
}

/* ---- accounts */

static int check_account(const ProtobufCMessage *message, const ProtobufCMessage *before,
                         struct gw_error *err)
{
    (void)before;
    return cp_check_account((const cp_account *)message, err);
}

static void fill_account(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_account *account = (cp_account *)message;
    if (!account->display_name[0])
        account->display_name = gw_arena_strdup(arena, cp_name_last(account->name));
}

/* Whose users have been shut out does not let them in again. */
static int prepare_account(const struct cp_call *call, struct cp_change *change,
                           ProtobufCMessage *message, const ProtobufCMessage *before,
                           struct gw_error *err)
{
    (void)change;
    if (!before || ((const cp_account *)before)->disabled == ((cp_account *)message)->disabled)
        return 0;
    return cp_require_administrator(call, "to change disabled", err);
}

static int prepare_delete_account(const struct cp_call *call, struct cp_change *change,
                                  const ProtobufCMessage *before, struct gw_error *err)
{
    (void)change;
    struct cp_page page;
    gw_str user;
    const cp_account *account = (const cp_account *)before;
    const char *name = account->name;
    if (account->disabled &&
        cp_require_administrator(call, "to delete a disabled account", err) < 0)
        return -1; /* who makes it again makes it enabled */
    struct cp_range range = {.prefix =
                                 cp_key_children(call->arena, CP_KIND_USER, gw_str_from(name)),
                             .limit = 1,
                             .keys_only = true};
    if (cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    if (page.count == 0 || !cp_key_parse(call->arena, page.kvs[0].key, &user))
        return 0;
    return gw_fail(err, GW_FAILED_PRECONDITION, "%s has users: %.*s", name, GW_STR_ARG(user));
}

const struct cp_resource_rules cp_account_rules = {
    .kind = CP_KIND_ACCOUNT,
    .field = "account",
    .list_field = "accounts",
    .list_reply = CP_TYPE(list_accounts_response),
    .max = CP_ACCOUNTS_MAX,
    .check = check_account,
    .fill = fill_account,
    .prepare = prepare_account,
    .prepare_delete = prepare_delete_account,
};

/* ---- users */

static int check_user(const ProtobufCMessage *message, const ProtobufCMessage *before,
                      struct gw_error *err)
{
    (void)before;
    return cp_check_user((const cp_user *)message, err);
}

static void fill_user(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_user *user = (cp_user *)message;
    if (!user->display_name[0])
        user->display_name = gw_arena_strdup(arena, cp_name_last(user->name));
}

static gw_str claim_key(struct gw_arena *arena, const cp_user *user, const char *claim)
{
    gw_str account = gw_str_from(user->name);
    (void)gw_str_split(&account, '/');
    return cp_claim_key(arena, gw_str_split(&account, '/'), gw_str_from(claim));
}

static bool has_claim(const cp_user *user, const char *claim)
{
    for (size_t i = 0; user && i < user->n_claims; i++)
        if (strcmp(user->claims[i], claim) == 0)
            return true;
    return false;
}

static int write_claims(const struct cp_call *call, struct cp_change *change, const cp_user *user,
                        const cp_user *before, struct gw_error *err)
{
    for (size_t i = 0; before && i < before->n_claims; i++)
        if (!has_claim(user, before->claims[i]))
            cp_change_release(change, CP_CLAIM_INDEX,
                              claim_key(change->arena, user, before->claims[i]));
    for (size_t i = 0; i < user->n_claims; i++)
        if (!has_claim(before, user->claims[i]) &&
            cp_change_claim(call, change, CP_CLAIM_INDEX,
                            claim_key(change->arena, user, user->claims[i]), user->name, err) < 0)
            return -1;
    return 0;
}

/* Who runs without a credentials file has the three built-in ones. */
static int check_roles(const struct cp_call *call, const cp_user *user, struct gw_error *err)
{
    for (size_t i = 0; i < user->n_grants; i++)
        if (!cp_auth_has_role(call->services->auth, user->grants[i]->role))
            return gw_fail_field(err, "grants",
                                 "\"%s\" is none of viewer, operator, administrator and the "
                                 "credentials file's roles",
                                 user->grants[i]->role);
    return 0;
}

/* Whoever may write users without grants knows the secrets of their keys, and chose their claims:
 * they do not get rights with the user. From here on a key that comes in makes the write fail. */
static int refuse_planted(const struct cp_call *call, struct cp_change *change, const cp_user *user,
                          const cp_user *before, struct gw_error *err)
{
    struct cp_page page;
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_ACCESS_KEY, gw_str_from(user->name)),
        .keys_only = true};
    if (cp_change_guard(call, change, CP_KIND_USER, user->name, err) < 0 ||
        cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    gw_str names = GW_STR("");
    for (size_t i = 0; i < page.count; i++) {
        gw_str key;
        if (cp_key_parse(call->arena, page.kvs[i].key, &key))
            names = gw_arena_printf(call->arena, "%.*s%s%s", GW_STR_ARG(names),
                                    names.len > 0 ? ", " : "", cp_name_last(key.ptr));
    }
    if (page.count > 0)
        return gw_fail(err, GW_FAILED_PRECONDITION,
                       "%s has access keys from before it has grants, and whoever made them would "
                       "get the rights: delete %.*s first, and make others after the grants",
                       user->name, GW_STR_ARG(names));
    for (size_t i = 0; i < user->n_claims; i++)
        if (has_claim(before, user->claims[i]))
            return gw_fail(err, GW_FAILED_PRECONDITION,
                           "%s has claims from before it has grants, and whoever wrote them would "
                           "get the rights: take out \"%.100s\" first, and write it again after "
                           "the grants",
                           user->name, user->claims[i]);
    return 0;
}

/* Claims decide which bearers of JWTs are this user, and no longer what they were without it. */
static bool has_same_claims(const cp_user *user, const cp_user *before)
{
    if (user->n_claims != (before ? before->n_claims : 0))
        return false;
    for (size_t i = 0; i < user->n_claims; i++)
        if (!has_claim(before, user->claims[i]))
            return false;
    return true;
}

int cp_check_account_is_open(const struct cp_call *call, struct cp_change *change, const char *user,
                             struct gw_error *err)
{
    struct cp_stored account;
    if (cp_is_administrator(call->principal))
        return 0;
    const char *name = gw_arena_dup(change->arena, cp_name_parent(gw_str_from(user))).ptr;
    if (cp_find(call, CP_KIND_ACCOUNT, name, &account, err) < 0)
        return -1;
    if (!account.message)
        return 0; /* it goes in the same transaction, and has been checked itself */
    cp_change_expect(change, cp_key_of(change->arena, CP_KIND_ACCOUNT, name), account.mod_revision);
    return ((const cp_account *)account.message)->disabled
               ? cp_require_administrator(call, "a user of a disabled account", err)
               : 0;
}

static int prepare_user(const struct cp_call *call, struct cp_change *change,
                        ProtobufCMessage *message, const ProtobufCMessage *before,
                        struct gw_error *err)
{
    const cp_user *user = (const cp_user *)message, *was = (const cp_user *)before;
    bool has_rights = user->n_grants > 0 || (was && was->n_grants > 0);
    if (has_rights && cp_require_administrator(call, "a user with grants", err) < 0)
        return -1;
    if (!has_same_claims(user, was) &&
        cp_require_administrator(call, "to write claims of a user", err) < 0)
        return -1;
    if (was && was->n_claims > 0 && was->disabled != user->disabled &&
        cp_require_administrator(call, "to change disabled of a user with claims", err) < 0)
        return -1; /* a bearer of them may have rights of its own, which it would lose or get */
    if (cp_check_account_is_open(call, change, user->name, err) < 0 ||
        check_roles(call, user, err) < 0)
        return -1;
    if (was && was->n_grants == 0 && user->n_grants > 0 &&
        refuse_planted(call, change, user, was, err) < 0)
        return -1;
    return write_claims(call, change, user, was, err);
}

/* Its claims and its keys go with it: of each there are few. */
static int prepare_delete_user(const struct cp_call *call, struct cp_change *change,
                               const ProtobufCMessage *before, struct gw_error *err)
{
    const cp_user *user = (const cp_user *)before;
    struct cp_page page;
    struct cp_range range = {
        .prefix = cp_key_children(call->arena, CP_KIND_ACCESS_KEY, gw_str_from(user->name)),
        .keys_only = true};
    if (user->n_grants > 0 && cp_require_administrator(call, "a user with grants", err) < 0)
        return -1;
    if (user->n_claims > 0 && cp_require_administrator(call, "a user with claims", err) < 0)
        return -1;
    if (cp_check_account_is_open(call, change, user->name, err) < 0 ||
        cp_store_list(call->services->store, &range, call->arena, &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        gw_str key;
        if (cp_key_parse(call->arena, page.kvs[i].key, &key))
            cp_drop_access_key(change, key.ptr, page.kvs[i].mod_revision);
    }
    for (size_t i = 0; i < user->n_claims; i++)
        cp_change_release(change, CP_CLAIM_INDEX, claim_key(change->arena, user, user->claims[i]));
    return 0;
}

const struct cp_resource_rules cp_user_rules = {
    .kind = CP_KIND_USER,
    .field = "user",
    .list_field = "users",
    .list_reply = CP_TYPE(list_users_response),
    .max = CP_USERS_MAX,
    .check = check_user,
    .fill = fill_user,
    .prepare = prepare_user,
    .prepare_delete = prepare_delete_user,
};

/* ---- the service */

CP_RESOURCE_HANDLERS(account, accounts, cp_account_rules)
CP_RESOURCE_HANDLERS(user, users, cp_user_rules)
CP_RESOURCE_HANDLER(get, access_key, cp_access_key_rules)
CP_RESOURCE_HANDLER(list, access_keys, cp_access_key_rules)
CP_RESOURCE_HANDLER(update, access_key, cp_access_key_rules)
CP_RESOURCE_HANDLER(delete, access_key, cp_access_key_rules)

static const struct cp_method methods[] = {
    {"GetAccount", CP_ROLE_VIEWER, get_account},
    {"ListAccounts", CP_ROLE_VIEWER, list_accounts},
    {"CreateAccount", CP_ROLE_ADMINISTRATOR, create_account},
    {"UpdateAccount", CP_ROLE_ADMINISTRATOR, update_account},
    {"DeleteAccount", CP_ROLE_ADMINISTRATOR, delete_account},
    {"GetUser", CP_ROLE_VIEWER, get_user},
    {"ListUsers", CP_ROLE_VIEWER, list_users},
    {"CreateUser", CP_ROLE_ADMINISTRATOR, create_user},
    {"UpdateUser", CP_ROLE_ADMINISTRATOR, update_user},
    {"DeleteUser", CP_ROLE_ADMINISTRATOR, delete_user},
    {"GetAccessKey", CP_ROLE_VIEWER, get_access_key},
    {"ListAccessKeys", CP_ROLE_VIEWER, list_access_keys},
    {"CreateAccessKey", CP_ROLE_ADMINISTRATOR, cp_create_access_key},
    {"UpdateAccessKey", CP_ROLE_ADMINISTRATOR, update_access_key},
    {"DeleteAccessKey", CP_ROLE_ADMINISTRATOR, delete_access_key},
};
const struct cp_service cp_account_service = {&penstock__admin__v1__account_service__descriptor,
                                              methods, GW_ARRAY_LEN(methods)};
