/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/rpc/rights.h"

#include <stdio.h>

static const char *const role_names[] = {
    [CP_ROLE_NONE] = "none",         [CP_ROLE_VIEWER] = "viewer",
    [CP_ROLE_OPERATOR] = "operator", [CP_ROLE_ADMINISTRATOR] = "administrator",
    [CP_ROLE_ANYBODY] = "anybody",
};

const char *cp_role_name(enum cp_role role)
{
    return role_names[role];
}

enum cp_role cp_role_from(const char *name)
{
    for (enum cp_role role = CP_ROLE_VIEWER; role <= CP_ROLE_ADMINISTRATOR; role++)
        if (strcmp(role_names[role], name) == 0)
            return role;
    return CP_ROLE_NONE;
}

/* ---- patterns */

/* A "*" takes as little as will do, and more when the rest does not fit. */
bool cp_action_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *taken = NULL;
    if (strcmp(pattern, "*") == 0)
        return true;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            taken = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star && *taken != '/') {
            pattern = star + 1;
            name = ++taken;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool is_pattern_part(gw_str part)
{
    for (size_t i = 0; i < part.len; i++) {
        char c = part.ptr[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '*')
            return false;
    }
    return part.len > 0;
}

bool cp_action_pattern_is(const char *pattern)
{
    gw_str method = gw_str_from(pattern);
    if (method.len > CP_ACTION_MAX)
        return false;
    if (strcmp(pattern, "*") == 0)
        return true;
    gw_str service = gw_str_split(&method, '/');
    return method.ptr && is_pattern_part(service) && is_pattern_part(method);
}

bool cp_is_inside(const char *limit, const char *name)
{
    size_t len = strlen(limit);
    return strncmp(limit, name, len) == 0 && (name[len] == '\0' || name[len] == '/');
}

/* ---- grants */

static struct cp_texts copy_texts(struct gw_arena *arena, const struct cp_texts *texts)
{
    const char **at = GW_ARENA_ARRAY(arena, const char *, texts->count);
    for (size_t i = 0; i < texts->count; i++)
        at[i] = gw_arena_strdup(arena, texts->at[i]);
    return (struct cp_texts){at, texts->count};
}

struct cp_grant *cp_grants_copy(struct gw_arena *arena, const struct cp_grant *grants, size_t count)
{
    struct cp_grant *copy = GW_ARENA_ARRAY(arena, struct cp_grant, count);
    for (size_t i = 0; i < count; i++)
        copy[i] = (struct cp_grant){
            .role_name = gw_arena_strdup(arena, grants[i].role_name),
            .role = grants[i].role,
            .actions = copy_texts(arena, &grants[i].actions),
            .limits = copy_texts(arena, &grants[i].limits),
        };
    return copy;
}

static bool has_action(const struct cp_grant *grant, const struct cp_action *action)
{
    if (grant->role != CP_ROLE_NONE)
        return grant->role >= action->role;
    for (size_t i = 0; i < grant->actions.count; i++)
        if (cp_action_matches(grant->actions.at[i], action->name))
            return true;
    return false;
}

static bool reaches(const struct cp_grant *grant, const char *name)
{
    for (size_t i = 0; i < grant->limits.count; i++)
        if (cp_is_inside(grant->limits.at[i], name))
            return true;
    return grant->limits.count == 0;
}

bool cp_may_everywhere(const struct cp_principal *principal, const struct cp_action *action)
{
    if (action->role == CP_ROLE_ANYBODY || principal->role >= action->role)
        return true;
    for (size_t i = 0; i < principal->grant_count; i++)
        if (principal->grants[i].limits.count == 0 && has_action(&principal->grants[i], action))
            return true;
    return false;
}

bool cp_may_somewhere(const struct cp_principal *principal, const struct cp_action *action)
{
    for (size_t i = 0; i < principal->grant_count; i++)
        if (has_action(&principal->grants[i], action))
            return true;
    return cp_may_everywhere(principal, action);
}

bool cp_may_at(const struct cp_principal *principal, const struct cp_action *action,
               const char *name)
{
    for (size_t i = 0; i < principal->grant_count; i++)
        if (has_action(&principal->grants[i], action) && reaches(&principal->grants[i], name))
            return true;
    return cp_may_everywhere(principal, action);
}

bool cp_is_administrator(const struct cp_principal *principal)
{
    return principal->role == CP_ROLE_ADMINISTRATOR;
}

const char *cp_next_limit(const struct cp_principal *principal, const struct cp_action *action,
                          size_t *at)
{
    size_t left = (*at)++;
    for (size_t i = 0; i < principal->grant_count; i++) {
        const struct cp_grant *grant = &principal->grants[i];
        if (!has_action(grant, action))
            continue;
        if (left < grant->limits.count)
            return grant->limits.at[left];
        left -= grant->limits.count;
    }
    return NULL;
}

void cp_principal_add(struct cp_principal *principal, struct cp_grant *grants,
                      const struct cp_grant *grant)
{
    if (grant->role != CP_ROLE_NONE && grant->limits.count == 0)
        principal->role = GW_MAX(principal->role, grant->role);
    else
        grants[principal->grant_count++] = *grant;
    principal->grants = grants;
}

/* ---- refusals */

/* " in groups/shop, groups/food": where the action is allowed, as far as there is room. */
static void say_where(const struct cp_principal *principal, const struct cp_action *action,
                      char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < principal->grant_count; i++) {
        const struct cp_grant *grant = &principal->grants[i];
        for (size_t j = 0; has_action(grant, action) && j < grant->limits.count; j++) {
            const char *limit = grant->limits.at[j];
            if (at + strlen(limit) + 8 > size) {
                (void)snprintf(text + at, size - at, ", ...");
                return;
            }
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", limit);
        }
    }
}

static int refuse_role(const struct cp_principal *principal, const struct cp_action *action,
                       struct gw_error *err)
{
    const char *slash = strchr(action->name, '/'), *method = slash ? slash + 1 : action->name;
    if (principal->grant_count == 0 && principal->role != CP_ROLE_NONE)
        return gw_fail(err, GW_PERMISSION_DENIED, "%s needs the role %s, and %s is %s", method,
                       cp_role_name(action->role), principal->name, cp_role_name(principal->role));
    return gw_fail(err, GW_PERMISSION_DENIED,
                   "%s needs the role %s or one with the action %s, and %s has none of them",
                   method, cp_role_name(action->role), action->name, principal->name);
}

int cp_check_rights(const struct cp_principal *principal, const struct cp_action *action,
                    const char *const *names, size_t count, struct gw_error *err)
{
    char where[160] = "";
    if (cp_may_everywhere(principal, action))
        return 0;
    if (!cp_may_somewhere(principal, action))
        return refuse_role(principal, action, err);
    const char *outside = NULL;
    for (size_t i = 0; i < count && !outside; i++)
        if (!cp_may_at(principal, action, names[i]))
            outside = names[i];
    if (count > 0 && !outside)
        return 0;
    say_where(principal, action, where, sizeof(where));
    (void)gw_fail(err, GW_PERMISSION_DENIED, "%s may %s only in %s, not %s%.120s", principal->name,
                  action->name, where, outside ? "in " : "everywhere", outside ? outside : "");
    return gw_error_reason(err, "OUTSIDE_OF_LIMITS");
}
