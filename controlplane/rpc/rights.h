/* SPDX-License-Identifier: Apache-2.0 */
/* What a principal may do: roles, custom roles by action, and the limits of a grant. Pure. */
#ifndef CP_RPC_RIGHTS_H
#define CP_RPC_RIGHTS_H

#include "common/arena.h"
#include "common/error.h"

/* In rising order: each role may do what those before it may. */
enum cp_role {
    CP_ROLE_NONE,
    CP_ROLE_VIEWER,        /* Get and List */
    CP_ROLE_OPERATOR,      /* and write, publish, bind */
    CP_ROLE_ADMINISTRATOR, /* and certificates, accounts, whatever is left */
    CP_ROLE_ANYBODY,       /* of a method, not of a principal: whoever is known may call it */
};

/* "viewer", "operator", "administrator"; "none". */
const char *cp_role_name(enum cp_role role);
/* NONE: it is none of the three. */
enum cp_role cp_role_from(const char *name);

#define CP_PRINCIPAL_NAME_MAX 256
#define CP_ROLE_NAME_MAX 64
#define CP_ROLES_MAX 100        /* custom ones */
#define CP_ROLE_ACTIONS_MAX 200 /* of a custom role */
#define CP_ACTION_MAX 128       /* bytes of one */
#define CP_GRANTS_MAX 20        /* of a principal */
#define CP_GRANT_LIMITS_MAX 100 /* of a grant */

struct cp_texts {
    const char *const *at;
    size_t count;
};

/* One role, everywhere or within limits. */
struct cp_grant {
    const char *role_name;   /* "publisher" */
    enum cp_role role;       /* NONE: a custom one, of which the actions decide */
    struct cp_texts actions; /* "ApiService/Get*" */
    struct cp_texts limits;  /* "groups/shop": it and what is under it; none: everything */
};

/* Plain value; what it points at lives as long as the call. */
struct cp_principal {
    char name[CP_PRINCIPAL_NAME_MAX]; /* "ci"; the author of releases, the name in logs */
    enum cp_role role;                /* what it may do everywhere, of the built-in ones */
    const struct cp_grant *grants;    /* and beside that */
    size_t grant_count;
    const char *proof; /* "bearer token": how it showed who it is; NULL: nobody asked */
    int64_t expires_s; /* wall clock: when the proof ends; 0: it does not */
};

/* What somebody wants to do. */
struct cp_action {
    const char *name;  /* "ApiService/PublishApi" */
    enum cp_role role; /* that it takes */
};

/* A deep copy. */
struct cp_grant *cp_grants_copy(struct gw_arena *arena, const struct cp_grant *grants,
                                size_t count);

/* "ApiService/Get*", a "*" stands for any text without "/"; "*" alone for everything. */
bool cp_action_matches(const char *pattern, const char *name);
/* Whether the form of a pattern is right. */
bool cp_action_pattern_is(const char *pattern);
/* "groups/shop" is inside of "groups/shop", and so is what is under it. */
bool cp_is_inside(const char *limit, const char *name);

/* Without limits: all of it, whatever it is about. */
bool cp_may_everywhere(const struct cp_principal *principal, const struct cp_action *action);
/* About the resource of that name. */
bool cp_may_at(const struct cp_principal *principal, const struct cp_action *action,
               const char *name);
/* The built-in administrator, without limits: who may give rights to others. */
bool cp_is_administrator(const struct cp_principal *principal);

/* PERMISSION_DENIED unless it may do it to all of these. No names: what it is about cannot be told,
 * so who is limited may not. */
GW_MUST_CHECK int cp_check_rights(const struct cp_principal *principal,
                                  const struct cp_action *action, const char *const *names,
                                  size_t count, struct gw_error *err);
/* Some grant has the action, be it within limits. */
bool cp_may_somewhere(const struct cp_principal *principal, const struct cp_action *action);

/* The limits under which it may, one after the other: *at starts as 0; NULL after the last. */
const char *cp_next_limit(const struct cp_principal *principal, const struct cp_action *action,
                          size_t *at);

/* Appends the grant; one of a built-in role without limits raises the role instead. The grants
 * array is the principal's own, with room. */
void cp_principal_add(struct cp_principal *principal, struct cp_grant *grants,
                      const struct cp_grant *grant);

#endif
