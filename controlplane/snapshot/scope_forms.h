/* SPDX-License-Identifier: Apache-2.0 */
/* Agent resources as a scope has them, and what they refer to. Pure. */
#ifndef CP_SNAPSHOT_SCOPE_FORMS_H
#define CP_SNAPSHOT_SCOPE_FORMS_H

#include "common/arena.h"

/* The route's environment is one of the scope's. */
bool cp_scope_has_route(const char *scope, gw_str route);

struct cp_scope_refs {
    gw_str *names; /* in the arena */
    size_t count;
};
/* Of a route: group, channel, certificate, policies. Of a group: certificates. Others: none. */
struct cp_scope_refs cp_scope_refs(struct gw_arena *arena, gw_str name, gw_str packed);

/* The packed resource as the scope has it, in the arena where it differs; ptr NULL: not at all. */
gw_str cp_scope_form(struct gw_arena *arena, const char *scope, gw_str name, gw_str packed);

#endif
