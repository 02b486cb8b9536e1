/* SPDX-License-Identifier: Apache-2.0 */
/* Users as callers of the management API: found by an access key or by a claim, for rpc/auth.c. */
#include "common/message.h"
#include "controlplane/model/check_account.h"
#include "controlplane/service/accounts.h"

/* The name under which an index holds a value; NULL: none. */
static int find_indexed(struct cp_services *services, const char *index, gw_str value,
                        struct gw_arena *arena, const char **ret_name, struct gw_error *err)
{
    struct cp_found found;
    gw_str key = gw_arena_printf(arena, CP_KEY_ROOT "index/%s/%.*s", index, GW_STR_ARG(value));
    *ret_name = NULL;
    if (key.len > CP_STORE_KEY_MAX)
        return 0;
    if (cp_store_get(services->store, key, arena, &found, err) < 0)
        return -1;
    if (found.found)
        *ret_name = gw_arena_dup(arena, found.kv.value).ptr;
    return 0;
}

static struct cp_call call_of(struct cp_services *services, struct gw_arena *arena)
{
    return (struct cp_call){.services = services, .arena = arena, .deadline_ms = INT64_MAX};
}

static void take_grants(const cp_user *user, struct gw_arena *arena, struct cp_known_user *ret)
{
    struct cp_grant *grants = GW_ARENA_ARRAY(arena, struct cp_grant, user->n_grants);
    for (size_t i = 0; i < user->n_grants; i++)
        grants[i] = (struct cp_grant){
            .role_name = user->grants[i]->role,
            .limits = {(const char *const *)user->grants[i]->limits, user->grants[i]->n_limits}};
    ret->grants = grants;
    ret->grant_count = user->n_grants;
}

/* ret->name stays NULL when the user, or its account, went away meanwhile. */
static int read_user(struct cp_services *services, const char *name, struct gw_arena *arena,
                     struct cp_known_user *ret, struct gw_error *err)
{
    struct cp_call call = call_of(services, arena);
    struct cp_stored user, account;
    const char *account_name = gw_arena_dup(arena, cp_name_parent(gw_str_from(name))).ptr;
    if (cp_find(&call, CP_KIND_USER, name, &user, err) < 0 ||
        cp_find(&call, CP_KIND_ACCOUNT, account_name, &account, err) < 0)
        return -1;
    if (!user.message || !account.message)
        return 0;
    ret->name = name;
    ret->is_disabled = ret->is_disabled || ((const cp_user *)user.message)->disabled ||
                       ((const cp_account *)account.message)->disabled;
    take_grants((const cp_user *)user.message, arena, ret);
    return 0;
}

/* That the secret cannot be opened here is no fault of the caller's. */
static int has_secret(struct cp_services *services, const cp_access_key *key, gw_str secret,
                      struct gw_arena *arena, bool *ret_has, struct gw_error *err)
{
    gw_str there;
    struct gw_error why = GW_ERROR_NONE;
    if (cp_access_key_open(services->seal, key, arena, &there, &why) < 0)
        return gw_fail(err, GW_UNAVAILABLE, "the secret of this access key: %s", why.message);
    *ret_has = gw_str_eq_secret(there, secret);
    return 0;
}

static int find_by_key(void *arg, gw_str id, gw_str secret, struct gw_arena *arena,
                       struct cp_known_user *ret, struct gw_error *err)
{
    bool has = false;
    const char *name;
    struct cp_stored stored;
    struct cp_services *services = arg;
    struct cp_call call = call_of(services, arena);
    *ret = (struct cp_known_user){.name = NULL};
    if (find_indexed(services, CP_ACCESS_KEY_INDEX, id, arena, &name, err) < 0)
        return -1;
    if (!name || !cp_name_is(CP_KIND_ACCESS_KEY, name))
        return 0;
    if (cp_find(&call, CP_KIND_ACCESS_KEY, name, &stored, err) < 0)
        return -1;
    const cp_access_key *key = (const cp_access_key *)stored.message;
    if (!key)
        return 0;
    if (has_secret(services, key, secret, arena, &has, err) < 0)
        return -1;
    if (!has)
        return 0;
    ret->is_disabled = key->disabled;
    return read_user(services, gw_arena_dup(arena, cp_name_parent(gw_str_from(name))).ptr, arena,
                     ret, err);
}

static int find_by_claim(void *arg, gw_str account, gw_str claim, struct gw_arena *arena,
                         struct cp_known_user *ret, struct gw_error *err)
{
    const char *name;
    struct cp_services *services = arg;
    *ret = (struct cp_known_user){.name = NULL};
    if (find_indexed(services, CP_CLAIM_INDEX, cp_claim_key(arena, account, claim), arena, &name,
                     err) < 0)
        return -1;
    if (!name || !cp_name_is(CP_KIND_USER, name))
        return 0;
    return read_user(services, name, arena, ret, err);
}

struct cp_directory cp_directory_of(struct cp_services *services)
{
    return (struct cp_directory){.by_key = find_by_key, .by_claim = find_by_claim, .arg = services};
}
