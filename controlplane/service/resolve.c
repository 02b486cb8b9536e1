/* SPDX-License-Identifier: Apache-2.0 */
/* Variables at a publish: the draft with their values in it. */
#include "common/message.h"
#include "controlplane/model/check_api.h"
#include "controlplane/model/variables.h"
#include "controlplane/service/variables.h"

#include <stdio.h>
#include <stdlib.h>

#define NAMES_BYTES_MAX 300 /* of a list in a message, which has 511 */

/* One draft in one environment. */
struct resolution {
    const struct cp_call *call;
    struct cp_change *change;
    gw_str group;
    const char *environment;
    struct gw_map
        values; /* by the variable's own name -> cp_frozen_variable; value NULL: missing */
};

/* ---- reading them */

static int read_variable(struct resolution *resolution, gw_str variable, struct gw_error *err)
{
    struct cp_stored stored;
    struct gw_arena *arena = resolution->call->arena;
    if (gw_map_get(&resolution->values, variable))
        return 0;
    cp_frozen_variable *frozen = GW_ARENA_NEW(arena, cp_frozen_variable);
    *frozen = (cp_frozen_variable)CP_INIT(FROZEN_VARIABLE);
    frozen->name =
        cp_variable_resource_name(arena, resolution->group, resolution->environment, variable);
    if (cp_find(resolution->call, CP_KIND_VARIABLE, frozen->name, &stored, err) < 0)
        return -1;
    cp_change_expect(resolution->change,
                     cp_key_of(resolution->change->arena, CP_KIND_VARIABLE, frozen->name),
                     stored.mod_revision);
    frozen->value = stored.message ? ((const cp_variable *)stored.message)->value : NULL;
    gw_map_put(&resolution->values, gw_arena_dup(arena, variable), frozen);
    return 0;
}

static int read_all(struct resolution *resolution, const struct cp_reference_field *fields,
                    unsigned count, struct gw_error *err)
{
    for (unsigned i = 0; i < count; i++) {
        gw_str rest = gw_str_from(*fields[i].text), part;
        while (rest.len > 0)
            if (cp_reference_take(&rest, &part) && read_variable(resolution, part, err) < 0)
                return -1;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(cp_frozen_variable *const *)a)->name, (*(cp_frozen_variable *const *)b)->name);
}

static void sort(struct resolution *resolution, struct cp_resolved *ret)
{
    ret->count = 0;
    ret->variables =
        GW_ARENA_ARRAY(resolution->call->arena, cp_frozen_variable *, resolution->values.count + 1);
    for (struct gw_map_entry *e = NULL; (e = gw_map_next(&resolution->values, e));)
        ret->variables[ret->count++] = e->value;
    qsort(ret->variables, ret->count, sizeof(void *), by_name);
}

/* ---- what is wrong */

static gw_str add_name(struct gw_arena *arena, gw_str list, gw_str name)
{
    return gw_arena_printf(arena, "%.*s%s#%.*s#", GW_STR_ARG(list), list.len ? ", " : "",
                           GW_STR_ARG(name));
}

static void refuse_names(const struct resolution *resolution, const char *field, gw_str names,
                         struct gw_error *err)
{
    (void)gw_fail_field(err, field, "%.*s: not in %s", GW_STR_ARG(names), resolution->environment);
}

/* All of one field, in as many violations as it takes to name them. */
static void refuse_field(const struct resolution *resolution,
                         const struct cp_reference_field *field, struct gw_error *err)
{
    struct gw_map named;
    gw_str rest = gw_str_from(*field->text), part, names = GW_STR("");
    gw_map_init(&named);
    while (rest.len > 0) {
        if (!cp_reference_take(&rest, &part))
            continue;
        cp_frozen_variable *found = gw_map_get(&resolution->values, part);
        if (found->value || gw_map_put(&named, part, found))
            continue;
        names = add_name(resolution->call->arena, names, part);
        if (names.len < NAMES_BYTES_MAX)
            continue;
        refuse_names(resolution, field->field, names, err);
        names = GW_STR("");
    }
    if (names.len > 0)
        refuse_names(resolution, field->field, names, err);
    gw_map_done(&named);
}

static int refuse_missing(const struct resolution *resolution, const struct cp_resolved *resolved,
                          const struct cp_reference_field *fields, unsigned count,
                          struct gw_error *err)
{
    size_t missing = 0, named = 0;
    gw_str names = GW_STR(""), own, environment;
    for (size_t i = 0; i < resolved->count; i++) {
        const char *id = cp_name_last(resolved->variables[i]->name);
        if (resolved->variables[i]->value ||
            !cp_variable_id_parse(gw_str_from(id), &environment, &own))
            continue;
        missing++;
        if (names.len >= NAMES_BYTES_MAX)
            continue;
        names = add_name(resolution->call->arena, names, own);
        named++;
    }
    if (missing == 0)
        return 0;
    for (unsigned i = 0; i < count; i++)
        refuse_field(resolution, &fields[i], err);
    char more[32] = "";
    if (named < missing)
        (void)snprintf(more, sizeof more, " and %zu more", missing - named);
    err->code = GW_FAILED_PRECONDITION;
    (void)snprintf(err->message, sizeof err->message, "%.*s has no value in %s for %.*s%s",
                   GW_STR_ARG(resolution->group), resolution->environment, GW_STR_ARG(names), more);
    return gw_error_reason(err, "VARIABLES_MISSING");
}

/* The draft was good: what is wrong now comes from the values. */
static int check_resolved(const struct resolution *resolution, const cp_api *definition,
                          const struct cp_reference_field *fields, unsigned count,
                          struct gw_error *err)
{
    struct gw_error found = GW_ERROR_NONE;
    if (cp_check_api(definition, &found) == 0)
        return 0;
    *err = GW_ERROR_NONE;
    for (unsigned i = 0; i < found.violation_count; i++) {
        const char *text = "";
        for (unsigned k = 0; k < count; k++)
            if (strcmp(fields[k].field, found.violations[i].field) == 0)
                text = *fields[k].text;
        (void)gw_fail_field(err, found.violations[i].field,
                            "is \"%.300s\" with the variables of %s: %s", text,
                            resolution->environment, found.violations[i].rule);
    }
    err->code = GW_FAILED_PRECONDITION;
    return gw_error_reason(err, "VARIABLES_WRONG");
}

/* ---- all */

static const char *value_of(void *arg, gw_str variable)
{
    const cp_frozen_variable *found = gw_map_get(arg, variable);
    return found ? found->value : NULL;
}

static int resolve(struct resolution *resolution, const cp_api *draft, struct cp_resolved *ret,
                   struct gw_error *err)
{
    struct gw_arena *arena = resolution->call->arena;
    struct cp_reference_field fields[CP_REFERENCE_FIELDS_MAX];
    cp_api *copy = (cp_api *)gw_message_copy(arena, &draft->base);
    unsigned count = cp_reference_fields(copy->backend, fields);
    if (read_all(resolution, fields, count, err) < 0)
        return -1;
    sort(resolution, ret);
    if (refuse_missing(resolution, ret, fields, count, err) < 0)
        return -1;
    for (unsigned i = 0; i < count; i++)
        *fields[i].text = cp_references_resolve(arena, *fields[i].text, fields[i].is_path, value_of,
                                                &resolution->values);
    ret->definition = copy;
    return check_resolved(resolution, copy, fields, count, err);
}

void cp_add_variable_keys(const struct cp_call *call, struct cp_keys *keys, const cp_api *draft,
                          const char *environment)
{
    struct cp_reference_field fields[CP_REFERENCE_FIELDS_MAX];
    gw_str group = cp_name_parent(gw_str_from(draft->name)), part;
    unsigned count = cp_reference_fields(draft->backend, fields);
    for (unsigned i = 0; i < count; i++)
        for (gw_str rest = gw_str_from(*fields[i].text); rest.len > 0;)
            if (cp_reference_take(&rest, &part))
                cp_keys_add_name(call, keys, CP_KIND_VARIABLE,
                                 cp_variable_resource_name(call->arena, group, environment, part));
}

int cp_resolve_api(const struct cp_call *call, struct cp_change *change, const cp_api *draft,
                   const char *environment, struct cp_resolved *ret, struct gw_error *err)
{
    struct resolution resolution = {
        .call = call,
        .change = change,
        .group = cp_name_parent(gw_str_from(draft->name)),
        .environment = environment,
    };
    *ret = (struct cp_resolved){.definition = draft};
    gw_map_init(&resolution.values);
    int result = resolve(&resolution, draft, ret, err);
    gw_map_done(&resolution.values);
    return result;
}
