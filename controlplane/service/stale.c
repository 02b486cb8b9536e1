/* SPDX-License-Identifier: Apache-2.0 */
/* Which releases hold values that variables no longer have. */
#include "controlplane/model/variables.h"
#include "controlplane/service/variables.h"

void cp_values_init(struct cp_values *values, const struct cp_call *call)
{
    *values = (struct cp_values){.call = call};
    gw_map_init(&values->groups);
    gw_map_init(&values->values);
}

void cp_values_done(struct cp_values *values)
{
    gw_map_done(&values->groups);
    gw_map_done(&values->values);
}

static int keep_value(void *arg, const char *name, const struct cp_stored *stored,
                      struct gw_error *err)
{
    struct cp_values *values = arg;
    (void)err;
    gw_map_put(&values->values, gw_str_from(gw_arena_strdup(values->call->arena, name)),
               ((const cp_variable *)stored->message)->value);
    return 0;
}

int cp_values_get(struct cp_values *values, const char *variable, const char **ret_value,
                  struct gw_error *err)
{
    gw_str group = cp_name_parent(gw_str_from(variable));
    if (!gw_map_get(&values->groups, group)) {
        group = gw_arena_dup(values->call->arena, group);
        if (cp_each(values->call, CP_KIND_VARIABLE, group.ptr, keep_value, values, err) < 0)
            return -1;
        gw_map_put(&values->groups, group, (void *)(uintptr_t)group.ptr);
    }
    *ret_value = gw_map_get(&values->values, gw_str_from(variable));
    return 0;
}

int cp_show_stale(struct cp_values *values, cp_publication *publication, struct gw_error *err)
{
    publication->n_stale_variables = 0;
    if (publication->n_variables == 0)
        return 0;
    publication->stale_variables =
        GW_ARENA_ARRAY(values->call->arena, char *, publication->n_variables);
    for (size_t i = 0; i < publication->n_variables; i++) {
        const char *now;
        const cp_frozen_variable *frozen = publication->variables[i];
        if (cp_values_get(values, frozen->name, &now, err) < 0)
            return -1;
        if (!now || strcmp(now, frozen->value) != 0)
            publication->stale_variables[publication->n_stale_variables++] = frozen->name;
    }
    return 0;
}
