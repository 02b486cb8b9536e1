/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables: what goes with their group, what a publish makes of them, and what has
 * become stale since. */
#ifndef CP_SERVICE_VARIABLES_H
#define CP_SERVICE_VARIABLES_H

#include "common/map.h"
#include "controlplane/model/types.h"
#include "controlplane/service/change.h"

/* ---- with their group */

/* Deletes one inside a transaction, with its reference. */
#define CP_DROP_VARIABLE_OPS 2
void cp_drop_variable(struct cp_change *change, const cp_variable *variable);

/* ---- publishing */

/* A draft as it is in an environment. */
struct cp_resolved {
    const cp_api *definition;       /* the draft itself when it refers to no variable */
    cp_frozen_variable **variables; /* that were put in, by name */
    size_t count;
};
/* Puts the variables in; the change fails when one of them changes meanwhile. FAILED_PRECONDITION:
 * some are missing (VARIABLES_MISSING, each of them named, and the environment), or what comes out
 * is not good, by field. */
GW_MUST_CHECK int cp_resolve_api(const struct cp_call *call, struct cp_change *change,
                                 const cp_api *draft, const char *environment,
                                 struct cp_resolved *ret, struct gw_error *err);
/* The keys that it will read. */
void cp_add_variable_keys(const struct cp_call *call, struct cp_keys *keys, const cp_api *draft,
                          const char *environment);

/* ---- staleness */

/* The variables of groups as they are now, read when they are asked for. One call's, from its
 * arena. */
struct cp_values {
    const struct cp_call *call;
    struct gw_map groups; /* that have been read */
    struct gw_map values; /* by the variable's name -> text */
};
void cp_values_init(struct cp_values *values, const struct cp_call *call);
void cp_values_done(struct cp_values *values);
/* NULL: there is no such variable. */
GW_MUST_CHECK int cp_values_get(struct cp_values *values, const char *variable,
                                const char **ret_value, struct gw_error *err);
/* ReleaseService.ListStaleReleases. */
cp_handler cp_list_stale_releases;
/* Sets publication->stale_variables. */
GW_MUST_CHECK int cp_show_stale(struct cp_values *values, cp_publication *publication,
                                struct gw_error *err);

#endif
