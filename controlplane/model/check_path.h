/* SPDX-License-Identifier: Apache-2.0 */
/* Path templates: what callers' paths are matched against, and what is sent to backends. Nothing
 * passes here that an agent would refuse. Pure. */
#ifndef CP_MODEL_CHECK_PATH_H
#define CP_MODEL_CHECK_PATH_H

#include "common/arena.h"
#include "common/error.h"

#define CP_PATH_MAX 512       /* bytes of a template */
#define CP_PATH_PARAMS_MAX 50 /* in one template */
#define CP_PARAM_NAME_MAX 32  /* bytes */

/* 1 to 32 of letters, digits and "-_.", a letter first. */
bool cp_param_name_is(gw_str name);

/* "/a/{x}/{rest+}": segments are literal, in the form that agents match (nothing escaped), or one
 * whole parameter. One violation of `field` at most. */
GW_MUST_CHECK int cp_path_check(const char *path, bool is_prefix, const char *field,
                                struct gw_error *err);
/* Whether the template has the parameter "{name}" or "{name+}". */
bool cp_path_has_param(const char *path, const char *name);

/* What "{x}" may insert into a path toward the backend. All borrowed. */
struct cp_inserts {
    const char *frontend_path; /* whose parameters; checked */
    const char *names[CP_PATH_PARAMS_MAX];
    size_t count; /* of backend parameters that are set in the path */
};
/* A path toward the backend, in which "{x}" inserts one of them, and "#name#" a variable. One
 * violation of `field` at most. */
void cp_path_check_backend(const char *path, const struct cp_inserts *inserts, const char *field,
                           struct gw_error *err);
/* The template without the names of its parameters and with its match mode, from a checked path:
 * two routes of one method collide exactly when they have the same. */
gw_str cp_path_shape(struct gw_arena *arena, const char *path, bool is_prefix);

/* The names in a gRPC path: 0 for "/", 1 for "/package.Service", 2 for "/package.Service/Method";
 * -1: it is none. */
int cp_path_grpc_names(const char *path);

#endif
