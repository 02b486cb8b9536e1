/* SPDX-License-Identifier: Apache-2.0 */
/* What bindings and authorizations have in common: they name an API and an environment. */
#ifndef CP_SERVICE_BOUND_H
#define CP_SERVICE_BOUND_H

#include "controlplane/service/change.h"

struct cp_bound {
    enum cp_kind_id kind; /* of the binding or authorization; all text is borrowed from it */
    const char *name;
    const char *api, *environment; /* both set */
};

/* "{group}.{api}.{environment}": the id when none is asked for. Names are well-formed; an empty
 * environment is RELEASE. */
const char *cp_bound_id(struct gw_arena *arena, const char *api, const char *environment);
/* Makes the default environment explicit. */
void cp_bound_fill(struct gw_arena *arena, char **environment);
/* Refers to both. NOT_FOUND when one is not there. *ret_api: the API's draft. */
GW_MUST_CHECK int cp_bound_refer(const struct cp_call *call, struct cp_change *change,
                                 const struct cp_bound *bound, struct cp_stored *ret_api,
                                 struct gw_error *err);
void cp_bound_unrefer(struct cp_change *change, const struct cp_bound *bound);

#endif
