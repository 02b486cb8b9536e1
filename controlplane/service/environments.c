/* SPDX-License-Identifier: Apache-2.0 */
/* Environments that APIs are published into. */
#include "controlplane/model/check_group.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#define RELEASE_ENVIRONMENT "environments/RELEASE"

static int check(const ProtobufCMessage *message, const ProtobufCMessage *before,
                 struct gw_error *err)
{
    (void)before;
    return cp_check_environment((const cp_environment *)message, err);
}

static bool is_release(const ProtobufCMessage *message)
{
    return strcmp(((const cp_environment *)message)->name, RELEASE_ENVIRONMENT) == 0;
}

static int prepare(const struct cp_call *call, struct cp_change *change, ProtobufCMessage *message,
                   const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)change;
    if (before && is_release(message))
        return gw_fail(err, GW_FAILED_PRECONDITION, "the environment RELEASE cannot be changed");
    return 0;
}

/* What is published, bound or authorised in it refers to it, and has refused this before. */
static int prepare_delete(const struct cp_call *call, struct cp_change *change,
                          const ProtobufCMessage *before, struct gw_error *err)
{
    (void)call;
    (void)change;
    if (is_release(before))
        return gw_fail(err, GW_FAILED_PRECONDITION, "the environment RELEASE cannot be deleted");
    return 0;
}

static const struct cp_resource_rules rules = {
    .kind = CP_KIND_ENVIRONMENT,
    .field = "environment",
    .list_field = "environments",
    .list_reply = CP_TYPE(list_environments_response),
    .max = CP_ENVIRONMENTS_MAX,
    .in_use_apig = "APIG.3418",
    .check = check,
    .prepare = prepare,
    .prepare_delete = prepare_delete,
};
CP_RESOURCE_HANDLERS(environment, environments, rules)

static const struct cp_method methods[] = {
    {"GetEnvironment", CP_ROLE_VIEWER, get_environment},
    {"ListEnvironments", CP_ROLE_VIEWER, list_environments},
    {"CreateEnvironment", CP_ROLE_OPERATOR, create_environment},
    {"UpdateEnvironment", CP_ROLE_OPERATOR, update_environment},
    {"DeleteEnvironment", CP_ROLE_OPERATOR, delete_environment},
};
const struct cp_service cp_environment_service = {
    &penstock__admin__v1__environment_service__descriptor, methods, GW_ARRAY_LEN(methods)};
