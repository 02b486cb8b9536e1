/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables of groups, and VariableService. */
#include "controlplane/service/variables.h"
#include "controlplane/service/limits.h"

#include "controlplane/model/variables.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

typedef Penstock__Admin__V1__ListVariablesRequest list_request;
typedef Penstock__Admin__V1__ListVariablesResponse list_reply;

/* ---- writes */

static const char *make_id(struct gw_arena *arena, const ProtobufCMessage *message,
                           struct gw_error *err)
{
    const cp_variable *variable = (const cp_variable *)message;
    gw_str name = gw_str_from(variable->variable);
    if (!*variable->environment)
        (void)gw_fail_field(err, "environment", "required: \"environments/{environment}\"");
    if (!*variable->variable)
        (void)gw_fail_field(err, "variable", "required: the variable's name");
    if (err->violation_count > 0)
        return NULL;
    if (!cp_name_is(CP_KIND_ENVIRONMENT, variable->environment))
        (void)gw_fail_field(err, "environment", "must be \"environments/{environment}\"");
    if (!cp_variable_name_is(name))
        (void)gw_fail_field(err, "variable",
                            "must be %d to %d letters, digits or \"-_\", a letter first",
                            CP_VARIABLE_NAME_MIN, CP_VARIABLE_NAME_MAX);
    if (err->violation_count > 0)
        return NULL;
    return cp_name_last(
        cp_variable_resource_name(arena, GW_STR("groups/-"), variable->environment, name));
}

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_variable((const cp_variable *)message, err);
}

static void fill(struct gw_arena *arena, ProtobufCMessage *message)
{
    cp_fill_variable(arena, (cp_variable *)message);
}

static int check_limit(const struct cp_call *call, struct cp_change *change,
                       const cp_variable *variable, struct gw_error *err)
{
    int64_t count, max = call->services->variables_max;
    struct cp_limit limit;
    gw_str group = gw_arena_dup(call->arena, cp_name_parent(gw_str_from(variable->name)));
    gw_str all = cp_key_children(call->arena, CP_KIND_VARIABLE, group);
    gw_str prefix = gw_arena_printf(call->arena, "%.*s%s.", GW_STR_ARG(all),
                                    cp_name_last(variable->environment));
    gw_str what = gw_arena_printf(call->arena, "variables/%.*s/%s", GW_STR_ARG(group),
                                  cp_name_last(variable->environment));
    if (cp_limit_begin(call, change, what, &limit, err) < 0 ||
        cp_store_count(call->services->store, prefix, &count, err) < 0)
        return -1;
    if (cp_limit_end(change, &limit, count, max) == 0)
        return 0;
    (void)gw_fail(err, GW_RESOURCE_EXHAUSTED, "%s has %lld of %lld variables in %s", group.ptr,
                  (long long)count, (long long)max, variable->environment);
    return cp_quota_refused(CP_QUOTA_VARIABLES, err);
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    struct cp_stored environment;
    const cp_variable *variable = (const cp_variable *)message;
    if (before)
        return 0;
    if (cp_get(call, CP_KIND_ENVIRONMENT, variable->environment, &environment, err) < 0 ||
        check_limit(call, change, variable, err) < 0)
        return -1;
    cp_change_refer(change, CP_KIND_VARIABLE, variable->name, CP_KIND_ENVIRONMENT,
                    variable->environment);
    return 0;
}

void cp_drop_variable(struct cp_change *change, const cp_variable *variable)
{
    cp_change_delete(change, cp_key_of(change->arena, CP_KIND_VARIABLE, variable->name));
    cp_change_unrefer(change, CP_KIND_VARIABLE, variable->name, CP_KIND_ENVIRONMENT,
                      variable->environment);
}

static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)err;
    cp_drop_variable(change, (const cp_variable *)before);
    return 0;
}

/* ---- whose releases hold other values */

/* The variables that are shown, all of one group. */
struct view {
    const struct cp_call *call;
    struct gw_map variables; /* by name -> cp_variable, borrowed */
};

/* The array is full whenever the count is a power of two. */
static void add_api(const struct cp_call *call, cp_variable *variable, gw_str api)
{
    size_t count = variable->n_stale_apis;
    if ((count & (count - 1)) == 0) {
        char **more = GW_ARENA_ARRAY(call->arena, char *, GW_MAX(2 * count, (size_t)1));
        if (count > 0)
            memcpy(more, variable->stale_apis, count * sizeof *more);
        variable->stale_apis = more;
    }
    variable->stale_apis[variable->n_stale_apis++] =
        (char *)(uintptr_t)gw_arena_dup(call->arena, api).ptr;
}

static int visit_publication(void *arg, const char *name, const struct cp_stored *stored,
                             struct gw_error *err)
{
    struct view *view = arg;
    const cp_publication *publication = (const cp_publication *)stored->message;
    (void)err;
    for (size_t i = 0; i < publication->n_variables; i++) {
        const cp_frozen_variable *frozen = publication->variables[i];
        cp_variable *variable = gw_map_get(&view->variables, gw_str_from(frozen->name));
        if (variable && strcmp(variable->value, frozen->value) != 0)
            add_api(view->call, variable, cp_name_parent(gw_str_from(name)));
    }
    return 0;
}

/* In an arena of its own: what was read of the publications is not for the answer. */
static int visit_group(struct view *view, const char *group, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct cp_call reading = *view->call;
    reading.arena = &arena;
    return cp_each(&reading, CP_KIND_PUBLICATION, group, visit_publication, view, err);
}

/* By name, so that those of one group stand together. */
static int show_stale_apis(const struct cp_call *call, cp_variable **variables, size_t count,
                           struct gw_error *err)
{
    for (size_t at = 0; at < count;) {
        struct view view = {.call = call};
        gw_str group = gw_arena_dup(call->arena, cp_name_parent(gw_str_from(variables[at]->name)));
        gw_map_init(&view.variables);
        for (; at < count && gw_str_eq(cp_name_parent(gw_str_from(variables[at]->name)), group);
             at++)
            gw_map_put(&view.variables, gw_str_from(variables[at]->name), variables[at]);
        int result = visit_group(&view, group.ptr, err);
        gw_map_done(&view.variables);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int present(const struct cp_call *call, ProtobufCMessage *message, struct gw_error *err)
{
    cp_variable *variable = (cp_variable *)message;
    if (show_stale_apis(call, &variable, 1, err) == 0)
        return 0;
    variable->n_stale_apis = 0;
    return -1;
}

/* ---- methods */

static int narrow(const struct cp_call *call, const ProtobufCMessage *request, gw_str *prefix,
                  struct gw_error *err)
{
    const list_request *asked = (const list_request *)request;
    if (!*asked->environment)
        return 0;
    if (cp_name_check(CP_KIND_ENVIRONMENT, asked->environment, "environment", err) < 0)
        return -1;
    if (strcmp(asked->parent, "groups/-") == 0)
        return gw_fail_field(err, "environment", "only with one group as the parent");
    *prefix = gw_arena_printf(call->arena, "%.*s%s.", GW_STR_ARG(*prefix),
                              cp_name_last(asked->environment));
    return 0;
}

static const char *const output_only[] = {"stale_apis", NULL};
#define RULES                                                                                      \
    .kind = CP_KIND_VARIABLE, .field = "variable", .list_field = "variables",                      \
    .list_reply = CP_TYPE(list_variables_response), .output_only = output_only,                    \
    .make_id = make_id, .check = check, .fill = fill, .prepare = prepare,                          \
    .prepare_delete = prepare_delete, .narrow = narrow
static const struct cp_resource_rules rules = {RULES, .present = present};
/* A list reads the publications of a group once, a bundle not at all. */
const struct cp_resource_rules cp_variable_rules = {RULES};

static int list_variables(const struct cp_call *call, const ProtobufCMessage *request,
                          ProtobufCMessage **ret_reply, struct gw_error *err)
{
    if (cp_resource_list(call, &cp_variable_rules, request, ret_reply, err) < 0)
        return -1;
    list_reply *reply = (list_reply *)*ret_reply;
    return show_stale_apis(call, reply->variables, reply->n_variables, err);
}

CP_RESOURCE_HANDLER(get, variable, rules)
CP_RESOURCE_HANDLER(create, variable, rules)
CP_RESOURCE_HANDLER(update, variable, rules)
CP_RESOURCE_HANDLER(delete, variable, rules)

static const struct cp_method methods[] = {
    {"GetVariable", CP_ROLE_VIEWER, get_variable},
    {"ListVariables", CP_ROLE_VIEWER, list_variables},
    {"CreateVariable", CP_ROLE_OPERATOR, create_variable},
    {"UpdateVariable", CP_ROLE_OPERATOR, update_variable},
    {"DeleteVariable", CP_ROLE_OPERATOR, delete_variable},
};
const struct cp_service cp_variable_service = {&penstock__admin__v1__variable_service__descriptor,
                                               methods, GW_ARRAY_LEN(methods)};
