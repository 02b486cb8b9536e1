/* SPDX-License-Identifier: Apache-2.0 */
/* Environments that APIs are published into. */
#include "common/message.h"
#include "controlplane/model/check_group.h"
#include "controlplane/service/bundle.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"
#include "controlplane/service/variables.h"

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

/* ---- delete: its variables go with it */

#define CHILDREN_LEFT "CHILDREN_LEFT"
#define VARIABLES_AT_ONCE 50

_Static_assert(VARIABLES_AT_ONCE *CP_DROP_VARIABLE_OPS + 2 <= CP_CHANGE_OPS_ROUND, "fits");

struct job {
    const char *name, *etag;
    bool more; /* variables than fit */
};

static int drop_variables(const struct cp_call *call, struct cp_change *change, struct job *job,
                          struct gw_error *err)
{
    struct cp_page page;
    if (cp_referrers(call, CP_KIND_VARIABLE, CP_KIND_ENVIRONMENT, job->name, VARIABLES_AT_ONCE,
                     &page, err) < 0)
        return -1;
    for (size_t i = 0; i < page.count; i++) {
        struct cp_stored stored;
        const char *name = gw_arena_dup(call->arena, page.kvs[i].value).ptr;
        if (cp_find(call, CP_KIND_VARIABLE, name, &stored, err) < 0)
            return -1;
        if (stored.message)
            cp_drop_variable(change, (const cp_variable *)stored.message);
    }
    job->more = page.more;
    return 0;
}

/* From here on whoever publishes, binds or authorises something in it makes the change fail. */
static int may_go(const struct cp_call *call, struct cp_change *change, const struct job *job,
                  struct cp_stored *ret, struct gw_error *err)
{
    if (cp_get(call, CP_KIND_ENVIRONMENT, job->name, ret, err) < 0 ||
        cp_check_etag(job->etag, ret->mod_revision, job->name, err) < 0)
        return -1;
    if (is_release(ret->message))
        return gw_fail(err, GW_FAILED_PRECONDITION, "the environment RELEASE cannot be deleted");
    if (cp_change_guard(call, change, CP_KIND_ENVIRONMENT, job->name, err) < 0)
        return -1;
    if (cp_refuse_referred(call, CP_KIND_VARIABLE, CP_KIND_ENVIRONMENT, job->name, err) == 0)
        return 0;
    return err->code == GW_FAILED_PRECONDITION ? gw_error_apig(err, "APIG.3418") : -1;
}

/* The last transaction, and for most the only one. */
static int attempt_delete(const struct cp_call *call, struct cp_change *change, void *arg,
                          struct gw_error *err)
{
    struct job *job = arg;
    struct cp_stored environment;
    if (may_go(call, change, job, &environment, err) < 0 ||
        cp_change_remove(call, change, CP_KIND_ENVIRONMENT, job->name, environment.mod_revision,
                         err) < 0 ||
        drop_variables(call, change, job, err) < 0)
        return -1;
    if (!job->more)
        return 0;
    (void)gw_fail(err, GW_ABORTED, "%s has variables left", job->name);
    return gw_error_reason(err, CHILDREN_LEFT);
}

static int remove_environment(const struct cp_call *call, struct cp_change *change,
                              const char *name, const char *etag, struct gw_error *err)
{
    struct job job = {.name = name, .etag = etag};
    return attempt_delete(call, change, &job, err);
}

/* One of those before. */
static int attempt_round(const struct cp_call *call, struct cp_change *change, void *arg,
                         struct gw_error *err)
{
    struct cp_stored environment;
    return may_go(call, change, arg, &environment, err) < 0
               ? -1
               : drop_variables(call, change, arg, err);
}

static int delete_environment(const struct cp_call *call, const ProtobufCMessage *request,
                              ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const Penstock__Admin__V1__DeleteEnvironmentRequest *asked =
        (const Penstock__Admin__V1__DeleteEnvironmentRequest *)request;
    struct job job = {.name = asked->name, .etag = asked->etag};
    if (cp_name_check(CP_KIND_ENVIRONMENT, asked->name, "name", err) < 0)
        return -1;
    *ret_reply = gw_message_new(call->arena, &google__protobuf__empty__descriptor);
    while (cp_write(call, asked->validate_only, attempt_delete, &job, NULL, err) < 0) {
        if (strcmp(err->reason, CHILDREN_LEFT) != 0)
            return -1;
        *err = GW_ERROR_NONE;
        if (asked->validate_only)
            return 0;
        if (cp_write(call, false, attempt_round, &job, NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the rest */

const struct cp_resource_rules cp_environment_rules = {
    .kind = CP_KIND_ENVIRONMENT,
    .field = "environment",
    .list_field = "environments",
    .list_reply = CP_TYPE(list_environments_response),
    .quota = CP_QUOTA_ENVIRONMENTS,
    .check = check,
    .prepare = prepare,
    .remove = remove_environment,
};
CP_RESOURCE_HANDLER(get, environment, cp_environment_rules)
CP_RESOURCE_HANDLER(list, environments, cp_environment_rules)
CP_RESOURCE_HANDLER(create, environment, cp_environment_rules)
CP_RESOURCE_HANDLER(update, environment, cp_environment_rules)

static const struct cp_method methods[] = {
    {"GetEnvironment", CP_ROLE_VIEWER, get_environment},
    {"ListEnvironments", CP_ROLE_VIEWER, list_environments},
    {"CreateEnvironment", CP_ROLE_OPERATOR, create_environment},
    {"UpdateEnvironment", CP_ROLE_OPERATOR, update_environment},
    {"DeleteEnvironment", CP_ROLE_OPERATOR, delete_environment},
};
const struct cp_service cp_environment_service = {
    &penstock__admin__v1__environment_service__descriptor, methods, GW_ARRAY_LEN(methods)};
