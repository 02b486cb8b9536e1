/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/service/bound.h"

#define DEFAULT_ENVIRONMENT "environments/RELEASE"

/* Ids of groups and environments have no dots, so no two pairs make the same id. */
const char *cp_bound_id(struct gw_arena *arena, const char *api, const char *environment)
{
    struct cp_ids ids;
    bool is_name = cp_name_parse(CP_KIND_API, gw_str_from(api), &ids);
    assert(is_name);
    (void)is_name;
    return gw_arena_printf(arena, "%.*s.%.*s.%s", GW_STR_ARG(ids.id[0]), GW_STR_ARG(ids.id[1]),
                           cp_name_last(*environment ? environment : DEFAULT_ENVIRONMENT))
        .ptr;
}

void cp_bound_fill(struct gw_arena *arena, char **environment)
{
    if (!**environment)
        *environment = gw_arena_strdup(arena, DEFAULT_ENVIRONMENT);
}

int cp_bound_refer(const struct cp_call *call, struct cp_change *change,
                   const struct cp_bound *bound, struct cp_stored *ret_api, struct gw_error *err)
{
    struct cp_stored environment;
    if (cp_get(call, CP_KIND_API, bound->api, ret_api, err) < 0 ||
        cp_get(call, CP_KIND_ENVIRONMENT, bound->environment, &environment, err) < 0)
        return -1;
    cp_change_refer(change, bound->kind, bound->name, CP_KIND_API, bound->api);
    cp_change_refer(change, bound->kind, bound->name, CP_KIND_ENVIRONMENT, bound->environment);
    return 0;
}

void cp_bound_unrefer(struct cp_change *change, const struct cp_bound *bound)
{
    cp_change_unrefer(change, bound->kind, bound->name, CP_KIND_API, bound->api);
    cp_change_unrefer(change, bound->kind, bound->name, CP_KIND_ENVIRONMENT, bound->environment);
}
