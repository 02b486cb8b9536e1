/* SPDX-License-Identifier: Apache-2.0 */
/* Of the credentials file: custom roles, and what grants give to whom. */
#include "controlplane/model/names.h"
#include "controlplane/rpc/credentials_internal.h"
#include "controlplane/rpc/descriptors.h"

#define LIMIT_RULE                                                                                 \
    "must be names of groups, accounts, apps, channels or others that stand alone: "               \
    "\"groups/shop\""

int cp_read_texts(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                  const char *key, size_t max, cp_text_check *check, const char *rule,
                  struct cp_texts *ret, struct gw_error *err)
{
    const json_t *list = json_object_get(entry, key);
    *ret = (struct cp_texts){NULL, 0};
    if (!list)
        return 0;
    /* An empty list is not the same as none: who writes it does not mean everything. */
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > max)
        return cp_fail_at(
            err, place, key,
            gw_arena_printf(&credentials->arena, "must be a list of 1 to %zu texts", max).ptr);
    const char **at = GW_ARENA_ARRAY(&credentials->arena, const char *, count);
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !check(credentials, text))
            return cp_fail_at(err, place, key, rule);
        at[i] = gw_arena_strdup(&credentials->arena, text);
    }
    *ret = (struct cp_texts){at, count};
    return 0;
}

/* ---- roles */

static bool is_role_name(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= CP_ROLE_NAME_MAX || name[0] < 'a' || name[0] > 'z')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool names_a_method(const struct cp_credentials *credentials, const char *pattern)
{
    return cp_action_pattern_is(pattern) &&
           cp_descriptors_have_action(credentials->descriptors, pattern);
}

int cp_read_role(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                 struct gw_error *err)
{
    static const char *const keys[] = {"name", "actions", NULL};
    const char *name;
    if (cp_check_keys(entry, place, keys, err) || cp_read_text(entry, place, "name", &name, err))
        return -1;
    if (!is_role_name(name) || cp_role_from(name) != CP_ROLE_NONE || strcmp(name, "none") == 0)
        return cp_fail_at(err, place, "name",
                          "must be 1 to 63 of a-z 0-9 -, a letter first, and none of viewer, "
                          "operator, administrator, none");
    if (!credentials->descriptors)
        credentials->descriptors = cp_descriptors_new_own();
    struct cp_grant *role = GW_ARENA_NEW(&credentials->arena, struct cp_grant);
    role->role_name = gw_arena_strdup(&credentials->arena, name);
    if (!json_object_get(entry, "actions"))
        return cp_fail_at(err, place, "actions", "required");
    if (cp_read_texts(credentials, entry, place, "actions", CP_ROLE_ACTIONS_MAX, names_a_method,
                      "must be methods of the management API, such as \"ApiService/Get*\"",
                      &role->actions, err))
        return -1;
    if (gw_map_put(&credentials->roles, gw_str_from(name), role))
        return cp_fail_at(err, place, "name", "stands here twice");
    return 0;
}

/* ---- grants */

static bool is_limit(const struct cp_credentials *credentials, const char *name)
{
    (void)credentials;
    return cp_name_stands_alone(name);
}

bool cp_credentials_role(const struct cp_credentials *credentials, const char *name,
                         struct cp_grant *ret)
{
    const struct cp_grant *custom = gw_map_get(&credentials->roles, gw_str_from(name));
    enum cp_role role = cp_role_from(name);
    *ret = (struct cp_grant){.role_name = cp_role_name(role), .role = role};
    if (custom)
        *ret = *custom;
    return custom || role != CP_ROLE_NONE;
}

int cp_read_grant(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                  struct cp_grant *ret, struct gw_error *err)
{
    const char *role;
    if (cp_read_text(entry, place, "role", &role, err))
        return -1;
    if (!cp_credentials_role(credentials, role, ret))
        return cp_fail_at(err, place, "role",
                          "must be viewer, operator, administrator or one of \"roles\"");
    return cp_read_texts(credentials, entry, place, "limits", CP_GRANT_LIMITS_MAX, is_limit,
                         LIMIT_RULE, &ret->limits, err);
}

static int read_list(struct cp_credentials *credentials, const json_t *list, struct cp_place place,
                     struct cp_principal *principal, struct gw_error *err)
{
    static const char *const keys[] = {"role", "limits", NULL};
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > CP_GRANTS_MAX)
        return cp_fail_at(err, place, "grants", "must be a list of 1 to 20 objects");
    struct cp_grant *grants = GW_ARENA_ARRAY(&credentials->arena, struct cp_grant, count);
    for (size_t i = 0; i < count; i++) {
        struct cp_grant grant;
        const json_t *one = json_array_get(list, i);
        struct cp_place inside = {place.list, place.index, "grants", i};
        if (cp_check_keys(one, inside, keys, err) ||
            cp_read_grant(credentials, one, inside, &grant, err))
            return -1;
        cp_principal_add(principal, grants, &grant);
    }
    return 0;
}

int cp_read_grants(struct cp_credentials *credentials, const json_t *entry, struct cp_place place,
                   struct cp_principal *principal, struct gw_error *err)
{
    const json_t *list = json_object_get(entry, "grants");
    if (list && (json_object_get(entry, "role") || json_object_get(entry, "limits")))
        return cp_fail_at(err, place, "grants", "not together with role and limits");
    if (list)
        return read_list(credentials, list, place, principal, err);
    struct cp_grant *grant = GW_ARENA_NEW(&credentials->arena, struct cp_grant), one;
    if (cp_read_grant(credentials, entry, place, &one, err))
        return -1;
    cp_principal_add(principal, grant, &one);
    return 0;
}
