/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables: what they may say, and "#name#" where backends' addresses and paths refer
 * to them. Pure. */
#ifndef CP_MODEL_VARIABLES_H
#define CP_MODEL_VARIABLES_H

#include "common/arena.h"
#include "common/error.h"
#include "controlplane/model/types.h"

#define CP_VARIABLE_NAME_MIN 3 /* bytes */
#define CP_VARIABLE_NAME_MAX 32
#define CP_VARIABLE_VALUE_MAX 255 /* bytes */

/* ---- variables */

/* 3 to 32 of letters, digits, "-" and "_", a letter first. */
bool cp_variable_name_is(gw_str name);
/* All that is wrong, as violations. `environment` and `variable` may be unset: then they are what
 * the resource's name says, and else must be that. */
GW_MUST_CHECK int cp_check_variable(const cp_variable *variable, struct gw_error *err);
/* Sets both from the name, which is good. */
void cp_fill_variable(struct gw_arena *arena, cp_variable *variable);
/* "groups/{group}/variables/{environment}.{variable}". */
char *cp_variable_resource_name(struct gw_arena *arena, gw_str group, const char *environment,
                                gw_str variable);

/* ---- texts that refer to them */

/* One violation of `field` at most: every "#" must begin or end a variable's name. */
GW_MUST_CHECK int cp_check_references(const char *text, const char *field, struct gw_error *err);
/* Takes what comes next off a checked text: true, a reference with its name, or false, text as it
 * is. rest->ptr is NULL after the last one. */
bool cp_reference_take(gw_str *rest, gw_str *ret_part);

/* The value of a variable; NULL: there is none. */
typedef const char *cp_variable_value(void *arg, gw_str variable);
/* The text with the values in the place of the references, in the arena. is_path: of two slashes
 * that meet where a value begins or ends one is left out. */
char *cp_references_resolve(struct gw_arena *arena, const char *text, bool is_path,
                            cp_variable_value *value, void *arg);

/* Where a backend may refer to variables. */
struct cp_reference_field {
    const char *field; /* "backend.http.address" */
    char **text;       /* borrowed from the backend */
    bool is_path;
};
#define CP_REFERENCE_FIELDS_MAX 2
/* How many there are; backend may be NULL. */
unsigned cp_reference_fields(cp_backend *backend,
                             struct cp_reference_field ret_fields[CP_REFERENCE_FIELDS_MAX]);

#endif
